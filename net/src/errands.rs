//! Errands: what the system lane waits for outside the hub, as futures that the hub itself polls at the beginning of a
//! turn. A task of the runtime would stand in its queue behind every connection that was ready before.
//!
//! Whoever wakes an errand, on whatever thread, lists it and rings a bell; a turn that hears no bell costs one test.
//! Errands run in the order in which they were woken, so that a simulation repeats itself.

mod bell;

use std::collections::BTreeMap;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Waker};

use tokio::task::unconstrained;

pub(crate) use self::bell::ErrandId;
use self::bell::{Bell, Knock};

/// The errands that are being run.
#[derive(Default)]
pub(crate) struct Errands {
    running: BTreeMap<ErrandId, Errand>,
    next: u64,
    bell: Arc<Bell>,
    /// Where the list of the woken is taken to. Kept for its allocation.
    called: Vec<ErrandId>,
}

struct Errand {
    future: Pin<Box<dyn Future<Output = ()>>>,
    knock: Arc<Knock>,
    waker: Waker,
}

impl Errands {
    /// Takes on an errand. It runs for the first time in the next turn.
    pub(crate) fn begin(&mut self, future: impl Future<Output = ()> + 'static) -> ErrandId {
        let id = ErrandId(self.next);
        self.next += 1;
        let knock = Arc::new(Knock::new(id, Arc::clone(&self.bell)));
        let waker = Waker::from(Arc::clone(&knock));
        waker.wake_by_ref();
        // Without tokio's budget: an errand would spend that of whichever connection's task polls it.
        self.running.insert(id, Errand { future: Box::pin(unconstrained(future)), knock, waker });
        id
    }

    /// Drops an errand, if it still runs.
    pub(crate) fn cancel(&mut self, id: ErrandId) {
        self.running.remove(&id);
    }

    /// Drops all of them.
    pub(crate) fn cancel_all(&mut self) {
        self.running.clear();
    }

    /// Whether an errand was woken since the last run.
    pub(crate) fn is_called(&self) -> bool {
        self.bell.is_rung()
    }

    /// How many errands were woken since the last run.
    pub(crate) fn called(&self) -> usize {
        self.bell.woken()
    }

    /// Polls every errand that was woken, once.
    pub(crate) fn run(&mut self) {
        let mut called = mem::take(&mut self.called);
        self.bell.take_woken(&mut called);
        for id in called.drain(..) {
            // One that was dropped or has ended may still be woken.
            let Some(errand) = self.running.get_mut(&id) else { continue };
            errand.knock.is_heard();
            if errand.future.as_mut().poll(&mut Context::from_waker(&errand.waker)).is_ready() {
                self.running.remove(&id);
            }
        }
        self.called = called;
    }

    /// Has this task woken once as soon as an errand is.
    pub(crate) fn remember(&self, waker: &Waker) {
        self.bell.remember(waker);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};
    use std::future::{pending, poll_fn};
    use std::rc::Rc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Poll, Wake};
    use std::thread;

    use tokio::sync::oneshot;

    use super::*;

    /// A task that knows how often it was woken.
    #[derive(Default)]
    struct Task(AtomicUsize);

    impl Wake for Task {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// An errand that waits for a word, and says its name when it came.
    fn waiter(name: char, told: &Rc<RefCell<String>>) -> (oneshot::Sender<()>, impl Future<Output = ()> + use<>) {
        let (sender, receiver) = oneshot::channel();
        let told = Rc::clone(told);
        (sender, async move {
            let _ = receiver.await;
            told.borrow_mut().push(name);
        })
    }

    #[test]
    fn errands_run_in_the_order_in_which_they_were_woken() {
        let (mut errands, told) = (Errands::default(), Rc::default());
        let (a, errand_a) = waiter('a', &told);
        let (b, errand_b) = waiter('b', &told);
        let (c, errand_c) = waiter('c', &told);
        for errand in [errand_a, errand_b, errand_c] {
            errands.begin(errand);
        }
        assert!(errands.is_called(), "a new errand wants to be polled");
        errands.run();
        assert!(!errands.is_called());
        for sender in [c, a, b] {
            sender.send(()).unwrap();
        }
        assert_eq!(errands.called(), 3);
        errands.run();
        assert_eq!(*told.borrow(), "cab");
        assert_eq!(errands.running.len(), 0);
    }

    #[test]
    fn errand_that_was_not_woken_is_not_polled() {
        let (mut errands, polls) = (Errands::default(), Rc::new(Cell::new(0)));
        let counted = Rc::clone(&polls);
        errands.begin(poll_fn(move |_| {
            counted.set(counted.get() + 1);
            Poll::Pending
        }));
        errands.run();
        errands.begin(async {});
        errands.run();
        assert_eq!(polls.get(), 1);
    }

    #[test]
    fn errand_that_wakes_itself_is_polled_once_in_a_run() {
        let (mut errands, polls) = (Errands::default(), Rc::new(Cell::new(0)));
        let counted = Rc::clone(&polls);
        errands.begin(poll_fn(move |context| {
            counted.set(counted.get() + 1);
            context.waker().wake_by_ref();
            context.waker().wake_by_ref();
            Poll::Pending
        }));
        for run in 1..4 {
            errands.run();
            assert_eq!((polls.get(), errands.called()), (run, 1));
        }
    }

    #[test]
    fn task_is_woken_once_for_many_errands_from_any_thread() {
        let (mut errands, told) = (Errands::default(), Rc::default());
        let (senders, waiters): (Vec<_>, Vec<_>) = ('a'..='h').map(|name| waiter(name, &told)).unzip();
        for waiter in waiters {
            errands.begin(waiter);
        }
        errands.run();
        let task = Arc::new(Task::default());
        errands.remember(&Waker::from(Arc::clone(&task)));
        let threads: Vec<_> = senders.into_iter().map(|sender| thread::spawn(move || sender.send(()))).collect();
        for thread in threads {
            thread.join().unwrap().unwrap();
        }
        assert_eq!(task.0.load(Ordering::SeqCst), 1);
        errands.run();
        assert_eq!(told.borrow().len(), 8);
    }

    #[test]
    fn cancelled_errand_is_dropped_at_once_and_its_knock_is_in_vain() {
        let (mut errands, told) = (Errands::default(), Rc::default());
        let (sender, errand) = waiter('a', &told);
        let id = errands.begin(errand);
        errands.run();
        errands.cancel(id);
        assert!(sender.is_closed());
        let (kept, waker) = (Rc::new(()), Rc::new(RefCell::new(None)));
        let (held, place) = (Rc::clone(&kept), Rc::clone(&waker));
        errands.begin(async move {
            let _held = held;
            poll_fn(|context| {
                *place.borrow_mut() = Some(context.waker().clone());
                Poll::Ready(())
            })
            .await;
            pending().await
        });
        errands.run();
        errands.cancel_all();
        assert_eq!(Rc::strong_count(&kept), 1);
        let waker: Option<Waker> = waker.borrow_mut().take();
        waker.unwrap().wake();
        errands.run();
        assert_eq!(*told.borrow(), "");
    }
}
