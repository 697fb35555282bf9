//! A life of the engine that bytes choose: any number of clients, a store, an operator and time, in any order.

mod ledger;
mod packets;
mod server;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use lobbyd_core::Engine;
use lobbyd_core::action::{Action, Actions};
use lobbyd_core::config::Config;
use lobbyd_core::id::{AskId, CallTicket, RequestId, SessionId, Ticket};
use lobbyd_core::input::{Account, Admin, Input, Notice, ServiceError, Verdict, WireFault};
use lobbyd_core::name::UserName;
use lobbyd_core::packet::{ClientPacket, PROTOCOL_VERSION, Sealed};
use lobbyd_core::text::{RawText, Text};
use lobbyd_core::time::Instant;
use lobbyd_sim::model::{Model, Stimulus};
use lobbyd_sim::puppet;

use self::ledger::Ledger;
use self::server::{config, handlers};
use crate::reader::Reader;

/// How many clients there are at a time.
const SLOTS: u8 = 8;
/// Who may log in: the first four are names, the others are not.
const USERS: [&str; 7] =
    ["alice", "Bob", "carol", "d.4-_", "", "no name", "a-name-that-is-much-longer-than-thirty-two"];
/// A millisecond, in nanoseconds.
const MS: u64 = 1_000_000;
/// Longer than anything that the configuration lets wait.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Where the engine's time stands still, so that deadlines behind it never fall due.
const LAST: Instant = Instant::from_nanos(u64::MAX / 2);

/// Does with an engine, which may have an extension, what the bytes say. After every step its parts fit together, every request has been answered
/// once, nothing is sent to who is gone, and a copy that was restored from a snapshot does the same. At the end, when
/// everybody has gone and time has passed, nothing is left.
pub fn engine(data: &[u8]) {
    Life::live(data, None);
}

/// The same life beside the naive model, which predicts every action; without an extension, which the model knows nothing
/// of. Slower, and so a target of its own.
pub fn engine_and_model(data: &[u8]) {
    Life::live(data, Some(Model::new));
}

struct Life {
    engine: Engine,
    /// Is told the same, and predicts what the engine does.
    model: Option<Model>,
    /// Restored from a snapshot, and from then on told the same.
    copy: Option<Engine>,
    actions: Actions,
    copied_actions: Actions,
    steps: u32,
    now: Instant,
    generations: [u32; SLOTS as usize],
    ledger: Ledger,
    /// How often the operator has asked.
    asks: u64,
    /// Every login that the store was asked about.
    asked: Vec<(Ticket, UserName)>,
    /// Every call of a service.
    calls: Vec<CallTicket>,
    has_extension: bool,
    /// The extension has panicked, and the driver has not come to disable it.
    has_panicked: bool,
}

/// All that an engine holds is looked at in every so manieth step, and at the end: whether it fits together, and whether
/// it is what a restored copy holds. That takes longer than all else, and what is wrong there stays wrong. What engines do
/// is looked at in each step.
const STEPS_PER_CHECK: u32 = 8;

impl Life {
    fn live(data: &[u8], model: Option<fn(&Config) -> Model>) {
        let mut reader = Reader::new(data);
        let mut life = Self::new(&mut reader, model);
        while !reader.is_empty() {
            life.operation(&mut reader);
        }
        life.end();
    }

    fn new(reader: &mut Reader<'_>, model: Option<fn(&Config) -> Model>) -> Self {
        let now = Instant::from_nanos(1_000_000_000);
        let (config, wants_extension) = config(reader);
        let has_extension = wants_extension && model.is_none();
        let seed = u64::from(reader.byte());
        Self {
            model: model.map(|model| model(&config)),
            engine: Engine::with_extensions(config, seed, now, handlers(has_extension)),
            copy: None,
            steps: 0,
            actions: Actions::new(),
            copied_actions: Actions::new(),
            now,
            generations: [0; SLOTS as usize],
            ledger: Ledger::default(),
            asks: 0,
            asked: Vec::new(),
            calls: Vec::new(),
            has_extension,
            has_panicked: false,
        }
    }

