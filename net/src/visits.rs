//! Visits: which connections are to have a turn, in the order in which they were woken.
//!
//! One task visits them all. A task for each would cost several times what an idle connection costs, and the runtime's
//! time for every wake.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use lobbyd_core::id::SessionId;

use crate::errands::bell::{Bell, Knock};

/// The connections that were woken. They are visited in rounds: who is woken in one has a turn in the next.
#[derive(Default)]
pub(crate) struct Visits {
    bell: Arc<Bell<SessionId>>,
    round: Vec<SessionId>,
    /// How many of the round were visited.
    visited: usize,
}

impl Visits {
    /// What wakes that connection.
    pub(crate) fn knock(&self, session: SessionId) -> Arc<Knock<SessionId>> {
        Arc::new(Knock::new(session, Arc::clone(&self.bell)))
    }

    /// Begins the next round with all who were woken.
    pub(crate) fn begin_round(&mut self) {
        debug_assert!(self.is_round_over(), "who was not visited would be forgotten");
        self.forget_task();
        self.round.clear();
        self.visited = 0;
        self.bell.take_woken(&mut self.round);
    }

    /// Whom to visit next in this round. The connection may be gone.
    pub(crate) fn next(&mut self) -> Option<SessionId> {
        let session = self.round.get(self.visited)?;
        self.visited += 1;
        Some(*session)
    }

    /// Ready if somebody was woken during the round; else has the task woken as soon as somebody is.
    pub(crate) fn poll_woken(&self, context: &Context<'_>) -> Poll<()> {
        // In this order: who is woken in between finds the task.
        self.bell.remember(context.waker());
        if self.bell.is_rung() {
            self.forget_task();
            return Poll::Ready(());
        }
        Poll::Pending
    }

    /// Nobody wakes the task while it runs: it would have its next turn at once, without the pause that it makes by
    /// itself.
    fn forget_task(&self) {
        self.bell.remember(Waker::noop());
    }

    /// Whether everybody in this round was visited.
    pub(crate) fn is_round_over(&self) -> bool {
        self.visited == self.round.len()
    }
}
