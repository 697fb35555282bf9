//! What a setup must be like for this layer, and what its hosts follow from.

use std::collections::BTreeSet;

use super::redis_host;
use crate::layers::CannotDo;
use crate::scenario::{Event, Fault, Setup, Step, Store};

/// Refuses a setup that makes no sense.
pub(in crate::layers) fn validate(setup: &Setup) -> Result<(), CannotDo> {
    let refuse = |what: String| Err(CannotDo::Scenario(what));
    if let Err(error) = setup.config.validate() {
        return refuse(error.to_string());
    }
    if setup.daemons.iter().any(|name| name == redis_host::HOST) {
        return refuse(format!("a daemon cannot be called {}: that is the host of Redis", redis_host::HOST));
    }
    let names: BTreeSet<_> = setup.daemons.iter().collect();
    if names.len() != setup.daemons.len() {
        return refuse("two daemons have the same name".to_owned());
    }
    let decorated = setup.accounts.iter().find(|account| account.nickname.is_some() || account.administrator);
    match decorated {
        Some(account) if setup.store == Store::Redis => refuse(format!(
            "{} has a nickname or is an administrator; with `store redis` accounts are tokens",
            account.user
        )),
        Some(_) | None => Ok(()),
    }
}

/// Everybody whom a fault sets apart from others.
pub(super) fn hosts_named_by_faults(step: &Step, named: &mut BTreeSet<String>) {
    match &step.event {
        Event::Fault(
            Fault::Partition { from, to, .. }
            | Fault::Repair { from, to }
            | Fault::Hold { from, to }
            | Fault::Release { from, to }
            | Fault::Latency { from, to, .. },
        ) => named.extend([from.clone(), to.clone()]),
        Event::Together(steps) => steps.iter().for_each(|step| hosts_named_by_faults(step, named)),
        Event::Fault(
            Fault::Crash { .. }
            | Fault::Restart { .. }
            | Fault::Drain { .. }
            | Fault::Stop { .. }
            | Fault::CloseUser { .. }
            | Fault::Ask { .. }
            | Fault::Stall { .. }
            | Fault::Redis(_),
        )
        | Event::Client { .. }
        | Event::Advance(_)
        | Event::Wait
        | Event::Check { .. } => {}
    }
}
