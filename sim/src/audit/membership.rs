//! Who is in a room: what those are told who enter, leave and stay.

use lobbyd_core::id::{RequestId, RoomNumber, UserId};
use lobbyd_core::name::UserName;
use lobbyd_core::packet::{Code, RoomChange, RoomEntered, User};

use super::requests::{Asked, Kind, Request};
use super::rooms::{Change, Listing, View};
use super::{Auditor, Breach, Invariant};
use crate::marks::Mark;

impl Auditor {
    pub(super) fn room_enter(
        &mut self,
        index: usize,
        id: RequestId,
        result: &Result<RoomEntered, Code>,
    ) -> Result<(), Breach> {
        let request = self.answered(index, id, Kind::RoomEnter, result)?;
        let asked = match request.map(|request| request.asked) {
            Some(Asked::RoomEnter { room, entered }) => Some((room, entered)),
            Some(_) | None => None,
        };
        match (result, asked) {
            (Ok(entered), Some((room, _))) if entered.room != room => self.breach(
                Invariant::OneResponse,
                index,
                &format!("asks for room {room} and is in room {}", entered.room),
            ),
            (Ok(entered), _) => self.is_in(index, *entered),
            (Err(Code::RoomFull), Some((room, entered))) => {
                if self.rooms.entered(self.connections[index].daemon, room) > entered {
                    self.marks.reach(Mark::RoomFilledWhileWaiting);
                }
                Ok(())
            }
            (Err(_), _) => Ok(()),
        }
    }

    /// The list of users has said it just before.
    pub(super) fn is_in(&self, index: usize, entered: RoomEntered) -> Result<(), Breach> {
        let view = self.connections[index].view.as_ref();
        let seen = view.map(|view| RoomEntered { room: view.room, epoch: view.epoch, sequence: view.sequence });
        if seen == Some(entered) {
            return Ok(());
        }
        self.breach(Invariant::Membership, index, &format!("is told {entered:?} and sees {seen:?}"))
    }

    pub(super) fn room_leave(
        &mut self,
        index: usize,
        id: RequestId,
        result: &Result<RoomChange, Code>,
    ) -> Result<(), Breach> {
        let request = self.answered(index, id, Kind::RoomLeave, result)?;
        let Ok(change) = result else { return Ok(()) };
        if let Some(Request { asked: Asked::RoomLeave { room }, .. }) = request
            && room != change.room
        {
            return self.breach(
                Invariant::OneResponse,
                index,
                &format!("leaves room {room} and is told of {}", change.room),
            );
        }
        self.went(index, change.room, change.sequence)
    }

    /// A client is no longer in its room.
    pub(super) fn went(&mut self, index: usize, room: RoomNumber, sequence: u64) -> Result<(), Breach> {
        let Some(mut view) = self.connections[index].view.take().filter(|view| view.room == room) else {
            return self.breach(Invariant::Membership, index, &format!("leaves room {room}, in which it is not"));
        };
        view.advance(sequence).map_err(|breach| self.at(index, breach))?;
        let Some(login) = self.connections[index].login else {
            return self.breach(Invariant::Membership, index, "is in a room and not logged in");
        };
        self.rooms.logs[view.log]
            .changed(sequence, Change::Left(login.id), None)
            .map_err(|breach| self.at(index, breach))
    }

    pub(super) fn kick(
        &mut self,
        index: usize,
        id: RequestId,
        result: &Result<RoomChange, Code>,
    ) -> Result<(), Breach> {
        let request = self.answered(index, id, Kind::Kick, result)?;
        let Ok(change) = result else { return Ok(()) };
        if let Some(Request { asked: Asked::Kick { room }, .. }) = request
            && room != change.room
        {
            return self.breach(
                Invariant::OneResponse,
                index,
                &format!("kicks from room {room} and is told of {}", change.room),
            );
        }
        // A member has been told of the leaving just before; an administrator may be elsewhere.
        match &self.connections[index].view {
            Some(view) if view.room == change.room && view.sequence != change.sequence => {
                let what = format!("kicks by change {} and has seen {} last", change.sequence, view.sequence);
                self.breach(Invariant::RoomOrder, index, &what)
            }
            Some(_) | None => Ok(()),
        }
    }

