//! Which key of Redis is whose.

use lobbyd_core::name::UserName;

/// The most bytes in a key pattern.
const PATTERN_BYTES_MAX: usize = 256;
const PLACE: &str = "{user}";

/// A key with a place for the user's name, such as `lobbyd:account:{user}`. The name goes in in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPattern {
    before: String,
    after: String,
}

/// Why a text is no key pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the key pattern {pattern:?} {fault}; allowed is a text of up to 256 bytes that holds {{user}} exactly once")]
pub struct KeyPatternError {
    pattern: String,
    fault: &'static str,
}

impl KeyPattern {
    /// The pattern that `text` spells.
    ///
    /// # Errors
    /// When `{user}` is not in it exactly once, or it is too long or holds control characters.
    pub fn parse(text: &str) -> Result<Self, KeyPatternError> {
        let refuse = |fault| Err(KeyPatternError { pattern: text.chars().take(PATTERN_BYTES_MAX).collect(), fault });
        if text.len() > PATTERN_BYTES_MAX {
            return refuse("is too long");
        }
        if text.chars().any(char::is_control) {
            return refuse("holds control characters");
        }
        let Some((before, after)) = text.split_once(PLACE) else {
            return refuse("does not hold {user}");
        };
        if after.contains(PLACE) {
            return refuse("holds {user} more than once");
        }
        Ok(Self { before: before.to_owned(), after: after.to_owned() })
    }

    /// The key of `user`.
    #[must_use]
    pub fn key(&self, user: &UserName) -> String {
        [self.before.as_str(), user.as_str(), self.after.as_str()].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::KeyPattern;

    #[test]
    fn the_name_goes_in_in_lower_case() {
        let pattern = KeyPattern::parse("game:{user}:token").expect("a good pattern");
        assert_eq!(pattern.key(&"Alice".parse().expect("a good name")), "game:alice:token");
    }

    #[test]
    fn a_pattern_that_does_not_hold_the_user_exactly_once_is_refused() {
        for bad in ["", "game", "game:{name}", "{user}{user}", "a\n{user}", &"x".repeat(300)] {
            assert!(KeyPattern::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(
            KeyPattern::parse("game").expect_err("no place").to_string(),
            "the key pattern \"game\" does not hold {user}; \
             allowed is a text of up to 256 bytes that holds {user} exactly once"
        );
    }
}
