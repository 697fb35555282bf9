//! What wakes errands from other threads, in every order in which threads can meet: `src/errands/bell.rs`, compiled with
//! loom's locks and atomics in place of those of the standard library.

/// What `src/sync.rs` is in the library.
mod sync {
    pub(crate) use loom::sync::atomic::{AtomicBool, Ordering};
    pub(crate) use loom::sync::{Mutex, MutexGuard};
}

#[path = "../src/errands/bell.rs"]
mod bell;

use std::sync::Arc;
use std::task::{Wake, Waker};

use loom::thread;

use self::bell::{Bell, ErrandId, Knock};
use self::sync::{AtomicBool, Ordering};

/// What an errand waits for, and the task that is to be told that errands were woken.
struct Scene {
    bell: Arc<Bell>,
    knock: Arc<Knock>,
    is_there: Arc<AtomicBool>,
    task: Arc<Task>,
}

/// A task that knows whether it was woken.
struct Task(AtomicBool);

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Release);
    }
}

impl Scene {
    fn new() -> Self {
        let bell = Arc::new(Bell::default());
        Self {
            knock: Arc::new(Knock::new(ErrandId(7), Arc::clone(&bell))),
            bell,
            is_there: Arc::new(AtomicBool::new(false)),
            task: Arc::new(Task(AtomicBool::new(false))),
        }
    }

    fn waker(&self) -> Waker {
        Waker::from(Arc::clone(&self.knock))
    }

    /// Another thread brings what the errand waits for, and wakes it.
    fn bring(&self) -> thread::JoinHandle<()> {
        let (waker, is_there) = (self.waker(), Arc::clone(&self.is_there));
        thread::spawn(move || {
            is_there.store(true, Ordering::Release);
            waker.wake();
        })
    }

    /// Runs the errands that were woken, as the hub does: whether this one was polled and found what it waits for.
    fn run(&self) -> bool {
        let mut woken = Vec::new();
        self.bell.take_woken(&mut woken);
        assert!(woken.len() <= 1, "an errand is listed twice: {woken:?}");
        !woken.is_empty() && {
            self.knock.is_heard();
            self.is_there.load(Ordering::Acquire)
        }
    }
}

#[test]
fn errand_that_is_woken_while_it_is_polled_is_polled_again() {
    loom::model(|| {
        let scene = Scene::new();
        // Something else had woken it before.
        scene.waker().wake();
        let bringer = scene.bring();
        let found = scene.run();
        bringer.join().expect("it does not panic");
        assert!(found || scene.bell.is_rung() && scene.run(), "a waking is lost");
    });
}

#[test]
fn task_is_woken_for_whatever_a_turn_did_not_hear() {
    loom::model(|| {
        let scene = Scene::new();
        let bringer = scene.bring();
        // A turn that hears no bell goes by; then the task goes to sleep, as it does: remembered first, then one look.
        let heard = scene.bell.is_rung() && scene.run();
        scene.bell.remember(&Waker::from(Arc::clone(&scene.task)));
        let heard = heard || scene.bell.is_rung() && scene.run();
        bringer.join().expect("it does not panic");
        assert!(heard || scene.task.0.load(Ordering::Acquire), "nobody runs the errand");
        assert!(heard || scene.run(), "a waking is lost");
    });
}

#[test]
fn errand_that_two_threads_wake_is_listed_once() {
    loom::model(|| {
        let scene = Scene::new();
        let (one, other) = (scene.bring(), scene.bring());
        let found = scene.run();
        one.join().expect("it does not panic");
        other.join().expect("it does not panic");
        assert!(scene.bell.woken() <= 1);
        assert!(found || scene.run(), "a waking is lost");
    });
}
