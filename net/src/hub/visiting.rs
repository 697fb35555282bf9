//! How connections are visited, from the first turn to the end of the stream.

use std::future::Future;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use lobbyd_core::id::SessionId;
use tokio::time::sleep;

use super::Hub;
use crate::connection::{End, Phase};
use crate::transport::Stream;

/// The most visits before the runtime looks at its sockets and timers again; it also does between two rounds.
pub(super) const VISITS_AT_A_TIME: u32 = 64;
/// How long a closed session may take to receive its last packets (DESIGN section 4).
const LINGER: Duration = Duration::from_secs(1);

impl<S: Stream> Hub<S> {
    /// Visits connections that were woken; ready when there is a pause to be made before others are visited. What they
    /// give rise to is flushed when all who were ready together have had their turn.
    pub(crate) fn poll_visits(&mut self, context: &Context<'_>) -> Poll<()> {
        // One's own mail is read by another task, which never rests: nobody waits for ever.
        if !self.is_alone() && self.commons.relay().is_crammed(context.waker()) {
            // Else whoever has all that mail would not know of it before the round is over.
            self.wake_others();
            return Poll::Pending;
        }
        if self.visits.is_round_over() {
            self.visits.begin_round();
        }
        for _ in 0..VISITS_AT_A_TIME {
            let Some(session) = self.visits.next() else { break };
            self.visit(session);
        }
        if !self.visits.is_round_over() {
            return Poll::Ready(());
        }
        // The last one's turn has done this, unless it had none.
        self.call_flusher();
        self.visits.poll_woken(context)
    }

    fn visit(&mut self, session: SessionId) {
        let Some(connection) = self.connections.get_mut(session) else {
            return;
        };
        connection.knock.is_heard();
        let is_open = connection.phase == Phase::Open;
        let waker = Waker::from(Arc::clone(&connection.knock));
        let mut context = Context::from_waker(&waker);
        if !is_open || self.poll_open(&mut context, session).is_ready() {
            self.visit_closing(&mut context, session);
        }
        // The stream may have broken, and the session ended.
        self.take_own_turn();
    }

    /// Reads, steps and answers; ready when the session is over.
    fn poll_open(&mut self, context: &mut Context<'_>, session: SessionId) -> Poll<()> {
        // Before it is read: what waits is older than what it has to say.
        self.take_system_turn();
        match self.poll_session(context, session) {
            Poll::Pending if self.is_open(session) => Poll::Pending,
            Poll::Pending | Poll::Ready(()) => Poll::Ready(()),
        }
    }

    /// Goes on with the closing of a stream. Whether the client has taken its last packets or not, after a while the
    /// connection is over.
    fn visit_closing(&mut self, context: &mut Context<'_>, session: SessionId) {
        let is_crowded = self.is_crowded();
        let Some(connection) = self.connections.get_mut(session) else {
            return;
        };
        let begin = || {
            Box::new(End { discarded: 0, linger: Box::pin(sleep(if is_crowded { Duration::ZERO } else { LINGER })) })
        };
        let mut end = connection.end.take().unwrap_or_else(begin);
        let is_closed = self.poll_closing(context, session, &mut end.discarded).is_ready();
        if is_closed || end.linger.as_mut().poll(context).is_ready() {
            self.remove(session);
        } else if let Some(connection) = self.connections.get_mut(session) {
            connection.end = Some(end);
        }
    }
}
