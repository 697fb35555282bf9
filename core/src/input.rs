//! Everything that can happen to the engine.

use core::net::IpAddr;
use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::command::CommandName;
use crate::data::{Data, RawBytes};
use crate::id::{AskId, CallTicket, RoomNumber, SessionId, Ticket};
use crate::name::UserName;
use crate::packet::{ClientPacket, CloseReason, Code, Sealed};
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
    /// A complete packet arrived, and middleware of the driver stopped it. It is a sign of life and costs what it costs;
    /// then the request is refused with this code, unless the engine has a reason of its own. A packet that nothing
    /// answers cannot be stopped: it counts as received.
    Stopped {
        /// From whom.
        session: SessionId,
        /// The packet as it came, its secrets sealed.
        #[serde(borrow)]
        packet: ClientPacket<'a, Sealed>,
        /// Why it is refused.
        code: Code,
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
    /// A service has answered a `CallService`.
    ServiceReply {
        /// Which. One that the engine does not wait for any more is dropped.
        ticket: CallTicket,
        /// How.
        result: Result<Data, ServiceError>,
    },
    /// An extension can no longer be trusted: it panicked. Its commands are refused from now on, what waits for it is
    /// answered, its deadlines and calls are gone. [`Admin::SetExtension`] enables it again.
    DisableExtension {
        /// Which.
        extension: CommandName,
    },
    /// The operator asks for something.
    Admin(Admin<'a>),
}

/// Why a service gave no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum ServiceError {
    /// No service of that name is there.
    #[error("there is no such service")]
    Unknown,
    /// The request is longer than [`REQUEST_BYTES_MAX`](crate::extension::REQUEST_BYTES_MAX).
    #[error("the request is too long for a service")]
    TooLong,
    /// As many calls are under way as the service takes.
    #[error("the service is busy")]
    Busy,
    /// It did not answer in time.
    #[error("the service did not answer in time")]
    TimedOut,
    /// It tried and could not.
    #[error("the service failed")]
    Failed,
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
    /// Say something to one user, on every session of that user. Answered with [`crate::action::Action::Answer`], which
    /// says how many sessions heard it.
    NotifyUser {
        /// Comes back with the answer.
        ask: AskId,
        /// To whom.
        user: UserName,
        /// What.
        #[serde(borrow)]
        notice: Notice<'a>,
    },
    /// Say something to everybody in a room. Answered with how many heard it.
    NotifyRoom {
        /// Comes back with the answer.
        ask: AskId,
        /// Where.
        room: RoomNumber,
        /// What.
        #[serde(borrow)]
        notice: Notice<'a>,
    },
    /// Send a user from a room back to the lobby. Answered with how many sessions that were.
    Kick {
        /// Comes back with the answer.
        ask: AskId,
        /// From which room.
        room: RoomNumber,
        /// Whom.
        user: UserName,
        /// Whether the user may not enter this room again while it exists.
        ban: bool,
    },
    /// Remove every empty room that is not of the configuration, at once. Answered with how many went.
    CleanUpEmptyRooms {
        /// Comes back with the answer.
        ask: AskId,
    },
    /// Ask a service. Answered with [`crate::action::Action::ServiceAnswer`], at the latest after `service_timeout`.
    CallService {
        /// Comes back with the answer.
        ask: AskId,
        /// Which service.
        service: CommandName,
        /// What it is asked.
        #[serde(borrow)]
        request: RawBytes<'a>,
    },
    /// Enable an extension that was disabled, or disable one. Answered with 1, or with 0 if it is so already.
    SetExtension {
        /// Comes back with the answer.
        ask: AskId,
        /// Which.
        extension: CommandName,
        /// Whether its commands are to be served.
        enabled: bool,
    },
}

/// What the operator says to some.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Notice<'a> {
    /// A text for people, sent as `NoticeNotify`.
    Text(#[serde(borrow)] RawText<'a>),
    /// Something for programs, sent as `CustomNotify`.
    Custom {
        /// In the name of which extension.
        command_type: CommandName,
        /// What.
        #[serde(borrow)]
        data: RawBytes<'a>,
    },
}
