//! A node: one engine with its driver and its stores, assembled. Production and simulation run the same assembly.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use lobbyd_core::Engine;
use lobbyd_core::command::CommandName;
use lobbyd_core::config::Config;
use lobbyd_core::data::Data;
use lobbyd_core::id::RoomNumber;
use lobbyd_core::name::UserName;
use lobbyd_core::operator::RoomStatus;
use lobbyd_core::packet::RoomPage;
use lobbyd_core::time::Instant;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::ask::reply::{Answered, Reply, reply};
use crate::ask::{Ask, AskError, AskReply, CallError, CallReply, Look, Message};
use crate::buffers::{Buffers, LentBuffer};
use crate::commons::{Commons, HOME};
use crate::corridor::corridor;
use crate::errands::Errands;
use crate::extension::{Assembled, Extensions};
use crate::hub::{Home, Hub, HubParts, Work};
use crate::journal::JournalSink;
use crate::lanes::Lane;
use crate::login::Logins;
use crate::place::Place;
use crate::report::Report;
use crate::shard::GiveUp;
pub use crate::shard::{SHARDS_MAX, Shard, Spread};
use crate::stats::{ConnectionStats, Stats};
use crate::stores::{Accounts, Presence};
use crate::system::SystemWork;
use crate::tasks;
use crate::transport::{Detach, Listener, Stream};

/// The most commands of the handle that wait.
const COMMANDS_MAX: usize = 256;
/// The most connections that are told of in one turn.
const PAGE_CONNECTIONS: usize = 128;

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
    /// What extends it.
    pub extensions: Extensions,
    /// Where what the engine is told is written down, if anywhere.
    pub journal: Option<Box<dyn JournalSink>>,
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
    buffers: Buffers,
}

/// What a handle asks for.
pub(crate) enum Command {
    Drain { within: Duration },
    Stop,
    CloseUser { user: UserName },
    Report { reply: Reply<Report> },
    Ask { ask: Ask, reply: AskReply },
    Stats { reply: Reply<Stats> },
    Connections { from: PageStart, limit: usize, reply: Reply<ConnectionPage> },
    Schedule { lane: Lane, work: Work },
    Look(Look),
    CallService { service: CommandName, request: Data, reply: CallReply },
    EnableMiddleware { name: String, reply: Reply<u32> },
}

/// Some connections, and where the next ones begin.
pub(crate) type ConnectionPage = (Vec<ConnectionStats>, Option<PageStart>);

/// Where connections are told of next: on which thread, and at which slot.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct PageStart {
    pub(crate) thread: usize,
    pub(crate) index: u32,
}

