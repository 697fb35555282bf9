//! A server as a part of a program: built, spoken to by its handle, extended, stopped, and refused with an error that
//! helps.

#![expect(clippy::unwrap_used, reason = "in helpers of tests too, a panic is how a test fails")]

mod extensions;
mod misuse;
mod server;
mod support;
mod threads;
