//! The live layer: real daemons over loopback and a real `redis-server`, or any server that runs already.
//!
//! Nothing here is repeatable to the byte: time is the machine's, and the daemons draw their own seeds. What a scenario
//! says must hold all the same, so this layer is the judge of whether the others are like the real thing, and a
//! conformance suite for other servers of the protocol ([`Target::Running`]).
//!
//! What cannot be done to a real network, and what the daemon's configuration cannot say, is [`CannotDo::Layer`]: the
//! runner reports it by name. How a daemon stands is read from its log, which tells of sessions and of who is logged in.
//!
//! Only this layer opens sockets: `clippy.toml` refuses them everywhere else in the package.

mod daemon;
mod gate;
mod log;
mod process;
mod redis;
mod settings;
mod stream;

use std::collections::{BTreeMap, VecDeque};
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::runtime::{Builder, LocalOptions, LocalRuntime, UnhandledPanic};
use tokio::sync::mpsc;
use tokio::time::timeout;

use self::daemon::Daemon;
use self::process::Ended;
use self::redis::Redis;
use self::stream::{Activity, LiveStream};
use super::clients::Clients;
use super::line;
use super::turmoil::validate;
use super::{Arrival, CannotDo, Failure, World};
use crate::extend::Extend;
use crate::network::Chopper;
use crate::scenario::{Check, Event, Fault, Network, Operation, RedisFault, Scenario, Setup, Step, Store};

/// What this layer is called.
const LAYER: &str = "live";
/// A world in which nothing has moved for this long is quiet. Over loopback an answer takes less than a millisecond; the
/// rest is for a machine that is busy with other things.
pub const QUIET_AFTER: Duration = Duration::from_millis(40);
/// How long a step may take while nothing arrives.
const STEP_MAX: Duration = Duration::from_millis(10);
/// How long a daemon or a Redis may take to start: far more than it takes on a busy machine.
const START_MAX: Duration = Duration::from_secs(20);

/// On what a scenario runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// On daemons that are started for it, and killed at its end. Where the scenario says `store redis`, a
    /// `redis-server` from `PATH` is started as well.
    Started {
        /// The daemon's program, `lobbyd`.
        program: PathBuf,
    },
    /// On servers that run already, one for each daemon of the scenario, in the scenario's order. Their configuration
    /// and accounts must be what the scenario's setup says, and nobody else may use them. A scenario that looks at
    /// numbers of users needs a server that was just started.
    Running {
        /// Where they listen, as `HOST:PORT`.
        addresses: Vec<String>,
    },
}

/// Why there is no live world.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The setup cannot be had on this layer, or makes no sense.
    #[error(transparent)]
    CannotDo(#[from] CannotDo),
    /// There is no program.
    #[error("there is no daemon at {}: `cargo build -p lobbyd` builds one, `--daemon PATH` names another", .0.display())]
    NoDaemon(PathBuf),
    /// There is no `redis-server`.
    #[error("redis-server cannot be started ({0}): install it so that it is in PATH, `tests/run` does that")]
    NoRedis(std::io::Error),
    /// There are not as many servers as daemons.
    #[error("the scenario has the daemons {}, so it needs {} addresses, and {given} are given", .daemons.join(", "), .daemons.len())]
    Addresses {
        /// The daemons of the scenario.
        daemons: Vec<String>,
        /// How many addresses there are.
        given: usize,
    },
    /// Something does not start; its own words say why.
    #[error("{0}")]
    Failed(String),
    /// The system refuses something.
    #[error("{what}: {error}")]
    System {
        /// What was tried.
        what: String,
        /// What the system says.
        error: std::io::Error,
    },
}

/// A world of real processes and sockets. What it has started ends with it.
pub struct Live {
    // The order is that of dropping: clients leave, then daemons, then Redis, then their files.
    runtime: LocalRuntime,
    clients: Clients,
    daemons: BTreeMap<String, Server>,
    redis: Option<Redis>,
    _folder: TempDir,
    network: Network,
    /// The seed of the next connection's chopper.
    seeds: Chopper,
    activity: Rc<Activity>,
    broken: mpsc::UnboundedReceiver<String>,
    breaks: mpsc::UnboundedSender<String>,
    setup: Setup,
    /// Of the daemons.
    has_middleware: bool,
    /// Daemons that stand still, and until when.
    stalled: Vec<(Instant, String)>,
    started_at: Instant,
}

