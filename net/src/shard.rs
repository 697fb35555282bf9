//! Shards: the parts of a node that serve its connections, each on a thread of its own or several on one.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::corridor::CorridorEnd;
use crate::hub::{Door, Hub, HubParts, Question};
use crate::tasks;
use crate::transport::Stream;

/// The most shards of a node.
pub const SHARDS_MAX: usize = 64;

/// How the connections of a node are spread: a new one goes to the shard with the fewest, and moves to the one on which most
/// of its room is, where that has space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spread {
    /// Over so many shards, from 1 to [`SHARDS_MAX`].
    pub(crate) shards: usize,
    pub(crate) slack: usize,
}

/// Few connections are not worth spreading.
const SLACK: usize = 8;

impl Spread {
    /// Over so many shards. Below a handful of connections, rooms stay together on one.
    #[must_use]
    pub fn over(shards: usize) -> Self {
        Self { shards, slack: SLACK }
    }

    /// A shard may have so many connections above a quarter more than its share, for the sake of rooms.
    #[must_use]
    pub fn with_slack(self, slack: usize) -> Self {
        Self { slack, ..self }
    }
}

/// A part of a node: some of its connections, and the mailbox in which others leave what they have for them. To be run
/// beside [`Node::run`](crate::node::Node::run), in a place of the same kind, on the same thread or (made by
/// [`Node::with_threads`](crate::node::Node::with_threads)) another. It ends with the node, and the node breaks down if it
/// ends before.
pub struct Shard<S, D = S> {
    parts: HubParts,
    arrivals: mpsc::UnboundedReceiver<(D, SocketAddr)>,
    questions: mpsc::UnboundedReceiver<Question>,
    corridor: CorridorEnd<D>,
    detach: fn(S) -> io::Result<D>,
    attach: fn(D) -> io::Result<S>,
}

impl<S: Stream, D: 'static> Shard<S, D> {
    /// The shard, and the way to it.
    pub(crate) fn new(
        parts: HubParts,
        corridor: CorridorEnd<D>,
        detach: fn(S) -> io::Result<D>,
        attach: fn(D) -> io::Result<S>,
    ) -> (Door<S>, Self) {
        let (arriving, arrivals) = mpsc::unbounded_channel();
        let (asking, questions) = mpsc::unbounded_channel();
        let hand_over = Box::new(move |stream, peer| {
            // Where the shard has ended, the node is about to.
            let _ = arriving.send((detach(stream)?, peer));
            Ok(())
        });
        (Door { hand_over, questions: asking }, Self { parts, arrivals, questions, corridor, detach, attach })
    }

    /// Serves the connections that the node gives it, until the node has ended. What is said there about panics holds here.
    pub async fn run(self) {
        let Self { parts, arrivals, mut questions, corridor, detach, attach } = self;
        let hub = Hub::new(parts, None, Some(corridor.open(detach, attach)));
        let _end = GiveUp(hub.clone());
        let mut running = JoinSet::new();
        tasks::run(&mut running, &hub);
        hub.borrow_mut().begin_errand(|queue| tasks::arrive(arrivals, attach, queue));
        while let Some(question) = questions.recv().await {
            hub.borrow_mut().answer(question);
        }
        drop(running);
    }
}

impl<S, D> std::fmt::Debug for Shard<S, D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shard").field("place", &self.parts.place).finish_non_exhaustive()
    }
}

/// Ends errands and connections with the node or shard, also if nobody awaits its end: its tasks would keep the
/// hub, and with it the listeners and clients that nobody answers.
pub(crate) struct GiveUp<S: Stream>(pub(crate) Rc<RefCell<Hub<S>>>);

impl<S: Stream> Drop for GiveUp<S> {
    fn drop(&mut self) {
        // It is free: nothing that has it borrowed waits or drops a node. A panic in a drop would end the process.
        if let Ok(mut hub) = self.0.try_borrow_mut() {
            hub.give_up();
        }
    }
}
