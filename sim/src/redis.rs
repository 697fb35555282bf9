//! A model of Redis: what the adapters ask of a Redis server, answered by a state machine on simulated time, and a
//! server that speaks its protocol on any stream and breaks when told to.
//!
//! [`Store`] is the state machine: commands in, replies out, no clock and no socket of its own. [`RedisServer`] carries
//! bytes to and from it. Both know only the commands that lobbyd uses; `tests/redis_model.rs` compares them with a real
//! `redis-server`, command by command. In a simulation it also sees to it that nobody touches a lease who may not
//! ([`Store::with_custody`]).

mod custody;
mod glob;
mod handlers;
mod reply;
mod request;
mod scripts;
mod server;
mod store;
mod words;

pub use reply::{Protocol, Reply};
pub use request::{Command, RequestFault, next_request};
pub use server::{Exchange, RedisServer};
pub use store::{ConnectionId, Store};
