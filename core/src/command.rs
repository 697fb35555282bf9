//! Names of commands, and so of the extensions and services behind them.

use core::fmt;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::name::UserName;
use crate::text::RawText;

/// A command's name: 1 to 32 of `a-z 0-9 _ . -`. Extensions and services are named in the same way.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
// A user name has the same characters and is always in lower case.
pub struct CommandName(UserName);

/// Why a name is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a command's name is 1 to 32 characters of a-z 0-9 _ . -")]
pub struct InvalidCommandName;

impl CommandName {
    /// The name that `raw` spells.
    ///
    /// # Errors
    /// When it is not 1 to 32 of the allowed characters; upper case is not.
    pub fn parse(raw: RawText<'_>) -> Result<Self, InvalidCommandName> {
        match UserName::parse(raw) {
            Ok(name) if name.as_str().as_bytes() == raw.0 => Ok(Self(name)),
            Ok(_) | Err(_) => Err(InvalidCommandName),
        }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The name without what follows its last dot; none if there is nothing before a dot.
    pub(crate) fn family(&self) -> Option<Self> {
        let (family, _) = self.as_str().rsplit_once('.')?;
        Self::parse(family.into()).ok()
    }
}

impl core::str::FromStr for CommandName {
    type Err = InvalidCommandName;

    fn from_str(name: &str) -> Result<Self, InvalidCommandName> {
        Self::parse(name.into())
    }
}

impl fmt::Debug for CommandName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for CommandName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl Serialize for CommandName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for CommandName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameVisitor;
        impl Visitor<'_> for NameVisitor {
            type Value = CommandName;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a command's name")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<CommandName, E> {
                text.parse().map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_str(NameVisitor)
    }
}
