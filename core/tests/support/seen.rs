//! Which codes and close reasons the tests of this thread have seen, for the table in `codes.rs`.

use std::cell::RefCell;
use std::collections::BTreeSet;

use lobbyd_core::packet::{CloseReason, Code, ServerPacket};

use super::Event;

thread_local! {
    static SEEN: RefCell<Seen> = RefCell::default();
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) codes: BTreeSet<Code>,
    pub(crate) reasons: BTreeSet<CloseReason>,
}

/// What has been seen since the last call.
pub(crate) fn take() -> Seen {
    SEEN.take()
}

pub(super) fn record(event: &Event) {
    SEEN.with_borrow_mut(|seen| match event {
        Event::Send(_, packet) => {
            seen.codes.extend(code(packet));
        }
        Event::Close(_, reason) => {
            seen.reasons.insert(*reason);
        }
        Event::Broadcast(..)
        | Event::Verify(..)
        | Event::Release(..)
        | Event::Online(..)
        | Event::Call(..)
        | Event::Failed(..)
        | Event::Answer(..)
        | Event::ServiceAnswer(..) => {}
    });
}

fn code(packet: &ServerPacket) -> Option<Code> {
    match packet {
        ServerPacket::LoginResponse { result, .. } => result.as_ref().err().copied(),
        ServerPacket::LogoutResponse { result, .. } | ServerPacket::DirectMessageResponse { result, .. } => {
            result.as_ref().err().copied()
        }
        ServerPacket::RoomListResponse { result, .. } => result.as_ref().err().copied(),
        ServerPacket::RoomCreateResponse { result, .. } | ServerPacket::RoomEnterResponse { result, .. } => {
            result.as_ref().err().copied()
        }
        ServerPacket::RoomLeaveResponse { result, .. }
        | ServerPacket::RoomChatResponse { result, .. }
        | ServerPacket::KickResponse { result, .. } => result.as_ref().err().copied(),
        ServerPacket::CustomResponse { result, .. } => result.as_ref().err().copied(),
        ServerPacket::Welcome { .. }
        | ServerPacket::Ping { .. }
        | ServerPacket::Pong { .. }
        | ServerPacket::GoAway { .. }
        | ServerPacket::Closing { .. }
        | ServerPacket::RoomNewUserNotify { .. }
        | ServerPacket::RoomLeaveUserNotify { .. }
        | ServerPacket::RoomUserListNotify { .. }
        | ServerPacket::RoomChatNotify { .. }
        | ServerPacket::DirectMessageNotify { .. }
        | ServerPacket::Kicked { .. }
        | ServerPacket::AnnounceNotify { .. }
        | ServerPacket::CustomNotify { .. }
        | ServerPacket::NoticeNotify { .. } => None,
    }
}
