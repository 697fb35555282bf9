//! The scenarios of the simulator against real daemons, each in processes of its own.
//!
//! Those that take longer than [`SHORT`], which are minutes of silence for the most part, run only with `--all`
//! (`tests/run --all`). What the live layer cannot do is compared with a list, so that nothing is skipped silently.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use lobbyd_sim::layers::live::{Live, StartError, Target};
use lobbyd_sim::layers::pure::Pure;
use lobbyd_sim::layers::{CannotDo, World};
use lobbyd_sim::runner::{self, Outcome, Skipped, Violation};
use lobbyd_sim::scenario::{Scenario, parse};

use crate::support::Setup;
use crate::support::setup::PROGRAM;

/// Whatever takes longer, in simulated time, is for `--all`.
const SHORT: Duration = Duration::from_secs(10);
/// Set by `tests/run --all`.
const ALL: &str = "LOBBYD_TEST_ALL";
/// How many run at a time. They wait more than they work.
const AT_A_TIME: usize = 8;
/// What is skipped, a line for each: the scenario's name, a colon, and what cannot be done.
const SKIPPED: &str = include_str!("scenarios_live.skipped");
/// Where that list is.
const LIST: &str = "tests/it/scenarios_live.skipped";

/// What came of the scenarios.
#[derive(Default)]
struct Results {
    violations: Vec<String>,
    /// Lines as in [`SKIPPED`].
    skipped: BTreeSet<String>,
}

#[test]
fn every_scenario_holds_on_real_daemons() {
    let runs_all = std::env::var_os(ALL).is_some_and(|value| !value.is_empty());
    let (run, left): (Vec<_>, Vec<_>) = files().into_iter().partition(|file| runs_all || is_short(&read(file)));
    assert!(run.len() > 60, "only {} scenarios are short", run.len());
    for file in &left {
        println!("left for --all: {}", name(file));
    }
    let results = run_at_a_time(&run);
    results.skipped.iter().for_each(|line| println!("skipped in {line}"));
    assert!(results.violations.is_empty(), "{}", results.violations.join("\n"));

    let all: BTreeSet<String> = files().iter().map(|file| name(file)).collect();
    let ran: BTreeSet<String> = run.iter().map(|file| name(file)).collect();
    let scenario = |line: &str| line.split_once(": ").map_or(line, |(name, _)| name).to_owned();
    let unknown: Vec<&str> = SKIPPED.lines().filter(|line| !all.contains(&scenario(line))).collect();
    assert!(unknown.is_empty(), "{LIST} names what is no scenario: {unknown:#?}");
    let listed: BTreeSet<String> =
        SKIPPED.lines().filter(|line| ran.contains(&scenario(line))).map(str::to_owned).collect();
    let more: Vec<_> = results.skipped.difference(&listed).collect();
    let less: Vec<_> = listed.difference(&results.skipped).collect();
    assert!(more.is_empty() && less.is_empty(), "skipped, and not in {LIST}: {more:#?}\nnot skipped: {less:#?}");
}

/// What somebody writes who tests a server that runs already.
const ON_A_RUNNING_SERVER: &str = r#"# Who is alone in a room hears nobody.
room 1 "General" capacity 100
account alice "the secret of alice"

alice arrives
alice enter 1
  -> RoomUserListNotify users=[alice] sequence=1
  -> RoomEnterResponse room=1
alice chat 1 "hello"
  -> RoomChatResponse sequence=2
check server online 1
crash server
  alice -> closed
wait
"#;

#[test]
fn server_that_runs_already_is_tested_by_its_address() {
    let daemon = Setup::new().users(&["alice"]).start();
    // As people write it: one of the addresses of this name is nobody's.
    let target = Target::Running { addresses: vec![format!("localhost:{}", daemon.address.port())] };
    let scenario = parse(ON_A_RUNNING_SERVER).expect("a scenario");
    let mut world = Live::for_scenario(&scenario, &target, 1).expect("nothing has to be started");
    let Outcome { result, skipped, .. } = runner::run(&scenario, &mut world);
    assert_eq!(result, Ok(()));
    let skipped: Vec<_> = skipped.into_iter().map(|skipped| (skipped.line, skipped.what)).collect();
    let cannot = |what: &str| format!("the live layer cannot {what} a server that it has not started");
    assert_eq!(skipped, [(11, cannot("look into")), (12, cannot("kill")), (14, runner::FOLLOWS.to_owned())]);
}

#[test]
fn server_that_behaves_otherwise_is_found_out() {
    // Alice has no account there.
    let daemon = Setup::new().start();
    let target = Target::Running { addresses: vec![daemon.address.to_string()] };
    let scenario = parse("# .\naccount alice wonder\nalice arrives\n").expect("a scenario");
    let mut world = Live::for_scenario(&scenario, &target, 1).expect("nothing has to be started");
    let violation = runner::run(&scenario, &mut world).result.expect_err("the login is denied");
    assert!(violation.expected.starts_with("LoginResponse name=alice"), "{violation}");
    assert!(violation.arrived.contains("refused=LoginDenied"), "{violation}");
}

