//! What the runner demands, and how it says what is missing.

use std::collections::VecDeque;
use std::time::Duration;

use lobbyd_sim::layers::pure::{Pure, SetupError};
use lobbyd_sim::layers::{Arrival, CannotDo, Failure, World};
use lobbyd_sim::runner::{Outcome, run};
use lobbyd_sim::scenario::{Check, Fault, Operation, Setup, Step};

use crate::support::*;

#[test]
fn missing_packet_is_told_with_what_came_before() {
    let violation = breaks(setup(), vec![comes("alice"), vec![chat("alice", "hi").gets("alice", "RoomChatNotify")]]);
    assert_eq!((violation.line, violation.step), (4, 4));
    assert_eq!(violation.expected, "RoomChatNotify at alice");
    assert_eq!(violation.arrived, "RoomChatResponse refused=NotInRoom request=2 (RoomChatNotify was expected)");
    let told = violation.to_string();
    let first =
        format!("line 4 (step 4) does not hold, at {}.{:06} s\n", violation.at.as_secs(), violation.at.subsec_micros());
    assert!(told.starts_with(&first), "{told}");
    assert!(told.contains("\n  before that:\n"), "{told}");
    assert!(told.ends_with("-> alice: RoomChatResponse refused=NotInRoom request=2"), "{told}");

    let violation = breaks(setup(), vec![comes("alice"), vec![wait().gets("alice", "Pong nonce=3")]]);
    assert_eq!(violation.expected, "Pong nonce=3 at alice");
    assert_eq!(violation.arrived, "nothing within 5s");
}

#[test]
fn long_lines_are_cut_in_their_middle() {
    let long = chat("alice", &"x".repeat(2_000)).gets("alice", "Pong");
    let violation = breaks(setup(), vec![comes("alice"), vec![long]]);
    let cut = violation.trace.iter().find(|line| line.contains("room-chat")).expect("it is in the trace");
    assert!(cut.contains("x… (") && cut.ends_with("x\"") && cut.chars().count() < 270, "{cut}");
}

#[test]
fn field_that_differs_is_named() {
    let ping = does("alice", Operation::Ping { nonce: 4 }).gets("alice", "Pong nonce=3");
    let violation = breaks(setup(), vec![greets("alice", "server"), vec![ping]]);
    assert_eq!(violation.arrived, "Pong nonce=4 (nonce is 4, expected was 3)");
}

#[test]
fn packet_that_nobody_expects_breaks_the_step_that_names_its_client() {
    let twice = together(vec![
        does("alice", Operation::Ping { nonce: 1 }).gets("alice", "Pong nonce=1"),
        does("alice", Operation::Ping { nonce: 2 }),
    ]);
    let violation = breaks(setup(), vec![greets("alice", "server"), vec![twice, wait()]]);
    assert_eq!((violation.line, violation.expected.as_str()), (3, "nothing more at alice"));
    assert_eq!(violation.arrived, "Pong nonce=2");
}

#[test]
fn packet_at_another_client_waits_for_a_later_step_but_not_beyond_the_end() {
    let talk = || chat("alice", "hi").gets("alice", "RoomChatResponse");
    let both = || vec![comes_in("alice", &[]), comes_in("bob", &["alice"])];
    holds(setup(), [both(), vec![vec![talk(), seconds(1), wait().gets("bob", "RoomChatNotify text=\"hi\"")]]].concat());
    let violation = breaks(setup(), [both(), vec![vec![talk(), seconds(1)]]].concat());
    assert_eq!((violation.step, violation.expected.as_str()), (10, "nothing more at bob"));
}

#[test]
fn nothing_means_nothing_until_it_is_quiet() {
    let both = || vec![comes_in("alice", &[]), comes_in("bob", &["alice"])];
    let leaves = || does("alice", Operation::Vanish).silent("bob");
    let steps = vec![leaves(), seconds(59).silent("bob"), seconds(3).gets("bob", "RoomLeaveUserNotify")];
    holds(setup(), [both(), vec![steps]].concat());
    let violation = breaks(setup(), [both(), vec![vec![leaves(), seconds(70).silent("bob")]]].concat());
    assert_eq!(violation.expected, "nothing more at bob");
    assert!(violation.arrived.starts_with("RoomLeaveUserNotify cause=Disconnected"), "{}", violation.arrived);
}

