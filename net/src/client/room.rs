//! What a client knows of the room that it is in: who was there when it entered, and which change comes next.

use lobbyd_core::id::{RoomNumber, UserId};
use lobbyd_core::packet::{RoomChange, RoomEntered, User};

use super::{ClientError, Event, LIST_BYTES_MAX};

/// A room that one has just entered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entered {
    /// The room.
    pub room: RoomNumber,
    /// New each time the room is created anew.
    pub epoch: u64,
    /// The number of one's entering; the next change in the room has the next number.
    pub sequence: u64,
    /// Who owns the room now.
    pub owner: Option<UserId>,
    /// The members in the order in which they entered, oneself last.
    pub users: Vec<User>,
}

/// Follows the numbers of the room that one is in.
#[derive(Debug, Default)]
pub(super) struct Room {
    current: Option<Current>,
    /// The list that comes before the response to an entry.
    list: Option<List>,
}

#[derive(Debug)]
struct Current {
    room: RoomNumber,
    next: u64,
}

#[derive(Debug)]
struct List {
    entered: Entered,
    bytes: usize,
    complete: bool,
}

impl Room {
    /// A part of a list, which took `bytes` bytes.
    pub(super) fn add_to_list(&mut self, part: Entered, last: bool, bytes: usize) -> Result<(), ClientError> {
        let Some(list) = &mut self.list else {
            self.list = Some(List { entered: part, bytes, complete: last });
            return Ok(());
        };
        let before = (list.entered.room, list.entered.epoch, list.entered.sequence, list.entered.owner);
        if list.complete || before != (part.room, part.epoch, part.sequence, part.owner) {
            return Err(ClientError::Unexpected("the parts of a list of members do not belong together"));
        }
        list.bytes += bytes;
        if list.bytes > LIST_BYTES_MAX {
            return Err(ClientError::Unexpected("a list of members is longer than this client takes"));
        }
        list.entered.users.extend(part.users);
        list.complete = last;
        Ok(())
    }

    /// The response to an entry that succeeded.
    pub(super) fn enter(&mut self, entered: RoomEntered) -> Result<Entered, ClientError> {
        let Some(List { entered: list, complete: true, .. }) = self.list.take() else {
            return Err(ClientError::Unexpected("an entry came without the list of members"));
        };
        if (list.room, list.epoch, list.sequence) != (entered.room, entered.epoch, entered.sequence) {
            return Err(ClientError::Unexpected("the list of members is of another entry"));
        }
        self.current = Some(Current { room: entered.room, next: entered.sequence.saturating_add(1) });
        Ok(list)
    }

    /// The response to an entry that was refused.
    pub(super) fn stay_out(&self) -> Result<(), ClientError> {
        match &self.list {
            Some(_) => Err(ClientError::Unexpected("a list of members came for an entry that was refused")),
            None => Ok(()),
        }
    }

    /// A notify of the room that one is in: the gap before it, if there is one.
    pub(super) fn notice(&mut self, room: RoomNumber, sequence: u64) -> Result<Option<Event>, ClientError> {
        match &mut self.current {
            Some(current) if current.room == room => Ok(current.count(sequence)),
            Some(_) | None => Err(ClientError::Unexpected("it told of a room that one is not in")),
        }
    }

    /// The response to a change that one made oneself: the gap before it, if there is one.
    ///
    /// Who kicks somebody out of the room that both are in has been notified of the same change before; an
    /// administrator may also kick in a room without being there.
    pub(super) fn confirm(&mut self, change: RoomChange) -> Option<Event> {
        let current = self.current.as_mut().filter(|current| current.room == change.room)?;
        if change.sequence.checked_add(1) == Some(current.next) { None } else { current.count(change.sequence) }
    }

    /// One is in the lobby, or logged out.
    pub(super) fn leave(&mut self) {
        self.current = None;
    }
}

impl Current {
    fn count(&mut self, sequence: u64) -> Option<Event> {
        let expected = self.next;
        self.next = sequence.saturating_add(1);
        (sequence != expected).then_some(Event::Gap { room: self.room, expected, found: sequence })
    }
}
