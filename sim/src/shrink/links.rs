//! What refers to what in a scenario, and goes with it.

use std::collections::BTreeSet;

use crate::scenario::{Event, Fault, Operation, Scenario, Step, Store};

/// The host of the model Redis, as faults name it.
const REDIS: &str = "redis";

/// Leaves out what refers to nothing any more: steps of clients that have not connected, what names a daemon, a client or
/// a Redis that is not there, a `together` of nothing. What stays can be read again if the whole could.
pub(super) fn mend(scenario: &mut Scenario) {
    let mut known = Known {
        daemons: scenario.setup.daemons.iter().cloned().collect(),
        has_redis: scenario.setup.store == Store::Redis,
        clients: BTreeSet::new(),
    };
    scenario.steps.retain_mut(|step| known.mend(step));
    // A fault may name a client that connects only later, so all of them are known only now.
    scenario.steps.retain_mut(|step| known.has_hosts(step));
}

struct Known {
    daemons: BTreeSet<String>,
    has_redis: bool,
    /// Those that have connected by now.
    clients: BTreeSet<String>,
}

impl Known {
    /// Whether the step goes on making sense, without what in it does not.
    fn mend(&mut self, step: &mut Step) -> bool {
        let makes_sense = match &mut step.event {
            Event::Client { client, operation } => self.can_do(client, operation),
            Event::Together(parts) => {
                parts.retain_mut(|part| self.mend(part));
                true
            }
            Event::Fault(fault) => self.can_happen(fault),
            Event::Check { daemon, check: _ } => self.daemons.contains(daemon),
            Event::Advance(_) | Event::Wait => true,
        };
        step.expects.retain(|expectation| self.clients.contains(&expectation.client));
        makes_sense && with_parts(step)
    }

    fn can_do(&mut self, client: &str, operation: &Operation) -> bool {
        if let Operation::Connect { daemon } = operation {
            let is_there = self.daemons.contains(daemon);
            if is_there {
                self.clients.insert(client.to_owned());
            }
            return is_there;
        }
        let kicks_nobody = matches!(operation, Operation::Kick { client, .. } if !self.clients.contains(client));
        self.clients.contains(client) && !kicks_nobody
    }

    fn can_happen(&self, fault: &Fault) -> bool {
        let is_possible = !matches!(fault, Fault::Redis(_)) || self.has_redis;
        is_possible && fault.daemon().is_none_or(|daemon| self.daemons.contains(daemon))
    }

    /// Whether every host that the step names is there, without those parts of it whose are not.
    fn has_hosts(&self, step: &mut Step) -> bool {
        if let Event::Together(parts) = &mut step.event {
            parts.retain_mut(|part| self.has_hosts(part));
        }
        let is_known = |host: &String| match host.as_str() {
            REDIS => self.has_redis,
            host => self.daemons.contains(host) || self.clients.contains(host),
        };
        let is_there = match &step.event {
            Event::Fault(fault) => fault.ends().is_none_or(|(from, to)| from != to && is_known(from) && is_known(to)),
            Event::Client { .. } | Event::Together(_) | Event::Advance(_) | Event::Wait | Event::Check { .. } => true,
        };
        is_there && with_parts(step)
    }
}

/// False for a `together` of nothing that nothing is expected of. One of which something is expected is a `wait`.
fn with_parts(step: &mut Step) -> bool {
    match &step.event {
        Event::Together(parts) if parts.is_empty() => {
            step.event = Event::Wait;
            !step.expects.is_empty()
        }
        Event::Together(_)
        | Event::Client { .. }
        | Event::Fault(_)
        | Event::Advance(_)
        | Event::Wait
        | Event::Check { .. } => true,
    }
}