#[test]
fn expected_end_has_to_come() {
    let violation = breaks(setup(), vec![comes("alice"), vec![wait().closed("alice")]]);
    assert_eq!((violation.expected.as_str(), violation.arrived.as_str()), ("closed at alice", "nothing within 5s"));
    let ping = does("alice", Operation::Ping { nonce: 1 }).closed("alice");
    let violation = breaks(setup(), vec![comes("alice"), vec![ping]]);
    assert_eq!(violation.arrived, "Pong nonce=1");
}

const ONE_OF: [&str; 2] = ["LoginResponse name=alice", "LoginResponse refused=AlreadyOnline"];

fn race(expected: &[&str]) -> Vec<Vec<Step>> {
    let race = |client: &str| login(client, "alice").gets_any_of(client, expected);
    vec![greets("one", "server"), greets("two", "server"), vec![together(vec![race("one"), race("two")])]]
}

#[test]
fn any_of_one_set_takes_each_packet_once_whoever_gets_it() {
    let mut winners = std::collections::BTreeSet::new();
    for seed in 0..20 {
        let scenario = scenario(setup(), race(&ONE_OF));
        let mut world = Pure::new(&scenario.setup, seed).expect("a good setup");
        let Outcome { result, trace, .. } = run(&scenario, &mut world);
        result.unwrap_or_else(|violation| panic!("seed {seed}: {violation}"));
        winners
            .insert(trace.lines().find(|line| line.contains("LoginResponse id=")).map(|line| line[13..21].to_owned()));
    }
    assert_eq!(winners.len(), 2, "who wins depends on the seed: {winners:?}");
    let violation = breaks(setup(), race(&["LoginResponse name=alice", "LoginResponse refused=LoginDenied"]));
    let left = "any of LoginResponse refused=LoginDenied at ";
    assert!(violation.expected.starts_with(left), "the other one was taken: {}", violation.expected);
}

#[test]
fn any_of_at_one_client_lets_packets_come_in_any_order() {
    let pings = [2, 1]
        .map(|nonce| does("alice", Operation::Ping { nonce }).gets_any_of("alice", &["Pong nonce=1", "Pong nonce=2"]));
    holds(setup(), vec![greets("alice", "server"), vec![together(pings.into())]]);
}

#[test]
fn sets_with_more_takers_than_packets_are_free() {
    let pings = [1, 1, 2]
        .map(|nonce| does("alice", Operation::Ping { nonce }).gets_any_of("alice", &["Pong nonce=1", "Pong nonce=2"]));
    holds(setup(), vec![greets("alice", "server"), vec![together(pings.into())]]);
}

#[test]
fn step_that_makes_no_sense_breaks_the_run() {
    let broken = |step: Step| breaks(setup(), vec![vec![step]]).arrived;
    assert_eq!(broken(chat("alice", "hi")), "alice has no connection");
    assert_eq!(broken(connect("alice", "nowhere")), "there is no daemon \"nowhere\" in this scenario");
    assert_eq!(broken(fault(Fault::Restart { daemon: "server".into() })), "server runs already");
    let redis = fault(Fault::Redis(lobbyd_sim::scenario::RedisFault::Crash));
    assert_eq!(broken(redis), "there is no Redis in this scenario");
    let half = vec![comes("alice"), vec![together(vec![does("alice", Operation::HalfClose), chat("alice", "hi")])]];
    assert_eq!(breaks(setup(), half).arrived, "alice has ended its writing half");
}

#[test]
fn check_may_come_true_late_but_not_too_late() {
    let leaves = |then: u32| {
        let mut check = check("server", Check::Sessions(then));
        check[0].within = Duration::from_secs(61);
        [vec![does("alice", Operation::Vanish)], check].concat()
    };
    holds(setup(), vec![comes("alice"), leaves(0)]);
    let violation = breaks(setup(), vec![comes("alice"), leaves(7)]);
    assert_eq!(violation.expected, "sessions=7 at server within 61s");
    assert_eq!(violation.arrived, "sessions=0 at server");
}

