//! The packet vocabulary: every unit that a client and the server say to each other.
//!
//! The order of the variants is their number on the wire (`net/PROTOCOL.md`): new ones go to the end.
//! A *request* carries an id that the client chose; its *response* carries it back. A *notify* answers nobody.

mod about;
mod secret;
mod value;

use alloc::boxed::Box;

use serde::{Deserialize, Serialize};

pub use self::secret::{Sealed, Secret};
pub use self::value::{CommandReply, List, RoomChange, RoomEntered, RoomPage, RoomSummary, User};
pub use crate::code::{CloseReason, Code, LeaveCause};
use crate::command::CommandName;
use crate::data::{Data, RawBytes};
use crate::id::{RequestId, RoomNumber, UserId};
use crate::name::UserName;
use crate::text::{RawText, Text};

/// The protocol version that this build speaks.
pub const PROTOCOL_VERSION: u32 = 1;

/// What a client says. `S` stands where a secret is: [`Secret`] as it came from the wire, [`Sealed`] inside the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(bound(deserialize = "'de: 'a, S: Deserialize<'de>"))]
pub enum ClientPacket<'a, S = Secret<'a>> {
    /// The client's first packet, after it has seen the server's `Welcome`.
    Hello {
        /// The protocol version the client will speak, within the range that `Welcome` offered.
        version: u32,
        /// The client's own name and version, for the server's log, which shows the first 64 bytes.
        client: RawText<'a>,
    },
    /// Asks for a [`ServerPacket::Pong`]; allowed from `Hello` on.
    Ping {
        /// Comes back unchanged.
        nonce: u64,
    },
    /// Answers a [`ServerPacket::Ping`].
    Pong {
        /// The nonce of that ping.
        nonce: u64,
    },
    /// Logs in.
    LoginRequest {
        /// Chosen by the client.
        request: RequestId,
        /// The user's name, in any case.
        user: RawText<'a>,
        /// The password, or the token that a trusted service issued.
        secret: S,
    },
    /// Logs out, or cancels a login that is pending. The connection stays.
    LogoutRequest {
        /// Chosen by the client.
        request: RequestId,
    },
    /// Asks for a page of the room directory, in the order of room numbers.
    RoomListRequest {
        /// Chosen by the client.
        request: RequestId,
        /// The lowest room number wanted.
        from: RoomNumber,
        /// The most rooms wanted; 0 for as many as a page holds.
        limit: u32,
    },
    /// Creates a room and enters it.
    RoomCreateRequest {
        /// Chosen by the client.
        request: RequestId,
        /// What the directory shows.
        title: RawText<'a>,
        /// The most members.
        capacity: u32,
        /// If given, nobody enters without it.
        password: Option<S>,
    },
    /// Enters a room.
    RoomEnterRequest {
        /// Chosen by the client.
        request: RequestId,
        /// Which room.
        room: RoomNumber,
        /// For a protected room.
        password: Option<S>,
    },
    /// Leaves a room for the lobby.
    RoomLeaveRequest {
        /// Chosen by the client.
        request: RequestId,
        /// Which room.
        room: RoomNumber,
    },
    /// Says something in a room.
    RoomChatRequest {
        /// Chosen by the client.
        request: RequestId,
        /// Which room.
        room: RoomNumber,
        /// What is said.
        text: RawText<'a>,
    },
    /// Says something to one user, wherever that user is.
    DirectMessageRequest {
        /// Chosen by the client.
        request: RequestId,
        /// To whom.
        user: RawText<'a>,
        /// What is said.
        text: RawText<'a>,
    },
    /// Sends a member back to the lobby.
    KickRequest {
        /// Chosen by the client.
        request: RequestId,
        /// From which room.
        room: RoomNumber,
        /// Whom.
        user: UserId,
        /// Whether the user may not enter this room again while it exists.
        ban: bool,
    },
    /// Asks an extension of the server for something.
    CustomCommand {
        /// Chosen by the client.
        request: RequestId,
        /// The command's name: 1 to 32 of `a-z 0-9 _ . -`.
        command_type: RawText<'a>,
        /// Whatever the command takes.
        parameters: RawBytes<'a>,
        /// The client's own clock, in milliseconds since 1970 (Unix time). Nothing makes it true.
        timestamp: u64,
    },
}

