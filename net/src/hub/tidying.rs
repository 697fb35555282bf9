//! The background lane: housekeeping, while nothing else waits.

use std::task::{Context, Poll};

use super::{Hub, remember};
use crate::transport::Stream;

impl<S: Stream> Hub<S> {
    /// Ready when there is housekeeping to do.
    pub(crate) fn poll_untidy(&mut self, context: &Context<'_>) -> Poll<()> {
        remember(&mut self.housekeeper, context);
        if self.is_untidy() { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Does one step of housekeeping, if nothing else waits.
    pub(crate) fn tidy(&mut self) {
        if self.is_busy() {
            self.background_lane.deferred += 1;
            return;
        }
        self.background_lane.handled += 1;
        self.pool.tidy();
        if let Some(home) = &self.home {
            home.buffers.tidy();
        }
    }

    /// Whether there is housekeeping to do.
    pub(super) fn is_untidy(&self) -> bool {
        self.pool.is_untidy() || self.home.as_ref().is_some_and(|home| home.buffers.is_untidy())
    }

    /// Whether a lane before the background has anything waiting.
    pub(super) fn is_busy(&self) -> bool {
        !self.system.is_idle() || self.user_lane.waiting > 0 || !self.dirty.is_empty()
    }

    pub(super) fn call_housekeeper(&mut self) {
        if self.is_untidy()
            && let Some(housekeeper) = self.housekeeper.take()
        {
            housekeeper.wake();
        }
    }
}
