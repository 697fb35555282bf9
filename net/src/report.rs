//! How the driver stands: what its operator can ask for at any time.

use std::time::Duration;

use lobbyd_core::engine::Counts;

use crate::lanes::LanesReport;
use crate::pool::PoolReport;

/// How the driver stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// What the engine holds.
    pub counts: Counts,
    /// Connections, those that are being closed included.
    pub connections: u64,
    /// What went through since the start.
    pub traffic: Traffic,
    /// What waits in the lanes and what they have carried.
    pub lanes: LanesReport,
    /// The buffers that partial frames and outboxes borrow.
    pub pool: PoolReport,
    /// Since the start.
    pub uptime: Duration,
    /// How long I/O threads have waited for another that held the engine, all together.
    pub engine_waited: Duration,
}

/// Totals since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Traffic {
    /// Connections that were accepted.
    pub accepted: u64,
    /// Connections that were dropped at once because every slot was taken.
    pub turned_away: u64,
    /// Packets received.
    pub packets_in: u64,
    /// Packets put into outboxes; a broadcast counts once for each recipient.
    pub packets_out: u64,
    /// Bytes received, with those that came in behind a close and were dropped.
    pub bytes_in: u64,
    /// Bytes sent.
    pub bytes_out: u64,
}

impl Traffic {
    /// Adds what went through another thread.
    pub(crate) fn add(&mut self, other: Self) {
        let Self { accepted, turned_away, packets_in, packets_out, bytes_in, bytes_out } = other;
        self.accepted += accepted;
        self.turned_away += turned_away;
        self.packets_in += packets_in;
        self.packets_out += packets_out;
        self.bytes_in += bytes_in;
        self.bytes_out += bytes_out;
    }
}