/// Somebody to connect to.
enum Server {
    /// Started by this world.
    Own(Box<Daemon>),
    /// There before it, at any of these.
    Other(Vec<SocketAddr>),
}

impl Live {
    /// A world for a scenario. `seed` decides how bytes are chopped, if the scenario has them chopped.
    ///
    /// # Errors
    /// When there are no programs to start, when they do not start, or when the setup cannot be had here.
    pub fn for_scenario(scenario: &Scenario, target: &Target, seed: u64) -> Result<Self, StartError> {
        Self::with_extensions(scenario, target, seed, &Extend::default())
    }

    /// The same on daemons that have these extensions, each built into its program, which nothing is done about here:
    /// where they are known to have middleware, what is said need not arrive as it was said.
    ///
    /// # Errors
    /// As [`Live::for_scenario`].
    pub fn with_extensions(
        scenario: &Scenario,
        target: &Target,
        seed: u64,
        extend: &Extend,
    ) -> Result<Self, StartError> {
        let setup = &scenario.setup;
        validate(setup)?;
        let system = |what: &str| {
            let what = what.to_owned();
            move |error| StartError::System { what, error }
        };
        let folder = tempfile::Builder::new().prefix("lobbyd-live-").tempdir();
        let folder = folder.map_err(system("a temporary folder cannot be made"))?;
        let mut redis = None;
        let daemons = match target {
            Target::Running { addresses } => others(setup, addresses)?,
            Target::Started { program } => {
                if !program.is_file() {
                    return Err(StartError::NoDaemon(program.clone()));
                }
                if setup.store == Store::Redis {
                    redis = Some(Redis::start(folder.path(), &setup.accounts, spoils_redis(&scenario.steps))?);
                }
                own(scenario, program, folder.path(), redis.as_ref())?
            }
        };
        let runtime = Builder::new_current_thread()
            .enable_all()
            .unhandled_panic(UnhandledPanic::ShutdownRuntime)
            .build_local(LocalOptions::default())
            .map_err(system("the runtime cannot be started"))?;
        let (breaks, broken) = mpsc::unbounded_channel();
        Ok(Self {
            runtime,
            clients: Clients::default(),
            daemons,
            redis,
            _folder: folder,
            network: setup.network.clone(),
            seeds: Chopper::new(None, seed),
            activity: Rc::new(Activity::new()),
            broken,
            breaks,
            setup: setup.clone(),
            has_middleware: extend.has_middleware(),
            stalled: Vec::new(),
            started_at: Instant::now(),
        })
    }

    fn connect(&mut self, client: &str, daemon: &str) -> Result<(), CannotDo> {
        // Where no process is, nobody listens; another's daemon may have taken the port by now.
        let addresses = match self.server(daemon)? {
            Server::Own(daemon) => daemon.address().into_iter().collect(),
            Server::Other(addresses) => addresses.clone(),
        };
        let (line, voice) = self.clients.connect(client);
        let chopper = Chopper::new(self.network.chop, self.seeds.draw());
        let (activity, breaks, client) = (self.activity.clone(), self.breaks.clone(), client.to_owned());
        self.runtime.spawn_local(async move {
            let stream = LiveStream::connect(&addresses, chopper, activity.clone()).await.ok();
            let outcome = line::attend(stream, &line, &voice).await;
            activity.touch();
            if let Err(unreadable) = outcome {
                // The world may be gone; then nobody wants to know.
                let _ = breaks.send(format!("{client}: {unreadable}"));
            }
        });
        Ok(())
    }

    fn server(&mut self, name: &str) -> Result<&mut Server, CannotDo> {
        self.daemons.get_mut(name).ok_or_else(|| CannotDo::Scenario(format!("there is no daemon {name}")))
    }

    /// A daemon of this world's own, to which `what` is to be done.
    fn own(&mut self, name: &str, what: &str) -> Result<&mut Daemon, CannotDo> {
        match self.server(name)? {
            Server::Own(daemon) => Ok(daemon),
            Server::Other(_) => Err(cannot(format!("{what} a server that it has not started"))),
        }
    }

    fn redis(&mut self) -> Result<&mut Redis, CannotDo> {
        if self.setup.store == Store::Listed {
            return Err(CannotDo::Scenario("this scenario has no Redis".to_owned()));
        }
        self.redis.as_mut().ok_or_else(|| cannot("disturb a Redis that it has not started".to_owned()))
    }

