//! lobbyd's own protocol (`net/PROTOCOL.md`). The two packets of which there are millions are read by hand.

use lobbyd_core::id::{RequestId, RoomNumber, UserId};
use lobbyd_core::packet::{ClientPacket, Code, PROTOCOL_VERSION, RoomChange, Secret, ServerPacket};
use lobbyd_net::{codec, frame};

use super::{Heard, Protocol, Taken, Unit, Who};

/// The id of every request: one at a time waits for an answer, except messages, whose answers come in order.
const REQUEST: RequestId = RequestId(1);
/// The most that a payload may have: what any configuration allows.
const PAYLOAD_MAX: u32 = lobbyd_core::config::FRAME_BYTES_LIMIT;

/// lobbyd's protocol.
pub(crate) struct Lobbyd {
    /// What every user logs in with.
    secret: String,
    /// The number of `RoomChatNotify`.
    notify: u8,
    /// The number of `RoomChatResponse`.
    response: u8,
}

impl Lobbyd {
    pub(crate) fn new(secret: &str) -> Self {
        let notify = ServerPacket::RoomChatNotify {
            room: RoomNumber(1),
            sequence: 1,
            user: UserId(1),
            name: "a".parse().expect("one letter is a name"),
            text: "a".into(),
        };
        let response = ServerPacket::RoomChatResponse { request: REQUEST, result: Err(Code::Flooding) };
        Self { secret: secret.to_owned(), notify: packet_number(&notify), response: packet_number(&response) }
    }
}

impl Protocol for Lobbyd {
    const GREETS: bool = true;
    const LOGS_IN: bool = true;
    const TAKEN: Taken = Taken::Answer;
    const ECHOES: bool = false;

    fn next<'a>(&self, _who: Who<'_>, bytes: &'a [u8]) -> Result<Unit<'a>, String> {
        let frame = frame::next_frame(bytes, PAYLOAD_MAX).map_err(|fault| format!("a frame is broken: {fault:?}"))?;
        let Some(frame) = frame else {
            return Ok(None);
        };
        let quick = match frame.payload.split_first() {
            Some((number, rest)) if *number == self.notify => notified(rest),
            Some((number, rest)) if *number == self.response => responded(rest),
            Some(_) | None => None,
        };
        let heard = match quick {
            Some(heard) => heard,
            None => decoded(frame.payload)?,
        };
        Ok(Some((heard, frame.consumed)))
    }

    fn hello(&self, out: &mut Vec<u8>) {
        let client = concat!("lobbyd-bench/", env!("CARGO_PKG_VERSION"));
        codec::encode_client(&ClientPacket::Hello { version: PROTOCOL_VERSION, client: client.into() }, out);
    }

    fn log_in(&self, who: Who<'_>, out: &mut Vec<u8>) {
        let secret = Secret(self.secret.as_bytes());
        codec::encode_client(&ClientPacket::LoginRequest { request: REQUEST, user: who.user.into(), secret }, out);
    }

    fn log_out(&self, out: &mut Vec<u8>) {
        codec::encode_client(&ClientPacket::LogoutRequest { request: REQUEST }, out);
    }

    fn enter(&self, who: Who<'_>, out: &mut Vec<u8>) {
        let room = RoomNumber(who.room);
        codec::encode_client(&ClientPacket::RoomEnterRequest { request: REQUEST, room, password: None }, out);
    }

    fn leave(&self, who: Who<'_>, out: &mut Vec<u8>) {
        codec::encode_client(&ClientPacket::RoomLeaveRequest { request: REQUEST, room: RoomNumber(who.room) }, out);
    }

    fn say(&self, who: Who<'_>, text: &[u8], out: &mut Vec<u8>) {
        let text = std::str::from_utf8(text).expect("texts of the generator are ASCII");
        let room = RoomNumber(who.room);
        codec::encode_client(&ClientPacket::RoomChatRequest { request: REQUEST, room, text: text.into() }, out);
    }

    fn answer(&self, asked: &[u8], out: &mut Vec<u8>) {
        if let Ok(ServerPacket::Ping { nonce }) = codec::decode_server(asked) {
            codec::encode_client(&ClientPacket::Pong { nonce }, out);
        }
    }
}

fn packet_number(packet: &ServerPacket) -> u8 {
    let mut bytes = Vec::new();
    codec::encode_server(packet, &mut bytes);
    bytes[frame::HEADER_BYTES]
}

/// `RoomChatNotify` behind its number: room, sequence, user, name, text.
fn notified(rest: &[u8]) -> Option<Heard<'_>> {
    let (_room, rest) = integer(rest)?;
    let (sequence, rest) = integer(rest)?;
    let (_user, rest) = integer(rest)?;
    let (name_bytes, rest) = integer(rest)?;
    let rest = rest.get(usize::try_from(name_bytes).ok()?..)?;
    let (text_bytes, text) = integer(rest)?;
    (text.len() as u64 == text_bytes).then_some(Heard::Message { text, change: Some(sequence) })
}

