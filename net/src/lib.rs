//! Everything that moves bytes: frames, codec, transports, connections, the driver of the engine, Redis, the client.
//!
//! Architecture invariant: nothing above `transport` knows whether it runs on tokio's sockets or on simulated ones.

//! **Threads.** A node lives on one thread: hub, connections and stores are `Rc` and `!Send`, and turns never overlap.
//! Three things are touched by other threads:
//!
//! - Errands of the hub may be woken from anywhere (a [`node::NodeHandle`] on another thread, a password that was hashed
//!   elsewhere). That is an atomic and a lock of our own, in `errands/bell.rs`, and `tests/loom.rs` tries every order in
//!   which threads can meet there.
//! - [`node::NodeHandle`] and [`client`] are for any thread. They share state by tokio's channels, and the client's by one
//!   lock that is never held across an await and never together with another: nothing that an order could break.
//! - The subscriptions of [`redis`] are behind a lock because the `redis` crate asks for `Send`; only one thread takes it.
//!
//! Whoever computes for long (the daemon's password hashing) does it on threads of its own and answers by a channel.

#![forbid(unsafe_code)]

mod ask;
mod buffers;
pub mod client;
pub mod codec;
mod commons;
mod connection;
mod errands;
pub mod extension;
pub mod frame;
mod hub;
mod lanes;
mod login;
mod mailbox;
pub mod node;
mod outbox;
mod parcel;
mod pool;
pub mod redis;
mod relay;
mod report;
mod seal;
pub mod stats;
pub mod stores;
mod sync;
mod system;
mod tally;
mod tasks;
pub mod transport;
mod visits;

pub use ask::{AskError, CallError, Message};
pub use buffers::{Buffers, LentBuffer};
pub use errands::Errands;
pub use lanes::{Lane, LaneReport, LanesReport};
pub use pool::PoolReport;
pub use report::{Report, Traffic};
pub use seal::password_digest;
