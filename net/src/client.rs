//! The client library: a connection to a server, from `Welcome` to `Closing`, over any stream of bytes.
//!
//! [`connect`] gives three parts. The [`Connection`] moves the bytes: somebody has to [`run`](Connection::run) it, in a
//! task of its own or beside the rest. The [`Handle`] asks, the [`Events`] tell what happens unasked.
//!
//! ```no_run
//! use lobbyd_core::id::RoomNumber;
//!
//! # async fn example(stream: tokio::net::TcpStream) -> Result<(), lobbyd_net::client::ClientError> {
//! let (handle, mut events, connection) = lobbyd_net::client::connect(stream, "example 1.0").await?;
//! tokio::spawn(connection.run());
//! handle.login("ada", b"correct horse").await?;
//! let room = handle.enter(RoomNumber(3), None).await?;
//! handle.chat(room.room, "hello").await?;
//! loop {
//!     println!("{:?}", events.next().await?);
//! }
//! # }
//! ```
//!
//! Every method can be given up at any moment (all are cancel-safe), which takes nothing back: what was asked may still
//! happen. Buffers are bounded: see [`REQUESTS_MAX`], [`EVENT_BYTES_MAX`] and [`LIST_BYTES_MAX`].
//!
//! What this does not do: open sockets, time out (`tokio::time::timeout` around a call does), or connect again.

mod connection;
mod events;
mod handle;
mod room;
mod shared;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use lobbyd_core::config::{FRAME_BYTES_LIMIT, FRAME_BYTES_MIN};
use lobbyd_core::input::WireFault;
use lobbyd_core::packet::{ClientPacket, CloseReason, Code, PROTOCOL_VERSION, ServerPacket};
use lobbyd_core::text::Text;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

pub use self::connection::Connection;
pub use self::events::{Event, Events};
pub use self::handle::Handle;
pub use self::room::Entered;
use self::shared::Shared;
use crate::codec::{decode_server, encode_client};
use crate::frame::next_frame;

/// The most requests that wait for their responses; one more waits until there is room.
pub const REQUESTS_MAX: usize = 256;
/// The most bytes that events may take which nobody has fetched. Over it the connection ends with
/// [`ClientError::EventsUnread`]; to wait instead could wait for ever, since whoever should fetch them may be waiting
/// for a response behind them.
pub const EVENT_BYTES_MAX: usize = 8 * 1024 * 1024;
/// The most bytes that the list of a room's members may take, all parts together.
pub const LIST_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Connects over `stream`, which the other side has accepted: waits for the server's `Welcome` and answers `Hello`.
/// `client_name` is the client's own name and version, for the server's log, which keeps 64 bytes of it.
///
/// # Errors
/// [`ClientError::Closed`] when the server refuses the connection, [`ClientError::VersionUnsupported`] when there is no
/// protocol version that both speak; otherwise when the stream fails or the other side is no such server.
pub async fn connect<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    client_name: &str,
) -> Result<(Handle, Events, Connection<S>), ClientError> {
    let mut inbox = BytesMut::new();
    let welcome = read_welcome(&mut stream, &mut inbox).await?;
    let mut hello = Vec::new();
    encode_client(&ClientPacket::Hello { version: PROTOCOL_VERSION, client: clip(client_name).into() }, &mut hello);
    stream.write_all(&hello).await?;
    stream.flush().await?;
    let shared = Arc::new(Shared::new(welcome));
    Ok((Handle::new(shared.clone()), Events::new(shared.clone()), Connection::new(stream, inbox, shared)))
}

/// What the server has said about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Welcome {
    /// The server's name, for people.
    pub server: Text,
    /// A connection on which the server hears nothing for this long is pinged, after three times this closed.
    pub heartbeat_interval: Duration,
    /// The most bytes in a frame's payload, both ways; at most [`FRAME_BYTES_LIMIT`].
    pub frame_bytes_max: u32,
    /// The most bytes in the text of a message.
    pub text_bytes_max: u32,
}

