//! `shrink`: makes a scenario that does not hold as small as it can be, and writes it down.

use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::panic;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use clap::Args;

use super::{Layer, Terminal, Verdict, quoted, read, world};
use crate::extend::Extend;
use crate::layers::World;
use crate::layers::pure::Pure;
use crate::runner::{self, Violation};
use crate::scenario::{Scenario, parse, print};
use crate::seed;
use crate::shrink::{self, ATTEMPTS_MAX, Clock, Judge, Progress, Size, WorldOf};

#[derive(Debug, Args)]
pub(super) struct Shrink {
    /// The scenario that does not hold.
    #[arg(value_name = "FILE")]
    pub(super) file: PathBuf,
    /// What of the world is real.
    #[arg(long, value_enum, default_value_t = Layer::Pure)]
    pub(super) layer: Layer,
    /// The root of all randomness: the one with which the scenario does not hold.
    #[arg(long, env = seed::VARIABLE, default_value_t = seed::DEFAULT)]
    pub(super) seed: u64,
    /// Where to write the small scenario; without: beside the file, as NAME.shrunk.scenario.
    #[arg(long, short, value_name = "FILE")]
    pub(super) output: Option<PathBuf>,
    /// How many scenarios are tried at most.
    #[arg(long, value_name = "COUNT", default_value_t = ATTEMPTS_MAX)]
    pub(super) attempts: u32,
}

/// Shrinks the scenario.
///
/// # Errors
/// When it cannot be read, holds, or cannot be written.
pub(super) fn shrink(
    shrink: &Shrink,
    extend: &Extend,
    terminal: &mut Terminal<impl Write, impl Write>,
) -> anyhow::Result<Verdict> {
    let world_of = |scenario: &Scenario| world(shrink.layer, scenario, shrink.seed, extend);
    let reference_of = |scenario: &Scenario| -> anyhow::Result<Box<dyn World>> {
        Ok(Box::new(Pure::reference(&scenario.setup, shrink.seed, extend)?))
    };
    // Each attempt at a scenario that panics does so too, and says so.
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| {}));
    let verdict =
        panic::catch_unwind(panic::AssertUnwindSafe(|| shrink_on(&world_of, &reference_of, shrink, terminal)));
    panic::set_hook(hook);
    verdict.unwrap_or_else(|panic| panic::resume_unwind(panic))
}

fn shrink_on(
    world_of: WorldOf<'_>,
    reference_of: WorldOf<'_>,
    shrink: &Shrink,
    terminal: &mut Terminal<impl Write, impl Write>,
) -> anyhow::Result<Verdict> {
    let Shrink { file, layer, seed, .. } = shrink;
    // Every step has a line of its own, also where the file repeats some.
    let whole = parse(&print(&read(file)?)).context("the scenario cannot be written down and read again")?;
    let Some(violation) = violation(world_of, &whole)? else {
        bail!("{} holds on the {layer} layer with seed {seed}: there is nothing to shrink", file.display());
    };
    writeln!(terminal.out, "{}: {}", file.display(), Size::of(&whole))?;
    let clock = if *layer == Layer::Pure { Clock::Same } else { Clock::Other };
    let judge = Judge::new(&whole, &violation, world_of, reference_of, clock);
    let smallest = smallest(&judge, shrink, &whole, &mut terminal.out)?;

    // The same fault, with the values that it has there.
    let violation = self::violation(world_of, &smallest)?.context("what was left holds when it is run again")?;
    let output = shrink.output.clone().unwrap_or_else(|| beside(file));
    let text = written(smallest, &violation, shrink, &output);
    // What is written is what is handed to somebody else, so that is what has to fail.
    let again = parse(&text).context("what was written down cannot be read again: this is an error of lobbyd-sim")?;
    ensure!(
        self::violation(world_of, &again)?.is_some_and(|again| again.signature() == violation.signature()),
        "what was written down does not fail in the same way: this is an error of lobbyd-sim"
    );
    fs::write(&output, text).with_context(|| format!("cannot write {}", output.display()))?;
    writeln!(terminal.out, "{}: {}", output.display(), Size::of(&again))?;
    writeln!(terminal.out, "  {}\n  {}", summary(&violation), command(&output, *layer, *seed))?;
    Ok(Verdict::Held)
}

fn smallest(judge: &Judge<'_>, shrink: &Shrink, whole: &Scenario, out: &mut impl Write) -> anyhow::Result<Scenario> {
    let mut said = Size::of(whole);
    let mut written = Ok(());
    let mut progress = |progress: Progress| {
        // A line for each time that a tenth is gone: enough to see that it goes on.
        if written.is_ok() && progress.size.lines * 10 <= said.lines * 9 {
            said = progress.size;
            written = writeln!(out, "  {} after {} attempts ({})", progress.size, progress.attempts, progress.pass);
        }
    };
    let mut fails = |candidate: &Scenario| judge.counts(candidate);
    let smallest = shrink::shrink_within(shrink.attempts, whole, &mut fails, &mut progress);
    written?;
    Ok(smallest)
}

fn violation(world_of: WorldOf<'_>, scenario: &Scenario) -> anyhow::Result<Option<Violation>> {
    let mut world = world_of(scenario)?;
    Ok(runner::run(scenario, world.as_mut()).result.err())
}

/// The text of the small scenario, which says first what it shows and how to see it.
fn written(mut scenario: Scenario, violation: &Violation, shrink: &Shrink, output: &Path) -> String {
    let Shrink { file, layer, seed, .. } = shrink;
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let before = match scenario.title.as_str() {
        "" => String::new(),
        title => format!("\n\n{title}"),
    };
    scenario.title = format!("Shrunk from {name}. {}.\n{}{before}", summary(violation), command(output, *layer, *seed));
    print(&scenario)
}

/// What was expected and what came instead, on one line.
fn summary(violation: &Violation) -> String {
    let one_line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let (expected, arrived) = (one_line(&violation.expected), one_line(&violation.arrived));
    format!("Expected: {expected}; arrived: {arrived}")
}

fn command(file: &Path, layer: Layer, seed: u64) -> String {
    format!("lobbyd-sim run {} --layer {layer} --seed {seed}", quoted(file))
}

/// `NAME.shrunk.scenario` beside the file.
fn beside(file: &Path) -> PathBuf {
    let mut name = file.file_stem().map(OsString::from).unwrap_or_default();
    name.push(".shrunk.scenario");
    file.with_file_name(name)
}
