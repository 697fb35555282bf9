//! Randomness that follows from the seed alone.

use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::time::nanos;

/// SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014). For jitter, nonces and epochs;
/// nothing secret comes from it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A duration from zero to `limit`, the limit excluded unless it is zero.
    pub(crate) fn below(&mut self, limit: Duration) -> Duration {
        let scaled = (u128::from(self.next()) * u128::from(nanos(limit))) >> 64;
        // The upper half of a product of two 64-bit numbers is a 64-bit number.
        Duration::from_nanos(scaled as u64)
    }
}
