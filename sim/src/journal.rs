//! The journals of simulated daemons. Every life of a daemon records what its engine is told, and this holds the records
//! against what must be:
//!
//! 1. They can be *replayed*. An engine that begins as a part of the journal does, with extensions made anew, has as much
//!    to say about every entry as was recorded, is in the state with which the next part begins, and at a clean end in the
//!    state that was written down. So nothing changes an engine but what it is told, all of that is in the journal, and
//!    all that decides what comes of it is in its snapshot. Services are not asked again, and middleware is not run again:
//!    what they bring is among the inputs.
//! 2. Its *sessions* have names of their own, and what comes of each comes in an order that can be: see [`sessions`].
//! 3. A life that has ended by itself has written so, and nothing behind it.
//!
//! Time cannot go back in a journal, by its format. That a deadline is due when the engine is told of the time is nowhere
//! promised: the driver's timer may come too early, and often does when another turn was earlier.
//!
//! A part is looked through when the next one has begun, or its life is over, and is dropped then: what is kept does not
//! grow with the length of a run. So a violation is found somewhat later than it happens, and names the entry.

mod sessions;
mod tape;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use lobbyd_core::engine::RestoreError;
use lobbyd_core::id::SessionId;
use lobbyd_net::journal::{Damage, Difference, Event, JournalSink, Part, Replay};

use self::sessions::Sessions;
use self::tape::Tape;
use crate::extend::Extend;

/// What a journal must not say, or does not say and must.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Breach {
    /// It cannot be read.
    #[error("it cannot be read, so what was written is not what an engine was told: {0}")]
    Damaged(#[from] Damage),
    /// No engine can be made of the state with which a part begins.
    #[error("part {part} begins with a state that no engine takes up: {why}")]
    Lifeless {
        /// Which, counted from 0.
        part: u64,
        /// Why not.
        why: RestoreError,
    },
    /// A part does not go on where the one before it ended.
    #[error(
        "part {part} begins after {found} entries ({lost} lost), and {read} were read; look for who hands over too few"
    )]
    Gap {
        /// Which part, counted from 0.
        part: u64,
        /// How many entries its beginning counts before it.
        found: u64,
        /// How many of these it counts as lost.
        lost: u64,
        /// How many were read.
        read: u64,
    },
    /// The replayed engine does something else.
    #[error("replayed, not the same is done: {0}; look for what is told unrecorded, or not in the snapshot")]
    Different(Difference),
    /// A new session is named like an earlier one.
    #[error(
        "entry {entry} names a new session {session}, and {before} had that slot before, whose mail may reach the new \
         one; look for a slot that is given away again without a higher generation"
    )]
    NamedAgain {
        /// Which entry, counted from 0 since the engine's beginning.
        entry: u64,
        /// The new session.
        session: SessionId,
        /// The last one that had its slot.
        before: SessionId,
    },
    /// Something comes of a session that has never connected, or whose slot another one has since.
    #[error("entry {entry} is {what} {session}, which is not connected; look for who keeps names of sessions too long")]
    Stranger {
        /// Which entry, counted from 0 since the engine's beginning.
        entry: u64,
        /// What it says.
        what: &'static str,
        /// Of which session.
        session: SessionId,
    },
    /// Something comes of a session that cannot come any more.
    #[error("entry {entry} is {what} {session}, after {before}; look for who goes on reading or telling after that")]
    TooLate {
        /// Which entry, counted from 0 since the engine's beginning.
        entry: u64,
        /// What it says.
        what: &'static str,
        /// Of which session.
        session: SessionId,
        /// What had come before.
        before: &'static str,
    },
    /// The engine never came back from an entry, and its daemon went on.
    #[error("entry {entry} has no outcome, as if the engine had broken down there, which nobody has noticed")]
    Unanswered {
        /// Which, counted from 0 since the engine's beginning.
        entry: u64,
    },
    /// Something follows after the end.
    #[error("entry {entry} follows after the end; look for who uses an engine after its node has ended")]
    AfterTheEnd {
        /// Which, counted from 0 since the engine's beginning.
        entry: u64,
    },
    /// A daemon has ended by itself, and its journal does not say so.
    #[error(
        "its node has ended by itself, and its last entry does not say so; look for who does not finish the journal"
    )]
    NoEnd,
}

impl From<Difference> for Breach {
    fn from(difference: Difference) -> Self {
        Self::Different(difference)
    }
}

/// The journals of a daemon, one of each of its lives.
pub(crate) struct Journals {
    daemon: String,
    extend: Extend,
    lives: VecDeque<Journal>,
    /// How many lives there were before the first of these.
    forgotten: u32,
}

