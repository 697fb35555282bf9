//! One client: its connection, where it stands, and what it still expects to hear.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;

use anyhow::{Context, bail};
use mio::net::TcpStream;
use socket2::SockRef;

use super::tally::Faults;
use crate::bench::protocol::Who;
use crate::bench::stamp::Stamp;

/// The room that a client which does not read leaves to the kernel, so that the server soon notices.
const SLEEPER_RECEIVE_BYTES: usize = 4096;

/// What a client does for its whole life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Enters its room, listens, and talks if the load says so.
    Talker,
    /// Enters its room and reads no more.
    Sleeper,
    /// Leaves and enters its room.
    Hopper,
    /// Logs in and out.
    Login,
    /// Connects and drops the connection.
    Reconnector,
}

/// Where a client stands.
///
/// ```text
/// Absent → Connecting → Opening → LoggingIn → Entering → Settled
///                                     ↑           ↑          │
///                             LoggingOut       Leaving ←─────┤
///                                     ↑──────────────────────┘
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// It has no connection.
    Absent,
    /// The connection is being made.
    Connecting,
    /// The connection is there; the server's greeting is not.
    Opening,
    /// A login waits for its answer.
    LoggingIn,
    /// A logout waits for its answer.
    LoggingOut,
    /// Entering the room waits for its answer.
    Entering,
    /// Leaving the room waits for its answer.
    Leaving,
    /// It is where it belongs: in its room, or logged in.
    Settled,
}

/// One client.
pub(super) struct Client {
    pub(super) user: String,
    pub(super) role: Role,
    pub(super) room: u32,
    /// The first client of its room, who talks.
    pub(super) first_of_room: usize,
    /// How many talk in its room; they come first in it.
    pub(super) talkers_in_room: usize,
    /// Its place in the room.
    pub(super) place: usize,
    pub(super) stage: Stage,
    pub(super) was_settled: bool,
    pub(super) stream: Option<TcpStream>,
    /// What is to be written.
    pub(super) outbox: Vec<u8>,
    pub(super) is_dirty: bool,
    /// The socket took less than there was: to be written on when it has room.
    pub(super) is_blocked: bool,
    /// The begin of a unit that has not arrived in full.
    pub(super) carry: Vec<u8>,
    /// The number of its next message.
    pub(super) sent: u32,
    /// The number of the next message of each who talks in the room.
    pub(super) expected: Vec<u32>,
    /// The number of the next change in the room.
    pub(super) next_change: Option<u64>,
}

impl Client {
    /// A client without a connection.
    pub(super) fn new(user: String, role: Role, room: u32) -> Self {
        Self {
            user,
            role,
            room,
            first_of_room: 0,
            talkers_in_room: 0,
            place: 0,
            stage: Stage::Absent,
            was_settled: false,
            stream: None,
            outbox: Vec::new(),
            is_dirty: false,
            is_blocked: false,
            carry: Vec::new(),
            sent: 0,
            expected: Vec::new(),
            next_change: None,
        }
    }

