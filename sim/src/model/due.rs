//! What happens by itself: pings, silence, times that are over, rooms that are cleaned up.

use std::time::Duration;

use lobbyd_core::action::Action;
use lobbyd_core::id::SessionId;
use lobbyd_core::packet::{CloseReason, Code, ServerPacket};
use lobbyd_core::time::Instant;

use super::Model;
use super::session::{Session, State};
use super::told::{Mismatch, Told};

/// After this many silent intervals a client is closed.
const SILENT_INTERVALS: u32 = 3;

/// What is due at a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    Ping,
    /// The verdict about its login has not come in time.
    Verdict,
    Close(CloseReason),
}

impl Model {
    /// The moment by which an engine wants to be asked at the latest, if any.
    #[must_use]
    pub fn due_at(&self) -> Option<Instant> {
        let rooms = self.rooms.iter().filter_map(|room| room.empty_until);
        let ends_at = self.drain.and_then(|drain| drain.ends_at);
        let sessions = self.sessions().map(|session| {
            let (_, latest) = self.moments(session);
            latest
        });
        let calls = self.calls.iter().map(|call| call.answer_by);
        rooms.chain(ends_at).chain(sessions).chain(calls).min()
    }

    /// Something will be due at this moment.
    pub(super) fn wakes_at(&mut self, at: Instant) {
        self.quiet_until = self.quiet_until.min(at);
    }

    /// The server did not run for this long, so nobody could be heard, log in or get a verdict.
    pub(super) fn puts_off(&mut self, gap: Duration) {
        for session in self.sessions.iter_mut().flatten() {
            session.heard_at = (session.heard_at + gap).min(self.now);
            session.login_by = session.login_by.map(|at| at + gap);
        }
        self.puts_off_calls(gap);
    }

    pub(super) fn fires_what_is_due(&mut self, told: &mut Told<'_>) -> Result<(), Mismatch> {
        if self.now < self.quiet_until {
            return Ok(());
        }
        loop {
            match self.taken_up(told) {
                Some((session, Due::Ping)) => self.pings(session, told)?,
                Some((session, Due::Verdict)) => self.misses_verdict(session, told)?,
                Some((session, Due::Close(reason))) => self.closes(session, reason, told)?,
                None if self.misses_answer(told)? => {}
                None => break,
            }
        }
        if let Some(call) = self.overdue_call() {
            return Err(told.mismatch(format!("that time is over for {call:?}")));
        }
        if let Some((session, due)) = self.sessions().find_map(|session| Some((session.id, self.overdue(session)?))) {
            return Err(told.mismatch(format!("{due:?} of {session:?}")));
        }
        if self.drain.and_then(|drain| drain.ends_at).is_some_and(|at| at <= self.now) {
            self.closes_all(told)?;
        }
        self.rooms.retain(|room| room.empty_until.is_none_or(|at| at > self.now));
        let rooms = self.rooms.iter().filter_map(|room| room.empty_until);
        let ends_at = self.drain.and_then(|drain| drain.ends_at);
        let sessions = self.sessions().map(|session| {
            let (earliest, _) = self.moments(session);
            earliest
        });
        let calls = self.calls.iter().map(|call| call.answer_by);
        let next = rooms.chain(ends_at).chain(sessions).chain(calls).min();
        self.quiet_until = next.unwrap_or(Instant::from_nanos(u64::MAX));
        Ok(())
    }

    /// Which of the things that may happen by now the next actions are about.
    fn taken_up(&self, told: &Told<'_>) -> Option<(SessionId, Due)> {
        if told.is_by_model() {
            return self.sessions().find_map(|session| Some((session.id, self.overdue(session)?)));
        }
        let session = self.session(self.subject(told.next()?)?)?;
        let due = match told.next_sent() {
            Some((_, ServerPacket::Ping { .. })) => Due::Ping,
            Some((_, ServerPacket::LoginResponse { result: Err(Code::StoreUnavailable), .. })) => Due::Verdict,
            _ => Due::Close(told.reason_to_come(session.id)?),
        };
        self.may_happen(session, due).then_some((session.id, due))
    }

    /// The session that an action is about, if one can tell.
    fn subject(&self, action: &Action) -> Option<SessionId> {
        match action {
            Action::Send { to, .. } => Some(*to),
            Action::Close { session, .. } => Some(*session),
            Action::ReleasePresence { ticket, .. } => Some(ticket.session),
            Action::Broadcast { packet: ServerPacket::RoomLeaveUserNotify { user, .. }, .. } => {
                let is_it = |session: &&Session| session.online().is_some_and(|online| online.user.id == *user);
                self.sessions().find(is_it).map(|session| session.id)
            }
            Action::Broadcast { .. }
            | Action::VerifyLogin { .. }
            | Action::Online { .. }
            | Action::CallService { .. }
            | Action::ExtensionFailed { .. }
            | Action::Answer { .. }
            | Action::ServiceAnswer { .. } => None,
        }
    }

    fn may_happen(&self, session: &Session, due: Due) -> bool {
        let is_over = session.login_by.is_some_and(|at| at <= self.now);
        match due {
            Due::Ping => self.wants_ping(session),
            Due::Verdict => is_over && session.is_pending(),
            Due::Close(CloseReason::Silent) => self.is_silent(session),
            Due::Close(CloseReason::LoginTimeout) => is_over && !session.is_pending(),
            Due::Close(CloseReason::Draining) => session.goes.is_some_and(|(earliest, _)| earliest <= self.now),
            Due::Close(_) => false,
        }
    }

    /// What must have happened by now.
    fn overdue(&self, session: &Session) -> Option<Due> {
        if session.goes.is_some_and(|(_, latest)| latest <= self.now) {
            return Some(Due::Close(CloseReason::Draining));
        }
        let dues = [Due::Close(CloseReason::Silent), Due::Ping, Due::Verdict, Due::Close(CloseReason::LoginTimeout)];
        dues.into_iter().find(|due| self.may_happen(session, *due))
    }

    /// Between which moments something is due at a session next.
    fn moments(&self, session: &Session) -> (Instant, Instant) {
        let is_waited_for = session.is_pinged || matches!(session.state, State::Connected);
        let intervals = if is_waited_for { SILENT_INTERVALS } else { 1 };
        let silent_at = session.heard_at + self.config.heartbeat_interval * intervals;
        let at = session.login_by.map_or(silent_at, |login_by| login_by.min(silent_at));
        session.goes.map_or((at, at), |(earliest, latest)| (at.min(earliest), at.min(latest)))
    }

    fn wants_ping(&self, session: &Session) -> bool {
        let silence = self.now.saturating_since(session.heard_at);
        // Who has not said Hello may not say Pong yet.
        let can_answer = !matches!(session.state, State::Connected);
        silence >= self.config.heartbeat_interval && !session.is_pinged && can_answer && !self.is_silent(session)
    }

    fn is_silent(&self, session: &Session) -> bool {
        self.now.saturating_since(session.heard_at) >= self.config.heartbeat_interval * SILENT_INTERVALS
    }

    fn pings(&mut self, id: SessionId, told: &mut Told<'_>) -> Result<(), Mismatch> {
        if let Some(session) = self.session_mut(id) {
            session.is_pinged = true;
        }
        let nonce = match told.next_sent() {
            Some((_, ServerPacket::Ping { nonce })) => *nonce,
            _ => told.choice().unwrap_or_default(),
        };
        told.sends(id, ServerPacket::Ping { nonce })
    }
}
