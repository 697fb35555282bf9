//! How a connection comes to the thread of its room.
//!
//! A message to a member on another thread costs a parcel and, if that thread sleeps, a wake: more than the message. So
//! whoever enters a room goes to the thread on which most of its members are, as long as that has space.

use std::io;
use std::mem;

use lobbyd_core::id::SessionId;
use lobbyd_core::input::Input;
use lobbyd_core::packet::CloseReason;
use tracing::{debug, warn};
use zeroize::{Zeroize, Zeroizing};

use super::Hub;
use crate::commons::Helm;
use crate::connection::Phase;
use crate::corridor::Moving;
use crate::node::SHARDS_MAX;
use crate::parcel::Notice;
use crate::transport::Stream;

impl<S: Stream> Hub<S> {
    /// The thread to which a connection of this one had better go: more of its room are there than here, and nowhere are
    /// more. That it has just entered is not asked for; it is in the room, and that is what counts.
    pub(super) fn better_thread(&self, helm: &Helm, session: SessionId) -> Option<usize> {
        let mut mates = [0_u32; SHARDS_MAX];
        for mate in helm.engine.room_mates(session) {
            mates[helm.outgoing.thread_of(mate)] += 1;
        }
        // The first of those with the most.
        let best = (0..self.commons.threads()).rev().max_by_key(|thread| mates[*thread])?;
        (mates[best] > mates[self.place.thread] && self.commons.has_space(best)).then_some(best)
    }

    /// Gives a connection of this thread to another one, if nothing speaks against it.
    pub(super) fn move_to(&mut self, helm: &mut Helm, session: SessionId, thread: usize) {
        // What is about to be closed stays.
        if !self.connections.get_mut(session).is_some_and(|it| it.phase == Phase::Open && !it.is_overflowed) {
            return;
        }
        let Some(mut connection) = self.connections.take(session) else { return };
        debug!(%session, thread, "goes to the I/O thread of its room");
        let unread = Zeroizing::new(connection.inbox.clone());
        if connection.inbox.capacity() > 0 {
            connection.inbox.zeroize();
            self.pool.take_back(mem::take(&mut connection.inbox));
        }
        if connection.inbox_is_ready {
            self.user_lane.waiting -= 1;
        }
        let unsent = connection.outbox.unsent().to_vec();
        connection.outbox.discard(&mut self.pool);
        connection.is_dirty = false;
        let ping = self.pings.remove(&session);
        if let Some(corridor) = &self.corridor {
            corridor.send(thread, Moving { connection, unread, unsent, ping });
        }
        self.commons.add_connection(thread);
        self.commons.remove_connection(self.place.thread);
        helm.outgoing.settle(session, thread);
        helm.outgoing.to(thread).put_notice(Notice::Arrived { session });
    }

    /// Takes in a connection that another thread has given to this one.
    pub(super) fn take_in(&mut self, session: SessionId) {
        let Some(moving) = self.corridor.as_ref().and_then(|corridor| corridor.receive(session)) else {
            return;
        };
        self.moved_here += 1;
        let Moving { connection, unread, unsent, ping } = moving;
        let (mut connection, stream) = connection.exchange(());
        connection.knock = self.visits.knock(session);
        // What is left to be read or written, and what has come meanwhile.
        connection.wake();
        let stream = match stream {
            Ok(stream) => stream,
            Err(error) => {
                self.lose(session, &error);
                connection.phase = Phase::Broken(CloseReason::Disconnected);
                self.say_ended(&connection);
                return;
            }
        };
        if !unread.is_empty() {
            connection.inbox = self.pool.lend();
            connection.inbox.extend_from_slice(&unread);
        }
        if connection.inbox_is_ready {
            self.user_lane.add_waiting();
        }
        if !unsent.is_empty() {
            connection.outbox.append(&mut self.pool, usize::MAX, &unsent).expect("it has no bound here");
            connection.is_dirty = true;
            self.dirty.push(session);
        }
        if let Some(ping) = ping {
            self.pings.insert(session, ping);
        }
        self.connections.insert(connection.exchange(stream).0);
    }

    /// A stream did not survive its way.
    fn lose(&mut self, session: SessionId, error: &io::Error) {
        warn!(%session, %error, "a connection did not arrive at the I/O thread of its room, and is closed");
        // For the next turn, which comes before this thread goes to sleep.
        self.system.push(Input::Disconnected { session });
    }
}
