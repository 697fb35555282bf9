//! Packets that bytes choose: every kind, and every value a field can have.

use lobbyd_core::command::CommandName;
use lobbyd_core::data::{Data, RawBytes};
use lobbyd_core::id::{RequestId, RoomNumber, UserId};
use lobbyd_core::name::UserName;
use lobbyd_core::packet::{
    ClientPacket, Code, CommandReply, List, RoomChange, RoomEntered, RoomPage, RoomSummary, Secret, ServerPacket, User,
};
use lobbyd_core::text::{RawText, Text};
use serde::de::DeserializeOwned;
use serde::de::IntoDeserializer;
use serde::de::value::Error;

use crate::reader::Reader;

/// Any packet of a client.
pub(crate) fn client_packet<'a>(reader: &mut Reader<'a>) -> ClientPacket<'a> {
    let kind = reader.below(13);
    let request = RequestId(reader.number());
    match kind {
        0 => ClientPacket::Hello { version: request.0, client: RawText(reader.bytes()) },
        1 => ClientPacket::Ping { nonce: reader.long_number() },
        2 => ClientPacket::Pong { nonce: reader.long_number() },
        3 => ClientPacket::LoginRequest { request, user: RawText(reader.bytes()), secret: Secret(reader.bytes()) },
        4 => ClientPacket::LogoutRequest { request },
        5 => ClientPacket::RoomListRequest { request, from: room(reader), limit: reader.number() },
        6 => ClientPacket::RoomCreateRequest {
            request,
            title: RawText(reader.bytes()),
            capacity: reader.number(),
            password: password(reader),
        },
        7 => ClientPacket::RoomEnterRequest { request, room: room(reader), password: password(reader) },
        8 => ClientPacket::RoomLeaveRequest { request, room: room(reader) },
        9 => ClientPacket::RoomChatRequest { request, room: room(reader), text: RawText(reader.bytes()) },
        10 => {
            ClientPacket::DirectMessageRequest { request, user: RawText(reader.bytes()), text: RawText(reader.bytes()) }
        }
        11 => ClientPacket::KickRequest { request, room: room(reader), user: user_id(reader), ban: reader.flag() },
        _ => ClientPacket::CustomCommand {
            request,
            command_type: RawText(reader.bytes()),
            parameters: RawBytes(reader.bytes()),
            timestamp: reader.long_number(),
        },
    }
}

/// Any packet of a server.
pub(crate) fn server_packet(reader: &mut Reader<'_>) -> ServerPacket {
    let kind = reader.below(24);
    match kind {
        0 => ServerPacket::Welcome {
            version_min: reader.number(),
            version_max: reader.number(),
            server: text(reader),
            heartbeat_interval_ms: reader.number(),
            frame_bytes_max: reader.number(),
            text_bytes_max: reader.number(),
        },
        1 => ServerPacket::Ping { nonce: reader.long_number() },
        2 => ServerPacket::Pong { nonce: reader.long_number() },
        3 => ServerPacket::GoAway { after_ms: reader.number() },
        4 => ServerPacket::Closing { reason: numbered(reader) },
        5..=13 => response(kind, reader),
        14..=17 => room_notify(kind, reader),
        18 => ServerPacket::DirectMessageNotify { user: user_id(reader), name: name(reader), text: text(reader) },
        19 => ServerPacket::Kicked {
            room: room(reader),
            sequence: reader.long_number(),
            by: option(reader, user_id),
            banned: reader.flag(),
        },
        20 => ServerPacket::AnnounceNotify { text: text(reader) },
        21 => ServerPacket::CustomResponse {
            request: RequestId(reader.number()),
            command_type: option(reader, command_name),
            result: result(reader, |reader| Box::new(reply(reader))),
        },
        22 => ServerPacket::CustomNotify { command_type: command_name(reader), data: Data::new(reader.bytes()) },
        _ => ServerPacket::NoticeNotify { room: option(reader, room), text: text(reader) },
    }
}

fn response(kind: u8, reader: &mut Reader<'_>) -> ServerPacket {
    let request = RequestId(reader.number());
    match kind {
        5 => ServerPacket::LoginResponse { request, result: result(reader, user) },
        6 => ServerPacket::LogoutResponse { request, result: result(reader, |_| ()) },
        7 => ServerPacket::RoomListResponse { request, result: result(reader, page) },
        8 => ServerPacket::RoomCreateResponse { request, result: result(reader, entered) },
        9 => ServerPacket::RoomEnterResponse { request, result: result(reader, entered) },
        10 => ServerPacket::RoomLeaveResponse { request, result: result(reader, change) },
        11 => ServerPacket::RoomChatResponse { request, result: result(reader, change) },
        12 => ServerPacket::DirectMessageResponse { request, result: result(reader, |_| ()) },
        _ => ServerPacket::KickResponse { request, result: result(reader, change) },
    }
}

