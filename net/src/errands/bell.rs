//! Who wakes errands and connections, on whatever thread, and how the hub's thread hears of it: the one thing in the
//! driver that threads share.
//!
//! `tests/loom.rs` compiles this file with the locks and atomics of loom in place of those of the standard library, and
//! tries every order in which threads can meet here.

use std::mem;
use std::sync::{Arc, PoisonError};
use std::task::{Wake, Waker};

use crate::sync::{AtomicBool, Mutex, MutexGuard, Ordering};

/// Names an errand; none of the same list has the name of another, ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ErrandId(pub(crate) u64);

/// Says that errands (or whatever else has names) were woken, and which.
pub(crate) struct Bell<N = ErrandId> {
    is_rung: AtomicBool,
    list: Mutex<List<N>>,
}

struct List<N> {
    woken: Vec<N>,
    /// The task that runs them if nobody else has a turn.
    task: Option<Waker>,
}

impl<N> Default for Bell<N> {
    fn default() -> Self {
        Self { is_rung: AtomicBool::new(false), list: Mutex::new(List { woken: Vec::new(), task: None }) }
    }
}

impl<N> Bell<N> {
    /// Whether an errand was woken since the last time that the list was taken.
    pub(crate) fn is_rung(&self) -> bool {
        self.is_rung.load(Ordering::Acquire)
    }

    /// How many are on the list.
    pub(crate) fn woken(&self) -> usize {
        self.lock().woken.len()
    }

    /// Has this task woken once as soon as somebody rings.
    pub(crate) fn remember(&self, waker: &Waker) {
        let old = self.lock().task.replace(waker.clone());
        // Outside the lock: a waker may do anything when it is dropped.
        drop(old);
    }

    fn lock(&self) -> MutexGuard<'_, List<N>> {
        // No panic can come while it is locked.
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the list, in the order of the waking, in exchange for an empty one.
    pub(crate) fn take_woken(&self, called: &mut Vec<N>) {
        let mut list = self.lock();
        mem::swap(&mut list.woken, called);
        self.is_rung.store(false, Ordering::Release);
    }
}

/// What wakes one errand.
pub(crate) struct Knock<N = ErrandId> {
    id: N,
    /// Whether it is on the bell's list already.
    is_listed: AtomicBool,
    bell: Arc<Bell<N>>,
}

impl<N> Knock<N> {
    pub(crate) fn new(id: N, bell: Arc<Bell<N>>) -> Self {
        Self { id, is_listed: AtomicBool::new(false), bell }
    }

    /// The errand is taken off the list and about to be polled: whoever wakes it from now on lists it again.
    pub(crate) fn is_heard(&self) {
        // Swapped, not stored: whoever has found the errand still listed has gone away again, and what he had to tell
        // must be visible to the poll that follows. After a mere store it need not be, and the waking would be lost.
        self.is_listed.swap(false, Ordering::AcqRel);
    }
}

impl<N: Copy + Send + Sync + 'static> Wake for Knock<N> {
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
