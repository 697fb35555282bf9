//! What a generator counts.

use std::time::Duration;

use anyhow::Context;
use hdrhistogram::Histogram;
use serde::Serialize;

/// The longest latency that is told apart, in nanoseconds; what is longer counts as this.
const LATENCY_MAX_NS: u64 = 60_000_000_000;

/// Counts of a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
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

impl Counts {
    fn since(self, then: Self) -> Self {
        Self {
            deliveries: self.deliveries - then.deliveries,
            changes: self.changes - then.changes,
            logins: self.logins - then.logins,
            entries: self.entries - then.entries,
            connects: self.connects - then.connects,
        }
    }

    fn plus(self, more: Self) -> Self {
        Self {
            deliveries: self.deliveries + more.deliveries,
            changes: self.changes + more.changes,
            logins: self.logins + more.logins,
            entries: self.entries + more.entries,
            connects: self.connects + more.connects,
        }
    }
}

/// What must not be, from the first message to the last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
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

/// What of all that happens is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Record {
    /// Nothing.
    Nothing,
    /// Only the latency, as that of a time to compare with.
    Calm,
    /// Everything.
    Everything,
}

/// All that is counted.
pub(crate) struct Tally {
    /// Since the generator began.
    pub(crate) counts: Counts,
    /// Since the generator began.
    pub(crate) faults: Faults,
    /// Deliveries that what has been said will make.
    pub(crate) due_ever: u64,
    record: Record,
    /// What was measured until `begin`.
    measured: Counts,
    /// Where the time that is measured now began.
    begin: Counts,
    /// From when a message was due to when a member received it, in nanoseconds.
    latency: Histogram<u64>,
    /// The same in the time to compare with.
    calm: Histogram<u64>,
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
            record: Record::Nothing,
            measured: Counts::default(),
            begin: Counts::default(),
            latency: histogram()?,
            calm: histogram()?,
            lateness: histogram()?,
        })
    }

    /// From now on this is measured, and added to what was measured so before.
    pub(crate) fn record(&mut self, record: Record) {
        self.measured = self.counted();
        self.begin = self.counts;
        self.record = record;
    }

    /// What was counted in all the time in which everything is measured.
    pub(crate) fn counted(&self) -> Counts {
        match self.record {
            Record::Everything => self.measured.plus(self.counts.since(self.begin)),
            Record::Nothing | Record::Calm => self.measured,
        }
    }

    /// Deliveries since the generator began.
    pub(crate) fn heard_ever(&self) -> u64 {
        self.counts.deliveries
    }

    pub(crate) fn heard_after(&mut self, nanoseconds: u64) {
        match self.record {
            Record::Everything => self.latency.saturating_record(nanoseconds),
            Record::Calm => self.calm.saturating_record(nanoseconds),
            Record::Nothing => {}
        }
    }

    pub(crate) fn sent_late(&mut self, by: Duration) {
        if self.record == Record::Everything {
            self.lateness.saturating_record(by.as_nanos() as u64);
        }
    }

    /// Nanoseconds from due to received.
    pub(crate) fn latency(&self) -> &Histogram<u64> {
        &self.latency
    }

    /// The same in the time to compare with.
    pub(crate) fn calm(&self) -> &Histogram<u64> {
        &self.calm
    }

    /// Nanoseconds from due to sent.
    pub(crate) fn lateness(&self) -> &Histogram<u64> {
        &self.lateness
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_falls_into_measured_times_is_measured() {
        let mut tally = Tally::new().unwrap();
        for (record, logins, latency) in [
            (Record::Nothing, 1, 10),
            (Record::Calm, 2, 20),
            (Record::Everything, 4, 30),
            (Record::Nothing, 8, 40),
            (Record::Calm, 16, 50),
            (Record::Everything, 32, 60),
        ] {
            tally.record(record);
            tally.counts.logins += logins;
            tally.heard_after(latency);
            tally.sent_late(Duration::from_nanos(latency));
        }
        assert_eq!((tally.counts.logins, tally.counted().logins), (63, 36));
        let values =
            |histogram: &Histogram<u64>| histogram.iter_recorded().map(|step| step.value_iterated_to()).collect();
        let seen: [Vec<u64>; 3] = [tally.latency(), tally.calm(), tally.lateness()].map(values);
        assert_eq!(seen, [[30, 60], [20, 50], [30, 60]]);
    }
}