/// Why something could not be done. All but [`ClientError::Refused`] and [`ClientError::RequestTooLong`] mean that the
/// connection is over.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The server refused the request; nothing has changed.
    #[error("{0}")]
    Refused(Code),
    /// The request does not fit a frame; it was not sent.
    #[error("the request takes {bytes} bytes and the server allows {bytes_max}: shorten it")]
    RequestTooLong {
        /// How many bytes it takes, or would at least take.
        bytes: usize,
        /// How many are allowed.
        bytes_max: u32,
    },
    /// The connection was closed: by the server, which said why, or for reason [`CloseReason::Disconnected`] without a
    /// word, or by this side.
    #[error("the connection was closed: {0}")]
    Closed(CloseReason),
    /// The stream failed.
    #[error("the connection failed: {0}")]
    Io(#[source] Arc<io::Error>),
    /// The other side sent bytes that are no packet of this protocol.
    #[error("the other side does not speak the lobbyd protocol ({0:?}): check address and port")]
    Wire(WireFault),
    /// There is no protocol version that both sides speak.
    #[error("the server speaks protocol versions {version_min} to {version_max}, this client {PROTOCOL_VERSION}")]
    VersionUnsupported {
        /// The lowest that the server speaks.
        version_min: u32,
        /// The highest that the server speaks.
        version_max: u32,
    },
    /// The server did what the protocol rules out.
    #[error("the server broke the protocol: {0}")]
    Unexpected(&'static str),
    /// Nothing came from the server for three heartbeat intervals, in which it would have sent pings.
    #[error("the server has been silent for {0:?}")]
    ServerSilent(Duration),
    /// Events came more quickly than they were fetched: see [`EVENT_BYTES_MAX`].
    #[error("events are not fetched as quickly as they come")]
    EventsUnread,
}

impl From<io::Error> for ClientError {
    fn from(error: io::Error) -> Self {
        // A stream that ends where bytes are missing is one way for a connection to be closed without a word.
        if error.kind() == io::ErrorKind::UnexpectedEof {
            return Self::Closed(CloseReason::Disconnected);
        }
        Self::Io(Arc::new(error))
    }
}

impl From<WireFault> for ClientError {
    fn from(fault: WireFault) -> Self {
        Self::Wire(fault)
    }
}

async fn read_welcome<S: AsyncRead + Unpin>(stream: &mut S, inbox: &mut BytesMut) -> Result<Welcome, ClientError> {
    let packet = loop {
        // How long frames may be, the server is only about to say; this first one fits every limit there can be.
        if let Some(frame) = next_frame(inbox, FRAME_BYTES_MIN)? {
            let (packet, consumed) = (decode_server(frame.payload)?, frame.consumed);
            inbox.advance(consumed);
            break packet;
        }
        if stream.read_buf(inbox).await? == 0 {
            return Err(ClientError::Closed(CloseReason::Disconnected));
        }
    };
    if let ServerPacket::Closing { reason } = packet {
        return Err(ClientError::Closed(reason));
    }
    let ServerPacket::Welcome {
        version_min,
        version_max,
        server,
        heartbeat_interval_ms,
        frame_bytes_max,
        text_bytes_max,
    } = packet
    else {
        return Err(ClientError::Unexpected("its first packet was not Welcome"));
    };
    if !(version_min..=version_max).contains(&PROTOCOL_VERSION) {
        return Err(ClientError::VersionUnsupported { version_min, version_max });
    }
    Ok(Welcome {
        server,
        heartbeat_interval: Duration::from_millis(heartbeat_interval_ms.into()),
        frame_bytes_max: frame_bytes_max.min(FRAME_BYTES_LIMIT),
        text_bytes_max,
    })
}

/// As much of a client's name as the server keeps.
fn clip(name: &str) -> &str {
    let end = (0..=name.len().min(64)).rev().find(|&end| name.is_char_boundary(end));
    &name[..end.unwrap_or(0)]
}
