//! Makes a scenario that fails smaller, as long as it goes on failing.
//!
//! First whole parts are left out, the large ones first (clients, steps, faults, …), by delta debugging (Zeller and
//! Hildebrandt: *Simplifying and Isolating Failure-Inducing Input*, 2002); then values become simpler; and all of it again
//! until nothing gives any more. What depended on a part that is gone goes with it, so that every candidate can be
//! written down, and read again.
//!
//! What failing means is the caller's. A scenario that was written by hand expects what its author thought right, and
//! a smaller one may break the same expectation for want of what made it right: a [`Judge`] tells that apart.

mod judge;
mod links;
mod minimum;
mod needs;
mod parts;
mod times;
mod values;

use std::collections::BTreeSet;
use std::fmt;

pub use self::judge::{Clock, Judge, WorldOf};
use crate::scenario::{Event, Scenario, Step, print};
use crate::trace::Fnv;

/// How many smaller scenarios [`shrink`] tries at most.
pub const ATTEMPTS_MAX: u32 = 5_000;

/// The smallest scenario that could be found of which `fails` still says yes, as it does of `scenario` itself.
///
/// Tries [`ATTEMPTS_MAX`] scenarios at most. The same scenario and the same answers give the same result. `fails` is only
/// asked about scenarios that it was not asked about before, whose configuration is valid, and which can be written down
/// and read again if `scenario` can. `progress` is told about each that it said yes to.
pub fn shrink(
    scenario: &Scenario,
    fails: &mut dyn FnMut(&Scenario) -> bool,
    progress: &mut dyn FnMut(Progress),
) -> Scenario {
    shrink_within(ATTEMPTS_MAX, scenario, fails, progress)
}

/// As [`shrink`], with another bound on how many scenarios are tried.
pub fn shrink_within(
    attempts_max: u32,
    scenario: &Scenario,
    fails: &mut dyn FnMut(&Scenario) -> bool,
    progress: &mut dyn FnMut(Progress),
) -> Scenario {
    let mut shrinker = Shrinker {
        best: scenario.clone(),
        fails,
        progress,
        tried: BTreeSet::from([fingerprint(scenario)]),
        attempts: 0,
        attempts_max,
    };
    while shrinker.round() {}
    shrinker.best
}

/// How far it has come, said each time that the scenario has become smaller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// By what.
    pub pass: Pass,
    /// How many scenarios were tried.
    pub attempts: u32,
    /// How large the scenario is now.
    pub size: Size,
}

/// What is left out or made simpler. In the order in which it is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pass {
    /// Clients, with all that they do and all that is expected at them.
    Clients,
    /// Steps, with what is expected of them.
    Steps,
    /// Seams in a pause: steps that only let time pass and follow one another become one.
    Pauses,
    /// Fields of expected packets.
    Fields,
    /// Faults, with those that heal them.
    Faults,
    /// Daemons, with all that names them; or their clients go to another one. The last gets the usual name.
    Daemons,
    /// Parts of what happens together.
    Parts,
    /// Steps of one client, among those of the others.
    StepsOfClients,
    /// What is expected.
    Expectations,
    /// Two steps of one client that belong together.
    Pairs,
    /// Accounts.
    Accounts,
    /// Fixed rooms.
    Rooms,
    /// Settings, which get their defaults.
    Settings,
    /// Texts, numbers, durations, and how the network is.
    Values,
}

impl fmt::Display for Pass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Clients => "clients",
            Self::Steps => "steps",
            Self::Pauses => "pauses",
            Self::Fields => "fields",
            Self::Faults => "faults",
            Self::Daemons => "daemons",
            Self::Parts => "parts of together",
            Self::StepsOfClients => "steps of clients",
            Self::Expectations => "expectations",
            Self::Pairs => "pairs of steps",
            Self::Accounts => "accounts",
            Self::Rooms => "rooms",
            Self::Settings => "settings",
            Self::Values => "values",
        })
    }
}

/// How large a scenario is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size {
    /// Lines of the file, without its comments and empty lines.
    pub lines: usize,
    /// Steps, those of a `together` included.
    pub steps: usize,
    /// Clients.
    pub clients: usize,
}

impl Size {
    /// How large this one is.
    #[must_use]
    pub fn of(scenario: &Scenario) -> Self {
        let says = |line: &&str| !line.is_empty() && !line.starts_with('#');
        Self {
            lines: print(scenario).lines().filter(says).count(),
            steps: count_steps(&scenario.steps),
            clients: parts::clients(scenario).len(),
        }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { lines, steps, clients } = self;
        write!(f, "{lines} lines, {steps} steps, {clients} clients")
    }
}

