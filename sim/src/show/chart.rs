//! What a picture of a run shows: lanes side by side, rows downwards, and bands where faults hold.

use std::time::Duration;

use super::escape;
use super::message::SECRET;

/// How many characters of a nonce a short form shows.
const NONCE_CHARS_MAX: usize = 5;

/// A run, put in order for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chart {
    /// The sentence that the scenario holds.
    pub title: String,
    /// The hosts, from left to right.
    pub lanes: Vec<Lane>,
    /// What happened, downwards. Times never go back.
    pub rows: Vec<Row>,
    /// What held for a while.
    pub bands: Vec<Band>,
}

/// A host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lane {
    /// Its name in the scenario.
    pub name: String,
    /// What it is.
    pub host: Host,
}

/// What a host is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Host {
    /// A client.
    Client,
    /// A daemon.
    Daemon,
    /// The Redis that the daemons share.
    Redis,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// When, since the start of the scenario.
    pub at: Duration,
    /// In the step of which line of the file; 0 when no file says the step.
    pub line: u32,
    /// What.
    pub what: What,
}

/// What happened. Lanes are indices into the chart's lanes, rows into its rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// Something was sent, and mostly arrived.
    Message(Message),
    /// A message arrived that was sent in a row above, because something else happened meanwhile where it arrives.
    Landing {
        /// The row of the message.
        message: usize,
    },
    /// A client did something, or learned something, without anything under way.
    Act {
        /// At which host.
        lane: usize,
        /// What, in words.
        text: String,
    },
    /// Something broke or healed.
    Fault {
        /// The hosts that it is about.
        lanes: Vec<usize>,
        /// What, in words.
        text: String,
    },
    /// A daemon was looked at, and it was so.
    Check {
        /// Which daemon.
        lane: usize,
        /// What was looked at.
        text: String,
    },
    /// Nothing happened for this long.
    Gap(Duration),
    /// The states of the daemons' engines at the end of a step.
    Digests(Vec<(usize, u64)>),
    /// A step, or a part of one, was not done because the layer cannot.
    Skipped(String),
    /// The step that did not hold. Nothing comes after it.
    Failure {
        /// What was expected, and where.
        expected: String,
        /// What came instead.
        arrived: String,
    },
}

/// Something that goes from one host to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The lane of the host that it leaves.
    pub from: usize,
    /// The lane of the host that it is meant for.
    pub to: usize,
    /// What kind of thing it is.
    pub kind: Kind,
    /// The packet's name, or what else it is in a word.
    pub name: String,
    /// All its fields, without secrets.
    pub fields: Vec<Field>,
    /// What became of it.
    pub fate: Fate,
    /// The row of the request that it answers.
    pub answers: Option<usize>,
}

/// A field of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// Its value, as expectations write it.
    pub value: String,
    /// Whether a short form of the packet needs it.
    pub is_brief: bool,
}

impl Field {
    /// Whether its name alone says what a short form has to say.
    pub(super) fn is_word(&self) -> bool {
        self.name == "ok" || self.value == SECRET
    }

    /// The value in short: at most so many characters of it, and of a nonce just enough to tell it from others.
    #[must_use]
    pub fn short(&self, chars_max: usize) -> String {
        let nonce: String = self.value.chars().take(NONCE_CHARS_MAX).collect();
        let is_cut = self.name == "nonce" && nonce.len() < self.value.len();
        if is_cut { nonce + "…" } else { escape::shorten(&self.value, chars_max) }
    }
}

/// What kind of thing a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A connection is made, greeted or ended.
    Connection,
    /// A client asks for something.
    Request,
    /// The answer to a request.
    Response,
    /// The answer that it is refused.
    Refusal,
    /// What a client is told without having asked.
    Notify,
    /// A ping, or the answer to one.
    Heartbeat,
    /// Between a daemon and Redis.
    Redis,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It arrived.
    Arrived {
        /// When.
        at: Duration,
        /// The row of its landing, if that is another than that of the message.
        row: Option<usize>,
    },
    /// It will never arrive.
    Lost,
    /// It was still on its way at the end of the run, or nobody had taken it.
    UnderWay,
}

/// What held for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Band {
    /// The hosts that it is about.
    pub lanes: Vec<usize>,
    /// The first row.
    pub from: usize,
    /// The last row.
    pub to: usize,
    /// What it is.
    pub kind: BandKind,
    /// The same, in words.
    pub text: String,
}

/// What holds for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum BandKind {
    /// Nothing passes between two hosts.
    Partition,
    /// What is sent between two hosts waits.
    Hold,
    /// What is sent between two hosts takes longer or shorter than elsewhere.
    Latency,
    /// A process is gone.
    Down,
    /// A process does not run, or takes commands and answers none.
    Frozen,
    /// A process answers late or wrongly, or has been told to go.
    Impaired,
    /// A client neither reads nor writes, or does not read.
    Deaf,
}

impl Chart {
    /// Only the rows from one line of the file to another, and only the hosts that take part in them, in an order of
    /// their own.
    #[must_use]
    pub fn excerpt(&self, first: u32, last: u32) -> Self {
        let is_inside = |row: &usize| (first..=last).contains(&self.rows[*row].line);
        let rows: Vec<usize> = (0..self.rows.len()).filter(is_inside).collect();
        let mut lanes = Vec::new();
        for lane in rows.iter().flat_map(|row| self.lanes_of(&self.rows[*row].what)) {
            if !lanes.contains(&lane) {
                lanes.push(lane);
            }
        }
        let of = |host: Host| lanes.iter().copied().filter(|lane| self.lanes[*lane].host == host).collect();
        let lanes = in_order(of(Host::Client), of(Host::Daemon), of(Host::Redis));
        self.only(&rows, &lanes)
    }

