//! A server without a network: feeds inputs to an engine and holds it to the exact actions.

pub(crate) mod history;
pub(crate) mod json;
pub(crate) mod packets;
pub(crate) mod puppet;
pub(crate) mod seen;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use lobbyd_core::Engine;
use lobbyd_core::action::{Action, Actions, Presence};
use lobbyd_core::command::CommandName;
use lobbyd_core::config::{Config, FixedRoom};
use lobbyd_core::data::Data;
use lobbyd_core::engine::{Counts, Snapshot};
use lobbyd_core::extension::Handlers;
use lobbyd_core::id::{AskId, CallTicket, RoomNumber, SessionId, Ticket, UserId};
use lobbyd_core::input::{Account, Admin, Input, ServiceError, Verdict};
use lobbyd_core::name::UserName;
use lobbyd_core::packet::{ClientPacket, CloseReason, Code, PROTOCOL_VERSION, Sealed, ServerPacket, User};
use lobbyd_core::text::Text;
use lobbyd_core::time::Instant;

use packets::{enter, hello, login};

/// A packet as the engine receives it.
pub(crate) type Packet<'a> = ClientPacket<'a, Sealed>;

/// The room of the test configuration that everybody may enter; it holds three.
pub(crate) const PLAZA: u32 = 1;
/// The protected room of the test configuration; it holds two.
pub(crate) const VAULT: u32 = 2;
/// The password of the vault.
pub(crate) const VAULT_PASSWORD: Sealed = Sealed([7; 16]);
/// The highest number of a room that exists by being entered. Rooms that users create come after it.
pub(crate) const OPEN_ROOMS_MAX: u32 = 5;

/// An action with its recipients looked up, so that it can be written down in a test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Send(SessionId, ServerPacket),
    Broadcast(Vec<SessionId>, ServerPacket),
    Close(SessionId, CloseReason),
    Verify(Ticket, UserName, Sealed, Presence),
    Release(Ticket, UserName),
    Online(SessionId, Option<UserName>),
    Call(CallTicket, CommandName, Data),
    Failed(CommandName, String, bool),
    Answer(AskId, Result<u32, Code>),
    ServiceAnswer(AskId, Result<Data, ServiceError>),
}

pub(crate) fn send(to: SessionId, packet: ServerPacket) -> Event {
    Event::Send(to, packet)
}

pub(crate) fn broadcast<const N: usize>(to: [SessionId; N], packet: ServerPacket) -> Event {
    Event::Broadcast(to.to_vec(), packet)
}

pub(crate) fn closing(session: SessionId, reason: CloseReason) -> Event {
    send(session, ServerPacket::Closing { reason })
}

pub(crate) fn close(session: SessionId, reason: CloseReason) -> Event {
    Event::Close(session, reason)
}

pub(crate) fn release(ticket: Ticket, user: &str) -> Event {
    Event::Release(ticket, name(user))
}

pub(crate) fn name(name: &str) -> UserName {
    name.parse().expect("tests name users rightly")
}

pub(crate) fn sealed(number: u8) -> Sealed {
    Sealed([number; 16])
}

