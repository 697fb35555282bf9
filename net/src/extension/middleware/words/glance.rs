//! A first look at a text, which says of most that no word of the list is in them.
//!
//! Sixty-four bytes become sixty-four bits that say which are letters or digits, by instructions that look at sixteen
//! bytes at once. In these bits a word of a given length is found by shifting, and only the few words of a text that are
//! as long as one of the list are looked at.

use std::collections::BTreeSet;

/// Knows the words of a list a little: says that none is in a text, or that one may be.
#[derive(Clone, Debug)]
pub(super) struct Glance {
    /// The lengths of the words, up to [`BLOCK_BYTES`], in rising order.
    lengths: Vec<Length>,
    /// Whether a word is longer.
    has_longer: bool,
    sketch: Sketch,
}

/// A length that words of the list have, and what the sketch needs of it.
#[derive(Clone, Copy, Debug)]
struct Length {
    bytes: u32,
    /// The bits of the first eight letters, or of as many as there are.
    kept: u64,
    /// What tells words of this length from longer ones.
    tag: u64,
}

/// As many bytes as a number has bits.
const BLOCK_BYTES: usize = 64;

impl Glance {
    /// For these words, which are in lower case.
    pub(super) fn of(words: &BTreeSet<String>) -> Self {
        let lengths: BTreeSet<_> = words.iter().map(String::len).collect();
        let short = lengths.iter().filter(|length| (1..=BLOCK_BYTES).contains(*length));
        Self {
            lengths: short.map(|length| Length::new(*length)).collect(),
            has_longer: lengths.last().is_some_and(|length| *length > BLOCK_BYTES),
            sketch: Sketch::of(words),
        }
    }

    /// Whether a word of the list may be in `text`. Of one with anything but ASCII in it this says that it may.
    pub(super) fn may_find(&self, text: &[u8]) -> bool {
        if text.len() > BLOCK_BYTES {
            return self.may_find_in_long(text);
        }
        let Some(letters) = letters(text) else { return true };
        let starts = letters & !(letters << 1);
        let (mut runs, mut length) = (letters, 1);
        self.lengths.iter().any(|wanted| {
            // Where at least so many letters are in a row: twice as many as before, until it is enough.
            while length < wanted.bytes {
                let more = length.min(wanted.bytes - length);
                (runs, length) = (runs & runs >> more, length + more);
            }
            let places = starts & runs & !letters.checked_shr(wanted.bytes).unwrap_or(0);
            self.sketch.may_hold(text, places, *wanted)
        })
    }

    /// The same, block by block, with the next one in sight. It is not for every text, and kept out of the way.
    #[inline(never)]
    fn may_find_in_long(&self, text: &[u8]) -> bool {
        if self.has_longer {
            return true;
        }
        let (mut is_in_word, mut rest) = (0, text);
        let Some(mut here) = letters(rest) else { return true };
        while !rest.is_empty() {
            let next = rest.get(BLOCK_BYTES..).unwrap_or_default();
            let Some(there) = letters(next) else { return true };
            let both = u128::from(there) << 64 | u128::from(here);
            let starts = here & !(here << 1 | is_in_word);
            let (mut runs, mut length) = (both, 1);
            for wanted in &self.lengths {
                while length < wanted.bytes {
                    let more = length.min(wanted.bytes - length);
                    (runs, length) = (runs & runs >> more, length + more);
                }
                let places = starts & (runs & !(both >> wanted.bytes)) as u64;
                if self.sketch.may_hold(rest, places, *wanted) {
                    return true;
                }
            }
            (is_in_word, here, rest) = (here >> 63, there, next);
        }
        false
    }
}

impl Length {
    fn new(bytes: usize) -> Self {
        Self { bytes: bytes as u32, kept: u64::MAX >> (64 - 8 * bytes.min(8)), tag: (bytes as u64) << 56 }
    }
}

/// Which of the first 64 bytes are ASCII letters or digits, the first one in the lowest bit. None if one is not ASCII.
fn letters(text: &[u8]) -> Option<u64> {
    if let Some(block) = text.first_chunk() {
        return letters_of_64(block);
    }
    let mut filled = [0; BLOCK_BYTES];
    filled[..text.len()].copy_from_slice(text);
    letters_of_64(&filled)
}

fn letters_of_64(block: &[u8; BLOCK_BYTES]) -> Option<u64> {
    let mut marks = [0; BLOCK_BYTES];
    let mut all = 0;
    // Without branches, so that it becomes instructions for many bytes at once.
    for ((mark, byte), bit) in marks.iter_mut().zip(block).zip(&ROW_BITS) {
        let (letter, digit) = ((byte | 0x20).wrapping_sub(b'a'), byte.wrapping_sub(b'0'));
        *mark = bit & (u8::from(letter < 26) | u8::from(digit < 10)).wrapping_neg();
        all |= byte;
    }
    let rows = marks.as_chunks().0.iter().fold(0, |rows, row| rows | u64::from_le_bytes(*row));
    all.is_ascii().then(|| transposed(rows))
}

/// A block is eight rows of eight bytes, and each row has its bit.
const ROW_BITS: [u8; BLOCK_BYTES] = {
    let mut bits = [0; BLOCK_BYTES];
    let mut at = 0;
    while at < BLOCK_BYTES {
        bits[at] = 1 << (at / 8);
        at += 1;
    }
    bits
};

