//! The auditor: what must hold in every run, told by nothing but what the clients began and what arrived at them.
//!
//! So it is the same on every layer, and for every server of the protocol; what goes on within simulated daemons is looked
//! at elsewhere (`journal.rs`, and the model on the pure layer). It draws no randomness and never acts. What
//! holds at every moment it checks as packets arrive; what holds only when everything sent has arrived, in
//! [`Auditor::quiet`]. The rules are those of DESIGN section 7 ("invariants").
//!
//! ```text
//! begun, injected ──▶ connections (who waits for what) ┐
//! arrived ──────────▶ connections, rooms, whispers ────┼──▶ Breach, or nothing
//! quiet ────────────▶ all of them against each other ──┘
//! ```
//!
//! What it cannot know it does not judge, and says so here: a connection is *impaired* once a fault, or the client
//! itself, may have kept something from arriving for good (a partition, a hold, a crash, a client that does not read);
//! it is judged by what does arrive, but not for what is missing. A connection is *wild* once it has sent bytes as they
//! are, which may be requests that the auditor does not know. Uniqueness across daemons is judged only as long as
//! nothing has disturbed Redis, the ways to it, or a daemon's process: while leases are certainly valid.

mod arrivals;
mod connection;
mod dispersal;
mod disturbances;
mod membership;
mod quiet;
mod requests;
mod rooms;
mod talk;
mod whispers;

use std::fmt;
use std::time::Duration;

use lobbyd_core::config::DuplicateLogin;
use lobbyd_core::id::RoomNumber;

use self::connection::{Connection, Phase};
use self::dispersal::Dispersal;
use self::disturbances::Disturbances;
use self::rooms::Rooms;
use self::whispers::Whispers;
use crate::layers::{Arrival, LEASE};
use crate::marks::{Mark, Marks};
use crate::scenario::{Fault, Operation, RedisFault, Setup, Store};

/// What must hold in every run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Invariant {
    /// Each request gets exactly one response, in order, unless the connection ends.
    OneResponse,
    /// A connection begins with `Welcome` or a refusal, and nothing comes after its end.
    BeginAndEnd,
    /// A room's changes reach every member, once each and in the room's order, and nobody else.
    RoomOrder,
    /// What members are told rebuilds exactly who is in the room.
    Membership,
    /// What arrives was said, by that user and in those words, and once.
    Texts,
    /// A user is online once, unless the policy allows more.
    OneSession,
    /// A drain tells each connection a moment of its own to go, within its time.
    Dispersal,
}

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OneResponse => "each request has exactly one response",
            Self::BeginAndEnd => "a connection begins once and nothing comes after its end",
            Self::RoomOrder => "each change reaches every member once, in the room's order, and nobody else",
            Self::Membership => "notifies rebuild exactly the membership",
            Self::Texts => "what arrives was said, once and unaltered",
            Self::OneSession => "a user is online once",
            Self::Dispersal => "who has to go is told a moment of its own, within the drain's time",
        })
    }
}

/// An invariant does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{invariant}: {what}")]
pub struct Breach {
    /// Which.
    pub invariant: Invariant,
    /// How.
    pub what: String,
}

impl Breach {
    fn new(invariant: Invariant, what: impl Into<String>) -> Self {
        Self { invariant, what: what.into() }
    }
}

/// Watches a run. Names of clients become numbers once ([`Auditor::client`]), so that watching costs little.
pub struct Auditor {
    rules: Rules,
    clients: Vec<Client>,
    daemons: Vec<Daemon>,
    connections: Vec<Connection>,
    rooms: Rooms,
    whispers: Whispers,
    network: Disturbances,
    /// Since when Redis has not answered as it should.
    outage_since: Option<Duration>,
    marks: Marks,
}

/// What the setup says about what must hold.
struct Rules {
    duplicate_login: DuplicateLogin,
    shares_presence: bool,
    /// For how long a login may be unanswered when nothing is under way.
    login_patience: Duration,
    /// How long a command may wait.
    command_patience: Duration,
    /// Whether middleware may change what users say.
    texts_may_change: bool,
    room_members_max: u32,
    fixed_rooms: Vec<(RoomNumber, u32)>,
}

struct Client {
    name: String,
    /// The newest of its connections.
    connection: Option<usize>,
}

struct Daemon {
    name: String,
    /// Counts its starts; nothing that lives in its memory outlives one.
    life: u32,
    /// Until when its process does not run.
    stalled_until: Duration,
    /// What its drains have told.
    dispersal: Dispersal,
    /// Whether somebody there has sent bytes as they are, or may have been taken by one life or the next.
    is_wild: bool,
}

/// The host on which Redis runs.
const REDIS: &str = "redis";
/// How much longer than the engine's own deadline an answer may take that nothing holds up.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long two daemons may both have a user whom the newer login wins: until the older one's next renewal.
const EVICTION_MAX: Duration = LEASE;

