//! How often something may still happen: so many at once, and one more after each interval.

use lobbyd_core::limits::Rate;
use lobbyd_core::time::Instant;

/// What has been used of a [`Rate`] and has not come back yet, in nanoseconds of waiting.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Allowance {
    used: u128,
    at: Instant,
}

impl Allowance {
    /// Uses `count` if there is that much.
    pub(super) fn uses(&mut self, now: Instant, rate: Rate, count: u32) -> bool {
        self.comes_back(now);
        let used = self.used + nanos(rate, count);
        if used > nanos(rate, rate.burst) {
            return false;
        }
        self.used = used;
        true
    }

    fn gives_back(&mut self, now: Instant, rate: Rate, count: u32) {
        self.comes_back(now);
        self.used = self.used.saturating_sub(nanos(rate, count));
    }

    fn comes_back(&mut self, now: Instant) {
        self.used = self.used.saturating_sub(now.saturating_since(self.at).as_nanos());
        self.at = now;
    }
}

fn nanos(rate: Rate, count: u32) -> u128 {
    let Rate { burst: _, interval } = rate;
    interval.as_nanos() * u128::from(count)
}

/// The allowances of many, each by its key, of at most so many keys. A new key takes the place of the one that would be
/// as good as new soonest, and of the lowest of several, as [`Config::remembered_max`] says.
///
/// [`Config::remembered_max`]: lobbyd_core::config::Config::remembered_max
#[derive(Clone, Debug)]
pub(super) struct Ledger<K> {
    entries: Vec<(K, Allowance)>,
    keys_max: usize,
}

impl<K: Ord + Copy> Ledger<K> {
    pub(super) fn new(keys_max: u32) -> Self {
        Self { entries: Vec::new(), keys_max: keys_max as usize }
    }

    /// Uses one of the key's allowance if there is one.
    pub(super) fn uses(&mut self, key: K, now: Instant, rate: Rate) -> bool {
        self.entries.retain_mut(|(_, allowance)| {
            allowance.comes_back(now);
            allowance.used > 0
        });
        if let Some((_, allowance)) = self.entries.iter_mut().find(|(other, _)| *other == key) {
            return allowance.uses(now, rate, 1);
        }
        let mut allowance = Allowance::default();
        if !allowance.uses(now, rate, 1) {
            return false;
        }
        while self.entries.len() >= self.keys_max {
            let entries = self.entries.iter().enumerate();
            let soonest = entries.min_by_key(|(_, (key, allowance))| (allowance.used, *key));
            let Some((place, _)) = soonest else { break };
            self.entries.remove(place);
        }
        self.entries.push((key, allowance));
        true
    }

    /// Gives one back.
    pub(super) fn gives_back(&mut self, key: &K, now: Instant, rate: Rate) {
        if let Some((_, allowance)) = self.entries.iter_mut().find(|(other, _)| other == key) {
            allowance.gives_back(now, rate, 1);
        }
    }
}
