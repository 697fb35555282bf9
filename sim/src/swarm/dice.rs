//! Random choices, as the makers of scenarios ask for them.

use std::time::Duration;

use crate::random::Random;

pub(super) struct Dice(Random);

impl Dice {
    /// The choices of the consumer that `salt` names.
    pub(super) fn derived(seed: u64, salt: &str) -> Self {
        Self(Random::derived(seed, &format!("swarm: {salt}")))
    }

    /// From `least` to `most`, both included.
    pub(super) fn between(&mut self, least: u32, most: u32) -> u32 {
        // Not above `most`.
        self.0.between(u64::from(least), u64::from(most)) as u32
    }

    /// Less than `limit`, which is not 0.
    pub(super) fn index(&mut self, limit: usize) -> usize {
        self.0.between(0, limit as u64 - 1) as usize
    }

    /// True so many times of a hundred.
    pub(super) fn chance(&mut self, percent: u32) -> bool {
        self.between(1, 100) <= percent
    }

    pub(super) fn one_of<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.index(from.len())]
    }

    pub(super) fn millis(&mut self, least: u32, most: u32) -> Duration {
        Duration::from_millis(self.between(least, most).into())
    }

    /// One of these by its weight; none if all weights are 0.
    pub(super) fn weighted<T: Copy>(&mut self, choices: &[(T, u32)]) -> Option<T> {
        let sum = choices.iter().map(|(_, weight)| *weight).sum();
        let mut left = if sum == 0 { return None } else { self.between(1, sum) };
        for (choice, weight) in choices {
            if left <= *weight {
                return Some(*choice);
            }
            left -= weight;
        }
        None
    }
}
