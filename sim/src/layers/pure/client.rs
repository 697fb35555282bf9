//! Clients: they say what the scenario says, answer the server's pings, and keep what arrives.

use std::collections::VecDeque;
use std::rc::Rc;

use lobbyd_core::data::RawBytes;
use lobbyd_core::id::{RequestId, RoomNumber, UserId};
use lobbyd_core::packet::{ClientPacket, Secret, ServerPacket};
use lobbyd_core::text::RawText;
use lobbyd_net::codec;

use super::wire::Wire;
use crate::layers::{Arrival, CannotDo};
use crate::scenario::Operation;

/// What clients call themselves.
const NAME: &str = "lobbyd-sim";

pub(super) struct Client {
    pub(super) name: String,
    pub(super) arrived: VecDeque<Arrival>,
    /// The stream that it has; older ones are unattended.
    pub(super) stream: Option<u32>,
    /// Whether it has ended its writing half.
    is_half_closed: bool,
    /// Counted from 1 on each connection.
    last_request: u32,
    /// Who it was at its last login.
    user: Option<UserId>,
}

/// What a client says, as a value that owns its parts.
#[derive(Debug)]
pub(super) enum Said {
    Hello { version: u32 },
    Ping { nonce: u64 },
    Pong { nonce: u64 },
    Request { request: RequestId, what: Request },
}

/// A request, without its number.
#[derive(Debug)]
pub(super) enum Request {
    Login { user: String, secret: String },
    Logout,
    RoomList { from: RoomNumber, limit: u32 },
    RoomCreate { title: String, capacity: u32, password: Option<String> },
    RoomEnter { room: RoomNumber, password: Option<String> },
    RoomLeave { room: RoomNumber },
    RoomChat { room: RoomNumber, text: Vec<u8> },
    DirectMessage { user: String, text: Vec<u8> },
    Kick { room: RoomNumber, user: UserId, ban: bool },
    Command { name: String, parameters: Vec<u8>, timestamp: u64 },
}

impl Client {
    pub(super) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            arrived: VecDeque::new(),
            stream: None,
            is_half_closed: false,
            last_request: 0,
            user: None,
        }
    }

    /// Takes note of a new connection.
    pub(super) fn connected(&mut self, stream: u32) {
        (self.stream, self.is_half_closed, self.last_request) = (Some(stream), false, 0);
    }

    /// Takes note of what arrives; the nonce of a ping that it answers.
    pub(super) fn receive(&mut self, packet: Rc<ServerPacket>) -> Option<u64> {
        let mut nonce = None;
        if let ServerPacket::LoginResponse { result: Ok(user), request: _ } = &*packet {
            self.user = Some(user.id);
        } else if let ServerPacket::Ping { nonce: asked } = &*packet {
            nonce = (!self.is_half_closed).then_some(*asked);
        }
        self.arrived.push_back(Arrival::Packet(packet));
        nonce
    }

    pub(super) fn half_closed(&mut self) {
        self.is_half_closed = true;
    }

    pub(super) fn is_half_closed(&self) -> bool {
        self.is_half_closed
    }

    fn request(&mut self, what: Request) -> Said {
        self.last_request += 1;
        Said::Request { request: RequestId(self.last_request), what }
    }
}

/// What an operation has a client say; none if it is about the connection.
///
/// # Errors
/// When it names a client that never was logged in.
pub(super) fn say(wire: &mut Wire, client: u32, operation: &Operation) -> Result<Option<Said>, CannotDo> {
    let what = match operation {
        Operation::Hello { version } => return Ok(Some(Said::Hello { version: *version })),
        Operation::Ping { nonce } => return Ok(Some(Said::Ping { nonce: *nonce })),
        Operation::Login { user, secret } => Request::Login { user: user.clone(), secret: secret.clone() },
        Operation::Logout => Request::Logout,
        Operation::RoomList { from, limit } => Request::RoomList { from: *from, limit: *limit },
        Operation::RoomCreate { title, capacity, password } => {
            Request::RoomCreate { title: title.clone(), capacity: *capacity, password: password.clone() }
        }
        Operation::RoomEnter { room, password } => Request::RoomEnter { room: *room, password: password.clone() },
        Operation::RoomLeave { room } => Request::RoomLeave { room: *room },
        Operation::RoomChat { room, text } => Request::RoomChat { room: *room, text: text.clone() },
        Operation::DirectMessage { user, text } => Request::DirectMessage { user: user.clone(), text: text.clone() },
        Operation::Kick { room, client, ban } => {
            let target = wire.clients.iter().find(|known| known.name == *client);
            let Some(user) = target.and_then(|target| target.user) else {
                return Err(CannotDo::Scenario(format!("{client} was never logged in, so nobody can kick it")));
            };
            Request::Kick { room: *room, user, ban: *ban }
        }
        Operation::Command { name, parameters, timestamp } => {
            Request::Command { name: name.clone(), parameters: parameters.clone(), timestamp: *timestamp }
        }
        Operation::Connect { .. }
        | Operation::Raw(_)
        | Operation::HalfClose
        | Operation::Close
        | Operation::Reset
        | Operation::Vanish
        | Operation::StopReading
        | Operation::ResumeReading => return Ok(None),
    };
    Ok(Some(wire.clients[client as usize].request(what)))
}

