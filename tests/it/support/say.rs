//! Packets in short: what clients say, and what they expect to hear.

use lobbyd_core::id::{RequestId, RoomNumber, UserId};
use lobbyd_core::packet::{ClientPacket, Code, LeaveCause, List, RoomChange, RoomEntered, Secret, ServerPacket, User};
use lobbyd_core::text::Text;

pub(crate) fn login<'a>(request: u32, user: &'a str, secret: &'a str) -> ClientPacket<'a> {
    ClientPacket::LoginRequest { request: RequestId(request), user: user.into(), secret: Secret(secret.as_bytes()) }
}

pub(crate) fn logout(request: u32) -> ClientPacket<'static> {
    ClientPacket::LogoutRequest { request: RequestId(request) }
}

pub(crate) fn list(request: u32) -> ClientPacket<'static> {
    ClientPacket::RoomListRequest { request: RequestId(request), from: RoomNumber(0), limit: 0 }
}

pub(crate) fn create<'a>(request: u32, title: &'a str, capacity: u32, password: Option<&'a str>) -> ClientPacket<'a> {
    let password = password.map(|password| Secret(password.as_bytes()));
    ClientPacket::RoomCreateRequest { request: RequestId(request), title: title.into(), capacity, password }
}

pub(crate) fn enter(request: u32, room: u32) -> ClientPacket<'static> {
    ClientPacket::RoomEnterRequest { request: RequestId(request), room: RoomNumber(room), password: None }
}

pub(crate) fn enter_protected(request: u32, room: u32, password: &str) -> ClientPacket<'_> {
    let password = Some(Secret(password.as_bytes()));
    ClientPacket::RoomEnterRequest { request: RequestId(request), room: RoomNumber(room), password }
}

pub(crate) fn leave(request: u32, room: u32) -> ClientPacket<'static> {
    ClientPacket::RoomLeaveRequest { request: RequestId(request), room: RoomNumber(room) }
}

pub(crate) fn chat(request: u32, room: u32, text: &str) -> ClientPacket<'_> {
    ClientPacket::RoomChatRequest { request: RequestId(request), room: RoomNumber(room), text: text.into() }
}

pub(crate) fn tell<'a>(request: u32, user: &'a str, text: &'a str) -> ClientPacket<'a> {
    ClientPacket::DirectMessageRequest { request: RequestId(request), user: user.into(), text: text.into() }
}

pub(crate) fn kick(request: u32, room: u32, user: UserId, ban: bool) -> ClientPacket<'static> {
    ClientPacket::KickRequest { request: RequestId(request), room: RoomNumber(room), user, ban }
}

/// What refuses a request.
pub(crate) fn refused(request: &ClientPacket<'_>, code: Code) -> ServerPacket {
    request.refusal(code).expect("a request")
}

pub(crate) fn login_refused(request: u32, code: Code) -> ServerPacket {
    ServerPacket::LoginResponse { request: RequestId(request), result: Err(code) }
}

pub(crate) fn logged_out(request: u32) -> ServerPacket {
    ServerPacket::LogoutResponse { request: RequestId(request), result: Ok(()) }
}

pub(crate) fn created(request: u32, entered: RoomEntered) -> ServerPacket {
    ServerPacket::RoomCreateResponse { request: RequestId(request), result: Ok(entered) }
}

pub(crate) fn entered(request: u32, entered: RoomEntered) -> ServerPacket {
    ServerPacket::RoomEnterResponse { request: RequestId(request), result: Ok(entered) }
}

pub(crate) fn left(request: u32, room: u32, sequence: u64) -> ServerPacket {
    ServerPacket::RoomLeaveResponse { request: RequestId(request), result: Ok(change(room, sequence)) }
}

pub(crate) fn chatted(request: u32, room: u32, sequence: u64) -> ServerPacket {
    ServerPacket::RoomChatResponse { request: RequestId(request), result: Ok(change(room, sequence)) }
}

pub(crate) fn kicked(request: u32, room: u32, sequence: u64) -> ServerPacket {
    ServerPacket::KickResponse { request: RequestId(request), result: Ok(change(room, sequence)) }
}

pub(crate) fn told(request: u32) -> ServerPacket {
    ServerPacket::DirectMessageResponse { request: RequestId(request), result: Ok(()) }
}

fn change(room: u32, sequence: u64) -> RoomChange {
    RoomChange { room: RoomNumber(room), sequence }
}

/// A member hears who came.
pub(crate) fn new_user(room: u32, sequence: u64, user: &User) -> ServerPacket {
    ServerPacket::RoomNewUserNotify { room: RoomNumber(room), sequence, user: user.clone() }
}

/// A member hears who went.
pub(crate) fn leave_user(
    room: u32,
    sequence: u64,
    user: &User,
    cause: LeaveCause,
    owner: Option<UserId>,
) -> ServerPacket {
    ServerPacket::RoomLeaveUserNotify { room: RoomNumber(room), sequence, user: user.id, cause, owner }
}

/// A member hears what was said.
pub(crate) fn heard(room: u32, sequence: u64, user: &User, text: &str) -> ServerPacket {
    let text = Text::new(text);
    ServerPacket::RoomChatNotify { room: RoomNumber(room), sequence, user: user.id, name: user.name, text }
}

/// A user hears what was said to that user alone.
pub(crate) fn heard_alone(user: &User, text: &str) -> ServerPacket {
    ServerPacket::DirectMessageNotify { user: user.id, name: user.name, text: Text::new(text) }
}

/// An entrant hears who is there, in one part.
pub(crate) fn user_list(entered: RoomEntered, owner: Option<UserId>, users: &[&User]) -> ServerPacket {
    let RoomEntered { room, epoch, sequence } = entered;
    let users = List(users.iter().map(|user| (*user).clone()).collect());
    ServerPacket::RoomUserListNotify { room, epoch, sequence, owner, users, last: true }
}
