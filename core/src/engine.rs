//! The engine: one door in, one door out, and what happens between them in a definite order.

use core::net::IpAddr;
use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::action::{Action, Actions};
use crate::config::Config;
use crate::deadline::{Deadline, Deadlines};
use crate::digest;
use crate::drain::Drain;
use crate::extension::{Extensions, Handlers};
use crate::id::SessionId;
use crate::input::{Admin, Input};
use crate::limits::{AddressKey, Budget, Remembered, cost};
use crate::lobby::Lobby;
use crate::login::Attempts;
use crate::packet::{ClientPacket, CloseReason, Code, LeaveCause, PROTOCOL_VERSION, Sealed, ServerPacket};
use crate::random::Random;
use crate::session::{Session, Sessions, State};
pub use crate::snapshot::{RestoreError, Snapshot};
use crate::time::{Instant, millis};
use crate::users::Users;

/// The room server's whole behaviour.
///
/// A caller hands in every event with its time ([`Engine::handle_input`]), calls [`Engine::handle_timeout`] when the
/// moment of [`Engine::poll_timeout`] has come, and carries out the [`Actions`] in their order. The same configuration,
/// seed and calls give the same actions and the same [`Engine::digest`], on every machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Engine {
    pub(crate) config: Config,
    pub(crate) now: Instant,
    pub(crate) random: Random,
    pub(crate) sessions: Sessions,
    pub(crate) users: Users,
    pub(crate) lobby: Lobby,
    pub(crate) attempts: Attempts,
    pub(crate) deadlines: Deadlines,
    pub(crate) drain: Option<Drain>,
    pub(crate) connects: Remembered<AddressKey>,
    pub(crate) extensions: Extensions,
}

/// How many of what there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Living sessions.
    pub sessions: u32,
    /// Of these, logged in.
    pub online: u32,
    /// Of these, waiting for the verdict about their login.
    pub logins_pending: u32,
    /// Rooms, the empty ones included.
    pub rooms: u32,
    /// Sessions in rooms.
    pub members: u32,
    /// Armed deadlines.
    pub deadlines: u32,
    /// Commands that wait for an extension's answer.
    pub commands_waiting: u32,
    /// Calls of services that are under way.
    pub service_calls: u32,
}

impl Engine {
    /// An engine without sessions. All its randomness follows from `seed`.
    ///
    /// # Panics
    /// If the configuration cannot hold: [`Config::validate`] says so beforehand.
    #[must_use]
    pub fn new(config: Config, seed: u64, now: Instant) -> Self {
        Self::with_extensions(config, seed, now, Handlers::default())
    }

    /// An engine without sessions, with handlers of custom commands.
    ///
    /// # Panics
    /// As [`Engine::new`].
    #[must_use]
    pub fn with_extensions(config: Config, seed: u64, now: Instant, handlers: Handlers) -> Self {
        if let Err(error) = config.validate() {
            panic!("the configuration was not validated: {error}");
        }
        let mut random = Random::new(seed);
        let lobby = Lobby::new(&config, &mut random);
        Self {
            config,
            now,
            random,
            sessions: Sessions::default(),
            users: Users::default(),
            lobby,
            attempts: Attempts::default(),
            deadlines: Deadlines::default(),
            drain: None,
            connects: Remembered::default(),
            extensions: Extensions::new(handlers, seed),
        }
    }

