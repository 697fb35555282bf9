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
    /// Most words of a text are not even like one of the list.
    sketch: Sketch,
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
        let sketch = Sketch::of(&words);
        Self { words, bytes_max, sketch, masks, word: String::new(), masked: String::new() }
    }

    /// Whether a word of the list is in `text`; if the filter masks, `masked` is the text without it then.
    fn find(&mut self, text: &str) -> bool {
        if text.is_ascii() && !self.is_in_ascii(text) {
            return false;
        }
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

    /// Whether a word of the list is in a text of ASCII alone.
    fn is_in_ascii(&mut self, text: &str) -> bool {
        let bytes = text.as_bytes();
        let mut from = 0;
        for (at, byte) in bytes.iter().enumerate() {
            if !IS_PART_OF_WORD[usize::from(*byte)] {
                if self.may_be_listed(bytes, from, at) && self.is_listed(&text[from..at]) {
                    return true;
                }
                from = at + 1;
            }
        }
        self.may_be_listed(bytes, from, bytes.len()) && self.is_listed(&text[from..])
    }

    /// Whether `text[from..to]`, which may be no word at all, is worth looking up.
    fn may_be_listed(&self, text: &[u8], from: usize, to: usize) -> bool {
        self.sketch.lengths & 1 << (to - from).min(63) != 0 && self.sketch.may_hold(text, from, to)
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

/// A sketch of the list (B. Bloom, "Space/time trade-offs in hash coding", 1970, with one hash): says of a word of ASCII
/// letters and digits that it is not listed, or that it may be. It looks at the length and the first eight bytes.
#[derive(Clone, Debug)]
struct Sketch {
    /// A bit for each length in bytes that a listed word has, the last one for all that are longer.
    lengths: u64,
    /// A power of two of numbers.
    bits: Vec<u64>,
}

/// Whether a byte is an ASCII letter or digit: a look at a table costs less than the ranges for each byte of each text.
static IS_PART_OF_WORD: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 128 {
        table[byte] = (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    table
};

/// Bits for each word of the list: one in so many unlisted words is looked up in vain.
const BITS_PER_WORD: usize = 256;

impl Sketch {
    fn of(words: &BTreeSet<String>) -> Self {
        let bits = vec![0; (words.len() * BITS_PER_WORD / 64).next_power_of_two()];
        let mut sketch = Self { lengths: 0, bits };
        for word in words.iter().filter(|word| !word.is_empty()) {
            sketch.lengths |= 1 << word.len().min(63);
            let (place, bit) = sketch.place(word.as_bytes(), 0, word.len());
            sketch.bits[place] |= bit;
        }
        sketch
    }

    fn may_hold(&self, text: &[u8], from: usize, to: usize) -> bool {
        let (place, bit) = self.place(text, from, to);
        self.bits[place] & bit != 0
    }

    /// Where the bit of the word `text[from..to]` is.
    fn place(&self, text: &[u8], from: usize, to: usize) -> (usize, u64) {
        let length = to - from;
        let first = match text[from..].first_chunk::<8>() {
            Some(first) => u64::from_le_bytes(*first),
            None => {
                let mut first = [0; 8];
                first[..text.len() - from].copy_from_slice(&text[from..]);
                u64::from_le_bytes(first)
            }
        };
        // Lower case, which for digits is no change, and nothing of what is behind a short word.
        let folded = (first | 0x2020_2020_2020_2020) & (u64::MAX >> (64 - 8 * length.clamp(1, 8)));
        let mixed = (folded ^ (length as u64) << 56).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        // The upper bits of a product depend on all the others.
        let mixed = mixed >> 32;
        ((mixed >> 6) as usize & (self.bits.len() - 1), 1 << (mixed & 63))
    }
}

impl Middleware for WordFilter {
    fn name(&self) -> &str {
        "word filter"
    }

    fn is_timed(&self) -> bool {
        false
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
        let Some(text) = raw.as_utf8() else {
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
    fn quick_look_overlooks_nothing() {
        let long = "l".repeat(40);
        let listed = ["a", "darn", "x9", "42", &long, "ärger"];
        let filter = WordFilter::masking(listed);
        for word in ["a", "A", "Darn", "DARN", "X9", "42", &long, &long.to_uppercase()] {
            for (before, after) in [("", ""), ("so, ", "!"), ("dare not\n", " darning"), ("9-", "_"), ("\u{7f}", "\0")]
            {
                let text = format!("{before}{word}{after}");
                assert!(filter.clone().find(&text), "{text:?}");
            }
        }
        for text in ["", " ", "?!", "darning", "xx", "41 is it", &"l".repeat(30), "who has seen the red knight"] {
            assert!(!filter.clone().find(text), "{text:?}");
        }
        // A letter that is not ASCII may have a lower case that is, so that such a text is looked at as a whole.
        assert_eq!(masked(&["kelvin"], "\u{212a}elvin").as_deref(), Some("******"));
    }

    #[test]
    fn sketch_knows_all_of_a_long_list_and_little_else() {
        let listed: Vec<_> = (0..500).map(|number| format!("word{number}")).collect();
        let filter = WordFilter::refusing(&listed);
        assert!(listed.iter().all(|word| filter.sketch.may_hold(word.to_uppercase().as_bytes(), 0, word.len())));
        let others = (0..10_000).map(|number| format!("other{number}"));
        let in_vain = others.filter(|word| filter.sketch.may_hold(word.as_bytes(), 0, word.len())).count();
        assert!(in_vain < 100, "{in_vain} of 10,000 words that are not listed are looked up");
        assert!(!WordFilter::refusing(&[] as &[&str]).find("nothing is listed"));
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
