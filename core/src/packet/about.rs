//! What can be asked of any packet: its name and number, and which request it is or answers.

use super::{ClientPacket, Code, ServerPacket};
use crate::id::RequestId;

impl<S> ClientPacket<'_, S> {
    /// The names of the packets, each at its number.
    pub const NAMES: [&'static str; 13] = [
        "Hello",
        "Ping",
        "Pong",
        "LoginRequest",
        "LogoutRequest",
        "RoomListRequest",
        "RoomCreateRequest",
        "RoomEnterRequest",
        "RoomLeaveRequest",
        "RoomChatRequest",
        "DirectMessageRequest",
        "KickRequest",
        "CustomCommand",
    ];

    /// The packet's number on the wire.
    #[must_use]
    pub fn number(&self) -> u8 {
        match self {
            Self::Hello { .. } => 0,
            Self::Ping { .. } => 1,
            Self::Pong { .. } => 2,
            Self::LoginRequest { .. } => 3,
            Self::LogoutRequest { .. } => 4,
            Self::RoomListRequest { .. } => 5,
            Self::RoomCreateRequest { .. } => 6,
            Self::RoomEnterRequest { .. } => 7,
            Self::RoomLeaveRequest { .. } => 8,
            Self::RoomChatRequest { .. } => 9,
            Self::DirectMessageRequest { .. } => 10,
            Self::KickRequest { .. } => 11,
            Self::CustomCommand { .. } => 12,
        }
    }

    /// The packet's name, such as `RoomChatRequest`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        Self::NAMES[usize::from(self.number())]
    }

    /// The id of a request, which is answered; absent for a packet that nothing answers.
    #[must_use]
    pub fn request(&self) -> Option<RequestId> {
        match *self {
            Self::Hello { .. } | Self::Ping { .. } | Self::Pong { .. } => None,
            Self::LoginRequest { request, .. }
            | Self::LogoutRequest { request }
            | Self::RoomListRequest { request, .. }
            | Self::RoomCreateRequest { request, .. }
            | Self::RoomEnterRequest { request, .. }
            | Self::RoomLeaveRequest { request, .. }
            | Self::RoomChatRequest { request, .. }
            | Self::DirectMessageRequest { request, .. }
            | Self::KickRequest { request, .. }
            | Self::CustomCommand { request, .. } => Some(request),
        }
    }
}

impl ServerPacket {
    /// The names of the packets, each at its number.
    pub const NAMES: [&'static str; 24] = [
        "Welcome",
        "Ping",
        "Pong",
        "GoAway",
        "Closing",
        "LoginResponse",
        "LogoutResponse",
        "RoomListResponse",
        "RoomCreateResponse",
        "RoomEnterResponse",
        "RoomLeaveResponse",
        "RoomChatResponse",
        "DirectMessageResponse",
        "KickResponse",
        "RoomNewUserNotify",
        "RoomLeaveUserNotify",
        "RoomUserListNotify",
        "RoomChatNotify",
        "DirectMessageNotify",
        "Kicked",
        "AnnounceNotify",
        "CustomResponse",
        "CustomNotify",
        "NoticeNotify",
    ];

    /// The packet's number on the wire.
    #[must_use]
    pub fn number(&self) -> u8 {
        match self {
            Self::Welcome { .. } => 0,
            Self::Ping { .. } => 1,
            Self::Pong { .. } => 2,
            Self::GoAway { .. } => 3,
            Self::Closing { .. } => 4,
            Self::LoginResponse { .. } => 5,
            Self::LogoutResponse { .. } => 6,
            Self::RoomListResponse { .. } => 7,
            Self::RoomCreateResponse { .. } => 8,
            Self::RoomEnterResponse { .. } => 9,
            Self::RoomLeaveResponse { .. } => 10,
            Self::RoomChatResponse { .. } => 11,
            Self::DirectMessageResponse { .. } => 12,
            Self::KickResponse { .. } => 13,
            Self::RoomNewUserNotify { .. } => 14,
            Self::RoomLeaveUserNotify { .. } => 15,
            Self::RoomUserListNotify { .. } => 16,
            Self::RoomChatNotify { .. } => 17,
            Self::DirectMessageNotify { .. } => 18,
            Self::Kicked { .. } => 19,
            Self::AnnounceNotify { .. } => 20,
            Self::CustomResponse { .. } => 21,
            Self::CustomNotify { .. } => 22,
            Self::NoticeNotify { .. } => 23,
        }
    }

    /// The packet's name, such as `RoomChatNotify`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        Self::NAMES[usize::from(self.number())]
    }

    /// What a response says: the id of its request, and whether that was refused. Absent for a packet that answers no
    /// request.
    #[must_use]
    pub fn response(&self) -> Option<(RequestId, Result<(), Code>)> {
        fn brief<T>(request: RequestId, result: &Result<T, Code>) -> Option<(RequestId, Result<(), Code>)> {
            Some((request, result.as_ref().map(|_| ()).map_err(|code| *code)))
        }
        match self {
            Self::LoginResponse { request, result } => brief(*request, result),
            Self::LogoutResponse { request, result } | Self::DirectMessageResponse { request, result } => {
                brief(*request, result)
            }
            Self::RoomListResponse { request, result } => brief(*request, result),
            Self::RoomCreateResponse { request, result } | Self::RoomEnterResponse { request, result } => {
                brief(*request, result)
            }
            Self::RoomLeaveResponse { request, result }
            | Self::RoomChatResponse { request, result }
            | Self::KickResponse { request, result } => brief(*request, result),
            Self::CustomResponse { request, result, .. } => brief(*request, result),
            Self::Welcome { .. }
            | Self::Ping { .. }
            | Self::Pong { .. }
            | Self::GoAway { .. }
            | Self::Closing { .. }
            | Self::RoomNewUserNotify { .. }
            | Self::RoomLeaveUserNotify { .. }
            | Self::RoomUserListNotify { .. }
            | Self::RoomChatNotify { .. }
            | Self::DirectMessageNotify { .. }
            | Self::Kicked { .. }
            | Self::AnnounceNotify { .. }
            | Self::CustomNotify { .. }
            | Self::NoticeNotify { .. } => None,
        }
    }
}
