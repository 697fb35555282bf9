//! What is left when it is known what is needed.

use std::time::Duration;

use super::*;
use crate::scenario::{Expected, Fault, Operation, parse};

fn read(source: &str) -> Scenario {
    parse(source).unwrap_or_else(|error| panic!("{error}\n{source}"))
}

/// What is left of a scenario that fails as long as `fails` says so, as text without its title. Every candidate is one
/// that can be read.
fn left(source: &str, fails: impl Fn(&Scenario) -> bool) -> String {
    let whole = read(source);
    assert!(fails(&whole), "it fails to begin with");
    let mut fails = |candidate: &Scenario| {
        read(&print(candidate));
        fails(candidate)
    };
    let smallest = shrink(&whole, &mut fails, &mut |_| {});
    assert!(fails(&smallest), "what is left still fails");
    let left = print(&smallest);
    let lines: Vec<_> = left.lines().filter(|line| !line.starts_with('#')).collect();
    lines.join("\n").trim_start().to_owned()
}

fn parts_of(step: &Step) -> &[Step] {
    if let Event::Together(parts) = &step.event { parts } else { &[] }
}

fn has(scenario: &Scenario, is_it: impl Fn(&Event) -> bool) -> bool {
    let within = |step: &Step| is_it(&step.event) || parts_of(step).iter().any(|part| is_it(&part.event));
    scenario.steps.iter().any(within)
}

fn does(client: &str, is_it: impl Fn(&Operation) -> bool) -> impl Fn(&Event) -> bool {
    move |event| matches!(event, Event::Client { client: who, operation } if who == client && is_it(operation))
}

fn chats(text: &'static [u8]) -> impl Fn(&Operation) -> bool {
    move |operation| matches!(operation, Operation::RoomChat { text: said, .. } if said.starts_with(text))
}

const TOWN: &str = r#"# A town.
set heartbeat_interval 10s
set users_max 50
room 1 "Plaza" capacity 10
room 2 "Cellar" capacity 10 password sesame
account alice wonder
account bob builder nickname "Bob the Builder" administrator
account carol singer
daemons a b c
network latency 1ms..40ms chop 7

alice arrives at a
bob arrives at b
carol arrives at c
alice enter 1
  -> RoomUserListNotify users=[alice] sequence=1
  -> RoomEnterResponse room=1
partition a redis-client
hold b carol
alice chat 1 "needed, and a good deal longer than that" -> RoomChatResponse room=1
repeat 20
  carol ping 1 -> Pong nonce=1
together within 10s
  alice chat 1 "one"
    -> RoomChatResponse room=1
  bob tell alice "two"
    -> any of DirectMessageResponse ok=true | DirectMessageResponse refused=UserUnknown
  crash c
  alice -> DirectMessageNotify name=bob
release b carol
restart c
redis-client connect to a
advance 97300ms
check b sessions 1 within 20s
bob kick 1 alice ban
"#;

#[test]
fn one_needed_step_is_left_with_what_it_refers_to() {
    assert_eq!(left(TOWN, |scenario| has(scenario, does("alice", chats(b"n")))), "alice connect\nalice chat 1 \"n\"");
}

#[test]
fn nothing_is_left_where_nothing_is_needed() {
    assert_eq!(left(TOWN, |_| true), "");
}

#[test]
fn values_come_down_to_their_limits() {
    let advances = |scenario: &Scenario| {
        has(scenario, |event| matches!(event, Event::Advance(time) if *time >= Duration::from_secs(31)))
    };
    assert_eq!(left(TOWN, advances), "advance 31s");
}

#[test]
fn pause_in_many_steps_becomes_one() {
    let pauses = "advance 400ms\nadvance 350ms\nadvance 50ms\nadvance 200ms\n";
    let source = format!("# A long wait.\n{pauses}alice connect\n{pauses}");
    let waited = |scenario: &Scenario| {
        let time = |step: &Step| if let Event::Advance(by) = step.event { by } else { Duration::ZERO };
        scenario.steps.iter().map(time).sum::<Duration>()
    };
    let left = left(&source, |scenario| waited(scenario) >= Duration::from_millis(1900));
    assert!(left.lines().count() == 1 && left.starts_with("advance "), "{left}");
}

#[test]
fn part_of_what_happens_together_becomes_a_step_of_its_own() {
    let tells = |operation: &Operation| matches!(operation, Operation::DirectMessage { .. });
    let left = left(TOWN, |scenario| has(scenario, does("bob", tells)));
    assert_eq!(left, "bob connect\nbob tell alice \"x\"");
}

