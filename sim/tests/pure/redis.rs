//! Several daemons, one Redis, and what becomes of logins and leases when it breaks.

use std::time::Duration;

use lobbyd_core::config::DuplicateLogin;
use lobbyd_sim::scenario::{Check, Fault, Operation, RedisFault, Setup, Step};

use crate::support::*;

fn partition(one: &str, other: &str) -> Step {
    fault(Fault::Partition { from: one.into(), to: other.into(), one_way: false })
}

fn repair(one: &str, other: &str) -> Step {
    fault(Fault::Repair { from: one.into(), to: other.into() })
}

fn newest_wins() -> Setup {
    let mut setup = shared();
    setup.config.duplicate_login = DuplicateLogin::NewestWins;
    setup
}

/// Time enough to try again when a lease has expired.
fn patient() -> Setup {
    let mut setup = shared();
    setup.config.login_grace = Duration::from_secs(100);
    setup
}

/// A second client, which logs in as alice at the other daemon.
fn second_alice(expected: &str) -> Vec<Step> {
    let mut steps = greets("second", "other");
    steps.push(login("second", "alice").gets("second", expected));
    steps
}

const REFUSED: &str = "LoginResponse refused=AlreadyOnline";
const ACCEPTED: &str = "LoginResponse name=alice";
const UNAVAILABLE: &str = "LoginResponse refused=StoreUnavailable";

#[test]
fn user_is_online_at_one_daemon_only_and_may_move_after_a_logout() {
    holds(
        shared(),
        vec![
            comes("alice"),
            second_alice(REFUSED),
            vec![
                does("alice", Operation::Logout).gets("alice", "LogoutResponse"),
                login("second", "alice").gets("second", ACCEPTED),
                does("second", Operation::Close),
                does("alice", Operation::Close),
            ],
            check("server", Check::Empty),
            check("other", Check::Empty),
        ],
    );
}

#[test]
fn lists_of_two_daemons_share_nothing() {
    let mut setup = shared();
    setup.store = lobbyd_sim::scenario::Store::Listed;
    holds(setup, vec![comes("alice"), second_alice(ACCEPTED)]);
}

#[test]
fn leases_are_renewed_for_as_long_as_their_users_stay() {
    holds(shared(), vec![comes("alice"), vec![seconds(300)], second_alice(REFUSED)]);
}

#[test]
fn newest_login_evicts_the_older_one_at_the_other_daemon() {
    let mut steps = second_alice(ACCEPTED);
    steps[2] = steps[2].clone().gets("alice", "Closing reason=Superseded").closed("alice");
    holds(newest_wins(), vec![comes("alice"), steps, check("server", Check::Empty), vec![seconds(60)]]);
}

#[test]
fn user_of_a_crashed_daemon_returns_when_the_lease_has_expired() {
    let crash = fault(Fault::Crash { daemon: "server".into() }).closed("alice");
    let again = vec![seconds(31), login("second", "alice").gets("second", ACCEPTED)];
    holds(patient(), vec![comes("alice"), vec![crash], second_alice(REFUSED), again]);
}

#[test]
fn daemon_that_restarts_does_not_own_its_old_leases() {
    let crash = fault(Fault::Crash { daemon: "server".into() }).closed("alice");
    let restart = fault(Fault::Restart { daemon: "server".into() });
    let rest = vec![seconds(31), login("alice", "alice").gets("alice", ACCEPTED)];
    holds(
        patient(),
        vec![
            comes("alice"),
            vec![crash, restart],
            check("server", Check::Empty),
            is_refused("alice", "server", "AlreadyOnline"),
            rest,
        ],
    );
}

