//! What the operator asks for: drain, stop, close a user, announce.

use std::time::Duration;

use lobbyd_core::action::Action;
use lobbyd_core::data::Data;
use lobbyd_core::id::{AskId, RoomNumber, SessionId};
use lobbyd_core::input::{Admin, Notice};
use lobbyd_core::name::UserName;
use lobbyd_core::packet::{CloseReason, Code, LeaveCause, ServerPacket};
use lobbyd_core::text::Text;
use lobbyd_core::time::Instant;

use super::session::State;
use super::told::{Mismatch, Told};
use super::{Model, words};

/// The server is going to stop, or has stopped.
#[derive(Clone, Copy, Debug)]
pub(super) struct Drain {
    /// When the rest are closed; absent once they are.
    pub(super) ends_at: Option<Instant>,
}

/// The delays that clients are told are whole milliseconds, rounded down.
const ROUNDING: Duration = Duration::from_millis(1);

impl Model {
    pub(super) fn obeys(&mut self, command: &Admin<'_>, told: &mut Told<'_>) -> Result<(), Mismatch> {
        match command {
            Admin::Drain { within } => self.drains(*within, told),
            Admin::Stop => self.closes_all(told),
            Admin::CloseUser { user } => self.closes_user_and_logins(*user, told),
            Admin::Announce { text } => match words::message(*text, self.config.text_bytes_max) {
                Ok(text) => {
                    let mut online: Vec<_> =
                        self.sessions().filter_map(|session| Some((session.id, session.online()?))).collect();
                    online.sort_by_key(|(_, online)| (online.user.name, online.user.id));
                    let packet = ServerPacket::AnnounceNotify { text: Text::new(text) };
                    told.broadcasts(online.iter().map(|(session, _)| *session), &packet)
                }
                Err(_) => Ok(()),
            },
            Admin::NotifyUser { ask, user, notice } => {
                let sessions = self.sessions_of(*user);
                let heard = self
                    .notice(*notice, None)
                    .and_then(|packet| if sessions.is_empty() { Err(Code::UserUnknown) } else { Ok(packet) });
                answers(*ask, &sessions, heard, told)
            }
            Admin::NotifyRoom { ask, room: number, notice } => {
                let room = self.room(*number);
                let sessions: Vec<_> =
                    room.iter().flat_map(|room| &room.members).map(|(session, _)| *session).collect();
                let is_there = room.is_some();
                let heard = self
                    .notice(*notice, Some(*number))
                    .and_then(|packet| if is_there { Ok(packet) } else { Err(Code::RoomUnknown) });
                answers(*ask, &sessions, heard, told)
            }
            Admin::Kick { ask, room, user, ban } => {
                let result = self.kicks_user(*room, *user, *ban, told)?;
                told.does(&Action::Answer { ask: *ask, result })
            }
            Admin::CleanUpEmptyRooms { ask } => {
                let before = self.rooms.len();
                self.rooms.retain(|room| room.empty_until.is_none());
                let count = (before - self.rooms.len()) as u32;
                told.does(&Action::Answer { ask: *ask, result: Ok(count) })
            }
            // The model knows no extensions, so whatever is to be enabled or disabled is not there.
            Admin::SetExtension { ask, .. } => {
                told.does(&Action::Answer { ask: *ask, result: Err(Code::CommandUnknown) })
            }
            Admin::CallService { ask, service, request } => self.asks_service(*ask, *service, *request, told),
        }
    }

    fn notice(&self, notice: Notice<'_>, room: Option<RoomNumber>) -> Result<ServerPacket, Code> {
        match notice {
            Notice::Text(text) => {
                let text = words::message(text, self.config.text_bytes_max)?;
                Ok(ServerPacket::NoticeNotify { room, text: Text::new(text) })
            }
            // `net/PROTOCOL.md`, limits: a frame less 384 bytes.
            Notice::Custom { data, .. } if data.0.len() + 384 > self.config.frame_bytes_max as usize => {
                Err(Code::TextTooLong)
            }
            Notice::Custom { command_type, data } => {
                Ok(ServerPacket::CustomNotify { command_type, data: Data::new(data.0) })
            }
        }
    }

