//! The lobby: the directory of rooms, and how one gets into a room and out of it.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::action::Actions;
use crate::check::fits;
use crate::config::{Config, PACKET_HEAD_BYTES_MAX};
use crate::deadline::Deadline;
use crate::engine::Engine;
use crate::extension::Event;
use crate::id::{RequestId, RoomNumber, SessionId, UserId};
use crate::limits::Remembered;
use crate::name::UserName;
use crate::packet::{Code, LeaveCause, List, RoomChange, RoomEntered, RoomPage, RoomSummary, Sealed, ServerPacket};
use crate::random::Random;
use crate::room::{Member, Room, RoomEvent, RoomPlan};
use crate::text::{RawText, Text, check_title};

/// The most rooms on a page of the directory.
pub const PAGE_ROOMS_MAX: u32 = 100;

/// The directory of rooms.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Lobby {
    rooms: BTreeMap<RoomNumber, Room>,
    /// Rooms that users create are numbered above this.
    reserved: u32,
    /// Numbers above `reserved` and up to `numbers_used` that are free again.
    free: BTreeSet<u32>,
    numbers_used: u32,
    /// How many rooms exist by each user's creation.
    created_by: BTreeMap<UserName, u32>,
    creations: Remembered<UserName>,
    password_failures: Remembered<UserName>,
}

impl Lobby {
    pub(crate) fn new(config: &Config, random: &mut Random) -> Self {
        let reserved = config.reserved_room_numbers();
        let mut lobby = Self {
            rooms: BTreeMap::new(),
            reserved,
            free: BTreeSet::new(),
            numbers_used: reserved,
            created_by: BTreeMap::new(),
            creations: Remembered::default(),
            password_failures: Remembered::default(),
        };
        for fixed in &config.fixed_rooms {
            let plan = RoomPlan {
                number: fixed.number,
                title: fixed.title.clone(),
                capacity: fixed.capacity,
                password: fixed.password,
                creator: None,
            };
            lobby.rooms.insert(fixed.number, Room::new(plan, random.next()));
        }
        lobby
    }

    pub(crate) fn room(&self, number: RoomNumber) -> Option<&Room> {
        self.rooms.get(&number)
    }

    pub(crate) fn rooms(&self) -> impl Iterator<Item = &Room> {
        self.rooms.values()
    }

    pub(crate) fn room_count(&self) -> u32 {
        // Not more than `rooms_max`, which is a `u32`.
        self.rooms.len() as u32
    }

    pub(crate) fn member_count(&self) -> u32 {
        // Not more than there are sessions, which are counted by a `u32`.
        self.rooms.values().map(|room| room.members().len() as u32).sum()
    }

