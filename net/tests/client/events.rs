//! What happens unasked, and the numbers in a room.

use std::time::Duration;

use lobbyd_core::id::{RequestId, UserId};
use lobbyd_core::packet::{ClientPacket, CloseReason, LeaveCause, RoomChange, ServerPacket};
use lobbyd_core::text::Text;
use lobbyd_net::client::{ClientError, EVENT_BYTES_MAX, Event};
use lobbyd_net::codec::encode_server;
use tokio::io::AsyncWriteExt;

use crate::script::{
    Client, ROOM, Server, chat_event, chat_notify, chat_request, chat_response, entered, greeted, greeted_over,
    in_room, list, user,
};

#[tokio::test]
async fn list_of_members_may_come_in_parts() {
    let (mut server, client) = greeted().await;
    let script = async {
        server.expect(ClientPacket::RoomEnterRequest { request: RequestId(1), room: ROOM, password: None }).await;
        server.send(list(vec![user(8, "grace")], false)).await;
        server.send(list(vec![user(4, "joan")], false)).await;
        server.send(list(vec![user(9, "ada")], true)).await;
        server.send(entered(1)).await;
    };
    let ((), room) = tokio::join!(script, client.handle.enter(ROOM, None));
    assert_eq!(room.unwrap().users, [user(8, "grace"), user(4, "joan"), user(9, "ada")]);
}

#[tokio::test]
async fn every_notify_becomes_an_event_in_its_order() {
    let (mut server, mut client) = in_room().await;
    let (room, name) = (ROOM, "joan".parse().unwrap());
    let (grace, joan) = (UserId(8), user(12, "joan"));
    let (cause, owner) = (LeaveCause::LoggedOut, Some(grace));
    server.send(ServerPacket::RoomNewUserNotify { room, sequence: 11, user: joan.clone() }).await;
    server.send(ServerPacket::DirectMessageNotify { user: joan.id, name, text: Text::new("psst") }).await;
    server.send(chat_notify(12)).await;
    server.send(ServerPacket::RoomLeaveUserNotify { room, sequence: 13, user: joan.id, cause, owner }).await;
    server.send(ServerPacket::AnnounceNotify { text: Text::new("noon") }).await;
    server.send(ServerPacket::GoAway { after_ms: 1500 }).await;
    server.send(ServerPacket::Kicked { room, sequence: 14, by: None, banned: true }).await;
    server.send(ServerPacket::Closing { reason: CloseReason::Draining }).await;
    let expected = [
        Event::RoomNewUser { room, sequence: 11, user: joan.clone() },
        Event::DirectMessage { user: joan.id, name, text: Text::new("psst") },
        chat_event(12),
        Event::RoomLeaveUser { room, sequence: 13, user: joan.id, cause, owner },
        Event::Announce { text: Text::new("noon") },
        Event::GoAway { after: Duration::from_millis(1500) },
        Event::Kicked { room, sequence: 14, by: None, banned: true },
    ];
    for event in expected {
        assert_eq!(client.events.next().await.unwrap(), event);
    }
    for _ in 0..2 {
        let end = client.events.next().await.unwrap_err();
        assert!(matches!(end, ClientError::Closed(CloseReason::Draining)), "{end:?}");
    }
}

#[tokio::test]
async fn missing_change_is_told_before_the_one_that_shows_it() {
    let (mut server, mut client) = in_room().await;
    server.send(chat_notify(11)).await;
    server.send(chat_notify(14)).await;
    let script = async {
        server.expect(chat_request(2, "hi")).await;
        server.send(chat_response(2, 16)).await;
        server.send(chat_notify(17)).await;
    };
    tokio::join!(script, client.handle.chat(ROOM, "hi")).1.unwrap();
    let expected = [
        chat_event(11),
        Event::Gap { room: ROOM, expected: 12, found: 14 },
        chat_event(14),
        Event::Gap { room: ROOM, expected: 15, found: 16 },
        chat_event(17),
    ];
    for event in expected {
        assert_eq!(client.events.next().await.unwrap(), event);
    }
}

#[tokio::test]
async fn who_kicks_is_told_and_answered_with_one_number() {
    let (mut server, mut client) = in_room().await;
    let script = async {
        server
            .expect(ClientPacket::KickRequest { request: RequestId(2), room: ROOM, user: UserId(8), ban: false })
            .await;
        let (user, cause, owner) = (UserId(8), LeaveCause::Kicked, Some(UserId(9)));
        server.send(ServerPacket::RoomLeaveUserNotify { room: ROOM, sequence: 11, user, cause, owner }).await;
        let result = Ok(RoomChange { room: ROOM, sequence: 11 });
        server.send(ServerPacket::KickResponse { request: RequestId(2), result }).await;
        server.send(chat_notify(12)).await;
    };
    tokio::join!(script, client.handle.kick(ROOM, UserId(8), false)).1.unwrap();
    let kicked = client.events.next().await.unwrap();
    assert!(matches!(kicked, Event::RoomLeaveUser { sequence: 11, .. }), "{kicked:?}");
    assert_eq!(client.events.next().await.unwrap(), chat_event(12));
}

#[tokio::test]
async fn event_given_up_comes_again() {
    let (mut server, mut client) = in_room().await;
    assert!(tokio::time::timeout(Duration::ZERO, client.events.next()).await.is_err());
    server.send(chat_notify(11)).await;
    assert_eq!(client.events.next().await.unwrap(), chat_event(11));
}

#[tokio::test]
async fn events_that_nobody_fetches_end_the_connection() {
    let (mut server, mut client) = greeted_over(Server::with_buffer(64 * 1024)).await;
    let announce = ServerPacket::AnnounceNotify { text: Text::new(&"a".repeat(4000)) };
    let mut frame = Vec::new();
    encode_server(&announce, &mut frame);
    let mut sent = 0;
    while server.stream.write_all(&frame).await.is_ok() {
        sent += frame.len();
        assert!(sent < 2 * EVENT_BYTES_MAX, "the client takes more than it should");
    }
    let end = client.running.await.unwrap().unwrap_err();
    assert!(matches!(end, ClientError::EventsUnread), "{end:?}");
    // Those that came before are still there.
    assert!(matches!(client.events.next().await, Ok(Event::Announce { .. })));
}

#[tokio::test]
async fn events_that_nobody_wants_are_dropped() {
    let (mut server, Client { handle, events, running }) = greeted_over(Server::with_buffer(64 * 1024)).await;
    drop(events);
    let mut frames = Vec::new();
    while frames.len() <= EVENT_BYTES_MAX {
        encode_server(&ServerPacket::AnnounceNotify { text: Text::new(&"a".repeat(4000)) }, &mut frames);
    }
    server.stream.write_all(&frames).await.unwrap();
    server.send(ServerPacket::Ping { nonce: 1 }).await;
    server.expect(ClientPacket::Pong { nonce: 1 }).await;
    assert!(!running.is_finished());
    drop(handle);
}
