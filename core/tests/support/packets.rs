//! Packets by short names. Requests first, then what answers and tells of them.

use lobbyd_core::id::{RequestId, RoomNumber, UserId};
use lobbyd_core::packet::{
    ClientPacket, Code, CommandReply, LeaveCause, List, PROTOCOL_VERSION, RoomChange, RoomEntered, Sealed,
    ServerPacket, User,
};
use lobbyd_core::text::{RawText, Text};

use super::{Packet, name, sealed};

pub(crate) fn hello() -> Packet<'static> {
    ClientPacket::Hello { version: PROTOCOL_VERSION, client: "test".into() }
}

pub(crate) fn ping(nonce: u64) -> Packet<'static> {
    ClientPacket::Ping { nonce }
}

pub(crate) fn pong(nonce: u64) -> Packet<'static> {
    ClientPacket::Pong { nonce }
}

pub(crate) fn login(request: u32, user: &str) -> Packet<'_> {
    ClientPacket::LoginRequest { request: RequestId(request), user: user.into(), secret: sealed(1) }
}

pub(crate) fn logout(request: u32) -> Packet<'static> {
    ClientPacket::LogoutRequest { request: RequestId(request) }
}

pub(crate) fn list(request: u32, from: u32, limit: u32) -> Packet<'static> {
    ClientPacket::RoomListRequest { request: RequestId(request), from: RoomNumber(from), limit }
}

pub(crate) fn create(request: u32, title: &str, capacity: u32) -> Packet<'_> {
    create_protected(request, title, capacity, None)
}

pub(crate) fn create_protected(request: u32, title: &str, capacity: u32, password: Option<Sealed>) -> Packet<'_> {
    ClientPacket::RoomCreateRequest { request: RequestId(request), title: title.into(), capacity, password }
}

pub(crate) fn enter(request: u32, room: u32) -> Packet<'static> {
    enter_with(request, room, None)
}

pub(crate) fn enter_with(request: u32, room: u32, password: Option<Sealed>) -> Packet<'static> {
    ClientPacket::RoomEnterRequest { request: RequestId(request), room: RoomNumber(room), password }
}

pub(crate) fn leave(request: u32, room: u32) -> Packet<'static> {
    ClientPacket::RoomLeaveRequest { request: RequestId(request), room: RoomNumber(room) }
}

pub(crate) fn chat(request: u32, room: u32, text: &str) -> Packet<'_> {
    chat_raw(request, room, text.as_bytes())
}

pub(crate) fn chat_raw(request: u32, room: u32, text: &[u8]) -> Packet<'_> {
    ClientPacket::RoomChatRequest { request: RequestId(request), room: RoomNumber(room), text: RawText(text) }
}

pub(crate) fn direct<'a>(request: u32, user: &'a str, text: &'a str) -> Packet<'a> {
    ClientPacket::DirectMessageRequest { request: RequestId(request), user: user.into(), text: text.into() }
}

pub(crate) fn kick(request: u32, room: u32, user: UserId) -> Packet<'static> {
    ClientPacket::KickRequest { request: RequestId(request), room: RoomNumber(room), user, ban: false }
}

pub(crate) fn ban(request: u32, room: u32, user: UserId) -> Packet<'static> {
    ClientPacket::KickRequest { request: RequestId(request), room: RoomNumber(room), user, ban: true }
}

pub(crate) fn command<'a>(request: u32, name: &'a str, parameters: &'a str) -> Packet<'a> {
    ClientPacket::CustomCommand {
        request: RequestId(request),
        command_type: name.into(),
        parameters: parameters.into(),
        timestamp: 1_700_000_000_000,
    }
}