    /// Whether the directory's parts fit together, and to the configuration.
    pub(crate) fn check(&self, config: &Config) -> Result<(), &'static str> {
        let mut created_by = BTreeMap::new();
        for (number, room) in &self.rooms {
            fits(room.number == *number, "a room is filed under another number")?;
            let is_configured = config.fixed_rooms.iter().any(|fixed| fixed.number == *number);
            fits(room.is_fixed() == is_configured, "a room of the configuration can be cleaned up, or another cannot")?;
            fits(room.capacity <= config.room_members_max, "a room's capacity is over the limit")?;
            if let Some(creator) = room.creator {
                *created_by.entry(creator).or_insert(0_u32) += 1;
            }
        }
        let are_there = config.fixed_rooms.iter().all(|fixed| self.rooms.contains_key(&fixed.number));
        fits(are_there, "a room of the configuration is missing")?;
        fits(created_by == self.created_by, "created rooms are counted wrongly")?;
        fits(self.reserved == config.reserved_room_numbers(), "room numbers are reserved wrongly")?;
        fits(self.numbers_used >= self.reserved, "reserved room numbers are given away")?;
        let created = self.rooms.keys().map(|number| number.0).filter(|number| *number > self.reserved);
        let mut numbers: Vec<_> = self.free.iter().copied().chain(created).collect();
        numbers.sort_unstable();
        // Each number once, and none left out.
        let all_used = (self.reserved + 1)..=self.numbers_used;
        fits(numbers.iter().copied().eq(all_used), "a room number is lost, or both free and in use")?;
        let last_is_free = self.free.last().is_some_and(|number| *number == self.numbers_used);
        fits(!last_is_free, "free room numbers at the end are remembered")?;
        let remembered = self.creations.len().max(self.password_failures.len());
        fits(remembered <= config.remembered_max as usize, "more attempts are remembered than allowed")
    }

    /// Applies an event to a room that exists.
    pub(crate) fn apply(
        &mut self,
        number: RoomNumber,
        event: RoomEvent,
        frame_bytes_max: u32,
        actions: &mut Actions,
    ) -> u64 {
        self.existing(number).apply(event, frame_bytes_max, actions)
    }

    fn existing(&mut self, number: RoomNumber) -> &mut Room {
        self.rooms.get_mut(&number).expect("a room with members stays, and the others were looked up just now")
    }

    /// The lowest number above the reserved ones that no room has.
    fn lowest_free_number(&self) -> RoomNumber {
        RoomNumber(self.free.first().copied().unwrap_or(self.numbers_used + 1))
    }

    fn create(&mut self, plan: RoomPlan, epoch: u64) {
        let number = plan.number;
        if number.0 > self.reserved && !self.free.remove(&number.0) {
            self.numbers_used += 1;
        }
        if let Some(creator) = plan.creator {
            *self.created_by.entry(creator).or_default() += 1;
        }
        let before = self.rooms.insert(number, Room::new(plan, epoch));
        assert!(before.is_none(), "a room's number is free when it is created");
    }

    fn remove(&mut self, number: RoomNumber) {
        let room = self.rooms.remove(&number).expect("only an existing room is removed");
        if number.0 > self.reserved {
            self.free.insert(number.0);
        }
        // Numbers at the end need not be remembered as free.
        while self.free.remove(&self.numbers_used) {
            self.numbers_used -= 1;
        }
        if let Some(creator) = room.creator {
            let created = self.created_by.get_mut(&creator).expect("a created room is counted");
            *created -= 1;
            if *created == 0 {
                self.created_by.remove(&creator);
            }
        }
    }

    fn created_by(&self, user: UserName) -> u32 {
        self.created_by.get(&user).copied().unwrap_or(0)
    }

    /// A page of the directory: as many rooms as are asked for, allowed, and fit into a frame.
    pub(crate) fn page(&self, from: RoomNumber, limit: u32, frame_bytes_max: u32) -> RoomPage {
        let limit = if limit == 0 { PAGE_ROOMS_MAX } else { limit.min(PAGE_ROOMS_MAX) };
        let bytes_max = frame_bytes_max.saturating_sub(PACKET_HEAD_BYTES_MAX) as usize;
        let (mut rooms, mut bytes, mut next) = (Vec::new(), 0, None);
        for room in self.rooms.range(from..).map(|(_, room)| room) {
            let summary = room.summary();
            bytes += summary_bytes(&summary);
            if rooms.len() >= limit as usize || bytes > bytes_max {
                next = Some(room.number);
                break;
            }
            rooms.push(summary);
        }
        RoomPage { rooms: List(rooms), next }
    }
}

/// At most this many bytes does a room take on the wire: three numbers, a length, a flag and the title.
fn summary_bytes(summary: &RoomSummary) -> usize {
    3 * 5 + 3 + 1 + summary.title.len()
}

impl Engine {
    pub(crate) fn room_list(
        &mut self,
        id: SessionId,
        request: RequestId,
        from: RoomNumber,
        limit: u32,
        actions: &mut Actions,
    ) -> Result<(), Code> {
        self.sessions.online(id)?;
        let page = self.lobby.page(from, limit, self.config.frame_bytes_max);
        actions.send(id, ServerPacket::RoomListResponse { request, result: Ok(page) });
        Ok(())
    }

