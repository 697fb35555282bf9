//! A daemon on its host: the production node, with production stores where the scenario has them in Redis. Each of its
//! lives keeps a journal, which is held against what must be (`journal.rs`).

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use lobbyd_core::config::Config;
use lobbyd_core::id::RoomNumber;
use lobbyd_core::input::Account;
use lobbyd_core::text::Text;
use lobbyd_net::node::{Node, NodeHandle, Parts, Spread};
use lobbyd_net::redis::{Link, LinkConfig, LinkState, PresenceConfig, RedisAccounts, RedisPresence};
use lobbyd_net::stores::{Accounts, Presence};
use lobbyd_net::transport::Listener;
use lobbyd_net::{Errands, Report, password_digest};
use tokio::runtime::UnhandledPanic;
use tokio::task::{LocalSet, spawn_local};
use tokio::time::{Instant, sleep, timeout};

use super::redis_host;
use super::schedule::in_its_own_time;
use super::seeds::Seeds;
use crate::accounts::ListedAccounts;
use crate::extend::Extend;
use crate::journal::Journals;
use crate::layers::LEASE;
use crate::network::{Network, SimulatedListener, SimulatedStream};
use crate::scenario::{Setup, Store};

/// Where every daemon listens on its host.
pub(super) const PORT: u16 = 7400;
/// How long a daemon that ends waits for Redis to confirm that leases are given back: as in production.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(2);
/// Where all clients seem to come from. On the live layer they do come from one address, so limits by address mean the
/// same on every layer.
const CLIENTS: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 168, 0, 1));

/// How many times as long the parts of a journal are as the state that they begin with, at least and at most, where that
/// is small. Seeds choose: the shorter they are, the more often an engine is restored.
const PART_LENGTH: (u32, u32) = (2, 9);

/// A daemon, as the world sees it. Its host runs it.
pub(super) struct Daemon {
    pub(super) name: String,
    pub(super) fixed_rooms: u32,
    config: Config,
    room_passwords: Vec<(RoomNumber, String)>,
    accounts: ListedAccounts,
    store: Store,
    shards: usize,
    network: Network,
    seeds: Seeds,
    extend: Extend,
    starts: Cell<u32>,
    journals: RefCell<Journals>,
    state: RefCell<State>,
    /// Until when its process does not run, in the simulation's time.
    stalled_until: Cell<Duration>,
    /// Whether something waits for its process to go on.
    is_missed: Cell<bool>,
}

/// What has become of a daemon.
pub(super) enum State {
    /// Its process is about to listen.
    Starting,
    /// It serves.
    Runs { handle: NodeHandle, stores: Stores },
    /// It has ended by itself, and this is how it stood then.
    Ended(Box<Standing>),
    /// It was crashed.
    Crashed,
}

/// How a daemon stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Standing {
    pub(super) report: Report,
    /// Whether its process has ended, so that none of its deadlines will ever fire.
    pub(super) has_ended: bool,
    /// Presence leases that it holds or gives back.
    pub(super) leases: usize,
}

/// The stores of one life of a daemon.
#[derive(Clone)]
pub(super) struct Stores {
    accounts: Rc<dyn Accounts>,
    presence: Option<Rc<RedisPresence>>,
    link: Option<Link>,
}

impl Stores {
    fn leases(&self) -> usize {
        self.presence.as_ref().map(|presence| presence.stats()).map_or(0, |stats| stats.held + stats.returning)
    }

    /// Whether nothing is to be waited for before a login can be decided.
    fn are_ready(&self) -> bool {
        self.link.as_ref().is_none_or(|link| matches!(*link.watch().borrow(), LinkState::Connected { .. }))
    }
}

