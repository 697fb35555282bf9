//! Streams in memory that a test holds the other end of: it says when bytes move, and how many at a time.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use lobbyd_net::transport::{Listener, Stream};
use tokio::sync::mpsc;

/// Both directions of one connection, as the client sees them.
#[derive(Default)]
pub(crate) struct Wire {
    /// What the server can read.
    to_server: VecDeque<u8>,
    /// The client has ended its writing half.
    has_ended: bool,
    /// Neither side can use it any more.
    is_broken: bool,
    /// All that the server has written.
    pub(crate) to_client: Vec<u8>,
    /// How many more bytes the server can write.
    window: usize,
    /// The server has ended its writing half.
    pub(crate) server_has_ended: bool,
    /// The server has let go of it.
    pub(crate) is_dropped: bool,
    /// How many bytes each read and write moves at most, going round; 0 is a look in vain.
    sizes: Vec<usize>,
    looks: usize,
    /// Changes whenever something has moved.
    pub(crate) moves: u64,
    /// How many bytes the server has read.
    pub(crate) read: u64,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// The client's end. Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Near(Rc<RefCell<Wire>>);

/// The server's end.
pub(crate) struct Far(Rc<RefCell<Wire>>);

impl Near {
    /// A connection that moves so many bytes at a time.
    pub(crate) fn new(sizes: &[usize], window: usize) -> Self {
        assert!(sizes.iter().any(|size| *size > 0), "nothing would ever move");
        Self(Rc::new(RefCell::new(Wire { sizes: sizes.to_vec(), window, ..Wire::default() })))
    }

    pub(crate) fn far(&self) -> Far {
        Far(self.0.clone())
    }

    pub(crate) fn look<T>(&self, at: impl FnOnce(&Wire) -> T) -> T {
        at(&self.0.borrow())
    }

    pub(crate) fn send(&self, bytes: &[u8]) {
        self.change(|wire| {
            assert!(!wire.has_ended, "nothing is sent behind the end");
            wire.to_server.extend(bytes);
        });
    }

    /// Lets the server write so many more bytes.
    pub(crate) fn open_window(&self, bytes: usize) {
        self.change(|wire| wire.window = wire.window.saturating_add(bytes));
    }

    /// Ends the client's writing half.
    pub(crate) fn hang_up(&self) {
        self.change(|wire| wire.has_ended = true);
    }

    /// Breaks the connection: what is on its way is lost.
    pub(crate) fn cut(&self) {
        self.change(|wire| {
            wire.is_broken = true;
            wire.to_server.clear();
        });
    }

    fn change(&self, change: impl FnOnce(&mut Wire)) {
        let mut wire = self.0.borrow_mut();
        change(&mut wire);
        wire.moves += 1;
        let wakers = [wire.reader.take(), wire.writer.take()];
        drop(wire);
        wakers.into_iter().flatten().for_each(Waker::wake);
    }
}

impl Wire {
    /// How many bytes the next read or write moves.
    fn next_size(&mut self) -> usize {
        self.looks += 1;
        self.sizes[self.looks % self.sizes.len()]
    }
}

impl Stream for Far {
    fn poll_read(&mut self, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        assert!(!buffer.is_empty(), "the buffer of a read is not empty");
        let mut wire = self.0.borrow_mut();
        if wire.is_broken {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        if wire.to_server.is_empty() {
            if wire.has_ended {
                return Poll::Ready(Ok(0));
            }
            wire.reader = Some(context.waker().clone());
            return Poll::Pending;
        }
        let count = wire.next_size().min(buffer.len()).min(wire.to_server.len());
        if count == 0 {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        for (place, byte) in buffer.iter_mut().zip(wire.to_server.drain(..count)) {
            *place = byte;
        }
        wire.read += count as u64;
        wire.moves += 1;
        Poll::Ready(Ok(count))
    }

    fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        assert!(!bytes.is_empty(), "there is something to write");
        let mut wire = self.0.borrow_mut();
        assert!(!wire.server_has_ended, "nothing is written behind the end");
        if wire.is_broken {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let count = wire.next_size().min(bytes.len()).min(wire.window);
        if count == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        wire.window -= count;
        wire.to_client.extend_from_slice(&bytes[..count]);
        wire.moves += 1;
        Ok(count)
    }

    fn poll_writable(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut wire = self.0.borrow_mut();
        if wire.is_broken {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if wire.window > 0 {
            return Poll::Ready(Ok(()));
        }
        wire.writer = Some(context.waker().clone());
        Poll::Pending
    }

    fn poll_shutdown(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut wire = self.0.borrow_mut();
        if wire.is_broken {
            return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
        }
        wire.server_has_ended = true;
        wire.moves += 1;
        Poll::Ready(Ok(()))
    }
}

impl Drop for Far {
    fn drop(&mut self) {
        let mut wire = self.0.borrow_mut();
        wire.is_dropped = true;
        wire.moves += 1;
    }
}

/// Accepts what a test connects.
pub(crate) struct Queue(pub(crate) mpsc::UnboundedReceiver<Far>);

impl Listener for Queue {
    type Stream = Far;

    async fn accept(&mut self) -> io::Result<(Far, SocketAddr)> {
        match self.0.recv().await {
            Some(stream) => Ok((stream, SocketAddr::from(([127, 0, 0, 1], 1)))),
            None => std::future::pending().await,
        }
    }
}
