//! Maps that are stored as sequences of pairs, for formats in which only a string can be a key (JSON).

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Stores the pairs in the order of their keys.
pub(crate) fn serialize<S: Serializer, K: Serialize, V: Serialize>(
    map: &BTreeMap<K, V>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(map)
}

/// Reads what [`serialize`] stored, and refuses any other order, so that a map has exactly one stored form.
pub(crate) fn deserialize<'de, D: Deserializer<'de>, K: Deserialize<'de> + Ord, V: Deserialize<'de>>(
    deserializer: D,
) -> Result<BTreeMap<K, V>, D::Error> {
    let pairs = Vec::<(K, V)>::deserialize(deserializer)?;
    if pairs.windows(2).all(|pair| pair[0].0 < pair[1].0) {
        Ok(pairs.into_iter().collect())
    } else {
        Err(D::Error::custom("the keys of a map do not rise"))
    }
}
