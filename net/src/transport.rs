//! What the driver asks of sockets. Production gives it tokio's, simulation the simulated network's; nothing above this
//! file knows which. Clocks need no trait of their own: both run under `tokio::time`.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

/// A connected byte stream that reads and writes without being split, on one thread.
pub trait Stream: 'static {
    /// Reads what is there into `buffer`, which is not empty; 0 bytes are the end of the stream. Wakes the task when
    /// there is something to read.
    ///
    /// # Errors
    /// When the connection is broken; nothing more can be read then.
    fn poll_read(&mut self, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>>;

    /// Writes as much of `bytes`, which is not empty, as the transport takes now.
    ///
    /// # Errors
    /// `WouldBlock` when it takes nothing now; anything else when the connection is broken.
    fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize>;

    /// Wakes the task when a write that would have blocked may succeed.
    ///
    /// # Errors
    /// When the connection is broken.
    fn poll_writable(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Ends the writing half: the peer reads the end of the stream after everything that was written.
    ///
    /// # Errors
    /// When the connection is broken.
    fn poll_shutdown(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>>;
}

/// A stream that can go on on another thread: one of several I/O threads accepts for all.
pub trait Detach: Stream + Sized {
    /// The stream while it belongs to no thread.
    type Detached: Send + 'static;

    /// Takes it out of the place where it was accepted.
    ///
    /// # Errors
    /// When the system refuses it; the connection is closed then.
    fn detach(self) -> io::Result<Self::Detached>;

    /// Takes it up on the thread that calls this.
    ///
    /// # Errors
    /// When the system refuses it; the connection is closed then.
    fn attach(detached: Self::Detached) -> io::Result<Self>;
}

/// A source of connections.
pub trait Listener: 'static {
    /// What it accepts.
    type Stream: Stream;

    /// Waits for the next connection. Safe to cancel.
    ///
    /// # Errors
    /// When this connection could not be accepted, for instance for want of file descriptors; the next may be.
    fn accept(&mut self) -> impl Future<Output = io::Result<(Self::Stream, SocketAddr)>>;
}

impl Stream for TcpStream {
    fn poll_read(&mut self, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut buffer = ReadBuf::new(buffer);
        // Not `try_read`: this way tokio sees a short read and saves the system call that would say "nothing more".
        Pin::new(self).poll_read(context, &mut buffer).map_ok(|()| buffer.filled().len())
    }

    fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Self::try_write(self, bytes)
    }

    fn poll_writable(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_write_ready(context)
    }

    fn poll_shutdown(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        AsyncWrite::poll_shutdown(Pin::new(self), context)
    }
}

impl Detach for TcpStream {
    type Detached = std::net::TcpStream;

    fn detach(self) -> io::Result<std::net::TcpStream> {
        self.into_std()
    }

    fn attach(detached: std::net::TcpStream) -> io::Result<Self> {
        Self::from_std(detached)
    }
}

impl Listener for TcpListener {
    type Stream = TcpStream;

    async fn accept(&mut self) -> io::Result<(TcpStream, SocketAddr)> {
        let (stream, address) = Self::accept(self).await?;
        // A chat line must not wait for the acknowledgement of the one before it. It fails only for a connection that is
        // broken already, which whoever reads from it learns.
        let _ = stream.set_nodelay(true);
        Ok((stream, address))
    }
}
