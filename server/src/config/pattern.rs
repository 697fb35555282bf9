//! Patterns of Redis keys.

use std::fmt;

use lobbyd_core::name::UserName;

use super::value::{Given, OkOrDefault, Refusal, Value, quoted};

/// What stands for the user's name.
const PLACEHOLDER: &str = "{user}";
/// The most bytes in a pattern.
const PATTERN_BYTES_MAX: usize = 256;

/// A pattern of Redis keys: text in which `{user}` stands exactly once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPattern {
    before: String,
    after: String,
}

impl KeyPattern {
    /// The pattern that `text` spells, if it holds `{user}` exactly once and no control character.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (before, after) = text.split_once(PLACEHOLDER)?;
        let fine = text.len() <= PATTERN_BYTES_MAX && !after.contains(PLACEHOLDER) && !text.contains(char::is_control);
        fine.then(|| Self { before: before.to_owned(), after: after.to_owned() })
    }

    /// The key of `user`. The name is in lower case, as names always are, so every spelling of it has the same key.
    #[must_use]
    pub fn key(&self, user: UserName) -> String {
        format!("{}{user}{}", self.before, self.after)
    }
}

impl fmt::Display for KeyPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{PLACEHOLDER}{}", self.before, self.after)
    }
}

impl Value for KeyPattern {
    type Allowed = ();

    fn read(given: Given<'_>, (): &()) -> Result<Self, Refusal> {
        given.text().and_then(Self::parse).ok_or_default()
    }

    fn allowed((): &()) -> String {
        format!("text of at most {PATTERN_BYTES_MAX} bytes with {PLACEHOLDER} in it exactly once")
    }

    fn literal(&self) -> String {
        quoted(&self.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_holds_the_user_exactly_once() {
        for text in ["", "lobbyd:account:", "user", "{user}:{user}", "{User}", "a\n{user}", "{user"] {
            assert_eq!(KeyPattern::parse(text), None, "{text:?}");
        }
        assert!(KeyPattern::parse(&format!("{{user}}{}", "x".repeat(250))).is_some());
        assert!(KeyPattern::parse(&format!("{{user}}{}", "x".repeat(251))).is_none());
    }

    #[test]
    fn a_key_has_the_name_in_lower_case() {
        let user = "Ann.1".parse().unwrap();
        for (pattern, key) in
            [("lobbyd:{user}:token", "lobbyd:ann.1:token"), ("{user}", "ann.1"), ("{{user}}", "{ann.1}")]
        {
            let parsed = KeyPattern::parse(pattern).unwrap();
            assert_eq!(parsed.key(user), key);
            assert_eq!(parsed.to_string(), pattern);
        }
    }
}
