//! From a run to its chart.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use super::band::{self, Change};
use super::chart::{Chart, Fate, Host, Kind, Lane, Message, Row, What};
use super::escape;
use super::lanes::lanes;
use super::message::{self, Sent};
use crate::layers::Arrival;
use crate::runner::Outcome;
use crate::scenario::{Fault, Operation, Scenario};
use crate::trace::{self, Entry, What as Traced};
use crate::traffic::{Cargo, Seen, Sighting};

/// The host that Redis runs on, as faults name it.
pub(super) const REDIS: &str = "redis";
/// A time in which nothing happened is shown when it is as long as this.
const GAP: Duration = Duration::from_millis(250);
/// How many characters of what was expected, or came instead, are shown.
const FAILURE_CHARS_MAX: usize = 2000;
/// A message that was under way for as long as this goes down a slope, even if nothing happened meanwhile.
const SLOPE: Duration = Duration::from_millis(100);

impl Chart {
    /// The chart of a run.
    #[must_use]
    pub fn new(scenario: &Scenario, outcome: &Outcome) -> Self {
        let mut build = Build::new(scenario);
        let (entries, sightings) = (outcome.trace.entries(), outcome.trace.sightings());
        build.is_watched = sightings.iter().any(is_from_client);
        let mut seen = sightings.iter().peekable();
        for (index, entry) in entries.iter().enumerate() {
            while let Some(sighting) = seen.next_if(|sighting| sighting.entries <= index) {
                build.sighted(sighting, entry.line);
            }
            let is_sent = seen.peek().is_some_and(|next| is_sent_by(next, entry));
            build.entry(entry, is_sent);
        }
        let line = entries.last().map_or(0, |entry| entry.line);
        seen.for_each(|sighting| build.sighted(sighting, line));
        if let Err(violation) = &outcome.result {
            // They may be of any length.
            let short = |words: &str| escape::shorten(words, FAILURE_CHARS_MAX);
            let (expected, arrived) = (short(&violation.expected), short(&violation.arrived));
            build.push(violation.at, violation.line, What::Failure { expected, arrived });
        }
        build.finish(scenario)
    }
}

/// Whether a sighting is of what comes from a client. Some layers see only what Redis is asked, and what is lost on its
/// way to a client.
fn is_from_client(sighting: &Sighting) -> bool {
    match &sighting.what {
        Seen::Sent { cargo: Cargo::Operation | Cargo::Pong { .. }, .. } => true,
        Seen::Sent { cargo: Cargo::Packet(_) | Cargo::End | Cargo::Command(_) | Cargo::Reply(_), .. }
        | Seen::Arrived { .. }
        | Seen::Lost { .. } => false,
    }
}

/// Whether a sighting is of what an entry sent.
fn is_sent_by(sighting: &Sighting, entry: &Entry) -> bool {
    match (&sighting.what, &entry.what) {
        (Seen::Sent { from, cargo: Cargo::Operation, .. }, Traced::Began { client, .. }) => from == client,
        (Seen::Sent { .. } | Seen::Arrived { .. } | Seen::Lost { .. }, _) => false,
    }
}

struct Build {
    lanes: Vec<Lane>,
    rows: Vec<Row>,
    changes: Vec<Change>,
    is_watched: bool,
    /// The ways that are cut, from one host to another.
    cuts: BTreeSet<(String, String)>,
    /// The rows of the messages, by the numbers of the sightings.
    messages: BTreeMap<u32, usize>,
    /// By clients.
    seats: BTreeMap<String, Seat>,
    /// Who the users of a daemon are, by the numbers of their logins.
    users: BTreeMap<(usize, String), String>,
    /// What began last, and was not seen leaving yet.
    begun: Option<(Operation, u32)>,
    at: Duration,
}

/// What is known of a client.
#[derive(Default)]
struct Seat {
    /// To which it is connected.
    daemon: String,
    requests: u32,
    /// Who it was at its last login, as number and name.
    user: Option<String>,
    /// The rows of its requests on this connection.
    asked: BTreeMap<u32, usize>,
    /// Whether each thing that arrived and that the trace has not told of yet is the end of its connection.
    arrived: VecDeque<bool>,
}

impl Build {
    fn new(scenario: &Scenario) -> Self {
        Self {
            lanes: lanes(scenario),
            rows: Vec::new(),
            changes: Vec::new(),
            is_watched: false,
            cuts: BTreeSet::new(),
            messages: BTreeMap::new(),
            seats: BTreeMap::new(),
            users: BTreeMap::new(),
            begun: None,
            at: Duration::ZERO,
        }
    }

