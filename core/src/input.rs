//! Everything that can happen to the engine.

use core::net::IpAddr;
use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::id::{SessionId, Ticket};
use crate::name::UserName;
use crate::packet::{ClientPacket, CloseReason, Sealed};
use crate::text::{RawText, Text};

/// One door in: an event, without the time at which it happened (that is handed in beside it).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Input<'a> {
    /// A transport stream was accepted. The engine answers it with `Welcome` or with a refusal.
    Connected {
        /// A name that no living session has.
        session: SessionId,
        /// Where it comes from; limits count by address.
        address: IpAddr,
    },
    /// A complete packet arrived.
    Received {
        /// From whom. A session that is gone is not an error: its packet is dropped.
        session: SessionId,
        /// The packet, its secrets sealed.
        #[serde(borrow)]
        packet: ClientPacket<'a, Sealed>,
    },
    /// Bytes arrived that are no packet. The session is told and closed.
    Malformed {
        /// From whom.
        session: SessionId,
        /// What is wrong with them.
        fault: WireFault,
    },
    /// The transport stream ended. All that arrived before its end has been handed in before this.
    Disconnected {
        /// Whose.
        session: SessionId,
    },
    /// The client does not read what is sent to it and its outbox is over its limit.
    OutboxFull {
        /// Whose.
        session: SessionId,
    },
    /// The store has answered a `VerifyLogin`.
    LoginVerdict {
        /// Which.
        ticket: Ticket,
        /// Whom the store was asked about.
        user: UserName,
        /// How.
        verdict: Verdict,
    },
    /// The presence lease that came with a login is gone: another daemon owns the user's presence now.
    PresenceLost {
        /// The login whose lease it was.
        ticket: Ticket,
    },
    /// The process did not run for this long (stopped, or the machine suspended), so that silence in that time says
    /// nothing about the clients. To be handed in before anything else, with the time after the stall: it puts off the
    /// deadlines for being heard, for logging in and for verdicts before it lets any fire.
    Stalled {
        /// For how long.
        gap: Duration,
    },
    /// The operator asks for something.
    Admin(Admin<'a>),
}

/// What is wrong with bytes that are no packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum WireFault {
    /// The frame's length is 0.
    FrameEmpty,
    /// The frame's length is over the limit.
    FrameTooLong,
    /// The packet number is unknown.
    PacketUnknown,
    /// Anything else: trailing bytes, fields that cannot be read, a second way to encode the same packet.
    PacketMalformed,
}

impl WireFault {
    pub(crate) fn close_reason(self) -> CloseReason {
        match self {
            Self::FrameEmpty => CloseReason::FrameEmpty,
            Self::FrameTooLong => CloseReason::FrameTooLong,
            Self::PacketUnknown => CloseReason::PacketUnknown,
            Self::PacketMalformed => CloseReason::PacketMalformed,
        }
    }
}

/// The store's answer to a login.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// The secret is right.
    Accepted {
        /// What the account says about the user.
        account: Account,
        /// Whether a presence lease was taken in the name of the ticket.
        leased: bool,
    },
    /// The user is unknown or the secret is wrong.
    Denied,
    /// The secret is right, but another daemon owns the user's presence.
    AlreadyOnline,
    /// The store could not be asked, or not in time.
    Unavailable,
}

/// What the store knows about a user, besides the secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// What to show instead of the name. One that breaks the rules of `check_nickname` is not shown.
    pub nickname: Option<Text>,
    /// Whether the user may kick in every room.
    pub administrator: bool,
}

/// What the operator can ask for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Admin<'a> {
    /// Stop within this time: refuse what is new, tell everybody, and close each session at a moment of its own.
    Drain {
        /// At its end the rest are closed.
        within: Duration,
    },
    /// Close every session at once, with reason `Stopped`, and refuse new ones.
    Stop,
    /// Close every session of a user, and those that are logging in as that user.
    CloseUser {
        /// Whose.
        user: UserName,
    },
    /// Say something to everybody who is online.
    Announce {
        /// What is said; dropped if it breaks the rules of a message.
        #[serde(borrow)]
        text: RawText<'a>,
    },
}
