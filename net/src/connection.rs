//! Connections: what the driver holds for each transport stream, and the slots that name them.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Wake;

use lobbyd_core::id::SessionId;
use lobbyd_core::packet::{CloseReason, User};
use lobbyd_core::time::Instant;
use tokio::time::Sleep;

use crate::errands::bell::Knock;
use crate::outbox::Outbox;
use crate::place::Place;

/// One transport stream and what is on its way in and out. There may be very many, nearly all of them idle: what is rare
/// is kept elsewhere or behind a pointer, and the build holds its size.
pub(crate) struct Connection<S> {
    pub(crate) session: SessionId,
    pub(crate) stream: S,
    pub(crate) peer: SocketAddr,
    pub(crate) phase: Phase,
    /// What was read and is not a whole frame yet, or had to wait for the next turn. Owns a buffer only then.
    pub(crate) inbox: Vec<u8>,
    /// Whether the inbox holds a whole frame that had to wait.
    pub(crate) inbox_is_ready: bool,
    pub(crate) outbox: Outbox,
    /// Whether the connection is on the list of those to be flushed.
    pub(crate) is_dirty: bool,
    /// Whether the transport took no more at the last flush; it is visited when it does.
    pub(crate) is_blocked: bool,
    /// Whether the outbox was over its limit, so that nothing but the reason for the close is added to it.
    pub(crate) is_overflowed: bool,
    /// Has it visited.
    pub(crate) knock: Arc<Knock<SessionId>>,
    /// Present while the stream is being closed.
    pub(crate) end: Option<Box<End>>,
    /// For the log and whoever asks.
    pub(crate) connected_at: Instant,
    pub(crate) user: Option<Arc<User>>,
    pub(crate) packets_in: u64,
    pub(crate) packets_out: u64,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    /// When the last complete packet came; when it connected, until then.
    pub(crate) heard_at: Instant,
    /// From the last ping to its pong; a latency of no microsecond counts as one.
    pub(crate) heartbeat_latency_us: Option<NonZeroU32>,
}

/// A server holds very many idle connections, each in its slot (the stream, 32 bytes of tokio, is extra) beside what
/// wakes it. The target is 1,200 resident bytes for one with all that belongs to it, of which the runtime's own part is
/// 256 and the engine's about 350.
#[cfg(target_pointer_width = "64")]
const _: () = {
    assert!(size_of::<Slot<()>>() <= 192, "an idle connection has grown");
    assert!(size_of::<Knock<SessionId>>() <= 24, "what wakes an idle connection has grown");
};

/// How far the closing of a stream has come.
pub(crate) struct End {
    /// Bytes that were read and dropped.
    pub(crate) discarded: usize,
    /// Ends when the client has had its time.
    pub(crate) linger: Pin<Box<Sleep>>,
}

/// Where a connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Packets go both ways.
    Open,
    /// The session is over. What waits is still sent, then the stream is closed.
    Closing(CloseReason),
    /// The stream is broken: nothing can be sent any more.
    Broken(CloseReason),
}

impl<S> Connection<S> {
    pub(crate) fn new(
        session: SessionId,
        knock: Arc<Knock<SessionId>>,
        stream: S,
        peer: SocketAddr,
        now: Instant,
    ) -> Self {
        Self {
            session,
            stream,
            peer,
            phase: Phase::Open,
            inbox: Vec::new(),
            inbox_is_ready: false,
            outbox: Outbox::default(),
            is_dirty: false,
            is_blocked: false,
            is_overflowed: false,
            knock,
            end: None,
            connected_at: now,
            user: None,
            packets_in: 0,
            packets_out: 0,
            bytes_in: 0,
            bytes_out: 0,
            heard_at: now,
            heartbeat_latency_us: None,
        }
    }

    /// Has it visited again.
    pub(crate) fn wake(&self) {
        self.knock.wake_by_ref();
    }

