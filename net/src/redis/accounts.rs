//! Who is a user, asked of Redis: by an argon2id hash, or by a token that another service wrote there.

use std::rc::Rc;
use std::time::Duration;

use lobbyd_core::input::Account;
use lobbyd_core::name::UserName;
use lobbyd_core::text::{NICKNAME_BYTES_MAX, Text};
use redis::{Value, cmd};
use subtle::ConstantTimeEq;
use tokio::time::timeout;
use tracing::warn;
use zeroize::Zeroizing;

use super::error::LinkError;
use super::key::KeyPattern;
use super::link::Link;
use crate::stores::{Accounts, LocalFuture, SecretBytes, SecretVerifier, Unavailable};

/// The most bytes in a token. A longer secret is wrong, a longer stored token an error.
pub const TOKEN_BYTES_MAX: usize = 1_024;

/// The most bytes in an argon2id hash in PHC form; the usual ones have about 100.
const HASH_BYTES_MAX: usize = 512;

/// Accounts in Redis.
///
/// With [`RedisAccounts::argon2id`] the key of a user is a hash with the fields `hash` (argon2id, in PHC form),
/// `nickname` (optional) and `administrator` (optional, `1` or `0`). With [`RedisAccounts::token`] it is a string, the
/// token; there are no nicknames and no administrators.
pub struct RedisAccounts {
    link: Link,
    key: KeyPattern,
    scheme: Scheme,
    deadline: Duration,
}

enum Scheme {
    Argon2id(Rc<dyn SecretVerifier>),
    Token,
}

impl RedisAccounts {
    /// Compares secrets with argon2id hashes, by `verifier`. Each login is answered within `deadline`, the time that
    /// the verifier takes included.
    #[must_use]
    pub fn argon2id(link: Link, key: KeyPattern, verifier: Rc<dyn SecretVerifier>, deadline: Duration) -> Self {
        Self { link, key, scheme: Scheme::Argon2id(verifier), deadline }
    }

    /// Compares secrets with stored tokens. Each login is answered within `deadline`.
    #[must_use]
    pub fn token(link: Link, key: KeyPattern, deadline: Duration) -> Self {
        Self { link, key, scheme: Scheme::Token, deadline }
    }

    async fn verify_hash(
        &self,
        verifier: &dyn SecretVerifier,
        user: UserName,
        secret: SecretBytes,
    ) -> Result<Option<Account>, Unavailable> {
        let key = self.key.key(&user);
        let mut fields = cmd("HMGET");
        fields.arg(&key).arg("hash").arg("nickname").arg("administrator");
        let answer = self.link.command(&fields).await.map_err(|error| self.unavailable(&key, &error))?;
        let record = Record::read(answer, &key).map_err(|fault| self.unavailable(&key, &fault))?;
        // Without a hash too, so that an unknown user takes as long as a wrong secret.
        let right = verifier.verify(record.hash, secret).await?;
        Ok(right.then_some(record.account))
    }

    async fn verify_token(&self, user: UserName, secret: SecretBytes) -> Result<Option<Account>, Unavailable> {
        let key = self.key.key(&user);
        let answer = self.link.command(cmd("GET").arg(&key)).await.map_err(|error| self.unavailable(&key, &error))?;
        let stored = read_string(answer).map_err(|fault| self.unavailable(&key, &fault))?.unwrap_or_default();
        if stored.len() > TOKEN_BYTES_MAX {
            return Err(self.unavailable(&key, &LinkError::Nonsense("a token of more than 1024 bytes")));
        }
        Ok(tokens_match(&stored, &secret).then(Account::default))
    }

    fn unavailable(&self, key: &str, error: &LinkError) -> Unavailable {
        Unavailable(format!("asked for the account at key {key}, Redis at {} gave no answer: {error}", self.address()))
    }

    fn address(&self) -> &super::RedisAddress {
        self.link.address()
    }
}

impl Accounts for RedisAccounts {
    fn verify(&self, user: UserName, secret: SecretBytes) -> LocalFuture<'_, Result<Option<Account>, Unavailable>> {
        Box::pin(async move {
            if secret.is_empty() {
                return Ok(None);
            }
            let verdict = async {
                match &self.scheme {
                    Scheme::Argon2id(verifier) => self.verify_hash(verifier.as_ref(), user, secret).await,
                    Scheme::Token => self.verify_token(user, secret).await,
                }
            };
            timeout(self.deadline, verdict).await.unwrap_or_else(|_elapsed| {
                let (user, address, deadline) = (user.as_str(), self.address(), self.deadline);
                Err(Unavailable(format!(
                    "the login of {user} was not decided within {deadline:?} (accounts in Redis at {address}); \
                     see whether Redis or the hashing of passwords is overloaded"
                )))
            })
        })
    }
}

