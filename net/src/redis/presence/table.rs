//! Which leases this node holds and which it gives back: the book-keeping, without a word to Redis.
//!
//! ```text
//! take ──▶ in flight ──answered──▶ held ──release──▶ given back ──answered──▶ gone
//!              │                     │ ▲renewed           ▲
//!              │                     └─another's─▶ lost   │
//!              └── never answered: may hold or not ───────┘
//! ```

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::RangeInclusive;
use std::time::Duration;

use lobbyd_core::id::{SessionId, Ticket};
use lobbyd_core::name::UserName;
use tokio::time::Instant;

/// The book-keeping.
pub(super) struct Table {
    lease: Duration,
    held: BTreeMap<UserName, Held>,
    /// When which held lease is to be renewed; one entry for each.
    due: BTreeSet<(Instant, UserName)>,
    /// Takes that wait for their answers.
    in_flight: BTreeMap<Ticket, Meanwhile>,
    returning: BTreeMap<Grant, Returning>,
    lost: VecDeque<Ticket>,
}

/// A lease by its user and its owner.
pub(super) type Grant = (UserName, Ticket);

/// What happened to a lease before the answer to its take was heard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Meanwhile {
    /// It was released.
    pub(super) released: bool,
    /// Somebody said that it was taken over.
    pub(super) evicted: bool,
}

struct Held {
    ticket: Ticket,
    /// Until when nobody else can own it.
    valid_until: Instant,
    /// Until when Redis may keep it: a renewal that was not answered may have reached it.
    may_last_until: Instant,
    renew_at: Instant,
    /// A command that creates the key was sent and not answered.
    unsettled: bool,
}

/// A lease on its way back.
struct Returning {
    /// Every command that could create the key has run, so that an answer is the last word.
    certain: bool,
    answered: bool,
    /// Past this there is nothing left to give back. Not known while a take may still run.
    expired_at: Option<Instant>,
    retry_at: Instant,
}

impl Table {
    pub(super) fn new(lease: Duration) -> Self {
        Self {
            lease,
            held: BTreeMap::new(),
            due: BTreeSet::new(),
            in_flight: BTreeMap::new(),
            returning: BTreeMap::new(),
            lost: VecDeque::new(),
        }
    }

    /// How many leases there are in whatever state: the measure of what is bounded.
    pub(super) fn len(&self) -> usize {
        self.held.len() + self.in_flight.len() + self.returning.len() + self.lost.len()
    }

    pub(super) fn held_len(&self) -> usize {
        self.held.len()
    }

    pub(super) fn returning_len(&self) -> usize {
        self.returning.len()
    }

    /// Held leases that another could own by now.
    pub(super) fn unprotected_len(&self, now: Instant) -> usize {
        self.held.values().filter(|held| held.valid_until <= now).count()
    }

    /// Whether Redis has answered, at least once, to the return of every lease.
    pub(super) fn is_settled(&self) -> bool {
        self.in_flight.is_empty() && self.returning.values().all(|returning| returning.answered)
    }

    pub(super) fn begin(&mut self, ticket: Ticket) {
        self.in_flight.insert(ticket, Meanwhile::default());
    }

    /// The take has come to its end.
    pub(super) fn end(&mut self, ticket: Ticket) -> Meanwhile {
        self.in_flight.remove(&ticket).unwrap_or_default()
    }

    /// The lease is held from `sent_at`, before the command was sent. True if another lease of the same user on this
    /// node is lost by that.
    pub(super) fn hold(&mut self, (user, ticket): Grant, sent_at: Instant, renew_at: Instant) -> bool {
        let displaced = self.held.get(&user).map(|old| old.ticket).is_some_and(|old| self.lose((user, old), sent_at));
        let until = sent_at + self.lease;
        let new = Held { ticket, valid_until: until, may_last_until: until, renew_at, unsettled: false };
        self.held.insert(user, new);
        self.due.insert((renew_at, user));
        displaced
    }

    /// Begins to give a lease back that is held or being taken; says whether it is one.
    pub(super) fn release(&mut self, (user, ticket): Grant, now: Instant) -> bool {
        if let Some(meanwhile) = self.in_flight.get_mut(&ticket) {
            meanwhile.released = true;
            return true;
        }
        let Some(held) = self.remove((user, ticket)) else { return false };
        let expired_at = (!held.unsettled).then(|| held.may_last_until + self.lease);
        self.give_back((user, ticket), !held.unsettled, expired_at, now);
        true
    }

    /// Gives back what a take may have brought. `certain` if it was answered.
    pub(super) fn give_up(&mut self, grant: Grant, certain: bool, now: Instant) {
        self.give_back(grant, certain, certain.then(|| now + self.lease), now);
    }

    fn give_back(&mut self, grant: Grant, certain: bool, expired_at: Option<Instant>, now: Instant) {
        self.returning.insert(grant, Returning { certain, answered: false, expired_at, retry_at: now });
    }

    /// The leases of `user` that are being given back.
    pub(super) fn returning_of(&self, user: UserName) -> Vec<Grant> {
        self.returning.range(all_of(user)).map(|(grant, _)| *grant).collect()
    }

    pub(super) fn is_returning(&self, grant: Grant) -> bool {
        self.returning.contains_key(&grant)
    }

