//! Where accounts and presence live.

use std::fmt;
use std::str::FromStr;

use lobbyd_net::redis::RedisAddress;
use redis::{ConnectionAddr, IntoConnectionInfo};

use super::secret::Secret;
use super::value::{Given, OkOrDefault, Refusal, Value, quoted};

/// Where accounts and presence live.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Store {
    /// In a file of the data folder. One daemon only.
    Embedded,
    /// In Redis, shared by every daemon that names the same.
    Redis(RedisUrl),
}

impl fmt::Display for Store {
    /// For logs and messages: a password in it is not shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Embedded => f.write_str("embedded"),
            Self::Redis(url) => url.fmt(f),
        }
    }
}

/// A `redis://` URL that has been checked. `Debug` and `Display` hide what stands before the `@`.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisUrl(Secret);

impl RedisUrl {
    /// The URL that `text` spells: `redis://[[USER]:PASSWORD@]HOST[:PORT][/DATABASE]`, characters with a meaning in URLs
    /// written as `%XX` in user and password.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        // The client would ignore what it does not know after these, and take other schemes for the same.
        if !text.starts_with("redis://") || text.contains(['?', '#']) {
            return None;
        }
        let parsed = text.into_connection_info().ok()?;
        let tcp = matches!(parsed.addr(), ConnectionAddr::Tcp(host, port) if !host.is_empty() && *port != 0);
        (tcp && parsed.redis_settings().db() >= 0).then(|| Self(Secret::new(text.to_owned())))
    }

    /// What the driver's link needs to connect: address, database, user and password.
    #[must_use]
    pub fn address(&self) -> RedisAddress {
        RedisAddress::parse(self.0.expose()).expect("the URL was parsed before")
    }

    /// The URL with the password in it. Not for a log or a message.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose()
    }
}

impl fmt::Display for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&without_secrets(self.0.expose()))
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// No store is called so, or it cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{shown} is no store; allowed is {}{}", Store::allowed(&()), because.as_ref().map(|because| format!(" ({because})")).unwrap_or_default())]
#[non_exhaustive]
pub struct UnknownStore {
    /// What was asked for, without what may be a password.
    shown: String,
    because: Option<String>,
}

impl FromStr for Store {
    type Err = UnknownStore;

    fn from_str(text: &str) -> Result<Self, UnknownStore> {
        let given = Given::Plain(text);
        Self::read(given, &()).map_err(|Refusal { because }| UnknownStore { shown: Self::shown(given), because })
    }
}

impl Value for Store {
    type Allowed = ();

    fn read(given: Given<'_>, (): &()) -> Result<Self, Refusal> {
        let text = given.text().ok_or_default()?;
        if text == "embedded" {
            return Ok(Self::Embedded);
        }
        if text.starts_with("rediss://") || text.starts_with("valkeys://") {
            return Err(Refusal::because("this build speaks to Redis without TLS"));
        }
        RedisUrl::parse(text).map(Self::Redis).ok_or_else(|| {
            // Said only where it can be the cause: a plain typing error needs no lesson about URLs.
            let because =
                text.contains("://").then(|| String::from("write / ? # @ : in a password as %2F %3F %23 %40 %3A"));
            Refusal { because }
        })
    }

    fn allowed((): &()) -> String {
        String::from("\"embedded\" or \"redis://[[USER]:PASSWORD@]HOST[:PORT][/DATABASE]\"")
    }

    fn literal(&self) -> String {
        quoted(&self.to_string())
    }

    fn shown(given: Given<'_>) -> String {
        match given.text() {
            Some(text) => Given::Plain(&without_secrets(text)).shown(),
            None => String::from("(not shown)"),
        }
    }
}

/// What stands where something is hidden.
const HIDDEN: &str = "***";

