//! Which bytes of a text are letters or digits: sixty-four bytes become sixty-four bits, by instructions that look at
//! sixteen bytes at once.

use wide::i8x16;

/// As many bytes as a number has bits.
pub(super) const BLOCK_BYTES: usize = 64;

/// Which of the first 64 bytes are ASCII letters or digits, the first one in the lowest bit. None if one is not ASCII.
pub(super) fn letters(text: &[u8]) -> Option<u64> {
    if let Some(block) = text.first_chunk() {
        return letters_of_64(block);
    }
    let mut filled = [0; BLOCK_BYTES];
    filled[..text.len()].copy_from_slice(text);
    letters_of_64(&filled)
}

fn letters_of_64(block: &[u8; BLOCK_BYTES]) -> Option<u64> {
    let of_sixteen = |row: &[u8; 16]| {
        let bytes = i8x16::new(row.map(|byte| byte as i8));
        // The last of a range becomes the highest number and what follows it a low one, so one comparison is enough.
        let letters = ((bytes | i8x16::splat(0x20)) + i8x16::splat(127 - b'z' as i8)).simd_gt(i8x16::splat(127 - 26));
        let digits = (bytes + i8x16::splat(127 - b'9' as i8)).simd_gt(i8x16::splat(127 - 10));
        (u64::from((letters | digits).to_bitmask()), bytes)
    };
    let [first, second, third, fourth] = [0, 16, 32, 48].map(|at| of_sixteen(block[at..].first_chunk().unwrap()));
    let is_ascii = (first.1 | second.1 | third.1 | fourth.1).to_bitmask() == 0;
    is_ascii.then_some(first.0 | second.0 << 16 | third.0 << 32 | fourth.0 << 48)
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
                let expected = byte.is_ascii().then_some(u64::from(byte.is_ascii_alphanumeric()) << place);
                assert_eq!(letters(&block), expected, "{byte} at {place}");
                assert_eq!(letters(&block[..=place]), expected, "{byte} at {place}, which is the last");
            }
        }
        assert_eq!(letters(b"ab c9"), Some(0b11011));
    }
}
