//! What parts a scenario has that can be left out, and the scenario without them.

use std::collections::{BTreeMap, BTreeSet};

use lobbyd_core::config::Config;
use serde_json::{Map, Value};

use super::Pass;
use crate::scenario::{Event, Expected, Fault, Operation, Pattern, Scenario, Setup, Step};

/// How many parts there are of those that a pass leaves out.
///
/// # Panics
/// For a pass that does something else.
pub(super) fn count(pass: Pass, scenario: &Scenario) -> usize {
    match pass {
        Pass::Clients => clients(scenario).len(),
        Pass::Steps => scenario.steps.len(),
        Pass::Pauses => scenario.steps.windows(2).filter(|pair| are_one_pause(&pair[0], &pair[1])).count(),
        Pass::Fields => counted(scenario, retain_fields),
        Pass::Faults => fault_groups(scenario).len(),
        Pass::Parts => counted(scenario, retain_parts),
        Pass::Expectations => counted(scenario, retain_expectations),
        Pass::Accounts => scenario.setup.accounts.len(),
        Pass::Rooms => scenario.setup.config.fixed_rooms.len(),
        Pass::Settings => changed_settings(&scenario.setup.config).len(),
        Pass::Daemons | Pass::StepsOfClients | Pass::Pairs | Pass::Values => {
            unreachable!("{pass} are not left out one by one")
        }
    }
}

/// The scenario with only those parts that are kept.
///
/// # Panics
/// For a pass that does something else.
pub(super) fn with_only(pass: Pass, scenario: &Scenario, kept: &[bool]) -> Scenario {
    let mut left = scenario.clone();
    let mut flags = kept.iter().copied();
    let mut is_kept = || flags.next().expect("there is a flag for every part");
    match pass {
        Pass::Clients => {
            let gone = clients(scenario).into_iter().filter(|_| !is_kept()).collect();
            retain_steps(&mut left.steps, &mut |step| !is_about(step, &gone));
            // A step of somebody else may have been expected to bring something here.
            each_step_mut(&mut left.steps, &mut |step| step.expects.retain(|expects| !gone.contains(&expects.client)));
        }
        Pass::Steps => left.steps.retain(|_| is_kept()),
        Pass::Pauses => left.steps = with_pauses(&scenario.steps, &mut is_kept),
        Pass::Fields => retain_fields(&mut left.steps, &mut is_kept),
        Pass::Faults => {
            let gone: BTreeSet<_> = fault_groups(scenario).into_iter().filter(|_| !is_kept()).collect();
            retain_steps(&mut left.steps, &mut |step| group(step).is_none_or(|group| !gone.contains(&group)));
        }
        Pass::Parts => retain_parts(&mut left.steps, &mut is_kept),
        Pass::Expectations => retain_expectations(&mut left.steps, &mut is_kept),
        Pass::Accounts => left.setup.accounts.retain(|_| is_kept()),
        Pass::Rooms => {
            left.setup.config.fixed_rooms.retain(|_| is_kept());
            let rooms = &left.setup.config.fixed_rooms;
            left.setup.room_passwords.retain(|(number, _)| rooms.iter().any(|room| room.number == *number));
        }
        Pass::Settings => {
            let reset = changed_settings(&scenario.setup.config).into_iter().filter(|_| !is_kept()).collect();
            left.setup.config = with_defaults(&scenario.setup.config, &reset);
        }
        Pass::Daemons | Pass::StepsOfClients | Pass::Pairs | Pass::Values => {
            unreachable!("{pass} are not left out one by one")
        }
    }
    left
}

/// Whether two steps that follow one another do nothing but let time pass.
fn are_one_pause(first: &Step, second: &Step) -> bool {
    let only_waits = |step: &Step| matches!(step.event, Event::Advance(_)) && step.expects.is_empty();
    only_waits(first) && only_waits(second)
}

/// The steps, and what was one pause is one step unless the seam within it is kept.
fn with_pauses(steps: &[Step], is_kept: &mut dyn FnMut() -> bool) -> Vec<Step> {
    let mut left: Vec<Step> = Vec::new();
    for (place, step) in steps.iter().enumerate() {
        let is_seam = place > 0 && are_one_pause(&steps[place - 1], step);
        if is_seam
            && !is_kept()
            && let (Some(Event::Advance(whole)), Event::Advance(by)) =
                (left.last_mut().map(|last| &mut last.event), &step.event)
        {
            *whole += *by;
        } else {
            left.push(step.clone());
        }
    }
    left
}

