//! Administration of users: who exists, and with which password, nickname and rights. Beside the checking of logins
//! (`lobbyd_net::stores::Accounts`), which never changes anything.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use lobbyd_core::name::UserName;
use lobbyd_core::text::{RawText, TextError, check_nickname};
use lobbyd_net::stores::{LocalFuture, SecretBytes};
use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use unicode_normalization::UnicodeNormalization;

/// The most bytes in a password.
pub const PASSWORD_BYTES_MAX: usize = 1024;

/// Users, to be administered. Calls may take as long as a hash and a write to the disk take, and may block the calling
/// thread for the latter: not for the I/O thread.
pub trait UserDirectory {
    /// Adds a user.
    ///
    /// # Errors
    /// When the user exists already (nothing is changed then), or the store does not do it.
    fn add(&self, user: NewUser) -> LocalFuture<'_, Result<(), DirectoryError>>;

    /// Gives a user another password; everything else stays.
    ///
    /// # Errors
    /// When the user does not exist, or the store does not do it.
    fn set_password(&self, user: UserName, password: Password) -> LocalFuture<'_, Result<(), DirectoryError>>;

    /// Removes a user.
    ///
    /// # Errors
    /// When the user does not exist, or the store does not do it.
    fn remove(&self, user: UserName) -> LocalFuture<'_, Result<(), DirectoryError>>;

    /// Everybody, sorted by name. Users who come or go meanwhile may be in it or not.
    ///
    /// # Errors
    /// When the store does not tell.
    fn list(&self) -> LocalFuture<'_, Result<Vec<UserEntry>, DirectoryError>>;
}

/// Why the directory did not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DirectoryError {
    /// To be added, but there.
    #[error("user \"{0}\" exists already; `lobbyd user passwd {0}` gives it another password")]
    AlreadyExists(UserName),
    /// Not there.
    #[error("there is no user \"{0}\"; `lobbyd user list` shows who there is")]
    Unknown(UserName),
    /// The store could not be asked, or what it holds makes no sense. The text holds no secret.
    #[error("{0}")]
    Unavailable(String),
}

/// A user to be added.
#[derive(Clone, Debug)]
pub struct NewUser {
    /// The name.
    pub user: UserName,
    /// The password.
    pub password: Password,
    /// What to show instead of the name.
    pub nickname: Option<Nickname>,
    /// Whether the user may kick in every room.
    pub administrator: bool,
}

/// What can be shown about a user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct UserEntry {
    /// The name.
    pub user: UserName,
    /// What to show instead of the name. Others may have written it: to be escaped before it is printed.
    pub nickname: Option<String>,
    /// Whether the user may kick in every room.
    pub administrator: bool,
    /// When it was added, in seconds since 1970; unknown if another program added it.
    pub created: Option<u64>,
}

/// A password: 1 to [`PASSWORD_BYTES_MAX`] bytes of any value. Wiped when dropped, and never shown.
#[derive(Clone)]
pub struct Password(SecretBytes);

/// Why bytes are no password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidPassword {
    /// There are none.
    #[error("the password is empty; give one of 1 to {PASSWORD_BYTES_MAX} bytes")]
    Empty,
    /// There are too many.
    #[error("the password is too long; give one of 1 to {PASSWORD_BYTES_MAX} bytes")]
    TooLong,
}

impl Password {
    /// The password that these bytes are.
    ///
    /// # Errors
    /// When there are none or too many.
    pub fn new(bytes: SecretBytes) -> Result<Self, InvalidPassword> {
        if bytes.is_empty() {
            return Err(InvalidPassword::Empty);
        }
        if bytes.len() > PASSWORD_BYTES_MAX {
            return Err(InvalidPassword::TooLong);
        }
        Ok(Self(bytes))
    }

    /// Its bytes.
    #[must_use]
    pub fn into_bytes(self) -> SecretBytes {
        self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

impl Serialize for Password {
    /// A sequence of bytes, since a password need not be text.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter())
    }
}

impl<'de> Deserialize<'de> for Password {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PasswordVisitor;
        impl<'de> Visitor<'de> for PasswordVisitor {
            type Value = Password;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a password of 1 to {PASSWORD_BYTES_MAX} bytes")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut bytes: A) -> Result<Password, A::Error> {
                // All of its room at once: a buffer that grew would leave parts of the secret behind.
                let mut password = SecretBytes::new(Vec::with_capacity(PASSWORD_BYTES_MAX + 1));
                while let Some(byte) = bytes.next_element()? {
                    password.push(byte);
                    if password.len() > PASSWORD_BYTES_MAX {
                        break;
                    }
                }
                Password::new(password).map_err(de::Error::custom)
            }
        }
        deserializer.deserialize_seq(PasswordVisitor)
    }
}

/// A nickname that keeps the rules of `check_nickname`, in Unicode normalization form C.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Nickname(String);

impl Nickname {
    /// The nickname that `text` is once it is normalized.
    ///
    /// # Errors
    /// Says which rule it breaks.
    pub fn new(text: &str) -> Result<Self, TextError> {
        let normalized: String = text.nfc().collect();
        check_nickname(RawText::from(normalized.as_str()))?;
        Ok(Self(normalized))
    }

    /// The nickname.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Nickname {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

/// The seconds since 1970.
pub(crate) fn unix_seconds() -> u64 {
    // A clock before 1970 is wrong by so much that 0 says it well.
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn password(bytes: &[u8]) -> Result<Password, InvalidPassword> {
        Password::new(SecretBytes::new(bytes.to_vec()))
    }

    #[test]
    fn password_is_1_to_1024_bytes_of_any_value() {
        assert_eq!(password(b"").unwrap_err(), InvalidPassword::Empty);
        assert!(password(b"\0").is_ok());
        assert!(password(&[0xff; 1024]).is_ok());
        assert_eq!(password(&[b'x'; 1025]).unwrap_err(), InvalidPassword::TooLong);
    }

    #[test]
    fn password_travels_as_bytes_and_is_checked_on_arrival() {
        let sent = serde_json::to_string(&password(b"\0a\xff").unwrap()).unwrap();
        assert_eq!(sent, "[0,97,255]");
        let came: Password = serde_json::from_str(&sent).unwrap();
        assert_eq!(came.into_bytes().as_slice(), b"\0a\xff");
        assert!(serde_json::from_str::<Password>("[]").is_err());
        assert!(serde_json::from_str::<Password>("[256]").is_err());
        assert!(serde_json::from_str::<Password>(&serde_json::to_string(&vec![1; 1025]).unwrap()).is_err());
    }

    #[test]
    fn password_is_not_shown_by_debug() {
        let user = NewUser {
            user: "alice".parse().unwrap(),
            password: password(b"hush").unwrap(),
            nickname: None,
            administrator: false,
        };
        let shown = format!("{user:?}");
        assert!(!shown.contains("hush") && !shown.contains("104"), "{shown}");
    }

    #[test]
    fn nickname_is_normalized_and_then_checked() {
        assert_eq!(Nickname::new("Zoe\u{308}").unwrap().as_str(), "Zo\u{eb}");
        // 32 characters only once they are composed.
        assert!(Nickname::new(&"e\u{301}".repeat(32)).is_ok());
        assert_eq!(Nickname::new(&"e\u{301}".repeat(33)), Err(TextError::TooLong));
        assert_eq!(Nickname::new(""), Err(TextError::Empty));
        assert_eq!(Nickname::new("a\u{1b}[2J"), Err(TextError::Forbidden));
        assert_eq!(Nickname::new("a\u{202e}b"), Err(TextError::Forbidden));
    }
}
