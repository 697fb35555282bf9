//! Login and logout.

use lobbyd_core::action::{Action, Presence};
use lobbyd_core::config::DuplicateLogin;
use lobbyd_core::id::{RequestId, SessionId, Ticket, UserId};
use lobbyd_core::input::Verdict;
use lobbyd_core::name::UserName;
use lobbyd_core::packet::{CloseReason, Code, LeaveCause, Sealed, ServerPacket, User};
use lobbyd_core::text::{RawText, check_nickname};

use super::request::No;
use super::session::{Online, State};
use super::told::{Mismatch, Told};
use super::{Model, words};

impl Model {
    pub(super) fn logs_in(
        &mut self,
        id: SessionId,
        request: RequestId,
        user: RawText<'_>,
        secret: Sealed,
        told: &mut Told<'_>,
    ) -> Result<(), No> {
        if self.online(id).is_some() {
            return Err(Code::AlreadyLoggedIn.into());
        }
        if self.drain.is_some() {
            return Err(Code::Draining.into());
        }
        let user = words::name(user)?;
        self.has_place_for(user)?;
        let pending = self.sessions().filter(|session| session.is_pending()).count();
        if pending >= self.config.logins_pending_max as usize {
            return Err(Code::ServerFull.into());
        }
        self.counts_attempt(id, user)?;

        self.logins += 1;
        let ticket = Ticket { session: id, serial: self.logins };
        self.changes(id, State::LoginPending { ticket, request, user });
        let presence = match self.config.duplicate_login {
            DuplicateLogin::Reject => Presence::Take,
            DuplicateLogin::NewestWins => Presence::Replace,
            DuplicateLogin::Allow => Presence::None,
        };
        Ok(told.does(&Action::VerifyLogin { ticket, user, secret, presence })?)
    }

    fn has_place_for(&self, user: UserName) -> Result<(), Code> {
        let users = self.sessions().filter(|session| session.online().is_some()).count();
        let is_online = self.sessions().any(|session| session.is_user(user));
        let takes_place = is_online && self.config.duplicate_login == DuplicateLogin::NewestWins;
        if users >= self.config.users_max as usize && !takes_place {
            return Err(Code::ServerFull);
        }
        if is_online && self.config.duplicate_login == DuplicateLogin::Reject {
            return Err(Code::AlreadyOnline);
        }
        Ok(())
    }

    /// An attempt counts from its beginning.
    fn counts_attempt(&mut self, id: SessionId, user: UserName) -> Result<(), Code> {
        let code = Code::TooManyAttempts;
        let network = self.session(id).ok_or(code)?.network;
        let (now, config) = (self.now, &self.config);
        if !self.attempts_by_address.uses(network, now, config.login_failures_per_address) {
            return Err(code);
        }
        if !self.attempts_by_user.uses(user, now, config.login_failures_per_user) {
            self.attempts_by_address.gives_back(&network, now, config.login_failures_per_address);
            return Err(code);
        }
        Ok(())
    }

    /// The secret was not wrong, or nobody has said so in time.
    fn counts_attempt_back(&mut self, id: SessionId, user: UserName) {
        let (now, network) = (self.now, self.session(id).map(|session| session.network));
        self.attempts_by_user.gives_back(&user, now, self.config.login_failures_per_user);
        if let Some(network) = network {
            self.attempts_by_address.gives_back(&network, now, self.config.login_failures_per_address);
        }
    }

    /// Who is not online has a time by which to be, which begins with each such change.
    fn changes(&mut self, id: SessionId, state: State) {
        let login_by = match state {
            State::Connected | State::Anonymous => Some(self.now + self.config.login_grace),
            State::LoginPending { .. } => Some(self.now + self.config.login_timeout),
            State::Online(_) => None,
        };
        if let Some(at) = login_by {
            self.wakes_at(at);
        }
        if let Some(session) = self.session_mut(id) {
            (session.state, session.login_by) = (state, login_by);
        }
    }

    /// The login that waits on a session.
    fn pending(&self, id: SessionId) -> Option<(Ticket, RequestId, UserName)> {
        match &self.session(id)?.state {
            State::LoginPending { ticket, request, user } => Some((*ticket, *request, *user)),
            State::Connected | State::Anonymous | State::Online(_) => None,
        }
    }

