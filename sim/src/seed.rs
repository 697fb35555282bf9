//! Where the seed comes from that nobody names: from the environment, so that CI explores something new with every commit
//! and can still be repeated.

use std::env;

/// The variable that holds the root of all randomness: a whole number. `.ci/run` derives it from the commit.
pub const VARIABLE: &str = "LOBBYD_SEED";
/// The seed where nobody names one.
pub const DEFAULT: u64 = 1;

/// The seed of the environment, or [`DEFAULT`] if it says nothing.
///
/// # Panics
/// When it says something else than a number: a search that ignores what it was told would pass for another one.
#[must_use]
pub fn from_environment() -> u64 {
    match env::var(VARIABLE) {
        Err(env::VarError::NotPresent) => DEFAULT,
        Ok(text) => text.parse().unwrap_or_else(|error| panic!("{VARIABLE} is {text:?}: {error}")),
        Err(error @ env::VarError::NotUnicode(_)) => panic!("{VARIABLE}: {error}"),
    }
}
