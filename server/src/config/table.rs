//! The table of settings: each is declared here once, with its default, what it allows and what it means. The types,
//! the defaults, the readers, the sample and the reference are all made from it.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use lobbyd_core::config::{DuplicateLogin, FRAME_BYTES_LIMIT, FRAME_BYTES_MIN};
use lobbyd_core::limits::COST_MAX;
use lobbyd_core::text::Text;
use lobbyd_net::node::SHARDS_MAX;
use lobbyd_net::redis::KeyPattern;

use super::choice::{LogFormat, RedisAuth};
use super::levels::Levels;
use super::room::{RoomSettings, general_room};
use super::size::Size;
use super::store::Store;
use super::value::{Given, Line, Refusal, Value};

/// One setting of the table.
pub(super) struct Entry {
    /// The full name: section, dot, key.
    pub(super) name: &'static str,
    /// The key inside its section.
    pub(super) key: &'static str,
    /// What it means, in lines that each begin with a space.
    pub(super) doc: &'static [&'static str],
    /// What is allowed, for people.
    pub(super) allowed: fn() -> String,
    /// Its value in these settings, as a TOML literal.
    pub(super) literal: fn(&Settings) -> String,
    /// Reads a value into these settings, or leaves them as they are.
    pub(super) read: fn(&mut Settings, Given<'_>) -> Result<(), Refusal>,
    /// A refused value for people.
    pub(super) shown: fn(Given<'_>) -> String,
    /// Sets the default again.
    pub(super) reset: fn(&mut Settings),
}

/// A section of the table, and of the file.
pub(super) struct Section {
    pub(super) name: &'static str,
    /// What it is about, in lines that each begin with a space.
    pub(super) doc: &'static [&'static str],
    pub(super) entries: &'static [Entry],
}

/// Finds a setting by its full name.
pub(super) fn entry(name: &str) -> Option<&'static Entry> {
    SECTIONS.iter().flat_map(|section| section.entries).find(|entry| entry.name == name)
}

