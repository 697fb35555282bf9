//! The word filter: keeps words out of what users say.

use std::collections::BTreeSet;

use lobbyd_core::packet::{ClientPacket, Code};
use lobbyd_core::text::RawText;

use super::{Decision, Middleware, Packet, Passage};

/// Refuses or masks words in room messages, direct messages and room titles.
///
/// A word is a run of letters and digits, and is compared as a whole and without case, so `ass` is not found in `class`.
/// It finds what is spelled as in the list, and does not look through disguises (`d4rn`, `d a r n`). A text without
/// such a word passes untouched, without any allocation; so does one that is not UTF-8, which the engine refuses.
#[derive(Clone, Debug)]
pub struct WordFilter {
    words: BTreeSet<String>,
    /// No word is longer, so a longer one need not be looked up.
    bytes_max: usize,
    masks: bool,
    /// The word at hand, in lower case.
    word: String,
    /// The text with its words masked.
    masked: String,
}

impl WordFilter {
    /// A filter that refuses a text with any of these words, with `TextRefused`.
    #[must_use]
    pub fn refusing(words: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        Self::new(words, false)
    }

    /// A filter that puts `*` in the place of each letter of these words.
    #[must_use]
    pub fn masking(words: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        Self::new(words, true)
    }

    fn new(words: impl IntoIterator<Item = impl AsRef<str>>, masks: bool) -> Self {
        let words: BTreeSet<_> = words.into_iter().map(|word| word.as_ref().to_lowercase()).collect();
        let bytes_max = words.iter().map(String::len).max().unwrap_or(0);
        Self { words, bytes_max, masks, word: String::new(), masked: String::new() }
    }

    /// Whether a word of the list is in `text`; if the filter masks, `masked` is the text without it then.
    fn find(&mut self, text: &str) -> bool {
        self.masked.clear();
        // Up to here the text is in `masked`.
        let mut copied = 0;
        let mut rest = text;
        while let Some(start) = rest.find(char::is_alphanumeric) {
            let from = text.len() - rest.len() + start;
            let length = rest[start..].find(|letter: char| !letter.is_alphanumeric());
            let to = length.map_or(text.len(), |length| from + length);
            if self.is_listed(&text[from..to]) {
                if !self.masks {
                    return true;
                }
                self.masked.push_str(&text[copied..from]);
                self.masked.extend(text[from..to].chars().map(|_| '*'));
                copied = to;
            }
            rest = &text[to..];
        }
        self.masked.push_str(if copied > 0 { &text[copied..] } else { "" });
        copied > 0
    }

    fn is_listed(&mut self, word: &str) -> bool {
        self.word.clear();
        for letter in word.chars() {
            self.word.extend(letter.to_lowercase());
            if self.word.len() > self.bytes_max {
                return false;
            }
        }
        self.words.contains(&self.word)
    }
}

impl Middleware for WordFilter {
    fn name(&self) -> &str {
        "word filter"
    }

    fn before<'p>(&'p mut self, _: &Passage<'_>, packet: Packet<'p>) -> Decision<'p> {
        let raw = match packet {
            ClientPacket::RoomChatRequest { text, .. } | ClientPacket::DirectMessageRequest { text, .. } => text,
            ClientPacket::RoomCreateRequest { title, .. } => title,
            ClientPacket::Hello { .. }
            | ClientPacket::Ping { .. }
            | ClientPacket::Pong { .. }
            | ClientPacket::LoginRequest { .. }
            | ClientPacket::LogoutRequest { .. }
            | ClientPacket::RoomListRequest { .. }
            | ClientPacket::RoomEnterRequest { .. }
            | ClientPacket::RoomLeaveRequest { .. }
            | ClientPacket::KickRequest { .. }
            | ClientPacket::CustomCommand { .. } => return Decision::Pass,
        };
        let Ok(text) = std::str::from_utf8(raw.0) else {
            return Decision::Pass;
        };
        if !self.find(text) {
            return Decision::Pass;
        }
        if !self.masks {
            return Decision::Stop(Code::TextRefused);
        }
        let masked = RawText(self.masked.as_bytes());
        let mut packet = packet;
        if let ClientPacket::RoomChatRequest { text, .. }
        | ClientPacket::DirectMessageRequest { text, .. }
        | ClientPacket::RoomCreateRequest { title: text, .. } = &mut packet
        {
            *text = masked;
        }
        Decision::Replace(packet)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(words: &[&str], text: &str) -> Option<String> {
        let mut filter = WordFilter::masking(words);
        filter.find(text).then(|| filter.masked.clone())
    }

    #[test]
    fn whole_words_are_found_in_any_case() {
        assert_eq!(masked(&["darn"], "Darn it, DARN it!").as_deref(), Some("**** it, **** it!"));
        assert_eq!(masked(&["darn", "it"], "it darn").as_deref(), Some("** ****"));
        assert_eq!(masked(&["darn"], "darning a sock, undarned"), None);
        assert_eq!(masked(&["ärger"], "was für ein ÄRGER").as_deref(), Some("was für ein *****"));
        assert_eq!(masked(&[], "anything"), None);
        assert_eq!(masked(&["darn"], ""), None);
        assert_eq!(masked(&["darn"], "?!"), None);
    }

    #[test]
    fn one_text_leaves_nothing_for_the_next() {
        let mut filter = WordFilter::masking(["darn"]);
        assert!(filter.find("darn one"));
        assert!(!filter.find("two"));
        assert!(filter.find("three darn"));
        assert_eq!(filter.masked, "three ****");
    }
}
