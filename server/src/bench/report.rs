//! What a bench gives: every measurement, and from the rounds of each server medians, spreads and ratios.

use std::collections::BTreeMap;

use serde::Serialize;

use super::figure::Figure;
use super::machine::Machine;
use super::measure::Measurement;
use super::options::Options;

/// A generator that is busier than this may be what is measured.
const GENERATOR_LOAD_MAX: f64 = 0.9;

/// What a bench gives.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// The machine, and what ran on it.
    pub machine: Machine,
    /// Seconds of a measurement.
    pub seconds: f64,
    /// Seconds of a turn, where all servers of a round ran at the same time.
    pub turn_seconds: Option<f64>,
    /// Settings that lobbyd was started with, besides those of the bench itself.
    pub settings: Vec<(String, String)>,
    /// One for each scenario.
    pub scenarios: Vec<ScenarioReport>,
}

/// What a scenario gave.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ScenarioReport {
    /// Its name.
    pub name: &'static str,
    /// What it asks of a server.
    pub about: &'static str,
    /// Clients in rooms.
    pub clients: u32,
    /// Rooms.
    pub rooms: usize,
    /// Bytes of a text.
    pub text_bytes: usize,
    /// Where the users of lobbyd are.
    pub accounts: &'static str,
    /// One for each server; the others are compared with the first.
    pub targets: Vec<TargetReport>,
}

/// What a scenario gave for one server.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct TargetReport {
    /// The server's name.
    pub name: String,
    /// One for each round in which it could be measured.
    pub rounds: Vec<Measurement>,
    /// By round, what failed, or why nothing was measured.
    pub failures: Vec<String>,
    /// Over the rounds.
    pub figures: BTreeMap<Figure, Spread>,
    /// The first server's value by this one's, round by round: below 1 the first one has less.
    pub ratios: BTreeMap<Figure, Spread>,
}

/// A value over rounds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Spread {
    /// The one in the middle; of an even number the mean of the two there.
    pub median: f64,
    /// The least.
    pub min: f64,
    /// The greatest.
    pub max: f64,
}

impl Spread {
    /// Of one value at least.
    #[must_use]
    pub fn of(values: &[f64]) -> Option<Self> {
        let mut values = values.to_vec();
        values.sort_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let middle = values.len() / 2;
        let median =
            if values.len().is_multiple_of(2) { (values[middle - 1] + values[middle]) / 2.0 } else { values[middle] };
        Some(Self { median, min, max })
    }
}

impl Report {
    pub(super) fn new(machine: Machine, options: &Options) -> Self {
        let targets = options.targets.iter().map(|target| TargetReport {
            name: target.to_string(),
            rounds: Vec::new(),
            failures: Vec::new(),
            figures: BTreeMap::new(),
            ratios: BTreeMap::new(),
        });
        let targets: Vec<TargetReport> = targets.collect();
        let scenarios = options.scenarios.iter().map(|scenario| {
            let load = options.load(*scenario);
            ScenarioReport {
                name: scenario.name(),
                about: scenario.about(),
                clients: load.clients,
                rooms: load.rooms.sizes(load.clients).len(),
                text_bytes: load.text_bytes,
                accounts: scenario.accounts().about(),
                targets: targets.clone(),
            }
        });
        let (seconds, settings) = (options.duration.as_secs_f64(), options.settings.clone());
        let turn_seconds = options.turn.map(|turn| turn.as_secs_f64());
        Self { machine, seconds, turn_seconds, settings, scenarios: scenarios.collect() }
    }

    /// Adds what one server gave in one round of a scenario.
    pub(super) fn add(&mut self, scenario: usize, target: usize, outcome: Result<Measurement, String>) {
        let scenario = &mut self.scenarios[scenario];
        match outcome {
            Ok(measurement) => scenario.targets[target].rounds.push(measurement),
            Err(text) if scenario.targets[target].failures.contains(&text) => {}
            Err(text) => scenario.targets[target].failures.push(text),
        }
        scenario.summarise();
    }

    /// Whether the first server, the one that is to be judged, did everything it was asked: nothing failed, nothing was
    /// lost, everything came in order.
    #[must_use]
    pub fn is_fine(&self) -> bool {
        let judged = self.scenarios.iter().filter_map(|scenario| scenario.targets.first());
        judged.flat_map(|target| &target.rounds).all(|round| round.faults.is_fine())
            && self
                .scenarios
                .iter()
                .filter_map(|scenario| scenario.targets.first())
                .all(|first| first.failures.is_empty())
    }

    /// The report as JSON, for programs.
    #[must_use]
    pub fn json(&self) -> String {
        // Keys are names and numbers are finite by construction; what could not be written is said in its place.
        let text = serde_json::to_string_pretty(self).unwrap_or_else(|error| format!("\"{error}\""));
        text + "\n"
    }
}

