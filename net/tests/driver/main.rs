//! The node over in-memory streams: who has his turn when, and what is left at its end.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod asking;
mod closing;
mod ending;
mod lanes;
mod memory;
mod moving;
mod pipe;
mod redis;
mod shards;
