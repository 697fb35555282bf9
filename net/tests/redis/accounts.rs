//! Accounts in a real Redis.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use lobbyd_core::input::Account;
use lobbyd_core::text::Text;
use lobbyd_net::redis::{KeyPattern, Link, RedisAccounts, TOKEN_BYTES_MAX};
use lobbyd_net::stores::{Accounts, LocalFuture, SecretBytes, SecretVerifier, Unavailable};
use tokio::time::Instant;

use super::support::{PATIENCE, RedisServer, connected, disconnected, pattern, run};

const DEADLINE: Duration = Duration::from_secs(2);

/// Says yes where the hash is `hash of` and the secret, and remembers what it was asked.
#[derive(Default)]
pub(crate) struct PlainVerifier {
    pub(crate) hashes: RefCell<Vec<Option<String>>>,
    pub(crate) is_overloaded: Cell<bool>,
}

impl SecretVerifier for PlainVerifier {
    fn verify(&self, hash: Option<String>, secret: SecretBytes) -> LocalFuture<'_, Result<bool, Unavailable>> {
        Box::pin(async move {
            if self.is_overloaded.get() {
                return Err(Unavailable("too many comparisons wait".to_owned()));
            }
            let right = hash.as_deref().map(str::as_bytes) == Some(&[b"hash of ", secret.as_slice()].concat());
            self.hashes.borrow_mut().push(hash);
            Ok(right)
        })
    }
}

pub(crate) fn hashed(link: Link) -> (RedisAccounts, Rc<PlainVerifier>) {
    let verifier = Rc::new(PlainVerifier::default());
    let shared = Rc::<PlainVerifier>::clone(&verifier);
    (RedisAccounts::argon2id(link, accounts_key(), shared, DEADLINE), verifier)
}

pub(crate) fn tokens(link: Link) -> RedisAccounts {
    RedisAccounts::token(link, pattern("game:{user}:token"), DEADLINE)
}

fn accounts_key() -> KeyPattern {
    pattern("account:{user}")
}

pub(crate) async fn verify(
    accounts: &RedisAccounts,
    user: &str,
    secret: &[u8],
) -> Result<Option<Account>, Unavailable> {
    accounts.verify(user.parse().unwrap(), SecretBytes::new(secret.to_vec())).await
}

#[test]
fn an_account_is_known_by_its_hash() {
    run(async {
        let server = RedisServer::start(&[]);
        let _: u64 = server.ask(&["HSET", "account:alice", "hash", "hash of pw", "nickname", "Älice 🎲"]);
        let _: u64 = server.ask(&["HSET", "account:root", "hash", "hash of pw", "administrator", "1"]);
        let _: u64 = server.ask(&["HSET", "account:carol", "hash", "hash of pw", "administrator", "0"]);
        let (accounts, verifier) = hashed(server.link());
        let account =
            |nickname: Option<&str>, administrator| Account { nickname: nickname.map(Text::new), administrator };
        assert_eq!(verify(&accounts, "Alice", b"pw").await, Ok(Some(account(Some("Älice 🎲"), false))));
        assert_eq!(verify(&accounts, "root", b"pw").await, Ok(Some(account(None, true))));
        assert_eq!(verify(&accounts, "carol", b"pw").await, Ok(Some(account(None, false))));
        assert_eq!(verify(&accounts, "alice", b"pW").await, Ok(None));
        assert_eq!(verifier.hashes.borrow().len(), 4);
    });
}

#[test]
fn an_unknown_user_costs_a_comparison_too() {
    run(async {
        let server = RedisServer::start(&[]);
        let _: u64 = server.ask(&["HSET", "account:nohash", "nickname", "x"]);
        let _: u64 = server.ask(&["HSET", "account:locked", "hash", ""]);
        let (accounts, verifier) = hashed(server.link());
        for user in ["nobody", "nohash", "locked"] {
            assert_eq!(verify(&accounts, user, b"pw").await, Ok(None), "{user}");
        }
        assert_eq!(*verifier.hashes.borrow(), [None, None, None]);
    });
}

#[test]
fn an_empty_secret_is_always_wrong() {
    run(async {
        let server = RedisServer::start(&[]);
        let _: () = server.ask(&["SET", "game:alice:token", ""]);
        let _: u64 = server.ask(&["HSET", "account:alice", "hash", "hash of "]);
        let (accounts, _verifier) = hashed(server.link());
        assert_eq!(verify(&accounts, "alice", b"").await, Ok(None));
        let tokens = tokens(server.link());
        assert_eq!(verify(&tokens, "alice", b"").await, Ok(None));
        assert_eq!(verify(&tokens, "alice", b"\0").await, Ok(None));
    });
}

