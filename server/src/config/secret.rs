//! Secrets in the configuration: they are used, never shown.

use std::fmt;

use zeroize::Zeroizing;

use super::value::{Given, OkOrDefault, Refusal, Value};

/// A secret in clear, wiped when it is dropped. Neither `Debug` nor an error shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes over `text`.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The secret itself. Not for a log or a message.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

/// The most bytes in a secret of the configuration.
const SECRET_BYTES_MAX: usize = 256;

impl Value for Secret {
    type Allowed = ();

    fn read(given: Given<'_>, (): &()) -> Result<Self, Refusal> {
        let text = given.text().filter(|text| (1..=SECRET_BYTES_MAX).contains(&text.len()));
        text.map(|text| Self::new(text.to_owned())).ok_or_default()
    }

    fn allowed((): &()) -> String {
        format!("text of 1 to {SECRET_BYTES_MAX} bytes")
    }

    fn literal(&self) -> String {
        String::from("\"(secret)\"")
    }

    fn shown(_: Given<'_>) -> String {
        String::from("(not shown)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_never_shows_itself() {
        let secret = Secret::read(Given::Plain("hunter2"), &()).unwrap();
        assert_eq!(secret.expose(), "hunter2");
        assert_eq!(format!("{secret:?} {}", secret.literal()), "(secret) \"(secret)\"");
        assert_eq!(Secret::shown(Given::Plain("hunter2")), "(not shown)");
    }

    #[test]
    fn a_secret_is_not_empty_and_not_endless() {
        assert!(Secret::read(Given::Plain(""), &()).is_err());
        assert!(Secret::read(Given::Plain(&"x".repeat(256)), &()).is_ok());
        assert!(Secret::read(Given::Plain(&"x".repeat(257)), &()).is_err());
    }
}
