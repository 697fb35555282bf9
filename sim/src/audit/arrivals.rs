//! What each packet says, held against what is known.

use std::time::Duration;

use lobbyd_core::config::DuplicateLogin;
use lobbyd_core::id::RequestId;
use lobbyd_core::name::UserName;
use lobbyd_core::packet::{CloseReason, Code, RoomPage, ServerPacket, User};

use super::connection::{Login, Phase};
use super::requests::{Asked, Kind, Request};
use super::rooms::Listing;
use super::{Auditor, Breach, Invariant, REDIS};
use crate::marks::Mark;
use crate::scenario::Operation;

impl Auditor {
    /// A client has asked for something.
    pub(super) fn ask(&mut self, at: Duration, index: usize, operation: &Operation) {
        let asked = match operation {
            Operation::Login { user, .. } => self.asked_to_log_in(index, user),
            Operation::Logout => Asked::Logout,
            Operation::RoomList { from, limit } => Asked::RoomList { from: *from, limit: *limit },
            Operation::RoomCreate { .. } => Asked::RoomCreate,
            Operation::RoomEnter { room, .. } => {
                let entered = self.rooms.entered(self.connections[index].daemon, *room);
                Asked::RoomEnter { room: *room, entered }
            }
            Operation::RoomLeave { room } => Asked::RoomLeave { room: *room },
            Operation::RoomChat { room, text } => Asked::RoomChat { room: *room, text: text.clone(), heard_at: None },
            Operation::DirectMessage { .. } => Asked::DirectMessage,
            Operation::Kick { room, .. } => Asked::Kick { room: *room },
            Operation::Command { .. } => Asked::Command,
            Operation::Connect { .. }
            | Operation::Hello { .. }
            | Operation::Ping { .. }
            | Operation::Raw(_)
            | Operation::HalfClose
            | Operation::Close
            | Operation::Reset
            | Operation::Vanish
            | Operation::StopReading
            | Operation::ResumeReading => return,
        };
        let id = self.connections[index].requests.ask(at, asked);
        if let Operation::DirectMessage { user, text } = operation
            && let Ok(to) = UserName::parse(user.as_str().into())
        {
            self.whispers.say(index, id, to, text);
        }
    }

    fn asked_to_log_in(&mut self, index: usize, user: &str) -> Asked {
        let Ok(name) = UserName::parse(user.into()) else { return Asked::Login { name: None, has_raced: false } };
        let mut has_raced = false;
        for client in &self.clients {
            let Some(other) = client.connection else { continue };
            for request in self.connections[other].requests.waiting_mut() {
                if let Asked::Login { name: Some(known), has_raced: other_has } = &mut request.asked
                    && *known == name
                    && other != index
                {
                    (*other_has, has_raced) = (true, true);
                }
            }
        }
        let names = &mut self.connections[index].names;
        if !names.contains(&name) {
            names.push(name);
        }
        Asked::Login { name: Some(name), has_raced }
    }