/// What the key of a user holds.
struct Record {
    hash: Option<String>,
    account: Account,
}

impl Record {
    fn read(answer: Value, key: &str) -> Result<Self, LinkError> {
        let Value::Array(fields) = answer else {
            return Err(LinkError::Nonsense("no array for HMGET"));
        };
        let Ok([hash, nickname, administrator]) = <[Value; 3]>::try_from(fields) else {
            return Err(LinkError::Nonsense("another number of fields than were asked for"));
        };
        let hash = match read_string(hash)? {
            // An account that has been locked by emptying its hash: nobody's secret is right.
            Some(bytes) if bytes.is_empty() => None,
            Some(bytes) if bytes.len() > HASH_BYTES_MAX => {
                return Err(LinkError::Nonsense("a hash of more than 512 bytes"));
            }
            Some(bytes) => {
                let text = std::str::from_utf8(&bytes).map_err(|_| LinkError::Nonsense("a hash that is not UTF-8"))?;
                Some(text.to_owned())
            }
            None => None,
        };
        let account = Account {
            nickname: read_nickname(read_string(nickname)?, key),
            administrator: read_administrator(read_string(administrator)?, key),
        };
        Ok(Self { hash, account })
    }
}

fn read_string(value: Value) -> Result<Option<Zeroizing<Vec<u8>>>, LinkError> {
    if let Value::BulkString(bytes) = value {
        return Ok(Some(Zeroizing::new(bytes)));
    }
    if value == Value::Nil { Ok(None) } else { Err(LinkError::Nonsense("another type than a string")) }
}

/// A nickname is decoration: one that cannot be shown keeps nobody out.
fn read_nickname(bytes: Option<Zeroizing<Vec<u8>>>, key: &str) -> Option<Text> {
    let bytes = bytes.filter(|bytes| !bytes.is_empty())?;
    match std::str::from_utf8(&bytes) {
        Ok(text) if text.len() <= NICKNAME_BYTES_MAX as usize => Some(Text::new(text)),
        Ok(_) | Err(_) => {
            warn!(key, "the nickname of an account is too long or not UTF-8, and is not shown");
            None
        }
    }
}

/// Whoever is not clearly an administrator is none.
fn read_administrator(bytes: Option<Zeroizing<Vec<u8>>>, key: &str) -> bool {
    match bytes.as_deref().map(Vec::as_slice) {
        Some(b"1") => true,
        None | Some(b"0" | b"") => false,
        Some(_) => {
            warn!(key, "the field administrator of an account is neither 1 nor 0, and is taken as 0");
            false
        }
    }
}

/// Whether both are the same and not empty. Takes the same time for any two tokens of the same length: how long a token
/// is, is no secret, and is the same for all tokens of a service.
fn tokens_match(stored: &[u8], secret: &[u8]) -> bool {
    let is_known = !stored.is_empty();
    // Whoever is unknown takes as long as a wrong token.
    let against = if is_known { stored } else { secret };
    is_known & bool::from(against.ct_eq(secret))
}

#[cfg(test)]
mod tests {
    use super::{TOKEN_BYTES_MAX, tokens_match};

    #[test]
    fn only_the_same_token_matches() {
        assert!(tokens_match(b"abc", b"abc"));
        assert!(tokens_match(&[7; TOKEN_BYTES_MAX], &[7; TOKEN_BYTES_MAX]));
        for (stored, secret) in [("abc", "abd"), ("abc", "ab"), ("ab", "abc"), ("abc", ""), ("", "abc"), ("", "")] {
            assert!(!tokens_match(stored.as_bytes(), secret.as_bytes()), "{stored} {secret}");
        }
        assert!(!tokens_match(b"abc", b"abc\0"));
        assert!(!tokens_match(b"abc\0", b"abc"));
        assert!(!tokens_match(&[7; TOKEN_BYTES_MAX], &[7; TOKEN_BYTES_MAX + 1]));
    }
}
