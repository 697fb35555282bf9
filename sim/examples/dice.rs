//! The simulator for the dice of `server/examples/custom_command`: the same extension, in scenarios.
//!
//! `cargo run -p lobbyd-sim --example dice -- run --layer turmoil server/examples/custom_command/dice.scenario`

#[path = "../../server/examples/custom_command/dice.rs"]
mod dice;

use std::process::ExitCode;

use lobbyd_net::extension::Extensions;
use lobbyd_sim::extend::Extend;

fn main() -> ExitCode {
    let extend = Extend::new(|| {
        let mut extensions = Extensions::new();
        dice::extend(&mut extensions).expect("the names are good and free");
        extensions
    });
    lobbyd_sim::main(&extend)
}
