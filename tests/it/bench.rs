//! `lobbyd bench` measures what is there: every scenario runs, everything that is said is received once and in order.
//! How fast is no test's business.

use std::ops::ControlFlow;
use std::process::Command;
use std::time::Duration;

use lobbyd::bench::{Figure, Measurement, Options, Report, Scenario, Target, html, run, text};
use serde_json::Value;

use crate::support::Setup;
use crate::support::setup::PROGRAM;

fn lobbyd() -> Target {
    Target::Lobbyd { name: "lobbyd".to_owned(), program: PROGRAM.into(), io_threads: None }
}

fn quick(scenario: Scenario) -> Options {
    Options {
        scenarios: vec![scenario],
        targets: vec![lobbyd()],
        duration: Duration::from_millis(500),
        clients: Some(20),
        ..Options::default()
    }
}

/// Runs it; fails if anything was lost, out of order, or failed.
#[track_caller]
fn run_fine(options: &Options) -> Report {
    let report = run(options, |_| ControlFlow::Continue(())).expect("it can be run");
    assert!(report.is_fine(), "{}", text(&report));
    report
}

/// The only measurement of the only server.
#[track_caller]
fn only(report: &Report) -> &Measurement {
    let [scenario] = &report.scenarios[..] else { panic!("one scenario") };
    &scenario.targets[0].rounds[0]
}

#[test]
fn every_delivery_of_every_chat_scenario_comes_once_and_in_order() {
    let scenarios = [
        Scenario::Saturation,
        Scenario::Saturation1,
        Scenario::Paced,
        Scenario::BigRoom,
        Scenario::Zipf,
        Scenario::SlowReaders,
        Scenario::Text1k,
        Scenario::Text8k,
    ];
    for scenario in scenarios {
        let report = run_fine(&quick(scenario));
        let Measurement { counts, figures, latency, .. } = only(&report);
        assert!(counts.deliveries > 0, "{}", text(&report));
        assert!(figures[&Figure::MicrosecondsPerDelivery] > 0.0, "{}", text(&report));
        let on_schedule = matches!(scenario, Scenario::Paced | Scenario::BigRoom | Scenario::Zipf);
        assert_eq!(!latency.is_empty(), on_schedule, "{}", text(&report));
    }
}

#[test]
fn silent_connections_have_a_size() {
    for scenario in [Scenario::Idle, Scenario::Idle15k] {
        let report = run_fine(&Options { clients: Some(400), ..quick(scenario) });
        let Measurement { counts, figures, .. } = only(&report);
        assert_eq!(counts.deliveries, 0);
        assert!(figures[&Figure::BytesPerConnection] > 0.0, "{}", text(&report));
    }
}

#[test]
fn logins_entries_and_connects_are_counted() {
    let report = run_fine(&quick(Scenario::JoinLeave));
    assert!(only(&report).counts.entries > 0, "{}", text(&report));
    // The others in the room are told.
    assert!(only(&report).counts.changes > 0, "{}", text(&report));
    let report = run_fine(&quick(Scenario::Connects));
    assert!(only(&report).counts.connects > 0, "{}", text(&report));
    let report = run_fine(&quick(Scenario::LoginToken));
    let counts = only(&report).counts;
    assert!(counts.logins > 0 && counts.deliveries > 0, "{}", text(&report));
}

#[test]
fn logins_by_password_are_counted() {
    // A hash at the default cost takes seconds in a build for tests.
    let settings = [("accounts.argon2_memory", "128KiB"), ("accounts.argon2_iterations", "1")];
    let settings = settings.map(|(key, value)| (key.to_owned(), value.to_owned())).to_vec();
    let options = Options { settings, ..quick(Scenario::LoginArgon2) };
    let report = run_fine(&options);
    assert!(only(&report).counts.logins > 0, "{}", text(&report));
}

#[test]
fn servers_are_compared_in_every_round() {
    let floor = Target::Floor { program: PROGRAM.into() };
    let options = Options { targets: vec![lobbyd(), floor, Target::Redis], rounds: 3, ..quick(Scenario::Saturation) };
    let mut steps = Vec::new();
    let report = run(&options, |progress| {
        steps.push(progress.step.clone());
        ControlFlow::Continue(())
    });
    let report = report.unwrap();
    // Each is told before and after.
    steps.dedup();
    assert_eq!(steps.len(), 9, "{steps:?}");
    // How busy the generator is depends on the machine; nothing else is to be warned of.
    let is_of_load = |warning: &String| warning.contains("the generator was busy");
    assert!(report.scenarios[0].warnings().iter().all(is_of_load), "{:?}", report.scenarios[0].warnings());
    for target in &report.scenarios[0].targets {
        assert_eq!(target.rounds.len(), 3, "{}", text(&report));
        assert!(target.rounds.iter().all(|round| round.faults.is_fine() && round.counts.deliveries > 0));
    }
    assert!(report.scenarios[0].targets[2].ratios.contains_key(&Figure::MicrosecondsPerDelivery));
    // Whoever is first in one round is last in another.
    assert!(steps[0].contains("against lobbyd") && steps[3].contains("against floor"), "{steps:?}");
    assert!(html(&report).contains("</svg>"));
}

