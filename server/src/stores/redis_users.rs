//! Administration of users in Redis, for the command line: it connects by itself, does one thing and is gone. The
//! daemon's own way to Redis is `lobbyd_net::redis`.

use std::time::Duration;

use lobbyd_core::name::UserName;
use lobbyd_net::redis::KeyPattern;
use lobbyd_net::stores::{LocalFuture, Unavailable};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, ConnectionAddr, FromRedisValue, RedisError, Script};

use super::directory::{DirectoryError, NewUser, Password, UserDirectory, UserEntry, unix_seconds};
use super::hashing::HashPool;

/// How long Redis may take for a connection, and for each answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// How many keys Redis looks at between answers, and how many users it is asked about at a time.
const PAGE_USERS: usize = 500;

/// Users in Redis: each a hash at a key of its own, with the fields `hash` (argon2id, a PHC string), `nickname`
/// (optional), `administrator` (`1` or `0`) and `created` (seconds since 1970, optional).
pub struct RedisUsers {
    connection: MultiplexedConnection,
    address: String,
    account_key: KeyPattern,
    hashing: HashPool,
}

/// Why users in Redis cannot be administered. Shows neither the URL nor a password in it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The address is none.
    #[error(
        "the address of Redis is not of the form redis://[[USER]:PASSWORD@]HOST[:PORT][/DATABASE] ({0}); correct the \
         store's address"
    )]
    Url(String),
    /// Redis cannot be reached, or does not let us in.
    #[error("Redis at {address} cannot be used: {reason}; see that it runs, and that address and password are right")]
    Connect {
        /// Where Redis should be.
        address: String,
        /// What went wrong.
        reason: String,
    },
}

impl RedisUsers {
    /// Connects to the Redis at `url`, with accounts at the keys of `account_key`. Needs a tokio runtime with I/O and time.
    ///
    /// # Errors
    /// When the URL is malformed, or Redis cannot be reached within seconds.
    pub async fn connect(url: &str, account_key: KeyPattern, hashing: HashPool) -> Result<Self, ConnectError> {
        // The kind only: the text of the error may quote the URL.
        let client = Client::open(url).map_err(|error| ConnectError::Url(error.category().to_owned()))?;
        let address = shown(client.get_connection_info().addr());
        let settings = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(ANSWER_TIMEOUT))
            .set_response_timeout(Some(ANSWER_TIMEOUT));
        let connection = client
            .get_multiplexed_async_connection_with_config(&settings)
            .await
            .map_err(|error| ConnectError::Connect { address: address.clone(), reason: error.to_string() })?;
        Ok(Self { connection, address, account_key, hashing })
    }

    async fn hash(&self, password: Password) -> Result<String, DirectoryError> {
        let hashed = self.hashing.hash(password.into_bytes()).await;
        hashed.map_err(|Unavailable(text)| DirectoryError::Unavailable(text))
    }

    /// Runs a script on the key of `user`. It says whether it changed anything.
    async fn change(&self, user: UserName, script: &str, arguments: &[&str]) -> Result<bool, DirectoryError> {
        let script = Script::new(script);
        let mut call = script.key(self.account_key.key(&user));
        for argument in arguments {
            call.arg(*argument);
        }
        call.invoke_async(&mut self.connection.clone()).await.map_err(|error| self.unavailable(&error))
    }

    /// All names that have a key, sorted. Goes through the keys in steps, so that Redis serves others in between.
    async fn names(&self) -> Result<Vec<UserName>, DirectoryError> {
        let pattern = self.account_key.glob();
        let mut names = Vec::new();
        let mut cursor = 0_u64;
        loop {
            let mut scan = redis::cmd("SCAN");
            scan.arg(cursor).arg("MATCH").arg(&pattern).arg("COUNT").arg(PAGE_USERS).arg("TYPE").arg("hash");
            let (next, keys): (u64, Vec<Vec<u8>>) =
                scan.query_async(&mut self.connection.clone()).await.map_err(|error| self.unavailable(&error))?;
            names.extend(keys.iter().filter_map(|key| self.account_key.user(key)));
            if next == 0 {
                break;
            }
            cursor = next;
        }
        // Redis may tell a key more than once.
        names.sort_unstable();
        names.dedup();
        Ok(names)
    }

    async fn entries(&self, names: &[UserName]) -> Result<Vec<UserEntry>, DirectoryError> {
        let mut questions = redis::pipe();
        for name in names {
            let question = questions.cmd("HMGET").arg(self.account_key.key(name));
            question.arg("hash").arg("nickname").arg("administrator").arg("created");
        }
        let answers: Vec<[Option<Vec<u8>>; 4]> = self.ask(&questions).await?;
        Ok(names.iter().zip(answers).filter_map(|(name, fields)| read_entry(*name, fields)).collect())
    }

    async fn ask<T: FromRedisValue>(&self, questions: &redis::Pipeline) -> Result<T, DirectoryError> {
        questions.query_async(&mut self.connection.clone()).await.map_err(|error| self.unavailable(&error))
    }

    fn unavailable(&self, error: &RedisError) -> DirectoryError {
        let address = &self.address;
        DirectoryError::Unavailable(if error.is_timeout() {
            format!(
                "Redis at {address} did not answer within {} s, and may or may not have done what was asked; \
                 `lobbyd user list` shows it",
                ANSWER_TIMEOUT.as_secs()
            )
        } else {
            format!("Redis at {address} did not do what was asked: {error}")
        })
    }
}

