//! A node: one engine with its driver and its stores, assembled. Production and simulation run the same assembly.

use std::cell::RefCell;
use std::future::{pending, poll_fn};
use std::io::ErrorKind;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use lobbyd_core::Engine;
use lobbyd_core::config::Config;
use lobbyd_core::id::SessionId;
use lobbyd_core::input::{Admin, Input};
use lobbyd_core::name::UserName;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tracing::warn;

use crate::hub::Hub;
use crate::login::Logins;
use crate::report::Report;
use crate::seal::Sealer;
use crate::stores::{Accounts, Presence};
use crate::transport::{Listener, Stream};

/// How long a closed session may take to receive its last packets (DESIGN section 4).
const LINGER: Duration = Duration::from_secs(1);
/// How long no connection is accepted after one could not be: for want of file descriptors it would fail again at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Failures to accept come by the thousand, and are said once in this time.
const ACCEPT_WARNING_INTERVAL: Duration = Duration::from_secs(10);
/// The most commands of the handle that wait.
const COMMANDS_MAX: usize = 256;

/// What a node is made of.
pub struct Parts {
    /// The engine's configuration; [`Config::validate`] has accepted it.
    pub config: Config,
    /// The root of the engine's randomness.
    pub seed: u64,
    /// The key of the room passwords' digests: the one that sealed those in the configuration.
    pub room_key: [u8; 16],
    /// Who decides about secrets.
    pub accounts: Rc<dyn Accounts>,
    /// Who knows where users are online, if daemons share them.
    pub presence: Option<Rc<dyn Presence>>,
}

/// A node that is ready to run.
pub struct Node<S> {
    hub: Rc<RefCell<Hub<S>>>,
    presence: Option<Rc<dyn Presence>>,
    commands: mpsc::Receiver<Command>,
}

/// Asks a running node for something, from any thread. Cheap to clone.
#[derive(Clone, Debug)]
pub struct NodeHandle {
    commands: mpsc::Sender<Command>,
}

#[derive(Debug)]
enum Command {
    Drain { within: Duration },
    Stop,
    CloseUser { user: UserName },
    Report { reply: oneshot::Sender<Report> },
}

/// The node does not run any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the server has stopped")]
pub struct Stopped;

impl<S: Stream> Node<S> {
    /// Assembles a node. To be called, and [`Node::run`], where `tokio::task::spawn_local` works.
    ///
    /// # Panics
    /// If the configuration was not accepted by [`Config::validate`].
    #[must_use]
    pub fn new(parts: Parts) -> (Self, NodeHandle) {
        let Parts { config, seed, room_key, accounts, presence } = parts;
        let login_timeout = config.login_timeout;
        let engine = Engine::new(config, seed, lobbyd_core::time::Instant::ZERO);
        let hub = Hub::new(engine, Sealer::new(room_key), Logins::new(accounts, presence.clone(), login_timeout));
        let (sender, commands) = mpsc::channel(COMMANDS_MAX);
        (Self { hub, presence, commands }, NodeHandle { commands: sender })
    }

    /// Serves what the listeners accept, until the node was told to drain or stop and the last connection has gone.
    ///
    /// A panic in one of its tasks must end the process or the runtime: build that with
    /// `unhandled_panic(UnhandledPanic::ShutdownRuntime)`, as the daemon and the simulation do.
    pub async fn run<L: Listener<Stream = S>>(self, listeners: Vec<L>) -> Report {
        let Self { hub, presence, commands } = self;
        let mut tasks = JoinSet::new();
        tasks.spawn_local(flush(hub.clone()));
        tasks.spawn_local(fire_deadlines(hub.clone()));
        tasks.spawn_local(obey(hub.clone(), commands));
        if let Some(presence) = presence {
            tasks.spawn_local(watch_presence(hub.clone(), presence));
        }
        let mut accepting = JoinSet::new();
        for listener in listeners {
            accepting.spawn_local(accept(hub.clone(), listener));
        }
        poll_fn(|context| hub.borrow_mut().poll_drained(context)).await;
        // Else clients that come back again and again to be refused would keep the node alive.
        drop(accepting);
        poll_fn(|context| hub.borrow_mut().poll_finished(context)).await;
        // Dropping the set ends the tasks; a failure in one has ended the process before (DESIGN section 6).
        drop(tasks);
        hub.borrow().report()
    }
}

