//! How connections end: phases only ever get worse, the last packets go out, and the log has a line.

use std::io;
use std::mem;
use std::task::{Context, Poll, ready};

use lobbyd_core::id::SessionId;
use lobbyd_core::input::Input;
use lobbyd_core::packet::CloseReason;
use tracing::{debug, info};

use super::writing::write_out;
use super::{Hub, SPARE_SLOTS};
use crate::commons::Helm;
use crate::connection::{Connection, Phase};
use crate::outbox::Flushed;
use crate::transport::Stream;

/// The most bytes of a closed session that are read and dropped before its stream is closed (DESIGN section 4).
pub(super) const DISCARD_BYTES_MAX: usize = 64 * 1024;
/// The most connections that are being closed and may take their time over it: half of the spare slots, so that whoever
/// is refused again and again takes neither all slots nor all file descriptors. Each thread has its share of it.
pub(super) const LINGERING_MAX: usize = SPARE_SLOTS as usize / 2;

impl<S: Stream> Hub<S> {
    /// Ends all errands of its own: what they wait for is not handled any more. Connections that are still there are let
    /// go, and so are the other threads.
    pub(crate) fn give_up(&mut self) {
        self.system.close();
        if let Some(home) = &mut self.home {
            home.doors.clear();
        }
        let mut sessions = Vec::with_capacity(self.connections.count());
        for connection in self.connections.iter_mut() {
            sessions.push((connection.session, connection.phase));
        }
        for (session, phase) in sessions {
            self.set_phase(
                session,
                Phase::Broken(match phase {
                    Phase::Open => CloseReason::Stopped,
                    Phase::Closing(reason) | Phase::Broken(reason) => reason,
                }),
            );
            self.remove(session);
        }
    }

    /// A session's phase only ever gets worse, and keeps its first reason.
    pub(super) fn set_phase(&mut self, session: SessionId, phase: Phase) {
        let Some(connection) = self.connections.get_mut(session) else {
            return;
        };
        self.closing += usize::from(connection.phase == Phase::Open && phase != Phase::Open);
        connection.phase = match (connection.phase, phase) {
            (Phase::Open, next) => next,
            (Phase::Closing(reason), Phase::Broken(_)) => Phase::Broken(reason),
            (now @ (Phase::Closing(_) | Phase::Broken(_)), _) => now,
        };
        connection.wake();
        // What it has sent beyond its budget is of no interest any more.
        if mem::take(&mut connection.inbox_is_ready) {
            self.user_lane.waiting -= 1;
        }
    }

    /// The stream is broken: the session ends, and nothing more can be sent.
    pub(super) fn break_connection(&mut self, session: SessionId, error: &io::Error) {
        debug!(%session, %error, "connection broken");
        if self.is_open(session) {
            // For the next turn, which comes before this thread goes to sleep.
            self.system.push(Input::Disconnected { session });
        }
        self.set_phase(session, Phase::Broken(CloseReason::Disconnected));
    }

    /// The client has ended its writing half, after everything that was handled before this.
    pub(super) fn hang_up(&mut self, helm: &mut Helm, session: SessionId) {
        self.step(helm, Input::Disconnected { session });
        self.set_phase(session, Phase::Closing(CloseReason::Disconnected));
        self.forget_login(&mut helm.outgoing, session);
    }

    /// Sends what waits, ends the writing half, and then drops what still comes in, so that a reset does not destroy
    /// the last packets on their way. `discarded` counts the bytes that were dropped.
    pub(super) fn poll_closing(
        &mut self,
        context: &mut Context<'_>,
        session: SessionId,
        discarded: &mut usize,
    ) -> Poll<()> {
        let Some(connection) = self.connections.get_mut(session) else {
            return Poll::Ready(());
        };
        while !connection.outbox.is_empty() && matches!(connection.phase, Phase::Closing(_)) {
            let flushed = match write_out(connection, &mut self.pool, &mut self.traffic) {
                Ok(Flushed::Blocked) => ready!(connection.stream.poll_writable(context)),
                Ok(Flushed::All) => Ok(()),
                Err(error) => Err(error),
            };
            if flushed.is_err() {
                return Poll::Ready(());
            }
        }
        match connection.phase {
            Phase::Open | Phase::Broken(_) => return Poll::Ready(()),
            Phase::Closing(CloseReason::Disconnected) => {
                return connection.stream.poll_shutdown(context).map(|_| ());
            }
            Phase::Closing(_) => {}
        }
        if ready!(connection.stream.poll_shutdown(context)).is_err() {
            return Poll::Ready(());
        }
        while *discarded < DISCARD_BYTES_MAX {
            match ready!(connection.stream.poll_read(context, &mut self.scratch)) {
                Ok(0) | Err(_) => break,
                Ok(count) => {
                    *discarded += count;
                    connection.bytes_in += count as u64;
                    self.traffic.bytes_in += count as u64;
                }
            }
        }
        Poll::Ready(())
    }

    /// Lets go of a connection whose session is over, and says so in the log.
    pub(super) fn remove(&mut self, session: SessionId) {
        let Some(mut connection) = self.connections.take(session) else {
            return;
        };
        self.closing -= 1;
        self.pings.remove(&session);
        connection.outbox.discard(&mut self.pool);
        if connection.inbox.capacity() > 0 {
            self.pool.take_back(mem::take(&mut connection.inbox));
        }
        self.say_ended(&connection);
    }

    /// A connection of this thread has gone, and with it its name: says so in the log and to whoever counts.
    pub(super) fn say_ended<T>(&mut self, connection: &Connection<T>) {
        let Connection { session, peer, user, phase, connected_at, packets_in, bytes_in, bytes_out, .. } = connection;
        let (Phase::Closing(reason) | Phase::Broken(reason)) = *phase else {
            unreachable!("an open connection is not let go");
        };
        self.tally.closed(reason);
        info!(
            %session,
            %peer,
            user = user.as_ref().map(|user| tracing::field::display(user.name)),
            reason = %reason,
            seconds = self.commons.now().saturating_since(*connected_at).as_secs(),
            packets_in,
            bytes_in,
            bytes_out,
            "session ended"
        );
        if self.place.has_named(session.index) {
            self.connections.vacate(*session);
        } else {
            self.departed.push(*session);
        }
        self.commons.remove_connection(self.place.thread);
        if self.connections.is_empty() {
            self.commons.call_finish();
        }
    }

    /// Whether so many connections are being closed that none may linger.
    pub(super) fn is_crowded(&self) -> bool {
        self.closing > self.closing_max
    }
}
