//! What an expectation depends on, as far as the scenario's words tell.
//!
//! That is more than is needed, and never less: all that its clients do until then, and those who have to do with them;
//! the faults that heal what others have broken; the time that passes; and the setup of all this.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use lobbyd_core::config::Config;
use lobbyd_core::id::RoomNumber;

use super::parts::{self, each_step};
use crate::runner::Violation;
use crate::scenario::{Account, Event, Expectation, Expected, Operation, Scenario, Step, Store};

/// What has to stay for an expectation to be a fair one.
pub(super) struct Needs {
    /// The lines of the step that is broken, its parts included.
    broken: BTreeSet<u32>,
    /// What has to be done, by the lines of the steps.
    deeds: BTreeMap<u32, Event>,
    /// What arrives meanwhile at whom it concerns; empty in a loose scenario, where it need not be said.
    arrivals: BTreeMap<String, Vec<Expected>>,
    /// Faults that belong together, by their lines: all of them stay, or none.
    faults: Vec<BTreeSet<u32>>,
    /// How much time has to pass before the step.
    time: Duration,
    config: Config,
    room_passwords: Vec<(RoomNumber, String)>,
    accounts: Vec<Account>,
    store: Store,
}

impl Needs {
    /// Of what is broken in a scenario whose steps have lines of their own.
    pub(super) fn of(whole: &Scenario, violation: &Violation) -> Self {
        let count = (violation.step as usize).min(whole.steps.len());
        let until = &whole.steps[..count];
        let related = match until.last() {
            Some(step) if !is_left_over(violation) => related(until, subjects(whole, step)),
            // Whoever it is left over at, the step need not say.
            Some(_) | None => parts::clients(whole),
        };
        let mut needs = Self {
            broken: until.last().map(lines).unwrap_or_default(),
            deeds: BTreeMap::new(),
            arrivals: if whole.setup.is_loose { BTreeMap::new() } else { arrivals(until, &related) },
            faults: parts::fault_lines(until),
            time: time(until),
            config: whole.setup.config.clone(),
            room_passwords: Vec::new(),
            accounts: Vec::new(),
            store: whole.setup.store,
        };
        let (mut rooms, mut users) = (BTreeSet::new(), BTreeSet::new());
        each_step(until, &mut |step| {
            let Event::Client { client, operation } = &step.event else { return };
            if !related.contains(client.as_str()) {
                return;
            }
            rooms.extend(operation.room());
            if let Operation::Login { user, .. } = operation {
                users.insert(user.to_lowercase());
            }
            needs.deeds.insert(step.line, step.event.clone());
        });
        needs.config.fixed_rooms.retain(|room| rooms.contains(&room.number));
        needs
            .room_passwords
            .extend(whole.setup.room_passwords.iter().filter(|(room, _)| rooms.contains(room)).cloned());
        let is_used = |account: &&Account| users.contains(account.user.as_str());
        needs.accounts.extend(whole.setup.accounts.iter().filter(is_used).cloned());
        needs
    }

    /// Whether a candidate has all of it.
    pub(super) fn are_met(&self, candidate: &Scenario) -> bool {
        let Scenario { setup, steps, .. } = candidate;
        let until = before(steps, &self.broken);
        let mut events = BTreeMap::new();
        each_step(steps, &mut |step| {
            events.insert(step.line, &step.event);
        });
        // Daemons may be renamed, but not become one.
        let mut daemons = BTreeMap::new();
        let are_done = self.deeds.iter().all(|(line, deed)| {
            events.get(line).is_some_and(|event| match (daemon(deed), daemon(event)) {
                (Some((client, before)), Some((same, now))) => {
                    client == same && *daemons.entry(before).or_insert(now) == now
                }
                (Some(_), None) | (None, Some(_)) => false,
                (None, None) => *event == deed,
            })
        });
        let now: BTreeSet<_> = daemons.values().collect();
        let is_whole = |group: &BTreeSet<u32>| {
            group.iter().all(|line| events.contains_key(line)) || group.iter().all(|line| !events.contains_key(line))
        };
        are_done
            && now.len() == daemons.len()
            && self.faults.iter().all(is_whole)
            && time(until) >= self.time
            && self.arrivals == arrivals(until, &self.arrivals.keys().cloned().collect())
            && Config { fixed_rooms: Vec::new(), ..setup.config.clone() }
                == Config { fixed_rooms: Vec::new(), ..self.config.clone() }
            && self.config.fixed_rooms.iter().all(|room| setup.config.fixed_rooms.contains(room))
            && self.room_passwords.iter().all(|password| setup.room_passwords.contains(password))
            && self.accounts.iter().all(|account| setup.accounts.contains(account))
            && self.store == setup.store
    }

