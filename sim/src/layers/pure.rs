//! The pure layer: real engines, and models of everything around them, in one loop around a queue.
//!
//! ```text
//! clients ══ streams over the network ══ daemons (engine + driver model) ── stores (list, or Redis over the network)
//! ```
//!
//! Everything that happens is ordered by its moment, and within a moment by when it was planned. Each random consumer
//! (a way between two hosts, an engine, a link to Redis) has its own stream from the seed, named by what it is, so that
//! leaving out a client or a fault changes nothing for the others.
//!
//! What is simpler than in reality: packets travel as packets unless bytes can be told apart; what a partition loses is
//! lost for its stream, as on turmoil; a transport takes 64 KiB that nobody reads; the feedback of a client that stops
//! reading takes no time; all clients have one address.

mod client;
mod daemon;
mod leases;
mod link;
mod network;
mod queue;
mod redis;
mod seals;
mod slots;
mod stores;
mod stream;
mod traffic;
mod wire;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use lobbyd_core::command::CommandName;
use lobbyd_core::config::ConfigError;
use lobbyd_core::id::RoomNumber;
use lobbyd_core::input::{Admin, Input};
use lobbyd_net::password_digest;

use self::daemon::{Daemon, Decider, Order, State};
use self::queue::Event;
use self::stores::{Stores, Told};
use self::wire::Wire;
use super::{Arrival, CannotDo, Failure, World};
use crate::extend::Extend;
use crate::marks::Marks;
use crate::random::{self, Random};
use crate::scenario::{Check, Fault, Operation, Setup};
use crate::traffic::Seen;

/// More than this at one moment is a loop that time cannot end.
const EVENTS_PER_MOMENT_MAX: u32 = 10_000_000;

/// The pure layer.
pub struct Pure {
    wire: Wire,
    daemons: Vec<Daemon>,
    stores: Stores,
    /// The daemons by their names.
    names: BTreeMap<String, u32>,
}

/// A setup that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SetupError {
    /// The engine's configuration cannot hold.
    #[error("the configuration cannot hold: {0}")]
    Config(#[from] ConfigError),
    /// A password is given for a room that the configuration does not have.
    #[error("a password is given for room {0}, which is not configured; add the room or leave out its password")]
    RoomUnknown(RoomNumber),
    /// Two daemons have one name.
    #[error("two daemons are called {0:?}; give each a name of its own")]
    DaemonTwice(String),
    /// A service has no stand-in, and nothing asynchronous runs here.
    #[error("service {0} has no stand-in, which the pure layer needs: give it one, or run on the turmoil layer")]
    NoStandIn(CommandName),
}

impl Pure {
    /// A world in which nothing has happened yet. Everything that happens follows from the setup, the seed and what is
    /// begun. Every engine is checked after every turn.
    ///
    /// # Errors
    /// When the setup cannot be.
    pub fn new(setup: &Setup, seed: u64) -> Result<Self, SetupError> {
        Self::with_checks(setup, seed, true)
    }

    /// The same, with daemons that have extensions. Beside each engine a twin, restored from its snapshot before every
    /// input, has to do the same, so that what an extension does not store is found out; behind middleware, which packets
    /// pass once, the twin has to be in the same state.
    ///
    /// # Errors
    /// When the setup cannot be, or nobody stands in for a service.
    pub fn with_extensions(setup: &Setup, seed: u64, extend: &Extend) -> Result<Self, SetupError> {
        if let Some(service) = extend.without_stand_in() {
            return Err(SetupError::NoStandIn(service));
        }
        Self::build(setup, seed, Decider::CheckedEngine, extend)
    }

    /// The same, and whether engines are checked at all, which takes time in proportion to their state.
    ///
    /// # Errors
    /// When the setup cannot be.
    pub fn with_checks(setup: &Setup, seed: u64, checks: bool) -> Result<Self, SetupError> {
        let decider = if checks { Decider::CheckedEngine } else { Decider::Engine };
        Self::build(setup, seed, decider, &Extend::default())
    }

    /// The same, with the naive [`Model`](crate::model) in the place of every engine: what a sound server does, whatever
    /// the engine does. Where there are extensions, which the model knows nothing of, it is the engine after all.
    ///
    /// # Errors
    /// When the setup cannot be, or nobody stands in for a service.
    pub fn reference(setup: &Setup, seed: u64, extend: &Extend) -> Result<Self, SetupError> {
        if let Some(service) = extend.without_stand_in() {
            return Err(SetupError::NoStandIn(service));
        }
        Self::build(setup, seed, Decider::Model, extend)
    }

