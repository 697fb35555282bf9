//! What packets say of themselves: their numbers on the wire, their names, what they answer, and whether they hold a
//! secret.

use lobbyd_core::id::RequestId;
use lobbyd_core::packet::{CloseReason, Code, ServerPacket};

use crate::support::packets::*;
use crate::support::{Packet, VAULT, VAULT_PASSWORD};

/// Every packet of a client, in the order of their numbers.
fn clients() -> Vec<Packet<'static>> {
    let [
        (_, login),
        (_, logout),
        (_, list),
        (_, create),
        (_, enter),
        (_, leave),
        (_, chat),
        (_, direct),
        (_, kick),
        (_, command),
    ] = every_request();
    vec![hello(), ping(1), pong(1), login, logout, list, create, enter, leave, chat, direct, kick, command]
}

#[test]
fn packet_of_a_client_has_its_number_and_its_name() {
    let names = [
        "Hello",
        "Ping",
        "Pong",
        "LoginRequest",
        "LogoutRequest",
        "RoomListRequest",
        "RoomCreateRequest",
        "RoomEnterRequest",
        "RoomLeaveRequest",
        "RoomChatRequest",
        "DirectMessageRequest",
        "KickRequest",
        "CustomCommand",
    ];
    let found: Vec<_> = clients().iter().map(|packet| (usize::from(packet.number()), packet.name())).collect();
    assert_eq!(found, names.into_iter().enumerate().collect::<Vec<_>>());
}

#[test]
fn refusal_answers_its_request() {
    let requests: Vec<_> = every_request().map(|(request, packet)| (RequestId(request), packet)).into();
    let names: Vec<_> = requests.iter().map(|(_, packet)| packet.refusal(Code::Flooding).unwrap().name()).collect();
    let expected = [
        "LoginResponse",
        "LogoutResponse",
        "RoomListResponse",
        "RoomCreateResponse",
        "RoomEnterResponse",
        "RoomLeaveResponse",
        "RoomChatResponse",
        "DirectMessageResponse",
        "KickResponse",
        "CustomResponse",
    ];
    assert_eq!(names, expected);
    for (request, packet) in requests {
        let refusal = packet.refusal(Code::Flooding).unwrap();
        assert_eq!(refusal.response(), Some((request, Err(Code::Flooding))));
    }
    assert!(clients()[..3].iter().all(|packet| packet.refusal(Code::Flooding).is_none()));
}

#[test]
fn packet_of_a_server_says_what_it_answers() {
    let cases = [
        (ServerPacket::Ping { nonce: 1 }, 1, "Ping", None),
        (ServerPacket::Closing { reason: CloseReason::Silent }, 4, "Closing", None),
        (logged_out(7), 6, "LogoutResponse", Some((RequestId(7), Ok(())))),
        (chatted(8, 1, 2), 11, "RoomChatResponse", Some((RequestId(8), Ok(())))),
        (command_done(9, "dice", "6"), 21, "CustomResponse", Some((RequestId(9), Ok(())))),
        (custom("dice", "6"), 22, "CustomNotify", None),
    ];
    for (packet, number, name, response) in cases {
        assert_eq!((packet.number(), packet.name(), packet.response()), (number, name, response));
    }
}

#[test]
fn logins_and_passwords_are_secrets() {
    for packet in clients() {
        assert_eq!(packet.holds_secret(), packet.name() == "LoginRequest", "{packet:?}");
    }
    assert!(create_protected(1, "Den", 5, Some(VAULT_PASSWORD)).holds_secret());
    assert!(enter_with(1, VAULT, Some(VAULT_PASSWORD)).holds_secret());
}
