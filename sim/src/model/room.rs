//! Rooms: who is in them, how they come and go, and the directory.

use lobbyd_core::config::FixedRoom;
use lobbyd_core::id::{RequestId, RoomNumber, SessionId, UserId};
use lobbyd_core::name::UserName;
use lobbyd_core::packet::{Code, LeaveCause, List, RoomEntered, RoomPage, RoomSummary, Sealed, ServerPacket};
use lobbyd_core::text::{RawText, Text};
use lobbyd_core::time::Instant;
use lobbyd_net::codec;
use lobbyd_net::frame::HEADER_BYTES;

use super::request::No;
use super::told::{Mismatch, Told};
use super::{Model, words};

/// The most rooms on a page of the directory.
const PAGE_ROOMS: usize = 100;
/// The engine may reckon that a list takes so much more than it does: this much for each element, and for the rest.
const ELEMENT_SPARE_BYTES: usize = 20;
const LIST_SPARE_BYTES: usize = 128;

#[derive(Clone, Debug)]
pub(super) struct Room {
    pub(super) number: RoomNumber,
    title: Text,
    capacity: u32,
    password: Option<Sealed>,
    /// Who created it; nobody did with a room of the configuration, which has no owner and is never cleaned up.
    creator: Option<UserName>,
    /// Known from the first entering on.
    epoch: Option<u64>,
    pub(super) sequence: u64,
    pub(super) owner: Option<UserId>,
    pub(super) bans: Vec<UserName>,
    /// In the order of their entering.
    pub(super) members: Vec<(SessionId, UserId)>,
    /// When it is cleaned up if nobody enters it before.
    pub(super) empty_until: Option<Instant>,
}

impl Room {
    pub(super) fn fixed(room: &FixedRoom) -> Self {
        Self::new(room.number, room.title.clone(), room.capacity, room.password, None)
    }

    fn new(
        number: RoomNumber,
        title: Text,
        capacity: u32,
        password: Option<Sealed>,
        creator: Option<UserName>,
    ) -> Self {
        Self {
            number,
            title,
            capacity,
            password,
            creator,
            epoch: None,
            sequence: 0,
            owner: None,
            bans: Vec::new(),
            members: Vec::new(),
            empty_until: None,
        }
    }

    pub(super) fn is_fixed(&self) -> bool {
        self.creator.is_none()
    }

    pub(super) fn sessions(&self) -> impl Iterator<Item = SessionId> + Clone {
        self.members.iter().map(|(session, _)| *session)
    }

    fn summary(&self) -> RoomSummary {
        RoomSummary {
            room: self.number,
            title: self.title.clone(),
            members: self.members.len() as u32,
            capacity: self.capacity,
            protected: self.password.is_some(),
        }
    }
}

impl Model {
    pub(super) fn room(&self, number: RoomNumber) -> Option<&Room> {
        self.rooms.iter().find(|room| room.number == number)
    }

    pub(super) fn room_mut(&mut self, number: RoomNumber) -> Option<&mut Room> {
        self.rooms.iter_mut().find(|room| room.number == number)
    }

    pub(super) fn lists(
        &mut self,
        id: SessionId,
        request: RequestId,
        from: RoomNumber,
        limit: u32,
        told: &mut Told<'_>,
    ) -> Result<(), No> {
        self.logged_in(id)?;
        let limit = if limit == 0 { PAGE_ROOMS } else { PAGE_ROOMS.min(limit as usize) };
        let all: Vec<_> = self.rooms.iter().filter(|room| room.number >= from).map(Room::summary).collect();
        let found = match told.next_sent() {
            Some((_, ServerPacket::RoomListResponse { result: Ok(page), .. })) => page.rooms.0.len(),
            _ => all.len().min(limit),
        };
        let page = |count: usize| {
            let next = all.get(count).map(|room| room.room);
            let result = Ok(RoomPage { rooms: List(all[..count].to_vec()), next });
            ServerPacket::RoomListResponse { request, result }
        };
        let wanted = all.len().min(limit);
        let count = self.cuts(wanted, found.min(wanted), page, told);
        self.checks_cut(wanted, count, page, told)?;
        Ok(told.sends(id, page(count))?)
    }

