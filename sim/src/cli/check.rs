//! `check`: runs each scenario in two processes, perhaps of two builds, and compares their traces.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, bail};
use clap::Args;

use super::{Layer, Runs, Terminal, Verdict, quoted};

#[derive(Debug, Args)]
pub(super) struct Check {
    #[command(flatten)]
    runs: Runs,
    /// The other process is of this program: the same one, built in another way.
    #[arg(long, value_name = "PROGRAM")]
    with: Option<PathBuf>,
}

/// Checks the files.
///
/// # Errors
/// When a program cannot be started, results cannot be written, or no layer is given that repeats itself.
pub(super) fn check(check: &Check, terminal: &mut Terminal<impl Write, impl Write>) -> anyhow::Result<Verdict> {
    if check.runs.layer == Layer::Live {
        bail!("nothing is the same twice on the live layer: give --layer pure or --layer turmoil");
    }
    let this = std::env::current_exe().context("cannot find this program to start it again")?;
    let programs = [this.as_path(), check.with.as_deref().unwrap_or(&this)];
    check_files(check, &|file, runs| spawn(programs, file, runs), terminal)
}

/// What another process made of a scenario.
struct Other {
    code: Option<i32>,
    trace: Vec<u8>,
    report: String,
}

/// Runs a scenario in two other processes, at the same time.
type Spawn<'s> = &'s dyn Fn(&Path, &Runs) -> anyhow::Result<[Other; 2]>;

fn spawn(programs: [&Path; 2], file: &Path, runs: &Runs) -> anyhow::Result<[Other; 2]> {
    let start = |program: &Path| {
        Command::new(program)
            .args(["run", "--trace", "-", "--layer", &runs.layer.to_string(), "--seed", &runs.seed.to_string(), "--"])
            .arg(file)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))
    };
    let finish = |process: Child| -> anyhow::Result<Other> {
        let output = process.wait_with_output().context("cannot read what another process says")?;
        let report = String::from_utf8_lossy(&output.stderr).into_owned();
        Ok(Other { code: output.status.code(), trace: output.stdout, report })
    };
    let (one, other) = (start(programs[0])?, start(programs[1])?);
    // The other one waits with what does not fit into its pipe until the first has been read.
    Ok([finish(one)?, finish(other)?])
}

fn check_files(
    check: &Check,
    spawn: Spawn<'_>,
    terminal: &mut Terminal<impl Write, impl Write>,
) -> anyhow::Result<Verdict> {
    let mut worst = Verdict::Held;
    for file in &check.runs.files {
        let [one, other] = spawn(file, &check.runs)?;
        let verdict = match (one.code, other.code) {
            (Some(0 | 1), Some(0 | 1)) => check_traces(file, check, &one, &other, &mut terminal.out)?,
            (code, _) => {
                terminal.report.write_all(one.report.as_bytes())?;
                if other.report != one.report {
                    terminal.report.write_all(other.report.as_bytes())?;
                }
                // Without a code a signal ended it.
                if code == Some(2) { Verdict::BadUsage } else { Verdict::Violated }
            }
        };
        worst = worst.max(verdict);
    }
    Ok(worst)
}

fn check_traces(
    file: &Path,
    check: &Check,
    one: &Other,
    other: &Other,
    out: &mut impl Write,
) -> anyhow::Result<Verdict> {
    let Check { runs: Runs { layer, seed, .. }, with } = check;
    let name = file.display();
    if one.trace == other.trace && one.code == other.code {
        let is_held = one.code == Some(0);
        if is_held {
            writeln!(out, "same    {name} ({} bytes)", one.trace.len())?;
            return Ok(Verdict::Held);
        }
        writeln!(out, "failed  {name}: the same in two processes, but it does not hold with seed {seed}")?;
    } else {
        writeln!(out, "differs {name}: two processes with seed {seed} on the {layer} layer")?;
        let (one, other) = (String::from_utf8_lossy(&one.trace), String::from_utf8_lossy(&other.trace));
        let same = one.lines().zip(other.lines()).take_while(|(one, other)| one == other).count();
        let line = |trace: &str| trace.lines().nth(same).unwrap_or("the end of the trace").to_owned();
        writeln!(out, "  from line {} of the trace on:\n  one:   {}\n  other: {}", same + 1, line(&one), line(&other))?;
    }
    let with = with.as_deref().map(|with| format!(" --with {}", quoted(with))).unwrap_or_default();
    writeln!(out, "  to see it again:\n  lobbyd-sim check {} --layer {layer} --seed {seed}{with}", quoted(file))?;
    Ok(Verdict::Violated)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{runs, terminal, text};
    use super::*;

    fn checked(codes: [i32; 2], traces: [&str; 2]) -> (Verdict, String) {
        let mut terminal = terminal();
        let spawn = |_: &Path, _: &Runs| {
            let other = |index: usize| Other {
                code: Some(codes[index]),
                trace: traces[index].into(),
                report: "report\n".to_owned(),
            };
            Ok([other(0), other(1)])
        };
        let check = Check { runs: runs(&["a.scenario"]), with: Some("other build".into()) };
        let verdict = check_files(&check, &spawn, &mut terminal).expect("it ran");
        (verdict, text(terminal.out) + &text(terminal.report))
    }

    #[test]
    fn two_processes_must_write_the_same_trace() {
        assert_eq!(checked([0, 0], ["a\n", "a\n"]), (Verdict::Held, "same    a.scenario (2 bytes)\n".to_owned()));
        let (verdict, text) = checked([0, 0], ["a\nb\n", "a\nc\n"]);
        assert_eq!(verdict, Verdict::Violated);
        assert!(text.contains("from line 2 of the trace on:\n  one:   b\n  other: c\n"), "{text}");
        let again = "\n  lobbyd-sim check a.scenario --layer pure --seed 7 --with 'other build'\n";
        assert!(text.ends_with(again), "{text}");
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
}
