//! Which key of Redis is whose.

use std::fmt;

use lobbyd_core::name::UserName;
use lobbyd_core::text::RawText;

/// The most bytes in a key pattern.
pub const PATTERN_BYTES_MAX: usize = 256;
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

    /// Whose key this is; `None` for one that is no user's, such as one with a name in upper case.
    #[must_use]
    pub fn user(&self, key: &[u8]) -> Option<UserName> {
        let name = key.strip_prefix(self.before.as_bytes())?.strip_suffix(self.after.as_bytes())?;
        let user = UserName::parse(RawText(name)).ok()?;
        (user.as_str().as_bytes() == name).then_some(user)
    }

    /// A pattern for SCAN that finds every user's key, and little else.
    #[must_use]
    pub fn glob(&self) -> String {
        format!("{}*{}", escape_glob(&self.before), escape_glob(&self.after))
    }
}

impl fmt::Display for KeyPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{PLACE}{}", self.before, self.after)
    }
}

fn escape_glob(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if matches!(character, '*' | '?' | '[' | ']' | '\\' | '^' | '-') {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
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
    fn glob_characters_of_a_pattern_stand_for_themselves() {
        let pattern = KeyPattern::parse("a*:{user}:[x]").expect("a good pattern");
        assert_eq!(pattern.glob(), "a\\*:*:\\[x\\]");
        assert_eq!(pattern.to_string(), "a*:{user}:[x]");
    }

    #[test]
    fn only_keys_of_users_name_one() {
        let pattern = KeyPattern::parse("u:{user}:a").expect("a good pattern");
        assert_eq!(pattern.user(b"u:alice:a"), "alice".parse().ok());
        for other in [&b"u:Alice:a"[..], b"u::a", b"u:a", b"u:b:c:a", b"u:\xff:a", b"u:alice:b", b"x"] {
            assert_eq!(pattern.user(other), None, "{other:?}");
        }
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
