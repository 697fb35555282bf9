//! Limits on how often something may happen: rates, budgets, what a packet costs, remembered attempts.

use alloc::collections::{BTreeMap, BTreeSet};
use core::net::IpAddr;
use core::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::config::{ConfigError, within};
use crate::packet::ClientPacket;
use crate::pairs;
use crate::time::{Instant, nanos};

/// How often something may happen: up to `burst` times at once, and again once every `interval`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rate {
    /// How many times at once after a rest.
    pub burst: u32,
    /// After how long one more is allowed.
    pub interval: Duration,
}

impl Rate {
    /// `count` times a second, `burst` at once. `count` 0 counts as 1.
    #[must_use]
    pub const fn per_second(count: u32, burst: u32) -> Self {
        Self { burst, interval: Duration::from_nanos(1_000_000_000 / if count == 0 { 1 } else { count as u64 }) }
    }

    /// `count` times a minute, `burst` at once. `count` 0 counts as 1.
    #[must_use]
    pub const fn per_minute(count: u32, burst: u32) -> Self {
        Self { burst, interval: Duration::from_nanos(60_000_000_000 / if count == 0 { 1 } else { count as u64 }) }
    }

    pub(crate) fn validate(&self, setting: &'static str, burst_min: u32) -> Result<(), ConfigError> {
        within(setting, self.burst, burst_min, 1_000_000_000)?;
        within(setting, self.interval, Duration::from_nanos(1), Duration::from_secs(24 * 60 * 60))
    }
}

/// What is left of a [`Rate`]: a token bucket, held as the one moment at which it will be full again (the generic cell
/// rate algorithm of ITU-T I.371, which needs neither fractions nor a timer).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Budget {
    full_at: Instant,
}

/// The budget does not hold that much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exhausted;

impl Budget {
    /// Takes `count` from the budget.
    ///
    /// # Errors
    /// When it does not hold that much: it is left as it is.
    pub fn spend(&mut self, now: Instant, rate: Rate, count: u32) -> Result<(), Exhausted> {
        // In bare nanoseconds: every packet comes through here.
        let interval = nanos(rate.interval);
        let cost = interval.saturating_mul(u64::from(count));
        let filled_at = self.full_at.max(now).as_nanos().saturating_add(cost);
        if filled_at - now.as_nanos() > interval.saturating_mul(u64::from(rate.burst)) {
            return Err(Exhausted);
        }
        self.full_at = Instant::from_nanos(filled_at);
        Ok(())
    }

    /// Gives `count` back.
    pub(crate) fn refund(&mut self, rate: Rate, count: u32) {
        self.full_at = self.full_at.saturating_sub(times(rate.interval, count));
    }

    fn is_full(self, now: Instant) -> bool {
        self.full_at <= now
    }
}

fn times(interval: Duration, count: u32) -> Duration {
    Duration::from_nanos(nanos(interval).saturating_mul(u64::from(count)))
}

/// The highest cost of a packet: the least burst that a flood budget must have.
pub const COST_MAX: u32 = 10;

/// What a packet costs of the flood budget: about what it makes the server, its store or other clients do.
#[must_use]
pub fn cost<S>(packet: &ClientPacket<'_, S>) -> u32 {
    match packet {
        ClientPacket::Hello { .. }
        | ClientPacket::Ping { .. }
        | ClientPacket::Pong { .. }
        | ClientPacket::LogoutRequest { .. }
        | ClientPacket::RoomChatRequest { .. }
        | ClientPacket::DirectMessageRequest { .. } => 1,
        ClientPacket::RoomListRequest { .. } | ClientPacket::RoomLeaveRequest { .. } => 2,
        ClientPacket::RoomEnterRequest { .. }
        | ClientPacket::KickRequest { .. }
        | ClientPacket::CustomCommand { .. } => 3,
        ClientPacket::RoomCreateRequest { .. } => 5,
        ClientPacket::LoginRequest { .. } => COST_MAX,
    }
}

/// Budgets by key that outlive sessions. Bounded: a full one forgets the key that would be forgotten soonest anyway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remembered<K: Ord> {
    budgets: BTreeMap<K, Budget>,
    /// The same, by the moment at which each is full again and so no longer worth remembering.
    by_age: BTreeSet<(Budget, K)>,
}

impl<K: Ord> Default for Remembered<K> {
    fn default() -> Self {
        Self { budgets: BTreeMap::new(), by_age: BTreeSet::new() }
    }
}

/// Only the budgets are stored: the rest follows from them.
impl<K: Ord + Serialize> Serialize for Remembered<K> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        pairs::serialize(&self.budgets, serializer)
    }
}

impl<'de, K: Ord + Copy + Deserialize<'de>> Deserialize<'de> for Remembered<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let budgets: BTreeMap<K, Budget> = pairs::deserialize(deserializer)?;
        let by_age = budgets.iter().map(|(key, budget)| (*budget, *key)).collect();
        Ok(Self { budgets, by_age })
    }
}

impl<K: Ord + Copy> Remembered<K> {
    /// Takes one from the budget of `key`, remembering at most `keys_max` keys.
    ///
    /// # Errors
    /// When the budget does not hold that much.
    pub fn spend(&mut self, key: K, now: Instant, rate: Rate, keys_max: u32) -> Result<(), Exhausted> {
        let mut budget = self.budgets.get(&key).copied().unwrap_or_default();
        budget.spend(now, rate, 1)?;
        // A key that is there already needs no other's place.
        self.forget(now, if self.budgets.contains_key(&key) { u32::MAX } else { keys_max });
        self.set(key, budget);
        Ok(())
    }

    /// Gives one back to the budget of `key`.
    pub(crate) fn refund(&mut self, key: K, now: Instant, rate: Rate) {
        if let Some(mut budget) = self.budgets.get(&key).copied() {
            budget.refund(rate, 1);
            self.set(key, budget);
            self.forget(now, u32::MAX);
        }
    }

    /// Whether no key is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.budgets.is_empty()
    }

    /// How many keys are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.budgets.len()
    }

    fn set(&mut self, key: K, budget: Budget) {
        if let Some(before) = self.budgets.insert(key, budget) {
            self.by_age.remove(&(before, key));
        }
        self.by_age.insert((budget, key));
    }

    /// Drops what is full again, and then as many as it takes to have room for one more.
    fn forget(&mut self, now: Instant, keys_max: u32) {
        while let Some((budget, key)) = self.by_age.first().copied() {
            if !budget.is_full(now) && self.budgets.len() < keys_max as usize {
                return;
            }
            self.by_age.pop_first();
            self.budgets.remove(&key);
        }
    }
}

/// What limits count by: an IPv4 address, or the /64 network of an IPv6 address, since one host has all of that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) enum AddressKey {
    V4(u32),
    V6Network(u64),
}

impl AddressKey {
    pub(crate) fn new(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address.to_bits()),
            // The upper half: never more than 64 bits.
            IpAddr::V6(address) => Self::V6Network((address.to_bits() >> 64) as u64),
        }
    }
}
