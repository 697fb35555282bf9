//! Connecting: what the server says first.

use std::future::Future;

use lobbyd_core::input::WireFault;
use lobbyd_core::packet::{CloseReason, ServerPacket};
use lobbyd_core::text::Text;
use lobbyd_net::client::{ClientError, Connection, Events, Handle, connect};
use tokio::io::{AsyncWriteExt, DuplexStream, duplex};

use crate::script::{FRAME_BYTES_MAX, Server};

async fn connect_after(packet: ServerPacket) -> Result<(Handle, Events, Connection<DuplexStream>), ClientError> {
    let (mut server, stream) = Server::new();
    let ((), connected) = tokio::join!(server.send(packet), connect(stream, "test 1"));
    connected
}

#[tokio::test]
async fn refused_connection_says_why() {
    let error = connect_after(ServerPacket::Closing { reason: CloseReason::ServerFull }).await.unwrap_err();
    assert!(matches!(error, ClientError::Closed(CloseReason::ServerFull)), "{error:?}");
}

#[tokio::test]
async fn version_that_this_client_does_not_speak_is_named() {
    let welcome = ServerPacket::Welcome {
        version_min: 2,
        version_max: 4,
        server: Text::new("later"),
        heartbeat_interval_ms: 1,
        frame_bytes_max: FRAME_BYTES_MAX,
        text_bytes_max: 1,
    };
    let error = connect_after(welcome).await.unwrap_err();
    assert!(matches!(error, ClientError::VersionUnsupported { version_min: 2, version_max: 4 }), "{error:?}");
    assert_eq!(error.to_string(), "the server speaks protocol versions 2 to 4, this client 1");
}

#[tokio::test]
async fn other_first_packet_than_welcome_is_refused() {
    let error = connect_after(ServerPacket::Ping { nonce: 1 }).await.unwrap_err();
    assert!(matches!(error, ClientError::Unexpected(_)), "{error:?}");
}

#[tokio::test]
async fn server_of_another_protocol_is_recognised() {
    let (mut server, stream) = Server::new();
    let banner = async { server.stream.write_all(b"SSH-2.0-OpenSSH_9.9\r\n").await };
    let (_, error) = tokio::join!(banner, connect(stream, "test 1"));
    assert!(matches!(error, Err(ClientError::Wire(WireFault::FrameTooLong))), "{:?}", error.map(|_| ()));
}

#[tokio::test]
async fn server_that_ends_before_welcome_is_a_disconnect() {
    let (mut server, stream) = Server::new();
    let ending = async {
        server.stream.write_all(&[9, 0]).await.unwrap();
        drop(server);
    };
    let ((), error) = tokio::join!(ending, connect(stream, "test 1"));
    let error = error.map(|_| ()).unwrap_err();
    assert!(matches!(error, ClientError::Closed(CloseReason::Disconnected)), "{error:?}");
}

#[test]
fn client_of_a_stream_that_can_be_sent_can_be_sent() {
    fn assert_send(_: impl Future + Send) {}
    async fn whole(stream: DuplexStream) -> Result<(), ClientError> {
        let (handle, mut events, connection) = connect(stream, "test").await?;
        tokio::spawn(connection.run());
        handle.login("ada", b"secret").await?;
        handle.create_room("Tea", 1, None).await?;
        handle.all_rooms().await?;
        handle.ping().await?;
        events.next().await?;
        Ok(())
    }
    assert_send(whole(duplex(1).0));
}
