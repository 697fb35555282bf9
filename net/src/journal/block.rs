//! Blocks: bytes with their length and a checksum in front.

/// What a part begins with; the last byte is the version of the format.
pub const MAGIC: [u8; 8] = *b"LOBBYDJ\x01";
/// The length, its checksum, and that of the content.
pub(super) const HEADER_BYTES: usize = 12;

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
    /// It ends within a block: what wrote it was killed, or had no space. What is before is whole.
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

/// What comes before so much content.
///
/// # Panics
/// If there are 4 GiB or more.
pub(super) fn header(content: &[u8]) -> [u8; HEADER_BYTES] {
    let length = u32::try_from(content.len()).expect("blocks are made of what waits for a moment").to_le_bytes();
    let words = [length, crc32c::crc32c(&length).to_le_bytes(), crc32c::crc32c(content).to_le_bytes()];
    let mut header = [0; HEADER_BYTES];
    for (place, word) in header.as_chunks_mut().0.iter_mut().zip(words) {
        *place = word;
    }
    header
}

/// Appends a block.
///
/// # Panics
/// As [`header`].
pub(super) fn append(content: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&header(content));
    out.extend_from_slice(content);
}

/// What is in the block at `at`, and where the next one begins. None at the end.
///
/// # Errors
/// [`Damage::CutOff`] where the last block is not whole, and [`Damage::Checksum`].
pub(super) fn read(part: &[u8], at: usize) -> Result<Option<(&[u8], usize)>, Damage> {
    let rest = &part[at..];
    if rest.is_empty() {
        return Ok(None);
    }
    // Where the power has failed, a file may have got its length and not all that belongs there.
    let is_nothing = |bytes: &[u8]| bytes.iter().all(|byte| *byte == 0);
    let Some((header, behind)) = rest.split_first_chunk::<HEADER_BYTES>() else { return Err(Damage::CutOff { at }) };
    let &[length, of_length, of_content] = header.as_chunks().0 else { unreachable!("these are three words") };
    let (found, expected) = (crc32c::crc32c(&length), u32::from_le_bytes(of_length));
    if found != expected {
        return Err(if is_nothing(behind) { Damage::CutOff { at } } else { Damage::Checksum { at, found, expected } });
    }
    let bytes = u32::from_le_bytes(length) as usize;
    let Some(content) = behind.get(..bytes) else { return Err(Damage::CutOff { at }) };
    let (found, expected) = (crc32c::crc32c(content), u32::from_le_bytes(of_content));
    if found != expected {
        return Err(if is_nothing(&behind[bytes..]) {
            Damage::CutOff { at }
        } else {
            Damage::Checksum { at, found, expected }
        });
    }
    Ok(Some((content, at + HEADER_BYTES + bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksum_is_that_of_the_rfc() {
        // RFC 3720, appendix B.4: 32 bytes of zeros, of ones, and rising ones.
        let rising: Vec<u8> = (0..32).collect();
        for (content, checksum) in [(&[0; 32][..], 0x8a91_36aa_u32), (&[0xff; 32], 0x62a8_ab43), (&rising, 0x46dd_794e)]
        {
            assert_eq!(header(content)[8..], checksum.to_le_bytes());
        }
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
    fn every_flipped_bit_is_seen_for_what_it_is() {
        let mut part = Vec::new();
        append(b"something that was said", &mut part);
        let first = part.len();
        append(b"and something else", &mut part);
        for bit in 0..first * 8 {
            let mut damaged = part.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(matches!(read(&damaged, 0), Err(Damage::Checksum { at: 0, .. })), "bit {bit}");
        }
        for bit in (first + 8) * 8..part.len() * 8 {
            let mut damaged = part.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(read(&damaged, first), Err(Damage::CutOff { at: first }), "nobody can tell, with bit {bit}");
        }
    }

    #[test]
    fn every_cut_is_one() {
        let mut part = Vec::new();
        append(b"something that was said", &mut part);
        let first = part.len();
        append(b"and something else", &mut part);
        for length in first + 1..part.len() {
            assert_eq!(read(&part[..length], first), Err(Damage::CutOff { at: first }), "{length} bytes");
            // Or the file has its length, and nothing is there.
            for zeros in [1, 8, 12, 4096] {
                let mut part = part[..length].to_vec();
                part.resize(length + zeros, 0);
                let Err(damage) = read(&part, first) else { continue };
                assert_eq!(damage, Damage::CutOff { at: first }, "{length} bytes and {zeros} zeros");
            }
        }
        let whole = part.len();
        part.resize(whole + 4096, 0);
        assert_eq!(read(&part, whole), Err(Damage::CutOff { at: whole }));
        append(b"behind", &mut part);
        assert!(matches!(read(&part, whole), Err(Damage::Checksum { at, .. }) if at == whole));
    }
}
