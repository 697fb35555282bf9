//! The end of the server's life: drain, and stop at once.

use alloc::vec::Vec;
use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::action::Actions;
use crate::deadline::Deadline;
use crate::engine::Engine;
use crate::id::SessionId;
use crate::packet::{CloseReason, ServerPacket};
use crate::time::{Instant, millis};

/// The server refuses what is new.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Drain {
    /// When `Deadline::DrainEnd` is armed.
    pub(crate) end_at: Option<Instant>,
}

impl Engine {
    /// Tells everybody to go, and closes each session at a moment of its own, so that they do not all reconnect
    /// elsewhere at once. A second drain changes nothing.
    pub(crate) fn drain(&mut self, within: Duration, actions: &mut Actions) {
        if self.is_draining() {
            return;
        }
        let end_at = self.now + within;
        self.drain = Some(Drain { end_at: Some(end_at) });
        self.deadlines.arm(end_at, Deadline::DrainEnd);
        // The last tenth is left for those whose farewell takes time to be sent.
        let spread = within / 10 * 9;
        for session in self.sessions.iter_mut() {
            let after = self.random.below(spread);
            let at = self.now + after;
            session.drain_at = Some(at);
            self.deadlines.arm(at, Deadline::DrainSession(session.id));
            actions.send(session.id, ServerPacket::GoAway { after_ms: millis(after) });
        }
    }

    /// Closes everything at once.
    pub(crate) fn stop(&mut self, actions: &mut Actions) {
        if let Some(Drain { end_at: Some(end_at) }) = self.drain {
            self.deadlines.disarm(end_at, Deadline::DrainEnd);
        }
        self.close_rest(actions);
    }

    pub(crate) fn drain_session_due(&mut self, id: SessionId, actions: &mut Actions) {
        let session = self.sessions.get_mut(id).expect("a session's deadlines go with it");
        session.drain_at = None;
        self.close(id, CloseReason::Draining, actions);
    }

    pub(crate) fn drain_end_due(&mut self, actions: &mut Actions) {
        self.close_rest(actions);
    }

    fn close_rest(&mut self, actions: &mut Actions) {
        self.drain = Some(Drain { end_at: None });
        let rest: Vec<_> = self.sessions.iter().map(|session| session.id).collect();
        for session in rest {
            self.close(session, CloseReason::Stopped, actions);
        }
    }
}
