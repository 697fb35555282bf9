//! Secrets: as they come from the wire, and what stands for them inside the engine.

use core::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A secret in clear, as a client sent it. It never shows itself.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Secret<'a>(pub &'a [u8]);

impl fmt::Debug for Secret<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

impl Serialize for Secret<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Secret<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <&'a [u8]>::deserialize(deserializer).map(Self)
    }
}

/// What stands for a secret inside the engine, so that inputs, traces and snapshots can be shown.
///
/// For a login it is a handle by which the driver finds the secret again. For a room's password it is a keyed digest
/// whose key never enters the engine: equal passwords of one node have equal seals, and nothing else can be learned.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Sealed(pub [u8; 16]);

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sealed:{:032x}", u128::from_be_bytes(self.0))
    }
}