impl Auditor {
    /// An auditor of a world that was made from this setup, where nothing has happened yet.
    #[must_use]
    pub fn new(setup: &Setup) -> Self {
        let config = &setup.config;
        let rooms = config.fixed_rooms.iter();
        let usual = Setup::default().daemons;
        // As the layers do it.
        let daemons = if setup.daemons.is_empty() { &usual } else { &setup.daemons };
        let daemon = |name: &String| Daemon {
            name: name.clone(),
            life: 0,
            stalled_until: Duration::ZERO,
            dispersal: Dispersal::default(),
            is_wild: false,
        };
        Self {
            rules: Rules {
                duplicate_login: config.duplicate_login,
                shares_presence: setup.store == Store::Redis,
                login_patience: config.login_timeout + PATIENCE,
                command_patience: config.command_timeout + PATIENCE,
                texts_may_change: false,
                room_members_max: config.room_members_max,
                fixed_rooms: rooms.map(|room| (room.number, room.capacity)).collect(),
            },
            clients: Vec::new(),
            daemons: daemons.iter().map(daemon).collect(),
            connections: Vec::new(),
            rooms: Rooms::default(),
            whispers: Whispers::default(),
            network: Disturbances::default(),
            outage_since: None,
            marks: Marks::default(),
        }
    }

    /// The number of a client, by which it is called from then on.
    pub fn client(&mut self, name: &str) -> usize {
        let known = self.clients.iter().position(|client| client.name == name);
        known.unwrap_or_else(|| {
            self.clients.push(Client { name: name.to_owned(), connection: None });
            self.clients.len() - 1
        })
    }

    /// From here on middleware may change what users say: texts are not compared any more.
    pub fn texts_may_change(&mut self) {
        self.rules.texts_may_change = true;
    }

    /// The hard cases that were reached so far.
    #[must_use]
    pub fn marks(&self) -> &Marks {
        &self.marks
    }

    /// A client has begun something; what a layer refuses is not begun.
    pub fn begun(&mut self, at: Duration, client: usize, operation: &Operation) {
        if let Operation::Connect { daemon } = operation {
            self.connect(client, daemon);
            return;
        }
        let Some(index) = self.clients[client].connection else { return };
        let connection = &mut self.connections[index];
        match operation {
            Operation::Raw(_) => {
                connection.is_wild = true;
                self.daemons[connection.daemon].is_wild = true;
            }
            Operation::HalfClose => connection.is_half_closed = true,
            Operation::Close | Operation::Reset => connection.leave(Phase::Left),
            Operation::Vanish => connection.leave(Phase::Lost),
            Operation::StopReading => connection.is_impaired = true,
            // What it has missed meanwhile it may get or not.
            Operation::ResumeReading => {}
            Operation::Ping { nonce } => connection.pings.push(*nonce),
            Operation::Hello { .. } => {}
            Operation::Login { .. }
            | Operation::Logout
            | Operation::RoomList { .. }
            | Operation::RoomCreate { .. }
            | Operation::RoomEnter { .. }
            | Operation::RoomLeave { .. }
            | Operation::RoomChat { .. }
            | Operation::DirectMessage { .. }
            | Operation::Kick { .. }
            | Operation::Command { .. } => self.ask(at, index, operation),
            Operation::Connect { .. } => unreachable!("connecting was begun above"),
        }
    }

    fn connect(&mut self, client: usize, daemon: &str) {
        // The layers refuse a daemon that there is not.
        let Some(daemon) = self.daemons.iter().position(|known| known.name == daemon) else { return };
        if let Some(old) = self.clients[client].connection {
            self.connections[old].leave(Phase::Lost);
        }
        let is_impaired = self.network.are_apart(&self.clients[client].name, &self.daemons[daemon].name);
        let life = self.daemons[daemon].life;
        self.connections.push(Connection::new(client, daemon, life, is_impaired));
        self.clients[client].connection = Some(self.connections.len() - 1);
    }

