//! The client library against a server that follows a script, over an in-memory stream.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod ending;
mod events;
mod greeting;
mod requests;
mod script;