/// Whoever connects, in the order of their names.
pub(super) fn clients(scenario: &Scenario) -> BTreeSet<String> {
    let mut clients = BTreeSet::new();
    each_step(&scenario.steps, &mut |step| {
        if let Event::Client { client, operation: Operation::Connect { .. } } = &step.event {
            clients.insert(client.clone());
        }
    });
    clients
}

/// The places of the steps that are a client's own, parts of a `together` left aside.
pub(super) fn steps_of(scenario: &Scenario, client: &str) -> Vec<usize> {
    let is_own = |step: &Step| matches!(&step.event, Event::Client { client: own, .. } if own == client);
    scenario.steps.iter().enumerate().filter(|(_, step)| is_own(step)).map(|(place, _)| place).collect()
}

/// The scenario with only the steps at places that are kept.
pub(super) fn with_steps(scenario: &Scenario, is_kept: impl Fn(usize) -> bool) -> Scenario {
    let mut left = scenario.clone();
    let mut place = 0..;
    left.steps.retain(|_| place.next().is_some_and(&is_kept));
    left
}

/// The scenario without a daemon, and without what names it. Not without the only one.
pub(super) fn without_daemon(scenario: &Scenario, daemon: &str) -> Option<Scenario> {
    let mut left = scenario.clone();
    left.setup.daemons.retain(|known| known != daemon);
    (!left.setup.daemons.is_empty()).then_some(left)
}

/// The scenario with the first other daemon in the place of this one.
pub(super) fn with_daemon_merged(scenario: &Scenario, daemon: &str) -> Option<Scenario> {
    let mut left = without_daemon(scenario, daemon)?;
    let other = left.setup.daemons.first()?.clone();
    rename_daemon(&mut left.steps, daemon, &other);
    Some(left)
}

/// The scenario with its only daemon called as if no line named it; `None` if it is, or somebody else is.
pub(super) fn with_usual_daemon(scenario: &Scenario) -> Option<Scenario> {
    let usual = Setup::default().daemons;
    let ([daemon], [usual_name]) = (scenario.setup.daemons.as_slice(), usual.as_slice()) else { return None };
    if daemon == usual_name || clients(scenario).contains(usual_name) {
        return None;
    }
    let mut left = scenario.clone();
    rename_daemon(&mut left.steps, daemon, usual_name);
    left.setup.daemons = usual;
    Some(left)
}

fn rename_daemon(steps: &mut [Step], daemon: &str, other: &str) {
    each_step_mut(steps, &mut |step| {
        for name in daemons_of(step).into_iter().flatten() {
            if name == daemon {
                other.clone_into(name);
            }
        }
    });
}

/// The names in a step that may be a daemon's.
fn daemons_of(step: &mut Step) -> [Option<&mut String>; 2] {
    match &mut step.event {
        Event::Client { operation: Operation::Connect { daemon }, .. }
        | Event::Check { daemon, .. }
        | Event::Fault(
            Fault::Crash { daemon }
            | Fault::Restart { daemon }
            | Fault::Drain { daemon, .. }
            | Fault::Stop { daemon }
            | Fault::CloseUser { daemon, .. }
            | Fault::Ask { daemon, .. }
            | Fault::Stall { daemon, .. },
        ) => [Some(daemon), None],
        Event::Fault(
            Fault::Partition { from, to, .. }
            | Fault::Repair { from, to }
            | Fault::Hold { from, to }
            | Fault::Release { from, to }
            | Fault::Latency { from, to, .. },
        ) => [Some(from), Some(to)],
        Event::Fault(Fault::Redis(_)) | Event::Client { .. } | Event::Together(_) | Event::Advance(_) | Event::Wait => {
            [None, None]
        }
    }
}

/// Whether somebody of these does the step, is its aim, or has a host in it.
fn is_about(step: &Step, clients: &BTreeSet<String>) -> bool {
    match &step.event {
        Event::Client { client, operation } => {
            clients.contains(client) || operation.target().is_some_and(|target| clients.contains(target))
        }
        Event::Fault(fault) => fault.ends().is_some_and(|(from, to)| clients.contains(from) || clients.contains(to)),
        Event::Together(_) | Event::Advance(_) | Event::Wait | Event::Check { .. } => false,
    }
}

/// What faults have to do with one another: those of one group break something and heal it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Group {
    /// Between these two hosts.
    Network(String, String),
    /// A daemon crashes and starts again.
    Life(String),
    /// A daemon is told something.
    Orders(String),
    /// A daemon does not run.
    Stall(String),
    /// Something about Redis.
    Redis,
}

