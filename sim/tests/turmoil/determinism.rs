//! The same seed gives the same course, to the millisecond.

use std::time::Duration;

use lobbyd_sim::layers::{LEASE, World};
use lobbyd_sim::scenario::{Fault, Network, RedisFault, Setup};

use crate::main_job::main_job;
use crate::play::{INTERVAL, Play, on_redis, setup};

/// A course in which everything random takes part: latency, pieces, jitter of reconnects, the engines' own.
fn course(seed: u64) -> Vec<(Duration, String, String)> {
    let latency = (Duration::from_millis(1), Duration::from_millis(40));
    let network = Network { latency, chop: Some(20) };
    let daemons = vec!["one".to_owned(), "two".to_owned()];
    let mut play = Play::apart(Setup { network, daemons, ..on_redis() }, seed, &["alice"]);
    play.login("alice", "one");
    play.enter("alice");
    play.login("bob", "one");
    play.enter("bob");
    play.expect("alice", "RoomNewUserNotify");
    play.redis(RedisFault::Crash);
    play.connect("carol", "two");
    play.ask_login("carol");
    play.expect("carol", "LoginResponse refused=StoreUnavailable");
    play.redis(RedisFault::Restart);
    play.advance(Duration::from_secs(5));
    play.ask_login("carol");
    play.expect("carol", "LoginResponse name=carol");
    play.inject(Fault::Hold { from: "alice".to_owned(), to: "one".to_owned() });
    play.chat("bob", "hello");
    play.expect("bob", "RoomChatResponse");
    play.inject(Fault::Release { from: "alice".to_owned(), to: "one".to_owned() });
    play.expect("alice", "RoomChatNotify");
    play.inject(Fault::Crash { daemon: "one".to_owned() });
    play.expect("alice", "closed");
    play.expect("bob", "closed");
    play.inject(Fault::Restart { daemon: "one".to_owned() });
    play.advance(LEASE + Duration::from_secs(1));
    play.login("bob", "one");
    // Whatever else has come, such as pings.
    for client in ["alice", "bob", "carol"] {
        play.next(client, Duration::from_secs(1));
    }
    play.log
}

#[test]
fn same_seed_gives_the_same_arrivals_at_the_same_times() {
    let first = course(7);
    assert_eq!(course(7), first);
    assert_ne!(course(8), first, "the seed means nothing");
}

#[test]
fn same_seed_gives_the_same_course_on_every_store() {
    for setup in [setup(), on_redis()] {
        assert_eq!(main_job(&setup, 3).log, main_job(&setup, 3).log);
    }
}

#[test]
fn quiet_world_stays_quiet_until_somebody_does_something() {
    let mut play = Play::new(&setup(), 1);
    play.login("alice", "server");
    play.nothing_more(&["alice"]);
    // Half of what a heartbeat takes.
    play.advance(INTERVAL / 2);
    assert!(play.world.is_quiet());
    play.ask_login("alice");
    assert!(!play.world.is_quiet());
    play.expect("alice", "LoginResponse refused=AlreadyLoggedIn");
    play.nothing_more(&["alice"]);
}
