//! Sessions: one client's life on the server each, and the table that holds them.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::check::fits;
use crate::id::{RequestId, RoomNumber, SessionId, Ticket, UserId};
use crate::limits::{AddressKey, Budget};
use crate::name::UserName;
use crate::packet::{Code, User};
use crate::text::Text;
use crate::time::Instant;

/// One client's life on the server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Session {
    pub(crate) id: SessionId,
    pub(crate) address: AddressKey,
    pub(crate) state: State,
    /// When the last complete packet came in. What the server sends never counts.
    pub(crate) heard_at: Instant,
    /// Whether a ping went out since then.
    pub(crate) pinged: bool,
    /// When `Deadline::Heartbeat` is armed; always, except while it fires.
    pub(crate) heartbeat_at: Option<Instant>,
    /// When `Deadline::Login` is armed.
    pub(crate) login_at: Option<Instant>,
    /// When `Deadline::DrainSession` is armed.
    pub(crate) drain_at: Option<Instant>,
    pub(crate) flood: Budget,
    pub(crate) flood_refusals: Budget,
    pub(crate) login_failures: u32,
}

/// A server holds very many idle sessions, so each byte counts: what is rare is kept behind a pointer.
#[cfg(target_pointer_width = "64")]
const _: () = assert!(size_of::<Session>() <= 144 && size_of::<Online>() <= 40, "an idle session has grown");

/// Where a session stands. It leaves the table when it is closed, from any state.
///
/// ```text
///                 Hello                LoginRequest             accepted
/// AwaitingHello ─────────▶ Anonymous ────────────▶ LoginPending ────────▶ Online (lobby ⇄ room)
///                              ▲  ▲      denied, cancelled  │                │
///                              │  └─────────────────────────┘     logout     │
///                              └─────────────────────────────────────────────┘
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum State {
    /// Has been welcomed and has not said what it speaks.
    AwaitingHello,
    /// Has not logged in.
    Anonymous,
    /// A login waits for its verdict.
    LoginPending(Box<PendingLogin>),
    /// Has logged in.
    Online(Online),
}

/// A login that waits for its verdict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PendingLogin {
    pub(crate) ticket: Ticket,
    pub(crate) request: RequestId,
    pub(crate) user: UserName,
}

/// A logged-in user's side of a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "StoredOnline", into = "StoredOnline")]
pub(crate) struct Online {
    /// Shared with the directory of who is online, the room and the driver.
    pub(crate) user: Arc<User>,
    pub(crate) administrator: bool,
    /// The ticket of the login, which names its presence lease.
    pub(crate) ticket: Ticket,
    /// Whether a presence lease came with the login.
    pub(crate) leased: bool,
    /// The room; absent in the lobby.
    pub(crate) room: Option<RoomNumber>,
}

/// [`Online`] as it is stored: with the user's parts beside the others.
#[derive(Serialize, Deserialize)]
struct StoredOnline {
    id: UserId,
    name: UserName,
    nickname: Option<Text>,
    administrator: bool,
    ticket: Ticket,
    leased: bool,
    room: Option<RoomNumber>,
}

impl From<Online> for StoredOnline {
    fn from(online: Online) -> Self {
        let Online { user, administrator, ticket, leased, room } = online;
        let User { id, name, nickname } = Arc::unwrap_or_clone(user);
        Self { id, name, nickname, administrator, ticket, leased, room }
    }
}

impl From<StoredOnline> for Online {
    fn from(stored: StoredOnline) -> Self {
        let StoredOnline { id, name, nickname, administrator, ticket, leased, room } = stored;
        Self { user: Arc::new(User { id, name, nickname }), administrator, ticket, leased, room }
    }
}

/// The living sessions, by the slot that the driver chose for each.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sessions {
    slots: Vec<Option<Session>>,
    count: u32,
    /// How many there are from each address.
    #[serde(with = "crate::pairs")]
    by_address: BTreeMap<AddressKey, u32>,
}

impl Sessions {
    pub(crate) fn insert(&mut self, session: Session) {
        let index = session.id.index as usize;
        if self.slots.len() <= index {
            self.slots.resize_with(index + 1, || None);
        }
        assert!(self.slots[index].is_none(), "the driver names a new session like a living one: {:?}", session.id);
        *self.by_address.entry(session.address).or_default() += 1;
        self.count += 1;
        self.slots[index] = Some(session);
    }

    pub(crate) fn remove(&mut self, id: SessionId) -> Option<Session> {
        let slot = self.slots.get_mut(id.index as usize)?;
        let session = slot.take_if(|session| session.id == id)?;
        self.count -= 1;
        let from_address = self.by_address.get_mut(&session.address).expect("a living session is counted");
        *from_address -= 1;
        if *from_address == 0 {
            self.by_address.remove(&session.address);
        }
        Some(session)
    }

    /// The session, if it lives; a later occupant of the same slot is another session.
    pub(crate) fn get(&self, id: SessionId) -> Option<&Session> {
        self.slots.get(id.index as usize)?.as_ref().filter(|session| session.id == id)
    }

    pub(crate) fn get_mut(&mut self, id: SessionId) -> Option<&mut Session> {
        self.slots.get_mut(id.index as usize)?.as_mut().filter(|session| session.id == id)
    }

    /// The logged-in side of a session.
    pub(crate) fn online(&self, id: SessionId) -> Result<&Online, Code> {
        match self.get(id).map(|session| &session.state) {
            Some(State::Online(online)) => Ok(online),
            Some(State::AwaitingHello | State::Anonymous | State::LoginPending(_)) | None => Err(Code::NotLoggedIn),
        }
    }

    /// The logged-in side of a session.
    pub(crate) fn online_mut(&mut self, id: SessionId) -> Result<&mut Online, Code> {
        match self.get_mut(id).map(|session| &mut session.state) {
            Some(State::Online(online)) => Ok(online),
            Some(State::AwaitingHello | State::Anonymous | State::LoginPending(_)) | None => Err(Code::NotLoggedIn),
        }
    }

    pub(crate) fn count(&self) -> u32 {
        self.count
    }

    pub(crate) fn count_from(&self, address: AddressKey) -> u32 {
        self.by_address.get(&address).copied().unwrap_or(0)
    }

    /// All living sessions, in the order of their slots.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Session> {
        self.slots.iter().flatten()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Session> {
        self.slots.iter_mut().flatten()
    }

    /// Whether the counts are those of the sessions, and every session is in the slot that its name says.
    pub(crate) fn check(&self) -> Result<(), &'static str> {
        let mut by_address = BTreeMap::new();
        for (index, slot) in self.slots.iter().enumerate() {
            if let Some(session) = slot {
                fits(session.id.index as usize == index, "a session is not in its slot")?;
                *by_address.entry(session.address).or_insert(0_u32) += 1;
            }
        }
        fits(self.iter().count() == self.count as usize, "sessions are counted wrongly")?;
        fits(by_address == self.by_address, "sessions are counted wrongly by address")
    }
}
