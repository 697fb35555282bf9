//! Which hosts have a lane, and where.

use super::build::REDIS;
use super::chart::{self, Host, Lane};
use crate::scenario::{Event, Scenario, Step, Store};

/// The hosts of a scenario from left to right.
pub(super) fn lanes(scenario: &Scenario) -> Vec<Lane> {
    let mut clients = Vec::new();
    scenario.steps.iter().for_each(|step| name_clients(step, &mut clients));
    let daemons = &scenario.setup.daemons;
    let daemons = if daemons.is_empty() { vec!["server".to_owned()] } else { daemons.clone() };
    let redis = if scenario.setup.store == Store::Redis { vec![REDIS.to_owned()] } else { Vec::new() };
    let of = |names: Vec<String>, host: Host| names.into_iter().map(|name| Lane { name, host }).collect();
    chart::in_order(of(clients, Host::Client), of(daemons, Host::Daemon), of(redis, Host::Redis))
}

/// The clients in the order in which the scenario names them.
fn name_clients(step: &Step, names: &mut Vec<String>) {
    let mut add = |name: &String| {
        if !names.contains(name) {
            names.push(name.clone());
        }
    };
    match &step.event {
        Event::Client { client, operation: _ } => add(client),
        Event::Together(steps) => steps.iter().for_each(|step| name_clients(step, names)),
        Event::Fault(_) | Event::Advance(_) | Event::Wait | Event::Check { .. } => {}
    }
    step.expects.iter().for_each(|expectation| {
        if !names.contains(&expectation.client) {
            names.push(expectation.client.clone())
        }
    });
}
