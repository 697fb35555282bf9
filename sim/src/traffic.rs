//! What moves between hosts, as far as a layer can see it: each thing that leaves a host, and what becomes of it.
//!
//! The trace says what clients began and what arrived at them. This says what was on its way in between, and it is there
//! for diagrams: nothing is judged by it, and it is no part of a trace's text or digest.

use std::time::Duration;

use lobbyd_core::packet::ServerPacket;

/// Something that was seen between two hosts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// When, since the start of the scenario.
    pub at: Duration,
    /// How many entries the trace had by then: it happened before the next one.
    pub entries: usize,
    /// What.
    pub what: Seen,
}

/// What was seen. A number stands for one thing under way, from its departure to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// It left its host.
    Sent {
        /// Its number, counted from 1.
        number: u32,
        /// The host that it left.
        from: String,
        /// The host that it is meant for.
        to: String,
        /// What it is.
        cargo: Cargo,
    },
    /// All of it arrived, and was taken.
    Arrived {
        /// Its number.
        number: u32,
    },
    /// It will never arrive.
    Lost {
        /// Its number.
        number: u32,
    },
}

/// What is under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cargo {
    /// What a client's operation sends: the operation that began last.
    Operation,
    /// A client's answer to a ping of the server's.
    Pong {
        /// The nonce of that ping.
        nonce: u64,
    },
    /// A packet to a client.
    Packet(ServerPacket),
    /// The end of a daemon's stream to a client.
    End,
    /// A command to Redis, in words.
    Command(String),
    /// What Redis says, in words.
    Reply(String),
}
