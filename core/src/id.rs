//! Numbers that name things: sessions, login tickets, users, rooms, requests.

use core::fmt;

use serde::{Deserialize, Serialize};

/// Names one client's life on the server.
///
/// The driver chooses it: `index` is a slot that is reused after the session has ended, `generation` rises with every
/// reuse, so that whatever still names an earlier occupant of the slot is recognised and dropped.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SessionId {
    /// The slot, counted from 0.
    pub index: u32,
    /// How often the slot had been used before.
    pub generation: u32,
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.index, self.generation)
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "session {self}")
    }
}

/// Names one login attempt that waits for its verdict, and afterwards the presence lease that came with it.
///
/// A verdict whose ticket is not the session's current one changes no session.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Ticket {
    /// The session that asked.
    pub session: SessionId,
    /// The attempt: a number the engine never uses twice.
    pub serial: u64,
}

impl fmt::Display for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.session, self.serial)
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ticket {self}")
    }
}

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number! {
    /// The number of one login on this daemon, never used twice. The *identity* of a user is the name; the number
    /// tells apart two sessions of one name where `duplicate_login = "allow"` lets both be online.
    UserId(u64)
}
number! {
    /// A room's number. 0 names no room.
    RoomNumber(u32)
}
number! {
    /// The client's own name for a request; the response carries it back.
    RequestId(u32)
}
number! {
    /// Names one call of a service that waits for its reply: a number the engine never uses twice.
    CallTicket(u64)
}
number! {
    /// The driver's own name for what the operator asks; the answer carries it back.
    AskId(u64)
}