#[test]
fn fields_that_are_decoration_keep_nobody_out_and_raise_nobody() {
    run(async {
        let server = RedisServer::start(&[]);
        let long = "x".repeat(129);
        let _: u64 =
            server.ask(&["HSET", "account:a", "hash", "hash of pw", "administrator", "yes", "nickname", &long]);
        let (accounts, _verifier) = hashed(server.link());
        assert_eq!(verify(&accounts, "a", b"pw").await, Ok(Some(Account::default())));
    });
}

#[test]
fn a_token_matches_only_itself() {
    run(async {
        let server = RedisServer::start(&[]);
        let longest = "t".repeat(TOKEN_BYTES_MAX);
        let _: () = server.ask(&["SET", "game:alice:token", "d6f7a1"]);
        let _: () = server.ask(&["SET", "game:bob:token", &longest]);
        let accounts = tokens(server.link());
        assert_eq!(verify(&accounts, "ALICE", b"d6f7a1").await, Ok(Some(Account::default())));
        assert_eq!(verify(&accounts, "bob", longest.as_bytes()).await, Ok(Some(Account::default())));
        for wrong in [&b"d6f7a"[..], b"d6f7a11", b"D6F7A1", b"d6f7a1\0", b"x", longest.as_bytes()] {
            assert_eq!(verify(&accounts, "alice", wrong).await, Ok(None));
        }
        assert_eq!(verify(&accounts, "nobody", b"d6f7a1").await, Ok(None));
        // The web API has withdrawn it.
        let _: u64 = server.ask(&["DEL", "game:alice:token"]);
        assert_eq!(verify(&accounts, "alice", b"d6f7a1").await, Ok(None));
    });
}

#[test]
fn what_is_no_account_is_never_a_yes() {
    run(async {
        let server = RedisServer::start(&[]);
        let long = "x".repeat(TOKEN_BYTES_MAX + 1);
        let _: u64 = server.ask(&["RPUSH", "game:list:token", "pw"]);
        let _: u64 = server.ask(&["HSET", "game:hash:token", "hash", "pw"]);
        let _: () = server.ask(&["SET", "game:long:token", &long]);
        let _: () = server.ask(&["SETRANGE", "game:huge:token", "16000000", "x"].map(|part| part));
        let _: () = server.ask(&["SET", "account:string", "hash of pw"]);
        let _: u64 = server.ask(&["HSET", "account:long", "hash", &long]);
        let _: u64 = server.ask(&["EVAL", r"return redis.call('HSET', 'account:binary', 'hash', '\255')", "0"]);

        let link = server.link();
        let tokens = tokens(link.clone());
        for user in ["list", "hash", "long"] {
            let error = verify(&tokens, user, b"pw").await.unwrap_err();
            assert!(error.0.contains(&format!("game:{user}:token")), "{error}");
        }
        let (accounts, verifier) = hashed(link.clone());
        for user in ["string", "long", "binary"] {
            let error = verify(&accounts, user, b"pw").await.unwrap_err();
            assert!(error.0.contains(&format!("account:{user}")), "{error}");
        }
        assert!(verifier.hashes.borrow().is_empty());
        assert_eq!(link.stats().losses, 0);
        assert!(verify(&tokens, "huge", b"pw").await.is_err());
    });
}

#[test]
fn an_overloaded_verifier_is_no_verdict() {
    run(async {
        let server = RedisServer::start(&[]);
        let (accounts, verifier) = hashed(server.link());
        verifier.is_overloaded.set(true);
        assert_eq!(verify(&accounts, "alice", b"pw").await, Err(Unavailable("too many comparisons wait".to_owned())));
    });
}

#[test]
fn every_login_has_a_verdict_in_time_whatever_happens_to_redis() {
    run(async {
        let mut server = RedisServer::start(&[]);
        let _: () = server.ask(&["SET", "game:alice:token", "t"]);
        let link = server.link();
        let accounts = tokens(link.clone());
        assert!(verify(&accounts, "alice", b"t").await.unwrap().is_some());

        server.freeze();
        let asked_at = Instant::now();
        let first = verify(&accounts, "alice", b"t").await.unwrap_err();
        assert!(first.0.contains("did not answer within"), "{first}");
        assert!(verify(&accounts, "alice", b"t").await.is_err());
        assert!(asked_at.elapsed() < 2 * DEADLINE);
        server.thaw();
        connected(&link, 1).await;
        assert!(verify(&accounts, "alice", b"t").await.unwrap().is_some(), "it is used again");

        server.kill();
        disconnected(&link).await;
        assert!(verify(&accounts, "alice", b"t").await.is_err());
        server.restart();
        connected(&link, 2).await;
        assert_eq!(verify(&accounts, "alice", b"t").await, Ok(None), "Redis has forgotten the token");
        let _: () = server.ask(&["SET", "game:alice:token", "t"]);
        assert!(verify(&accounts, "alice", b"t").await.unwrap().is_some());
        assert!(asked_at.elapsed() < PATIENCE);
    });
}
