//! Same seed, same run.

use std::time::Duration;

use lobbyd_sim::layers::pure::Pure;
use lobbyd_sim::runner::run;
use lobbyd_sim::scenario::{Fault, Network, Operation, RedisFault, Scenario};
use lobbyd_sim::trace::{Trace, What};

use crate::support::*;

fn eventful() -> Scenario {
    let mut setup = shared();
    setup.network = Network { latency: (Duration::from_millis(1), Duration::from_millis(40)), chop: Some(5) };
    let both = together(vec![
        login("alice", "alice").gets("alice", "LoginResponse name=alice"),
        login("bob", "bob").gets("bob", "LoginResponse name=bob"),
    ]);
    scenario(
        setup,
        vec![
            greets("alice", "server"),
            greets("bob", "other"),
            vec![both, fault(Fault::Redis(RedisFault::Crash)), seconds(40), fault(Fault::Redis(RedisFault::Restart))],
            vec![seconds(5), fault(Fault::Drain { daemon: "other".into(), within: Duration::from_secs(10) })],
            vec![wait().gets("bob", "GoAway"), seconds(10).gets("bob", "Closing reason=Draining").closed("bob")],
            vec![does("alice", Operation::Ping { nonce: 1 }).gets("alice", "Pong")],
        ],
    )
}

fn trace(seed: u64) -> Trace {
    let scenario = eventful();
    let mut world = Pure::new(&scenario.setup, seed).expect("a good setup");
    let outcome = run(&scenario, &mut world);
    outcome.result.unwrap_or_else(|violation| panic!("seed {seed}: {violation}"));
    outcome.trace
}

#[test]
fn same_seed_gives_the_same_trace_to_the_byte() {
    for seed in 0..5 {
        let (one, other) = (trace(seed), trace(seed));
        assert_eq!(one.to_string(), other.to_string());
        assert_eq!(one.digest(), other.digest());
        assert!(one.entries().iter().any(|entry| matches!(entry.what, What::Digest { .. })), "engines are in it");
    }
}

#[test]
fn another_seed_gives_other_times() {
    let traces = [1, 2, 3].map(|seed| trace(seed).digest());
    assert_ne!(traces[0], traces[1]);
    assert_ne!(traces[1], traces[2]);
}

#[test]
fn checks_change_nothing() {
    let scenario = eventful();
    let with = trace(3);
    let mut world = Pure::with_checks(&scenario.setup, 3, false).expect("a good setup");
    assert_eq!(run(&scenario, &mut world).trace, with);
}

#[test]
fn leaving_a_client_out_changes_nothing_for_the_others() {
    let arrivals_of_alice = |names: &[&str]| {
        let mut setup = setup();
        setup.network.latency = (Duration::from_millis(1), Duration::from_millis(40));
        let steps = names.iter().map(|name| greets(name, "server")).collect();
        let outcome = holds(setup, steps);
        let of_alice = |entry: &&lobbyd_sim::trace::Entry| matches!(&entry.what, What::Arrived { client, arrival: _ } if client == "alice");
        outcome.trace.entries().iter().filter(of_alice).map(|entry| entry.at).collect::<Vec<_>>()
    };
    assert_eq!(arrivals_of_alice(&["alice", "bob"]), arrivals_of_alice(&["alice"]));
}
