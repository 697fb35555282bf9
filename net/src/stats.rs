//! Everything that an operator can ask a node about itself at once.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use lobbyd_core::command::CommandName;
use lobbyd_core::id::{RoomNumber, SessionId};
use lobbyd_core::name::UserName;
use lobbyd_core::packet::CloseReason;

use crate::journal::JournalStats;
use crate::lanes::Lane;
use crate::pool::PoolReport;
use crate::report::Report;

/// How a node stands. All totals are since the start.
///
/// With one I/O thread it is taken between two inputs, so that its figures belong together. With several, what the
/// engine holds and the first thread's part are, and the others follow as soon as they come to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// What the engine holds, connections, traffic, lanes, the pool and the uptime.
    pub report: Report,
    /// Sessions by their state.
    pub sessions: SessionStats,
    /// Packets of clients by their names. Only what has come is in it.
    pub packets_in: BTreeMap<&'static str, PacketStats>,
    /// Packets to clients by their names; a broadcast counts once for each recipient.
    pub packets_out: BTreeMap<&'static str, PacketStats>,
    /// Packets that a connection handed in in one turn: how many turns there were with 1, with up to 2, 4, 8, 16, 32
    /// and 64.
    pub batches: [u64; 7],
    /// Logins that the stores have decided.
    pub logins: LoginStats,
    /// Connections that have ended, by the reason.
    pub closes: BTreeMap<CloseReason, u64>,
    /// Pings to silent clients.
    pub heartbeat: HeartbeatStats,
    /// Futures that a handle has scheduled, by lane, in the order of [`Lane::ALL`].
    pub scheduled: [ScheduledStats; Lane::ALL.len()],
    /// Handlers of custom commands, in the order of their names.
    pub extensions: Vec<ExtensionStats>,
    /// Middleware, in the order in which packets pass it.
    pub middleware: Vec<MiddlewareStats>,
    /// The buffers that services and programs have borrowed ([`crate::Buffers`]). Those of connections are in the report.
    pub buffers: PoolReport,
    /// The I/O threads, the one that accepts first.
    pub io_threads: Vec<IoThreadStats>,
    /// The journal, if there is one.
    pub journal: Option<JournalStats>,
}

/// One I/O thread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct IoThreadStats {
    /// Its connections, those that are being closed included.
    pub connections: u64,
    /// How often it had to wait for another thread that held the engine.
    pub engine_waits: u64,
    /// How long it has waited for the engine.
    pub engine_waited: Duration,
    /// Parcels that it got from other threads: what one of their turns decided about its connections.
    pub parcels: u64,
    /// What the parcels have put into its outboxes: packets, one for each recipient.
    pub appends: u64,
    /// Connections that have come over from another thread, because most of their room is here.
    pub moved_here: u64,
}

/// One handler of custom commands.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExtensionStats {
    /// Its name.
    pub name: CommandName,
    /// Whether its commands are served. One that has panicked is not, until an operator enables it again.
    pub enabled: bool,
    /// How often it was called, for whatever reason, and how long it took.
    pub calls: Latency,
    /// How many of the calls failed without a panic.
    pub failures: u64,
    /// How many of the calls panicked.
    pub panics: u64,
    /// How many of the calls kept everybody waiting for more than 10 milliseconds.
    pub stalls: u64,
}

/// One piece of middleware.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MiddlewareStats {
    /// What it calls itself.
    pub name: String,
    /// Whether packets pass it. One that has panicked is passed by, until an operator enables it again.
    pub enabled: bool,
    /// How many packets it has stopped.
    pub stopped: u64,
    /// How many packets it has put another in the place of.
    pub replaced: u64,
    /// How often it panicked, or did what middleware may not.
    pub faults: u64,
}

/// Sessions by their state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionStats {
    /// Not logged in, with or without a `Hello`.
    pub anonymous: u32,
    /// Waiting for the verdict about their login.
    pub login_pending: u32,
    /// Logged in and in no room.
    pub in_lobby: u32,
    /// In a room.
    pub in_room: u32,
}

/// Packets of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PacketStats {
    /// How many.
    pub packets: u64,
    /// Their bytes, headers of frames included.
    pub bytes: u64,
}

/// Logins that the stores have decided; those that a client gave up, or the engine refused without asking, are not in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LoginStats {
    /// The secret was right.
    pub accepted: u64,
    /// User or secret were wrong.
    pub denied: u64,
    /// The user was online at another daemon.
    pub already_online: u64,
    /// The stores gave no answer, or not in time.
    pub unavailable: u64,
    /// How long the stores took.
    pub latency: Latency,
}

/// Pings to clients that were silent for one heartbeat interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct HeartbeatStats {
    /// How many pings were sent.
    pub pings: u64,
    /// From each ping to its pong. A client that never answers is not in it, but in [`Stats::closes`].
    pub latency: Latency,
}