    /// Takes one input at a time. Deadlines that are due by `now` fire first (after a stall has put them off). A `now`
    /// before the previous one counts as the previous one. Cannot fail: a bad request is answered.
    ///
    /// # Panics
    /// Only when a promise between engine and driver is broken, such as a new session named like a living one; never by
    /// what a client sends.
    pub fn handle_input(&mut self, now: Instant, input: Input<'_>, actions: &mut Actions) {
        if let Input::Stalled { gap } = input {
            // Before the deadlines are looked at, many of which only the stall has made due.
            self.stalled(now, gap);
        }
        self.handle_timeout(now, actions);
        match input {
            Input::Connected { session, address } => self.connected(session, address, actions),
            Input::Received { session, packet } => self.received(session, &packet, None, actions),
            Input::Stopped { session, packet, code } => self.received(session, &packet, Some(code), actions),
            Input::Malformed { session, fault } => self.close(session, fault.close_reason(), actions),
            Input::Disconnected { session } => self.close(session, CloseReason::Disconnected, actions),
            Input::OutboxFull { session } => self.close(session, CloseReason::SlowConsumer, actions),
            Input::LoginVerdict { ticket, user, verdict } => self.login_verdict(ticket, user, verdict, actions),
            Input::PresenceLost { ticket } => self.presence_lost(ticket, actions),
            // Done above.
            Input::Stalled { .. } => {}
            Input::Admin(Admin::Drain { within }) => self.drain(within, actions),
            Input::Admin(Admin::Stop) => self.stop(actions),
            Input::Admin(Admin::CloseUser { user }) => self.close_user_and_logins(user, actions),
            Input::Admin(Admin::Announce { text }) => self.announce(text, actions),
            Input::Admin(Admin::NotifyUser { ask, user, notice }) => self.notify_user(ask, user, notice, actions),
            Input::Admin(Admin::NotifyRoom { ask, room, notice }) => self.notify_room(ask, room, notice, actions),
            Input::Admin(Admin::Kick { ask, room, user, ban }) => self.operator_kick(ask, room, user, ban, actions),
            Input::Admin(Admin::CleanUpEmptyRooms { ask }) => self.clean_up_empty_rooms(ask, actions),
            Input::Admin(Admin::CallService { ask, service, request }) => {
                self.operator_calls(ask, service, request, actions);
            }
            Input::Admin(Admin::SetExtension { ask, extension, enabled }) => {
                self.set_extension(ask, extension, enabled, actions);
            }
            Input::ServiceReply { ticket, result } => self.service_reply(ticket, result, actions),
            Input::DisableExtension { extension } => self.disable_extension(extension, actions),
        }
        self.tell_extensions(actions);
    }

    /// Fires the deadlines that are due by `now`, in the order of their moments.
    pub fn handle_timeout(&mut self, now: Instant, actions: &mut Actions) {
        self.advance(now);
        while let Some(deadline) = self.deadlines.pop_due(self.now) {
            match deadline {
                Deadline::Heartbeat(session) => self.heartbeat_due(session, actions),
                Deadline::Login(session) => self.login_due(session, actions),
                Deadline::EmptyRoom(room) => self.empty_room_due(room),
                Deadline::DrainSession(session) => self.drain_session_due(session, actions),
                Deadline::DrainEnd => self.drain_end_due(actions),
                Deadline::Command(session, serial) => self.command_due(session, serial, actions),
                Deadline::ServiceCall(ticket) => self.service_call_due(ticket, actions),
                Deadline::Extension(place, key) => self.extension_due(place, key, actions),
            }
            self.tell_extensions(actions);
        }
    }

