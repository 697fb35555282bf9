//! The protocol of the floor: lobbyd's frames around the least that has to be said. The first byte of a payload is its
//! kind.

use lobbyd_core::config::FRAME_BYTES_LIMIT;
use lobbyd_net::frame::{HEADER_BYTES, next_frame};

use super::{Heard, Protocol, Taken, Unit, Who};

/// The most bytes of a payload.
pub(crate) const PAYLOAD_MAX: u32 = FRAME_BYTES_LIMIT;

/// From the client: enter the room whose number follows (`u32`, little-endian). From the server: done.
pub(crate) const ENTER: u8 = 1;
/// From the client: leave the room. From the server: done.
pub(crate) const LEAVE: u8 = 2;
/// From the client: say the text that follows. From the server, to the other members: it was said.
pub(crate) const SAY: u8 = 3;
/// From the server, to the sender: it was said.
pub(crate) const SAID: u8 = 4;

/// The protocol of the floor.
pub(crate) struct Floor;

/// Appends a frame.
pub(crate) fn put(kind: u8, rest: &[u8], out: &mut Vec<u8>) {
    // A text of the bench is far below 4 GiB.
    let length = 1 + rest.len() as u32;
    out.reserve(HEADER_BYTES + length as usize);
    out.extend_from_slice(&length.to_le_bytes());
    out.push(kind);
    out.extend_from_slice(rest);
}

impl Protocol for Floor {
    const GREETS: bool = false;
    const LOGS_IN: bool = false;
    const TAKEN: Taken = Taken::Answer;
    const ECHOES: bool = false;

    fn next<'a>(&self, _who: Who<'_>, bytes: &'a [u8]) -> Result<Unit<'a>, String> {
        let frame = next_frame(bytes, PAYLOAD_MAX).map_err(|fault| format!("a frame is broken: {fault:?}"))?;
        let Some(frame) = frame else {
            return Ok(None);
        };
        let heard = match frame.payload.split_first() {
            Some((&SAY, text)) => Heard::Message { text, change: None },
            Some((&SAID, [])) => Heard::Said { change: None },
            Some((&(ENTER | LEAVE), [])) => Heard::Done { entered: None },
            Some(_) | None => return Err(format!("an unknown frame: {}", frame.payload.escape_ascii())),
        };
        Ok(Some((heard, frame.consumed)))
    }

    fn enter(&self, who: Who<'_>, out: &mut Vec<u8>) {
        put(ENTER, &who.room.to_le_bytes(), out);
    }

    fn leave(&self, _who: Who<'_>, out: &mut Vec<u8>) {
        put(LEAVE, &[], out);
    }

    fn say(&self, _who: Who<'_>, text: &[u8], out: &mut Vec<u8>) {
        put(SAY, text, out);
    }

    fn answer(&self, _asked: &[u8], _out: &mut Vec<u8>) {}
}