    /// The same with another stream, and the one that it had.
    pub(crate) fn exchange<T>(self, stream: T) -> (Connection<T>, S) {
        let connection = Connection {
            session: self.session,
            stream,
            peer: self.peer,
            phase: self.phase,
            inbox: self.inbox,
            inbox_is_ready: self.inbox_is_ready,
            outbox: self.outbox,
            is_dirty: self.is_dirty,
            is_blocked: self.is_blocked,
            is_overflowed: self.is_overflowed,
            knock: self.knock,
            end: self.end,
            connected_at: self.connected_at,
            user: self.user,
            packets_in: self.packets_in,
            packets_out: self.packets_out,
            bytes_in: self.bytes_in,
            bytes_out: self.bytes_out,
            heard_at: self.heard_at,
            heartbeat_latency_us: self.heartbeat_latency_us,
        };
        (connection, self.stream)
    }
}

/// The connections of a thread: those that it has named, each in the slot that gives its session its name, and guests with
/// the names that other threads have given them. A slot whose connection is elsewhere is kept for its name.
pub(crate) struct Connections<S> {
    place: Place,
    slots: Vec<Slot<S>>,
    /// What the slots that are free again are called.
    free: Vec<u32>,
    /// Those that have come over from other threads, by the thread that has named them and its slot; none at its own place.
    guests: Vec<Vec<Option<Box<Connection<S>>>>>,
    slots_max: u32,
    count: usize,
}

struct Slot<S> {
    generation: u32,
    connection: Option<Connection<S>>,
}

impl<S> Connections<S> {
    /// None yet, and at most so many slots, those of connections that have gone to other threads included.
    pub(crate) fn new(place: Place, threads: usize, slots_max: u32) -> Self {
        let guests = (0..threads).map(|_| Vec::new()).collect();
        Self { place, slots: Vec::new(), free: Vec::new(), guests, slots_max, count: 0 }
    }

    /// A name that no connection has or had, and the slot for it; none when every slot is taken.
    pub(crate) fn reserve(&mut self) -> Option<SessionId> {
        if let Some(index) = self.free.pop() {
            return Some(SessionId { index, generation: self.slots[self.place.slot(index)].generation });
        }
        let slot = u32::try_from(self.slots.len()).ok().filter(|slot| *slot < self.slots_max)?;
        let index = self.place.index(slot)?;
        self.slots.push(Slot { generation: 0, connection: None });
        Some(SessionId { index, generation: 0 })
    }

    /// Fills a reserved slot, or takes in what has come over from another thread.
    pub(crate) fn insert(&mut self, connection: Connection<S>) {
        let index = connection.session.index;
        let slot = self.place.slot(index);
        if self.place.has_named(index) {
            let slot = &mut self.slots[slot];
            assert!(slot.connection.is_none(), "a reserved slot is empty");
            slot.connection = Some(connection);
        } else {
            let guests = &mut self.guests[self.place.namer_of(index)];
            if guests.len() <= slot {
                guests.resize_with(slot + 1, || None);
            }
            let before = guests[slot].replace(Box::new(connection));
            assert!(before.is_none(), "a slot is used again when nobody has it");
        }
        self.count += 1;
    }

    /// The connection of that name, if it is here. Names of connections that are gone come from the lists of those who
    /// are to be visited and flushed; whoever has their slots now would only be looked at once too often.
    #[inline]
    pub(crate) fn get_mut(&mut self, session: SessionId) -> Option<&mut Connection<S>> {
        let Self { place, slots, guests, .. } = self;
        let own = slots.get_mut(place.slot(session.index)).and_then(|slot| slot.connection.as_mut());
        // What another thread has named is at best somebody else here, so that those who are here anyway cost no question.
        own.filter(|connection| connection.session == session).or_else(|| find_guest(guests, *place, session))
    }

    fn get(&self, namer: usize, slot: usize) -> Option<&Connection<S>> {
        if namer == self.place.thread {
            self.slots.get(slot)?.connection.as_ref()
        } else {
            self.guests[namer].get(slot)?.as_deref()
        }
    }

    /// The connections in the slot of that name and later ones, of this thread, in the order of their names.
    pub(crate) fn at_or_behind(&self, index: u32) -> impl Iterator<Item = &Connection<S>> {
        let longest = self.guests.iter().map(Vec::len).fold(self.slots.len(), usize::max);
        let in_slot = move |slot| (0..self.guests.len()).filter_map(move |namer| self.get(namer, slot));
        let connections = (self.place.slot(index)..longest).flat_map(in_slot);
        connections.filter(move |connection| connection.session.index >= index)
    }