fn room_notify(kind: u8, reader: &mut Reader<'_>) -> ServerPacket {
    let (room, sequence) = (room(reader), reader.long_number());
    match kind {
        14 => ServerPacket::RoomNewUserNotify { room, sequence, user: user(reader) },
        15 => ServerPacket::RoomLeaveUserNotify {
            room,
            sequence,
            user: user_id(reader),
            cause: numbered(reader),
            owner: option(reader, user_id),
        },
        16 => ServerPacket::RoomUserListNotify {
            room,
            sequence,
            epoch: reader.long_number(),
            owner: option(reader, user_id),
            users: list(reader, user),
            last: reader.flag(),
        },
        _ => ServerPacket::RoomChatNotify {
            room,
            sequence,
            user: user_id(reader),
            name: name(reader),
            text: text(reader),
        },
    }
}

fn result<T>(reader: &mut Reader<'_>, success: impl FnOnce(&mut Reader<'_>) -> T) -> Result<T, Code> {
    if reader.flag() { Err(numbered(reader)) } else { Ok(success(reader)) }
}

fn option<T>(reader: &mut Reader<'_>, some: impl FnOnce(&mut Reader<'_>) -> T) -> Option<T> {
    reader.flag().then(|| some(reader))
}

fn list<T>(reader: &mut Reader<'_>, element: impl Fn(&mut Reader<'_>) -> T) -> List<T> {
    List((0..reader.byte()).map(|_| element(reader)).collect())
}

/// A value of an enum whose variants hold nothing, by the number of its variant; the first for a number too high.
fn numbered<T: DeserializeOwned>(reader: &mut Reader<'_>) -> T {
    let value = |number: u32| T::deserialize(IntoDeserializer::<Error>::into_deserializer(number));
    value(u32::from(reader.byte())).or_else(|_| value(0)).expect("an enum has a first variant")
}

fn password<'a>(reader: &mut Reader<'a>) -> Option<Secret<'a>> {
    reader.flag().then(|| Secret(reader.bytes()))
}

fn room(reader: &mut Reader<'_>) -> RoomNumber {
    RoomNumber(reader.number())
}

fn user_id(reader: &mut Reader<'_>) -> UserId {
    UserId(reader.long_number())
}

fn text(reader: &mut Reader<'_>) -> Text {
    Text::new(&reader.text())
}

fn name(reader: &mut Reader<'_>) -> UserName {
    const ALLOWED: &[u8] = b"abcdefghijklmnopqrstuvwxyz0123456789_.-";
    let length = 1 + reader.below(32);
    let name: Vec<u8> = (0..length).map(|_| reader.choose(ALLOWED)).collect();
    UserName::parse(RawText(&name)).expect("it is made of what is allowed")
}

fn command_name(reader: &mut Reader<'_>) -> CommandName {
    CommandName::parse(RawText(name(reader).as_str().as_bytes())).expect("it has the form of a user's name")
}

fn reply(reader: &mut Reader<'_>) -> CommandReply {
    CommandReply { success: reader.flag(), data: Data::new(reader.bytes()), error_message: option(reader, text) }
}

fn user(reader: &mut Reader<'_>) -> User {
    User { id: user_id(reader), name: name(reader), nickname: option(reader, text) }
}

fn page(reader: &mut Reader<'_>) -> RoomPage {
    RoomPage { rooms: list(reader, summary), next: option(reader, room) }
}

fn summary(reader: &mut Reader<'_>) -> RoomSummary {
    RoomSummary {
        room: room(reader),
        title: text(reader),
        members: reader.number(),
        capacity: reader.number(),
        protected: reader.flag(),
    }
}

fn entered(reader: &mut Reader<'_>) -> RoomEntered {
    RoomEntered { room: room(reader), epoch: reader.long_number(), sequence: reader.long_number() }
}

fn change(reader: &mut Reader<'_>) -> RoomChange {
    RoomChange { room: room(reader), sequence: reader.long_number() }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::mem::discriminant;

    use super::*;
    use crate::page;

    /// How many kinds of packets first bytes make.
    fn kinds<P>(packet: impl Fn(&mut Reader<'_>) -> P, kind: impl Fn(&P) -> String) -> usize {
        let seen: BTreeSet<_> = (0..=u8::MAX).map(|byte| kind(&packet(&mut Reader::new(&[byte])))).collect();
        seen.len()
    }

    #[test]
    fn every_packet_of_the_page_is_made() {
        let client = kinds(|reader| format!("{:?}", discriminant(&client_packet(reader))), |kind| kind.clone());
        let server = kinds(server_packet, |packet| format!("{:?}", discriminant(packet)));
        assert_eq!((client, server), (page::client().packets(), page::server().packets()));
    }
}
