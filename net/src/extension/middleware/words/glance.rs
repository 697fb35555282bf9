//! A first look at a text, which says of most that no word of the list is in them.
//!
//! The bits that say which bytes are letters or digits show where words begin and how long they are. Only the few words
//! are looked at that are as long as one of the list and begin as this one does. All this is about words of ASCII; where
//! they stand among others, these are as good as punctuation.

use std::collections::BTreeSet;

use super::letters::{BLOCK_BYTES, Letters, letters};

/// Knows the words of a list a little: says that none is in a text, or that one may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Glance {
    /// Which lengths the words of ASCII have that begin with such a letter or digit, the first bit for one byte and the last
    /// one for all from 16 on. Of a byte the lower five bits are the place, in which the two cases are the same. All of it
    /// is as large as a line of the processor's cache.
    lengths: [u16; 32],
    /// How often one byte is doubled to be as long as the shortest word, or half of that.
    enough: u32,
    /// How often, to be longer than the longest.
    too_many: u32,
    /// Whether a word is longer than [`BLOCK_BYTES`].
    has_longer: bool,
    sketch: Sketch,
    /// Whether a word has anything but ASCII in it.
    has_foreign: bool,
    /// Whether one of the others has a `k`, which may be written as [`KELVIN`].
    has_k: bool,
}

/// The sign for kelvin, U+212A: the only letter beyond ASCII whose lower case is ASCII, a `k`.
const KELVIN: &[u8] = "\u{212a}".as_bytes();

impl Glance {
    /// For these words, which are in lower case, and none of them empty.
    pub(super) fn of(words: &BTreeSet<String>) -> Self {
        let ascii = || words.iter().map(String::as_bytes).filter(|word| word.is_ascii());
        let mut lengths = [0; 32];
        for word in ascii() {
            lengths[usize::from(word[0] & 31)] |= length_bit(word.len());
        }
        let bytes = || ascii().map(<[u8]>::len);
        let (min, max) = (bytes().min().unwrap_or(1), bytes().max().unwrap_or(1));
        Self {
            lengths,
            enough: min.ilog2(),
            too_many: max.ilog2() + 1,
            has_longer: max > BLOCK_BYTES,
            sketch: Sketch::of(words),
            has_foreign: !words.iter().all(|word| word.is_ascii()),
            has_k: ascii().any(|word| word.contains(&b'k')),
        }
    }

    /// Whether a word of the list may be in `text`.
    pub(super) fn may_find(&self, text: &[u8]) -> bool {
        let first = letters(text);
        if text.len() > BLOCK_BYTES {
            return self.may_find_in_long(text, first);
        }
        let letters = first.bits;
        // Words that are much shorter or longer than those of the list are left out, all at once: where two runs of
        // letters touch, one begins that is twice as long.
        let (mut enough, mut runs) = (letters, letters);
        for doubled in 0..self.too_many {
            runs &= runs.unbounded_shr(1 << doubled);
            if doubled + 1 == self.enough {
                enough = runs;
            }
        }
        let mut starts = letters & !(letters << 1) & enough & !runs;
        while starts != 0 {
            let start = starts.trailing_zeros();
            if self.may_be_at(text, start as usize, (letters >> start).trailing_ones()) {
                return true;
            }
            starts &= starts - 1;
        }
        !first.is_ascii && self.may_find_foreign(text)
    }

    /// The same, block by block, with the next one in sight. It is not for every text, and kept out of the way.
    #[inline(never)]
    fn may_find_in_long(&self, text: &[u8], first: Letters) -> bool {
        if self.has_longer {
            return true;
        }
        let (mut is_in_word, mut here, mut rest, mut is_ascii) = (0, first.bits, text, first.is_ascii);
        while !rest.is_empty() {
            let next = rest.get(BLOCK_BYTES..).unwrap_or_default();
            let there = letters(next);
            let both = u128::from(there.bits) << 64 | u128::from(here);
            let mut starts = here & !(here << 1 | is_in_word);
            while starts != 0 {
                let start = starts.trailing_zeros();
                let length = (both >> start).trailing_ones();
                // One that is longer is not listed.
                if length <= u64::BITS && self.may_be_at(rest, start as usize, length) {
                    return true;
                }
                starts &= starts - 1;
            }
            (is_in_word, here, rest, is_ascii) = (here >> 63, there.bits, next, is_ascii & there.is_ascii);
        }
        !is_ascii && self.may_find_foreign(text)
    }

    /// Whether what is not ASCII in `text` may be of a word of the list: of any in one that is not ASCII itself, or the one
    /// letter that is ASCII in lower case.
    #[inline(never)]
    fn may_find_foreign(&self, text: &[u8]) -> bool {
        let has_kelvin = || text.contains(&KELVIN[0]) && text.windows(KELVIN.len()).any(|bytes| bytes == KELVIN);
        self.has_foreign || self.has_k && has_kelvin()
    }

    /// Whether this word of ASCII may be listed.
    pub(super) fn may_list(&self, word: &[u8]) -> bool {
        if word.len() > BLOCK_BYTES { self.has_longer } else { self.may_be_at(word, 0, word.len() as u32) }
    }

    /// Whether the word of that length, up to 64 bytes, which begins there may be listed.
    #[inline]
    fn may_be_at(&self, text: &[u8], start: usize, length: u32) -> bool {
        let lengths = self.lengths[usize::from(text[start] & 31)];
        lengths & length_bit(length as usize) != 0 && self.sketch.may_hold(&text[start..start + length as usize])
    }
}

/// The bit of that length, which is not 0.
#[inline]
fn length_bit(bytes: usize) -> u16 {
    1 << (bytes.min(16) - 1)
}