#[test]
fn servers_that_are_asked_in_turns_are_measured_at_the_same_time() {
    let floor = Target::Floor { program: PROGRAM.into() };
    let options = Options {
        scenarios: vec![Scenario::Saturation, Scenario::Paced],
        targets: vec![lobbyd(), floor],
        turn: Some(Duration::from_millis(30)),
        ..quick(Scenario::Saturation)
    };
    let mut steps = Vec::new();
    let report = run(&options, |progress| {
        steps.push(progress.step.clone());
        ControlFlow::Continue(())
    });
    let report = report.unwrap();
    steps.dedup();
    assert_eq!(steps.len(), 2, "{steps:?}");
    let [saturation, paced] = &report.scenarios[..] else { panic!("two scenarios") };
    for target in &saturation.targets {
        let [Measurement { seconds, counts, faults, figures, .. }] = &target.rounds[..] else { panic!("one round") };
        assert!(faults.is_fine() && counts.deliveries > 0, "{}", text(&report));
        assert!(figures[&Figure::MicrosecondsPerDelivery] > 0.0, "{}", text(&report));
        // In 17 turns, which are together as long as was asked.
        assert!(*seconds > 0.49, "{seconds}");
        // What is under way at the end of a turn takes the time of another server.
        assert!(!figures.contains_key(&Figure::DeliveriesPerSecond), "{}", text(&report));
    }
    assert!(saturation.targets[1].ratios.contains_key(&Figure::MicrosecondsPerDelivery));
    for target in &paced.targets {
        assert!(target.rounds.is_empty() && target.failures[0].contains("on a schedule"), "{:?}", target.failures);
    }
    assert!(text(&report).contains("all at once in turns of 30 ms"), "{}", text(&report));
}

#[test]
fn a_bench_that_is_ended_keeps_what_it_has_measured() {
    let options = Options { rounds: 3, ..quick(Scenario::Paced) };
    let report = run(&options, |progress| match progress.done {
        0 | 1 => ControlFlow::Continue(()),
        _ => ControlFlow::Break(()),
    });
    assert_eq!(report.unwrap().scenarios[0].targets[0].rounds.len(), 1);
}

#[test]
fn a_server_that_runs_already_can_be_driven() {
    let names: Vec<String> = (0..4).map(|number| format!("driven{number}")).collect();
    let mut setup = Setup::new().set("limits.logins_pending_max", "100");
    for name in &names {
        setup.user(&["add", name], "one secret");
    }
    setup = setup.set("lobby.open_rooms_max", "10");
    let daemon = setup.start();
    let options = Options {
        targets: vec![Target::Address(daemon.address)],
        clients: Some(4),
        users: "driven{}".to_owned(),
        secret: "one secret".to_owned(),
        ..quick(Scenario::Paced)
    };
    let report = run_fine(&options);
    assert!(only(&report).counts.deliveries > 0);
    // What it costs is not known, and so not shown.
    assert!(!only(&report).figures.contains_key(&Figure::MicrosecondsPerDelivery));

    let wrong = Options { secret: "another".to_owned(), ..options };
    let report = run(&wrong, |_| ControlFlow::Continue(())).unwrap();
    assert!(!report.is_fine());
    let warnings = report.scenarios[0].warnings().join("");
    assert!(warnings.contains("a login is refused"), "{warnings}");
}

#[test]
fn the_command_prints_json_and_says_what_is_missing() {
    let bench = |arguments: &[&str]| Command::new(PROGRAM).arg("bench").args(arguments).output().unwrap();
    let output = bench(&["paced", "--clients", "4", "--seconds", "0.2", "--format", "json"]);
    assert!(output.status.success(), "{output:?}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["scenarios"][0]["name"], "paced");
    assert!(report["scenarios"][0]["targets"][0]["rounds"][0]["counts"]["deliveries"].as_u64() > Some(0), "{report}");

    let missing = Command::new(PROGRAM)
        .args(["bench", "paced", "--clients", "4", "--seconds", "0.2", "--against", "/nowhere/lobbyd"])
        .output()
        .unwrap();
    // The first server is judged, and it was fine; of the other the report says what failed.
    assert!(missing.status.success(), "{missing:?}");
    let said = String::from_utf8_lossy(&missing.stdout).into_owned();
    assert!(said.contains("! other lobbyd: /nowhere/lobbyd cannot be started"), "{said}");

    let unknown = bench(&["nonsense"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("saturation"), "{unknown:?}");
}
