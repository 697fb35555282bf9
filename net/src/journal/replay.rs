//! Tells an engine again what a journal says that another one was told.

use lobbyd_core::Engine;
use lobbyd_core::action::Actions;
use lobbyd_core::engine::RestoreError;
use lobbyd_core::input::Input;
use lobbyd_core::time::Instant;

use super::entry::{Beginning, Entry, Event, Outcome};
use super::recorder::RecordedEngine;
use crate::extension::Extensions;

/// An engine that is told what a journal says, and compared with what is recorded of the other one.
#[derive(Debug)]
pub struct Replay {
    engine: RecordedEngine,
    actions: Actions,
    now: Instant,
    entries: u64,
    lost: u64,
}

/// The engine does something else than was recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Difference {
    /// It has more or less to say about an entry.
    #[error("entry {entry}: the engine answers with {found}, and {recorded} were recorded")]
    Outcome {
        /// Which, counted from 0 since the engine's beginning.
        entry: u64,
        /// How much it says now.
        found: Outcome,
        /// How much was recorded.
        recorded: Outcome,
    },
    /// Its state is another one behind an entry.
    #[error("after {entries} entries the engine's digest is {found:016x}, and {recorded:016x} was recorded")]
    State {
        /// So many entries since the engine's beginning.
        entries: u64,
        /// Its digest now.
        found: u64,
        /// What was recorded.
        recorded: u64,
    },
}

impl Replay {
    /// Begins where a part does, with extensions like those that the engine had.
    ///
    /// # Errors
    /// When the state is of another build, or had other extensions.
    pub fn new(beginning: Beginning, extensions: Extensions) -> Result<Self, RestoreError> {
        let Beginning { entries, lost, now, snapshot, .. } = beginning;
        let engine = extensions.restore(snapshot)?.engine;
        Ok(Self { engine, actions: Actions::new(), now, entries, lost })
    }

    /// Tells the engine what an entry says. What it wants done is in [`Replay::actions`].
    ///
    /// # Errors
    /// When that is another number of actions or recipients than was recorded, or the engine's end another state.
    ///
    /// # Panics
    /// Where the recorded engine did: only an entry without an outcome can.
    pub fn step(&mut self, entry: &Entry<Input<'_>>, recorded: Option<Outcome>) -> Result<(), Difference> {
        self.actions.clear();
        let number = self.entries;
        self.entries += 1;
        self.now = self.now + entry.after();
        match &entry.event {
            Event::Input(input) => self.engine.handle_input(self.now, input.clone(), &mut self.actions),
            Event::Timeout => self.engine.handle_timeout(self.now, &mut self.actions),
            Event::End { digest } => self.compare(*digest)?,
        }
        let found = Outcome::of(&self.actions);
        match recorded {
            Some(recorded) if recorded != found => Err(Difference::Outcome { entry: number, found, recorded }),
            Some(_) | None => Ok(()),
        }
    }

    /// What the engine wants done about the last entry.
    #[must_use]
    pub fn actions(&self) -> &Actions {
        &self.actions
    }

    /// Whether the part that begins there is the next one, so that this replay goes on with its entries. If not, entries
    /// are missing before it, and it needs a replay of its own.
    ///
    /// # Errors
    /// When it is, but begins in another state than the engine is in.
    pub fn is_continued(&self, beginning: &Beginning) -> Result<bool, Difference> {
        if beginning.entries != self.entries || beginning.lost != self.lost {
            return Ok(false);
        }
        self.compare(beginning.snapshot.digest()).map(|()| true)
    }

    /// The engine.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The time of the last entry.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.now
    }

    /// How many entries the engine has had since its beginning, those before the first part that was replayed included.
    #[must_use]
    pub fn entries(&self) -> u64 {
        self.entries
    }

    fn compare(&self, recorded: u64) -> Result<(), Difference> {
        let found = self.engine.digest();
        if found == recorded { Ok(()) } else { Err(Difference::State { entries: self.entries, found, recorded }) }
    }
}