    /// Up to `count` leases to give back now; each is due again after `retry`, unless it is answered.
    pub(super) fn due_returns(&mut self, now: Instant, retry: Duration, count: usize) -> Vec<Grant> {
        self.returning.retain(|_, returning| returning.expired_at.is_none_or(|expired_at| now < expired_at));
        let due = self.returning.iter_mut().filter(|(_, returning)| returning.retry_at <= now).take(count);
        due.map(|(grant, returning)| {
            returning.retry_at = now + retry;
            *grant
        })
        .collect()
    }

    /// Redis has answered to the return: the key was `deleted`, or did not hold this lease.
    pub(super) fn returned(&mut self, grant: Grant, deleted: bool, now: Instant) {
        let Some(returning) = self.returning.get_mut(&grant) else { return };
        if deleted || returning.certain {
            self.returning.remove(&grant);
            return;
        }
        // The take may come late, from a connection that was given up. One more life of a lease is watched.
        returning.answered = true;
        returning.expired_at.get_or_insert(now + self.lease);
    }

    /// Up to `count` leases that are to be renewed until `by`; each is due again after `retry`, unless it is answered.
    pub(super) fn due_renewals(&mut self, by: Instant, now: Instant, retry: Duration, count: usize) -> Vec<Grant> {
        let users: Vec<UserName> =
            self.due.iter().take_while(|(at, _)| *at <= by).take(count).map(|(_, user)| *user).collect();
        let mut grants = Vec::with_capacity(users.len());
        for user in users {
            self.renew_at(user, now + retry);
            if let Some(held) = self.held.get_mut(&user) {
                held.may_last_until = held.may_last_until.max(now + self.lease);
                grants.push((user, held.ticket));
            }
        }
        grants
    }

    /// Redis has confirmed the lease by a command sent at `sent_at`. False if it is no longer held.
    pub(super) fn confirmed(&mut self, grant: Grant, sent_at: Instant, renew_at: Instant) -> bool {
        let lease = self.lease;
        let Some(held) = self.holder(grant) else { return false };
        held.valid_until = held.valid_until.max(sent_at + lease);
        held.unsettled = false;
        self.renew_at(grant.0, renew_at);
        true
    }

    /// A command that creates the key anew is about to be sent. False if the lease is no longer held.
    pub(super) fn retaking(&mut self, grant: Grant) -> bool {
        self.holder(grant).map(|held| held.unsettled = true).is_some()
    }

    /// The lease is to be renewed at `at`, if it is still held.
    pub(super) fn renew_grant_at(&mut self, grant: Grant, at: Instant) {
        if self.holder(grant).is_some() {
            self.renew_at(grant.0, at);
        }
    }

    /// Somebody says that the lease of `ticket` was taken over: it is to be renewed at once, which shows the truth.
    pub(super) fn note_eviction(&mut self, ticket: Ticket, now: Instant) {
        if let Some(meanwhile) = self.in_flight.get_mut(&ticket) {
            meanwhile.evicted = true;
        }
        let user = self.held.iter().find(|(_, held)| held.ticket == ticket).map(|(user, _)| *user);
        if let Some(user) = user {
            self.renew_at(user, now);
        }
    }

    /// The lease is another's. False if it was not held any more.
    pub(super) fn lose(&mut self, grant: Grant, now: Instant) -> bool {
        let Some(held) = self.remove(grant) else { return false };
        if held.unsettled {
            self.give_back(grant, false, None, now);
        }
        self.lost.push_back(grant.1);
        true
    }

    /// The next lost lease that nobody has been told of.
    pub(super) fn next_lost(&mut self) -> Option<Ticket> {
        self.lost.pop_front()
    }

    /// Everything is to be said again: there is a new connection, and behind it perhaps a Redis that has forgotten.
    pub(super) fn all_due(&mut self, now: Instant) {
        self.due.clear();
        for (user, held) in &mut self.held {
            held.renew_at = now;
            self.due.insert((now, *user));
        }
        for returning in self.returning.values_mut() {
            returning.retry_at = now;
        }
    }

    /// A return of this lease is to be tried at once.
    pub(super) fn return_now(&mut self, grant: Grant, now: Instant) {
        if let Some(returning) = self.returning.get_mut(&grant) {
            returning.retry_at = now;
        }
    }

    /// When the next renewal or return is due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let renewal = self.due.first().map(|(at, _)| *at);
        let returns = self.returning.values().map(|returning| returning.retry_at).min();
        [renewal, returns].into_iter().flatten().min()
    }

    fn holder(&mut self, (user, ticket): Grant) -> Option<&mut Held> {
        self.held.get_mut(&user).filter(|held| held.ticket == ticket)
    }

    fn renew_at(&mut self, user: UserName, at: Instant) {
        if let Some(held) = self.held.get_mut(&user) {
            self.due.remove(&(held.renew_at, user));
            self.due.insert((at, user));
            held.renew_at = at;
        }
    }

    fn remove(&mut self, grant: Grant) -> Option<Held> {
        self.holder(grant)?;
        let held = self.held.remove(&grant.0)?;
        self.due.remove(&(held.renew_at, grant.0));
        Some(held)
    }
}

/// Every possible lease of a user.
fn all_of(user: UserName) -> RangeInclusive<Grant> {
    let ticket = |session, serial| Ticket { session: SessionId { index: session, generation: session }, serial };
    (user, ticket(0, 0))..=(user, ticket(u32::MAX, u64::MAX))
}

#[cfg(test)]
mod tests;
