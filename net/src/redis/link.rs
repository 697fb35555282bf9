//! One connection to Redis that mends itself.
//!
//! It is shared by everything that talks to one Redis. An errand of its own connects, reconnects after a pause that grows
//! and is jittered by a seed, subscribes again, and pings when nothing else is said. An answer that does not come in
//! time ends the connection: the stream may be dead for ever, and answers come in order, so that nothing behind the
//! missing one could be trusted to come either.
//!
//! ```text
//! Connecting ──ok──▶ Connected ◀──ok── Disconnected
//!      └──────fault──────┴────fault──────▶ ┘ (retries by itself)
//! ```

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Cmd, Pipeline, PushInfo, PushKind, RedisResult, Value};
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};
use tracing::{debug, info, warn};

use super::address::RedisAddress;
use super::cork::Corked;
use super::dial::Dial;
use super::error::{LinkError, LinkFault, ServerFault, refuse_error};
use super::guard::Guarded;
use super::jitter::{Backoff, Jitter};
use crate::errands::{Errand, Errands};

/// How long a link waits for what.
#[derive(Clone, Debug)]
pub struct LinkConfig {
    /// For a connection with its handshake. Default 2 s.
    pub connect_timeout: Duration,
    /// For the answer to a command, before the connection is given up. Default 1 s.
    pub response_timeout: Duration,
    /// Before the first attempt to reconnect; doubles with each further one. At least 1 ms; default 50 ms.
    pub backoff_min: Duration,
    /// Between attempts at most. Default 2 s.
    pub backoff_max: Duration,
    /// Before a link on which nothing is said is pinged. Default 5 s.
    pub ping_interval: Duration,
    /// How many commands may wait for their answers at a time. Default 4,096.
    pub commands_in_flight_max: usize,
    /// Of the jitter in the pauses.
    pub seed: u64,
}

impl Default for LinkConfig {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(2),
            response_timeout: Duration::from_secs(1),
            backoff_min: Duration::from_millis(50),
            backoff_max: Duration::from_secs(2),
            ping_interval: Duration::from_secs(5),
            commands_in_flight_max: 4_096,
            seed: 0,
        }
    }
}

/// Whether Redis can be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkState {
    /// The first attempt has not come to its end.
    Connecting,
    /// Commands are sent.
    Connected {
        /// When the connection was made.
        since: Instant,
        /// Which connection, counted from 1.
        connection: u64,
    },
    /// Commands fail at once. The link keeps trying.
    Disconnected {
        /// When the last connection was lost, or the first attempt failed.
        since: Instant,
        /// What was wrong at the last attempt.
        fault: LinkFault,
    },
}

/// What a link has counted since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LinkStats {
    /// Connections made.
    pub connects: u64,
    /// Attempts that failed.
    pub connect_failures: u64,
    /// Connections lost.
    pub losses: u64,
    /// Commands and pipelines answered.
    pub answers: u64,
    /// Answers that did not come in time.
    pub timeouts: u64,
    /// Single commands answered with an error.
    pub refusals: u64,
    /// Commands not sent because too many waited.
    pub busy: u64,
    /// Commands and pipelines that wait for their answers now.
    pub in_flight: usize,
}

/// A connection to Redis that mends itself. Clones share it; it ends with the last of them.
#[derive(Clone)]
pub struct Link {
    shared: Rc<Shared>,
    _errand: Rc<Errand>,
}

impl Link {
    /// Starts to connect in the background, in a task of its own. Must be called where `tokio::task::spawn_local` works.
    #[must_use]
    pub fn start<D: Dial>(address: RedisAddress, dial: D, config: LinkConfig) -> Self {
        Self::start_in(Errands::start(), address, dial, config)
    }

    /// Starts to connect in the background, as one of these errands: a node that runs them reads the answers of Redis
    /// ahead of its clients' packets.
    #[must_use]
    pub fn start_in<D: Dial>(errands: Errands, address: RedisAddress, dial: D, config: LinkConfig) -> Self {
        let shared = Rc::new(Shared {
            address,
            jitter: Jitter::new(config.seed),
            config,
            live: RefCell::new(None),
            state: watch::Sender::new(LinkState::Connecting),
            stats: Cell::default(),
            in_flight: Cell::new(0),
            heard_at: Cell::new(Instant::now()),
            faults_logged: Cell::new(0),
            changed: Notify::new(),
            channels: Arc::default(),
            errands,
        });
        let errand = shared.errands.begin(run(Rc::clone(&shared), dial));
        Self { shared, _errand: Rc::new(errand) }
    }

