//! Everything that moves bytes: frames, codec, transports, connections, the driver of the engine, Redis, the client.
//!
//! Architecture invariant: nothing above `transport` knows whether it runs on tokio's sockets or on simulated ones.

#![forbid(unsafe_code)]

pub mod client;
pub mod codec;
pub mod frame;
pub mod stores;