    fn close_user(&mut self, daemon: &str, user: lobbyd_core::name::UserName) -> Result<(), CannotDo> {
        if self.setup.store == Store::Redis {
            return Err(cannot("close the sessions of a user whose account is in Redis".to_owned()));
        }
        let account = self.setup.accounts.iter().find(|account| account.user == user).cloned();
        let daemon = self.own(daemon, "close sessions of")?;
        // Who has no account is not online.
        account.map_or(Ok(()), |account| daemon.close_user(&account))
    }

    /// Lets daemons run again whose time to stand still is over.
    fn resume_stalled(&mut self) -> Result<(), Failure> {
        let now = Instant::now();
        let due: Vec<String> =
            self.stalled.extract_if(.., |(until, _)| *until <= now).map(|(_, daemon)| daemon).collect();
        for name in due {
            if let Some(Server::Own(daemon)) = self.daemons.get_mut(&name) {
                daemon.resume().map_err(|cannot| Failure(cannot.to_string()))?;
            }
        }
        Ok(())
    }

    /// Fails if something has ended or sent what it should not have.
    fn watch(&mut self) -> Result<(), Failure> {
        if let Ok(broken) = self.broken.try_recv() {
            return Err(Failure(broken));
        }
        for server in self.daemons.values_mut() {
            if let Server::Own(daemon) = server {
                daemon.watch()?;
            }
        }
        match &mut self.redis {
            Some(redis) => redis.watch(),
            None => Ok(()),
        }
    }
}

impl World for Live {
    fn now(&self) -> Duration {
        self.started_at.elapsed()
    }

    fn begin(&mut self, client: &str, operation: &Operation) -> Result<(), CannotDo> {
        self.activity.touch();
        if let Operation::Connect { daemon } = operation {
            return self.connect(client, daemon);
        }
        self.clients.begin(client, operation, self.now())
    }

    /// Waits for processes that a fault starts or kills.
    fn inject(&mut self, fault: &Fault) -> Result<(), CannotDo> {
        let outcome = match fault {
            Fault::Partition { .. } | Fault::Repair { .. } => Err(cannot("part a real network".to_owned())),
            Fault::Hold { .. } | Fault::Release { .. } => Err(cannot("hold what a real network carries".to_owned())),
            Fault::Latency { .. } => Err(cannot("make a real network slow".to_owned())),
            Fault::Crash { daemon } => self.own(daemon, "kill")?.crash(),
            Fault::Restart { daemon } => self.own(daemon, "restart")?.restart(),
            Fault::Drain { daemon, within: _ } => self.own(daemon, "drain")?.drain(),
            Fault::Stop { .. } => Err(cannot("stop a daemon at once and have it say goodbye".to_owned())),
            Fault::CloseUser { daemon, user } => self.close_user(daemon, *user),
            Fault::Ask { .. } => Err(cannot("ask a service by a handle".to_owned())),
            Fault::Stall { daemon, gap } => {
                self.own(daemon, "stop")?.stall()?;
                self.stalled.push((Instant::now() + *gap, daemon.clone()));
                Ok(())
            }
            Fault::Redis(fault) => self.redis()?.inject(*fault),
        };
        self.activity.touch();
        outcome
    }

    /// What the daemon's log says so far.
    fn check(&mut self, daemon: &str, check: Check) -> Result<Result<(), String>, CannotDo> {
        let name = daemon;
        let daemon = self.own(daemon, "look into")?;
        let seen = match daemon.ended() {
            None => daemon.seen(),
            Some(Ended::ByItself) if check == Check::Empty => return Ok(Ok(())),
            Some(Ended::ByItself) => daemon.seen(),
            Some(Ended::Killed) => return Ok(Err(format!("{name} does not run"))),
        };
        let drains = daemon.is_draining() && daemon.ended().is_none();
        let same = |what: &str, found: u32, expected: u32| {
            if found == expected { Ok(()) } else { Err(format!("{found} {what}, expected was {expected}")) }
        };
        let (sessions, online) = (seen.sessions(), seen.online());
        match check {
            Check::Sessions(expected) => Ok(same("sessions", sessions, expected)),
            Check::Online(expected) => Ok(same("users online", online, expected)),
            Check::Rooms(_) => Err(cannot("count the rooms of a daemon".to_owned())),
            Check::Empty => match same("sessions", sessions, 0).and(same("users online", online, 0)) {
                Err(instead) => Ok(Err(instead)),
                // It ends when nobody is there any more, and then has nothing.
                Ok(()) if drains => Ok(Err(format!("{name} still runs"))),
                Ok(()) => Err(cannot(
                    "see rooms, leases, deadlines and buffers of a daemon; it has no session and no user".to_owned(),
                )),
            },
        }
    }

