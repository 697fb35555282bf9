//! What a generator counts.

use std::time::Duration;

use anyhow::Context;
use hdrhistogram::Histogram;
use serde::Serialize;

/// The longest latency that is told apart, in nanoseconds; what is longer counts as this.
const LATENCY_MAX_NS: u64 = 60_000_000_000;

/// Counts of a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Messages that members have received.
    pub deliveries: u64,
    /// Other changes of rooms that members have been told.
    pub changes: u64,
    /// Logins.
    pub logins: u64,
    /// Times that a client has entered a room.
    pub entries: u64,
    /// Connections that were made and greeted.
    pub connects: u64,
}

/// What must not be, from the first message to the last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Faults {
    /// Deliveries that did not come.
    pub lost: u64,
    /// Deliveries that came twice or too late in their order.
    pub repeated: u64,
    /// Gaps and steps back in the numbers of a room's changes.
    pub sequence: u64,
    /// Texts that nobody has sent.
    pub strange: u64,
    /// No fault: those who did not read and were closed by the server.
    pub sleepers_closed: u64,
}

impl Faults {
    /// Whether everything came, once and in order.
    #[must_use]
    pub fn is_fine(&self) -> bool {
        let Self { lost, repeated, sequence, strange, sleepers_closed: _ } = *self;
        lost + repeated + sequence + strange == 0
    }
}

/// All that is counted.
pub(crate) struct Tally {
    /// Since the generator began.
    pub(crate) counts: Counts,
    /// Since the generator began.
    pub(crate) faults: Faults,
    /// Deliveries that what has been said will make.
    pub(crate) due_ever: u64,
    /// Where the measured time began.
    begin: Counts,
    /// From when a message was due to when a member received it, in nanoseconds.
    latency: Histogram<u64>,
    /// From when a message was due to when the generator said it: what of the latency is the generator's own.
    lateness: Histogram<u64>,
}

impl Tally {
    pub(crate) fn new() -> anyhow::Result<Self> {
        let histogram = || Histogram::new_with_bounds(1, LATENCY_MAX_NS, 3).context("a histogram cannot be made");
        Ok(Self {
            counts: Counts::default(),
            faults: Faults::default(),
            due_ever: 0,
            begin: Counts::default(),
            latency: histogram()?,
            lateness: histogram()?,
        })
    }

    /// Begins a measured time.
    pub(crate) fn begin(&mut self) {
        self.begin = self.counts;
        self.latency.reset();
        self.lateness.reset();
    }

    /// What was counted in the measured time.
    pub(crate) fn counted(&self) -> Counts {
        let (now, then) = (self.counts, self.begin);
        Counts {
            deliveries: now.deliveries - then.deliveries,
            changes: now.changes - then.changes,
            logins: now.logins - then.logins,
            entries: now.entries - then.entries,
            connects: now.connects - then.connects,
        }
    }

    /// Deliveries since the generator began.
    pub(crate) fn heard_ever(&self) -> u64 {
        self.counts.deliveries
    }

    pub(crate) fn heard_after(&mut self, nanoseconds: u64) {
        self.latency.saturating_record(nanoseconds);
    }

    pub(crate) fn sent_late(&mut self, by: Duration) {
        self.lateness.saturating_record(by.as_nanos() as u64);
    }

    /// Nanoseconds from due to received.
    pub(crate) fn latency(&self) -> &Histogram<u64> {
        &self.latency
    }

    /// Nanoseconds from due to sent.
    pub(crate) fn lateness(&self) -> &Histogram<u64> {
        &self.lateness
    }
}
