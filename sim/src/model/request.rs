//! What clients ask for: whose turn it is, and the requests that are no login.

use lobbyd_core::id::{RequestId, RoomNumber, SessionId, UserId};
use lobbyd_core::packet::{
    ClientPacket, CloseReason, Code, LeaveCause, PROTOCOL_VERSION, RoomChange, Sealed, ServerPacket,
};
use lobbyd_core::text::{RawText, Text};

use super::session::{Online, State};
use super::told::{Mismatch, Told};
use super::{Model, words};

/// Why a packet did not get what it asked for.
#[derive(Debug)]
pub(super) enum No {
    /// It is refused.
    Code(Code),
    /// It ends the session.
    Close(CloseReason),
    /// The engine did something else.
    Mismatch(Mismatch),
}

impl From<Code> for No {
    fn from(code: Code) -> Self {
        Self::Code(code)
    }
}

impl From<CloseReason> for No {
    fn from(reason: CloseReason) -> Self {
        Self::Close(reason)
    }
}

impl From<Mismatch> for No {
    fn from(mismatch: Mismatch) -> Self {
        Self::Mismatch(mismatch)
    }
}

/// What a packet takes of the flood budget: the table of `net/PROTOCOL.md`.
fn cost(packet: &ClientPacket<'_, Sealed>) -> u32 {
    match packet {
        ClientPacket::Hello { .. } => 1,
        ClientPacket::Ping { .. } => 1,
        ClientPacket::Pong { .. } => 1,
        ClientPacket::LoginRequest { .. } => 10,
        ClientPacket::LogoutRequest { .. } => 1,
        ClientPacket::RoomListRequest { .. } => 2,
        ClientPacket::RoomCreateRequest { .. } => 5,
        ClientPacket::RoomEnterRequest { .. } => 3,
        ClientPacket::RoomLeaveRequest { .. } => 2,
        ClientPacket::RoomChatRequest { .. } => 1,
        ClientPacket::DirectMessageRequest { .. } => 1,
        ClientPacket::KickRequest { .. } => 3,
        ClientPacket::CustomCommand { .. } => 3,
    }
}

impl Model {
    /// A packet has come in, and perhaps middleware has stopped it.
    pub(super) fn hears(
        &mut self,
        id: SessionId,
        packet: &ClientPacket<'_, Sealed>,
        stopped: Option<Code>,
        told: &mut Told<'_>,
    ) -> Result<(), Mismatch> {
        match self.answers(id, packet, stopped, told) {
            Ok(()) => Ok(()),
            Err(No::Mismatch(mismatch)) => Err(mismatch),
            Err(No::Close(reason)) => self.closes(id, reason, told),
            Err(No::Code(code)) => match packet.refusal(code) {
                Some(refusal) => told.sends(id, refusal),
                None => Ok(()),
            },
        }
    }

    fn answers(
        &mut self,
        id: SessionId,
        packet: &ClientPacket<'_, Sealed>,
        stopped: Option<Code>,
        told: &mut Told<'_>,
    ) -> Result<(), No> {
        let (now, flood, refusals) = (self.now, self.config.flood, self.config.flood_refusals);
        self.wakes_at(now + self.config.heartbeat_interval);
        let Some(session) = self.session_mut(id) else { return Ok(()) };
        (session.heard_at, session.is_pinged) = (now, false);
        let is_covered = session.flood.uses(now, flood, cost(packet));
        let is_hello = matches!(packet, ClientPacket::Hello { .. });
        if !is_covered && !is_hello {
            let goes_on = session.flood_refusals.uses(now, refusals, 1);
            return Err(if goes_on { Code::Flooding.into() } else { CloseReason::Flooding.into() });
        }
        let is_first = matches!(session.state, State::Connected);
        let is_pending = session.is_pending();
        if is_hello != is_first {
            return Err(if is_first { CloseReason::HelloExpected } else { CloseReason::HelloRepeated }.into());
        }
        if let Some(code) = stopped.filter(|code| packet.refusal(*code).is_some()) {
            let is_logout = matches!(packet, ClientPacket::LogoutRequest { .. });
            return Err(if is_pending && !is_logout { Code::LoginPending } else { code }.into());
        }
        match *packet {
            ClientPacket::Hello { version, .. } => self.greets(id, version),
            ClientPacket::Ping { nonce } => Ok(told.sends(id, ServerPacket::Pong { nonce })?),
            ClientPacket::Pong { .. } => Ok(()),
            ClientPacket::LogoutRequest { request } => self.logs_out(id, request, told),
            _ if is_pending => Err(Code::LoginPending.into()),
            ClientPacket::LoginRequest { request, user, secret } => self.logs_in(id, request, user, secret, told),
            ClientPacket::RoomListRequest { request, from, limit } => self.lists(id, request, from, limit, told),
            ClientPacket::RoomCreateRequest { request, title, capacity, password } => {
                self.creates(id, request, title, capacity, password, told)
            }
            ClientPacket::RoomEnterRequest { request, room, password } => {
                self.asks_in(id, request, room, password, told)
            }
            ClientPacket::RoomLeaveRequest { request, room } => self.asks_out(id, request, room, told),
            ClientPacket::RoomChatRequest { request, room, text } => self.chats(id, request, room, text, told),
            ClientPacket::DirectMessageRequest { request, user, text } => self.writes(id, request, user, text, told),
            ClientPacket::KickRequest { request, room, user, ban } => self.kicks(id, request, room, user, ban, told),
            ClientPacket::CustomCommand { .. } => {
                self.logged_in(id)?;
                Err(Code::CommandUnknown.into())
            }
        }
    }