    fn build(setup: &Setup, seed: u64, decider: Decider, extend: &Extend) -> Result<Self, SetupError> {
        let mut config = setup.config.clone();
        let mut random = Random::derived(seed, "key of room passwords");
        let key = (u128::from(random.next()) << 64 | u128::from(random.next())).to_le_bytes();
        for (number, password) in &setup.room_passwords {
            let room = config.fixed_rooms.iter_mut().find(|room| room.number == *number);
            let room = room.ok_or(SetupError::RoomUnknown(*number))?;
            room.password = Some(password_digest(key, password.as_bytes()));
        }
        config.validate()?;
        let daemon_names = if setup.daemons.is_empty() { vec!["server".to_owned()] } else { setup.daemons.clone() };
        let mut wire = Wire::new(&setup.network, seed);
        let stores = Stores::new(setup, &daemon_names, seed, &mut wire);
        let (mut names, mut daemons) = (BTreeMap::new(), Vec::new());
        for (index, name) in (0..).zip(&daemon_names) {
            if names.insert(name.clone(), index).is_some() {
                return Err(SetupError::DaemonTwice(name.clone()));
            }
            daemons.push(Daemon::new(index, name, config.clone(), key, seed, decider, extend.clone()));
        }
        Ok(Self { wire, daemons, stores, names })
    }

    fn daemon(&self, name: &str) -> Result<u32, CannotDo> {
        let known = self.names.get(name).copied();
        known.ok_or_else(|| CannotDo::Scenario(format!("there is no daemon {name:?} in this scenario")))
    }

    /// Has a running daemon obey its operator.
    fn command(&mut self, name: &str, order: Order) -> Result<(), CannotDo> {
        let index = self.daemon(name)?;
        let daemon = &mut self.daemons[index as usize];
        if daemon.state != State::Running {
            return Err(CannotDo::Scenario(format!("{name} does not run")));
        }
        daemon.commands.push_back(order);
        self.wire.queue.send(self.wire.now, Event::Command(index));
        Ok(())
    }

    fn crash(&mut self, name: &str) -> Result<(), CannotDo> {
        let index = self.daemon(name)?;
        let daemon = &mut self.daemons[index as usize];
        if daemon.state == State::Crashed {
            return Err(CannotDo::Scenario(format!("{name} has crashed already")));
        }
        daemon.crash(&mut self.wire);
        self.stores.forget(index, &mut self.wire);
        self.stores.set_running(index, false);
        Ok(())
    }

    fn restart(&mut self, name: &str) -> Result<(), CannotDo> {
        let index = self.daemon(name)?;
        let daemon = &mut self.daemons[index as usize];
        match daemon.state {
            State::Running => return Err(CannotDo::Scenario(format!("{name} runs already"))),
            State::Ended => self.stores.forget(index, &mut self.wire),
            State::Crashed => {}
        }
        daemon.restart(self.wire.now);
        self.stores.set_running(index, true);
        Ok(())
    }

    fn stall(&mut self, name: &str, gap: Duration) -> Result<(), CannotDo> {
        let index = self.daemon(name)?;
        self.daemons[index as usize].stalled_until = self.wire.now.saturating_add(nanos(gap));
        Ok(())
    }

    /// The daemon in whose process an event happens.
    fn daemon_of(&self, event: Event) -> Option<u32> {
        match event {
            Event::Up(stream) | Event::Window(stream) | Event::Linger(stream) => {
                Some(self.wire.streams[stream as usize].daemon)
            }
            Event::Timer(daemon) | Event::Command(daemon) | Event::Reply(daemon, _) => Some(daemon),
            Event::Store(event) => self.stores.daemon_of(event),
            Event::Down(_) | Event::Refused(_) | Event::Resume(_) => None,
        }
    }

    fn handle(&mut self, event: Event) -> Result<(), Failure> {
        let Self { wire, daemons, stores, .. } = self;
        match event {
            Event::Down(stream) => wire.arrive(stream),
            Event::Up(stream) => {
                let daemon = wire.streams[stream as usize].daemon;
                daemons[daemon as usize].read(stream, wire, stores)?;
            }
            Event::Refused(stream) => wire.end(stream),
            Event::Resume(stream) => wire.resume(stream),
            Event::Window(stream) => {
                let daemon = wire.streams[stream as usize].daemon;
                daemons[daemon as usize].flush(stream, wire);
            }
            Event::Linger(stream) => {
                let daemon = wire.streams[stream as usize].daemon;
                daemons[daemon as usize].linger_is_over(stream, wire);
            }
            Event::Timer(daemon) => daemons[daemon as usize].fire(wire, stores)?,
            Event::Command(daemon) => {
                daemons[daemon as usize].obey(wire, stores)?;
            }
            Event::Reply(daemon, number) => {
                if let Some(input) = daemons[daemon as usize].replies.remove(&number) {
                    daemons[daemon as usize].post(input, wire, stores)?;
                }
            }
            Event::Store(event) => stores.handle(event, wire),
        }
        while let Some(Told { daemon, input }) = stores.told.pop_front() {
            daemons[daemon as usize].post(input, wire, stores)?;
        }
        Ok(())
    }
}

