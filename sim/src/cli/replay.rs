//! `replay`: runs a seed of a search again, or a scenario from a file, and shows the end of its trace.

use std::io::Write;
use std::path::Path;

use clap::Args;

use super::{Layer, Terminal, Verdict, read};
use crate::seed;
use crate::swarm::{self, Ran};

#[derive(Debug, Args)]
pub(super) struct Replay {
    /// A seed of `swarm`, or a scenario file.
    #[arg(value_name = "SEED|FILE")]
    what: String,
    /// What of the world is real.
    #[arg(long, value_enum, default_value_t = Layer::Pure)]
    layer: Layer,
    /// The root of all randomness of a file's run; a seed of `swarm` is its own.
    #[arg(long)]
    seed: Option<u64>,
    /// How many of the trace's last lines are shown.
    #[arg(long, value_name = "N", default_value_t = 40)]
    lines: usize,
}

/// Runs it.
///
/// # Errors
/// When the layer cannot be set up, the file is none, or results cannot be written.
pub(super) fn replay(replay: &Replay, terminal: &mut Terminal<impl Write, impl Write>) -> anyhow::Result<Verdict> {
    let layer = replay.layer;
    let (scenario, seed) = match replay.what.parse() {
        Ok(seed) => (swarm::scenario(seed, layer), replay.seed.unwrap_or(seed)),
        Err(_) => (read(Path::new(&replay.what))?, replay.seed.unwrap_or(seed::DEFAULT)),
    };
    let Ran { outcome, simulated } = swarm::execute(&scenario, layer, seed)?;
    let lines: Vec<_> = outcome.trace.lines().collect();
    for line in &lines[lines.len().saturating_sub(replay.lines)..] {
        writeln!(terminal.out, "{line}")?;
    }
    for skipped in &outcome.skipped {
        writeln!(terminal.out, "skipped line {}: {}", skipped.line, skipped.what)?;
    }
    let verdict = if outcome.result.is_ok() { "held" } else { "failed" };
    let (steps, digest) = (scenario.steps.len(), outcome.trace.digest());
    let simulated = simulated.as_secs();
    writeln!(
        terminal.out,
        "{verdict:<7} seed {seed}, {layer} layer: {steps} steps, {simulated} s, trace {digest:016x}"
    )?;
    match outcome.result {
        Ok(()) => Ok(Verdict::Held),
        Err(violation) => {
            for line in violation.to_string().lines() {
                writeln!(terminal.out, "  {line}")?;
            }
            Ok(Verdict::Violated)
        }
    }
}
