//! How a stream to Redis is made.

use std::io;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::stores::LocalFuture;

/// Makes streams to one Redis: real ones in production, simulated ones in a simulation.
pub trait Dial: 'static {
    /// A stream. `Send` only because the `redis` crate asks for it; it never leaves the thread.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// Makes a new stream. The caller gives up waiting by dropping the future.
    ///
    /// # Errors
    /// When there is nobody there.
    fn dial(&self) -> LocalFuture<'_, io::Result<Self::Stream>>;
}

/// Makes TCP streams. The name is resolved anew each time, so that a fail-over by name is followed.
#[derive(Clone, Debug)]
pub struct TcpDial {
    host: String,
    port: u16,
}

impl TcpDial {
    /// Dials `host`, a name or an address, at `port`.
    #[must_use]
    pub fn new(host: String, port: u16) -> Self {
        Self { host, port }
    }
}

impl Dial for TcpDial {
    type Stream = TcpStream;

    fn dial(&self) -> LocalFuture<'_, io::Result<TcpStream>> {
        Box::pin(async {
            let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
            // Commands are small and somebody waits for each. Keepalive is not needed: an idle link is pinged.
            stream.set_nodelay(true)?;
            Ok(stream)
        })
    }
}
