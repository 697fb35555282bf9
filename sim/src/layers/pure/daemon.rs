//! A daemon: a real engine, and the driver as a model.
//!
//! It keeps the driver's promises: what came before the end of a stream is handed in before it, system inputs run
//! ahead of packets, a closed session is sent what waits for it and then its stream ends, a slow consumer is closed
//! when its outbox is full, and a process that stood still says so first.

use std::collections::{BTreeMap, VecDeque};
use std::mem;
use std::net::{IpAddr, Ipv4Addr};

use lobbyd_core::Engine;
use lobbyd_core::action::{Action, Actions};
use lobbyd_core::config::Config;
use lobbyd_core::id::{SessionId, Ticket};
use lobbyd_core::input::{Input, WireFault};
use lobbyd_core::packet::{ClientPacket, CloseReason, ServerPacket};
use lobbyd_core::time::Instant;
use lobbyd_net::codec;
use lobbyd_net::extension::Assembled;
use lobbyd_net::extension::middleware::Chain;
use lobbyd_net::frame::next_frame;

use super::client::Said;
use super::queue::Event;
use super::random::Random;
use super::seals::Seals;
use super::slots::Slots;
use super::stores::{Question, Stores};
use super::stream::{Down, Phase, Reader, Up};
use super::wire::{Wire, frame_bytes};
use crate::extend::Extend;
use crate::layers::Failure;
use crate::marks::Mark;
use crate::model::{Model, Stimulus};
use crate::scenario::Check;

/// How long a closed session may take to receive its last packets (DESIGN section 4).
const LINGER_NANOS: u64 = 1_000_000_000;
/// Slots beyond the sessions that are allowed: for connections that are being refused or closed.
const SPARE_SLOTS: u32 = 1024;
/// Room beyond the outbox's limit for the packet that says why the session is closed.
const CLOSING_BYTES: usize = 64;
/// What the transport takes of a client that does not read, before the outbox fills.
const SOCKET_BYTES: usize = 64 * 1024;
/// For how many inputs in a row the engine's parts are not looked through if they only talk. What the engine says is
/// compared with the model each time.
const TALK_UNCHECKED_MAX: u32 = 64;
/// All clients come from one address, as they do over loopback.
const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 168, 0, 1));

pub(super) struct Daemon {
    pub(super) name: String,
    pub(super) state: State,
    pub(super) engine: Engine,
    /// Until when the process does not run.
    pub(super) stalled_until: u64,
    /// What the operator has asked for and was not heard yet.
    pub(super) commands: VecDeque<Input<'static>>,
    /// What services have answered, each with its number, and what is still under way.
    pub(super) replies: BTreeMap<u32, Input<'static>>,
    last_reply: u32,
    /// Of the stand-ins.
    stand_in_random: Random,
    extend: Extend,
    chain: Chain,
    index: u32,
    /// Of the engine's seed in each life.
    random: Random,
    config: Config,
    actions: Actions,
    /// Inputs that run ahead of packets.
    system: VecDeque<Input<'static>>,
    slots: Slots,
    started_at: u64,
    last_turn_at: Instant,
    timer_at: Option<u64>,
    seals: Seals,
    scratch: Vec<u8>,
    /// What the engine is compared with, if it is checked at all.
    model: Option<Model>,
    checks: bool,
    talk_unchecked: u32,
}

/// Whether a daemon serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Running,
    /// It was told to drain or stop, and its last connection is gone.
    Ended,
    Crashed,
}

impl Daemon {
    pub(super) fn new(
        index: u32,
        name: &str,
        config: Config,
        key: [u8; 16],
        seed: u64,
        checks: bool,
        extend: Extend,
    ) -> Self {
        let mut random = Random::derived(seed, &format!("engine of {name}"));
        let Assembled { engine, chain, .. } = extend.make().assemble(config.clone(), random.next(), Instant::ZERO);
        // The model knows no extensions.
        let model = (checks && extend.make().is_empty()).then(|| Model::new(&config));
        let slots_max = config.sessions_max.saturating_add(SPARE_SLOTS);
        Self {
            name: name.to_owned(),
            state: State::Running,
            engine,
            stalled_until: 0,
            commands: VecDeque::new(),
            replies: BTreeMap::new(),
            last_reply: 0,
            stand_in_random: Random::derived(seed, &format!("stand-ins of {name}")),
            extend,
            chain,
            index,
            random,
            config,
            actions: Actions::new(),
            system: VecDeque::new(),
            slots: Slots::new(slots_max),
            started_at: 0,
            last_turn_at: Instant::ZERO,
            timer_at: None,
            seals: Seals::new(key),
            scratch: Vec::new(),
            model,
            checks,
            talk_unchecked: 0,
        }
    }

