//! Packets at random: every variant, and every number that is encoded in a different way.

use lobbyd_core::command::CommandName;
use lobbyd_core::data::{Data, RawBytes};
use lobbyd_core::id::{RequestId, RoomNumber, UserId};
use lobbyd_core::name::UserName;
use lobbyd_core::packet::{
    ClientPacket, CloseReason, Code, CommandReply, LeaveCause, List, RoomChange, RoomEntered, RoomPage, RoomSummary,
    Secret, ServerPacket, User,
};
use lobbyd_core::text::{RawText, Text};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use crate::variants;

/// Any packet of a client.
pub(crate) fn client_packet() -> BoxedStrategy<ClientPacket<'static>> {
    let hello = (number(), raw()).prop_map(|(version, client)| ClientPacket::Hello { version, client });
    let login = (request(), raw(), secret()).prop_map(|(request, user, secret)| ClientPacket::LoginRequest {
        request,
        user,
        secret,
    });
    let list = (request(), room(), number()).prop_map(|(request, from, limit)| ClientPacket::RoomListRequest {
        request,
        from,
        limit,
    });
    let create = (request(), raw(), number(), option::of(secret())).prop_map(|(request, title, capacity, password)| {
        ClientPacket::RoomCreateRequest { request, title, capacity, password }
    });
    let enter = (request(), room(), option::of(secret()))
        .prop_map(|(request, room, password)| ClientPacket::RoomEnterRequest { request, room, password });
    let leave = (request(), room()).prop_map(|(request, room)| ClientPacket::RoomLeaveRequest { request, room });
    let chat = (request(), room(), raw()).prop_map(|(request, room, text)| ClientPacket::RoomChatRequest {
        request,
        room,
        text,
    });
    let direct = (request(), raw(), raw()).prop_map(|(request, user, text)| ClientPacket::DirectMessageRequest {
        request,
        user,
        text,
    });
    let kick = (request(), room(), user_id(), any::<bool>())
        .prop_map(|(request, room, user, ban)| ClientPacket::KickRequest { request, room, user, ban });
    let command =
        (request(), raw(), bytes(), long_number()).prop_map(|(request, command_type, parameters, timestamp)| {
            ClientPacket::CustomCommand { request, command_type, parameters: RawBytes(parameters), timestamp }
        });
    prop_oneof![
        hello,
        long_number().prop_map(|nonce| ClientPacket::Ping { nonce }),
        long_number().prop_map(|nonce| ClientPacket::Pong { nonce }),
        login,
        request().prop_map(|request| ClientPacket::LogoutRequest { request }),
        list,
        create,
        enter,
        leave,
        chat,
        direct,
        kick,
        command,
    ]
    .boxed()
}

/// Any packet of a server.
pub(crate) fn server_packet() -> BoxedStrategy<ServerPacket> {
    prop_oneof![session_packet(), response(), command_packet(), room_notify(), other_notify()].boxed()
}

fn session_packet() -> impl Strategy<Value = ServerPacket> {
    let welcome = (number(), number(), text(), number(), number(), number()).prop_map(
        |(version_min, version_max, server, heartbeat_interval_ms, frame_bytes_max, text_bytes_max)| {
            ServerPacket::Welcome {
                version_min,
                version_max,
                server,
                heartbeat_interval_ms,
                frame_bytes_max,
                text_bytes_max,
            }
        },
    );
    prop_oneof![
        welcome,
        long_number().prop_map(|nonce| ServerPacket::Ping { nonce }),
        long_number().prop_map(|nonce| ServerPacket::Pong { nonce }),
        number().prop_map(|after_ms| ServerPacket::GoAway { after_ms }),
        select(variants::all::<CloseReason>()).prop_map(|reason| ServerPacket::Closing { reason }),
    ]
}

fn response() -> impl Strategy<Value = ServerPacket> {
    fn with<T: core::fmt::Debug + Clone + 'static>(
        success: impl Strategy<Value = T> + 'static,
        packet: fn(RequestId, Result<T, Code>) -> ServerPacket,
    ) -> BoxedStrategy<ServerPacket> {
        let result = prop_oneof![success.prop_map(Ok), select(variants::all::<Code>()).prop_map(Err)];
        (request(), result).prop_map(move |(request, result)| packet(request, result)).boxed()
    }
    let page =
        (vec(summary(), 0..5), option::of(room())).prop_map(|(rooms, next)| RoomPage { rooms: List(rooms), next });
    prop_oneof![
        with(user(), |request, result| ServerPacket::LoginResponse { request, result }),
        with(Just(()), |request, result| ServerPacket::LogoutResponse { request, result }),
        with(page, |request, result| ServerPacket::RoomListResponse { request, result }),
        with(entered(), |request, result| ServerPacket::RoomCreateResponse { request, result }),
        with(entered(), |request, result| ServerPacket::RoomEnterResponse { request, result }),
        with(change(), |request, result| ServerPacket::RoomLeaveResponse { request, result }),
        with(change(), |request, result| ServerPacket::RoomChatResponse { request, result }),
        with(Just(()), |request, result| ServerPacket::DirectMessageResponse { request, result }),
        with(change(), |request, result| ServerPacket::KickResponse { request, result }),
    ]
}

