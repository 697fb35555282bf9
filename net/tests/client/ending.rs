//! How connections end, and who learns why.

use std::time::Duration;

use lobbyd_core::id::RequestId;
use lobbyd_core::input::WireFault;
use lobbyd_core::packet::{ClientPacket, CloseReason, ServerPacket};
use lobbyd_core::text::Text;
use lobbyd_net::client::{ClientError, Event};
use lobbyd_net::codec::encode_server;
use tokio::io::AsyncWriteExt;

use crate::script::{ROOM, chat_notify, chat_request, entered, greeted, list, user, welcome};

#[tokio::test(start_paused = true)]
async fn silent_server_is_given_up_after_six_intervals() {
    let (mut server, client) = greeted().await;
    let start = tokio::time::Instant::now();
    tokio::time::sleep(Duration::from_secs(119)).await;
    server.send(ServerPacket::Ping { nonce: 1 }).await;
    // A part of a packet is no sign of life.
    tokio::time::sleep(Duration::from_secs(90)).await;
    server.stream.write_all(&[9]).await.unwrap();
    let waiting = client.handle.logout().await.unwrap_err();
    assert!(matches!(waiting, ClientError::ServerSilent(silence) if silence.as_secs() == 120), "{waiting:?}");
    assert_eq!(start.elapsed().as_secs(), 239);
}

#[tokio::test(start_paused = true)]
async fn server_that_stood_still_for_a_while_is_kept() {
    let (mut server, mut client) = greeted().await;
    let asking = client.handle.clone();
    let asked = tokio::spawn(async move { asking.logout().await });
    // The server has pinged, is stopped, and does nothing for almost six intervals.
    server.send(ServerPacket::Ping { nonce: 1 }).await;
    tokio::time::sleep(Duration::from_millis(119_999)).await;
    server.expect(ClientPacket::Pong { nonce: 1 }).await;
    server.expect(ClientPacket::LogoutRequest { request: RequestId(1) }).await;
    server.send(ServerPacket::LogoutResponse { request: RequestId(1), result: Ok(()) }).await;
    server.send(ServerPacket::AnnounceNotify { text: Text::new("back again") }).await;
    asked.await.unwrap().unwrap();
    assert_eq!(client.events.next().await.unwrap(), Event::Announce { text: Text::new("back again") });
}

#[tokio::test]
async fn reason_reaches_everybody_who_waits() {
    let (mut server, mut client) = greeted().await;
    let script = async {
        server.expect(ClientPacket::LogoutRequest { request: RequestId(1) }).await;
        server.send(ServerPacket::Closing { reason: CloseReason::Superseded }).await;
    };
    let ((), logout, event) = tokio::join!(script, client.handle.logout(), client.events.next());
    let run = client.running.await.unwrap();
    let later = client.handle.chat(ROOM, "hi").await;
    for error in [logout.unwrap_err(), event.unwrap_err(), run.unwrap_err(), later.unwrap_err()] {
        assert!(matches!(error, ClientError::Closed(CloseReason::Superseded)), "{error:?}");
    }
}

#[tokio::test]
async fn reason_is_read_although_writing_fails() {
    let (mut server, mut client) = greeted().await;
    // The scripted server goes away at once, leaving its reason in the stream: every write of the client fails.
    let mut frame = Vec::new();
    encode_server(&ServerPacket::Closing { reason: CloseReason::Flooding }, &mut frame);
    assert!(frame.len() <= 7, "it fits the stream's buffer, so that sending does not wait for the client");
    let asking = client.handle.clone();
    let (logout, ()) = tokio::join!(biased; asking.logout(), async {
        server.stream.write_all(&frame).await.unwrap();
        drop(server);
    });
    let event = client.events.next().await;
    for error in [logout.unwrap_err(), event.unwrap_err()] {
        assert!(matches!(error, ClientError::Closed(CloseReason::Flooding)), "{error:?}");
    }
}

#[tokio::test]
async fn end_without_a_word_is_a_disconnect() {
    let (server, mut client) = greeted().await;
    drop(server);
    let end = client.events.next().await.unwrap_err();
    assert!(matches!(end, ClientError::Closed(CloseReason::Disconnected)), "{end:?}");
}

#[tokio::test]
async fn connection_that_is_dropped_ends_for_everybody() {
    let (_server, mut client) = greeted().await;
    client.running.abort();
    let end = client.events.next().await.unwrap_err();
    assert!(matches!(end, ClientError::Closed(CloseReason::Disconnected)), "{end:?}");
    let end = client.handle.logout().await.unwrap_err();
    assert!(matches!(end, ClientError::Closed(CloseReason::Disconnected)), "{end:?}");
}

#[tokio::test(start_paused = true)]
async fn closing_sends_what_was_asked_and_waits_no_longer_than_a_second() {
    let (mut server, client) = greeted().await;
    let asking = client.handle.clone();
    let asked = tokio::spawn(async move { asking.chat(ROOM, "last words").await });
    tokio::task::yield_now().await;
    client.handle.close();
    server.expect(chat_request(1, "last words")).await;
    server.expect_end().await;
    // The scripted server never closes its side.
    client.running.await.unwrap().unwrap();
    let error = asked.await.unwrap().unwrap_err();
    assert!(matches!(error, ClientError::Closed(CloseReason::Disconnected)), "{error:?}");
}

#[tokio::test]
async fn server_that_breaks_the_protocol_is_left() {
    let logout_response = ServerPacket::LogoutResponse { request: RequestId(9), result: Ok(()) };
    let (many, one) = (vec![user(8, "grace")], vec![user(9, "ada")]);
    let cases: [(&str, Vec<ServerPacket>); 8] = [
        ("a second welcome", vec![welcome()]),
        ("a response that answers nothing", vec![logout_response]),
        ("a response of another kind", vec![ServerPacket::LogoutResponse { request: RequestId(1), result: Ok(()) }]),
        ("a pong that answers nothing", vec![ServerPacket::Pong { nonce: 9 }]),
        ("a notify of another room", vec![chat_notify(1)]),
        ("an entry without a list", vec![entered(1)]),
        ("an entry with a part of a list", vec![list(many.clone(), false), entered(1)]),
        ("a list behind its last part", vec![list(many, true), list(one, true), entered(1)]),
    ];
    for (case, packets) in cases {
        let (mut server, client) = greeted().await;
        let script = async {
            server.expect(ClientPacket::RoomEnterRequest { request: RequestId(1), room: ROOM, password: None }).await;
            let mut frames = Vec::new();
            for packet in packets {
                encode_server(&packet, &mut frames);
            }
            // The client may leave before it has read them all.
            let _ = server.stream.write_all(&frames).await;
        };
        let ((), error) = tokio::join!(script, client.handle.enter(ROOM, None));
        assert!(matches!(error, Err(ClientError::Unexpected(_))), "{case}: {error:?}");
    }
}

#[tokio::test]
async fn bytes_that_are_no_packet_end_the_connection() {
    let cases: [(&[u8], WireFault); 4] = [
        (&[0, 0, 0, 0], WireFault::FrameEmpty),
        (&[1, 16, 0, 0], WireFault::FrameTooLong),
        (&[1, 0, 0, 0, 250], WireFault::PacketUnknown),
        (&[3, 0, 0, 0, 1, 0, 0], WireFault::PacketMalformed),
    ];
    for (bytes, fault) in cases {
        let (mut server, mut client) = greeted().await;
        server.stream.write_all(bytes).await.unwrap();
        let error = client.events.next().await.unwrap_err();
        assert!(matches!(error, ClientError::Wire(found) if found == fault), "{error:?}");
    }
}
