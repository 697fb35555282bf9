//! What a client says, as packets, and what it has to remember for that. The layers with real bytes share it.

use std::time::Duration;

use lobbyd_core::data::RawBytes;
use lobbyd_core::id::{RequestId, UserId};
use lobbyd_core::packet::{ClientPacket, Secret, ServerPacket};
use lobbyd_core::text::RawText;
use lobbyd_net::codec::encode_client;

use crate::layers::CannotDo;
use crate::scenario::Operation;

/// What a client calls itself.
const CLIENT_NAME: &str = "lobbyd-sim";

/// A client's side of the conversation.
#[derive(Debug, Default)]
pub(in crate::layers) struct Speech {
    /// Counted from 1 on each connection.
    requests: u32,
    /// Who it was at its last login.
    user: Option<UserId>,
    login: Option<PendingLogin>,
}

#[derive(Debug)]
struct PendingLogin {
    request: RequestId,
    asked_at: Duration,
}

impl Speech {
    /// The number of the client's last login.
    pub(in crate::layers) fn user(&self) -> Option<UserId> {
        self.user
    }

    /// Whether a login was asked for since `since`, and is not answered.
    pub(in crate::layers) fn waits_for_login(&self, since: Duration) -> bool {
        self.login.as_ref().is_some_and(|login| login.asked_at >= since)
    }

    /// There is another connection, or none.
    pub(in crate::layers) fn disconnected(&mut self) {
        (self.requests, self.login) = (0, None);
    }

    /// Appends what the operation says to `out`. `user_of` knows other clients' logins. An operation that says nothing
    /// appends nothing.
    ///
    /// # Errors
    /// When the operation makes no sense.
    pub(in crate::layers) fn say(
        &mut self,
        now: Duration,
        operation: &Operation,
        user_of: impl Fn(&str) -> Option<UserId>,
        out: &mut Vec<u8>,
    ) -> Result<(), CannotDo> {
        let packet = match operation {
            Operation::Connect { .. }
            | Operation::HalfClose
            | Operation::Close
            | Operation::Reset
            | Operation::Vanish
            | Operation::StopReading
            | Operation::ResumeReading => return Ok(()),
            Operation::Raw(bytes) => {
                out.extend_from_slice(bytes);
                return Ok(());
            }
            Operation::Hello { version } => ClientPacket::Hello { version: *version, client: CLIENT_NAME.into() },
            Operation::Ping { nonce } => ClientPacket::Ping { nonce: *nonce },
            Operation::Login { user, secret } => {
                let request = self.request();
                self.login = Some(PendingLogin { request, asked_at: now });
                ClientPacket::LoginRequest { request, user: user.as_str().into(), secret: Secret(secret.as_bytes()) }
            }
            Operation::Logout => ClientPacket::LogoutRequest { request: self.request() },
            Operation::RoomList { from, limit } => {
                ClientPacket::RoomListRequest { request: self.request(), from: *from, limit: *limit }
            }
            Operation::RoomCreate { title, capacity, password } => {
                let password = password.as_deref().map(|password| Secret(password.as_bytes()));
                let (request, title) = (self.request(), title.as_str().into());
                ClientPacket::RoomCreateRequest { request, title, capacity: *capacity, password }
            }
            Operation::RoomEnter { room, password } => {
                let password = password.as_deref().map(|password| Secret(password.as_bytes()));
                ClientPacket::RoomEnterRequest { request: self.request(), room: *room, password }
            }
            Operation::RoomLeave { room } => ClientPacket::RoomLeaveRequest { request: self.request(), room: *room },
            Operation::RoomChat { room, text } => {
                let text = RawText(text);
                ClientPacket::RoomChatRequest { request: self.request(), room: *room, text }
            }
            Operation::DirectMessage { user, text } => {
                let (user, text) = (user.as_str().into(), RawText(text));
                ClientPacket::DirectMessageRequest { request: self.request(), user, text }
            }
            Operation::Kick { room, client, ban } => {
                let user = user_of(client);
                let user = user.ok_or_else(|| {
                    CannotDo::Scenario(format!("{client} was never logged in, so nobody can kick it"))
                })?;
                ClientPacket::KickRequest { request: self.request(), room: *room, user, ban: *ban }
            }
            Operation::Command { name, parameters, timestamp } => ClientPacket::CustomCommand {
                request: self.request(),
                command_type: name.as_str().into(),
                parameters: RawBytes(parameters),
                timestamp: *timestamp,
            },
        };
        encode_client(&packet, out);
        Ok(())
    }

    /// Takes note of what the client has heard. Appends what it answers by itself to `out`.
    pub(in crate::layers) fn hear(&mut self, packet: &ServerPacket, out: &mut Vec<u8>) {
        if let ServerPacket::Ping { nonce } = packet {
            encode_client(&ClientPacket::Pong { nonce: *nonce }, out);
        }
        if let ServerPacket::LoginResponse { request, result } = packet {
            self.login.take_if(|login| login.request == *request);
            if let Ok(user) = result {
                self.user = Some(user.id);
            }
        }
    }

    fn request(&mut self) -> RequestId {
        self.requests += 1;
        RequestId(self.requests)
    }
}