/// Why a scheduled future gave nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ScheduleError {
    /// The node does not run any more; the future was dropped where it was, or never begun.
    #[error(transparent)]
    Stopped(#[from] Stopped),
    /// It panicked, which the log says more about.
    #[error("the scheduled future panicked")]
    Panicked,
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
        let (node, _no_shards, handle) = Self::with_shards(parts, Spread::over(1));
        (node, handle)
    }

    /// A node whose connections are spread over shards that run on one thread: itself and those that are given beside it,
    /// which all have to be run. What they hand each other is what I/O threads would.
    ///
    /// # Panics
    /// If the configuration was not accepted by [`Config::validate`], or without at least one shard or with more than
    /// [`SHARDS_MAX`].
    #[must_use]
    pub fn with_shards(parts: Parts, shards: Spread) -> (Self, Vec<Shard<S>>, NodeHandle) {
        Self::assemble(parts, shards, Ok, Ok)
    }

    /// A node whose connections are spread over threads: the one that runs it, and one for each of the shards that
    /// are given beside it. They all have to be run.
    ///
    /// # Panics
    /// As [`Node::with_shards`].
    #[must_use]
    pub fn with_threads(parts: Parts, threads: Spread) -> (Self, Vec<Shard<S, S::Detached>>, NodeHandle)
    where
        S: Detach,
    {
        Self::assemble(parts, threads, S::detach, S::attach)
    }

    fn assemble<D: 'static>(
        parts: Parts,
        spread: Spread,
        detach: fn(S) -> io::Result<D>,
        attach: fn(D) -> io::Result<S>,
    ) -> (Self, Vec<Shard<S, D>>, NodeHandle) {
        let Spread { shards, slack } = spread;
        assert!((1..=SHARDS_MAX).contains(&shards), "a node has from one to {SHARDS_MAX} shards, not {shards}");
        let Parts { config, seed, room_key, accounts, presence, extensions, journal } = parts;
        let login_timeout = config.login_timeout;
        let (sessions_max, frame_bytes_max) = (config.sessions_max, config.frame_bytes_max);
        let outbox_bytes_max = config.outbox_bytes_max as usize;
        let Assembled { mut engine, services, chain, figures, buffers } =
            extensions.assemble(config, seed, Instant::ZERO);
        if let Some(journal) = journal {
            engine.record(Instant::ZERO, journal);
        }
        let commons = Arc::new(Commons::new(engine, chain, figures, shards, slack));
        let hub_parts = |shard| HubParts {
            commons: Arc::clone(&commons),
            place: Place::new(shard, shards),
            room_key,
            sessions_max,
            outbox_bytes_max,
            frame_bytes_max,
        };
        let mut ends = corridor(shards).into_iter();
        let own_end = ends.next().filter(|_| shards > 1).map(|end| end.open(detach, attach));
        let others = (1..shards).zip(ends);
        let (doors, others) = others.map(|(shard, end)| Shard::new(hub_parts(shard), end, detach, attach)).unzip();
        let logins = Logins::new(accounts, presence.clone(), login_timeout);
        let home = Home::new(services, logins, buffers.clone(), doors);
        let hub = Hub::new(hub_parts(HOME), Some(home), own_end);
        let (sender, commands) = mpsc::channel(COMMANDS_MAX);
        (Self { hub, presence, commands }, others, NodeHandle { commands: sender, buffers })
    }

    /// Has the node run these errands too, at the beginning of its turns: those of the stores that it was made of.
    #[must_use]
    pub fn with_errands(self, errands: Errands) -> Self {
        self.hub.borrow_mut().adopt_errands(errands);
        self
    }

    /// Serves what the listeners accept, until the node was told to drain or stop and the last connection has gone.
    ///
    /// A panic in one of its tasks must end the process or the runtime: build that with
    /// `unhandled_panic(UnhandledPanic::ShutdownRuntime)`, as the daemon and the simulation do.
    ///
    /// # Panics
    /// When one of its shards ends before it does: that has panicked, or was not run.
    pub async fn run<L: Listener<Stream = S>>(self, listeners: Vec<L>) -> Report {
        let Self { hub, presence, commands } = self;
        let _end = GiveUp(hub.clone());
        let mut running = JoinSet::new();
        tasks::run(&mut running, &hub);
        running.spawn_local(tasks::fire_deadlines(hub.clone()));
        hub.borrow_mut().begin_errand(|queue| tasks::obey(commands, queue));
        if let Some(presence) = presence {
            hub.borrow_mut().begin_errand(|queue| tasks::watch_presence(presence, queue));
        }
        let begin_accepting = |listener| hub.borrow_mut().begin_errand(|queue| tasks::accept(listener, queue));
        let accepting: Vec<_> = listeners.into_iter().map(begin_accepting).collect();
        let mut broken = hub.borrow().watch_shards();
        let mut until = async |poll: fn(&mut Hub<S>, &Context<'_>) -> Poll<()>| {
            poll_fn(|context| {
                if broken.as_mut().poll(context).is_ready() {
                    panic!("a shard of the node has ended: its thread's own message says why");
                }
                poll(&mut hub.borrow_mut(), context)
            })
            .await;
        };
        until(Hub::poll_drained).await;
        // Else clients that come back again and again to be refused would keep the node alive.
        for errand in accepting {
            hub.borrow_mut().cancel_errand(errand);
        }
        until(Hub::poll_finished).await;
        let (reply, report) = reply();
        hub.borrow_mut().begin_errand(|queue| async move { queue.push(SystemWork::Report { reply }) });
        let report = report.await.expect("the hub answers as long as it runs");
        hub.borrow_mut().finish_journal();
        // Dropping the set ends the tasks; a failure in one has ended the process before (DESIGN section 6).
        drop(running);
        report
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
        let (reply, report) = reply();
        self.command(Command::Report { reply }).await?;
        report.await.ok_or(Stopped)
    }

    /// Everything that the node counts, taken between two inputs.
    ///
    /// # Errors
    /// When the node has stopped.
    pub async fn stats(&self) -> Result<Stats, Stopped> {
        let (reply, stats) = reply();
        self.command(Command::Stats { reply }).await?;
        stats.await.ok_or(Stopped)
    }

    /// Every connection, in the order of their sessions. It is asked in pieces, between which packets pass: one that comes,
    /// goes or moves to another I/O thread meanwhile may or may not be in it.
    ///
    /// # Errors
    /// When the node has stopped.
    pub async fn connection_stats(&self) -> Result<Vec<ConnectionStats>, Stopped> {
        let mut connections = Vec::new();
        let mut from = Some(PageStart::default());
        while let Some(start) = from {
            let (reply, page) = reply();
            self.command(Command::Connections { from: start, limit: PAGE_CONNECTIONS, reply }).await?;
            let (page, next) = page.await.ok_or(Stopped)?;
            connections.extend(page);
            from = next;
        }
        connections.sort_by_key(|connection| connection.session);
        // One that has moved is known twice perhaps.
        connections.dedup_by_key(|connection| connection.session);
        Ok(connections)
    }

    /// Runs a future on the node's own thread (not on one of its other shards') and gives what it gives. It runs on when nobody waits for it any more, and ends
    /// with the node.
    ///
    /// In [`Lane::System`] it goes on at the beginning of the next turn, ahead of its packets; in [`Lane::User`] it takes
    /// turns with the connections; in [`Lane::Background`] it only goes on while neither has anything waiting. Everybody
    /// waits while it computes: what blocks or computes for long belongs on another thread.
    ///
    /// # Errors
    /// When the node has stopped, and when the future panics.
    pub async fn schedule<T, F>(&self, lane: Lane, future: F) -> Result<T, ScheduleError>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let (reply, result) = reply();
        let mut end = Finish { reply: Some(reply) };
        let work = Box::pin(async move {
            let value = future.await;
            end.say(Ok(value));
        });
        self.command(Command::Schedule { lane, work }).await?;
        result.await.unwrap_or(Err(ScheduleError::Stopped(Stopped)))
    }

    /// Says something to everybody who is online, and says how many sessions that are.
    ///
    /// # Errors
    /// The codes of a message when it breaks its rules, and when the node has stopped.
    pub async fn announce(&self, text: impl Into<String>) -> Result<u32, AskError> {
        self.ask(Ask::Announce { text: text.into() }).await
    }

    /// Says something to a user, on every session of that user, and says how many those are.
    ///
    /// # Errors
    /// `UserUnknown` when the user is not online, the codes of a message when it breaks its rules, and when the
    /// node has stopped.
    pub async fn notify_user(&self, user: UserName, message: Message) -> Result<u32, AskError> {
        self.ask(Ask::NotifyUser { user, message }).await
    }

    /// Says something to everybody in a room, and says how many they are.
    ///
    /// # Errors
    /// `RoomUnknown` without such a room, the codes of a message when it breaks its rules, and when the node
    /// has stopped.
    pub async fn notify_room(&self, room: RoomNumber, message: Message) -> Result<u32, AskError> {
        self.ask(Ask::NotifyRoom { room, message }).await
    }

    /// Sends a user from a room back to the lobby, with `ban` for as long as the room exists, and says how many
    /// sessions of that user those were.
    ///
    /// # Errors
    /// `RoomUnknown`, `UserUnknown` when the user is not in that room, `BansFull`, and when the
    /// node has stopped.
    pub async fn kick(&self, room: RoomNumber, user: UserName, ban: bool) -> Result<u32, AskError> {
        self.ask(Ask::Kick { room, user, ban }).await
    }

    /// Removes every empty room that is not of the configuration, and says how many went.
    ///
    /// # Errors
    /// When the node has stopped.
    pub async fn clean_up_empty_rooms(&self) -> Result<u32, AskError> {
        self.ask(Ask::CleanUpEmptyRooms).await
    }

    /// Asks a service that is registered under that name, within its own bounds and the engine's, as an extension does.
    /// The question and its answer are inputs of the engine.
    ///
    /// # Errors
    /// `TooLong` when the request is, `Unknown` without such a service, `Busy` when as many calls are under way as `service_calls_max` allows or its turn
    /// did not come in time, `TimedOut` after its own time or `service_timeout`, `Failed` when it says so, panics, or gives
    /// too long a reply; and when the node has stopped.
    pub async fn call_service(&self, service: CommandName, request: impl Into<Data>) -> Result<Data, CallError> {
        let (reply, answer) = reply();
        self.command(Command::CallService { service, request: request.into(), reply }).await?;
        answer.await.ok_or(Stopped)?.map_err(CallError::Service)
    }

    /// Has the commands of an extension served again, after it was disabled by a panic or by this; or not any more. Says
    /// whether that was a change. An extension that is enabled is told so
    /// ([`Event::Enabled`](lobbyd_core::extension::Event::Enabled)).
    ///
    /// # Errors
    /// `CommandUnknown` without such an extension, `ExtensionFailed` when it does not take up its work and stays disabled,
    /// and when the node has stopped.
    pub async fn set_extension(&self, extension: CommandName, enabled: bool) -> Result<bool, AskError> {
        Ok(self.ask(Ask::SetExtension { extension, enabled }).await? > 0)
    }

    /// Has packets pass middleware of that name again, after it was taken out for a panic. Its state is as the panic has
    /// left it. Says how many pieces of middleware that were: none if it is unknown, or was not out.
    ///
    /// # Errors
    /// When the node has stopped.
    pub async fn enable_middleware(&self, name: impl Into<String>) -> Result<u32, Stopped> {
        let (reply, enabled) = reply();
        self.command(Command::EnableMiddleware { name: name.into(), reply }).await?;
        enabled.await.ok_or(Stopped)
    }

    /// A buffer of the pool that the node's services borrow from, too. It goes back when it is dropped.
    #[must_use]
    pub fn lend_buffer(&self) -> LentBuffer {
        self.buffers.lend()
    }

    /// A room and who is in it; none without such a room.
    ///
    /// # Errors
    /// When the node has stopped.
    pub async fn room_status(&self, room: RoomNumber) -> Result<Option<RoomStatus>, Stopped> {
        self.look(move |engine| engine.room_status(room)).await
    }

    /// At most `limit` rooms, from number `from` on.
    ///
    /// # Errors
    /// When the node has stopped.
    pub async fn rooms(&self, from: RoomNumber, limit: u32) -> Result<RoomPage, Stopped> {
        self.look(move |engine| engine.room_page(from, limit)).await
    }

    /// Looks at the engine between two inputs. Everybody waits meanwhile, so it should be short.
    async fn look<T: Send + 'static>(&self, look: impl FnOnce(&Engine) -> T + Send + 'static) -> Result<T, Stopped> {
        let (reply, seen) = reply();
        let look = Box::new(move |engine: &Engine, answered: &mut Answered| reply.put(look(engine), answered));
        self.command(Command::Look(look)).await?;
        seen.await.ok_or(Stopped)
    }

    async fn ask(&self, ask: Ask) -> Result<u32, AskError> {
        let (reply, answer) = reply();
        self.command(Command::Ask { ask, reply }).await?;
        answer.await.ok_or(Stopped)?.map_err(AskError::Refused)
    }

    async fn command(&self, command: Command) -> Result<(), Stopped> {
        self.commands.send(command).await.map_err(|_| Stopped)
    }
}

/// Says how a scheduled future has ended: if it never says so itself and is dropped by a panic, that.
struct Finish<T> {
    reply: Option<Reply<Result<T, ScheduleError>>>,
}

impl<T> Finish<T> {
    fn say(&mut self, result: Result<T, ScheduleError>) {
        if let Some(reply) = self.reply.take() {
            reply.send(result);
        }
    }
}

impl<T> Drop for Finish<T> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.say(Err(ScheduleError::Panicked));
        }
    }
}
