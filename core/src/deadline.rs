//! Every deadline of the engine, in one table.

use alloc::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::id::{CallTicket, RoomNumber, SessionId};
use crate::time::Instant;

/// What is to be looked at when its moment has come. Deadlines of the same moment fire in the order of this type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Deadline {
    /// A session may have been silent for too long. It is armed once per interval, not once per packet: when it fires,
    /// the session is asked when it was last heard.
    Heartbeat(SessionId),
    /// A session has not logged in, or its login has not had a verdict.
    Login(SessionId),
    /// A room that is not fixed has been empty for long enough.
    EmptyRoom(RoomNumber),
    /// A session's own moment to be closed while the server drains.
    DrainSession(SessionId),
    /// The drain is over.
    DrainEnd,
    /// An extension has kept a command for too long without an answer.
    Command(SessionId, u64),
    /// A service has not answered.
    ServiceCall(CallTicket),
    /// A deadline that the extension in this place has set for itself, by its key.
    Extension(u32, u64),
}

/// Armed deadlines. Whoever arms one remembers its moment, so that it can be disarmed exactly: nothing stale stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Deadlines {
    armed: BTreeSet<(Instant, Deadline)>,
}

impl Deadlines {
    pub(crate) fn arm(&mut self, at: Instant, deadline: Deadline) {
        assert!(self.armed.insert((at, deadline)), "a deadline is armed once: {deadline:?}");
    }

    pub(crate) fn disarm(&mut self, at: Instant, deadline: Deadline) {
        assert!(self.armed.remove(&(at, deadline)), "only an armed deadline is disarmed: {deadline:?}");
    }

    /// The moment of the first one.
    pub(crate) fn next_at(&self) -> Option<Instant> {
        self.armed.first().map(|(at, _)| *at)
    }

    /// Takes out the first one if it is due.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<Deadline> {
        if self.next_at()? > now {
            return None;
        }
        self.armed.pop_first().map(|(_, deadline)| deadline)
    }

    pub(crate) fn len(&self) -> usize {
        self.armed.len()
    }

    pub(crate) fn contains(&self, at: Instant, deadline: Deadline) -> bool {
        self.armed.contains(&(at, deadline))
    }
}
