//! Watches a case for what it reaches.

use std::collections::HashSet;

use lobbyd_core::id::{RoomNumber, UserId};
use lobbyd_core::input::Input;
use lobbyd_core::packet::{CloseReason, Code, ServerPacket};

use crate::marks::Mark;

/// What was reached, and what has to be remembered to tell.
#[derive(Debug, Default)]
pub(crate) struct Lookout {
    pub(crate) marks: HashSet<Mark>,
    /// What the rooms looked like when their members were last told.
    rooms: Vec<SeenRoom>,
}

#[derive(Clone, Copy, Debug)]
struct SeenRoom {
    number: RoomNumber,
    epoch: u64,
    owner: Option<UserId>,
}

impl Lookout {
    /// Looks at a packet that goes to somebody who is, now that it comes, in this room.
    #[expect(clippy::wildcard_enum_match_arm, reason = "the other packets are marks of nothing")]
    pub(crate) fn look_at(&mut self, inside: Option<RoomNumber>, packet: &ServerPacket, input: Option<&Input<'_>>) {
        let is_verdict = matches!(input, Some(Input::LoginVerdict { .. }));
        if let Some(code) = refused(packet) {
            self.marks.insert(if is_verdict { Mark::RefusedOnVerdict(code) } else { Mark::Refused(code) });
            // The store's own answers are no refusals of what was asked too late.
            self.marks.insert(Mark::Refused(code));
        }
        match packet {
            ServerPacket::Closing { reason: CloseReason::Superseded } => {
                let is_loss = matches!(input, Some(Input::PresenceLost { .. }));
                self.marks.insert(if is_loss { Mark::SupersededByLoss } else { Mark::SupersededByLogin });
            }
            ServerPacket::Ping { .. } => {
                self.marks.insert(Mark::Pinged);
            }
            ServerPacket::Kicked { banned, .. } => {
                self.marks.extend(banned.then_some(Mark::Banned));
            }
            ServerPacket::KickResponse { result: Ok(change), .. } => {
                let is_inside = inside == Some(change.room);
                self.marks.extend((!is_inside).then_some(Mark::KickedFromOutside));
            }
            ServerPacket::RoomListResponse { result: Ok(page), .. } => {
                self.marks.extend(page.next.map(|_| Mark::PageLeadsOn));
            }
            ServerPacket::RoomLeaveUserNotify { room, cause, owner, .. } => {
                self.marks.insert(Mark::Left(*cause));
                if let Some(seen) = self.rooms.iter_mut().find(|seen| seen.number == *room) {
                    self.marks.extend((seen.owner != *owner).then_some(Mark::OwnershipPassed));
                    seen.owner = *owner;
                }
            }
            ServerPacket::RoomUserListNotify { room, epoch, owner, last, .. } => {
                self.marks.extend((!last).then_some(Mark::ListInParts));
                let seen = SeenRoom { number: *room, epoch: *epoch, owner: *owner };
                match self.rooms.iter_mut().find(|seen| seen.number == *room) {
                    Some(before) => {
                        self.marks.extend((before.epoch != *epoch).then_some(Mark::RoomAnew));
                        *before = seen;
                    }
                    None => self.rooms.push(seen),
                }
            }
            _ => {}
        }
    }
}

/// The code with which a response refuses.
#[expect(clippy::wildcard_enum_match_arm, reason = "what is no response refuses nothing")]
fn refused(packet: &ServerPacket) -> Option<Code> {
    match packet {
        ServerPacket::LoginResponse { result, .. } => result.as_ref().err().copied(),
        ServerPacket::RoomListResponse { result, .. } => result.as_ref().err().copied(),
        ServerPacket::LogoutResponse { result, .. } | ServerPacket::DirectMessageResponse { result, .. } => {
            result.err()
        }
        ServerPacket::RoomCreateResponse { result, .. } | ServerPacket::RoomEnterResponse { result, .. } => {
            result.err()
        }
        ServerPacket::RoomLeaveResponse { result, .. }
        | ServerPacket::RoomChatResponse { result, .. }
        | ServerPacket::KickResponse { result, .. } => result.err(),
        _ => None,
    }
}
