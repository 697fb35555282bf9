//! The `lobbyd` daemon: configuration, telemetry and the command line around the room server.

#![forbid(unsafe_code)]

pub mod cli;
pub mod config;
pub mod telemetry;
