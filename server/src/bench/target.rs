//! What is measured: lobbyd, the floor, and the servers that others use for the same.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

/// A server to measure.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Target {
    /// A lobbyd of its own, started from this program.
    Lobbyd {
        /// How it is called in the report.
        name: String,
        /// The program.
        program: PathBuf,
        /// Its I/O threads, if not as many as it is set to. With several it may use all processors.
        io_threads: Option<u32>,
    },
    /// A lobbyd that runs already.
    Address(SocketAddr),
    /// The floor: the least that a server can do (see `floor.rs`).
    Floor {
        /// The program that has it: a lobbyd.
        program: PathBuf,
    },
    /// Redis pub/sub.
    Redis,
    /// NATS.
    Nats,
    /// Mosquitto, with QoS 0.
    Mosquitto,
    /// ngIRCd.
    Ngircd,
    /// InspIRCd.
    Inspircd,
}

impl Target {
    /// The name of the program in `PATH`, and the package of Debian that brings it; absent for what needs none.
    #[must_use]
    pub fn foreign_program(&self) -> Option<&'static str> {
        match self {
            Self::Lobbyd { .. } | Self::Address(_) | Self::Floor { .. } => None,
            Self::Redis => Some("redis-server"),
            Self::Nats => Some("nats-server"),
            Self::Mosquitto => Some("mosquitto"),
            Self::Ngircd => Some("ngircd"),
            Self::Inspircd => Some("inspircd"),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lobbyd { name, .. } => f.pad(name),
            Self::Address(address) => f.pad(&address.to_string()),
            Self::Floor { .. } => f.pad("floor"),
            Self::Redis => f.pad("redis"),
            Self::Nats => f.pad("nats"),
            Self::Mosquitto => f.pad("mosquitto"),
            Self::Ngircd => f.pad("ngircd"),
            Self::Inspircd => f.pad("inspircd"),
        }
    }
}