    /// Every connection, in the order of its slot, and those of other threads behind its own.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Connection<S>> {
        let own = self.slots.iter_mut().filter_map(|slot| slot.connection.as_mut());
        own.chain(self.guests.iter_mut().flatten().filter_map(|guest| guest.as_deref_mut()))
    }

    /// Gives a connection away. Its session goes on elsewhere, and keeps its slot.
    pub(crate) fn take(&mut self, session: SessionId) -> Option<Connection<S>> {
        let slot = self.place.slot(session.index);
        let is_it = |connection: &Connection<S>| connection.session == session;
        let connection = if self.place.has_named(session.index) {
            self.slots.get_mut(slot)?.connection.take_if(|connection| is_it(connection))?
        } else {
            let guests = &mut self.guests[self.place.namer_of(session.index)];
            *guests.get_mut(slot)?.take_if(|connection| is_it(connection))?
        };
        self.count -= 1;
        Some(connection)
    }

    /// A session has ended whose slot is of this thread: the slot is free again.
    pub(crate) fn vacate(&mut self, session: SessionId) {
        let slot = &mut self.slots[self.place.slot(session.index)];
        assert!(slot.connection.is_none() && slot.generation == session.generation, "nobody else has it");
        // A slot whose generations are used up is never used again.
        if let Some(next) = slot.generation.checked_add(1) {
            slot.generation = next;
            self.free.push(session.index);
        }
    }

    /// How many slots there may be at most, which is how many connections all threads may have together.
    pub(crate) fn slots_max(&self) -> usize {
        self.slots_max as usize
    }

    pub(crate) fn count(&self) -> usize {
        self.count
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.count() == 0
    }
}

#[cold]
fn find_guest<S>(
    guests: &mut [Vec<Option<Box<Connection<S>>>>],
    place: Place,
    session: SessionId,
) -> Option<&mut Connection<S>> {
    let guest = guests[place.namer_of(session.index)].get_mut(place.slot(session.index))?.as_deref_mut();
    guest.filter(|connection| connection.session == session)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection(session: SessionId) -> Connection<()> {
        Connection::new(
            session,
            Arc::new(Knock::new(session, Arc::default())),
            (),
            SocketAddr::from(([127, 0, 0, 1], 1)),
            Instant::ZERO,
        )
    }

    #[test]
    fn reused_slot_has_a_new_generation_and_the_old_name_finds_nothing() {
        let mut connections = Connections::new(Place::new(0, 1), 1, 1);
        let first = connections.reserve().expect("a free slot");
        connections.insert(connection(first));
        assert_eq!(connections.reserve(), None, "every slot is taken");
        assert!(connections.take(first).is_some());
        assert!(connections.is_empty());
        assert_eq!(connections.reserve(), None, "its session may go on elsewhere");
        connections.vacate(first);

        let second = connections.reserve().expect("the slot is free again");
        connections.insert(connection(second));
        assert_eq!((second.index, second.generation), (first.index, first.generation + 1));
        assert!(connections.get_mut(first).is_none());
        assert!(connections.take(first).is_none());
        assert!(connections.get_mut(second).is_some());
    }

    #[test]
    fn guests_are_found_by_the_names_that_they_came_with() {
        let mut connections = Connections::new(Place::new(1, 3), 3, 9);
        let own = connections.reserve().expect("a free slot");
        let guests = [4, 2, 0].map(|index| SessionId { index, generation: 7 });
        [own, guests[0], guests[1], guests[2]].into_iter().for_each(|session| connections.insert(connection(session)));
        let told = |connections: &Connections<()>, from| {
            connections.at_or_behind(from).map(|connection| connection.session.index).collect::<Vec<_>>()
        };
        assert_eq!((own.index, connections.count()), (1, 4));
        assert_eq!((told(&connections, 0), told(&connections, 2)), (vec![0, 1, 2, 4], vec![2, 4]));
        assert_eq!(connections.iter_mut().count(), 4);
        let earlier = SessionId { generation: 6, ..guests[0] };
        assert!(connections.get_mut(earlier).is_none() && connections.take(earlier).is_none());
        assert!(connections.get_mut(guests[0]).is_some_and(|guest| guest.session == guests[0]));
        assert!(connections.take(guests[0]).is_some() && connections.take(guests[0]).is_none());
        assert_eq!(told(&connections, 0), [0, 1, 2]);
    }
}