    fn operation(&mut self, reader: &mut Reader<'_>) {
        if self.has_panicked {
            self.disable_extension();
        }
        match reader.byte() {
            0..=29 => self.arrive(reader),
            30..=44 => {
                self.connect(reader);
            }
            45..=170 => {
                let session = self.session(reader);
                let packet = packets::packet(reader, self.asked.last().map_or(0, |(ticket, _)| ticket.serial));
                self.input(Input::Received { session, packet });
            }
            171..=195 => self.verdict(reader),
            196..=215 => {
                let nanos = reader.choose(&[1, MS, 10 * MS, 100 * MS, 300 * MS, 1_000 * MS, 5_000 * MS]);
                self.advance(Duration::from_nanos(nanos));
            }
            216..=217 => self.next_deadline(),
            218..=221 => {
                let session = self.session(reader);
                self.input(Input::Disconnected { session });
            }
            222..=227 => self.snapshot(),
            228..=231 => self.store(reader),
            232..=235 => self.service(reader),
            236..=239 => self.fault(reader),
            240..=248 => self.operator(reader),
            249..=255 => self.clock(reader),
        }
    }

    /// The ordinary way in, in one step: connect, hello, login, yes.
    fn arrive(&mut self, reader: &mut Reader<'_>) {
        let Some(session) = self.connect(reader) else {
            return;
        };
        let hello = ClientPacket::Hello { version: PROTOCOL_VERSION, client: "fuzz".into() };
        self.input(Input::Received { session, packet: hello });
        let user = packets::user(reader).into();
        let login = ClientPacket::LoginRequest { request: RequestId(1), user, secret: Sealed([1; 16]) };
        self.input(Input::Received { session, packet: login });
        if let Some((ticket, user)) = self.asked.last().copied().filter(|(ticket, _)| ticket.session == session) {
            let choice = reader.byte();
            let account = Account { nickname: None, administrator: choice % 4 == 3 };
            let verdict = match choice {
                0..=215 => Verdict::Accepted { leased: choice % 2 == 1, account },
                216..=255 => Verdict::Denied,
            };
            self.input(Input::LoginVerdict { ticket, user, verdict });
        }
    }

    /// The session of a slot, or one that had it before.
    fn session(&self, reader: &mut Reader<'_>) -> SessionId {
        let byte = reader.byte();
        let index = byte % SLOTS;
        let generation = self.generations[usize::from(index)];
        let is_earlier = byte >= 250;
        SessionId { index: index.into(), generation: generation.saturating_sub(u32::from(is_earlier)) }
    }

