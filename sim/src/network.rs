//! The simulated network as the driver's transport: turmoil's sockets behind the same traits as tokio's.
//!
//! What turmoil's sockets do not have is added here: a limit in bytes on what is under way in a direction (turmoil
//! counts writes, so that a reader who does not read would be buffered for nearly without end), a reset, and writes and
//! reads that move a few bytes at a time (turmoil delivers each write as one read, which hides mistakes in framing).

mod chopper;
mod ledger;
mod losses;
mod pipe;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::rc::{Rc, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use lobbyd_net::transport::{Listener, Stream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use turmoil::ToSocketAddrs;
use turmoil::net::{TcpListener, TcpStream};

pub use self::chopper::{Chopped, Chopper};
use self::losses::Losses;
pub(crate) use self::losses::Lost;
use self::pipe::Pipe;

/// The most bytes under way in one direction of a stream: sent, and not read yet.
pub const WINDOW_BYTES: usize = 64 * 1024;

/// What the streams of one simulated network share. Clones are the same network.
#[derive(Clone)]
pub struct Network(Rc<Shared>);

struct Shared {
    chop: Option<u32>,
    /// The seed of the next stream's chopper.
    seeds: RefCell<Chopper>,
    /// Both directions of every stream, by sender and receiver.
    pipes: RefCell<BTreeMap<(SocketAddr, SocketAddr), Weak<Pipe>>>,
    now: Cell<Duration>,
    busy_at: Cell<Duration>,
    /// Kept only where somebody watches.
    losses: RefCell<Option<Losses>>,
}

impl Network {
    /// A network on which every write and every read moves at most a random number of bytes up to `chop`, if that is
    /// given. All its randomness follows from `seed`.
    #[must_use]
    pub fn new(chop: Option<u32>, seed: u64) -> Self {
        Self(Rc::new(Shared {
            chop,
            seeds: RefCell::new(Chopper::new(None, seed)),
            pipes: RefCell::default(),
            now: Cell::default(),
            busy_at: Cell::default(),
            losses: RefCell::default(),
        }))
    }

    /// Says what time it is, for [`Network::busy_at`].
    pub fn set_now(&self, now: Duration) {
        self.0.now.set(now);
    }

    /// What time it is, as was said last.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.0.now.get()
    }

    /// Says that something has just been begun.
    pub fn touch(&self) {
        self.0.busy_at.set(self.0.now.get());
    }

    /// When bytes were last sent or received, or something was begun.
    #[must_use]
    pub fn busy_at(&self) -> Duration {
        self.0.busy_at.get()
    }

    /// A chopper for another stream.
    #[must_use]
    pub fn chopper(&self) -> Chopper {
        Chopper::new(self.0.chop, self.0.seeds.borrow_mut().draw())
    }

    fn is_cut(&self, (from, to): (SocketAddr, SocketAddr)) -> bool {
        self.0.losses.borrow().as_ref().is_some_and(|losses| losses.are_cut((from.ip(), to.ip())))
    }

    fn stream(&self, stream: TcpStream) -> io::Result<SimulatedStream> {
        let (local, remote) = (stream.local_addr()?, stream.peer_addr()?);
        self.touch();
        Ok(SimulatedStream {
            stream: Some(stream),
            outgoing: self.pipe((local, remote)),
            incoming: self.pipe((remote, local)),
            chopper: self.chopper(),
            network: self.clone(),
            ends: (local, remote),
        })
    }

    fn pipe(&self, ends: (SocketAddr, SocketAddr)) -> Rc<Pipe> {
        let mut pipes = self.0.pipes.borrow_mut();
        if let Some(known) = pipes.get(&ends).and_then(Weak::upgrade) {
            return known;
        }
        pipes.retain(|_, pipe| pipe.strong_count() > 0);
        let pipe = Rc::new(Pipe::new(WINDOW_BYTES));
        pipes.insert(ends, Rc::downgrade(&pipe));
        pipe
    }
}

impl Default for Network {
    fn default() -> Self {
        Self::new(None, 0)
    }
}

/// A stream on the simulated network.
pub struct SimulatedStream {
    /// Absent only while it is dropped.
    stream: Option<TcpStream>,
    outgoing: Rc<Pipe>,
    incoming: Rc<Pipe>,
    chopper: Chopper,
    network: Network,
    /// Its own, and the other.
    ends: (SocketAddr, SocketAddr),
}

impl SimulatedStream {
    /// Connects from the simulated host that calls this.
    ///
    /// # Errors
    /// When nobody listens there.
    pub async fn connect(network: &Network, address: impl ToSocketAddrs) -> io::Result<Self> {
        network.stream(TcpStream::connect(address).await?)
    }

