//! The twin of an engine with extensions: restored from a snapshot that was taken before an input, it has to do the same.
//!
//! So every run holds what an extension stores against what it knows: what `save` leaves out, or `load` does not take up,
//! is missing in the twin.

use lobbyd_core::Engine;
use lobbyd_core::action::{Action, Actions};
use lobbyd_core::engine::Snapshot;
use lobbyd_core::id::SessionId;
use lobbyd_net::journal::RecordedEngine;

use crate::extend::Extend;

/// What is most likely wrong.
const ADVICE: &str = "does an extension not `save` all that it keeps, or not `load` all of it?";

/// Stands beside one engine, in each of its lives.
pub(super) struct Twin {
    /// Makes the extensions that take up what is stored.
    extend: Extend,
    /// As the engine stood after its last input; none before the first one.
    engine: Option<RecordedEngine>,
    done: Actions,
}

impl Twin {
    pub(super) fn new(extend: &Extend) -> Self {
        Self { extend: extend.clone(), engine: None, done: Actions::new() }
    }

    /// Has the twin do what `engine` has just done with the actions `by_engine`, and restores it anew.
    ///
    /// # Errors
    /// Says what the twin does instead, or why it cannot be restored.
    pub(super) fn follow(
        &mut self,
        engine: &Engine,
        by_engine: &Actions,
        work: impl FnOnce(&mut RecordedEngine, &mut Actions),
    ) -> Result<(), String> {
        if let Some(mut twin) = self.engine.take() {
            self.done.clear();
            work(&mut twin, &mut self.done);
            let (instead, done) = (said(&self.done), said(by_engine));
            if instead != done {
                return Err(format!("does something else ({ADVICE}): it does {instead:?} instead of {done:?}"));
            }
            if twin.digest() != engine.digest() {
                return Err(format!("is in another state after it ({ADVICE})"));
            }
        }
        self.renew(engine)
    }

    /// Restores the twin from what `engine` stores now.
    ///
    /// # Errors
    /// When that cannot be, or gives another state.
    pub(super) fn renew(&mut self, engine: &Engine) -> Result<(), String> {
        let stored = serde_json::to_vec(&engine.snapshot()).map_err(|error| format!("cannot be stored: {error}"))?;
        let stored: Snapshot = serde_json::from_slice(&stored).map_err(|error| format!("cannot be read: {error}"))?;
        let twin = self.extend.make().restore(stored).map_err(|error| format!("does not take it up: {error}"))?.engine;
        if twin.digest() != engine.digest() {
            return Err(format!("is in another state ({ADVICE})"));
        }
        self.engine = Some(twin);
        Ok(())
    }
}

/// Actions, each with those who receive it.
fn said(actions: &Actions) -> Vec<(&Action, &[SessionId])> {
    let recipients = |action: &Action| match action {
        Action::Broadcast { to, .. } => actions.recipients(*to),
        Action::Send { .. }
        | Action::Close { .. }
        | Action::VerifyLogin { .. }
        | Action::ReleasePresence { .. }
        | Action::Online { .. }
        | Action::CallService { .. }
        | Action::ServiceAnswer { .. }
        | Action::ExtensionFailed { .. }
        | Action::Answer { .. } => &[],
    };
    actions.iter().map(|action| (action, recipients(action))).collect()
}