    /// Sends every session of a user from a room back to the lobby.
    fn kicks_user(
        &mut self,
        number: RoomNumber,
        name: UserName,
        ban: bool,
        told: &mut Told<'_>,
    ) -> Result<Result<u32, Code>, Mismatch> {
        let Some(room) = self.room(number) else { return Ok(Err(Code::RoomUnknown)) };
        let is_user = |session: SessionId| self.online(session).is_some_and(|online| online.user.name == name);
        let targets: Vec<_> = room.members.iter().copied().filter(|(session, _)| is_user(*session)).collect();
        if targets.is_empty() {
            return Ok(Err(Code::UserUnknown));
        }
        if ban && !room.bans.contains(&name) {
            if room.bans.len() >= self.config.bans_per_room_max as usize {
                return Ok(Err(Code::BansFull));
            }
            if let Some(room) = self.room_mut(number) {
                room.bans.push(name);
            }
        }
        for (session, user) in &targets {
            let sequence = self.leaves(*session, *user, number, LeaveCause::Kicked, told)?;
            told.sends(*session, ServerPacket::Kicked { room: number, sequence, by: None, banned: ban })?;
        }
        Ok(Ok(targets.len() as u32))
    }

    /// Everybody is told a moment to go. Which one is the engine's choice, as long as it lies within nine tenths of the time
    /// given: the last farewell has to be sent, too.
    fn drains(&mut self, within: Duration, told: &mut Told<'_>) -> Result<(), Mismatch> {
        if self.drain.is_some() {
            return Ok(());
        }
        let (now, ends_at) = (self.now, self.now + within);
        self.drain = Some(Drain { ends_at: Some(ends_at) });
        self.wakes_at(now);
        for session in self.sessions.iter_mut().flatten() {
            let after_ms = match told.next_sent() {
                Some((_, ServerPacket::GoAway { after_ms })) => *after_ms,
                _ => told.choice().map_or(0, |choice| chosen_delay_ms(choice, within)),
            };
            let after = Duration::from_millis(after_ms.into());
            if after > within / 10 * 9 {
                return Err(told.mismatch(format!("to be told to go within nine tenths of {within:?}")));
            }
            told.sends(session.id, ServerPacket::GoAway { after_ms })?;
            let latest = if after_ms == u32::MAX { ends_at } else { now + after + ROUNDING };
            session.goes = Some((now + after, latest));
        }
        Ok(())
    }

    /// The end of the drain, or a stop.
    pub(super) fn closes_all(&mut self, told: &mut Told<'_>) -> Result<(), Mismatch> {
        self.drain = Some(Drain { ends_at: None });
        let rest: Vec<_> = self.sessions().map(|session| session.id).collect();
        self.closes_each(&rest, CloseReason::Stopped, told)
    }

    fn closes_user_and_logins(&mut self, name: UserName, told: &mut Told<'_>) -> Result<(), Mismatch> {
        self.closes_user(name, CloseReason::OperatorClosed, told)?;
        let is_pending = |state: &State| matches!(state, State::LoginPending { user, .. } if *user == name);
        let pending: Vec<_> =
            self.sessions().filter(|session| is_pending(&session.state)).map(|session| session.id).collect();
        self.closes_each(&pending, CloseReason::OperatorClosed, told)
    }

    /// Closes the sessions of a user, the longest-standing first.
    pub(super) fn closes_user(
        &mut self,
        name: UserName,
        reason: CloseReason,
        told: &mut Told<'_>,
    ) -> Result<(), Mismatch> {
        let sessions = self.sessions_of(name);
        self.closes_each(&sessions, reason, told)
    }

    /// The sessions of a user, the longest-standing first.
    pub(super) fn sessions_of(&self, name: UserName) -> Vec<SessionId> {
        let mut sessions: Vec<_> = self.sessions().filter(|session| session.is_user(name)).collect();
        sessions.sort_by_key(|session| session.online().map(|online| online.user.id));
        sessions.iter().map(|session| session.id).collect()
    }

    fn closes_each(
        &mut self,
        sessions: &[SessionId],
        reason: CloseReason,
        told: &mut Told<'_>,
    ) -> Result<(), Mismatch> {
        sessions.iter().try_for_each(|session| self.closes(*session, reason, told))
    }
}

/// A whole number of milliseconds within nine tenths of the time, so that the last farewell has time to be sent.
fn chosen_delay_ms(choice: u64, within: Duration) -> u32 {
    let spread = u64::try_from(within.as_millis() * 9 / 10).unwrap_or(u64::MAX);
    u32::try_from(choice % spread.max(1)).unwrap_or(u32::MAX - 1)
}

/// A notice reaches these sessions, or nobody, and the operator learns which.
fn answers(
    ask: AskId,
    sessions: &[SessionId],
    heard: Result<ServerPacket, Code>,
    told: &mut Told<'_>,
) -> Result<(), Mismatch> {
    if let Ok(packet) = &heard {
        told.broadcasts(sessions.iter().copied(), packet)?;
    }
    told.does(&Action::Answer { ask, result: heard.map(|_| sessions.len() as u32) })
}