    pub(super) fn creates(
        &mut self,
        id: SessionId,
        request: RequestId,
        title: RawText<'_>,
        capacity: u32,
        password: Option<Sealed>,
        told: &mut Told<'_>,
    ) -> Result<(), No> {
        let creator = self.in_lobby(id)?;
        let title = Text::new(words::title(title)?);
        if !(1..=self.config.room_members_max).contains(&capacity) {
            return Err(Code::CapacityInvalid.into());
        }
        let fixed = self.config.fixed_rooms.iter().map(|room| room.number.0).max().unwrap_or(0);
        let mut number = RoomNumber(fixed.max(self.config.open_rooms_max) + 1);
        while self.room(number).is_some() {
            number.0 += 1;
        }
        self.opens(Room::new(number, title, capacity, password, Some(creator)), creator)?;
        let entered = self.enters(id, number, told)?;
        Ok(told.sends(id, ServerPacket::RoomCreateResponse { request, result: Ok(entered) })?)
    }

    pub(super) fn asks_in(
        &mut self,
        id: SessionId,
        request: RequestId,
        number: RoomNumber,
        password: Option<Sealed>,
        told: &mut Told<'_>,
    ) -> Result<(), No> {
        let user = self.in_lobby(id)?;
        match self.room(number) {
            Some(room) => {
                if let Some(wanted) = room.password {
                    self.tries_password(user, password == Some(wanted))?;
                }
            }
            None if (1..=self.config.open_rooms_max).contains(&number.0) => {
                let title = Text::new(&format!("Room {number}"));
                let room = Room::new(number, title, self.config.room_members_max, None, Some(user));
                self.opens(room, user)?;
            }
            None => return Err(Code::RoomUnknown.into()),
        }
        let room = self.room(number).ok_or(Code::RoomUnknown)?;
        if room.members.len() >= room.capacity as usize {
            return Err(Code::RoomFull.into());
        }
        if room.bans.contains(&user) {
            return Err(Code::RoomBanned.into());
        }
        let entered = self.enters(id, number, told)?;
        Ok(told.sends(id, ServerPacket::RoomEnterResponse { request, result: Ok(entered) })?)
    }

    /// The name of a user who is in no room.
    fn in_lobby(&self, id: SessionId) -> Result<UserName, Code> {
        let online = self.logged_in(id)?;
        if online.room.is_some() { Err(Code::NotInLobby) } else { Ok(online.user.name) }
    }

    /// A room comes to exist, in the name of who will be its first member.
    fn opens(&mut self, room: Room, creator: UserName) -> Result<(), Code> {
        if self.drain.is_some() {
            return Err(Code::Draining);
        }
        if self.rooms.len() >= self.config.rooms_max as usize {
            return Err(Code::RoomsFull);
        }
        let created = self.rooms.iter().filter(|room| room.creator == Some(creator)).count();
        if created >= self.config.rooms_per_user_max as usize {
            return Err(Code::RoomLimit);
        }
        if !self.creations.uses(creator, self.now, self.config.room_creations_per_user) {
            return Err(Code::RoomRate);
        }
        self.rooms.push(room);
        self.rooms.sort_by_key(|room| room.number);
        Ok(())
    }

    /// A wrong password counts, a right one does not, and after too many none is looked at.
    fn tries_password(&mut self, user: UserName, is_right: bool) -> Result<(), Code> {
        let (now, rate) = (self.now, self.config.room_password_failures_per_user);
        if !self.wrong_passwords.uses(user, now, rate) {
            return Err(Code::RoomPasswordAttempts);
        }
        if !is_right {
            return Err(Code::RoomPasswordWrong);
        }
        self.wrong_passwords.gives_back(&user, now, rate);
        Ok(())
    }

    /// Everybody in the room is told of the entrant, and the entrant of everybody.
    fn enters(&mut self, id: SessionId, number: RoomNumber, told: &mut Told<'_>) -> Result<RoomEntered, No> {
        let user = self.logged_in(id)?.user.clone();
        if let Some(online) = self.session_mut(id).and_then(|session| session.online_mut()) {
            online.room = Some(number);
        }
        let room = self.room_mut(number).ok_or(Code::RoomUnknown)?;
        room.sequence += 1;
        let sequence = room.sequence;
        let packet = ServerPacket::RoomNewUserNotify { room: number, sequence, user: user.clone() };
        told.broadcasts(room.sessions(), &packet)?;
        if room.owner.is_none() && !room.is_fixed() {
            room.owner = Some(user.id);
        }
        room.members.push((id, user.id));
        room.empty_until = None;
        let epoch = match (room.epoch, told.next_sent()) {
            (Some(epoch), _) => epoch,
            (None, Some((_, ServerPacket::RoomUserListNotify { epoch, .. }))) => *epoch,
            (None, _) => told.choice().ok_or_else(|| told.mismatch("a list of users"))?,
        };
        let is_new = room.epoch.replace(epoch).is_none();
        let owner = room.owner;
        if is_new && !self.epochs.insert(epoch) {
            return Err(told.mismatch("an epoch that no room has had").into());
        }
        self.tells_members(id, number, epoch, sequence, owner, told)?;
        Ok(RoomEntered { room: number, epoch, sequence })
    }