impl Journals {
    /// Of this daemon, which has these extensions and has not begun to live.
    pub(crate) fn new(daemon: &str, extend: &Extend) -> Self {
        Self { daemon: daemon.to_owned(), extend: extend.clone(), lives: VecDeque::new(), forgotten: 0 }
    }

    /// A life begins, and the one before is over. Its parts are so many times as long as the state that they begin with, if
    /// that is small.
    pub(crate) fn begin(&mut self, length: u32) -> Box<dyn JournalSink> {
        let journal = Journal::new(length);
        let sink = journal.sink();
        self.lives.push_back(journal);
        sink
    }

    /// The present life has ended by itself.
    pub(crate) fn end(&mut self) {
        if let Some(present) = self.lives.back_mut() {
            present.must_have_ended = true;
        }
    }

    /// Looks through the parts that are complete.
    ///
    /// # Errors
    /// Says in which journal what is not as it must be.
    pub(crate) fn audit(&mut self) -> Result<(), String> {
        while self.lives.len() > 1 {
            self.audit_life(Journal::finish)?;
            self.lives.pop_front();
            self.forgotten += 1;
        }
        self.audit_life(Journal::audit)
    }

    /// Looks through all the rest. To be called once, when nothing is recorded any more.
    ///
    /// # Errors
    /// As [`Self::audit`].
    pub(crate) fn finish(&mut self) -> Result<(), String> {
        self.audit()?;
        self.audit_life(Journal::finish)
    }

    /// Does it to the first of the lives.
    fn audit_life(&mut self, audit: impl FnOnce(&mut Journal, &Extend) -> Result<(), Breach>) -> Result<(), String> {
        let Self { daemon, extend, lives, forgotten } = self;
        let Some(journal) = lives.front_mut() else { return Ok(()) };
        audit(journal, extend).map_err(|breach| format!("the journal of {daemon}, life {}: {breach}", *forgotten + 1))
    }
}

/// The journal of one life of a daemon, and how far it was looked through.
struct Journal {
    tape: Tape,
    sessions: Sessions,
    /// As the last part that was looked through has left it.
    replay: Option<Replay>,
    has_ended: bool,
    must_have_ended: bool,
}

impl Journal {
    fn new(length: u32) -> Self {
        Self {
            tape: Tape::new(length),
            sessions: Sessions::default(),
            replay: None,
            has_ended: false,
            must_have_ended: false,
        }
    }

    fn sink(&self) -> Box<dyn JournalSink> {
        Box::new(self.tape.clone())
    }

    /// Looks through the parts that are complete, and drops them.
    fn audit(&mut self, extend: &Extend) -> Result<(), Breach> {
        while let Some(part) = self.tape.take_complete() {
            self.audit_part(&part, extend)?;
        }
        Ok(())
    }

    /// Looks through the rest.
    fn finish(&mut self, extend: &Extend) -> Result<(), Breach> {
        self.audit(extend)?;
        if let Some(part) = self.tape.take_last() {
            self.audit_part(&part, extend)?;
        }
        if self.must_have_ended && !self.has_ended { Err(Breach::NoEnd) } else { Ok(()) }
    }

    fn audit_part(&mut self, bytes: &[u8], extend: &Extend) -> Result<(), Breach> {
        let part = Part::read(bytes)?;
        let (entries, beginning) = (part.entries(), part.beginning);
        let (read, continues) = match &self.replay {
            None => (0, beginning.entries == 0 && beginning.lost == 0),
            Some(replay) => (replay.entries(), replay.is_continued(&beginning)?),
        };
        let part = beginning.part;
        if !continues {
            return Err(Breach::Gap { part, found: beginning.entries, lost: beginning.lost, read });
        }
        // Anew, so that the snapshot has to hold all that the engine needs.
        let replay = Replay::new(beginning, extend.make()).map_err(|why| Breach::Lifeless { part, why })?;
        let replay = self.replay.insert(replay);
        for entry in entries {
            let (content, outcome) = entry?;
            let entry = replay.entries();
            if self.has_ended {
                return Err(Breach::AfterTheEnd { entry });
            }
            match &content.event {
                Event::Input(input) => self.sessions.follow(entry, input)?,
                Event::Timeout => {}
                Event::End { .. } => self.has_ended = true,
            }
            // Replayed, it would break down again.
            if outcome.is_none() {
                return Err(Breach::Unanswered { entry });
            }
            replay.step(&content, outcome)?;
        }
        Ok(())
    }
}
