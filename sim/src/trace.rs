//! The trace: what was done and what arrived, as values that become lines when somebody reads them.
//!
//! Two runs of one scenario with one seed have the same trace to the byte, so its [`Trace::digest`] stands for the run.
//! Secrets are left out: a trace can be shown to anybody.

use std::fmt;
use std::time::Duration;

use crate::layers::Arrival;
use crate::scenario::{Check, Fault, Operation, RedisFault, Served, fields};
use crate::traffic::{Seen, Sighting};

/// What happened in a run, in its order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    entries: Vec<Entry>,
    sightings: Vec<Sighting>,
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// When, since the start of the scenario.
    pub at: Duration,
    /// In the step of which line of the file; 0 when no file says the step.
    pub line: u32,
    /// What.
    pub what: What,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A client began something.
    Began {
        /// Which client.
        client: String,
        /// What it began.
        operation: Operation,
    },
    /// A fault was injected, or healed.
    Injected(Fault),
    /// Something arrived at a client.
    Arrived {
        /// Which client.
        client: String,
        /// What.
        arrival: Arrival,
    },
    /// A daemon was looked at, and it was so.
    Checked {
        /// Which daemon.
        daemon: String,
        /// What was looked at.
        check: Check,
    },
    /// A step had let time pass.
    Advanced(Duration),
    /// A step, or a part of one, was not done because the layer cannot, or because it made no sense at its moment and
    /// the scenario is loose.
    Skipped(String),
    /// The state of a daemon's engine at the end of a step.
    Digest {
        /// Which daemon.
        daemon: String,
        /// The engine's own digest.
        digest: u64,
    },
}

impl Trace {
    /// A trace of nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds what happened after everything that is there.
    pub fn push(&mut self, entry: Entry) {
        self.entries.push(entry);
    }

    /// What happened, in its order.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Adds what was seen between hosts after everything that is there.
    pub fn see(&mut self, at: Duration, what: Seen) {
        self.sightings.push(Sighting { at, entries: self.entries.len(), what });
    }

    /// What was seen between hosts, in its order; nothing unless the layer was asked to watch. It is no part of the text
    /// and the digest.
    #[must_use]
    pub fn sightings(&self) -> &[Sighting] {
        &self.sightings
    }

    /// The same as text, a line for each entry.
    pub fn lines(&self) -> impl DoubleEndedIterator<Item = String> {
        self.entries.iter().map(Entry::to_string)
    }

    /// FNV-1a with 64 bits over the text: equal for equal runs, in every build and on every machine.
    #[must_use]
    pub fn digest(&self) -> u64 {
        let mut digest = Fnv::new();
        for line in self.lines() {
            digest.eat(line.as_bytes());
            digest.eat(b"\n");
        }
        digest.0
    }
}

impl fmt::Display for Trace {
    /// Every line, each with its end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.entries.iter().try_for_each(|entry| writeln!(f, "{entry}"))
    }
}

impl fmt::Display for Entry {
    /// `<seconds> <who> <what>`, with the time in microseconds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>13} ", seconds(self.at))?;
        match &self.what {
            What::Began { client, operation } => write!(f, "{client}: {}", operation_line(operation)),
            What::Injected(fault) => write!(f, "fault: {}", fault_line(fault)),
            What::Arrived { client, arrival } => write!(f, "-> {client}: {}", arrival_line(arrival)),
            What::Checked { daemon, check } => write!(f, "check {daemon}: {}", check_line(*check)),
            What::Advanced(by) => write!(f, "advanced {by:?}"),
            What::Skipped(what) => write!(f, "skipped: {what}"),
            What::Digest { daemon, digest } => write!(f, "digest {daemon}: {digest:016x}"),
        }
    }
}

/// What arrived, on one line.
#[must_use]
pub fn arrival_line(arrival: &Arrival) -> String {
    match arrival {
        Arrival::Packet(packet) => fields::line(packet),
        Arrival::Closed => "closed".to_owned(),
    }
}

/// What a client did, on one line, without its secrets.
#[must_use]
pub fn operation_line(operation: &Operation) -> String {
    let protected = |password: &Option<String>| if password.is_some() { " with a password" } else { "" };
    match operation {
        Operation::Connect { daemon } => format!("connect {daemon}"),
        Operation::Hello { version } => format!("hello version={version}"),
        Operation::Login { user, secret: _ } => format!("login {user:?}"),
        Operation::Logout => "logout".to_owned(),
        Operation::RoomList { from, limit } => format!("room-list from={from} limit={limit}"),
        Operation::RoomCreate { title, capacity, password } => {
            format!("room-create {title:?} capacity={capacity}{}", protected(password))
        }
        Operation::RoomEnter { room, password } => format!("room-enter {room}{}", protected(password)),
        Operation::RoomLeave { room } => format!("room-leave {room}"),
        Operation::RoomChat { room, text } => format!("room-chat {room} \"{}\"", text.escape_ascii()),
        Operation::DirectMessage { user, text } => format!("direct-message {user:?} \"{}\"", text.escape_ascii()),
        Operation::Kick { room, client, ban } => {
            format!("kick {client} from={room}{}", if *ban { " for good" } else { "" })
        }
        Operation::Command { name, parameters, timestamp } => {
            format!("command {name:?} \"{}\" timestamp={timestamp}", parameters.escape_ascii())
        }
        Operation::Ping { nonce } => format!("ping {nonce}"),
        Operation::Raw(bytes) => format!("raw \"{}\"", bytes.escape_ascii()),
        Operation::HalfClose => "half-close".to_owned(),
        Operation::Close => "close".to_owned(),
        Operation::Reset => "reset".to_owned(),
        Operation::Vanish => "vanish".to_owned(),
        Operation::StopReading => "stop-reading".to_owned(),
        Operation::ResumeReading => "resume-reading".to_owned(),
    }
}

