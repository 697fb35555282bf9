//! Who is online where, as leases in Redis that all daemons share.
//!
//! A lease is the key of a user, with a life of its own; its value names node, session and login attempt, and is never
//! used twice. The node that took it renews it every third of its life and is the only one to delete it. It counts as
//! valid from *before* the command that took or renewed it was sent, so while it is valid nobody else can own the key.
//!
//! A command whose answer never came may have run, or may still run: Redis, stopped and continued, executes what it
//! finds in the buffers of connections that were given up long ago. So a take without an answer is given back by itself,
//! and watched for one more life of a lease; renewing never creates a key; and replacing an owner names that owner.

mod keeper;
mod lease;
pub mod scripts;
mod table;
mod turns;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use lobbyd_core::id::Ticket;
use lobbyd_core::name::UserName;
use redis::{Cmd, Pipeline, Value, cmd};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use self::lease::Attempt;
use self::table::{Grant, Table};
use self::turns::Turns;
use super::error::LinkError;
use super::jitter::Jitter;
use super::key::KeyPattern;
use super::link::Link;
use crate::errands::Errand;
use crate::stores::{LocalFuture, Presence, Unavailable};

/// How leases are kept.
#[derive(Clone, Debug)]
pub struct PresenceConfig {
    /// The key of a user's lease.
    pub key: KeyPattern,
    /// Where evictions are published; the same for all daemons that share the keys.
    pub channel: String,
    /// This daemon's name among all that ever were: random, new at each start.
    pub node: u128,
    /// How long a lease lives when it is not renewed: 100 ms to 1 h, and well over the link's response timeout. A
    /// crashed daemon's users can return after this.
    pub lease: Duration,
    /// How long a take may last altogether.
    pub take_timeout: Duration,
    /// How many leases there may be: held, being taken and being given back.
    pub leases_max: usize,
    /// Of the jitter in renewals.
    pub seed: u64,
}

/// A setting of [`PresenceConfig`] that cannot hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PresenceConfigError {
    /// The lease's life.
    #[error("a presence lease of {0:?}; allowed is 100 ms to 1 h")]
    Lease(Duration),
    /// The channel's name.
    #[error("the channel for evictions has no name; allowed is any name that all daemons share")]
    Channel,
}

const LEASE_MIN: Duration = Duration::from_millis(100);
const LEASE_MAX: Duration = Duration::from_secs(60 * 60);
/// How often a replace tries again because the owner has changed meanwhile.
const REPLACE_ROUNDS: u32 = 8;

/// What was counted since the start, and how many leases there are now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PresenceStats {
    /// Leases held now.
    pub held: usize,
    /// Of these, those that could not be renewed in time, so that another daemon may own the user's presence.
    pub unprotected: usize,
    /// Leases on their way back now.
    pub returning: usize,
    /// Takes that brought a lease.
    pub taken: u64,
    /// Takes refused because another owned the lease.
    pub refused: u64,
    /// Takes without an answer that can be used.
    pub failed: u64,
    /// Renewals confirmed.
    pub renewed: u64,
    /// Leases found gone, and taken again.
    pub retaken: u64,
    /// Leases found another's.
    pub lost: u64,
    /// Leases given back that Redis still had.
    pub returned: u64,
}

/// Presence leases in Redis. Dropped, it stops renewing and gives nothing back, as if the daemon had crashed.
pub struct RedisPresence {
    shared: Rc<Shared>,
    _keeper: Errand,
}

impl RedisPresence {
    /// Starts to keep leases, beside the link's errands.
    ///
    /// # Errors
    /// When a setting cannot hold.
    pub fn start(link: Link, config: PresenceConfig) -> Result<Self, PresenceConfigError> {
        if !(LEASE_MIN..=LEASE_MAX).contains(&config.lease) {
            return Err(PresenceConfigError::Lease(config.lease));
        }
        if config.channel.is_empty() {
            return Err(PresenceConfigError::Channel);
        }
        let evictions = link.subscribe(&config.channel);
        let shared = Rc::new(Shared {
            link,
            table: RefCell::new(Table::new(config.lease)),
            turns: Turns::default(),
            jitter: Jitter::new(config.seed),
            stats: Cell::default(),
            wake: Notify::new(),
            lost: Notify::new(),
            settled: Notify::new(),
            config,
        });
        let keeper = shared.link.errands().begin(keeper::keep(Rc::clone(&shared), evictions));
        Ok(Self { shared, _keeper: keeper })
    }

