//! Packets to bytes and back: the one module that knows bincode.
//!
//! Architecture invariant: a packet has exactly one encoding. Whatever decodes here encodes to the same bytes again, so
//! two readers can never disagree about what was said.
//!
//! bincode by itself accepts integers that take more bytes than they need and ignores what follows a value. Both are
//! refused: the decoded packet's own encoded length has to be the length that was received. (Every other choice that
//! bincode offers, a `bool` or an `Option` tag over 1, it refuses by itself.)

use bincode::config::{Configuration, Limit, LittleEndian, Varint, standard};
use bincode::enc::write::Writer;
use bincode::error::EncodeError;
use bincode::serde::{borrow_decode_from_slice, encode_into_writer};
use lobbyd_core::config::FRAME_BYTES_LIMIT;
use lobbyd_core::input::WireFault;
use lobbyd_core::packet::{ClientPacket, ServerPacket};
use serde::{Deserialize, Serialize};

use crate::frame::HEADER_BYTES;

/// How many packets a client can say; their numbers are those below.
const CLIENT_PACKETS: u32 = 13;
/// How many packets a server can say; their numbers are those below.
const SERVER_PACKETS: u32 = 24;

/// What a packet may announce that it holds. bincode counts every integer at its full width, up to eight times the
/// bytes that it took, so this refuses no packet that fits the largest frame.
const ANNOUNCED_BYTES_MAX: usize = 8 * FRAME_BYTES_LIMIT as usize;

const CONFIGURATION: Configuration<LittleEndian, Varint, Limit<ANNOUNCED_BYTES_MAX>> =
    standard().with_limit::<ANNOUNCED_BYTES_MAX>();

/// Reads what a client said from a frame's payload. Texts and secrets are borrowed from it; nothing is allocated
/// (except the words of an error).
///
/// # Errors
/// [`WireFault::PacketUnknown`] when it begins with a packet number that this version does not have, and
/// [`WireFault::PacketMalformed`] when it is anything else than one packet in its only encoding.
pub fn decode_client(payload: &[u8]) -> Result<ClientPacket<'_>, WireFault> {
    decode(payload, CLIENT_PACKETS)
}

/// Reads what a server said from a frame's payload. What it allocates is in proportion to the payload, whatever that
/// announces.
///
/// # Errors
/// As [`decode_client`].
pub fn decode_server(payload: &[u8]) -> Result<ServerPacket, WireFault> {
    decode(payload, SERVER_PACKETS)
}

/// Appends a client's packet to `out` as a whole frame: header and payload.
pub fn encode_client(packet: &ClientPacket<'_>, out: &mut Vec<u8>) {
    encode(packet, out);
}

/// Appends a server's packet to `out` as a whole frame: header and payload.
pub fn encode_server(packet: &ServerPacket, out: &mut Vec<u8>) {
    encode(packet, out);
}

/// Appends a value of a journal to `out`.
#[inline]
pub(crate) fn append_value<T: Serialize>(value: &T, out: &mut Vec<u8>) {
    write_into(value, Appender(out));
}

/// Reads a value of a journal from the front of `bytes`, and says how many it took. None if there is none.
///
/// It may be the state of a whole engine. What it may announce follows from how many bytes there are, of which none says
/// more than eight times itself, so that a few bytes cannot ask for much memory.
pub(crate) fn read_value<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Option<(T, usize)> {
    const SOME: usize = 1 << 16;
    const MANY: usize = 1 << 22;
    const MOST: usize = i32::MAX as usize;
    let value = if bytes.len() <= SOME {
        borrow_decode_from_slice(bytes, standard().with_limit::<{ 8 * SOME }>())
    } else if bytes.len() <= MANY {
        borrow_decode_from_slice(bytes, standard().with_limit::<{ 8 * MANY }>())
    } else {
        borrow_decode_from_slice(bytes, standard().with_limit::<MOST>())
    };
    value.ok()
}

fn decode<'a, T: Deserialize<'a> + Serialize>(payload: &'a [u8], packets: u32) -> Result<T, WireFault> {
    let Ok((packet, consumed)) = borrow_decode_from_slice::<T, _>(payload, CONFIGURATION) else {
        return Err(fault(payload, packets));
    };
    if consumed != payload.len() || encoded_bytes(&packet) != payload.len() {
        return Err(WireFault::PacketMalformed);
    }
    Ok(packet)
}

/// What is wrong with a payload that could not be read.
fn fault(payload: &[u8], packets: u32) -> WireFault {
    match packet_number(payload) {
        Some(number) if number >= packets => WireFault::PacketUnknown,
        Some(_) | None => WireFault::PacketMalformed,
    }
}

/// The packet number at the front of a payload, if there is one in its only encoding.
fn packet_number(payload: &[u8]) -> Option<u32> {
    let (number, consumed) = borrow_decode_from_slice::<u32, _>(payload, CONFIGURATION).ok()?;
    (encoded_bytes(&number) == consumed).then_some(number)
}

fn encode<T: Serialize>(packet: &T, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&[0; HEADER_BYTES]);
    write_into(packet, Appender(out));
    let (header, payload) = out[start..].split_at_mut(HEADER_BYTES);
    let length =
        u32::try_from(payload.len()).expect("a packet is far below 4 GiB: its makers bound every text and list");
    header.copy_from_slice(&length.to_le_bytes());
}

fn encoded_bytes<T: Serialize>(packet: &T) -> usize {
    let mut count = 0;
    write_into(packet, Counter(&mut count));
    count
}

#[inline]
fn write_into<T: Serialize>(value: &T, writer: impl Writer) {
    // A limit says what may be read: how values are written is the same with each.
    encode_into_writer(value, writer, CONFIGURATION)
        .expect("neither writer fails, and the only values bincode refuses, sequences of unknown length, nothing has");
}

/// Adds what is written to the end of a buffer.
struct Appender<'a>(&'a mut Vec<u8>);

impl Writer for Appender<'_> {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> Result<(), EncodeError> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }
}

/// Counts what is written.
struct Counter<'a>(&'a mut usize);

impl Writer for Counter<'_> {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> Result<(), EncodeError> {
        *self.0 += bytes.len();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_a_journal_may_announce_all_that_they_hold() {
        // A small number takes one byte, and counts as the eight that it could take.
        for count in [10, 60_000, 70_000, 4_000_000, 4_300_000] {
            let numbers = vec![7_u64; count];
            let mut bytes = Vec::new();
            append_value(&numbers, &mut bytes);
            let length = bytes.len();
            assert!(length > count && length < count + 10, "{length} bytes");
            bytes.push(1);
            assert_eq!(read_value::<Vec<u64>>(&bytes), Some((numbers, length)));
        }
    }

    #[test]
    fn values_of_a_journal_that_announce_more_than_there_is_are_none() {
        for announced in [10_u64, 1 << 20, 1 << 40, u64::MAX] {
            let mut bytes = Vec::new();
            append_value(&announced, &mut bytes);
            bytes.extend_from_slice(b"too few");
            assert_eq!(read_value::<String>(&bytes), None, "{announced}");
        }
    }
}
