//! Text that people wrote: what is allowed in it, and how it is held.

use alloc::string::String;
use core::fmt;

use bytes::Bytes;
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use unicode_normalization::is_nfc;

/// The most characters in a room's title.
pub const TITLE_CHARS_MAX: u32 = 64;
/// The most characters in a nickname.
pub const NICKNAME_CHARS_MAX: u32 = 32;
/// The most bytes in a nickname: 32 characters of four bytes each.
pub const NICKNAME_BYTES_MAX: u32 = NICKNAME_CHARS_MAX * 4;

/// Bytes that claim to be text, as they came from a client and not yet looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RawText<'a>(pub &'a [u8]);

impl<'a> RawText<'a> {
    /// The text, if it is one. Valid UTF-8 is recognised by vector instructions where the processor has them, and by the
    /// standard library elsewhere and for the shortest texts.
    #[must_use]
    pub fn as_utf8(self) -> Option<&'a str> {
        simdutf8::basic::from_utf8(self.0).ok()
    }
}

impl<'a> From<&'a str> for RawText<'a> {
    fn from(text: &'a str) -> Self {
        Self(text.as_bytes())
    }
}

impl fmt::Debug for RawText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&String::from_utf8_lossy(self.0), f)
    }
}

impl Serialize for RawText<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for RawText<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <&'a [u8]>::deserialize(deserializer).map(Self)
    }
}

/// Why a text is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TextError {
    /// It has no characters.
    #[error("it is empty")]
    Empty,
    /// It is over its limit.
    #[error("it is too long")]
    TooLong,
    /// It is not UTF-8.
    #[error("it is not UTF-8")]
    NotUtf8,
    /// It holds a control character or one that overrides the direction of writing.
    #[error("it holds a control character or one that overrides the direction of writing")]
    Forbidden,
    /// A nickname that is not in Unicode normalization form C.
    #[error("it is not in Unicode normalization form C")]
    NotNormalized,
}

/// Text of a chat or direct message: 1 to `bytes_max` bytes of UTF-8 without control characters (a newline is allowed).
///
/// # Errors
/// Says what is wrong with it.
pub fn check_message(raw: RawText<'_>, bytes_max: u32) -> Result<&str, TextError> {
    let bytes = check_message_bytes(raw, bytes_max)?;
    RawText(bytes).as_utf8().ok_or(TextError::NotUtf8)
}

/// As [`check_message`], for whoever needs no more than the bytes: the usual text, plain ASCII, is looked at once.
pub(crate) fn check_message_bytes(raw: RawText<'_>, bytes_max: u32) -> Result<&[u8], TextError> {
    if raw.0.is_empty() {
        return Err(TextError::Empty);
    }
    if raw.0.len() > bytes_max as usize {
        return Err(TextError::TooLong);
    }
    if !is_plain(raw.0, Newline::Allowed) {
        let text = raw.as_utf8().ok_or(TextError::NotUtf8)?;
        refuse_forbidden(text, Newline::Allowed)?;
    }
    Ok(raw.0)
}

/// A room's title: 1 to [`TITLE_CHARS_MAX`] characters on one line.
///
/// # Errors
/// Says what is wrong with it.
pub fn check_title(raw: RawText<'_>) -> Result<&str, TextError> {
    check_line(raw, TITLE_CHARS_MAX)
}

/// A nickname: 1 to [`NICKNAME_CHARS_MAX`] characters on one line, in Unicode normalization form C.
///
/// # Errors
/// Says what is wrong with it.
pub fn check_nickname(raw: RawText<'_>) -> Result<&str, TextError> {
    let text = check_line(raw, NICKNAME_CHARS_MAX)?;
    if is_nfc(text) { Ok(text) } else { Err(TextError::NotNormalized) }
}

fn check_line(raw: RawText<'_>, chars_max: u32) -> Result<&str, TextError> {
    if raw.0.is_empty() {
        return Err(TextError::Empty);
    }
    // No character is longer than four bytes, so a hostile length is refused before it is scanned.
    if raw.0.len() > chars_max as usize * 4 {
        return Err(TextError::TooLong);
    }
    let text = raw.as_utf8().ok_or(TextError::NotUtf8)?;
    if text.chars().count() > chars_max as usize {
        return Err(TextError::TooLong);
    }
    refuse_forbidden(text, Newline::Refused)?;
    Ok(text)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Newline {
    Allowed,
    Refused,
}

/// Whether it is ASCII without control characters, in which nothing is forbidden.
fn is_plain(text: &[u8], newline: Newline) -> bool {
    let newline_is_fine = newline == Newline::Allowed;
    let plain = |byte: u8| (0x20..0x7f).contains(&byte) || (byte == b'\n' && newline_is_fine);
    // Folded rather than searched, so that many bytes are checked at a time.
    text.iter().fold(true, |all, byte| all & plain(*byte))
}

fn refuse_forbidden(text: &str, newline: Newline) -> Result<(), TextError> {
    if is_plain(text.as_bytes(), newline) {
        return Ok(());
    }
    let newline_is_fine = newline == Newline::Allowed;
    let fine = |character| match character {
        '\n' => newline_is_fine,
        // Unicode Standard Annex 9: embeddings, overrides and isolates.
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => false,
        // Line and paragraph separators break a line as a newline does.
        '\u{2028}' | '\u{2029}' => false,
        other => !other.is_control(),
    };
    if text.chars().all(fine) { Ok(()) } else { Err(TextError::Forbidden) }
}

/// Owned text, cheap to clone: every recipient of a broadcast shares the same bytes. Always UTF-8.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text(Bytes);

impl Text {
    /// A copy of `text`.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(Bytes::copy_from_slice(text.as_bytes()))
    }

    /// Takes over `bytes`, of which the caller knows that they are UTF-8.
    pub(crate) fn from_checked(bytes: Bytes) -> Self {
        debug_assert!(core::str::from_utf8(&bytes).is_ok(), "text is UTF-8 by construction");
        Self(bytes)
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(&self.0).expect("text is UTF-8 by construction")
    }

    /// Its length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it has no characters.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

impl Serialize for Text {
    /// A string; in a binary format its bytes go out without being checked again, in the same shape.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.serialize_str(self.as_str())
        } else {
            serializer.serialize_bytes(&self.0)
        }
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl Visitor<'_> for TextVisitor {
            type Value = Text;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Text, E> {
                Ok(Text::new(text))
            }

            // Formats that describe themselves give back as bytes what was written as such.
            fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Text, E> {
                match core::str::from_utf8(bytes) {
                    Ok(text) => Ok(Text::new(text)),
                    Err(_) => Err(E::invalid_value(de::Unexpected::Bytes(bytes), &self)),
                }
            }
        }
        // Borrowed: the decoder then checks the length against what is there before anything is allocated.
        deserializer.deserialize_str(TextVisitor)
    }
}
