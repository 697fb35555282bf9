//! One measurement: a server is started, clients come in, do what the load says for a while, and leave.

use std::collections::BTreeMap;
use std::mem;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use hdrhistogram::Histogram;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde::Serialize;

use super::figure::Figure;
use super::generator::{Counts, Drives, Faults, Record, drives};
use super::load::{Drive, Load};
use super::options::Options;
use super::process::{Process, own_processor_time};
use super::processors::Processors;
use super::protocol::floor::Floor;
use super::protocol::irc::Irc;
use super::protocol::lobbyd::Lobbyd;
use super::protocol::mqtt::Mqtt;
use super::protocol::nats::Nats;
use super::protocol::redis::Redis;
use super::scenario::Scenario;
use super::server::Server;
use super::target::Target;

/// Files that a bench opens besides connections.
const OTHER_FILES: u64 = 64;
/// The time that does not count, at most.
const WARM_UP_MAX: Duration = Duration::from_secs(1);
/// Nothing is said for so long before memory is looked at.
const SETTLE: Duration = Duration::from_millis(300);
/// A storm comes and goes so often in a measurement, so that both times have the same share of what a machine does
/// besides.
const STORMS: u32 = 4;
/// So long after a storm has begun or ended nothing is measured.
const STORM_SETTLE: Duration = Duration::from_millis(150);
/// So many clients come in before the memory that others add is counted: what the first ones cost is the code that they
/// are the first to run.
const FIRST_CLIENTS: usize = 100;
/// Points of the latency curve for each doubling of the distance to 100 %.
const POINTS_PER_HALVING: u32 = 4;

/// What means nothing of servers that are asked in turns: what is under way at the end of a turn is done in that of
/// another, whose time it takes.
const BY_OWN_TIME: [Figure; 2] = [Figure::DeliveriesPerSecond, Figure::ServerLoad];

/// What one measurement gave.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Measurement {
    /// How long it was, in seconds.
    pub seconds: f64,
    /// What was counted in that time.
    pub counts: Counts,
    /// What was lost or out of order, from the first message to the last.
    pub faults: Faults,
    /// What was measured.
    pub figures: BTreeMap<Figure, f64>,
    /// The latency curve, where messages came on a schedule.
    pub latency: Vec<Percentile>,
}

/// A point of a latency curve.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Percentile {
    /// The share that was as fast or faster, 0 to 1.
    pub share: f64,
    /// Microseconds.
    pub microseconds: f64,
}

/// Makes sure that so many connections may be open at a time, here and in a server that is started.
pub(super) fn allow_files(connections: u32) -> anyhow::Result<()> {
    let needed = u64::from(connections) + OTHER_FILES;
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).context("the limit of open files is not known")?;
    if soft < hard {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard).context("the limit of open files cannot be raised")?;
    }
    ensure!(
        hard >= needed,
        "{connections} connections need {needed} open files, and this process may have {hard}: raise the limit (ulimit \
         -Hn, LimitNOFILE) or give fewer clients with --clients"
    );
    Ok(())
}

/// Measures one scenario against one server.
pub(super) fn measure(
    scenario: Scenario,
    target: &Target,
    options: &Options,
    processors: Processors,
) -> anyhow::Result<Measurement> {
    let mut trial = Trial::open(scenario, target, options, processors)?;
    let outcome = trial.run(options.duration);
    outcome.map_err(|error| trial.explained(error))
}

/// Measures one scenario against servers that all run at the same time, and are asked in turns: what else the machine does
/// meanwhile is the same for all.
pub(super) fn measure_in_turns(
    scenario: Scenario,
    targets: &[&Target],
    options: &Options,
    processors: Processors,
    turn: Duration,
) -> Vec<anyhow::Result<Measurement>> {
    let open = |target: &&Target| {
        let mut trial = Trial::open(scenario, target, options, processors)?;
        let begun = trial.begin(options.duration);
        begun.map_err(|error| trial.explained(error)).map(|()| trial)
    };
    let mut trials: Vec<anyhow::Result<Trial>> = targets.iter().map(open).collect();
    // What is under way when a turn ends is seen to in the next ones: only the whole says what a server costs.
    let costs = |trial: &anyhow::Result<Trial>| trial.as_ref().ok().and_then(|trial| Costs::now(trial.process()).ok());
    let before: Vec<_> = trials.iter().map(costs).collect();
    // As many as it takes, all of the same length, together as long as was asked.
    let turns = (options.duration.as_secs_f64() / turn.as_secs_f64()).ceil().max(1.0);
    let turn = options.duration.div_f64(turns);
    for _ in 0..turns as u32 {
        for trial in &mut trials {
            if let Ok(open) = trial
                && let Err(error) = open.go_on(turn)
            {
                *trial = Err(open.explained(error));
            }
        }
    }
    let after: Vec<_> = trials.iter().map(costs).collect();
    let end = |((trial, before), after): ((anyhow::Result<Trial>, Option<Costs>), Option<Costs>)| {
        let mut trial = trial?;
        if let Some((before, after)) = before.zip(after) {
            trial.spent.costs.server = after.server.zip(before.server).map(|(after, before)| after - before);
        }
        let outcome = trial.finish();
        let mut measurement = outcome.map_err(|error| trial.explained(error))?;
        measurement.figures.retain(|figure, _| !BY_OWN_TIME.contains(figure));
        Ok(measurement)
    };
    trials.into_iter().zip(before).zip(after).map(end).collect()
}

