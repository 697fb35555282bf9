//! What the I/O threads of a node share: the engine, which one of them holds at a time, and a mailbox for each.
//!
//! A thread *takes the helm* to step the engine and lets go of it at the end of its turn. Whatever a client is sent, from
//! whichever thread, comes in the order in which the engine said it: `relay.rs` sees to that.

use std::sync::PoisonError;
use std::task::Waker;

use lobbyd_core::action::Actions;
use lobbyd_core::id::SessionId;
use lobbyd_core::time::Instant;

use crate::extension::figures::ExtensionFigures;
use crate::extension::middleware::Chain;
use crate::journal::RecordedEngine;
use crate::parcel::{Outgoing, Parcel};
use crate::relay::{Packs, Relay};
use crate::sync::{AtomicUsize, Mutex, MutexGuard, Ordering};

/// The thread that accepts, and sees to what is no connection's affair.
pub(crate) const HOME: usize = 0;

/// What all threads of a node share.
pub(crate) struct Commons {
    relay: Relay<Helm>,
    /// The connections of each thread, with those that are on their way to it.
    connections: Vec<AtomicUsize>,
    /// So many more than a quarter above its share a thread may have for the sake of rooms.
    slack: usize,
    /// What each thread has named and may name again: sessions that have ended elsewhere.
    vacated: Vec<Mutex<Vec<SessionId>>>,
    started_at: tokio::time::Instant,
    /// Who waits for the end of the last connection.
    finish: Mutex<Option<Waker>>,
}

/// The engine, and what only its holder touches.
pub(crate) struct Helm {
    pub(crate) engine: RecordedEngine,
    /// What every packet passes on its way to the engine.
    pub(crate) chain: Chain,
    /// What the engine has to say about the present input.
    pub(crate) actions: Actions,
    /// What is counted of the engine's handlers.
    pub(crate) extension_figures: ExtensionFigures,
    /// What this turn has decided for other threads.
    pub(crate) outgoing: Outgoing,
    /// When the present turn began, or the last one; never goes back.
    pub(crate) now: Instant,
    /// A longer time without a turn may have been a stall: the heartbeat interval.
    pub(crate) pause_max_ns: u64,
    /// When the timer's task will come by itself.
    pub(crate) timer_at: Option<Instant>,
    pub(crate) timer: Option<Waker>,
}

impl Packs for Helm {
    type Parcel = Parcel;

    fn unload(&mut self, give: impl FnMut(usize, &mut Parcel, usize)) {
        self.outgoing.unload(give);
    }
}

impl Commons {
    pub(crate) fn new(
        engine: RecordedEngine,
        chain: Chain,
        extension_figures: ExtensionFigures,
        threads: usize,
        slack: usize,
    ) -> Self {
        let pause_max_ns = u64::try_from(engine.config().heartbeat_interval.as_nanos()).unwrap_or(u64::MAX);
        let helm = Helm {
            engine,
            chain,
            actions: Actions::new(),
            extension_figures,
            outgoing: Outgoing::new(threads),
            now: Instant::ZERO,
            pause_max_ns,
            timer_at: None,
            timer: None,
        };
        Self {
            relay: Relay::new(helm, threads),
            connections: (0..threads).map(|_| AtomicUsize::new(0)).collect(),
            slack,
            vacated: (0..threads).map(|_| Mutex::default()).collect(),
            started_at: tokio::time::Instant::now(),
            finish: Mutex::new(None),
        }
    }

    pub(crate) fn relay(&self) -> &Relay<Helm> {
        &self.relay
    }

    /// How many threads there are.
    pub(crate) fn threads(&self) -> usize {
        self.connections.len()
    }

    /// The thread with the fewest connections.
    pub(crate) fn least_busy(&self) -> usize {
        (0..self.threads()).min_by_key(|thread| self.connections_of(*thread)).unwrap_or(HOME)
    }

    /// How many connections a thread has, with those that are on their way to it.
    pub(crate) fn connections_of(&self, thread: usize) -> usize {
        self.connections[thread].load(Ordering::Acquire)
    }

    /// Whether a thread can take one more for the sake of a room: no thread is to have more than a quarter above its share,
    /// and the slack.
    pub(crate) fn has_space(&self, thread: usize) -> bool {
        (self.connections_of(thread) + 1) * self.threads() * 4
            <= self.connections() * 5 + self.slack * self.threads() * 4
    }

    /// How many there are on all threads.
    pub(crate) fn connections(&self) -> usize {
        (0..self.threads()).map(|thread| self.connections_of(thread)).sum()
    }

    /// One more is on its way to a thread.
    pub(crate) fn add_connection(&self, thread: usize) {
        self.connections[thread].fetch_add(1, Ordering::AcqRel);
    }

    /// One has gone from a thread.
    pub(crate) fn remove_connection(&self, thread: usize) {
        self.connections[thread].fetch_sub(1, Ordering::AcqRel);
    }

    /// The slot of a session that has ended away from the thread that has named it is free again. To be called by who holds
    /// the engine, when that knows of the end.
    pub(crate) fn vacate(&self, namer: usize, session: SessionId) {
        self.lock_vacated(namer).push(session);
    }

    /// Takes what that thread may name again.
    pub(crate) fn take_vacated(&self, namer: usize) -> Vec<SessionId> {
        std::mem::take(&mut self.lock_vacated(namer))
    }

    fn lock_vacated(&self, namer: usize) -> MutexGuard<'_, Vec<SessionId>> {
        // No panic can come while it is locked.
        self.vacated[namer].lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn started_at(&self) -> tokio::time::Instant {
        self.started_at
    }

    /// The engine's time, now.
    pub(crate) fn now(&self) -> Instant {
        let elapsed = self.started_at.elapsed().as_nanos();
        Instant::from_nanos(u64::try_from(elapsed).unwrap_or(u64::MAX))
    }

    /// Has this task woken when what it waits for at the end may have come: it looks after this.
    pub(crate) fn remember_finish(&self, waker: &Waker) {
        let old = self.finish.lock().unwrap_or_else(PoisonError::into_inner).replace(waker.clone());
        drop(old);
    }

    /// Wakes whoever waits for the end.
    pub(crate) fn call_finish(&self) {
        let finish = self.finish.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(finish) = finish {
            finish.wake();
        }
    }
}
