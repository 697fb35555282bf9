//! Buffers for those who extend a server: lent from a pool of their own, and back by themselves.

use std::fmt;
use std::mem;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use lobbyd_core::data::Data;

use crate::pool::{BufferPool, PoolReport};

/// A pool of buffers in which services and programs build what they send. Cheap to clone, and for any thread. Bounded:
/// it keeps at most 1,024 buffers of at most 64 KiB each, and gives those that nobody needs back to the system.
///
/// ```
/// use lobbyd_core::data::Data;
/// use lobbyd_net::Buffers;
///
/// let buffers = Buffers::new();
/// let mut reply = buffers.lend();
/// reply.extend_from_slice(b"a long list");
/// assert_eq!(buffers.report().lent, 1);
/// // The bytes are not copied: the buffer goes back when the data is dropped.
/// let data = Data::from(reply);
/// assert_eq!(data.as_bytes(), b"a long list");
/// drop(data);
/// assert_eq!((buffers.report().lent, buffers.report().idle), (0, 1));
/// ```
#[derive(Clone, Default)]
pub struct Buffers {
    pool: Arc<Mutex<BufferPool>>,
}

/// A buffer that goes back when it is dropped: an empty `Vec` that has its memory already.
pub struct LentBuffer {
    buffer: Vec<u8>,
    from: Buffers,
}

impl Buffers {
    /// A pool without buffers.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty buffer.
    #[must_use]
    pub fn lend(&self) -> LentBuffer {
        LentBuffer { buffer: self.locked().lend(), from: self.clone() }
    }

    /// How the pool stands.
    #[must_use]
    pub fn report(&self) -> PoolReport {
        self.locked().report()
    }

    pub(crate) fn is_untidy(&self) -> bool {
        self.locked().is_untidy()
    }

    pub(crate) fn tidy(&self) {
        self.locked().tidy();
    }

    /// Nothing panics while it is held but for want of memory.
    fn locked(&self) -> MutexGuard<'_, BufferPool> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Buffers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Buffers").field(&self.report()).finish()
    }
}

impl Deref for LentBuffer {
    type Target = Vec<u8>;

    fn deref(&self) -> &Vec<u8> {
        &self.buffer
    }
}

impl DerefMut for LentBuffer {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }
}

impl AsRef<[u8]> for LentBuffer {
    fn as_ref(&self) -> &[u8] {
        &self.buffer
    }
}

impl Drop for LentBuffer {
    fn drop(&mut self) {
        let buffer = mem::take(&mut self.buffer);
        self.from.locked().take_back(buffer);
    }
}

impl fmt::Debug for LentBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LentBuffer").field("bytes", &self.buffer.len()).finish_non_exhaustive()
    }
}

impl From<LentBuffer> for Data {
    /// The same bytes, not copied. The buffer goes back when nobody has them any more.
    fn from(buffer: LentBuffer) -> Self {
        Bytes::from_owner(buffer).into()
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn lent_buffer_comes_back_empty_from_any_thread() {
        let buffers = Buffers::new();
        let mut lent = buffers.lend();
        lent.extend_from_slice(b"of somebody else");
        let address = lent.as_ptr();
        thread::spawn(move || drop(lent)).join().expect("nothing panics there");
        let again = buffers.lend();
        assert_eq!((again.len(), again.as_ptr()), (0, address));
        let report = buffers.report();
        assert_eq!((report.lent, report.idle, report.peak, report.misses), (1, 0, 1, 1));
    }

    #[test]
    fn data_gives_its_buffer_back_with_its_last_copy() {
        let buffers = Buffers::new();
        let mut lent = buffers.lend();
        lent.extend_from_slice(b"reply");
        let data = Data::from(lent);
        let copy = data.clone();
        drop(data);
        assert_eq!((buffers.report().lent, copy.as_bytes()), (1, &b"reply"[..]));
        drop(copy);
        assert_eq!((buffers.report().lent, buffers.report().idle), (0, 1));
    }

    #[test]
    fn buffer_lent_while_a_panic_passes_comes_back() {
        let buffers = Buffers::new();
        let borrower = buffers.clone();
        thread::spawn(move || {
            let _lent = borrower.lend();
            panic!("on purpose");
        })
        .join()
        .expect_err("it panics");
        assert_eq!((buffers.report().lent, buffers.report().idle), (0, 1));
    }
}
