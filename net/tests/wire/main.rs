//! What travels: frames, the codec, the golden vectors, and whether the protocol page tells the truth about them.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod cases;
mod codec;
mod protocol;
mod strategies;
mod variants;
mod vectors;
