//! Patterns of Redis keys as values of settings.

use lobbyd_net::redis::{KeyPattern, PATTERN_BYTES_MAX};

use super::value::{Given, OkOrDefault, Refusal, Value, quoted};

impl Value for KeyPattern {
    type Allowed = ();

    fn read(given: Given<'_>, (): &()) -> Result<Self, Refusal> {
        given.text().and_then(|text| Self::parse(text).ok()).ok_or_default()
    }

    fn allowed((): &()) -> String {
        format!("text of at most {PATTERN_BYTES_MAX} bytes with {{user}} in it exactly once")
    }

    fn literal(&self) -> String {
        quoted(&self.to_string())
    }
}
