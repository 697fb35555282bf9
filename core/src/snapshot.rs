//! Snapshots: the engine's whole state, to be stored, and taken up again by the same build.

use alloc::string::String;
use core::fmt;

use serde::{Deserialize, Serialize};

use crate::command::CommandName;
use crate::engine::Engine;
use crate::extension::Handlers;

/// The layout of a snapshot; raised whenever the state's layout changes.
const SNAPSHOT_VERSION: u32 = 3;

/// The engine's whole state, to be stored in any format that serde knows.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Snapshot {
    version: u32,
    engine: Engine,
}

/// Why a snapshot is not taken up.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RestoreError {
    /// It has another layout than this build's.
    Version {
        /// The snapshot's.
        found: u32,
        /// This build's.
        expected: u32,
    },
    /// Its parts do not fit together: it was damaged or made by hand.
    Inconsistent(&'static str),
    /// It holds the state of an extension that was not handed in.
    ExtensionMissing(CommandName),
    /// An extension was handed in of which it knows nothing.
    ExtensionUnknown(CommandName),
    /// An extension does not take up what it holds of its state.
    ExtensionState {
        /// Which.
        extension: CommandName,
        /// What the extension says about that.
        reason: String,
    },
}

impl fmt::Display for RestoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version { found, expected } => {
                write!(f, "the snapshot has layout {found}, this build reads layout {expected}")
            }
            Self::Inconsistent(what) => write!(f, "the snapshot is damaged: {what}"),
            Self::ExtensionMissing(extension) => {
                write!(f, "the snapshot was taken with extension {extension}, which is not there: register it")
            }
            Self::ExtensionUnknown(extension) => {
                write!(f, "the snapshot was taken without extension {extension}: leave it out")
            }
            Self::ExtensionState { extension, reason } => {
                write!(f, "extension {extension} does not read its state in the snapshot: {reason}")
            }
        }
    }
}

impl core::error::Error for RestoreError {}

impl Snapshot {
    /// The [`Engine::digest`] of the engine that it was taken of.
    #[must_use]
    pub fn digest(&self) -> u64 {
        self.engine.digest()
    }
}

impl Engine {
    /// A copy of the whole state.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot { version: SNAPSHOT_VERSION, engine: self.clone() }
    }

    /// Goes on where a snapshot was taken, of an engine without handlers.
    ///
    /// # Errors
    /// When the snapshot is of another layout, its parts do not fit together, or it was taken with handlers.
    pub fn restore(snapshot: Snapshot) -> Result<Self, RestoreError> {
        Self::restore_with_extensions(snapshot, Handlers::default())
    }

    /// Goes on where a snapshot was taken, with handlers of the same names, which take up their states.
    ///
    /// # Errors
    /// When the snapshot is of another layout, its parts do not fit together, or the handlers are not those that it was
    /// taken with.
    pub fn restore_with_extensions(snapshot: Snapshot, handlers: Handlers) -> Result<Self, RestoreError> {
        let Snapshot { version, mut engine } = snapshot;
        if version != SNAPSHOT_VERSION {
            return Err(RestoreError::Version { found: version, expected: SNAPSHOT_VERSION });
        }
        engine.extensions.take_up(handlers)?;
        engine.check().map_err(RestoreError::Inconsistent)?;
        Ok(engine)
    }
}
