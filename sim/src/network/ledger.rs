//! The packets of one direction of a stream, kept only where somebody watches: what is lost on the way is known nowhere
//! else, since neither end learns of it.

use std::collections::VecDeque;
use std::time::Duration;

use lobbyd_core::config::FRAME_BYTES_LIMIT;
use lobbyd_core::packet::ServerPacket;
use lobbyd_net::codec::decode_server;
use lobbyd_net::frame::next_frame;

/// What a daemon sends to a client, and how far that has come.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// The beginning of a packet whose end is not sent yet.
    unfinished: Vec<u8>,
    /// Packets of which something is not read yet, with the byte of the stream that they end before.
    under_way: VecDeque<(u64, ServerPacket)>,
    bytes_sent: u64,
    bytes_read: u64,
    /// Behind how many bytes something was lost, so that nothing from there on is ever read.
    broken_at: Option<u64>,
    lost: Vec<(Duration, ServerPacket)>,
}

impl Ledger {
    /// The sender has sent this. It is under way, unless the network takes it at once.
    pub(super) fn sent(&mut self, now: Duration, bytes: &[u8], is_taken: bool) {
        let before = self.total();
        self.unfinished.extend_from_slice(bytes);
        let mut consumed = 0;
        // What is no packet is of no interest here: the client that reads it says so.
        while let Ok(Some(frame)) = next_frame(&self.unfinished[consumed..], FRAME_BYTES_LIMIT) {
            let packet = decode_server(frame.payload);
            (consumed, self.bytes_sent) = (consumed + frame.consumed, self.bytes_sent + frame.consumed as u64);
            self.under_way.extend(packet.ok().map(|packet| (self.bytes_sent, packet)));
        }
        self.unfinished.drain(..consumed);
        if is_taken {
            self.broken_at.get_or_insert(before);
        }
        self.lose(now);
    }

    /// The receiver has read so many bytes.
    pub(super) fn read(&mut self, count: usize) {
        self.bytes_read += count as u64;
        while self.under_way.front().is_some_and(|(end, _)| *end <= self.bytes_read) {
            self.under_way.pop_front();
        }
    }

    /// The network takes the last bytes that were sent, so many.
    pub(super) fn cut(&mut self, now: Duration, count: usize) {
        if count > 0 {
            self.broken_at.get_or_insert(self.total().saturating_sub(count as u64));
        }
        self.lose(now);
    }

    /// The packets that were lost, each once, with the moment when that was certain.
    pub(super) fn take_lost(&mut self) -> Vec<(Duration, ServerPacket)> {
        std::mem::take(&mut self.lost)
    }

    fn total(&self) -> u64 {
        self.bytes_sent + self.unfinished.len() as u64
    }

    fn lose(&mut self, now: Duration) {
        let Some(broken_at) = self.broken_at else { return };
        let kept = self.under_way.iter().take_while(|(end, _)| *end <= broken_at).count();
        self.lost.extend(self.under_way.drain(kept..).map(|(_, packet)| (now, packet)));
    }
}

#[cfg(test)]
mod tests {
    use lobbyd_net::codec::encode_server;

    use super::*;

    const NOW: Duration = Duration::from_secs(1);
    const LATER: Duration = Duration::from_secs(2);

    fn ping(nonce: u64) -> (ServerPacket, Vec<u8>) {
        let (packet, mut bytes) = (ServerPacket::Ping { nonce }, Vec::new());
        encode_server(&packet, &mut bytes);
        (packet, bytes)
    }

    #[test]
    fn packet_is_lost_with_any_of_its_bytes_and_so_is_all_behind_it() {
        let ((one, first), (two, second), (three, third)) = (ping(1), ping(2), ping(3));
        for taken in 1..=second.len() {
            let mut ledger = Ledger::default();
            ledger.sent(NOW, &first, false);
            let (part, rest) = second.split_at(3);
            ledger.sent(NOW, part, false);
            ledger.sent(NOW, rest, false);
            ledger.cut(LATER, taken);
            assert_eq!(ledger.take_lost(), [(LATER, two.clone())], "{taken} bytes taken");
            ledger.sent(LATER, &third, false);
            assert_eq!(ledger.take_lost(), [(LATER, three.clone())], "the way is broken");
        }
        let mut ledger = Ledger::default();
        ledger.sent(NOW, &first, false);
        ledger.sent(NOW, &second, false);
        ledger.cut(LATER, second.len() + 1);
        assert_eq!(ledger.take_lost(), [(LATER, one), (LATER, two)]);
    }

    #[test]
    fn what_is_sent_into_a_partition_is_lost_once() {
        let ((one, first), (two, second)) = (ping(1), ping(2));
        let mut ledger = Ledger::default();
        let (part, rest) = first.split_at(5);
        ledger.sent(NOW, part, true);
        assert_eq!(ledger.take_lost(), [], "it is no packet yet");
        ledger.sent(LATER, rest, false);
        assert_eq!(ledger.take_lost(), [(LATER, one)]);
        ledger.sent(LATER, &second, true);
        ledger.cut(LATER, second.len());
        assert_eq!(ledger.take_lost(), [(LATER, two)]);
    }

    #[test]
    fn what_has_arrived_is_not_lost_any_more() {
        let ((_, first), (_, second)) = (ping(1), ping(2));
        let mut ledger = Ledger::default();
        ledger.sent(NOW, &first, false);
        ledger.sent(NOW, &second, false);
        ledger.read(first.len() + second.len());
        ledger.cut(LATER, 0);
        assert_eq!(ledger.take_lost(), []);
        assert!(ledger.under_way.is_empty());
    }
}
