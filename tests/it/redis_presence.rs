//! One user is online once, across the daemons that share a Redis.

use std::thread;
use std::time::{Duration, Instant};

use lobbyd_core::packet::{CloseReason, Code, LeaveCause, ServerPacket};

use crate::support::wire::log_in_when_possible;
use crate::support::{Daemon, Pair, RedisKeys, Setup, Signal, Wire, say, secret_of};

const GENERAL: u32 = 1;

/// Two daemons with the same settings.
fn two_daemons(setup: Setup) -> (Setup, [Daemon; 2]) {
    let setup = setup.users(&["alice", "bob", "carol"]);
    let daemons = [setup.start(), setup.start()];
    (setup, daemons)
}

/// Tries to log in, and expects this refusal.
#[track_caller]
fn expect_refusal(wire: &mut Wire, secret: &str, code: Code) {
    let name = wire.name.clone();
    let login = say::login(1, &name, secret);
    wire.say(login);
    wire.expect(say::refused(&login, code));
}

#[test]
fn user_who_is_online_at_one_daemon_is_refused_at_the_other_until_a_logout() {
    let keys = RedisKeys::new();
    let (_setup, [one, other]) = two_daemons(keys.setup());
    let mut here = one.log_in("alice");
    let mut there = other.greet("alice");
    expect_refusal(&mut there, &secret_of("alice"), Code::AlreadyOnline);
    expect_refusal(&mut there, "wrong", Code::LoginDenied);
    here.expect_nothing();
    here.log_out();
    log_in_when_possible(&mut there, &[Code::AlreadyOnline]);
    expect_refusal(&mut here, &secret_of("alice"), Code::AlreadyOnline);
    there.log_out();
    log_in_when_possible(&mut here, &[Code::AlreadyOnline]);
}

#[test]
fn user_who_disconnected_from_one_daemon_can_log_in_at_the_other() {
    let keys = RedisKeys::new();
    let (_setup, [one, other]) = two_daemons(keys.setup());
    let here = one.log_in("alice");
    let mut there = other.greet("alice");
    expect_refusal(&mut there, &secret_of("alice"), Code::AlreadyOnline);
    drop(here);
    log_in_when_possible(&mut there, &[Code::AlreadyOnline]);
}

#[test]
fn lease_is_renewed_for_as_long_as_the_user_is_online() {
    let keys = RedisKeys::new();
    let lease = Duration::from_millis(1_500);
    let (_setup, [one, other]) =
        two_daemons(keys.setup().set("redis.lease", "1500ms").set("redis.response_timeout", "500ms"));
    let mut here = one.log_in("alice");
    let mut there = other.greet("alice");
    let started_at = Instant::now();
    while started_at.elapsed() < 2 * lease {
        expect_refusal(&mut there, &secret_of("alice"), Code::AlreadyOnline);
        let left: i64 = keys.run(&["PTTL", &keys.presence("alice")]);
        assert!((1..=lease.as_millis() as i64).contains(&left), "{left} ms are left of the lease");
        thread::sleep(Duration::from_millis(20));
    }
    here.expect_nothing();
}

#[test]
fn users_of_a_killed_daemon_can_return_once_their_lease_ends() {
    let keys = RedisKeys::new();
    let lease = Duration::from_secs(2);
    let (_setup, [one, other]) =
        two_daemons(keys.setup().set("redis.lease", "2s").set("redis.response_timeout", "600ms"));
    let mut pair = Pair::in_room(&other, ["bob", "carol"], GENERAL);
    let mut here = one.log_in("alice");
    one.kill();
    here.expect_loss();
    let mut there = other.greet("alice");
    let killed_at = Instant::now();
    let left: i64 = keys.run(&["PTTL", &keys.presence("alice")]);
    expect_refusal(&mut there, &secret_of("alice"), Code::AlreadyOnline);
    pair.talk();
    log_in_when_possible(&mut there, &[Code::AlreadyOnline]);
    let waited = killed_at.elapsed();
    assert!(waited <= lease + Duration::from_secs(3), "the lease is over after {lease:?}, the wait was {waited:?}");
    assert!(waited >= Duration::from_millis(left as u64), "let in after {waited:?}");
    pair.talk();
}

#[test]
fn daemon_that_stops_in_order_leaves_no_lease() {
    let keys = RedisKeys::new();
    let (_setup, [mut one, other]) =
        two_daemons(keys.setup().set("redis.lease", "10m").set("server.drain_timeout", "200ms"));
    let mut here = one.log_in("alice");
    assert_eq!(keys.run::<i64>(&["EXISTS", &keys.presence("alice")]), 1);
    one.signal(Signal::Terminate);
    here.expect_loss();
    assert_eq!(one.wait_for_exit().code(), Some(0));
    assert_eq!(keys.run::<i64>(&["EXISTS", &keys.presence("alice")]), 0);
    other.log_in("alice");
}