#[test]
fn what_has_to_happen_at_once_stays_together() {
    let at_once = |scenario: &Scenario| {
        scenario
            .steps
            .iter()
            .map(parts_of)
            .any(|parts| parts.iter().any(|part| does("alice", chats(b"o"))(&part.event)) && parts.len() > 1)
    };
    let left = left(TOWN, at_once);
    let steps: Vec<_> = left.lines().skip_while(|line| *line != "together").collect();
    assert_eq!(steps.len(), 3, "{left}");
    assert!(left.contains("\n  alice chat 1 \"o\""), "{left}");
}

#[test]
fn fault_and_what_heals_it_go_together() {
    // Neither a crash without a restart nor a restart without a crash fails.
    let is_balanced = |scenario: &Scenario| {
        has(scenario, |event| matches!(event, Event::Fault(Fault::Crash { .. })))
            == has(scenario, |event| matches!(event, Event::Fault(Fault::Restart { .. })))
            && has(scenario, |event| matches!(event, Event::Client { .. }))
    };
    let left = left(TOWN, is_balanced);
    assert!(!left.contains("crash") && !left.contains("restart"), "{left}");
}

#[test]
fn steps_of_a_client_that_need_one_another_go_together() {
    let source = "daemons a\nalice connect\nbob connect\nalice enter 1\nbob ping 1\nalice ping 1\nbob ping 2\nalice leave 1\nbob ping 3\nalice logout\n";
    // Whoever enters has to leave, with a ping in between: the two lie apart.
    let is_orderly = |scenario: &Scenario| {
        let enters = has(scenario, does("alice", |operation| matches!(operation, Operation::RoomEnter { .. })));
        let leaves = has(scenario, does("alice", |operation| matches!(operation, Operation::RoomLeave { .. })));
        let pings = has(scenario, does("alice", |operation| matches!(operation, Operation::Ping { .. })));
        let logs_out = has(scenario, does("alice", |operation| matches!(operation, Operation::Logout)));
        enters == leaves && pings && logs_out
    };
    assert_eq!(left(source, is_orderly), "alice connect\nalice ping 0\nalice logout");
}

#[test]
fn fields_and_expectations_that_are_not_needed_go() {
    let expects = |scenario: &Scenario| {
        let is_it = |what: &Expected| {
            matches!(what, Expected::Packet(pattern) if pattern.packet == "RoomUserListNotify"
                && pattern.fields.iter().any(|(field, _)| field == "users"))
        };
        scenario.steps.iter().any(|step| step.expects.iter().any(|expectation| is_it(&expectation.what)))
    };
    assert_eq!(left(TOWN, expects), "alice connect\nalice enter 1 -> RoomUserListNotify users=[alice]");
}

#[test]
fn needed_setup_stays() {
    let needs = |scenario: &Scenario| {
        let setup = &scenario.setup;
        setup.config.users_max == 50
            && setup.network.chop.is_some()
            && setup.accounts.iter().any(|account| account.administrator)
            && setup.room_passwords.len() == 1
    };
    let expected = "set users_max 50\nroom 2 \"Cellar\" capacity 1 password sesame\n\
                    account bob builder administrator\nnetwork chop 7";
    assert_eq!(left(TOWN, needs), expected);
}

#[test]
fn two_needed_daemons_stay_and_their_clients_with_them() {
    let on_two = |scenario: &Scenario| {
        let to = |daemon: &str| {
            has(
                scenario,
                |event| matches!(event, Event::Client { operation: Operation::Connect { daemon: to }, .. } if to == daemon),
            )
        };
        ["a", "b", "c"].into_iter().filter(|daemon| to(daemon)).count() >= 2
    };
    let left = left(TOWN, on_two);
    assert_eq!(left.lines().count(), 4, "{left}");
    assert!(left.starts_with("daemons "), "{left}");
}

#[test]
fn same_scenario_shrinks_alike_within_its_attempts_and_says_how_far_it_is() {
    let run = |attempts_max| {
        let (mut asked, mut said) = (0, Vec::new());
        let mut fails = |candidate: &Scenario| {
            asked += 1;
            has(candidate, does("alice", chats(b"n")))
        };
        let smallest = shrink_within(attempts_max, &read(TOWN), &mut fails, &mut |progress| said.push(progress));
        (print(&smallest), asked, said)
    };
    assert_eq!(run(ATTEMPTS_MAX), run(ATTEMPTS_MAX));
    let (_, asked, said) = run(ATTEMPTS_MAX);
    assert!(asked < 100, "{asked} attempts");
    assert!(said.iter().map(|progress| progress.attempts).is_sorted());
    assert_eq!(said.last().map(|progress| progress.size), Some(Size { lines: 2, steps: 2, clients: 1 }));
    for attempts_max in [0, 1, 10] {
        assert_eq!(run(attempts_max).1, attempts_max);
    }
    assert_eq!(run(0).0, print(&read(TOWN)));
}
