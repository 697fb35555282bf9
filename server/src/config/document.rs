//! What people read: a sample file and a reference, both made from the table of settings.

use super::load::{ROOMS, ROOMS_ALLOWED, variable};
use super::room::{ROOM_KEYS, RoomSettings};
use super::table::{Entry, SECTIONS, Settings};
use super::value::Value;

/// A complete TOML file with every setting at its default, each with a comment on what it means and what is allowed.
#[must_use]
pub fn sample() -> String {
    let settings = Settings::default();
    let mut text = String::new();
    comment(&mut text, "Configuration of lobbyd: every setting, at its default. Keep what you change, drop the rest.");
    comment(
        &mut text,
        "Use it by `lobbyd --config FILE` or by the environment variable LOBBYD_CONFIG; check it by `lobbyd config check FILE`. Flags go before environment variables, and those before this file.",
    );
    for section in SECTIONS {
        text.push('\n');
        comment(&mut text, &sentence(section.doc));
        text.push_str(&format!("[{}]\n", section.name));
        for entry in section.entries {
            text.push('\n');
            comment(&mut text, &sentence(entry.doc));
            comment(&mut text, &format!("Allowed: {}.", (entry.allowed)()));
            text.push_str(&format!("{} = {}\n", entry.key, (entry.literal)(&settings)));
        }
    }
    text.push('\n');
    comment(
        &mut text,
        "Rooms that always exist, each in a [[rooms]] table of its own. `rooms = []` at the top of the file for none.",
    );
    for room in &ROOM_KEYS {
        comment(&mut text, &format!("{}: {} Allowed: {}.", room.key, room.doc, (room.allowed)()));
    }
    for room in &settings.rooms {
        text.push_str(&room_sample(room));
    }
    text
}

/// A Markdown page with every setting: key, environment variable, default, what is allowed, what it means.
#[must_use]
pub fn reference() -> String {
    let settings = Settings::default();
    let mut text = String::from(
        "# Settings of lobbyd\n\n\
         Made by `lobbyd config doc`. Flags go before environment variables, those before the TOML file, that before the\n\
         defaults. The file is named by `--config FILE` or by the environment variable `LOBBYD_CONFIG`; without either\n\
         none is read. `--set KEY=VALUE` sets any setting; `--listen`, `--store`, `--data`, `--log-format` and\n\
         `--log-levels` are short for the settings they are named after. Unknown names and bad values are errors.\n",
    );
    for section in SECTIONS {
        text.push_str(&format!("\n## `[{}]`\n\n{}\n\n{TABLE_HEAD}", section.name, sentence(section.doc)));
        for entry in section.entries {
            text.push_str(&row(entry, &settings));
        }
    }
    text.push_str(&format!(
        "\n## `[[{ROOMS}]]`\n\nRooms that always exist. Allowed is {ROOMS_ALLOWED}; in the environment variable `{}` and \
         by `--set {ROOMS}=…` a TOML array of inline tables. Without any there is one room:\n\n```toml\n",
        variable(ROOMS)
    ));
    text.extend(settings.rooms.iter().map(room_sample));
    text.push_str("```\n\n| key | required | allowed | meaning |\n|---|---|---|---|\n");
    for room in &ROOM_KEYS {
        let required = if room.required { "yes" } else { "no" };
        text.push_str(&format!("| `{}` | {required} | {} | {} |\n", room.key, cell(&(room.allowed)()), cell(room.doc)));
    }
    text
}

const TABLE_HEAD: &str = "| setting | environment variable | default | allowed | meaning |\n|---|---|---|---|---|\n";

fn row(entry: &Entry, settings: &Settings) -> String {
    format!(
        "| `{}` | `{}` | `{}` | {} | {} |\n",
        entry.name,
        variable(entry.name),
        cell(&(entry.literal)(settings)),
        cell(&(entry.allowed)()),
        cell(&sentence(entry.doc))
    )
}

fn room_sample(room: &RoomSettings) -> String {
    let RoomSettings { number, title, capacity, password: _ } = room;
    format!(
        "[[{ROOMS}]]\nnumber = {number}\ntitle = {}\ncapacity = {capacity}\n# password = \"...\"\n",
        title.literal()
    )
}

/// The lines of a documentation comment as one text.
fn sentence(doc: &[&str]) -> String {
    doc.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ")
}

/// Text inside a cell of a Markdown table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

/// The most characters in a line of comment.
const COMMENT_WIDTH: usize = 100;

fn comment(text: &mut String, words: &str) {
    let mut line = String::from("#");
    for word in words.split(' ') {
        if line.chars().count() + 1 + word.chars().count() > COMMENT_WIDTH {
            text.push_str(&line);
            text.push('\n');
            line = String::from("#");
        }
        line.push(' ');
        line.push_str(word);
    }
    text.push_str(&line);
    text.push('\n');
}
