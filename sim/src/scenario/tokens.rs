//! What a line is made of: words, numbers, durations, texts, bytes. Each is followed by spaces, which go with it.

use std::fmt::Write as _;
use std::time::Duration;

use lobbyd_core::name::UserName;
use winnow::combinator::{alt, repeat};
use winnow::error::ParserError;
use winnow::prelude::*;
use winnow::stream::{LocatingSlice, Location};
use winnow::token::{any, none_of, one_of, take_till, take_while};

use super::error::did_you_mean;

/// What is left of a line.
pub(super) type Line<'s> = LocatingSlice<&'s str>;

/// Why a line is refused, and where in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// In bytes from the start of the line.
    pub(super) at: usize,
    pub(super) complaint: Complaint,
    pub(super) help: Option<String>,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Complaint {
    /// Something else should stand there.
    Expected(String),
    /// What stands there cannot be.
    Wrong(String),
}

impl Refusal {
    pub(super) fn expected(at: usize, what: impl Into<String>) -> Self {
        Self { at, complaint: Complaint::Expected(what.into()), help: None }
    }

    pub(super) fn wrong(at: usize, what: impl Into<String>) -> Self {
        Self { at, complaint: Complaint::Wrong(what.into()), help: None }
    }

    pub(super) fn with_help(mut self, help: impl Into<Option<String>>) -> Self {
        self.help = help.into();
        self
    }
}

impl ParserError<Line<'_>> for Refusal {
    type Inner = Self;

    fn from_input(line: &Line<'_>) -> Self {
        Self::expected(here(line), "something else")
    }

    fn into_inner(self) -> Result<Self, Self> {
        Ok(self)
    }
}

/// What a parser of this file gives.
pub(super) type Parsed<T> = Result<T, Refusal>;

/// Where in the line one is.
pub(super) fn here(line: &Line<'_>) -> usize {
    line.current_token_start()
}

fn is_word_character(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '_' | '.' | '-' | '/')
}

fn raw_word<'s>(line: &mut Line<'s>) -> Parsed<&'s str> {
    (one_of(|first: char| first.is_ascii_alphanumeric() || first == '_'), take_while(0.., is_word_character))
        .take()
        .parse_next(line)
}

fn spaces(line: &mut Line<'_>) -> Parsed<()> {
    take_while(0.., ' ').void().parse_next(line)
}

/// Spaces at the start of the line.
pub(super) fn indentation(line: &mut Line<'_>) {
    spaces(line).expect("no spaces are spaces enough");
}

/// The next word, without taking it.
pub(super) fn peek_word<'s>(line: &Line<'s>) -> Option<&'s str> {
    raw_word(&mut line.clone()).ok()
}

/// A word: letters, digits and `_ . - /`, beginning with a letter, a digit or `_`.
pub(super) fn word<'s>(line: &mut Line<'s>, what: &str) -> Parsed<&'s str> {
    let at = here(line);
    let word = raw_word(line).map_err(|_| Refusal::expected(at, what))?;
    spaces(line)?;
    Ok(word)
}

/// What is wanted where a user's name is.
pub(super) const USER_NAME: &str = "a user name: 1 to 32 of A-Z a-z 0-9 _ . -";

/// A user's name, in lower case: it may begin with signs that no other word begins with.
pub(super) fn user_name(line: &mut Line<'_>) -> Parsed<UserName> {
    let at = here(line);
    let refused = || Refusal::expected(at, USER_NAME);
    let raw: Parsed<&str> = take_while(1.., is_word_character).parse_next(line);
    let name = raw.ok().and_then(|raw| raw.parse().ok()).ok_or_else(refused)?;
    spaces(line)?;
    Ok(name)
}

/// Takes `sign` if it comes next.
pub(super) fn sign(line: &mut Line<'_>, sign: &str) -> bool {
    let taken = (sign, spaces).parse_next(line).is_ok();
    debug_assert!(taken || !line.starts_with(sign), "a sign that is there is taken");
    taken
}

/// Takes the word `keyword` if it comes next.
pub(super) fn keyword(line: &mut Line<'_>, keyword: &str) -> bool {
    if peek_word(line) != Some(keyword) {
        return false;
    }
    word(line, keyword).is_ok()
}

/// One of these words.
pub(super) fn one_of_words<'s, T: Copy>(line: &mut Line<'s>, what: &str, choices: &[(&str, T)]) -> Parsed<T> {
    let at = here(line);
    let all = || choices.iter().map(|(name, _)| *name);
    let listed = || format!("{what} ({})", all().collect::<Vec<_>>().join(", "));
    let Ok(found) = word(line, what) else {
        return Err(Refusal::expected(at, listed()));
    };
    match choices.iter().find(|(name, _)| *name == found) {
        Some((_, choice)) => Ok(*choice),
        None => Err(Refusal::expected(at, listed()).with_help(did_you_mean(found, all()))),
    }
}

