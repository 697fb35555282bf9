//! What a journal says.

use std::time::Duration;

use lobbyd_core::action::Actions;
use lobbyd_core::engine::Snapshot;
use lobbyd_core::input::Input;
use lobbyd_core::time::Instant;
use serde::{Deserialize, Serialize};

/// What a part is of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heading {
    /// The program that recorded it and its version: only the same one is sure to do the same again.
    pub program: String,
    /// Names the life of the server that it is of, so that parts of several are told apart.
    pub run: u64,
    /// When the part began, in milliseconds since 1970 (UTC), by that machine's clock.
    pub unix_ms: u64,
}

/// Where a part of a journal begins.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Beginning {
    /// How many parts the engine had before this one.
    pub part: u64,
    /// How many entries the engine had before this part.
    pub entries: u64,
    /// How many of these are in no part, because the sink could not take them.
    pub lost: u64,
    /// The engine's time.
    pub now: Instant,
    /// The engine's state.
    pub snapshot: Snapshot,
}

/// One call of the engine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry<I> {
    /// How long after the entry before it, or after the beginning of the part.
    pub after_ns: u64,
    /// What the engine was told.
    pub event: Event<I>,
}

/// What an engine is told: see [`lobbyd_core::Engine`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event<I> {
    /// An input was handed in.
    Input(I),
    /// It was told that a deadline may be due.
    Timeout,
    /// Nothing: it is not used any more, and this was its digest.
    End {
        /// [`lobbyd_core::Engine::digest`].
        digest: u64,
    },
}

/// An entry as it is read.
pub(super) type Read<'a> = Entry<Input<'a>>;

impl<I> Entry<I> {
    /// How long after the entry before it, or after the beginning of the part.
    #[must_use]
    pub fn after(&self) -> Duration {
        Duration::from_nanos(self.after_ns)
    }
}

/// How much the engine had to say about an entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// How many actions.
    pub actions: u64,
    /// How many recipients the broadcasts among them have in all.
    pub recipients: u64,
}

impl Outcome {
    /// How much is in the buffer.
    #[must_use]
    pub fn of(actions: &Actions) -> Self {
        Self { actions: actions.len() as u64, recipients: actions.recipient_count() as u64 }
    }

    /// What is more than before.
    pub(super) fn since(self, before: Self) -> Self {
        Self { actions: self.actions - before.actions, recipients: self.recipients - before.recipients }
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let plural = |count| if count == 1 { "" } else { "s" };
        write!(f, "{} action{}", self.actions, plural(self.actions))?;
        if self.recipients > 0 {
            write!(f, " with {} recipient{}", self.recipients, plural(self.recipients))?;
        }
        Ok(())
    }
}
