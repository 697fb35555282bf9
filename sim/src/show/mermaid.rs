//! A chart as a mermaid sequence diagram, for pages that draw those.

use std::fmt::Write as _;

use super::chart::{Chart, Fate, Field, Message, What, time};
use super::escape;

/// How many characters of a field are shown.
const VALUE_CHARS_MAX: usize = 40;
/// How many characters of a note are shown.
const NOTE_CHARS_MAX: usize = 300;
/// What mermaid would take for its own words.
const WORDS: [&str; 28] = [
    "activate",
    "actor",
    "alt",
    "and",
    "as",
    "autonumber",
    "box",
    "break",
    "create",
    "critical",
    "deactivate",
    "destroy",
    "else",
    "end",
    "left",
    "link",
    "links",
    "loop",
    "note",
    "of",
    "opt",
    "option",
    "over",
    "par",
    "participant",
    "rect",
    "right",
    "title",
];

/// The diagram, with a newline behind every line. An arrow stands where its message arrives.
#[must_use]
pub fn mermaid(chart: &Chart) -> String {
    let names: Vec<_> = chart.lanes.iter().enumerate().map(|(lane, host)| name(lane, &host.name)).collect();
    let mut text = "sequenceDiagram\n".to_owned();
    for (own, host) in names.iter().zip(&chart.lanes) {
        match own == &host.name {
            true => line(&mut text, &format!("participant {own}")),
            false => line(&mut text, &format!("participant {own} as {}", escape::mermaid(&host.name))),
        }
    }
    let everywhere: Vec<usize> = if names.is_empty() { Vec::new() } else { vec![0, names.len() - 1] };
    let note = |text: &mut String, lanes: &[usize], words: &str| {
        let mut lanes: Vec<_> = lanes.to_vec();
        lanes.sort_unstable();
        lanes.dedup();
        let (Some(first), Some(last)) = (lanes.first(), lanes.last()) else { return };
        let over = if first == last { names[*first].clone() } else { format!("{},{}", names[*first], names[*last]) };
        line(text, &format!("Note over {over}: {}", escape::mermaid(&escape::shorten(words, NOTE_CHARS_MAX))));
    };
    for row in &chart.rows {
        match &row.what {
            What::Message(message) => {
                let arrow = match message.fate {
                    // It stands where it lands.
                    Fate::Arrived { row: Some(_), .. } => continue,
                    Fate::Arrived { row: None, .. } => "->>",
                    Fate::Lost => "-x",
                    Fate::UnderWay => "-)",
                };
                line(&mut text, &arrow_line(&names, message, arrow, ""));
            }
            What::Landing { message: sent } => {
                let Some(message) = chart.message(*sent) else { continue };
                let took = time(row.at.saturating_sub(chart.rows[*sent].at));
                line(&mut text, &arrow_line(&names, message, "->>", &format!(" (sent {took} before)")));
            }
            What::Act { lane, text: words } => note(&mut text, &[*lane], words),
            What::Fault { lanes, text: words } => note(&mut text, lanes, words),
            What::Check { lane, text: words } => note(&mut text, &[*lane], &format!("holds: {words}")),
            What::Gap(gap) => note(&mut text, &everywhere, &format!("{} pass", time(*gap))),
            What::Digests(_) => {}
            What::Skipped(words) => note(&mut text, &everywhere, &format!("skipped: {words}")),
            What::Failure { expected, arrived } => {
                let [expected, arrived] = [expected, arrived].map(|words| escape::shorten(words, NOTE_CHARS_MAX / 3));
                let words = format!("does not hold. expected: {expected}. arrived: {arrived}");
                note(&mut text, &everywhere, &words);
            }
        }
    }
    text
}

/// The packet in short: its name, and in braces the fields that people need.
#[must_use]
pub fn label(message: &Message) -> String {
    let fields = message.fields.iter().filter(|field| field.is_brief);
    let is_packet = message.name.starts_with(|first: char| first.is_ascii_uppercase());
    if !is_packet {
        let words = fields.fold(message.name.clone(), |words, field| words + " " + &field.short(VALUE_CHARS_MAX));
        return format!("({words})");
    }
    let fields: Vec<_> = fields.map(brief).collect();
    if fields.is_empty() { message.name.clone() } else { format!("{}{{{}}}", message.name, fields.join(", ")) }
}

fn brief(field: &Field) -> String {
    let value = field.short(VALUE_CHARS_MAX);
    if field.is_word() { field.name.clone() } else { format!("{}: {value}", field.name) }
}

fn arrow_line(names: &[String], message: &Message, arrow: &str, more: &str) -> String {
    let (from, to) = (&names[message.from], &names[message.to]);
    format!("{from}{arrow}{to}: {}{more}", escape::mermaid(&label(message)))
}

/// What a host is called in the diagram: its own name, unless mermaid could misunderstand that.
fn name(lane: usize, host: &str) -> String {
    let is_plain = !host.is_empty() && host.chars().all(|character| character.is_ascii_alphanumeric());
    let is_word = WORDS.contains(&host.to_ascii_lowercase().as_str());
    if is_plain && !is_word { host.to_owned() } else { format!("host{lane}") }
}

fn line(text: &mut String, line: &str) {
    writeln!(text, "    {line}").expect("a string takes what is written");
}
