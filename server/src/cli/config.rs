//! `lobbyd config`: what can be set, and whether what is set is right.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Exit;
use super::arguments::{Overrides, ServeArguments, conflict};
use super::output::print;
use crate::config::{Settings, reference, sample};

/// What to show or check.
#[derive(Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// Print a complete TOML file: every setting at its default, each with a comment.
    Default,
    /// Check everything that serving would read: file, environment, flags.
    Check(CheckArguments),
    /// Print a Markdown page on every setting.
    Doc,
}

/// What to check.
#[derive(Debug, Args)]
pub(super) struct CheckArguments {
    /// The file, as with --config
    file: Option<PathBuf>,
    #[command(flatten)]
    serve: ServeArguments,
}

/// Runs the command. `outer` are the overrides given before it.
pub(super) fn run(
    command: ConfigCommand,
    outer: Overrides,
    environment: Vec<(OsString, OsString)>,
) -> anyhow::Result<Exit> {
    match command {
        ConfigCommand::Default => {
            outer.must_be_none("config default")?;
            print(&sample())?;
            Ok(Exit::Fine)
        }
        ConfigCommand::Doc => {
            outer.must_be_none("config doc")?;
            print(&reference())?;
            Ok(Exit::Fine)
        }
        ConfigCommand::Check(CheckArguments { file, serve }) => check(file, outer.and(serve.into())?, environment),
    }
}

fn check(
    file: Option<PathBuf>,
    mut overrides: Overrides,
    environment: Vec<(OsString, OsString)>,
) -> anyhow::Result<Exit> {
    if file.is_some() && overrides.file.is_some() {
        return Err(conflict("the file is given twice, as FILE and by --config").into());
    }
    overrides.file = overrides.file.or(file);
    // Problems are what was asked for, so they are no failure of this command and go to standard output.
    let sources = overrides.into_sources(environment);
    match Settings::load(&sources) {
        Ok(_) => {
            let file = match sources.named_file() {
                Some(path) => format!("read {}", path.display()),
                None => String::from("no file named, so none read"),
            };
            print(&format!("the configuration is fine ({file})\n"))?;
            Ok(Exit::Fine)
        }
        Err(errors) => {
            print(&format!("{errors}\n"))?;
            Ok(Exit::Failed)
        }
    }
}
