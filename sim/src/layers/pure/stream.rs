//! A stream between a client and a daemon: what is on its way in both directions, and how each end stands.
//!
//! Packets travel as packets. They become bytes only where the difference can be seen: behind raw bytes, in chopped
//! writes, and in the count of what a client does not read.

use std::collections::VecDeque;
use std::rc::Rc;

use lobbyd_core::id::SessionId;
use lobbyd_core::packet::{CloseReason, ServerPacket};

use super::client::Said;
use super::network::{Network, Way};
use super::queue::{Event, Queue};

pub(super) struct Stream {
    pub(super) client: u32,
    pub(super) daemon: u32,
    pub(super) up: Pipe<Up>,
    pub(super) down: Pipe<Down>,
    /// Whether the client takes what arrives.
    pub(super) reader: Reader,
    /// What has arrived while the client did not read.
    pub(super) unread: VecDeque<Down>,
    pub(super) phase: Phase,
    /// What it is called in the engine; none that lives before the daemon has accepted it.
    pub(super) session: SessionId,
    /// Bytes that are no whole frame yet.
    pub(super) inbox: Vec<u8>,
    /// What the transport does not take, with the size of each as a frame.
    pub(super) outbox: VecDeque<(Rc<ServerPacket>, usize)>,
    pub(super) outbox_bytes: usize,
    /// What the transport has taken since the client reads no more.
    pub(super) socket_bytes: usize,
    /// Whether nobody takes what is sent, so that bytes have to be counted.
    pub(super) is_stuck: bool,
    /// Whether the outbox was over its limit, so that nothing but the reason for the close is added to it.
    pub(super) is_overflowed: bool,
    /// Whether the daemon has ended its writing half.
    pub(super) is_ended: bool,
}

/// One direction: first in, first out.
pub(super) struct Pipe<T> {
    pieces: VecDeque<T>,
    way: Way,
    last_at: u64,
    /// Something was lost, so nothing behind it is ever delivered.
    pub(super) is_broken: bool,
}

/// What goes to a daemon.
pub(super) enum Up {
    /// A connection is asked for.
    Syn,
    Packet(Said),
    Bytes(Vec<u8>),
    /// The client has ended its writing half.
    End,
    Reset,
}

/// What goes to a client.
pub(super) enum Down {
    Packet(Rc<ServerPacket>),
    /// The daemon has ended its writing half.
    End,
}

/// Whether a client takes what arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reader {
    Reads,
    Stopped,
    /// It is gone: what arrives is dropped.
    Gone,
}

/// How the daemon's end stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// The daemon does not know it yet.
    Connecting,
    Open,
    /// The session is over. What waits is still sent.
    Closing(CloseReason),
    /// The daemon has let go of it.
    Removed,
}

impl Stream {
    pub(super) fn new(client: u32, daemon: u32, up: Way, down: Way) -> Self {
        Self {
            client,
            daemon,
            up: Pipe::new(up),
            down: Pipe::new(down),
            reader: Reader::Reads,
            unread: VecDeque::new(),
            phase: Phase::Connecting,
            session: SessionId { index: u32::MAX, generation: u32::MAX },
            inbox: Vec::new(),
            outbox: VecDeque::new(),
            outbox_bytes: 0,
            socket_bytes: 0,
            is_stuck: false,
            is_overflowed: false,
            is_ended: false,
        }
    }
}

impl<T> Pipe<T> {
    fn new(way: Way) -> Self {
        Self { pieces: VecDeque::new(), way, last_at: 0, is_broken: false }
    }

    pub(super) fn way(&self) -> Way {
        self.way
    }

    /// Puts a piece on its way, to arrive as `event`. False if it is lost.
    pub(super) fn send(&mut self, piece: T, event: Event, now: u64, network: &mut Network, queue: &mut Queue) -> bool {
        if self.is_broken {
            return false;
        }
        let Some(delay) = network.delay(self.way) else {
            self.is_broken = true;
            return false;
        };
        self.last_at = self.last_at.max(now + delay);
        self.pieces.push_back(piece);
        queue.send(self.last_at, event);
        true
    }

    /// The piece that has arrived; none if one before it was lost.
    pub(super) fn take(&mut self) -> Option<T> {
        self.pieces.pop_front()
    }

    /// The piece that has arrived is lost, and so are those behind it.
    pub(super) fn lose(&mut self) {
        self.is_broken = true;
        self.pieces.clear();
    }

    /// Gives back the memory of what has been delivered.
    pub(super) fn shrink(&mut self) {
        self.pieces.shrink_to_fit();
    }
}
