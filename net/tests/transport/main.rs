//! The driver over streams in memory: whatever the transport does, nothing is lost, doubled, reordered or left behind.
//! One thread and paused time, so that a schedule does the same every time.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod client;
mod judge;
mod points;
mod schedules;
mod transport;
mod world;
