//! A look at a packet's text: which of its bytes are letters or digits, found once for all pieces of a chain that ask.
//!
//! Sixty-four bytes become sixty-four bits, by instructions that look at sixteen bytes at once.

use std::cell::OnceCell;
use std::ptr;

use lobbyd_core::packet::ClientPacket;
use lobbyd_core::text::RawText;

use super::Packet;

/// As many bytes as a number has bits.
pub(super) const BLOCK_BYTES: usize = 64;

/// What has been seen of one packet. The packet stays as it is for as long as this lives; another one has its own look.
#[derive(Debug)]
pub(super) struct Look<'p> {
    packet: &'p Packet<'p>,
    /// The packet's text, and its letters. Most packets have none, or nobody asks.
    seen: OnceCell<(&'p [u8], Option<u64>)>,
}

impl<'p> Look<'p> {
    /// At this packet, of which nothing has been seen yet.
    pub(super) fn at(packet: &'p Packet<'p>) -> Self {
        Self { packet, seen: OnceCell::new() }
    }

    /// The [`letters`] of a text. At that of the packet only the first who asks has to look.
    pub(super) fn letters(&self, text: &[u8]) -> Option<u64> {
        let (own, found) = *self.seen.get_or_init(|| {
            let own = said(self.packet).map_or(&[][..], |text| text.0);
            (own, letters(own))
        });
        // Middleware may ask about a text of its own, which cannot be where the packet's is for as long as the packet lives.
        if ptr::eq(own, text) { found } else { letters(text) }
    }
}

/// What the packet says to others: a message, or the title of a room.
pub(super) fn said<'p>(packet: &Packet<'p>) -> Option<RawText<'p>> {
    match *packet {
        ClientPacket::RoomChatRequest { text, .. } | ClientPacket::DirectMessageRequest { text, .. } => Some(text),
        ClientPacket::RoomCreateRequest { title, .. } => Some(title),
        ClientPacket::Hello { .. }
        | ClientPacket::Ping { .. }
        | ClientPacket::Pong { .. }
        | ClientPacket::LoginRequest { .. }
        | ClientPacket::LogoutRequest { .. }
        | ClientPacket::RoomListRequest { .. }
        | ClientPacket::RoomEnterRequest { .. }
        | ClientPacket::RoomLeaveRequest { .. }
        | ClientPacket::KickRequest { .. }
        | ClientPacket::CustomCommand { .. } => None,
    }
}

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
    let mut marks = [0; BLOCK_BYTES];
    // Without branches, so that it becomes instructions for many bytes at once.
    for ((mark, byte), bit) in marks.iter_mut().zip(block).zip(&ROW_BITS) {
        // The last of a range becomes the highest number and what follows it a low one, so one comparison is enough.
        let (letter, digit) = ((byte | 0x20).wrapping_add(127 - b'z') as i8, byte.wrapping_add(127 - b'9') as i8);
        *mark = bit & (u8::from(letter > 127 - 26) | u8::from(digit > 127 - 10)).wrapping_neg();
    }
    let any = |rows: &[u8; BLOCK_BYTES]| rows.as_chunks().0.iter().fold(0, |any, row| any | u64::from_le_bytes(*row));
    let is_ascii = any(block) & 0x8080_8080_8080_8080 == 0;
    is_ascii.then(|| transposed(any(&marks)))
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

#[cfg(test)]
mod tests {
    use lobbyd_core::id::{RequestId, RoomNumber};

    use super::*;

    #[test]
    fn text_of_the_packet_is_told_from_others() {
        let text = "ab c9".to_owned();
        let packet =
            ClientPacket::RoomChatRequest { request: RequestId(1), room: RoomNumber(1), text: text[..].into() };
        let look = Look::at(&packet);
        for _ in 0..2 {
            assert_eq!(look.letters(text.as_bytes()), Some(0b11011));
            assert_eq!(look.letters(b"....."), Some(0), "as long, and elsewhere");
            assert_eq!(look.letters(&text.as_bytes()[..2]), Some(0b11), "in the same place, and shorter");
            assert_eq!(look.letters("für".as_bytes()), None);
        }
    }

    #[test]
    fn what_a_packet_says_is_looked_at_once() {
        let packet = ClientPacket::RoomCreateRequest {
            request: RequestId(1),
            title: "a room".into(),
            capacity: 2,
            password: None,
        };
        let look = Look::at(&packet);
        assert!(look.seen.get().is_none(), "nobody has asked");
        let title = said(&packet).unwrap();
        assert_eq!(look.letters(title.0), Some(0b111101));
        assert_eq!(look.seen.get(), Some(&(title.0, Some(0b111101))));
    }

    #[test]
    fn packet_without_text_can_be_asked_about_any() {
        let packet = ClientPacket::Ping { nonce: 1 };
        assert_eq!(said(&packet), None);
        assert_eq!(Look::at(&packet).letters(b"a"), Some(1));
        assert_eq!(Look::at(&packet).letters(b""), Some(0));
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
}
