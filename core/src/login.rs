//! Login and logout: who may ask, what happens while the store is asked, and what is checked again afterwards.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::action::{Action, Actions, Presence};
use crate::config::DuplicateLogin;
use crate::deadline::Deadline;
use crate::engine::Engine;
use crate::extension::Event;
use crate::id::{RequestId, SessionId, Ticket, UserId};
use crate::input::{Account, Verdict};
use crate::limits::{AddressKey, Remembered};
use crate::name::UserName;
use crate::packet::{CloseReason, Code, LeaveCause, Sealed, ServerPacket, User};
use crate::session::{Online, PendingLogin, State};
use crate::text::{RawText, check_nickname};

/// What is remembered about logins beyond the sessions that ask for them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Attempts {
    /// The number of the last login attempt, and so of the last user id.
    last_serial: u64,
    pending: u32,
    by_user: Remembered<UserName>,
    by_address: Remembered<AddressKey>,
}

impl Attempts {
    /// Whether a ticket with this number may exist.
    pub(crate) fn has_issued(&self, serial: u64) -> bool {
        (1..=self.last_serial).contains(&serial)
    }

    /// The most keys that are remembered of one kind.
    pub(crate) fn remembered(&self) -> usize {
        self.by_user.len().max(self.by_address.len())
    }

    /// How many logins wait for their verdict.
    pub(crate) fn pending(&self) -> u32 {
        self.pending
    }

    /// A login no longer waits.
    pub(crate) fn ended(&mut self) {
        self.pending -= 1;
    }
}

impl Engine {
    pub(crate) fn login(
        &mut self,
        id: SessionId,
        request: RequestId,
        user: RawText<'_>,
        secret: Sealed,
        actions: &mut Actions,
    ) -> Result<(), Code> {
        if self.sessions.online(id).is_ok() {
            return Err(Code::AlreadyLoggedIn);
        }
        if self.is_draining() {
            return Err(Code::Draining);
        }
        let user = UserName::parse(user).map_err(|_| Code::NameInvalid)?;
        self.check_place_for(user)?;
        if self.attempts.pending >= self.config.logins_pending_max {
            return Err(Code::ServerFull);
        }
        self.spend_attempt(id, user)?;

        self.attempts.last_serial += 1;
        self.attempts.pending += 1;
        let ticket = Ticket { session: id, serial: self.attempts.last_serial };
        self.set_login_state(id, State::LoginPending(Box::new(PendingLogin { ticket, request, user })));
        let presence = match self.config.duplicate_login {
            DuplicateLogin::Reject => Presence::Take,
            DuplicateLogin::NewestWins => Presence::Replace,
            DuplicateLogin::Allow => Presence::None,
        };
        actions.push(Action::VerifyLogin { ticket, user, secret, presence });
        Ok(())
    }

    /// Whether one more login of this user has a place. Asked before the store is, and again on its verdict.
    fn check_place_for(&self, user: UserName) -> Result<(), Code> {
        let is_online = self.users.is_online(user);
        let replaces = is_online && self.config.duplicate_login == DuplicateLogin::NewestWins;
        if self.users.count() >= self.config.users_max && !replaces {
            return Err(Code::ServerFull);
        }
        if is_online && self.config.duplicate_login == DuplicateLogin::Reject {
            return Err(Code::AlreadyOnline);
        }
        Ok(())
    }

    /// An attempt is paid for when it begins, so that many at once do not all pass. It is paid back when its verdict is
    /// anything but a wrong secret, or does not come in time; not when the client stops waiting for it.
    fn spend_attempt(&mut self, id: SessionId, user: UserName) -> Result<(), Code> {
        let Some(session) = self.sessions.get(id) else {
            return Err(Code::NotLoggedIn);
        };
        let (now, keys_max) = (self.now, self.config.remembered_max);
        let (user_rate, address_rate) = (self.config.login_failures_per_user, self.config.login_failures_per_address);
        self.attempts
            .by_address
            .spend(session.address, now, address_rate, keys_max)
            .map_err(|_| Code::TooManyAttempts)?;
        if self.attempts.by_user.spend(user, now, user_rate, keys_max).is_err() {
            self.attempts.by_address.refund(session.address, now, address_rate);
            return Err(Code::TooManyAttempts);
        }
        Ok(())
    }