    fn push(&mut self, at: Duration, line: u32, what: What) -> usize {
        self.pass(at, line, GAP);
        self.at = self.at.max(at);
        self.rows.push(Row { at: self.at, line, what });
        self.rows.len() - 1
    }

    /// Nothing happened until now, which is shown if it took so long.
    fn pass(&mut self, at: Duration, line: u32, least: Duration) {
        let gap = at.saturating_sub(self.at);
        if gap < least {
            return;
        }
        let last = self.rows.iter_mut().rev().find(|row| !matches!(row.what, What::Digests(_)));
        if let Some(What::Gap(before)) = last.map(|row| &mut row.what) {
            *before += gap;
        } else {
            self.rows.push(Row { at: self.at, line, what: What::Gap(gap) });
        }
    }

    fn lane(&self, name: &str) -> usize {
        let known = self.lanes.iter().position(|lane| lane.name == name);
        known.expect("every host of a scenario has a lane")
    }

    fn entry(&mut self, entry: &Entry, is_sent: bool) {
        let (at, line) = (entry.at, entry.line);
        match &entry.what {
            Traced::Began { client, operation } => self.began(at, line, client, operation, is_sent),
            Traced::Injected(fault) => self.injected(at, line, fault),
            Traced::Arrived { client, arrival } => self.told(at, line, client, arrival),
            Traced::Checked { daemon, check } => {
                let lane = self.lane(daemon);
                self.push(at, line, What::Check { lane, text: trace::check_line(*check) });
            }
            Traced::Advanced(_) => {
                self.pass(at, line, Duration::from_nanos(1));
                self.at = self.at.max(at);
            }
            Traced::Skipped(what) => {
                self.push(at, line, What::Skipped(what.clone()));
            }
            Traced::Digest { daemon, digest } => {
                let own = (self.lane(daemon), *digest);
                let last = self.rows.last_mut().map(|row| &mut row.what);
                if let Some(What::Digests(digests)) = last
                    && digests.iter().all(|(lane, _)| *lane != own.0)
                {
                    digests.push(own);
                } else {
                    self.rows.push(Row { at: self.at, line, what: What::Digests(vec![own]) });
                }
            }
        }
    }

    fn began(&mut self, at: Duration, line: u32, client: &str, operation: &Operation, is_sent: bool) {
        let lane = self.lane(client);
        let seat = self.seats.entry(client.to_owned()).or_default();
        if let Operation::Connect { daemon } = operation {
            (seat.daemon, seat.requests) = (daemon.clone(), 0);
            seat.asked.clear();
        }
        if message::of_operation(operation, 0).is_some_and(|sent| sent.request.is_some()) {
            seat.requests += 1;
        }
        let daemon = seat.daemon.clone();
        self.begun = Some((operation.clone(), line));
        if !self.is_watched && message::of_operation(operation, 0).is_some() {
            // Where nobody sees what becomes of it, a partition tells.
            let is_cut = self.cuts.contains(&(client.to_owned(), daemon.clone()));
            self.departs(at, line, client, &daemon, &Cargo::Operation);
            self.last_message().fate = if is_cut { Fate::Lost } else { Fate::Arrived { at, row: None } };
        } else if !is_sent {
            let row = self.push(at, line, What::Act { lane, text: trace::operation_line(operation) });
            self.changes.extend(band::of_operation(lane, row, operation));
        }
        if matches!(operation, Operation::Connect { .. }) {
            // Where the layer was watched, the row of the connect is the next one.
            let row = if is_sent { self.rows.len() } else { self.rows.len() - 1 };
            self.changes.push(Change::back(lane, row));
        }
    }

    fn injected(&mut self, at: Duration, line: u32, fault: &Fault) {
        let way = |from: &String, to: &String| (from.clone(), to.clone());
        match fault {
            Fault::Partition { from, to, one_way: true } => self.cuts.extend([way(from, to)]),
            Fault::Partition { from, to, one_way: false } => self.cuts.extend([way(from, to), way(to, from)]),
            Fault::Repair { from, to } => self.cuts.retain(|cut| *cut != way(from, to) && *cut != way(to, from)),
            Fault::Hold { .. }
            | Fault::Release { .. }
            | Fault::Latency { .. }
            | Fault::Crash { .. }
            | Fault::Restart { .. }
            | Fault::Drain { .. }
            | Fault::Stop { .. }
            | Fault::CloseUser { .. }
            | Fault::Ask { .. }
            | Fault::Stall { .. }
            | Fault::Redis(_) => {}
        }
        let lanes: Vec<_> = band::hosts(fault).into_iter().map(|host| self.lane(host)).collect();
        let row = self.push(at, line, What::Fault { lanes: lanes.clone(), text: trace::fault_line(fault) });
        self.changes.extend(band::of_fault(lanes, row, at, fault));
    }

