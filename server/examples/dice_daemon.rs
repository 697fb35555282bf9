//! The daemon, `lobbyd`, with the dice of the `custom_command` example: its configuration, accounts, logs and signals.
//!
//! `cargo run -p lobbyd --example dice_daemon -- serve --data DIRECTORY`, and `-- user add NAME --data DIRECTORY` for accounts.

#[path = "custom_command/dice.rs"]
mod dice;

use std::env;
use std::process::ExitCode;

fn main() -> ExitCode {
    lobbyd::cli::main_with(env::args_os(), env::vars_os(), dice::extend).into()
}