    /// A fault was injected, or healed.
    pub fn injected(&mut self, at: Duration, fault: &Fault) {
        match fault {
            Fault::Partition { from, to, one_way: _ } => self.network.cut(from, to),
            Fault::Hold { from, to } => self.network.hold(from, to),
            Fault::Repair { from, to } => self.network.repair(from, to),
            Fault::Release { from, to } => self.network.release(from, to),
            Fault::Latency { from, to, .. } => {
                if from == REDIS || to == REDIS {
                    self.network.presence_is_disturbed();
                }
            }
            Fault::Crash { daemon } => self.ended(daemon, true),
            Fault::Restart { daemon } => self.ended(daemon, false),
            Fault::Drain { daemon, within } => {
                if let Some(daemon) = self.daemons.iter_mut().find(|known| known.name == *daemon) {
                    daemon.dispersal.begin(*within);
                }
                if self.current().any(|index| self.waits_for_login_at(index, daemon)) {
                    self.marks.reach(Mark::DrainDuringLogin);
                }
            }
            Fault::Stop { .. } | Fault::CloseUser { .. } | Fault::Ask { .. } => {}
            Fault::Stall { daemon, gap } => {
                self.network.presence_is_disturbed();
                if let Some(daemon) = self.daemons.iter_mut().find(|known| known.name == *daemon) {
                    daemon.stalled_until = daemon.stalled_until.max(at + *gap);
                }
            }
            Fault::Redis(fault) => self.redis(at, *fault),
        }
        if let Fault::Partition { from, to, .. } | Fault::Hold { from, to } = fault {
            for connection in &mut self.connections {
                let (client, daemon) = (&self.clients[connection.client].name, &self.daemons[connection.daemon].name);
                connection.is_impaired |= (client == from && daemon == to) || (client == to && daemon == from);
            }
        }
    }

    /// A daemon's process is gone, or there is another.
    fn ended(&mut self, daemon: &str, has_crashed: bool) {
        self.network.presence_is_disturbed();
        let Some(daemon) = self.daemons.iter().position(|known| known.name == *daemon) else { return };
        let here = |connection: &&mut Connection| connection.daemon == daemon;
        let is_online = |index: usize| {
            let connection: &Connection = &self.connections[index];
            connection.daemon == daemon && connection.phase == Phase::Welcomed && connection.login.is_some()
        };
        if has_crashed && self.current().any(is_online) {
            self.marks.reach(Mark::CrashWhileOnline);
        }
        self.daemons[daemon].life += 1;
        self.daemons[daemon].dispersal.begin_anew();
        for connection in self.connections.iter_mut().filter(here) {
            connection.is_impaired = true;
            if connection.phase == Phase::Dialled {
                // The old process may have it, or the new one.
                connection.life = None;
                self.daemons[daemon].is_wild = true;
            }
        }
    }

    fn redis(&mut self, at: Duration, fault: RedisFault) {
        self.network.presence_is_disturbed();
        match fault {
            RedisFault::Crash | RedisFault::Freeze | RedisFault::Lie | RedisFault::Garble | RedisFault::Slow(_) => {
                self.outage_since.get_or_insert(at);
            }
            RedisFault::Restart | RedisFault::RestartEmpty | RedisFault::Thaw | RedisFault::Heal => {
                let Some(since) = self.outage_since.take() else { return };
                let waits = |index: usize| {
                    let login = self.connections[index].requests.login();
                    login.is_some_and(|login| login.begun_at >= since)
                };
                if self.current().any(waits) {
                    self.marks.reach(Mark::RedisBackDuringLogin);
                }
            }
        }
    }

    /// Something has arrived at a client.
    ///
    /// # Errors
    /// When it should not have.
    pub fn arrived(&mut self, at: Duration, client: usize, arrival: &Arrival) -> Result<(), Breach> {
        let Some(index) = self.clients[client].connection else {
            let name = &self.clients[client].name;
            return Err(Breach::new(
                Invariant::BeginAndEnd,
                format!("something arrived at {name}, who has not connected"),
            ));
        };
        match (arrival, self.connections[index].phase) {
            // The client has gone; what was under way is nobody's business any more.
            (_, Phase::Left | Phase::Lost) => Ok(()),
            (_, Phase::Closed) => {
                let name = &self.clients[client].name;
                Err(Breach::new(
                    Invariant::BeginAndEnd,
                    format!("something arrived at {name} after the end of its connection"),
                ))
            }
            (Arrival::Closed, Phase::Dialled | Phase::Welcomed | Phase::Farewell) => {
                if self.connections[index].phase == Phase::Dialled {
                    self.marks.reach(Mark::ConnectRefused);
                }
                self.connections[index].leave(Phase::Closed);
                Ok(())
            }
            (Arrival::Packet(packet), Phase::Dialled | Phase::Welcomed | Phase::Farewell) => {
                match self.packet(at, index, packet) {
                    // Who has said what cannot be told from what middleware made of it.
                    Err(breach) if breach.invariant == Invariant::Texts && self.rules.texts_may_change => Ok(()),
                    heard => heard,
                }
            }
        }
    }

    /// The newest connection of every client, as far as it has one.
    fn current(&self) -> impl Iterator<Item = usize> {
        self.clients.iter().filter_map(|client| client.connection)
    }

    fn waits_for_login_at(&self, index: usize, daemon: &str) -> bool {
        let connection = &self.connections[index];
        self.daemons[connection.daemon].name == daemon && connection.requests.login().is_some()
    }

    /// Who a connection belongs to, for a person to read.
    fn name(&self, index: usize) -> &str {
        &self.clients[self.connections[index].client].name
    }
}

#[cfg(test)]
mod tests;