/// A whole number.
pub(super) fn number<T: std::str::FromStr>(line: &mut Line<'_>, what: &str) -> Parsed<T> {
    let at = here(line);
    word(line, what)?.parse().map_err(|_| Refusal::expected(at, what))
}

/// The units of durations, the longest first.
const UNITS: [(&str, u128); 6] = [
    ("h", 3_600_000_000_000),
    ("min", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// A duration: a whole number and its unit.
pub(super) fn duration(line: &mut Line<'_>) -> Parsed<Duration> {
    let at = here(line);
    let refused = || Refusal::expected(at, "a duration such as 30s, 250ms or 2min");
    let found = raw_word(line).map_err(|_| refused())?;
    spaces(line)?;
    duration_of(found).ok_or_else(refused)
}

/// A duration or two with `..` between them, the lesser first.
pub(super) fn duration_range(line: &mut Line<'_>) -> Parsed<(Duration, Duration)> {
    let at = here(line);
    let refused = || Refusal::expected(at, "a duration or a range of them, such as 5ms or 1ms..5ms");
    let found = raw_word(line).map_err(|_| refused())?;
    spaces(line)?;
    let (least, most) = found.split_once("..").unwrap_or((found, found));
    let (least, most) = duration_of(least).zip(duration_of(most)).ok_or_else(refused)?;
    if least > most {
        return Err(Refusal::wrong(at, "the range begins above its end"));
    }
    Ok((least, most))
}

/// The duration that a word is, if it is one.
pub(crate) fn duration_of(found: &str) -> Option<Duration> {
    let unit_at = found.find(|character: char| !character.is_ascii_digit())?;
    let (count, unit) = found.split_at(unit_at);
    let (_, unit_nanos) = UNITS.iter().find(|(name, _)| *name == unit)?;
    let nanos = count.parse::<u128>().ok()?.checked_mul(*unit_nanos)?;
    // Simulated time is a `u64` of nanoseconds, more than five hundred years.
    u64::try_from(nanos).ok().map(Duration::from_nanos)
}

/// A duration as [`duration`] reads it, in the longest unit that it is a whole number of.
pub(super) fn show_duration(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    if nanos == 0 {
        return "0s".to_owned();
    }
    let (name, unit_nanos) = UNITS
        .iter()
        .find(|(_, unit)| nanos.is_multiple_of(*unit))
        .expect("everything is a whole number of nanoseconds");
    format!("{}{name}", nanos / unit_nanos)
}

/// Two durations as [`duration_range`] reads them.
pub(super) fn show_duration_range((least, most): (Duration, Duration)) -> String {
    if least == most { show_duration(least) } else { format!("{}..{}", show_duration(least), show_duration(most)) }
}

/// The most bytes that `"…"*N` makes.
const REPEATED_BYTES_MAX: usize = 16 * 1024 * 1024;
/// A text of one character alone is written as `"x"*N` from this many on.
const REPEATED_MIN: usize = 64;

/// A text in quotes, escaped as in JSON, perhaps repeated as in `"x"*2000`; or a word.
pub(super) fn string(line: &mut Line<'_>, what: &str) -> Parsed<String> {
    if !line.starts_with('"') {
        return word(line, what).map(str::to_owned);
    }
    quoted(line)
}

/// A text in quotes.
pub(super) fn quoted(line: &mut Line<'_>) -> Parsed<String> {
    let at = here(line);
    let Ok(literal) = ('"', inside_quotes, '"').take().parse_next(line) else {
        return Err(Refusal::wrong(at, "this text has no end: a `\"` is missing"));
    };
    let text: String = serde_json::from_str(literal).map_err(|_| {
        Refusal::wrong(at, "this text is not escaped as in JSON").with_help(Some(
            r#"escapes are \" \\ \n \r \t and \u0000; bytes that are no text are written as hex:ff00"#.to_owned(),
        ))
    })?;
    let times = if line.starts_with('*') {
        sign(line, "*");
        let at = here(line);
        let times: usize = number(line, "how many times")?;
        if text.len().saturating_mul(times) > REPEATED_BYTES_MAX {
            return Err(Refusal::wrong(at, format!("this makes a text of over {REPEATED_BYTES_MAX} bytes")));
        }
        times
    } else {
        1
    };
    spaces(line)?;
    Ok(text.repeat(times))
}

fn inside_quotes(line: &mut Line<'_>) -> Parsed<()> {
    repeat(0.., alt((none_of(['"', '\\']).void(), ('\\', any).void()))).parse_next(line)
}

/// A text as [`quoted`] reads it.
pub(super) fn show_quoted(text: &str) -> String {
    let literal = |text: &str| serde_json::Value::from(text).to_string();
    let mut characters = text.chars();
    match characters.next() {
        Some(first) if text.len() >= REPEATED_MIN && characters.all(|other| other == first) => {
            format!("{}*{}", literal(first.encode_utf8(&mut [0; 4])), text.len() / first.len_utf8())
        }
        Some(_) | None => literal(text),
    }
}

/// A text as [`string`] reads it.
pub(super) fn show_string(text: &str) -> String {
    let is_word = text.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '_')
        && text.chars().all(is_word_character);
    if is_word { text.to_owned() } else { show_quoted(text) }
}

/// A text, or any bytes as `hex:ff00`.
pub(super) fn text_or_bytes(line: &mut Line<'_>, what: &str) -> Parsed<Vec<u8>> {
    if !line.starts_with("hex:") {
        return string(line, what).map(String::into_bytes);
    }
    sign(line, "hex:");
    hex(line)
}

/// Bytes as [`text_or_bytes`] reads them.
pub(super) fn show_text_or_bytes(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => show_quoted(text),
        Err(_) => format!("hex:{}", show_hex(bytes)),
    }
}

