//! What a step consists of, and whom it names.

use std::collections::BTreeSet;

use crate::scenario::{Event, Step};

/// A step and, if it consists of others, those in their order.
pub(super) fn collect<'a>(step: &'a Step, parts: &mut Vec<&'a Step>) {
    if let Event::Together(steps) = &step.event {
        steps.iter().for_each(|step| collect(step, parts));
    }
    parts.push(step);
}

pub(super) fn name_clients<'a>(step: &'a Step, names: &mut BTreeSet<&'a str>) {
    match &step.event {
        Event::Client { client, operation: _ } => {
            names.insert(client);
        }
        Event::Together(steps) => steps.iter().for_each(|step| name_clients(step, names)),
        Event::Fault(_) | Event::Advance(_) | Event::Wait | Event::Check { .. } => {}
    }
    names.extend(step.expects.iter().map(|expectation| expectation.client.as_str()));
}
