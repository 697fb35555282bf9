//! Fuzz targets: each takes bytes that anybody may have made up, and panics where a promise does not hold.
//!
//! The bodies are plain functions, so that `cargo test` replays the seeds in `seeds/<target>/` with any compiler;
//! `fuzz_targets/` makes a libFuzzer program of each, which `fuzz/run` builds and runs. A finding is fixed, and its
//! bytes stay as a seed.
//!
//! Architecture invariant: a target depends on nothing but its bytes, so that a finding happens again.

#![forbid(unsafe_code)]

mod client_packet;
mod configuration;
mod engine;
mod frame_stream;
mod journal;
mod packets;
mod page;
mod reader;
mod redis_replies;
mod round_trip;
mod scenario;
mod server_packet;

pub use client_packet::client_packet;
pub use configuration::configuration;
pub use engine::{engine, engine_and_model};
pub use frame_stream::frame_stream;
pub use journal::journal;
pub use redis_replies::redis_replies;
pub use round_trip::round_trip;
pub use scenario::scenario;
pub use server_packet::server_packet;

/// A fuzz target.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// The name of its program and of the folder with its seeds.
    pub name: &'static str,
    /// Takes any bytes; panics where a promise does not hold.
    pub body: fn(&[u8]),
}

/// All targets, in the order of their names.
pub const TARGETS: &[Target] = &[
    Target { name: "client_packet", body: client_packet },
    Target { name: "configuration", body: configuration },
    Target { name: "engine", body: engine },
    Target { name: "engine_and_model", body: engine_and_model },
    Target { name: "frame_stream", body: frame_stream },
    Target { name: "journal", body: journal },
    Target { name: "redis_replies", body: redis_replies },
    Target { name: "round_trip", body: round_trip },
    Target { name: "scenario", body: scenario },
    Target { name: "server_packet", body: server_packet },
];