    /// Sends a command and waits for its answer.
    ///
    /// # Errors
    /// When there is no connection (the very first attempt to connect is waited for), too many commands wait, the
    /// connection is lost, the answer does not come within the response timeout, or is an error.
    pub async fn command(&self, command: &Cmd) -> Result<Value, LinkError> {
        let (number, value) = self.shared.exchange(async |mut to| to.send_packed_command(command).await).await?;
        self.shared.look_for_faults(number, [&value]);
        refuse_error(value, &self.shared.address)
    }

    /// Sends commands in one piece and waits for all their answers, in order. What Redis refuses shows as an error in
    /// its place, and the commands behind it run all the same.
    ///
    /// # Errors
    /// As for a command, but for the answers themselves.
    pub async fn pipeline(&self, commands: &Pipeline) -> Result<Vec<Result<Value, LinkError>>, LinkError> {
        let count = commands.len();
        if count == 0 {
            return Ok(Vec::new());
        }
        let send = async |mut to: MultiplexedConnection| to.send_packed_commands(commands, 0, count).await;
        let (number, values) = self.shared.exchange(send).await?;
        self.shared.look_for_faults(number, &values);
        if values.len() != count {
            return Err(LinkError::Nonsense("another number of answers than of commands"));
        }
        Ok(values.into_iter().map(|value| refuse_error(value, &self.shared.address)).collect())
    }

    /// What is published on `channel` from now on, and on every later connection. At most 1,024 messages wait to be
    /// received; more are dropped, and those that are published while there is no connection are missed: a message is
    /// a hint, and the truth has to be asked for. A second subscription to a channel replaces the first.
    #[must_use]
    pub fn subscribe(&self, channel: &str) -> mpsc::Receiver<Vec<u8>> {
        let (sender, receiver) = mpsc::channel(MESSAGES_MAX);
        lock(&self.shared.channels).insert(channel.as_bytes().to_vec(), sender);
        self.shared.changed.notify_one();
        receiver
    }

    /// Whether Redis can be asked, and each change of that.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<LinkState> {
        self.shared.state.subscribe()
    }

    /// What was counted until now.
    #[must_use]
    pub fn stats(&self) -> LinkStats {
        LinkStats { in_flight: self.shared.in_flight.get(), ..self.shared.stats.get() }
    }

    /// Where it leads; shows itself without the password.
    #[must_use]
    pub fn address(&self) -> &RedisAddress {
        &self.shared.address
    }

    /// The errands that it is one of.
    pub(super) fn errands(&self) -> &Errands {
        &self.shared.errands
    }
}

const MESSAGES_MAX: usize = 1_024;

/// Who gets the messages of which channel. Behind a lock only because the `redis` crate asks for `Send`.
type Channels = Arc<Mutex<BTreeMap<Vec<u8>, mpsc::Sender<Vec<u8>>>>>;

fn lock(channels: &Channels) -> std::sync::MutexGuard<'_, BTreeMap<Vec<u8>, mpsc::Sender<Vec<u8>>>> {
    channels.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Shared {
    address: RedisAddress,
    config: LinkConfig,
    jitter: Jitter,
    live: RefCell<Option<Live>>,
    state: watch::Sender<LinkState>,
    stats: Cell<LinkStats>,
    in_flight: Cell<usize>,
    /// When the last answer came.
    heard_at: Cell<Instant>,
    /// A bit for each kind of fault that this outage was logged with.
    faults_logged: Cell<u32>,
    /// Wakes the errand: the connection was given up, or there is a new channel.
    changed: Notify,
    channels: Channels,
    errands: Errands,
}

/// The connection in use.
struct Live {
    number: u64,
    connection: MultiplexedConnection,
    _driver: Errand,
}

/// One of the commands that may wait for an answer at a time.
struct InFlight<'a>(&'a Cell<usize>);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

impl Shared {
    /// What `send` brings from the connection in use, and the number of that connection.
    async fn exchange<T>(
        &self,
        send: impl AsyncFnOnce(MultiplexedConnection) -> RedisResult<T>,
    ) -> Result<(u64, T), LinkError> {
        let deadline = Instant::now() + self.config.response_timeout;
        let _in_flight = self.admit()?;
        let (number, connection) = self.connection_by(deadline).await?;
        match timeout_at(deadline, send(connection)).await {
            Ok(Ok(answer)) => {
                self.heard_at.set(Instant::now());
                self.count(|stats| stats.answers += 1);
                Ok((number, answer))
            }
            Ok(Err(error)) => {
                let fault = LinkFault::of(&error, &self.address);
                self.give_up(number, fault.clone());
                Err(LinkError::Lost(fault))
            }
            Err(_elapsed) => {
                let fault = LinkFault::ResponseTimeout(self.config.response_timeout);
                self.count(|stats| stats.timeouts += 1);
                self.give_up(number, fault.clone());
                Err(LinkError::Lost(fault))
            }
        }
    }