    /// Who is logged in on this session.
    pub(super) fn logged_in(&self, id: SessionId) -> Result<&Online, Code> {
        self.online(id).ok_or(Code::NotLoggedIn)
    }

    fn greets(&mut self, id: SessionId, version: u32) -> Result<(), No> {
        if version != PROTOCOL_VERSION {
            return Err(CloseReason::VersionUnsupported.into());
        }
        if let Some(session) = self.session_mut(id) {
            // The time for logging in has begun with the connection.
            session.state = State::Anonymous;
        }
        Ok(())
    }

    fn asks_out(
        &mut self,
        id: SessionId,
        request: RequestId,
        number: RoomNumber,
        told: &mut Told<'_>,
    ) -> Result<(), No> {
        let online = self.logged_in(id)?;
        if online.room != Some(number) {
            return Err(Code::NotInRoom.into());
        }
        let sequence = self.leaves(id, online.user.id, number, LeaveCause::Left, told)?;
        let result = Ok(RoomChange { room: number, sequence });
        Ok(told.sends(id, ServerPacket::RoomLeaveResponse { request, result })?)
    }

    fn chats(
        &mut self,
        id: SessionId,
        request: RequestId,
        number: RoomNumber,
        text: RawText<'_>,
        told: &mut Told<'_>,
    ) -> Result<(), No> {
        let Online { user, room, .. } = self.logged_in(id)?;
        if *room != Some(number) {
            return Err(Code::NotInRoom.into());
        }
        let text = Text::new(words::message(text, self.config.text_bytes_max)?);
        let (user, name) = (user.id, user.name);
        let room = self.room_mut(number).ok_or(Code::NotInRoom)?;
        room.sequence += 1;
        let sequence = room.sequence;
        let packet = ServerPacket::RoomChatNotify { room: number, sequence, user, name, text };
        told.broadcasts(room.sessions().filter(|session| *session != id), &packet)?;
        let result = Ok(RoomChange { room: number, sequence });
        Ok(told.sends(id, ServerPacket::RoomChatResponse { request, result })?)
    }

    fn writes(
        &mut self,
        id: SessionId,
        request: RequestId,
        to: RawText<'_>,
        text: RawText<'_>,
        told: &mut Told<'_>,
    ) -> Result<(), No> {
        let Online { user, .. } = self.logged_in(id)?;
        let to = words::name(to)?;
        let text = Text::new(words::message(text, self.config.text_bytes_max)?);
        let sessions = self.sessions_of(to);
        if sessions.is_empty() {
            return Err(Code::UserUnknown.into());
        }
        let packet = ServerPacket::DirectMessageNotify { user: user.id, name: user.name, text };
        told.broadcasts(sessions.iter().copied(), &packet)?;
        Ok(told.sends(id, ServerPacket::DirectMessageResponse { request, result: Ok(()) })?)
    }

    fn kicks(
        &mut self,
        id: SessionId,
        request: RequestId,
        number: RoomNumber,
        user: UserId,
        ban: bool,
        told: &mut Told<'_>,
    ) -> Result<(), No> {
        let Online { user: kicker, is_administrator, .. } = self.logged_in(id)?;
        let room = self.room(number).ok_or(Code::RoomUnknown)?;
        if room.owner != Some(kicker.id) && !is_administrator {
            return Err(Code::NotAllowed.into());
        }
        let (target, _) = *room.members.iter().find(|(_, member)| *member == user).ok_or(Code::UserUnknown)?;
        let kicked = self.online(target).ok_or(Code::UserUnknown)?;
        if user == kicker.id || (kicked.is_administrator && !is_administrator) {
            return Err(Code::NotAllowed.into());
        }
        let (by, name) = (Some(kicker.id), kicked.user.name);
        if ban && !room.bans.contains(&name) {
            if room.bans.len() >= self.config.bans_per_room_max as usize {
                return Err(Code::BansFull.into());
            }
            self.room_mut(number).ok_or(Code::RoomUnknown)?.bans.push(name);
        }
        let sequence = self.leaves(target, user, number, LeaveCause::Kicked, told)?;
        told.sends(target, ServerPacket::Kicked { room: number, sequence, by, banned: ban })?;
        let result = Ok(RoomChange { room: number, sequence });
        Ok(told.sends(id, ServerPacket::KickResponse { request, result })?)
    }
}
