use std::time::Duration;

use lobbyd_core::id::{SessionId, Ticket};
use lobbyd_core::name::UserName;
use proptest::prelude::*;
use tokio::time::Instant;

use super::{Grant, Table};

const LEASE: Duration = Duration::from_secs(12);
const RETRY: Duration = Duration::from_secs(2);

fn grant(user: u64, serial: u64) -> Grant {
    let name: UserName = format!("user{user}").parse().expect("a good name");
    (name, Ticket { session: SessionId { index: 0, generation: 0 }, serial })
}

/// A table with one lease held since `now`, to be renewed after 4 s.
fn held(now: Instant) -> Table {
    let mut table = Table::new(LEASE);
    assert!(!table.hold(grant(1, 1), now, now + Duration::from_secs(4)));
    table
}

#[test]
fn a_lease_is_protected_for_its_life_from_before_it_was_sent() {
    let now = Instant::now();
    let mut table = held(now);
    assert_eq!(table.unprotected_len(now + LEASE - Duration::from_nanos(1)), 0);
    assert_eq!(table.unprotected_len(now + LEASE), 1);
    let later = now + Duration::from_secs(4);
    assert!(table.confirmed(grant(1, 1), later, later + RETRY));
    assert_eq!(table.unprotected_len(now + LEASE), 0);
    assert_eq!(table.unprotected_len(later + LEASE), 1);
    // A renewal that was overtaken does not shorten it.
    assert!(table.confirmed(grant(1, 1), now, later + RETRY));
    assert_eq!(table.unprotected_len(now + LEASE), 0);
}

#[test]
fn a_released_lease_is_gone_with_the_first_answer() {
    for deleted in [true, false] {
        let now = Instant::now();
        let mut table = held(now);
        assert!(table.release(grant(1, 1), now));
        assert!(!table.release(grant(1, 1), now), "only once");
        assert!(!table.is_settled());
        assert_eq!(table.due_returns(now, RETRY, 9), [grant(1, 1)]);
        assert_eq!(table.due_returns(now, RETRY, 9), [], "not twice in one breath");
        table.returned(grant(1, 1), deleted, now);
        assert_eq!((table.len(), table.next_due()), (0, None));
    }
}

#[test]
fn a_released_lease_that_must_have_expired_is_forgotten() {
    let now = Instant::now();
    let mut table = held(now);
    table.release(grant(1, 1), now);
    let last = now + 2 * LEASE;
    assert_eq!(table.due_returns(last - Duration::from_nanos(1), RETRY, 9), [grant(1, 1)]);
    assert_eq!(table.due_returns(last, RETRY, 9), []);
    assert_eq!(table.len(), 0);
}

#[test]
fn a_take_that_may_run_late_is_watched_until_a_lease_after_the_first_answer() {
    let now = Instant::now();
    let mut table = Table::new(LEASE);
    table.begin(grant(1, 1).1);
    table.end(grant(1, 1).1);
    table.give_up(grant(1, 1), false, now);
    // However long Redis is away.
    let back = now + 100 * LEASE;
    assert_eq!(table.due_returns(back, RETRY, 9), [grant(1, 1)]);
    table.returned(grant(1, 1), false, back);
    assert!(table.is_settled());
    assert_eq!(table.due_returns(back + RETRY, RETRY, 9), [grant(1, 1)]);
    table.returned(grant(1, 1), false, back + RETRY);
    assert_eq!(table.due_returns(back + LEASE, RETRY, 9), []);
    assert_eq!(table.len(), 0);
}

#[test]
fn a_take_that_ran_late_is_done_once_it_is_deleted() {
    let now = Instant::now();
    let mut table = Table::new(LEASE);
    table.give_up(grant(1, 1), false, now);
    table.returned(grant(1, 1), true, now);
    assert_eq!(table.len(), 0);
}

#[test]
fn a_lease_released_while_it_is_taken_again_is_watched() {
    let now = Instant::now();
    let mut table = held(now);
    assert!(table.retaking(grant(1, 1)));
    table.release(grant(1, 1), now);
    table.returned(grant(1, 1), false, now);
    assert_eq!(table.returning_len(), 1, "the key may appear later");
}

#[test]
fn a_lease_lost_while_it_is_taken_again_is_watched() {
    let now = Instant::now();
    let mut table = held(now);
    assert!(table.retaking(grant(1, 1)));
    assert!(table.lose(grant(1, 1), now));
    assert_eq!((table.held_len(), table.returning_len(), table.next_lost()), (0, 1, Some(grant(1, 1).1)));
}

