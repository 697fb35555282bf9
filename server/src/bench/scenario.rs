//! The scenarios: named loads.

use serde::Serialize;

use super::load::{Drive, Load, Rooms, Storm};
use super::target::Target;

/// A named load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Scenario {
    /// S1: rooms of 10, each client keeps 8 messages under way.
    Saturation,
    /// S1 with 1 message under way: coalescing hides little.
    Saturation1,
    /// S2: the same clients, 5,000 messages a second on a fixed schedule.
    Paced,
    /// S3: one room of 1,000, 100 messages a second.
    BigRoom,
    /// S4: 10,000 joined silent connections.
    Idle,
    /// 15,000 joined silent connections.
    #[serde(rename = "idle-15k")]
    Idle15k,
    /// Rooms of very different sizes, paced.
    Zipf,
    /// One member of each room of 10 does not read; the others keep 8 messages under way.
    SlowReaders,
    /// Texts of 1 KiB, 1 under way.
    #[serde(rename = "text-1k")]
    Text1k,
    /// Texts of 8 KiB, 1 under way.
    #[serde(rename = "text-8k")]
    Text8k,
    /// Clients leave and enter rooms of 10 all the time.
    JoinLeave,
    /// Connections log in and out by tokens in Redis, 20,000 times a second, beside paced chat.
    LoginToken,
    /// The same by passwords with argon2id at the default cost, as fast as they are answered.
    LoginArgon2,
    /// Clients connect, are greeted and drop the connection all the time.
    Connects,
}

/// Where the users of a server that a scenario starts come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Accounts {
    /// The embedded store, with the cheapest hash that the configuration allows: logins are not what is measured.
    Cheap,
    /// The embedded store, with the default hash.
    Argon2,
    /// Tokens in a Redis.
    Token,
}

impl Accounts {
    /// The same, for the report.
    #[must_use]
    pub fn about(self) -> &'static str {
        match self {
            Self::Cheap => "users in the embedded store, argon2id with 128 KiB and 1 pass",
            Self::Argon2 => "users in the embedded store, argon2id with 19 MiB and 2 passes",
            Self::Token => "users in Redis, with tokens",
        }
    }
}

impl Scenario {
    /// All, in the order in which they are shown.
    pub const ALL: [Self; 14] = [
        Self::Saturation,
        Self::Saturation1,
        Self::Paced,
        Self::BigRoom,
        Self::Idle,
        Self::Idle15k,
        Self::Zipf,
        Self::SlowReaders,
        Self::Text1k,
        Self::Text8k,
        Self::JoinLeave,
        Self::LoginToken,
        Self::LoginArgon2,
        Self::Connects,
    ];

    /// What is run when nothing is named: S1 (twice), S2, S3, S4.
    pub const DEFAULT: [Self; 5] = [Self::Saturation, Self::Saturation1, Self::Paced, Self::BigRoom, Self::Idle];

