//! Everything that the engine asks of its driver.

use alloc::vec::Vec;
use core::ops::Range;

use bytes::BytesMut;
use serde::{Deserialize, Serialize};

use crate::command::CommandName;
use crate::data::Data;
use crate::id::{AskId, CallTicket, SessionId, Ticket};
use crate::input::ServiceError;
use crate::name::UserName;
use crate::packet::{CloseReason, Code, Sealed, ServerPacket};
use crate::text::Text;

/// One door out: an effect, as a plain value. The driver carries actions out in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Send a packet to one session.
    Send {
        /// To whom.
        to: SessionId,
        /// What.
        packet: ServerPacket,
    },
    /// Send a packet to many sessions: named once, to be encoded once.
    Broadcast {
        /// To whom: ask [`Actions::recipients`].
        to: Recipients,
        /// What.
        packet: ServerPacket,
    },
    /// The session is over. Send what is queued for it (its last packet says why), then close the stream.
    Close {
        /// Whose.
        session: SessionId,
        /// Why.
        reason: CloseReason,
    },
    /// Ask the store whether the secret is the user's, and take the presence lease if `presence` says so. Answer with
    /// `Input::LoginVerdict`, whatever happens.
    VerifyLogin {
        /// Comes back with the verdict, and names the lease.
        ticket: Ticket,
        /// Who it claims to be.
        user: UserName,
        /// The handle by which the driver finds the secret.
        secret: Sealed,
        /// What to do about the user's presence once the secret has proved right.
        presence: Presence,
    },
    /// The login has ended or was never taken up: give its lease back, if the ticket still owns it.
    ReleasePresence {
        /// The login.
        ticket: Ticket,
        /// Whose presence.
        user: UserName,
    },
    /// A login or logout took effect, for the log.
    Online {
        /// The session.
        session: SessionId,
        /// Who logged in; absent when the user has logged out and the session goes on.
        user: Option<UserName>,
    },
    /// Ask a service. Answer with `Input::ServiceReply`, whatever happens.
    CallService {
        /// Comes back with the reply.
        ticket: CallTicket,
        /// Which service.
        service: CommandName,
        /// What it is asked.
        request: Data,
    },
    /// An extension broke down in what it was asked to do, and nothing of that was done. For the log; and if it
    /// panicked, `Input::DisableExtension` has to follow at once.
    ExtensionFailed {
        /// Which.
        extension: CommandName,
        /// What it says about that.
        reason: Text,
        /// Whether it panicked.
        panicked: bool,
    },
    /// What came of something that the operator asked for.
    Answer {
        /// The name that the driver gave it.
        ask: AskId,
        /// How many sessions, rooms or extensions it concerned, or why nothing was done.
        result: Result<u32, Code>,
    },
    /// What a service has answered to the operator.
    ServiceAnswer {
        /// The name that the driver gave the question.
        ask: AskId,
        /// The answer, or why there is none.
        result: Result<Data, ServiceError>,
    },
}

/// What a login does about the user's presence across daemons.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Presence {
    /// Nothing: one user may be online many times.
    None,
    /// Take the lease if nobody owns it, else answer `AlreadyOnline`.
    Take,
    /// Take the lease from whoever owns it and tell that owner.
    Replace,
}

/// The recipients of a [`Action::Broadcast`]: a range in the buffer that holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recipients {
    start: u32,
    end: u32,
}

/// The buffer that a turn of the engine writes its actions into. Made once and cleared after each turn, so that in
/// steady state nothing is allocated.
#[derive(Debug, Default)]
pub struct Actions {
    list: Vec<Action>,
    recipients: Vec<SessionId>,
    /// Where the texts of messages live until the next clear.
    texts: BytesMut,
}

/// Texts of a turn share blocks of this size.
const TEXT_BLOCK_BYTES: usize = 16 * 1024;

impl Actions {
    /// An empty buffer.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What is to be done, in order.
    pub fn iter(&self) -> core::slice::Iter<'_, Action> {
        self.list.iter()
    }

    /// Whether there is nothing to be done.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// How many actions there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// The action at `index`, in the order of their making.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<&Action> {
        self.list.get(index)
    }

    /// Whom a broadcast of this buffer goes to, each once.
    #[must_use]
    pub fn recipients(&self, of: Recipients) -> &[SessionId] {
        &self.recipients[of.start as usize..of.end as usize]
    }

    /// How many recipients all broadcasts together have.
    #[must_use]
    pub fn recipient_count(&self) -> usize {
        self.recipients.len()
    }

    /// Forgets everything; the memory stays.
    pub fn clear(&mut self) {
        self.list.clear();
        self.recipients.clear();
        // With the actions gone usually nobody else holds the block any more, so that this takes it over again. Where
        // somebody does, this takes a new one, but not before the old one is used up: a text that is held keeps few
        // others' bytes alive.
        if self.texts.capacity() < TEXT_BLOCK_BYTES / 4 {
            self.texts.reserve(TEXT_BLOCK_BYTES);
        }
    }

    pub(crate) fn push(&mut self, action: Action) {
        self.list.push(action);
    }

    pub(crate) fn send(&mut self, to: SessionId, packet: ServerPacket) {
        self.push(Action::Send { to, packet });
    }

    /// Sends `packet` to everybody that `to` names, and says how many they are; to nobody is no action.
    pub(crate) fn broadcast(
        &mut self,
        to: impl Iterator<Item = SessionId>,
        packet: impl FnOnce() -> ServerPacket,
    ) -> u32 {
        let Range { start, end } = {
            let start = self.recipients.len();
            self.recipients.extend(to);
            start..self.recipients.len()
        };
        if start == end {
            return 0;
        }
        // Bounded by the number of sessions, which is a `u32`, times the few broadcasts of a turn.
        let index = |place: usize| u32::try_from(place).expect("a turn names fewer than 2^32 recipients");
        let to = Recipients { start: index(start), end: index(end) };
        self.push(Action::Broadcast { to, packet: packet() });
        to.end - to.start
    }

    /// A text that lives as long as somebody holds it, without an allocation of its own.
    /// The caller knows that its bytes are UTF-8.
    pub(crate) fn text(&mut self, text: &[u8]) -> Text {
        self.texts.extend_from_slice(text);
        Text::from_checked(self.texts.split().freeze())
    }
}
