//! A room: its members, and the one function by which it changes.

use alloc::collections::BTreeSet;
use alloc::sync::Arc;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::action::Actions;
use crate::config::PACKET_HEAD_BYTES_MAX;
use crate::id::{RoomNumber, SessionId, UserId};
use crate::name::UserName;
use crate::packet::{LeaveCause, List, RoomSummary, Sealed, ServerPacket, User};
use crate::text::Text;
use crate::time::Instant;

/// A room. Its events are totally ordered: each takes the next sequence number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Room {
    pub(crate) number: RoomNumber,
    /// New each time the room is created anew.
    pub(crate) epoch: u64,
    pub(crate) title: Text,
    pub(crate) capacity: u32,
    pub(crate) password: Option<Sealed>,
    /// Who created it; absent for a room of the configuration, which is never cleaned up and has no owner.
    pub(crate) creator: Option<UserName>,
    pub(crate) owner: Option<UserId>,
    pub(crate) banned: BTreeSet<UserName>,
    /// When `Deadline::EmptyRoom` is armed.
    pub(crate) empty_at: Option<Instant>,
    /// The number of the last change.
    sequence: u64,
    /// In the order in which they entered.
    members: Vec<Member>,
}

/// A session in a room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Member {
    pub(crate) session: SessionId,
    /// Shared with the session.
    #[serde(with = "shared")]
    pub(crate) user: Arc<User>,
}

/// Members are copied from for every message, and a room has room for more of them than it has.
#[cfg(target_pointer_width = "64")]
const _: () = assert!(size_of::<Member>() <= 16, "a member has grown");

/// A change in a room. This engine makes one from a request and applies it at once; a backplane that orders the events
/// of many daemons can feed the same ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RoomEvent {
    /// Somebody is in the room now.
    Entered(Member),
    /// A member is no longer in the room.
    Left { session: SessionId, cause: LeaveCause },
    /// A member said something.
    Chatted { session: SessionId, text: Text },
}

/// What a room is made of.
pub(crate) struct RoomPlan {
    pub(crate) number: RoomNumber,
    pub(crate) title: Text,
    pub(crate) capacity: u32,
    pub(crate) password: Option<Sealed>,
    pub(crate) creator: Option<UserName>,
}

impl Room {
    pub(crate) fn new(plan: RoomPlan, epoch: u64) -> Self {
        let RoomPlan { number, title, capacity, password, creator } = plan;
        Self {
            number,
            epoch,
            title,
            capacity,
            password,
            creator,
            owner: None,
            banned: BTreeSet::new(),
            empty_at: None,
            sequence: 0,
            members: Vec::new(),
        }
    }

    /// Whether it comes from the configuration.
    pub(crate) fn is_fixed(&self) -> bool {
        self.creator.is_none()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.members.len() >= self.capacity as usize
    }

    /// The number of the last change.
    pub(crate) fn sequence(&self) -> u64 {
        self.sequence
    }

    pub(crate) fn members(&self) -> &[Member] {
        &self.members
    }

    pub(crate) fn member(&self, user: UserId) -> Option<&Member> {
        self.members.iter().find(|member| member.user.id == user)
    }

    /// A session of which the caller knows that it is in the room.
    pub(crate) fn member_on(&self, session: SessionId) -> &Member {
        &self.members[self.place_of(session)]
    }

    /// The room as the directory shows it.
    pub(crate) fn summary(&self) -> RoomSummary {
        RoomSummary {
            room: self.number,
            title: self.title.clone(),
            members: self.member_count(),
            capacity: self.capacity,
            protected: self.password.is_some(),
        }
    }

    /// The one function by which a room changes: gives the event the next number, changes the membership, tells the
    /// members, and returns the number.
    pub(crate) fn apply(&mut self, event: RoomEvent, frame_bytes_max: u32, actions: &mut Actions) -> u64 {
        self.sequence += 1;
        match event {
            RoomEvent::Entered(member) => self.entered(member, frame_bytes_max, actions),
            RoomEvent::Left { session, cause } => self.left(session, cause, actions),
            RoomEvent::Chatted { session, text } => self.chatted(session, text, actions),
        }
        self.sequence
    }