    fn refund_attempt(&mut self, id: SessionId, user: UserName) {
        if let Some(session) = self.sessions.get(id) {
            let address_rate = self.config.login_failures_per_address;
            self.attempts.by_address.refund(session.address, self.now, address_rate);
            self.attempts.by_user.refund(user, self.now, self.config.login_failures_per_user);
        }
    }

    /// Changes a session's state and arms the deadline that belongs to it.
    fn set_login_state(&mut self, id: SessionId, state: State) {
        let session = self.sessions.get_mut(id).expect("the caller has looked it up");
        if let Some(at) = session.login_at.take() {
            self.deadlines.disarm(at, Deadline::Login(id));
        }
        session.login_at = match state {
            State::AwaitingHello | State::Anonymous => Some(self.now + self.config.login_grace),
            State::LoginPending(_) => Some(self.now + self.config.login_timeout),
            State::Online(_) => None,
        };
        if let Some(at) = session.login_at {
            self.deadlines.arm(at, Deadline::Login(id));
        }
        session.state = state;
    }

    /// Takes a pending login out of its session, which is anonymous then.
    fn take_pending(&mut self, id: SessionId, is_it: impl Fn(&PendingLogin) -> bool) -> Option<PendingLogin> {
        let pending = match &self.sessions.get(id)?.state {
            State::LoginPending(pending) if is_it(pending) => PendingLogin::clone(pending),
            State::LoginPending(_) | State::AwaitingHello | State::Anonymous | State::Online(_) => return None,
        };
        self.attempts.ended();
        self.set_login_state(id, State::Anonymous);
        Some(pending)
    }

    /// The store's answer. One that no session waits for any more changes nothing; if it carries a lease, that goes
    /// back, unless an earlier answer with the same ticket has brought it to a session that is online by it.
    pub(crate) fn login_verdict(&mut self, ticket: Ticket, user: UserName, verdict: Verdict, actions: &mut Actions) {
        let id = ticket.session;
        let is_asked = |pending: &PendingLogin| pending.ticket == ticket && pending.user == user;
        let Some(pending) = self.take_pending(id, is_asked) else {
            let uses_it = |online: &Online| online.leased && online.ticket == ticket && online.user.name == user;
            let is_in_use = self.sessions.online(id).is_ok_and(uses_it);
            if matches!(verdict, Verdict::Accepted { leased: true, .. }) && !is_in_use {
                actions.push(Action::ReleasePresence { ticket, user });
            }
            return;
        };
        let result = match verdict {
            Verdict::Denied => return self.login_denied(id, pending.request, actions),
            Verdict::AlreadyOnline => Err(Code::AlreadyOnline),
            Verdict::Unavailable => Err(Code::StoreUnavailable),
            Verdict::Accepted { account, leased } => {
                let admitted = self.check_admission(user);
                if admitted.is_err() && leased {
                    actions.push(Action::ReleasePresence { ticket, user });
                }
                admitted.map(|()| (account, leased))
            }
        };
        self.refund_attempt(id, user);
        match result {
            Ok((account, leased)) => self.go_online(ticket, pending, account, leased, actions),
            Err(code) => self.login_refused(id, pending.request, code, actions),
        }
    }

    /// What was assumed before the store was asked, checked again.
    fn check_admission(&self, user: UserName) -> Result<(), Code> {
        if self.is_draining() {
            return Err(Code::Draining);
        }
        self.check_place_for(user)
    }

    fn go_online(
        &mut self,
        ticket: Ticket,
        pending: PendingLogin,
        account: Account,
        leased: bool,
        actions: &mut Actions,
    ) {
        let PendingLogin { request, user, .. } = pending;
        if self.config.duplicate_login == DuplicateLogin::NewestWins {
            self.close_user(user, CloseReason::Superseded, actions);
        }
        let nickname = account.nickname.filter(|nickname| check_nickname(nickname.as_str().into()).is_ok());
        let profile = Arc::new(User { id: UserId(ticket.serial), name: user, nickname });
        let answer = User::clone(&profile);
        let id = ticket.session;
        self.users.insert(Arc::clone(&profile), id);
        let online = Online { user: profile, administrator: account.administrator, ticket, leased, room: None };
        self.set_login_state(id, State::Online(online));
        actions.push(Action::Online { session: id, user: Some(user) });
        actions.send(id, ServerPacket::LoginResponse { request, result: Ok(answer) });
        self.extensions.hear(|| Event::LoggedIn { session: id, user });
    }

