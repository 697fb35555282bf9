//! The command line. Each subcommand has a file of its own; here is what they share.
//!
//! The exit code is 0 if everything held, 1 if something did not, 2 for bad usage, a file that is no scenario included.

mod check;
mod live;
mod replay;
mod run;
mod show;
mod shrink;
mod swarm;

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::extend::Extend;
use crate::layers::World;
use crate::layers::pure::Pure;
use crate::layers::turmoil::Turmoil;
use crate::scenario::tokens::duration_of;
use crate::scenario::{Scenario, parse};
use crate::seed;

/// Runs the program with the arguments of this process, and daemons with these extensions.
pub(crate) fn main(extend: &Extend) -> ExitCode {
    // Bad arguments end the process here, with code 2.
    let arguments = Arguments::parse();
    let mut terminal = Terminal { out: io::stdout().lock(), report: io::stderr().lock() };
    let verdict = match &arguments.command {
        Subcommands::Run(run) => run::run(run, extend, &mut terminal),
        Subcommands::Check(check) => check::check(check, &mut terminal),
        Subcommands::Shrink(shrink) => shrink::shrink(shrink, extend, &mut terminal),
        Subcommands::Show(show) => show::show(show, extend, &mut terminal),
        Subcommands::Swarm(swarm) => swarm::swarm(swarm, &mut terminal),
        Subcommands::Replay(replay) => replay::replay(replay, &mut terminal),
    };
    match verdict {
        Ok(verdict) => verdict.into(),
        Err(error) => {
            eprintln!("error: {error:#}");
            Verdict::BadUsage.into()
        }
    }
}

/// Runs lobbyd's scenarios: files that say what happens and what must come of it.
#[derive(Debug, Parser)]
#[command(name = "lobbyd-sim", version)]
struct Arguments {
    #[command(subcommand)]
    command: Subcommands,
}

#[derive(Debug, Subcommand)]
enum Subcommands {
    /// Runs scenarios and says which hold.
    Run(run::Run),
    /// Runs each scenario in two processes with the same seed and compares their traces byte for byte.
    Check(check::Check),
    /// Makes a scenario that does not hold as small as it can be.
    Shrink(shrink::Shrink),
    /// Runs a scenario and draws what happened, as a page for a browser or a mermaid diagram.
    Show(show::Show),
    /// Searches seed after seed for a run that does not hold: random configuration, workload and faults.
    Swarm(swarm::Swarm),
    /// Runs a seed of a search again, or a scenario file, and shows the end of its trace.
    Replay(replay::Replay),
}

#[derive(Debug, Args)]
struct Runs {
    /// The scenarios.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// What of the world is real.
    #[arg(long, value_enum, default_value_t = Layer::Pure)]
    layer: Layer,
    /// The root of all randomness: the same seed gives the same run.
    #[arg(long, env = seed::VARIABLE, default_value_t = seed::DEFAULT)]
    seed: u64,
}

/// On what a scenario runs (DESIGN section 7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Layer {
    /// The engine; network, Redis and clients are models.
    Pure,
    /// The whole server, on a simulated network and with a model Redis.
    Turmoil,
    /// A real daemon and a real Redis.
    Live,
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pure => "pure",
            Self::Turmoil => "turmoil",
            Self::Live => "live",
        })
    }
}

/// The world of a layer that can be repeated, where nothing has happened yet.
///
/// # Errors
/// When the layer cannot be set up, or is the live one.
pub fn world(layer: Layer, scenario: &Scenario, seed: u64, extend: &Extend) -> anyhow::Result<Box<dyn World>> {
    match layer {
        Layer::Pure => Ok(Box::new(Pure::with_extensions(&scenario.setup, seed, extend)?)),
        Layer::Turmoil => Ok(Box::new(Turmoil::with_extensions(scenario, seed, extend)?)),
        Layer::Live => bail!("nothing is the same twice on the {layer} layer: it is for `run` alone"),
    }
}

/// What the exit code says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Verdict {
    Held,
    Violated,
    BadUsage,
}

impl From<Verdict> for ExitCode {
    fn from(verdict: Verdict) -> Self {
        Self::from(match verdict {
            Verdict::Held => 0,
            Verdict::Violated => 1,
            Verdict::BadUsage => 2,
        })
    }
}

/// Where results go.
struct Terminal<O, R> {
    /// Results; the trace instead, if it was asked for.
    out: O,
    /// What is wrong with the files; results, if the trace goes where they would.
    report: R,
}

/// A duration as scenarios write them.
fn duration(text: &str) -> Result<Duration, String> {
    let refused = || format!("{text:?} is no duration; write one such as 60s, 250ms or 10min");
    duration_of(text).ok_or_else(refused)
}

/// A file's name as a shell takes it.
fn quoted(file: &Path) -> String {
    let name = file.display().to_string();
    let is_plain = |character: char| character.is_ascii_alphanumeric() || "/._-+@%".contains(character);
    if name.chars().all(is_plain) { name } else { format!("'{}'", name.replace('\'', r"'\''")) }
}

/// Reads a scenario from a file.
///
/// # Errors
/// When the file cannot be read, or is no scenario: then where, and what could stand there instead.
pub fn read(file: &Path) -> anyhow::Result<Scenario> {
    let source = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    parse(&source).map_err(|error| anyhow::anyhow!("{}:{error}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn runs(files: &[&str]) -> Runs {
        Runs { files: files.iter().map(PathBuf::from).collect(), layer: Layer::Pure, seed: 7 }
    }

    pub(super) fn terminal() -> Terminal<Vec<u8>, Vec<u8>> {
        Terminal { out: Vec::new(), report: Vec::new() }
    }

    pub(super) fn text(bytes: Vec<u8>) -> String {
        String::from_utf8(bytes).expect("reports are text")
    }

    #[test]
    fn file_names_are_quoted_for_a_shell() {
        assert_eq!(quoted(Path::new("a/b.scenario")), "a/b.scenario");
        assert_eq!(quoted(Path::new("it's.scenario")), r"'it'\''s.scenario'");
    }
}
