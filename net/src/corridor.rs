//! The corridor between I/O threads: how a connection goes from one to another.
//!
//! Who gives a connection away holds the engine. It goes through the corridor first, and then a parcel tells its new thread
//! about it ([`Notice::Arrived`](crate::parcel::Notice)), before the engine is let go. So whatever is decided about the
//! session after that lies behind the notice in the same mailbox, and whatever was decided before was done already: nothing
//! that the client is sent comes out of order. And those who come arrive in the order of their notices.

use std::io;
use std::sync::mpsc;

use lobbyd_core::id::SessionId;
use lobbyd_core::time::Instant;
use zeroize::Zeroizing;

use crate::connection::Connection;

/// A connection on its way. Its buffers stay behind, for they are of its thread's pool.
pub(crate) struct Moving<S> {
    pub(crate) connection: Connection<S>,
    /// What was in its inbox. There may be a part of a secret in it.
    pub(crate) unread: Zeroizing<Vec<u8>>,
    /// What was in its outbox.
    pub(crate) unsent: Vec<u8>,
    /// The ping that has no pong yet: its nonce, and when it was sent.
    pub(crate) ping: Option<(u64, Instant)>,
}

/// A thread's end of the corridor, before it is taken to the thread.
pub(crate) struct CorridorEnd<D> {
    ways: Vec<mpsc::Sender<Moving<io::Result<D>>>>,
    arrivals: mpsc::Receiver<Moving<io::Result<D>>>,
}

/// What takes a connection to a thread.
type Way<S> = Box<dyn Fn(Moving<S>)>;
/// The next connection that has come, if there is one; an error where its stream did not come whole.
type NextArrival<S> = Box<dyn Fn() -> Option<Moving<io::Result<S>>>>;

/// A thread's end of the corridor.
pub(crate) struct Corridor<S> {
    ways: Vec<Way<S>>,
    next_arrival: NextArrival<S>,
}

/// The ends of a corridor between so many threads.
pub(crate) fn corridor<D>(threads: usize) -> Vec<CorridorEnd<D>> {
    let (ways, arrivals): (Vec<_>, Vec<_>) = (0..threads).map(|_| mpsc::channel()).unzip();
    arrivals.into_iter().map(|arrivals| CorridorEnd { ways: ways.clone(), arrivals }).collect()
}

impl<S> Moving<S> {
    fn map<T>(self, make: impl FnOnce(S) -> T) -> Moving<T> {
        let Self { connection, unread, unsent, ping } = self;
        let (connection, stream) = connection.exchange(());
        let (connection, ()) = connection.exchange(make(stream));
        Moving { connection, unread, unsent, ping }
    }
}

impl<D: 'static> CorridorEnd<D> {
    /// The end for the thread that calls this, which takes streams out of one thread and up in another in these ways.
    pub(crate) fn open<S: 'static>(
        self,
        detach: fn(S) -> io::Result<D>,
        attach: fn(D) -> io::Result<S>,
    ) -> Corridor<S> {
        let Self { ways, arrivals } = self;
        let to = |way: mpsc::Sender<_>| -> Way<S> {
            Box::new(move |moving: Moving<S>| {
                // Where a thread has ended, the node is about to.
                let _ = way.send(moving.map(detach));
            })
        };
        let next_arrival = Box::new(move || {
            let moving = arrivals.try_recv().ok()?;
            Some(moving.map(|stream| stream.and_then(attach)))
        });
        Corridor { ways: ways.into_iter().map(to).collect(), next_arrival }
    }
}

impl<S> Corridor<S> {
    /// Sends a connection to a thread, which is to be told.
    pub(crate) fn send(&self, thread: usize, moving: Moving<S>) {
        (self.ways[thread])(moving);
    }

    /// Receives the connection of a session that this thread was told of. None only while the node breaks down.
    pub(crate) fn receive(&self, session: SessionId) -> Option<Moving<io::Result<S>>> {
        let arrival = (self.next_arrival)()?;
        assert_eq!(arrival.connection.session, session, "they arrive in the order of their notices");
        Some(arrival)
    }
}
