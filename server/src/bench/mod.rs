//! `lobbyd bench`: how fast lobbyd is, beside the least that any server must do (the floor) and beside other servers.
//!
//! ```text
//! Options ─ for each scenario, round, server ─▶ Server (a process) ◀─ sockets ─▶ Generator ─▶ Measurement ─▶ Report
//! ```
//!
//! What is counted is counted at the receivers, and what is lost or out of order makes a measurement fail. Rounds are
//! interleaved: within one, the servers follow each other, so that a ratio compares moments that were close. Where
//! latency is measured the load is *open*: messages are sent on a schedule that does not wait for the server, and their
//! time runs from when they were due (Gil Tene, "How not to measure latency").
//!
//! As a library: [`run`] with [`Options`] gives a [`Report`].

mod figure;
mod floor;
mod generator;
mod html;
mod load;
mod machine;
mod markdown;
mod measure;
mod options;
mod process;
mod processors;
mod protocol;
mod report;
mod scenario;
mod server;
mod stamp;
mod svg;
mod target;
mod text;

use std::ops::ControlFlow;

use anyhow::ensure;

pub use self::figure::Figure;
pub use self::floor::serve as serve_floor;
pub use self::generator::{Counts, Faults};
pub use self::html::html;
pub use self::load::{Drive, Load, Rooms, Storm};
pub use self::machine::Machine;
pub use self::markdown::markdown;
pub use self::measure::{Measurement, Percentile};
pub use self::options::Options;
pub use self::report::{Report, ScenarioReport, Spread, TargetReport};
pub use self::scenario::{Accounts, Scenario};
pub use self::target::Target;
pub use self::text::text;

use self::measure::{measure, measure_in_turns, unfit_for_turns};
use self::processors::Processors;

/// The hidden command of the program that serves as the floor.
pub const FLOOR_COMMAND: &str = "bench-floor";

/// What a bench is at.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// What is measured now: scenario, server, round.
    pub step: String,
    /// Measurements that are done.
    pub done: usize,
    /// All measurements.
    pub all: usize,
}

/// Runs a bench: every scenario, in each round against every server. `watch` is told before and after each measurement,
/// and may end the bench: the report then has what was measured before that one.
///
/// A server that fails does not end the bench: its measurement says why.
///
/// ```no_run
/// use std::ops::ControlFlow;
/// use std::time::Duration;
///
/// use lobbyd::bench::{Options, Scenario, Target, run, text};
///
/// # fn main() -> anyhow::Result<()> {
/// // 200 clients say 1,000 messages a second among them, for five seconds, on a server that is started for it.
/// let options = Options {
///     scenarios: vec![Scenario::Paced],
///     targets: vec![Target::Lobbyd { name: "lobbyd".to_owned(), program: "lobbyd".into(), io_threads: None }],
///     clients: Some(200),
///     messages: Some(1_000),
///     duration: Duration::from_secs(5),
///     ..Options::default()
/// };
/// println!("{}", text(&run(&options, |_| ControlFlow::Continue(()))?));
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// When there is nothing to do, a turn takes no time, or this process may not open as many files as the load has connections.
pub fn run(options: &Options, mut watch: impl FnMut(&Progress) -> ControlFlow<()>) -> anyhow::Result<Report> {
    ensure!(!options.targets.is_empty() && !options.scenarios.is_empty(), "there is nothing to measure");
    ensure!(options.rounds > 0 && !options.duration.is_zero(), "a bench takes one round and some time at least");
    ensure!(options.turn.is_none_or(|turn| !turn.is_zero()), "a turn takes some time");
    let at_a_time = if options.turn.is_some() { options.targets.len() as u32 } else { 1 };
    for scenario in &options.scenarios {
        let load = options.load(*scenario);
        let connections = load.connections();
        ensure!(connections > 0, "a bench takes one client at least");
        if options.turn.is_some() && unfit_for_turns(&load).is_some() {
            continue;
        }
        measure::allow_files(connections.saturating_mul(at_a_time))?;
    }
    let processors = Processors::choose();
    let machine = Machine::look(&options.targets, processors);
    let mut report = Report::new(machine, options);
    processors.go_to_generator();

    let rounds = options.rounds as usize;
    let all = options.scenarios.len() * rounds * options.targets.len();
    let mut done = 0;
    for (place, scenario) in options.scenarios.iter().enumerate() {
        for round in 0..rounds {
            // Whoever comes first in one round comes last in another, so that no place is better than the others.
            let order: Vec<_> = (0..options.targets.len()).map(|turn| (round + turn) % options.targets.len()).collect();
            for together in order.chunks(at_a_time as usize) {
                let names: Vec<_> = together.iter().map(|index| options.targets[*index].to_string()).collect();
                let step = format!("{} against {}, round {} of {rounds}", scenario.name(), names.join(", "), round + 1);
                if watch(&Progress { step: step.clone(), done, all }).is_break() {
                    return Ok(report);
                }
                let outcomes = outcomes(*scenario, together, options, processors);
                done += together.len();
                // Whoever ends a bench by a signal may have ended the server with it.
                if watch(&Progress { step, done, all }).is_break() {
                    return Ok(report);
                }
                for (index, outcome) in together.iter().zip(outcomes) {
                    report.add(place, *index, outcome);
                }
            }
        }
    }
    Ok(report)
}

/// Measures some of the servers, at the same time if there are turns; says of each why it could not be.
fn outcomes(
    scenario: Scenario,
    together: &[usize],
    options: &Options,
    processors: Processors,
) -> Vec<Result<Measurement, String>> {
    let targets: Vec<_> = together.iter().map(|index| &options.targets[*index]).collect();
    let unfit = |target: &Target| {
        let for_turns = || options.turn.and_then(|_| unfit_for_turns(&options.load(scenario)));
        scenario.unfit(target).or_else(for_turns)
    };
    let fit: Vec<_> = targets.iter().copied().filter(|target| unfit(target).is_none()).collect();
    let measured = match options.turn {
        Some(turn) => measure_in_turns(scenario, &fit, options, processors, turn),
        None => fit.iter().map(|target| measure(scenario, target, options, processors)).collect(),
    };
    let mut measured = measured.into_iter();
    let outcome = |target| match unfit(target) {
        Some(reason) => Err(format!("not measured: {reason}")),
        None => measured.next().expect("each that is fit is measured").map_err(|error| format!("{error:#}")),
    };
    targets.into_iter().map(outcome).collect()
}