#[test]
fn newest_login_wins_across_daemons_only_with_the_right_secret() {
    let keys = RedisKeys::new();
    // A lease so long that its renewal cannot be what tells the old session.
    let (_setup, [one, other]) =
        two_daemons(keys.setup().set("session.duplicate_login", "newest-wins").set("redis.lease", "10m"));
    let mut old = one.log_in("alice");
    let mut bob = one.log_in("bob");
    old.enter(GENERAL);
    let (entered, _) = bob.enter(GENERAL);
    old.expect(say::new_user(GENERAL, entered.sequence, &bob.user()));

    let mut new = other.greet("alice");
    expect_refusal(&mut new, "wrong", Code::LoginDenied);
    old.expect_nothing();
    new.log_in();
    old.expect_closing(CloseReason::Superseded);
    bob.expect(say::leave_user(GENERAL, entered.sequence + 1, &old.user(), LeaveCause::Disconnected, None));
    // The old one's end does not give the new one's lease back.
    assert_eq!(keys.run::<i64>(&["EXISTS", &keys.presence("alice")]), 1);
    // And back again.
    let mut newest = one.log_in("alice");
    new.expect_closing(CloseReason::Superseded);
    newest.expect_nothing();
}

#[test]
fn logins_at_two_daemons_at_the_same_moment_bring_one_in() {
    let keys = RedisKeys::new();
    let (_setup, [one, other]) = two_daemons(keys.setup());
    let secret = secret_of("alice");
    let (mut here, mut there) = (one.greet("alice"), other.greet("alice"));
    for _ in 0..20 {
        here.say(say::login(1, "alice", &secret));
        there.say(say::login(1, "alice", &secret));
        let answers = [here.receive(), there.receive()];
        let accepted = |packet: &ServerPacket| matches!(packet, ServerPacket::LoginResponse { result: Ok(_), .. });
        let refused = say::login_refused(1, Code::AlreadyOnline);
        assert_eq!(answers.iter().filter(|answer| accepted(answer)).count(), 1, "{answers:?}");
        assert!(answers.contains(&refused), "{answers:?}");
        let winner = if accepted(&answers[0]) { &mut here } else { &mut there };
        winner.log_out();
        // The lease goes back in its own time; the next round wants it free.
        log_in_when_possible(&mut here, &[Code::AlreadyOnline]);
        here.log_out();
        log_in_when_possible(&mut here, &[Code::AlreadyOnline]);
        here.log_out();
        log_in_when_possible(&mut there, &[Code::AlreadyOnline]);
        there.log_out();
        crate::support::wait_until("the lease is free", || keys.run::<i64>(&["EXISTS", &keys.presence("alice")]) == 0);
    }
}

#[test]
fn allowing_many_logins_takes_no_lease() {
    let keys = RedisKeys::new();
    let (_setup, [one, other]) = two_daemons(keys.setup().set("session.duplicate_login", "allow"));
    let (mut here, mut there, mut again) = (one.log_in("alice"), other.log_in("alice"), other.log_in("alice"));
    assert_eq!(keys.run::<i64>(&["EXISTS", &keys.presence("alice")]), 0);
    for wire in [&mut here, &mut there, &mut again] {
        wire.expect_nothing();
    }
}

#[test]
fn connection_that_ends_during_its_login_leaves_no_lease() {
    let keys = RedisKeys::new();
    let (_setup, [one, other]) = two_daemons(keys.setup().set("redis.lease", "10m"));
    let secret = secret_of("alice");
    for _ in 0..5 {
        let mut gone = one.greet("alice");
        gone.say(say::login(1, "alice", &secret));
        drop(gone);
        // At the same daemon, which gives the lease back before it takes it again, at once.
        one.log_in("alice").log_out();
    }
    let mut there = other.greet("alice");
    log_in_when_possible(&mut there, &[Code::AlreadyOnline]);
}

#[test]
fn cancelled_login_leaves_no_lease() {
    let keys = RedisKeys::new();
    let (_setup, [one, other]) = two_daemons(keys.setup().set("redis.lease", "10m"));
    let secret = secret_of("alice");
    let mut here = one.greet("alice");
    for _ in 0..5 {
        let login = say::login(1, "alice", &secret);
        here.say_all(&[login, say::logout(2)]);
        here.expect(say::refused(&login, Code::LoginCancelled));
        here.expect(say::logged_out(2));
    }
    let mut there = other.greet("alice");
    log_in_when_possible(&mut there, &[Code::AlreadyOnline]);
}

#[test]
fn lease_that_another_took_over_closes_the_session_and_a_lost_one_is_taken_again() {
    let keys = RedisKeys::new();
    let setup = keys.setup().set("redis.lease", "600ms").set("redis.response_timeout", "200ms");
    let daemon = setup.users(&["alice", "bob"]).start();
    let (mut alice, mut bob) = (daemon.log_in("alice"), daemon.log_in("bob"));
    keys.run::<()>(&["DEL", &keys.presence("bob")]);
    keys.run::<()>(&["SET", &keys.presence("alice"), "somebody else"]);
    alice.expect_closing(CloseReason::Superseded);
    crate::support::wait_until("the lease is taken again", || keys.run::<i64>(&["EXISTS", &keys.presence("bob")]) == 1);
    bob.expect_nothing();
    // What is not ours is not given back.
    assert_eq!(keys.run::<String>(&["GET", &keys.presence("alice")]), "somebody else");
}