impl Daemon {
    pub(super) fn new(name: &str, setup: &Setup, network: Network, seeds: Seeds, extend: Extend) -> Self {
        let accounts = setup.accounts.iter().fold(ListedAccounts::new(), |accounts, account| {
            let known =
                Account { nickname: account.nickname.as_deref().map(Text::new), administrator: account.administrator };
            accounts.with_account(account.user, &account.secret, known)
        });
        Self {
            name: name.to_owned(),
            fixed_rooms: u32::try_from(setup.config.fixed_rooms.len()).unwrap_or(u32::MAX),
            config: setup.config.clone(),
            room_passwords: setup.room_passwords.clone(),
            accounts,
            store: setup.store,
            shards: setup.io_threads as usize,
            network,
            seeds,
            journals: RefCell::new(Journals::new(name, &extend)),
            extend,
            starts: Cell::new(0),
            state: RefCell::new(State::Starting),
            stalled_until: Cell::default(),
            is_missed: Cell::default(),
        }
    }

    /// One life of the daemon's process.
    ///
    /// # Errors
    /// When it cannot listen.
    pub(super) async fn run(self: Rc<Self>) -> Result<(), Box<dyn std::error::Error>> {
        self.go_on();
        // All tasks of the process are in here, so that none of them runs while it is stopped.
        let mut tasks = LocalSet::new();
        tasks.unhandled_panic(UnhandledPanic::ShutdownRuntime);
        self.unless_stalled(tasks.run_until(self.live())).await
    }

    async fn live(&self) -> Result<(), Box<dyn std::error::Error>> {
        let start = self.starts.get();
        self.starts.set(start + 1);
        let seeds = self.seeds.of(&format!("{} start {start}", self.name));
        let room_key = seeds.number128("room key").to_le_bytes();
        let errands = Errands::start();
        let stores = self.open_stores(&seeds, &errands);
        let presence = stores.presence.clone();
        let (shortest, longest) = PART_LENGTH;
        let length = shortest + (seeds.number("journal") % u64::from(longest - shortest + 1)) as u32;
        let parts = Parts {
            config: self.sealed_config(room_key),
            seed: seeds.number("engine"),
            room_key,
            accounts: stores.accounts.clone(),
            presence: presence.clone().map(|presence| presence as Rc<dyn Presence>),
            extensions: self.extend.make_with_stand_ins(seeds.number("stand-ins")),
            journal: Some(self.journals.borrow_mut().begin(length)),
        };
        // Half of the worlds keep rooms together, the other half spreads them as far as it goes.
        let spread = Spread::over(self.shards);
        let spread = if seeds.number("slack").is_multiple_of(2) { spread } else { spread.with_slack(0) };
        let (node, others, handle) = Node::with_shards(parts, spread);
        let listener = OneAddress(SimulatedListener::bind_on(&self.network, PORT).await?);
        self.state.replace(State::Runs { handle, stores: stores.clone() });

        let node = node.with_errands(errands);
        let report = if others.is_empty() {
            node.run(vec![listener]).await
        } else {
            for (number, shard) in (1..).zip(others) {
                spawn_local(in_its_own_time(seeds.number(&format!("shard {number}")), shard.run()));
            }
            in_its_own_time(seeds.number("shard 0"), node.run(vec![listener])).await
        };
        self.journals.borrow_mut().end();
        if let Some(presence) = &presence {
            // What is not confirmed by then ends by itself.
            let _ = timeout(RELEASE_TIMEOUT, presence.settled()).await;
        }
        self.state.replace(State::Ended(Box::new(Standing { report, has_ended: true, leases: stores.leases() })));
        drop((presence, stores));
        // The tasks that were ended with the node let go of their sockets only now.
        sleep(Duration::from_millis(1)).await;
        Ok(())
    }

    /// Runs a process, but not while it is stopped. What happens to it in the meantime (bytes, the ends of timers) is
    /// there when it goes on, all at once.
    async fn unless_stalled<T>(&self, process: impl Future<Output = T>) -> T {
        let mut process = pin!(process);
        let mut alarm = pin!(sleep(Duration::ZERO));
        poll_fn(|context| {
            let until = self.stalled_until.get();
            // What time it is costs something to find out, and most processes are never stopped.
            let now = if until.is_zero() { until } else { turmoil::sim_elapsed().unwrap_or_default() };
            let left = until.saturating_sub(now);
            self.is_missed.set(!left.is_zero());
            if !left.is_zero() {
                alarm.as_mut().reset(Instant::now() + left);
                // It wakes this task, and has nothing to say but that.
                if alarm.as_mut().poll(context).is_pending() {
                    return Poll::Pending;
                }
            }
            process.as_mut().poll(context)
        })
        .await
    }

