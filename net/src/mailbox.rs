//! The mailbox of an I/O thread: where the others leave what it has to do, each batch of theirs in one piece.
//!
//! `tests/loom.rs` compiles this file with the locks and atomics of loom in place of those of the standard library, and
//! tries every order in which threads can meet here.

use std::mem;
use std::sync::PoisonError;
use std::task::Waker;

use crate::sync::{AtomicBool, Mutex, MutexGuard, Ordering};

/// Pieces of mail, in the order in which they were put in.
///
/// Nobody who puts something in can wait, for he holds what all threads want. But when too much lies in it, he reads
/// nothing more from his clients until it has been emptied, so that what a thread can fall behind by has a bound.
pub(crate) struct Mailbox<P> {
    /// Whether too much lies in it, for those who look often.
    is_crammed: AtomicBool,
    /// Whether there is any, for the one who looks often. What was put in before somebody let go of the engine is seen
    /// by whoever holds it now.
    has_mail: AtomicBool,
    inside: Mutex<Inside<P>>,
}

struct Inside<P> {
    mail: Vec<P>,
    /// What lies in it, in bytes.
    bytes: usize,
    /// Who waits until it is emptied.
    patient: Vec<Waker>,
    /// Pieces that were emptied, kept for their allocations.
    spare: Vec<P>,
    /// The task that reads the mail if nobody else does before. Absent when somebody has been asked to wake it.
    task: Option<Waker>,
}

/// More than this is too much.
pub(crate) const MAIL_BYTES_MAX: usize = 1024 * 1024;
/// So many emptied pieces are kept.
const SPARE_MAX: usize = 8;

impl<P> Default for Mailbox<P> {
    fn default() -> Self {
        let inside = Inside { mail: Vec::new(), bytes: 0, patient: Vec::new(), spare: Vec::new(), task: None };
        Self { is_crammed: AtomicBool::new(false), has_mail: AtomicBool::new(false), inside: Mutex::new(inside) }
    }
}

impl<P: Default> Mailbox<P> {
    /// Puts a piece of so many bytes in, in exchange for an empty one. Whoever gets the waker has to wake it, soon: nobody else will.
    #[must_use = "the task sleeps until it is woken"]
    pub(crate) fn put(&self, piece: &mut P, bytes: usize) -> Option<Waker> {
        let mut inside = self.lock();
        inside.bytes += bytes;
        if inside.bytes > MAIL_BYTES_MAX {
            self.is_crammed.store(true, Ordering::Release);
        }
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
        inside.bytes = 0;
        self.is_crammed.store(false, Ordering::Release);
        let patient = mem::take(&mut inside.patient);
        drop(inside);
        // Outside the lock: a waker may do anything.
        patient.into_iter().for_each(Waker::wake);
        true
    }

    /// Whether too much lies in it; then this task is woken when it is emptied.
    pub(crate) fn is_crammed(&self, waker: &Waker) -> bool {
        if !self.is_crammed.load(Ordering::Acquire) {
            return false;
        }
        let mut inside = self.lock();
        // It may have been emptied meanwhile.
        let is_crammed = inside.bytes > MAIL_BYTES_MAX;
        if is_crammed && !inside.patient.iter().any(|patient| patient.will_wake(waker)) {
            inside.patient.push(waker.clone());
        }
        is_crammed
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
