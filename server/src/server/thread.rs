//! The thread that a server lives on, and its assembly: settings, stores, listeners, extensions, node.

use std::io;
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use lobbyd_core::name::UserName;
use lobbyd_net::extension::Extensions;
use lobbyd_net::node::{Node, NodeHandle, Parts};
use lobbyd_net::{Errands, Report, password_digest};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, LocalOptions, UnhandledPanic};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;
use tracing::{info, warn};

use super::ServerBuilder;
use super::error::StartError;
use super::handle::ServerHandle;
use crate::config::Settings;
use crate::control::{Change, ControlServer, ControlSocket};
use crate::listener;
use crate::stores::Stores;
use crate::stores::embedded::EmbeddedAccounts;

/// How long the return of presence leases may take at the end. After that they end by themselves.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(2);

/// Tells whoever starts the server how that went.
type Started = oneshot::Sender<Result<ServerHandle, StartError>>;

pub(super) async fn start(builder: ServerBuilder) -> Result<ServerHandle, StartError> {
    let (started, outcome) = oneshot::channel();
    let (end, ended) = watch::channel(None);
    let life = move || {
        // What the server held is gone before anybody is told that it has ended. A panic drops `end` unsaid, after all.
        if let Some(report) = live(builder, started, ended) {
            end.send_replace(Some(report));
        }
    };
    let spawned = thread::Builder::new().name("lobbyd".to_owned()).spawn(life);
    spawned.map_err(|source| StartError::System { what: "the system gives no thread for the server", source })?;
    outcome.await.unwrap_or(Err(StartError::Panicked))
}

/// The server's whole life; no report if it never began.
fn live(builder: ServerBuilder, started: Started, ended: watch::Receiver<Option<Report>>) -> Option<Report> {
    let runtime = Builder::new_current_thread()
        .enable_all()
        // A node whose state may be half changed must not go on (DESIGN section 6).
        .unhandled_panic(UnhandledPanic::ShutdownRuntime)
        .build_local(LocalOptions::default());
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(source) => {
            // Whoever started it may have gone.
            let _ = started.send(Err(StartError::System { what: "the server's runtime cannot be started", source }));
            return None;
        }
    };
    runtime.block_on(async {
        let running = match assemble(builder) {
            Ok(running) => running,
            Err(error) => {
                let _ = started.send(Err(error));
                return None;
            }
        };
        let handle = ServerHandle::new(running.handle.clone(), running.addresses.clone(), ended);
        started.send(Ok(handle)).ok()?;
        Some(running.run().await)
    })
}

/// A server that has everything it needs.
struct Running {
    node: Node<TcpStream>,
    errands: Errands,
    handle: NodeHandle,
    listeners: Vec<TcpListener>,
    addresses: Vec<SocketAddr>,
    stores: Stores,
    control: Option<ControlServer>,
}

impl Running {
    async fn run(self) -> Report {
        let Self { node, errands, handle: _, listeners, addresses: _, stores, control } = self;
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
        report
    }
}

fn assemble(mut builder: ServerBuilder) -> Result<Running, StartError> {
    let settings = builder.load()?;
    let ServerBuilder { accounts, extensions, seed, .. } = builder;
    let room_key = random()?;
    let config = settings.engine_config(|password| password_digest(room_key, password.as_bytes()));
    config.validate().map_err(StartError::Setting)?;
    let mut extended = Extensions::new();
    extensions.into_iter().try_for_each(|extend| extend(&mut extended))?;
    let errands = Errands::start();
    let stores = match accounts {
        Some(make) => Stores::only(make()),
        None => Stores::open(&settings, &errands).map_err(|error| StartError::Store(error.into()))?,
    };
    let listeners = listener::bind(&settings.server.listen)?;
    let addresses: io::Result<Vec<SocketAddr>> = listeners.iter().map(TcpListener::local_addr).collect();
    let what = "the system does not say where the server listens";
    let addresses = addresses.map_err(|source| StartError::System { what, source })?;
    let (node, handle) = Node::new(Parts {
        config,
        seed: match seed {
            Some(seed) => seed,
            None => u64::from_le_bytes(random()?),
        },
        room_key,
        accounts: stores.accounts.clone(),
        presence: stores.presence.clone().map(|presence| presence as _),
        extensions: extended,
    });
    let control = match &stores.embedded {
        Some(accounts) => Some(serve_control(&settings, accounts.clone(), handle.clone())?),
        None => None,
    };
    for address in &addresses {
        info!(%address, "listening");
        if !address.ip().is_loopback() {
            warn!(
                %address,
                "passwords and messages travel in clear beyond this machine: put a TLS proxy or a private network in front"
            );
        }
    }
    Ok(Running { node, errands, handle, listeners, addresses, stores, control })
}

/// Has `lobbyd user` work beside this process, which has the embedded store open.
fn serve_control(
    settings: &Settings,
    accounts: EmbeddedAccounts,
    handle: NodeHandle,
) -> Result<ControlServer, StartError> {
    let what = "the socket for `lobbyd user` cannot be made in the data folder";
    let socket = ControlSocket::bind(&settings.server.data).map_err(|source| StartError::System { what, source })?;
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
    let what = "the thread for `lobbyd user` cannot be started";
    socket.serve(accounts, on_change).map_err(|source| StartError::System { what, source })
}

fn random<const N: usize>() -> Result<[u8; N], StartError> {
    let mut bytes = [0; N];
    let what = "the system gives no random numbers";
    getrandom::fill(&mut bytes).map_err(|error| StartError::System { what, source: io::Error::other(error) })?;
    Ok(bytes)
}
