//! Redis fails during logins: each login gets its verdict in time, those who are logged in talk on, nobody gets in who
//! should not, and all is well again by itself when Redis is.

use std::thread::sleep;
use std::time::{Duration, Instant};

use lobbyd_core::packet::{Code, ServerPacket};

use crate::support::wire::log_in_when_possible;
use crate::support::{Daemon, Pair, RedisKeys, Setup, Wire, say, secret_of, wait_until};

const GENERAL: u32 = 1;
/// What the settings of these tests give a login.
const LOGIN_TIMEOUT: Duration = Duration::from_millis(1_500);
/// What a busy machine may add to that.
const SLACK: Duration = Duration::from_secs(2);
/// Users who log in while Redis fails. Those with an odd place do not know their secret.
const CROWD: [&str; 8] = ["user0", "user1", "user2", "user3", "user4", "user5", "user6", "user7"];

/// A daemon on a Redis of its own; Alice and Bob talk in the general room.
struct Scene {
    keys: RedisKeys,
    daemon: Daemon,
    pair: Pair,
    setup: Setup,
}

fn settings(keys: &RedisKeys) -> Setup {
    keys.setup()
        .set("session.login_timeout", "1500ms")
        .set("redis.connect_timeout", "300ms")
        .set("redis.response_timeout", "500ms")
        .set("limits.login_failures_per_address_burst", "1000")
        .set("limits.login_failures_per_session_max", "1000")
}

impl Scene {
    #[track_caller]
    fn new(change: impl FnOnce(Setup) -> Setup) -> Self {
        let keys = RedisKeys::in_own_server();
        let setup = change(settings(&keys)).users(&["alice", "bob"]).users(&CROWD);
        let daemon = setup.start();
        let pair = Pair::in_room(&daemon, ["alice", "bob"], GENERAL);
        Self { keys, daemon, pair, setup }
    }

    /// The crowd, each of them about to log in.
    #[track_caller]
    fn crowd(&self) -> Vec<Wire> {
        CROWD.iter().map(|name| self.daemon.greet(name)).collect()
    }

    /// Redis is back: those who know their secret get in, after refusals that say that the store was the reason.
    #[track_caller]
    fn expect_recovery(&mut self, crowd: &mut [Wire]) {
        for (place, wire) in crowd.iter_mut().enumerate() {
            if knows_secret(place) {
                // A claim that Redis carried out after all, long after it was given up, is taken back by itself.
                log_in_when_possible(wire, &[Code::StoreUnavailable, Code::AlreadyOnline]);
                wire.log_out();
            } else {
                let name = wire.name.clone();
                let login = say::login(1, &name, "wrong");
                wire.say(login);
                wire.expect(say::refused(&login, Code::LoginDenied));
            }
        }
        self.pair.talk();
        let mut member = self.daemon.greet("alice");
        let secret = secret_of("alice");
        let login = say::login(1, "alice", &secret);
        member.say(login);
        member.expect(say::refused(&login, Code::AlreadyOnline));
        self.pair.talk();
    }
}

fn knows_secret(place: usize) -> bool {
    place.is_multiple_of(2)
}

/// Has all of them ask to be let in, without waiting for an answer.
fn ask(crowd: &mut [Wire]) -> Instant {
    for (place, wire) in crowd.iter_mut().enumerate() {
        let name = wire.name.clone();
        let secret = if knows_secret(place) { secret_of(&name) } else { "wrong".to_owned() };
        wire.say(say::login(1, &name, &secret));
    }
    Instant::now()
}

/// Receives the answers to [`ask`] while the pair talks: in time, and no wrong yes among them. Who got in goes out
/// again. Returns how many were refused because of the store.
#[track_caller]
fn expect_verdicts(crowd: &mut [Wire], asked_at: Instant, pair: &mut Pair) -> usize {
    let mut unavailable = 0;
    for (place, wire) in crowd.iter_mut().enumerate() {
        let verdict = loop {
            pair.talk();
            if let Some(packet) = wire.receive_within(Duration::from_millis(20)) {
                break packet;
            }
            assert!(asked_at.elapsed() < LOGIN_TIMEOUT + SLACK, "{} has no verdict in time", wire.name);
        };
        match verdict {
            ServerPacket::LoginResponse { result: Ok(_), .. } => {
                assert!(knows_secret(place), "{} gets in with a wrong secret", wire.name);
                wire.log_out();
            }
            ServerPacket::LoginResponse { result: Err(Code::StoreUnavailable), .. } => unavailable += 1,
            ServerPacket::LoginResponse { result: Err(Code::LoginDenied), .. } if !knows_secret(place) => {}
            // Its own claim of the try before, which has not come back yet.
            ServerPacket::LoginResponse { result: Err(Code::AlreadyOnline), .. } if knows_secret(place) => {}
            other => panic!("{} expects a verdict: {other:?}", wire.name),
        }
    }
    unavailable
}