    /// The name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Saturation => "saturation",
            Self::Saturation1 => "saturation-1",
            Self::Paced => "paced",
            Self::BigRoom => "big-room",
            Self::Idle => "idle",
            Self::Idle15k => "idle-15k",
            Self::Zipf => "zipf",
            Self::SlowReaders => "slow-readers",
            Self::Text1k => "text-1k",
            Self::Text8k => "text-8k",
            Self::JoinLeave => "join-leave",
            Self::LoginToken => "login-token",
            Self::LoginArgon2 => "login-argon2",
            Self::Connects => "connects",
        }
    }

    /// What it asks of the server, in a sentence without its numbers, which [`Scenario::load`] has.
    #[must_use]
    pub fn about(self) -> &'static str {
        match self {
            Self::Saturation => "S1: rooms of 10, each client keeps 8 messages under way",
            Self::Saturation1 => "S1 with 1 message under way",
            Self::Paced => "S2: rooms of 10, messages on a fixed schedule",
            Self::BigRoom => "S3: one room, messages on a fixed schedule",
            Self::Idle => "S4: joined silent connections",
            Self::Idle15k => "joined silent connections, 15,000 of them",
            Self::Zipf => "the n-th room has a share of 1/n of the clients, messages on a fixed schedule",
            Self::SlowReaders => "rooms of 10 in which one does not read, the others keep 8 messages under way",
            Self::Text1k => "texts of 1 KiB, 1 message under way",
            Self::Text8k => "texts of 8 KiB, 1 message under way",
            Self::JoinLeave => "clients leave and enter rooms of 10 all the time",
            Self::LoginToken => "connections log out and in by tokens in Redis on a schedule, beside paced chat",
            Self::LoginArgon2 => "connections log out and in by argon2id at the default cost, beside paced chat",
            Self::Connects => "clients connect, are greeted and drop the connection all the time",
        }
    }

    /// The load, with its usual numbers where `clients` and `rooms` say nothing else. Paces go with the clients.
    #[must_use]
    pub fn load(self, clients: Option<u32>, rooms: Option<u32>) -> Load {
        let usual_clients = match self {
            Self::Saturation | Self::Saturation1 | Self::Paced | Self::Zipf | Self::SlowReaders => 500,
            Self::Text1k | Self::Text8k | Self::JoinLeave => 500,
            Self::LoginToken | Self::LoginArgon2 => 100,
            Self::BigRoom => 1_000,
            Self::Idle => 10_000,
            Self::Idle15k => 15_000,
            Self::Connects => 200,
        };
        let clients = clients.unwrap_or(usual_clients);
        let share = f64::from(clients) / f64::from(usual_clients);
        let of_ten = rooms.unwrap_or(clients.div_ceil(10));
        let load = Load {
            clients,
            rooms: Rooms::Equal(of_ten),
            text_bytes: 64,
            drive: Drive::Silence,
            sleepers_per_room: 0,
            storm: None,
        };
        match self {
            Self::Saturation => Load { drive: Drive::UnderWay(8), ..load },
            Self::Saturation1 => Load { drive: Drive::UnderWay(1), ..load },
            Self::Paced => Load { drive: Drive::Paced(5_000.0 * share), ..load },
            Self::BigRoom => Load { rooms: Rooms::Equal(rooms.unwrap_or(1)), drive: Drive::Paced(100.0), ..load },
            Self::Idle | Self::Idle15k => load,
            Self::Zipf => Load { rooms: Rooms::Zipf(of_ten), drive: Drive::Paced(1_000.0 * share), ..load },
            Self::SlowReaders => Load { drive: Drive::UnderWay(8), sleepers_per_room: 1, ..load },
            Self::Text1k => Load { drive: Drive::UnderWay(1), text_bytes: 1024, ..load },
            Self::Text8k => Load { drive: Drive::UnderWay(1), text_bytes: 8 * 1024, ..load },
            Self::JoinLeave => Load { drive: Drive::Hop, ..load },
            Self::LoginToken => {
                let storm = Storm { connections: 5 * clients, per_second: Some(20_000.0 * share) };
                Load { drive: Drive::Paced(1_000.0 * share), storm: Some(storm), ..load }
            }
            // Passwords take milliseconds each: more would only wait for each other until they are refused.
            Self::LoginArgon2 => {
                let storm = Storm { connections: clients.div_ceil(5), per_second: None };
                Load { drive: Drive::Paced(1_000.0 * share), storm: Some(storm), ..load }
            }
            Self::Connects => Load { drive: Drive::Reconnect, ..load },
        }
    }

    /// Where the users come from.
    #[must_use]
    pub fn accounts(self) -> Accounts {
        match self {
            Self::LoginToken => Accounts::Token,
            Self::LoginArgon2 => Accounts::Argon2,
            Self::Saturation
            | Self::Saturation1
            | Self::Paced
            | Self::BigRoom
            | Self::Idle
            | Self::Idle15k
            | Self::Zipf
            | Self::SlowReaders
            | Self::Text1k
            | Self::Text8k
            | Self::JoinLeave
            | Self::Connects => Accounts::Cheap,
        }
    }

    /// Why this scenario means nothing for that server, if so.
    #[must_use]
    pub fn unfit(self, target: &Target) -> Option<&'static str> {
        let is_lobbyd = matches!(target, Target::Lobbyd { .. } | Target::Address(_));
        match self {
            Self::LoginToken | Self::LoginArgon2 if !is_lobbyd => Some("it has no logins like these"),
            Self::LoginToken | Self::LoginArgon2 if matches!(target, Target::Address(_)) => {
                Some("the store of a server that runs already is not known")
            }
            Self::Text1k | Self::Text8k if matches!(target, Target::Ngircd | Target::Inspircd) => {
                Some("its lines have at most 512 bytes")
            }
            Self::Saturation
            | Self::Saturation1
            | Self::Paced
            | Self::BigRoom
            | Self::Idle
            | Self::Idle15k
            | Self::Zipf
            | Self::SlowReaders
            | Self::Text1k
            | Self::Text8k
            | Self::JoinLeave
            | Self::LoginToken
            | Self::LoginArgon2
            | Self::Connects => None,
        }
    }
}
