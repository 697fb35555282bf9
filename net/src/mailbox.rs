//! The mailbox of an I/O thread: where the others leave what it has to do, each batch of theirs in one piece.
//!
//! `tests/loom.rs` compiles this file with the locks and atomics of loom in place of those of the standard library, and
//! tries every order in which threads can meet here.

use std::mem;
use std::sync::PoisonError;
use std::task::Waker;

use crate::sync::{AtomicBool, Mutex, MutexGuard, Ordering};

/// Pieces of mail, in the order in which they were put in.
pub(crate) struct Mailbox<P> {
    /// Whether there is any, for the one who looks often. What was put in before somebody let go of the engine is seen
    /// by whoever holds it now.
    has_mail: AtomicBool,
    inside: Mutex<Inside<P>>,
}

struct Inside<P> {
    mail: Vec<P>,
    /// Pieces that were emptied, kept for their allocations.
    spare: Vec<P>,
    /// The task that reads the mail if nobody else does before. Absent when somebody has been asked to wake it.
    task: Option<Waker>,
}

/// So many emptied pieces are kept.
const SPARE_MAX: usize = 8;

impl<P> Default for Mailbox<P> {
    fn default() -> Self {
        let inside = Inside { mail: Vec::new(), spare: Vec::new(), task: None };
        Self { has_mail: AtomicBool::new(false), inside: Mutex::new(inside) }
    }
}

impl<P: Default> Mailbox<P> {
    /// Puts a piece in, in exchange for an empty one. Whoever gets the waker has to wake it, soon: nobody else will.
    #[must_use = "the task sleeps until it is woken"]
    pub(crate) fn put(&self, piece: &mut P) -> Option<Waker> {
        let mut inside = self.lock();
        let empty = inside.spare.pop().unwrap_or_default();
        inside.mail.push(mem::replace(piece, empty));
        self.has_mail.store(true, Ordering::Release);
        inside.task.take()
    }

    /// Takes all mail, if there is any, in exchange for the pieces of the last time, which have been emptied. Says whether
    /// there was.
    pub(crate) fn take(&self, mail: &mut Vec<P>) -> bool {
        if !self.has_mail.load(Ordering::Acquire) {
            return false;
        }
        let mut inside = self.lock();
        let room = SPARE_MAX.saturating_sub(inside.spare.len());
        mail.truncate(room);
        inside.spare.append(mail);
        mem::swap(&mut inside.mail, mail);
        self.has_mail.store(false, Ordering::Release);
        true
    }

    /// Has this task woken as soon as there is mail. To be called before it looks.
    pub(crate) fn remember(&self, waker: &Waker) {
        let old = self.lock().task.replace(waker.clone());
        // Outside the lock: a waker may do anything when it is dropped.
        drop(old);
    }

    fn lock(&self) -> MutexGuard<'_, Inside<P>> {
        // No panic can come while it is locked, but for want of memory.
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
