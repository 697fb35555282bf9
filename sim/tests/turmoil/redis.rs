//! What becomes of logins and presence when Redis breaks, and when a daemon does.

use std::time::Duration;

use lobbyd_core::config::DuplicateLogin;
use lobbyd_sim::layers::{Arrival, LEASE, World};
use lobbyd_sim::redis::Reply;
use lobbyd_sim::scenario::{Check, Fault, Operation, RedisFault, Setup};

use crate::play::{Play, on_redis};

fn two_daemons() -> Setup {
    Setup { daemons: vec!["one".to_owned(), "two".to_owned()], ..on_redis() }
}

/// Everything is as in the beginning: nobody is left in the daemons, and no lease in Redis.
fn is_empty(play: &mut Play, daemons: &[&str]) {
    for daemon in daemons {
        play.check_within(daemon, Check::Empty, LEASE);
    }
    assert_eq!(play.world.redis().unwrap().execute(&["DBSIZE"]), Reply::Integer(3), "more than the accounts is left");
}

#[test]
fn users_of_a_crashed_daemon_can_return_when_their_leases_end() {
    let mut play = Play::new(&two_daemons(), 1);
    play.login("alice", "one");
    play.inject(Fault::Crash { daemon: "one".to_owned() });
    let crashed_at = play.world.now();
    play.expect_within("alice", "closed", Duration::from_millis(10));
    play.connect("alice", "two");
    play.ask_login("alice");
    play.expect("alice", "LoginResponse refused=AlreadyOnline");
    play.advance(LEASE - Duration::from_millis(100));
    play.ask_login("alice");
    play.expect("alice", "LoginResponse refused=AlreadyOnline");
    play.advance(crashed_at + LEASE - play.world.now());
    play.ask_login("alice");
    play.expect("alice", "LoginResponse name=alice");

    play.inject(Fault::Restart { daemon: "one".to_owned() });
    play.login("bob", "one");
    play.check("one", Check::Online(1));
    play.check("two", Check::Online(1));
}

#[test]
fn broken_redis_refuses_logins_and_lets_them_pass_again_when_it_is_mended() {
    for (breaks, mends) in [
        (RedisFault::Crash, RedisFault::Restart),
        (RedisFault::Crash, RedisFault::RestartEmpty),
        (RedisFault::Freeze, RedisFault::Thaw),
        (RedisFault::Slow(Duration::from_secs(3)), RedisFault::Heal),
        (RedisFault::Lie, RedisFault::Heal),
        (RedisFault::Garble, RedisFault::Heal),
    ] {
        let mut play = Play::new(&on_redis(), 1);
        play.login("alice", "server");
        play.redis(breaks);
        play.connect("bob", "server");
        for _ in 0..2 {
            play.ask_login("bob");
            play.expect("bob", "LoginResponse refused=StoreUnavailable");
        }
        play.redis(mends);
        // The longest pause of the link, and its patience with a connection that hangs.
        play.advance(Duration::from_secs(5));
        play.ask_login("bob");
        play.expect("bob", "LoginResponse name=bob");
        // Who was online has stayed so, and is protected again.
        play.check("server", Check::Online(2));
        let held = play.world.redis().unwrap().execute(&["EXISTS", "lobbyd:presence:alice", "lobbyd:presence:bob"]);
        assert_eq!(held, Reply::Integer(2), "after {breaks:?}");
        for client in ["alice", "bob"] {
            play.begin(client, Operation::Close);
        }
        is_empty(&mut play, &["server"]);
    }
}

#[test]
fn redis_that_is_a_little_slow_delays_logins_only() {
    let mut play = Play::new(&on_redis(), 1);
    play.redis(RedisFault::Slow(Duration::from_millis(400)));
    play.connect("alice", "server");
    play.ask_login("alice");
    let asked_at = play.world.now();
    play.expect("alice", "LoginResponse name=alice");
    let took = play.world.now() - asked_at;
    assert!(took >= Duration::from_millis(800) && took < Duration::from_secs(1), "{took:?}");
}

#[test]
fn daemon_without_redis_for_longer_than_a_lease_gives_its_users_up_to_who_took_them() {
    let mut play = Play::new(&two_daemons(), 1);
    play.login("alice", "one");
    let cut = |one_way| Fault::Partition { from: "one".to_owned(), to: "redis".to_owned(), one_way };
    play.inject(cut(false));
    play.login("bob", "two");
    play.advance(LEASE + Duration::from_secs(1));
    play.login("alice2", "two");
    // Nothing tells the first daemon; it may not throw out users for every loss of Redis.
    play.nothing_more(&["alice", "alice2", "bob"]);
    play.inject(Fault::Repair { from: "one".to_owned(), to: "redis".to_owned() });
    play.expect("alice", "Closing reason=Superseded");
    play.expect("alice", "closed");
    play.nothing_more(&["alice2", "bob"]);
    play.check("one", Check::Empty);
    play.check("two", Check::Online(2));
}