    /// Waits until Redis has answered to the return of every lease that was released: what a daemon does, within its
    /// patience, before it ends.
    pub async fn settled(&self) {
        loop {
            let settled = self.shared.settled.notified();
            if self.shared.table.borrow().is_settled() {
                return;
            }
            settled.await;
        }
    }

    /// The figures of this moment.
    #[must_use]
    pub fn stats(&self) -> PresenceStats {
        let table = self.shared.table.borrow();
        PresenceStats {
            held: table.held_len(),
            unprotected: table.unprotected_len(Instant::now()),
            returning: table.returning_len(),
            ..self.shared.stats.get()
        }
    }
}

impl Presence for RedisPresence {
    fn take(&self, ticket: Ticket, user: UserName, replace: bool) -> LocalFuture<'_, Result<bool, Unavailable>> {
        Box::pin(async move {
            let take_timeout = self.shared.config.take_timeout;
            let taken = match timeout(take_timeout, self.shared.take((user, ticket), replace)).await {
                Ok(taken) => taken,
                Err(_elapsed) => Err(format!("was not decided within {take_timeout:?}")),
            };
            taken.map_err(|why| {
                self.shared.count(|stats| stats.failed += 1);
                let address = self.shared.link.address();
                Unavailable(format!("the presence of {user} could not be claimed in Redis at {address}: {why}"))
            })
        })
    }

    fn release(&self, ticket: Ticket, user: UserName) {
        if self.shared.table.borrow_mut().release((user, ticket), Instant::now()) {
            self.shared.wake.notify_one();
        }
    }

    fn lost(&self) -> LocalFuture<'_, Ticket> {
        Box::pin(async {
            loop {
                if let Some(ticket) = self.shared.table.borrow_mut().next_lost() {
                    return ticket;
                }
                self.shared.lost.notified().await;
            }
        })
    }
}

struct Shared {
    link: Link,
    config: PresenceConfig,
    table: RefCell<Table>,
    turns: Turns,
    jitter: Jitter,
    stats: Cell<PresenceStats>,
    /// Wakes the keeper: there is something to give back.
    wake: Notify,
    /// Wakes whoever waits for lost leases.
    lost: Notify,
    /// Wakes whoever waits for all returns to be answered.
    settled: Notify,
}

/// What a try to take a lease came to.
enum Outcome {
    Taken,
    Owned(Vec<u8>),
}

impl Shared {
    async fn take(&self, grant: Grant, replace: bool) -> Result<bool, String> {
        // One take of a user at a time, so that two tickets of this node never wonder about each other's leases.
        let _turn = self.turns.take(grant.0).await;
        if self.table.borrow().len() >= self.config.leases_max {
            return Err(format!("there are {} leases already", self.config.leases_max));
        }
        let attempt = Attempt::begin(self, grant);
        let mut owner = Vec::new();
        for _ in 0..REPLACE_ROUNDS {
            let sent_at = Instant::now();
            match self.try_take(grant, replace.then_some(owner)).await {
                Ok(Outcome::Taken) => return attempt.succeed(sent_at).map(|()| true),
                Ok(Outcome::Owned(_)) if !replace => {
                    attempt.leave();
                    self.count(|stats| stats.refused += 1);
                    return Ok(false);
                }
                Ok(Outcome::Owned(found)) => owner = found,
                Err(error) => {
                    attempt.fail(&error);
                    return Err(error.to_string());
                }
            }
        }
        attempt.leave();
        Err("others keep taking it at the same time".to_owned())
    }

