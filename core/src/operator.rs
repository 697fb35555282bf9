//! What the operator asks for by way of the driver's handle: to say something, to kick, to clean up, to look.

use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::action::{Action, Actions};
use crate::data::Data;
use crate::deadline::Deadline;
use crate::engine::Engine;
use crate::extension::UserView;
use crate::id::{AskId, RoomNumber, SessionId};
use crate::input::Notice;
use crate::name::UserName;
use crate::packet::{Code, LeaveCause, RoomPage, RoomSummary, ServerPacket, User};
use crate::text::RawText;

/// A room and who is in it, as the operator sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RoomStatus {
    /// The room as the directory shows it.
    pub summary: RoomSummary,
    /// The members, the longest-standing first.
    pub users: Vec<User>,
}

impl Engine {
    /// A room and who is in it; none if there is no such room.
    #[must_use]
    pub fn room_status(&self, number: RoomNumber) -> Option<RoomStatus> {
        let room = self.lobby.room(number)?;
        let users = room.members().iter().map(|member| User::clone(&member.user)).collect();
        Some(RoomStatus { summary: room.summary(), users })
    }

    /// Every room as the directory shows it, in the order of their numbers.
    pub fn rooms(&self) -> impl Iterator<Item = RoomSummary> {
        self.lobby.rooms().map(|room| room.summary())
    }

    /// Up to `limit` rooms from number `from` on, and where the next page begins: [`Engine::rooms`] in pieces, for
    /// whoever must not keep the engine for long.
    #[must_use]
    pub fn room_page(&self, from: RoomNumber, limit: u32) -> RoomPage {
        self.lobby.page(from, limit, u32::MAX)
    }

    /// How many sessions would hear an announcement now.
    ///
    /// # Errors
    /// Why it would be dropped: it breaks a rule of messages.
    pub fn announcement(&self, text: RawText<'_>) -> Result<u32, Code> {
        self.message(text)?;
        // Not more than there are sessions, which are counted by a `u32`.
        Ok(self.users.all().count() as u32)
    }

    /// Who is logged in on that session.
    #[must_use]
    pub fn user(&self, session: SessionId) -> Option<UserView<'_>> {
        self.sessions.online(session).ok().map(|online| UserView::new(session, online))
    }

    /// The user who is logged in on that session, shared with the engine: for a driver that remembers who that was.
    #[must_use]
    pub fn shared_user(&self, session: SessionId) -> Option<Arc<User>> {
        self.sessions.online(session).ok().map(|online| Arc::clone(&online.user))
    }

    /// The sessions that are in the same room as that one, without it; none if it is in no room.
    pub fn room_mates(&self, session: SessionId) -> impl Iterator<Item = SessionId> {
        let number = self.sessions.online(session).ok().and_then(|online| online.room);
        let room = number.and_then(|number| self.lobby.room(number));
        let members = room.map_or(&[][..], |room| room.members());
        members.iter().map(|member| member.session).filter(move |mate| *mate != session)
    }

    pub(crate) fn notify_user(&mut self, ask: AskId, user: UserName, notice: Notice<'_>, actions: &mut Actions) {
        let result = self.notice(notice, None, actions).and_then(|packet| {
            if !self.users.is_online(user) {
                return Err(Code::UserUnknown);
            }
            Ok(actions.broadcast(self.users.sessions(user), || packet))
        });
        actions.push(Action::Answer { ask, result });
    }

    pub(crate) fn notify_room(&mut self, ask: AskId, number: RoomNumber, notice: Notice<'_>, actions: &mut Actions) {
        let result = self.notice(notice, Some(number), actions).and_then(|packet| {
            let room = self.lobby.room(number).ok_or(Code::RoomUnknown)?;
            Ok(actions.broadcast(room.members().iter().map(|member| member.session), || packet))
        });
        actions.push(Action::Answer { ask, result });
    }

    fn notice(
        &self,
        notice: Notice<'_>,
        room: Option<RoomNumber>,
        actions: &mut Actions,
    ) -> Result<ServerPacket, Code> {
        Ok(match notice {
            Notice::Text(text) => {
                let text = self.message(text)?;
                ServerPacket::NoticeNotify { room, text: actions.text(text) }
            }
            Notice::Custom { command_type, data } => {
                if data.0.len() > self.config.data_bytes_max() as usize {
                    return Err(Code::TextTooLong);
                }
                ServerPacket::CustomNotify { command_type, data: Data::new(data.0) }
            }
        })
    }

    pub(crate) fn operator_kick(
        &mut self,
        ask: AskId,
        number: RoomNumber,
        user: UserName,
        ban: bool,
        actions: &mut Actions,
    ) {
        let result = self.kick_user(number, user, ban, actions);
        actions.push(Action::Answer { ask, result });
    }

    /// Kicks every session of that user that is in that room.
    fn kick_user(&mut self, number: RoomNumber, user: UserName, ban: bool, actions: &mut Actions) -> Result<u32, Code> {
        let room = self.lobby.room(number).ok_or(Code::RoomUnknown)?;
        let members = room.members().iter().filter(|member| member.user.name == user);
        let targets: Vec<_> = members.map(|member| member.session).collect();
        if targets.is_empty() {
            return Err(Code::UserUnknown);
        }
        if ban {
            self.ban(number, user)?;
        }
        for target in &targets {
            self.sessions.online_mut(*target)?.room = None;
            let sequence = self.leave(*target, number, LeaveCause::Kicked, actions);
            actions.send(*target, ServerPacket::Kicked { room: number, sequence, by: None, banned: ban });
        }
        // Not more than the members of a room, which are counted by a `u32`.
        Ok(targets.len() as u32)
    }

    pub(crate) fn clean_up_empty_rooms(&mut self, ask: AskId, actions: &mut Actions) {
        let empty = self.lobby.rooms().filter_map(|room| room.empty_at.map(|at| (at, room.number)));
        let empty: Vec<_> = empty.collect();
        for (at, room) in &empty {
            self.deadlines.disarm(*at, Deadline::EmptyRoom(*room));
            self.empty_room_due(*room);
        }
        // Not more than there are rooms, which are counted by a `u32`.
        actions.push(Action::Answer { ask, result: Ok(empty.len() as u32) });
    }
}
