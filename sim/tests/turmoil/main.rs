//! The turmoil layer: what the production driver and the Redis link do when the network, Redis or a client misbehave.

#![expect(clippy::unwrap_used, reason = "a test says by its panic what was not as it should be")]

mod determinism;
mod main_job;
mod network;
mod play;
mod redis;