/// Eight rows of eight bits, with columns for rows (H. S. Warren, "Hacker's Delight", 2nd edition, section 7-3).
fn transposed(bits: u64) -> u64 {
    let swapped = |bits: u64, by: u32, mask: u64| {
        let differ = (bits ^ bits >> by) & mask;
        bits ^ differ ^ differ << by
    };
    let bits = swapped(bits, 7, 0x00aa_00aa_00aa_00aa);
    let bits = swapped(bits, 14, 0x0000_cccc_0000_cccc);
    swapped(bits, 28, 0x0000_0000_f0f0_f0f0)
}

/// A sketch of the list (B. Bloom, "Space/time trade-offs in hash coding", 1970, with one hash): says of a word of ASCII
/// letters and digits that it is not listed, or that it may be. It looks at the length and the first eight bytes.
#[derive(Clone, Debug)]
struct Sketch {
    /// A power of two of numbers.
    bits: Vec<u64>,
}

/// Bits for each word of the list: one in so many unlisted words is looked up in vain.
const BITS_PER_WORD: usize = 256;

impl Sketch {
    fn of(words: &BTreeSet<String>) -> Self {
        let bits = vec![0; (words.len() * BITS_PER_WORD / 64).next_power_of_two()];
        let mut sketch = Self { bits };
        for word in words.iter().filter(|word| !word.is_empty()) {
            let (place, bit) = sketch.place(eight_at(word.as_bytes(), 0), Length::new(word.len()));
            sketch.bits[place] |= bit;
        }
        sketch
    }

    /// Whether a word of that length, which begins at one of these places, may be listed.
    #[inline]
    fn may_hold(&self, text: &[u8], mut places: u64, length: Length) -> bool {
        while places != 0 {
            let (place, bit) = self.place(eight_at(text, places.trailing_zeros() as usize), length);
            if self.bits[place] & bit != 0 {
                return true;
            }
            places &= places - 1;
        }
        false
    }

    /// Where the bit of a word is that begins with these eight bytes.
    fn place(&self, first: u64, length: Length) -> (usize, u64) {
        // Lower case, which for digits is no change, and nothing of what is behind a short word.
        let folded = (first | 0x2020_2020_2020_2020) & length.kept;
        let mixed = (folded ^ length.tag).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        // The upper bits of a product depend on all the others.
        let mixed = mixed >> 32;
        ((mixed >> 6) as usize & (self.bits.len() - 1), 1 << (mixed & 63))
    }
}

/// Eight bytes from there on, or those that are left and zeros.
fn eight_at(text: &[u8], from: usize) -> u64 {
    let rest = &text[from..];
    match (rest.first_chunk(), text.last_chunk()) {
        (Some(first), _) => u64::from_le_bytes(*first),
        // What is left is at the end of the last eight bytes.
        (None, Some(last)) if !rest.is_empty() => u64::from_le_bytes(*last) >> (64 - 8 * rest.len()),
        (None, _) => rest.iter().rev().fold(0, |eight, byte| eight << 8 | u64::from(*byte)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn glance(words: &[&str]) -> Glance {
        Glance::of(&words.iter().map(|word| (*word).to_owned()).collect())
    }

    #[test]
    fn letters_and_digits_are_told_from_all_other_bytes() {
        for byte in 0..=u8::MAX {
            for place in [0, 7, 8, 63] {
                let mut block = [b' '; BLOCK_BYTES];
                block[place] = byte;
                let expected = byte.is_ascii().then_some(u64::from(byte.is_ascii_alphanumeric()) << place);
                assert_eq!(letters(&block), expected, "{byte} at {place}");
                assert_eq!(letters(&block[..=place]), expected, "{byte} at {place}, which is the last");
            }
        }
        assert_eq!(letters(b"ab c9"), Some(0b11011));
    }

    #[test]
    fn word_is_found_wherever_it_stands() {
        let long = "l".repeat(64);
        let longer = "m".repeat(65);
        for word in ["a", "x9", "darn", "scoundrels", &long, &longer] {
            let glance = glance(&[word, "other"]);
            for before in 0..140 {
                for after in ["", "!", &" ".repeat(70)] {
                    let text = format!("{}{word}{after}", "?".repeat(before));
                    assert!(glance.may_find(text.as_bytes()), "{text:?}");
                    assert!(glance.may_find(text.to_uppercase().as_bytes()), "{text:?}");
                }
            }
        }
    }

    #[test]
    fn part_of_a_word_and_other_words_are_not_found() {
        let glance = glance(&["darn", "heck"]);
        for before in 0..140 {
            for word in ["darning", "undarn", "da", "dar", "dam n", "knight", "xdarn", "darnx"] {
                let text = format!("{}{word}", "?".repeat(before));
                assert!(!glance.may_find(text.as_bytes()), "{text:?}");
            }
        }
        assert!(!glance.may_find(b""));
        assert!(!self::glance(&[]).may_find(b"nothing is listed"));
        assert!(glance.may_find("nothing is said of a Mühle".as_bytes()));
    }

    #[test]
    fn sketch_knows_all_of_a_long_list_and_little_else() {
        let listed: BTreeSet<_> = (0..500).map(|number| format!("word{number}")).collect();
        let sketch = Sketch::of(&listed);
        let may_hold = |word: &str| sketch.may_hold(word.as_bytes(), 1, Length::new(word.len()));
        assert!(listed.iter().all(|word| may_hold(&word.to_uppercase())));
        let others = (0..10_000).map(|number| format!("other{number}"));
        let in_vain = others.filter(|word| may_hold(word)).count();
        assert!(in_vain < 100, "{in_vain} of 10,000 words that are not listed are looked up");
    }
}