pub(crate) fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(crate) fn milliseconds(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// The session in slot `index`, the first there.
pub(crate) fn session(index: u32) -> SessionId {
    SessionId { index, generation: 0 }
}

/// The address that sessions come from unless a test says otherwise.
pub(crate) const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

/// A small server: two fixed rooms, three open ones, a heartbeat interval of 10 s.
pub(crate) fn config() -> Config {
    Config {
        server_name: Text::new("test"),
        heartbeat_interval: seconds(10),
        login_grace: seconds(30),
        login_timeout: seconds(5),
        fixed_rooms: vec![
            FixedRoom { number: RoomNumber(PLAZA), title: Text::new("Plaza"), capacity: 3, password: None },
            FixedRoom {
                number: RoomNumber(VAULT),
                title: Text::new("Vault"),
                capacity: 2,
                password: Some(VAULT_PASSWORD),
            },
        ],
        open_rooms_max: OPEN_ROOMS_MAX,
        ..Config::default()
    }
}

pub(crate) fn accepted() -> Verdict {
    Verdict::Accepted { account: Account::default(), leased: true }
}

pub(crate) fn accepted_without_lease() -> Verdict {
    Verdict::Accepted { account: Account::default(), leased: false }
}

pub(crate) fn accepted_as_administrator() -> Verdict {
    Verdict::Accepted { account: Account { nickname: None, administrator: true }, leased: true }
}

/// The engine and what is known of it from outside.
///
/// Every step must be followed by what it does ([`Server::does`]); whatever a step did and no test expected fails. After
/// every step the engine is checked and survives being stored as JSON. At the end everybody leaves, all deadlines pass,
/// and nothing may remain.
pub(crate) struct Server {
    engine: Engine,
    handlers: fn() -> Handlers,
    start: Instant,
    now: Instant,
    actions: Actions,
    events: Vec<Event>,
    living: BTreeSet<SessionId>,
    users: BTreeMap<SessionId, User>,
    ticket: Option<Ticket>,
    epochs: BTreeMap<RoomNumber, u64>,
    nonce: u64,
}

/// Copying the whole state at every step is for small states.
const SESSIONS_TO_STORE_MAX: u32 = 50;

impl Server {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    /// The small server with another setting or two.
    pub(crate) fn with(change: impl FnOnce(&mut Config)) -> Self {
        Self::with_extensions(change, Handlers::new)
    }

    /// The small server with another setting or two, and these extensions.
    pub(crate) fn with_extensions(change: impl FnOnce(&mut Config), handlers: fn() -> Handlers) -> Self {
        let mut config = config();
        change(&mut config);
        config.validate().expect("tests configure rightly");
        let start = Instant::from_nanos(1_000_000_000_000);
        Self {
            engine: Engine::with_extensions(config, 7, start, handlers()),
            handlers,
            start,
            now: start,
            actions: Actions::new(),
            events: Vec::new(),
            living: BTreeSet::new(),
            users: BTreeMap::new(),
            ticket: None,
            epochs: BTreeMap::new(),
            nonce: 0,
        }
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    pub(crate) fn counts(&self) -> Counts {
        self.engine.counts()
    }

    /// Since the start.
    pub(crate) fn elapsed(&self) -> Duration {
        self.now.saturating_since(self.start)
    }

    /// When the engine wants to be called again, since the start.
    pub(crate) fn next_deadline(&self) -> Option<Duration> {
        self.engine.poll_timeout().map(|at| at.saturating_since(self.start))
    }

    /// From now on it is this long after the start. Nothing happens by that.
    pub(crate) fn at(&mut self, since_start: Duration) -> &mut Self {
        self.now = self.start + since_start;
        self
    }

    pub(crate) fn after(&mut self, duration: Duration) -> &mut Self {
        self.now = self.now + duration;
        self
    }

    #[track_caller]
    pub(crate) fn input(&mut self, input: Input<'_>) {
        self.expect_nothing_left();
        self.engine.handle_input(self.now, input, &mut self.actions);
        self.take_actions();
    }

    #[track_caller]
    pub(crate) fn tick(&mut self) {
        self.expect_nothing_left();
        self.engine.handle_timeout(self.now, &mut self.actions);
        self.take_actions();
    }

    #[track_caller]
    pub(crate) fn connects_from(&mut self, session: SessionId, address: IpAddr) {
        self.input(Input::Connected { session, address });
    }

    #[track_caller]
    pub(crate) fn connects(&mut self, session: SessionId) {
        self.connects_from(session, ADDRESS);
    }

    #[track_caller]
    pub(crate) fn says(&mut self, session: SessionId, packet: Packet<'_>) {
        self.input(Input::Received { session, packet });
    }

    #[track_caller]
    pub(crate) fn disconnects(&mut self, session: SessionId) {
        self.input(Input::Disconnected { session });
    }

    #[track_caller]
    pub(crate) fn verdict(&mut self, ticket: Ticket, user: &str, verdict: Verdict) {
        self.input(Input::LoginVerdict { ticket, user: name(user), verdict });
    }

    #[track_caller]
    pub(crate) fn admin(&mut self, admin: Admin<'_>) {
        self.input(Input::Admin(admin));
    }

    /// Says `packet`, which is refused with `code`, and nothing else happens.
    #[track_caller]
    pub(crate) fn refuses(&mut self, session: SessionId, packet: Packet<'_>, code: Code) {
        self.says(session, packet);
        let refusal = packet.refusal(code).expect("only requests are refused");
        self.does([send(session, refusal)]);
    }

    /// What the last step did, all of it, in this order.
    #[track_caller]
    pub(crate) fn does(&mut self, expected: impl IntoIterator<Item = Event>) {
        let expected: Vec<_> = expected.into_iter().collect();
        assert_eq!(std::mem::take(&mut self.events), expected, "at {:?}", self.elapsed());
    }

    #[track_caller]
    pub(crate) fn does_nothing(&mut self) {
        self.does([]);
    }

    /// What the last step did, for a test that looks at it more closely.
    pub(crate) fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// A session that has said hello.
    #[track_caller]
    pub(crate) fn guest(&mut self, index: u32) -> SessionId {
        self.guest_as(session(index), ADDRESS)
    }

    #[track_caller]
    pub(crate) fn guest_as(&mut self, session: SessionId, address: IpAddr) -> SessionId {
        self.connects_from(session, address);
        self.does([send(session, welcome(self.engine.config()))]);
        self.says(session, hello());
        self.does_nothing();
        session
    }

    /// A session that has asked to log in and waits for the verdict on the ticket.
    #[track_caller]
    pub(crate) fn asks_to_log_in(&mut self, session: SessionId, request: u32, user: &str) -> Ticket {
        self.says(session, login(request, user));
        let events = self.take_events();
        let [Event::Verify(ticket, verified, _, _)] = events.as_slice() else {
            panic!("asked the store instead of {events:?}");
        };
        assert_eq!((ticket.session, *verified), (session, name(user)));
        *ticket
    }

    /// A session whose user is in the lobby.
    #[track_caller]
    pub(crate) fn user(&mut self, index: u32, user: &str) -> SessionId {
        self.user_as(index, user, accepted())
    }

    #[track_caller]
    pub(crate) fn user_as(&mut self, index: u32, user: &str, verdict: Verdict) -> SessionId {
        let session = self.guest(index);
        self.logs_in(session, user, verdict);
        session
    }

    /// The whole login of a session that has said hello.
    #[track_caller]
    pub(crate) fn logs_in(&mut self, session: SessionId, user: &str, verdict: Verdict) {
        let ticket = self.asks_to_log_in(session, 900, user);
        self.verdict(ticket, user, verdict);
        let events = self.take_events();
        let [Event::Online(_, Some(_)), Event::Send(to, ServerPacket::LoginResponse { result: Ok(_), .. })] =
            events.as_slice()
        else {
            panic!("logged in instead of {events:?}");
        };
        assert_eq!(*to, session);
    }

    /// A user in the lobby enters a room; what everybody is told is other tests' business.
    #[track_caller]
    pub(crate) fn enters(&mut self, session: SessionId, room: u32) {
        self.says(session, enter(901, room));
        let events = self.take_events();
        let Some(Event::Send(to, ServerPacket::RoomEnterResponse { result: Ok(_), .. })) = events.last() else {
            panic!("entered instead of {events:?}");
        };
        assert_eq!(*to, session);
    }

    /// A user in the lobby creates a room for `capacity` and is in it. Returns its number.
    #[track_caller]
    pub(crate) fn creates(&mut self, session: SessionId, capacity: u32) -> u32 {
        self.says(session, packets::create(902, "Den", capacity));
        let events = self.take_events();
        let Some(Event::Send(to, ServerPacket::RoomCreateResponse { result: Ok(entered), .. })) = events.last() else {
            panic!("created instead of {events:?}");
        };
        assert_eq!(*to, session);
        entered.room.0
    }

    /// A member leaves; what everybody is told is other tests' business.
    #[track_caller]
    pub(crate) fn leaves(&mut self, session: SessionId, room: u32) {
        self.says(session, packets::leave(903, room));
        let events = self.take_events();
        let Some(Event::Send(to, ServerPacket::RoomLeaveResponse { result: Ok(_), .. })) = events.last() else {
            panic!("left instead of {events:?}");
        };
        assert_eq!(*to, session);
    }

    /// The ticket of the last `VerifyLogin`.
    pub(crate) fn ticket(&self) -> Ticket {
        self.ticket.expect("somebody has asked to log in")
    }

    /// The user who last logged in on that session.
    pub(crate) fn user_of(&self, session: SessionId) -> User {
        self.users[&session].clone()
    }

    pub(crate) fn id_of(&self, session: SessionId) -> UserId {
        self.users[&session].id
    }

    /// The ticket by which that session's user is online.
    pub(crate) fn ticket_of(&self, session: SessionId) -> Ticket {
        Ticket { session, serial: self.id_of(session).0 }
    }

    /// The epoch that the last list of that room's members told.
    pub(crate) fn epoch(&self, room: u32) -> u64 {
        self.epochs[&RoomNumber(room)]
    }

    /// The nonce of the last ping.
    pub(crate) fn nonce(&self) -> u64 {
        self.nonce
    }

    #[track_caller]
    fn expect_nothing_left(&self) {
        assert_eq!(self.events, [], "left over at {:?}", self.elapsed());
    }

    #[track_caller]
    fn take_actions(&mut self) {
        for action in self.actions.iter() {
            let event = match action.clone() {
                Action::Send { to, packet } => Event::Send(to, packet),
                Action::Broadcast { to, packet } => Event::Broadcast(self.actions.recipients(to).to_vec(), packet),
                Action::Close { session, reason } => Event::Close(session, reason),
                Action::VerifyLogin { ticket, user, secret, presence } => Event::Verify(ticket, user, secret, presence),
                Action::ReleasePresence { ticket, user } => Event::Release(ticket, user),
                Action::Online { session, user } => Event::Online(session, user),
                Action::CallService { ticket, service, request } => Event::Call(ticket, service, request),
                Action::ExtensionFailed { extension, reason, panicked } => {
                    Event::Failed(extension, reason.as_str().to_owned(), panicked)
                }
                Action::Answer { ask, result } => Event::Answer(ask, result),
                Action::ServiceAnswer { ask, result } => Event::ServiceAnswer(ask, result),
            };
            self.events.push(event);
        }
        self.actions.clear();
        for event in &self.events {
            seen::record(event);
            match event {
                Event::Send(to, ServerPacket::Welcome { .. }) => {
                    self.living.insert(*to);
                }
                Event::Send(to, ServerPacket::LoginResponse { result: Ok(user), .. }) => {
                    self.users.insert(*to, user.clone());
                }
                Event::Send(_, ServerPacket::RoomUserListNotify { room, epoch, .. }) => {
                    self.epochs.insert(*room, *epoch);
                }
                Event::Send(_, ServerPacket::Ping { nonce }) => self.nonce = *nonce,
                Event::Close(session, _) => {
                    self.living.remove(session);
                }
                Event::Verify(ticket, ..) => self.ticket = Some(*ticket),
                Event::Send(..)
                | Event::Broadcast(..)
                | Event::Release(..)
                | Event::Online(..)
                | Event::Call(..)
                | Event::Failed(..)
                | Event::Answer(..)
                | Event::ServiceAnswer(..) => {}
            }
        }
        self.engine.check().expect("the engine's parts fit together");
        if self.counts().sessions <= SESSIONS_TO_STORE_MAX {
            let restored = through_json_with(&self.engine, (self.handlers)());
            assert_eq!(restored, self.engine, "a stored engine is the same engine");
            assert_eq!(restored.digest(), self.engine.digest());
        }
    }

    /// Everybody leaves, all deadlines pass, and nothing remains.
    fn end(&mut self) {
        for session in std::mem::take(&mut self.living) {
            self.engine.handle_input(self.now, Input::Disconnected { session }, &mut self.actions);
        }
        let mut deadlines = 0;
        while let Some(at) = self.engine.poll_timeout() {
            self.engine.handle_timeout(at, &mut self.actions);
            deadlines += 1;
            assert!(deadlines < 100_000, "deadlines follow each other without end");
        }
        self.engine.check().expect("the engine's parts fit together at the end");
        let rooms = u32::try_from(self.engine.config().fixed_rooms.len()).expect("tests have few rooms");
        assert_eq!(self.counts(), Counts { rooms, ..Counts::default() }, "something is left behind");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.expect_nothing_left();
            self.end();
        }
    }
}

/// The engine that comes of storing `engine` as JSON and reading it again.
pub(crate) fn through_json(engine: &Engine) -> Engine {
    through_json_with(engine, Handlers::new())
}

/// The same for an engine with extensions.
pub(crate) fn through_json_with(engine: &Engine, handlers: Handlers) -> Engine {
    let stored = serde_json::to_string(&engine.snapshot()).expect("a snapshot can be stored as JSON");
    let snapshot: Snapshot = serde_json::from_str(&stored).expect("a stored snapshot can be read");
    Engine::restore_with_extensions(snapshot, handlers).expect("a snapshot fits together")
}

/// What a server with that configuration says first.
pub(crate) fn welcome(config: &Config) -> ServerPacket {
    ServerPacket::Welcome {
        version_min: PROTOCOL_VERSION,
        version_max: PROTOCOL_VERSION,
        server: config.server_name.clone(),
        heartbeat_interval_ms: u32::try_from(config.heartbeat_interval.as_millis()).expect("tests beat within a day"),
        frame_bytes_max: config.frame_bytes_max,
        text_bytes_max: config.text_bytes_max,
    }
}
