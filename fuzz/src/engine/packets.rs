//! What clients say to the engine: packets of a small world, so that they often meet.

use lobbyd_core::data::RawBytes;
use lobbyd_core::id::{RequestId, RoomNumber, UserId};
use lobbyd_core::packet::{ClientPacket, PROTOCOL_VERSION, Sealed};
use lobbyd_core::text::RawText;
use lobbyd_sim::puppet::deed;

use super::USERS;
use crate::reader::Reader;

/// The extension's commands, and what is none.
const COMMANDS: [&str; 6] =
    ["puppet", "puppet.dance", "puppe", "", "no name", "a-name-that-is-much-longer-than-thirty-two"];

/// Any packet, its secrets sealed. Users are named by their logins, of which `last_login` was the last.
pub(super) fn packet<'a>(reader: &mut Reader<'a>, last_login: u64) -> ClientPacket<'a, Sealed> {
    let kind = reader.byte();
    let request = RequestId(u32::from(reader.below(4)));
    match kind {
        0..=5 => {
            ClientPacket::Hello { version: PROTOCOL_VERSION + u32::from(reader.below(8) / 7), client: "fuzz".into() }
        }
        6..=15 => ClientPacket::Ping { nonce: reader.long_number() },
        16..=25 => ClientPacket::Pong { nonce: reader.long_number() },
        26..=60 => ClientPacket::LoginRequest { request, user: user(reader).into(), secret: Sealed([1; 16]) },
        61..=70 => ClientPacket::LogoutRequest { request },
        71..=80 => ClientPacket::RoomListRequest { request, from: room(reader), limit: u32::from(reader.byte()) },
        81..=110 => ClientPacket::RoomCreateRequest {
            request,
            title: text(reader),
            capacity: u32::from(reader.below(16)),
            password: password(reader),
        },
        111..=165 => ClientPacket::RoomEnterRequest { request, room: room(reader), password: password(reader) },
        166..=180 => ClientPacket::RoomLeaveRequest { request, room: room(reader) },
        181..=210 => ClientPacket::RoomChatRequest { request, room: room(reader), text: text(reader) },
        211..=225 => ClientPacket::DirectMessageRequest { request, user: user(reader).into(), text: text(reader) },
        226..=230 | 246..=255 => ClientPacket::CustomCommand {
            request,
            command_type: reader.choose(&COMMANDS).into(),
            parameters: RawBytes(deeds(reader)),
            timestamp: reader.long_number(),
        },
        231..=245 => ClientPacket::KickRequest {
            request,
            room: RoomNumber([1, 4, 4, 5][usize::from(reader.below(4))]),
            user: UserId(last_login.wrapping_sub(u64::from(reader.below(5)))),
            ban: reader.flag(),
        },
    }
}

/// What the extension is to do: something usual, or anything. Of many deeds one fails nearly always, and then none is done.
fn deeds<'a>(reader: &mut Reader<'a>) -> &'a [u8] {
    const USUAL: [&[u8]; 6] = [
        &[deed::KEEP],
        &[deed::CALL, deed::KEEP],
        &[deed::TELL, 0, deed::TELL_ROOM, 1, deed::RANDOM],
        &[deed::ANSWER, deed::REPLY, 3],
        &[deed::DEADLINE, 9, deed::DEADLINE, 18, deed::REPLY, 0],
        // When the deadline comes, it answers what it has kept, asks the service and sets the deadline anew.
        &[deed::DEADLINE, 9, deed::KEEP, deed::LATER, deed::ANSWER, deed::CALL, deed::DEADLINE, 13],
    ];
    match USUAL.get(usize::from(reader.below(16))) {
        Some(usual) => usual,
        None => reader.few_bytes(6),
    }
}

/// A user's name, or what is none.
pub(super) fn user(reader: &mut Reader<'_>) -> &'static str {
    reader.choose(&USERS)
}

pub(super) fn room(reader: &mut Reader<'_>) -> RoomNumber {
    match reader.byte() {
        255 => RoomNumber(reader.number()),
        small => RoomNumber([1, 1, 1, 4, 4, 4, 3, 5][usize::from(small % 8)]),
    }
}

fn password(reader: &mut Reader<'_>) -> Option<Sealed> {
    match reader.below(3) {
        0 => None,
        password => Some(Sealed([password; 16])),
    }
}

pub(super) fn text<'a>(reader: &mut Reader<'a>) -> RawText<'a> {
    match reader.below(8) {
        0..=3 => "hi".into(),
        4 => "caf\u{e9}\n\u{2615}".into(),
        5 => "".into(),
        _ => RawText(reader.bytes()),
    }
}