/// A fault, on one line.
#[must_use]
pub fn fault_line(fault: &Fault) -> String {
    match fault {
        Fault::Partition { from, to, one_way: false } => format!("partition {from} and {to}"),
        Fault::Partition { from, to, one_way: true } => format!("partition from {from} to {to}"),
        Fault::Repair { from, to } => format!("repair {from} and {to}"),
        Fault::Hold { from, to } => format!("hold {from} and {to}"),
        Fault::Release { from, to } => format!("release {from} and {to}"),
        Fault::Latency { from, to, latency: (least, most) } => {
            format!("latency {from} and {to} {least:?} to {most:?}")
        }
        Fault::Crash { daemon } => format!("crash {daemon}"),
        Fault::Restart { daemon } => format!("restart {daemon}"),
        Fault::Drain { daemon, within } => format!("drain {daemon} within {within:?}"),
        Fault::Stop { daemon } => format!("stop {daemon}"),
        Fault::CloseUser { daemon, user } => format!("close-user {user} at {daemon}"),
        Fault::Ask { daemon, served } => match served {
            Served::Answers(time) => format!("ask a service of {daemon} that answers after {time:?}"),
            Served::Fails(time) => format!("ask a service of {daemon} that fails after {time:?}"),
            Served::Never => format!("ask a service of {daemon} that never answers"),
        },
        Fault::Stall { daemon, gap } => format!("stall {daemon} for {gap:?}"),
        Fault::Redis(fault) => format!("redis {}", redis_fault_line(*fault)),
    }
}

fn redis_fault_line(fault: RedisFault) -> String {
    match fault {
        RedisFault::Crash => "crash".to_owned(),
        RedisFault::Restart => "restart".to_owned(),
        RedisFault::RestartEmpty => "restart empty".to_owned(),
        RedisFault::Freeze => "freeze".to_owned(),
        RedisFault::Thaw => "thaw".to_owned(),
        RedisFault::Slow(by) => format!("slow by {by:?}"),
        RedisFault::Lie => "lie".to_owned(),
        RedisFault::Garble => "garble".to_owned(),
        RedisFault::Heal => "heal".to_owned(),
    }
}

/// What must be so in a daemon, on one line.
#[must_use]
pub fn check_line(check: Check) -> String {
    match check {
        Check::Empty => "empty".to_owned(),
        Check::Sessions(count) => format!("sessions={count}"),
        Check::Online(count) => format!("online={count}"),
        Check::Rooms(count) => format!("rooms={count}"),
    }
}

/// Seconds with six decimals, rounded down.
pub(crate) fn seconds(at: Duration) -> String {
    format!("{}.{:06}", at.as_secs(), at.subsec_micros())
}

/// FNV-1a (Fowler, Noll, Vo) with 64 bits.
pub(crate) struct Fnv(pub(crate) u64);

impl Fnv {
    pub(crate) fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    pub(crate) fn eat(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use lobbyd_core::packet::ServerPacket;

    use super::*;

    fn entry(micros: u64, what: What) -> Entry {
        Entry { at: Duration::from_micros(micros), line: 3, what }
    }

    #[test]
    fn entries_are_lines_with_their_time_and_without_secrets() {
        let mut trace = Trace::new();
        let operation = Operation::Login { user: "Alice".into(), secret: "wonder".into() };
        trace.push(entry(1_000_002, What::Began { client: "alice".into(), operation }));
        let arrival = Arrival::Packet(Rc::new(ServerPacket::Pong { nonce: 5 }));
        trace.push(entry(61_000_000, What::Arrived { client: "alice".into(), arrival }));
        assert_eq!(trace.to_string(), "     1.000002 alice: login \"Alice\"\n    61.000000 -> alice: Pong nonce=5\n");
    }

    #[test]
    fn digest_is_fnv_1a_of_the_lines() {
        assert_eq!(Trace::new().digest(), 0xcbf2_9ce4_8422_2325);
        let mut fnv = Fnv::new();
        fnv.eat(b"foobar");
        assert_eq!(fnv.0, 0x8594_4171_f739_67e8, "the published value for foobar");
        let (mut one, mut other) = (Trace::new(), Trace::new());
        one.push(entry(1, What::Advanced(Duration::from_secs(1))));
        other.push(entry(2, What::Advanced(Duration::from_secs(1))));
        assert_ne!(one.digest(), other.digest());
        assert_eq!(one.digest(), one.clone().digest());
    }
}