    /// The moment by which `handle_timeout` wants to be called, if any.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.deadlines.next_at()
    }

    /// A digest of the whole state: equal states have equal digests, over runs, builds and machines.
    #[must_use]
    pub fn digest(&self) -> u64 {
        digest::digest(self)
    }

    /// How many of what there are.
    #[must_use]
    pub fn counts(&self) -> Counts {
        Counts {
            sessions: self.sessions.count(),
            online: self.users.count(),
            logins_pending: self.attempts.pending(),
            rooms: self.lobby.room_count(),
            members: self.lobby.member_count(),
            // Bounded by a few per session and room.
            deadlines: self.deadlines.len() as u32,
            commands_waiting: self.extensions.waiting_count(),
            service_calls: self.extensions.call_count(),
        }
    }

    /// How many sessions live: what [`Counts::sessions`] says, at no cost.
    #[must_use]
    pub fn session_count(&self) -> u32 {
        self.sessions.count()
    }

    /// Whether the server drains or has stopped.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.drain.is_some()
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    fn advance(&mut self, now: Instant) {
        self.now = self.now.max(now).min(Instant::LAST);
    }

    fn connected(&mut self, session: SessionId, address: IpAddr, actions: &mut Actions) {
        let address = AddressKey::new(address);
        if let Err(reason) = self.admit(address) {
            actions.send(session, ServerPacket::Closing { reason });
            actions.push(Action::Close { session, reason });
            return;
        }
        let heartbeat_at = self.now + self.config.heartbeat_interval;
        let login_at = self.now + self.config.login_grace;
        self.deadlines.arm(heartbeat_at, Deadline::Heartbeat(session));
        self.deadlines.arm(login_at, Deadline::Login(session));
        self.sessions.insert(Session {
            id: session,
            address,
            state: State::AwaitingHello,
            heard_at: self.now,
            pinged: false,
            heartbeat_at: Some(heartbeat_at),
            login_at: Some(login_at),
            drain_at: None,
            flood: Budget::default(),
            flood_refusals: Budget::default(),
            login_failures: 0,
        });
        actions.send(
            session,
            ServerPacket::Welcome {
                version_min: PROTOCOL_VERSION,
                version_max: PROTOCOL_VERSION,
                server: self.config.server_name.clone(),
                heartbeat_interval_ms: millis(self.config.heartbeat_interval),
                frame_bytes_max: self.config.frame_bytes_max,
                text_bytes_max: self.config.text_bytes_max,
            },
        );
    }

    fn admit(&mut self, address: AddressKey) -> Result<(), CloseReason> {
        if self.is_draining() {
            return Err(CloseReason::Draining);
        }
        if self.sessions.count() >= self.config.sessions_max {
            return Err(CloseReason::ServerFull);
        }
        if self.sessions.count_from(address) >= self.config.sessions_per_address_max {
            return Err(CloseReason::AddressFull);
        }
        self.connects
            .spend(address, self.now, self.config.connects_per_address, self.config.remembered_max)
            .map_err(|_| CloseReason::ConnectRate)
    }

    /// `stopped` is the code with which middleware wants the packet to be refused.
    fn received(
        &mut self,
        id: SessionId,
        packet: &ClientPacket<'_, Sealed>,
        stopped: Option<Code>,
        actions: &mut Actions,
    ) {
        let Some(session) = self.sessions.get_mut(id) else {
            return;
        };
        session.heard_at = self.now;
        session.pinged = false;
        let silent_at = self.now + self.config.heartbeat_interval;
        if let Some(at) = session.heartbeat_at.filter(|at| *at > silent_at) {
            // After a ping the deadline stood at the end of a silence that is over now.
            session.heartbeat_at = Some(silent_at);
            self.deadlines.disarm(at, Deadline::Heartbeat(id));
            self.deadlines.arm(silent_at, Deadline::Heartbeat(id));
        }
        let is_covered = session.flood.spend(self.now, self.config.flood, cost(packet)).is_ok();
        // A second Hello breaks the protocol, whatever the budget.
        if !is_covered && !matches!(packet, ClientPacket::Hello { .. }) {
            if session.flood_refusals.spend(self.now, self.config.flood_refusals, 1).is_err() {
                self.close(id, CloseReason::Flooding, actions);
            } else if let Some(refusal) = packet.refusal(Code::Flooding) {
                actions.send(id, refusal);
            }
            return;
        }
        // One place turns a rejection into a reply.
        let result = match stopped.filter(|_| packet.request().is_some()) {
            Some(code) => self.check_turn(id, packet).and(Err(code.into())),
            None => self.dispatch(id, packet, actions),
        };
        match result {
            Ok(()) => {}
            Err(Rejection::Answer(code)) => {
                let refusal = packet.refusal(code).expect("only a request is answered with a code");
                actions.send(id, refusal);
            }
            Err(Rejection::Close(reason)) => self.close(id, reason, actions),
        }
    }

    fn dispatch(
        &mut self,
        id: SessionId,
        packet: &ClientPacket<'_, Sealed>,
        actions: &mut Actions,
    ) -> Result<(), Rejection> {
        self.check_turn(id, packet)?;
        match *packet {
            ClientPacket::Hello { version, .. } => return self.hello(id, version),
            ClientPacket::Ping { nonce } => actions.send(id, ServerPacket::Pong { nonce }),
            // What counts of it is that it came.
            ClientPacket::Pong { .. } => {}
            ClientPacket::LoginRequest { request, user, secret } => self.login(id, request, user, secret, actions)?,
            ClientPacket::LogoutRequest { request } => self.logout(id, request, actions)?,
            ClientPacket::RoomListRequest { request, from, limit } => {
                self.room_list(id, request, from, limit, actions)?;
            }
            ClientPacket::RoomCreateRequest { request, title, capacity, password } => {
                self.room_create(id, request, title, capacity, password, actions)?;
            }
            ClientPacket::RoomEnterRequest { request, room, password } => {
                self.room_enter(id, request, room, password, actions)?;
            }
            ClientPacket::RoomLeaveRequest { request, room } => self.room_leave(id, request, room, actions)?,
            ClientPacket::RoomChatRequest { request, room, text } => {
                self.room_chat(id, request, room, text, actions)?;
            }
            ClientPacket::DirectMessageRequest { request, user, text } => {
                self.direct_message(id, request, user, text, actions)?;
            }
            ClientPacket::KickRequest { request, room, user, ban } => {
                self.kick(id, request, room, user, ban, actions)?;
            }
            ClientPacket::CustomCommand { request, command_type, parameters, timestamp } => {
                self.custom_command(id, request, command_type, parameters, timestamp, actions)?;
            }
        }
        Ok(())
    }

    /// Whether it is this packet's turn in the session's life.
    fn check_turn(&self, id: SessionId, packet: &ClientPacket<'_, Sealed>) -> Result<(), Rejection> {
        let Some(session) = self.sessions.get(id) else {
            return Ok(());
        };
        let is_hello = matches!(packet, ClientPacket::Hello { .. });
        match session.state {
            State::AwaitingHello if !is_hello => Err(CloseReason::HelloExpected.into()),
            State::AwaitingHello => Ok(()),
            _ if is_hello => Err(CloseReason::HelloRepeated.into()),
            State::LoginPending(_) if !is_answered_while_login_is_pending(packet) => Err(Code::LoginPending.into()),
            State::Anonymous | State::LoginPending(_) | State::Online(_) => Ok(()),
        }
    }

    fn hello(&mut self, id: SessionId, version: u32) -> Result<(), Rejection> {
        if version != PROTOCOL_VERSION {
            return Err(CloseReason::VersionUnsupported.into());
        }
        if let Some(session) = self.sessions.get_mut(id) {
            session.state = State::Anonymous;
        }
        Ok(())
    }

    /// Ends a session, whatever it is doing; nothing of it is left behind. Everything that ends one comes through here.
    pub(crate) fn close(&mut self, id: SessionId, reason: CloseReason, actions: &mut Actions) {
        let Some(session) = self.sessions.remove(id) else {
            return;
        };
        if let Some(at) = session.heartbeat_at {
            self.deadlines.disarm(at, Deadline::Heartbeat(id));
        }
        if let Some(at) = session.login_at {
            self.deadlines.disarm(at, Deadline::Login(id));
        }
        if let Some(at) = session.drain_at {
            self.deadlines.disarm(at, Deadline::DrainSession(id));
        }
        match session.state {
            State::AwaitingHello | State::Anonymous => {}
            // Its verdict will name a ticket that nobody has any more.
            State::LoginPending(_) => self.attempts.ended(),
            State::Online(online) => self.go_offline(id, &online, LeaveCause::Disconnected, actions),
        }
        if reason != CloseReason::Disconnected {
            actions.send(id, ServerPacket::Closing { reason });
            actions.push(Action::Close { session: id, reason });
        }
    }

    fn heartbeat_due(&mut self, id: SessionId, actions: &mut Actions) {
        let interval = self.config.heartbeat_interval;
        let session = self.sessions.get_mut(id).expect("a session's deadlines go with it");
        let silence = self.now.saturating_since(session.heard_at);
        let silence_max = interval * SILENT_INTERVALS_MAX;
        session.heartbeat_at = None;
        if silence >= silence_max {
            self.close(id, CloseReason::Silent, actions);
            return;
        }
        let next_at = session.heard_at + if silence < interval { interval } else { silence_max };
        session.heartbeat_at = Some(next_at);
        self.deadlines.arm(next_at, Deadline::Heartbeat(id));
        // Who has not said Hello may not say Pong yet: the time for logging in bounds that silence.
        let can_answer = session.state != State::AwaitingHello;
        if silence >= interval && !session.pinged && can_answer {
            session.pinged = true;
            actions.send(id, ServerPacket::Ping { nonce: self.random.next() });
        }
    }

    /// While the server itself did not run, nobody could be heard, log in, or get a verdict or an answer: what waits for that
    /// waits so much longer.
    fn stalled(&mut self, now: Instant, gap: Duration) {
        self.advance(now);
        for session in self.sessions.iter_mut() {
            session.heard_at = (session.heard_at + gap).min(self.now);
            if let Some(at) = session.login_at {
                let later_at = at + gap;
                session.login_at = Some(later_at);
                self.deadlines.disarm(at, Deadline::Login(session.id));
                self.deadlines.arm(later_at, Deadline::Login(session.id));
            }
        }
        self.extensions.stalled(gap, &mut self.deadlines);
    }
}

fn is_answered_while_login_is_pending(packet: &ClientPacket<'_, Sealed>) -> bool {
    matches!(packet, ClientPacket::Ping { .. } | ClientPacket::Pong { .. } | ClientPacket::LogoutRequest { .. })
}

/// A session that has been silent for this many heartbeat intervals is closed (DESIGN section 4).
pub(crate) const SILENT_INTERVALS_MAX: u32 = 3;

/// Why a packet is not taken up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rejection {
    /// The request is answered with a code and has changed nothing.
    Answer(Code),
    /// The client broke the protocol.
    Close(CloseReason),
}

impl From<Code> for Rejection {
    fn from(code: Code) -> Self {
        Self::Answer(code)
    }
}

impl From<CloseReason> for Rejection {
    fn from(reason: CloseReason) -> Self {
        Self::Close(reason)
    }
}