    pub(super) fn has_middleware(&self) -> bool {
        !self.chain.is_empty()
    }

    /// The process is gone, and with it everything it knew. The clients see the ends of their streams.
    pub(super) fn crash(&mut self, wire: &mut Wire) {
        self.state = State::Crashed;
        for id in self.slots.clear() {
            cut_off(wire, id);
        }
        self.system.clear();
        self.commands.clear();
        self.replies.clear();
        (self.stalled_until, self.timer_at) = (0, None);
    }

    /// Starts again, knowing nothing.
    pub(super) fn restart(&mut self, now: u64) {
        self.state = State::Running;
        let seed = self.random.next();
        let Assembled { engine, chain, .. } = self.extend.make().assemble(self.config.clone(), seed, Instant::ZERO);
        (self.engine, self.chain) = (engine, chain);
        self.model = self.model.is_some().then(|| Model::new(&self.config));
        // Of a daemon that has ended they are empty, and one that has crashed has lost them.
        self.slots.clear();
        (self.started_at, self.last_turn_at) = (now, Instant::ZERO);
    }

    /// What has come up a stream reaches the process.
    pub(super) fn read(&mut self, id: u32, wire: &mut Wire, stores: &mut Stores) -> Result<(), Failure> {
        let Some(piece) = wire.take_up(id) else { return Ok(()) };
        match wire.streams[id as usize].phase {
            Phase::Connecting => match piece {
                Up::Syn if self.state == State::Running => self.accept(id, wire, stores),
                Up::Syn => {
                    cut_off(wire, id);
                    Ok(())
                }
                Up::Packet(_) | Up::Bytes(_) | Up::End | Up::Reset => unreachable!("a connection begins with its Syn"),
            },
            Phase::Open => match piece {
                Up::Packet(said) => self.hear(id, said, wire, stores),
                Up::Bytes(bytes) => {
                    wire.streams[id as usize].inbox.extend_from_slice(&bytes);
                    self.take_frames(id, wire, stores)
                }
                Up::End | Up::Reset => {
                    let is_reset = matches!(piece, Up::Reset);
                    self.hang_up(id, is_reset, wire, stores)
                }
                Up::Syn => unreachable!("a connection begins once"),
            },
            // What comes in after the close is dropped, until its end.
            Phase::Closing(_) => {
                if matches!(piece, Up::End | Up::Reset) {
                    self.remove(id, wire);
                }
                Ok(())
            }
            Phase::Removed => Ok(()),
        }
    }

    /// Hands in one input of the system's.
    pub(super) fn post(&mut self, input: Input<'static>, wire: &mut Wire, stores: &mut Stores) -> Result<(), Failure> {
        if self.state != State::Running {
            return Ok(());
        }
        self.system.push_back(input);
        self.begin_turn(wire, stores)?;
        self.end_turn(wire, stores)
    }

    /// Fires what is due.
    pub(super) fn fire(&mut self, wire: &mut Wire, stores: &mut Stores) -> Result<(), Failure> {
        // Another than the one that is waited for is a deadline that was put off.
        if self.timer_at.take_if(|at| *at <= wire.now).is_none() || self.state == State::Crashed {
            return Ok(());
        }
        let now = self.begin_turn(wire, stores)?;
        self.engine.handle_timeout(now, &mut self.actions);
        self.compare(now, Stimulus::Timeout)?;
        self.carry_out(wire, stores);
        if self.checks {
            self.check_engine("a deadline")?;
        }
        self.end_turn(wire, stores)
    }

