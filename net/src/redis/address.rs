//! Where a Redis is and how to log in to it, as a URL says it.

use std::fmt;

use redis::{ConnectionAddr, IntoConnectionInfo, ProtocolVersion, RedisConnectionInfo};

use super::dial::TcpDial;

/// Where a Redis is and how to log in to it. It never shows the password.
#[derive(Clone)]
pub struct RedisAddress {
    host: String,
    port: u16,
    login: RedisConnectionInfo,
}

/// Why a URL names no Redis that can be used. It never holds the URL, in which there may be a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// Not of the form that is understood.
    #[error("the Redis URL cannot be read ({0}); it is written redis://[USER][:PASSWORD@]HOST[:PORT][/DATABASE]")]
    Unreadable(String),
    /// A form that is understood but not served.
    #[error("the Redis URL asks for {0}, which is not supported; use redis://, if need be through a tunnel")]
    Unsupported(&'static str),
}

impl RedisAddress {
    /// Reads `redis://[USER][:PASSWORD@]HOST[:PORT][/DATABASE]`; user and password may be percent-encoded.
    ///
    /// # Errors
    /// When it is something else.
    pub fn parse(url: &str) -> Result<Self, AddressError> {
        let scheme = url.split("://").next().unwrap_or_default();
        if scheme.eq_ignore_ascii_case("rediss") || scheme.eq_ignore_ascii_case("valkeys") {
            return Err(AddressError::Unsupported("TLS"));
        }
        let unreadable = |error: redis::RedisError| AddressError::Unreadable(error.to_string());
        let info = url.into_connection_info().map_err(unreadable)?;
        let ConnectionAddr::Tcp(host, port) = info.addr() else {
            return Err(AddressError::Unsupported("a Unix socket"));
        };
        // RESP3, because a subscription then shares the connection with commands. The library's name is left out: it
        // would be two more commands for nothing.
        let login = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3).set_skip_set_lib_name();
        Ok(Self { host: host.clone(), port: *port, login })
    }

    /// The name or address of the host.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What makes real connections to it.
    #[must_use]
    pub fn dial(&self) -> TcpDial {
        TcpDial::new(self.host.clone(), self.port)
    }

    pub(super) fn login(&self) -> &RedisConnectionInfo {
        &self.login
    }

    /// `text` if it does not hold the password, else nothing: a server may repeat what it was sent.
    pub(super) fn scrub<'a>(&self, text: &'a str) -> &'a str {
        match self.login.password() {
            Some(password) if !password.is_empty() && text.contains(password) => "",
            Some(_) | None => text,
        }
    }
}

impl fmt::Display for RedisAddress {
    /// The URL without user and password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // An IPv6 address has colons of its own.
        if self.host.contains(':') {
            write!(f, "redis://[{}]:{}/{}", self.host, self.port, self.login.db())
        } else {
            write!(f, "redis://{}:{}/{}", self.host, self.port, self.login.db())
        }
    }
}

impl fmt::Debug for RedisAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::{AddressError, RedisAddress};

    #[test]
    fn parts_are_read_and_the_password_is_never_shown() {
        let address = RedisAddress::parse("redis://alice:s%40crt@example.com:7000/3").expect("a good URL");
        assert_eq!((address.host(), address.port()), ("example.com", 7000));
        assert_eq!(address.login().username(), Some("alice"));
        assert_eq!(address.login().password(), Some("s@crt"));
        assert_eq!(format!("{address} {address:?}"), "redis://example.com:7000/3 redis://example.com:7000/3");
        assert_eq!(address.scrub("unknown command 's@crt'"), "");
        assert_eq!(address.scrub("unknown command"), "unknown command");
    }

    #[test]
    fn an_ipv6_address_is_shown_in_brackets() {
        let address = RedisAddress::parse("redis://[::1]").expect("a good URL");
        assert_eq!((address.host(), address.port()), ("::1", 6379));
        assert_eq!(address.to_string(), "redis://[::1]:6379/0");
    }

    #[test]
    fn what_cannot_be_served_is_said_without_the_password() {
        assert_eq!(RedisAddress::parse("rediss://:pw@host").err(), Some(AddressError::Unsupported("TLS")));
        assert_eq!(RedisAddress::parse("unix:///run/r.sock").err(), Some(AddressError::Unsupported("a Unix socket")));
        for bad in ["", "host", "http://:pw@host", "redis://:pw@host/x", "redis://:pw@host:x"] {
            let error = RedisAddress::parse(bad).expect_err(bad);
            assert!(matches!(error, AddressError::Unreadable(_)), "{bad}: {error}");
            assert!(!error.to_string().contains("pw"), "{error}");
        }
    }
}