impl UserDirectory for RedisUsers {
    fn add(&self, user: NewUser) -> LocalFuture<'_, Result<(), DirectoryError>> {
        /// One script, so that of two who add the same user at a time only one does.
        const ADD: &str = "if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end \
                           redis.call('HSET', KEYS[1], unpack(ARGV)) return 1";
        Box::pin(async move {
            let NewUser { user, password, nickname, administrator } = user;
            let hash = self.hash(password).await?;
            let created = unix_seconds().to_string();
            let mut fields = vec!["hash", &hash, "administrator", if administrator { "1" } else { "0" }];
            fields.extend(["created", &created]);
            if let Some(nickname) = &nickname {
                fields.extend(["nickname", nickname.as_str()]);
            }
            let added = self.change(user, ADD, &fields).await?;
            if added { Ok(()) } else { Err(DirectoryError::AlreadyExists(user)) }
        })
    }

    fn set_password(&self, user: UserName, password: Password) -> LocalFuture<'_, Result<(), DirectoryError>> {
        /// One script, so that a user who is removed at the same time does not come back as a hash and nothing else.
        const SET: &str = "if redis.call('HEXISTS', KEYS[1], 'hash') == 0 then return 0 end \
                           redis.call('HSET', KEYS[1], 'hash', ARGV[1]) return 1";
        Box::pin(async move {
            let hash = self.hash(password).await?;
            let changed = self.change(user, SET, &[&hash]).await?;
            if changed { Ok(()) } else { Err(DirectoryError::Unknown(user)) }
        })
    }

    fn remove(&self, user: UserName) -> LocalFuture<'_, Result<(), DirectoryError>> {
        /// Fails on a key of another type, which is not ours to delete.
        const REMOVE: &str = "if redis.call('HLEN', KEYS[1]) == 0 then return 0 end \
                              redis.call('DEL', KEYS[1]) return 1";
        Box::pin(async move {
            let removed = self.change(user, REMOVE, &[]).await?;
            if removed { Ok(()) } else { Err(DirectoryError::Unknown(user)) }
        })
    }

    fn list(&self) -> LocalFuture<'_, Result<Vec<UserEntry>, DirectoryError>> {
        Box::pin(async move {
            let mut users = Vec::new();
            for names in self.names().await?.chunks(PAGE_USERS) {
                users.extend(self.entries(names).await?);
            }
            Ok(users)
        })
    }
}

/// A user, unless it has gone since its key was seen. Whatever others have written into the fields is shown as it is.
fn read_entry(user: UserName, fields: [Option<Vec<u8>>; 4]) -> Option<UserEntry> {
    let [hash, nickname, administrator, created] = fields;
    hash?;
    let text = |field: Vec<u8>| String::from_utf8_lossy(&field).into_owned();
    Some(UserEntry {
        user,
        nickname: nickname.map(text),
        administrator: administrator.is_some_and(|field| field == b"1"),
        created: created.and_then(|field| text(field).parse().ok()),
    })
}

fn shown(address: &ConnectionAddr) -> String {
    match address {
        ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => format!("{host}:{port}"),
        ConnectionAddr::Unix(path) => path.display().to_string(),
        // The enum is open; nothing else can be written as a URL today.
        _ => String::from("its address"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn bad_url_is_refused_without_being_shown() {
        let hashing = || HashPool::new(1, 1, super::super::hasher::HashParameters::default()).unwrap();
        for url in ["hush", "http://:hush@localhost", "redis://:hush@:x"] {
            let error = RedisUsers::connect(url, KeyPattern::parse("u:{user}").unwrap(), hashing())
                .await
                .err()
                .unwrap()
                .to_string();
            assert!(error.starts_with("the address of Redis is not of the form") && !error.contains("hush"), "{error}");
        }
    }
}
