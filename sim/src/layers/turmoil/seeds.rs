//! Randomness for each who needs some, so that one more consumer changes nothing for the others.

use crate::network::Chopper;

/// The root of the randomness of somebody.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seeds(u64);

impl Seeds {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The root of what `whom` needs.
    pub(super) fn of(self, whom: &str) -> Self {
        Self(self.number(whom))
    }

    /// A seed for `purpose`: another for each.
    pub(super) fn number(self, purpose: &str) -> u64 {
        // FNV-1a of the purpose, mixed with the root.
        let fold = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        let purpose = purpose.as_bytes().iter().fold(0xcbf2_9ce4_8422_2325, fold);
        Chopper::new(None, self.0 ^ purpose).draw()
    }

    /// A number of 128 bits for `purpose`.
    pub(super) fn number128(self, purpose: &str) -> u128 {
        let high = self.of(purpose);
        (u128::from(high.0) << 64) | u128::from(high.number("low"))
    }
}