    /// Sends what waited for a client to read again.
    pub(super) fn flush(&mut self, id: u32, wire: &mut Wire) {
        let stream = &mut wire.streams[id as usize];
        if stream.reader != Reader::Reads || stream.down.is_broken || stream.phase == Phase::Removed {
            return;
        }
        (stream.is_stuck, stream.socket_bytes, stream.outbox_bytes) = (false, 0, 0);
        let phase = stream.phase;
        for (packet, _) in mem::take(&mut stream.outbox) {
            wire.send_down(id, Down::Packet(packet));
        }
        if let Phase::Closing(reason) = phase {
            self.shut_down(id, reason, wire);
        }
    }

    /// A closed session has had its time.
    pub(super) fn linger_is_over(&mut self, id: u32, wire: &mut Wire) {
        if matches!(wire.streams[id as usize].phase, Phase::Closing(_)) {
            self.remove(id, wire);
        }
    }

    /// Holds a check against what is.
    ///
    /// # Errors
    /// Says what is instead.
    pub(super) fn check(&self, check: Check, leases: usize) -> Result<(), String> {
        if self.state == State::Crashed {
            return Err(format!("{} has crashed", self.name));
        }
        let counts = self.engine.counts();
        let is = |what: &str, found: u32, expected: u32| {
            if found == expected { Ok(()) } else { Err(format!("{what}={found} at {}", self.name)) }
        };
        match check {
            Check::Sessions(expected) => is("sessions", counts.sessions, expected),
            Check::Online(expected) => is("online", counts.online, expected),
            Check::Rooms(expected) => is("rooms", counts.rooms, expected),
            Check::Empty => {
                is("sessions", counts.sessions, 0)?;
                is("online", counts.online, 0)?;
                is("logins pending", counts.logins_pending, 0)?;
                is("members", counts.members, 0)?;
                is("connections", self.slots.count(), 0)?;
                is("rooms", counts.rooms, self.config.fixed_rooms.len() as u32)?;
                is("deadlines", counts.deadlines, 0)?;
                is("leases", leases as u32, 0)
            }
        }
    }

    fn accept(&mut self, id: u32, wire: &mut Wire, stores: &mut Stores) -> Result<(), Failure> {
        let Some(session) = self.slots.reserve(id) else {
            // Every slot is taken.
            cut_off(wire, id);
            return Ok(());
        };
        let now = self.begin_turn(wire, stores)?;
        let stream = &mut wire.streams[id as usize];
        (stream.phase, stream.session) = (Phase::Open, session);
        self.step(now, Input::Connected { session, address: ADDRESS }, wire, stores)?;
        self.end_turn(wire, stores)
    }

    fn hear(&mut self, id: u32, said: Said, wire: &mut Wire, stores: &mut Stores) -> Result<(), Failure> {
        let stream = &mut wire.streams[id as usize];
        if !stream.inbox.is_empty() || said.bytes_max() > self.config.frame_bytes_max as usize {
            // Where it begins, or whether it is let in, depends on bytes.
            said.encode(&mut stream.inbox);
            return self.take_frames(id, wire, stores);
        }
        let session = stream.session;
        let now = self.begin_turn(wire, stores)?;
        self.step_packet(now, session, said.packet(), wire, stores)?;
        self.end_turn(wire, stores)
    }

    /// Hands in every whole frame of a stream's inbox.
    fn take_frames(&mut self, id: u32, wire: &mut Wire, stores: &mut Stores) -> Result<(), Failure> {
        let now = self.begin_turn(wire, stores)?;
        let session = wire.streams[id as usize].session;
        let inbox = mem::take(&mut wire.streams[id as usize].inbox);
        let mut rest = inbox.as_slice();
        while wire.streams[id as usize].phase == Phase::Open {
            match next_frame(rest, self.config.frame_bytes_max) {
                Ok(None) => break,
                Ok(Some(frame)) => {
                    rest = &rest[frame.consumed..];
                    match codec::decode_client(frame.payload) {
                        Ok(packet) => self.step_packet(now, session, packet, wire, stores)?,
                        Err(fault) => self.refuse_bytes(now, session, fault, wire, stores)?,
                    }
                }
                Err(fault) => {
                    self.refuse_bytes(now, session, fault, wire, stores)?;
                    break;
                }
            }
        }
        if wire.streams[id as usize].phase == Phase::Open {
            wire.streams[id as usize].inbox = rest.to_vec();
        }
        self.end_turn(wire, stores)
    }