fn count_steps(steps: &[Step]) -> usize {
    let count = |step: &Step| match &step.event {
        Event::Together(parts) => 1 + parts.len(),
        Event::Client { .. } | Event::Fault(_) | Event::Advance(_) | Event::Wait | Event::Check { .. } => 1,
    };
    steps.iter().map(count).sum()
}

/// The same for scenarios that are written alike.
fn fingerprint(scenario: &Scenario) -> u64 {
    let mut fingerprint = Fnv::new();
    fingerprint.eat(print(scenario).as_bytes());
    fingerprint.0
}

struct Shrinker<'s> {
    best: Scenario,
    fails: &'s mut dyn FnMut(&Scenario) -> bool,
    progress: &'s mut dyn FnMut(Progress),
    tried: BTreeSet<u64>,
    attempts: u32,
    attempts_max: u32,
}

impl Shrinker<'_> {
    /// Every pass once. Whether the scenario has become smaller by it.
    fn round(&mut self) -> bool {
        let before = fingerprint(&self.best);
        self.leave_out(Pass::Clients);
        self.leave_out(Pass::Steps);
        self.leave_out(Pass::Pauses);
        self.leave_out(Pass::Fields);
        self.leave_out(Pass::Faults);
        self.daemons();
        self.leave_out(Pass::Parts);
        self.steps_of_clients();
        self.leave_out(Pass::Expectations);
        self.pairs();
        self.leave_out(Pass::Accounts);
        self.leave_out(Pass::Rooms);
        self.leave_out(Pass::Settings);
        self.values();
        fingerprint(&self.best) != before
    }

    /// Whether the candidate still fails: then it is the best.
    fn attempt(&mut self, pass: Pass, mut candidate: Scenario) -> bool {
        links::mend(&mut candidate);
        if self.attempts >= self.attempts_max
            || candidate.setup.config.validate().is_err()
            || !self.tried.insert(fingerprint(&candidate))
        {
            return false;
        }
        self.attempts += 1;
        if !(self.fails)(&candidate) {
            return false;
        }
        let size = Size::of(&candidate);
        self.best = candidate;
        (self.progress)(Progress { pass, attempts: self.attempts, size });
        true
    }

    /// Leaves out as many as possible of the parts that a pass knows.
    fn leave_out(&mut self, pass: Pass) {
        let whole = self.best.clone();
        minimum::minimise(parts::count(pass, &whole), &mut |kept| {
            self.attempt(pass, parts::with_only(pass, &whole, kept))
        });
    }

    fn daemons(&mut self) {
        // The first is where clients connect to without saying so.
        for daemon in self.best.setup.daemons.clone().into_iter().rev() {
            let _is_gone = self.attempt_of(Pass::Daemons, parts::without_daemon(&self.best, &daemon))
                || self.attempt_of(Pass::Daemons, parts::with_daemon_merged(&self.best, &daemon));
        }
        self.attempt_of(Pass::Daemons, parts::with_usual_daemon(&self.best));
    }

    fn attempt_of(&mut self, pass: Pass, candidate: Option<Scenario>) -> bool {
        candidate.is_some_and(|candidate| self.attempt(pass, candidate))
    }

    fn steps_of_clients(&mut self) {
        for client in parts::clients(&self.best) {
            let whole = self.best.clone();
            let own = parts::steps_of(&whole, &client);
            minimum::minimise(own.len(), &mut |kept| {
                let is_kept = |index: usize| own.iter().position(|own| *own == index).is_none_or(|place| kept[place]);
                self.attempt(Pass::StepsOfClients, parts::with_steps(&whole, is_kept))
            });
        }
    }

    fn pairs(&mut self) {
        for client in parts::clients(&self.best) {
            'again: loop {
                let own = parts::steps_of(&self.best, &client);
                for (place, second) in own.iter().enumerate().rev() {
                    for first in own[..place].iter().rev().take(PAIR_DISTANCE_MAX) {
                        let candidate = parts::with_steps(&self.best, |index| index != *first && index != *second);
                        if self.attempt(Pass::Pairs, candidate) {
                            continue 'again;
                        }
                    }
                }
                break;
            }
        }
    }

    fn values(&mut self) {
        let mut place = 0;
        while let Some(step) = self.best.steps.get(place) {
            let simpler = values::simpler_steps(step);
            let is_simpler = simpler.into_iter().any(|steps| {
                let mut candidate = self.best.clone();
                candidate.steps.splice(place..=place, steps);
                self.attempt(Pass::Values, candidate)
            });
            place += usize::from(!is_simpler);
        }
        while values::simpler_setups(&self.best).into_iter().any(|candidate| self.attempt(Pass::Values, candidate)) {}
    }
}

/// How many steps of its client may lie between two that are left out together, plus one: the search goes with the
/// square of the steps otherwise.
const PAIR_DISTANCE_MAX: usize = 8;

#[cfg(test)]
mod tests;
