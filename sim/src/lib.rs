//! Simulation: the production driver, codec and connections on a simulated network, where time is simulated too and
//! nothing can open a real socket.

#![forbid(unsafe_code)]

#[cfg(not(tokio_unstable))]
compile_error!(
    "turmoil needs tokio's `tokio_unstable` cfg: build inside this workspace, whose .cargo/config.toml sets it"
);

pub mod accounts;
pub mod layers;
pub mod network;
pub mod redis;
pub mod scenario;