    pub(crate) fn room_create(
        &mut self,
        id: SessionId,
        request: RequestId,
        title: RawText<'_>,
        capacity: u32,
        password: Option<Sealed>,
        actions: &mut Actions,
    ) -> Result<(), Code> {
        let creator = self.in_lobby(id)?;
        let title = Text::new(check_title(title).map_err(|_| Code::TitleInvalid)?);
        if capacity == 0 || capacity > self.config.room_members_max {
            return Err(Code::CapacityInvalid);
        }
        let number = self.lobby.lowest_free_number();
        self.create_room(RoomPlan { number, title, capacity, password, creator: Some(creator) })?;
        let entered = self.enter(id, number, actions);
        actions.send(id, ServerPacket::RoomCreateResponse { request, result: Ok(entered) });
        Ok(())
    }

    pub(crate) fn room_enter(
        &mut self,
        id: SessionId,
        request: RequestId,
        number: RoomNumber,
        password: Option<Sealed>,
        actions: &mut Actions,
    ) -> Result<(), Code> {
        let user = self.in_lobby(id)?;
        if self.lobby.room(number).is_none() {
            self.open_room(number, user)?;
        }
        self.check_password(user, number, password)?;
        let room = self.lobby.existing(number);
        if room.is_full() {
            return Err(Code::RoomFull);
        }
        if room.banned.contains(&user) {
            return Err(Code::RoomBanned);
        }
        let entered = self.enter(id, number, actions);
        actions.send(id, ServerPacket::RoomEnterResponse { request, result: Ok(entered) });
        Ok(())
    }

    pub(crate) fn room_leave(
        &mut self,
        id: SessionId,
        request: RequestId,
        number: RoomNumber,
        actions: &mut Actions,
    ) -> Result<(), Code> {
        let online = self.sessions.online_mut(id)?;
        if online.room != Some(number) {
            return Err(Code::NotInRoom);
        }
        online.room = None;
        let sequence = self.leave(id, number, LeaveCause::Left, actions);
        let change = RoomChange { room: number, sequence };
        actions.send(id, ServerPacket::RoomLeaveResponse { request, result: Ok(change) });
        Ok(())
    }

    pub(crate) fn kick(
        &mut self,
        id: SessionId,
        request: RequestId,
        number: RoomNumber,
        user: UserId,
        ban: bool,
        actions: &mut Actions,
    ) -> Result<(), Code> {
        let kicker = self.sessions.online(id)?;
        let room = self.lobby.room(number).ok_or(Code::RoomUnknown)?;
        // An owner is always a member: ownership passes on when one leaves.
        if !kicker.administrator && room.owner != Some(kicker.user.id) {
            return Err(Code::NotAllowed);
        }
        let target = room.member(user).ok_or(Code::UserUnknown)?.session;
        let kicked = self.sessions.online(target)?;
        if kicked.user.id == kicker.user.id || (kicked.administrator && !kicker.administrator) {
            return Err(Code::NotAllowed);
        }
        let (by, name) = (kicker.user.id, kicked.user.name);
        if ban {
            self.ban(number, name)?;
        }
        self.sessions.online_mut(target)?.room = None;
        let sequence = self.leave(target, number, LeaveCause::Kicked, actions);
        let kicked = ServerPacket::Kicked { room: number, sequence, by: Some(by), banned: ban };
        actions.send(target, kicked);
        let change = RoomChange { room: number, sequence };
        actions.send(id, ServerPacket::KickResponse { request, result: Ok(change) });
        Ok(())
    }

    /// Keeps a user out of a room that exists.
    pub(crate) fn ban(&mut self, number: RoomNumber, user: UserName) -> Result<(), Code> {
        let bans_max = self.config.bans_per_room_max as usize;
        let banned = &mut self.lobby.existing(number).banned;
        if !banned.contains(&user) && banned.len() >= bans_max {
            return Err(Code::BansFull);
        }
        banned.insert(user);
        Ok(())
    }

