//! What happens unasked.

use std::sync::Arc;
use std::time::Duration;

use lobbyd_core::command::CommandName;
use lobbyd_core::data::Data;
use lobbyd_core::id::{RoomNumber, UserId};
use lobbyd_core::name::UserName;
use lobbyd_core::packet::{LeaveCause, User};
use lobbyd_core::text::Text;

use super::ClientError;
use super::shared::Shared;

/// Something that the server told without being asked. Texts and nicknames come from strangers: a program that prints
/// them on a terminal escapes them.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// Somebody has entered the room that one is in.
    RoomNewUser {
        /// The room.
        room: RoomNumber,
        /// The number of this change in the room.
        sequence: u64,
        /// Who.
        user: User,
    },
    /// Somebody has left the room that one is in.
    RoomLeaveUser {
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
    /// Somebody else said something in the room that one is in.
    RoomChat {
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
    DirectMessage {
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
    Announce {
        /// What is said.
        text: Text,
    },
    /// The operator says something to this user, or to the room that one is in.
    Notice {
        /// The room; absent if it is said to this user.
        room: Option<RoomNumber>,
        /// What is said.
        text: Text,
    },
    /// An extension of the server says something.
    Custom {
        /// The name of the extension.
        command_type: CommandName,
        /// Whatever it has to say.
        data: Data,
    },
    /// The server is going to stop and closes this connection after that time. Everything works until then, except new
    /// logins and new rooms.
    GoAway {
        /// From now.
        after: Duration,
    },
    /// Changes of the room that one is in are missing: what is known of its members may be wrong. Leaving and entering
    /// again gives the truth. A server that keeps the protocol never lets this happen.
    Gap {
        /// The room.
        room: RoomNumber,
        /// The number that should have come.
        expected: u64,
        /// The number that came. Its event follows, and it counts on from there.
        found: u64,
    },
}

/// The events of a connection, in the order in which they happened. Dropped, they are dropped as they come.
#[derive(Debug)]
pub struct Events {
    shared: Arc<Shared>,
}

impl Events {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// The next event, once there is one. Giving up waiting loses none.
    ///
    /// # Errors
    /// When the connection is over and all events have been fetched: what ended it, as often as one asks.
    pub async fn next(&mut self) -> Result<Event, ClientError> {
        loop {
            if let Some(next) = self.shared.next_event() {
                return next;
            }
            // Whoever adds an event or ends the connection leaves a notice, also when nobody waits for it yet.
            self.shared.news.notified().await;
        }
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        self.shared.refuse_events();
    }
}
