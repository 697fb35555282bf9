//! Metrics: how many packets of each kind, how they went, and how long the engine took.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{Middleware, Outcome, Packet, Passage};

/// One packet in so many is timed: to read the clock for each would cost more than all the rest of this.
const TIMED_EVERY: u32 = 16;

/// Counts packets by their kind, and times some of them. The handle reads the figures, from any thread.
#[derive(Debug, Default)]
pub struct PacketMetrics {
    figures: Arc<Mutex<Figures>>,
    /// Packets since the last one that was timed.
    untimed: u32,
}

/// Reads the figures of a [`PacketMetrics`]. Cheap to clone.
#[derive(Clone, Debug)]
pub struct PacketMetricsHandle {
    figures: Arc<Mutex<Figures>>,
}

/// By the kind's name.
type Figures = BTreeMap<&'static str, PacketFigures>;

/// The figures of one kind of packet, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PacketFigures {
    /// How many were done.
    pub done: u64,
    /// How many were refused.
    pub refused: u64,
    /// How many were to be answered later.
    pub waiting: u64,
    /// How many closed their session.
    pub closed: u64,
    /// How many of them were timed: one in sixteen, whatever its kind.
    pub timed: u64,
    /// How long the engine took for all that were timed.
    pub spent: Duration,
    /// How long it took for the slowest of these.
    pub slowest: Duration,
}

impl PacketMetrics {
    /// Nothing counted yet, and a handle to read it.
    #[must_use]
    pub fn new() -> (Self, PacketMetricsHandle) {
        let figures = Arc::default();
        (Self { figures: Arc::clone(&figures), untimed: 0 }, PacketMetricsHandle { figures })
    }
}

impl PacketMetricsHandle {
    /// The figures of each kind of packet that has come, by the kind's name.
    #[must_use]
    pub fn figures(&self) -> BTreeMap<&'static str, PacketFigures> {
        locked(&self.figures).clone()
    }
}

/// What is in the lock is whole at every moment, also if somebody has panicked beside it.
fn locked(figures: &Mutex<Figures>) -> MutexGuard<'_, Figures> {
    figures.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Middleware for PacketMetrics {
    fn name(&self) -> &str {
        "packet metrics"
    }

    fn after(&mut self, _: &Passage<'_>, packet: &Packet<'_>, outcome: Outcome, spent: Duration) {
        let mut figures = locked(&self.figures);
        let kind = figures.entry(packet.name()).or_default();
        *match outcome {
            Outcome::Done => &mut kind.done,
            Outcome::Refused(_) => &mut kind.refused,
            Outcome::Waits => &mut kind.waiting,
            Outcome::Closed(_) => &mut kind.closed,
        } += 1;
        if self.untimed == 0 {
            kind.timed += 1;
            kind.spent += spent;
            kind.slowest = kind.slowest.max(spent);
        }
        self.untimed = (self.untimed + 1) % TIMED_EVERY;
    }

    fn is_timed(&self) -> bool {
        self.untimed == 0
    }
}
