//! Metrics: how many packets of each kind, how they went, and how long the engine took.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::interest::KINDS;
use super::{Interest, Middleware, Outcome, Packet, PacketKind, Passage};

/// Counts packets by their kind, and times some of them. The handle reads the figures, from any thread.
///
/// ```
/// use lobbyd_net::extension::Extensions;
/// use lobbyd_net::extension::middleware::PacketMetrics;
///
/// let (metrics, handle) = PacketMetrics::new();
/// let mut extensions = Extensions::new();
/// extensions.middleware(metrics);
/// // The handle stays with the program, which asks it whenever it likes.
/// assert!(handle.figures().is_empty());
/// ```
#[derive(Debug, Default)]
pub struct PacketMetrics {
    figures: Arc<Figures>,
}

/// Reads the figures of a [`PacketMetrics`]. Cheap to clone.
#[derive(Clone, Debug)]
pub struct PacketMetricsHandle {
    figures: Arc<Figures>,
}

/// By the kind's number.
type Figures = [Counters; KINDS];

/// What is counted of one kind. Only the middleware writes, and neither side ever waits for the other.
/// Those of one kind are in one line of the processor's cache.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Counters {
    done: AtomicU64,
    refused: AtomicU64,
    waiting: AtomicU64,
    closed: AtomicU64,
    timed: AtomicU64,
    spent_ns: AtomicU64,
    slowest_ns: AtomicU64,
}

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
    /// How many of them were timed: the first one, and one in 64, or all if other middleware wants that.
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
        (Self { figures: Arc::clone(&figures) }, PacketMetricsHandle { figures })
    }
}

impl PacketMetricsHandle {
    /// The figures of each kind of packet that has come, by the kind's name. What is counted while they are read may be
    /// in some of them and not yet in others.
    #[must_use]
    pub fn figures(&self) -> BTreeMap<&'static str, PacketFigures> {
        let named = PacketKind::ALL.iter().map(|kind| (kind.name(), self.figures[kind.place()].read()));
        named.filter(|(_, figures)| *figures != PacketFigures::default()).collect()
    }
}

impl Counters {
    fn read(&self) -> PacketFigures {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        PacketFigures {
            done: read(&self.done),
            refused: read(&self.refused),
            waiting: read(&self.waiting),
            closed: read(&self.closed),
            timed: read(&self.timed),
            spent: Duration::from_nanos(read(&self.spent_ns)),
            slowest: Duration::from_nanos(read(&self.slowest_ns)),
        }
    }

    fn time(&self, spent: Duration) {
        let nanos = u64::try_from(spent.as_nanos()).unwrap_or(u64::MAX);
        add(&self.timed, 1);
        add(&self.spent_ns, nanos);
        self.slowest_ns.store(self.slowest_ns.load(Ordering::Relaxed).max(nanos), Ordering::Relaxed);
    }
}

/// Without a locked instruction, which a single writer does not need.
fn add(counter: &AtomicU64, count: u64) {
    counter.store(counter.load(Ordering::Relaxed).saturating_add(count), Ordering::Relaxed);
}

impl Middleware for PacketMetrics {
    fn name(&self) -> &str {
        "packet metrics"
    }

    fn interest(&self) -> Interest {
        Interest::nothing().after(PacketKind::ALL)
    }

    fn after(&mut self, passage: &Passage<'_>, packet: &Packet<'_>, outcome: Outcome) {
        let counters = &self.figures[PacketKind::of(packet).place()];
        let counter = match outcome {
            Outcome::Done => &counters.done,
            Outcome::Refused(_) => &counters.refused,
            Outcome::Waits => &counters.waiting,
            Outcome::Closed(_) => &counters.closed,
        };
        add(counter, 1);
        if let Some(spent) = passage.spent() {
            counters.time(spent);
        }
    }
}