    pub(super) fn who(&self) -> Who<'_> {
        Who { user: &self.user, room: self.room }
    }

    /// Whether it reads what comes.
    pub(super) fn reads(&self) -> bool {
        self.role != Role::Sleeper || self.stage != Stage::Settled
    }

    /// Begins to connect.
    pub(super) fn connect(&mut self, address: SocketAddr) -> anyhow::Result<TcpStream> {
        let stream = TcpStream::connect(address).with_context(|| format!("{address} cannot be connected to"))?;
        let socket = SockRef::from(&stream);
        // A close is then a reset, which leaves no port waiting: a bench may connect more often than there are ports.
        socket.set_linger(Some(std::time::Duration::ZERO)).context("a socket takes no linger time")?;
        socket.set_tcp_nodelay(true).context("a socket takes no TCP_NODELAY")?;
        if self.role == Role::Sleeper {
            socket.set_recv_buffer_size(SLEEPER_RECEIVE_BYTES).context("a socket takes no buffer size")?;
        }
        self.stage = Stage::Connecting;
        Ok(stream)
    }

    /// Whether the connection is there.
    pub(super) fn has_connected(&self, address: SocketAddr) -> anyhow::Result<bool> {
        let Some(stream) = &self.stream else {
            return Ok(false);
        };
        if let Some(error) = stream.take_error().context("a socket does not say how it is")? {
            return Err(error).with_context(|| format!("{address} cannot be connected to"));
        }
        match stream.peer_addr() {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotConnected => Ok(false),
            Err(error) => Err(error).with_context(|| format!("{address} cannot be connected to")),
        }
    }

    /// Drops the connection, and what was to be said on it.
    pub(super) fn drop_connection(&mut self) {
        self.stage = Stage::Absent;
        self.stream = None;
        self.outbox.clear();
        self.is_blocked = false;
        self.carry.clear();
    }

    /// Appends something that is to be said in this round.
    pub(super) fn tell(&mut self, index: usize, dirty: &mut Vec<usize>, say: impl FnOnce(Who<'_>, &mut Vec<u8>)) {
        say(Who { user: &self.user, room: self.room }, &mut self.outbox);
        if !self.is_dirty {
            self.is_dirty = true;
            dirty.push(index);
        }
    }

    /// Writes what it can.
    pub(super) fn flush(&mut self) -> anyhow::Result<()> {
        let Some(stream) = &mut self.stream else {
            return Ok(());
        };
        self.is_blocked = false;
        while !self.outbox.is_empty() {
            match stream.write(&self.outbox) {
                Ok(0) => bail!("the connection takes no bytes"),
                Ok(count) if count == self.outbox.len() => self.outbox.clear(),
                Ok(count) => drop(self.outbox.drain(..count)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.is_blocked = true;
                    return Ok(());
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // What the server has said before it closed is read by whoever reads, and tells more.
                Err(error) if matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) => {
                    self.outbox.clear();
                }
                Err(error) => return Err(error).context("the connection is broken"),
            }
        }
        Ok(())
    }

    /// The room has changed: its changes are numbered without gaps.
    pub(super) fn note_change(&mut self, change: Option<u64>, faults: &mut Faults) {
        let (Some(change), Some(next)) = (change, &mut self.next_change) else {
            return;
        };
        if change != *next {
            faults.sequence += 1;
        }
        *next = change + 1;
    }

    /// A message has come: those of one sender come in order and without gaps.
    pub(super) fn note_stamp(&mut self, stamp: Stamp, faults: &mut Faults) {
        let Some(expected) = self.expected.get_mut(stamp.sender as usize) else {
            faults.strange += 1;
            return;
        };
        let ahead = stamp.number.wrapping_sub(*expected) % Stamp::NUMBERS;
        if ahead >= Stamp::NUMBERS / 2 {
            faults.repeated += 1;
            return;
        }
        faults.lost += u64::from(ahead);
        *expected = (stamp.number + 1) % Stamp::NUMBERS;
    }

    /// Whether it tells, by hearing a message of the one before it in the room, that the server has taken that message.
    pub(super) fn is_witness_of(&self, sender: usize) -> bool {
        (sender + 1) % self.talkers_in_room == self.place
    }

    /// Whether the server has closed the connection, when all that it sent has been read into `scratch`.
    pub(super) fn is_closed_by_server(&mut self, scratch: &mut [u8]) -> bool {
        let Some(stream) = &mut self.stream else {
            return true;
        };
        loop {
            match stream.read(scratch) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return error.kind() != ErrorKind::WouldBlock,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listener() -> Client {
        Client { expected: vec![0; 3], ..Client::new("b1".into(), Role::Talker, 1) }
    }

    #[test]
    fn what_is_missing_repeated_or_strange_is_counted() {
        let mut client = listener();
        let mut faults = Faults::default();
        for (sender, number) in [(0, 0), (0, 1), (1, 0), (0, 4), (0, 3), (0, 5), (7, 0)] {
            client.note_stamp(Stamp { sender, number, due_ns: 0 }, &mut faults);
        }
        // 2 and 3 were skipped; that 3 came after all is a fault of its own.
        assert_eq!(faults, Faults { lost: 2, repeated: 1, strange: 1, ..Faults::default() });
        assert_eq!(client.expected, [6, 1, 0]);
    }

    #[test]
    fn numbers_begin_anew_after_the_last() {
        let mut client = listener();
        client.expected[0] = Stamp::NUMBERS - 1;
        let mut faults = Faults::default();
        for number in [Stamp::NUMBERS - 1, 0, 1] {
            client.note_stamp(Stamp { sender: 0, number, due_ns: 0 }, &mut faults);
        }
        assert_eq!(faults, Faults::default());
    }

    #[test]
    fn a_gap_or_a_step_back_in_the_changes_of_a_room_is_a_fault() {
        let mut client = listener();
        let mut faults = Faults::default();
        client.note_change(Some(9), &mut faults);
        client.next_change = Some(5);
        for change in [5, 6, 8, 9, 9] {
            client.note_change(Some(change), &mut faults);
        }
        assert_eq!(faults, Faults { sequence: 2, ..Faults::default() });
    }
}