    fn admit(&self) -> Result<InFlight<'_>, LinkError> {
        if self.in_flight.get() >= self.config.commands_in_flight_max {
            self.count(|stats| stats.busy += 1);
            return Err(LinkError::Busy);
        }
        self.in_flight.set(self.in_flight.get() + 1);
        Ok(InFlight(&self.in_flight))
    }

    /// The connection in use. Waits for the very first attempt to connect, but for no other.
    async fn connection_by(&self, deadline: Instant) -> Result<(u64, MultiplexedConnection), LinkError> {
        let mut state = self.state.subscribe();
        let tried = state.wait_for(|state| *state != LinkState::Connecting);
        if timeout_at(deadline, tried).await.is_err() {
            return Err(LinkError::NotConnected(LinkFault::ConnectTimeout(self.config.response_timeout)));
        }
        if let Some(live) = &*self.live.borrow() {
            return Ok((live.number, live.connection.clone()));
        }
        Err(LinkError::NotConnected(match &*self.state.borrow() {
            LinkState::Disconnected { fault, .. } => fault.clone(),
            LinkState::Connecting | LinkState::Connected { .. } => LinkFault::Closed,
        }))
    }

    /// Counts the answers that are errors, and leaves a server that can be of no more use.
    fn look_for_faults<'a>(&self, number: u64, values: impl IntoIterator<Item = &'a Value>) {
        for value in values {
            let Value::ServerError(error) = value else { continue };
            self.count(|stats| stats.refusals += 1);
            let fault = ServerFault::of(error, &self.address);
            if fault.ends_connection() {
                self.give_up(number, LinkFault::Refused(fault));
            }
        }
    }

    /// Ends the connection `number`, if it is still the one in use. Whoever waits for an answer on it learns it now.
    fn give_up(&self, number: u64, fault: LinkFault) {
        let ended = self.live.borrow_mut().take_if(|live| live.number == number);
        if ended.is_none() {
            return;
        }
        self.count(|stats| stats.losses += 1);
        self.faults_logged.set(fault.bit());
        warn!(redis = %self.address, "lost the connection to Redis, which {fault}; trying to reconnect");
        self.state.send_replace(LinkState::Disconnected { since: Instant::now(), fault });
        self.changed.notify_one();
    }

    fn attempt_failed(&self, fault: LinkFault) {
        self.count(|stats| stats.connect_failures += 1);
        // One line says that Redis is away; another only if there is something new to be done about it.
        let logged = self.faults_logged.get();
        self.faults_logged.set(logged | fault.bit());
        if logged == 0 || (fault.is_an_answer() && logged & fault.bit() == 0) {
            warn!(redis = %self.address, "no connection to Redis, which {fault}; trying again");
        } else {
            debug!(redis = %self.address, "still no connection to Redis, which {fault}");
        }
        let since = match &*self.state.borrow() {
            LinkState::Disconnected { since, .. } => *since,
            LinkState::Connecting | LinkState::Connected { .. } => Instant::now(),
        };
        self.state.send_replace(LinkState::Disconnected { since, fault });
    }

    fn publish(&self, connection: MultiplexedConnection, driver: Errand) -> u64 {
        self.count(|stats| stats.connects += 1);
        let number = self.stats.get().connects;
        let now = Instant::now();
        let outage = match &*self.state.borrow() {
            LinkState::Disconnected { since, .. } => Some(now - *since),
            LinkState::Connecting | LinkState::Connected { .. } => None,
        };
        match outage {
            Some(outage) => info!(redis = %self.address, "connected to Redis again after {outage:.1?}"),
            None => info!(redis = %self.address, "connected to Redis"),
        }
        self.heard_at.set(now);
        self.faults_logged.set(0);
        self.live.replace(Some(Live { number, connection, _driver: driver }));
        self.state.send_replace(LinkState::Connected { since: now, connection: number });
        number
    }

    fn count(&self, change: impl FnOnce(&mut LinkStats)) {
        let mut stats = self.stats.get();
        change(&mut stats);
        self.stats.set(stats);
    }
}

