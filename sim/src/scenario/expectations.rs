//! What must arrive: `-> RoomChatNotify name=alice`, read and written.

use super::names::{self, Names};
use super::packets;
use super::tokens::{self, Line, Parsed, Refusal, here};
use super::{Expectation, Expected, Pattern};

/// Whether an expectation comes next: `->`, perhaps behind the name of a client.
pub(super) fn is_next(line: &Line<'_>) -> bool {
    let mut line = *line;
    let is_step = tokens::word(&mut line, "a client").is_ok_and(names::is_reserved);
    !is_step && line.starts_with("->")
}

/// `[CLIENT] -> …`. Without a client, `own` is meant, whose step it is.
pub(super) fn expectation(line: &mut Line<'_>, own: Option<&str>, names: &Names) -> Parsed<Expectation> {
    let at = here(line);
    let client = match (line.starts_with("->"), own) {
        (false, _) => names.client(line)?,
        (true, Some(own)) => own.to_owned(),
        (true, None) => {
            return Err(Refusal::expected(at, "whose packet this is")
                .with_help("the step is no client's: write `alice -> …` below it".to_owned()));
        }
    };
    if !tokens::sign(line, "->") {
        return Err(Refusal::expected(here(line), "`->` and what must arrive"));
    }
    Ok(Expectation { client, what: expected(line)? })
}

fn expected(line: &mut Line<'_>) -> Parsed<Expected> {
    if tokens::keyword(line, "closed") {
        return Ok(Expected::Closed);
    }
    if tokens::keyword(line, "nothing") {
        return Ok(Expected::Nothing);
    }
    if !tokens::keyword(line, "any") {
        return packets::pattern(line).map(Expected::Packet);
    }
    if !tokens::keyword(line, "of") {
        return Err(Refusal::expected(here(line), "`of` and packets with `|` between them"));
    }
    let mut patterns = vec![packets::pattern(line)?];
    while tokens::sign(line, "|") {
        patterns.push(packets::pattern(line)?);
    }
    Ok(Expected::AnyOf(patterns))
}

/// What must arrive, as it is read behind `->`.
pub(super) fn show(expected: &Expected) -> String {
    match expected {
        Expected::Packet(pattern) => show_pattern(pattern),
        Expected::AnyOf(patterns) => {
            let patterns: Vec<_> = patterns.iter().map(show_pattern).collect();
            format!("any of {}", patterns.join(" | "))
        }
        Expected::Closed => "closed".to_owned(),
        Expected::Nothing => "nothing".to_owned(),
    }
}

fn show_pattern(pattern: &Pattern) -> String {
    pattern.fields.iter().fold(pattern.packet.clone(), |line, (field, value)| format!("{line} {field}={value}"))
}
