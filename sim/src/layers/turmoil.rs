//! The turmoil layer: production's node, codec, connections and Redis link on a simulated network, in simulated time.
//!
//! Hosts: one for each daemon, one for the model Redis if the scenario uses it, and [`SHARED_HOSTS`] that clients share,
//! since the cost of a tick grows with every host, and with the cube of them all. A client that a fault names has a host of
//! its own ([`Turmoil::for_scenario`]). To the daemons all clients seem to come from one address.
//!
//! All randomness follows from one seed: turmoil's, tokio's `select!`, the engines', the Redis links', the choppers'.
//! Time goes by in ticks, of which the network's least latency says how long they are ([`tick()`]).

mod calls;
mod check;
mod daemon;
mod links;
mod panics;
mod redis_host;
mod schedule;
mod seeds;
mod setup;
mod sightings;
mod tick;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::Future;
use std::net::IpAddr;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, SystemTime};

use lobbyd_core::config::Config;
use lobbyd_net::node::{NodeHandle, Stopped};
use tokio::sync::mpsc;
use turmoil::{Builder, Sim};

use self::calls::Call;
use self::check::judge;
use self::daemon::{Daemon, Standing, State};
use self::links::Links;
use self::seeds::Seeds;
use self::setup::hosts_named_by_faults;
pub(super) use self::setup::validate;
use self::sightings::Sightings;
pub use self::tick::tick;
use self::tick::{is_rest, latency};
use super::clients::Clients;
use super::{Arrival, CannotDo, Failure, World};
use crate::extend::Extend;
use crate::network::{Network, WINDOW_BYTES};
use crate::questions::Questions;
use crate::redis::RedisServer;
use crate::scenario::{Check, Fault, Operation, Scenario, Setup, Store};
use crate::traffic::Seen;

/// How many hosts clients share: more than one, so that what comes from several hosts at once is not in their order.
pub const SHARED_HOSTS: usize = 2;
/// How long a step may take while nothing arrives: several ticks.
const STEP_MAX: Duration = Duration::from_millis(10);
/// How long daemons may take to start and to connect to Redis before the scenario begins.
const START_MAX: Duration = Duration::from_secs(5);
/// How long a daemon may take to say how it stands.
const REPORT_MAX: Duration = Duration::from_millis(100);
/// As good as for ever.
const DURATION: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// A world on turmoil.
pub struct Turmoil {
    simulation: Sim<'static>,
    /// The least that time goes by.
    tick: Duration,
    network: Network,
    links: Links,
    daemons: BTreeMap<String, Rc<Daemon>>,
    redis: Option<RedisServer>,
    clients: Clients,
    hosts: Vec<ClientHost>,
    /// How many of them clients share.
    shared_hosts: usize,
    /// Who has a host of its own.
    apart: BTreeSet<String>,
    config: Config,
    /// What the operators have asked services.
    questions: Questions,
    started_at: Duration,
    has_middleware: bool,
    failure: Option<Failure>,
    sightings: Sightings,
}

/// A host on which clients are.
struct ClientHost {
    name: String,
    calls: mpsc::UnboundedSender<Call>,
    clients: BTreeSet<String>,
    is_shared: bool,
}

impl Turmoil {
    /// A world for a setup. Clients that share a host cannot be told apart by a fault between hosts:
    /// [`Turmoil::for_scenario`] knows which those are.
    ///
    /// # Errors
    /// When the setup makes no sense, or the daemons do not start.
    pub fn new(setup: &Setup, seed: u64) -> Result<Self, CannotDo> {
        Self::with_client_hosts(setup, seed, SHARED_HOSTS)
    }

    /// The same, with so many hosts that clients share.
    ///
    /// # Errors
    /// As [`Turmoil::new`].
    pub fn with_client_hosts(setup: &Setup, seed: u64, hosts: usize) -> Result<Self, CannotDo> {
        Self::build(setup, seed, BTreeSet::new(), hosts, &Extend::default())
    }

    /// A world for a scenario: every client that a fault of it names has a host of its own.
    ///
    /// # Errors
    /// As [`Turmoil::new`].
    pub fn for_scenario(scenario: &Scenario, seed: u64) -> Result<Self, CannotDo> {
        Self::with_extensions(scenario, seed, &Extend::default())
    }

    /// The same, with daemons that have extensions.
    ///
    /// # Errors
    /// As [`Turmoil::new`].
    pub fn with_extensions(scenario: &Scenario, seed: u64, extend: &Extend) -> Result<Self, CannotDo> {
        let mut named = BTreeSet::new();
        scenario.steps.iter().for_each(|step| hosts_named_by_faults(step, &mut named));
        Self::build(&scenario.setup, seed, named, SHARED_HOSTS, extend)
    }

