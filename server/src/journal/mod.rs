//! The journal of a server in files, and how they are replayed.
//!
//! What is in a file is the format of [`lobbyd_net::journal`]: each is one part of a journal.

mod files;
mod folder;
mod queue;
pub mod replay;
mod writer;

pub use self::files::JournalError;
pub(crate) use self::files::{JournalFiles, Recording};

/// What is written into each file, and what a replay says of itself.
const PROGRAM: &str = concat!("lobbyd ", env!("CARGO_PKG_VERSION"));

#[cfg(test)]
mod tests;