impl<'a, S> ClientPacket<'a, S> {
    /// What refuses this packet with a code; absent for a packet that nothing answers.
    #[must_use]
    pub fn refusal(&self, code: Code) -> Option<ServerPacket> {
        Some(match *self {
            Self::Hello { .. } | Self::Ping { .. } | Self::Pong { .. } => return None,
            Self::LoginRequest { request, .. } => ServerPacket::LoginResponse { request, result: Err(code) },
            Self::LogoutRequest { request } => ServerPacket::LogoutResponse { request, result: Err(code) },
            Self::RoomListRequest { request, .. } => ServerPacket::RoomListResponse { request, result: Err(code) },
            Self::RoomCreateRequest { request, .. } => ServerPacket::RoomCreateResponse { request, result: Err(code) },
            Self::RoomEnterRequest { request, .. } => ServerPacket::RoomEnterResponse { request, result: Err(code) },
            Self::RoomLeaveRequest { request, .. } => ServerPacket::RoomLeaveResponse { request, result: Err(code) },
            Self::RoomChatRequest { request, .. } => ServerPacket::RoomChatResponse { request, result: Err(code) },
            Self::DirectMessageRequest { request, .. } => {
                ServerPacket::DirectMessageResponse { request, result: Err(code) }
            }
            Self::KickRequest { request, .. } => ServerPacket::KickResponse { request, result: Err(code) },
            Self::CustomCommand { request, command_type, .. } => {
                let command_type = CommandName::parse(command_type).ok();
                ServerPacket::CustomResponse { request, command_type, result: Err(code) }
            }
        })
    }

    /// Whether there is a secret in it.
    #[must_use]
    pub fn holds_secret(&self) -> bool {
        matches!(
            self,
            Self::LoginRequest { .. }
                | Self::RoomCreateRequest { password: Some(_), .. }
                | Self::RoomEnterRequest { password: Some(_), .. }
        )
    }

    /// The same packet with every secret replaced by what `seal` makes of it.
    pub fn seal<T>(self, mut seal: impl FnMut(S) -> T) -> ClientPacket<'a, T> {
        match self {
            Self::Hello { version, client } => ClientPacket::Hello { version, client },
            Self::Ping { nonce } => ClientPacket::Ping { nonce },
            Self::Pong { nonce } => ClientPacket::Pong { nonce },
            Self::LoginRequest { request, user, secret } => {
                ClientPacket::LoginRequest { request, user, secret: seal(secret) }
            }
            Self::LogoutRequest { request } => ClientPacket::LogoutRequest { request },
            Self::RoomListRequest { request, from, limit } => ClientPacket::RoomListRequest { request, from, limit },
            Self::RoomCreateRequest { request, title, capacity, password } => {
                ClientPacket::RoomCreateRequest { request, title, capacity, password: password.map(seal) }
            }
            Self::RoomEnterRequest { request, room, password } => {
                ClientPacket::RoomEnterRequest { request, room, password: password.map(seal) }
            }
            Self::RoomLeaveRequest { request, room } => ClientPacket::RoomLeaveRequest { request, room },
            Self::RoomChatRequest { request, room, text } => ClientPacket::RoomChatRequest { request, room, text },
            Self::DirectMessageRequest { request, user, text } => {
                ClientPacket::DirectMessageRequest { request, user, text }
            }
            Self::KickRequest { request, room, user, ban } => ClientPacket::KickRequest { request, room, user, ban },
            Self::CustomCommand { request, command_type, parameters, timestamp } => {
                ClientPacket::CustomCommand { request, command_type, parameters, timestamp }
            }
        }
    }
}

