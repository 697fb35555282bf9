//! The threads that a server lives on, and its assembly: settings, stores, listeners, extensions, node.
//!
//! The first thread accepts, has logins decided and sees to everything else that is no client's; the others serve their
//! share of the clients.

use std::io;
use std::net::SocketAddr;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use lobbyd_core::name::UserName;
use lobbyd_net::extension::Extensions;
use lobbyd_net::node::{Node, NodeHandle, Parts, Shard, Spread};
use lobbyd_net::{Errands, Report, password_digest};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, LocalOptions, LocalRuntime, UnhandledPanic};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;
use tracing::{info, warn};

use super::ServerBuilder;
use super::error::StartError;
use super::handle::ServerHandle;
use crate::config::Settings;
use crate::control::{Change, ControlServer, ControlSocket};
use crate::journal::{JournalFiles, Recording};
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
    // Dropped last, also when this panics: by then nobody has anything to write down.
    let mut recording = None;
    // Dropped behind the runtime: the other threads end with the runtime, and are waited for then.
    let mut io_threads = IoThreads::default();
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(error) => {
            // Whoever started it may have gone.
            let _ = started.send(Err(error));
            return None;
        }
    };
    runtime.block_on(async {
        let assembled = assemble(builder).and_then(|(running, shards, journal)| {
            recording = journal;
            io_threads.start(shards)?;
            Ok(running)
        });
        let running = match assembled {
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

/// What a thread of a server runs on.
fn runtime() -> Result<LocalRuntime, StartError> {
    let runtime = Builder::new_current_thread()
        .enable_all()
        // A node whose state may be half changed must not go on (DESIGN section 6).
        .unhandled_panic(UnhandledPanic::ShutdownRuntime)
        .build_local(LocalOptions::default());
    runtime.map_err(|source| StartError::System { what: "the server's runtime cannot be started", source })
}

/// The I/O threads beside the first one. Each ends with the node; dropped, this waits until they have.
#[derive(Default)]
struct IoThreads(Vec<JoinHandle<()>>);

/// The part of the node that such a thread runs.
type IoShard = Shard<TcpStream, std::net::TcpStream>;

impl IoThreads {
    /// Starts a thread for each shard.
    fn start(&mut self, shards: Vec<IoShard>) -> Result<(), StartError> {
        let what = "the system gives no thread for the server's connections (server.io_threads asks for it)";
        for (number, shard) in (1..).zip(shards) {
            let (ready, is_ready) = std::sync::mpsc::channel();
            let live = move || {
                let runtime = match runtime() {
                    Ok(runtime) => runtime,
                    Err(error) => {
                        // Who starts it waits for this.
                        let _ = ready.send(Err(error));
                        return;
                    }
                };
                let _ = ready.send(Ok(()));
                runtime.block_on(shard.run());
            };
            let thread = thread::Builder::new().name(format!("lobbyd-io-{number}")).spawn(live);
            self.0.push(thread.map_err(|source| StartError::System { what, source })?);
            is_ready.recv().unwrap_or(Err(StartError::Panicked))?;
        }
        Ok(())
    }
}

impl Drop for IoThreads {
    fn drop(&mut self) {
        for thread in self.0.drain(..) {
            // A panic there has ended the node, which the server's own end tells.
            let _ = thread.join();
        }
    }
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
            engine_waited_us = u64::try_from(report.engine_waited.as_micros()).unwrap_or(u64::MAX),
            seconds = report.uptime.as_secs(),
            "stopped"
        );
        report
    }
}

fn assemble(mut builder: ServerBuilder) -> Result<(Running, Vec<IoShard>, Option<Recording>), StartError> {
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
    let journal = settings.journal.enabled.then(|| JournalFiles::start(&settings.journal)).transpose()?;
    let (recording, journal) = journal.unzip();
    let parts = Parts {
        config,
        seed: match seed {
            Some(seed) => seed,
            None => u64::from_le_bytes(random()?),
        },
        room_key,
        accounts: stores.accounts.clone(),
        presence: stores.presence.clone().map(|presence| presence as _),
        extensions: extended,
        journal: journal.map(|journal| Box::new(journal) as _),
    };
    let (node, shards, handle) = Node::with_threads(parts, Spread::over(settings.server.io_threads as usize));
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
    Ok((Running { node, errands, handle, listeners, addresses, stores, control }, shards, recording))
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
