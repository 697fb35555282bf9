//! What the examples extend a server by, unchanged, on the simulator's layers: each scenario holds, on the simulated ones
//! twice in the same way, whatever the seed, and on a real daemon as far as that can do what happens in it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use lobbyd_core::extension::RegisterError;
use lobbyd_net::extension::Extensions;
use lobbyd_sim::extend::Extend;
use lobbyd_sim::layers::World;
use lobbyd_sim::layers::live::{Live, Target};
use lobbyd_sim::layers::pure::Pure;
use lobbyd_sim::layers::turmoil::Turmoil;
use lobbyd_sim::runner;
use lobbyd_sim::scenario::{Scenario, parse};

use crate::{dice, inventory, links, ready_check, stand_in};

fn extend(add: fn(&mut Extensions) -> Result<(), RegisterError>) -> Extend {
    Extend::new(move || {
        let mut extensions = Extensions::new();
        add(&mut extensions).expect("the names are good and free");
        extensions
    })
}

pub(crate) fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../server/examples")
}

#[track_caller]
fn holds(file: &str, extend: &Extend) {
    let source = fs::read_to_string(examples().join(file)).expect("the scenario is there");
    let scenario = parse(&source).unwrap_or_else(|error| panic!("{file}:{error}"));
    for seed in 1..4 {
        holds_on("pure", seed, &scenario, || {
            Box::new(Pure::with_extensions(&scenario.setup, seed, extend).expect("the setup can be built"))
        });
    }
    holds_on("turmoil", 1, &scenario, || {
        Box::new(Turmoil::with_extensions(&scenario, 1, extend).expect("the setup can be built"))
    });
}

/// The scenario on a real daemon: all of it but the steps from `skipped_from` on, the first of which cannot be done there.
#[track_caller]
fn holds_live(file: &str, extend: &Extend, skipped_from: Option<(u32, &str)>) {
    let source = fs::read_to_string(examples().join(file)).expect("the scenario is there");
    let scenario = parse(&source).unwrap_or_else(|error| panic!("{file}:{error}"));
    let target = Target::Started { program: PathBuf::from(env!("CARGO_BIN_EXE_examples-daemon")) };
    let mut world = Live::with_extensions(&scenario, &target, 1, extend).expect("the daemon starts");
    let outcome = runner::run(&scenario, &mut world);
    if let Err(violation) = &outcome.result {
        panic!("live: {violation}\n{}", outcome.trace);
    }
    let first = outcome.skipped.first().map(|skipped| (skipped.line, skipped.what.as_str()));
    assert_eq!(first, skipped_from);
    assert!(outcome.skipped.iter().skip(1).all(|skipped| skipped.what == runner::FOLLOWS), "{:?}", outcome.skipped);
}

#[track_caller]
fn holds_on(layer: &str, seed: u64, scenario: &Scenario, world: impl Fn() -> Box<dyn World>) {
    let outcome = runner::run(scenario, world().as_mut());
    if let Err(violation) = &outcome.result {
        panic!("{layer}, seed {seed}: {violation}\n{}", outcome.trace);
    }
    assert!(outcome.skipped.is_empty(), "{layer}: {:?}", outcome.skipped);
    let again = runner::run(scenario, world().as_mut());
    assert_eq!(outcome.trace.to_string(), again.trace.to_string(), "{layer}, seed {seed}, run twice");
}

#[test]
fn dice_hold_under_faults() {
    let extend = extend(dice::extend);
    holds("custom_command/dice.scenario", &extend);
    holds_live("custom_command/dice.scenario", &extend, Some((42, "the live layer cannot make a real network slow")));
}

#[test]
fn ready_check_holds_under_faults() {
    let extend = extend(ready_check::extend);
    holds("game_lobby/ready-check.scenario", &extend);
    // The half minute until the ready-check ends is a real one.
    if std::env::var_os("LOBBYD_TEST_ALL").is_some_and(|value| !value.is_empty()) {
        holds_live("game_lobby/ready-check.scenario", &extend, Some((63, "the live layer cannot part a real network")));
    }
}

#[test]
fn moderation_holds() {
    let extend = extend(links::extend);
    holds("moderation/moderation.scenario", &extend);
    holds_live("moderation/moderation.scenario", &extend, None);
}

#[test]
fn inventory_holds_with_a_service_that_is_late_broken_or_silent() {
    let service = "items".parse().expect("a good name");
    let extend = extend(inventory::extend).with_stand_in(service, stand_in::items);
    holds("inventory_service/inventory.scenario", &extend);
    holds_live(
        "inventory_service/inventory.scenario",
        &extend,
        Some((19, "the live layer cannot part a real network")),
    );
}

#[test]
fn the_guides_own_simulator_runs_the_dice() {
    let scenario = examples().join("custom_command/dice.scenario");
    for layer in ["pure", "turmoil", "live"] {
        let mut simulator = Command::new(env!("CARGO_BIN_EXE_example-dice-simulator"));
        simulator.args(["run", "--layer", layer]).arg(&scenario);
        if layer == "live" {
            simulator.args(["--daemon", env!("CARGO_BIN_EXE_example-dice-daemon")]);
        }
        let output = simulator.output().expect("the simulator can be started");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.starts_with("held"), "{layer}: {said}");
    }
}
