//! A case under way: an engine, the model beside it, perhaps the engine that it was restored from, and what a driver and
//! its clients know.

use std::collections::HashSet;

use lobbyd_core::Engine;
use lobbyd_core::action::{Action, Actions, Presence};
use lobbyd_core::config::Config;
use lobbyd_core::data::{Data, RawBytes};
use lobbyd_core::engine::Snapshot;
use lobbyd_core::id::{AskId, CallTicket, RequestId, RoomNumber, SessionId, Ticket, UserId};
use lobbyd_core::input::{Admin, Input, ServiceError, Verdict, WireFault};
use lobbyd_core::name::UserName;
use lobbyd_core::packet::{ClientPacket, Code, Sealed, ServerPacket};
use lobbyd_core::text::RawText;
use lobbyd_core::time::Instant;
use lobbyd_sim::model::{Model, Stimulus};

use crate::cast::{ADDRESSES, FAULTS, account, password_of};
use crate::lookout::Lookout;
use crate::marks::Mark;
use crate::operation::{Answer, CLIENTS, NAMES, Operation, ROOMS, Said, Served, TEXTS};
use crate::rules::{Rules, VAULT};
use crate::story::Story;

/// Beyond every deadline of a case.
const STEPS_AFTER_MAX: u32 = 10_000;

/// A case under way.
pub(crate) struct Trial {
    engine: Engine,
    /// The engine that was stored last, which has to go on like the one that was restored.
    twin: Option<(Engine, Actions)>,
    model: Model,
    actions: Actions,
    pub(crate) now: Instant,
    clients: Vec<Client>,
    /// Every question that the store was asked.
    questions: Vec<Question>,
    /// Every question that a service was asked.
    calls: Vec<CallTicket>,
    asks: u64,
    last_request: u32,
    lookout: Lookout,
    /// What has happened, kept only if it is to be told.
    pub(crate) story: Option<Story>,
}

/// What a client, and the driver about it, knows.
#[derive(Clone, Debug, Default)]
struct Client {
    /// Its last session, which may be over.
    session: Option<SessionId>,
    is_connected: bool,
    user: Option<UserId>,
    room: Option<RoomNumber>,
    is_pending: bool,
}

#[derive(Clone, Copy, Debug)]
struct Question {
    ticket: Ticket,
    user: UserName,
    presence: Presence,
}

/// What did not hold.
pub(crate) type Broken = String;

impl Trial {
    pub(crate) fn new(rules: Rules) -> Self {
        let config = rules.config();
        Self {
            model: Model::new(&config),
            engine: Engine::new(config, 7, Instant::ZERO),
            twin: None,
            actions: Actions::new(),
            now: Instant::ZERO,
            clients: vec![Client::default(); usize::from(CLIENTS)],
            questions: Vec::new(),
            calls: Vec::new(),
            asks: 0,
            last_request: 0,
            lookout: Lookout::default(),
            story: None,
        }
    }

    /// What the case has reached so far.
    pub(crate) fn marks(&self) -> &HashSet<Mark> {
        &self.lookout.marks
    }

    pub(crate) fn config(&self) -> &Config {
        self.engine.config()
    }

    /// Whether a client has a connection.
    pub(crate) fn is_connected(&self, client: u8) -> bool {
        self.clients[usize::from(client)].is_connected
    }

    /// The room at this place of the table, as a client means it.
    pub(crate) fn room_of(&self, client: u8, room: u8) -> RoomNumber {
        match ROOMS[usize::from(room)] {
            u32::MAX => self.clients[usize::from(client)].room.unwrap_or(RoomNumber(1)),
            number => RoomNumber(number),
        }
    }