/// `RoomChatResponse` behind its number: request, whether it is refused (0: no), room, sequence.
fn responded(rest: &[u8]) -> Option<Heard<'_>> {
    let (_request, rest) = integer(rest)?;
    let (0, rest) = integer(rest)? else {
        return None;
    };
    let (_room, rest) = integer(rest)?;
    let (sequence, rest) = integer(rest)?;
    rest.is_empty().then_some(Heard::Said { change: Some(sequence) })
}

/// An integer of the wire: below 251 as it is, else a mark of its width and then its bytes in little-endian order.
fn integer(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (first, rest) = bytes.split_first()?;
    match first {
        251 => rest.split_first_chunk().map(|(bytes, rest)| (u64::from(u16::from_le_bytes(*bytes)), rest)),
        252 => rest.split_first_chunk().map(|(bytes, rest)| (u64::from(u32::from_le_bytes(*bytes)), rest)),
        253 => rest.split_first_chunk().map(|(bytes, rest)| (u64::from_le_bytes(*bytes), rest)),
        254.. => None,
        small => Some((u64::from(*small), rest)),
    }
}

/// Everything else, of which there is little.
fn decoded(payload: &[u8]) -> Result<Heard<'_>, String> {
    let packet = codec::decode_server(payload).map_err(|fault| format!("a packet is broken: {fault:?}"))?;
    let done = Heard::Done { entered: None };
    match packet {
        ServerPacket::Welcome { .. } => Ok(done),
        ServerPacket::LoginResponse { result, .. } => {
            result.map(|_| done).map_err(|code| format!("a login is refused: {code}"))
        }
        ServerPacket::LogoutResponse { result, .. } => {
            result.map(|()| done).map_err(|code| format!("a logout is refused: {code}"))
        }
        ServerPacket::RoomEnterResponse { result, .. } => result
            .map(|entered| Heard::Done { entered: Some(entered.sequence) })
            .map_err(|code| format!("entering a room is refused: {code}")),
        ServerPacket::RoomLeaveResponse { result, .. } => {
            result.map(|_| done).map_err(|code| format!("leaving a room is refused: {code}"))
        }
        ServerPacket::RoomChatResponse { result, .. } => result
            .map(|RoomChange { sequence, .. }| Heard::Said { change: Some(sequence) })
            .map_err(|code| format!("a message is refused: {code}")),
        ServerPacket::RoomNewUserNotify { sequence, .. } | ServerPacket::RoomLeaveUserNotify { sequence, .. } => {
            Ok(Heard::Changed(sequence))
        }
        ServerPacket::Ping { .. } => Ok(Heard::Asked(payload)),
        ServerPacket::Closing { reason } => Err(format!("the server closes a connection: {reason}")),
        packet @ (ServerPacket::RoomChatNotify { .. }
        | ServerPacket::Kicked { .. }
        | ServerPacket::KickResponse { .. }
        | ServerPacket::RoomListResponse { .. }
        | ServerPacket::RoomCreateResponse { .. }
        | ServerPacket::DirectMessageResponse { .. }
        | ServerPacket::CustomResponse { .. }) => Err(format!("a packet that nothing asked for: {packet:?}")),
        ServerPacket::RoomUserListNotify { .. }
        | ServerPacket::Pong { .. }
        | ServerPacket::GoAway { .. }
        | ServerPacket::DirectMessageNotify { .. }
        | ServerPacket::AnnounceNotify { .. }
        | ServerPacket::CustomNotify { .. }
        | ServerPacket::NoticeNotify { .. } => Ok(Heard::Nothing),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::units;
    use super::*;

    const WHO: Who<'static> = Who { user: "b1", room: 3 };

    #[test]
    fn what_is_read_by_hand_is_what_the_codec_says() {
        let text = "x".repeat(300);
        for number in [1, 250, 251, 65_535, 65_536, u64::from(u32::MAX), u64::MAX] {
            let room = RoomNumber(number.min(u64::from(u32::MAX)) as u32);
            let mut bytes = Vec::new();
            for text in [&text[..64], &text[..], "x"] {
                let notify = ServerPacket::RoomChatNotify {
                    room,
                    sequence: number,
                    user: UserId(number),
                    name: "somebody".parse().unwrap(),
                    text: text.into(),
                };
                codec::encode_server(&notify, &mut bytes);
            }
            let result = Ok(RoomChange { room, sequence: number });
            codec::encode_server(&ServerPacket::RoomChatResponse { request: REQUEST, result }, &mut bytes);
            let change = Some(number);
            let message = |text| Heard::Message { text, change };
            assert_eq!(
                units(&Lobbyd::new("secret"), WHO, &bytes),
                [message(&text.as_bytes()[..64]), message(text.as_bytes()), message(b"x"), Heard::Said { change }]
            );
        }
    }

    #[test]
    fn a_refused_message_is_told() {
        let mut bytes = Vec::new();
        let refused = ServerPacket::RoomChatResponse { request: REQUEST, result: Err(Code::Flooding) };
        codec::encode_server(&refused, &mut bytes);
        let error = Lobbyd::new("secret").next(WHO, &bytes).unwrap_err();
        assert_eq!(error, format!("a message is refused: {}", Code::Flooding));
    }
}
