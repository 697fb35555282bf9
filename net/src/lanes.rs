//! Lanes: whose work goes first in the driver, and what each lane has carried.
//!
//! A *turn* steps the engine: with what a connection has brought, for the timer, for the system lane. Before a connection
//! is read, and between the flusher's writes, the whole system lane has a turn, as far as it is there; only then come the
//! packets of the connection, at most one budget of them. What is there:
//!
//! - a deadline that is due, a stream that broke, an outbox that is full: always;
//! - a verdict, a lease that was lost, an operator's command: from the moment that the store, the hash thread or the
//!   handle has said so, from whichever thread;
//! - an answer of Redis: from the moment that the transport has woken the link, which reads it at the beginning of the
//!   turn ([`Errands`](crate::Errands)). A login that waits for nothing else has its verdict in the same turn. What goes
//!   on from there to Redis, or from the link to the leases, takes a turn for each step;
//! - a connect: from the moment that the transport has woken the listener.
//!
//! What others can bring in any number has a share of each turn, so that no storm stops the packets: so many connects
//! of each listener, commands, lost leases (`tasks.rs`), so many reads from Redis (`redis/guard.rs`).
//!
//! So at most the rest of one connection's budget, or so many writes of the flusher (`hub/writing.rs`), comes between a system
//! input and its handling, however many connections have packets ready.
//!
//! Not promised is when a *socket* is looked at. tokio asks the system for readiness when no task is ready, and one task
//! visits all connections: it pauses after every 64 visits, and before whoever was woken meanwhile, so that a connect or
//! an answer is seen then. What goes to Redis is written in the same pauses, and scheduled futures of the user lane have
//! their turn.
//!
//! With several I/O threads each has lanes of its own. Verdicts, answers of Redis, commands, deadlines and the listener are
//! the first one's; whom it has accepted for another thread goes through that one's system lane, and so do streams that
//! broke and outboxes that are full on their own threads. Threads wait for each other only while one of them has the
//! engine: for at most one turn each. A thread that has a mebibyte of mail unread has all others rest from reading until it
//! has read it (`mailbox.rs`).
//!
//! Housekeeping is in the background lane: it goes one small step at a time, and only when no other lane has anything
//! waiting.

/// Whose work it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Lane {
    /// Connects, verdicts, deadlines, the ends of streams, the operator: before everything else.
    System,
    /// Packets of clients: one budget of each connection in turn.
    User,
    /// Housekeeping: when nothing else waits.
    Background,
}

impl Lane {
    /// Every lane, the first to go first.
    pub const ALL: [Self; 3] = [Self::System, Self::User, Self::Background];

    /// Its name in reports and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Background => "background",
        }
    }
}

/// How one lane stands. What is counted: inputs (system), packets (user), steps of housekeeping and of
/// scheduled futures (background).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LaneReport {
    /// What waits now. System: inputs and woken errands. User: connections that have used up their budget and have a
    /// whole packet left. Background: 1 if there is housekeeping to do.
    pub waiting: u64,
    /// The most that ever waited at once. System: as seen when turns begin, errands before they run and inputs after.
    /// Background: not measured, as there is at most one step. With several I/O threads, the sum of theirs.
    pub peak: u64,
    /// What was done since the start.
    pub handled: u64,
    /// How often work had to wait for a later turn: a budget was used up (user: of a connection), a share was (system:
    /// also if nothing was left), or another lane had something waiting (background).
    pub deferred: u64,
}

impl LaneReport {
    /// Adds the same lane of another thread.
    fn add(&mut self, other: Self) {
        let Self { waiting, peak, handled, deferred } = other;
        self.waiting += waiting;
        self.peak += peak;
        self.handled += handled;
        self.deferred += deferred;
    }

    /// Notes that one more waits.
    pub(crate) fn add_waiting(&mut self) {
        self.waiting += 1;
        self.peak = self.peak.max(self.waiting);
    }
}

/// How the lanes stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LanesReport {
    /// [`Lane::System`].
    pub system: LaneReport,
    /// [`Lane::User`].
    pub user: LaneReport,
    /// [`Lane::Background`].
    pub background: LaneReport,
}

impl LanesReport {
    /// Adds the lanes of another thread.
    pub(crate) fn add(&mut self, other: Self) {
        let Self { system, user, background } = other;
        self.system.add(system);
        self.user.add(user);
        self.background.add(background);
    }

    /// How one of them stands.
    #[must_use]
    pub const fn of(&self, lane: Lane) -> LaneReport {
        match lane {
            Lane::System => self.system,
            Lane::User => self.user,
            Lane::Background => self.background,
        }
    }
}
