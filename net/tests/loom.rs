//! What threads share, in every order in which they can meet: what wakes errands (`src/errands/bell.rs`), what hands the
//! engine on with everything that was decided (`src/relay.rs`, `src/mailbox.rs`), and what brings a handle its reply
//! (`src/ask/reply.rs`), compiled with loom's locks and
//! atomics in place of those of the standard library.

/// What `src/sync.rs` is in the library.
mod sync {
    pub(crate) use std::sync::TryLockError;

    pub(crate) use loom::sync::atomic::{AtomicBool, Ordering};
    pub(crate) use loom::sync::{Mutex, MutexGuard};
}

#[path = "../src/errands/bell.rs"]
mod bell;
#[path = "../src/mailbox.rs"]
mod mailbox;
#[path = "../src/relay.rs"]
mod relay;
#[path = "../src/ask/reply.rs"]
mod reply;

use std::future::Future as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use loom::thread;

use self::bell::{Bell, ErrandId, Knock};
use self::mailbox::MAIL_BYTES_MAX;
use self::relay::{Packs, Relay, Waits};
use self::reply::{Answered, Reply, reply};
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

/// What threads hold in turn: a number that rises, and what is to be told of it.
#[derive(Default)]
struct Counter {
    last: u32,
    /// For thread 0 and thread 1.
    packed: [Vec<u32>; 2],
    /// What each parcel weighs.
    bytes: usize,
}

impl Packs for Counter {
    type Parcel = Vec<u32>;

    fn unload(&mut self, mut give: impl FnMut(usize, &mut Vec<u32>, usize)) {
        for (thread, parcel) in self.packed.iter_mut().enumerate() {
            if !parcel.is_empty() {
                give(thread, parcel, self.bytes);
            }
        }
    }
}

/// A thread that does what it is told, and what it decides itself, and keeps a list of both.
struct Worker {
    thread: usize,
    relay: Arc<Relay<Counter>>,
    mail: Vec<Vec<u32>>,
    done: Vec<u32>,
    waits: Waits,
}

impl Worker {
    fn new(thread: usize, relay: &Arc<Relay<Counter>>) -> Self {
        Self { thread, relay: Arc::clone(relay), mail: Vec::new(), done: Vec::new(), waits: Waits::default() }
    }

    /// Takes a number, does it, and tells the other.
    fn decide(&mut self) {
        let relay = Arc::clone(&self.relay);
        let (mut counter, has_mail) = relay.take(self.thread, &mut self.mail, &mut self.waits);
        if has_mail {
            self.read();
        }
        counter.last += 1;
        let number = counter.last;
        counter.packed[1 - self.thread].push(number);
        self.done.push(number);
        let mut sleepers = Vec::new();
        relay.let_go(counter, &mut sleepers);
        sleepers.into_iter().for_each(Waker::wake);
    }

    fn read(&mut self) {
        self.mail.iter_mut().for_each(|parcel| self.done.append(parcel));
    }

    /// Reads its mail without holding anything, as the task for that does: remembered first, then one look.
    fn look(&mut self, task: &Arc<Task>) {
        let relay = Arc::clone(&self.relay);
        relay.mailbox(self.thread).remember(&Waker::from(Arc::clone(task)));
        if relay.mailbox(self.thread).take(&mut self.mail) {
            self.read();
        }
    }
}

#[test]
fn both_threads_do_everything_in_the_order_in_which_it_was_decided() {
    loom::model(|| {
        let relay = Arc::new(Relay::new(Counter::default(), 2));
        let [mut one, mut other] = [Worker::new(0, &relay), Worker::new(1, &relay)];
        let task = Arc::new(Task(AtomicBool::new(false)));
        let its_task = Arc::clone(&task);
        let running = thread::spawn(move || {
            one.decide();
            one.look(&its_task);
            one.decide();
            one
        });
        other.decide();
        let mut one = running.join().expect("it does not panic");
        for worker in [&mut one, &mut other] {
            worker.look(&task);
            assert_eq!(worker.done, [1, 2, 3], "on thread {}", worker.thread);
        }
    });
}

#[test]
fn whoever_sleeps_is_woken_for_mail() {
    loom::model(|| {
        let relay = Arc::new(Relay::new(Counter::default(), 2));
        let [mut decides, mut sleeps] = [Worker::new(0, &relay), Worker::new(1, &relay)];
        let running = thread::spawn(move || decides.decide());
        let task = Arc::new(Task(AtomicBool::new(false)));
        sleeps.look(&task);
        let heard = !sleeps.done.is_empty();
        running.join().expect("it does not panic");
        assert!(heard || task.0.load(Ordering::Acquire), "nobody wakes it");
        sleeps.look(&task);
        assert_eq!(sleeps.done, [1]);
    });
}

#[test]
fn whoever_rests_for_a_crammed_mailbox_is_woken_when_it_is_emptied() {
    loom::model(|| {
        let counter = Counter { bytes: MAIL_BYTES_MAX + 1, ..Counter::default() };
        let relay = Arc::new(Relay::new(counter, 2));
        let [mut decides, mut reads] = [Worker::new(0, &relay), Worker::new(1, &relay)];
        let task = Arc::new(Task(AtomicBool::new(false)));
        let its_task = Arc::clone(&task);
        decides.decide();
        let running = thread::spawn(move || reads.look(&Arc::new(Task(AtomicBool::new(false)))));
        let rests = relay.is_crammed(&Waker::from(its_task));
        running.join().expect("it does not panic");
        assert!(!rests || task.0.load(Ordering::Acquire), "nobody wakes it");
        assert!(!relay.is_crammed(&Waker::from(task)), "it is empty");
    });
}

/// How a reply is given, or not.
type End = fn(Reply<u32>);

#[test]
fn whoever_waits_for_a_reply_is_woken_or_has_it() {
    let put: End = |reply| {
        let mut answered = Answered::default();
        reply.put(7, &mut answered);
        answered.wake();
    };
    let send: End = |reply| reply.send(7);
    for (end, expected) in [(put, Some(7)), (send, Some(7)), (drop, None)] {
        loom::model(move || {
            let (reply, mut awaited) = reply();
            let running = thread::spawn(move || end(reply));
            let task = Arc::new(Task(AtomicBool::new(false)));
            let waker = Waker::from(Arc::clone(&task));
            let mut look = || Pin::new(&mut awaited).poll(&mut Context::from_waker(&waker));
            let first = look();
            running.join().expect("it does not panic");
            assert!(first.is_ready() || task.0.load(Ordering::Acquire), "nobody wakes it");
            let heard = if first.is_ready() { first } else { look() };
            assert_eq!(heard, Poll::Ready(expected));
        });
    }
}