    fn entered(&mut self, entrant: Member, frame_bytes_max: u32, actions: &mut Actions) {
        let (room, sequence) = (self.number, self.sequence);
        actions.broadcast(self.members.iter().map(|member| member.session), || ServerPacket::RoomNewUserNotify {
            room,
            sequence,
            user: User::clone(&entrant.user),
        });
        if !self.is_fixed() && self.owner.is_none() {
            self.owner = Some(entrant.user.id);
        }
        let session = entrant.session;
        self.members.push(entrant);
        self.send_user_list(session, frame_bytes_max, actions);
    }

    fn left(&mut self, session: SessionId, cause: LeaveCause, actions: &mut Actions) {
        let place = self.place_of(session);
        // Not `swap_remove`: ownership passes to the longest-standing member.
        let gone = self.members.remove(place).user.id;
        if self.owner == Some(gone) {
            self.owner = self.members.first().map(|member| member.user.id);
        }
        let (room, sequence, owner) = (self.number, self.sequence, self.owner);
        actions.broadcast(self.members.iter().map(|member| member.session), || ServerPacket::RoomLeaveUserNotify {
            room,
            sequence,
            user: gone,
            cause,
            owner,
        });
    }

    fn chatted(&mut self, session: SessionId, text: Text, actions: &mut Actions) {
        let place = self.place_of(session);
        let (room, sequence) = (self.number, self.sequence);
        let sender = &self.members[place].user;
        // Not filtered: how many they are is known beforehand, so that they are copied many at a time.
        let others = self.members[..place].iter().chain(&self.members[place + 1..]);
        actions.broadcast(others.map(|member| member.session), || ServerPacket::RoomChatNotify {
            room,
            sequence,
            user: sender.id,
            name: sender.name,
            text,
        });
    }

    /// Sends the members in as many parts as frames of this size need, one right after the other.
    fn send_user_list(&self, to: SessionId, frame_bytes_max: u32, actions: &mut Actions) {
        let part_bytes_max = frame_bytes_max.saturating_sub(PACKET_HEAD_BYTES_MAX) as usize;
        let mut rest = self.members.as_slice();
        loop {
            let part = rest.len().min(count_fitting(rest, part_bytes_max));
            let (now, later) = rest.split_at(part);
            actions.send(
                to,
                ServerPacket::RoomUserListNotify {
                    room: self.number,
                    epoch: self.epoch,
                    sequence: self.sequence,
                    owner: self.owner,
                    users: List(now.iter().map(|member| User::clone(&member.user)).collect()),
                    last: later.is_empty(),
                },
            );
            if later.is_empty() {
                return;
            }
            rest = later;
        }
    }

    fn place_of(&self, session: SessionId) -> usize {
        self.members
            .iter()
            .position(|member| member.session == session)
            .expect("a session whose place is this room is a member of it")
    }

    fn member_count(&self) -> u32 {
        // Not more than the capacity, which is a `u32`.
        self.members.len() as u32
    }
}

/// How many of the first members fit into this many bytes; at least one, so that a list ends.
fn count_fitting(members: &[Member], bytes_max: usize) -> usize {
    let mut bytes = 0;
    let fitting = members.iter().take_while(|member| {
        bytes += user_bytes(&member.user);
        bytes <= bytes_max
    });
    fitting.count().max(1)
}

/// At most this many bytes does a user take on the wire: a number, two lengths, an option and the texts.
fn user_bytes(user: &User) -> usize {
    9 + 1 + user.name.as_str().len() + 1 + user.nickname.as_ref().map_or(0, |nickname| 1 + nickname.len())
}

/// A shared value is stored like one that is not.
mod shared {
    use alloc::sync::Arc;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<T: Serialize, S: Serializer>(value: &Arc<T>, serializer: S) -> Result<S::Ok, S::Error> {
        T::serialize(value, serializer)
    }

    pub(super) fn deserialize<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Arc<T>, D::Error> {
        T::deserialize(deserializer).map(Arc::new)
    }
}