/// Bytes in hexadecimal digits.
pub(super) fn hex(line: &mut Line<'_>) -> Parsed<Vec<u8>> {
    let at = here(line);
    let refused = || Refusal::expected(at, "bytes as pairs of hexadecimal digits, such as 00ff");
    let digits = raw_word(line).map_err(|_| refused())?;
    spaces(line)?;
    if !digits.len().is_multiple_of(2) || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return Err(refused());
    }
    let pair = |at| u8::from_str_radix(&digits[at..at + 2], 16).expect("all are hexadecimal digits, checked above");
    Ok((0..digits.len()).step_by(2).map(pair).collect())
}

/// Bytes as [`hex`] reads them.
pub(super) fn show_hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut digits, byte| {
        write!(digits, "{byte:02x}").expect("a string takes everything");
        digits
    })
}

/// What stands between `[` and `]`, split at commas.
pub(super) fn list<'s>(line: &mut Line<'s>) -> Parsed<Vec<&'s str>> {
    let at = here(line);
    let inside: Result<&str, Refusal> = ('[', take_till(0.., ']'), ']').map(|(_, inside, _)| inside).parse_next(line);
    let inside = inside.map_err(|_| Refusal::expected(at, "a list such as [alice,bob]"))?;
    spaces(line)?;
    let elements = inside.split(',').map(str::trim);
    Ok(if inside.trim().is_empty() { Vec::new() } else { elements.collect() })
}

/// Whether nothing but a comment is left.
pub(super) fn is_at_end(line: &Line<'_>) -> bool {
    line.is_empty() || line.starts_with('#')
}

/// What stands at a place of a line, for a message.
pub(super) fn found(text: &str, at: usize) -> String {
    let rest = text.get(at..).unwrap_or_default();
    match rest.split_whitespace().next() {
        None => "the end of the line".to_owned(),
        Some(comment) if comment.starts_with('#') => "the end of the line".to_owned(),
        Some(token) => format!("`{token}`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_shown_in_their_longest_unit() {
        for (shown, nanos) in [
            ("0s", 0),
            ("1ns", 1),
            ("1500us", 1_500_000),
            ("90s", 90_000_000_000),
            ("2min", 120_000_000_000),
            ("1h", 3_600_000_000_000),
        ] {
            assert_eq!(show_duration(Duration::from_nanos(nanos)), shown);
            assert_eq!(duration(&mut Line::new(shown)), Ok(Duration::from_nanos(nanos)));
        }
    }

    #[test]
    fn duration_without_a_unit_is_refused() {
        for bad in ["30", "s", "1.5s", "30 s", "-1s", "99999999999h", ""] {
            assert!(duration(&mut Line::new(bad)).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn texts_are_repeated_on_demand() {
        assert_eq!(quoted(&mut Line::new(r#""ab"*3 rest"#)), Ok("ababab".to_owned()));
        assert_eq!(show_quoted(&"x".repeat(64)), r#""x"*64"#);
        assert_eq!(show_quoted(&"é".repeat(64)), r#""é"*64"#);
        assert_eq!(show_quoted("xx"), r#""xx""#);
        assert!(quoted(&mut Line::new(r#""x"*99999999999"#)).is_err());
    }

    #[test]
    fn a_text_without_an_end_is_refused() {
        assert!(quoted(&mut Line::new(r#""ab\""#)).is_err());
        assert!(quoted(&mut Line::new(r#""\q""#)).is_err());
    }
}
