//! The handle: what a program asks of a server that runs.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use lobbyd_core::command::CommandName;
use lobbyd_core::data::Data;
use lobbyd_core::id::RoomNumber;
use lobbyd_core::input::ServiceError;
use lobbyd_core::name::UserName;
use lobbyd_core::operator::RoomStatus;
use lobbyd_core::packet::{Code, RoomSummary};
use lobbyd_net::node::{NodeHandle, ScheduleError, Stopped};
use lobbyd_net::stats::{ConnectionStats, Stats};
use lobbyd_net::{AskError, CallError, Lane, LentBuffer, Message, Report};
use tokio::sync::watch;

use super::error::EndError;

/// How many rooms are asked for in one turn.
const PAGE_ROOMS: u32 = 256;

/// Speaks to a running server, from any thread and any runtime. Cheap to clone.
///
/// A call waits for its turn before the packets of clients, so it returns promptly under load, too. What changes
/// something becomes an input of the engine like every other. After the server's end every call fails with
/// [`Stopped`], or an error that says the same.
///
/// # Cancel safety
/// A call that is given up may still happen; nothing else is lost.
///
/// ```
/// use lobbyd::Server;
/// use lobbyd::config::Settings;
/// use lobbyd::lobbyd_core::id::RoomNumber;
/// use lobbyd::lobbyd_core::packet::Code;
/// use lobbyd::lobbyd_net::AskError;
/// use lobbyd::stores::listed::ListedAccounts;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let mut settings = Settings::default();
/// # settings.server.listen = vec!["127.0.0.1:0".parse()?];
/// let server = Server::builder().settings(settings).accounts(ListedAccounts::new).start().await?;
/// for room in server.rooms().await? {
///     println!("{}: {} of {}", room.title, room.members, room.capacity);
/// }
/// // Nobody is here, so nobody hears it, and nobody can be sent out of a room.
/// assert_eq!(server.announce("the match begins").await, Ok(0));
/// assert_eq!(server.broadcast_to_room(RoomNumber(1), format!("match {} is over", 7)).await, Ok(0));
/// let kicked = server.kick(RoomNumber(1), "bob", false).await;
/// assert_eq!(kicked, Err(AskError::Refused(Code::UserUnknown)));
/// let report = server.stop().await?;
/// assert_eq!(report.connections, 0);
/// assert!(server.stats().await.is_err(), "the server has stopped");
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct ServerHandle {
    node: NodeHandle,
    shared: Arc<Shared>,
}

/// What has become of the server: nothing yet, or its last report.
pub(super) type Ended = watch::Receiver<Option<Report>>;

struct Shared {
    addresses: Vec<SocketAddr>,
    ended: Ended,
}

impl ServerHandle {
    pub(super) fn new(node: NodeHandle, addresses: Vec<SocketAddr>, ended: Ended) -> Self {
        Self { node, shared: Arc::new(Shared { addresses, ended }) }
    }

