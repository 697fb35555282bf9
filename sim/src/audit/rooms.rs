//! Rooms: each one's changes as anybody has heard them, and how each member sees its room.

use std::collections::{BTreeMap, VecDeque};

use lobbyd_core::id::{RoomNumber, UserId};
use lobbyd_core::name::UserName;
use lobbyd_core::text::Text;

use super::{Breach, Invariant};
use crate::trace::Fnv;

/// How many of a room's last changes are remembered. Who lags further behind is judged by the order alone.
const RECORDS_MAX: usize = 256;

/// Every room that anybody was in. An epoch is a random number of 64 bits, so a number and an epoch name one room over
/// all daemons and all their lives.
#[derive(Default)]
pub(super) struct Rooms {
    pub(super) logs: Vec<Log>,
    known: BTreeMap<(RoomNumber, u64), usize>,
    /// The newest known room of each number at each daemon.
    newest: BTreeMap<(usize, RoomNumber), usize>,
}

/// What has changed in a room.
pub(super) struct Log {
    pub(super) room: RoomNumber,
    pub(super) daemon: usize,
    /// How many enterings were heard of.
    pub(super) entered: u64,
    /// The number of the first record.
    first: u64,
    /// By consecutive numbers; none where nobody has heard what it was.
    records: VecDeque<Option<Record>>,
    /// On which connection each login was last known to be in the room.
    seats: Vec<(UserId, usize)>,
}

pub(super) struct Record {
    pub(super) change: Change,
    /// Who was in the room afterwards, and who owned it, if a member has told.
    members: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Entered(UserId),
    Left(UserId),
    Chatted { user: UserId, text: Text },
}

/// What is known about a change.
pub(super) enum Heard<'l> {
    /// It is so long ago that nobody remembers it.
    LongAgo,
    Before(&'l mut Record),
    /// This is the first to hear it.
    Never(&'l mut Option<Record>),
}

/// How a member sees its room.
#[derive(Debug)]
pub(super) struct View {
    pub(super) log: usize,
    pub(super) room: RoomNumber,
    pub(super) epoch: u64,
    /// The number of the last change it was told.
    pub(super) sequence: u64,
    /// In the order of their entering.
    pub(super) members: Vec<UserId>,
    pub(super) owner: Option<UserId>,
}

/// The parts of a list of users that have come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listing {
    pub(super) room: RoomNumber,
    pub(super) epoch: u64,
    pub(super) sequence: u64,
    pub(super) owner: Option<UserId>,
    pub(super) users: Vec<(UserId, UserName)>,
}

impl Rooms {
    /// The log of a room, which begins with this if nobody was there before; and whether another room had the number.
    pub(super) fn log(&mut self, daemon: usize, room: RoomNumber, epoch: u64, sequence: u64) -> (usize, bool) {
        if let Some(known) = self.known.get(&(room, epoch)) {
            return (*known, false);
        }
        let index = self.logs.len();
        // Mostly the room is young, and then what came before is heard of by those who hear it late.
        let first = if sequence <= RECORDS_MAX as u64 / 2 { 1 } else { sequence };
        let (records, seats) = (VecDeque::new(), Vec::new());
        self.logs.push(Log { room, daemon, entered: 0, first, records, seats });
        self.known.insert((room, epoch), index);
        (index, self.newest.insert((daemon, room), index).is_some())
    }

    /// How many have entered the room that has this number now, as far as anybody has heard.
    pub(super) fn entered(&self, daemon: usize, room: RoomNumber) -> u64 {
        self.newest.get(&(daemon, room)).map_or(0, |index| self.logs[*index].entered)
    }
}

impl Log {
    /// The number of the last change that anybody has heard.
    pub(super) fn head(&self) -> u64 {
        self.first + self.records.len() as u64 - 1
    }

    /// Notes that a login is in the room by this connection.
    pub(super) fn seat(&mut self, user: UserId, connection: usize) {
        match self.seats.iter_mut().find(|(seated, _)| *seated == user) {
            Some((_, known)) => *known = connection,
            None => self.seats.push((user, connection)),
        }
    }

    /// On which connection a login is, or was, in the room.
    pub(super) fn seat_of(&self, user: UserId) -> Option<usize> {
        self.seats.iter().find(|(seated, _)| *seated == user).map(|(_, connection)| *connection)
    }

    /// The place of a change.
    pub(super) fn hear(&mut self, sequence: u64) -> Heard<'_> {
        if sequence < self.first {
            return Heard::LongAgo;
        }
        let mut place = sequence - self.first;
        while self.records.len() as u64 <= place {
            if self.records.len() >= RECORDS_MAX {
                self.records.pop_front();
                self.first += 1;
                place -= 1;
            }
            self.records.push_back(None);
        }
        let slot = &mut self.records[place as usize];
        match slot {
            // Asked twice, since what is found would be borrowed for good otherwise.
            Some(_) => Heard::Before(slot.as_mut().expect("it is there")),
            None => Heard::Never(slot),
        }
    }

    /// Holds a change of the membership against what others have heard. `members` is for those who are told who is
    /// there afterwards.
    pub(super) fn changed(&mut self, sequence: u64, change: Change, members: Option<u64>) -> Result<(), Breach> {
        let room = self.room;
        let is_entering = matches!(change, Change::Entered(_));
        match self.hear(sequence) {
            Heard::LongAgo => Ok(()),
            Heard::Never(slot) => {
                *slot = Some(Record { change, members });
                self.entered += u64::from(is_entering);
                Ok(())
            }
            Heard::Before(record) => {
                if record.change != change {
                    let what = format!("change {sequence} of room {room} is {change:?} and {:?}", record.change);
                    return Err(Breach::new(Invariant::RoomOrder, what));
                }
                match (record.members, members) {
                    (Some(one), Some(other)) if one != other => {
                        let what = format!("after change {sequence} of room {room} two members see other members");
                        Err(Breach::new(Invariant::Membership, what))
                    }
                    (Some(_), _) => Ok(()),
                    (None, other) => {
                        record.members = other;
                        Ok(())
                    }
                }
            }
        }
    }
}

impl Record {
    pub(super) fn chat(user: UserId, text: Text) -> Self {
        Self { change: Change::Chatted { user, text }, members: None }
    }
}

impl View {
    /// Takes the next change of the room that it sees.
    ///
    /// # Errors
    /// When it is not the next.
    pub(super) fn advance(&mut self, sequence: u64) -> Result<(), Breach> {
        if sequence == self.sequence + 1 {
            self.sequence = sequence;
            return Ok(());
        }
        let what = format!("change {sequence} of room {} comes after {}", self.room, self.sequence);
        Err(Breach::new(Invariant::RoomOrder, what))
    }

    /// Stands for the members, their order and the owner.
    pub(super) fn digest(&self) -> u64 {
        let mut digest = Fnv::new();
        for member in &self.members {
            digest.eat(&member.0.to_le_bytes());
        }
        digest.eat(&self.owner.map_or(0, |owner| owner.0).to_le_bytes());
        digest.0
    }
}