/// Connects, serves the connection until it is lost, pauses, and so on.
async fn run<D: Dial>(shared: Rc<Shared>, dial: D) {
    let config = &shared.config;
    let mut backoff = Backoff::new(config.backoff_min, config.backoff_max);
    loop {
        let attempt = timeout(config.connect_timeout, connect(&shared, &dial)).await;
        match attempt.unwrap_or(Err(LinkFault::ConnectTimeout(config.connect_timeout))) {
            Ok(connected) => {
                let started_at = Instant::now();
                serve(&shared, connected).await;
                // A server that accepts and then drops at once is not to be hammered.
                if started_at.elapsed() >= config.backoff_max {
                    backoff.reset();
                }
            }
            Err(fault) => shared.attempt_failed(fault),
        }
        sleep(backoff.wait(&shared.jitter)).await;
    }
}

/// A connection that has answered its first ping, not yet in use.
struct Connected {
    connection: MultiplexedConnection,
    /// Reads and writes. Ends with this, also when the attempt is dropped half-way.
    driver: Errand,
    /// Says nothing, and closes when the driver has ended.
    ended: oneshot::Receiver<Infallible>,
    channels: usize,
}

async fn connect<D: Dial>(shared: &Shared, dial: &D) -> Result<Connected, LinkFault> {
    let stream = dial.dial().await.map_err(|error| LinkFault::Unreachable(error.to_string()))?;
    let channels = Arc::clone(&shared.channels);
    let config = AsyncConnectionConfig::new()
        .set_push_sender(move |push: PushInfo| deliver(&channels, push))
        // This module keeps the time itself, because it has to know when to reconnect.
        .set_response_timeout(None)
        .set_connection_timeout(None);
    let login = shared.address.login();
    let of = |error| LinkFault::of(&error, &shared.address);
    let (mut connection, driver) =
        MultiplexedConnection::new_with_config(login, Guarded::new(Corked::new(stream)), config).await.map_err(of)?;
    let (running, ended) = oneshot::channel();
    let driver = shared.errands.begin(async move {
        driver.await;
        drop(running);
    });

    let pong = connection.send_packed_command(&redis::cmd("PING")).await.map_err(of)?;
    if let Value::ServerError(error) = pong {
        return Err(LinkFault::Refused(ServerFault::of(&error, &shared.address)));
    }
    let channels = subscribe(shared, &mut connection).await.map_err(of)?;
    Ok(Connected { connection, driver, ended, channels })
}

/// Subscribes to all channels and says how many they are.
async fn subscribe(shared: &Shared, connection: &mut MultiplexedConnection) -> RedisResult<usize> {
    let channels: Vec<Vec<u8>> = lock(&shared.channels).keys().cloned().collect();
    if !channels.is_empty() {
        connection.subscribe(&channels).await?;
    }
    Ok(channels.len())
}

fn deliver(channels: &Channels, push: PushInfo) -> Result<(), redis::aio::SendError> {
    if push.kind == PushKind::Message
        && let [Value::BulkString(channel), Value::BulkString(payload)] = push.data.as_slice()
        && let Some(receiver) = lock(channels).get(channel)
    {
        // A message is a hint; one too many, or one that nobody receives any more, is dropped.
        let _ = receiver.try_send(payload.clone());
    }
    Ok(())
}

/// Uses the connection until it is lost.
async fn serve(shared: &Shared, connected: Connected) {
    let Connected { mut connection, driver, mut ended, channels: mut subscribed } = connected;
    let number = shared.publish(connection.clone(), driver);
    while shared.live.borrow().as_ref().is_some_and(|live| live.number == number) {
        if lock(&shared.channels).len() > subscribed {
            match timeout(shared.config.response_timeout, subscribe(shared, &mut connection)).await {
                Ok(Ok(count)) => subscribed = count,
                Ok(Err(error)) => shared.give_up(number, LinkFault::of(&error, &shared.address)),
                Err(_elapsed) => {
                    shared.give_up(number, LinkFault::ResponseTimeout(shared.config.response_timeout));
                }
            }
            continue;
        }
        let ping_at = shared.heard_at.get() + shared.config.ping_interval;
        tokio::select! {
            biased;
            _ended = &mut ended => shared.give_up(number, LinkFault::Closed),
            () = shared.changed.notified() => {}
            () = sleep_until(ping_at) => {
                if shared.heard_at.get() + shared.config.ping_interval <= Instant::now() {
                    ping(shared).await;
                }
            }
        }
    }
}

/// Any answer will do; without one the exchange itself gives the connection up.
async fn ping(shared: &Shared) {
    let ping = redis::cmd("PING");
    if shared.exchange(async |mut to| to.send_packed_command(&ping).await).await == Err(LinkError::Busy) {
        // The commands that wait tell as much.
        shared.heard_at.set(Instant::now());
    }
}