/// With Redis out of reach, or as good as: everybody is told so, in time.
#[track_caller]
fn expect_outage(crowd: &mut [Wire], pair: &mut Pair) {
    for _ in 0..2 {
        let asked_at = ask(crowd);
        assert_eq!(expect_verdicts(crowd, asked_at, pair), crowd.len(), "a verdict without a store");
    }
}

#[test]
fn killed_redis_is_told_to_those_who_log_in_and_found_again_when_it_is_back() {
    let mut scene = Scene::new(|setup| setup);
    let mut crowd = scene.crowd();
    let asked_at = ask(&mut crowd);
    scene.keys.server().kill();
    expect_verdicts(&mut crowd, asked_at, &mut scene.pair);
    expect_outage(&mut crowd, &mut scene.pair);

    // Looking for it costs next to nothing.
    let before = (Instant::now(), scene.daemon.processor_time());
    while before.0.elapsed() < Duration::from_millis(600) {
        scene.pair.talk();
        sleep(Duration::from_millis(50));
    }
    let (elapsed, spent) = (before.0.elapsed(), scene.daemon.processor_time() - before.1);
    assert!(spent < elapsed / 4, "the daemon spins: {spent:?} of the processor in {elapsed:?}");

    scene.keys.server().restart();
    scene.expect_recovery(&mut crowd);
}

#[test]
fn stopped_redis_is_told_within_the_deadline_and_used_again_when_it_goes_on() {
    let mut scene = Scene::new(|setup| setup);
    let mut crowd = scene.crowd();
    let asked_at = ask(&mut crowd);
    scene.keys.server().stop();
    expect_verdicts(&mut crowd, asked_at, &mut scene.pair);
    expect_outage(&mut crowd, &mut scene.pair);
    scene.keys.server().resume();
    scene.expect_recovery(&mut crowd);
}

#[test]
fn redis_restarted_again_and_again_during_logins_loses_none() {
    let mut scene = Scene::new(|setup| setup);
    let mut crowd = scene.crowd();
    for _ in 0..4 {
        let asked_at = ask(&mut crowd);
        scene.keys.server().kill();
        scene.keys.server().restart();
        expect_verdicts(&mut crowd, asked_at, &mut scene.pair);
    }
    scene.expect_recovery(&mut crowd);
}

#[test]
fn redis_slower_than_the_deadline_is_told_within_it() {
    let mut scene = Scene::new(|setup| setup);
    let mut crowd = scene.crowd();
    for _ in 0..2 {
        // Everything is carried out, but only after the daemon has stopped to wait for it.
        scene.keys.run::<()>(&["CLIENT", "PAUSE", "1000", "ALL"]);
        let asked_at = ask(&mut crowd);
        assert_eq!(expect_verdicts(&mut crowd, asked_at, &mut scene.pair), crowd.len());
        scene.expect_recovery(&mut crowd);
    }
}

