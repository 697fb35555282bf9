//! `run`: runs scenario files on a layer and says which hold.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::Args;

use super::live::LiveArguments;
use super::{Layer, Runs, Terminal, Verdict, quoted, read, world};
use crate::extend::Extend;
use crate::layers::live::{Live, StartError, Target};
use crate::layers::{CannotDo, World};
use crate::runner::{self, Outcome, Skipped};
use crate::scenario::Scenario;

#[derive(Debug, Args)]
pub(super) struct Run {
    #[command(flatten)]
    runs: Runs,
    /// Writes the trace to this file; `-` for the standard output, with the report on the standard error.
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    #[command(flatten)]
    live: LiveArguments,
}

/// Runs the files.
///
/// # Errors
/// When the layer cannot be set up, or results cannot be written.
pub(super) fn run(
    run: &Run,
    extend: &Extend,
    terminal: &mut Terminal<impl Write, impl Write>,
) -> anyhow::Result<Verdict> {
    run.live.must_fit(run.runs.layer)?;
    let target = run.live.target()?;
    run_files(run, &|scenario, layer, seed| execute(scenario, layer, seed, &target, extend), terminal)
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

fn execute(scenario: &Scenario, layer: Layer, seed: u64, target: &Target, extend: &Extend) -> anyhow::Result<Ran> {
    let mut world: Box<dyn World> = match layer {
        Layer::Pure | Layer::Turmoil => world(layer, scenario, seed, extend)?,
        Layer::Live => match Live::with_extensions(scenario, target, seed, extend) {
            Ok(world) => Box::new(world),
            Err(StartError::CannotDo(cannot @ CannotDo::Layer { .. })) => {
                return Ok(Ran { skipped: vec![(0, cannot.to_string())], ..Ran::default() });
            }
            Err(error) => return Err(error.into()),
        },
    };
    let Outcome { result, skipped, trace, marks: _ } = runner::run(scenario, world.as_mut());
    Ok(Ran {
        violation: result.err().map(|violation| (violation.line, violation.to_string())),
        skipped: skipped.into_iter().map(|Skipped { line, what }| (line, what)).collect(),
        trace: trace.to_string(),
    })
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
        let needs = run.live.needs(&scenario);
        if !needs.is_empty() {
            writeln!(terminal.report, "{} needs a server with\n  {}", file.display(), needs.join("\n  "))?;
        }
        let ran = execute(&scenario, *layer, *seed).with_context(|| file.display().to_string())?;
        let result = result(file, run, &ran);
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
fn result(file: &Path, run: &Run, ran: &Ran) -> String {
    let Runs { layer, seed, .. } = &run.runs;
    let name = file.display();
    let verdict = if ran.violation.is_some() { "failed" } else { "held" };
    let mut text = format!("{verdict:<7} {name}");
    if !ran.skipped.is_empty() {
        text += &format!(" ({} skipped)", ran.skipped.len());
    }
    text.push('\n');
    for (line, what) in &ran.skipped {
        // What no line says is of the setup.
        let line = if *line > 0 { format!(":{line}") } else { String::new() };
        text += &format!("  skipped {name}{line}: {what}\n");
    }
    if let Some((line, what)) = &ran.violation {
        text += &format!("  {name}:{line}\n");
        for line in what.lines() {
            text += &format!("  {line}\n");
        }
        text += &format!("  seed {seed}, {layer} layer; to see it again:\n");
        let live = run.live.shown();
        text += &format!("  lobbyd-sim run {} --layer {layer} --seed {seed}{live}\n", quoted(file));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::tests::{runs, terminal, text};
    use super::*;

    fn run(files: &[&str], trace: Option<&str>) -> Run {
        Run { runs: runs(files), trace: trace.map(PathBuf::from), live: LiveArguments::default() }
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
    fn what_is_for_the_live_layer_is_refused_on_others() {
        let mut run = run(&[SCENARIO], None);
        run.live = LiveArguments::with_addresses(&["localhost:7400"]);
        let refused =
            super::run(&run, &Extend::default(), &mut terminal()).expect_err("the pure layer has no addresses");
        assert_eq!(refused.to_string(), "--address has no meaning on the pure layer: give --layer live as well");
    }

    #[test]
    fn what_a_running_server_must_be_like_is_said() {
        let mut run = run(&[concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios/room-password.scenario")], None);
        run.live = LiveArguments::with_addresses(&["localhost:7400"]);
        let mut terminal = terminal();
        run_files(&run, &violated, &mut terminal).expect("it ran");
        let (report, out) = (text(terminal.report), text(terminal.out));
        assert!(report.contains("needs a server with\n  set room_password_failures_per_user"), "{report}");
        assert!(report.contains("\n  room 1 \"Cellar\" capacity 5 password sesame\n"), "{report}");
        assert!(report.ends_with("\n  account alice wonder\n"), "{report}");
        assert!(out.ends_with(" --address localhost:7400\n"), "{out}");
    }

    #[test]
    fn one_trace_is_of_one_scenario() {
        assert!(run_files(&run(&[SCENARIO, SCENARIO], Some("-")), &violated, &mut terminal()).is_err());
    }
}