fn command_packet() -> impl Strategy<Value = ServerPacket> {
    let reply = (any::<bool>(), data(), option::of(text())).prop_map(|(success, data, error_message)| CommandReply {
        success,
        data,
        error_message,
    });
    let result =
        prop_oneof![reply.prop_map(|reply| Ok(Box::new(reply))), select(variants::all::<Code>()).prop_map(Err)];
    let response = (request(), option::of(command_name()), result)
        .prop_map(|(request, command_type, result)| ServerPacket::CustomResponse { request, command_type, result });
    let notify =
        (command_name(), data()).prop_map(|(command_type, data)| ServerPacket::CustomNotify { command_type, data });
    let notice = (option::of(room()), text()).prop_map(|(room, text)| ServerPacket::NoticeNotify { room, text });
    prop_oneof![response, notify, notice]
}

fn room_notify() -> impl Strategy<Value = ServerPacket> {
    let entered = (room(), long_number(), user()).prop_map(|(room, sequence, user)| ServerPacket::RoomNewUserNotify {
        room,
        sequence,
        user,
    });
    let causes = select(variants::all::<LeaveCause>());
    let left = (room(), long_number(), user_id(), causes, option::of(user_id())).prop_map(
        |(room, sequence, user, cause, owner)| ServerPacket::RoomLeaveUserNotify { room, sequence, user, cause, owner },
    );
    let list = (room(), long_number(), long_number(), option::of(user_id()), vec(user(), 0..5), any::<bool>())
        .prop_map(|(room, epoch, sequence, owner, users, last)| ServerPacket::RoomUserListNotify {
            room,
            epoch,
            sequence,
            owner,
            users: List(users),
            last,
        });
    let chat = (room(), long_number(), user_id(), name(), text()).prop_map(|(room, sequence, user, name, text)| {
        ServerPacket::RoomChatNotify { room, sequence, user, name, text }
    });
    prop_oneof![entered, left, list, chat]
}

fn other_notify() -> impl Strategy<Value = ServerPacket> {
    let direct = (user_id(), name(), text()).prop_map(|(user, name, text)| ServerPacket::DirectMessageNotify {
        user,
        name,
        text,
    });
    let kicked = (room(), long_number(), option::of(user_id()), any::<bool>())
        .prop_map(|(room, sequence, by, banned)| ServerPacket::Kicked { room, sequence, by, banned });
    prop_oneof![direct, kicked, text().prop_map(|text| ServerPacket::AnnounceNotify { text })]
}

fn user() -> BoxedStrategy<User> {
    (user_id(), name(), option::of(text())).prop_map(|(id, name, nickname)| User { id, name, nickname }).boxed()
}

fn summary() -> BoxedStrategy<RoomSummary> {
    (room(), text(), number(), number(), any::<bool>())
        .prop_map(|(room, title, members, capacity, protected)| RoomSummary {
            room,
            title,
            members,
            capacity,
            protected,
        })
        .boxed()
}

fn entered() -> impl Strategy<Value = RoomEntered> {
    (room(), long_number(), long_number()).prop_map(|(room, epoch, sequence)| RoomEntered { room, epoch, sequence })
}

fn change() -> impl Strategy<Value = RoomChange> {
    (room(), long_number()).prop_map(|(room, sequence)| RoomChange { room, sequence })
}

fn request() -> impl Strategy<Value = RequestId> {
    number().prop_map(RequestId)
}

fn room() -> impl Strategy<Value = RoomNumber> {
    number().prop_map(RoomNumber)
}

fn user_id() -> impl Strategy<Value = UserId> {
    long_number().prop_map(UserId)
}

fn name() -> BoxedStrategy<UserName> {
    "[a-z0-9_.-]{1,32}".prop_map(|name| name.parse().unwrap()).boxed()
}

fn command_name() -> BoxedStrategy<CommandName> {
    "[a-z0-9_.-]{1,32}".prop_map(|name| name.parse().unwrap()).boxed()
}

fn data() -> BoxedStrategy<Data> {
    bytes().prop_map(Data::new).boxed()
}

fn text() -> BoxedStrategy<Text> {
    prop_oneof![".{0,40}", "[a-z ]{240,260}"].prop_map(|text| Text::new(&text)).boxed()
}

/// Packets of a client borrow; what these borrow from is small and stays until the test process ends.
fn bytes() -> BoxedStrategy<&'static [u8]> {
    let any_length = prop_oneof![vec(any::<u8>(), 0..40), vec(any::<u8>(), 240..260)];
    any_length.prop_map(|bytes| &*bytes.leak()).boxed()
}

fn raw() -> impl Strategy<Value = RawText<'static>> {
    bytes().prop_map(RawText)
}

fn secret() -> impl Strategy<Value = Secret<'static>> {
    bytes().prop_map(Secret)
}

fn number() -> impl Strategy<Value = u32> {
    prop_oneof![0..=255u32, 65_530..65_540u32, any::<u32>(), Just(u32::MAX)]
}

fn long_number() -> impl Strategy<Value = u64> {
    let boundary = u64::from(u32::MAX);
    prop_oneof![0..=255u64, 65_530..65_540u64, boundary - 5..boundary + 5, any::<u64>(), Just(u64::MAX)]
}
