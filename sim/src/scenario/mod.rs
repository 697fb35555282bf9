//! Scenarios: what is set up, what happens step by step, and what must come of it. One file runs on every layer.
//!
//! `grammar.md` beside this file says how one is written.

pub mod fields;
pub mod parse;
pub mod print;

mod error;
mod expectations;
mod faults;
mod names;
mod operations;
pub(crate) mod packets;
mod parties;
mod settings;
mod setup;
mod span;
pub(crate) mod tokens;

use std::time::Duration;

use lobbyd_core::config::Config;
use lobbyd_core::id::RoomNumber;
use lobbyd_core::name::UserName;

pub use self::error::ParseError;
pub use self::parse::parse;
pub use self::parties::Touch;
pub use self::print::print;
pub use self::span::Span;

/// A scenario, as a file says it.
#[derive(Clone, Debug, PartialEq)]
pub struct Scenario {
    /// The sentence that it holds, from the first comment of the file.
    pub title: String,
    /// What is there before the first step.
    pub setup: Setup,
    /// What happens, in order.
    pub steps: Vec<Step>,
}

/// What is there before the first step.
#[derive(Clone, Debug, PartialEq)]
pub struct Setup {
    /// The engine's configuration: the defaults, and what `set` and `room` lines change. Room passwords are kept apart
    /// from it, since only a node can seal them.
    pub config: Config,
    /// Passwords of the fixed rooms.
    pub room_passwords: Vec<(RoomNumber, String)>,
    /// Who may log in.
    pub accounts: Vec<Account>,
    /// The daemons, each started before the first step. Without a line there is one, `server`.
    pub daemons: Vec<String>,
    /// Where accounts and presence live.
    pub store: Store,
    /// The I/O threads of each daemon, at least 1. The turmoil layer runs as many shards on one thread, and lets a seed
    /// say which goes on when; the pure layer has none.
    pub io_threads: u32,
    /// How the network is between all hosts until a fault changes it.
    pub network: Network,
    /// Whether anything may arrive and anything may be tried (`expect anything`): packets that no expectation asks for
    /// pass by, and what makes no sense at its moment is passed over. So is a scenario that a search has made.
    pub is_loose: bool,
}

/// Who may log in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The name.
    pub user: UserName,
    /// The password or token.
    pub secret: String,
    /// What to show instead of the name.
    pub nickname: Option<String>,
    /// Whether the user may kick in every room.
    pub administrator: bool,
}

/// Where accounts and presence live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Store {
    /// A list inside each daemon; no presence is shared.
    Listed,
    /// A Redis that all daemons share: a model of it in simulation, a real one on the live layer. Accounts are tokens.
    Redis,
}

/// How the network is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// The least and the most time that bytes are under way.
    pub latency: (Duration, Duration),
    /// If given, every write and every read moves at most a random number of bytes up to this.
    pub chop: Option<u32>,
}

impl Default for Network {
    /// Two milliseconds each way: near, and the turmoil layer is the faster for it
    /// ([`tick`](crate::layers::turmoil::tick())).
    fn default() -> Self {
        Self { latency: (Duration::from_millis(2), Duration::from_millis(2)), chop: None }
    }
}

/// Something that happens, and what must come of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// The line of the file, counted from 1; 0 for a step that no file says.
    pub line: u32,
    /// What happens.
    pub event: Event,
    /// What must arrive, and where. At each client exactly these packets, in this order; between clients, any order.
    pub expects: Vec<Expectation>,
    /// How long that may take.
    pub within: Duration,
}

/// How long a step's expectations may take unless it says `within`.
pub const WITHIN: Duration = Duration::from_secs(5);

/// What happens in a step.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A client does something.
    Client {
        /// Which. A client exists from its first connect on.
        client: String,
        /// What.
        operation: Operation,
    },
    /// Several things happen at once: each is begun before anything comes of the first.
    Together(Vec<Step>),
    /// Something breaks or heals.
    Fault(Fault),
    /// Time passes.
    Advance(Duration),
    /// Nothing happens; the step is there for what must arrive.
    Wait,
    /// The state of a daemon is looked at.
    Check {
        /// Which daemon.
        daemon: String,
        /// What must be so.
        check: Check,
    },
}

