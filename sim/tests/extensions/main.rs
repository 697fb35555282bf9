//! A user's own extension in scenarios: the same file holds on the pure and the turmoil layer, and twice in the same way.

use std::fs;
use std::path::Path;

use lobbyd_core::input::ServiceError;
use lobbyd_net::extension::Extensions;
use lobbyd_net::extension::middleware::{CommandBudget, PacketLog, WordFilter};
use lobbyd_sim::extend::Extend;
use lobbyd_sim::layers::World;
use lobbyd_sim::layers::pure::{Pure, SetupError};
use lobbyd_sim::layers::turmoil::Turmoil;
use lobbyd_sim::runner;
use lobbyd_sim::scenario::{Scenario, parse};

mod forgetful;
mod table;

use lobbyd_core::limits::Rate;

use forgetful::Forgetful;
use table::{Ledger, Table};

fn extensions() -> Extensions {
    let mut extensions = Extensions::new();
    extensions.command("table", Table::default()).expect("the name is good and free");
    extensions.service("ledger", Ledger).expect("the name is good and free");
    extensions.middleware(PacketLog).middleware(WordFilter::masking(["darn"]));
    extensions.middleware(CommandBudget::new().command("table.throw", Rate::per_minute(1, 3)));
    extensions
}

/// The daemon's extensions, and a ledger that takes its time, or never answers.
fn extend() -> Extend {
    Extend::new(extensions).with_stand_in("ledger".parse().expect("a good name"), |request, random| {
        let delay = std::time::Duration::from_millis(10 + random % 20);
        match request {
            b"lost" => (std::time::Duration::from_secs(3_600), Ok(Vec::new())),
            b"broken" => (delay, Err(ServiceError::Failed)),
            _ => (delay, Ok([b"balance of ", request].concat())),
        }
    })
}

fn scenario(name: &str) -> Scenario {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/extensions").join(format!("{name}.scenario"));
    let source = fs::read_to_string(&file).expect("the scenario is there");
    parse(&source).unwrap_or_else(|error| panic!("{}:{error}", file.display()))
}

fn holds(name: &str, layer: &str, seed: u64, world: &dyn Fn(&Scenario) -> Box<dyn World>) {
    let scenario = scenario(name);
    let outcome = runner::run(&scenario, world(&scenario).as_mut());
    let again = runner::run(&scenario, world(&scenario).as_mut());
    if let Err(violation) = &outcome.result {
        panic!("{name} on {layer} with seed {seed}: {violation}\n{}", outcome.trace);
    }
    assert!(outcome.skipped.is_empty(), "{name} on {layer}: {:?}", outcome.skipped);
    assert_eq!(outcome.trace.to_string(), again.trace.to_string(), "{name} on {layer} with seed {seed}, run twice");
}

#[track_caller]
fn holds_everywhere(name: &str) {
    for seed in 1..4 {
        holds(name, "pure", seed, &|scenario| {
            Box::new(Pure::with_extensions(&scenario.setup, seed, &extend()).expect("the setup can be built"))
        });
    }
    holds(name, "turmoil", 1, &|scenario| {
        Box::new(Turmoil::with_extensions(scenario, 1, &extend()).expect("the setup can be built"))
    });
}

#[test]
fn commands_are_answered_at_once_and_later() {
    holds_everywhere("commands");
}

#[test]
fn services_answer_late_never_and_with_errors() {
    holds_everywhere("services");
}

#[test]
fn panic_ends_the_extension_and_nothing_else() {
    holds_everywhere("panic");
}

#[test]
fn middleware_masks_and_refuses() {
    holds_everywhere("middleware");
}

#[test]
fn crash_and_restart_begin_the_extension_anew() {
    holds_everywhere("restart");
}

#[test]
fn pure_layer_says_which_service_has_no_stand_in() {
    let setup = scenario("commands").setup;
    let refused = Pure::with_extensions(&setup, 1, &Extend::new(extensions)).err();
    assert_eq!(refused, Some(SetupError::NoStandIn("ledger".parse().expect("a good name"))));
}

#[test]
fn what_an_extension_does_not_store_is_found_out() {
    let scenario = parse(
        "# .\naccount alice wonder\nalice arrives\n\
         alice command count -> CustomResponse data=\"1\"\nalice command count -> CustomResponse data=\"2\"\n",
    );
    let scenario = scenario.expect("a scenario");
    let run = |stores: bool| {
        let extend = Extend::new(move || {
            let mut extensions = Extensions::new();
            extensions
                .command("count", Forgetful { count: 0, count_max: 100, stores })
                .expect("the name is good and free");
            extensions
        });
        let mut world = Pure::with_extensions(&scenario.setup, 1, &extend).expect("the setup can be built");
        runner::run(&scenario, &mut world).result
    };
    assert_eq!(run(true), Ok(()));
    let violation = run(false).expect_err("the second count is of the twin's own").to_string();
    assert!(violation.contains("the engine of server, restored from its snapshot, does something else"), "{violation}");
    assert!(violation.contains("does an extension not `save` all that it keeps"), "{violation}");
}

#[test]
fn what_an_extension_does_not_store_is_missing_when_a_journal_is_replayed() {
    // More than the shortest part of a journal holds.
    let commands = "advance 50ms\nalice command count -> CustomResponse\n".repeat(80);
    let source = format!("# .\naccount alice wonder\nalice arrives\n{commands}");
    let scenario = parse(&source).expect("a scenario");
    let run = |stores, seed| {
        let extend = Extend::new(move || {
            let mut extensions = Extensions::new();
            let count = Forgetful { count: 0, count_max: 3, stores };
            extensions.command("count", count).expect("the name is good and free");
            extensions
        });
        let mut world = Turmoil::with_extensions(&scenario, seed, &extend).expect("the setup can be built");
        runner::run(&scenario, &mut world).result
    };
    // How long parts are depends on the seed.
    let found = (0..20).find_map(|seed| run(false, seed).err().map(|violation| (seed, violation.to_string())));
    let (seed, violation) = found.expect("a part begins after the third command");
    assert_eq!(run(true, seed), Ok(()));
    assert!(violation.contains("the journal of server, life 1: replayed, not the same is done"), "{violation}");
}