impl ScenarioReport {
    fn summarise(&mut self) {
        let Some(first) = self.targets.first().map(|target| target.rounds.clone()) else {
            return;
        };
        for (place, target) in self.targets.iter_mut().enumerate() {
            let mut figures: BTreeMap<Figure, Vec<f64>> = BTreeMap::new();
            for (figure, value) in target.rounds.iter().flat_map(|round| &round.figures) {
                figures.entry(*figure).or_default().push(*value);
            }
            target.figures = spreads(&figures);
            if place == 0 {
                continue;
            }
            let mut ratios: BTreeMap<Figure, Vec<f64>> = BTreeMap::new();
            // A server that failed in a round has fewer of them; then the pairs are not of one moment.
            for (ours, theirs) in first.iter().zip(&target.rounds) {
                for (figure, ours) in ours.figures.iter().filter(|(figure, _)| figure.is_compared()) {
                    if let Some(theirs) = theirs.figures.get(figure).filter(|theirs| **theirs > 0.0) {
                        ratios.entry(*figure).or_default().push(ours / theirs);
                    }
                }
            }
            target.ratios = spreads(&ratios);
        }
    }

    /// What a reader has to know before trusting the figures.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        for target in &self.targets {
            let name = &target.name;
            warnings.extend(target.failures.iter().map(|failure| format!("{name}: {failure}")));
            let load = target.figures.get(&Figure::GeneratorLoad).map_or(0.0, |load| load.max);
            let server_load = target.figures.get(&Figure::ServerLoad).map_or(0.0, |load| load.median);
            if load > GENERATOR_LOAD_MAX && server_load < load {
                warnings.push(format!(
                    "{name}: the generator was busy {:.0} % of the time: the server may do more than is shown",
                    100.0 * load
                ));
            }
            for (round, measurement) in (1..).zip(&target.rounds) {
                let faults = measurement.faults;
                if !faults.is_fine() {
                    warnings.push(format!(
                        "{name}, round {round}: {} deliveries lost, {} repeated or late in their order, {} faults in the \
                         numbers of changes, {} strange texts",
                        faults.lost, faults.repeated, faults.sequence, faults.strange
                    ));
                }
            }
        }
        warnings
    }

    /// The figures that any server has, in their order.
    #[must_use]
    pub fn figures(&self) -> Vec<Figure> {
        let mut figures: Vec<Figure> = self.targets.iter().flat_map(|target| target.figures.keys().copied()).collect();
        figures.sort_unstable();
        figures.dedup();
        figures
    }
}

fn spreads(values: &BTreeMap<Figure, Vec<f64>>) -> BTreeMap<Figure, Spread> {
    values.iter().filter_map(|(figure, values)| Some((*figure, Spread::of(values)?))).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::bench::generator::{Counts, Faults};
    use crate::bench::measure::Percentile;
    use crate::bench::processors::Processors;
    use crate::bench::{Scenario, Target};

    fn measurement(per_second: f64, microseconds: f64) -> Measurement {
        Measurement {
            seconds: 1.0,
            counts: Counts::default(),
            faults: Faults::default(),
            figures: [
                (Figure::DeliveriesPerSecond, per_second),
                (Figure::MicrosecondsPerDelivery, microseconds),
                (Figure::GeneratorLoad, 0.5),
            ]
            .into(),
            latency: [0.5, 0.9, 0.99, 1.0]
                .map(|share| Percentile { share, microseconds: 100.0 + 1000.0 * share })
                .to_vec(),
        }
    }

    /// A report of three rounds of two servers, the second of which fails once.
    pub(in crate::bench) fn sample() -> Report {
        let options = Options {
            scenarios: vec![Scenario::Paced],
            targets: vec![Target::Address(([127, 0, 0, 1], 7400).into()), Target::Redis],
            ..Options::default()
        };
        let mut report = Report::new(Machine::look(&[], Processors::Shared), &options);
        for (ours, theirs) in [(1.0, 2.0), (3.0, 4.0), (2.0, 8.0)] {
            report.add(0, 0, Ok(measurement(1000.0 * ours, ours)));
            report.add(0, 1, Ok(measurement(1000.0, theirs)));
        }
        report.add(0, 1, Err("it <ended>".to_owned()));
        report
    }

    #[test]
    fn ratios_are_of_pairs_and_not_of_medians() {
        let report = sample();
        let [ours, theirs] = &report.scenarios[0].targets[..] else { panic!("two servers") };
        let figure = Figure::MicrosecondsPerDelivery;
        assert_eq!(ours.figures[&figure], Spread { median: 2.0, min: 1.0, max: 3.0 });
        assert_eq!(theirs.ratios[&figure], Spread { median: 0.5, min: 0.25, max: 0.75 });
        assert!(ours.ratios.is_empty());
        assert_eq!(Spread::of(&[1.0, 4.0]), Some(Spread { median: 2.5, min: 1.0, max: 4.0 }));
        assert_eq!(Spread::of(&[]), None);
    }

    #[test]
    fn faults_failures_and_a_busy_generator_are_told() {
        let mut report = sample();
        // Only the first server is judged.
        assert!(report.is_fine());
        assert_eq!(report.scenarios[0].warnings(), ["redis: it <ended>"]);
        let mut busy = measurement(1.0, 1.0);
        busy.figures.insert(Figure::GeneratorLoad, 0.95);
        busy.faults.lost = 7;
        report.add(0, 0, Ok(busy));
        assert!(!report.is_fine());
        let warnings = report.scenarios[0].warnings().join("\n");
        assert!(warnings.contains("busy 95 %") && warnings.contains("round 4: 7 deliveries lost"), "{warnings}");
    }
}