#[test]
fn redis_that_refuses_every_command_lets_nobody_in() {
    let mut scene = Scene::new(|setup| setup);
    let mut crowd = scene.crowd();
    // Full, as an operator may meet it: reading works, and no lease can be written.
    scene.keys.run::<()>(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    scene.keys.run::<()>(&["CONFIG", "SET", "maxmemory", "1"]);
    let asked_at = ask(&mut crowd);
    let unavailable = expect_verdicts(&mut crowd, asked_at, &mut scene.pair);
    assert_eq!(unavailable, CROWD.len() / 2, "those with a right secret need a lease");
    scene.keys.run::<()>(&["CONFIG", "SET", "maxmemory", "0"]);
    scene.expect_recovery(&mut crowd);
}

#[test]
fn tokens_are_checked_again_when_redis_is_back() {
    let mut keys = RedisKeys::in_own_server();
    let daemon = settings(&keys).set("redis.auth", "token").start();
    for name in ["alice", "bob", "carol"] {
        keys.run::<()>(&["SET", &keys.token(name), &secret_of(name)]);
    }
    let mut pair = Pair::in_room(&daemon, ["alice", "bob"], GENERAL);
    let mut carol = daemon.greet("carol");
    let right = secret_of("carol");
    keys.server().kill();
    for secret in [right.as_str(), "wrong", "\0"] {
        let login = say::login(1, "carol", secret);
        let asked_at = Instant::now();
        carol.say(login);
        carol.expect(say::refused(&login, Code::StoreUnavailable));
        assert!(asked_at.elapsed() < LOGIN_TIMEOUT + SLACK);
        pair.talk();
    }
    keys.server().restart();
    log_in_when_possible(&mut carol, &[Code::StoreUnavailable]);
    pair.talk();
}

#[test]
fn failures_of_the_store_are_not_counted_as_wrong_secrets() {
    let mut scene = Scene::new(|setup| setup.set("limits.login_failures_per_user_burst", "3"));
    scene.keys.server().kill();
    let mut wire = scene.daemon.greet(CROWD[0]);
    let secret = secret_of(CROWD[0]);
    let login = say::login(1, CROWD[0], &secret);
    for _ in 0..10 {
        wire.say(login);
        wire.expect(say::refused(&login, Code::StoreUnavailable));
    }
    scene.keys.server().restart();
    log_in_when_possible(&mut wire, &[Code::StoreUnavailable]);
}

#[test]
fn daemon_that_starts_before_redis_says_so_and_lets_users_in_when_it_comes() {
    let mut keys = RedisKeys::in_own_server();
    let setup = settings(&keys).users(&["alice"]);
    keys.server().kill();
    let daemon = setup.start();
    let line = daemon.log.wait_for("warning", |line| line["level"] == "WARN");
    assert!(line["message"].as_str().is_some_and(|said| said.contains("Redis")), "{line}");
    let mut alice = daemon.greet("alice");
    let secret = secret_of("alice");
    let login = say::login(1, "alice", &secret);
    alice.say(login);
    alice.expect(say::refused(&login, Code::StoreUnavailable));
    let add = setup.try_user(&["add", "bob"], "a password");
    assert!(!add.status.success());
    assert!(String::from_utf8_lossy(&add.stderr).contains("Redis"), "{add:?}");
    keys.server().restart();
    log_in_when_possible(&mut alice, &[Code::StoreUnavailable]);
}

#[test]
fn sessions_outlive_an_outage_longer_than_their_lease_and_their_leases_come_back() {
    let mut scene = Scene::new(|setup| setup.set("redis.lease", "600ms").replace("redis.response_timeout", "200ms"));
    scene.keys.server().stop();
    let stopped_at = Instant::now();
    while stopped_at.elapsed() < Duration::from_millis(1_500) {
        scene.pair.talk();
        sleep(Duration::from_millis(20));
    }
    scene.keys.server().resume();
    let (alice, bob) = (scene.keys.presence("alice"), scene.keys.presence("bob"));
    wait_until("both leases are there again", || scene.keys.run::<i64>(&["EXISTS", &alice, &bob]) == 2);
    scene.pair.talk();

    // And one that came back without its memory.
    scene.keys.run::<()>(&["DEL", &alice, &bob]);
    scene.keys.server().kill();
    scene.pair.talk();
    scene.keys.server().restart();
    wait_until("both leases are taken again", || scene.keys.run::<i64>(&["EXISTS", &alice, &bob]) == 2);
    scene.pair.talk();
}

#[test]
fn logging_out_and_disconnecting_during_an_outage_frees_the_user_afterwards() {
    let mut scene = Scene::new(|setup| setup.set("redis.lease", "10m"));
    let mut stays = scene.daemon.log_in(CROWD[0]);
    let goes = scene.daemon.log_in(CROWD[2]);
    scene.keys.server().stop();
    stays.log_out();
    drop(goes);
    scene.pair.talk();
    let other = scene.setup.start();
    scene.keys.server().resume();
    for name in [CROWD[0], CROWD[2]] {
        let mut wire = other.greet(name);
        log_in_when_possible(&mut wire, &[Code::StoreUnavailable, Code::AlreadyOnline]);
    }
    scene.pair.talk();
}