    /// The trace tells what arrived at a client.
    fn told(&mut self, at: Duration, line: u32, client: &str, arrival: &Arrival) {
        let is_end = matches!(arrival, Arrival::Closed);
        let seat = self.seats.entry(client.to_owned()).or_default();
        let daemon = seat.daemon.clone();
        if self.is_watched {
            if seat.arrived.front() == Some(&is_end) {
                seat.arrived.pop_front();
            } else {
                let lane = self.lane(client);
                self.push(at, line, What::Act { lane, text: "the connection could not be made".to_owned() });
            }
            return;
        }
        let cargo = match arrival {
            Arrival::Packet(packet) => Cargo::Packet((**packet).clone()),
            Arrival::Closed => Cargo::End,
        };
        self.departs(at, line, &daemon, client, &cargo);
        self.last_message().fate = Fate::Arrived { at, row: None };
    }

    fn sighted(&mut self, sighting: &Sighting, line: u32) {
        match &sighting.what {
            Seen::Sent { number, from, to, cargo } => {
                // What a client's operation sends belongs to its step, not to the next entry's.
                let own = self.begun.as_ref().filter(|_| *cargo == Cargo::Operation).map(|(_, line)| *line);
                let line = own.unwrap_or(line);
                let row = self.departs(sighting.at, line, from, to, cargo);
                self.messages.insert(*number, row);
            }
            Seen::Arrived { number } => {
                let Some(row) = self.messages.get(number).copied() else { return };
                let landing = self.push(sighting.at, line, What::Landing { message: row });
                let (at, row) = (sighting.at, self.messages.remove(number).unwrap_or(row));
                let Some(What::Message(message)) = self.rows.get_mut(row).map(|row| &mut row.what) else { return };
                message.fate = Fate::Arrived { at, row: Some(landing) };
                let client = &self.lanes[message.to];
                if client.host == Host::Client {
                    let is_end = message.name == message::of_end().name;
                    self.seats.entry(client.name.clone()).or_default().arrived.push_back(is_end);
                }
            }
            Seen::Lost { number } => {
                let row = self.messages.remove(number).and_then(|row| self.rows.get_mut(row));
                if let Some(What::Message(message)) = row.map(|row| &mut row.what) {
                    message.fate = Fate::Lost;
                }
            }
        }
    }

    /// Something leaves a host. The row of it.
    fn departs(&mut self, at: Duration, line: u32, from: &str, to: &str, cargo: &Cargo) -> usize {
        let (from_lane, to_lane) = (self.lane(from), self.lane(to));
        let mut sent = match cargo {
            Cargo::Operation => self.operation_of(from),
            Cargo::Pong { nonce } => message::of_pong(*nonce),
            Cargo::Packet(packet) => message::of_packet(packet),
            Cargo::End => message::of_end(),
            Cargo::Command(words) | Cargo::Reply(words) => message::of_redis(words),
        };
        let mut answers = None;
        if let (Cargo::Packet(_), Some(request)) = (cargo, sent.request) {
            answers = self.seats.get(to).and_then(|seat| seat.asked.get(&request).copied());
        }
        self.name_users(from_lane, to, &mut sent);
        let Sent { kind, name, fields, request } = sent;
        let message = Message { from: from_lane, to: to_lane, kind, name, fields, fate: Fate::UnderWay, answers };
        let row = self.push(at, line, What::Message(message));
        if let (Kind::Request, Some(request)) = (kind, request) {
            self.seats.entry(from.to_owned()).or_default().asked.insert(request, row);
        }
        row
    }

    /// What the operation that began last has sent.
    fn operation_of(&mut self, client: &str) -> Sent {
        let request = self.seats.get(client).map_or(0, |seat| seat.requests);
        let sent = self.begun.take().and_then(|(operation, _)| message::of_operation(&operation, request));
        sent.unwrap_or_else(message::of_end)
    }