    /// Has something happen, and checks what comes of it.
    pub(crate) fn run(&mut self, operation: Operation) -> Result<(), Broken> {
        match operation {
            Operation::Arrive { client, user } => self.arrive(client, user),
            Operation::Guess { client, user } => {
                let asked = self.questions.len();
                self.say(client, Said::Login { user })?;
                if self.questions.len() > asked { self.verdict(0, Answer::Denied, false) } else { Ok(()) }
            }
            Operation::Host { client } => {
                self.say(client, Said::Leave { room: 0 })?;
                self.say(client, Said::Create { title: 0, capacity: 5, password: 0 })
            }
            Operation::Visit { client, host, password } => {
                let home = if host >= CLIENTS { VAULT } else { self.room_of(host, 0) };
                self.say(client, Said::Leave { room: 0 })?;
                self.enter(client, home, password)
            }
            Operation::Crowd { room } => (0..CLIENTS).try_for_each(|client| {
                self.arrive(client, client)?;
                self.say(client, Said::Enter { room, password: 0 })
            }),
            Operation::Connect { client, address } => self.connect(client, address),
            Operation::Say { client, what } => self.say(client, what),
            Operation::Verdict { back, answer, of_another } => self.verdict(back, answer, of_another),
            Operation::Advance(time) => {
                self.now = self.now + time;
                Ok(())
            }
            Operation::Deadline => {
                if let Some(at) = self.engine.poll_timeout() {
                    self.now = self.now.max(at);
                }
                self.step(None)
            }
            Operation::Disconnect { client } => self.end(client, |session| Input::Disconnected { session }),
            Operation::Malformed { client, fault } => {
                self.end(client, |session| Input::Malformed { session, fault: FAULTS[usize::from(fault)] })
            }
            Operation::OutboxFull { client } => self.end(client, |session| Input::OutboxFull { session }),
            Operation::Late { client, kind } => self.late(client, kind),
            Operation::PresenceLost { back } => match self.question(back) {
                Some(Question { ticket, .. }) => self.step(Some(Input::PresenceLost { ticket })),
                None => Ok(()),
            },
            Operation::Stall(gap) => {
                self.now = self.now + gap;
                self.step(Some(Input::Stalled { gap }))
            }
            Operation::Drain(within) => {
                if self.clients.iter().any(|client| client.is_pending) && self.engine.counts().logins_pending > 0 {
                    self.lookout.marks.insert(Mark::DrainDuringLogin);
                }
                self.step(Some(Input::Admin(Admin::Drain { within })))
            }
            Operation::Stop => self.step(Some(Input::Admin(Admin::Stop))),
            Operation::CloseUser { user } => {
                let user = NAMES[usize::from(user)].parse().unwrap();
                self.step(Some(Input::Admin(Admin::CloseUser { user })))
            }
            Operation::Announce { text } => {
                self.step(Some(Input::Admin(Admin::Announce { text: RawText(TEXTS[usize::from(text)]) })))
            }
            Operation::AskService { text } => {
                self.asks += 1;
                let (service, request) = ("ledger".parse().unwrap(), RawBytes(TEXTS[usize::from(text)]));
                self.step(Some(Input::Admin(Admin::CallService { ask: AskId(self.asks), service, request })))
            }
            Operation::Serve { back, served } => self.serve(back, served),
            Operation::Restore => self.restore(),
        }
    }

    fn serve(&mut self, back: u8, served: Served) -> Result<(), Broken> {
        let asked = match served {
            Served::OfNobody => Some(CallTicket(u64::MAX)),
            Served::Answer | Served::Failed | Served::Busy | Served::Unknown | Served::TimedOut => {
                self.calls.iter().nth_back(back.into()).copied()
            }
        };
        let Some(ticket) = asked else { return Ok(()) };
        let result = match served {
            Served::Answer | Served::OfNobody => Ok(Data::from(format!("what {ticket} is told").into_bytes())),
            Served::Failed => Err(ServiceError::Failed),
            Served::Busy => Err(ServiceError::Busy),
            Served::Unknown => Err(ServiceError::Unknown),
            Served::TimedOut => Err(ServiceError::TimedOut),
        };
        let before = self.engine.counts().service_calls;
        self.step(Some(Input::ServiceReply { ticket, result }))?;
        let after = self.engine.counts().service_calls;
        if served != Served::OfNobody {
            let is_late = before == after;
            self.lookout.marks.extend(is_late.then_some(Mark::ServiceLate));
            self.lookout.marks.extend((!is_late && back > 0 && after > 0).then_some(Mark::ServiceOutOfOrder));
        }
        Ok(())
    }

