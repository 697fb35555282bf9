//! What is counted of each handler, beside its state: figures depend on the machine, so they are in no snapshot.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lobbyd_core::Engine;
use lobbyd_core::command::CommandName;

use crate::stats::{ExtensionStats, Latency};

/// The figures of one handler. Clones share them.
#[derive(Clone, Default)]
pub(super) struct Figures(Arc<Mutex<Counted>>);

#[derive(Clone, Copy, Default)]
struct Counted {
    calls: Latency,
    failures: u64,
    panics: u64,
    stalls: u64,
}

/// How a call has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// It did what it was called for.
    Done,
    /// It said that it could not.
    Failed,
    /// It panicked.
    Panicked,
}

/// The figures of a node's handlers, each under its name.
#[derive(Clone, Default)]
pub(crate) struct ExtensionFigures {
    by_name: BTreeMap<CommandName, Figures>,
}

impl Figures {
    pub(super) fn count(&self, took: Duration, is_stall: bool, end: End) {
        let mut counted = self.locked();
        counted.calls.record(took);
        counted.stalls += u64::from(is_stall);
        counted.failures += u64::from(end == End::Failed);
        counted.panics += u64::from(end == End::Panicked);
    }

    /// What is in the lock is whole at every moment.
    fn locked(&self) -> MutexGuard<'_, Counted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ExtensionFigures {
    /// The figures of the handler of that name, from now on.
    pub(super) fn of(&mut self, name: CommandName) -> Figures {
        self.by_name.entry(name).or_default().clone()
    }

    /// How each handler of an engine stands.
    pub(crate) fn stats(&self, engine: &Engine) -> Vec<ExtensionStats> {
        let stats = |(name, enabled)| {
            let counted = self.by_name.get(&name).map(|figures| *figures.locked()).unwrap_or_default();
            let Counted { calls, failures, panics, stalls } = counted;
            ExtensionStats { name, enabled, calls, failures, panics, stalls }
        };
        engine.extensions().map(stats).collect()
    }
}
