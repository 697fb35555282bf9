//! The `lobbyd` program, as `server/src/main.rs` has it, for tests that start it as a process.

use std::process::ExitCode;

fn main() -> ExitCode {
    lobbyd::cli::main(std::env::args_os(), std::env::vars_os()).into()
}