    fn connect(&mut self, reader: &mut Reader<'_>) -> Option<SessionId> {
        let index = reader.below(SLOTS);
        let generation = &mut self.generations[usize::from(index)];
        let mut session = SessionId { index: index.into(), generation: *generation };
        if self.ledger.is_open(session) {
            return None;
        }
        *generation += 1;
        session.generation = *generation;
        let address = match reader.below(4) {
            0 => IpAddr::V4(Ipv4Addr::LOCALHOST),
            1 => IpAddr::V6(Ipv4Addr::LOCALHOST.to_ipv6_mapped()),
            host => IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, host.into())),
        };
        self.input(Input::Connected { session, address });
        Some(session)
    }

    fn verdict(&mut self, reader: &mut Reader<'_>) {
        // The latest first: a byte of 0 is the ordinary life.
        let back = usize::from(reader.byte());
        let Some((ticket, user)) = self.asked.iter().nth_back(back).copied() else {
            return;
        };
        let account = |reader: &mut Reader<'_>| Account {
            nickname: reader.flag().then(|| Text::new(&reader.text())),
            administrator: reader.flag(),
        };
        let verdict = match reader.below(10) {
            0..=2 => Verdict::Accepted { leased: false, account: account(reader) },
            3 | 4 => Verdict::Accepted { leased: true, account: account(reader) },
            5..=7 => Verdict::Denied,
            8 => Verdict::AlreadyOnline,
            _ => Verdict::Unavailable,
        };
        self.input(Input::LoginVerdict { ticket, user, verdict });
    }

    /// What a store does that is out of its mind, or that was asked by another daemon.
    fn store(&mut self, reader: &mut Reader<'_>) {
        let Some((ticket, user)) = self.asked.iter().nth_back(usize::from(reader.byte())).copied() else {
            return;
        };
        match reader.below(4) {
            0 => self.input(Input::PresenceLost { ticket }),
            1 => {
                let user = packets::user(reader).parse().unwrap_or(user);
                let verdict = Verdict::Accepted { leased: reader.flag(), account: Account::default() };
                self.input(Input::LoginVerdict { ticket, user, verdict });
            }
            _ => {
                let serial = ticket.serial.wrapping_add(reader.long_number());
                let ticket = Ticket { session: self.session(reader), serial };
                let verdict = Verdict::Accepted { leased: reader.flag(), account: Account::default() };
                self.input(Input::LoginVerdict { ticket, user, verdict });
            }
        }
    }

    /// A service answers a call: now, again, or one that was never made.
    fn service(&mut self, reader: &mut Reader<'_>) {
        let byte = reader.byte();
        let known = self.calls.iter().nth_back(usize::from(byte / 8)).copied();
        let ticket = known.filter(|_| byte % 8 != 7).unwrap_or(CallTicket(byte.into()));
        match byte % 8 {
            0..=3 | 7 => self.input(Input::ServiceReply { ticket, result: Ok("got".into()) }),
            4 => self.input(Input::ServiceReply { ticket, result: Err(ServiceError::Unknown) }),
            5 => self.input(Input::ServiceReply { ticket, result: Err(ServiceError::TimedOut) }),
            6.. => {
                if byte == 254 {
                    self.disable_extension();
                }
            }
        }
    }

    fn disable_extension(&mut self) {
        self.has_panicked = false;
        self.input(Input::DisableExtension { extension: puppet::NAME.parse().expect("a good name") });
    }

    fn fault(&mut self, reader: &mut Reader<'_>) {
        let session = self.session(reader);
        let fault = match reader.below(5) {
            0 => WireFault::FrameEmpty,
            1 => WireFault::FrameTooLong,
            2 => WireFault::PacketUnknown,
            3 => WireFault::PacketMalformed,
            _ => return self.input(Input::OutboxFull { session }),
        };
        self.input(Input::Malformed { session, fault });
    }

    fn operator(&mut self, reader: &mut Reader<'_>) {
        match reader.byte() {
            255 => self.input(Input::Admin(Admin::Stop)),
            250..=254 => {
                let within = Duration::from_millis(reader.long_number());
                self.input(Input::Admin(Admin::Drain { within }));
            }
            128..=249 => {
                if let Ok(user) = packets::user(reader).parse() {
                    self.input(Input::Admin(Admin::CloseUser { user }));
                }
            }
            64..=127 => self.moderate(reader),
            0..=63 => self.input(Input::Admin(Admin::Announce { text: packets::text(reader) })),
        }
    }

    /// What the operator gets an answer to.
    fn moderate(&mut self, reader: &mut Reader<'_>) {
        self.asks += 1;
        let (ask, room) = (AskId(self.asks), packets::room(reader));
        let Ok(user) = packets::user(reader).parse() else {
            return;
        };
        let notice = Notice::Text(RawText(b"hear, hear"));
        self.input(Input::Admin(match reader.below(4) {
            0 => Admin::NotifyUser { ask, user, notice },
            1 => Admin::NotifyRoom { ask, room, notice },
            2 => Admin::Kick { ask, room, user, ban: reader.flag() },
            _ => Admin::CleanUpEmptyRooms { ask },
        }));
        let is_answer = |action: &&Action| matches!(action, Action::Answer { ask: answered, .. } if *answered == ask);
        assert_eq!(self.actions.iter().filter(is_answer).count(), 1, "the operator has one answer");
    }

    /// Time that does not go as it should.
    fn clock(&mut self, reader: &mut Reader<'_>) {
        match reader.below(4) {
            0 => {
                let gap = Duration::from_millis(reader.long_number());
                self.now = self.now + gap;
                self.input(Input::Stalled { gap });
            }
            // A clock that was set back: the engine's time stands still meanwhile.
            1 => {
                let before = self.now;
                self.now = before.saturating_sub(Duration::from_millis(reader.long_number()));
                self.timeout();
                self.now = before;
            }
            2 => self.advance(Duration::from_secs(reader.long_number())),
            _ => self.timeout(),
        }
    }

    fn advance(&mut self, time: Duration) {
        self.now = self.now + time;
        self.timeout();
    }

    fn next_deadline(&mut self) {
        if let Some(at) = self.engine.poll_timeout() {
            self.now = self.now.max(at);
            self.timeout();
        }
    }

    fn snapshot(&mut self) {
        let snapshot = self.engine.snapshot();
        let restored = Engine::restore_with_extensions(snapshot, handlers(self.has_extension));
        let restored = restored.expect("a snapshot can be restored");
        assert_eq!(restored.digest(), self.engine.digest(), "a restored engine has another digest");
        self.copy = Some(restored);
    }

    fn input(&mut self, input: Input<'_>) {
        self.clear();
        self.ledger.note(&input);
        if let Some(copy) = &mut self.copy {
            copy.handle_input(self.now, input.clone(), &mut self.copied_actions);
        }
        self.engine.handle_input(self.now, input.clone(), &mut self.actions);
        self.predict(Stimulus::Input(&input));
        self.settle();
    }

    fn timeout(&mut self) {
        self.clear();
        if let Some(copy) = &mut self.copy {
            copy.handle_timeout(self.now, &mut self.copied_actions);
        }
        self.engine.handle_timeout(self.now, &mut self.actions);
        let next_at = self.engine.poll_timeout();
        assert!(self.now > LAST || next_at.is_none_or(|at| at > self.now), "a deadline that is due has not fired");
        self.predict(Stimulus::Timeout);
        self.settle();
    }

    fn predict(&mut self, what: Stimulus<'_>) {
        let Some(model) = &mut self.model else {
            return;
        };
        let verdict = model.check(self.now, what, &self.actions);
        if let Err(mismatch) = verdict.and_then(|()| model.check_counts(self.engine.counts())) {
            panic!("the model expected {}, and {} came of {what:?}", mismatch.expected, mismatch.came);
        }
    }

    fn clear(&mut self) {
        self.actions.clear();
        self.copied_actions.clear();
    }

    /// Looks at what the step has done.
    fn settle(&mut self) {
        self.steps += 1;
        if self.copy.is_some() {
            assert!(self.actions.iter().eq(self.copied_actions.iter()), "a restored engine does something else");
        }
        if self.steps.is_multiple_of(STEPS_PER_CHECK) {
            self.check();
        }
        for action in self.actions.iter() {
            let recipients = match action {
                Action::Broadcast { to, .. } => self.actions.recipients(*to),
                Action::VerifyLogin { ticket, user, .. } => {
                    assert!(self.asked.iter().all(|(asked, _)| asked.serial < ticket.serial), "{ticket} is not new");
                    self.asked.push((*ticket, *user));
                    &[]
                }
                Action::CallService { ticket, .. } => {
                    assert!(!self.calls.contains(ticket), "{ticket} is not new");
                    self.calls.push(*ticket);
                    &[]
                }
                Action::ExtensionFailed { panicked, .. } => {
                    assert!(self.has_extension, "{action:?}, and there is no extension");
                    self.has_panicked |= panicked;
                    &[]
                }
                Action::Send { .. }
                | Action::Close { .. }
                | Action::ReleasePresence { .. }
                | Action::Online { .. }
                | Action::Answer { .. }
                | Action::ServiceAnswer { .. } => &[],
            };
            self.ledger.carry_out(action, recipients);
        }
        self.ledger.assert_settled(self.engine.counts());
    }

    /// Looks at all that the engine holds.
    fn check(&self) {
        if let Err(fault) = self.engine.check() {
            panic!("{fault}");
        }
        if let Some(copy) = &self.copy {
            assert_eq!(copy.digest(), self.engine.digest(), "a restored engine goes another way");
        }
    }

    /// Everybody goes, and time passes.
    fn end(&mut self) {
        for session in self.ledger.open() {
            self.input(Input::Disconnected { session });
        }
        // Its own deadlines would go on for ever.
        self.disable_extension();
        self.advance(DAY);
        // Ends a drain that was given longer.
        self.input(Input::Admin(Admin::Stop));
        let counts = self.engine.counts();
        assert_eq!((counts.sessions, counts.online, counts.logins_pending, counts.members), (0, 0, 0, 0), "{counts:?}");
        if self.now <= LAST {
            let fixed = self.engine.config().fixed_rooms.len();
            assert_eq!((counts.rooms as usize, counts.deadlines), (fixed, 0), "{counts:?}");
        }
        self.ledger.assert_nothing_is_left();
        self.check();
    }
}

#[cfg(test)]
mod tests;
