//! Presence leases: what the daemons make of Redis' answers about them, and when they ask again.

use lobbyd_core::input::{Account, Input, Verdict};

use super::{Stores, Told};
use crate::layers::pure::leases::Grant;
use crate::layers::pure::network::Passage;
use crate::layers::pure::queue::Event;
use crate::layers::pure::redis::{Claim, Command, Eviction, Owner, Renewal, StoreEvent};
use crate::layers::pure::wire::Wire;

impl Stores {
    /// Asks for a lease that is being taken, after what the daemon has of the user has been given back.
    pub(super) fn take(&mut self, daemon: u32, login: Option<u32>, grant: Grant, claim: Claim, wire: &mut Wire) {
        let first = self.nodes[daemon as usize].book.returning_of(grant.0);
        if !self.call(daemon, Command::Take { grant, claim, first }, login, wire) {
            self.nodes[daemon as usize].book.end(grant.1);
            self.verdict(login, Verdict::Unavailable);
        }
    }

    /// Another owns it than the one who was to be replaced: that one is named now.
    pub(super) fn take_over(&mut self, daemon: u32, login: Option<u32>, grant: Grant, owner: Owner, wire: &mut Wire) {
        // Nobody takes a lease so often that production's limit on these rounds would show.
        self.take(daemon, login, grant, Claim::Over(Some(owner)), wire);
    }

    pub(super) fn note_taken(&mut self, daemon: u32, login: Option<u32>, grant: Grant, sent_at: u64, now: u64) {
        let node = &mut self.nodes[daemon as usize];
        let renew_at = node.renewal_after(sent_at);
        let is_held = node.book.taken(grant, sent_at, renew_at, now);
        let accepted = Verdict::Accepted { account: Account::default(), leased: true };
        self.verdict(login, if is_held { accepted } else { Verdict::Unavailable });
    }

    /// It was not taken, for another owns it.
    pub(super) fn note_owned(&mut self, daemon: u32, login: Option<u32>, grant: Grant) {
        self.nodes[daemon as usize].book.end(grant.1);
        self.verdict(login, Verdict::AlreadyOnline);
    }

    fn verdict(&mut self, login: Option<u32>, verdict: Verdict) {
        if let Some(login) = login {
            self.tell(login, verdict);
        }
    }

    pub(super) fn note_returned(&mut self, daemon: u32, grants: &[Grant], deleted: Vec<bool>, now: u64) {
        let book = &mut self.nodes[daemon as usize].book;
        grants.iter().zip(deleted).for_each(|(grant, was_deleted)| book.returned(*grant, was_deleted, now));
    }

    pub(super) fn note_renewals(
        &mut self,
        daemon: u32,
        grants: &[Grant],
        renewals: Vec<Renewal>,
        sent_at: u64,
        wire: &mut Wire,
    ) {
        let node = &mut self.nodes[daemon as usize];
        let mut free = Vec::new();
        for (grant, renewal) in grants.iter().zip(renewals) {
            match renewal {
                Renewal::Done => {
                    let renew_at = node.renewal_after(sent_at);
                    node.book.confirmed(*grant, renew_at);
                }
                Renewal::Free if node.book.retaking(*grant) => free.push(*grant),
                Renewal::Free => {}
                Renewal::Owned(Owner { node: owner, ticket }) => {
                    let own = (owner == node.number).then_some(ticket);
                    node.book.is_anothers(*grant, own, wire.now);
                }
            }
        }
        if !free.is_empty() {
            self.call(daemon, Command::Retake(free), None, wire);
        }
    }

    pub(super) fn note_retaken(&mut self, daemon: u32, grants: &[Grant], taken: Vec<bool>, sent_at: u64, now: u64) {
        let node = &mut self.nodes[daemon as usize];
        for (grant, is_taken) in grants.iter().zip(taken) {
            if is_taken {
                let renew_at = node.renewal_after(sent_at);
                node.book.confirmed(*grant, renew_at);
            } else {
                node.book.pause(*grant, now);
            }
        }
    }

    /// Tells of lost leases, and plans what is due next.
    pub(super) fn look_after(&mut self, daemon: u32, wire: &mut Wire) {
        let node = &mut self.nodes[daemon as usize];
        while let Some(ticket) = node.book.lost.pop_front() {
            self.told.push_back(Told { daemon, input: Input::PresenceLost { ticket } });
        }
        if let Some(at) = node.keep_at(wire.now) {
            wire.queue.plan(at, Event::Store(StoreEvent::Keep(daemon)));
        }
    }

    pub(super) fn keep(&mut self, daemon: u32, wire: &mut Wire) {
        let node = &mut self.nodes[daemon as usize];
        if !node.is_time_to_keep(wire.now) || node.connection().is_none() {
            return;
        }
        // Returns first: a lease that is another's may be one that this daemon has given up.
        let (returns, renewals) = (node.book.due_returns(wire.now), node.book.due_renewals(wire.now));
        if !returns.is_empty() {
            self.call(daemon, Command::GiveBack(returns), None, wire);
        }
        if !renewals.is_empty() {
            self.call(daemon, Command::Renew(renewals), None, wire);
        }
        self.look_after(daemon, wire);
    }

    pub(super) fn publish(&mut self, eviction: Eviction, wire: &mut Wire) {
        let owner = (0..).zip(&self.nodes).find(|(_, node)| node.number == eviction.owner.node);
        let Some((daemon, node)) = owner else { return };
        if node.connection().is_none() {
            return;
        }
        if let Some(delay) = wire.network.delay(node.back) {
            let number = self.number();
            let what = || format!("the lease of {} was taken over", eviction.user);
            wire.traffic.says(wire.now, daemon, number, what, false);
            self.evictions.insert(number, eviction);
            wire.queue.send(wire.now + delay, Event::Store(StoreEvent::Evicted(number)));
        }
    }

    pub(super) fn evicted(&mut self, number: u32, wire: &mut Wire) {
        let Some(daemon) = self.daemon_of(StoreEvent::Evicted(number)) else {
            self.evictions.remove(&number);
            return;
        };
        let passage = wire.network.pass(self.nodes[daemon as usize].back, Event::Store(StoreEvent::Evicted(number)));
        if passage == Passage::Held {
            return;
        }
        let Some(Eviction { user, owner }) = self.evictions.remove(&number) else { return };
        if passage == Passage::Lost {
            wire.traffic.call_lost(wire.now, number);
        }
        if passage == Passage::Through {
            wire.traffic.call_arrived(wire.now, number);
            self.nodes[daemon as usize].book.note_eviction((user, owner.ticket), wire.now);
            self.look_after(daemon, wire);
        }
    }
}