    /// Everybody hangs up and time goes on until nothing is due any more: nothing may be left.
    pub(crate) fn end_of_case(&mut self) -> Result<(), Broken> {
        for client in 0..CLIENTS {
            if self.is_connected(client) {
                self.end(client, |session| Input::Disconnected { session })?;
            }
        }
        let mut steps = 0;
        while let Some(at) = self.engine.poll_timeout() {
            self.now = self.now.max(at);
            self.step(None)?;
            steps += 1;
            if steps > STEPS_AFTER_MAX {
                return Err("deadlines without end".to_owned());
            }
        }
        if self.twin.as_ref().is_some_and(|(twin, _)| twin.digest() != self.engine.digest()) {
            return Err("equal engines have different digests".to_owned());
        }
        let counts = self.engine.counts();
        let fixed = self.config().fixed_rooms.len() as u32;
        if !self.model.is_empty() || counts.rooms != fixed || counts.sessions + counts.members + counts.deadlines != 0 {
            return Err(format!("something is left at the end: {counts:?}"));
        }
        Ok(())
    }

    fn arrive(&mut self, client: u8, user: u8) -> Result<(), Broken> {
        if !self.is_connected(client) {
            self.connect(client, 0)?;
            self.say(client, Said::Hello { version: 1 })?;
        }
        let asked = self.questions.len();
        self.say(client, Said::Login { user })?;
        if self.questions.len() > asked { self.verdict(0, Answer::Accepted, false) } else { Ok(()) }
    }

    fn connect(&mut self, client: u8, address: u8) -> Result<(), Broken> {
        if self.is_connected(client) {
            self.end(client, |session| Input::Disconnected { session })?;
        }
        let state = &mut self.clients[usize::from(client)];
        let generation = state.session.map_or(0, |session| session.generation + 1);
        let session = SessionId { index: client.into(), generation };
        *state = Client { session: Some(session), is_connected: true, ..Client::default() };
        self.step(Some(Input::Connected { session, address: ADDRESSES[usize::from(address)] }))
    }