    pub(super) fn listed(&mut self, index: usize, part: Listing, is_last: bool) -> Result<(), Breach> {
        let connection = &mut self.connections[index];
        let mut listing = match connection.listing.take() {
            None => {
                let is_due = connection.is_wild || connection.requests.asks_for_a_room();
                if connection.view.is_some() || !is_due {
                    return self.breach(Invariant::Membership, index, "has a list of users and enters no room");
                }
                part
            }
            Some(mut listing) => {
                let Listing { room, epoch, sequence, owner, users } = part;
                let is_same =
                    (listing.room, listing.epoch, listing.sequence, listing.owner) == (room, epoch, sequence, owner);
                if !is_same {
                    return self.breach(Invariant::Membership, index, "has a list of users with parts of another");
                }
                listing.users.extend(users);
                listing
            }
        };
        if !is_last {
            self.marks.reach(Mark::ListInParts);
            self.connections[index].listing = Some(listing);
            return Ok(());
        }
        let (room, sequence) = (listing.room, listing.sequence);
        let Some(login) = self.connections[index].login else {
            return self.breach(Invariant::Membership, index, "enters a room and is not logged in");
        };
        if listing.users.last() != Some(&(login.id, login.name)) {
            return self.breach(
                Invariant::Membership,
                index,
                &format!("enters room {room} and is not the last on its list"),
            );
        }
        let fixed = self.rules.fixed_rooms.iter().find(|(number, _)| *number == room);
        let capacity = fixed.map_or(self.rules.room_members_max, |(_, capacity)| *capacity);
        if listing.users.len() > capacity as usize {
            let what = format!("sees {} members in room {room}, which holds {capacity}", listing.users.len());
            return self.breach(Invariant::Membership, index, &what);
        }
        let members: Vec<_> = listing.users.iter().map(|(id, _)| *id).collect();
        listing.users.sort_unstable();
        let is_twice = |pair: &[(UserId, UserName)]| pair[0].0 == pair[1].0;
        if listing.users.windows(2).any(is_twice) {
            return self.breach(Invariant::Membership, index, &format!("sees a member of room {room} twice"));
        }
        let daemon = self.connections[index].daemon;
        let (log, is_again) = self.rooms.log(daemon, room, listing.epoch, sequence);
        if is_again {
            self.marks.reach(Mark::RoomAgain);
        }
        let view = View { log, room, epoch: listing.epoch, sequence, members, owner: listing.owner };
        let log = &mut self.rooms.logs[log];
        if log.daemon != daemon {
            return self.breach(Invariant::Membership, index, &format!("is in room {room} of another daemon"));
        }
        log.seat(login.id, index);
        let heard = log.changed(sequence, Change::Entered(login.id), Some(view.digest()));
        self.connections[index].view = Some(view);
        heard.map_err(|breach| self.at(index, breach))
    }

    /// The room that a client sees, if it is this one.
    pub(super) fn view(&mut self, index: usize, room: RoomNumber) -> Result<&mut View, Breach> {
        if self.connections[index].view.as_ref().is_none_or(|view| view.room != room) {
            return self.breach(Invariant::RoomOrder, index, &format!("hears of room {room} and is not in it"));
        }
        Ok(self.connections[index].view.as_mut().expect("it is there, as was seen just now"))
    }

    pub(super) fn entered(&mut self, index: usize, room: RoomNumber, sequence: u64, user: &User) -> Result<(), Breach> {
        let view = self.view(index, room)?;
        let advanced = view.advance(sequence);
        let is_twice = view.members.contains(&user.id);
        view.members.push(user.id);
        let (log, digest) = (view.log, view.digest());
        if is_twice {
            return self.breach(
                Invariant::Membership,
                index,
                &format!("hears that {} enters, who is there", user.name),
            );
        }
        let heard = self.rooms.logs[log].changed(sequence, Change::Entered(user.id), Some(digest));
        advanced.and(heard).map_err(|breach| self.at(index, breach))
    }

    pub(super) fn left(
        &mut self,
        index: usize,
        room: RoomNumber,
        sequence: u64,
        user: UserId,
        owner: Option<UserId>,
    ) -> Result<(), Breach> {
        let own = self.connections[index].login.map(|login| login.id);
        let view = self.view(index, room)?;
        let advanced = view.advance(sequence);
        let Some(place) = view.members.iter().position(|member| *member == user).filter(|_| own != Some(user)) else {
            return self.breach(Invariant::Membership, index, &format!("hears that {user} leaves, who is not there"));
        };
        view.members.remove(place);
        let has_passed = view.owner == Some(user);
        // Ownership passes to the longest-standing member.
        let expected = if has_passed { view.members.first().copied() } else { view.owner };
        view.owner = owner;
        let (log, digest) = (view.log, view.digest());
        if owner != expected {
            let what = format!("is told that {owner:?} owns room {room}; expected was {expected:?}");
            return self.breach(Invariant::Membership, index, &what);
        }
        if has_passed {
            self.marks.reach(Mark::OwnershipPassed);
        }
        let heard = self.rooms.logs[log].changed(sequence, Change::Left(user), Some(digest));
        advanced.and(heard).map_err(|breach| self.at(index, breach))
    }
}
