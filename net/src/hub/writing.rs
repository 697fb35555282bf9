//! How what the engine says goes out: packets become bytes in outboxes, and the flusher writes them.

use std::io;
use std::mem;
use std::task::Context;

use lobbyd_core::id::SessionId;
use lobbyd_core::input::Input;
use lobbyd_core::packet::ServerPacket;
use tracing::error;

use super::{Hub, remember};
use crate::codec;
use crate::connection::Connection;
use crate::outbox::{Flushed, Overflow};
use crate::pool::BufferPool;
use crate::report::Traffic;
use crate::transport::Stream;

/// The most outboxes that are written before the system lane has its turn: a system call each, and there may be
/// thousands.
pub(super) const WRITES_PER_TURN: u32 = 64;
/// Room beyond the outbox's limit for the packet that says why the session is closed.
pub(super) const CLOSING_BYTES: usize = 64;

impl<S: Stream> Hub<S> {
    /// Writes every outbox that has something new. The flusher's task polls this; it is woken once for a batch of
    /// turns and runs after all the connections that were ready with it.
    pub(crate) fn poll_flush(&mut self, context: &Context<'_>) {
        remember(&mut self.flusher, context);
        let mut dirty = mem::take(&mut self.dirty);
        for (count, session) in (1..).zip(dirty.drain(..)) {
            if let Some(connection) = self.connections.get_mut(session) {
                connection.is_dirty = false;
                if !connection.is_blocked {
                    self.flush(session);
                }
            }
            if count % WRITES_PER_TURN == 0 {
                self.take_system_turn();
            }
        }
        if self.dirty.is_empty() {
            // Kept for its allocation.
            self.dirty = dirty;
        }
        self.take_system_turn();
        self.call_housekeeper();
    }

    pub(super) fn send(&mut self, to: SessionId, packet: &ServerPacket) {
        let is_farewell = matches!(packet, ServerPacket::Closing { .. });
        if let ServerPacket::Ping { nonce } = packet {
            self.pinged(to, *nonce);
        }
        let frame = self.encode(packet);
        let is_put = self.put(to, &frame, is_farewell);
        self.sent(packet, frame, is_put.into());
    }

    pub(super) fn broadcast(&mut self, to: &[SessionId], packet: &ServerPacket) {
        let frame = self.encode(packet);
        let half_full = self.outbox_bytes_max / 2;
        let mut recipients = 0;
        for session in to {
            let Some(connection) = self.connections.get_mut(*session) else {
                continue;
            };
            let is_usual = connection.is_dirty && !connection.is_overflowed;
            // What else there may be is seen to elsewhere.
            let is_put = if is_usual && connection.outbox.extend(half_full, &frame) {
                connection.packets_out += 1;
                true
            } else {
                self.put(*session, &frame, false)
            };
            recipients += u64::from(is_put);
        }
        self.sent(packet, frame, recipients);
    }

    /// The packet as a frame, in the buffer that [`sent`](Self::sent) takes back.
    fn encode(&mut self, packet: &ServerPacket) -> Vec<u8> {
        let mut frame = mem::take(&mut self.encoded);
        frame.clear();
        codec::encode_server(packet, &mut frame);
        frame
    }

    /// Counts a packet that so many outboxes have taken.
    fn sent(&mut self, packet: &ServerPacket, frame: Vec<u8>, recipients: u64) {
        self.traffic.packets_out += recipients;
        self.tally.sent(packet, frame.len(), recipients);
        self.encoded = frame;
    }

    /// Appends a frame to an outbox, if it takes one.
    fn put(&mut self, to: SessionId, frame: &[u8], is_farewell: bool) -> bool {
        let half_full = self.outbox_bytes_max / 2;
        let Some(mut connection) = self.connections.get_mut(to) else {
            return false;
        };
        if connection.outbox.len() > half_full && !connection.is_blocked {
            // Before the flusher comes: many who talk within one round of turns would else fill the outbox of a client
            // that reads whatever it is given. An outbox holds two frames at least.
            self.flush(to);
            match self.connections.get_mut(to) {
                Some(flushed) => connection = flushed,
                None => return false,
            }
        }
        if connection.is_overflowed && !is_farewell {
            return false;
        }
        let bytes_max = self.outbox_bytes_max + if is_farewell { CLOSING_BYTES } else { 0 };
        match connection.outbox.append(&mut self.pool, bytes_max, frame) {
            Ok(()) => {
                connection.packets_out += 1;
                if !connection.is_dirty {
                    connection.is_dirty = true;
                    self.dirty.push(to);
                }
                return true;
            }
            Err(Overflow) if is_farewell => error!(session = %to, "no room for the reason of a close"),
            Err(Overflow) => {
                connection.is_overflowed = true;
                self.system.push(Input::OutboxFull { session: to });
            }
        }
        false
    }

    /// A silent client is asked for a sign of life.
    fn pinged(&mut self, session: SessionId, nonce: u64) {
        let now = self.last_turn_at;
        if self.connections.get_mut(session).is_some() {
            self.pings.insert(session, (nonce, now));
            self.tally.heartbeat.pings += 1;
        }
    }

    pub(super) fn flush(&mut self, session: SessionId) {
        let Some(connection) = self.connections.get_mut(session) else {
            return;
        };
        match write_out(connection, &mut self.pool, &mut self.traffic) {
            Ok(Flushed::All) => connection.is_blocked = false,
            Ok(Flushed::Blocked) => {
                connection.is_blocked = true;
                // The visit waits for the transport to take more.
                connection.wake();
            }
            Err(error) => self.break_connection(session, &error),
        }
    }
}

/// Writes as much of an outbox as the transport takes, and counts it.
pub(super) fn write_out<S: Stream>(
    connection: &mut Connection<S>,
    pool: &mut BufferPool,
    traffic: &mut Traffic,
) -> io::Result<Flushed> {
    let before = connection.outbox.len();
    let flushed = connection.outbox.flush(&mut connection.stream, pool);
    let sent = (before - connection.outbox.len()) as u64;
    connection.bytes_out += sent;
    traffic.bytes_out += sent;
    flushed
}