    fn step(&mut self, limit: Duration) -> Result<bool, Failure> {
        if limit.is_zero() {
            return Ok(false);
        }
        let activity = self.activity.clone();
        self.runtime.block_on(async {
            // Either way the step is over.
            let _ = timeout(limit.min(STEP_MAX), activity.moved()).await;
        });
        self.clients.listen();
        self.resume_stalled()?;
        self.watch()?;
        Ok(true)
    }

    /// Nothing has moved for [`QUIET_AFTER`], and nobody waits for the answer to a login.
    fn is_quiet(&self) -> bool {
        let login_since = self.now().saturating_sub(self.setup.config.login_timeout + Duration::from_secs(1));
        self.activity.rest() >= QUIET_AFTER && !self.clients.wait_for_login(login_since)
    }

    fn has_middleware(&self) -> bool {
        self.has_middleware
    }

    fn left_out(&self) -> Vec<String> {
        let (least, most) = self.network.latency;
        let is_usual = self.network.latency == Network::default().latency;
        let slow = (!is_usual).then(|| cannot(format!("delay what is sent by {least:?} to {most:?}")));
        slow.iter().map(ToString::to_string).collect()
    }

    fn arrived(&mut self, client: &str) -> &mut VecDeque<Arrival> {
        self.clients.arrived(client)
    }
}

fn cannot(what: String) -> CannotDo {
    CannotDo::Layer { layer: LAYER, what }
}

/// Servers that run already.
fn others(setup: &Setup, addresses: &[String]) -> Result<BTreeMap<String, Server>, StartError> {
    if addresses.len() != setup.daemons.len() {
        return Err(StartError::Addresses { daemons: setup.daemons.clone(), given: addresses.len() });
    }
    let mut servers = BTreeMap::new();
    for (name, address) in setup.daemons.iter().zip(addresses) {
        let what = format!("{address} is no HOST:PORT");
        let found = address.to_socket_addrs().map_err(|error| StartError::System { what, error })?;
        servers.insert(name.clone(), Server::Other(found.collect()));
    }
    Ok(servers)
}

/// Daemons of the scenario's own, each of which listens.
fn own(
    scenario: &Scenario,
    program: &std::path::Path,
    folder: &std::path::Path,
    redis: Option<&Redis>,
) -> Result<BTreeMap<String, Server>, StartError> {
    let setup = &scenario.setup;
    let mut daemons = Vec::new();
    for name in &setup.daemons {
        let drains = drains(&scenario.steps, name)?;
        let folder = folder.join(format!("daemon-{name}"));
        daemons.push((name, Daemon::start(name, setup, program, folder, redis.map(Redis::url), drains)?));
    }
    // All of them start at the same time.
    let mut servers = BTreeMap::new();
    for (name, mut daemon) in daemons {
        daemon.wait_until_ready(redis.is_some())?;
        servers.insert(name.clone(), Server::Own(Box::new(daemon)));
    }
    Ok(servers)
}

/// Whether the answers of Redis are to be slow or spoiled, for which something has to stand before it.
fn spoils_redis(steps: &[Step]) -> bool {
    steps.iter().any(|step| match &step.event {
        Event::Fault(Fault::Redis(RedisFault::Slow(_) | RedisFault::Garble)) => true,
        Event::Together(steps) => spoils_redis(steps),
        Event::Client { .. } | Event::Fault(_) | Event::Advance(_) | Event::Wait | Event::Check { .. } => false,
    })
}

/// In how long a daemon is told to drain; it knows that from its configuration, so it is one time.
fn drains(steps: &[Step], daemon: &str) -> Result<Option<Duration>, CannotDo> {
    let mut found = None;
    for step in steps {
        let within = match &step.event {
            Event::Fault(Fault::Drain { daemon: drained, within }) if drained == daemon => Some(*within),
            Event::Together(steps) => drains(steps, daemon)?,
            Event::Client { .. } | Event::Fault(_) | Event::Advance(_) | Event::Wait | Event::Check { .. } => None,
        };
        match (found, within) {
            (Some(one), Some(other)) if one != other => {
                return Err(cannot(format!("drain {daemon} within {one:?} and within {other:?}")));
            }
            (_, within) => found = found.or(within),
        }
    }
    Ok(found)
}
