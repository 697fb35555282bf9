//! What travels: frames, the codec, the golden vectors, and whether the protocol page tells the truth about them.

mod cases;
mod codec;
mod protocol;
mod strategies;
mod variants;
mod vectors;