/// `text`, perhaps a broken URL, without any part in which a password could stand: what is before the last `@`, what is
/// behind the first `?` or `#`, and what stands behind a `:` where a port should but is none.
fn without_secrets(text: &str) -> String {
    let (scheme, rest) = match text.split_once("://") {
        Some((scheme, rest)) => (format!("{scheme}://"), rest),
        None => (String::new(), text),
    };
    let (hidden, rest) = match rest.rsplit_once('@') {
        Some((_, rest)) => (format!("{HIDDEN}@"), rest),
        None => (String::new(), rest),
    };
    let rest = match rest.find(['?', '#']) {
        Some(end) => format!("{}{HIDDEN}", &rest[..=end]),
        None => rest.to_owned(),
    };
    let host_end = if rest.starts_with('[') { rest.find(']').unwrap_or(0) } else { 0 };
    let rest = match rest[host_end..].find(':') {
        Some(colon) if !is_port(&rest[host_end + colon + 1..]) => format!("{}:{HIDDEN}", &rest[..host_end + colon]),
        Some(_) | None => rest,
    };
    // A scheme is a few letters; anything else that came to stand there could be part of a password.
    let scheme_is_plain =
        scheme.trim_end_matches("://").bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'+');
    if scheme_is_plain { format!("{scheme}{hidden}{rest}") } else { String::from(HIDDEN) }
}

fn is_port(text: &str) -> bool {
    let port = text.split('/').next().unwrap_or_default();
    (1..=5).contains(&port.len()) && port.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_is_embedded_or_a_redis_url() {
        assert_eq!(Store::read(Given::Plain("embedded"), &()), Ok(Store::Embedded));
        for text in [
            "redis://127.0.0.1",
            "redis://localhost:6379",
            "redis://redis.example:6379/3",
            "redis://[::1]:6379/0",
            "redis://:hunter2@localhost:6379/0",
            "redis://ann:hunter2@localhost",
        ] {
            assert!(matches!(Store::read(Given::Plain(text), &()), Ok(Store::Redis(_))), "{text}");
        }
        for text in [
            "",
            "Embedded",
            "redis",
            "redis:",
            "redis://",
            "localhost:6379",
            "http://localhost",
            "rediss://localhost",
            "valkey://localhost",
            "redis+unix:///tmp/redis",
            "redis://localhost:0",
            "redis://localhost:70000",
            "redis://localhost/first",
            "redis://localhost/-1",
            "redis://localhost?db=1",
            "redis://localhost#insecure",
            "redis://0.0.0.0",
        ] {
            assert!(Store::read(Given::Plain(text), &()).is_err(), "{text}");
        }
    }

    #[test]
    fn a_url_names_host_and_port() {
        let url = RedisUrl::parse("redis://ann:p%40ss%2F@localhost:6380/3").unwrap();
        let address = url.address();
        assert_eq!((address.host(), address.port()), ("localhost", 6380));
    }

    #[test]
    fn a_password_in_a_url_is_never_shown() {
        let url = RedisUrl::parse("redis://ann:hunter2@localhost:6380/3").unwrap();
        assert_eq!(url.to_string(), "redis://***@localhost:6380/3");
        let store = Store::Redis(url);
        assert_eq!(format!("{store} {store:?} {}", store.literal()).matches("hunter2").count(), 0);
    }

    #[test]
    fn a_refused_store_is_shown_without_what_may_be_a_password() {
        for (text, shown) in [
            ("embeded", "embeded"),
            ("redis://localhost:6379/first", "redis://localhost:6379/first"),
            ("redis//localhost", "redis//localhost"),
            ("redis://[::1]:6379/x", "redis://[::1]:6379/x"),
            ("redis://:hunter2@localhost/x", "redis://***@localhost/x"),
            ("redis://:hun@ter2@localhost/x", "redis://***@localhost/x"),
            ("redis://:hun/ter2@localhost/x", "redis://***@localhost/x"),
            ("redis://:hun?ter2@localhost", "redis://***@localhost"),
            ("redis:/:hunter2@localhost", "***@localhost"),
            ("rediss://:hunter2@localhost", "rediss://***@localhost"),
            ("redis://:hunter2", "redis://:***"),
            ("redis://ann:hunter2", "redis://ann:***"),
            ("redis://[:hunter2", "redis://[:***"),
            ("ann:hunter2", "ann:***"),
            ("redis://localhost?password=hunter2", "redis://localhost?***"),
            ("redis://localhost#hunter2", "redis://localhost#***"),
            ("hunter2:x://localhost", "***"),
        ] {
            assert_eq!(Store::shown(Given::Plain(text)), quoted(shown), "{text}");
        }
    }
}
