//! What waits to be sent to one client. Bounded in bytes; it owns a buffer only while something waits.

use std::io;

use crate::pool::BufferPool;
use crate::transport::Stream;

/// Bytes on their way to one client.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    /// Absent (without capacity) while nothing waits.
    buffer: Vec<u8>,
    /// How many bytes of it have been written already.
    written: usize,
}

/// The outbox does not hold that much; what was in it is still there.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Overflow;

/// How a flush ended, besides an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flushed {
    /// Nothing waits any more.
    All,
    /// The transport takes no more now.
    Blocked,
}

impl Outbox {
    pub(crate) fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    /// How many bytes wait.
    pub(crate) fn len(&self) -> usize {
        self.buffer.len() - self.written
    }

    /// Appends these bytes, unless more than `bytes_max` would wait then.
    pub(crate) fn append(&mut self, pool: &mut BufferPool, bytes_max: usize, bytes: &[u8]) -> Result<(), Overflow> {
        if self.len() + bytes.len() > bytes_max {
            return Err(Overflow);
        }
        if self.buffer.capacity() == 0 {
            self.buffer = pool.lend();
        }
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }

    /// Appends these bytes to others that wait already; says whether it did, which it does if not more than `bytes_max`
    /// bytes wait then.
    #[inline]
    pub(crate) fn extend(&mut self, bytes_max: usize, bytes: &[u8]) -> bool {
        let fits = !self.buffer.is_empty() && self.len() + bytes.len() <= bytes_max;
        if fits {
            self.buffer.extend_from_slice(bytes);
        }
        fits
    }

    /// What waits.
    pub(crate) fn unsent(&self) -> &[u8] {
        &self.buffer[self.written..]
    }

    /// Writes as much as the transport takes.
    pub(crate) fn flush(&mut self, stream: &mut impl Stream, pool: &mut BufferPool) -> io::Result<Flushed> {
        while self.written < self.buffer.len() {
            match stream.try_write(&self.buffer[self.written..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => self.written += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.forget_written();
                    return Ok(Flushed::Blocked);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.discard(pool);
        Ok(Flushed::All)
    }

    /// Forgets everything and gives the buffer back.
    pub(crate) fn discard(&mut self, pool: &mut BufferPool) {
        self.written = 0;
        if self.buffer.capacity() > 0 {
            pool.take_back(std::mem::take(&mut self.buffer));
        }
    }

    /// A blocked outbox must not keep what it has sent, else a slow reader's buffer grows for ever. Moved only once the
    /// written part is the larger one, so that a byte is moved at most once on average.
    fn forget_written(&mut self) {
        if self.written > self.buffer.len() / 2 {
            self.buffer.drain(..self.written);
            self.written = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll};

    use super::*;

    /// A transport that takes so many bytes at each write, and then no more until it is asked again.
    struct Taker {
        taken: Vec<u8>,
        bytes_per_write: Vec<usize>,
    }

    impl Stream for Taker {
        fn poll_read(&mut self, _: &mut Context<'_>, _: &mut [u8]) -> Poll<io::Result<usize>> {
            Poll::Pending
        }

        fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let Some(count) = self.bytes_per_write.pop() else {
                return Err(io::ErrorKind::WouldBlock.into());
            };
            let count = count.min(bytes.len());
            self.taken.extend_from_slice(&bytes[..count]);
            Ok(count)
        }

        fn poll_writable(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Pending
        }

        fn poll_shutdown(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[test]
    fn outbox_takes_what_fits_and_keeps_what_it_has() {
        let (mut outbox, mut pool) = (Outbox::default(), BufferPool::default());
        assert_eq!(outbox.append(&mut pool, 6, b"abc"), Ok(()));
        assert_eq!(outbox.append(&mut pool, 6, b"defg"), Err(Overflow));
        assert_eq!(outbox.append(&mut pool, 6, b"def"), Ok(()));
        let mut taker = Taker { taken: Vec::new(), bytes_per_write: vec![100] };
        assert_eq!(outbox.flush(&mut taker, &mut pool).expect("it takes"), Flushed::All);
        assert_eq!(taker.taken, b"abcdef");
    }

    #[test]
    fn outbox_is_extended_only_where_something_waits_and_it_fits() {
        let (mut outbox, mut pool) = (Outbox::default(), BufferPool::default());
        assert!(!outbox.extend(6, b"ab"), "it has no buffer");
        outbox.append(&mut pool, 6, b"abc").expect("it fits");
        assert!(!outbox.extend(6, b"defg"));
        assert!(outbox.extend(6, b"def"));
        assert_eq!((outbox.len(), outbox.buffer.as_slice()), (6, b"abcdef".as_slice()));
    }

    #[test]
    fn what_was_written_makes_room_at_once() {
        let (mut outbox, mut pool) = (Outbox::default(), BufferPool::default());
        outbox.append(&mut pool, 6, b"abcdef").expect("it fits");
        let mut taker = Taker { taken: Vec::new(), bytes_per_write: vec![1, 1] };
        assert_eq!(outbox.flush(&mut taker, &mut pool).expect("it takes"), Flushed::Blocked);
        assert_eq!(outbox.append(&mut pool, 6, b"ghi"), Err(Overflow));
        assert_eq!(outbox.append(&mut pool, 6, b"gh"), Ok(()));
        taker.bytes_per_write = vec![3, 3];
        assert_eq!(outbox.flush(&mut taker, &mut pool).expect("it takes"), Flushed::All);
        assert_eq!(taker.taken, b"abcdefgh");
    }

    #[test]
    fn empty_outbox_owns_no_buffer() {
        let (mut outbox, mut pool) = (Outbox::default(), BufferPool::default());
        outbox.append(&mut pool, 0, b"a").expect_err("it does not fit");
        assert_eq!((outbox.buffer.capacity(), pool.report().lent), (0, 0), "refused");
        outbox.append(&mut pool, 9, b"a").expect("it fits");
        assert_eq!(pool.report().lent, 1);
        let mut taker = Taker { taken: Vec::new(), bytes_per_write: vec![1] };
        outbox.flush(&mut taker, &mut pool).expect("it takes");
        assert_eq!((outbox.buffer.capacity(), pool.report().lent), (0, 0), "flushed");
        outbox.append(&mut pool, 9, b"a").expect("it fits");
        outbox.discard(&mut pool);
        assert_eq!((outbox.buffer.capacity(), pool.report().lent), (0, 0), "discarded");
    }

    #[test]
    fn slow_reader_does_not_make_the_buffer_grow() {
        let (mut outbox, mut pool) = (Outbox::default(), BufferPool::default());
        let mut taker = Taker { taken: Vec::new(), bytes_per_write: Vec::new() };
        outbox.append(&mut pool, 1000, &[0; 900]).expect("it fits");
        for _ in 0..1000 {
            taker.bytes_per_write = vec![90];
            outbox.flush(&mut taker, &mut pool).expect("it takes");
            outbox.append(&mut pool, 1000, &[0; 90]).expect("it fits");
        }
        assert!(outbox.buffer.len() <= 2000, "{} bytes for 900 that wait", outbox.buffer.len());
    }

    #[test]
    fn stream_that_takes_nothing_is_broken() {
        let (mut outbox, mut pool) = (Outbox::default(), BufferPool::default());
        outbox.append(&mut pool, 9, b"a").expect("it fits");
        let mut taker = Taker { taken: Vec::new(), bytes_per_write: vec![0] };
        let error = outbox.flush(&mut taker, &mut pool).expect_err("it is broken");
        assert_eq!(error.kind(), io::ErrorKind::WriteZero);
    }
}
