//! `swarm`: searches seed after seed for a run that does not hold.

use std::fs;
use std::io::{self, IsTerminal as _, Write};
use std::num::NonZero;
use std::path::PathBuf;
use std::process;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use super::shrink::{self, Shrink};
use super::{Layer, Terminal, Verdict, duration, quoted};
use crate::extend::Extend;
use crate::scenario::print;
use crate::seed;
use crate::shrink::ATTEMPTS_MAX;
use crate::swarm::{Finding, Hunt, Progress, Seeds, hunt};

/// How many seeds are run if neither a number nor a time is given.
const SEEDS: u64 = 100;
/// A seed that takes this long on the wall clock is stuck: most take well under a second.
const PATIENCE: Duration = Duration::from_secs(300);
/// How many smaller scenarios are tried on a layer where one run takes a second.
const SLOW_ATTEMPTS_MAX: u32 = 300;
/// How often a line is written where no bar can be shown.
const LINE_EVERY: Duration = Duration::from_secs(5);

#[derive(Debug, Args)]
pub(super) struct Swarm {
    /// What of the world is real.
    #[arg(long, value_enum, default_value_t = Layer::Pure)]
    layer: Layer,
    /// How many seeds are run. [default: 100, or as many as --for allows]
    #[arg(long, value_name = "N")]
    seeds: Option<u64>,
    /// The first seed; the others follow it.
    #[arg(long, value_name = "SEED", env = seed::VARIABLE, default_value_t = seed::DEFAULT)]
    first_seed: u64,
    /// For how long new seeds are begun, such as 60s or 10min.
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    time: Option<Duration>,
    /// How many seeds are run at a time. [default: as many as there are processors]
    #[arg(long, value_name = "N")]
    jobs: Option<NonZero<usize>>,
    /// Goes on after a run that does not hold.
    #[arg(long)]
    keep_going: bool,
    /// Where the scenarios of runs that do not hold are written.
    #[arg(long, value_name = "FOLDER", default_value = ".")]
    out: PathBuf,
    /// Leaves those scenarios as long as they are.
    #[arg(long)]
    no_shrink: bool,
    /// Fails if one of the hard cases was never reached.
    #[arg(long)]
    require_marks: bool,
    /// Says how often each hard case was reached.
    #[arg(long)]
    marks: bool,
}

/// Runs the seeds.
///
/// # Errors
/// When a layer cannot be set up, or results cannot be written.
pub(super) fn swarm(swarm: &Swarm, terminal: &mut Terminal<impl Write, impl Write>) -> anyhow::Result<Verdict> {
    let count = swarm.seeds.or(if swarm.time.is_none() { Some(SEEDS) } else { None });
    let jobs = swarm.jobs.or_else(|| thread::available_parallelism().ok()).map_or(1, NonZero::get);
    let plan = Hunt {
        layer: swarm.layer,
        seeds: Seeds { first: swarm.first_seed, count, time: swarm.time },
        jobs,
        keeps_going: swarm.keep_going,
        patience: PATIENCE,
    };
    let mut display = Display::new(count, swarm.time, &mut terminal.report);
    let progress = hunt(&plan, &mut |progress| display.show(progress), &|seed| stuck(seed, swarm.layer))?;
    drop(display);
    let is_pure = swarm.layer == Layer::Pure;
    writeln!(terminal.out, "{}", line(&progress, is_pure))?;
    for finding in &progress.findings {
        report(finding, swarm, terminal)?;
    }
    if swarm.marks {
        write!(terminal.out, "{}", progress.marks)?;
    }
    let unreached = progress.marks.unreached(is_pure);
    for mark in &unreached {
        writeln!(terminal.out, "never reached: {mark}")?;
    }
    let holds = progress.findings.is_empty() && (unreached.is_empty() || !swarm.require_marks);
    Ok(if holds { Verdict::Held } else { Verdict::Violated })
}

