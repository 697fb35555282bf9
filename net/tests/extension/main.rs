//! Extensions of a node: what their guards promise, what services may do, and what middleware makes of packets.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod guard;
mod middleware;
mod service;
mod support;
mod words;
