//! A daemon: a real engine (or the naive model in its place), and the driver as a model.
//!
//! It keeps the driver's promises: what came before the end of a stream is handed in before it, system inputs run
//! ahead of packets, a closed session is sent what waits for it and then its stream ends, a slow consumer is closed
//! when its outbox is full, and a process that stood still says so first.

mod inbound;
mod mind;
mod outbound;
mod twin;

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr};

use lobbyd_core::action::Action;
use lobbyd_core::config::Config;
use lobbyd_core::data::RawBytes;
use lobbyd_core::id::{AskId, Ticket};
use lobbyd_core::input::{Admin, Input, ServiceError};
use lobbyd_core::packet::ServerPacket;
use lobbyd_core::time::Instant;

pub(super) use self::mind::Decider;
use self::mind::{Deeds, Mind};
use self::outbound::cut_off;
use super::queue::Event;
use super::random::Random;
use super::seals::Seals;
use super::slots::Slots;
use super::stores::Stores;
use super::stream::Phase;
use super::wire::Wire;
use crate::extend::Extend;
use crate::layers::Failure;
use crate::marks::Mark;
use crate::questions;
use crate::scenario::{Check, Served};

/// How long a closed session may take to receive its last packets (DESIGN section 4).
const LINGER_NANOS: u64 = 1_000_000_000;
/// Slots beyond the sessions that are allowed: for connections that are being refused or closed.
const SPARE_SLOTS: u32 = 1024;
/// Room beyond the outbox's limit for the packet that says why the session is closed.
const CLOSING_BYTES: usize = 64;
/// What the transport takes of a client that does not read, before the outbox fills.
const SOCKET_BYTES: usize = 64 * 1024;
/// All clients come from one address, as they do over loopback.
const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 168, 0, 1));

pub(super) struct Daemon {
    pub(super) name: String,
    pub(super) state: State,
    /// Until when the process does not run.
    pub(super) stalled_until: u64,
    /// What the operator has asked for and was not heard yet.
    pub(super) commands: VecDeque<Order>,
    /// How many questions the operator has asked services.
    asked: u64,
    /// What services have answered, each with its number, and what is still under way.
    pub(super) replies: BTreeMap<u32, Input<'static>>,
    last_reply: u32,
    /// Of the stand-ins.
    stand_in_random: Random,
    extend: Extend,
    index: u32,
    /// Of the seed in each life.
    random: Random,
    config: Config,
    mind: Mind,
    decider: Decider,
    /// Inputs that run ahead of packets.
    system: VecDeque<Input<'static>>,
    slots: Slots,
    started_at: u64,
    last_turn_at: Instant,
    timer_at: Option<u64>,
    seals: Seals,
    scratch: Vec<u8>,
}

/// What the operator wants of a daemon.
#[derive(Clone, Debug)]
pub(super) enum Order {
    /// Something that is an input as it is.
    Input(Input<'static>),
    /// A question for a service.
    Ask(Served),
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
        decider: Decider,
        extend: Extend,
    ) -> Self {
        let mut random = Random::derived(seed, &format!("engine of {name}"));
        let mind = Mind::new(name, decider, &extend, &config, random.next());
        let slots_max = config.sessions_max.saturating_add(SPARE_SLOTS);
        Self {
            name: name.to_owned(),
            state: State::Running,
            stalled_until: 0,
            commands: VecDeque::new(),
            asked: 0,
            replies: BTreeMap::new(),
            last_reply: 0,
            stand_in_random: Random::derived(seed, &format!("stand-ins of {name}")),
            extend,
            index,
            random,
            config,
            mind,
            decider,
            system: VecDeque::new(),
            slots: Slots::new(slots_max),
            started_at: 0,
            last_turn_at: Instant::ZERO,
            timer_at: None,
            seals: Seals::new(key),
            scratch: Vec::new(),
        }
    }

    /// Of the engine.
    pub(super) fn digest(&self) -> u64 {
        self.mind.digest()
    }

