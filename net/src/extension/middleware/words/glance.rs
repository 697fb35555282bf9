//! A first look at a text, which says of most that no word of the list is in them.
//!
//! The bits that say which bytes are letters or digits show where words begin and how long they are. Only the few words
//! are looked at that are as long as one of the list and begin as this one does.

use std::collections::BTreeSet;

use super::letters::{BLOCK_BYTES, letters};

/// Knows the words of a list a little: says that none is in a text, or that one may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Glance {
    /// Which lengths the words have that begin with such a letter or digit, up to [`BLOCK_BYTES`], the first bit for one
    /// byte. Of a byte the lower five bits are the place, in which the two cases are the same.
    lengths: [u64; 32],
    /// As many letters and digits as the shortest word has.
    enough: Run,
    /// And from there, one more than the longest has.
    too_many: Run,
    /// Whether a word is longer than [`BLOCK_BYTES`].
    has_longer: bool,
    sketch: Sketch,
}

impl Glance {
    /// For these words, which are in lower case, and none of them empty.
    pub(super) fn of(words: &BTreeSet<String>) -> Self {
        let mut lengths = [0; 32];
        for word in words {
            lengths[usize::from(word.as_bytes()[0] & 31)] |= 1_u64.checked_shl(word.len() as u32 - 1).unwrap_or(0);
        }
        let bytes = || words.iter().map(String::len);
        let (min, max) = (bytes().min().unwrap_or(1), bytes().max().unwrap_or(1));
        let shortest = min.min(BLOCK_BYTES);
        Self {
            lengths,
            enough: Run::of(1, shortest),
            too_many: Run::of(shortest, max.min(BLOCK_BYTES) + 1),
            has_longer: max > BLOCK_BYTES,
            sketch: Sketch::of(words),
        }
    }

    /// Whether a word of the list may be in `text`. Of one with anything but ASCII in it this says that it may.
    pub(super) fn may_find(&self, text: &[u8]) -> bool {
        let Some(letters) = letters(text) else { return true };
        if text.len() > BLOCK_BYTES {
            return self.may_find_in_long(text, letters);
        }
        // Where so many letters begin as the longest word has, and not one more than that.
        let enough = self.enough.begins(letters);
        let too_many = self.too_many.begins(enough);
        let mut starts = letters & !(letters << 1) & enough & !too_many;
        while starts != 0 {
            let start = starts.trailing_zeros();
            if self.may_be_at(text, start as usize, (letters >> start).trailing_ones()) {
                return true;
            }
            starts &= starts - 1;
        }
        false
    }

    /// The same, block by block, with the next one in sight. It is not for every text, and kept out of the way.
    #[inline(never)]
    fn may_find_in_long(&self, text: &[u8], first: u64) -> bool {
        if self.has_longer {
            return true;
        }
        let (mut is_in_word, mut here, mut rest) = (0, first, text);
        while !rest.is_empty() {
            let next = rest.get(BLOCK_BYTES..).unwrap_or_default();
            let Some(there) = letters(next) else { return true };
            let both = u128::from(there) << 64 | u128::from(here);
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
            (is_in_word, here, rest) = (here >> 63, there, next);
        }
        false
    }

    /// Whether the word of that length, up to 64 bytes, which begins there may be listed.
    #[inline]
    fn may_be_at(&self, text: &[u8], start: usize, length: u32) -> bool {
        let lengths = self.lengths[usize::from(text[start] & 31)];
        lengths >> (length - 1) & 1 == 1 && self.sketch.may_hold(&text[start..start + length as usize])
    }
}

/// So many bits in a row.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Run {
    /// By how much it is shifted again and again; zeros follow. Twice as many bits are known to be set after each, but for
    /// the last one.
    shifts: [u8; 7],
}

impl Run {
    /// `length`, up to 65, where at least `known` are known to be set.
    fn of(mut known: usize, length: usize) -> Self {
        let mut shifts = [0; 7];
        for shift in &mut shifts {
            let more = known.min(length - known);
            (*shift, known) = (more as u8, known + more);
        }
        Self { shifts }
    }

    /// Where such a row begins, in `known`, which says where begins what is known.
    #[inline]
    fn begins(&self, known: u64) -> u64 {
        let shifts = self.shifts.iter().take_while(|shift| **shift != 0);
        shifts.fold(known, |begins, shift| begins & begins >> shift)
    }
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
        // The upper bits of a product depend on all the others.
        let mixed = (folded ^ word.len() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        ((mixed >> 6) as usize & (self.bits.len() - 1), 1 << (mixed & 63))
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
        assert!(may_find(&glance, "nothing is said of a Mühle"));
    }

    #[test]
    fn sketch_knows_all_of_a_long_list_and_little_else() {
        let listed: BTreeSet<_> = (0..500).map(|number| format!("word{number}")).collect();
        let sketch = Sketch::of(&listed);
        let may_hold = |word: &str| sketch.may_hold(word.as_bytes());
        assert!(listed.iter().all(|word| may_hold(&word.to_uppercase())));
        let others = (0..10_000).map(|number| format!("other{number}"));
        let in_vain = others.filter(|word| may_hold(word)).count();
        assert!(in_vain < 100, "{in_vain} of 10,000 words that are not listed are looked up");
    }
}
