//! The engine's parts must fit together: what a restored snapshot is asked, and tests ask after every step.

use alloc::collections::{BTreeMap, BTreeSet};

use crate::deadline::Deadline;
use crate::engine::{Engine, SILENT_INTERVALS_MAX};
use crate::id::UserId;
use crate::session::State;
use crate::time::Instant;

/// No number that is used once gets this far in the life of a machine; from here on there is still room to count.
const SERIALS_MAX: u64 = u64::MAX / 2;

impl Engine {
    /// Checks that the engine's parts fit together. Takes time in proportion to the whole state; meant for tests,
    /// simulation and restored snapshots.
    ///
    /// # Errors
    /// Says what does not fit.
    pub fn check(&self) -> Result<(), &'static str> {
        fits(self.config.validate().is_ok(), "the configuration cannot hold")?;
        fits(self.now <= Instant::LAST, "time is beyond its end")?;
        fits(!self.attempts.has_issued(SERIALS_MAX), "there are no more numbers for logins")?;
        self.sessions.check()?;
        self.check_sessions()?;
        self.lobby.check(&self.config)?;
        self.check_rooms()?;
        self.extensions.check(&self.config)?;
        self.check_waiting()?;
        self.check_deadlines()?;
        let remembered = self.attempts.remembered().max(self.connects.len());
        fits(remembered <= self.config.remembered_max as usize, "more attempts are remembered than allowed")
    }

    fn check_sessions(&self) -> Result<(), &'static str> {
        let (mut pending, mut online) = (0_u32, 0_u32);
        let mut serials = BTreeSet::new();
        for session in self.sessions.iter() {
            fits(session.heard_at <= self.now, "a session was heard in the future")?;
            let has_attempts = session.login_failures < self.config.login_failures_per_session_max;
            fits(has_attempts, "a session has outlived its failed logins")?;
            match &session.state {
                State::AwaitingHello | State::Anonymous => {
                    fits(session.login_at.is_some(), "a session may stay for ever without logging in")?;
                }
                State::LoginPending(login) => {
                    pending += 1;
                    fits(login.ticket.session == session.id, "a login waits in another session")?;
                    fits(self.attempts.has_issued(login.ticket.serial), "a ticket was never issued")?;
                    fits(serials.insert(login.ticket.serial), "a ticket was issued twice")?;
                    fits(session.login_at.is_some(), "a login may wait for ever")?;
                }
                State::Online(user) => {
                    online += 1;
                    fits(session.login_at.is_none(), "a logged-in session must still log in")?;
                    fits(user.ticket.session == session.id, "a login belongs to another session")?;
                    fits(self.attempts.has_issued(user.ticket.serial), "a ticket was never issued")?;
                    fits(serials.insert(user.ticket.serial), "a ticket was issued twice")?;
                    fits(user.user.id == UserId(user.ticket.serial), "a login has another login's number")?;
                    let is_known = self.users.holds(user.user.name, user.user.id, session.id);
                    fits(is_known, "an online user is not in the directory")?;
                    if let Some(number) = user.room {
                        let member = self.lobby.room(number).and_then(|room| room.member(user.user.id));
                        let is_there = member.is_some_and(|member| member.session == session.id);
                        fits(is_there, "a session's room does not know it")?;
                    }
                }
            }
        }
        fits(self.sessions.count() <= self.config.sessions_max, "there are more sessions than allowed")?;
        fits(pending == self.attempts.pending(), "pending logins are counted wrongly")?;
        fits(online == self.users.count(), "the directory holds users who are not online")?;
        fits(online <= self.config.users_max, "there are more users online than allowed")
    }

    fn check_rooms(&self) -> Result<(), &'static str> {
        fits(self.lobby.room_count() <= self.config.rooms_max, "there are more rooms than allowed")?;
        for room in self.lobby.rooms() {
            fits(room.members().len() <= room.capacity as usize, "a room holds more members than its capacity")?;
            fits(room.banned.len() <= self.config.bans_per_room_max as usize, "a room holds too many bans")?;
            let cleaned_up = room.is_empty() && !room.is_fixed();
            fits(room.empty_at.is_some() == cleaned_up, "an empty room stays for ever, or one in use does not")?;
            let owner_is_there = room.owner.is_none_or(|owner| room.member(owner).is_some());
            fits(owner_is_there, "a room's owner is not in it")?;
            let owned = !room.is_empty() && !room.is_fixed();
            fits(room.owner.is_some() == owned, "a created room has members and no owner, or another has one")?;
            fits(room.sequence() < SERIALS_MAX, "there are no more numbers for a room's changes")?;
            let mut sessions = BTreeSet::new();
            for member in room.members() {
                fits(sessions.insert(member.session), "a member is in a room twice")?;
                let online = self.sessions.online(member.session);
                let is_here = online.is_ok_and(|user| user.room == Some(room.number) && user.user == member.user);
                fits(is_here, "a room's member is elsewhere, or somebody else")?;
            }
        }
        Ok(())
    }

    fn check_waiting(&self) -> Result<(), &'static str> {
        let mut counts = BTreeMap::new();
        for session in self.extensions.waiting_sessions() {
            fits(self.sessions.online(session).is_ok(), "a command waits of nobody who is online")?;
            *counts.entry(session).or_insert(0_u32) += 1;
        }
        let most = counts.into_values().max().unwrap_or(0);
        let most_max = self.config.commands_waiting_per_session_max;
        fits(most <= most_max, "more commands of a session wait than allowed")
    }

    fn check_deadlines(&self) -> Result<(), &'static str> {
        let mut armed = 0;
        let mut check = |at, deadline| {
            armed += 1;
            fits(self.deadlines.contains(at, deadline), "a remembered deadline is not armed")
        };
        for session in self.sessions.iter() {
            let heartbeat_at = session.heartbeat_at.ok_or("a session may be silent for ever")?;
            let silent_at = session.heard_at + self.config.heartbeat_interval * SILENT_INTERVALS_MAX;
            fits(heartbeat_at <= silent_at, "a session may be silent for too long")?;
            check(heartbeat_at, Deadline::Heartbeat(session.id))?;
            if let Some(at) = session.login_at {
                check(at, Deadline::Login(session.id))?;
            }
            fits(
                session.drain_at.is_some() == self.is_draining(),
                "a session outlives the server, or it does not drain",
            )?;
            if let Some(at) = session.drain_at {
                check(at, Deadline::DrainSession(session.id))?;
            }
        }
        for room in self.lobby.rooms() {
            if let Some(at) = room.empty_at {
                check(at, Deadline::EmptyRoom(room.number))?;
            }
        }
        if let Some(at) = self.drain.and_then(|drain| drain.end_at) {
            check(at, Deadline::DrainEnd)?;
        }
        for (at, deadline) in self.extensions.deadlines() {
            check(at, deadline)?;
        }
        fits(armed == self.deadlines.len(), "a deadline is armed for nobody")
    }
}

pub(crate) fn fits(holds: bool, otherwise: &'static str) -> Result<(), &'static str> {
    if holds { Ok(()) } else { Err(otherwise) }
}
