//! Redis, as the stores of the daemons see it: commands that arrive, run and are answered, or do not.
//!
//! It knows no RESP and no keys; what it knows is who owns which lease until when, and which token is whose. The
//! likeness to the real one is the turmoil layer's business.

use std::collections::BTreeMap;
use std::fmt;
use std::mem;

use lobbyd_core::id::Ticket;
use lobbyd_core::name::UserName;

use super::leases::{Grant, LEASE};
use crate::layers::CannotDo;
use crate::scenario::RedisFault;

/// What the stores plan. Its numbers are indices of logins, calls and daemons.
#[derive(Clone, Copy, Debug)]
pub(super) enum StoreEvent {
    /// A login is decided.
    Decided(u32),
    /// A call reaches Redis.
    Asked(u32),
    /// Redis' answer reaches the daemon.
    Answered(u32),
    /// A call has waited for its answer long enough.
    Overdue(u32),
    /// A daemon learns that its connection to Redis is gone: which daemon, and which of its connections.
    Lost(u32, u32),
    /// A daemon tries to connect again.
    Dial(u32),
    /// A daemon has a connection again.
    Connected(u32),
    /// A daemon asks whether its connection still stands, if it has heard nothing for a while.
    Ping(u32),
    /// A daemon is to look after its leases.
    Keep(u32),
    /// A daemon is told that a lease was taken over.
    Evicted(u32),
}

/// What a daemon asks.
#[derive(Clone, Debug)]
pub(super) enum Command {
    /// Whether it is there.
    Ping,
    /// For the token of a user.
    Token(UserName),
    /// For a lease, after leases of the same user have been given back.
    Take {
        grant: Grant,
        claim: Claim,
        first: Vec<Grant>,
    },
    GiveBack(Vec<Grant>),
    Renew(Vec<Grant>),
    /// Takes leases again that are free.
    Retake(Vec<Grant>),
}

/// Under which condition a lease is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Claim {
    /// If nobody owns it.
    Free,
    /// If nobody owns it, or still the owner that was seen.
    Over(Option<Owner>),
}

/// What Redis answers.
#[derive(Clone, Debug)]
pub(super) enum Reply {
    Pong,
    Token(Option<String>),
    /// Whose the lease was, unless it was taken, and which of those given back were still there.
    Take {
        owner: Option<Owner>,
        deleted: Vec<bool>,
    },
    GiveBack(Vec<bool>),
    Renew(Vec<Renewal>),
    Retake(Vec<bool>),
    /// Another type than that of any good answer.
    Nonsense,
    /// No RESP at all.
    Garbage,
}

impl fmt::Display for Command {
    /// In words, for people who look at a run.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ping => f.write_str("ping"),
            Self::Token(user) => write!(f, "get the token of {user}"),
            Self::Take { grant: (user, _), claim: Claim::Free, first: _ } => {
                write!(f, "take the lease of {user} if free")
            }
            Self::Take { grant: (user, _), claim: Claim::Over(_), first: _ } => {
                write!(f, "take the lease of {user} over")
            }
            Self::GiveBack(grants) => write!(f, "give back the lease of {}", users(grants)),
            Self::Renew(grants) => write!(f, "renew the lease of {}", users(grants)),
            Self::Retake(grants) => write!(f, "take the lease of {} again if free", users(grants)),
        }
    }
}

impl fmt::Display for Reply {
    /// In words, and without the token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pong => f.write_str("pong"),
            Self::Token(Some(_)) => f.write_str("the token"),
            Self::Token(None) => f.write_str("no token"),
            Self::Take { owner: None, deleted: _ } => f.write_str("taken"),
            Self::Take { owner: Some(_), deleted: _ } => f.write_str("owned by another"),
            Self::GiveBack(deleted) => {
                each(f, deleted, |was_there| if *was_there { "given back" } else { "not there" })
            }
            Self::Renew(renewals) => each(f, renewals, |renewal| match renewal {
                Renewal::Done => "renewed",
                Renewal::Free => "free",
                Renewal::Owned(_) => "owned by another",
            }),
            Self::Retake(taken) => each(f, taken, |is_taken| if *is_taken { "taken" } else { "owned by another" }),
            Self::Nonsense => f.write_str("an answer of the wrong type"),
            Self::Garbage => f.write_str("bytes that are no answer"),
        }
    }
}

fn users(grants: &[Grant]) -> String {
    let names: Vec<_> = grants.iter().map(|(user, _)| user.to_string()).collect();
    names.join(", ")
}

fn each<T>(f: &mut fmt::Formatter<'_>, values: &[T], word: impl Fn(&T) -> &'static str) -> fmt::Result {
    let words: Vec<_> = values.iter().map(word).collect();
    f.write_str(&words.join(", "))
}

/// What became of a lease that was to be renewed.
#[derive(Clone, Copy, Debug)]
pub(super) enum Renewal {
    Done,
    Free,
    Owned(Owner),
}

/// Who owns a lease: a life of a daemon, and a login there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) node: u32,
    pub(super) ticket: Ticket,
}

/// Somebody's lease was taken over.
#[derive(Clone, Copy, Debug)]
pub(super) struct Eviction {
    pub(super) user: UserName,
    pub(super) owner: Owner,
}

pub(super) struct Redis {
    pub(super) process: Process,
    /// Which start of the process this is: connections do not outlive one.
    pub(super) life: u32,
    /// How long every answer takes.
    pub(super) delay: u64,
    mood: Mood,
    tokens: BTreeMap<UserName, String>,
    leases: BTreeMap<UserName, (Owner, u64)>,
    /// Calls that were taken and not run.
    pub(super) backlog: Vec<u32>,
}