    fn login_refused(&mut self, id: SessionId, request: RequestId, code: Code, actions: &mut Actions) {
        actions.send(id, ServerPacket::LoginResponse { request, result: Err(code) });
    }

    fn login_denied(&mut self, id: SessionId, request: RequestId, actions: &mut Actions) {
        self.login_refused(id, request, Code::LoginDenied, actions);
        let session = self.sessions.get_mut(id).expect("its login was pending just now");
        session.login_failures += 1;
        if session.login_failures >= self.config.login_failures_per_session_max {
            self.close(id, CloseReason::LoginAttempts, actions);
        }
    }

    pub(crate) fn logout(&mut self, id: SessionId, request: RequestId, actions: &mut Actions) -> Result<(), Code> {
        if let Some(pending) = self.take_pending(id, |_| true) {
            self.login_refused(id, pending.request, Code::LoginCancelled, actions);
        } else {
            let online = self.sessions.online(id)?.clone();
            self.go_offline(id, &online, LeaveCause::LoggedOut, actions);
            self.set_login_state(id, State::Anonymous);
            actions.push(Action::Online { session: id, user: None });
        }
        actions.send(id, ServerPacket::LogoutResponse { request, result: Ok(()) });
        Ok(())
    }

    /// Takes a user out of the room, out of the directory of who is online, and out of the presence store. The
    /// session's own state is the caller's to change.
    pub(crate) fn go_offline(&mut self, id: SessionId, online: &Online, cause: LeaveCause, actions: &mut Actions) {
        self.drop_commands(id, cause, actions);
        if let Some(room) = online.room {
            self.leave(id, room, cause, actions);
        }
        self.users.remove(online.user.name, online.user.id);
        if online.leased {
            actions.push(Action::ReleasePresence { ticket: online.ticket, user: online.user.name });
        }
        self.extensions.hear(|| Event::LoggedOut { session: id, user: online.user.name });
    }

    /// The time for logging in, or for the verdict, is over.
    pub(crate) fn login_due(&mut self, id: SessionId, actions: &mut Actions) {
        let session = self.sessions.get_mut(id).expect("a session's deadlines go with it");
        session.login_at = None;
        match self.take_pending(id, |_| true) {
            Some(pending) => {
                self.refund_attempt(id, pending.user);
                self.login_refused(id, pending.request, Code::StoreUnavailable, actions);
            }
            None => self.close(id, CloseReason::LoginTimeout, actions),
        }
    }

    /// Another daemon owns the user's presence now.
    pub(crate) fn presence_lost(&mut self, ticket: Ticket, actions: &mut Actions) {
        let holds = |online: &Online| online.leased && online.ticket == ticket;
        if self.sessions.online(ticket.session).is_ok_and(holds) {
            self.close(ticket.session, CloseReason::Superseded, actions);
        }
    }

    /// Closes every session of a user, and those that wait for the verdict about that name: the account may be gone
    /// that the store is just reading.
    pub(crate) fn close_user_and_logins(&mut self, user: UserName, actions: &mut Actions) {
        self.close_user(user, CloseReason::OperatorClosed, actions);
        let waits = |state: &State| matches!(state, State::LoginPending(pending) if pending.user == user);
        let waiting = self.sessions.iter().filter(|session| waits(&session.state));
        let waiting: Vec<_> = waiting.map(|session| session.id).collect();
        for session in waiting {
            self.close(session, CloseReason::OperatorClosed, actions);
        }
    }

    /// Closes every session of a user.
    pub(crate) fn close_user(&mut self, user: UserName, reason: CloseReason, actions: &mut Actions) {
        let sessions: Vec<_> = self.users.sessions(user).collect();
        for session in sessions {
            self.close(session, reason, actions);
        }
    }
}
