//! What a connection has asked for and was not answered.

use std::collections::VecDeque;
use std::time::Duration;

use lobbyd_core::id::{RequestId, RoomNumber};
use lobbyd_core::name::UserName;

use super::{Breach, Invariant};

/// The requests of one connection. Every layer numbers them from 1 on each connection.
#[derive(Debug, Default)]
pub(super) struct Requests {
    last: u32,
    waiting: VecDeque<Request>,
}

#[derive(Debug)]
pub(super) struct Request {
    pub(super) id: RequestId,
    pub(super) asked: Asked,
    pub(super) begun_at: Duration,
}

/// What was asked, as far as the answer is judged by it.
#[derive(Debug)]
pub(super) enum Asked {
    Login {
        /// None if that is no name.
        name: Option<UserName>,
        /// Whether another login of this user was under way at the same time.
        has_raced: bool,
    },
    Logout,
    RoomList {
        from: RoomNumber,
        limit: u32,
    },
    RoomCreate,
    RoomEnter {
        room: RoomNumber,
        /// How many had entered the room, as far as anybody knew.
        entered: u64,
    },
    RoomLeave {
        room: RoomNumber,
    },
    RoomChat {
        room: RoomNumber,
        text: Vec<u8>,
        /// The number of the change under which somebody has heard it.
        heard_at: Option<u64>,
    },
    DirectMessage,
    Kick {
        room: RoomNumber,
    },
    Command,
}

/// Which kind of request a response answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Login,
    Logout,
    RoomList,
    RoomCreate,
    RoomEnter,
    RoomLeave,
    RoomChat,
    DirectMessage,
    Kick,
    Command,
}

impl Asked {
    fn kind(&self) -> Kind {
        match self {
            Self::Login { .. } => Kind::Login,
            Self::Logout => Kind::Logout,
            Self::RoomList { .. } => Kind::RoomList,
            Self::RoomCreate => Kind::RoomCreate,
            Self::RoomEnter { .. } => Kind::RoomEnter,
            Self::RoomLeave { .. } => Kind::RoomLeave,
            Self::RoomChat { .. } => Kind::RoomChat,
            Self::DirectMessage => Kind::DirectMessage,
            Self::Kick { .. } => Kind::Kick,
            Self::Command => Kind::Command,
        }
    }
}

impl Requests {
    /// Takes note of a request, and says which it is.
    pub(super) fn ask(&mut self, at: Duration, asked: Asked) -> RequestId {
        self.last += 1;
        let id = RequestId(self.last);
        self.waiting.push_back(Request { id, asked, begun_at: at });
        id
    }

    pub(super) fn waiting(&self) -> impl Iterator<Item = &Request> {
        self.waiting.iter()
    }

    pub(super) fn waiting_mut(&mut self) -> impl Iterator<Item = &mut Request> {
        self.waiting.iter_mut()
    }

    /// A login that was not answered.
    pub(super) fn login(&self) -> Option<&Request> {
        self.waiting.iter().find(|request| matches!(request.asked, Asked::Login { .. }))
    }

    /// Whether a room was asked for that one would be in.
    pub(super) fn asks_for_a_room(&self) -> bool {
        let asks = |request: &Request| matches!(request.asked, Asked::RoomEnter { .. } | Asked::RoomCreate);
        self.waiting.iter().any(asks)
    }

    /// The request that a response answers. What is decided at once is answered in the order of asking; a login is
    /// answered when its verdict is there and a command when its extension likes, but before the logout that cancels it.
    ///
    /// # Errors
    /// When it was answered before, or never asked, or something before it was passed over.
    pub(super) fn answer(&mut self, id: RequestId, kind: Kind, is_ok: bool) -> Result<Request, Breach> {
        let breach = |what: String| Err(Breach::new(Invariant::OneResponse, what));
        let Some(place) = self.waiting.iter().position(|request| request.id == id) else {
            return breach(if id.0 == 0 || id.0 > self.last {
                format!("request {id} is answered, which was never asked")
            } else {
                format!("request {id} is answered again")
            });
        };
        let is_logged_out = kind == Kind::Logout && is_ok;
        let waits =
            |request: &&Request| is_logged_out || !matches!(request.asked, Asked::Login { .. } | Asked::Command);
        if !matches!(kind, Kind::Login | Kind::Command)
            && let Some(earlier) = self.waiting.iter().take(place).find(waits)
        {
            return breach(format!("request {id} is answered, and {} before it was not", earlier.id));
        }
        let asked = self.waiting[place].asked.kind();
        if asked != kind {
            return breach(format!("request {id} asks for a {asked:?} and is answered as a {kind:?}"));
        }
        Ok(self.waiting.remove(place).expect("it was found at this place"))
    }
}
