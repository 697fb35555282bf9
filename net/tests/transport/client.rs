//! A client: logs in, enters the room, says its texts, and writes down what it hears.

use lobbyd_core::id::{RequestId, RoomNumber};
use lobbyd_core::packet::{ClientPacket, PROTOCOL_VERSION, Secret, ServerPacket};
use lobbyd_net::codec::{decode_server, encode_client};
use lobbyd_net::frame::{HEADER_BYTES, next_frame};

use crate::transport::Near;
use crate::world::{FRAME_BYTES_MAX, ROOM, SECRET};

/// How a client came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// It is there until the server stops.
    None,
    /// It has ended its writing half.
    HungUp,
    /// Its connection broke.
    Broken,
}

pub(crate) struct Client {
    pub(crate) near: Near,
    pub(crate) name: String,
    pub(crate) end: End,
    /// What it wants to say in the room.
    pub(crate) texts: Vec<String>,
    /// What is encoded and not sent yet.
    unsent: Vec<u8>,
    /// The bytes that were sent, with where each packet's frame ends in all bytes that were encoded.
    sent: usize,
    encoded: usize,
    frame_ends: Vec<(RequestId, usize)>,
    last_request: u32,
    /// How many bytes of what came were understood.
    understood: usize,
    /// What came, in order.
    pub(crate) heard: Vec<ServerPacket>,
}

/// The request that logs in; the next one enters, and those behind it chat.
const LOGIN: RequestId = RequestId(1);
const ENTER: RequestId = RequestId(2);

impl Client {
    pub(crate) fn new(near: Near, name: &str, texts: Vec<String>) -> Self {
        let mut client = Self {
            near,
            name: name.to_owned(),
            end: End::None,
            texts,
            unsent: Vec::new(),
            sent: 0,
            encoded: 0,
            frame_ends: Vec::new(),
            last_request: 0,
            understood: 0,
            heard: Vec::new(),
        };
        encode_client(&ClientPacket::Hello { version: PROTOCOL_VERSION, client: "driver".into() }, &mut client.unsent);
        client.encoded = client.unsent.len();
        let user = client.name.clone();
        client.ask(|request| ClientPacket::LoginRequest {
            request,
            user: user.as_str().into(),
            secret: Secret(SECRET),
        });
        client
    }

    fn ask<'a>(&mut self, packet: impl FnOnce(RequestId) -> ClientPacket<'a>) {
        self.last_request += 1;
        let request = RequestId(self.last_request);
        let before = self.unsent.len();
        encode_client(&packet(request), &mut self.unsent);
        self.encoded += self.unsent.len() - before;
        self.frame_ends.push((request, self.encoded));
    }

    /// Sends so many bytes of what there is to say.
    pub(crate) fn send(&mut self, bytes: usize) {
        if self.end == End::None {
            let count = bytes.min(self.unsent.len());
            self.near.send(&self.unsent[..count]);
            self.unsent.drain(..count);
            self.sent += count;
        }
    }

    pub(crate) fn hang_up(&mut self) {
        if self.end == End::None {
            self.end = End::HungUp;
            self.near.hang_up();
        }
    }

    pub(crate) fn cut(&mut self) {
        if self.end != End::Broken {
            self.end = End::Broken;
            self.near.cut();
        }
    }

    /// Reads what has come, and goes on with what it makes possible. Returns whether anything had come.
    pub(crate) fn read(&mut self) -> bool {
        let bytes = self.near.look(|wire| wire.to_client[self.understood..].to_vec());
        let mut rest = &bytes[..];
        while let Some(frame) = next_frame(rest, FRAME_BYTES_MAX).unwrap() {
            let packet = decode_server(frame.payload).unwrap();
            rest = &rest[frame.consumed..];
            self.hear(packet);
        }
        self.understood += bytes.len() - rest.len();
        rest.len() < bytes.len()
    }

    fn hear(&mut self, packet: ServerPacket) {
        let closed = self.heard.iter().any(|packet| matches!(packet, ServerPacket::Closing { .. }));
        assert!(!closed, "{} hears {packet:?} behind the end", self.name);
        if let ServerPacket::LoginResponse { request: LOGIN, result } = &packet {
            assert!(result.is_ok(), "{} is refused: {packet:?}", self.name);
            self.ask(|request| ClientPacket::RoomEnterRequest { request, room: ROOM, password: None });
        } else if let ServerPacket::RoomEnterResponse { request: ENTER, result } = &packet {
            assert!(result.is_ok(), "{} is refused: {packet:?}", self.name);
            for text in self.texts.clone() {
                self.ask(|request| chat(request, ROOM, &text));
            }
        }
        self.heard.push(packet);
    }

    /// Which text a request says.
    pub(crate) fn text(&self, request: RequestId) -> &str {
        &self.texts[(request.0 - ENTER.0 - 1) as usize]
    }

    /// How many texts were sent to their last byte.
    pub(crate) fn texts_sent(&self) -> usize {
        self.frame_ends.iter().filter(|(request, end)| request.0 > ENTER.0 && *end <= self.sent).count()
    }

    /// The requests that were sent to their last byte, in order.
    pub(crate) fn requests_sent(&self) -> Vec<RequestId> {
        let whole = self.frame_ends.iter().filter(|(_, end)| *end <= self.sent);
        whole.map(|(request, _)| *request).collect()
    }

    /// Whether it is there and has not said everything, or not heard the answer.
    pub(crate) fn is_waiting(&self) -> bool {
        let is_there = self.end == End::None && !self.near.look(|wire| wire.server_has_ended || wire.is_dropped);
        let chats = self.heard.iter().filter(|packet| matches!(packet, ServerPacket::RoomChatResponse { .. })).count();
        is_there && chats < self.texts.len()
    }

    /// How many bytes of a frame have come whose rest has not.
    pub(crate) fn part_of_a_frame(&self) -> usize {
        self.near.look(|wire| wire.to_client.len()) - self.understood
    }
}

fn chat<'a>(request: RequestId, room: RoomNumber, text: &'a str) -> ClientPacket<'a> {
    assert!(text.len() + HEADER_BYTES < FRAME_BYTES_MAX as usize);
    ClientPacket::RoomChatRequest { request, room, text: text.into() }
}
