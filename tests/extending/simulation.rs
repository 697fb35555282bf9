//! What the examples extend a server by, unchanged, on the simulator's layers: each scenario holds, and twice in the same
//! way, whatever the seed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use lobbyd_core::extension::RegisterError;
use lobbyd_core::input::ServiceError;
use lobbyd_net::extension::Extensions;
use lobbyd_sim::extend::Extend;
use lobbyd_sim::layers::World;
use lobbyd_sim::layers::pure::Pure;
use lobbyd_sim::layers::turmoil::Turmoil;
use lobbyd_sim::runner;
use lobbyd_sim::scenario::{Scenario, parse};

use crate::inventory::{Answer, Question, Wish};
use crate::{dice, inventory, links, ready_check};

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
    holds("custom_command/dice.scenario", &extend(dice::extend));
}

#[test]
fn ready_check_holds_under_faults() {
    holds("game_lobby/ready-check.scenario", &extend(ready_check::extend));
}

#[test]
fn moderation_holds() {
    holds("moderation/moderation.scenario", &extend(links::extend));
}

#[test]
fn inventory_holds_with_a_service_that_is_late_broken_or_silent() {
    let extend = extend(inventory::extend).with_stand_in("items".parse().expect("a good name"), |request, random| {
        let Ok(Question { wish, .. }) = serde_json::from_slice(request) else {
            return (Duration::ZERO, Err(ServiceError::Failed));
        };
        let delay = Duration::from_millis(10 + random % 100);
        let mut answer: Answer = Ok([].into());
        match wish {
            Wish::List => {}
            Wish::Take(item) if item == "lost" => return (Duration::from_secs(3600), Ok(Vec::new())),
            Wish::Take(item) if item == "broken" => return (delay, Err(ServiceError::Failed)),
            Wish::Take(item) if item == "nonsense" => return (delay, Ok(b"?".to_vec())),
            Wish::Take(item) => answer = Ok([(item, 1)].into()),
            Wish::Drop(item) => answer = Err(format!("you have no {item}")),
        }
        (delay, serde_json::to_vec(&answer).map_err(|_| ServiceError::Failed))
    });
    holds("inventory_service/inventory.scenario", &extend);
}

#[test]
fn the_guides_own_simulator_runs_the_dice() {
    let scenario = examples().join("custom_command/dice.scenario");
    for layer in ["pure", "turmoil"] {
        let output = Command::new(env!("CARGO_BIN_EXE_example-dice-simulator"))
            .args(["run", "--layer", layer])
            .arg(&scenario)
            .output()
            .expect("the simulator can be started");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.starts_with("held"), "{layer}: {said}");
    }
}
