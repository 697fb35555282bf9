//! Errands: what the system lane waits for outside the hub, as futures that the hub itself polls at the beginning of a
//! turn. A task of the runtime would stand in its queue behind every connection that was ready before.
//!
//! Whoever wakes an errand, on whatever thread, lists it and rings a bell; a turn that hears no bell costs one test.
//! Errands run in the order in which they were woken, so that a simulation repeats itself.

pub(crate) mod bell;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::mem;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use tokio::task::{AbortHandle, spawn_local, unconstrained};

pub(crate) use self::bell::ErrandId;
use self::bell::{Bell, Knock};
use crate::stores::LocalFuture;

/// The errands of what a node stands on, such as a link to Redis and the presence leases. They are there before the
/// node and after it; in between the node runs them at the beginning of its turns
/// ([`Node::with_errands`](crate::node::Node::with_errands)). Without a node a task of their own does. Clones share them.
#[derive(Clone)]
pub struct Errands {
    list: Rc<ErrandList>,
    _carrier: Rc<Carrier>,
}

impl Errands {
    /// None yet. To be called where `tokio::task::spawn_local` works. What still runs ends with that place.
    #[must_use]
    pub fn start() -> Self {
        let list = Rc::new(ErrandList::default());
        let emptied = CancelAll(Rc::clone(&list));
        let task = spawn_local(poll_fn(move |context| {
            emptied.0.remember(context.waker());
            emptied.0.run();
            Poll::<()>::Pending
        }));
        Self { list, _carrier: Rc::new(Carrier(task.abort_handle())) }
    }

    /// Takes on an errand until its handle is dropped. It must not keep that handle.
    pub(crate) fn begin(&self, future: impl Future<Output = ()> + 'static) -> Errand {
        Errand { id: self.list.begin(future), list: Rc::clone(&self.list) }
    }

    pub(crate) fn list(&self) -> &ErrandList {
        &self.list
    }
}

/// The task that runs errands when no turn does. It ends when nobody can begin one any more.
struct Carrier(AbortHandle);

impl Drop for Carrier {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Ends the errands with the task that carries them, where a crash of the runtime ends tasks: they hold sockets.
struct CancelAll(Rc<ErrandList>);

impl Drop for CancelAll {
    fn drop(&mut self) {
        self.0.cancel_all();
    }
}

/// Ends an errand when nobody needs it any more.
pub(crate) struct Errand {
    list: Rc<ErrandList>,
    id: ErrandId,
}

impl Drop for Errand {
    fn drop(&mut self) {
        self.list.cancel(self.id);
    }
}

/// Errands that are being run. While one is polled it may begin others and cancel any.
#[derive(Default)]
pub(crate) struct ErrandList {
    running: RefCell<BTreeMap<ErrandId, Running>>,
    next: Cell<u64>,
    bell: Arc<Bell>,
    /// Where the list of the woken is taken to. Kept for its allocation.
    called: Cell<Vec<ErrandId>>,
}

struct Running {
    /// Not here while it is polled.
    future: Option<LocalFuture<'static, ()>>,
    knock: Arc<Knock>,
    waker: Waker,
}

impl ErrandList {
    /// Takes on an errand. It is polled for the first time in the next run.
    pub(crate) fn begin(&self, future: impl Future<Output = ()> + 'static) -> ErrandId {
        let id = ErrandId(self.next.get());
        self.next.set(id.0 + 1);
        let knock = Arc::new(Knock::new(id, Arc::clone(&self.bell)));
        let waker = Waker::from(Arc::clone(&knock));
        waker.wake_by_ref();
        // Without tokio's budget: an errand would spend that of whichever task has a turn.
        let future: LocalFuture<'static, ()> = Box::pin(unconstrained(future));
        self.running.borrow_mut().insert(id, Running { future: Some(future), knock, waker });
        id
    }

    /// Drops an errand, if it still runs; one that is being polled, after that.
    pub(crate) fn cancel(&self, id: ErrandId) {
        let cancelled = self.running.borrow_mut().remove(&id);
        // Only now, because its end may cancel others.
        drop(cancelled);
    }

    /// Drops all of them.
    pub(crate) fn cancel_all(&self) {
        let cancelled = mem::take(&mut *self.running.borrow_mut());
        drop(cancelled);
    }

    /// Whether an errand was woken since the last run.
    pub(crate) fn is_called(&self) -> bool {
        self.bell.is_rung()
    }

    /// How many errands were woken since the last run.
    pub(crate) fn called(&self) -> usize {
        self.bell.woken()
    }

    /// Polls every errand that was woken, once, and says how many were.
    pub(crate) fn run(&self) -> usize {
        let mut called = self.called.take();
        self.bell.take_woken(&mut called);
        let count = called.len();
        for id in called.drain(..) {
            self.poll(id);
        }
        self.called.set(called);
        count
    }

    fn poll(&self, id: ErrandId) {
        let Some((mut future, waker)) = self.take(id) else { return };
        let is_over = future.as_mut().poll(&mut Context::from_waker(&waker)).is_ready();
        let mut running = self.running.borrow_mut();
        if is_over {
            running.remove(&id);
        } else if let Some(errand) = running.get_mut(&id) {
            errand.future = Some(future);
            return;
        }
        drop(running);
        // Only now, because its end may cancel others.
        drop(future);
    }

    /// An errand that is to be polled. One that was dropped or has ended may still be woken.
    fn take(&self, id: ErrandId) -> Option<(LocalFuture<'static, ()>, Waker)> {
        let mut running = self.running.borrow_mut();
        let errand = running.get_mut(&id)?;
        errand.knock.is_heard();
        Some((errand.future.take()?, errand.waker.clone()))
    }

    /// Has this task woken once as soon as an errand is.
    pub(crate) fn remember(&self, waker: &Waker) {
        self.bell.remember(waker);
    }
}

/// Lets an errand rest until the next turn.
pub(crate) async fn next_turn() {
    let mut is_here = true;
    poll_fn(|context| {
        if mem::take(&mut is_here) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(())
    })
    .await
}

#[cfg(test)]
mod tests;
