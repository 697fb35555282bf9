//! Settings that choose one of a few ways.

use lobbyd_core::config::DuplicateLogin;

use super::value::{Given, OkOrDefault, Refusal, Value, quoted};

/// How a login's secret is checked with Redis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RedisAuth {
    /// Against an argon2id hash that `lobbyd user` wrote under `redis.account_key`.
    Argon2id,
    /// Against a token that another service wrote under `redis.token_key`.
    Token,
}

/// How a log line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object for each line.
    Json,
}

/// A type whose values have names in the configuration.
trait Choice: Copy + PartialEq + 'static {
    /// Every value with its name.
    const NAMES: &'static [(&'static str, Self)];
}

impl Choice for RedisAuth {
    const NAMES: &'static [(&'static str, Self)] = &[("argon2id", Self::Argon2id), ("token", Self::Token)];
}

impl Choice for LogFormat {
    const NAMES: &'static [(&'static str, Self)] = &[("text", Self::Text), ("json", Self::Json)];
}

impl Choice for DuplicateLogin {
    const NAMES: &'static [(&'static str, Self)] =
        &[("reject", Self::Reject), ("newest-wins", Self::NewestWins), ("allow", Self::Allow)];
}

impl<T: Choice> Value for T {
    type Allowed = ();

    fn read(given: Given<'_>, (): &()) -> Result<Self, Refusal> {
        let text = given.text().ok_or_default()?;
        T::NAMES.iter().find(|(name, _)| *name == text).map(|(_, value)| *value).ok_or_default()
    }

    fn allowed((): &()) -> String {
        let names: Vec<String> = T::NAMES.iter().map(|(name, _)| quoted(name)).collect();
        match names.as_slice() {
            [others @ .., last] if !others.is_empty() => format!("{} or {last}", others.join(", ")),
            names => names.join(", "),
        }
    }

    fn literal(&self) -> String {
        T::NAMES.iter().find(|(_, value)| value == self).map(|(name, _)| quoted(name)).expect("every value has a name")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_is_one_of_its_names() {
        assert_eq!(DuplicateLogin::read(Given::Plain("newest-wins"), &()), Ok(DuplicateLogin::NewestWins));
        for text in ["", "Reject", "newest wins", "newest_wins"] {
            assert!(DuplicateLogin::read(Given::Plain(text), &()).is_err(), "{text}");
        }
        assert_eq!(DuplicateLogin::allowed(&()), "\"reject\", \"newest-wins\" or \"allow\"");
        assert_eq!(LogFormat::allowed(&()), "\"text\" or \"json\"");
    }

    #[test]
    fn every_value_has_a_name() {
        let duplicate = [DuplicateLogin::Reject, DuplicateLogin::NewestWins, DuplicateLogin::Allow];
        assert_eq!(duplicate.map(|way| way.literal()), ["\"reject\"", "\"newest-wins\"", "\"allow\""]);
        assert_eq!([RedisAuth::Argon2id, RedisAuth::Token].map(|way| way.literal()), ["\"argon2id\"", "\"token\""]);
        assert_eq!([LogFormat::Text, LogFormat::Json].map(|way| way.literal()), ["\"text\"", "\"json\""]);
    }
}
