//! Makes what strangers wrote harmless on a terminal.

use std::fmt::Write;

/// `text` on one line, with everything that would do something on a terminal other than show itself written as
/// `\u{…}`: control characters (so also escape sequences), what changes the direction of writing, line separators and
/// invisible annotations.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    push_escaped(&mut escaped, text);
    escaped
}

/// The same for the text of a message, which may have several lines: all but the first are indented, so that none of
/// them can pass for a line of this program's own.
pub(super) fn escape_message(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for (number, line) in text.split('\n').enumerate() {
        if number > 0 {
            escaped.push_str("\n    ");
        }
        push_escaped(&mut escaped, line);
    }
    escaped
}

fn push_escaped(escaped: &mut String, text: &str) {
    for character in text.chars() {
        if acts(character) {
            // Writing to a string does not fail.
            let _ = write!(escaped, "{}", character.escape_unicode());
        } else {
            escaped.push(character);
        }
    }
}

fn acts(character: char) -> bool {
    match character {
        // Unicode Standard Annex 9: marks, embeddings, overrides and isolates; then their deprecated relatives.
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{206f}' => true,
        // Line and paragraph separators, interlinear annotations, and the invisible tags.
        '\u{2028}' | '\u{2029}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}' => true,
        other => other.is_control(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_acts_on_a_terminal_is_written_out() {
        assert_eq!(escape("\u{1b}]0;owned\u{7}"), "\\u{1b}]0;owned\\u{7}");
        assert_eq!(escape("a\rb\nc\td\u{7f}e\u{9b}2J"), "a\\u{d}b\\u{a}c\\u{9}d\\u{7f}e\\u{9b}2J");
        assert_eq!(
            escape("\u{202e}evil\u{202c}\u{2066}\u{2069}\u{200f}"),
            "\\u{202e}evil\\u{202c}\\u{2066}\\u{2069}\\u{200f}"
        );
        assert_eq!(escape("a\u{2028}b\u{2029}c\u{e0041}"), "a\\u{2028}b\\u{2029}c\\u{e0041}");
    }

    #[test]
    fn what_shows_itself_stays() {
        for text in ["", "hello", "grüß Gott", "日本語", "שלום", "\u{1f468}\u{200d}\u{1f469}", r"\u{1b}"] {
            assert_eq!(escape(text), text);
        }
    }

    #[test]
    fn no_line_of_a_message_looks_like_one_of_the_program() {
        assert_eq!(escape_message("one\n* bob left\n\u{1b}[2J"), "one\n    * bob left\n    \\u{1b}[2J");
        assert_eq!(escape_message("one"), "one");
    }
}