/// What a client does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Opens a connection, in place of the one it has (which stays as it is, unattended).
    Connect {
        /// To which daemon.
        daemon: String,
    },
    /// Says hello.
    Hello {
        /// The protocol version it asks for.
        version: u32,
    },
    /// Logs in.
    Login {
        /// The name, as it is typed.
        user: String,
        /// The password or token.
        secret: String,
    },
    /// Logs out.
    Logout,
    /// Asks for a page of the directory.
    RoomList {
        /// From this number on.
        from: RoomNumber,
        /// This many.
        limit: u32,
    },
    /// Creates a room.
    RoomCreate {
        /// The title, as it is typed.
        title: String,
        /// The most members.
        capacity: u32,
        /// If it is protected.
        password: Option<String>,
    },
    /// Enters a room.
    RoomEnter {
        /// Which.
        room: RoomNumber,
        /// If it is given.
        password: Option<String>,
    },
    /// Leaves a room.
    RoomLeave {
        /// Which.
        room: RoomNumber,
    },
    /// Says something in a room.
    RoomChat {
        /// Which.
        room: RoomNumber,
        /// What; any bytes.
        text: Vec<u8>,
    },
    /// Says something to one user.
    DirectMessage {
        /// To whom, as it is typed.
        user: String,
        /// What; any bytes.
        text: Vec<u8>,
    },
    /// Kicks a member.
    Kick {
        /// From which room.
        room: RoomNumber,
        /// Whom: the client whose present login it is.
        client: String,
        /// Whether for good.
        ban: bool,
    },
    /// Asks an extension of the server for something.
    Command {
        /// The command's name, as it is typed.
        name: String,
        /// Its parameters; any bytes.
        parameters: Vec<u8>,
        /// What the client's clock says, in milliseconds since 1970; 0 without one.
        timestamp: u64,
    },
    /// Pings.
    Ping {
        /// With this nonce.
        nonce: u64,
    },
    /// Sends bytes as they are.
    Raw(Vec<u8>),
    /// Ends its writing half.
    HalfClose,
    /// Closes its connection properly.
    Close,
    /// Cuts its connection with a reset.
    Reset,
    /// Is gone without a word: neither reads, writes nor answers any more, and the other side learns nothing.
    Vanish,
    /// Does not read any more.
    StopReading,
    /// Reads again.
    ResumeReading,
}

/// Something that breaks or heals.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing passes between two hosts any more.
    Partition {
        /// One.
        from: String,
        /// The other.
        to: String,
        /// Only what goes from the one to the other is lost.
        one_way: bool,
    },
    /// What was partitioned is whole again.
    Repair {
        /// One.
        from: String,
        /// The other.
        to: String,
    },
    /// What is sent between two hosts waits.
    Hold {
        /// One.
        from: String,
        /// The other.
        to: String,
    },
    /// What waits arrives.
    Release {
        /// One.
        from: String,
        /// The other.
        to: String,
    },
    /// Between two hosts bytes are this long under way.
    Latency {
        /// One.
        from: String,
        /// The other.
        to: String,
        /// The least and the most.
        latency: (Duration, Duration),
    },
    /// A daemon is gone from one moment to the next.
    Crash {
        /// Which.
        daemon: String,
    },
    /// A crashed daemon starts again, knowing nothing.
    Restart {
        /// Which.
        daemon: String,
    },
    /// A daemon is told to drain.
    Drain {
        /// Which.
        daemon: String,
        /// Within this time.
        within: Duration,
    },
    /// A daemon is told to stop at once.
    Stop {
        /// Which.
        daemon: String,
    },
    /// The operator of a daemon closes a user's sessions.
    CloseUser {
        /// Which daemon.
        daemon: String,
        /// Whose.
        user: UserName,
    },
    /// The operator of a daemon asks a service.
    Ask {
        /// Which daemon.
        daemon: String,
        /// What comes of it.
        served: Served,
    },
    /// The process of a daemon does not run for this long.
    Stall {
        /// Which.
        daemon: String,
        /// For how long.
        gap: Duration,
    },
    /// Something about Redis.
    Redis(RedisFault),
}

/// What a service does that the operator asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Served {
    /// It answers after this time.
    Answers(Duration),
    /// It says after this time that it has failed.
    Fails(Duration),
    /// It never answers.
    Never,
}

/// Something that breaks or heals in Redis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RedisFault {
    /// Its process is gone: connections are reset, new ones refused.
    Crash,
    /// It starts again, with the data it had.
    Restart,
    /// It starts again, empty but for the accounts.
    RestartEmpty,
    /// It takes commands and answers none.
    Freeze,
    /// It answers again, the commands it took first.
    Thaw,
    /// Every answer takes this long.
    Slow(Duration),
    /// Every answer is of the wrong type.
    Lie,
    /// Every answer is no RESP at all.
    Garble,
    /// It answers as it should again.
    Heal,
}

/// What must be so in a daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// No session, no user, no lease, no deadline and no buffer is left, and no room but the fixed ones.
    Empty,
    /// This many sessions.
    Sessions(u32),
    /// This many users online.
    Online(u32),
    /// This many rooms.
    Rooms(u32),
}

/// What must arrive at a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expectation {
    /// At which client.
    pub client: String,
    /// What.
    pub what: Expected,
}

/// What must arrive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// A packet.
    Packet(Pattern),
    /// One of these packets.
    AnyOf(Vec<Pattern>),
    /// The end of the connection.
    Closed,
    /// Nothing at all, until everything that is under way has arrived.
    Nothing,
}

/// A packet, or some of its fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    /// The packet's name, such as `RoomChatNotify`.
    pub packet: String,
    /// Fields and their values, written as [`fields::of`] writes them. A field that is not named may have any value.
    pub fields: Vec<(String, String)>,
}

#[cfg(test)]
mod tests;
