//! Seeded irregularity, so that many daemons do not do the same at the same moment, and a simulation repeats.

use std::cell::Cell;
use std::time::Duration;

/// A stream of numbers from a seed: SplitMix64 (Steele, Lea, Flood: *Fast splittable pseudorandom number generators*,
/// 2014). Not for secrets.
pub(super) struct Jitter(Cell<u64>);

impl Jitter {
    pub(super) fn new(seed: u64) -> Self {
        Self(Cell::new(seed))
    }

    /// A duration from `least` to `most`, in whole nanoseconds.
    pub(super) fn between(&self, least: Duration, most: Duration) -> Duration {
        let span = u64::try_from(most.saturating_sub(least).as_nanos()).unwrap_or(u64::MAX);
        // The high half of the product: even enough without a division.
        let part = (u128::from(self.next()) * u128::from(span)) >> 64;
        least + Duration::from_nanos(u64::try_from(part).unwrap_or(u64::MAX))
    }

    fn next(&self) -> u64 {
        self.0.set(self.0.get().wrapping_add(0x9e37_79b9_7f4a_7c15));
        let mut mixed = self.0.get();
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// How long to wait before the next attempt: doubles from `least` to `most`, each time somewhere in its upper half.
pub(super) struct Backoff {
    least: Duration,
    most: Duration,
    next: Duration,
}

impl Backoff {
    pub(super) fn new(least: Duration, most: Duration) -> Self {
        // Never zero: a refused connect takes no time, and a loop without a pause would spin.
        let least = least.max(Duration::from_millis(1));
        Self { least, most: most.max(least), next: least }
    }

    pub(super) fn reset(&mut self) {
        self.next = self.least;
    }

    pub(super) fn wait(&mut self, jitter: &Jitter) -> Duration {
        let whole = self.next;
        self.next = whole.saturating_mul(2).min(self.most);
        jitter.between(whole / 2, whole)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Backoff, Jitter};

    #[test]
    fn numbers_are_those_of_splitmix64() {
        // From the reference implementation with seed 1234567.
        let jitter = Jitter::new(1_234_567);
        let numbers: Vec<u64> = (0..3).map(|_| jitter.next()).collect();
        assert_eq!(numbers, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
    }

    #[test]
    fn backoff_doubles_up_to_its_limit_and_starts_anew() {
        let (least, most) = (Duration::from_millis(50), Duration::from_millis(300));
        let jitter = Jitter::new(7);
        let mut backoff = Backoff::new(least, most);
        for whole_ms in [50, 100, 200, 300, 300] {
            let whole = Duration::from_millis(whole_ms);
            let wait = backoff.wait(&jitter);
            assert!(wait >= whole / 2 && wait <= whole, "{wait:?} of {whole:?}");
        }
        backoff.reset();
        assert!(backoff.wait(&jitter) <= least);
    }

    #[test]
    fn backoff_never_spins() {
        let mut backoff = Backoff::new(Duration::ZERO, Duration::ZERO);
        assert!(backoff.wait(&Jitter::new(0)) >= Duration::from_micros(500));
    }
}