    /// The list of members, in as many parts as the engine makes of it if each fits a frame and is not cut too early.
    fn tells_members(
        &self,
        id: SessionId,
        number: RoomNumber,
        epoch: u64,
        sequence: u64,
        owner: Option<UserId>,
        told: &mut Told<'_>,
    ) -> Result<(), Mismatch> {
        let members = self.room(number).into_iter().flat_map(|room| room.sessions());
        let all: Vec<_> = members.filter_map(|session| Some(self.online(session)?.user.clone())).collect();
        let mut rest = all.as_slice();
        while !rest.is_empty() {
            let found = match told.next_sent() {
                Some((_, ServerPacket::RoomUserListNotify { users, .. })) => users.0.len(),
                _ => rest.len(),
            };
            let part = |count: usize| ServerPacket::RoomUserListNotify {
                room: number,
                epoch,
                sequence,
                owner,
                users: List(rest[..count].to_vec()),
                last: count == rest.len(),
            };
            let count = self.cuts(rest.len(), found.clamp(1, rest.len()), part, told);
            self.checks_cut(rest.len(), count, part, told)?;
            told.sends(id, part(count))?;
            rest = &rest[count..];
        }
        Ok(())
    }

    /// Where a list is cut: where the engine did, or, if the model tells, where it has to be.
    fn cuts(&self, wanted: usize, found: usize, packet: impl Fn(usize) -> ServerPacket, told: &Told<'_>) -> usize {
        if !told.is_by_model() {
            return found;
        }
        let bytes_max = self.config.frame_bytes_max as usize;
        let fits = |count: &usize| packet_bytes(&packet(*count)) + ELEMENT_SPARE_BYTES * count <= bytes_max;
        (1..=wanted).rev().find(fits).unwrap_or(wanted.min(1))
    }

    /// A list of `wanted` elements may end after `count` of them only where it would not fit a frame with one more.
    fn checks_cut(
        &self,
        wanted: usize,
        count: usize,
        packet: impl Fn(usize) -> ServerPacket,
        told: &Told<'_>,
    ) -> Result<(), Mismatch> {
        let bytes = |count| packet_bytes(&packet(count));
        let bytes_max = self.config.frame_bytes_max as usize;
        if bytes(count) > bytes_max {
            return Err(told.mismatch(format!("a part of at most {bytes_max} bytes")));
        }
        let longer = count + 1;
        if count < wanted && bytes(longer) + ELEMENT_SPARE_BYTES * longer + LIST_SPARE_BYTES <= bytes_max {
            return Err(told.mismatch(format!("more than {count} of {wanted} elements")));
        }
        Ok(())
    }

    /// A member is no longer in the room; the others are told.
    pub(super) fn leaves(
        &mut self,
        id: SessionId,
        user: UserId,
        number: RoomNumber,
        cause: LeaveCause,
        told: &mut Told<'_>,
    ) -> Result<u64, Mismatch> {
        if let Some(online) = self.session_mut(id).and_then(|session| session.online_mut()) {
            online.room = None;
        }
        let empty_until = self.now + self.config.empty_room_timeout;
        let Some(room) = self.room_mut(number) else { return Err(told.mismatch(format!("room {number}"))) };
        room.sequence += 1;
        room.members.retain(|(session, _)| *session != id);
        if room.owner == Some(user) {
            room.owner = room.members.first().map(|(_, user)| *user);
        }
        let (sequence, owner) = (room.sequence, room.owner);
        told.broadcasts(
            room.sessions(),
            &ServerPacket::RoomLeaveUserNotify { room: number, sequence, user, cause, owner },
        )?;
        if room.members.is_empty() && !room.is_fixed() {
            room.empty_until = Some(empty_until);
            self.wakes_at(empty_until);
        }
        Ok(sequence)
    }
}

fn packet_bytes(packet: &ServerPacket) -> usize {
    let mut frame = Vec::new();
    codec::encode_server(packet, &mut frame);
    frame.len() - HEADER_BYTES
}