/// A table of `key: type = default, allowed;` in sections.
macro_rules! settings {
    ($(
        $(#[doc = $section_doc:literal])+
        $section:ident: $Section:ident {
            $( $(#[doc = $doc:literal])+ $key:ident: $type:ty = $default:expr, $allowed:expr; )+
        }
    )+) => {
        /// Every setting of the daemon, checked. `Debug` shows no secret.
        #[derive(Clone, Debug, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct Settings {
            $( $(#[doc = $section_doc])+ pub $section: $Section, )+
            /// Rooms that always exist.
            pub rooms: Vec<RoomSettings>,
        }

        impl Default for Settings {
            fn default() -> Self {
                Self { $( $section: $Section::default(), )+ rooms: vec![general_room()] }
            }
        }

        $(
            $(#[doc = $section_doc])+
            #[derive(Clone, Debug, PartialEq, Eq)]
            #[non_exhaustive]
            pub struct $Section {
                $( $(#[doc = $doc])+ pub $key: $type, )+
            }

            impl Default for $Section {
                fn default() -> Self {
                    Self { $( $key: $default, )+ }
                }
            }
        )+

        /// Every section, in the order in which people read them.
        pub(super) static SECTIONS: &[Section] = &[ $( Section {
            name: stringify!($section),
            doc: &[$($section_doc),+],
            entries: &[ $( Entry {
                name: concat!(stringify!($section), ".", stringify!($key)),
                key: stringify!($key),
                doc: &[$($doc),+],
                allowed: || <$type as Value>::allowed(&$allowed),
                literal: |settings| settings.$section.$key.literal(),
                read: |settings, given| {
                    settings.$section.$key = <$type as Value>::read(given, &$allowed)?;
                    Ok(())
                },
                shown: <$type as Value>::shown,
                reset: |settings| settings.$section.$key = $default,
            }, )+ ],
        }, )+ ];
    };
}

const fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

const HOUR: Duration = seconds(60 * 60);
const DAY: Duration = seconds(24 * 60 * 60);
/// The most of anything that is counted for each session.
const SESSIONS_LIMIT: u32 = 10_000_000;
/// The most that a rate may be; without a practical effect beyond.
const RATE_LIMIT: u32 = 1_000_000;
/// The most that a burst may be.
const BURST_LIMIT: u32 = 1_000_000_000;

/// As many as a node may have.
const IO_THREADS_MAX: u32 = SHARDS_MAX as u32;

fn pattern(text: &str) -> KeyPattern {
    KeyPattern::parse(text).expect("the defaults of the table hold {user} once")
}

settings! {
    /// What the server is called, where it listens, and where it keeps what must outlive it.
    server: ServerSettings {
        /// Where clients connect by TCP: one address and port, or a list of them. Port 0 takes any free port. Beyond
        /// the loopback address, passwords travel in clear.
        listen: Vec<SocketAddr> = vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 7400))], ();
        /// The server's name, which clients are told.
        name: Text = Text::new("lobbyd"), Line::ServerName;
        /// The folder for accounts of the embedded store and for the socket of `lobbyd user`. Made if it is missing.
        data: PathBuf = PathBuf::from("lobbyd-data"), ();
        /// Where accounts and presence live: in the data folder, or in a Redis that several daemons may share. A URL
        /// with a password belongs into the file or the environment, not on the command line, where others see it.
        store: Store = Store::Embedded, ();
        /// How long a stop may take: in this time clients are asked to leave; at its end the rest are closed.
        drain_timeout: Duration = seconds(20), Duration::ZERO..=HOUR;
        /// Threads that read and write for the clients, which are spread over them. One is enough for most servers, and
        /// the cheapest; more than there are processors are of no use.
        io_threads: u32 = 1, 1..=IO_THREADS_MAX;
    }

    /// The life of a session.
    session: SessionSettings {
        /// Silence after which a client is pinged; after three times this it is closed.
        heartbeat_interval: Duration = seconds(20), millis(1)..=DAY;
        /// How long a connection may stay without being logged in, and without a login under way.
        login_grace: Duration = seconds(30), millis(1)..=DAY;
        /// How long a login may wait for the store. With Redis it must be longer than redis.response_timeout.
        login_timeout: Duration = seconds(5), millis(1)..=DAY;
        /// What happens when a user who is online logs in again: the second login is refused, or it closes the first
        /// session if its secret is right, or both stay.
        duplicate_login: DuplicateLogin = DuplicateLogin::Reject, ();
    }

    /// What bounds the server and each client. A rate allows so many at once (its burst), and again so many a second
    /// or minute.
    limits: LimitSettings {
        /// The most connections.
        sessions_max: u32 = 10_000, 1..=SESSIONS_LIMIT;
        /// The most connections from one address (for IPv6: from one /64 network).
        sessions_per_address_max: u32 = 500, 1..=SESSIONS_LIMIT;
        /// How many times a second one address may connect.
        connects_per_address_per_second: u32 = 50, 1..=RATE_LIMIT;
        /// How many times at once one address may connect.
        connects_per_address_burst: u32 = 500, 1..=BURST_LIMIT;
        /// The most users online.
        users_max: u32 = 10_000, 1..=SESSIONS_LIMIT;
        /// The most logins waiting for their verdict.
        logins_pending_max: u32 = 1_000, 1..=SESSIONS_LIMIT;
        /// Failed logins after which a connection is closed.
        login_failures_per_session_max: u32 = 5, 1..=1_000_000;
        /// How many times a minute logins may fail for one user name.
        login_failures_per_user_per_minute: u32 = 6, 1..=RATE_LIMIT;
        /// How many times at once logins may fail for one user name; one that has no verdict yet counts.
        login_failures_per_user_burst: u32 = 10, 1..=BURST_LIMIT;
        /// How many times a minute logins may fail from one address.
        login_failures_per_address_per_minute: u32 = 60, 1..=RATE_LIMIT;
        /// How many times at once logins may fail from one address; one that has no verdict yet counts. Not less than
        /// the users who may come back from there at the same moment.
        login_failures_per_address_burst: u32 = 500, 1..=BURST_LIMIT;
        /// The most addresses, and the most user names, whose attempts are remembered.
        remembered_max: u32 = 65_536, 1..=SESSIONS_LIMIT;
        /// How much a client may ask for in a second. A message costs 1, a login 10, other requests between.
        flood_per_second: u32 = 50, 1..=RATE_LIMIT;
        /// How much a client may ask for at once.
        flood_burst: u32 = 100, COST_MAX..=BURST_LIMIT;
        /// How many times a second a client may go on asking while it is refused; over this it is closed.
        flood_refusals_per_second: u32 = 10, 1..=RATE_LIMIT;
        /// How many times at once a client may go on asking while it is refused.
        flood_refusals_burst: u32 = 50, 1..=BURST_LIMIT;
        /// The most bytes in the text of a message. It must fit in a frame.
        text_bytes_max: Size = Size::bytes(2_000), Size::bytes(1)..=Size::bytes(FRAME_BYTES_LIMIT);
        /// The most bytes in a frame's payload, both ways.
        frame_bytes_max: Size = Size::kib(16), Size::bytes(FRAME_BYTES_MIN)..=Size::bytes(FRAME_BYTES_LIMIT);
        /// The most bytes waiting to be sent to one client; over this it is closed. At least two frames.
        outbox_bytes_max: Size = Size::mib(1), Size::bytes(2 * FRAME_BYTES_MIN)..=Size::mib(1024);
    }

    /// The lobby and its rooms.
    lobby: LobbySettings {
        /// Rooms with numbers from 1 to this are created when somebody first enters them; 0 for none.
        open_rooms_max: u32 = 0, 0..=SESSIONS_LIMIT;
        /// The most rooms, fixed ones included.
        rooms_max: u32 = 10_000, 1..=SESSIONS_LIMIT;
        /// The most members that any room may hold. A full room's list of members must fit in half an outbox.
        room_members_max: u32 = 1_000, 1..=SESSIONS_LIMIT;
        /// The most rooms that exist by one user's creation; 0 if users may create none.
        rooms_per_user_max: u32 = 3, 0..=SESSIONS_LIMIT;
        /// How many rooms a minute one user may create.
        room_creations_per_user_per_minute: u32 = 6, 1..=RATE_LIMIT;
        /// How many rooms at once one user may create.
        room_creations_per_user_burst: u32 = 3, 1..=BURST_LIMIT;
        /// How long a room that is not fixed stays when nobody is in it.
        empty_room_timeout: Duration = seconds(60), Duration::ZERO..=DAY;
        /// How many times a minute one user may be wrong about room passwords.
        room_password_failures_per_user_per_minute: u32 = 6, 1..=RATE_LIMIT;
        /// How many times at once one user may be wrong about room passwords.
        room_password_failures_per_user_burst: u32 = 5, 1..=BURST_LIMIT;
        /// The most bans that one room holds.
        bans_per_room_max: u32 = 256, 0..=1_000_000;
    }

    /// What bounds commands and services. A server that nobody extends uses none of it.
    extensions: ExtensionSettings {
        /// The most commands waiting for an extension's answer; further ones are told to try again.
        commands_waiting_max: u32 = 1_000, 0..=SESSIONS_LIMIT;
        /// The most of these that one client waits for.
        commands_waiting_per_session_max: u32 = 8, 0..=SESSIONS_LIMIT;
        /// How long a command may wait for an extension's answer.
        command_timeout: Duration = seconds(60), millis(1)..=DAY;
        /// The most calls of services that are under way.
        service_calls_max: u32 = 256, 0..=SESSIONS_LIMIT;
        /// How long a call of a service may be under way.
        service_timeout: Duration = seconds(5), millis(1)..=DAY;
        /// The most deadlines that one extension may have set.
        extension_deadlines_max: u32 = 10_000, 0..=SESSIONS_LIMIT;
    }

    /// How passwords are hashed. The defaults are what the OWASP password storage cheat sheet advises for argon2id.
    accounts: AccountSettings {
        /// Threads that hash passwords, on Linux with a lower priority than all others; each takes the memory below while
        /// it works.
        hash_threads: u32 = 1, 1..=64;
        /// The most logins waiting for a hash; further ones are told to try again.
        hash_queue_max: u32 = 256, 1..=65_536;
        /// Memory for one hash, counted in whole KiB.
        argon2_memory: Size = Size::mib(19), Size::kib(128)..=Size::mib(1024);
        /// Passes over that memory for one hash.
        argon2_iterations: u32 = 2, 1..=100;
        /// Lanes of one hash.
        argon2_parallelism: u32 = 1, 1..=16;
    }

    /// How Redis is used, where `server.store` names one.
    redis: RedisSettings {
        /// What a login's secret is checked against: a password's hash that `lobbyd user` wrote, or a token that
        /// another service wrote.
        auth: RedisAuth = RedisAuth::Argon2id, ();
        /// The key of a user's account.
        account_key: KeyPattern = pattern("lobbyd:account:{user}"), ();
        /// The key of a user's token, for auth = "token".
        token_key: KeyPattern = pattern("lobbyd:token:{user}"), ();
        /// The key of a user's presence, by which one user is online once across daemons.
        presence_key: KeyPattern = pattern("lobbyd:presence:{user}"), ();
        /// How long the presence of a user outlives a daemon that crashed. At least three times response_timeout,
        /// since it is renewed every third of its life.
        lease: Duration = seconds(30), millis(100)..=HOUR;
        /// How long connecting to Redis may take.
        connect_timeout: Duration = seconds(2), millis(1)..=HOUR;
        /// How long Redis may take to answer; then the connection is given up and made anew.
        response_timeout: Duration = seconds(1), millis(1)..=HOUR;
    }

    /// The journal: everything that happens to the server, in files from which `lobbyd replay` makes it happen again.
    /// What people say is in them, and who they are; no password or token is.
    journal: JournalSettings {
        /// Whether one is written.
        enabled: bool = false, ();
        /// The folder for its files, of one server only. Made if it is missing.
        folder: PathBuf = PathBuf::from("lobbyd-journal"), ();
        /// How long a file may grow before the next one begins, besides the server's state that each begins with.
        file_bytes_max: Size = Size::mib(64), Size::kib(64)..=Size::mib(1024);
        /// How much is kept: when a file begins and all others together are longer than so many of that length, the oldest
        /// are removed.
        files_max: u32 = 16, 2..=1_000_000;
        /// The most bytes that wait for the disk. What is more is not recorded: nobody waits for the journal.
        buffer_bytes_max: Size = Size::mib(16), Size::kib(64)..=Size::mib(1024);
    }

    /// What the server writes about itself, to standard error.
    log: LogSettings {
        /// Lines for people, or one JSON object for each line.
        format: LogFormat = LogFormat::Text, ();
        /// Which lines: a level, or levels by target such as "info,lobbyd_net=debug".
        levels: Levels = Levels::info(), ();
    }
}