    /// A packet has arrived on a connection that is not over.
    pub(super) fn packet(&mut self, at: Duration, index: usize, packet: &ServerPacket) -> Result<(), Breach> {
        let connection = &self.connections[index];
        let is_first = matches!(packet, ServerPacket::Welcome { .. });
        let is_farewell = matches!(packet, ServerPacket::Closing { .. });
        match connection.phase {
            Phase::Welcomed if is_first => {
                return self.breach(Invariant::BeginAndEnd, index, "is welcomed twice");
            }
            Phase::Dialled if !is_first && !is_farewell => {
                return self.breach(Invariant::BeginAndEnd, index, "is not welcomed first");
            }
            Phase::Farewell => return self.breach(Invariant::BeginAndEnd, index, "hears something behind `Closing`"),
            Phase::Dialled | Phase::Welcomed | Phase::Closed | Phase::Left | Phase::Lost => {}
        }
        if !connection.may_hear(packet) {
            return self.breach(Invariant::Membership, index, "hears something between the parts of a list of users");
        }
        match packet {
            ServerPacket::Welcome { .. } => self.connections[index].phase = Phase::Welcomed,
            ServerPacket::Ping { .. } => self.marks.reach(Mark::Pinged),
            ServerPacket::Pong { nonce } => self.pong(index, *nonce)?,
            ServerPacket::GoAway { after_ms } => self.told_to_go(index, *after_ms)?,
            ServerPacket::Closing { reason } => self.farewell(index, *reason),
            ServerPacket::LoginResponse { request, result } => self.login_response(at, index, *request, result)?,
            ServerPacket::LogoutResponse { request, result } => {
                self.answered(index, *request, Kind::Logout, result)?;
                if result.is_ok() {
                    (self.connections[index].login, self.connections[index].view) = (None, None);
                }
            }
            ServerPacket::RoomListResponse { request, result } => self.room_list(index, *request, result)?,
            ServerPacket::RoomCreateResponse { request, result } => {
                self.answered(index, *request, Kind::RoomCreate, result)?;
                if let Ok(entered) = result {
                    self.is_in(index, *entered)?;
                }
            }
            ServerPacket::RoomEnterResponse { request, result } => self.room_enter(index, *request, result)?,
            ServerPacket::RoomLeaveResponse { request, result } => self.room_leave(index, *request, result)?,
            ServerPacket::RoomChatResponse { request, result } => self.room_chat(index, *request, result)?,
            ServerPacket::DirectMessageResponse { request, result } => {
                self.direct_message(index, *request, result)?;
            }
            ServerPacket::KickResponse { request, result } => self.kick(index, *request, result)?,
            ServerPacket::RoomNewUserNotify { room, sequence, user } => self.entered(index, *room, *sequence, user)?,
            ServerPacket::RoomLeaveUserNotify { room, sequence, user, cause: _, owner } => {
                self.left(index, *room, *sequence, *user, *owner)?;
            }
            ServerPacket::RoomUserListNotify { room, epoch, sequence, owner, users, last } => {
                let users = users.0.iter().map(|user| (user.id, user.name)).collect();
                let part = Listing { room: *room, epoch: *epoch, sequence: *sequence, owner: *owner, users };
                self.listed(index, part, *last)?;
            }
            ServerPacket::RoomChatNotify { room, sequence, user, name, text } => {
                self.chatted(index, *room, *sequence, *user, *name, text)?;
            }
            ServerPacket::DirectMessageNotify { user: _, name, text } => self.whispered(index, *name, text)?,
            ServerPacket::Kicked { room, sequence, by: _, banned } => {
                self.marks.reach(if *banned { Mark::Banned } else { Mark::Kicked });
                self.went(index, *room, *sequence)?;
            }
            ServerPacket::AnnounceNotify { .. } => {
                if self.connections[index].login.is_none() {
                    return self.breach(Invariant::RoomOrder, index, "hears an announcement and is not logged in");
                }
            }
            ServerPacket::CustomResponse { request, command_type: _, result } => {
                self.answered(index, *request, Kind::Command, result)?;
            }
            ServerPacket::CustomNotify { .. } | ServerPacket::NoticeNotify { .. } => {
                if self.connections[index].login.is_none() {
                    return self.breach(Invariant::RoomOrder, index, "hears a notice and is not logged in");
                }
            }
        }
        Ok(())
    }

    pub(super) fn breach<T>(&self, invariant: Invariant, index: usize, what: &str) -> Result<T, Breach> {
        Err(Breach::new(invariant, format!("{} {what}", self.name(index))))
    }

    fn pong(&mut self, index: usize, nonce: u64) -> Result<(), Breach> {
        let connection = &mut self.connections[index];
        match connection.pings.iter().position(|asked| *asked == nonce) {
            Some(place) => {
                connection.pings.remove(place);
                Ok(())
            }
            None if connection.is_wild => Ok(()),
            None => self.breach(Invariant::OneResponse, index, &format!("has a pong {nonce} for no ping")),
        }
    }

    fn farewell(&mut self, index: usize, reason: CloseReason) {
        self.marks.closed(reason);
        // One that it talks in, and one that must not feel anything of this.
        let has_listeners = self.connections[index].view.as_ref().is_some_and(|view| view.members.len() >= 3);
        if reason == CloseReason::SlowConsumer && has_listeners {
            self.marks.reach(Mark::SlowInBroadcast);
        }
        if reason == CloseReason::Superseded
            && let Some(login) = self.connections[index].login
        {
            let daemon = self.connections[index].daemon;
            let is_it = |other: usize| {
                let other = &self.connections[other];
                let asks =
                    |request: &Request| matches!(request.asked, Asked::Login { name, .. } if name == Some(login.name));
                other.login.is_some_and(|known| known.name == login.name) || other.requests.waiting().any(asks)
            };
            let winners: Vec<_> = self.current().filter(|other| *other != index && is_it(*other)).collect();
            if winners.iter().any(|winner| self.connections[*winner].daemon == daemon) {
                self.marks.reach(Mark::SupersededHere);
            } else if !winners.is_empty() {
                self.marks.reach(Mark::SupersededAcross);
            }
            if login.has_raced {
                self.marks.reach(Mark::NewestWinsRace);
            }
        }
        let connection = &mut self.connections[index];
        connection.phase = Phase::Farewell;
        (connection.view, connection.listing) = (None, None);
    }