    /// The store has answered.
    pub(super) fn judges(
        &mut self,
        ticket: Ticket,
        user: UserName,
        verdict: &Verdict,
        told: &mut Told<'_>,
    ) -> Result<(), Mismatch> {
        let id = ticket.session;
        let request = match self.pending(id) {
            Some((asked, request, asked_for)) if asked == ticket && asked_for == user => request,
            _ => return self.judges_too_late(ticket, user, verdict, told),
        };
        self.changes(id, State::Anonymous);
        let code = match verdict {
            Verdict::Denied => return self.denies(id, request, told),
            Verdict::AlreadyOnline => Code::AlreadyOnline,
            Verdict::Unavailable => Code::StoreUnavailable,
            Verdict::Accepted { account, leased } => match self.admits(user) {
                Ok(()) => {
                    self.counts_attempt_back(id, user);
                    if self.config.duplicate_login == DuplicateLogin::NewestWins {
                        self.closes_user(user, CloseReason::Superseded, told)?;
                    }
                    let nickname = account.nickname.clone().filter(|it| check_nickname(it.as_str().into()).is_ok());
                    let user = User { id: UserId(ticket.serial), name: user, nickname };
                    let online = Online {
                        user: user.clone(),
                        is_administrator: account.administrator,
                        ticket,
                        is_leased: *leased,
                        room: None,
                    };
                    self.changes(id, State::Online(online));
                    told.does(&Action::Online { session: id, user: Some(user.name) })?;
                    return told.sends(id, ServerPacket::LoginResponse { request, result: Ok(user) });
                }
                Err(code) => {
                    if *leased {
                        told.does(&Action::ReleasePresence { ticket, user })?;
                    }
                    code
                }
            },
        };
        self.counts_attempt_back(id, user);
        told.sends(id, ServerPacket::LoginResponse { request, result: Err(code) })
    }

    /// Nobody waits for that answer. A lease that came with it goes back, unless somebody is online by it.
    fn judges_too_late(
        &self,
        ticket: Ticket,
        user: UserName,
        verdict: &Verdict,
        told: &mut Told<'_>,
    ) -> Result<(), Mismatch> {
        let uses_it = |online: &Online| online.is_leased && online.ticket == ticket && online.user.name == user;
        match verdict {
            Verdict::Accepted { leased: true, .. } if !self.online(ticket.session).is_some_and(uses_it) => {
                told.does(&Action::ReleasePresence { ticket, user })
            }
            Verdict::Accepted { .. } | Verdict::Denied | Verdict::AlreadyOnline | Verdict::Unavailable => Ok(()),
        }
    }

    /// What was checked before the store was asked may be otherwise by now.
    fn admits(&self, user: UserName) -> Result<(), Code> {
        if self.drain.is_some() { Err(Code::Draining) } else { self.has_place_for(user) }
    }

    fn denies(&mut self, id: SessionId, request: RequestId, told: &mut Told<'_>) -> Result<(), Mismatch> {
        told.sends(id, ServerPacket::LoginResponse { request, result: Err(Code::LoginDenied) })?;
        let wrong_secrets_max = self.config.login_failures_per_session_max;
        let Some(session) = self.session_mut(id) else { return Ok(()) };
        session.wrong_secrets += 1;
        if session.wrong_secrets < wrong_secrets_max {
            return Ok(());
        }
        self.closes(id, CloseReason::LoginAttempts, told)
    }

    pub(super) fn misses_verdict(&mut self, id: SessionId, told: &mut Told<'_>) -> Result<(), Mismatch> {
        let Some((_, request, user)) = self.pending(id) else { return Ok(()) };
        self.changes(id, State::Anonymous);
        self.counts_attempt_back(id, user);
        told.sends(id, ServerPacket::LoginResponse { request, result: Err(Code::StoreUnavailable) })
    }

    pub(super) fn logs_out(&mut self, id: SessionId, request: RequestId, told: &mut Told<'_>) -> Result<(), No> {
        if let Some((_, login, _)) = self.pending(id) {
            told.sends(id, ServerPacket::LoginResponse { request: login, result: Err(Code::LoginCancelled) })?;
        } else {
            let online = self.online(id).ok_or(Code::NotLoggedIn)?.clone();
            self.goes_offline(id, &online, LeaveCause::LoggedOut, told)?;
            told.does(&Action::Online { session: id, user: None })?;
        }
        self.changes(id, State::Anonymous);
        Ok(told.sends(id, ServerPacket::LogoutResponse { request, result: Ok(()) })?)
    }

    /// Another daemon owns the presence that came with a login.
    pub(super) fn loses_presence(&mut self, ticket: Ticket, told: &mut Told<'_>) -> Result<(), Mismatch> {
        let id = ticket.session;
        if self.online(id).is_some_and(|online| online.is_leased && online.ticket == ticket) {
            self.closes(id, CloseReason::Superseded, told)?;
        }
        Ok(())
    }
}