/// Why such a load cannot be asked of servers in turns, if so.
pub(super) fn unfit_for_turns(load: &Load) -> Option<&'static str> {
    match load.drive {
        Drive::UnderWay(_) if load.sleepers_per_room == 0 && load.storm.is_none() => None,
        Drive::Paced(_) => Some("its messages come on a schedule, which does not wait for a turn"),
        Drive::UnderWay(_) | Drive::Silence | Drive::Hop | Drive::Reconnect => {
            Some("turns are for loads in which every client keeps messages under way")
        }
    }
}

/// A server that is being measured, and its clients.
struct Trial {
    /// Gone before the server.
    generator: Box<dyn Drives>,
    server: Server,
    load: Load,
    figures: BTreeMap<Figure, f64>,
    spent: Spent,
    /// Memory in the middle of the measurement.
    resident_half: Option<u64>,
    /// Whether it is to be asked how long its threads have waited for each other.
    is_spread: bool,
}

impl Trial {
    /// Starts the server. Nobody is connected yet.
    fn open(scenario: Scenario, target: &Target, options: &Options, processors: Processors) -> anyhow::Result<Self> {
        let load = options.load(scenario);
        let server = Server::start(target, scenario, &load, options, processors)?;
        let address = server.address;
        let generator = match target {
            Target::Lobbyd { .. } | Target::Address(_) => drives(Lobbyd::new(&options.secret), address, &load, options),
            Target::Floor { .. } => drives(Floor, address, &load, options),
            Target::Redis => drives(Redis, address, &load, options),
            Target::Nats => drives(Nats, address, &load, options),
            Target::Mosquitto => drives(Mqtt, address, &load, options),
            Target::Ngircd | Target::Inspircd => drives(Irc, address, &load, options),
        }?;
        Ok(Self {
            generator,
            server,
            load,
            figures: BTreeMap::new(),
            spent: Spent::default(),
            resident_half: None,
            is_spread: matches!(target, Target::Lobbyd { io_threads: Some(_), .. }),
        })
    }

    /// Everything, for so long.
    fn run(&mut self, duration: Duration) -> anyhow::Result<Measurement> {
        self.begin(duration)?;
        let parts = if self.load.storm.is_some() { STORMS } else { 2 };
        for part in 0..parts {
            if self.load.storm.is_some() {
                self.generator.go_on(duration / parts, Record::Calm)?;
                self.generator.begin_storm()?;
                self.generator.go_on(STORM_SETTLE, Record::Nothing)?;
            }
            self.go_on(duration / parts)?;
            if self.load.storm.is_some() {
                self.generator.end_storm();
                self.generator.go_on(STORM_SETTLE, Record::Nothing)?;
            }
            if part == parts / 2 - 1 {
                self.resident_half = self.resident()?;
            }
        }
        self.finish()
    }

    /// Brings the clients in, and lets them do what the load says for a while that does not count.
    fn begin(&mut self, duration: Duration) -> anyhow::Result<()> {
        let connections = self.load.connections() as usize;
        let before = self.resident()?;
        self.set(Figure::ResidentBefore, before.map(|bytes| bytes as f64));
        let first = FIRST_CLIENTS.min(connections / 2);
        self.generator.join(first)?;
        self.generator.go_on(SETTLE, Record::Nothing)?;
        let with_first = self.resident()?;
        self.generator.join(connections)?;
        self.generator.go_on(SETTLE, Record::Nothing)?;
        if self.load.drive == Drive::Silence
            && let (Some(before), Some(after)) = (with_first, self.resident()?)
        {
            let bytes = (after as f64 - before as f64) / (connections - first) as f64;
            self.figures.insert(Figure::BytesPerConnection, bytes);
        }
        self.generator.begin()?;
        self.generator.go_on(WARM_UP_MAX.min(duration / 2), Record::Nothing)
    }

    /// Measures for so long.
    fn go_on(&mut self, duration: Duration) -> anyhow::Result<()> {
        let Self { server, generator, spent, .. } = self;
        spent.add(server.process, || generator.go_on(duration, Record::Everything))
    }

