//! Users in a real Redis, which the test starts on a port that the system chooses.

#![expect(clippy::unwrap_used, reason = "in helpers of tests too, a panic is how a test fails")]

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use lobbyd::stores::directory::{DirectoryError, NewUser, Nickname, Password, UserDirectory};
use lobbyd::stores::hasher::HashParameters;
use lobbyd::stores::hashing::HashPool;
use lobbyd::stores::redis_users::{ConnectError, RedisUsers};
use lobbyd_core::name::UserName;
use lobbyd_net::redis::KeyPattern;
use lobbyd_net::stores::{SecretBytes, SecretVerifier};
use redis::aio::MultiplexedConnection;
use redis::{AsyncTypedCommands, Client};
use tempfile::TempDir;

/// Has characters that mean something in a pattern of Redis.
const ACCOUNT_KEY: &str = "game[1]*:{user}:account";

fn account_key() -> KeyPattern {
    KeyPattern::parse(ACCOUNT_KEY).unwrap()
}
const REDIS_PASSWORD: &str = "hush";

struct RedisServer {
    process: Child,
    port: u16,
    _folder: TempDir,
}

impl RedisServer {
    /// A new server with nothing in it.
    async fn start() -> Self {
        // Another program may take a port between its choice here and the start there.
        for _ in 0..10 {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let folder = tempfile::tempdir().unwrap();
            let process = Command::new("redis-server")
                .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
                .args(["--requirepass", REDIS_PASSWORD, "--dir"])
                .arg(folder.path())
                .stdout(Stdio::null())
                .spawn()
                .expect("this test needs a `redis-server` in the path: install the package redis-server or redis");
            let mut server = Self { process, port, _folder: folder };
            if server.is_ready().await {
                return server;
            }
        }
        panic!("redis-server did not start on ten ports, one after another");
    }

