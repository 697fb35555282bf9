//! `lobbyd-sim`: runs scenarios from the command line.

use std::process::ExitCode;

fn main() -> ExitCode {
    lobbyd_sim::cli::main()
}