impl Said {
    /// The packet, which borrows from this.
    pub(super) fn packet(&self) -> ClientPacket<'_> {
        match self {
            Self::Hello { version } => ClientPacket::Hello { version: *version, client: NAME.into() },
            Self::Ping { nonce } => ClientPacket::Ping { nonce: *nonce },
            Self::Pong { nonce } => ClientPacket::Pong { nonce: *nonce },
            Self::Request { request, what } => what.packet(*request),
        }
    }

    /// The packet as a whole frame, behind what is in `out`.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        codec::encode_client(&self.packet(), out);
    }

    /// No fewer than the bytes of its payload.
    pub(super) fn bytes_max(&self) -> usize {
        /// Room for the numbers, and for the lengths of texts.
        const NUMBERS: usize = 64;
        let texts = match self {
            Self::Hello { .. } => NAME.len(),
            Self::Ping { .. } | Self::Pong { .. } => 0,
            Self::Request { what, request: _ } => match what {
                Request::Login { user, secret } => user.len() + secret.len(),
                Request::Logout | Request::RoomList { .. } | Request::RoomLeave { .. } | Request::Kick { .. } => 0,
                Request::RoomCreate { title, password, capacity: _ } => title.len() + length(password),
                Request::RoomEnter { password, room: _ } => length(password),
                Request::RoomChat { text, room: _ } => text.len(),
                Request::DirectMessage { user, text } => user.len() + text.len(),
                Request::Command { name, parameters, timestamp: _ } => name.len() + parameters.len(),
            },
        };
        NUMBERS + texts
    }
}

impl Request {
    fn packet(&self, request: RequestId) -> ClientPacket<'_> {
        match self {
            Self::Login { user, secret } => {
                let (user, secret) = (user.as_str().into(), Secret(secret.as_bytes()));
                ClientPacket::LoginRequest { request, user, secret }
            }
            Self::Logout => ClientPacket::LogoutRequest { request },
            Self::RoomList { from, limit } => ClientPacket::RoomListRequest { request, from: *from, limit: *limit },
            Self::RoomCreate { title, capacity, password } => {
                let (title, password) = (title.as_str().into(), secret(password));
                ClientPacket::RoomCreateRequest { request, title, capacity: *capacity, password }
            }
            Self::RoomEnter { room, password } => {
                ClientPacket::RoomEnterRequest { request, room: *room, password: secret(password) }
            }
            Self::RoomLeave { room } => ClientPacket::RoomLeaveRequest { request, room: *room },
            Self::RoomChat { room, text } => {
                ClientPacket::RoomChatRequest { request, room: *room, text: RawText(text) }
            }
            Self::DirectMessage { user, text } => {
                ClientPacket::DirectMessageRequest { request, user: user.as_str().into(), text: RawText(text) }
            }
            Self::Kick { room, user, ban } => {
                ClientPacket::KickRequest { request, room: *room, user: *user, ban: *ban }
            }
            Self::Command { name, parameters, timestamp } => ClientPacket::CustomCommand {
                request,
                command_type: name.as_str().into(),
                parameters: RawBytes(parameters),
                timestamp: *timestamp,
            },
        }
    }
}

fn secret(password: &Option<String>) -> Option<Secret<'_>> {
    password.as_ref().map(|password| Secret(password.as_bytes()))
}

fn length(password: &Option<String>) -> usize {
    password.as_ref().map_or(0, String::len)
}
