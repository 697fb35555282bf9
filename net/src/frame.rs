//! Frames: where one packet ends and the next begins in a stream of bytes.
//!
//! A frame is the length of its payload, a `u32` in little-endian order, and then the payload. What the payload means
//! is the business of [`crate::codec`].

use lobbyd_core::input::WireFault;

/// The bytes before every payload.
pub const HEADER_BYTES: usize = 4;

/// The frame at the front of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// What it carries: 1 byte up to the limit, without the header.
    pub payload: &'a [u8],
    /// How many bytes of the stream it takes, its header included: the next frame begins behind them.
    pub consumed: usize,
}

/// Cuts the frame at the front of `bytes`; `None` when it has not arrived in full. Nothing is copied or allocated.
///
/// `payload_max` is the most bytes a payload may have. The announced length is judged as soon as its four bytes are
/// there, so nobody ever waits for, or makes room for, what will be refused.
///
/// # Errors
/// [`WireFault::FrameEmpty`] and [`WireFault::FrameTooLong`], after which the stream has no more frames: where the
/// next one would begin is not known.
pub fn next_frame(bytes: &[u8], payload_max: u32) -> Result<Option<Frame<'_>>, WireFault> {
    let Some(consumed) = frame_bytes(bytes, payload_max)? else {
        return Ok(None);
    };
    Ok(bytes.get(HEADER_BYTES..consumed).map(|payload| Frame { payload, consumed }))
}

/// How many bytes the frame at the front of `bytes` has, its header included, whether or not all of them are there;
/// `None` when the header has not arrived in full. For whoever wants to make room for exactly one frame.
///
/// # Errors
/// As [`next_frame`].
pub fn frame_bytes(bytes: &[u8], payload_max: u32) -> Result<Option<usize>, WireFault> {
    let Some(header) = bytes.first_chunk::<HEADER_BYTES>() else {
        return Ok(None);
    };
    match u32::from_le_bytes(*header) {
        0 => Err(WireFault::FrameEmpty),
        length if length > payload_max => Err(WireFault::FrameTooLong),
        length => Ok(Some(HEADER_BYTES + length as usize)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frame_is_cut_where_its_length_says() {
        let bytes = [2, 0, 0, 0, 7, 8, 1, 0, 0, 0, 9];
        assert_eq!(next_frame(&bytes, 2), Ok(Some(Frame { payload: &[7, 8], consumed: 6 })));
        assert_eq!(next_frame(&bytes[6..], 2), Ok(Some(Frame { payload: &[9], consumed: 5 })));
        assert_eq!(next_frame(&bytes[11..], 2), Ok(None));
    }

    #[test]
    fn every_part_of_a_frame_is_incomplete() {
        let bytes = [3, 0, 0, 0, 7, 8, 9];
        for length in 0..bytes.len() {
            assert_eq!(next_frame(&bytes[..length], 3), Ok(None), "{length} bytes");
        }
    }

    #[test]
    fn length_is_judged_before_the_payload_comes() {
        assert_eq!(next_frame(&[0, 0, 0, 0], 16), Err(WireFault::FrameEmpty));
        assert_eq!(next_frame(&[17, 0, 0, 0], 16), Err(WireFault::FrameTooLong));
        assert_eq!(next_frame(&[255, 255, 255, 255], u32::MAX - 1), Err(WireFault::FrameTooLong));
        assert_eq!(next_frame(&[16, 0, 0, 0], 16), Ok(None));
        assert_eq!(frame_bytes(&[16, 0, 0, 0], 16), Ok(Some(20)));
        assert_eq!(frame_bytes(&[16, 0, 0], 16), Ok(None));
    }
}
