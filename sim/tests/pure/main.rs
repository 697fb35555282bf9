//! Scenarios as values, run on the pure layer.

mod daemons;
mod network;
mod redis;
mod repeat;
mod runner;
mod storm;
mod support;
mod talk;
