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

    /// Appends what `write` appends to the buffer, unless more than `bytes_max` bytes would wait then.
    pub(crate) fn append(
        &mut self,
        pool: &mut BufferPool,
        bytes_max: usize,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), Overflow> {
        if self.buffer.capacity() == 0 {
            self.buffer = pool.lend();
        }
        let before = self.buffer.len();
        write(&mut self.buffer);
        if self.len() <= bytes_max {
            return Ok(());
        }
        self.buffer.truncate(before);
        self.give_back_if_empty(pool);
        Err(Overflow)
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
        self.buffer.clear();
        self.written = 0;
        self.give_back_if_empty(pool);
    }

    /// A blocked outbox must not keep what it has sent, else a slow reader's buffer grows for ever. Moved only once the
    /// written part is the larger one, so that a byte is moved at most once on average.
    fn forget_written(&mut self) {
        if self.written > self.buffer.len() / 2 {
            self.buffer.drain(..self.written);
            self.written = 0;
        }
    }

    fn give_back_if_empty(&mut self, pool: &mut BufferPool) {
        if self.buffer.is_empty() && self.buffer.capacity() > 0 {
            pool.take_back(std::mem::take(&mut self.buffer));
        }
    }
}
