//! Futures that a handle has the I/O thread run, each in the lane that it asked for.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;

use tracing::error;

use super::Hub;
use crate::extension::panic_message;
use crate::lanes::Lane;
use crate::stats::ScheduledStats;
use crate::transport::Stream;

/// A future from another thread. What it gives goes where it says itself.
pub(crate) type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Counts what is scheduled. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Scheduled(Rc<RefCell<[ScheduledStats; Lane::ALL.len()]>>);

impl Scheduled {
    pub(crate) fn stats(&self) -> [ScheduledStats; Lane::ALL.len()] {
        *self.0.borrow()
    }

    fn count(&self, lane: Lane, change: impl FnOnce(&mut ScheduledStats)) {
        change(&mut self.0.borrow_mut()[lane as usize]);
    }
}

impl<S: Stream> Hub<S> {
    /// Begins to run a future: in the system lane as an errand, in the user lane between the visits of connections, in
    /// the background lane only while no other lane has anything waiting.
    pub(super) fn schedule(&mut self, lane: Lane, work: Work) {
        let scheduled = self.scheduled.clone();
        scheduled.count(lane, |stats| stats.running += 1);
        let work = async move {
            let panicked = caught(work).await;
            scheduled.count(lane, |stats| {
                stats.running -= 1;
                stats.done += 1;
                stats.panicked += u64::from(panicked);
            });
        };
        match lane {
            Lane::System => {
                self.system.begin(|_| work);
            }
            Lane::User => self.run_beside(work),
            Lane::Background => {
                let hub = self.this.clone();
                let mut work = Box::pin(work);
                self.run_beside(poll_fn(move |context| {
                    let Some(hub) = hub.upgrade() else { return Poll::Ready(()) };
                    if hub.borrow_mut().defer_background() {
                        // Somebody else is about to run: this is behind them.
                        context.waker().wake_by_ref();
                        return Poll::Pending;
                    }
                    drop(hub);
                    work.as_mut().poll(context)
                }));
            }
        }
    }

    /// Runs a future as a task, until it or the node has ended.
    fn run_beside(&mut self, work: impl Future<Output = ()> + 'static) {
        let mut work = Box::pin(work);
        let hub = self.this.clone();
        tokio::task::spawn_local(poll_fn(move |context| match hub.upgrade() {
            Some(_) => work.as_mut().poll(context),
            None => Poll::Ready(()),
        }));
    }

    /// Whether another lane has something waiting; counts the step that has to wait for it, and the one that has not.
    fn defer_background(&mut self) -> bool {
        let is_busy = self.is_busy();
        if is_busy {
            self.background_lane.deferred += 1;
        } else {
            self.background_lane.handled += 1;
        }
        is_busy
    }
}

/// Runs a future to its end, or to its panic: says whether it was that.
async fn caught(mut work: Work) -> bool {
    poll_fn(|context| {
        // Nothing of a future that has panicked is used again: it is dropped.
        match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(context))) {
            Ok(poll) => poll.map(|()| false),
            Err(payload) => {
                let reason = panic_message(payload.as_ref());
                error!(reason, "a scheduled future panicked");
                Poll::Ready(true)
            }
        }
    })
    .await
}
