//! The command line: `run` runs scenario files on a layer, `check` runs each in two processes and compares their traces.
//!
//! The exit code is 0 if everything held, 1 if something did not, 2 for bad usage, a file that is no scenario included.

use std::fmt;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context as _, bail};
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::layers::World;
use crate::layers::pure::Pure;
use crate::layers::turmoil::Turmoil;
use crate::runner::{self, Outcome, Skipped};
use crate::scenario::{Scenario, parse};

/// Runs the program with the arguments of this process.
#[must_use]
pub fn main() -> ExitCode {
    // Bad arguments end the process here, with code 2.
    let arguments = Arguments::parse();
    let mut terminal = Terminal { out: io::stdout().lock(), report: io::stderr().lock() };
    let verdict = match &arguments.command {
        Subcommands::Run(run) => run_files(run, &execute, &mut terminal),
        Subcommands::Check(runs) => check_files(runs, &spawn, &mut terminal),
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
    Run(Run),
    /// Runs each scenario in two processes with the same seed and compares their traces byte for byte.
    Check(Runs),
}

#[derive(Debug, Args)]
struct Run {
    #[command(flatten)]
    runs: Runs,
    /// Writes the trace to this file; `-` for the standard output, with the report on the standard error.
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
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
    #[arg(long, default_value_t = 1)]
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

/// The world of a layer, where nothing has happened yet.
///
/// # Errors
/// When the layer cannot be set up.
pub fn world(layer: Layer, scenario: &Scenario, seed: u64) -> anyhow::Result<Box<dyn World>> {
    match layer {
        Layer::Pure => Ok(Box::new(Pure::new(&scenario.setup, seed)?)),
        Layer::Turmoil => Ok(Box::new(Turmoil::for_scenario(scenario, seed)?)),
        Layer::Live => bail!("the {layer} layer is not built yet"),
    }
}

/// What came of a run, as far as the report says it.
#[derive(Debug, Default)]
struct Ran {
    /// The line of the step that did not hold, and what was expected and what arrived.
    violation: Option<(u32, String)>,
    /// The lines of the steps that the layer cannot do, and what it cannot.
    skipped: Vec<(u32, String)>,
    trace: String,
}

/// Runs a scenario on a layer with a seed.
type Execute<'e> = &'e dyn Fn(&Scenario, Layer, u64) -> anyhow::Result<Ran>;

fn execute(scenario: &Scenario, layer: Layer, seed: u64) -> anyhow::Result<Ran> {
    let mut world = world(layer, scenario, seed)?;
    let Outcome { result, skipped, trace } = runner::run(scenario, world.as_mut());
    Ok(Ran {
        violation: result.err().map(|violation| (violation.line, violation.to_string())),
        skipped: skipped.into_iter().map(|Skipped { line, what }| (line, what)).collect(),
        trace: trace.to_string(),
    })
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

fn run_files(
    run: &Run,
    execute: Execute<'_>,
    terminal: &mut Terminal<impl Write, impl Write>,
) -> anyhow::Result<Verdict> {
    let Runs { files, layer, seed } = &run.runs;
    if run.trace.is_some() && files.len() > 1 {
        bail!("--trace takes the trace of one scenario, and {} are given: name one file", files.len());
    }
    let mut worst = Verdict::Held;
    for file in files {
        let scenario = match read(file) {
            Ok(scenario) => scenario,
            Err(error) => {
                writeln!(terminal.report, "{error:#}")?;
                worst = worst.max(Verdict::BadUsage);
                continue;
            }
        };
        let ran = execute(&scenario, *layer, *seed).with_context(|| file.display().to_string())?;
        let result = result(file, &run.runs, &ran);
        match run.trace.as_deref() {
            Some(trace) if trace == Path::new("-") => {
                terminal.report.write_all(result.as_bytes())?;
                terminal.out.write_all(ran.trace.as_bytes())?;
            }
            Some(trace) => {
                terminal.out.write_all(result.as_bytes())?;
                fs::write(trace, &ran.trace)
                    .with_context(|| format!("cannot write the trace to {}", trace.display()))?;
            }
            None => terminal.out.write_all(result.as_bytes())?,
        }
        if ran.violation.is_some() {
            worst = worst.max(Verdict::Violated);
        }
    }
    Ok(worst)
}

/// One line if the scenario held, with one more for each step that was skipped; if not, also why, and the command that
/// shows it again.
fn result(file: &Path, runs: &Runs, ran: &Ran) -> String {
    let Runs { layer, seed, .. } = runs;
    let name = file.display();
    let verdict = if ran.violation.is_some() { "failed" } else { "held" };
    let mut text = format!("{verdict:<7} {name}");
    if !ran.skipped.is_empty() {
        text += &format!(" ({} skipped)", ran.skipped.len());
    }
    text.push('\n');
    for (line, what) in &ran.skipped {
        text += &format!("  skipped {name}:{line}: {what}\n");
    }
    if let Some((line, what)) = &ran.violation {
        text += &format!("  {name}:{line}\n");
        for line in what.lines() {
            text += &format!("  {line}\n");
        }
        text += &format!("  seed {seed}, {layer} layer; to see it again:\n");
        text += &format!("  lobbyd-sim run {} --layer {layer} --seed {seed}\n", quoted(file));
    }
    text
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

/// What another process made of a scenario.
struct Other {
    code: Option<i32>,
    trace: Vec<u8>,
    report: String,
}

/// Runs a scenario in another process.
type Spawn<'s> = &'s dyn Fn(&Path, &Runs) -> anyhow::Result<Other>;

fn spawn(file: &Path, runs: &Runs) -> anyhow::Result<Other> {
    let program = std::env::current_exe().context("cannot find this program to start it again")?;
    let output = Command::new(&program)
        .args(["run", "--trace", "-", "--layer", &runs.layer.to_string(), "--seed", &runs.seed.to_string(), "--"])
        .arg(file)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start {}", program.display()))?;
    let report = String::from_utf8_lossy(&output.stderr).into_owned();
    Ok(Other { code: output.status.code(), trace: output.stdout, report })
}

fn check_files(
    runs: &Runs,
    spawn: Spawn<'_>,
    terminal: &mut Terminal<impl Write, impl Write>,
) -> anyhow::Result<Verdict> {
    let mut worst = Verdict::Held;
    for file in &runs.files {
        let (one, other) = (spawn(file, runs)?, spawn(file, runs)?);
        let verdict = match (one.code, other.code) {
            (Some(0 | 1), Some(0 | 1)) => check_traces(file, runs, &one, &other, &mut terminal.out)?,
            (code, _) => {
                terminal.report.write_all(one.report.as_bytes())?;
                // Without a code a signal ended it.
                if code == Some(2) { Verdict::BadUsage } else { Verdict::Violated }
            }
        };
        worst = worst.max(verdict);
    }
    Ok(worst)
}

fn check_traces(file: &Path, runs: &Runs, one: &Other, other: &Other, out: &mut impl Write) -> anyhow::Result<Verdict> {
    let name = file.display();
    if one.trace == other.trace && one.code == other.code {
        let held = one.code == Some(0);
        let but = if held { "" } else { ", but does not hold" };
        writeln!(out, "same    {name} ({} bytes{but})", one.trace.len())?;
        return Ok(if held { Verdict::Held } else { Verdict::Violated });
    }
    writeln!(out, "differs {name}: two processes with seed {} on the {} layer", runs.seed, runs.layer)?;
    let (one, other) = (String::from_utf8_lossy(&one.trace), String::from_utf8_lossy(&other.trace));
    let same = one.lines().zip(other.lines()).take_while(|(one, other)| one == other).count();
    let line = |trace: &str| trace.lines().nth(same).unwrap_or("the end of the trace").to_owned();
    writeln!(out, "  from line {} of the trace on:\n  one:   {}\n  other: {}", same + 1, line(&one), line(&other))?;
    Ok(Verdict::Violated)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn runs(files: &[&str]) -> Runs {
        Runs { files: files.iter().map(PathBuf::from).collect(), layer: Layer::Pure, seed: 7 }
    }

    fn run(files: &[&str], trace: Option<&str>) -> Run {
        Run { runs: runs(files), trace: trace.map(PathBuf::from) }
    }

    fn terminal() -> Terminal<Vec<u8>, Vec<u8>> {
        Terminal { out: Vec::new(), report: Vec::new() }
    }

    fn text(bytes: Vec<u8>) -> String {
        String::from_utf8(bytes).expect("reports are text")
    }

    /// A file that is there and is a scenario.
    const SCENARIO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios/hello.scenario");
    /// A file that is there and is none.
    const OTHER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");

    fn violated(_: &Scenario, _: Layer, _: u64) -> anyhow::Result<Ran> {
        let violation = Some((3, "expected: Pong at alice\narrived:  Ping".to_owned()));
        Ok(Ran { violation, skipped: vec![(2, "no partitions here".to_owned())], trace: "the trace\n".to_owned() })
    }

    #[test]
    fn what_held_is_one_line() {
        let mut terminal = terminal();
        let verdict = run_files(&run(&[SCENARIO], None), &|_, _, _| Ok(Ran::default()), &mut terminal);
        assert_eq!(verdict.expect("it ran"), Verdict::Held);
        assert_eq!(text(terminal.out), format!("held    {SCENARIO}\n"));
    }

    #[test]
    fn what_did_not_hold_says_where_and_how_to_see_it_again() {
        let mut terminal = terminal();
        let verdict = run_files(&run(&[SCENARIO], None), &violated, &mut terminal).expect("it ran");
        assert_eq!(verdict, Verdict::Violated);
        let expected = format!(
            "failed  {SCENARIO} (1 skipped)\n  skipped {SCENARIO}:2: no partitions here\n  {SCENARIO}:3\n  \
             expected: Pong at alice\n  arrived:  Ping\n  seed 7, pure layer; to see it again:\n  \
             lobbyd-sim run {SCENARIO} --layer pure --seed 7\n"
        );
        assert_eq!(text(terminal.out), expected);
    }

    #[test]
    fn what_is_no_scenario_is_bad_usage_and_the_others_run() {
        let mut terminal = terminal();
        let verdict = run_files(&run(&[OTHER, "/nowhere", SCENARIO], None), &violated, &mut terminal);
        assert_eq!(verdict.expect("it ran"), Verdict::BadUsage);
        let report = text(terminal.report);
        assert!(report.contains("Cargo.toml:1:1: expected a step"), "{report}");
        assert!(report.contains("cannot read /nowhere"), "{report}");
        assert!(text(terminal.out).starts_with("failed  "));
    }

    #[test]
    fn the_trace_goes_out_and_the_report_elsewhere() {
        let mut terminal = terminal();
        run_files(&run(&[SCENARIO], Some("-")), &violated, &mut terminal).expect("it ran");
        assert_eq!(text(terminal.out), "the trace\n");
        assert!(text(terminal.report).starts_with("failed"));
    }

    #[test]
    fn one_trace_is_of_one_scenario() {
        assert!(run_files(&run(&[SCENARIO, SCENARIO], Some("-")), &violated, &mut terminal()).is_err());
    }

    fn checked(codes: [i32; 2], traces: [&str; 2]) -> (Verdict, String) {
        let mut terminal = terminal();
        let count = Cell::new(0);
        let spawn = |_: &Path, _: &Runs| {
            let index = count.replace(count.get() + 1);
            Ok(Other { code: Some(codes[index]), trace: traces[index].into(), report: "report\n".to_owned() })
        };
        let verdict = check_files(&runs(&["a.scenario"]), &spawn, &mut terminal).expect("it ran");
        (verdict, text(terminal.out) + &text(terminal.report))
    }

    #[test]
    fn two_processes_must_write_the_same_trace() {
        assert_eq!(checked([0, 0], ["a\n", "a\n"]), (Verdict::Held, "same    a.scenario (2 bytes)\n".to_owned()));
        let (verdict, text) = checked([0, 0], ["a\nb\n", "a\nc\n"]);
        assert_eq!(verdict, Verdict::Violated);
        assert!(text.contains("from line 2 of the trace on:\n  one:   b\n  other: c\n"), "{text}");
        let (verdict, text) = checked([0, 0], ["a\n", "a\nc\n"]);
        assert_eq!(verdict, Verdict::Violated);
        assert!(text.contains("one:   the end of the trace"), "{text}");
    }

    #[test]
    fn what_does_not_hold_or_run_is_not_the_same() {
        assert_eq!(checked([1, 1], ["a\n", "a\n"]).0, Verdict::Violated);
        assert_eq!(checked([0, 1], ["a\n", "a\n"]).0, Verdict::Violated);
        assert_eq!(checked([2, 2], ["", ""]), (Verdict::BadUsage, "report\n".to_owned()));
        assert_eq!(checked([101, 101], ["", ""]).0, Verdict::Violated);
    }

    #[test]
    fn file_names_are_quoted_for_a_shell() {
        assert_eq!(quoted(Path::new("a/b.scenario")), "a/b.scenario");
        assert_eq!(quoted(Path::new("it's.scenario")), r"'it'\''s.scenario'");
    }
}
