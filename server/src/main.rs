//! The `lobbyd` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    lobbyd::cli::main(std::env::args_os(), std::env::vars_os()).into()
}
