//! Which log lines are written.

use super::value::{Given, OkOrDefault, Refusal, Value, quoted};
use crate::telemetry;

/// Log levels by target, checked: what [`telemetry::init`] takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Levels(String);

impl Levels {
    /// `info` for everything.
    #[must_use]
    pub fn info() -> Self {
        Self(String::from("info"))
    }

    /// The directives, with commas between.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Value for Levels {
    type Allowed = ();

    fn read(given: Given<'_>, (): &()) -> Result<Self, Refusal> {
        let text = given.text().ok_or_default()?;
        match telemetry::filter(text) {
            Ok(_) => Ok(Self(text.to_owned())),
            Err(error) => Err(Refusal::because(format!("{:?} is no such directive", error.directive))),
        }
    }

    fn allowed((): &()) -> String {
        String::from("LEVEL and TARGET=LEVEL with commas between, LEVEL being off, error, warn, info, debug or trace")
    }

    fn literal(&self) -> String {
        quoted(&self.0)
    }
}