    /// Where it listens, in the order of the settings.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.shared.addresses
    }

    /// The first of the addresses that it listens on.
    ///
    /// # Panics
    /// If the settings name none.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        *self.shared.addresses.first().expect("settings without any address have none to ask for")
    }

    /// How many connections there are, those that are being closed included.
    ///
    /// # Errors
    /// When the server has stopped.
    pub async fn connection_count(&self) -> Result<u64, Stopped> {
        Ok(self.node.report().await?.connections)
    }

    /// Every connection: who, where, what went both ways, what waits, how long it has been silent. It is asked in
    /// pieces, between which packets pass: one that comes or goes meanwhile may or may not be in it.
    ///
    /// # Errors
    /// When the server has stopped.
    pub async fn connection_stats(&self) -> Result<Vec<ConnectionStats>, Stopped> {
        self.node.connection_stats().await
    }

    /// Everything that the server counts, at one moment.
    ///
    /// # Errors
    /// When the server has stopped.
    pub async fn stats(&self) -> Result<Stats, Stopped> {
        self.node.stats().await
    }

    /// Says something to a user, on every session of that user, and says how many those are. A text is a notice for
    /// people; [`Message::Custom`] is for programs.
    ///
    /// # Errors
    /// `NameInvalid`, `UserUnknown` when the user is not online, the codes of a message when it breaks its rules, and
    /// when the server has stopped.
    pub async fn send_to_user(&self, user: &str, message: impl Into<Message>) -> Result<u32, AskError> {
        self.node.notify_user(named(user)?, message.into()).await
    }

    /// Says something to everybody in a room, and says how many they are.
    ///
    /// # Errors
    /// `RoomUnknown`, the codes of a message when it breaks its rules, and when the server has stopped.
    pub async fn broadcast_to_room(&self, room: RoomNumber, message: impl Into<Message>) -> Result<u32, AskError> {
        self.node.notify_room(room, message.into()).await
    }

    /// Says something to everybody who is online, and says how many sessions that are.
    ///
    /// # Errors
    /// The codes of a message when it breaks its rules, and when the server has stopped.
    pub async fn announce(&self, text: impl Into<String>) -> Result<u32, AskError> {
        self.node.announce(text).await
    }

    /// A room and who is in it; none without such a room.
    ///
    /// # Errors
    /// When the server has stopped.
    pub async fn room_status(&self, room: RoomNumber) -> Result<Option<RoomStatus>, Stopped> {
        self.node.room_status(room).await
    }

    /// Every room as the directory shows it, by number. It is asked in pieces: a room that comes or goes meanwhile may or
    /// may not be in it.
    ///
    /// # Errors
    /// When the server has stopped.
    pub async fn rooms(&self) -> Result<Vec<RoomSummary>, Stopped> {
        let mut rooms = Vec::new();
        let mut from = Some(RoomNumber(0));
        while let Some(number) = from {
            let page = self.node.rooms(number, PAGE_ROOMS).await?;
            rooms.extend(page.rooms.0);
            from = page.next;
        }
        Ok(rooms)
    }

    /// Removes every empty room that is not of the configuration, without waiting for its time, and says how many went.
    ///
    /// # Errors
    /// When the server has stopped.
    pub async fn cleanup_empty_rooms(&self) -> Result<u32, AskError> {
        self.node.clean_up_empty_rooms().await
    }

    /// Sends a user from a room back to the lobby, with `ban` for as long as the room exists, and says how many sessions
    /// of that user those were.
    ///
    /// # Errors
    /// `NameInvalid`, `RoomUnknown`, `UserUnknown` when the user is not in that room, `BansFull`, and when the server has
    /// stopped.
    pub async fn kick(&self, room: RoomNumber, user: &str, ban: bool) -> Result<u32, AskError> {
        self.node.kick(room, named(user)?, ban).await
    }

    /// Closes every session of a user, and those that are logging in as that user. The user may come back: who may log
    /// in is the accounts' affair.
    ///
    /// # Errors
    /// `NameInvalid`, and when the server has stopped.
    pub async fn disconnect(&self, user: &str) -> Result<(), AskError> {
        Ok(self.node.close_user(named(user)?).await?)
    }

    /// Asks a service that is registered under that name, as an extension does: within the service's own bounds of time
    /// and number, and those of the settings. The question and its answer are inputs of the engine.
    ///
    /// # Errors
    /// `TooLong` when the request is, `Unknown` without such a service, `Busy` when too many calls are under way, `TimedOut`, `Failed` when the service says
    /// so, panics, or gives too long a reply; and when the server has stopped.
    pub async fn call_service(&self, service: &str, request: impl Into<Data>) -> Result<Data, CallError> {
        // What is no name is no service's name.
        let service = service.parse().map_err(|_| CallError::Service(ServiceError::Unknown))?;
        self.node.call_service(service, request).await
    }

    /// Has the commands of an extension served again, after a panic or [`ServerHandle::disable_extension`] has disabled it.
    /// After a panic its state is that of its last copy, at most a second of calls older. Says whether it was disabled.
    ///
    /// # Errors
    /// `CommandUnknown` without such an extension, `ExtensionFailed` when it does not take up its work and stays disabled,
    /// and when the server has stopped.
    pub async fn enable_extension(&self, extension: &str) -> Result<bool, AskError> {
        self.node.set_extension(command(extension)?, true).await
    }

    /// Has the commands of an extension refused, because it stalls, for example: what waits for it is refused as well, and
    /// its deadlines and calls are dropped. Says whether it was enabled.
    ///
    /// # Errors
    /// `CommandUnknown` without such an extension, and when the server has stopped.
    pub async fn disable_extension(&self, extension: &str) -> Result<bool, AskError> {
        self.node.set_extension(command(extension)?, false).await
    }

    /// Has packets pass middleware of that name again, after it was taken out for a panic, and says how many pieces of
    /// middleware that were: none if it is unknown, or was not out.
    ///
    /// # Errors
    /// When the server has stopped.
    pub async fn enable_middleware(&self, name: &str) -> Result<u32, Stopped> {
        self.node.enable_middleware(name).await
    }

    /// A buffer of the pool that services borrow from, too
    /// ([`Extensions::buffers`](lobbyd_net::extension::Extensions::buffers)). It goes back when it is dropped.
    #[must_use]
    pub fn lend_buffer(&self) -> LentBuffer {
        self.node.lend_buffer()
    }

    /// Runs a future on the server's thread and gives what it gives; `NodeHandle::schedule` says what the lanes are. It
    /// runs on when nobody waits for it any more, and ends with the server.
    ///
    /// # Errors
    /// When the server has stopped, and when the future panics.
    pub async fn schedule<T, F>(&self, lane: Lane, future: F) -> Result<T, ScheduleError>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        self.node.schedule(lane, future).await
    }

    /// Refuses what is new, asks everybody to leave, closes each session at a moment of its own, and is done when the
    /// server has ended: after `within` at the latest, and the moment that closing takes. Given up, it goes on.
    ///
    /// # Errors
    /// When the server had stopped before, or breaks down.
    pub async fn drain(&self, within: Duration) -> Result<Report, EndError> {
        self.node.drain(within).await.map_err(|Stopped| EndError::Stopped)?;
        self.ended().await
    }

    /// Closes every session at once, tells each why, and is done when the server has ended: its addresses are free, its
    /// store is closed. Given up, it goes on.
    ///
    /// # Errors
    /// When the server had stopped before, or breaks down.
    pub async fn stop(&self) -> Result<Report, EndError> {
        self.node.stop().await.map_err(|Stopped| EndError::Stopped)?;
        self.ended().await
    }

    /// Waits until the server has ended, whoever ended it, and says how it stood then. One that has ended before says so
    /// at once.
    ///
    /// # Errors
    /// [`EndError::Broken`] when it broke down.
    pub async fn ended(&self) -> Result<Report, EndError> {
        let mut ended = self.shared.ended.clone();
        let report = ended.wait_for(Option::is_some).await.map_err(|_| EndError::Broken)?;
        report.ok_or(EndError::Broken)
    }
}

impl std::fmt::Debug for ServerHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerHandle").field("addresses", &self.shared.addresses).finish_non_exhaustive()
    }
}

fn named(user: &str) -> Result<UserName, AskError> {
    user.parse().map_err(|_| AskError::Refused(Code::NameInvalid))
}

fn command(extension: &str) -> Result<CommandName, AskError> {
    // What is no name is no extension's name.
    extension.parse().map_err(|_| AskError::Refused(Code::CommandUnknown))
}