/// Whether the process runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Process {
    Running,
    Frozen,
    Crashed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mood {
    Honest,
    Lying,
    Garbling,
}

/// What follows from a fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Consequence {
    Nothing,
    /// Every connection is reset, and these calls never run.
    Reset(Vec<u32>),
    /// These calls run now.
    Run(Vec<u32>),
}

impl Redis {
    pub(super) fn new(tokens: BTreeMap<UserName, String>) -> Self {
        Self {
            process: Process::Running,
            life: 0,
            delay: 0,
            mood: Mood::Honest,
            tokens,
            leases: BTreeMap::new(),
            backlog: Vec::new(),
        }
    }

    /// Breaks or heals.
    ///
    /// # Errors
    /// When it makes no sense now.
    pub(super) fn inject(&mut self, fault: RedisFault) -> Result<Consequence, CannotDo> {
        match (fault, self.process) {
            (RedisFault::Crash, Process::Running | Process::Frozen) => {
                self.process = Process::Crashed;
                return Ok(Consequence::Reset(mem::take(&mut self.backlog)));
            }
            (RedisFault::Restart | RedisFault::RestartEmpty, before) => {
                (self.process, self.mood, self.delay) = (Process::Running, Mood::Honest, 0);
                self.life += 1;
                if fault == RedisFault::RestartEmpty {
                    self.leases.clear();
                }
                let dropped = mem::take(&mut self.backlog);
                return Ok(if before == Process::Crashed { Consequence::Nothing } else { Consequence::Reset(dropped) });
            }
            (_, Process::Crashed) => return Err(CannotDo::Scenario("Redis has crashed: restart it first".to_owned())),
            (RedisFault::Freeze, Process::Running) => self.process = Process::Frozen,
            (RedisFault::Freeze, Process::Frozen) => {
                return Err(CannotDo::Scenario("Redis is frozen already".to_owned()));
            }
            (RedisFault::Thaw, Process::Frozen) => {
                self.process = Process::Running;
                return Ok(Consequence::Run(mem::take(&mut self.backlog)));
            }
            (RedisFault::Thaw, Process::Running) => {
                return Err(CannotDo::Scenario("Redis is not frozen".to_owned()));
            }
            (RedisFault::Slow(by), Process::Running | Process::Frozen) => self.delay = super::nanos(by),
            (RedisFault::Lie, Process::Running | Process::Frozen) => self.mood = Mood::Lying,
            (RedisFault::Garble, Process::Running | Process::Frozen) => self.mood = Mood::Garbling,
            (RedisFault::Heal, Process::Running | Process::Frozen) => (self.mood, self.delay) = (Mood::Honest, 0),
        }
        Ok(Consequence::Nothing)
    }

    /// Whether somebody who connects gets a good answer to a first ping.
    pub(super) fn is_healthy(&self) -> bool {
        self.process == Process::Running && self.mood == Mood::Honest
    }

    /// Runs a command of a node's: what it answers, in whatever mood, and who was evicted by it.
    pub(super) fn run(&mut self, node: u32, command: &Command, now: u64) -> (Reply, Option<Eviction>) {
        let mut eviction = None;
        let reply = match command {
            Command::Ping => Reply::Pong,
            Command::Token(user) => Reply::Token(self.tokens.get(user).cloned()),
            Command::Take { grant: (user, ticket), claim, first } => {
                let deleted = first.iter().map(|grant| self.delete(node, *grant, now)).collect();
                let owner = self.owner(*user, now);
                if owner.is_none() || *claim == Claim::Over(owner) {
                    self.leases.insert(*user, (Owner { node, ticket: *ticket }, now + LEASE));
                    eviction = owner.map(|owner| Eviction { user: *user, owner });
                    Reply::Take { owner: None, deleted }
                } else {
                    Reply::Take { owner, deleted }
                }
            }
            Command::GiveBack(grants) => {
                Reply::GiveBack(grants.iter().map(|grant| self.delete(node, *grant, now)).collect())
            }
            Command::Renew(grants) => Reply::Renew(grants.iter().map(|grant| self.renew(node, *grant, now)).collect()),
            Command::Retake(grants) => {
                let take = |(user, ticket): &Grant| {
                    let is_free = self.owner(*user, now).is_none();
                    if is_free {
                        self.leases.insert(*user, (Owner { node, ticket: *ticket }, now + LEASE));
                    }
                    is_free
                };
                Reply::Retake(grants.iter().map(take).collect())
            }
        };
        let reply = match self.mood {
            Mood::Honest => reply,
            Mood::Lying => Reply::Nonsense,
            Mood::Garbling => Reply::Garbage,
        };
        (reply, eviction)
    }

    /// How many leases a node owns.
    pub(super) fn leases_of(&self, node: u32, now: u64) -> usize {
        self.leases.values().filter(|(owner, expires_at)| owner.node == node && now < *expires_at).count()
    }

    fn owner(&mut self, user: UserName, now: u64) -> Option<Owner> {
        let (owner, expires_at) = *self.leases.get(&user)?;
        if expires_at <= now {
            self.leases.remove(&user);
            return None;
        }
        Some(owner)
    }

    fn delete(&mut self, node: u32, (user, ticket): Grant, now: u64) -> bool {
        let owns = self.owner(user, now) == Some(Owner { node, ticket });
        if owns {
            self.leases.remove(&user);
        }
        owns
    }

    fn renew(&mut self, node: u32, (user, ticket): Grant, now: u64) -> Renewal {
        match self.owner(user, now) {
            None => Renewal::Free,
            Some(owner) if owner == (Owner { node, ticket }) => {
                self.leases.insert(user, (owner, now + LEASE));
                Renewal::Done
            }
            Some(other) => Renewal::Owned(other),
        }
    }
}
