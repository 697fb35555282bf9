//! Real connections of clients.

use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use lobbyd_net::transport::Stream;
use socket2::SockRef;
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Notify;

use crate::layers::line::Cut;
use crate::network::{Chopper, WINDOW_BYTES};

/// The longest segment that a client takes. Over loopback it would be 64 KiB, and from that the system derives how much
/// it holds for a receiver who does not read: some MiB, where a real network has some 100 KiB.
const SEGMENT_BYTES: u32 = 1460;

/// When something has moved.
pub(super) struct Activity {
    last: Cell<Instant>,
    moved: Notify,
}

impl Activity {
    pub(super) fn new() -> Self {
        Self { last: Cell::new(Instant::now()), moved: Notify::new() }
    }

    /// Something has moved.
    pub(super) fn touch(&self) {
        self.last.set(Instant::now());
        self.moved.notify_one();
    }

    /// For how long nothing has moved.
    pub(super) fn rest(&self) -> Duration {
        self.last.get().elapsed()
    }

    /// Waits until something moves.
    pub(super) async fn moved(&self) {
        self.moved.notified().await;
    }
}

/// A client's end of a connection.
pub(super) struct LiveStream {
    socket: TcpStream,
    chopper: Chopper,
    activity: Rc<Activity>,
}

impl LiveStream {
    /// Connects to the first of these addresses where somebody listens.
    ///
    /// # Errors
    /// What the system says of the last of them.
    pub(super) async fn connect(
        addresses: &[SocketAddr],
        chopper: Chopper,
        activity: Rc<Activity>,
    ) -> io::Result<Self> {
        let mut outcome = Err(io::ErrorKind::ConnectionRefused.into());
        for address in addresses {
            outcome = connect(*address).await;
            if outcome.is_ok() {
                break;
            }
        }
        activity.touch();
        Ok(Self { socket: outcome?, chopper, activity })
    }
}

async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // Both must be set before it is connected. The buffer is as on the simulated network, so that who does not read is
    // noticed after as many bytes.
    socket.set_recv_buffer_size(WINDOW_BYTES as u32)?;
    SockRef::from(&socket).set_tcp_mss(SEGMENT_BYTES)?;
    let socket = socket.connect(address).await?;
    socket.set_nodelay(true)?;
    Ok(socket)
}

impl Cut for LiveStream {
    fn cut(self) {
        // It fails only for a connection that is broken already.
        let _ = self.socket.set_zero_linger();
    }
}

impl Stream for LiveStream {
    fn poll_read(&mut self, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let limit = self.chopper.limit(buffer.len());
        let poll = Stream::poll_read(&mut self.socket, context, &mut buffer[..limit]);
        if poll.is_ready() {
            self.activity.touch();
        }
        poll
    }

    fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.chopper.chokes() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let count = self.socket.try_write(&bytes[..self.chopper.limit(bytes.len())])?;
        self.activity.touch();
        Ok(count)
    }

    fn poll_writable(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.chopper.recover();
        self.socket.poll_write_ready(context)
    }

    fn poll_shutdown(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.activity.touch();
        Stream::poll_shutdown(&mut self.socket, context)
    }
}
