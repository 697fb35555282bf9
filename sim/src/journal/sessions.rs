//! The sessions that a journal names: what an engine is told of each has to be in an order in which it can happen.
//!
//! The driver (`net/src/hub`) promises:
//!
//! - No session is ever named like an earlier one: every occupant of a slot has a higher generation than the one before.
//! - Nothing is told of a session that never connected. What comes of its connection (packets, bytes that are no packet,
//!   its end, an outbox over its limit) comes before another session has its slot. Only stores and services, which take
//!   their time, may have something to say about a session that is long gone.
//! - Nothing is received after bytes that are no packet, nor after the end of the connection.
//! - One outbox is over its limit at most once.
//!
//! It does not promise, so nobody here asks for, the following. The engine may be told of a session that it has closed
//! itself: it hears of the end when both sides know. An outbox may be over its limit after the end, which was found
//! out while it was being written. And the end may come twice, from who reads and from who writes, if both find it in the
//! same turn; a third time it cannot.

use std::collections::BTreeMap;

use lobbyd_core::id::{SessionId, Ticket};
use lobbyd_core::input::Input;

use super::Breach;

/// Those who can tell of a connection's end.
const ENDS_MAX: u8 = 2;

/// The last occupant of every slot. There are as many as ever were there at the same time.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    slots: BTreeMap<u32, Occupant>,
}

/// What was told of a session.
#[derive(Debug, Default)]
struct Occupant {
    generation: u32,
    is_malformed: bool,
    ends: u8,
    is_full: bool,
}

impl Sessions {
    /// The engine is told this, in the entry of that number.
    ///
    /// # Errors
    /// When that cannot be.
    pub(super) fn follow(&mut self, entry: u64, input: &Input<'_>) -> Result<(), Breach> {
        match input {
            Input::Connected { session, .. } => self.connected(entry, *session),
            Input::Received { session, .. } => self.received(entry, *session, "a packet of").map(drop),
            Input::Stopped { session, .. } => self.received(entry, *session, "a stopped packet of").map(drop),
            Input::Malformed { session, .. } => {
                self.received(entry, *session, "bytes that are no packet of")?.is_malformed = true;
                Ok(())
            }
            Input::Disconnected { session } => self.disconnected(entry, *session),
            Input::OutboxFull { session } => self.outbox_full(entry, *session),
            Input::LoginVerdict { ticket, .. } => self.known(entry, *ticket, "a verdict on a login of"),
            Input::PresenceLost { ticket } => self.known(entry, *ticket, "the loss of a lease of"),
            Input::Stalled { .. } | Input::ServiceReply { .. } | Input::DisableExtension { .. } | Input::Admin(_) => {
                Ok(())
            }
        }
    }

    fn connected(&mut self, entry: u64, session: SessionId) -> Result<(), Breach> {
        let SessionId { index, generation } = session;
        let before = self.slots.insert(index, Occupant { generation, ..Occupant::default() });
        match before {
            Some(before) if before.generation >= generation => {
                let before = SessionId { generation: before.generation, ..session };
                Err(Breach::NamedAgain { entry, session, before })
            }
            Some(_) | None => Ok(()),
        }
    }

    fn received(&mut self, entry: u64, session: SessionId, what: &'static str) -> Result<&mut Occupant, Breach> {
        let occupant = self.occupant(entry, session, what)?;
        let before = match occupant {
            Occupant { ends: 1.., .. } => "its end",
            Occupant { is_malformed: true, .. } => "bytes that are no packet",
            Occupant { .. } => return Ok(occupant),
        };
        Err(Breach::TooLate { entry, what, session, before })
    }

    fn disconnected(&mut self, entry: u64, session: SessionId) -> Result<(), Breach> {
        let what = "the end of";
        let occupant = self.occupant(entry, session, what)?;
        if occupant.ends >= ENDS_MAX {
            return Err(Breach::TooLate { entry, what, session, before: "who reads and who writes have told of it" });
        }
        occupant.ends += 1;
        Ok(())
    }

    fn outbox_full(&mut self, entry: u64, session: SessionId) -> Result<(), Breach> {
        let what = "an outbox over its limit of";
        let occupant = self.occupant(entry, session, what)?;
        if occupant.is_full {
            return Err(Breach::TooLate { entry, what, session, before: "it was told already" });
        }
        occupant.is_full = true;
        Ok(())
    }

    /// The session, which has its slot still.
    fn occupant(&mut self, entry: u64, session: SessionId, what: &'static str) -> Result<&mut Occupant, Breach> {
        let occupant = self.slots.get_mut(&session.index);
        let occupant = occupant.filter(|occupant| occupant.generation == session.generation);
        occupant.ok_or(Breach::Stranger { entry, what, session })
    }

    /// Whoever had the ticket had connected.
    fn known(&self, entry: u64, ticket: Ticket, what: &'static str) -> Result<(), Breach> {
        let session = ticket.session;
        let last = self.slots.get(&session.index).map(|occupant| occupant.generation);
        if last >= Some(session.generation) { Ok(()) } else { Err(Breach::Stranger { entry, what, session }) }
    }
}
