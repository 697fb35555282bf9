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

/// The allowances of many, each by its key.
#[derive(Clone, Debug)]
pub(super) struct Ledger<K> {
    entries: Vec<(K, Allowance)>,
    keys_max: usize,
    /// There were once more keys than a server has to remember. Which one it forgot is its own affair, so from then on
    /// it may let pass what this would refuse.
    may_have_forgotten: bool,
}

impl<K: PartialEq + Copy> Ledger<K> {
    pub(super) fn new(keys_max: u32) -> Self {
        Self { entries: Vec::new(), keys_max: keys_max as usize, may_have_forgotten: false }
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
        self.may_have_forgotten |= self.entries.len() >= self.keys_max;
        let mut allowance = Allowance::default();
        let has_passed = allowance.uses(now, rate, 1);
        self.entries.push((key, allowance));
        has_passed
    }

    /// The same, but of a server that may have forgotten this key, whether it refused decides.
    pub(super) fn allows(&mut self, key: K, now: Instant, rate: Rate, is_refused: impl FnOnce() -> bool) -> bool {
        if self.uses(key, now, rate) {
            return true;
        }
        // What is written here stays: the server may have forgotten less than all of it.
        self.may_have_forgotten && !is_refused()
    }

    /// Gives one back.
    pub(super) fn gives_back(&mut self, key: &K, now: Instant, rate: Rate) {
        if let Some((_, allowance)) = self.entries.iter_mut().find(|(other, _)| other == key) {
            allowance.gives_back(now, rate, 1);
        }
    }
}
