//! The word filter: keeps words out of what users say.

mod glance;

use std::collections::BTreeSet;

use lobbyd_core::packet::{ClientPacket, Code};
use lobbyd_core::text::RawText;

use self::glance::Glance;
use super::look::said;
use super::{Decision, Interest, Middleware, Packet, PacketKind, Passage};

/// Refuses or masks words in room messages, direct messages and room titles.
///
/// A word is a run of letters and digits, and is compared as a whole and without case, so `ass` is not found in `class`.
/// It finds what is spelled as in the list, and does not look through disguises (`d4rn`, `d a r n`); what is listed with
/// anything but letters and digits in it is never found. A text without such a word passes untouched, without any
/// allocation; so does one that is not UTF-8, which the engine refuses.
#[derive(Clone, Debug)]
pub struct WordFilter {
    words: BTreeSet<String>,
    /// No word is longer, so a longer one need not be looked up.
    bytes_max: usize,
    /// Most texts are not even like one with a word of the list.
    glance: Glance,
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
        let words = words.into_iter().map(|word| word.as_ref().to_lowercase());
        let words: BTreeSet<_> = words.filter(|word| !word.is_empty()).collect();
        let bytes_max = words.iter().map(String::len).max().unwrap_or(0);
        let glance = Glance::of(&words);
        Self { words, bytes_max, glance, masks, word: String::new(), masked: String::new() }
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

    /// Decides on a packet with a text that may hold a word of the list. Few do, and this is kept out of the others' way.
    #[inline(never)]
    fn decide<'p>(&'p mut self, packet: &Packet<'p>, raw: RawText<'p>) -> Decision<'p> {
        let Some(text) = raw.as_utf8() else { return Decision::Pass };
        if !self.find(text) {
            return Decision::Pass;
        }
        if !self.masks {
            return Decision::Stop(Code::TextRefused);
        }
        let masked = RawText(self.masked.as_bytes());
        let mut packet = *packet;
        if let ClientPacket::RoomChatRequest { text, .. }
        | ClientPacket::DirectMessageRequest { text, .. }
        | ClientPacket::RoomCreateRequest { title: text, .. } = &mut packet
        {
            *text = masked;
        }
        Decision::Replace(packet)
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

    fn interest(&self) -> Interest {
        let texts = [PacketKind::RoomChatRequest, PacketKind::DirectMessageRequest, PacketKind::RoomCreateRequest];
        Interest::nothing().before(&texts)
    }

    fn before<'p>(&'p mut self, passage: &Passage<'_>, packet: &Packet<'p>) -> Decision<'p> {
        let Some(raw) = said(packet) else { return Decision::Pass };
        if !self.glance.may_find(raw.0, passage.look.letters(raw.0)) {
            return Decision::Pass;
        }
        self.decide(packet, raw)
    }
}

#[cfg(test)]
mod tests {
    use super::super::look::letters;
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
    fn first_look_and_second_agree() {
        let long = "l".repeat(40);
        let mut filter = WordFilter::masking(["a", "darn", "x9", "42", &long, "ärger", "kelvin"]);
        let mut both = |text: &str| {
            let (may_find, is_found) =
                (filter.glance.may_find(text.as_bytes(), letters(text.as_bytes())), filter.find(text));
            assert!(may_find || !is_found, "{text:?} is overlooked");
            is_found
        };
        for word in ["a", "A", "Darn", "DARN", "X9", "42", &long, &long.to_uppercase(), "\u{212a}elvin"] {
            for (before, after) in [("", ""), ("so, ", "!"), ("dare not\n", " darning"), ("9-", "_"), ("\u{7f}", "\0")]
            {
                assert!(both(&format!("{before}{word}{after}")));
            }
        }
        for text in ["", " ", "?!", "darning", "xx", "41 is it", &"l".repeat(30), "who has seen the red knight"] {
            assert!(!both(text), "{text:?}");
        }
    }

    #[test]
    fn first_look_overlooks_nothing_in_any_text() {
        let lists = [&["a", "ab", "b9a"][..], &["abab", "99b", "ba9ba"], &["babbab", "aaaaaaaaa", "9"]];
        let mut random = 7_u32;
        let mut below = |end: usize| {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (random >> 16) as usize % end
        };
        for words in lists {
            let mut filter = WordFilter::masking(words);
            let (mut passed, mut found) = (0, 0);
            for _ in 0..10_000 {
                let text: String = (0..below(150)).map(|_| char::from(b"aAbB9b. -"[below(9)])).collect();
                let may_find = filter.glance.may_find(text.as_bytes(), letters(text.as_bytes()));
                let is_found = filter.find(&text);
                assert!(may_find || !is_found, "{words:?}: {text:?} is overlooked");
                (passed, found) = (passed + u32::from(!may_find), found + u32::from(is_found));
            }
            assert!(passed > 100 && found > 100, "{words:?}: {passed} texts passed, words were found in {found}");
        }
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
