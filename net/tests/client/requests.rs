//! Requests and their responses.

use lobbyd_core::id::{RequestId, RoomNumber, UserId};
use lobbyd_core::packet::{
    ClientPacket, Code, List, RoomChange, RoomEntered, RoomPage, RoomSummary, Secret, ServerPacket,
};
use lobbyd_core::text::Text;
use lobbyd_net::client::{ClientError, REQUESTS_MAX};

use crate::script::{FRAME_BYTES_MAX, ROOM, chat_request, chat_response, greeted, in_room, list, user};

#[tokio::test]
async fn every_request_gets_its_response() {
    let (mut server, client) = greeted().await;
    let request = RequestId;
    let change = RoomChange { room: ROOM, sequence: 11 };
    let script = async {
        server
            .expect(ClientPacket::LoginRequest { request: request(1), user: "Ada".into(), secret: Secret(b"secret") })
            .await;
        server.send(ServerPacket::LoginResponse { request: request(1), result: Ok(user(9, "ada")) }).await;
        let password = Some(Secret(b"tea"));
        server
            .expect(ClientPacket::RoomCreateRequest { request: request(2), title: "Tea".into(), capacity: 8, password })
            .await;
        server.send(list(vec![user(9, "ada")], true)).await;
        let result = Ok(RoomEntered { room: ROOM, epoch: 5, sequence: 10 });
        server.send(ServerPacket::RoomCreateResponse { request: request(2), result }).await;
        server.expect(ClientPacket::RoomLeaveRequest { request: request(3), room: ROOM }).await;
        server.send(ServerPacket::RoomLeaveResponse { request: request(3), result: Ok(change) }).await;
        server
            .expect(ClientPacket::DirectMessageRequest {
                request: request(4),
                user: "grace".into(),
                text: "hey".into(),
            })
            .await;
        server.send(ServerPacket::DirectMessageResponse { request: request(4), result: Ok(()) }).await;
        server.expect(ClientPacket::KickRequest { request: request(5), room: ROOM, user: UserId(8), ban: true }).await;
        server.send(ServerPacket::KickResponse { request: request(5), result: Ok(change) }).await;
        server.expect(ClientPacket::LogoutRequest { request: request(6) }).await;
        server.send(ServerPacket::LogoutResponse { request: request(6), result: Ok(()) }).await;
    };
    let calls = async {
        let handle = &client.handle;
        assert_eq!(handle.login("Ada", b"secret").await.unwrap(), user(9, "ada"));
        let room = handle.create_room("Tea", 8, Some(b"tea")).await.unwrap();
        assert_eq!((room.room, room.epoch, room.sequence), (ROOM, 5, 10));
        assert_eq!(handle.leave(ROOM).await.unwrap(), change);
        handle.direct_message("grace", "hey").await.unwrap();
        assert_eq!(handle.kick(ROOM, UserId(8), true).await.unwrap(), change);
        handle.logout().await.unwrap();
    };
    tokio::join!(script, calls);
    drop(client.handle);
    server.expect_end().await;
    drop(server);
    client.running.await.unwrap().unwrap();
}

#[tokio::test]
async fn refusal_carries_its_code_and_the_connection_goes_on() {
    let (mut server, client) = greeted().await;
    let script = async {
        for request in [RequestId(1), RequestId(2)] {
            server.expect(ClientPacket::RoomEnterRequest { request, room: ROOM, password: None }).await;
            server.send(ServerPacket::RoomEnterResponse { request, result: Err(Code::RoomFull) }).await;
        }
    };
    let calls = async {
        for _ in 0..2 {
            let error = client.handle.enter(ROOM, None).await.unwrap_err();
            assert!(matches!(error, ClientError::Refused(Code::RoomFull)), "{error:?}");
        }
    };
    tokio::join!(script, calls);
}

#[tokio::test]
async fn pipelined_requests_are_matched_by_their_ids_in_any_order() {
    let (mut server, client) = in_room().await;
    let script = async {
        server.expect(chat_request(2, "one")).await;
        server.expect(chat_request(3, "two")).await;
        server.expect(ClientPacket::LogoutRequest { request: RequestId(4) }).await;
        server.send(chat_response(2, 11)).await;
        server.send(ServerPacket::LogoutResponse { request: RequestId(4), result: Err(Code::NotAllowed) }).await;
        server.send(chat_response(3, 12)).await;
    };
    let handle = &client.handle;
    let ((), one, two, logout) =
        tokio::join!(script, handle.chat(ROOM, "one"), handle.chat(ROOM, "two"), handle.logout());
    assert_eq!((one.unwrap().sequence, two.unwrap().sequence), (11, 12));
    assert!(matches!(logout, Err(ClientError::Refused(Code::NotAllowed))));
}

