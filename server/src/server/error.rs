//! Why a server does not start, and how it ends otherwise than asked.

use std::error::Error;
use std::io;

use lobbyd_core::config::ConfigError;
use lobbyd_core::extension::RegisterError;

use crate::config::{ConfigErrors, UnknownStore};
use crate::journal::JournalError;
use crate::listener::BindError;

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The configuration file has problems.
    #[error(transparent)]
    Config(#[from] ConfigErrors),
    /// A value of the settings cannot hold, or does not go with the others.
    #[error("{0}")]
    Setting(ConfigError),
    /// No store is called so.
    #[error("{refused}")]
    StoreUnknown {
        /// What was asked for, without what may be a password, and what is allowed.
        refused: UnknownStore,
    },
    /// The store cannot be opened.
    #[error(transparent)]
    Store(Box<dyn Error + Send + Sync>),
    /// Two extensions have one name, or one has a bad name.
    #[error(transparent)]
    Extension(#[from] RegisterError),
    /// An address cannot be listened on: taken, perhaps.
    #[error(transparent)]
    Listen(#[from] BindError),
    /// There is to be a journal, and cannot.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The system does not give what is needed.
    #[error("{what}")]
    System {
        /// What it does not give.
        what: &'static str,
        /// What it says.
        source: io::Error,
    },
    /// Something that was handed in (accounts, an extension) panicked when it was made.
    #[error("the server panicked while it started: the panic's own message says where")]
    Panicked,
}

/// Why there is no report of a server's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EndError {
    /// It had ended before this call.
    #[error("the server has stopped")]
    Stopped,
    /// It broke down: a panic outside of what guards hold has ended it, and every connection with it.
    #[error("the server broke down: the panic's own message says where")]
    Broken,
}
