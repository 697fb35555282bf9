//! What can go wrong between this daemon and Redis.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use redis::{ErrorKind, RedisError, ServerError, Value};

use super::address::RedisAddress;

/// Why a command gave no answer that can be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// There is no connection; the command was not sent.
    #[error("there is no connection: it {0}")]
    NotConnected(LinkFault),
    /// Too many commands wait for their answers; the command was not sent.
    #[error("too many commands wait for its answer")]
    Busy,
    /// The connection was lost before the answer came. The command may have run, or may still run.
    #[error("it {0}")]
    Lost(LinkFault),
    /// Redis answered with an error.
    #[error("it answered {0}")]
    Refused(ServerFault),
    /// Redis answered something that is no answer to this command.
    #[error("it answered something that makes no sense: {0}")]
    Nonsense(&'static str),
}

impl LinkError {
    /// Whether the command may take effect after this error was returned.
    #[must_use]
    pub fn may_still_run(&self) -> bool {
        match self {
            Self::Lost(_) => true,
            Self::NotConnected(_) | Self::Busy | Self::Refused(_) | Self::Nonsense(_) => false,
        }
    }

    /// Whether the command was sent, so that it may have taken effect.
    #[must_use]
    pub fn was_sent(&self) -> bool {
        match self {
            Self::Lost(_) | Self::Refused(_) | Self::Nonsense(_) => true,
            Self::NotConnected(_) | Self::Busy => false,
        }
    }
}

/// What is wrong with a connection, or with the attempt to make one. Reads on after "Redis at …".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LinkFault {
    /// The stream could not be made, or broke.
    #[error("cannot be reached ({0}); check that it runs and that the address is right")]
    Unreachable(String),
    /// Nobody took the connection, or the handshake did not come to its end.
    #[error("did not accept a connection within {0:?}; check the address and any firewall")]
    ConnectTimeout(Duration),
    /// Redis ended the connection.
    #[error("closed the connection")]
    Closed,
    /// An answer did not come in time.
    #[error("did not answer within {0:?}")]
    ResponseTimeout(Duration),
    /// It does not speak the protocol, or an answer was longer than anything that could be meant.
    #[error("sent something that is not the Redis protocol, or too long an answer; check what serves that address")]
    Protocol,
    /// It does not know `HELLO 3`.
    #[error("is too old; Redis 6.0 or newer is needed")]
    TooOld,
    /// It answered with an error after which this connection is of no use.
    #[error("answered {0}")]
    Refused(ServerFault),
}

impl LinkFault {
    /// A bit for each kind, so that a log names each kind once an outage.
    pub(super) fn bit(&self) -> u32 {
        match self {
            Self::Unreachable(_) => 1,
            Self::ConnectTimeout(_) => 1 << 1,
            Self::Closed => 1 << 2,
            Self::ResponseTimeout(_) => 1 << 3,
            Self::Protocol => 1 << 4,
            Self::TooOld => 1 << 5,
            Self::Refused(_) => 1 << 6,
        }
    }

    /// Whether somebody answers at the address, so that more is wrong than that Redis is away.
    pub(super) fn is_an_answer(&self) -> bool {
        match self {
            Self::Protocol | Self::TooOld | Self::Refused(_) => true,
            Self::Unreachable(_) | Self::ConnectTimeout(_) | Self::Closed | Self::ResponseTimeout(_) => false,
        }
    }

    /// What an error of the connection itself (not one of a command) means.
    pub(super) fn of(error: &RedisError, address: &RedisAddress) -> Self {
        let kind = error.kind();
        if kind == ErrorKind::RESP3NotSupported {
            return Self::TooOld;
        }
        if kind == ErrorKind::Io {
            return match io_error(error) {
                // From the guard on the length of answers.
                Some(error) if error.kind() == io::ErrorKind::InvalidData => Self::Protocol,
                Some(error) if !ends_stream(error) => Self::Unreachable(error.to_string()),
                Some(_) | None => Self::Closed,
            };
        }
        // A parser's error repeats what it could not read, which may be a secret: it is not shown.
        match error.code() {
            Some(code) => Self::Refused(ServerFault::new(code, error.detail(), address)),
            None => Self::Protocol,
        }
    }
}

/// The error of the stream, which the `redis` crate shows only within what it shares it by.
fn io_error(error: &RedisError) -> Option<&io::Error> {
    let source = std::error::Error::source(error)?;
    source.downcast_ref::<Arc<dyn std::error::Error + Send + Sync>>()?.downcast_ref()
}

fn ends_stream(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    [BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof].contains(&error.kind())
}

/// An error that Redis answered with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerFault {
    code: String,
    detail: String,
}

/// The most characters of a code and of a detail that are kept.
const CODE_CHARS_MAX: usize = 32;
const DETAIL_CHARS_MAX: usize = 200;

impl ServerFault {
    pub(super) fn new(code: &str, detail: Option<&str>, address: &RedisAddress) -> Self {
        let printable = |text: &str, chars_max: usize| {
            let shown = |character: char| if character.is_control() { ' ' } else { character };
            address.scrub(text).chars().take(chars_max).map(shown).collect::<String>()
        };
        Self { code: printable(code, CODE_CHARS_MAX), detail: printable(detail.unwrap_or_default(), DETAIL_CHARS_MAX) }
    }

    pub(super) fn of(error: &ServerError, address: &RedisAddress) -> Self {
        Self::new(error.code(), error.details(), address)
    }

    /// The error's first word, such as `WRONGTYPE`.
    #[must_use]
    pub fn code(&self) -> &str {
        &self.code
    }

    /// Whether the address may lead to a better server after a reconnect, or this connection's rights are gone.
    pub(super) fn ends_connection(&self) -> bool {
        // Before Redis 7 an error within a script comes wrapped in an `ERR`.
        matches!(self.code(), "READONLY" | "MASTERDOWN" | "NOAUTH") || self.detail.contains("-READONLY")
    }

    fn advice(&self) -> Option<&'static str> {
        Some(match self.code() {
            "WRONGPASS" => "check user and password in the URL",
            "NOAUTH" => "put its password into the URL, redis://:PASSWORD@HOST",
            "NOPERM" => "give the Redis user the rights for these keys, channels and commands",
            "LOADING" => "it is reading its data; wait until it is done",
            "READONLY" | "MASTERDOWN" => "it is a replica; let the address lead to the primary",
            "MISCONF" => "it cannot save to disk and refuses writes; see its log and its disk",
            "OOM" => "it is out of memory; raise maxmemory or free keys",
            "WRONGTYPE" => "the key holds another type; check the key pattern and what wrote the key",
            "MOVED" | "ASK" | "CROSSSLOT" => "it is a cluster, which is not supported; use a single primary",
            _ => return None,
        })
    }
}

impl std::fmt::Display for ServerFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "with the error \"{}", self.code)?;
        if !self.detail.is_empty() {
            write!(f, " {}", self.detail)?;
        }
        match self.advice() {
            Some(advice) => write!(f, "\" ({advice})"),
            None => f.write_str("\""),
        }
    }
}

/// The value, unless it is an error.
pub(super) fn refuse_error(value: Value, address: &RedisAddress) -> Result<Value, LinkError> {
    if let Value::ServerError(error) = &value {
        return Err(LinkError::Refused(ServerFault::of(error, address)));
    }
    Ok(value)
}
