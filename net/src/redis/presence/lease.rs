//! One lease: the value that names its owner, and the attempt to take it.

use lobbyd_core::id::{SessionId, Ticket};
use tokio::time::Instant;

use super::table::{Grant, Meanwhile};
use super::{LinkError, Shared};

/// What the key holds while `ticket` of `node` owns it: `node:session_index.generation#serial`.
pub(super) fn value(node: u128, ticket: Ticket) -> String {
    format!("{node:032x}:{ticket}")
}

/// Whose value of `node` this is, if it is one.
pub(super) fn ticket(node: u128, bytes: &[u8]) -> Option<Ticket> {
    let (of, rest) = std::str::from_utf8(bytes).ok()?.split_once(':')?;
    let (session, serial) = rest.split_once('#')?;
    let (index, generation) = session.split_once('.')?;
    let session = SessionId { index: index.parse().ok()?, generation: generation.parse().ok()? };
    let ticket = Ticket { session, serial: serial.parse().ok()? };
    // Numbers can be written in several ways; only one is ours.
    (of == format!("{node:032x}") && rest == ticket.to_string()).then_some(ticket)
}

/// A take on its way. However it ends, also by being dropped half-way, nothing that it brought stays without an owner.
pub(super) struct Attempt<'a> {
    shared: &'a Shared,
    grant: Grant,
    ended: bool,
}

impl<'a> Attempt<'a> {
    pub(super) fn begin(shared: &'a Shared, grant: Grant) -> Self {
        shared.table.borrow_mut().begin(grant.1);
        Self { shared, grant, ended: false }
    }

    /// Redis says that the lease is taken, by a command sent at `sent_at`.
    pub(super) fn succeed(mut self, sent_at: Instant) -> Result<(), String> {
        let meanwhile = self.end();
        let (shared, now) = (self.shared, Instant::now());
        if meanwhile.released || sent_at + shared.config.lease <= now {
            self.give_up(true);
            let why = if meanwhile.released { "it was released meanwhile" } else { "the answer took a lease's life" };
            return Err(why.to_owned());
        }
        let renew_at = if meanwhile.evicted { now } else { shared.renewal_after(sent_at) };
        let displaced = shared.table.borrow_mut().hold(self.grant, sent_at, renew_at);
        shared.count(|stats| {
            stats.taken += 1;
            stats.lost += u64::from(displaced);
        });
        if displaced {
            shared.lost.notify_one();
        }
        // The keeper has a new deadline.
        shared.wake.notify_one();
        Ok(())
    }

    /// Redis says that nothing was taken.
    pub(super) fn leave(mut self) {
        self.end();
    }

    /// Something else came of it.
    pub(super) fn fail(mut self, error: &LinkError) {
        self.end();
        if error.was_sent() {
            self.give_up(!error.may_still_run());
        }
    }

    fn end(&mut self) -> Meanwhile {
        self.ended = true;
        let meanwhile = self.shared.table.borrow_mut().end(self.grant.1);
        self.shared.settled.notify_waiters();
        meanwhile
    }

    fn give_up(&self, certain: bool) {
        self.shared.table.borrow_mut().give_up(self.grant, certain, Instant::now());
        self.shared.wake.notify_one();
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if !self.ended {
            self.end();
            self.give_up(false);
        }
    }
}

#[cfg(test)]
mod tests {
    use lobbyd_core::id::{SessionId, Ticket};

    use super::{ticket, value};

    #[test]
    fn a_value_is_read_back_by_its_own_node_only() {
        let mine = Ticket { session: SessionId { index: 7, generation: 2 }, serial: 41 };
        let written = value(0xbeef, mine);
        assert_eq!(written, "0000000000000000000000000000beef:7.2#41");
        assert_eq!(ticket(0xbeef, written.as_bytes()), Some(mine));
        assert_eq!(ticket(0xbeee, written.as_bytes()), None);
        for other in
            ["", "beef:7.2#41", "0000000000000000000000000000beef:07.2#41", "0000000000000000000000000000beef:7"]
        {
            assert_eq!(ticket(0xbeef, other.as_bytes()), None, "{other}");
        }
        assert_eq!(ticket(0xbeef, b"\xff"), None);
    }
}
