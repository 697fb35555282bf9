//! Random histories of an engine, each step compared with the model; a failure shrinks and is told as a scenario.
//!
//! `LOBBYD_CASES` says how many histories (20,000 unless set), `LOBBYD_SEED` which (1 unless set).

use std::cell::RefCell;
use std::collections::HashSet;
use std::time::Instant;
use std::{env, panic};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};

use crate::marks::{Mark, required};
use crate::operation::{Operation, operation};
use crate::rules::{NARROW, Rules};
use crate::story::to_scenario;
use crate::trial::{Broken, Trial};

/// The most operations of a case.
const OPERATIONS_MAX: usize = 32;

fn setting(name: &str, otherwise: u64) -> u64 {
    env::var(name).map_or(otherwise, |value| value.parse().unwrap_or_else(|_| panic!("{name} is no number: {value}")))
}

pub(crate) fn rules() -> impl Strategy<Value = Rules> {
    // Where everything is narrow, little can happen.
    let narrow = (any::<u32>(), any::<u32>(), 0..3_u8);
    (narrow, 0..3_u8).prop_map(|((some, few, much), duplicate_login)| {
        let narrow = match much {
            0 => 0,
            1 => some & few,
            _ => some,
        };
        Rules { narrow: narrow & ((1 << NARROW) - 1), duplicate_login }
    })
}

fn run(rules: Rules, operations: &[Operation]) -> Result<HashSet<Mark>, Broken> {
    let mut trial = Trial::new(rules);
    operations.iter().try_for_each(|operation| trial.run(*operation))?;
    trial.end_of_case()?;
    Ok(trial.marks().clone())
}

/// A search of so many cases, the same with every run.
pub(crate) fn runner(cases: u32, seed: u64) -> TestRunner {
    let config = Config {
        cases,
        // Saved seeds go stale when strategies change; what is found is kept as a scenario or a test.
        failure_persistence: None,
        max_shrink_iters: 20_000,
        ..Config::default()
    };
    // Not the usual algorithm: each part of each case gets a generator of its own, and this one is soon made.
    let mut bytes = [1; 16];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::XorShift, &bytes))
}

/// How many searches there are at most until every hard case was reached. One does mostly; seldom a second is needed.
const SEARCHES_MAX: u64 = 10;

#[test]
fn engine_does_what_the_model_says() {
    let cases = setting("LOBBYD_CASES", 20_000) as u32;
    let first = setting("LOBBYD_SEED", 1);
    let reached = RefCell::new(HashSet::new());
    for seed in (0..SEARCHES_MAX).map(|search| first.wrapping_add(search)) {
        search(cases, seed, &reached);
        if missing(&reached).is_empty() {
            return;
        }
    }
    panic!("no case of {SEARCHES_MAX} times {cases} has reached {:?}", missing(&reached));
}

fn missing(reached: &RefCell<HashSet<Mark>>) -> Vec<Mark> {
    required().into_iter().filter(|mark| !reached.borrow().contains(mark)).collect()
}

fn search(cases: u32, seed: u64, reached: &RefCell<HashSet<Mark>>) {
    let mut runner = runner(cases, seed);
    // A panic of the engine is caught, told once at the end, and not at each of the attempts to shrink it.
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| {}));
    let started_at = Instant::now();
    let outcome = runner.run(&(rules(), vec(operation(), 1..=OPERATIONS_MAX)), |(rules, operations)| {
        let marks = run(rules, &operations).map_err(TestCaseError::fail)?;
        reached.borrow_mut().extend(marks);
        Ok(())
    });
    let seconds = started_at.elapsed().as_secs_f64();
    panic::set_hook(hook);
    match outcome {
        Ok(()) => println!("{cases} cases in {seconds:.2} s, {:.0} a second", f64::from(cases) / seconds),
        Err(TestError::Fail(reason, (rules, operations))) => panic!(
            "{reason}\nwith {rules:?}\n{operations:#?}\n\n{}\nagain: LOBBYD_SEED={seed} LOBBYD_CASES={cases} cargo test \
             -p lobbyd-sim --test properties",
            to_scenario("The engine does what the model says.", rules, &operations),
        ),
        Err(TestError::Abort(reason)) => panic!("the search was broken off: {reason}"),
    }
}
