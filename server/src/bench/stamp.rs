//! The stamp at the front of every text: who sent it, its number among that sender's messages, and when it was due.
//! By it receivers know what they have missed, whatever the server's protocol, and how late it is.
//!
//! All characters are printable ASCII, six bits each, so that every protocol carries it and reading costs little.

/// The bytes of a stamp, and so the fewest bytes of a text.
pub(super) const STAMP_BYTES: usize = 16;

const SENDER_CHARACTERS: usize = 3;
const NUMBER_CHARACTERS: usize = 5;
const DUE_CHARACTERS: usize = 8;

/// The value 0; the value 63 is `o`.
const ZERO: u8 = b'0';

/// What a text says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    /// The sender's place among those of its room who talk, below 2^18.
    pub sender: u32,
    /// How many messages that sender had sent before, modulo 2^30.
    pub number: u32,
    /// When it was due, in nanoseconds since the generator's origin, modulo 2^48 (78 hours).
    pub due_ns: u64,
}

impl Stamp {
    /// Numbers of messages begin anew here.
    pub(super) const NUMBERS: u32 = 1 << (6 * NUMBER_CHARACTERS);

    /// Writes the stamp over the front of `text`, which has [`STAMP_BYTES`] bytes or more.
    pub(super) fn write(self, text: &mut [u8]) {
        let (sender, rest) = text[..STAMP_BYTES].split_at_mut(SENDER_CHARACTERS);
        let (number, due) = rest.split_at_mut(NUMBER_CHARACTERS);
        put(sender, u64::from(self.sender));
        put(number, u64::from(self.number));
        put(due, self.due_ns);
    }

    /// Reads the stamp at the front of a text; `None` for a text that is too short to have one.
    #[must_use]
    pub(super) fn read(text: &[u8]) -> Option<Self> {
        let stamp = text.first_chunk::<STAMP_BYTES>()?;
        let (sender, rest) = stamp.split_at(SENDER_CHARACTERS);
        let (number, due) = rest.split_at(NUMBER_CHARACTERS);
        // The widths above bound both.
        Some(Self { sender: get(sender) as u32, number: get(number) as u32, due_ns: get(due) })
    }
}

/// A text of `bytes` bytes (at least those of a stamp) without a stamp yet.
#[must_use]
pub(super) fn blank_text(bytes: usize) -> Vec<u8> {
    vec![b'x'; bytes.max(STAMP_BYTES)]
}

fn put(characters: &mut [u8], mut value: u64) {
    for character in characters.iter_mut().rev() {
        *character = ZERO + (value & 63) as u8;
        value >>= 6;
    }
}

fn get(characters: &[u8]) -> u64 {
    characters.iter().fold(0, |value, character| (value << 6) | u64::from(character.wrapping_sub(ZERO) & 63))
}

const _: () = assert!(SENDER_CHARACTERS + NUMBER_CHARACTERS + DUE_CHARACTERS == STAMP_BYTES);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_are_read_as_they_were_written_and_are_printable() {
        for stamp in [
            Stamp { sender: 0, number: 0, due_ns: 0 },
            Stamp { sender: 1, number: 2, due_ns: 3 },
            Stamp { sender: (1 << 18) - 1, number: Stamp::NUMBERS - 1, due_ns: (1 << 48) - 1 },
        ] {
            let mut text = blank_text(64);
            stamp.write(&mut text);
            assert_eq!(Stamp::read(&text), Some(stamp));
            assert!(text.iter().all(u8::is_ascii_graphic), "{}", text.escape_ascii());
        }
        assert_eq!(Stamp::read(&[b'0'; STAMP_BYTES - 1]), None);
    }
}
