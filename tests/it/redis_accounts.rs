//! Accounts in a real Redis: passwords that `lobbyd user` has hashed, and tokens that another service wrote.

use lobbyd_core::packet::Code;
use lobbyd_core::text::Text;

use crate::support::{Daemon, Pair, RedisKeys, Setup, Wire, say, secret_of};

const GENERAL: u32 = 1;

fn with_tokens(keys: &RedisKeys) -> Setup {
    keys.setup().set("redis.auth", "token")
}

/// Writes a token as the service that issues them would.
fn issue(keys: &RedisKeys, user: &str, token: &str) {
    keys.run::<()>(&["SET", &keys.token(user), token]);
}

/// Tries to log in, and expects this refusal.
#[track_caller]
fn expect_refusal(daemon: &Daemon, user: &str, secret: &str, code: Code) {
    let mut wire = daemon.greet(user);
    let login = say::login(1, user, secret);
    wire.say(login);
    wire.expect(say::refused(&login, code));
    wire.expect_nothing();
}

/// Logs in with this secret.
#[track_caller]
fn log_in_with(daemon: &Daemon, user: &str, secret: &str) -> Wire {
    let mut wire = daemon.greet(user);
    wire.say(say::login(1, user, secret));
    wire.expect_login(1);
    wire
}

#[test]
fn users_with_hashed_passwords_log_in_and_talk() {
    let keys = RedisKeys::new();
    let setup = keys.setup().users(&["alice", "bob"]);
    let daemon = setup.start();
    let mut pair = Pair::in_room(&daemon, ["alice", "bob"], GENERAL);
    pair.talk();
    // A user who is added while the daemon runs is known at once.
    setup.user(&["add", "carol"], &secret_of("carol"));
    daemon.log_in("carol");
    pair.talk();
}

#[test]
fn wrong_password_and_unknown_user_are_denied_alike() {
    let keys = RedisKeys::new();
    let daemon = keys.setup().users(&["alice", "bob"]).start();
    for (user, secret) in [("alice", "wrong"), ("alice", ""), ("alice", &secret_of("bob")), ("nobody", "wrong")] {
        expect_refusal(&daemon, user, secret, Code::LoginDenied);
    }
    daemon.log_in("alice");
}

#[test]
fn users_are_added_listed_changed_and_removed() {
    let keys = RedisKeys::new();
    let setup = keys.setup();
    assert_eq!(setup.user(&["list"], "").lines().filter(|line| line.contains("alice")).count(), 0);
    setup.user(&["add", "Alice", "--nickname", "Älice ♞"], "first");
    setup.user(&["add", "bob", "--administrator"], "second");
    let again = setup.try_user(&["add", "alice"], "third");
    assert!(!again.status.success(), "added twice");
    let list = setup.user(&["list"], "");
    assert!(list.contains("alice") && list.contains("Älice ♞") && list.contains("bob"), "{list}");
    let stored: String = keys.run(&["HGET", &keys.account("alice"), "hash"]);
    assert!(stored.starts_with("$argon2id$"), "{stored}");

    let daemon = setup.start();
    let mut alice = log_in_with(&daemon, "alice", "first");
    assert_eq!(alice.user().nickname, Some(Text::new("Älice ♞")));
    alice.log_out();
    setup.user(&["passwd", "alice"], "changed");
    expect_refusal(&daemon, "alice", "first", Code::LoginDenied);
    log_in_with(&daemon, "alice", "changed").log_out();
    setup.user(&["remove", "alice"], "");
    expect_refusal(&daemon, "alice", "changed", Code::LoginDenied);
    assert!(!setup.try_user(&["remove", "alice"], "").status.success(), "removed twice");
    assert!(!setup.user(&["list"], "").contains("alice"));
    log_in_with(&daemon, "bob", "second");
}

