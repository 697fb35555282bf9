//! Blocks: bytes with their length and a checksum in front.

/// What a part begins with; the last byte is the version of the format.
pub const MAGIC: [u8; 8] = *b"LOBBYDJ\x01";
/// Length and checksum.
pub(super) const HEADER_BYTES: usize = 8;

/// What is wrong with a part. `at` counts bytes from its beginning.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Damage {
    /// It does not begin as parts do.
    #[error("this is no journal of lobbyd: it does not begin with {MAGIC:?}")]
    NoJournal,
    /// It is of another version of the format.
    #[error("this journal has format {found}, and this build reads format {}", MAGIC[7])]
    Version {
        /// The version that it has.
        found: u8,
    },
    /// It ends within a block: what wrote it was killed, or it was cut. What is before is whole.
    #[error("the journal is cut off within the block at byte {at}")]
    CutOff {
        /// Where the block begins.
        at: usize,
    },
    /// A block is not what was written.
    #[error("the block at byte {at} is damaged: its checksum is {found:#010x}, and should be {expected:#010x}")]
    Checksum {
        /// Where the block begins.
        at: usize,
        /// What its bytes give.
        found: u32,
        /// What was written with them.
        expected: u32,
    },
    /// A block is what was written, but not by this build, or by nobody's journal.
    #[error("the block at byte {at} cannot be read by this build: {what} is expected {within} bytes into it")]
    Unreadable {
        /// Where the block begins.
        at: usize,
        /// How far into the block.
        within: usize,
        /// What should be there.
        what: &'static str,
    },
}

/// Appends a block.
///
/// # Panics
/// If there are 4 GiB or more.
pub(super) fn append(content: &[u8], out: &mut Vec<u8>) {
    let length = u32::try_from(content.len()).expect("blocks are made of what waits for a moment").to_le_bytes();
    out.extend_from_slice(&length);
    out.extend_from_slice(&checksum(length, content).to_le_bytes());
    out.extend_from_slice(content);
}

/// What is in the block at `at`, and where the next one begins. None at the end.
///
/// # Errors
/// [`Damage::CutOff`] and [`Damage::Checksum`].
pub(super) fn read(part: &[u8], at: usize) -> Result<Option<(&[u8], usize)>, Damage> {
    let rest = &part[at..];
    if rest.is_empty() {
        return Ok(None);
    }
    let Some((length, behind)) = rest.split_first_chunk() else { return Err(Damage::CutOff { at }) };
    let Some((expected, behind)) = behind.split_first_chunk() else { return Err(Damage::CutOff { at }) };
    let bytes = u32::from_le_bytes(*length) as usize;
    let Some(content) = behind.get(..bytes) else { return Err(Damage::CutOff { at }) };
    let (found, expected) = (checksum(*length, content), u32::from_le_bytes(*expected));
    if found != expected {
        // A power failure may leave the length of the last block and not all of its bytes.
        let is_last = behind.len() == bytes;
        return Err(if is_last { Damage::CutOff { at } } else { Damage::Checksum { at, found, expected } });
    }
    Ok(Some((content, at + HEADER_BYTES + bytes)))
}

/// CRC-32C, by the processor's instructions where it has them.
fn checksum(length: [u8; 4], content: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&length), content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksum_is_that_of_the_rfc() {
        // RFC 3720, appendix B.4: 32 bytes of zeros, of ones, and rising ones. The first four are our length.
        assert_eq!(checksum([0; 4], &[0; 28]), 0x8a91_36aa);
        assert_eq!(checksum([0xff; 4], &[0xff; 28]), 0x62a8_ab43);
        let rising: Vec<u8> = (4..32).collect();
        assert_eq!(checksum([0, 1, 2, 3], &rising), 0x46dd_794e);
    }

    #[test]
    fn blocks_are_read_as_they_were_written() {
        let mut part = Vec::new();
        for content in [&b"one"[..], b"", b"three"] {
            append(content, &mut part);
        }
        let (one, at) = read(&part, 0).expect("it is whole").expect("there is one");
        let (empty, at) = read(&part, at).expect("it is whole").expect("there is one");
        let (three, at) = read(&part, at).expect("it is whole").expect("there is one");
        assert_eq!((one, empty, three), (&b"one"[..], &b""[..], &b"three"[..]));
        assert_eq!(read(&part, at), Ok(None));
    }

    #[test]
    fn every_flipped_bit_is_seen_and_every_cut_is_one() {
        let mut part = Vec::new();
        append(b"something that was said", &mut part);
        let first = part.len();
        append(b"and something else", &mut part);
        for bit in 0..first * 8 {
            let mut damaged = part.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(read(&damaged, 0).is_err(), "bit {bit}");
        }
        for length in first + 1..part.len() {
            assert_eq!(read(&part[..length], first), Err(Damage::CutOff { at: first }), "{length} bytes");
        }
    }

    #[test]
    fn last_block_whose_bytes_were_not_written_is_cut_off() {
        let mut part = Vec::new();
        append(b"something", &mut part);
        let last = part.len();
        append(b"something else", &mut part);
        part[last + HEADER_BYTES..].fill(0);
        assert_eq!(read(&part, last), Err(Damage::CutOff { at: last }));
        append(b"behind", &mut part);
        assert!(matches!(read(&part, last), Err(Damage::Checksum { at, .. }) if at == last));
    }
}
