//! One measurement: a server is started, clients come in, do what the load says for a while, and leave.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use hdrhistogram::Histogram;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde::Serialize;

use super::figure::Figure;
use super::generator::{Counts, Faults, Generator, Record};
use super::load::{Drive, Load};
use super::options::Options;
use super::process::{Process, own_processor_time};
use super::processors::Processors;
use super::protocol::Protocol;
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
    let load = options.load(scenario);
    let server = Server::start(target, scenario, &load, options, processors)?;
    let outcome = match target {
        Target::Lobbyd { .. } | Target::Address(_) => drive(Lobbyd::new(&options.secret), &server, &load, options),
        Target::Floor { .. } => drive(Floor, &server, &load, options),
        Target::Redis => drive(Redis, &server, &load, options),
        Target::Nats => drive(Nats, &server, &load, options),
        Target::Mosquitto => drive(Mqtt, &server, &load, options),
        Target::Ngircd | Target::Inspircd => drive(Irc, &server, &load, options),
    };
    let outcome = outcome.map(|mut measurement| {
        if matches!(target, Target::Lobbyd { io_threads: Some(_), .. }) {
            measurement.figures.extend(server.waited_share().map(|share| (Figure::EngineWait, share)));
        }
        measurement
    });
    outcome.map_err(|error| {
        let words = server.last_words();
        if words.is_empty() { error } else { anyhow::anyhow!("{error:#}{words}") }
    })
}

fn drive<P: Protocol>(protocol: P, server: &Server, load: &Load, options: &Options) -> anyhow::Result<Measurement> {
    let connections = load.connections() as usize;
    let mut generator = Generator::new(protocol, server.address, load, |number| options.user(number))?;
    let mut figures = BTreeMap::new();
    let resident = || server.process.map(|process| process.resident_bytes()).transpose();
    let set = |figures: &mut BTreeMap<Figure, f64>, figure, value: Option<f64>| {
        figures.extend(value.map(|value| (figure, value)));
    };

    set(&mut figures, Figure::ResidentBefore, resident()?.map(|bytes| bytes as f64));
    let first = FIRST_CLIENTS.min(connections / 2);
    generator.join(first)?;
    generator.go_on(SETTLE, Record::Nothing)?;
    let with_first = resident()?;
    generator.join(connections)?;
    generator.go_on(SETTLE, Record::Nothing)?;
    if load.drive == Drive::Silence
        && let (Some(before), Some(after)) = (with_first, resident()?)
    {
        let bytes = (after as f64 - before as f64) / (connections - first) as f64;
        figures.insert(Figure::BytesPerConnection, bytes);
    }

    generator.begin()?;
    generator.go_on(WARM_UP_MAX.min(options.duration / 2), Record::Nothing)?;
    let mut spent = Spent::default();
    let parts = if load.storm.is_some() { STORMS } else { 2 };
    let mut resident_half = None;
    for part in 0..parts {
        if load.storm.is_some() {
            generator.go_on(options.duration / parts, Record::Calm)?;
            generator.begin_storm()?;
            generator.go_on(STORM_SETTLE, Record::Nothing)?;
        }
        spent.add(server.process, || generator.go_on(options.duration / parts, Record::Everything))?;
        if load.storm.is_some() {
            generator.end_storm();
            generator.go_on(STORM_SETTLE, Record::Nothing)?;
        }
        if part == parts / 2 - 1 {
            resident_half = resident()?;
        }
    }
    let Spent { seconds, costs } = spent;
    let resident_after = resident()?;
    let counts = generator.tally().counted();
    let latency = generator.tally().latency().clone();
    let lateness = generator.tally().lateness().clone();
    let calm = generator.tally().calm().clone();
    let faults = generator.end()?;

    set(&mut figures, Figure::ResidentAfter, resident_after.map(|bytes| bytes as f64));
    let growth = resident_after.zip(resident_half).map(|(after, half)| after as f64 - half as f64);
    set(&mut figures, Figure::ResidentGrowth, growth);
    figures.insert(Figure::GeneratorLoad, costs.generator / seconds);
    set(&mut figures, Figure::ServerLoad, costs.server.map(|server| server / seconds));
    if counts.deliveries > 0 {
        let deliveries = counts.deliveries as f64;
        figures.insert(Figure::DeliveriesPerSecond, deliveries / seconds);
        set(&mut figures, Figure::MicrosecondsPerDelivery, costs.server.map(|server| server * 1e6 / deliveries));
    }
    if load.storm.is_some() {
        // What chat costs cannot be told from what logins cost.
        figures.remove(&Figure::MicrosecondsPerDelivery);
        figures.insert(Figure::LoginsPerSecond, counts.logins as f64 / seconds);
    }
    if load.drive == Drive::Hop {
        figures.insert(Figure::EntriesPerSecond, counts.entries as f64 / seconds);
    }
    if load.drive == Drive::Reconnect {
        figures.insert(Figure::ConnectsPerSecond, counts.connects as f64 / seconds);
    }
    if load.sleepers_per_room > 0 {
        figures.insert(Figure::SleepersClosed, faults.sleepers_closed as f64);
    }
    if !latency.is_empty() {
        let at = |share| microseconds(latency.value_at_quantile(share));
        figures.insert(Figure::LatencyP50, at(0.5));
        figures.insert(Figure::LatencyP90, at(0.9));
        figures.insert(Figure::LatencyP99, at(0.99));
        figures.insert(Figure::LatencyP999, at(0.999));
        figures.insert(Figure::LatencyMax, microseconds(latency.max()));
        figures.insert(Figure::GeneratorLateness, microseconds(lateness.value_at_quantile(0.99)));
    }
    if !calm.is_empty() {
        let at = |histogram: &Histogram<u64>, share| microseconds(histogram.value_at_quantile(share));
        figures.insert(Figure::CalmP50, at(&calm, 0.5));
        figures.insert(Figure::CalmP99, at(&calm, 0.99));
        figures.insert(Figure::StormRatio, at(&latency, 0.99) / at(&calm, 0.99));
    }
    Ok(Measurement { seconds, counts, faults, figures, latency: curve(&latency) })
}

/// What the measured times took together.
#[derive(Default)]
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
