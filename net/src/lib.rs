//! Everything that moves bytes: frames, codec, transports, connections, the driver of the engine, Redis, the client.
//!
//! Architecture invariant: nothing above `transport` knows whether it runs on tokio's sockets or on simulated ones.

#![forbid(unsafe_code)]

pub mod client;
pub mod codec;
mod connection;
mod errands;
pub mod frame;
mod hub;
mod lanes;
mod login;
pub mod node;
mod outbox;
mod pool;
pub mod redis;
mod report;
mod seal;
pub mod stores;
mod system;
mod tasks;
pub mod transport;

pub use errands::Errands;
pub use lanes::{Lane, LaneReport, LanesReport};
pub use pool::PoolReport;
pub use report::{Report, Traffic};
pub use seal::password_digest;