#[test]
fn answers_about_a_lease_that_is_no_longer_held_change_nothing() {
    let now = Instant::now();
    let mut table = held(now);
    assert!(table.hold(grant(1, 2), now, now + RETRY), "it displaces the first");
    assert_eq!(table.next_lost(), Some(grant(1, 1).1));
    assert!(!table.confirmed(grant(1, 1), now + LEASE, now + LEASE));
    assert!(!table.lose(grant(1, 1), now));
    assert!(!table.retaking(grant(1, 1)));
    assert!(!table.release(grant(1, 1), now));
    table.renew_grant_at(grant(1, 1), now);
    table.note_eviction(grant(1, 1).1, now);
    assert_eq!(table.next_due(), Some(now + RETRY));
    assert_eq!((table.held_len(), table.next_lost()), (1, None));
}

#[test]
fn what_happens_to_a_lease_before_its_answer_is_told_with_it() {
    let now = Instant::now();
    let mut table = Table::new(LEASE);
    let (user, ticket) = grant(1, 1);
    table.begin(ticket);
    assert!(table.release((user, ticket), now));
    table.note_eviction(ticket, now);
    let meanwhile = table.end(ticket);
    assert!(meanwhile.released && meanwhile.evicted);
    assert_eq!(table.len(), 0);
}

#[test]
fn all_is_due_on_a_new_connection() {
    let now = Instant::now();
    let mut table = held(now);
    table.give_up(grant(2, 2), false, now);
    table.due_returns(now, RETRY, 9);
    assert_eq!(table.next_due(), Some(now + RETRY));
    let later = now + Duration::from_secs(1);
    table.all_due(later);
    assert_eq!(table.next_due(), Some(later));
    assert_eq!(table.due_returns(later, RETRY, 9), [grant(2, 2)]);
    assert_eq!(table.due_renewals(later, later, RETRY, 9), [grant(1, 1)]);
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Hold,
    Release,
    GiveUp(bool),
    Returned(bool),
    Lose,
    Retaking,
    Confirmed,
    Evicted,
    AllDue,
    DueReturns,
    DueRenewals,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        Just(Step::Hold),
        Just(Step::Release),
        any::<bool>().prop_map(Step::GiveUp),
        any::<bool>().prop_map(Step::Returned),
        Just(Step::Lose),
        Just(Step::Retaking),
        Just(Step::Confirmed),
        Just(Step::Evicted),
        Just(Step::AllDue),
        Just(Step::DueReturns),
        Just(Step::DueRenewals),
    ]
}

proptest! {
    #[test]
    fn each_held_lease_is_due_exactly_once(steps in prop::collection::vec((step(), 0..3u64, 0..3u64, 0..8u64), 0..100)) {
        let mut now = Instant::now();
        let mut table = Table::new(LEASE);
        for (step, user, serial, seconds) in steps {
            now += Duration::from_secs(seconds);
            let grant = grant(user, serial);
            match step {
                Step::Hold => { table.hold(grant, now, now + RETRY); }
                Step::Release => { table.release(grant, now); }
                Step::GiveUp(certain) => table.give_up(grant, certain, now),
                Step::Returned(deleted) => table.returned(grant, deleted, now),
                Step::Lose => { table.lose(grant, now); }
                Step::Retaking => { table.retaking(grant); }
                Step::Confirmed => { table.confirmed(grant, now, now + RETRY); }
                Step::Evicted => table.note_eviction(grant.1, now),
                Step::AllDue => table.all_due(now),
                Step::DueReturns => { table.due_returns(now, RETRY, 2); }
                Step::DueRenewals => { table.due_renewals(now, now, RETRY, 2); }
            }
            prop_assert_eq!(table.due.len(), table.held.len());
            for (user, held) in &table.held {
                prop_assert!(table.due.contains(&(held.renew_at, *user)));
            }
        }
        // In the end everything can be given back, and the table is empty.
        for (user, ticket) in table.held.iter().map(|(user, held)| (*user, held.ticket)).collect::<Vec<_>>() {
            prop_assert!(table.release((user, ticket), now));
        }
        for _ in 0..2 {
            for grant in table.due_returns(now, RETRY, usize::MAX) {
                table.returned(grant, false, now);
            }
            now += 3 * LEASE;
        }
        table.due_returns(now, RETRY, usize::MAX);
        while table.next_lost().is_some() {}
        prop_assert_eq!(table.len(), 0);
        prop_assert_eq!(table.next_due(), None);
    }
}

#[test]
fn a_take_that_is_not_decided_yet_is_not_settled() {
    let now = Instant::now();
    let mut table = Table::new(LEASE);
    assert!(table.is_settled());
    let (user, ticket) = grant(1, 1);
    table.begin(ticket);
    assert!(!table.is_settled(), "it may still bring a lease that has to go back");
    table.end(ticket);
    table.give_up((user, ticket), true, now);
    assert!(!table.is_settled(), "the lease is on its way back");
}