    /// Tries once, after what this node has of the user has been given back.
    async fn try_take(&self, grant: Grant, replace: Option<Vec<u8>>) -> Result<Outcome, LinkError> {
        let (user, ticket) = grant;
        let (key, value) = (self.config.key.key(&user), self.value(ticket));
        let returning = self.table.borrow().returning_of(user);
        let mut pipeline = Pipeline::new();
        if !returning.is_empty() {
            pipeline.add_command(self.release_command(&returning));
        }
        let replaces = replace.is_some();
        pipeline.add_command(match replace {
            None => self.set_command(&key, &value),
            Some(owner) => self.replace_command(&key, &value, &owner),
        });

        let mut answers = self.link.pipeline(&pipeline).await?;
        let answer = answers.pop().ok_or(LinkError::Nonsense("no answer"))?;
        if let Some(released) = answers.pop() {
            self.note_released(&returning, released);
        }
        let answer = answer?;
        if answer == if replaces { Value::Int(1) } else { Value::Okay } {
            return Ok(Outcome::Taken);
        }
        if !replaces && answer == Value::Nil {
            return Ok(Outcome::Owned(Vec::new()));
        }
        if let Value::BulkString(owner) = answer
            && replaces
        {
            return Ok(Outcome::Owned(owner));
        }
        Err(LinkError::Nonsense("neither that the lease was taken nor whose it is"))
    }

    /// Takes note of the answer to [`Shared::release_command`].
    fn note_released(&self, grants: &[Grant], answer: Result<Value, LinkError>) {
        // A refusal leaves them to be tried again.
        let Ok(Value::Array(answers)) = answer else { return };
        let now = Instant::now();
        for (grant, answer) in grants.iter().zip(answers) {
            let deleted = answer == Value::Int(1);
            if deleted {
                self.count(|stats| stats.returned += 1);
            }
            self.table.borrow_mut().returned(*grant, deleted, now);
        }
        self.settled.notify_waiters();
    }

    fn set_command(&self, key: &str, value: &str) -> Cmd {
        let mut command = cmd("SET");
        command.arg(key).arg(value).arg("NX").arg("PX").arg(self.lease_ms());
        command
    }

    fn replace_command(&self, key: &str, value: &str, owner: &[u8]) -> Cmd {
        let mut command = cmd("EVAL");
        command.arg(scripts::REPLACE).arg(1).arg(key);
        command.arg(value).arg(self.lease_ms()).arg(owner).arg(&self.config.channel);
        command
    }

    fn release_command(&self, grants: &[Grant]) -> Cmd {
        let mut command = self.keys_command(scripts::RELEASE, grants);
        self.add_values(&mut command, grants);
        command
    }

    fn renew_command(&self, grants: &[Grant]) -> Cmd {
        let mut command = self.keys_command(scripts::RENEW, grants);
        command.arg(self.lease_ms());
        self.add_values(&mut command, grants);
        command
    }

    fn keys_command(&self, script: &str, grants: &[Grant]) -> Cmd {
        let mut command = cmd("EVAL");
        command.arg(script).arg(grants.len());
        for (user, _) in grants {
            command.arg(self.config.key.key(user));
        }
        command
    }

    fn add_values(&self, command: &mut Cmd, grants: &[Grant]) {
        for (_, ticket) in grants {
            command.arg(self.value(*ticket));
        }
    }

    fn value(&self, ticket: Ticket) -> String {
        lease::value(self.config.node, ticket)
    }

    fn lease_ms(&self) -> u64 {
        // At most an hour, checked at the start.
        u64::try_from(self.config.lease.as_millis()).unwrap_or(u64::MAX)
    }

    /// When a lease confirmed by a command sent at `sent_at` is to be renewed: by a third of its life.
    fn renewal_after(&self, sent_at: Instant) -> Instant {
        sent_at + self.jitter.between(self.config.lease / 4, self.config.lease / 3)
    }

    /// How long what was not answered rests before it is tried again on the same connection.
    fn retry(&self) -> Duration {
        self.config.lease / 6
    }

    /// How long to wait for a matter between two owners to settle before looking again.
    fn pause(&self) -> Duration {
        // Longer than what the keeper renews ahead of time, so that it does rest.
        self.config.lease / 12
    }

    fn count(&self, change: impl FnOnce(&mut PresenceStats)) {
        let mut stats = self.stats.get();
        change(&mut stats);
        self.stats.set(stats);
    }
}