    /// Cuts the connection: the peer reads an error instead of the end of the stream.
    pub fn reset(self) {
        self.outgoing.reset();
    }

    fn socket(&mut self) -> &mut TcpStream {
        self.stream.as_mut().expect("a stream has its socket until it is dropped")
    }
}

impl Stream for SimulatedStream {
    fn poll_read(&mut self, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let limit = self.chopper.limit(buffer.len());
        let mut buffer = ReadBuf::new(&mut buffer[..limit]);
        let poll = Pin::new(self.socket()).poll_read(context, &mut buffer);
        let count = buffer.filled().len();
        poll.map(|read| {
            self.network.touch();
            read?;
            self.incoming.took(count);
            // A reset comes as the end of the stream does, behind what was sent before.
            if count == 0 && self.incoming.is_reset() { Err(io::ErrorKind::ConnectionReset.into()) } else { Ok(count) }
        })
    }

    fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = self.outgoing.room().min(bytes.len());
        if room == 0 || self.chopper.chokes() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let count = self.chopper.limit(room);
        let count = self.socket().try_write(&bytes[..count])?;
        self.outgoing.put(count);
        if let Some(mut ledger) = self.outgoing.ledger() {
            ledger.sent(self.network.now(), &bytes[..count], self.network.is_cut(self.ends));
        }
        self.network.touch();
        Ok(count)
    }

    fn poll_writable(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.chopper.recover();
        if self.outgoing.poll_room(context).is_pending() {
            return Poll::Pending;
        }
        // The future holds no state of its own: what waits is remembered by the stream.
        pin!(self.socket().writable()).poll(context)
    }

    fn poll_shutdown(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.network.touch();
        Pin::new(self.socket()).poll_shutdown(context)
    }
}

impl Drop for SimulatedStream {
    fn drop(&mut self) {
        self.network.touch();
        self.stream = None;
        // Whoever waits to send is not kept waiting: it learns from its own socket that nobody is there.
        self.incoming.close();
    }
}

/// A listener on the simulated network.
pub struct SimulatedListener {
    listener: TcpListener,
    network: Network,
}

impl SimulatedListener {
    /// Listens on every address of the simulated host that calls this, on a network of its own that does not chop.
    ///
    /// # Errors
    /// When the port is taken.
    pub async fn bind(port: u16) -> io::Result<Self> {
        Self::bind_on(&Network::default(), port).await
    }

    /// Listens on every address of the simulated host that calls this.
    ///
    /// # Errors
    /// When the port is taken.
    pub async fn bind_on(network: &Network, port: u16) -> io::Result<Self> {
        let listener = TcpListener::bind(("0.0.0.0", port)).await?;
        Ok(Self { listener, network: network.clone() })
    }
}

impl Listener for SimulatedListener {
    type Stream = SimulatedStream;

    async fn accept(&mut self) -> io::Result<(SimulatedStream, SocketAddr)> {
        let (stream, address) = self.listener.accept().await?;
        let stream = self.network.stream(stream)?;
        self.network.watch_for_losses(&stream);
        Ok((stream, address))
    }
}

/// A stream that tells a network when bytes move on it: for those that are no [`SimulatedStream`].
pub struct Watched<S> {
    stream: S,
    network: Network,
}

impl<S> Watched<S> {
    /// Watches a stream.
    #[must_use]
    pub fn new(stream: S, network: Network) -> Self {
        Self { stream, network }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.stream).poll_read(context, buffer);
        if poll.is_ready() {
            self.network.touch();
        }
        poll
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.network.touch();
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
