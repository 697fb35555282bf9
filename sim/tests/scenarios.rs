//! Every scenario file is a scenario, begins with the sentence that it holds, is one of its own, and holds: all of it, on
//! every layer, and twice in the same way. The seeds follow from `LOBBYD_SEED`, another for every commit.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use lobbyd_sim::extend::Extend;
use lobbyd_sim::layers::World;
use lobbyd_sim::layers::pure::Pure;
use lobbyd_sim::layers::turmoil::Turmoil;
use lobbyd_sim::runner;
use lobbyd_sim::scenario::{Scenario, parse, print};
use lobbyd_sim::seed;

/// The scenario files, in the order of their names.
fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let entries = fs::read_dir(&folder).expect("the scenarios are there");
    let mut files: Vec<_> = entries.map(|entry| entry.expect("a file").path()).collect();
    files.sort();
    files
}

fn read(file: &Path) -> Scenario {
    let source = fs::read_to_string(file).expect("readable text");
    parse(&source).unwrap_or_else(|error| panic!("{}:{error}", file.display()))
}

/// Runs a file twice and says what did not hold, was left out, or differed, with the command that shows it again.
fn complaint(file: &Path, layer: &str, seed: u64, world: impl Fn(&Scenario) -> Box<dyn World>) -> Option<String> {
    let scenario = read(file);
    let outcome = runner::run(&scenario, world(&scenario).as_mut());
    let again = runner::run(&scenario, world(&scenario).as_mut());
    let what = match &outcome.result {
        Err(violation) => violation.to_string(),
        Ok(()) if !outcome.skipped.is_empty() => format!("not all of it was done: {:?}", outcome.skipped),
        Ok(()) => {
            let (one, other) = (outcome.trace.to_string(), again.trace.to_string());
            let differing = one.lines().zip(other.lines()).find(|(one, other)| one != other);
            let is_same = one == other && outcome.trace.digest() == again.trace.digest();
            if is_same {
                return None;
            }
            format!("run twice, it differs: {differing:?}")
        }
    };
    let name = file.file_name().expect("a name").to_string_lossy();
    let again = format!("cargo run -p lobbyd-sim -- run sim/scenarios/{name} --layer {layer} --seed {seed}");
    Some(format!("{name}: {what}\n  {again}"))
}

#[test]
fn every_scenario_holds_on_the_pure_layer() {
    let root = seed::from_environment();
    let mut complaints = Vec::new();
    for file in files() {
        for seed in (0..5).map(|nth| root.wrapping_add(nth)) {
            complaints.extend(complaint(&file, "pure", seed, |scenario| {
                Box::new(Pure::new(&scenario.setup, seed).expect("the setup can be built"))
            }));
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn every_scenario_holds_with_the_model_in_the_place_of_the_engine() {
    let seed = seed::from_environment();
    let mut complaints = Vec::new();
    for file in files() {
        complaints.extend(complaint(&file, "reference", seed, |scenario| {
            let reference = Pure::reference(&scenario.setup, seed, &Extend::default());
            Box::new(reference.expect("the setup can be built"))
        }));
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

/// One of four parts of the files, so that a machine's cores share them.
fn holds_on_the_turmoil_layer(part: usize) {
    let seed = seed::from_environment();
    let mut complaints = Vec::new();
    for file in files().iter().skip(part).step_by(4) {
        complaints.extend(complaint(file, "turmoil", seed, |scenario| {
            Box::new(Turmoil::for_scenario(scenario, seed).expect("the setup can be built"))
        }));
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn every_scenario_holds_on_the_turmoil_layer_part_one() {
    holds_on_the_turmoil_layer(0);
}

#[test]
fn every_scenario_holds_on_the_turmoil_layer_part_two() {
    holds_on_the_turmoil_layer(1);
}

#[test]
fn every_scenario_holds_on_the_turmoil_layer_part_three() {
    holds_on_the_turmoil_layer(2);
}

#[test]
fn every_scenario_holds_on_the_turmoil_layer_part_four() {
    holds_on_the_turmoil_layer(3);
}

/// The same with the clients of each daemon spread over three I/O threads.
fn holds_with_three_io_threads(part: usize) {
    let seed = seed::from_environment();
    let mut complaints = Vec::new();
    for file in files().iter().skip(part).step_by(2) {
        complaints.extend(complaint(file, "turmoil, with `io_threads 3`", seed, |scenario| {
            let mut scenario = scenario.clone();
            scenario.setup.io_threads = 3;
            Box::new(Turmoil::for_scenario(&scenario, seed).expect("the setup can be built"))
        }));
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn every_scenario_holds_with_three_io_threads_part_one() {
    holds_with_three_io_threads(0);
}

#[test]
fn every_scenario_holds_with_three_io_threads_part_two() {
    holds_with_three_io_threads(1);
}

#[test]
fn every_scenario_file_is_read_and_begins_with_its_sentence() {
    let mut titles = BTreeSet::new();
    for path in files() {
        let file = path.file_name().expect("a name").to_string_lossy().into_owned();
        assert!(file.ends_with(".scenario"), "{file} is not called a scenario");
        let scenario = read(&path);
        assert!(scenario.title.ends_with('.'), "{file} begins with no sentence: {:?}", scenario.title);
        assert!(!scenario.steps.is_empty(), "{file} does nothing");
        assert!(titles.insert(scenario.title.clone()), "{file} says what another says: {}", scenario.title);
        let again = parse(&print(&scenario)).unwrap_or_else(|error| panic!("{file}, printed: {error}"));
        assert_eq!(print(&again), print(&scenario), "{file}");
    }
    assert!(titles.len() > 90, "only {} scenarios", titles.len());
}
