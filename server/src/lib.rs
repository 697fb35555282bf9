//! The lobbyd daemon and its embeddable server.

#![forbid(unsafe_code)]

pub mod control;
pub mod prompt;
pub mod stores;

/// The command line.
pub mod cli {
    pub mod user;
}
