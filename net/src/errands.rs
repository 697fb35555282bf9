//! Errands: what the system lane waits for outside the hub, as futures that the hub itself polls at the beginning of a
//! turn. A task of the runtime would stand in its queue behind every connection that was ready before.
//!
//! Whoever wakes an errand, on whatever thread, lists it and rings a bell; a turn that hears no bell costs one test.
//! Errands run in the order in which they were woken, so that a simulation repeats itself.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::mem;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use tokio::task::{AbortHandle, spawn_local, unconstrained};

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

/// Names an errand; none of the same list has the name of another, ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ErrandId(u64);

struct Running {
    /// Not here while it is polled.
    future: Option<Pin<Box<dyn Future<Output = ()>>>>,
    knock: Arc<Knock>,
    waker: Waker,
}

impl ErrandList {
    /// Takes on an errand. It is polled for the first time in the next run.
    pub(crate) fn begin(&self, future: impl Future<Output = ()> + 'static) -> ErrandId {
        let id = ErrandId(self.next.get());
        self.next.set(id.0 + 1);
        let knock = Arc::new(Knock { id, is_listed: AtomicBool::new(false), bell: Arc::clone(&self.bell) });
        let waker = Waker::from(Arc::clone(&knock));
        waker.wake_by_ref();
        // Without tokio's budget: an errand would spend that of whichever connection's task polls it.
        let future: Pin<Box<dyn Future<Output = ()>>> = Box::pin(unconstrained(future));
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
        self.bell.is_rung.load(Ordering::Acquire)
    }

