//! The diagrams in `net/PROTOCOL.md` and `README.md` are what happens: each is drawn from a run of a scenario, and a page that says
//! anything else fails here. This rewrites them:
//!
//! ```sh
//! LOBBYD_DIAGRAMS=write cargo test -p lobbyd-sim --test diagrams
//! ```
//!
//! A diagram stands behind a mark, which names the scenario, the first and the last line of it that are drawn by how they
//! begin (without: from its first step, to its end), and whether Redis is left out:
//!
//! ```text
//! <!-- diagram: NAME from "ada login" to "ada logout" without redis -->
//! ```

use std::fs;
use std::path::{Path, PathBuf};

use lobbyd_sim::layers::World as _;
use lobbyd_sim::layers::pure::Pure;
use lobbyd_sim::runner;
use lobbyd_sim::scenario::parse;
use lobbyd_sim::show::chart::Host;
use lobbyd_sim::show::{Chart, mermaid};

const MARK: &str = "<!-- diagram: ";
const MARK_END: &str = " -->\n";
const OPEN: &str = "```mermaid\n";
const CLOSE: &str = "```\n";

/// The pages with diagrams, and how many each has at least.
const PAGES: [(&str, usize); 2] = [("net/PROTOCOL.md", 19), ("README.md", 1)];

fn path(page: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(page)
}

fn read(page: &str) -> String {
    fs::read_to_string(path(page)).unwrap_or_else(|error| panic!("{page}: {error}"))
}

/// The page with every diagram drawn anew.
fn redrawn(page: &str) -> String {
    let mut parts = page.split(MARK);
    let mut text = parts.next().expect("a split has a first part").to_owned();
    for part in parts {
        let (mark, rest) = part.split_once(MARK_END).unwrap_or_else(|| panic!("a mark without an end: {part:.60}"));
        let old = rest.strip_prefix(OPEN).unwrap_or_else(|| panic!("no mermaid block follows the mark of {mark}"));
        let (_, behind) = old.split_once(CLOSE).unwrap_or_else(|| panic!("the diagram of {mark} has no end"));
        text += &[MARK, mark, MARK_END, OPEN, &diagram(mark), CLOSE, behind].concat();
    }
    text
}

/// The diagram that a mark asks for.
fn diagram(mark: &str) -> String {
    let (name, options) = mark.split_once(' ').unwrap_or((mark, ""));
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios").join(name).with_extension("scenario");
    let source = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{mark}: {}: {error}", file.display()));
    let scenario = parse(&source).unwrap_or_else(|error| panic!("{mark}: {}:{error}", file.display()));
    let mut world = Pure::new(&scenario.setup, 1).expect("the setup can be built");
    world.watch();
    let outcome = runner::run(&scenario, &mut world);
    assert!(outcome.result.is_ok(), "{mark}: {:?}", outcome.result);
    let line = |option: &str, otherwise: u32| {
        let Some((_, rest)) = options.split_once(option) else { return otherwise };
        let (start, _) = rest.split_once('"').unwrap_or_else(|| panic!("{mark}: the text of {option} has no end"));
        let found = (1..).zip(source.lines()).find(|(_, line)| line.starts_with(start));
        found.unwrap_or_else(|| panic!("{mark}: no line of {name} begins with {start:?}")).0
    };
    let mut chart = Chart::new(&scenario, &outcome);
    if options.ends_with("without redis") {
        chart = chart.without(Host::Redis);
    }
    mermaid(&chart.excerpt(line("from \"", 1), line("to \"", u32::MAX)))
}

#[test]
fn diagrams_are_what_happens() {
    for (page, _) in PAGES {
        let text = read(page);
        let redrawn = redrawn(&text);
        if std::env::var_os("LOBBYD_DIAGRAMS").is_some_and(|what| what == "write") {
            fs::write(path(page), &redrawn).unwrap_or_else(|error| panic!("{page}: {error}"));
            continue;
        }
        let drift = text.lines().zip(redrawn.lines()).zip(1..).find(|((old, new), _)| old != new);
        if let Some(((old, new), line)) = drift {
            panic!(
                "{page}:{line} says\n  {old}\nand what happens is\n  {new}\nIf that is right: \
                 LOBBYD_DIAGRAMS=write cargo test -p lobbyd-sim --test diagrams"
            );
        }
        assert_eq!(text, redrawn, "{page} ends too early or too late");
    }
}

#[test]
fn no_sequence_is_drawn_by_hand() {
    for (page, least) in PAGES {
        let text = read(page);
        let marked = text.matches(&[MARK_END, OPEN, "sequenceDiagram\n"].concat()).count();
        assert!(marked >= least, "{page} has only {marked} diagrams left");
        let all = text.matches("sequenceDiagram").count();
        assert_eq!(marked, all, "{page}: every sequence diagram follows a mark that says which run it shows");
    }
}
