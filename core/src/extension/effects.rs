//! What a handler does in a call, held back until the call has succeeded.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::KeptCommand;
use super::context::Asked;
use crate::command::CommandName;
use crate::data::Data;
use crate::id::{CallTicket, RoomNumber, SessionId};
use crate::name::UserName;
use crate::packet::CommandReply;
use crate::random::Random;
use crate::time::Instant;

/// Something that a handler does.
#[derive(Debug)]
pub(super) enum Effect {
    /// Answers the command at hand.
    Reply { asked: Asked, reply: CommandReply },
    /// Keeps the command at hand.
    Keep { asked: Asked, serial: u64 },
    /// Answers a command that was kept before.
    Answer { kept: KeptCommand, reply: CommandReply },
    /// Says something to one session.
    Tell { session: SessionId, data: Data },
    /// Says something to every session of a user.
    TellUser { user: UserName, data: Data },
    /// Says something to every member of a room.
    TellRoom { room: RoomNumber, data: Data },
    /// Sets a deadline anew.
    SetDeadline { key: u64, at: Instant },
    /// Clears a deadline, if it is set.
    ClearDeadline { key: u64 },
    /// Asks a service.
    Call { ticket: CallTicket, service: CommandName, request: Data },
}

/// The effects of one call, and what they count.
#[derive(Debug)]
pub(super) struct Effects {
    pub(super) list: Vec<Effect>,
    pub(super) random: Random,
    /// The number of the last kept command or call.
    pub(super) last_serial: u64,
    /// How many deadlines the extension will have.
    pub(super) deadlines: usize,
    /// The keys of deadlines that the call has set or cleared, and whether each is set.
    pub(super) is_set: BTreeMap<u64, bool>,
    /// How many calls will be under way.
    pub(super) calls: usize,
}