/// A sketch of the list (B. Bloom, "Space/time trade-offs in hash coding", 1970, with one hash): says of a word of ASCII
/// letters and digits that it is not listed, or that it may be. It looks at the length and at the first and the last four
/// bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Sketch {
    /// A power of two of numbers.
    bits: Vec<u64>,
}

/// Bits for each word of the list: of the unlisted words that come this far, one in so many is looked up in vain.
const BITS_PER_WORD: usize = 256;

impl Sketch {
    fn of(words: &BTreeSet<String>) -> Self {
        let bits = vec![0; (words.len() * BITS_PER_WORD / 64).next_power_of_two()];
        let mut sketch = Self { bits };
        for word in words {
            let (place, bit) = sketch.place(word.as_bytes());
            sketch.bits[place] |= bit;
        }
        sketch
    }

    /// Whether this word may be listed.
    fn may_hold(&self, word: &[u8]) -> bool {
        let (place, bit) = self.place(word);
        self.bits[place] & bit != 0
    }

    /// Where the bit of a word is.
    #[inline]
    fn place(&self, word: &[u8]) -> (usize, u64) {
        let four = |bytes: &[u8; 4]| u64::from(u32::from_le_bytes(*bytes));
        let ends = match (word.first_chunk(), word.last_chunk()) {
            (Some(first), Some(last)) => four(first) << 32 | four(last),
            // All of a word that is shorter than that.
            (None, _) | (_, None) => word.iter().fold(0, |all, byte| all << 8 | u64::from(*byte)),
        };
        // Lower case, which for digits is no change.
        let folded = ends | 0x2020_2020_2020_2020;
        let product = (folded ^ word.len() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        // The upper bits of a product depend on all the others.
        ((product >> 32) as usize & (self.bits.len() - 1), 1 << (product >> 58))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn glance(words: &[&str]) -> Glance {
        Glance::of(&words.iter().map(|word| (*word).to_owned()).collect())
    }

    fn may_find(glance: &Glance, text: &str) -> bool {
        glance.may_find(text.as_bytes())
    }

    #[test]
    fn word_is_found_wherever_it_stands() {
        let long = "l".repeat(64);
        let longer = "m".repeat(65);
        for word in ["a", "x9", "imp", "darn", "rogue", "villain", "scoundrels", &long, &longer] {
            let glance = glance(&[word, "other"]);
            for before in 0..140 {
                for after in ["", "!", &" ".repeat(70)] {
                    let text = format!("{}{word}{after}", "?".repeat(before));
                    assert!(may_find(&glance, &text), "{text:?}");
                    assert!(may_find(&glance, &text.to_uppercase()), "{text:?}");
                }
            }
        }
    }

    #[test]
    fn part_of_a_word_and_other_words_are_not_found() {
        let glance = glance(&["darn", "heck", "imp"]);
        for before in 0..140 {
            for word in
                ["darning", "undarn", "da", "dar", "dam n", "knight", "xdarn", "darnx", "dawn", "hark", "ill", "i m p"]
            {
                let text = format!("{}{word}", "?".repeat(before));
                assert!(!may_find(&glance, &text), "{text:?}");
            }
        }
        assert!(!may_find(&glance, ""));
        assert!(!may_find(&self::glance(&[]), "nothing is listed"));
        assert!(!may_find(&glance, "nothing is said of a Mühle"));
    }

    #[test]
    fn words_of_ascii_are_looked_for_among_others() {
        let glance = glance(&["darn", "heck"]);
        for (before, after) in [("für ", ""), ("", " – so"), ("「", "」"), ("è, ", "\u{301}")] {
            for long in ["", &"욕설 없음 ".repeat(9)] {
                let text = |word| format!("{long}{before}{word}{after}{long}");
                assert!(may_find(&glance, &text("DARN")), "{:?}", text("DARN"));
                assert!(may_find(&glance, &text("hec\u{212a}")));
                assert!(!may_find(&glance, &text("dawn\u{2122}")));
            }
        }
        assert!(!may_find(&self::glance(&["darn"]), "\u{212a}"), "there is no k in the list");
        assert!(may_find(&self::glance(&["darn", "ärger"]), "für"), "it may be any word that is not ASCII");
    }

    #[test]
    fn no_other_letter_becomes_ascii_in_lower_case() {
        let becomes_ascii = |letter: &char| !letter.is_ascii() && letter.to_lowercase().all(|lower| lower.is_ascii());
        let all: String = (char::MIN..=char::MAX).filter(becomes_ascii).collect();
        assert_eq!(all.as_bytes(), KELVIN);
        assert_eq!('\u{212a}'.to_lowercase().to_string(), "k");
    }

    #[test]
    fn sketch_knows_all_of_a_long_list_and_little_else() {
        let letter = |number: u32| char::from(b'a' + (number % 26) as u8);
        let listed: BTreeSet<_> = (0..500).map(|number| format!("word{number}")).collect();
        let sketch = Sketch::of(&listed);
        let may_hold = |word: &str| sketch.may_hold(word.as_bytes());
        assert!(listed.iter().all(|word| may_hold(&word.to_uppercase())));
        let others = (0..10_000).map(|number| format!("other{number}"));
        // These begin and end as the listed ones do.
        let alike = (0..10_000).map(|number| format!("wo{}{}d{}", letter(number), letter(number / 26), number % 500));
        for (kind, words) in [("other", others.collect::<Vec<_>>()), ("like", alike.collect())] {
            let in_vain = words.iter().filter(|word| !listed.contains(*word) && may_hold(word)).count();
            assert!(in_vain < 200, "{in_vain} of 10,000 {kind} words that are not listed are looked up");
        }
    }
}