impl World for Pure {
    fn has_middleware(&self) -> bool {
        self.daemons.iter().any(Daemon::has_middleware)
    }

    fn now(&self) -> Duration {
        Duration::from_nanos(self.wire.now)
    }

    fn begin(&mut self, client: &str, operation: &Operation) -> Result<(), CannotDo> {
        if let Operation::Connect { daemon } = operation {
            let index = self.daemon(daemon)?;
            self.wire.connect(client, index, daemon);
            return Ok(());
        }
        self.wire.begin(client, operation)
    }

    fn inject(&mut self, fault: &Fault) -> Result<(), CannotDo> {
        let network = &mut self.wire.network;
        match fault {
            Fault::Partition { from, to, one_way } => {
                network.set_cut(from, to, true);
                if !one_way {
                    network.set_cut(to, from, true);
                }
            }
            Fault::Repair { from, to } => {
                network.set_cut(from, to, false);
                network.set_cut(to, from, false);
            }
            Fault::Hold { from, to } => {
                network.hold(from, to);
                network.hold(to, from);
            }
            Fault::Release { from, to } => {
                self.wire.release(from, to);
                self.wire.release(to, from);
            }
            Fault::Latency { from, to, latency } => {
                network.set_latency(from, to, *latency);
                network.set_latency(to, from, *latency);
            }
            Fault::Crash { daemon } => self.crash(daemon)?,
            Fault::Restart { daemon } => self.restart(daemon)?,
            Fault::Drain { daemon, within } => {
                self.command(daemon, Order::Input(Input::Admin(Admin::Drain { within: *within })))?;
            }
            Fault::Stop { daemon } => self.command(daemon, Order::Input(Input::Admin(Admin::Stop)))?,
            Fault::CloseUser { daemon, user } => {
                self.command(daemon, Order::Input(Input::Admin(Admin::CloseUser { user: *user })))?;
            }
            Fault::Ask { daemon, served } => self.command(daemon, Order::Ask(*served))?,
            Fault::Stall { daemon, gap } => self.stall(daemon, *gap)?,
            Fault::Redis(fault) => self.stores.inject(*fault, &mut self.wire)?,
        }
        Ok(())
    }

    fn check(&mut self, daemon: &str, check: Check) -> Result<Result<(), String>, CannotDo> {
        let index = self.daemon(daemon)?;
        let leases = self.stores.leases_of(index, self.wire.now);
        Ok(self.daemons[index as usize].check(check, leases))
    }

    /// Lets everything happen that happens at the next moment.
    fn step(&mut self, limit: Duration) -> Result<bool, Failure> {
        let until = self.wire.now.saturating_add(nanos(limit));
        match self.wire.queue.next_at() {
            Some(at) if at <= until => self.wire.now = self.wire.now.max(at),
            Some(_) | None => {
                self.wire.now = until;
                return Ok(!limit.is_zero());
            }
        }
        for _ in 0..EVENTS_PER_MOMENT_MAX {
            let Some(event) = self.wire.queue.pop(self.wire.now) else { return Ok(true) };
            let daemon = self.daemon_of(event).map(|daemon| self.daemons[daemon as usize].stalled_until);
            match daemon {
                // The process does not run. It finds everything in its order when it does.
                Some(until) if until > self.wire.now => self.wire.queue.plan(until, event),
                Some(_) | None => self.handle(event)?,
            }
        }
        Err(Failure(format!("more than {EVENTS_PER_MOMENT_MAX} things happen at one moment")))
    }

    fn is_quiet(&self) -> bool {
        self.wire.queue.is_quiet()
    }

    fn digests(&self) -> Vec<(String, u64)> {
        let running = self.daemons.iter().filter(|daemon| daemon.state != State::Crashed);
        running.map(|daemon| (daemon.name.clone(), daemon.digest())).collect()
    }

    fn watch(&mut self) {
        self.wire.traffic.watch(self.daemons.iter().map(|daemon| daemon.name.clone()).collect());
    }

    fn sightings(&mut self) -> Vec<(Duration, Seen)> {
        self.wire.traffic.take()
    }

    fn marks(&self) -> Marks {
        self.wire.marks.clone()
    }

    fn arrived(&mut self, client: &str) -> &mut VecDeque<Arrival> {
        let client = self.wire.client(client);
        &mut self.wire.clients[client as usize].arrived
    }
}

/// In whole nanoseconds; what is longer than 292 years is for ever.
fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX).min(u64::MAX / 2)
}

const fn millis(count: u64) -> u64 {
    count * 1_000_000
}