    /// An end from below, also of a session that is over.
    fn end<'a>(&mut self, client: u8, input: impl FnOnce(SessionId) -> Input<'a>) -> Result<(), Broken> {
        let Some(session) = self.clients[usize::from(client)].session else { return Ok(()) };
        let input = input(session);
        let is_disconnect = matches!(input, Input::Disconnected { .. });
        self.step(Some(input))?;
        if is_disconnect {
            self.gone(session);
        }
        Ok(())
    }

    /// A client that was never there comes first.
    fn say(&mut self, client: u8, what: Said) -> Result<(), Broken> {
        if self.clients[usize::from(client)].session.is_none() {
            match what {
                Said::Hello { .. } => self.connect(client, 0)?,
                Said::Login { .. } => {
                    self.connect(client, 0)?;
                    self.say(client, Said::Hello { version: 1 })?;
                }
                Said::Chat { .. }
                | Said::Enter { .. }
                | Said::Leave { .. }
                | Said::Logout
                | Said::Create { .. }
                | Said::List { .. }
                | Said::Direct { .. }
                | Said::Kick { .. }
                | Said::Ping
                | Said::Pong => self.arrive(client, client)?,
            }
        }
        let Some(session) = self.clients[usize::from(client)].session else { return Ok(()) };
        self.last_request += 1;
        let request = RequestId(self.last_request);
        let text = |text| RawText(TEXTS[usize::from(text)]);
        let name = |user| NAMES[usize::from(user)].into();
        let packet = match what {
            Said::Hello { version } => ClientPacket::Hello { version, client: "properties".into() },
            Said::Ping => ClientPacket::Ping { nonce: 5 },
            Said::Pong => ClientPacket::Pong { nonce: 6 },
            Said::Login { user } => ClientPacket::LoginRequest { request, user: name(user), secret: Sealed([9; 16]) },
            Said::Logout => ClientPacket::LogoutRequest { request },
            Said::List { from, limit } => ClientPacket::RoomListRequest { request, from: RoomNumber(from), limit },
            Said::Create { title, capacity, password: of } => {
                ClientPacket::RoomCreateRequest { request, title: text(title), capacity, password: password_of(of) }
            }
            Said::Enter { room, password } => return self.enter(client, self.room_of(client, room), password),
            Said::Leave { room } => ClientPacket::RoomLeaveRequest { request, room: self.room_of(client, room) },
            Said::Chat { room, text: of } => {
                ClientPacket::RoomChatRequest { request, room: self.room_of(client, room), text: text(of) }
            }
            Said::Direct { user, text: of } => {
                ClientPacket::DirectMessageRequest { request, user: name(user), text: text(of) }
            }
            Said::Kick { room, whom, ban } => {
                let user = self.clients[usize::from(whom)].user.unwrap_or_default();
                ClientPacket::KickRequest { request, room: self.room_of(whom, room), user, ban }
            }
        };
        self.step(Some(Input::Received { session, packet }))
    }

    fn late(&mut self, client: u8, kind: u8) -> Result<(), Broken> {
        let now_there = self.clients[usize::from(client)].session;
        let before = now_there.and_then(|session| session.generation.checked_sub(1));
        let Some(generation) = before else { return Ok(()) };
        let session = SessionId { index: client.into(), generation };
        self.lookout.marks.extend(self.is_connected(client).then_some(Mark::LateInput));
        self.step(Some(match kind {
            0 => Input::Received { session, packet: ClientPacket::LogoutRequest { request: RequestId(0) } },
            1 => Input::Disconnected { session },
            2 => Input::OutboxFull { session },
            _ => Input::Malformed { session, fault: WireFault::PacketMalformed },
        }))
    }

    fn enter(&mut self, client: u8, room: RoomNumber, password: u8) -> Result<(), Broken> {
        let Some(session) = self.clients[usize::from(client)].session else { return Ok(()) };
        self.last_request += 1;
        let (request, password) = (RequestId(self.last_request), password_of(password));
        let packet = ClientPacket::RoomEnterRequest { request, room, password };
        self.step(Some(Input::Received { session, packet }))
    }

    fn question(&self, back: u8) -> Option<Question> {
        self.questions.iter().rev().nth(back.into()).copied()
    }

    fn verdict(&mut self, back: u8, answer: Answer, of_another: bool) -> Result<(), Broken> {
        let Some(Question { ticket, user, presence }) = self.question(back) else { return Ok(()) };
        let account = account(user);
        let verdict = match answer {
            Answer::Accepted => Verdict::Accepted { account, leased: presence != Presence::None },
            Answer::AcceptedWithoutLease => Verdict::Accepted { account, leased: false },
            Answer::Denied => Verdict::Denied,
            Answer::AlreadyOnline => Verdict::AlreadyOnline,
            Answer::Unavailable => Verdict::Unavailable,
        };
        let user = if of_another { NAMES[1].parse().unwrap() } else { user };
        if of_another {
            self.lookout.marks.insert(Mark::VerdictOfAnother);
        }
        self.step(Some(Input::LoginVerdict { ticket, user, verdict }))
    }

    /// One step of the engine, of the model, and of the twin.
    fn step(&mut self, input: Option<Input<'_>>) -> Result<(), Broken> {
        self.actions.clear();
        if let Some(story) = &mut self.story {
            let clients = &self.clients;
            let is_connected = |session: SessionId| {
                let client = &clients[session.index as usize];
                client.is_connected && client.session == Some(session)
            };
            let client_of = |id| (0..CLIENTS).find(|client| clients[usize::from(*client)].user == Some(id));
            story.happens(self.now, input.as_ref(), is_connected, client_of);
        }
        let what = input.as_ref().map_or(Stimulus::Timeout, Stimulus::Input);
        give(&mut self.engine, self.now, &input, &mut self.actions);
        let told = self.model.check(self.now, what, &self.actions);
        told.map_err(|mismatch| format!("{mismatch}, after {what:?} at {:?}", self.now))?;
        let after = |broken: &dyn std::fmt::Display| format!("{broken}, after {what:?} at {:?}", self.now);
        self.engine.check().map_err(|broken| after(&broken))?;
        self.model.check_counts(self.engine.counts()).map_err(|broken| after(&broken))?;
        let (polled, due_at) = (self.engine.poll_timeout(), self.model.due_at());
        // What is due beyond the end of time never is.
        if due_at.is_some_and(|due_at| polled.is_none_or(|polled| polled > due_at)) {
            return Err(after(&format!("the engine wants to be asked at {polled:?}, something is due at {due_at:?}")));
        }
        if let Some((twin, actions)) = &mut self.twin {
            actions.clear();
            give(twin, self.now, &input, actions);
            let is_same = actions.iter().eq(self.actions.iter()) && recipients(actions) == recipients(&self.actions);
            if !is_same || *twin != self.engine {
                return Err(after(&"the restored engine does something else than the one that was stored"));
            }
        }
        self.follow(input.as_ref());
        Ok(())
    }

    fn restore(&mut self) -> Result<(), Broken> {
        let stored = serde_json::to_vec(&self.engine.snapshot()).map_err(|error| error.to_string())?;
        let snapshot: Snapshot = serde_json::from_slice(&stored).map_err(|error| error.to_string())?;
        if let Some(story) = &mut self.story {
            story.note("that the engine is stored and restored");
        }
        let restored = Engine::restore(snapshot).map_err(|error| error.to_string())?;
        if restored != self.engine || restored.digest() != self.engine.digest() {
            return Err("the restored engine is not the one that was stored".to_owned());
        }
        let counts = restored.counts();
        self.lookout.marks.extend((counts.logins_pending > 0).then_some(Mark::RestoredPending));
        self.lookout.marks.extend((counts.members > 0).then_some(Mark::RestoredInRoom));
        self.lookout.marks.extend((counts.service_calls > 0).then_some(Mark::RestoredAsking));
        self.lookout.marks.extend((restored.is_draining() && counts.sessions > 0).then_some(Mark::RestoredDraining));
        self.twin = Some((std::mem::replace(&mut self.engine, restored), Actions::new()));
        Ok(())
    }

    /// Carries out the actions of a step, as far as clients learn from them, and notes what was reached.
    fn follow(&mut self, input: Option<&Input<'_>>) {
        let actions = std::mem::take(&mut self.actions);
        let mut closed = 0;
        for action in actions.iter() {
            match action {
                Action::Send { to, packet } => {
                    self.hear(*to, packet);
                    self.look_at(*to, packet, input);
                }
                Action::Broadcast { to, packet } => {
                    for session in actions.recipients(*to) {
                        self.hear(*session, packet);
                    }
                    if let Some(session) = actions.recipients(*to).first() {
                        self.look_at(*session, packet, input);
                    }
                }
                Action::Close { session, reason } => {
                    closed += 1;
                    self.lookout.marks.insert(Mark::Closed(*reason));
                    self.gone(*session);
                }
                Action::VerifyLogin { ticket, user, presence, .. } => {
                    self.clients[ticket.session.index as usize].is_pending = true;
                    if let Some(story) = &mut self.story {
                        story.asks(*ticket);
                    }
                    self.questions.push(Question { ticket: *ticket, user: *user, presence: *presence });
                }
                Action::CallService { ticket, .. } => self.calls.push(*ticket),
                Action::ServiceAnswer { result, .. } => {
                    let is_own = !matches!(input, Some(Input::ServiceReply { .. }));
                    self.lookout.marks.insert(match result {
                        Ok(_) => Mark::Served,
                        Err(ServiceError::Busy) if is_own => Mark::ServicesBusy,
                        Err(ServiceError::TimedOut) if is_own => Mark::ServiceMissing,
                        Err(_) => Mark::ServiceFailed,
                    });
                }
                Action::ReleasePresence { .. }
                | Action::Online { .. }
                | Action::ExtensionFailed { .. }
                | Action::Answer { .. } => {}
            }
        }
        self.lookout.marks.extend((closed > 1).then_some(Mark::ClosedTogether));
        if let Some(Input::LoginVerdict { ticket, verdict, .. }) = input {
            let is_let_in = matches!(verdict, Verdict::Accepted { .. });
            let is_only_released = actions.len() == 1 && matches!(actions.get(0), Some(Action::ReleasePresence { .. }));
            let client = &self.clients[ticket.session.index as usize];
            let is_online = client.session == Some(ticket.session) && client.user == Some(UserId(ticket.serial));
            self.lookout.marks.extend(is_only_released.then_some(Mark::StaleLeaseReleased));
            self.lookout.marks.extend((is_let_in && actions.is_empty() && is_online).then_some(Mark::VerdictTwice));
            let is_late = is_let_in && client.session == Some(ticket.session) && !client.is_pending && !is_online;
            self.lookout.marks.extend((is_late && closed == 0).then_some(Mark::VerdictAfterTimeout));
        }
        self.actions = actions;
    }

    /// What a client learns from a packet.
    #[expect(clippy::wildcard_enum_match_arm, reason = "of the other packets a client learns nothing that is used")]
    fn hear(&mut self, to: SessionId, packet: &ServerPacket) {
        if let Some(story) = &mut self.story {
            story.arrives(to, packet);
        }
        let client = &mut self.clients[to.index as usize];
        if client.session != Some(to) {
            return;
        }
        match packet {
            ServerPacket::LoginResponse { result, .. } => {
                client.user = result.as_ref().ok().map(|user| user.id);
                // A refusal may answer another login than the one that waits; it is of no consequence here.
                client.is_pending = matches!(result, Err(Code::LoginPending));
            }
            ServerPacket::RoomEnterResponse { result: Ok(entered), .. }
            | ServerPacket::RoomCreateResponse { result: Ok(entered), .. } => client.room = Some(entered.room),
            ServerPacket::RoomLeaveResponse { result: Ok(_), .. } | ServerPacket::Kicked { .. } => client.room = None,
            ServerPacket::LogoutResponse { result: Ok(()), .. } => (client.user, client.room) = (None, None),
            _ => {}
        }
    }

    fn look_at(&mut self, to: SessionId, packet: &ServerPacket, input: Option<&Input<'_>>) {
        let room = self.clients[to.index as usize].room;
        self.lookout.look_at(room, packet, input);
    }

    fn gone(&mut self, session: SessionId) {
        let client = &mut self.clients[session.index as usize];
        if client.session == Some(session) {
            *client = Client { session: Some(session), ..Client::default() };
        }
    }
}

fn give(engine: &mut Engine, now: Instant, input: &Option<Input<'_>>, actions: &mut Actions) {
    match input {
        Some(input) => engine.handle_input(now, input.clone(), actions),
        None => engine.handle_timeout(now, actions),
    }
}

/// The recipients of all broadcasts.
fn recipients(actions: &Actions) -> Vec<&[SessionId]> {
    actions
        .iter()
        .filter_map(
            |action| if let Action::Broadcast { to, .. } = action { Some(actions.recipients(*to)) } else { None },
        )
        .collect()
}
