//! The packets of a chat.

use lobbyd_core::id::{RequestId, RoomNumber, UserId};
use lobbyd_core::name::UserName;
use lobbyd_core::packet::{ClientPacket, RoomChange, ServerPacket};
use lobbyd_core::text::{RawText, Text};
use lobbyd_net::codec::encode_client;

/// What is said: 64 bytes.
pub(crate) const TEXT: &[u8; 64] = b"The quick brown fox jumps over the lazy dog, and then once more.";

/// Somebody says it.
pub(crate) fn chat(request: u32, room: RoomNumber) -> ClientPacket<'static> {
    ClientPacket::RoomChatRequest { request: RequestId(request), room, text: RawText(TEXT) }
}

/// The same as a frame.
pub(crate) fn chat_frame(request: u32, room: RoomNumber) -> Vec<u8> {
    let mut frame = Vec::new();
    encode_client(&chat(request, room), &mut frame);
    frame
}

/// What the others hear.
pub(crate) fn notify() -> ServerPacket {
    ServerPacket::RoomChatNotify {
        room: RoomNumber(17),
        sequence: 70_000,
        user: UserId(300),
        name: "b123".parse::<UserName>().expect("a name"),
        text: Text::new(std::str::from_utf8(TEXT).expect("ASCII")),
    }
}

/// What the sender is answered.
pub(crate) fn response() -> ServerPacket {
    let change = RoomChange { room: RoomNumber(17), sequence: 70_000 };
    ServerPacket::RoomChatResponse { request: RequestId(1_000), result: Ok(change) }
}