/// Futures that a handle has scheduled in one lane.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ScheduledStats {
    /// Under way now.
    pub running: u64,
    /// Ended.
    pub done: u64,
    /// Of these, by a panic.
    pub panicked: u64,
}

/// How long something took, as a histogram of fixed size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Latency {
    count: u64,
    total: Duration,
    slowest: Duration,
    /// At place `n` what took less than 2^n microseconds, and is not at an earlier place; at the last one the rest.
    buckets: [u64; BUCKETS],
}

/// The last bucket but one ends at 17 minutes.
const BUCKETS: usize = 32;

impl PacketStats {
    pub(crate) fn add(&mut self, other: Self) {
        self.packets += other.packets;
        self.bytes += other.bytes;
    }
}

impl Latency {
    pub(crate) fn add(&mut self, other: &Self) {
        self.buckets.iter_mut().zip(&other.buckets).for_each(|(count, more)| *count += more);
        self.count += other.count;
        self.total += other.total;
        self.slowest = self.slowest.max(other.slowest);
    }

    pub(crate) fn record(&mut self, took: Duration) {
        let bits = u64::BITS - u64::try_from(took.as_micros()).unwrap_or(u64::MAX).leading_zeros();
        self.buckets[(bits as usize).min(BUCKETS - 1)] += 1;
        self.count += 1;
        self.total += took;
        self.slowest = self.slowest.max(took);
    }

    /// How many were measured.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// All of them together.
    #[must_use]
    pub fn total(&self) -> Duration {
        self.total
    }

    /// The one that took the longest; zero without any.
    #[must_use]
    pub fn slowest(&self) -> Duration {
        self.slowest
    }

    /// What that share of them took at most: at 0.99 the 99th percentile. An upper bound, not more than twice the truth;
    /// zero without any.
    #[must_use]
    pub fn percentile(&self, share: f64) -> Duration {
        let rank = (share.clamp(0.0, 1.0) * self.count as f64).ceil() as u64;
        let mut seen = 0;
        for (bits, count) in self.buckets[..BUCKETS - 1].iter().enumerate() {
            seen += count;
            if seen >= rank {
                return Duration::from_micros(1 << bits).min(self.slowest);
            }
        }
        self.slowest
    }

    /// The histogram: bounds, each with how many took less than it. What is missing from [`Latency::count`] in the last
    /// took longer.
    pub fn buckets(&self) -> impl Iterator<Item = (Duration, u64)> {
        self.buckets[..BUCKETS - 1].iter().enumerate().scan(0, |seen, (bits, count)| {
            *seen += count;
            Some((Duration::from_micros(1 << bits), *seen))
        })
    }
}

/// One connection.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectionStats {
    /// Its session.
    pub session: SessionId,
    /// The client's address.
    pub address: SocketAddr,
    /// Who is logged in.
    pub user: Option<UserName>,
    /// The room that the user is in.
    pub room: Option<RoomNumber>,
    /// Why it is being closed; absent while it is open.
    pub closing: Option<CloseReason>,
    /// How long it has been there.
    pub connected: Duration,
    /// How long no complete packet has come.
    pub idle: Duration,
    /// Packets received.
    pub packets_in: u64,
    /// Bytes received, with those that came in behind a close and were dropped.
    pub bytes_in: u64,
    /// Packets put into its outbox.
    pub packets_out: u64,
    /// Bytes sent.
    pub bytes_out: u64,
    /// Bytes that were received and wait: a part of a packet, or packets over the budget of a turn.
    pub inbox_bytes: u64,
    /// Bytes that wait to be sent.
    pub outbox_bytes: u64,
    /// From the last ping to its pong; absent for a client that was never silent for so long that it was pinged.
    pub heartbeat_latency: Option<Duration>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latency_is_bounded_from_above_by_at_most_twice() {
        let mut latency = Latency::default();
        assert_eq!(latency.percentile(0.5), Duration::ZERO);
        for micros in [0, 100, 100, 3_000] {
            latency.record(Duration::from_micros(micros));
        }
        assert_eq!((latency.count(), latency.total()), (4, Duration::from_micros(3_200)));
        assert_eq!(latency.percentile(0.25), Duration::from_micros(1));
        assert_eq!(latency.percentile(0.5), Duration::from_micros(128));
        assert_eq!(latency.percentile(1.0), Duration::from_micros(3_000), "never more than the slowest");
        assert_eq!(latency.buckets().find(|(_, count)| *count == 4), Some((Duration::from_micros(4_096), 4)));
    }

    #[test]
    fn what_takes_for_ever_is_in_the_last_bucket() {
        let mut latency = Latency::default();
        latency.record(Duration::MAX);
        assert_eq!(latency.percentile(0.5), Duration::MAX);
        assert_eq!(latency.buckets().last().map(|(_, count)| count), Some(0));
    }
}