#[test]
fn every_broken_redis_means_a_clear_refusal_in_time_and_a_healed_one_works() {
    let cases = [
        (RedisFault::Crash, RedisFault::Restart),
        (RedisFault::Crash, RedisFault::RestartEmpty),
        (RedisFault::Freeze, RedisFault::Thaw),
        (RedisFault::Slow(Duration::from_secs(30)), RedisFault::Heal),
        (RedisFault::Lie, RedisFault::Heal),
        (RedisFault::Garble, RedisFault::Heal),
    ];
    for (breaks, heals) in cases {
        let refused = vec![
            login("alice", "alice").gets("alice", UNAVAILABLE),
            login("alice", "alice").gets("alice", UNAVAILABLE),
            seconds(10),
        ];
        let heal = [redis(heals), vec![seconds(10), login("alice", "alice").gets("alice", ACCEPTED)]].concat();
        let rest = [second_alice(REFUSED), vec![does("alice", Operation::Close), seconds(1)]].concat();
        holds(
            shared(),
            vec![
                comes("bob"),
                greets("alice", "server"),
                redis(breaks),
                refused,
                heal,
                rest,
                vec![login("second", "alice").gets("second", ACCEPTED)],
                vec![does("bob", Operation::Ping { nonce: 1 }).gets("bob", "Pong")],
            ],
        );
    }
}

#[test]
fn slow_redis_is_waited_for_within_the_deadline() {
    let slow = redis(RedisFault::Slow(Duration::from_millis(400)));
    holds(shared(), vec![slow, comes("alice")]);
}

#[test]
fn lease_that_redis_forgot_is_taken_again_by_its_owner() {
    let forget = [redis(RedisFault::Crash), redis(RedisFault::RestartEmpty), vec![seconds(5)]].concat();
    holds(shared(), vec![comes("alice"), forget, second_alice(REFUSED)]);
}

#[test]
fn lease_survives_a_restart_with_data() {
    let restart = [redis(RedisFault::Crash), vec![seconds(1)], redis(RedisFault::Restart)].concat();
    holds(shared(), vec![comes("alice"), restart, vec![seconds(3)], second_alice(REFUSED)]);
}

#[test]
fn owner_cut_off_from_redis_loses_its_user_when_somebody_else_has_come() {
    let cut = vec![partition("server", "redis"), seconds(40).silent("alice")];
    let heal = repair("server", "redis");
    let superseded = vec![heal, seconds(10).gets("alice", "Closing reason=Superseded").closed("alice")];
    holds(
        shared(),
        vec![
            comes("alice"),
            cut,
            second_alice(ACCEPTED),
            vec![does("alice", Operation::Ping { nonce: 1 }).gets("alice", "Pong")],
            superseded,
            check("server", Check::Empty),
        ],
    );
}

#[test]
fn owner_cut_off_from_redis_keeps_its_user_when_nobody_has_come() {
    let cut = vec![partition("server", "redis"), seconds(100), repair("server", "redis"), seconds(10)];
    holds(shared(), vec![comes("alice"), cut, second_alice(REFUSED), check("server", Check::Online(1))]);
}

#[test]
fn take_that_ran_late_is_given_back() {
    // Redis takes the command, is thawed after the login was refused, and runs it then.
    let thaw = vec![seconds(5).gets("alice", UNAVAILABLE), does("alice", Operation::Close)];
    holds(
        shared(),
        vec![
            greets("alice", "server"),
            vec![fault(Fault::Latency { from: "server".into(), to: "redis".into(), latency: hundred() })],
            vec![login("alice", "alice"), millis(250), fault(Fault::Redis(RedisFault::Freeze))],
            thaw,
            redis(RedisFault::Thaw),
            vec![seconds(10)],
            second_alice(ACCEPTED),
            check("server", Check::Empty),
        ],
    );
}

fn hundred() -> (Duration, Duration) {
    (Duration::from_millis(100), Duration::from_millis(100))
}

#[test]
fn connection_does_not_outlive_a_restart_that_nobody_was_told_of() {
    let unseen = vec![
        partition("server", "redis"),
        fault(Fault::Redis(RedisFault::Crash)),
        fault(Fault::Redis(RedisFault::RestartEmpty)),
        repair("server", "redis"),
        // The link asks before the lease is to be renewed.
        millis(6_500),
    ];
    holds(shared(), vec![comes("alice"), unseen, second_alice(REFUSED)]);
}
