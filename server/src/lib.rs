//! The `lobbyd` daemon: configuration, stores, telemetry and the command line around the room server.

#![forbid(unsafe_code)]

pub mod cli;
pub mod config;
pub mod control;
mod daemon;
mod listener;
pub mod prompt;
pub mod stores;
pub mod telemetry;
pub mod users;