    /// Stops the process until that time of the simulation, or until the later one until which it is stopped already.
    pub(super) fn stall(&self, until: Duration) {
        self.stalled_until.set(self.stalled_until.get().max(until));
        self.is_missed.set(false);
    }

    /// A new process is not stopped.
    fn go_on(&self) {
        self.stalled_until.set(Duration::ZERO);
        self.is_missed.set(false);
    }

    /// Whether its process is stopped while something waits for it.
    pub(super) fn is_missed(&self) -> bool {
        self.is_missed.get()
    }

    /// Says that the process is gone, and lets go of what it held.
    pub(super) fn crashed(&self) {
        self.state.replace(State::Crashed);
        self.go_on();
    }

    /// Says that the process is about to be there again.
    pub(super) fn restarting(&self) {
        self.state.replace(State::Starting);
    }

    /// Looks through what its journals say meanwhile.
    ///
    /// # Errors
    /// Says what is not as it must be.
    pub(super) fn audit_journals(&self) -> Result<(), String> {
        self.journals.borrow_mut().audit()
    }

    /// Looks through all that its journals say. To be called once, when nothing more happens.
    ///
    /// # Errors
    /// As [`Self::audit_journals`].
    pub(super) fn finish_journals(&self) -> Result<(), String> {
        self.journals.borrow_mut().finish()
    }

    /// Whether somebody would answer who connects.
    pub(super) fn is_running(&self) -> bool {
        matches!(*self.state.borrow(), State::Starting | State::Runs { .. })
    }

    /// Whether it listens and its stores are connected.
    pub(super) fn is_ready(&self) -> bool {
        matches!(&*self.state.borrow(), State::Runs { stores, .. } if stores.are_ready())
    }

    /// Presence leases that it holds or gives back.
    pub(super) fn leases(&self) -> usize {
        match &*self.state.borrow() {
            State::Runs { stores, .. } => stores.leases(),
            State::Ended(standing) => standing.leases,
            State::Starting | State::Crashed => 0,
        }
    }

    pub(super) fn with_state<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.state.borrow())
    }

    fn open_stores(&self, seeds: &Seeds, errands: &Errands) -> Stores {
        match self.store {
            Store::Listed => Stores { accounts: Rc::new(self.accounts.clone()), presence: None, link: None },
            Store::Redis => {
                let link_config = LinkConfig { seed: seeds.number("link"), ..LinkConfig::default() };
                let dial = redis_host::dial(&self.network);
                let link = Link::start_in(errands.clone(), redis_host::address(), dial, link_config);
                let deadline = self.config.login_timeout;
                let accounts = RedisAccounts::token(link.clone(), redis_host::token_key(), deadline);
                let config = PresenceConfig {
                    key: redis_host::presence_key(),
                    channel: redis_host::CHANNEL.to_owned(),
                    node: seeds.number128("node"),
                    lease: LEASE,
                    take_timeout: deadline,
                    leases_max: 2 * self.config.users_max as usize,
                    seed: seeds.number("presence"),
                };
                let presence = RedisPresence::start(link.clone(), config).expect("these settings are in their bounds");
                Stores { accounts: Rc::new(accounts), presence: Some(Rc::new(presence)), link: Some(link) }
            }
        }
    }

    fn sealed_config(&self, room_key: [u8; 16]) -> Config {
        let mut config = self.config.clone();
        for (number, password) in &self.room_passwords {
            for room in config.fixed_rooms.iter_mut().filter(|room| room.number == *number) {
                room.password = Some(password_digest(room_key, password.as_bytes()));
            }
        }
        config
    }
}

/// A listener whose peers all come from one address.
struct OneAddress(SimulatedListener);

impl Listener for OneAddress {
    type Stream = SimulatedStream;

    async fn accept(&mut self) -> io::Result<(SimulatedStream, SocketAddr)> {
        let (stream, peer) = self.0.accept().await?;
        Ok((stream, SocketAddr::new(CLIENTS, peer.port())))
    }
}
