//! What several threads hold in turn, and hand each other parcels about: the order that keeps events in their order.
//!
//! Who lets go has put the parcels into the mailboxes before, and who takes hold gets its own mail with it, to be read
//! first. So a thread that decides something has done everything that was decided before.
//!
//! `tests/loom.rs` compiles this file with the locks and atomics of loom in place of those of the standard library, and
//! tries every order in which threads can meet here.

use std::task::Waker;

use crate::mailbox::Mailbox;
use crate::sync::{Mutex, MutexGuard, TryLockError};

/// Something with parcels for the threads that hold it in turn.
pub(crate) trait Packs {
    /// What a thread gets.
    type Parcel: Default;

    /// Gives every parcel that has something in it, with the thread that it is for and how many bytes it has. It is
    /// exchanged for an empty one.
    fn unload(&mut self, give: impl FnMut(usize, &mut Self::Parcel, usize));
}

/// Something that one of several threads holds at a time.
pub(crate) struct Relay<T: Packs> {
    held: Mutex<T>,
    mailboxes: Vec<Mailbox<T::Parcel>>,
}

/// How often a thread had to wait until another let go, and how long in all.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Waits {
    pub(crate) count: u64,
    pub(crate) total: std::time::Duration,
}

impl<T: Packs> Relay<T> {
    /// For so many threads.
    pub(crate) fn new(held: T, threads: usize) -> Self {
        Self { held: Mutex::new(held), mailboxes: (0..threads).map(|_| Mailbox::default()).collect() }
    }

    pub(crate) fn mailbox(&self, thread: usize) -> &Mailbox<T::Parcel> {
        &self.mailboxes[thread]
    }

    /// Takes hold, and the thread's mail: what others have decided until now, to be done before anything else is. `mail`
    /// has the emptied parcels of the last time; says whether it has new ones now.
    pub(crate) fn take(
        &self,
        thread: usize,
        mail: &mut Vec<T::Parcel>,
        waits: &mut Waits,
    ) -> (MutexGuard<'_, T>, bool) {
        let held = self.look(waits);
        // Nothing is put in while this is held, so that this is all.
        let has_mail = self.mailboxes[thread].take(mail);
        (held, has_mail)
    }

    /// Whether somebody has so much mail that others are to rest; then this task is woken when it is worth a look again.
    pub(crate) fn is_crammed(&self, waker: &Waker) -> bool {
        self.mailboxes.iter().any(|mailbox| mailbox.is_crammed(waker))
    }

    /// Takes hold only to look, and counts the wait for whoever has it.
    ///
    /// # Panics
    /// If a thread has panicked with it in its hand: it may be half changed, and must not go on.
    pub(crate) fn look(&self, waits: &mut Waits) -> MutexGuard<'_, T> {
        const BROKEN: &str = "the engine broke down on another thread, and nothing goes on without it";
        match self.held.try_lock() {
            Ok(held) => held,
            Err(TryLockError::Poisoned(_)) => panic!("{BROKEN}"),
            Err(TryLockError::WouldBlock) => {
                // Not tokio's clock: this is about the machine, also in simulated time.
                let since = std::time::Instant::now();
                let held = self.held.lock().expect(BROKEN);
                waits.count += 1;
                waits.total += since.elapsed();
                held
            }
        }
    }

    /// Puts the parcels into the mailboxes, and lets go. The tasks of those who sleep are added to `sleepers`, to be
    /// woken soon.
    pub(crate) fn let_go(&self, mut held: MutexGuard<'_, T>, sleepers: &mut Vec<Waker>) {
        held.unload(|thread, parcel, bytes| sleepers.extend(self.mailboxes[thread].put(parcel, bytes)));
        drop(held);
    }
}