    fn build(
        setup: &Setup,
        seed: u64,
        mut apart: BTreeSet<String>,
        shared_hosts: usize,
        extend: &Extend,
    ) -> Result<Self, CannotDo> {
        validate(setup)?;
        apart.retain(|name| name != redis_host::HOST && !setup.daemons.contains(name));
        let seeds = Seeds::new(seed);
        let network = Network::new(setup.network.chop, seeds.number("choppers"));
        let tick = tick(&setup.network);
        let (least, most) = latency(setup.network.latency, tick);
        let mut simulation = Builder::new()
            .rng_seed(seeds.number("turmoil"))
            .epoch(SystemTime::UNIX_EPOCH)
            .tick_duration(tick)
            .simulation_duration(DURATION)
            .min_message_latency(least)
            .max_message_latency(most)
            // In writes, of which each has one byte at least; and one for the end of the stream.
            .tcp_capacity(WINDOW_BYTES + 1)
            .build();

        let redis = (setup.store == Store::Redis).then(|| redis_host::server(setup));
        if let Some(redis) = &redis {
            let (server, network) = (redis.clone(), network.clone());
            simulation.host(redis_host::HOST, move || redis_host::run(server.clone(), network.clone()));
        }
        let mut daemons = BTreeMap::new();
        for name in &setup.daemons {
            let daemon = Rc::new(Daemon::new(name, setup, network.clone(), seeds, extend.clone()));
            daemons.insert(name.clone(), daemon.clone());
            simulation.host(name.as_str(), move || daemon.clone().run());
        }
        let mut world = Self {
            simulation,
            tick,
            network,
            has_middleware: extend.has_middleware(),
            links: Links::default(),
            daemons,
            redis,
            clients: Clients::default(),
            hosts: Vec::new(),
            shared_hosts,
            apart,
            config: setup.config.clone(),
            questions: Questions::default(),
            started_at: Duration::ZERO,
            failure: None,
            sightings: Sightings::default(),
        };
        world.start().map_err(|Failure(what)| CannotDo::Scenario(format!("the daemons do not start: {what}")))?;
        Ok(world)
    }

    /// The model Redis, if the setup has one: for tests that look into it.
    #[must_use]
    pub fn redis(&self) -> Option<&RedisServer> {
        self.redis.as_ref()
    }

    /// Waits until the daemons are ready, and sets the time to zero.
    fn start(&mut self) -> Result<(), Failure> {
        while !self.daemons.values().all(|daemon| daemon.is_ready()) && self.simulation.elapsed() < START_MAX {
            self.tick()?;
        }
        self.started_at = self.simulation.elapsed();
        self.network.set_now(self.now());
        Ok(())
    }