    pub(super) fn has_middleware(&self) -> bool {
        self.mind.has_middleware()
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
        self.mind = Mind::new(&self.name, self.decider, &self.extend, &self.config, self.random.next());
        // Of a daemon that has ended they are empty, and one that has crashed has lost them.
        self.slots.clear();
        (self.started_at, self.last_turn_at) = (now, Instant::ZERO);
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

    /// Does what the operator has asked for first.
    pub(super) fn obey(&mut self, wire: &mut Wire, stores: &mut Stores) -> Result<(), Failure> {
        match self.commands.pop_front() {
            Some(Order::Input(input)) => self.post(input, wire, stores),
            Some(Order::Ask(served)) if self.state == State::Running => {
                self.asked += 1;
                let (ask, request) = (AskId(self.asked), questions::request(self.asked, served));
                let (service, request) = (questions::service(), RawBytes(request.as_bytes()));
                let now = self.begin_turn(wire, stores)?;
                self.step(now, Input::Admin(Admin::CallService { ask, service, request }), wire, stores)?;
                self.end_turn(wire, stores)
            }
            Some(Order::Ask(_)) | None => Ok(()),
        }
    }

    /// Fires what is due.
    pub(super) fn fire(&mut self, wire: &mut Wire, stores: &mut Stores) -> Result<(), Failure> {
        // Another than the one that is waited for is a deadline that was put off.
        if self.timer_at.take_if(|at| *at <= wire.now).is_none() || self.state == State::Crashed {
            return Ok(());
        }
        let now = self.begin_turn(wire, stores)?;
        self.mind.fire(now)?;
        self.notice_answers(false, wire);
        self.carry_out(wire, stores);
        self.end_turn(wire, stores)
    }

    /// Holds a check against what is.
    ///
    /// # Errors
    /// Says what is instead.
    pub(super) fn check(&self, check: Check, leases: usize) -> Result<(), String> {
        if self.state == State::Crashed {
            return Err(format!("{} has crashed", self.name));
        }
        let counts = self.mind.counts();
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

    /// Sees whether the process stood still, and runs the inputs that go first.
    fn begin_turn(&mut self, wire: &mut Wire, stores: &mut Stores) -> Result<Instant, Failure> {
        let now = Instant::from_nanos(wire.now - self.started_at);
        let gap = now.saturating_since(self.last_turn_at);
        let interval = self.config.heartbeat_interval;
        let late = self.mind.due_at().map(|at| now.saturating_since(at));
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
        if let Some(next_at) = self.mind.due_at() {
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
        let verdict_of = self.notice(&input, wire);
        let was_reply = matches!(input, Input::ServiceReply { .. });
        self.mind.take_in(now, input)?;
        self.notice_answers(was_reply, wire);
        if let Some(ticket) = verdict_of {
            notice_stale_lease(ticket, &self.mind.deeds, wire);
        }
        self.carry_out(wire, stores);
        Ok(())
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

    /// Counts what comes of questions to services.
    fn notice_answers(&self, was_reply: bool, wire: &mut Wire) {
        let answers = self.mind.deeds.iter().filter_map(|action| match action {
            Action::ServiceAnswer { result, .. } => Some(result),
            Action::Send { .. }
            | Action::Broadcast { .. }
            | Action::Close { .. }
            | Action::VerifyLogin { .. }
            | Action::ReleasePresence { .. }
            | Action::Online { .. }
            | Action::CallService { .. }
            | Action::ExtensionFailed { .. }
            | Action::Answer { .. } => None,
        });
        let mut is_answered = false;
        for result in answers {
            is_answered = true;
            match result {
                Ok(_) => wire.marks.reach(Mark::ServiceAnswered),
                Err(ServiceError::Failed) => wire.marks.reach(Mark::ServiceFailed),
                Err(ServiceError::TimedOut) => wire.marks.reach(Mark::ServiceMissing),
                Err(ServiceError::Busy) => wire.marks.reach(Mark::ServicesBusy),
                Err(_) => {}
            }
        }
        if was_reply && !is_answered {
            wire.marks.reach(Mark::ServiceLate);
        }
    }

    fn end_if_done(&mut self) {
        if self.state == State::Running && self.mind.is_draining() && self.slots.count() == 0 {
            self.state = State::Ended;
        }
    }
}

/// Counts a verdict that answers nobody and whose lease goes back at once.
fn notice_stale_lease(ticket: Ticket, deeds: &Deeds, wire: &mut Wire) {
    let goes_back =
        |action: &Action| matches!(action, Action::ReleasePresence { ticket: released, .. } if *released == ticket);
    let answers = |action: &Action| matches!(action, Action::Send { to, packet: ServerPacket::LoginResponse { .. } } if *to == ticket.session);
    if deeds.iter().any(goes_back) && !deeds.iter().any(answers) {
        wire.marks.reach(Mark::StaleLeaseReleased);
    }
}
