//! Simulation: the production driver, codec and connections on a simulated network, where time is simulated too and
//! nothing can open a real socket. The live layer, which is no simulation, runs the same scenarios on real daemons.

#![forbid(unsafe_code)]

#[cfg(not(tokio_unstable))]
compile_error!("lobbyd-sim needs tokio's `tokio_unstable` cfg: if RUSTFLAGS is set, add `--cfg tokio_unstable` to it");

pub mod accounts;
pub mod audit;
pub mod cli;
pub mod extend;
mod journal;
pub mod layers;
pub mod marks;
pub mod model;
pub mod network;
pub mod puppet;
mod questions;
mod random;
pub mod redis;
pub mod runner;
pub mod scenario;
pub mod seed;
pub mod show;
pub mod shrink;
pub mod swarm;
pub mod trace;
pub mod traffic;

use std::process::ExitCode;

use self::extend::Extend;

/// The program `lobbyd-sim`, with the arguments of this process, whose daemons have these extensions: the whole `main` of
/// a program that runs scenarios with commands of its own.
///
/// Bad arguments, and `--help`, end the process. Otherwise the code says what came of it: 0 if everything held, 1 if
/// something did not, 2 for bad usage, a file that is no scenario included.
#[must_use]
pub fn main(extensions: &Extend) -> ExitCode {
    cli::main(extensions)
}