fn group(step: &Step) -> Option<Group> {
    let Event::Fault(fault) = &step.event else { return None };
    if let Some((from, to)) = fault.ends() {
        return Some(Group::Network(from.min(to).clone(), from.max(to).clone()));
    }
    match fault {
        Fault::Crash { daemon } | Fault::Restart { daemon } => Some(Group::Life(daemon.clone())),
        Fault::Drain { daemon, .. }
        | Fault::Stop { daemon }
        | Fault::CloseUser { daemon, .. }
        | Fault::Ask { daemon, .. } => Some(Group::Orders(daemon.clone())),
        Fault::Stall { daemon, .. } => Some(Group::Stall(daemon.clone())),
        Fault::Redis(_) => Some(Group::Redis),
        Fault::Partition { .. }
        | Fault::Repair { .. }
        | Fault::Hold { .. }
        | Fault::Release { .. }
        | Fault::Latency { .. } => None,
    }
}

/// The lines of the faults that belong together.
pub(super) fn fault_lines(steps: &[Step]) -> Vec<BTreeSet<u32>> {
    let mut lines: BTreeMap<Group, BTreeSet<u32>> = BTreeMap::new();
    each_step(steps, &mut |step| {
        if let Some(group) = group(step) {
            lines.entry(group).or_default().insert(step.line);
        }
    });
    lines.into_values().collect()
}

fn fault_groups(scenario: &Scenario) -> BTreeSet<Group> {
    let mut groups = BTreeSet::new();
    each_step(&scenario.steps, &mut |step| groups.extend(group(step)));
    groups
}

/// The settings that are not as they are by default, by their names. Fixed rooms have lines of their own.
fn changed_settings(config: &Config) -> BTreeSet<String> {
    let default = settings(&Config::default());
    let changed = settings(config).into_iter().filter(|(key, value)| default.get(key) != Some(value));
    changed.map(|(key, _)| key).filter(|key| key != "fixed_rooms").collect()
}

fn with_defaults(config: &Config, reset: &BTreeSet<String>) -> Config {
    let mut settings = settings(config);
    let default = self::settings(&Config::default());
    settings.extend(default.into_iter().filter(|(key, _)| reset.contains(key)));
    serde_json::from_value(Value::Object(settings)).expect("each setting was in a configuration before")
}

fn settings(config: &Config) -> Map<String, Value> {
    match serde_json::to_value(config).expect("a configuration can be written as JSON") {
        Value::Object(settings) => settings,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            unreachable!("a configuration is a structure")
        }
    }
}

/// Asked about each part in its turn, whether it stays.
type IsKept<'k> = &'k mut dyn FnMut() -> bool;

fn counted(scenario: &Scenario, retain: fn(&mut [Step], IsKept<'_>)) -> usize {
    let mut count = 0;
    retain(&mut scenario.steps.clone(), &mut || {
        count += 1;
        true
    });
    count
}

fn retain_fields(steps: &mut [Step], is_kept: IsKept<'_>) {
    let mut retain = |pattern: &mut Pattern| pattern.fields.retain(|_| is_kept());
    each_step_mut(steps, &mut |step| {
        for expectation in &mut step.expects {
            match &mut expectation.what {
                Expected::Packet(pattern) => retain(pattern),
                Expected::AnyOf(patterns) => patterns.iter_mut().for_each(&mut retain),
                Expected::Closed | Expected::Nothing => {}
            }
        }
    });
}

fn retain_parts(steps: &mut [Step], is_kept: IsKept<'_>) {
    for step in steps {
        if let Event::Together(parts) = &mut step.event {
            parts.retain(|_| is_kept());
        }
    }
}

fn retain_expectations(steps: &mut [Step], is_kept: IsKept<'_>) {
    each_step_mut(steps, &mut |step| step.expects.retain(|_| is_kept()));
}

/// Steps and parts of a `together` that stay. One of which no part stays has none.
fn retain_steps(steps: &mut Vec<Step>, is_kept: &mut dyn FnMut(&Step) -> bool) {
    steps.retain_mut(|step| {
        if let Event::Together(parts) = &mut step.event {
            retain_steps(parts, is_kept);
        }
        is_kept(step)
    });
}

/// Each step, and behind it the parts of a `together`.
pub(super) fn each_step<'s>(steps: &'s [Step], visit: &mut dyn FnMut(&'s Step)) {
    for step in steps {
        visit(step);
        if let Event::Together(parts) = &step.event {
            each_step(parts, visit);
        }
    }
}

fn each_step_mut(steps: &mut [Step], visit: &mut dyn FnMut(&mut Step)) {
    for step in steps {
        visit(step);
        if let Event::Together(parts) = &mut step.event {
            each_step_mut(parts, visit);
        }
    }
}