#[test]
fn users_with_tokens_log_in_and_talk() {
    let keys = RedisKeys::new();
    let daemon = with_tokens(&keys).start();
    issue(&keys, "alice", &secret_of("alice"));
    issue(&keys, "bob", &secret_of("bob"));
    let mut pair = Pair::in_room(&daemon, ["alice", "bob"], GENERAL);
    pair.talk();
    // A token that was taken back lets nobody in any more, and one who is in stays.
    keys.run::<()>(&["DEL", &keys.token("alice")]);
    pair.talk();
    pair.member("alice").log_out();
    expect_refusal(&daemon, "alice", &secret_of("alice"), Code::LoginDenied);
}

#[test]
fn only_the_whole_token_matches_and_an_empty_one_never() {
    let keys = RedisKeys::new();
    let daemon = with_tokens(&keys).start();
    issue(&keys, "alice", "a token");
    issue(&keys, "bob", "");
    for (user, token) in [
        ("alice", ""),
        ("alice", "a toke"),
        ("alice", "a token "),
        ("alice", "A token"),
        ("alice", "a token\0"),
        ("bob", ""),
        ("bob", "anything"),
        ("nobody", ""),
        ("nobody", "anything"),
    ] {
        expect_refusal(&daemon, user, token, Code::LoginDenied);
    }
    log_in_with(&daemon, "ALICE", "a token");
}

#[test]
fn tokens_are_not_administered_here() {
    let keys = RedisKeys::new();
    let output = with_tokens(&keys).try_user(&["add", "alice"], "a token");
    assert!(!output.status.success(), "somebody else issues tokens");
    assert!(String::from_utf8_lossy(&output.stderr).contains("token"), "{output:?}");
    assert_eq!(keys.run::<i64>(&["EXISTS", &keys.account("alice"), &keys.token("alice")]), 0);
}

#[test]
fn wrong_type_under_a_key_is_the_stores_fault_and_lets_nobody_in() {
    let keys = RedisKeys::new();
    let daemon = keys.setup().users(&["alice", "bob"]).start();
    let mut pair = Pair::in_room(&daemon, ["alice", "bob"], GENERAL);
    keys.run::<()>(&["SET", &keys.account("carol"), "a string, not a hash"]);
    keys.run::<()>(&["HSET", &keys.account("dave"), "hash", "not a hash of a password"]);
    keys.run::<()>(&["HSET", &keys.account("erin"), "hash", ""]);
    expect_refusal(&daemon, "carol", "a string, not a hash", Code::StoreUnavailable);
    expect_refusal(&daemon, "dave", "not a hash of a password", Code::StoreUnavailable);
    expect_refusal(&daemon, "erin", "anything", Code::LoginDenied);
    pair.talk();
    // Those whose accounts are in order are not affected.
    pair.member("alice").log_out();
    pair.member("alice").log_in();
}

#[test]
fn wrong_type_under_a_token_or_a_presence_lets_nobody_in() {
    let keys = RedisKeys::new();
    let daemon = with_tokens(&keys).start();
    keys.run::<()>(&["RPUSH", &keys.token("carol"), "a token"]);
    expect_refusal(&daemon, "carol", "a token", Code::StoreUnavailable);
    // Whatever is under the presence key, it is not ours: the user counts as online.
    issue(&keys, "dave", "a token");
    keys.run::<()>(&["RPUSH", &keys.presence("dave"), "a list"]);
    expect_refusal(&daemon, "dave", "a token", Code::AlreadyOnline);
    keys.run::<()>(&["DEL", &keys.presence("dave")]);
    log_in_with(&daemon, "dave", "a token");
}

#[test]
fn wrong_password_of_redis_lets_nobody_in_and_is_said_without_the_password() {
    let mut keys = RedisKeys::in_own_server();
    let setup = keys.setup().users(&["alice"]);
    keys.run::<()>(&["CONFIG", "SET", "requirepass", "the right one"]);
    let url = keys.server().url().replace("redis://", "redis://:not-the-right-one@");
    let daemon = setup.replace("server.store", &url).start();
    expect_refusal(&daemon, "alice", &secret_of("alice"), Code::StoreUnavailable);
    daemon.log.wait_for("the reason", |line| line["level"] == "WARN");
    assert!(!daemon.log.text().contains("not-the-right-one"), "{}", daemon.log.text());
}
