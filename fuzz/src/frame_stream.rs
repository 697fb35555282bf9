//! A stream of bytes, arriving in reads of any size.

use lobbyd_core::config::FRAME_BYTES_LIMIT;
use lobbyd_core::input::WireFault;
use lobbyd_net::frame::{HEADER_BYTES, frame_bytes, next_frame};

use crate::reader::Reader;

/// Cuts a stream into frames, once whole and once as it arrives in reads of any size: both ways give the same frames and
/// the same end, which are those of a naive reading of `net/PROTOCOL.md`.
///
/// One byte chooses the limit; a length and as many bytes are the sizes of the reads, which go round; the rest is the
/// stream.
pub fn frame_stream(data: &[u8]) {
    let mut reader = Reader::new(data);
    let payload_max = reader.choose(&[16 * 1024, 1, 2, 250, 1024, FRAME_BYTES_LIMIT]);
    let reads = reader.bytes();
    let stream = reader.rest();

    let (mut frames, mut rest) = (Vec::new(), stream);
    let end = loop {
        let expected = naive(rest, payload_max);
        let frame = next_frame(rest, payload_max);
        assert_eq!(frame.map(|frame| frame.map(|frame| frame.payload)), expected);
        match frame {
            Ok(Some(frame)) => {
                assert_eq!(frame_bytes(rest, payload_max), Ok(Some(frame.consumed)));
                frames.push(frame.payload);
                rest = &rest[frame.consumed..];
            }
            Ok(None) => break Ok(rest),
            Err(fault) => break Err(fault),
        }
    };
    assert_eq!(in_reads(stream, payload_max, reads), (frames, end));
}

/// What the page says about the front of a stream.
fn naive(bytes: &[u8], payload_max: u32) -> Result<Option<&[u8]>, WireFault> {
    let [a, b, c, d, behind @ ..] = bytes else {
        return Ok(None);
    };
    let length = u64::from(*a) + u64::from(*b) * 0x100 + u64::from(*c) * 0x1_0000 + u64::from(*d) * 0x100_0000;
    if length == 0 {
        Err(WireFault::FrameEmpty)
    } else if length > u64::from(payload_max) {
        Err(WireFault::FrameTooLong)
    } else {
        Ok(usize::try_from(length).ok().and_then(|length| behind.get(..length)))
    }
}

/// The frames' payloads, and what is left or wrong at the end.
type Cut<'a> = (Vec<&'a [u8]>, Result<&'a [u8], WireFault>);

/// Cuts as the driver does: what is no whole frame yet stays where it is until more has come.
fn in_reads<'a>(stream: &'a [u8], payload_max: u32, reads: &[u8]) -> Cut<'a> {
    let mut sizes = reads.iter().map(|size| usize::from(*size).max(1)).cycle();
    let (mut frames, mut start, mut arrived) = (Vec::new(), 0, 0);
    loop {
        match next_frame(&stream[start..arrived], payload_max) {
            Ok(Some(frame)) => {
                frames.push(&stream[start + HEADER_BYTES..start + frame.consumed]);
                start += frame.consumed;
            }
            Ok(None) if arrived == stream.len() => return (frames, Ok(&stream[start..])),
            Ok(None) => arrived = (arrived + sizes.next().unwrap_or(stream.len())).min(stream.len()),
            Err(fault) => return (frames, Err(fault)),
        }
    }
}
