//! A daemon's connection to Redis, which mends itself, and the book of the leases that it keeps over it.

use super::leases::{Book, LEASE};
use super::millis;
use super::network::{Network, Way};
use super::random::Random;
use super::wire::Wire;

/// The host that Redis runs on.
pub(super) const HOST: &str = "redis";
/// How long an answer may take, as production's links have it.
pub(super) const RESPONSE_NANOS: u64 = millis(1_000);
/// After this long without an answer the link asks whether its connection still stands.
pub(super) const PING_NANOS: u64 = millis(5_000);
/// How long a connection may take.
const CONNECT_NANOS: u64 = millis(2_000);
const BACKOFF_MIN_NANOS: u64 = millis(50);
const BACKOFF_MAX_NANOS: u64 = millis(2_000);

pub(super) struct Link {
    /// The life of the daemon, in whose name leases are owned.
    pub(super) number: u32,
    pub(super) book: Book,
    /// To Redis, and back.
    pub(super) way: Way,
    pub(super) back: Way,
    /// The start of Redis that the connection leads to.
    pub(super) redis_life: u32,
    /// When the last answer came.
    pub(super) heard_at: u64,
    /// Whether the daemon's process is there, to ask anything by itself.
    pub(super) is_running: bool,
    name: String,
    connections: u32,
    is_connected: bool,
    backoff: u64,
    last_sent_at: u64,
    last_answered_at: u64,
    keep_at: Option<u64>,
    random: Random,
}

impl Link {
    pub(super) fn new(number: u32, daemon: &str, seed: u64, network: &mut Network) -> Self {
        Self {
            number,
            book: Book::default(),
            way: network.way(daemon, HOST),
            back: network.way(HOST, daemon),
            redis_life: 0,
            heard_at: 0,
            is_running: true,
            name: daemon.to_owned(),
            connections: 1,
            is_connected: true,
            backoff: BACKOFF_MIN_NANOS,
            last_sent_at: 0,
            last_answered_at: 0,
            keep_at: None,
            random: random(seed, daemon, number),
        }
    }

    /// The daemon starts again.
    pub(super) fn begin_anew(&mut self, number: u32, seed: u64) {
        self.number = number;
        self.book = Book::default();
        self.connections += 1;
        (self.is_connected, self.backoff, self.keep_at) = (true, BACKOFF_MIN_NANOS, None);
        (self.last_sent_at, self.last_answered_at) = (0, 0);
        self.random = random(seed, &self.name, number);
    }

    /// The connection in use.
    pub(super) fn connection(&self) -> Option<u32> {
        self.is_connected.then_some(self.connections)
    }

    pub(super) fn is_open(&self, wire: &Wire) -> bool {
        wire.network.is_open(self.way) && wire.network.is_open(self.back)
    }

    /// When what is sent now reaches Redis; none if it is lost.
    pub(super) fn send_at(&mut self, wire: &mut Wire) -> Option<u64> {
        let at = wire.now + wire.network.delay(self.way)?;
        self.last_sent_at = self.last_sent_at.max(at);
        Some(self.last_sent_at)
    }

    /// When what Redis answers now, but for its delay, reaches the daemon; none if it is lost.
    pub(super) fn answer_at(&mut self, delay: u64, wire: &mut Wire) -> Option<u64> {
        let at = wire.now.saturating_add(delay) + wire.network.delay(self.back)?;
        self.last_answered_at = self.last_answered_at.max(at);
        Some(self.last_answered_at)
    }

    /// When a connection that is asked for now is made; none if it cannot be.
    pub(super) fn round_trip(&mut self, delay: u64, wire: &mut Wire) -> Option<u64> {
        if !self.is_open(wire) {
            return None;
        }
        let (there, back) = (wire.network.delay(self.way)?, wire.network.delay(self.back)?);
        let takes = there.saturating_add(back).saturating_add(delay);
        (takes <= CONNECT_NANOS).then_some(wire.now + takes)
    }

    /// The connection is gone. When to dial; none if it was gone already.
    pub(super) fn lose(&mut self, now: u64) -> Option<u64> {
        if !self.is_connected {
            return None;
        }
        self.is_connected = false;
        Some(now + self.wait())
    }

    /// A dial has failed, after it had waited in vain if nobody answered.
    pub(super) fn dial_again(&mut self, now: u64, is_silent: bool) -> u64 {
        now + self.wait() + if is_silent { CONNECT_NANOS } else { 0 }
    }

    pub(super) fn connect(&mut self, redis_life: u32, now: u64) {
        self.connections += 1;
        (self.is_connected, self.redis_life, self.backoff) = (true, redis_life, BACKOFF_MIN_NANOS);
        (self.last_sent_at, self.last_answered_at) = (0, 0);
        self.book.all_due(now);
    }

    /// By a third of a lease's life.
    pub(super) fn renewal_after(&mut self, sent_at: u64) -> u64 {
        sent_at + self.random.between(LEASE / 4, LEASE / 3)
    }

    /// When to look after the leases, if that was not planned already.
    pub(super) fn keep_at(&mut self, now: u64) -> Option<u64> {
        let at = self.book.next_due()?.max(now);
        if !self.is_connected || self.keep_at.is_some_and(|planned| planned <= at) {
            return None;
        }
        self.keep_at = Some(at);
        Some(at)
    }

    /// Whether this is the moment that was planned, and not an older plan.
    pub(super) fn is_time_to_keep(&mut self, now: u64) -> bool {
        self.keep_at.take_if(|at| *at <= now).is_some()
    }

    fn wait(&mut self) -> u64 {
        let whole = self.backoff;
        self.backoff = (whole * 2).min(BACKOFF_MAX_NANOS);
        self.random.between(whole / 2, whole)
    }
}

fn random(seed: u64, daemon: &str, number: u32) -> Random {
    Random::derived(seed, &format!("link of {daemon}, life {number}"))
}
