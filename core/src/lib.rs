//! The whole behaviour of the room server as one pure state machine: packets in, actions out.
//!
//! Architecture invariant: `no_std`. A clock, a socket, a thread, an environment variable or a random source cannot
//! even be named here. Time and the seed of all randomness are handed in; every order is defined.
//!
//! Architecture invariant: secrets never enter. The driver seals them ([`packet::Sealed`]) on the way in, so inputs,
//! traces and snapshots can be shown to anybody.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod action;
mod chat;
mod check;
mod code;
pub mod command;
pub mod config;
pub mod data;
mod deadline;
mod digest;
mod drain;
pub mod engine;
pub mod extension;
pub mod id;
pub mod input;
pub mod limits;
pub mod lobby;
mod login;
pub mod name;
pub mod operator;
pub mod packet;
mod pairs;
mod random;
mod room;
mod session;
mod snapshot;
pub mod text;
pub mod time;
mod users;

pub use engine::Engine;