    /// Whether what is broken in a candidate is the step that was broken in the whole.
    pub(super) fn is_broken_step(&self, candidate: &Scenario, violation: &Violation) -> bool {
        let step = candidate.steps.get((violation.step as usize).saturating_sub(1));
        step.is_some_and(|step| !lines(step).is_disjoint(&self.broken))
    }
}

/// Whether something came that nobody expected.
fn is_left_over(violation: &Violation) -> bool {
    violation.expected.starts_with("nothing more")
}

/// The client that an event connects, and to which daemon.
fn daemon(event: &Event) -> Option<(&str, &str)> {
    if let Event::Client { client, operation: Operation::Connect { daemon } } = event {
        Some((client, daemon))
    } else {
        None
    }
}

/// A step's line, and those of its parts.
fn lines(step: &Step) -> BTreeSet<u32> {
    let mut lines = BTreeSet::new();
    each_step(std::slice::from_ref(step), &mut |step| {
        lines.insert(step.line);
    });
    lines
}

/// The steps up to the one with one of these lines, itself included.
fn before<'s>(steps: &'s [Step], broken: &BTreeSet<u32>) -> &'s [Step] {
    let place = steps.iter().position(|step| !lines(step).is_disjoint(broken));
    &steps[..place.map_or(0, |place| place + 1)]
}

fn time(steps: &[Step]) -> Duration {
    let mut time = Duration::ZERO;
    each_step(steps, &mut |step| {
        if let Event::Advance(by) = step.event {
            time += by;
        }
    });
    time
}

/// What arrives at each of these clients, in its order.
fn arrivals(steps: &[Step], clients: &BTreeSet<String>) -> BTreeMap<String, Vec<Expected>> {
    let mut arrivals: BTreeMap<String, Vec<Expected>> = BTreeMap::new();
    each_step(steps, &mut |step| {
        for Expectation { client, what } in step.expects.iter().filter(|expected| clients.contains(&expected.client)) {
            arrivals.entry(client.clone()).or_default().push(what.clone());
        }
    });
    arrivals
}

/// The clients that a step is about: who does it and where something is expected; of a check, whoever connects to its
/// daemon.
fn subjects(whole: &Scenario, step: &Step) -> BTreeSet<String> {
    let mut subjects = BTreeSet::new();
    each_step(std::slice::from_ref(step), &mut |step| {
        subjects.extend(step.expects.iter().map(|expectation| expectation.client.clone()));
        match &step.event {
            Event::Client { client, .. } => {
                subjects.insert(client.clone());
            }
            Event::Check { daemon: checked, .. } => each_step(&whole.steps, &mut |step| {
                let here = daemon(&step.event).filter(|(_, daemon)| daemon == checked);
                subjects.extend(here.map(|(client, _)| client.to_owned()));
            }),
            Event::Together(_) | Event::Fault(_) | Event::Advance(_) | Event::Wait => {}
        }
    });
    subjects
}

/// What a client has to do with, by which it has to do with others.
#[derive(Default)]
struct Dealings<'s> {
    rooms: BTreeSet<RoomNumber>,
    /// Rooms are created, and who knows with which numbers.
    creates: bool,
    /// The names by which it goes, and those that it aims at.
    names: BTreeSet<String>,
    client: &'s str,
}

impl Dealings<'_> {
    fn have_to_do_with(&self, other: &Self) -> bool {
        let deals_with_rooms = |dealings: &Self| dealings.creates || !dealings.rooms.is_empty();
        !self.rooms.is_disjoint(&other.rooms)
            || !self.names.is_disjoint(&other.names)
            || (self.creates && deals_with_rooms(other))
            || (other.creates && deals_with_rooms(self))
    }
}

/// The clients of these, and whoever has to do with one of them in the steps, and with one of those.
fn related(steps: &[Step], mut related: BTreeSet<String>) -> BTreeSet<String> {
    let mut clients: BTreeMap<&str, Dealings<'_>> = BTreeMap::new();
    each_step(steps, &mut |step| {
        let Event::Client { client, operation } = &step.event else { return };
        let dealings = clients.entry(client).or_insert_with(|| Dealings { client, ..Dealings::default() });
        dealings.names.insert(client.to_lowercase());
        dealings.names.extend(operation.target().map(str::to_lowercase));
        dealings.rooms.extend(operation.room());
        dealings.creates |= matches!(operation, Operation::RoomCreate { .. });
        if let Operation::Login { user, .. } = operation {
            dealings.names.insert(user.to_lowercase());
        }
    });
    loop {
        let has_to_do = |dealings: &&Dealings<'_>| {
            let known = related.iter().filter_map(|client| clients.get(client.as_str()));
            !related.contains(dealings.client) && known.into_iter().any(|known| known.have_to_do_with(dealings))
        };
        let more: Vec<_> = clients.values().filter(has_to_do).map(|dealings| dealings.client.to_owned()).collect();
        if more.is_empty() {
            return related;
        }
        related.extend(more);
    }
}
