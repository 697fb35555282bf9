//! What the driver counts, beside what it needs to work.

use std::collections::BTreeMap;

use lobbyd_core::packet::{ClientPacket, CloseReason, Sealed, ServerPacket};

use crate::stats::{HeartbeatStats, PacketStats, Stats};

/// Totals since the start.
#[derive(Clone, Debug)]
pub(crate) struct Tally {
    /// By the packets' numbers.
    packets_in: [PacketStats; CLIENT_PACKETS],
    packets_out: [PacketStats; SERVER_PACKETS],
    batches: [u64; 7],
    closes: BTreeMap<CloseReason, u64>,
    pub(crate) heartbeat: HeartbeatStats,
}

const CLIENT_PACKETS: usize = ClientPacket::<'static, Sealed>::NAMES.len();
const SERVER_PACKETS: usize = ServerPacket::NAMES.len();

impl Tally {
    pub(crate) fn new() -> Self {
        Self {
            packets_in: [PacketStats::default(); CLIENT_PACKETS],
            packets_out: [PacketStats::default(); SERVER_PACKETS],
            batches: [0; 7],
            closes: BTreeMap::new(),
            heartbeat: HeartbeatStats::default(),
        }
    }

    pub(crate) fn received(&mut self, packet: &ClientPacket<'_>, bytes: usize) {
        let kind = &mut self.packets_in[usize::from(packet.number())];
        kind.packets += 1;
        kind.bytes += bytes as u64;
    }

    /// So many outboxes have taken a packet of that number.
    pub(crate) fn sent(&mut self, packet: u8, bytes: usize, recipients: u64) {
        let kind = &mut self.packets_out[usize::from(packet)];
        kind.packets += recipients;
        kind.bytes += bytes as u64 * recipients;
    }

    /// A connection has handed in so many packets in its turn.
    pub(crate) fn batch(&mut self, packets: u32) {
        if packets > 0 {
            let place = packets.next_power_of_two().ilog2() as usize;
            self.batches[place.min(self.batches.len() - 1)] += 1;
        }
    }

    pub(crate) fn closed(&mut self, reason: CloseReason) {
        *self.closes.entry(reason).or_default() += 1;
    }

    /// Adds what another thread has counted.
    pub(crate) fn add(&mut self, other: &Self) {
        self.packets_in.iter_mut().zip(&other.packets_in).for_each(|(kind, more)| kind.add(*more));
        self.packets_out.iter_mut().zip(&other.packets_out).for_each(|(kind, more)| kind.add(*more));
        self.batches.iter_mut().zip(&other.batches).for_each(|(count, more)| *count += more);
        for (reason, count) in &other.closes {
            *self.closes.entry(*reason).or_default() += count;
        }
        self.heartbeat.pings += other.heartbeat.pings;
        self.heartbeat.latency.add(&other.heartbeat.latency);
    }

    /// Puts its figures into `stats`.
    pub(crate) fn tell(&self, stats: &mut Stats) {
        stats.packets_in = named(ClientPacket::<'static, Sealed>::NAMES, &self.packets_in);
        stats.packets_out = named(ServerPacket::NAMES, &self.packets_out);
        stats.batches = self.batches;
        stats.closes.clone_from(&self.closes);
        stats.heartbeat = self.heartbeat;
    }
}

fn named<const N: usize>(names: [&'static str; N], kinds: &[PacketStats; N]) -> BTreeMap<&'static str, PacketStats> {
    names.into_iter().zip(*kinds).filter(|(_, kind)| kind.packets > 0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_are_counted_by_powers_of_two() {
        let mut tally = Tally::new();
        for packets in [0, 1, 2, 3, 4, 5, 33, 64, 1_000] {
            tally.batch(packets);
        }
        assert_eq!(tally.batches, [1, 1, 2, 1, 0, 0, 3]);
    }
}
