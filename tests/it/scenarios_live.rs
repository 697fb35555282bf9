//! The scenarios of the simulator against real daemons, each in processes of its own.
//!
//! Those that take longer than [`SHORT`], which are minutes of silence for the most part, run only with `--all`
//! (`tests/run --all`). What the live layer cannot do is compared with a list, so that nothing is skipped silently.

use std::collections::{BTreeMap, BTreeSet};
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

use crate::support::setup::PROGRAM;

/// Whatever takes longer, in simulated time, is for `--all`.
const SHORT: Duration = Duration::from_secs(10);
/// Set by `tests/run --all`.
const ALL: &str = "LOBBYD_TEST_ALL";
/// How many run at a time. They wait more than they work.
const AT_A_TIME: usize = 8;
/// What is skipped, a line for each: the scenario's name, a colon, and what cannot be done.
const SKIPPED: &str = include_str!("scenarios_live.skipped");

/// What came of the scenarios.
#[derive(Default)]
struct Results {
    violations: Vec<String>,
    skipped: BTreeMap<String, BTreeSet<String>>,
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
    for (name, reasons) in &results.skipped {
        reasons.iter().for_each(|reason| println!("skipped in {name}: {reason}"));
    }
    assert!(results.violations.is_empty(), "{}", results.violations.join("\n"));
    let ran: BTreeSet<String> = run.iter().map(|file| name(file)).collect();
    let mut listed = listed();
    let unknown: Vec<_> = listed.keys().filter(|name| !files().iter().any(|file| self::name(file) == **name)).collect();
    assert!(unknown.is_empty(), "the list names what is no scenario: {unknown:?}");
    listed.retain(|name, _| ran.contains(name));
    assert_eq!(results.skipped, listed, "what was skipped is not what tests/it/scenarios_live.skipped lists");
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

fn listed() -> BTreeMap<String, BTreeSet<String>> {
    let mut listed: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in SKIPPED.lines() {
        let (name, reason) = line.split_once(": ").expect("a line of the list has a colon");
        listed.entry(name.to_owned()).or_default().insert(reason.to_owned());
    }
    listed
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
                    if !skipped.is_empty() {
                        results.skipped.insert(name(file), skipped);
                    }
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
    let Outcome { result, skipped, trace: _ } = runner::run(scenario, &mut world);
    let reasons = skipped.into_iter().map(|Skipped { line: _, what }| what);
    let reasons = reasons.filter(|what| *what != runner::FOLLOWS).collect();
    (result.map_err(|violation: Violation| violation.to_string()), reasons)
}