    /// The name of a user who is logged in and in no room.
    fn in_lobby(&self, id: SessionId) -> Result<UserName, Code> {
        let online = self.sessions.online(id)?;
        if online.room.is_some() { Err(Code::NotInLobby) } else { Ok(online.user.name) }
    }

    /// Creates a room that exists by being entered, if `number` is of that kind.
    fn open_room(&mut self, number: RoomNumber, creator: UserName) -> Result<(), Code> {
        if number.0 == 0 || number.0 > self.config.open_rooms_max {
            return Err(Code::RoomUnknown);
        }
        let title = Text::new(&alloc::format!("Room {number}"));
        let capacity = self.config.room_members_max;
        self.create_room(RoomPlan { number, title, capacity, password: None, creator: Some(creator) })
    }

    fn create_room(&mut self, plan: RoomPlan) -> Result<(), Code> {
        if self.is_draining() {
            return Err(Code::Draining);
        }
        if self.lobby.room_count() >= self.config.rooms_max {
            return Err(Code::RoomsFull);
        }
        if let Some(creator) = plan.creator {
            if self.lobby.created_by(creator) >= self.config.rooms_per_user_max {
                return Err(Code::RoomLimit);
            }
            let (rate, keys_max) = (self.config.room_creations_per_user, self.config.remembered_max);
            self.lobby.creations.spend(creator, self.now, rate, keys_max).map_err(|_| Code::RoomRate)?;
        }
        let epoch = self.random.next();
        self.lobby.create(plan, epoch);
        Ok(())
    }

    fn check_password(&mut self, user: UserName, number: RoomNumber, given: Option<Sealed>) -> Result<(), Code> {
        let Some(wanted) = self.lobby.existing(number).password else {
            return Ok(());
        };
        let (rate, keys_max) = (self.config.room_password_failures_per_user, self.config.remembered_max);
        let failures = &mut self.lobby.password_failures;
        failures.spend(user, self.now, rate, keys_max).map_err(|_| Code::RoomPasswordAttempts)?;
        // Both are keyed digests, so the time of the comparison says nothing about the password.
        if given != Some(wanted) {
            return Err(Code::RoomPasswordWrong);
        }
        failures.refund(user, self.now, rate);
        Ok(())
    }

    /// Puts a session that is in the lobby into a room that has a place.
    fn enter(&mut self, id: SessionId, number: RoomNumber, actions: &mut Actions) -> RoomEntered {
        let online = self.sessions.online_mut(id).expect("who enters a room was in the lobby just now");
        online.room = Some(number);
        let user = online.user.name;
        let event = RoomEvent::Entered(Member { session: id, user: Arc::clone(&online.user) });
        let room = self.lobby.existing(number);
        if let Some(at) = room.empty_at.take() {
            self.deadlines.disarm(at, Deadline::EmptyRoom(number));
        }
        let sequence = room.apply(event, self.config.frame_bytes_max, actions);
        self.extensions.hear(|| Event::Entered { session: id, user, room: number });
        RoomEntered { room: number, epoch: room.epoch, sequence }
    }

    /// Takes a session out of its room. The session's own state is the caller's to change.
    pub(crate) fn leave(&mut self, id: SessionId, number: RoomNumber, cause: LeaveCause, actions: &mut Actions) -> u64 {
        let room = self.lobby.existing(number);
        let user = self.extensions.are_there().then(|| room.member_on(id).user.name);
        let sequence = room.apply(RoomEvent::Left { session: id, cause }, self.config.frame_bytes_max, actions);
        if room.is_empty() && !room.is_fixed() {
            let at = self.now + self.config.empty_room_timeout;
            room.empty_at = Some(at);
            self.deadlines.arm(at, Deadline::EmptyRoom(number));
        }
        if let Some(user) = user {
            self.extensions.hear(|| Event::Left { session: id, user, room: number, cause });
        }
        sequence
    }

    pub(crate) fn empty_room_due(&mut self, number: RoomNumber) {
        self.lobby.remove(number);
        self.extensions.hear(|| Event::RoomGone { room: number });
    }
}