    fn step_packet(
        &mut self,
        now: Instant,
        session: SessionId,
        packet: ClientPacket<'_>,
        wire: &mut Wire,
        stores: &mut Stores,
    ) -> Result<(), Failure> {
        let packet = self.seals.seal(packet);
        let input = Input::Received { session, packet };
        let checked = if self.chain.is_empty() {
            self.step(now, input, wire, stores)
        } else {
            self.chain.step(&mut self.engine, now, session, packet, &mut self.actions);
            self.carry_out(wire, stores);
            if self.checks { self.check_engine(input) } else { Ok(()) }
        };
        self.seals.forget();
        checked
    }

    fn refuse_bytes(
        &mut self,
        now: Instant,
        session: SessionId,
        fault: WireFault,
        wire: &mut Wire,
        stores: &mut Stores,
    ) -> Result<(), Failure> {
        self.step(now, Input::Malformed { session, fault }, wire, stores)
    }

    /// The client has ended its writing half, or the stream is broken.
    fn hang_up(&mut self, id: u32, is_reset: bool, wire: &mut Wire, stores: &mut Stores) -> Result<(), Failure> {
        let now = self.begin_turn(wire, stores)?;
        let session = wire.streams[id as usize].session;
        self.step(now, Input::Disconnected { session }, wire, stores)?;
        self.close(id, CloseReason::Disconnected, wire);
        if is_reset {
            self.remove(id, wire);
        }
        self.end_turn(wire, stores)
    }

    /// Sees whether the process stood still, and runs the inputs that go first.
    fn begin_turn(&mut self, wire: &mut Wire, stores: &mut Stores) -> Result<Instant, Failure> {
        let now = Instant::from_nanos(wire.now - self.started_at);
        let gap = now.saturating_since(self.last_turn_at);
        let interval = self.config.heartbeat_interval;
        let late = self.engine.poll_timeout().map(|at| now.saturating_since(at));
        // As the driver: more than an interval without a turn, although a deadline called for one.
        if gap > interval && late.is_some_and(|late| late > interval / 8) {
            self.step(now, Input::Stalled { gap }, wire, stores)?;
        }
        self.last_turn_at = now;
        self.run_system(now, wire, stores)?;
        Ok(now)
    }

    fn end_turn(&mut self, wire: &mut Wire, stores: &mut Stores) -> Result<(), Failure> {
        self.run_system(self.last_turn_at, wire, stores)?;
        if let Some(next_at) = self.engine.poll_timeout() {
            let next_at = self.started_at.saturating_add(next_at.as_nanos()).max(wire.now);
            if self.timer_at.is_none_or(|timer_at| next_at < timer_at) {
                self.timer_at = Some(next_at);
                wire.queue.plan(next_at, Event::Timer(self.index));
            }
        }
        self.end_if_done();
        Ok(())
    }

    fn run_system(&mut self, now: Instant, wire: &mut Wire, stores: &mut Stores) -> Result<(), Failure> {
        while let Some(input) = self.system.pop_front() {
            self.step(now, input, wire, stores)?;
        }
        Ok(())
    }

    fn step(&mut self, now: Instant, input: Input<'_>, wire: &mut Wire, stores: &mut Stores) -> Result<(), Failure> {
        let shown = self.checks.then(|| input.clone());
        let verdict_of = self.notice(&input, wire);
        self.engine.handle_input(now, input, &mut self.actions);
        if let Some(ticket) = verdict_of {
            notice_stale_lease(ticket, &self.actions, wire);
        }
        let Some(input) = shown else {
            self.carry_out(wire, stores);
            return Ok(());
        };
        self.compare(now, Stimulus::Input(&input))?;
        self.carry_out(wire, stores);
        if self.is_to_be_checked(&input) { self.check_engine(input) } else { Ok(()) }
    }

