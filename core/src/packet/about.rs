//! What can be asked of any packet: its name, and which request it is or answers.

use super::{ClientPacket, Code, ServerPacket};
use crate::id::RequestId;

impl<S> ClientPacket<'_, S> {
    /// The packet's name, such as `RoomChatRequest`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Hello { .. } => "Hello",
            Self::Ping { .. } => "Ping",
            Self::Pong { .. } => "Pong",
            Self::LoginRequest { .. } => "LoginRequest",
            Self::LogoutRequest { .. } => "LogoutRequest",
            Self::RoomListRequest { .. } => "RoomListRequest",
            Self::RoomCreateRequest { .. } => "RoomCreateRequest",
            Self::RoomEnterRequest { .. } => "RoomEnterRequest",
            Self::RoomLeaveRequest { .. } => "RoomLeaveRequest",
            Self::RoomChatRequest { .. } => "RoomChatRequest",
            Self::DirectMessageRequest { .. } => "DirectMessageRequest",
            Self::KickRequest { .. } => "KickRequest",
            Self::CustomCommand { .. } => "CustomCommand",
        }
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
