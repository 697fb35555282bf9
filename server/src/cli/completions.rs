//! `lobbyd completions`: scripts by which a shell completes commands.

use clap::Args;
use clap_complete::Shell;

use super::output::print;

/// For which shell.
#[derive(Debug, Args)]
pub(super) struct CompletionsArguments {
    /// The shell, for example: lobbyd completions bash > /etc/bash_completion.d/lobbyd
    shell: Shell,
}

/// Prints the script for `program`.
pub(super) fn run(arguments: CompletionsArguments, program: &mut clap::Command) -> anyhow::Result<()> {
    // Into memory first: the generator panics when its writer fails, as a closed pipe does.
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, program, "lobbyd", &mut script);
    print(&String::from_utf8_lossy(&script))
}