    /// Numbers of users mean nothing to people; their names are known from their logins.
    fn name_users(&mut self, daemon: usize, to: &str, sent: &mut Sent) {
        let value = |name: &str| sent.fields.iter().find(|field| field.name == name).map(|field| field.value.clone());
        let said = value("name");
        if sent.name == "LoginResponse"
            && let (Some(id), Some(name)) = (value("id"), said.clone())
        {
            self.seats.entry(to.to_owned()).or_default().user = Some(format!("{id} ({name})"));
            self.users.insert((daemon, id), name);
        }
        if sent.name == "KickRequest"
            && let Some(field) = sent.fields.iter_mut().find(|field| field.name == "user")
            && let Some(user) = self.seats.get(&field.value).and_then(|seat| seat.user.clone())
        {
            // The scenario names the client, the packet the user.
            field.value = user;
        }
        for field in sent.fields.iter_mut().filter(|field| matches!(field.name.as_str(), "user" | "owner" | "by")) {
            if let Some(name) = self.users.get(&(daemon, field.value.clone()))
                && (said.as_ref() != Some(name))
            {
                field.value = format!("{} ({name})", field.value);
            }
        }
    }

    fn last_message(&mut self) -> &mut Message {
        let last = self.rows.last_mut().map(|row| &mut row.what);
        let Some(What::Message(message)) = last else { unreachable!("a message was just added") };
        message
    }

    fn finish(mut self, scenario: &Scenario) -> Chart {
        let flat = self.flat();
        let mut new_rows = vec![0; self.rows.len()];
        let mut kept = 0;
        for (index, is_dropped) in flat.iter().enumerate() {
            new_rows[index] = if *is_dropped { usize::MAX } else { kept };
            kept += usize::from(!is_dropped);
        }
        let next_kept = |row: usize| {
            let later = new_rows[row.min(new_rows.len())..].iter().copied().find(|new| *new != usize::MAX);
            later.unwrap_or(kept.saturating_sub(1))
        };
        for row in &mut self.rows {
            match &mut row.what {
                What::Message(message) => {
                    message.answers = message.answers.map(|row| new_rows[row]);
                    if let Fate::Arrived { row, .. } = &mut message.fate {
                        *row = row.map(|row| new_rows[row]).filter(|row| *row != usize::MAX);
                    }
                }
                What::Landing { message } => *message = new_rows[*message],
                What::Act { .. }
                | What::Fault { .. }
                | What::Check { .. }
                | What::Gap(_)
                | What::Digests(_)
                | What::Skipped(_)
                | What::Failure { .. } => {}
            }
        }
        let mut index = 0..;
        self.rows.retain(|_| index.next().is_some_and(|index: usize| !flat[index]));
        for change in &mut self.changes {
            change.row = next_kept(change.row);
        }
        let bands = band::bands(&self.changes, &self.rows);
        Chart { title: scenario.title.clone(), lanes: self.lanes, rows: self.rows, bands }
    }

    /// Which rows are landings that need no row: a message lies flat where it is sent if nothing happened meanwhile that
    /// its receiver could have done or heard out of order.
    fn flat(&self) -> Vec<bool> {
        let landing = |row: &Row| match row.what {
            What::Landing { message } => Some(message),
            What::Message(_)
            | What::Act { .. }
            | What::Fault { .. }
            | What::Check { .. }
            | What::Gap(_)
            | What::Digests(_)
            | What::Skipped(_)
            | What::Failure { .. } => None,
        };
        let mut flat = vec![false; self.rows.len()];
        for index in 0..self.rows.len() {
            let Some(sent) = landing(&self.rows[index]) else { continue };
            let Some(What::Message(message)) = self.rows.get(sent).map(|row| &row.what) else { continue };
            let concerns = |lanes: &[usize]| lanes.contains(&message.from) || lanes.contains(&message.to);
            let is_nothing = |between: usize| match &self.rows[between].what {
                What::Message(other) => other.from != message.to,
                // It stands where it is sent, or here.
                What::Landing { message: other } => {
                    self.to(*other) != Some(message.to) || (flat[between] && *other < sent)
                }
                What::Act { lane, .. } => *lane != message.to,
                What::Fault { lanes, .. } => !concerns(lanes),
                What::Check { lane, .. } => !concerns(&[*lane]),
                What::Digests(_) => true,
                What::Gap(_) | What::Skipped(_) | What::Failure { .. } => false,
            };
            let took = self.rows[index].at.saturating_sub(self.rows[sent].at);
            flat[index] = took < SLOPE && (sent + 1..index).all(is_nothing);
        }
        flat
    }

    fn to(&self, row: usize) -> Option<usize> {
        match &self.rows.get(row)?.what {
            What::Message(message) => Some(message.to),
            What::Landing { .. }
            | What::Act { .. }
            | What::Fault { .. }
            | What::Check { .. }
            | What::Gap(_)
            | What::Digests(_)
            | What::Skipped(_)
            | What::Failure { .. } => None,
        }
    }
}