    /// The request that a response answers; none if it may be one that the auditor does not know.
    pub(super) fn answered<T>(
        &mut self,
        index: usize,
        id: RequestId,
        kind: Kind,
        result: &Result<T, Code>,
    ) -> Result<Option<Request>, Breach> {
        if let Err(code) = result {
            self.marks.refused(*code);
        }
        let connection = &mut self.connections[index];
        match connection.requests.answer(id, kind, result.is_ok()) {
            Ok(request) => Ok(Some(request)),
            Err(_) if connection.is_wild => Ok(None),
            Err(Breach { invariant, what }) => {
                Err(Breach { invariant, what: format!("{} at {}", what, self.name(index)) })
            }
        }
    }

    fn login_response(
        &mut self,
        at: Duration,
        index: usize,
        id: RequestId,
        result: &Result<User, Code>,
    ) -> Result<(), Breach> {
        let request = self.answered(index, id, Kind::Login, result)?;
        let asked = match request.map(|request| request.asked) {
            Some(Asked::Login { name, has_raced }) => Some((name, has_raced)),
            Some(_) | None => None,
        };
        let has_raced = asked.is_some_and(|(_, has_raced)| has_raced);
        let user = match result {
            Ok(user) => user,
            Err(Code::AlreadyOnline) if has_raced => {
                self.marks.reach(Mark::RejectRace);
                return Ok(());
            }
            Err(_) => return Ok(()),
        };
        if let Some((name, _)) = asked
            && name != Some(user.name)
        {
            return self.breach(Invariant::Texts, index, &format!("asked to be {name:?} and is {}", user.name));
        }
        let connection = &self.connections[index];
        if connection.view.is_some() || connection.login.is_some() {
            return self.breach(Invariant::OneSession, index, "is logged in twice on one connection");
        }
        if let Some(life) = connection.life {
            let same = |other: &&super::Connection| {
                other.daemon == connection.daemon
                    && other.life == Some(life)
                    && other.login.is_some_and(|login| login.id == user.id)
            };
            if let Some(other) = self.connections.iter().find(same) {
                let other = &self.clients[other.client].name;
                let what = format!("is login {}, and so is or was {other}", user.id);
                return self.breach(Invariant::OneSession, index, &what);
            }
        }
        self.notice_expired_lease(index, user.name);
        let login = Login { id: user.id, name: user.name, at, has_raced };
        self.connections[index].login = Some(login);
        Ok(())
    }

    fn notice_expired_lease(&mut self, index: usize, name: UserName) {
        if self.rules.duplicate_login == DuplicateLogin::Allow || !self.rules.shares_presence {
            return;
        }
        let daemon = self.connections[index].daemon;
        let has_expired = self.current().any(|other| {
            let other = &self.connections[other];
            other.phase == Phase::Welcomed
                && other.daemon != daemon
                && other.login.is_some_and(|login| login.name == name)
                && self.network.are_apart(&self.daemons[other.daemon].name, REDIS)
        });
        if has_expired {
            self.marks.reach(Mark::LeaseExpiredInPartition);
        }
    }

    fn room_list(&mut self, index: usize, id: RequestId, result: &Result<RoomPage, Code>) -> Result<(), Breach> {
        let request = self.answered(index, id, Kind::RoomList, result)?;
        let (Ok(page), Some(Request { asked: Asked::RoomList { from, limit }, .. })) = (result, request) else {
            return Ok(());
        };
        let rooms = &page.rooms.0;
        let rises = rooms.windows(2).all(|pair| pair[0].room < pair[1].room);
        let is_within = rooms.first().is_none_or(|room| room.room >= from)
            && page.next.is_none_or(|next| rooms.last().is_some_and(|room| room.room < next));
        if !rises || !is_within || (limit > 0 && rooms.len() > limit as usize) {
            return self.breach(
                Invariant::OneResponse,
                index,
                "has a page of rooms that was not asked for, or not in order",
            );
        }
        match rooms.iter().find(|room| room.members > room.capacity) {
            Some(room) => self.breach(
                Invariant::Membership,
                index,
                &format!("sees room {} with more members than it holds", room.room),
            ),
            None => Ok(()),
        }
    }

    pub(super) fn at(&self, index: usize, breach: Breach) -> Breach {
        Breach { what: format!("{}, at {}", breach.what, self.name(index)), ..breach }
    }
}