/// What the server says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ServerPacket {
    /// The first packet on an accepted connection.
    Welcome {
        /// The lowest protocol version spoken here.
        version_min: u32,
        /// The highest protocol version spoken here.
        version_max: u32,
        /// The server's name, for people.
        server: Text,
        /// A connection on which, after `Hello`, no complete packet arrives for this long is pinged; one on which none
        /// arrives for three times this is closed.
        heartbeat_interval_ms: u32,
        /// The most bytes in a frame's payload, both ways.
        frame_bytes_max: u32,
        /// The most bytes in the text of a message.
        text_bytes_max: u32,
    },
    /// Answer with [`ClientPacket::Pong`]; sent after a silent heartbeat interval.
    Ping {
        /// To be sent back.
        nonce: u64,
    },
    /// Answers a [`ClientPacket::Ping`].
    Pong {
        /// The nonce of that ping.
        nonce: u64,
    },
    /// The server is going to stop: this connection will be closed after the given time. Everything works until then,
    /// except new logins and new rooms. Reconnect elsewhere, or here after that time.
    GoAway {
        /// Milliseconds from now.
        after_ms: u32,
    },
    /// The last packet on a connection that the server closes.
    Closing {
        /// Why.
        reason: CloseReason,
    },
    /// Answers a [`ClientPacket::LoginRequest`].
    LoginResponse {
        /// The id of the request.
        request: RequestId,
        /// Who one is now, or why not.
        result: Result<User, Code>,
    },
    /// Answers a [`ClientPacket::LogoutRequest`].
    LogoutResponse {
        /// The id of the request.
        request: RequestId,
        /// Done, or why not.
        result: Result<(), Code>,
    },
    /// Answers a [`ClientPacket::RoomListRequest`].
    RoomListResponse {
        /// The id of the request.
        request: RequestId,
        /// A page, or why not.
        result: Result<RoomPage, Code>,
    },
    /// Answers a [`ClientPacket::RoomCreateRequest`]; the creator's `RoomUserListNotify` has come just before it.
    RoomCreateResponse {
        /// The id of the request.
        request: RequestId,
        /// Where one is now, or why not.
        result: Result<RoomEntered, Code>,
    },
    /// Answers a [`ClientPacket::RoomEnterRequest`]; the entrant's `RoomUserListNotify` has come just before it.
    RoomEnterResponse {
        /// The id of the request.
        request: RequestId,
        /// Where one is now, or why not.
        result: Result<RoomEntered, Code>,
    },
    /// Answers a [`ClientPacket::RoomLeaveRequest`].
    RoomLeaveResponse {
        /// The id of the request.
        request: RequestId,
        /// The change that was made, or why not.
        result: Result<RoomChange, Code>,
    },
    /// Answers a [`ClientPacket::RoomChatRequest`], after the text has gone to the other members.
    RoomChatResponse {
        /// The id of the request.
        request: RequestId,
        /// The change that was made, or why not.
        result: Result<RoomChange, Code>,
    },
    /// Answers a [`ClientPacket::DirectMessageRequest`].
    DirectMessageResponse {
        /// The id of the request.
        request: RequestId,
        /// Sent, or why not.
        result: Result<(), Code>,
    },
    /// Answers a [`ClientPacket::KickRequest`].
    KickResponse {
        /// The id of the request.
        request: RequestId,
        /// The change that was made, or why not.
        result: Result<RoomChange, Code>,
    },
    /// Somebody has entered the room that one is in.
    RoomNewUserNotify {
        /// The room.
        room: RoomNumber,
        /// The number of this change in the room.
        sequence: u64,
        /// Who.
        user: User,
    },
    /// Somebody has left the room that one is in.
    RoomLeaveUserNotify {
        /// The room.
        room: RoomNumber,
        /// The number of this change in the room.
        sequence: u64,
        /// Who.
        user: UserId,
        /// How it came.
        cause: LeaveCause,
        /// Who owns the room now.
        owner: Option<UserId>,
    },
    /// Who is in the room that one is entering, in the order in which they entered it, oneself last. A list longer than
    /// a frame comes in parts, one right after the other.
    RoomUserListNotify {
        /// The room.
        room: RoomNumber,
        /// New each time the room is created anew.
        epoch: u64,
        /// The number of one's entering; the next change in the room has the next number.
        sequence: u64,
        /// Who owns the room now.
        owner: Option<UserId>,
        /// The members, or a part of them.
        users: List<User>,
        /// Whether this is the last part.
        last: bool,
    },
    /// Somebody else said something in the room that one is in.
    RoomChatNotify {
        /// The room.
        room: RoomNumber,
        /// The number of this change in the room.
        sequence: u64,
        /// Who.
        user: UserId,
        /// The name of that user.
        name: UserName,
        /// What was said.
        text: Text,
    },
    /// Somebody said something to this user alone.
    DirectMessageNotify {
        /// Who.
        user: UserId,
        /// The name of that user.
        name: UserName,
        /// What was said.
        text: Text,
    },
    /// One was sent back to the lobby.
    Kicked {
        /// The room one is no longer in.
        room: RoomNumber,
        /// The number of this change in the room.
        sequence: u64,
        /// Who did it; absent for the server's operator.
        by: Option<UserId>,
        /// Whether one may not enter this room again while it exists.
        banned: bool,
    },
    /// The operator says something to everybody who is online.
    AnnounceNotify {
        /// What is said.
        text: Text,
    },
    /// Answers a [`ClientPacket::CustomCommand`].
    CustomResponse {
        /// The id of the request.
        request: RequestId,
        /// The name of the command; absent if what the client sent is no name.
        command_type: Option<CommandName>,
        /// What the extension says (which may be no, in words of its own), or why it was not asked or said nothing.
        /// Boxed, because it is large and rare beside other packets.
        result: Result<Box<CommandReply>, Code>,
    },
    /// An extension of the server says something unasked.
    CustomNotify {
        /// The name of the extension.
        command_type: CommandName,
        /// Whatever it has to say.
        data: Data,
    },
    /// The operator says something to this user, or to everybody in the room that one is in.
    NoticeNotify {
        /// The room that it is said to; absent if it is said to this user.
        room: Option<RoomNumber>,
        /// What is said.
        text: Text,
    },
}