    async fn is_ready(&mut self) -> bool {
        let deadline = Instant::now() + Duration::from_secs(20);
        while Instant::now() < deadline && self.process.try_wait().unwrap().is_none() {
            if Client::open(self.url()).unwrap().get_multiplexed_async_connection().await.is_ok() {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        false
    }

    fn url(&self) -> String {
        format!("redis://:{REDIS_PASSWORD}@127.0.0.1:{}", self.port)
    }

    async fn users(&self) -> RedisUsers {
        RedisUsers::connect(&self.url(), account_key(), hashing()).await.unwrap()
    }

    async fn connection(&self) -> MultiplexedConnection {
        Client::open(self.url()).unwrap().get_multiplexed_async_connection().await.unwrap()
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn hashing() -> HashPool {
    HashPool::new(2, 64, HashParameters::new(8, 1, 1).unwrap()).unwrap()
}

fn name(text: &str) -> UserName {
    text.parse().unwrap()
}

fn secret(text: &str) -> SecretBytes {
    SecretBytes::new(text.as_bytes().to_vec())
}

fn password(text: &str) -> Password {
    Password::new(secret(text)).unwrap()
}

fn new_user(user: &str, text: &str) -> NewUser {
    NewUser { user: name(user), password: password(text), nickname: None, administrator: false }
}

async fn field(redis: &mut MultiplexedConnection, user: &str, field: &str) -> Option<String> {
    redis.hget(format!("game[1]*:{user}:account"), field).await.unwrap()
}

#[tokio::test]
async fn account_is_a_hash_with_documented_fields() {
    let server = RedisServer::start().await;
    let users = server.users().await;
    let mut redis = server.connection().await;
    let alice =
        NewUser { nickname: Some(Nickname::new("Ally").unwrap()), administrator: true, ..new_user("Alice", "old") };
    users.add(alice).await.unwrap();
    users.add(new_user("bob", "bobs")).await.unwrap();
    assert_eq!(field(&mut redis, "alice", "nickname").await.as_deref(), Some("Ally"));
    assert_eq!(field(&mut redis, "alice", "administrator").await.as_deref(), Some("1"));
    assert_eq!(field(&mut redis, "bob", "nickname").await, None);
    assert_eq!(field(&mut redis, "bob", "administrator").await.as_deref(), Some("0"));
    let hash = field(&mut redis, "alice", "hash").await;
    assert_eq!(hashing().verify(hash.clone(), secret("old")).await, Ok(true));

    // To add again changes nothing.
    assert_eq!(users.add(new_user("alice", "new")).await, Err(DirectoryError::AlreadyExists(name("alice"))));
    assert_eq!(field(&mut redis, "alice", "hash").await, hash);
    users.set_password(name("alice"), password("new")).await.unwrap();
    let hash = field(&mut redis, "alice", "hash").await;
    assert_eq!(hashing().verify(hash, secret("new")).await, Ok(true));
    assert_eq!(field(&mut redis, "alice", "nickname").await.as_deref(), Some("Ally"));

    users.remove(name("alice")).await.unwrap();
    assert_eq!(users.remove(name("alice")).await, Err(DirectoryError::Unknown(name("alice"))));
    assert_eq!(users.set_password(name("alice"), password("x")).await, Err(DirectoryError::Unknown(name("alice"))));
    assert_eq!(redis.keys("*").await.unwrap(), ["game[1]*:bob:account"]);
}

#[tokio::test]
async fn two_who_add_one_user_at_a_time_do_it_once() {
    let server = RedisServer::start().await;
    let (one, other) = (server.users().await, server.users().await);
    for round in 0..20 {
        let user = format!("user{round}");
        let (first, second) = tokio::join!(one.add(new_user(&user, "a")), other.add(new_user(&user, "b")));
        let right = if first.is_ok() { "a" } else { "b" };
        assert_ne!(first.is_ok(), second.is_ok());
        let hash = field(&mut server.connection().await, &user, "hash").await;
        assert_eq!(hashing().verify(hash, secret(right)).await, Ok(true));
    }
}

#[tokio::test]
async fn list_is_sorted_and_has_no_other_keys() {
    let server = RedisServer::start().await;
    let users = server.users().await;
    let mut redis = server.connection().await;
    // More than Redis tells at a time.
    let mut pipeline = redis::pipe();
    for number in 0..1_700 {
        let key = format!("game[1]*:user{number}:account");
        pipeline.cmd("HSET").arg(key).arg("hash").arg("x").arg("created").arg(number).ignore();
    }
    for (key, field) in [
        ("game1x:eve:account", "hash"),
        ("game[1]*:Eve:account", "hash"),
        ("game[1]*:e:ve:account", "hash"),
        ("game[1]*:eve:account:lease", "hash"),
        ("game[1]*:eve:account", "nickname"),
    ] {
        pipeline.cmd("HSET").arg(key).arg(field).arg("x").ignore();
    }
    pipeline.cmd("SET").arg("game[1]*:mallory:account").arg("a string").ignore();
    let () = pipeline.query_async(&mut redis).await.unwrap();

    let listed = users.list().await.unwrap();
    let mut names: Vec<UserName> = (0..1_700).map(|number| name(&format!("user{number}"))).collect();
    names.sort();
    assert_eq!(listed.iter().map(|entry| entry.user).collect::<Vec<_>>(), names);
    assert_eq!(listed[1].created, Some(1));
    // A key of another type is not ours to change.
    for refused in [users.remove(name("mallory")).await, users.set_password(name("mallory"), password("x")).await] {
        let Err(DirectoryError::Unavailable(text)) = refused else { panic!("{refused:?}") };
        assert!(text.contains("WRONGTYPE"), "{text}");
    }
    assert_eq!(users.add(new_user("mallory", "x")).await, Err(DirectoryError::AlreadyExists(name("mallory"))));
    assert_eq!(redis.get("game[1]*:mallory:account").await.unwrap().as_deref(), Some("a string"));
}

#[tokio::test]
async fn what_is_wrong_with_redis_is_said_without_its_password() {
    let server = RedisServer::start().await;
    let connect = async |url: String| RedisUsers::connect(&url, account_key(), hashing()).await.err().unwrap();
    let address = format!("127.0.0.1:{}", server.port);
    let error = connect(format!("redis://:gossip@{address}")).await;
    assert!(matches!(error, ConnectError::Connect { .. }));
    assert!(error.to_string().starts_with(&format!("Redis at {address} cannot be used: ")), "{error}");
    assert!(!error.to_string().contains("gossip"), "{error}");

    let users = server.users().await;
    let url = server.url();
    drop(server);
    let Err(DirectoryError::Unavailable(text)) = users.list().await else { panic!("there is no Redis") };
    assert!(text.starts_with(&format!("Redis at {address} did not do what was asked: ")), "{text}");
    let error = connect(url).await;
    assert!(error.to_string().contains("see that it runs") && !error.to_string().contains(REDIS_PASSWORD), "{error}");
}
