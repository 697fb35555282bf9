//! The `lobbyd` daemon: configuration, stores, telemetry and the command line around the room server.

#![forbid(unsafe_code)]

#[cfg(not(tokio_unstable))]
compile_error!("lobbyd needs tokio's `tokio_unstable` cfg: if RUSTFLAGS is set, add `--cfg tokio_unstable` to it");

#[cfg(target_os = "linux")]
pub mod bench;
pub mod chat;
pub mod cli;
pub mod config;
pub mod control;
mod daemon;
mod listener;
mod open_files;
pub mod prompt;
pub mod stores;
pub mod telemetry;
pub mod users;