    fn tick(&mut self) -> Result<(), Failure> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        let outcome = match panics::caught(|| self.simulation.step()) {
            Ok(Ok(_is_finished)) => Ok(()),
            Ok(Err(error)) => Err(Failure(error.to_string())),
            Err(panic) => Err(Failure(panic)),
        };
        let now = self.now();
        let outcome = outcome.and_then(|()| self.questions.listen(now, &self.config).or_else(broken));
        let outcome = outcome.and_then(|()| self.redis.as_ref().and_then(RedisServer::breach).map_or(Ok(()), broken));
        let audited = || self.daemons.values().try_for_each(|daemon| daemon.audit_journals()).or_else(broken);
        let outcome = outcome.and_then(|()| audited());
        self.failure = outcome.clone().err();
        self.network.set_now(self.now());
        self.clients.listen();
        outcome
    }

    fn connect(&mut self, client: &str, daemon: &str) -> Result<(), CannotDo> {
        // Where no process is, a machine refuses at once; turmoil would let the caller wait for the restart.
        let host = self.daemon(daemon)?.is_running().then(|| daemon.to_owned());
        let index = self.host_of(client);
        let (line, voice) = self.clients.connect(client);
        let call = Call { client: client.to_owned(), line, voice, host };
        if self.hosts[index].calls.send(call).is_err() {
            return Err(CannotDo::Scenario("the simulation has failed".to_owned()));
        }
        Ok(())
    }

    /// The host of a client, which is made if there is none.
    fn host_of(&mut self, client: &str) -> usize {
        if let Some(index) = self.hosts.iter().position(|host| host.clients.contains(client)) {
            return index;
        }
        let shared: Vec<_> = self.hosts.iter().enumerate().filter(|(_, host)| host.is_shared).collect();
        let is_shared = !self.apart.contains(client);
        let is_full = shared.len() >= self.shared_hosts;
        let least = shared.iter().min_by_key(|(_, host)| host.clients.len()).map(|(index, _)| *index);
        let index = match least {
            Some(least) if is_shared && is_full => least,
            Some(_) | None => self.new_client_host(is_shared),
        };
        self.hosts[index].clients.insert(client.to_owned());
        index
    }

    fn new_client_host(&mut self, is_shared: bool) -> usize {
        // No name of a scenario has a space, so this is nobody else's.
        let name = format!("clients {}", self.hosts.len());
        let (calls, receiver) = mpsc::unbounded_channel();
        self.simulation.client(name.as_str(), calls::run(receiver, self.network.clone()));
        self.hosts.push(ClientHost { name, calls, clients: BTreeSet::new(), is_shared });
        self.hosts.len() - 1
    }

    fn daemon(&self, name: &str) -> Result<&Rc<Daemon>, CannotDo> {
        self.daemons.get(name).ok_or_else(|| CannotDo::Scenario(format!("there is no daemon {name}")))
    }

    /// The address of a daemon, of Redis, or of a client that has its host for itself.
    fn address(&mut self, name: &str) -> Result<IpAddr, CannotDo> {
        let is_redis = name == redis_host::HOST && self.redis.is_some();
        if is_redis || self.daemons.contains_key(name) {
            return Ok(self.simulation.lookup(name));
        }
        let index = self.host_of(name);
        let host = &self.hosts[index];
        if let Some(other) = host.clients.iter().find(|other| *other != name) {
            let what = format!("part {name} from others, which shares a host with {other}");
            return Err(CannotDo::Layer { layer: LAYER, what });
        }
        Ok(self.simulation.lookup(host.name.as_str()))
    }

    /// Both ends of a link.
    fn ends(&mut self, from: &str, to: &str) -> Result<(IpAddr, IpAddr), CannotDo> {
        let (from_address, to_address) = (self.address(from)?, self.address(to)?);
        if from_address == to_address {
            return Err(CannotDo::Scenario(format!("there is no network between {from} and {to}")));
        }
        Ok((from_address, to_address))
    }

    /// Tells a running daemon something. `command` is ready at once, unless very many wait.
    fn command<F>(&self, daemon: &str, command: impl FnOnce(NodeHandle) -> F) -> Result<(), CannotDo>
    where
        F: Future<Output = Result<(), Stopped>>,
    {
        let handle = self.handle(daemon)?;
        match pin!(command(handle)).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(())) => {
                self.network.touch();
                Ok(())
            }
            Poll::Ready(Err(Stopped)) | Poll::Pending => Err(does_not_run(daemon)),
        }
    }

    /// The handle of a running daemon.
    fn handle(&self, daemon: &str) -> Result<NodeHandle, CannotDo> {
        let handle = self.daemon(daemon)?.with_state(|state| match state {
            State::Runs { handle, .. } => Some(handle.clone()),
            State::Starting | State::Ended(_) | State::Crashed => None,
        });
        handle.ok_or_else(|| does_not_run(daemon))
    }

    /// How a daemon stands; nothing if it was crashed. For one that runs, a tick or two go by.
    fn standing(&mut self, daemon: &Daemon) -> Option<Standing> {
        let (handle, ended) = daemon.with_state(|state| match state {
            State::Runs { handle, .. } => (Some(handle.clone()), None),
            State::Ended(standing) => (None, Some(**standing)),
            State::Starting | State::Crashed => (None, None),
        });
        let Some(handle) = handle else { return ended };
        let mut report = pin!(handle.report());
        let deadline = self.now() + REPORT_MAX;
        while self.now() < deadline {
            if let Poll::Ready(report) = report.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                return report.ok().map(|report| Standing { report, has_ended: false, leases: daemon.leases() });
            }
            self.tick().ok()?;
        }
        None
    }

    fn crash(&mut self, name: &str) -> Result<(), CannotDo> {
        let daemon = self.daemon(name)?.clone();
        if !daemon.is_running() {
            return Err(CannotDo::Scenario(format!("{name} does not run")));
        }
        self.questions.ends(name);
        self.simulation.crash(name);
        daemon.crashed();
        Ok(())
    }

    fn restart(&mut self, name: &str) -> Result<(), CannotDo> {
        let daemon = self.daemon(name)?.clone();
        if daemon.is_running() {
            return Err(CannotDo::Scenario(format!("{name} runs")));
        }
        self.questions.begins(name);
        daemon.restarting();
        self.simulation.bounce(name);
        Ok(())
    }
}

fn does_not_run(daemon: &str) -> CannotDo {
    CannotDo::Scenario(format!("{daemon} does not run"))
}

/// A lease was touched as nobody may, or a question has no answer, or a wrong one.
fn broken(what: String) -> Result<(), Failure> {
    Err(Failure(what))
}

/// What this layer is called.
const LAYER: &str = "turmoil";