#[test]
fn what_comes_where_nothing_may_come_is_found_out() {
    let daemon = Setup::new().users(&["alice", "bob"]).start();
    let target = Target::Running { addresses: vec![daemon.address.to_string()] };
    let lines = [
        "# .",
        "account alice \"the secret of alice\"",
        "account bob \"the secret of bob\"",
        "alice arrives",
        "bob arrives",
        "alice tell bob \"psst\"",
        "wait",
        "  bob -> nothing",
    ];
    let scenario = parse(&lines.join("\n")).expect("a scenario");
    let mut world = Live::for_scenario(&scenario, &target, 1).expect("nothing has to be started");
    let violation = runner::run(&scenario, &mut world).result.expect_err("bob hears it");
    assert_eq!((violation.line, violation.expected.as_str()), (7, "nothing more at bob"), "{violation}");
}

#[test]
fn what_does_not_start_is_told_with_its_last_words() {
    let scenario = parse("# .\nalice connect -> Welcome\n").expect("a scenario");
    let start = |program: &str| {
        let target = Target::Started { program: PathBuf::from(program) };
        Live::for_scenario(&scenario, &target, 1).map(|_| ()).expect_err("there is no daemon").to_string()
    };
    // Any program that takes no such command.
    let told = start("/bin/sh");
    assert!(told.starts_with("the daemon server does not start; it says:\n  ") && told.contains("serve"), "{told}");
    let missing = start("/nowhere/lobbyd");
    assert!(
        missing.starts_with("there is no daemon at /nowhere/lobbyd: `cargo build -p lobbyd` builds one"),
        "{missing}"
    );

    let target = Target::Running { addresses: Vec::new() };
    let refused = Live::for_scenario(&scenario, &target, 1).map(|_| ()).expect_err("there is no address");
    assert_eq!(refused.to_string(), "the scenario has the daemons server, so it needs 1 addresses, and 0 are given");
}

/// The scenario files, in the order of their names.
fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sim/scenarios");
    let entries = fs::read_dir(&folder).expect("the scenarios are there");
    let mut files: Vec<_> = entries.map(|entry| entry.expect("a file").path()).collect();
    files.sort();
    files
}

fn name(file: &Path) -> String {
    file.file_stem().expect("a file has a name").to_string_lossy().into_owned()
}

fn read(file: &Path) -> Scenario {
    let source = fs::read_to_string(file).expect("readable text");
    parse(&source).unwrap_or_else(|error| panic!("{}:{error}", file.display()))
}

/// Whether it takes no longer than [`SHORT`] where time is simulated.
fn is_short(scenario: &Scenario) -> bool {
    let mut world = Pure::new(&scenario.setup, 1).expect("the setup can be built");
    let outcome = runner::run(scenario, &mut world);
    assert_eq!(outcome.result, Ok(()), "it holds on the pure layer");
    world.now() <= SHORT
}

fn run_at_a_time(files: &[PathBuf]) -> Results {
    let (waiting, results) = (Mutex::new(files.iter()), Mutex::new(Results::default()));
    thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                loop {
                    let next = waiting.lock().expect("nobody panics with the lock").next();
                    let Some(file) = next else { return };
                    let (outcome, skipped) = run(&read(file));
                    let mut results = results.lock().expect("nobody panics with the lock");
                    if let Err(what) = outcome {
                        let again = format!("cargo run -p lobbyd-sim -- run sim/scenarios/{}.scenario", name(file));
                        results.violations.push(format!("{}: {what}\n  {again} --layer live", name(file)));
                    }
                    results.skipped.extend(skipped.iter().map(|reason| format!("{}: {reason}", name(file))));
                }
            });
        }
    });
    results.into_inner().expect("nobody panics with the lock")
}

/// Whether it holds, and what was skipped. What is skipped only because it comes after such a step is not named.
fn run(scenario: &Scenario) -> (Result<(), String>, BTreeSet<String>) {
    let target = Target::Started { program: PathBuf::from(PROGRAM) };
    let mut world = match Live::for_scenario(scenario, &target, 1) {
        Ok(world) => world,
        Err(StartError::CannotDo(cannot @ CannotDo::Layer { .. })) => {
            return (Ok(()), BTreeSet::from([cannot.to_string()]));
        }
        Err(error) => return (Err(error.to_string()), BTreeSet::new()),
    };
    let Outcome { result, skipped, .. } = runner::run(scenario, &mut world);
    let reasons = skipped.into_iter().map(|Skipped { line: _, what }| what);
    let reasons = reasons.filter(|what| *what != runner::FOLLOWS).collect();
    (result.map_err(|violation: Violation| violation.to_string()), reasons)
}