    /// Holds what the engine has just done against the model.
    fn compare(&mut self, now: Instant, what: Stimulus<'_>) -> Result<(), Failure> {
        let Some(model) = &mut self.model else { return Ok(()) };
        let compared = model.check(now, what, &self.actions);
        compared.map_err(|mismatch| Failure(format!("of the engine of {} {mismatch}, after {what:?}", self.name)))
    }

    /// Counts the hard cases that an input is; the login of which it is the verdict.
    fn notice(&self, input: &Input<'_>, wire: &mut Wire) -> Option<Ticket> {
        match input {
            Input::LoginVerdict { ticket, .. } => {
                let stream = self.slots.stream(ticket.session);
                if stream.is_none_or(|id| wire.streams[id as usize].phase != Phase::Open) {
                    wire.marks.reach(Mark::VerdictForClosedSession);
                }
                Some(*ticket)
            }
            Input::Stalled { .. } => {
                wire.marks.reach(Mark::Stalled);
                None
            }
            Input::Connected { .. }
            | Input::Received { .. }
            | Input::Malformed { .. }
            | Input::Disconnected { .. }
            | Input::OutboxFull { .. }
            | Input::PresenceLost { .. }
            | Input::Stopped { .. }
            | Input::ServiceReply { .. }
            | Input::DisableExtension { .. }
            | Input::Admin(_) => None,
        }
    }

    /// Every input but talk, which changes little and is most of what comes in: of it one in so many in a row.
    fn is_to_be_checked(&mut self, input: &Input<'_>) -> bool {
        let is_talk = matches!(
            input,
            Input::Received {
                packet: ClientPacket::RoomChatRequest { .. }
                    | ClientPacket::DirectMessageRequest { .. }
                    | ClientPacket::Ping { .. }
                    | ClientPacket::Pong { .. },
                session: _,
            }
        );
        self.talk_unchecked = if is_talk { self.talk_unchecked + 1 } else { TALK_UNCHECKED_MAX };
        let is_due = self.talk_unchecked >= TALK_UNCHECKED_MAX;
        if is_due {
            self.talk_unchecked = 0;
        }
        is_due
    }

    fn check_engine(&self, after: impl std::fmt::Debug) -> Result<(), Failure> {
        let name = &self.name;
        self.engine.check().map_err(|what| Failure(format!("in the engine of {name} {what}, after {after:?}")))?;
        let Some(model) = &self.model else { return Ok(()) };
        let counted = model.check_counts(self.engine.counts());
        counted.map_err(|mismatch| Failure(format!("in the engine of {name} {mismatch}, after {after:?}")))
    }

    /// Carries out the engine's actions, in their order.
    fn carry_out(&mut self, wire: &mut Wire, stores: &mut Stores) {
        let mut actions = mem::take(&mut self.actions);
        for action in actions.iter() {
            match action {
                Action::Send { to, packet } => self.send(*to, packet, wire),
                Action::Broadcast { to, packet } => {
                    let before = self.system.len();
                    for session in actions.recipients(*to) {
                        self.send(*session, packet, wire);
                    }
                    if self.system.len() > before {
                        wire.marks.reach(Mark::SlowInBroadcast);
                    }
                }
                Action::Close { session, reason } => {
                    if let Some(id) = self.slots.stream(*session) {
                        self.close(id, *reason, wire);
                    }
                }
                Action::VerifyLogin { ticket, user, secret, presence } => {
                    let held = self.seals.take(*secret);
                    let secret = held.expect("the engine asks in the step that brought the secret");
                    let question = Question { ticket: *ticket, user: *user, secret, presence: *presence };
                    stores.ask(self.index, question, wire);
                }
                Action::ReleasePresence { ticket, user } => stores.release(self.index, *ticket, *user, wire),
                Action::Online { .. } | Action::Answer { .. } | Action::ServiceAnswer { .. } => {}
                Action::CallService { ticket, service, request } => {
                    let random = self.stand_in_random.next();
                    let (delay, result) = self.extend.answer(*service, request, random);
                    let at = wire.now.saturating_add(u64::try_from(delay.as_nanos()).unwrap_or(u64::MAX));
                    self.last_reply += 1;
                    self.replies.insert(self.last_reply, Input::ServiceReply { ticket: *ticket, result });
                    wire.queue.send(at, Event::Reply(self.index, self.last_reply));
                }
                Action::ExtensionFailed { extension, panicked, reason: _ } => {
                    if *panicked {
                        self.system.push_back(Input::DisableExtension { extension: *extension });
                    }
                }
            }
        }
        actions.clear();
        self.actions = actions;
    }

