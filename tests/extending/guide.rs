//! The guide shows what the examples hold, and nothing else.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A block of code in the guide.
struct Block {
    /// The file that its mark names.
    file: Option<String>,
    language: String,
    text: String,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(file: &str) -> String {
    fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

fn blocks() -> Vec<Block> {
    let guide = read("server/EXTENDING.md");
    let mut blocks = Vec::new();
    let mut mark = None;
    let mut lines = guide.lines();
    while let Some(line) = lines.next() {
        if let Some(language) = line.strip_prefix("```") {
            let text: Vec<_> = lines.by_ref().take_while(|line| *line != "```").collect();
            blocks.push(Block { file: mark.take(), language: language.to_owned(), text: text.join("\n") });
        } else {
            let file = line.strip_prefix("<!-- file: ").and_then(|rest| rest.strip_suffix(" -->"));
            mark = file.map(str::to_owned);
        }
    }
    blocks
}

#[test]
fn blocks_of_the_guide_are_parts_of_their_files() {
    let mut shown = 0;
    for Block { file, language, text } in blocks() {
        let Some(file) = file else {
            let is_shell = ["sh", "console", "toml"].contains(&language.as_str());
            assert!(is_shell, "a block of {language} names no file:\n{text}");
            continue;
        };
        shown += 1;
        // Whole lines, so that no block ends in the middle of a word.
        let is_part = format!("\n{}", read(&file)).contains(&format!("\n{text}\n"));
        assert!(is_part, "this is not in {file}:\n{text}");
    }
    assert!(shown >= 10, "the guide shows {shown} parts of files");
}

#[test]
fn guide_shows_every_line_of_what_it_builds() {
    for file in [
        "server/examples/custom_command/main.rs",
        "server/examples/custom_command/dice.rs",
        "server/examples/custom_command/dice.scenario",
        "server/examples/dice_daemon.rs",
        "sim/examples/dice.rs",
    ] {
        let blocks: Vec<_> = blocks().into_iter().filter(|block| block.file.as_deref() == Some(file)).collect();
        let shown: BTreeSet<_> = blocks.iter().flat_map(|block| block.text.lines()).collect();
        let source = read(file);
        let missing: Vec<_> = source.lines().filter(|line| !line.starts_with("//!") && !shown.contains(line)).collect();
        assert!(missing.is_empty(), "the guide leaves out of {file}: {missing:#?}");
    }
}

#[test]
fn links_of_the_guide_lead_somewhere() {
    let guide = read("server/EXTENDING.md");
    let links: Vec<_> = guide.split("](").skip(1).filter_map(|rest| rest.split(')').next()).collect();
    assert!(links.len() > 5, "{links:?}");
    for link in links {
        assert!(root().join("server").join(link).exists(), "{link} leads nowhere");
    }
}
