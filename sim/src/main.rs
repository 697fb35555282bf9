//! `lobbyd-sim`: runs scenarios from the command line.

use std::process::ExitCode;

use lobbyd_sim::extend::Extend;

fn main() -> ExitCode {
    lobbyd_sim::main(&Extend::default())
}
