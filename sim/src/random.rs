//! Randomness of the models: one stream for each consumer, all from one seed, so that one consumer's draws never shift
//! another's.

use crate::trace::Fnv;

/// SplitMix64 (Steele, Lea, Flood: *Fast splittable pseudorandom number generators*, 2014).
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    /// The stream of the consumer that `salt` names.
    pub(crate) fn derived(seed: u64, salt: &str) -> Self {
        let mut fnv = Fnv::new();
        fnv.eat(&seed.to_le_bytes());
        fnv.eat(salt.as_bytes());
        let mut random = Self(fnv.0);
        // FNV leaves salts that differ in one bit close to each other; one round spreads them.
        Self(random.next())
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From `least` to `most`, both included. Draws nothing where there is no choice.
    pub(crate) fn between(&mut self, least: u64, most: u64) -> u64 {
        if least >= most {
            return least;
        }
        let choices = u128::from(most - least) + 1;
        // The upper half of a product with a 64-bit number is below the other factor, here at most 2^64.
        least + ((u128::from(self.next()) * choices) >> 64) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_differ_by_salt_and_repeat_by_seed() {
        let draw = |seed, salt| Random::derived(seed, salt).next();
        assert_eq!(draw(1, "a"), draw(1, "a"));
        assert_ne!(draw(1, "a"), draw(1, "b"));
        assert_ne!(draw(1, "a"), draw(2, "a"));
    }

    #[test]
    fn between_reaches_both_ends_and_nothing_beyond() {
        let mut random = Random::derived(7, "test");
        let draws: std::collections::BTreeSet<_> = (0..1_000).map(|_| random.between(3, 6)).collect();
        assert_eq!(draws, [3, 4, 5, 6].into());
        assert_eq!(random.between(9, 9), 9);
        random.between(0, u64::MAX);
    }
}
