//! How what the engine says goes out: packets become bytes in outboxes, and the flusher writes them.

use std::io;
use std::mem;
use std::task::{Context, Waker};

use lobbyd_core::id::SessionId;
use lobbyd_core::input::Input;
use lobbyd_core::packet::ServerPacket;
use lobbyd_core::time::Instant;
use tracing::error;

use super::{Hub, remember};
use crate::codec;
use crate::connection::Connection;
use crate::outbox::{Flushed, Overflow};
use crate::parcel::{FrameKind, Outgoing, Role};
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

    /// Wakes the flusher if there is something for it, and the other threads that have got mail, if everybody who was
    /// ready has had a turn: so that they, too, find all of it at once.
    pub(super) fn call_flusher(&mut self) {
        if !self.visits.is_round_over() {
            return;
        }
        if !self.dirty.is_empty()
            && let Some(flusher) = self.flusher.take()
        {
            flusher.wake();
        }
        self.wake_others();
    }

    /// Wakes the other threads that have got mail.
    pub(super) fn wake_others(&mut self) {
        self.sleepers.drain(..).for_each(Waker::wake);
    }

    /// Puts a packet into one outbox, on whichever thread it is.
    pub(super) fn send(&mut self, outgoing: &mut Outgoing, now: Instant, to: SessionId, packet: &ServerPacket) {
        let role = if let ServerPacket::Ping { nonce } = packet {
            Role::Ping { nonce: *nonce, at: now }
        } else if matches!(packet, ServerPacket::Closing { .. }) {
            Role::Farewell
        } else {
            Role::Usual
        };
        let frame = self.encode(packet);
        let thread = outgoing.thread_of(to);
        if thread == self.place.thread {
            let is_put = self.append(to, &frame, role);
            self.sent(packet.number(), frame.len(), is_put.into());
        } else {
            let parcel = outgoing.to(thread);
            parcel.address(to);
            parcel.put_frame(&frame, FrameKind { packet: packet.number(), role });
        }
        self.encoded = frame;
    }

    /// Puts a packet into many outboxes: encoded once, and once in the parcel of every other thread.
    pub(super) fn broadcast(&mut self, outgoing: &mut Outgoing, to: &[SessionId], packet: &ServerPacket) {
        let frame = self.encode(packet);
        let recipients = if outgoing.is_alone() {
            self.append_all(to, &frame)
        } else {
            self.append_own(outgoing, to, &frame, FrameKind { packet: packet.number(), role: Role::Usual })
        };
        self.sent(packet.number(), frame.len(), recipients);
        self.encoded = frame;
    }

    /// Puts a frame into the outboxes of these sessions, which are all of this thread. Returns how many have taken it.
    pub(super) fn append_all(&mut self, to: &[SessionId], frame: &[u8]) -> u64 {
        let half_full = self.outbox_bytes_max / 2;
        to.iter().map(|session| u64::from(self.append_usual(*session, half_full, frame))).sum()
    }

    /// Puts a frame into those outboxes that are of this thread, and into the parcels of the other threads. Returns how
    /// many of its own have taken it.
    fn append_own(&mut self, outgoing: &mut Outgoing, to: &[SessionId], frame: &[u8], kind: FrameKind) -> u64 {
        let half_full = self.outbox_bytes_max / 2;
        let (mut recipients, mut others) = (0, 0_u64);
        for session in to {
            let thread = outgoing.thread_of(*session);
            if thread == self.place.thread {
                recipients += u64::from(self.append_usual(*session, half_full, frame));
            } else {
                outgoing.to(thread).address(*session);
                others |= 1 << thread;
            }
        }
        outgoing.put_frame(others, frame, kind);
        recipients
    }

    // Left to itself, the compiler makes it a call for every recipient.
    #[inline(always)]
    fn append_usual(&mut self, to: SessionId, half_full: usize, frame: &[u8]) -> bool {
        let Some(connection) = self.connections.get_mut(to) else {
            return false;
        };
        let is_usual = connection.is_dirty && !connection.is_overflowed;
        // What else there may be is seen to elsewhere.
        if is_usual && connection.outbox.extend(half_full, frame) {
            connection.packets_out += 1;
            return true;
        }
        self.append(to, frame, Role::Usual)
    }

    /// The packet as a frame, in a buffer that is to be put back.
    fn encode(&mut self, packet: &ServerPacket) -> Vec<u8> {
        let mut frame = mem::take(&mut self.encoded);
        frame.clear();
        codec::encode_server(packet, &mut frame);
        frame
    }

    /// Counts a packet that so many outboxes have taken.
    pub(super) fn sent(&mut self, packet: u8, bytes: usize, recipients: u64) {
        self.traffic.packets_out += recipients;
        self.tally.sent(packet, bytes, recipients);
    }

    /// Appends a frame to an outbox, if it takes one.
    pub(super) fn append(&mut self, to: SessionId, frame: &[u8], role: Role) -> bool {
        let is_farewell = role == Role::Farewell;
        if let Role::Ping { nonce, at } = role {
            self.pinged(to, nonce, at);
        }
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
    fn pinged(&mut self, session: SessionId, nonce: u64, at: Instant) {
        if self.connections.get_mut(session).is_some() {
            self.pings.insert(session, (nonce, at));
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