    /// The same without the hosts of a kind and whatever goes to them or comes from them.
    #[must_use]
    pub fn without(&self, host: Host) -> Self {
        let is_out = |lane: &usize| self.lanes[*lane].host == host;
        let is_in = |row: &usize| !self.lanes_of(&self.rows[*row].what).iter().any(is_out);
        let rows: Vec<usize> = (0..self.rows.len()).filter(is_in).collect();
        let lanes: Vec<usize> = (0..self.lanes.len()).filter(|lane| !is_out(lane)).collect();
        self.only(&rows, &lanes)
    }

    fn only(&self, rows: &[usize], lanes: &[usize]) -> Self {
        let renumbered = Renumbered { rows, lanes };
        Self {
            title: self.title.clone(),
            lanes: lanes.iter().map(|lane| self.lanes[*lane].clone()).collect(),
            rows: rows.iter().filter_map(|row| renumbered.row(&self.rows[*row])).collect(),
            bands: Vec::new(),
        }
    }

    /// The hosts that something is about.
    pub(crate) fn lanes_of(&self, what: &What) -> Vec<usize> {
        match what {
            What::Message(message) => vec![message.from, message.to],
            What::Landing { message } => self.message(*message).map(|message| vec![message.to]).unwrap_or_default(),
            What::Act { lane, text: _ } | What::Check { lane, text: _ } => vec![*lane],
            What::Fault { lanes, text: _ } => lanes.clone(),
            What::Gap(_) | What::Digests(_) | What::Skipped(_) | What::Failure { .. } => Vec::new(),
        }
    }

    /// The message of a row, if there is one.
    #[must_use]
    pub fn message(&self, row: usize) -> Option<&Message> {
        match &self.rows.get(row)?.what {
            What::Message(message) => Some(message),
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

/// Hosts from left to right: clients on both sides of the daemons, so that arrows are short; with Redis, which stands
/// behind the daemons, all clients before them.
pub(super) fn in_order<T>(mut clients: Vec<T>, daemons: Vec<T>, redis: Vec<T>) -> Vec<T> {
    let left = if redis.is_empty() { clients.len().div_ceil(2) } else { clients.len() };
    let right = clients.split_off(left);
    clients.into_iter().chain(daemons).chain(redis).chain(right).collect()
}

/// Rows and lanes that are kept, by their old numbers.
struct Renumbered<'a> {
    rows: &'a [usize],
    lanes: &'a [usize],
}

impl Renumbered<'_> {
    /// The row with its new numbers; none if it is about what is gone.
    fn row(&self, row: &Row) -> Option<Row> {
        let what = match &row.what {
            What::Message(message) => What::Message(self.message(message)?),
            What::Landing { message } => What::Landing { message: new(self.rows, *message)? },
            What::Act { lane, text } => What::Act { lane: new(self.lanes, *lane)?, text: text.clone() },
            What::Check { lane, text } => What::Check { lane: new(self.lanes, *lane)?, text: text.clone() },
            What::Fault { lanes, text } => {
                let lanes = lanes.iter().filter_map(|lane| new(self.lanes, *lane)).collect();
                What::Fault { lanes, text: text.clone() }
            }
            What::Digests(digests) => {
                let kept = digests.iter().filter_map(|(lane, digest)| Some((new(self.lanes, *lane)?, *digest)));
                What::Digests(kept.collect())
            }
            same @ (What::Gap(_) | What::Skipped(_) | What::Failure { .. }) => same.clone(),
        };
        Some(Row { at: row.at, line: row.line, what })
    }

    fn message(&self, message: &Message) -> Option<Message> {
        let fate = match message.fate {
            Fate::Arrived { at, row } => Fate::Arrived { at, row: row.and_then(|row| new(self.rows, row)) },
            fate @ (Fate::Lost | Fate::UnderWay) => fate,
        };
        Some(Message {
            from: new(self.lanes, message.from)?,
            to: new(self.lanes, message.to)?,
            fate,
            answers: message.answers.and_then(|row| new(self.rows, row)),
            ..message.clone()
        })
    }
}

fn new(kept: &[usize], old: usize) -> Option<usize> {
    kept.iter().position(|kept| *kept == old)
}

/// A time for people, rounded down: in its largest unit, with at most two digits behind its point.
#[must_use]
pub fn time(time: Duration) -> String {
    let (seconds, micros) = (time.as_secs(), time.subsec_micros());
    match (seconds, micros) {
        (0, micros) if micros < 1000 => format!("{micros} µs"),
        (0, micros) if micros < 10_000 => format!("{} ms", decimal(u64::from(micros / 1000), micros % 1000 / 10, 2)),
        (0, micros) => format!("{} ms", micros / 1000),
        (seconds, micros) if seconds < 10 => format!("{} s", decimal(seconds, micros / 10_000, 2)),
        (seconds, micros) if seconds < 120 => format!("{} s", decimal(seconds, micros / 100_000, 1)),
        (seconds, _) if seconds % 60 == 0 => format!("{} min", seconds / 60),
        (seconds, _) => format!("{} min {} s", seconds / 60, seconds % 60),
    }
}

/// A number with that many digits behind its point, less the zeros at its end.
fn decimal(whole: u64, fraction: u32, digits: usize) -> String {
    let text = format!("{whole}.{fraction:0digits$}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
