//! The daemon: a node in a process of its own, from the first line of its log to its exit.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, bail};
use lobbyd_core::name::UserName;
use lobbyd_net::extension::Extensions;
use lobbyd_net::node::{Node, NodeHandle, Parts};
use lobbyd_net::{Errands, password_digest};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, LocalOptions, UnhandledPanic};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tracing::{info, warn};

use crate::config::{RedisAuth, Settings, Store};
use crate::control::{Change, ControlServer, ControlSocket};
use crate::listener;
use crate::open_files;
use crate::stores::Stores;
use crate::stores::embedded::EmbeddedAccounts;

/// How long the return of presence leases may take at the end. After that they end by themselves.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(2);

/// Serves until told to stop by SIGTERM or SIGINT. The process exits at once on a second such signal.
///
/// # Errors
/// When it cannot begin to serve: says what is wrong, with which setting, and what to do.
pub(crate) fn run(settings: &Settings) -> anyhow::Result<()> {
    let runtime = Builder::new_current_thread()
        .enable_all()
        // A node whose state may be half changed must not go on (DESIGN section 6).
        .unhandled_panic(UnhandledPanic::ShutdownRuntime)
        .build_local(LocalOptions::default())
        .context("the runtime cannot be started")?;
    runtime.block_on(serve(settings))
}

async fn serve(settings: &Settings) -> anyhow::Result<()> {
    open_files::raise_limit(settings.limits.sessions_max.into());
    // From here on a signal drains; what is not open yet is then closed at once.
    let signals = Signals::new()?;
    let errands = Errands::start();
    let stores = Stores::open(settings, &errands)?;
    let listeners = listener::bind(&settings.server.listen)?;
    let addresses = local_addresses(&listeners)?;

    let room_key = random()?;
    let config = settings.engine_config(|password| password_digest(room_key, password.as_bytes()));
    let parts = Parts {
        config,
        seed: u64::from_le_bytes(random()?),
        room_key,
        accounts: stores.accounts.clone(),
        presence: stores.presence.clone().map(|presence| presence as _),
        extensions: Extensions::new(),
    };
    let (node, handle) = Node::new(parts);
    let control = match &stores.embedded {
        Some(accounts) => Some(serve_control(settings, accounts.clone(), handle.clone())?),
        None => None,
    };
    announce(settings, &addresses);
    tokio::task::spawn_local(signals.obey(handle, settings.server.drain_timeout));

    let report = node.with_errands(errands).run(listeners).await;
    drop(control);
    if let Some(presence) = &stores.presence
        && timeout(RELEASE_TIMEOUT, presence.settled()).await.is_err()
    {
        warn!("Redis did not confirm that all presence leases were given back; they end by themselves");
    }
    info!(
        accepted = report.traffic.accepted,
        packets_in = report.traffic.packets_in,
        packets_out = report.traffic.packets_out,
        seconds = report.uptime.as_secs(),
        "stopped"
    );
    Ok(())
}

fn local_addresses(listeners: &[TcpListener]) -> anyhow::Result<Vec<SocketAddr>> {
    let addresses: Result<_, _> = listeners.iter().map(TcpListener::local_addr).collect();
    addresses.context("the system does not say where it listens")
}

/// Has `lobbyd user` work beside this process, which has the embedded store open.
fn serve_control(settings: &Settings, accounts: EmbeddedAccounts, handle: NodeHandle) -> anyhow::Result<ControlServer> {
    let folder = &settings.server.data;
    let socket = ControlSocket::bind(folder)
        .with_context(|| format!("the socket for `lobbyd user` cannot be made in {}", folder.display()))?;
    let (removed, mut removals) = mpsc::unbounded_channel::<UserName>();
    tokio::task::spawn_local(async move {
        while let Some(user) = removals.recv().await {
            if handle.close_user(user).await.is_err() {
                return;
            }
        }
    });
    let on_change = move |change| match change {
        Change::Removed(user) => {
            info!(%user, "user removed");
            // The node has ended, and the sessions with it, if nobody receives.
            let _ = removed.send(user);
        }
        Change::Added(user) => info!(%user, "user added"),
        Change::PasswordSet(user) => info!(%user, "password set"),
    };
    socket.serve(accounts, on_change).context("the thread for `lobbyd user` cannot be started")
}

fn announce(settings: &Settings, addresses: &[SocketAddr]) {
    for address in addresses {
        info!(%address, "listening");
        if !address.ip().is_loopback() {
            warn!(
                %address,
                "passwords and messages travel in clear beyond this machine: put a TLS proxy or a private network in front"
            );
        }
    }
    let chat = addresses.first().map_or_else(String::new, |address| format!("`lobbyd chat {address}` talks"));
    match (&settings.server.store, settings.redis.auth) {
        (Store::Embedded, _) => {
            let data = settings.server.data.display();
            info!(%data, "accounts are in the data folder");
            info!("next: `lobbyd user add NAME --data {data}` makes an account, {chat}");
        }
        (Store::Redis(url), RedisAuth::Argon2id) => {
            info!(store = %url, "accounts are in Redis");
            info!("next: `lobbyd user add NAME --store {url}` makes an account, {chat}");
        }
        (Store::Redis(url), RedisAuth::Token) => {
            info!(store = %url, key = %settings.redis.token_key, "tokens of users are in Redis");
            info!("next: once a token is written there, {chat}");
        }
    }
}

fn random<const N: usize>() -> anyhow::Result<[u8; N]> {
    let mut bytes = [0; N];
    if let Err(error) = getrandom::fill(&mut bytes) {
        bail!("the system gives no random numbers: {error}");
    }
    Ok(bytes)
}

/// The signals that stop the daemon.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("the signals that stop the server cannot be received");
        Ok(Self { terminate: listen(SignalKind::terminate())?, interrupt: listen(SignalKind::interrupt())? })
    }

    /// Drains on the first signal, ends the process on the second.
    async fn obey(mut self, handle: NodeHandle, drain_timeout: Duration) {
        self.next().await;
        info!(seconds = drain_timeout.as_secs(), "stopping: clients are asked to leave; a second signal stops at once");
        if handle.drain(drain_timeout).await.is_err() {
            return;
        }
        self.next().await;
        warn!("stopped at once by a second signal");
        std::process::exit(STOPPED_AT_ONCE);
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// The exit code after a second signal: it did not end as it should.
const STOPPED_AT_ONCE: i32 = 1;