    /// Ends the load, and says what was found.
    fn finish(&mut self) -> anyhow::Result<Measurement> {
        let Spent { seconds, costs } = self.spent;
        let resident_after = self.resident()?;
        let tally = self.generator.tally();
        let counts = tally.counted();
        let (latency, lateness, calm) = (tally.latency().clone(), tally.lateness().clone(), tally.calm().clone());
        let faults = self.generator.end()?;

        self.set(Figure::ResidentAfter, resident_after.map(|bytes| bytes as f64));
        let growth = resident_after.zip(self.resident_half).map(|(after, half)| after as f64 - half as f64);
        self.set(Figure::ResidentGrowth, growth);
        self.set(Figure::ServerLoad, costs.server.map(|server| server / seconds));
        let figures = &mut self.figures;
        figures.insert(Figure::GeneratorLoad, costs.generator / seconds);
        if counts.deliveries > 0 {
            let deliveries = counts.deliveries as f64;
            figures.insert(Figure::DeliveriesPerSecond, deliveries / seconds);
            let each = costs.server.map(|server| server * 1e6 / deliveries);
            figures.extend(each.map(|each| (Figure::MicrosecondsPerDelivery, each)));
        }
        if self.load.storm.is_some() {
            // What chat costs cannot be told from what logins cost.
            figures.remove(&Figure::MicrosecondsPerDelivery);
            figures.insert(Figure::LoginsPerSecond, counts.logins as f64 / seconds);
        }
        if self.load.drive == Drive::Hop {
            figures.insert(Figure::EntriesPerSecond, counts.entries as f64 / seconds);
        }
        if self.load.drive == Drive::Reconnect {
            figures.insert(Figure::ConnectsPerSecond, counts.connects as f64 / seconds);
        }
        if self.load.sleepers_per_room > 0 {
            figures.insert(Figure::SleepersClosed, faults.sleepers_closed as f64);
        }
        let at = |histogram: &Histogram<u64>, share| microseconds(histogram.value_at_quantile(share));
        if !latency.is_empty() {
            figures.insert(Figure::LatencyP50, at(&latency, 0.5));
            figures.insert(Figure::LatencyP90, at(&latency, 0.9));
            figures.insert(Figure::LatencyP99, at(&latency, 0.99));
            figures.insert(Figure::LatencyP999, at(&latency, 0.999));
            figures.insert(Figure::LatencyMax, microseconds(latency.max()));
            figures.insert(Figure::GeneratorLateness, at(&lateness, 0.99));
        }
        if !calm.is_empty() {
            figures.insert(Figure::CalmP50, at(&calm, 0.5));
            figures.insert(Figure::CalmP99, at(&calm, 0.99));
            figures.insert(Figure::StormRatio, at(&latency, 0.99) / at(&calm, 0.99));
        }
        if self.is_spread {
            self.set(Figure::EngineWait, self.server.waited_share());
        }
        Ok(Measurement { seconds, counts, faults, figures: mem::take(&mut self.figures), latency: curve(&latency) })
    }

    /// What has failed, with what the server said last.
    fn explained(&self, error: anyhow::Error) -> anyhow::Error {
        let words = self.server.last_words();
        if words.is_empty() { error } else { anyhow::anyhow!("{error:#}{words}") }
    }

    fn process(&self) -> Option<Process> {
        self.server.process
    }

    fn resident(&self) -> anyhow::Result<Option<u64>> {
        self.process().map(|process| process.resident_bytes()).transpose()
    }

    fn set(&mut self, figure: Figure, value: Option<f64>) {
        self.figures.extend(value.map(|value| (figure, value)));
    }
}

/// What the measured times took together.
#[derive(Clone, Copy, Default)]
struct Spent {
    seconds: f64,
    costs: Costs,
}

impl Spent {
    /// Adds what `part` takes.
    fn add(&mut self, server: Option<Process>, part: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<()> {
        let (costs, began) = (Costs::now(server)?, Instant::now());
        part()?;
        self.seconds += began.elapsed().as_secs_f64();
        self.costs.add(Costs::now(server)?, costs);
        Ok(())
    }
}

/// Processor time in seconds.
#[derive(Clone, Copy, Default)]
struct Costs {
    server: Option<f64>,
    generator: f64,
}

impl Costs {
    fn now(process: Option<Process>) -> anyhow::Result<Self> {
        let server = process.map(|process| process.processor_time()).transpose()?;
        Ok(Self { server: server.map(|time| time.as_secs_f64()), generator: own_processor_time().as_secs_f64() })
    }

    /// Adds what lies between two moments.
    fn add(&mut self, now: Self, before: Self) {
        if let Some((now, before)) = now.server.zip(before.server) {
            self.server = Some(self.server.unwrap_or_default() + now - before);
        }
        self.generator += now.generator - before.generator;
    }
}

fn microseconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1000.0
}

fn curve(latency: &Histogram<u64>) -> Vec<Percentile> {
    latency
        .iter_quantiles(POINTS_PER_HALVING)
        .map(|point| Percentile { share: point.quantile(), microseconds: microseconds(point.value_iterated_to()) })
        .collect()
}
