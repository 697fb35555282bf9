//! What must be so when everything that was sent has arrived.

use std::collections::BTreeMap;
use std::time::Duration;

use lobbyd_core::config::DuplicateLogin;

use super::connection::Connection;
use super::requests::Asked;
use super::{Auditor, Breach, EVICTION_MAX, Invariant};

impl Auditor {
    /// Nothing is under way.
    ///
    /// # Errors
    /// When something is missing, or two clients cannot both be right.
    pub fn quiet(&self, at: Duration) -> Result<(), Breach> {
        for client in &self.clients {
            if let Some(index) = client.connection
                && self.is_judged(at, &self.connections[index])
            {
                self.was_answered(at, index)?;
                self.is_up_to_date(index)?;
            }
        }
        if self.rules.duplicate_login == DuplicateLogin::Allow { Ok(()) } else { self.are_online_once(at) }
    }

    fn is_judged(&self, at: Duration, connection: &Connection) -> bool {
        connection.is_sound() && self.daemons[connection.daemon].stalled_until < at
    }

    fn was_answered(&self, at: Duration, index: usize) -> Result<(), Breach> {
        let connection = &self.connections[index];
        if connection.is_wild {
            return Ok(());
        }
        // While a process stands still it gets no verdicts, so what waits for one may wait for so much longer.
        let stalled_until = self.daemons[connection.daemon].stalled_until;
        let is_late = connection.requests.waiting().find(|request| {
            let patience = match request.asked {
                Asked::Login { .. } => self.rules.login_patience,
                // An extension may keep it for so long.
                Asked::Command => self.rules.command_patience,
                Asked::Logout
                | Asked::RoomList { .. }
                | Asked::RoomCreate
                | Asked::RoomEnter { .. }
                | Asked::RoomLeave { .. }
                | Asked::RoomChat { .. }
                | Asked::DirectMessage
                | Asked::Kick { .. } => return true,
            };
            request.begun_at.max(stalled_until) + patience < at
        });
        match is_late {
            Some(request) => {
                let name = self.name(index);
                let what = format!("request {} of {name} ({:?}) is not answered", request.id, request.asked);
                Err(Breach::new(Invariant::OneResponse, what))
            }
            None => Ok(()),
        }
    }

    /// Whether a client has heard everything of its room, and sees nobody there who is not.
    fn is_up_to_date(&self, index: usize) -> Result<(), Breach> {
        let Some(view) = &self.connections[index].view else { return Ok(()) };
        let log = &self.rooms.logs[view.log];
        if view.sequence != log.head() {
            let (name, room) = (self.name(index), view.room);
            let what =
                format!("{name} has heard of room {room} up to change {}, others up to {}", view.sequence, log.head());
            return Err(Breach::new(Invariant::RoomOrder, what));
        }
        for member in &view.members {
            let Some(seat) = log.seat_of(*member) else { continue };
            let other = &self.connections[seat];
            let is_there = other.is_sound()
                && other.view.as_ref().is_some_and(|seen| seen.log == view.log)
                && other.login.is_some_and(|login| login.id == *member);
            if other.is_known_to_the_server() && !other.is_half_closed && !is_there {
                let what = format!("{} sees {} in room {}, who is gone", self.name(index), self.name(seat), view.room);
                return Err(Breach::new(Invariant::Membership, what));
            }
        }
        Ok(())
    }

    fn are_online_once(&self, at: Duration) -> Result<(), Breach> {
        let mut online = BTreeMap::new();
        for index in self.current() {
            let connection = &self.connections[index];
            let Some(login) = connection.login.filter(|_| self.is_judged(at, connection)) else { continue };
            let Some(other) = online.insert(login.name, index) else { continue };
            let (one, two) = (&self.connections[other], connection);
            let is_here = one.daemon == two.daemon;
            let are_settled =
                [one, two].iter().all(|connection| connection.login.is_some_and(|login| login.at + EVICTION_MAX < at));
            let is_certain = self.rules.shares_presence && !self.network.was_presence_disturbed() && are_settled;
            if is_here || is_certain {
                let (one, two) = (self.name(other), self.name(index));
                return Err(Breach::new(
                    Invariant::OneSession,
                    format!("{} is online as {one} and as {two}", login.name),
                ));
            }
        }
        Ok(())
    }
}