#[test]
fn answers_lost_on_the_way_leave_no_lease_behind() {
    let mut play = Play::new(&on_redis(), 1);
    // Redis hears and does everything; its answers are lost.
    play.inject(Fault::Partition { from: "redis".to_owned(), to: "server".to_owned(), one_way: true });
    play.connect("alice", "server");
    play.ask_login("alice");
    play.expect("alice", "LoginResponse refused=StoreUnavailable");
    play.inject(Fault::Repair { from: "redis".to_owned(), to: "server".to_owned() });
    play.advance(Duration::from_secs(5));
    play.ask_login("alice");
    play.expect("alice", "LoginResponse name=alice");
    play.begin("alice", Operation::Close);
    is_empty(&mut play, &["server"]);
}

#[test]
fn fault_at_any_moment_of_a_login_leaves_nothing_wrong_behind() {
    use RedisFault::{Crash, Freeze, Garble, Heal, Lie, Restart, RestartEmpty, Slow, Thaw};
    let faults = [
        (Crash, Restart),
        (Crash, RestartEmpty),
        (Freeze, Thaw),
        (Slow(Duration::from_millis(1_500)), Heal),
        (Lie, Heal),
        (Garble, Heal),
    ];
    for (index, (breaks, mends)) in faults.into_iter().enumerate() {
        for moment_ms in [1, 4, 6, 9] {
            let mut setup = two_daemons();
            if moment_ms % 2 == 1 {
                setup.config.duplicate_login = DuplicateLogin::NewestWins;
            }
            let mut play = Play::new(&setup, index as u64 * 100 + moment_ms);
            play.login("carol", "one");
            play.connect("alice", "one");
            play.connect("alice2", "two");
            play.ask_login("alice");
            play.ask_login("alice2");
            play.advance(Duration::from_millis(moment_ms));
            play.redis(breaks);
            play.advance(Duration::from_millis(2_500));
            play.redis(mends);
            // Leases that nobody knows of have ended by then.
            play.advance(2 * LEASE);
            let lines = ["alice", "alice2"].map(|client| {
                let mut open = true;
                while let Some(arrival) = play.next(client, Duration::ZERO) {
                    open = arrival != Arrival::Closed;
                }
                open
            });
            let online = ["one", "two"].map(|daemon| {
                play.check(daemon, Check::Sessions(lines_of(daemon, lines)));
                (0..3).find(|count| play.world.check(daemon, Check::Online(*count)).unwrap() == Ok(())).unwrap()
            });
            let others = u32::from(online[0] > 1) + online[1];
            assert!(others <= 1, "alice is online {others} times after {breaks:?} at {moment_ms} ms");
            for client in ["alice", "alice2", "carol"] {
                // Some are closed already.
                let _ = play.world.begin(client, &Operation::Close);
            }
            is_empty(&mut play, &["one", "two"]);
            // And everything works again.
            for (client, daemon) in [("alice", "two"), ("bob", "one"), ("carol", "two")] {
                play.login(client, daemon);
            }
        }
    }
}

/// How many connections are open: carol is at the first daemon.
fn lines_of(daemon: &str, [alice, alice2]: [bool; 2]) -> u32 {
    if daemon == "one" { 1 + u32::from(alice) } else { u32::from(alice2) }
}

#[test]
fn lease_whose_answer_was_lost_is_given_back_before_it_ends() {
    const KEY: &str = "lobbyd:presence:alice";
    let mut play = Play::new(&on_redis(), 1);
    let exists = |play: &Play| play.world.redis().unwrap().execute(&["EXISTS", KEY]) == Reply::Integer(1);
    play.connect("alice", "server");
    play.ask_login("alice");
    while !exists(&play) {
        play.advance(Duration::from_millis(1));
    }
    // The answer that the lease is taken is on its way now.
    let taken_at = play.world.now();
    play.inject(Fault::Partition { from: "redis".to_owned(), to: "server".to_owned(), one_way: true });
    play.expect("alice", "LoginResponse refused=StoreUnavailable");
    assert!(exists(&play));
    play.inject(Fault::Repair { from: "redis".to_owned(), to: "server".to_owned() });
    play.advance(Duration::from_millis(200));
    assert!(!exists(&play) && play.world.now() < taken_at + LEASE / 2);
    play.ask_login("alice");
    play.expect("alice", "LoginResponse name=alice");
}

#[test]
fn evictions_are_heard_at_once_also_after_redis_has_restarted() {
    let mut setup = two_daemons();
    setup.config.duplicate_login = DuplicateLogin::NewestWins;
    let mut play = Play::new(&setup, 1);
    play.login("alice", "one");
    play.redis(RedisFault::Crash);
    play.advance(Duration::from_millis(100));
    play.redis(RedisFault::Restart);
    play.advance(Duration::from_secs(2));
    play.login("alice2", "two");
    // Well before the next renewal would find out.
    play.expect_within("alice", "Closing reason=Superseded", Duration::from_millis(20));
    play.expect("alice", "closed");
}

#[test]
fn lost_connection_to_redis_is_made_anew() {
    let mut play = Play::new(&on_redis(), 1);
    play.login("alice", "server");
    play.world.redis().unwrap().drop_connections();
    play.connect("bob", "server");
    // The longest first pause, and a handshake.
    play.advance(Duration::from_millis(70));
    play.ask_login("bob");
    play.expect("bob", "LoginResponse name=bob");
    play.check("server", Check::Online(2));
}