/// Says everything about a run that did not hold, and keeps its scenario.
fn report(finding: &Finding, swarm: &Swarm, terminal: &mut Terminal<impl Write, impl Write>) -> anyhow::Result<()> {
    let Finding { seed, scenario, violation } = finding;
    let layer = swarm.layer;
    fs::create_dir_all(&swarm.out).with_context(|| format!("cannot make the folder {}", swarm.out.display()))?;
    let file = swarm.out.join(format!("swarm-{layer}-{seed}.scenario"));
    let text = print(scenario);
    fs::write(&file, &text).with_context(|| format!("cannot write the scenario to {}", file.display()))?;
    let out = &mut terminal.out;
    writeln!(out, "failed  seed {seed} on the {layer} layer, with")?;
    // Up to the first empty line stands the setup: what was derived from the seed.
    for line in text.lines().skip(1).take_while(|line| !line.is_empty()) {
        writeln!(out, "  {line}")?;
    }
    for line in violation.to_string().lines() {
        writeln!(out, "  {line}")?;
    }
    writeln!(out, "  {} steps are written to {}; to see it again:", scenario.steps.len(), file.display())?;
    writeln!(out, "  lobbyd-sim run {} --layer {layer} --seed {seed}", quoted(&file))?;
    if !swarm.no_shrink {
        let attempts = if layer == Layer::Pure { ATTEMPTS_MAX } else { SLOW_ATTEMPTS_MAX };
        let shrink = Shrink { file, layer, seed: *seed, output: None, attempts };
        shrink::shrink(&shrink, &Extend::default(), terminal).context("it cannot be made smaller")?;
    }
    Ok(())
}

/// A run that never ends cannot be ended but with the process.
fn stuck(seed: u64, layer: Layer) {
    eprintln!("\nfailed  seed {seed} on the {layer} layer is not over after {PATIENCE:?}; to see it again:");
    eprintln!("  lobbyd-sim replay {seed} --layer {layer}");
    process::exit(1);
}

/// How the search stands, on one line.
fn line(progress: &Progress, is_pure: bool) -> String {
    let Progress { seeds, simulated, elapsed, marks, findings } = progress;
    let all = marks.all(is_pure);
    let reached = all.iter().filter(|(_, times)| *times > 0).count();
    format!(
        "{seeds} seeds, {} s simulated in {} s ({:.0} times as fast), {reached} of {} hard cases reached, {} failed",
        simulated.as_secs(),
        elapsed.as_secs(),
        progress.speed(),
        all.len(),
        findings.len()
    )
}

/// A bar on a terminal, now and then a line elsewhere.
enum Display<'r, R> {
    Bar(ProgressBar),
    Lines { out: &'r mut R, next_at: Instant },
}

impl<'r, R: Write> Display<'r, R> {
    fn new(count: Option<u64>, time: Option<Duration>, out: &'r mut R) -> Self {
        if !io::stderr().is_terminal() {
            return Self::Lines { out, next_at: Instant::now() + LINE_EVERY };
        }
        let length = count.or(time.map(|time| time.as_secs().max(1)));
        let bar = length.map_or_else(ProgressBar::no_length, ProgressBar::new);
        let style = ProgressStyle::with_template("{bar:24} {msg}").expect("this template is well formed");
        bar.set_style(style);
        Self::Bar(bar)
    }

    fn show(&mut self, progress: &Progress) {
        match self {
            Self::Bar(bar) => {
                // Where only a time was given, that is what goes by.
                let is_by_time = bar.length() != Some(progress.seeds) && progress.seeds > bar.length().unwrap_or(0);
                bar.set_position(if is_by_time { progress.elapsed.as_secs() } else { progress.seeds });
                bar.set_message(line(progress, true));
            }
            Self::Lines { out, next_at } => {
                if Instant::now() >= *next_at {
                    *next_at += LINE_EVERY;
                    // Nothing depends on somebody seeing it.
                    let _ = writeln!(out, "{}", line(progress, true));
                }
            }
        }
    }
}

impl<R> Drop for Display<'_, R> {
    fn drop(&mut self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}