    fn send(&mut self, to: SessionId, packet: &ServerPacket, wire: &mut Wire) {
        let Some(id) = self.slots.stream(to) else { return };
        let stream = &mut wire.streams[id as usize];
        if !stream.is_stuck && stream.outbox.is_empty() && !stream.is_overflowed {
            wire.send_down(id, Down::Packet(packet.clone()));
            return;
        }
        let is_farewell = matches!(packet, ServerPacket::Closing { .. });
        if stream.is_overflowed && !is_farewell {
            return;
        }
        let bytes = frame_bytes(packet, &mut self.scratch);
        let outbox_bytes_max = self.config.outbox_bytes_max as usize + if is_farewell { CLOSING_BYTES } else { 0 };
        if stream.outbox.is_empty() && stream.socket_bytes + bytes <= SOCKET_BYTES {
            stream.socket_bytes += bytes;
            wire.send_down(id, Down::Packet(packet.clone()));
        } else if stream.outbox_bytes + bytes <= outbox_bytes_max {
            stream.outbox_bytes += bytes;
            stream.outbox.push_back((packet.clone(), bytes));
        } else {
            stream.is_overflowed = true;
            self.system.push_back(Input::OutboxFull { session: to });
        }
    }

    /// The session is over: what waits is sent, then the stream ends. The first reason stays.
    fn close(&mut self, id: u32, reason: CloseReason, wire: &mut Wire) {
        let stream = &mut wire.streams[id as usize];
        if stream.phase != Phase::Open {
            return;
        }
        stream.phase = Phase::Closing(reason);
        stream.inbox = Vec::new();
        wire.queue.plan(wire.now + LINGER_NANOS, Event::Linger(id));
        if wire.streams[id as usize].outbox.is_empty() {
            self.shut_down(id, reason, wire);
        }
    }

    /// Everything was sent.
    fn shut_down(&mut self, id: u32, reason: CloseReason, wire: &mut Wire) {
        if reason == CloseReason::Disconnected {
            self.remove(id, wire);
        } else if !wire.streams[id as usize].is_ended {
            wire.streams[id as usize].is_ended = true;
            wire.send_down(id, Down::End);
        }
    }

    /// Lets go of a stream. What the transport has not taken is lost.
    fn remove(&mut self, id: u32, wire: &mut Wire) {
        let session = wire.streams[id as usize].session;
        if self.slots.stream(session) != Some(id) {
            return;
        }
        self.slots.remove(session);
        cut_off(wire, id);
        self.end_if_done();
    }

    fn end_if_done(&mut self) {
        if self.state == State::Running && self.engine.is_draining() && self.slots.count() == 0 {
            self.state = State::Ended;
        }
    }
}

/// Counts a verdict that answers nobody and whose lease goes back at once.
fn notice_stale_lease(ticket: Ticket, actions: &Actions, wire: &mut Wire) {
    let goes_back =
        |action: &Action| matches!(action, Action::ReleasePresence { ticket: released, .. } if *released == ticket);
    let answers = |action: &Action| matches!(action, Action::Send { to, packet: ServerPacket::LoginResponse { .. } } if *to == ticket.session);
    if actions.iter().any(goes_back) && !actions.iter().any(answers) {
        wire.marks.reach(Mark::StaleLeaseReleased);
    }
}

/// The daemon has nothing to do with a stream any more.
fn cut_off(wire: &mut Wire, id: u32) {
    let stream = &mut wire.streams[id as usize];
    stream.phase = Phase::Removed;
    stream.inbox = Vec::new();
    stream.outbox = VecDeque::new();
    stream.up.shrink();
    if !mem::replace(&mut stream.is_ended, true) {
        wire.send_down(id, Down::End);
    }
}
