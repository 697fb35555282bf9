//! Everything that moves bytes: frames, codec, transports, connections, the driver of the engine, Redis, the client.
//!
//! Architecture invariant: nothing above `transport` knows whether it runs on tokio's sockets or on simulated ones.

//! **Threads.** Each I/O thread has a hub with its connections (`Rc` and `!Send`), and all of them step the one engine in
//! turn; turns never overlap. Stores, services and whatever else is `Rc` live on the first one, the home. These things are
//! touched by several threads:
//!
//! - What the I/O threads share (`commons.rs`): the engine behind a lock, and a mailbox for each of them, in which the
//!   others leave what its connections are sent. `relay.rs` keeps the order of events. With one I/O thread the lock is
//!   never waited for, and there is no mail.
//! - A connection goes through the corridor (`corridor.rs`) when it moves to the thread of its room: one of the standard
//!   library's channels to each thread, into which only the holder of the engine puts anything. Where such a session ends,
//!   its slot goes back to the thread that has named it, behind a lock, which only the holder of the engine takes, too.
//! - Errands and visits of a hub may be woken from anywhere (a [`node::NodeHandle`] on another thread, a password that was
//!   hashed elsewhere). That is an atomic and a lock of our own, in `errands/bell.rs`.
//! - [`node::NodeHandle`] and [`client`] are for any thread. They share state by tokio's channels, and the client's by one
//!   lock that is never held across an await and never together with another: nothing that an order could break.
//! - The subscriptions of [`redis`] are behind a lock because the `redis` crate asks for `Send`; only one thread takes it.
//!
//! For the first two `tests/loom.rs` tries every order in which threads can meet. The locks have one order: the engine's,
//! then a mailbox's, and no other while one of a mailbox or a bell is held.
//!
//! Whoever computes for long (the daemon's password hashing) does it on threads of its own and answers by a channel.

#![forbid(unsafe_code)]

mod ask;
mod buffers;
pub mod client;
pub mod codec;
mod commons;
mod connection;
mod corridor;
mod errands;
pub mod extension;
pub mod frame;
mod hub;
pub mod journal;
mod lanes;
mod login;
mod mailbox;
pub mod node;
mod outbox;
mod parcel;
mod place;
mod pool;
pub mod redis;
mod relay;
mod report;
mod seal;
mod shard;
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
