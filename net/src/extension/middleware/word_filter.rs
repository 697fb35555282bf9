//! The word filter: keeps words out of what users say.

use std::sync::Arc;

use lobbyd_core::packet::{ClientPacket, Code};

use super::interest::said;
use super::words::Words;
use super::{Decision, Interest, Middleware, Packet, PacketKind, Passage};

/// Refuses or masks words in room messages, direct messages and room titles.
///
/// A word is a run of letters and digits, and is compared as a whole and without case, so `ass` is not found in `class`.
/// It finds what is spelled as in the list, and does not look through disguises (`d4rn`, `d a r n`); what is listed with
/// anything but letters and digits in it is never found. A text without such a word passes untouched, without any
/// allocation; so does one that is not UTF-8, which the engine refuses.
#[derive(Clone, Debug)]
pub struct WordFilter {
    words: Arc<Words>,
    masks: bool,
    /// The word at hand, in lower case.
    lower: String,
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
        Self { words: Arc::new(Words::new(words)), masks, lower: String::new(), masked: String::new() }
    }

    /// Whether a word of the list is in `text`; if the filter masks, `masked` is the text without it then.
    fn find(&mut self, text: &str) -> bool {
        self.masked.clear();
        // Up to here the text is in `masked`.
        let mut copied = 0;
        while let Some(found) = self.words.find(text, copied, &mut self.lower) {
            if !self.masks {
                return true;
            }
            self.masked.push_str(&text[copied..found.start]);
            self.masked.extend(text[found.clone()].chars().map(|_| '*'));
            copied = found.end;
        }
        self.masked.push_str(if copied > 0 { &text[copied..] } else { "" });
        copied > 0
    }
}

impl Middleware for WordFilter {
    fn name(&self) -> &str {
        "word filter"
    }

    fn interest(&self) -> Interest {
        let texts = [PacketKind::RoomChatRequest, PacketKind::DirectMessageRequest, PacketKind::RoomCreateRequest];
        Interest::nothing().before(&texts).only_with(Arc::clone(&self.words))
    }

    fn before<'p>(&'p mut self, _: &Passage<'_>, packet: &Packet<'p>) -> Decision<'p> {
        // The chain has looked for the words of all its filters together, so this need not be about one of these.
        let raw = said(packet).filter(|raw| self.words.may_be_in(*raw));
        let Some(text) = raw.and_then(|raw| raw.as_utf8()) else { return Decision::Pass };
        if !self.find(text) {
            return Decision::Pass;
        }
        if !self.masks {
            return Decision::Stop(Code::TextRefused);
        }
        let masked = self.masked.as_str().into();
        let mut packet = *packet;
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
