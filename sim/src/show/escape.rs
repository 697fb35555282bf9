//! Texts from a run, made harmless: for people, for HTML and for mermaid.

use std::fmt::Write as _;

/// The text with every character that is not seen, or that turns the order of others around, written as `\u{…}`.
#[must_use]
pub fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if is_hidden(character) {
            write!(out, "\\u{{{:x}}}", u32::from(character)).expect("a string takes what is written");
        } else {
            out.push(character);
        }
    }
    out
}

/// The text as the content of an HTML element, or as an attribute's value in double quotes.
#[must_use]
pub fn html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in visible(text).chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

/// The text as part of a line of a mermaid diagram. Letters and digits stay, whatever else mermaid could take for its
/// own syntax becomes an entity in mermaid's way of writing them.
#[must_use]
pub fn mermaid(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in visible(text).chars() {
        match character {
            '#' | ';' | '<' | '>' | '&' | '%' | '`' | '\\' => {
                write!(out, "#{};", u32::from(character)).expect("a string takes what is written");
            }
            other => out.push(other),
        }
    }
    out
}

/// At most so many characters of a text, with the number of those left out.
#[must_use]
pub fn shorten(text: &str, chars_max: usize) -> String {
    let count = text.chars().count();
    if count <= chars_max {
        return text.to_owned();
    }
    let start: String = text.chars().take(chars_max).collect();
    format!("{start}… ({} more)", count - chars_max)
}

/// Controls, and what Unicode calls formats: marks of direction, joiners, invisible operators, tags.
fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{00ad}' | '\u{034f}' | '\u{061c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_is_only_text() {
        assert_eq!(
            html("<script>alert('1')</script> & \"x\""),
            "&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt; &amp; &quot;x&quot;"
        );
        assert_eq!(mermaid("a; end <b> #35; %%{x}"), "a#59; end #60;b#62; #35;35#59; #37;#37;{x}");
        assert_eq!(mermaid("one\ntwo"), "one#92;u{a}two");
    }

    #[test]
    fn what_turns_text_around_is_seen() {
        assert_eq!(visible("a\u{202e}cod.exe\u{2066}\u{200b}\0"), r"a\u{202e}cod.exe\u{2066}\u{200b}\u{0}");
        assert_eq!(visible("日本語 שלום 👋"), "日本語 שלום 👋");
    }

    #[test]
    fn long_text_says_how_much_is_left_out() {
        assert_eq!(shorten("日本語", 3), "日本語");
        assert_eq!(shorten("日本語", 1), "日… (2 more)");
    }
}
