//! One daemon's book of leases: which it holds, which it gives back. The same rules as production's, in its own words.

use std::collections::{BTreeMap, VecDeque};

use lobbyd_core::id::Ticket;
use lobbyd_core::name::UserName;

/// How long a lease lives when it is not renewed, in nanoseconds.
pub(super) const LEASE: u64 = crate::layers::LEASE.as_nanos() as u64;
/// How long what was not answered rests.
pub(super) const RETRY: u64 = LEASE / 6;
/// How long a matter between two owners rests.
const PAUSE: u64 = LEASE / 12;
/// What is due within this goes along.
const AHEAD: u64 = LEASE / 24;

/// A lease by its user and its login.
pub(super) type Grant = (UserName, Ticket);

#[derive(Default)]
pub(super) struct Book {
    held: BTreeMap<UserName, Held>,
    in_flight: BTreeMap<Ticket, Meanwhile>,
    returning: BTreeMap<Grant, Returning>,
    /// Logins whose leases are another's, and nobody was told yet.
    pub(super) lost: VecDeque<Ticket>,
}

/// What happened to a lease before the answer to its take was heard.
#[derive(Clone, Copy, Default)]
struct Meanwhile {
    is_released: bool,
    is_evicted: bool,
}

struct Held {
    ticket: Ticket,
    renew_at: u64,
    /// Until when Redis may keep it.
    may_last_until: u64,
    /// A command that creates it was sent and not answered.
    is_unsettled: bool,
}

struct Returning {
    /// Every command that could create it has run.
    is_certain: bool,
    /// Past this there is nothing left to give back; none while a take may still run.
    expired_at: Option<u64>,
    retry_at: u64,
}

impl Book {
    /// Leases held and being taken.
    pub(super) fn len(&self) -> usize {
        self.held.len() + self.in_flight.len()
    }

    pub(super) fn begin(&mut self, ticket: Ticket) {
        self.in_flight.insert(ticket, Meanwhile::default());
    }

    /// Nothing was taken, or nobody knows.
    pub(super) fn end(&mut self, ticket: Ticket) {
        self.in_flight.remove(&ticket);
    }

    /// The lease is taken by a command sent at `sent_at`. False if it comes too late, and goes back.
    pub(super) fn taken(&mut self, (user, ticket): Grant, sent_at: u64, renew_at: u64, now: u64) -> bool {
        let meanwhile = self.in_flight.remove(&ticket).unwrap_or_default();
        if meanwhile.is_released || sent_at + LEASE <= now {
            self.give_up((user, ticket), true, now);
            return false;
        }
        if let Some(old) = self.held.get(&user).map(|held| held.ticket) {
            self.lose((user, old), now);
        }
        let renew_at = if meanwhile.is_evicted { now } else { renew_at };
        let may_last_until = sent_at + LEASE;
        self.held.insert(user, Held { ticket, renew_at, may_last_until, is_unsettled: false });
        true
    }

    /// Begins to give a lease back that is held or being taken.
    pub(super) fn release(&mut self, (user, ticket): Grant, now: u64) {
        if let Some(meanwhile) = self.in_flight.get_mut(&ticket) {
            meanwhile.is_released = true;
        } else if let Some(held) = self.remove((user, ticket)) {
            let expired_at = (!held.is_unsettled).then_some(held.may_last_until + LEASE);
            self.give_back((user, ticket), !held.is_unsettled, expired_at, now);
        }
    }

    /// Gives back what a take may have brought.
    pub(super) fn give_up(&mut self, grant: Grant, is_certain: bool, now: u64) {
        self.give_back(grant, is_certain, is_certain.then_some(now + LEASE), now);
    }

    fn give_back(&mut self, grant: Grant, is_certain: bool, expired_at: Option<u64>, now: u64) {
        self.returning.insert(grant, Returning { is_certain, expired_at, retry_at: now });
    }

