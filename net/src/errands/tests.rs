use std::future::pending;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Wake;
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