impl World for Turmoil {
    fn has_middleware(&self) -> bool {
        self.has_middleware
    }

    fn now(&self) -> Duration {
        self.simulation.elapsed() - self.started_at
    }

    fn begin(&mut self, client: &str, operation: &Operation) -> Result<(), CannotDo> {
        self.network.touch();
        if let Operation::Connect { daemon } = operation {
            return self.connect(client, daemon);
        }
        self.clients.begin(client, operation, self.now())
    }

    fn inject(&mut self, fault: &Fault) -> Result<(), CannotDo> {
        self.network.touch();
        match fault {
            Fault::Partition { from, to, one_way } => {
                let ends = self.ends(from, to)?;
                self.links.partition(&self.simulation, &self.network, ends, *one_way);
            }
            Fault::Repair { from, to } => {
                let ends = self.ends(from, to)?;
                self.links.repair(&self.simulation, &self.network, ends);
            }
            Fault::Hold { from, to } => {
                let (from, to) = self.ends(from, to)?;
                self.links.hold(&self.simulation, from, to);
            }
            Fault::Release { from, to } => {
                let (from, to) = self.ends(from, to)?;
                self.links.release(&self.simulation, from, to);
            }
            Fault::Latency { from, to, latency } => {
                let (from, to) = self.ends(from, to)?;
                Links::set_latency(&self.simulation, from, to, tick::latency(*latency, self.tick));
            }
            Fault::Crash { daemon } => self.crash(daemon)?,
            Fault::Restart { daemon } => self.restart(daemon)?,
            Fault::Drain { daemon, within } => {
                let within = *within;
                self.questions.ends(daemon);
                self.command(daemon, async move |handle| handle.drain(within).await)?;
            }
            Fault::Stop { daemon } => {
                self.questions.ends(daemon);
                self.command(daemon, async |handle| handle.stop().await)?;
            }
            Fault::CloseUser { daemon, user } => {
                let user = *user;
                self.command(daemon, async move |handle| handle.close_user(user).await)?;
            }
            Fault::Ask { daemon, served } => {
                let handle = self.handle(daemon)?;
                self.questions.ask(self.now(), daemon, handle, *served);
                self.network.touch();
            }
            Fault::Stall { daemon, gap } => {
                self.daemon(daemon)?.stall(self.simulation.elapsed() + *gap);
                self.questions.stalls(self.now(), daemon, *gap);
            }
            Fault::Redis(fault) => {
                let redis = self.redis.as_ref();
                let redis = redis.ok_or_else(|| CannotDo::Scenario("this scenario has no Redis".to_owned()))?;
                redis.inject(*fault);
            }
        }
        Ok(())
    }

    /// Lets a tick or two go by for a daemon that runs.
    fn check(&mut self, daemon: &str, check: Check) -> Result<Result<(), String>, CannotDo> {
        let daemon = self.daemon(daemon)?.clone();
        let Some(standing) = self.standing(&daemon) else {
            return Ok(Err(format!("{} does not run", daemon.name)));
        };
        Ok(judge(&standing, daemon.fixed_rooms, check))
    }

    fn step(&mut self, limit: Duration) -> Result<bool, Failure> {
        if limit.is_zero() {
            return Ok(false);
        }
        let until = self.now() + limit.min(STEP_MAX);
        let was_quiet = self.is_quiet();
        loop {
            self.tick()?;
            let is_news = self.clients.have_arrivals() || (!was_quiet && self.is_quiet());
            if is_news || self.now() + self.tick > until {
                return Ok(true);
            }
        }
    }

    fn finish(&mut self) -> Result<(), Failure> {
        self.daemons.values().try_for_each(|daemon| daemon.finish_journals()).or_else(broken)
    }

    fn is_quiet(&self) -> bool {
        // A login may be waiting for something that is seen nowhere; it is answered within the engine's timeout.
        let login_since = self.now().saturating_sub(self.config.login_timeout + Duration::from_secs(1));
        is_rest(self.now(), self.network.busy_at(), self.tick)
            && !self.redis.as_ref().is_some_and(RedisServer::is_answering)
            && !self.clients.wait_for_login(login_since)
            && !self.daemons.values().any(|daemon| daemon.is_missed())
            && !self.links.are_busy(&self.simulation)
    }

    fn watch(&mut self) {
        self.network.watch();
        if let Some(redis) = &self.redis {
            redis.watch();
        }
    }

    fn sightings(&mut self) -> Vec<(Duration, Seen)> {
        let exchanges = self.redis.as_ref().map(RedisServer::take_seen).unwrap_or_default();
        self.sightings.of(&self.simulation, exchanges, self.network.take_lost())
    }

    fn arrived(&mut self, client: &str) -> &mut VecDeque<Arrival> {
        self.clients.arrived(client)
    }
}