    pub(super) fn returning_of(&self, user: UserName) -> Vec<Grant> {
        self.returning.keys().filter(|(of, _)| *of == user).copied().collect()
    }

    pub(super) fn due_returns(&mut self, now: u64) -> Vec<Grant> {
        self.returning.retain(|_, returning| returning.expired_at.is_none_or(|at| now < at));
        let due = self.returning.iter_mut().filter(|(_, returning)| returning.retry_at <= now);
        due.map(|(grant, returning)| {
            returning.retry_at = now + RETRY;
            *grant
        })
        .collect()
    }

    /// Redis has answered to a return.
    pub(super) fn returned(&mut self, grant: Grant, was_deleted: bool, now: u64) {
        let Some(returning) = self.returning.get_mut(&grant) else { return };
        if was_deleted || returning.is_certain {
            self.returning.remove(&grant);
        } else {
            // The take may run late. One more life of a lease is watched.
            returning.expired_at.get_or_insert(now + LEASE);
        }
    }

    pub(super) fn due_renewals(&mut self, now: u64) -> Vec<Grant> {
        let due = self.held.iter_mut().filter(|(_, held)| held.renew_at <= now + AHEAD);
        due.map(|(user, held)| {
            held.renew_at = now + RETRY;
            held.may_last_until = held.may_last_until.max(now + LEASE);
            (*user, held.ticket)
        })
        .collect()
    }

    pub(super) fn confirmed(&mut self, grant: Grant, renew_at: u64) {
        if let Some(held) = self.holder(grant) {
            (held.renew_at, held.is_unsettled) = (renew_at, false);
        }
    }

    /// A command that creates the lease anew is about to be sent. False if it is no longer held.
    pub(super) fn retaking(&mut self, grant: Grant) -> bool {
        self.holder(grant).map(|held| held.is_unsettled = true).is_some()
    }

    /// Somebody was faster, or it is not clear who: the lease is looked at again soon.
    pub(super) fn pause(&mut self, grant: Grant, now: u64) {
        if let Some(held) = self.holder(grant) {
            held.renew_at = now + PAUSE;
        }
    }

    /// The lease has another owner: `own` if it is this daemon by another login.
    pub(super) fn is_anothers(&mut self, grant: Grant, own: Option<Ticket>, now: u64) {
        if let Some(own) = own
            && let Some(returning) = self.returning.get_mut(&(grant.0, own))
        {
            returning.retry_at = now;
            self.pause(grant, now);
        } else {
            self.lose(grant, now);
        }
    }

    /// Somebody says that the lease was taken over: it is to be renewed at once, which shows the truth.
    pub(super) fn note_eviction(&mut self, (user, ticket): Grant, now: u64) {
        if let Some(meanwhile) = self.in_flight.get_mut(&ticket) {
            meanwhile.is_evicted = true;
        }
        if let Some(held) = self.holder((user, ticket)) {
            held.renew_at = now;
        }
    }

    /// There is a new connection: everything is said again.
    pub(super) fn all_due(&mut self, now: u64) {
        self.held.values_mut().for_each(|held| held.renew_at = now);
        self.returning.values_mut().for_each(|returning| returning.retry_at = now);
    }

    pub(super) fn next_due(&self) -> Option<u64> {
        let renewals = self.held.values().map(|held| held.renew_at);
        renewals.chain(self.returning.values().map(|returning| returning.retry_at)).min()
    }

    fn lose(&mut self, grant: Grant, now: u64) {
        let Some(held) = self.remove(grant) else { return };
        if held.is_unsettled {
            self.give_back(grant, false, None, now);
        }
        self.lost.push_back(grant.1);
    }

    fn holder(&mut self, (user, ticket): Grant) -> Option<&mut Held> {
        self.held.get_mut(&user).filter(|held| held.ticket == ticket)
    }

    fn remove(&mut self, grant: Grant) -> Option<Held> {
        self.holder(grant)?;
        self.held.remove(&grant.0)
    }
}
