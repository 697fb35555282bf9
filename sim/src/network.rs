//! The simulated network as the driver's transport: turmoil's sockets behind the same traits as tokio's.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use lobbyd_net::transport::{Listener, Stream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use turmoil::net::{TcpListener, TcpStream};

/// A stream on the simulated network.
pub struct SimulatedStream(TcpStream);

impl Stream for SimulatedStream {
    fn poll_read(&mut self, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut buffer = ReadBuf::new(buffer);
        Pin::new(&mut self.0).poll_read(context, &mut buffer).map_ok(|()| buffer.filled().len())
    }

    fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn poll_writable(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The future holds no state of its own: what waits is remembered by the stream.
        pin!(self.0.writable()).poll(context)
    }

    fn poll_shutdown(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

/// A listener on the simulated network.
pub struct SimulatedListener(TcpListener);

impl SimulatedListener {
    /// Listens on every address of the simulated host that calls this.
    ///
    /// # Errors
    /// When the port is taken.
    pub async fn bind(port: u16) -> io::Result<Self> {
        TcpListener::bind(("0.0.0.0", port)).await.map(Self)
    }
}

impl Listener for SimulatedListener {
    type Stream = SimulatedStream;

    async fn accept(&mut self) -> io::Result<(SimulatedStream, SocketAddr)> {
        let (stream, address) = self.0.accept().await?;
        Ok((SimulatedStream(stream), address))
    }
}
