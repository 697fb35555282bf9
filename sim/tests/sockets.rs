//! No simulation can open a real socket. By construction: turmoil's runtimes have no I/O driver, the pure layer has no
//! runtime, and `clippy.toml` lets only the live layer name a socket. Here is the proof: where no process could open
//! anything, every scenario holds all the same.

#![expect(clippy::disallowed_types, reason = "a real socket shows that none can be opened")]

use std::fs;
use std::net::TcpListener;
use std::path::Path;

use lobbyd_sim::layers::World;
use lobbyd_sim::layers::pure::Pure;
use lobbyd_sim::layers::turmoil::Turmoil;
use lobbyd_sim::runner;
use lobbyd_sim::scenario::{Scenario, parse};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// What also runs on the turmoil layer: short ones that have every kind of host, link and stream between them.
const ON_TURMOIL: [&str; 5] =
    ["chat-in-pieces", "login-redis-gone", "presence-across-daemons", "reconnect-after-a-crash", "slow-network"];

/// The only test of its process, whose limit it changes.
#[test]
fn scenarios_hold_in_a_process_that_can_open_nothing() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let mut scenarios: Vec<(String, Scenario)> = fs::read_dir(folder)
        .expect("the scenarios are there")
        .map(|entry| {
            let file = entry.expect("a file").path();
            let name = file.file_stem().expect("a file has a name").to_string_lossy().into_owned();
            (name, parse(&fs::read_to_string(file).expect("readable text")).expect("a scenario"))
        })
        .collect();
    scenarios.sort_by(|one, other| one.0.cmp(&other.0));

    // What is open stays so; a descriptor above the limit is not given out any more.
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("there is a limit");
    setrlimit(Resource::RLIMIT_NOFILE, 0, hard).expect("it may be lowered");
    assert!(TcpListener::bind("127.0.0.1:0").is_err(), "the limit keeps nobody from opening a socket");

    let mut on_turmoil = 0;
    for (name, scenario) in &scenarios {
        holds(name, scenario, &mut Pure::new(&scenario.setup, 1).expect("the setup can be built"));
        if ON_TURMOIL.contains(&name.as_str()) {
            on_turmoil += 1;
            holds(name, scenario, &mut Turmoil::for_scenario(scenario, 1).expect("the setup can be built"));
        }
    }
    assert_eq!(on_turmoil, ON_TURMOIL.len(), "a scenario has another name");
}

fn holds(name: &str, scenario: &Scenario, world: &mut dyn World) {
    let outcome = runner::run(scenario, world);
    assert!(outcome.result.is_ok(), "{name}: {:?}", outcome.result);
}
