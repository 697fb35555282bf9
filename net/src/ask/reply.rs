//! Replies to those who wait on other threads. Everything that a turn has to say is there before anybody is woken, and who
//! waits for several replies is woken once for all: a thread that is woken for each would take the processor from the one
//! that answers, or have to be called back from its sleep, as often as it asks.
//!
//! `tests/loom.rs` compiles this file with the locks of loom in place of those of the standard library, and tries every
//! order in which threads can meet here.

use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::sync::{Mutex, MutexGuard};

/// The way back to whoever has asked. Dropped without a reply, it says that there will be none.
pub(crate) struct Reply<T>(Arc<Shared<T>>);

/// Waits for a reply; none if nobody will ever give one.
pub(crate) struct Awaited<T>(Arc<Shared<T>>);

struct Shared<T>(Mutex<State<T>>);

enum State<T> {
    /// Nothing is there yet, and that task waits for it.
    Open(Option<Waker>),
    Given(T),
    /// It was taken, or will never be.
    Over,
}

/// A way for one reply, and its end.
pub(crate) fn reply<T>() -> (Reply<T>, Awaited<T>) {
    let shared = Arc::new(Shared(Mutex::new(State::Open(None))));
    (Reply(Arc::clone(&shared)), Awaited(shared))
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // No panic can come while it is locked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the waiting in that way, if it has not ended, and gives the task that waits.
    fn end(&self, state: State<T>) -> Option<Waker> {
        let mut held = self.lock();
        if !matches!(*held, State::Open(_)) {
            return None;
        }
        match mem::replace(&mut *held, state) {
            State::Open(waker) => waker,
            State::Given(_) | State::Over => None,
        }
    }
}

impl<T> Reply<T> {
    /// Gives the reply, and has whoever waits woken together with others. It may be that nobody waits any more.
    pub(crate) fn put(self, value: T, answered: &mut Answered) {
        answered.0.extend(self.0.end(State::Given(value)));
    }

    /// Gives the reply and wakes whoever waits.
    pub(crate) fn send(self, value: T) {
        if let Some(waker) = self.0.end(State::Given(value)) {
            waker.wake();
        }
    }
}

impl<T> Drop for Reply<T> {
    fn drop(&mut self) {
        if let Some(waker) = self.0.end(State::Over) {
            waker.wake();
        }
    }
}

impl<T> Drop for Awaited<T> {
    fn drop(&mut self) {
        // The task that has given up is not kept, however long the reply takes. Dropped outside of the lock: a waker may do
        // anything then.
        drop(self.0.end(State::Over));
    }
}

impl<T> Future for Awaited<T> {
    type Output = Option<T>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        let mut state = self.0.lock();
        if let State::Open(waker) = &mut *state {
            waker.replace(context.waker().clone());
            return Poll::Pending;
        }
        match mem::replace(&mut *state, State::Over) {
            State::Given(value) => Poll::Ready(Some(value)),
            State::Open(_) | State::Over => Poll::Ready(None),
        }
    }
}

/// Those who have a reply and do not know it yet. They learn of it at the latest when this is dropped: by a panic, in which
/// the turn does not come to its end.
#[derive(Default)]
pub(crate) struct Answered(Vec<Waker>);

impl Answered {
    /// Tells them, each once for all that came without another's in between.
    pub(crate) fn wake(&mut self) {
        self.0.dedup_by(|waker, before| waker.will_wake(before));
        self.0.drain(..).for_each(Waker::wake);
    }
}

impl Drop for Answered {
    fn drop(&mut self) {
        self.wake();
    }
}