/// Every request there is, each with the id it carries.
pub(crate) fn every_request() -> [(u32, Packet<'static>); 10] {
    [
        (1, login(1, "dora")),
        (2, logout(2)),
        (3, list(3, 0, 0)),
        (4, create(4, "Den", 2)),
        (5, enter(5, super::PLAZA)),
        (6, leave(6, super::PLAZA)),
        (7, chat(7, super::PLAZA, "hi")),
        (8, direct(8, "dora", "hi")),
        (9, kick(9, super::PLAZA, UserId(1))),
        (10, command(10, "dice", "2d6")),
    ]
}

fn command_response(request: u32, name: &str, result: Result<CommandReply, Code>) -> ServerPacket {
    let result = result.map(Box::new);
    let command_type = Some(name.parse().expect("tests name commands rightly"));
    ServerPacket::CustomResponse { request: RequestId(request), command_type, result }
}

/// An extension did what it was asked.
pub(crate) fn command_done(request: u32, name: &str, data: &str) -> ServerPacket {
    command_response(request, name, Ok(CommandReply { success: true, data: data.into(), error_message: None }))
}

/// An extension says no.
pub(crate) fn command_declined(request: u32, name: &str, message: &str) -> ServerPacket {
    command_declined_with(request, name, message, "")
}

/// The same, and it says more about it.
pub(crate) fn command_declined_with(request: u32, name: &str, message: &str, data: &str) -> ServerPacket {
    let error_message = Some(Text::new(message));
    command_response(request, name, Ok(CommandReply { success: false, data: data.into(), error_message }))
}

/// The server refuses a command.
pub(crate) fn command_refused(request: u32, name: &str, code: Code) -> ServerPacket {
    command_response(request, name, Err(code))
}

pub(crate) fn custom(name: &str, data: &str) -> ServerPacket {
    let command_type = name.parse().expect("tests name commands rightly");
    ServerPacket::CustomNotify { command_type, data: data.into() }
}

pub(crate) fn logged_in(request: u32, user: User) -> ServerPacket {
    ServerPacket::LoginResponse { request: RequestId(request), result: Ok(user) }
}

pub(crate) fn login_refused(request: u32, code: Code) -> ServerPacket {
    ServerPacket::LoginResponse { request: RequestId(request), result: Err(code) }
}

pub(crate) fn logged_out(request: u32) -> ServerPacket {
    ServerPacket::LogoutResponse { request: RequestId(request), result: Ok(()) }
}

pub(crate) fn created(request: u32, room: u32, epoch: u64) -> ServerPacket {
    let room = RoomNumber(room);
    ServerPacket::RoomCreateResponse {
        request: RequestId(request),
        result: Ok(RoomEntered { room, epoch, sequence: 1 }),
    }
}

pub(crate) fn entered(request: u32, room: u32, epoch: u64, sequence: u64) -> ServerPacket {
    let room = RoomNumber(room);
    ServerPacket::RoomEnterResponse { request: RequestId(request), result: Ok(RoomEntered { room, epoch, sequence }) }
}

fn change(room: u32, sequence: u64) -> Result<RoomChange, Code> {
    Ok(RoomChange { room: RoomNumber(room), sequence })
}

pub(crate) fn left(request: u32, room: u32, sequence: u64) -> ServerPacket {
    ServerPacket::RoomLeaveResponse { request: RequestId(request), result: change(room, sequence) }
}

pub(crate) fn chatted(request: u32, room: u32, sequence: u64) -> ServerPacket {
    ServerPacket::RoomChatResponse { request: RequestId(request), result: change(room, sequence) }
}

pub(crate) fn kick_done(request: u32, room: u32, sequence: u64) -> ServerPacket {
    ServerPacket::KickResponse { request: RequestId(request), result: change(room, sequence) }
}

pub(crate) fn direct_sent(request: u32) -> ServerPacket {
    ServerPacket::DirectMessageResponse { request: RequestId(request), result: Ok(()) }
}

pub(crate) fn new_user(room: u32, sequence: u64, user: User) -> ServerPacket {
    ServerPacket::RoomNewUserNotify { room: RoomNumber(room), sequence, user }
}

pub(crate) fn user_left(room: u32, sequence: u64, user: UserId, cause: LeaveCause) -> ServerPacket {
    owned_user_left(room, sequence, user, cause, None)
}

pub(crate) fn owned_user_left(
    room: u32,
    sequence: u64,
    user: UserId,
    cause: LeaveCause,
    owner: Option<UserId>,
) -> ServerPacket {
    ServerPacket::RoomLeaveUserNotify { room: RoomNumber(room), sequence, user, cause, owner }
}

/// The whole list in one part.
pub(crate) fn user_list<const N: usize>(
    room: u32,
    epoch: u64,
    sequence: u64,
    owner: Option<UserId>,
    users: [User; N],
) -> ServerPacket {
    let users = List(users.to_vec());
    ServerPacket::RoomUserListNotify { room: RoomNumber(room), epoch, sequence, owner, users, last: true }
}

pub(crate) fn said(room: u32, sequence: u64, user: &User, text: &str) -> ServerPacket {
    let text = Text::new(text);
    ServerPacket::RoomChatNotify { room: RoomNumber(room), sequence, user: user.id, name: user.name, text }
}

pub(crate) fn said_directly(user: &User, text: &str) -> ServerPacket {
    ServerPacket::DirectMessageNotify { user: user.id, name: user.name, text: Text::new(text) }
}

pub(crate) fn kicked(room: u32, sequence: u64, by: UserId, banned: bool) -> ServerPacket {
    ServerPacket::Kicked { room: RoomNumber(room), sequence, by: Some(by), banned }
}

/// A user without a nickname.
pub(crate) fn plain_user(id: u64, user: &str) -> User {
    User { id: UserId(id), name: name(user), nickname: None }
}