async fn accept<L: Listener>(hub: Rc<RefCell<Hub<L::Stream>>>, mut listener: L) {
    let mut warned_at = None;
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                let session = hub.borrow_mut().accept(stream, peer);
                if let Some(session) = session {
                    tokio::task::spawn_local(serve(hub.clone(), session));
                }
            }
            // This one client was gone before it was accepted.
            Err(error) if matches!(error.kind(), ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset) => {}
            Err(error) => {
                if warned_at.is_none_or(|at: Instant| at.elapsed() >= ACCEPT_WARNING_INTERVAL) {
                    warn!(%error, "a connection could not be accepted; trying on (is the limit of open files too low?)");
                    warned_at = Some(Instant::now());
                }
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// A connection's whole life.
async fn serve<S: Stream>(hub: Rc<RefCell<Hub<S>>>, session: SessionId) {
    poll_fn(|context| hub.borrow_mut().poll_open(context, session)).await;
    // Whether the client took its last packets in time or not, the connection is over.
    let mut discarded = 0;
    let closing = poll_fn(|context| hub.borrow_mut().poll_closing(context, session, &mut discarded));
    let linger = if hub.borrow().is_crowded() { Duration::ZERO } else { LINGER };
    let _ = timeout(linger, closing).await;
    hub.borrow_mut().remove(session);
}

async fn flush<S: Stream>(hub: Rc<RefCell<Hub<S>>>) {
    poll_fn(|context| {
        hub.borrow_mut().poll_flush(context);
        Poll::Pending
    })
    .await
}

async fn fire_deadlines<S: Stream>(hub: Rc<RefCell<Hub<S>>>) {
    let mut timer = None;
    poll_fn(|context| {
        loop {
            let Some(next_at) = hub.borrow_mut().poll_timer(context) else {
                timer = None;
                return Poll::Pending;
            };
            let sleep = timer.get_or_insert_with(|| Box::pin(sleep_until(next_at)));
            if sleep.deadline() != next_at {
                sleep.as_mut().reset(next_at);
            }
            match sleep.as_mut().poll(context) {
                Poll::Ready(()) => timer = None,
                Poll::Pending => return Poll::Pending,
            }
        }
    })
    .await
}

async fn obey<S: Stream>(hub: Rc<RefCell<Hub<S>>>, mut commands: mpsc::Receiver<Command>) {
    while let Some(command) = commands.recv().await {
        let mut hub = hub.borrow_mut();
        match command {
            Command::Drain { within } => hub.post(Input::Admin(Admin::Drain { within })),
            Command::Stop => hub.post(Input::Admin(Admin::Stop)),
            Command::CloseUser { user } => hub.post(Input::Admin(Admin::CloseUser { user })),
            Command::Report { reply } => {
                // Whoever asked may have gone.
                let _ = reply.send(hub.report());
            }
        }
    }
    pending().await
}

async fn watch_presence<S: Stream>(hub: Rc<RefCell<Hub<S>>>, presence: Rc<dyn Presence>) {
    loop {
        let ticket = presence.lost().await;
        hub.borrow_mut().post(Input::PresenceLost { ticket });
    }
}

impl NodeHandle {
    /// Refuses what is new, tells everybody, and ends within this time.
    ///
    /// # Errors
    /// When the node has stopped.
    pub async fn drain(&self, within: Duration) -> Result<(), Stopped> {
        self.command(Command::Drain { within }).await
    }

    /// Closes everything and ends.
    ///
    /// # Errors
    /// When the node has stopped.
    pub async fn stop(&self) -> Result<(), Stopped> {
        self.command(Command::Stop).await
    }

    /// Closes every session of a user.
    ///
    /// # Errors
    /// When the node has stopped.
    pub async fn close_user(&self, user: UserName) -> Result<(), Stopped> {
        self.command(Command::CloseUser { user }).await
    }

    /// How the node stands.
    ///
    /// # Errors
    /// When the node has stopped.
    pub async fn report(&self) -> Result<Report, Stopped> {
        let (reply, report) = oneshot::channel();
        self.command(Command::Report { reply }).await?;
        report.await.map_err(|_| Stopped)
    }

    async fn command(&self, command: Command) -> Result<(), Stopped> {
        self.commands.send(command).await.map_err(|_| Stopped)
    }
}