#[test]
fn setup_that_cannot_be_is_refused() {
    let refused = |change: fn(&mut Setup)| {
        let mut setup = setup();
        change(&mut setup);
        Pure::new(&setup, SEED).err()
    };
    let unknown = refused(|setup| setup.room_passwords.push((lobbyd_core::id::RoomNumber(5), "open".into())));
    assert_eq!(unknown, Some(SetupError::RoomUnknown(lobbyd_core::id::RoomNumber(5))));
    let twice = refused(|setup| setup.daemons.push("server".into()));
    assert_eq!(twice, Some(SetupError::DaemonTwice("server".into())));
    assert!(matches!(refused(|setup| setup.config.sessions_max = 0), Some(SetupError::Config(_))));
}

/// A world with a weakness.
struct Weak {
    world: Pure,
    weakness: Weakness,
}

#[derive(PartialEq)]
enum Weakness {
    Faults,
    Checks,
    Fails,
    Panics,
}

fn cannot(what: &str) -> CannotDo {
    CannotDo::Layer { layer: "weak", what: what.to_owned() }
}

impl World for Weak {
    fn now(&self) -> Duration {
        self.world.now()
    }
    fn begin(&mut self, client: &str, operation: &Operation) -> Result<(), CannotDo> {
        self.world.begin(client, operation)
    }
    fn inject(&mut self, fault: &Fault) -> Result<(), CannotDo> {
        if self.weakness == Weakness::Faults { Err(cannot("break anything")) } else { self.world.inject(fault) }
    }
    fn check(&mut self, daemon: &str, check: Check) -> Result<Result<(), String>, CannotDo> {
        if self.weakness == Weakness::Checks { Err(cannot("look")) } else { self.world.check(daemon, check) }
    }
    fn step(&mut self, limit: Duration) -> Result<bool, Failure> {
        match self.weakness {
            Weakness::Fails => Err(Failure("a member is in a room twice".to_owned())),
            Weakness::Panics => panic!("a slot is {}", "taken"),
            Weakness::Faults | Weakness::Checks => self.world.step(limit),
        }
    }
    fn is_quiet(&self) -> bool {
        self.world.is_quiet()
    }
    fn arrived(&mut self, client: &str) -> &mut VecDeque<Arrival> {
        self.world.arrived(client)
    }
}

fn weak(weakness: Weakness, steps: Vec<Vec<Step>>) -> Outcome {
    let scenario = scenario(setup(), steps);
    let world = Pure::new(&scenario.setup, SEED).expect("a good setup");
    run(&scenario, &mut Weak { world, weakness })
}

#[test]
fn check_that_a_layer_cannot_do_is_skipped_alone() {
    let Outcome { result, skipped, trace, .. } =
        weak(Weakness::Checks, vec![comes("alice"), check("server", Check::Online(9)), comes("bob")]);
    assert_eq!(result, Ok(()));
    let skipped: Vec<_> = skipped.into_iter().map(|skipped| (skipped.line, skipped.what)).collect();
    assert_eq!(skipped, [(4, "the weak layer cannot look".to_owned())]);
    assert!(trace.lines().any(|line| line.contains("bob: LoginResponse")), "the rest has been done");
}

#[test]
fn after_a_fault_that_a_layer_cannot_do_the_rest_is_skipped_by_name() {
    let partition = fault(Fault::Partition { from: "alice".into(), to: "server".into(), one_way: false });
    let rest = vec![seconds(70).closed("alice"), wait()];
    let Outcome { result, skipped, trace, .. } = weak(Weakness::Faults, vec![comes("alice"), vec![partition], rest]);
    assert_eq!(result, Ok(()));
    let lines: Vec<_> = skipped.iter().map(|skipped| skipped.line).collect();
    assert_eq!(lines, [4, 5, 6]);
    assert_eq!(skipped[0].what, "the weak layer cannot break anything");
    assert_eq!(skipped[1].what, "it follows what the layer cannot do");
    assert_eq!(trace.lines().filter(|line| line.contains("skipped: ")).count(), 3);
}

#[test]
fn failure_and_panic_inside_the_world_break_the_run() {
    let violation = weak(Weakness::Fails, vec![comes("alice")]).result.expect_err("the world fails");
    assert_eq!((violation.line, violation.arrived.as_str()), (1, "a member is in a room twice"));
    let violation = weak(Weakness::Panics, vec![comes("alice")]).result.expect_err("the world panics");
    assert_eq!(violation.arrived, "a panic: a slot is taken");
}
