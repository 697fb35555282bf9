//! How long things take in a scenario, where that may not become less.
//!
//! A reference that runs on another layer takes other times for the same things: when an answer comes, when a connection
//! stands again. What it says of a scenario holds elsewhere as long as the scenario leaves the time for it that its
//! author has left.

use std::collections::BTreeMap;
use std::time::Duration;

use lobbyd_core::config::Config;

use super::parts::each_step;
use crate::scenario::{Event, Network, Scenario, Span, Step};

/// The times of a scenario whose steps have lines of their own.
pub(super) struct Times {
    steps: BTreeMap<u32, (Vec<Duration>, Duration)>,
    network: Network,
    config: Config,
}

impl Times {
    pub(super) fn of(whole: &Scenario) -> Self {
        let mut steps = BTreeMap::new();
        each_step(&whole.steps, &mut |step| {
            steps.insert(step.line, (durations(step), step.within));
        });
        Self { steps, network: whole.setup.network.clone(), config: without_rooms(&whole.setup.config) }
    }

    /// Whether a candidate has no less time for anything that is left in it.
    pub(super) fn are_kept(&self, candidate: &Scenario) -> bool {
        let mut are_kept = self.network.latency == candidate.setup.network.latency
            && self.config == without_rooms(&candidate.setup.config);
        each_step(&candidate.steps, &mut |step| {
            let Some((before, within)) = self.steps.get(&step.line) else { return };
            let now = durations(step);
            are_kept &= now.len() == before.len() && now.iter().zip(before).all(|(now, before)| now >= before);
            are_kept &= step.expects.is_empty() || step.within >= *within;
        });
        are_kept
    }
}

fn without_rooms(config: &Config) -> Config {
    Config { fixed_rooms: Vec::new(), ..config.clone() }
}

/// The times that a step says, its parts' left aside.
fn durations(step: &Step) -> Vec<Duration> {
    match &step.event {
        Event::Advance(time) => vec![*time],
        Event::Fault(fault) => fault.span().map(Span::times).unwrap_or_default(),
        Event::Client { .. } | Event::Together(_) | Event::Wait | Event::Check { .. } => Vec::new(),
    }
}
