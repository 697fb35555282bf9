//! User names: the identity of a user in every store.

use core::fmt;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::text::RawText;

/// The most characters (all ASCII, so also bytes) in a user name.
pub const USER_NAME_MAX: usize = 32;

/// A user's name: 1 to 32 of `A-Z a-z 0-9 _ . -`, held in lower case because names are compared without case.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserName {
    // The bytes first, so that the derived order is the order of the names (unused bytes are 0, below every character).
    bytes: [u8; USER_NAME_MAX],
    length: u8,
}

/// Why a name is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a user name is 1 to 32 characters of A-Z a-z 0-9 _ . -")]
pub struct InvalidUserName;

impl UserName {
    /// The name that `raw` spells.
    ///
    /// # Errors
    /// When it is not 1 to 32 of the allowed characters.
    pub fn parse(raw: RawText<'_>) -> Result<Self, InvalidUserName> {
        if raw.0.is_empty() || raw.0.len() > USER_NAME_MAX {
            return Err(InvalidUserName);
        }
        let mut bytes = [0; USER_NAME_MAX];
        for (place, byte) in bytes.iter_mut().zip(raw.0) {
            if !byte.is_ascii_alphanumeric() && !matches!(byte, b'_' | b'.' | b'-') {
                return Err(InvalidUserName);
            }
            *place = byte.to_ascii_lowercase();
        }
        // At most 32, checked above.
        Ok(Self { bytes, length: raw.0.len() as u8 })
    }

    /// The name, in lower case.
    #[must_use]
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(&self.bytes[..usize::from(self.length)]).expect("a user name is ASCII by construction")
    }
}

impl core::str::FromStr for UserName {
    type Err = InvalidUserName;

    fn from_str(name: &str) -> Result<Self, InvalidUserName> {
        Self::parse(name.into())
    }
}

impl fmt::Debug for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Serialize for UserName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.serialize_str(self.as_str())
        } else {
            // The same shape, without a look at the bytes.
            serializer.serialize_bytes(&self.bytes[..usize::from(self.length)])
        }
    }
}

impl<'de> Deserialize<'de> for UserName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameVisitor;
        impl Visitor<'_> for NameVisitor {
            type Value = UserName;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a user name in lower case")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<UserName, E> {
                match UserName::parse(text.into()) {
                    // One spelling only, so that a packet has exactly one encoding.
                    Ok(name) if name.as_str() == text => Ok(name),
                    Ok(_) | Err(InvalidUserName) => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
                }
            }

            // Formats that describe themselves give back as bytes what was written as such.
            fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<UserName, E> {
                match core::str::from_utf8(bytes) {
                    Ok(text) => self.visit_str(text),
                    Err(_) => Err(E::invalid_value(de::Unexpected::Bytes(bytes), &self)),
                }
            }
        }
        deserializer.deserialize_str(NameVisitor)
    }
}
