//! One direction of a stream, as both its ends see it.

use std::cell::{Cell, RefCell, RefMut};
use std::task::{Context, Poll, Waker};

use super::ledger::Ledger;

/// How many bytes are under way, and how the direction has ended.
#[derive(Debug)]
pub(super) struct Pipe {
    window: usize,
    under_way: Cell<usize>,
    is_reset: Cell<bool>,
    is_closed: Cell<bool>,
    sender: RefCell<Option<Waker>>,
    ledger: RefCell<Option<Ledger>>,
}

impl Pipe {
    pub(super) fn new(window: usize) -> Self {
        Self {
            window,
            under_way: Cell::new(0),
            is_reset: Cell::new(false),
            is_closed: Cell::new(false),
            sender: RefCell::default(),
            ledger: RefCell::default(),
        }
    }

    /// How many bytes more may be sent.
    pub(super) fn room(&self) -> usize {
        // Behind a closed end there is no limit: the sender's own socket says that nobody is there.
        if self.is_closed.get() { usize::MAX } else { self.window.saturating_sub(self.under_way.get()) }
    }

    /// Wakes the sender's task when more may be sent.
    pub(super) fn poll_room(&self, context: &Context<'_>) -> Poll<()> {
        if self.room() > 0 {
            return Poll::Ready(());
        }
        self.sender.replace(Some(context.waker().clone()));
        Poll::Pending
    }

    pub(super) fn put(&self, count: usize) {
        self.under_way.set(self.under_way.get() + count);
    }

    pub(super) fn took(&self, count: usize) {
        self.under_way.set(self.under_way.get().saturating_sub(count));
        if let Some(mut ledger) = self.ledger() {
            ledger.read(count);
        }
        if count > 0 {
            self.wake_sender();
        }
    }

    /// The receiver is gone.
    pub(super) fn close(&self) {
        self.is_closed.set(true);
        self.wake_sender();
    }

    /// The sender cuts the connection.
    pub(super) fn reset(&self) {
        self.is_reset.set(true);
    }

    pub(super) fn is_reset(&self) -> bool {
        self.is_reset.get()
    }

    /// From now on it is known which packets are lost here.
    pub(super) fn keep_ledger(&self) {
        self.ledger.borrow_mut().get_or_insert_default();
    }

    pub(super) fn ledger(&self) -> Option<RefMut<'_, Ledger>> {
        RefMut::filter_map(self.ledger.borrow_mut(), Option::as_mut).ok()
    }

    fn wake_sender(&self) {
        if let Some(waker) = self.sender.take() {
            waker.wake();
        }
    }
}