#[tokio::test]
async fn room_directory_is_read_page_by_page() {
    let (mut server, client) = greeted().await;
    let room = |number| RoomSummary {
        room: RoomNumber(number),
        title: Text::new("Tea"),
        members: 1,
        capacity: 8,
        protected: false,
    };
    let script = async {
        for (id, from, rooms, next) in
            [(1, 0, vec![room(1), room(2)], Some(RoomNumber(3))), (2, 3, vec![room(7)], None)]
        {
            let request = RequestId(id);
            server.expect(ClientPacket::RoomListRequest { request, from: RoomNumber(from), limit: u32::MAX }).await;
            let result = Ok(RoomPage { rooms: List(rooms), next });
            server.send(ServerPacket::RoomListResponse { request, result }).await;
        }
    };
    let ((), rooms) = tokio::join!(script, client.handle.all_rooms());
    assert_eq!(rooms.unwrap(), [room(1), room(2), room(7)]);
}

#[tokio::test]
async fn room_directory_that_leads_nowhere_is_given_up() {
    let (mut server, client) = greeted().await;
    let script = async {
        let request = RequestId(1);
        server.expect(ClientPacket::RoomListRequest { request, from: RoomNumber(0), limit: u32::MAX }).await;
        let result = Ok(RoomPage { rooms: List(Vec::new()), next: Some(RoomNumber(0)) });
        server.send(ServerPacket::RoomListResponse { request, result }).await;
    };
    let ((), rooms) = tokio::join!(script, client.handle.all_rooms());
    assert!(matches!(rooms, Err(ClientError::Unexpected(_))), "{rooms:?}");
}

#[tokio::test]
async fn pings_of_the_server_are_answered_and_those_of_the_client_measured() {
    let (mut server, client) = greeted().await;
    server.send(ServerPacket::Ping { nonce: 77 }).await;
    server.expect(ClientPacket::Pong { nonce: 77 }).await;
    let script = async {
        server.expect(ClientPacket::Ping { nonce: 1 }).await;
        server.send(ServerPacket::Pong { nonce: 1 }).await;
    };
    tokio::join!(script, client.handle.ping()).1.unwrap();
}

#[tokio::test]
async fn request_given_up_harms_no_other() {
    let (mut server, client) = in_room().await;
    let asking = client.handle.clone();
    let asked = tokio::spawn(async move { asking.chat(ROOM, "one").await });
    server.expect(chat_request(2, "one")).await;
    asked.abort();
    assert!(asked.await.unwrap_err().is_cancelled());
    server.send(chat_response(2, 11)).await;
    let script = async {
        server.expect(chat_request(3, "two")).await;
        server.send(chat_response(3, 12)).await;
    };
    assert_eq!(tokio::join!(script, client.handle.chat(ROOM, "two")).1.unwrap().sequence, 12);
}

#[tokio::test]
async fn request_over_the_frame_limit_is_not_sent() {
    let (mut server, client) = greeted().await;
    // The text alone fits, the packet does not.
    for length in [FRAME_BYTES_MAX as usize, FRAME_BYTES_MAX as usize - 5, 100_000] {
        let error = client.handle.chat(ROOM, &"a".repeat(length)).await.unwrap_err();
        assert!(matches!(error, ClientError::RequestTooLong { bytes_max: FRAME_BYTES_MAX, .. }), "{error:?}");
    }
    // Number, request, room and the length of the text take 1 + 1 + 1 + 3 bytes.
    let text = "a".repeat(FRAME_BYTES_MAX as usize - 6);
    let script = async {
        server.expect(chat_request(1, &text)).await;
        server.send(chat_response(1, 1)).await;
    };
    tokio::join!(script, client.handle.chat(ROOM, &text)).1.unwrap();
}

#[tokio::test]
async fn more_requests_than_may_wait_wait_for_their_turn() {
    let (mut server, client) = greeted().await;
    let count = u32::try_from(REQUESTS_MAX).unwrap() + 1;
    let ask = |_| {
        let handle = client.handle.clone();
        tokio::spawn(async move { handle.logout().await })
    };
    let asked: Vec<_> = (0..count).map(ask).collect();
    for request in 1..count {
        server.expect(ClientPacket::LogoutRequest { request: RequestId(request) }).await;
    }
    server.send(ServerPacket::LogoutResponse { request: RequestId(5), result: Ok(()) }).await;
    server.expect(ClientPacket::LogoutRequest { request: RequestId(count) }).await;
    for request in (1..=count).filter(|&request| request != 5) {
        server.send(ServerPacket::LogoutResponse { request: RequestId(request), result: Ok(()) }).await;
    }
    for asked in asked {
        asked.await.unwrap().unwrap();
    }
}