    /// How many errands were woken since the last run.
    pub(crate) fn called(&self) -> usize {
        self.bell.lock().woken.len()
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
    fn take(&self, id: ErrandId) -> Option<(Pin<Box<dyn Future<Output = ()>>>, Waker)> {
        let mut running = self.running.borrow_mut();
        let errand = running.get_mut(&id)?;
        // A swap, because a store could pass behind the first reads of the poll: a knock in between would be in vain, and
        // what it tells of not be seen.
        errand.knock.is_listed.swap(false, Ordering::AcqRel);
        Some((errand.future.take()?, errand.waker.clone()))
    }

    /// Has this task woken once as soon as an errand is.
    pub(crate) fn remember(&self, waker: &Waker) {
        let old = self.bell.lock().task.replace(waker.clone());
        drop(old);
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

/// Says that errands were woken, and which.
#[derive(Default)]
struct Bell {
    is_rung: AtomicBool,
    list: Mutex<List>,
}

#[derive(Default)]
struct List {
    woken: Vec<ErrandId>,
    /// The task that runs them if nobody else has a turn.
    task: Option<Waker>,
}

impl Bell {
    fn lock(&self) -> MutexGuard<'_, List> {
        // No panic can come while it is locked.
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_woken(&self, called: &mut Vec<ErrandId>) {
        let mut list = self.lock();
        mem::swap(&mut list.woken, called);
        self.is_rung.store(false, Ordering::Release);
    }
}

/// What wakes one errand.
struct Knock {
    id: ErrandId,
    /// Whether it is on the bell's list already.
    is_listed: AtomicBool,
    bell: Arc<Bell>,
}

impl Wake for Knock {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.is_listed.swap(true, Ordering::AcqRel) {
            return;
        }
        let mut list = self.bell.lock();
        list.woken.push(self.id);
        self.bell.is_rung.store(true, Ordering::Release);
        let task = list.task.take();
        drop(list);
        if let Some(task) = task {
            task.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::sync::atomic::AtomicUsize;
    use std::thread;

    use tokio::sync::oneshot;
    use tokio::task::LocalSet;

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
        let (errands, told) = (ErrandList::default(), Rc::default());
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
        assert_eq!(errands.running.borrow().len(), 0);
    }

    #[test]
    fn errand_that_was_not_woken_is_not_polled() {
        let (errands, polls) = (ErrandList::default(), Rc::new(Cell::new(0)));
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
        let (errands, polls) = (ErrandList::default(), Rc::new(Cell::new(0)));
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
        let (errands, told) = (ErrandList::default(), Rc::default());
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
    fn errand_begins_others_and_cancels_any_while_it_is_polled() {
        let (errands, told) = (Rc::new(ErrandList::default()), Rc::<RefCell<String>>::default());
        let (sender, victim) = waiter('v', &told);
        let victim = errands.begin(victim);
        errands.run();
        let (list, note) = (Rc::clone(&errands), Rc::clone(&told));
        errands.begin(async move {
            note.borrow_mut().push('a');
            list.cancel(victim);
            let others = Rc::clone(&note);
            list.begin(async move { others.borrow_mut().push('b') });
            // All of them, itself too: it is polled to the end of this, and never again.
            let last = list.begin(async { unreachable!("it was cancelled") });
            list.cancel(last);
            list.cancel(ErrandId(victim.0 + 1));
            next_turn().await;
            unreachable!("it was cancelled");
        });
        errands.run();
        assert!(sender.is_closed());
        errands.run();
        errands.run();
        assert_eq!((&**told.borrow(), errands.running.borrow().len()), ("ab", 0));
    }

    #[test]
    fn errand_whose_end_cancels_others_may_end_in_any_way() {
        let ends: [fn(&ErrandList); 3] =
            [ErrandList::cancel_all, |list| list.cancel(ErrandId(1)), |list| assert_eq!(list.run(), 1)];
        for end in ends {
            let list = Rc::new(ErrandList::default());
            let kept = Rc::new(());
            let held = Rc::clone(&kept);
            let inner = Errand {
                id: list.begin(async move {
                    let _held = held;
                    pending().await
                }),
                list: Rc::clone(&list),
            };
            let outer = async move {
                let _inner = inner;
                next_turn().await;
            };
            list.begin(outer);
            list.run();
            end(&list);
            assert_eq!((Rc::strong_count(&kept), list.running.borrow().len()), (1, 0));
        }
    }

    #[tokio::test]
    async fn errands_without_a_node_are_run_by_a_task_of_their_own() {
        let place = LocalSet::new();
        let (kept, errands) = place
            .run_until(async {
                let (errands, told) = (Errands::start(), Rc::default());
                let (a, errand_a) = waiter('a', &told);
                let (b, errand_b) = waiter('b', &told);
                let (_a, dropped) = (errands.begin(errand_a), errands.begin(errand_b));
                tokio::task::yield_now().await;
                drop(dropped);
                assert!(b.is_closed(), "an errand that nobody needs has ended");
                a.send(()).unwrap();
                tokio::task::yield_now().await;
                assert_eq!(*told.borrow(), "a");
                let kept = Rc::new(());
                let held = Rc::clone(&kept);
                let waits = errands.begin(async move {
                    let _held = held;
                    pending().await
                });
                tokio::task::yield_now().await;
                (kept, (errands, waits))
            })
            .await;
        assert_eq!(Rc::strong_count(&kept), 2);
        drop(place);
        assert_eq!(Rc::strong_count(&kept), 1, "what it held outlived its runtime");
        drop(errands);
    }

    #[tokio::test]
    async fn task_that_runs_errands_ends_with_the_last_who_could_begin_one() {
        LocalSet::new()
            .run_until(async {
                let errands = Errands::start();
                let list = Rc::downgrade(&errands.list);
                tokio::task::yield_now().await;
                drop(errands.clone());
                tokio::task::yield_now().await;
                assert!(list.upgrade().is_some());
                drop(errands);
                tokio::task::yield_now().await;
                assert!(list.upgrade().is_none());
            })
            .await;
    }

    #[test]
    fn cancelled_errand_is_dropped_at_once_and_its_knock_is_in_vain() {
        let (errands, told) = (ErrandList::default(), Rc::default());
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
