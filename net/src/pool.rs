//! The pool that partial frames and outboxes borrow their buffers from, so that an idle connection owns none.

/// Buffers that are lent and come back. Bounded: what comes back beyond the bounds is freed.
#[derive(Debug, Default)]
pub(crate) struct BufferPool {
    idle: Vec<Vec<u8>>,
    report: PoolReport,
}

/// The state of a pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolReport {
    /// Buffers that are out.
    pub lent: u64,
    /// Buffers that wait to be lent.
    pub idle: u64,
    /// The most that were ever out at once.
    pub peak: u64,
    /// How often none was idle, so that a new one was made.
    pub misses: u64,
}

/// A new buffer has room for this many bytes: many small frames, or a message.
const NEW_BUFFER_BYTES: usize = 1024;
/// A buffer that has grown beyond this is freed rather than kept.
const KEPT_BUFFER_BYTES_MAX: usize = 64 * 1024;
/// The most buffers that are kept: with those that have grown, at most 64 MiB.
const KEPT_BUFFERS_MAX: usize = 1024;

impl BufferPool {
    /// An empty buffer.
    pub(crate) fn lend(&mut self) -> Vec<u8> {
        self.report.lent += 1;
        self.report.peak = self.report.peak.max(self.report.lent);
        self.idle.pop().unwrap_or_else(|| {
            self.report.misses += 1;
            Vec::with_capacity(NEW_BUFFER_BYTES)
        })
    }

    /// Takes a lent buffer back.
    pub(crate) fn take_back(&mut self, mut buffer: Vec<u8>) {
        self.report.lent -= 1;
        if self.idle.len() < KEPT_BUFFERS_MAX && buffer.capacity() <= KEPT_BUFFER_BYTES_MAX {
            buffer.clear();
            self.idle.push(buffer);
        }
    }

    /// How the pool stands.
    pub(crate) fn report(&self) -> PoolReport {
        PoolReport { idle: self.idle.len() as u64, ..self.report }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffer_comes_back_empty_and_is_lent_again() {
        let mut pool = BufferPool::default();
        let mut buffer = pool.lend();
        buffer.extend_from_slice(b"secret of the last borrower");
        let address = buffer.as_ptr();
        pool.take_back(buffer);
        let again = pool.lend();
        assert_eq!((again.len(), again.as_ptr()), (0, address));
        assert_eq!(pool.report(), PoolReport { lent: 1, idle: 0, peak: 1, misses: 1 });
    }

    #[test]
    fn grown_buffer_is_not_kept() {
        let mut pool = BufferPool::default();
        let mut buffer = pool.lend();
        buffer.reserve(KEPT_BUFFER_BYTES_MAX + 1);
        pool.take_back(buffer);
        assert_eq!(pool.report(), PoolReport { lent: 0, idle: 0, peak: 1, misses: 1 });
    }

    #[test]
    fn pool_keeps_no_more_than_its_bound() {
        let mut pool = BufferPool::default();
        let buffers: Vec<_> = (0..KEPT_BUFFERS_MAX + 5).map(|_| pool.lend()).collect();
        for buffer in buffers {
            pool.take_back(buffer);
        }
        assert_eq!(pool.report().idle, KEPT_BUFFERS_MAX as u64);
        assert_eq!(pool.report().lent, 0);
    }
}
