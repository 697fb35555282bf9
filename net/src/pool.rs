//! The pool that partial frames and outboxes borrow their buffers from, so that an idle connection owns none.

/// Buffers that are lent and come back. Bounded: what comes back beyond the bounds is freed.
#[derive(Debug, Default)]
pub(crate) struct BufferPool {
    idle: Vec<Vec<u8>>,
    /// The fewest that were idle since the last look: so many were not needed in that time.
    unneeded: usize,
    report: PoolReport,
}

/// The state of a pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolReport {
    /// Buffers that are out.
    pub lent: u64,
    /// Buffers that wait to be lent.
    pub idle: u64,
    /// The most that were ever out at once; of several I/O threads' pools, the sum.
    pub peak: u64,
    /// How often none was idle, so that a new one was made.
    pub misses: u64,
    /// Bytes of memory that the idle buffers hold.
    pub bytes: u64,
}

impl PoolReport {
    /// Adds the pool of another thread.
    pub(crate) fn add(&mut self, other: Self) {
        let Self { lent, idle, peak, misses, bytes } = other;
        self.lent += lent;
        self.idle += idle;
        self.peak += peak;
        self.misses += misses;
        self.bytes += bytes;
    }
}

/// A new buffer has room for this many bytes: many small frames, or a message.
const NEW_BUFFER_BYTES: usize = 1024;
/// A buffer that has grown beyond this is freed rather than kept.
const KEPT_BUFFER_BYTES_MAX: usize = 64 * 1024;
/// The most buffers that are kept: with those that have grown, at most 64 MiB.
const KEPT_BUFFERS_MAX: usize = 1024;
/// So many idle buffers are kept even if nobody needs them.
const SPARE_BUFFERS: usize = 64;
/// The most buffers that are freed at a time.
const FREED_AT_A_TIME: usize = 64;

impl BufferPool {
    /// An empty buffer.
    pub(crate) fn lend(&mut self) -> Vec<u8> {
        self.report.lent += 1;
        self.report.peak = self.report.peak.max(self.report.lent);
        let Some(buffer) = self.idle.pop() else {
            self.report.misses += 1;
            return Vec::with_capacity(NEW_BUFFER_BYTES);
        };
        self.report.bytes -= buffer.capacity() as u64;
        self.unneeded = self.unneeded.min(self.idle.len());
        buffer
    }

    /// Takes a lent buffer back.
    pub(crate) fn take_back(&mut self, mut buffer: Vec<u8>) {
        self.report.lent -= 1;
        if self.idle.len() < KEPT_BUFFERS_MAX && buffer.capacity() <= KEPT_BUFFER_BYTES_MAX {
            buffer.clear();
            self.report.bytes += buffer.capacity() as u64;
            self.idle.push(buffer);
        }
    }

    /// Whether more buffers are idle than are kept for ever.
    pub(crate) fn is_untidy(&self) -> bool {
        self.idle.len() > SPARE_BUFFERS
    }

    /// Frees some of the buffers that nobody has needed since the last time. What a crowd has left behind goes back to
    /// the system, and what the present traffic uses stays.
    pub(crate) fn tidy(&mut self) {
        let spare = self.idle.len().saturating_sub(SPARE_BUFFERS);
        // The first ones are those that were not lent for the longest time.
        for buffer in self.idle.drain(..self.unneeded.min(spare).min(FREED_AT_A_TIME)) {
            self.report.bytes -= buffer.capacity() as u64;
        }
        if !self.is_untidy() {
            self.idle.shrink_to(SPARE_BUFFERS);
        }
        self.unneeded = self.idle.len();
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
        assert_eq!(pool.report(), PoolReport { lent: 1, idle: 0, peak: 1, misses: 1, bytes: 0 });
    }

    #[test]
    fn grown_buffer_is_not_kept() {
        let mut pool = BufferPool::default();
        let mut buffer = pool.lend();
        buffer.reserve(KEPT_BUFFER_BYTES_MAX + 1);
        pool.take_back(buffer);
        assert_eq!(pool.report(), PoolReport { lent: 0, idle: 0, peak: 1, misses: 1, bytes: 0 });
    }

    #[test]
    fn bytes_are_those_of_idle_buffers_as_they_are() {
        let mut pool = BufferPool::default();
        let (mut grown, small) = (pool.lend(), pool.lend());
        assert_eq!(pool.report().bytes, 0, "what is lent is its borrower's");
        grown.reserve_exact(5_000);
        pool.take_back(grown);
        assert_eq!(pool.report().bytes, 5_000);
        pool.take_back(small);
        assert_eq!(pool.report().bytes, 5_000 + NEW_BUFFER_BYTES as u64);
        let _ = pool.lend();
        assert_eq!(pool.report().bytes, 5_000);
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
        assert_eq!(pool.report().bytes, (KEPT_BUFFERS_MAX * NEW_BUFFER_BYTES) as u64);
    }

    #[test]
    fn buffers_that_a_crowd_left_behind_are_freed_step_by_step() {
        let mut pool = BufferPool::default();
        let crowd: Vec<_> = (0..SPARE_BUFFERS + 150).map(|_| pool.lend()).collect();
        assert!(!pool.is_untidy());
        for buffer in crowd {
            pool.take_back(buffer);
        }
        // All were needed since the last time.
        pool.tidy();
        let mut idle = vec![pool.idle.len() - SPARE_BUFFERS];
        while pool.is_untidy() {
            pool.tidy();
            idle.push(pool.idle.len() - SPARE_BUFFERS);
        }
        assert_eq!(idle, [150, 86, 22, 0]);
        pool.tidy();
        assert_eq!(pool.report().idle, SPARE_BUFFERS as u64, "some are always kept");
        assert_eq!(pool.report().bytes, (SPARE_BUFFERS * NEW_BUFFER_BYTES) as u64);
    }

    #[test]
    fn buffers_that_are_needed_now_and_then_are_kept() {
        let mut pool = BufferPool::default();
        let crowd: Vec<_> = (0..SPARE_BUFFERS + 40).map(|_| pool.lend()).collect();
        crowd.into_iter().for_each(|buffer| pool.take_back(buffer));
        pool.tidy();
        for _ in 0..10 {
            let needed: Vec<_> = (0..SPARE_BUFFERS + 30).map(|_| pool.lend()).collect();
            needed.into_iter().for_each(|buffer| pool.take_back(buffer));
            pool.tidy();
        }
        let misses = pool.report().misses;
        assert_eq!((pool.idle.len(), misses), (SPARE_BUFFERS + 30, (SPARE_BUFFERS + 40) as u64));
    }
}
