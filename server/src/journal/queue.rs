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
    /// The bytes of entries that wait.
    bytes: usize,
    /// The disk does not take anything.
    is_broken: bool,
    /// What was to be written is lost, so that entries would be behind a gap until a part begins.
    is_interrupted: bool,
    has_ended: bool,
}

/// What the writer has to do.
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

    /// Takes entries, if no more than so many bytes wait then and nothing before them is lost. Says whether it has.
    pub(super) fn put(&self, entries: &[u8], bytes_max: usize) -> bool {
        let mut state = self.lock();
        if state.is_broken || state.is_interrupted || state.bytes + entries.len() > bytes_max {
            return false;
        }
        state.bytes += entries.len();
        if let Some(Piece::Entries(waiting)) = state.pieces.last_mut() {
            waiting.extend_from_slice(entries);
            return true;
        }
        state.pieces.push(Piece::Entries(entries.to_owned()));
        drop(state);
        self.work.notify_one();
        true
    }

    /// Whether nothing waits any more and the disk takes it.
    pub(super) fn is_clear(&self) -> bool {
        let state = self.lock();
        state.pieces.is_empty() && !state.is_broken
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

    /// Says whether the disk takes what comes. What waits is dropped if not.
    pub(super) fn set_broken(&self, is_broken: bool) {
        let mut state = self.lock();
        state.is_broken = is_broken;
        if is_broken {
            state.is_interrupted = true;
            (state.pieces, state.bytes) = (Vec::new(), 0);
        }
    }

    /// Waits until something is there, lets more of it gather for so long, and takes it.
    pub(super) fn take(&self, gather: Duration) -> Work {
        let state = self.lock();
        let is_idle = |state: &mut State| state.pieces.is_empty() && !state.has_ended;
        let state = self.work.wait_while(state, is_idle).unwrap_or_else(PoisonError::into_inner);
        let mut state = self.wait(state, gather);
        state.bytes = 0;
        Work { pieces: mem::take(&mut state.pieces), is_last: state.has_ended }
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
