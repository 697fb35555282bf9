//! Which bytes of a text are letters or digits: sixty-four bytes become sixty-four bits, by instructions that look at
//! sixteen bytes at once.

use wide::i8x16;

/// As many bytes as a number has bits.
pub(super) const BLOCK_BYTES: usize = 64;

/// What is known of up to 64 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Letters {
    /// Which of them are ASCII letters or digits, the first one in the lowest bit.
    pub(super) bits: u64,
    /// Whether all of them are ASCII.
    pub(super) is_ascii: bool,
}

/// Looks at the first 64 bytes of a text.
pub(super) fn letters(text: &[u8]) -> Letters {
    if let Some(block) = text.first_chunk() {
        return letters_of_64(block);
    }
    let mut filled = [0; BLOCK_BYTES];
    filled[..text.len()].copy_from_slice(text);
    letters_of_64(&filled)
}

fn letters_of_64(block: &[u8; BLOCK_BYTES]) -> Letters {
    let (mut bits, mut any) = (0, i8x16::default());
    for (at, row) in (0..).step_by(16).zip(block.as_chunks().0) {
        let row = i8x16::new(row.map(|byte: u8| byte as i8));
        // The last of a range becomes the highest number and what follows it a low one, so one comparison is enough.
        let letter = ((row | i8x16::splat(0x20)) + i8x16::splat(127 - b'z' as i8)).simd_gt(i8x16::splat(127 - 26));
        let digit = (row + i8x16::splat(127 - b'9' as i8)).simd_gt(i8x16::splat(127 - 10));
        bits |= u64::from((letter | digit).to_bitmask()) << at;
        any |= row;
    }
    // What is not ASCII has the bit of a negative number.
    Letters { bits, is_ascii: any.to_bitmask() == 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_and_digits_are_told_from_all_other_bytes() {
        for byte in 0..=u8::MAX {
            for place in [0, 7, 8, 63] {
                let mut block = [b' '; BLOCK_BYTES];
                block[place] = byte;
                let bits = u64::from(byte.is_ascii_alphanumeric()) << place;
                let expected = Letters { bits, is_ascii: byte.is_ascii() };
                assert_eq!(letters(&block), expected, "{byte} at {place}");
                assert_eq!(letters(&block[..=place]), expected, "{byte} at {place}, which is the last");
            }
        }
        assert_eq!(letters(b"ab c9"), Letters { bits: 0b11011, is_ascii: true });
    }
}
