//! What waits for the disk: the engine's thread puts it in without waiting, the writer's takes it out.

use std::mem;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lobbyd_net::journal::Beginning;

/// Something to be written.
pub(super) enum Piece {
    /// A part begins.
    Beginning(Box<Beginning>),
    /// Entries of the part that began last.
    Entries(Vec<u8>),
}

/// Why entries are not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Too much waits.
    Full,
    /// The disk does not take anything, or did not, so that they would be behind a gap.
    Broken,
}

#[derive(Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    /// Who writes waits for work.
    work: Condvar,
    /// Or, while it lets some work gather, for the end alone.
    end: Condvar,
}

#[derive(Default)]
struct State {
    pieces: Vec<Piece>,
    /// The bytes of entries that wait, and of those that are being written.
    bytes: usize,
    /// Something is being written.
    is_writing: bool,
    /// The disk does not take anything.
    is_broken: bool,
    /// What was to be written is lost, so that entries would be behind a gap until a part begins.
    is_interrupted: bool,
    has_ended: bool,
}

/// What the writer has to do. When it has, it says so by [`Queue::wrote`] or [`Queue::break_down`].
pub(super) struct Work {
    pub(super) pieces: Vec<Piece>,
    /// Nothing more will come.
    pub(super) is_last: bool,
}

impl Queue {
    pub(super) fn begin(&self, beginning: Beginning) {
        let mut state = self.lock();
        state.is_interrupted = false;
        state.pieces.push(Piece::Beginning(Box::new(beginning)));
        drop(state);
        self.work.notify_one();
    }

    /// Takes entries, if no more than so many bytes wait then and nothing before them is lost.
    pub(super) fn put(&self, entries: &[u8], bytes_max: usize) -> Result<(), Refusal> {
        let mut state = self.lock();
        if state.is_broken || state.is_interrupted {
            return Err(Refusal::Broken);
        }
        if state.bytes + entries.len() > bytes_max {
            return Err(Refusal::Full);
        }
        state.bytes += entries.len();
        if let Some(Piece::Entries(waiting)) = state.pieces.last_mut() {
            waiting.extend_from_slice(entries);
            return Ok(());
        }
        state.pieces.push(Piece::Entries(entries.to_owned()));
        drop(state);
        self.work.notify_one();
        Ok(())
    }

    /// Whether everything is written and the disk takes more.
    pub(super) fn is_clear(&self) -> bool {
        let state = self.lock();
        state.pieces.is_empty() && !state.is_writing && !state.is_broken
    }

    /// Whether a part waits to begin.
    pub(super) fn has_beginning(&self) -> bool {
        self.lock().pieces.iter().any(|piece| matches!(piece, Piece::Beginning(_)))
    }

    /// Nothing more comes.
    pub(super) fn end(&self) {
        self.lock().has_ended = true;
        self.work.notify_one();
        self.end.notify_one();
    }

    /// Waits until something is there, lets more of it gather for so long, and takes it.
    pub(super) fn take(&self, gather: Duration) -> Work {
        let state = self.lock();
        let is_idle = |state: &mut State| state.pieces.is_empty() && !state.has_ended;
        let state = self.work.wait_while(state, is_idle).unwrap_or_else(PoisonError::into_inner);
        let mut state = self.wait(state, gather);
        state.is_writing = true;
        Work { pieces: mem::take(&mut state.pieces), is_last: state.has_ended }
    }

    /// So many bytes of entries are written.
    pub(super) fn wrote(&self, bytes: usize) {
        let mut state = self.lock();
        state.bytes -= bytes;
        state.is_writing = false;
    }

    /// The disk does not take anything until it is [repaired](Self::repair). What waits is dropped.
    pub(super) fn break_down(&self) {
        let mut state = self.lock();
        (state.is_broken, state.is_interrupted, state.is_writing) = (true, true, false);
        state.bytes = 0;
        let dropped = mem::take(&mut state.pieces);
        drop(state);
        // It may be much, and nobody waits for that.
        drop(dropped);
    }

    /// The disk may take something again.
    pub(super) fn repair(&self) {
        self.lock().is_broken = false;
    }

    /// Waits so long, or until the end. Says whether that has come.
    pub(super) fn rest(&self, time: Duration) -> bool {
        self.wait(self.lock(), time).has_ended
    }

    fn wait<'s>(&self, state: MutexGuard<'s, State>, time: Duration) -> MutexGuard<'s, State> {
        let waited = self.end.wait_timeout_while(state, time, |state| !state.has_ended);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing can panic while it is locked.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
