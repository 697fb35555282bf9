//! The errand that renews leases, gives them back, and finds out which are lost.

use std::rc::Rc;

use redis::{Pipeline, Value};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};
use tracing::{debug, warn};

use super::table::Grant;
use super::{LinkError, Shared, lease};
use crate::errands::next_turn;
use crate::redis::LinkState;

/// Leases that share one command, and those that share one round trip.
const CHUNK: usize = 128;
const BATCH: usize = 16 * CHUNK;
/// The most evictions that are looked at in one turn: anybody may publish them.
const EVICTIONS_PER_TURN: u32 = 64;

pub(super) async fn keep(shared: Rc<Shared>, mut evictions: mpsc::Receiver<Vec<u8>>) {
    let mut state = shared.link.watch();
    let (mut connection, mut heard) = (0, 0);
    while let Some(current) = connected(&mut state).await {
        if connection != current {
            connection = current;
            shared.table.borrow_mut().all_due(Instant::now());
        }
        // Returns first: a lease that is another's may be one that this node has given up.
        give_back(&shared).await;
        renew(&shared).await;

        let next_due = shared.table.borrow().next_due();
        let rest = async {
            match next_due {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            _changed = state.changed() => {}
            Some(value) = evictions.recv() => {
                note_eviction(&shared, &value);
                heard += 1;
                if heard % EVICTIONS_PER_TURN == 0 {
                    next_turn().await;
                }
            }
            () = shared.wake.notified() => {}
            () = rest => {}
        }
    }
}

/// Waits for a connection and says which it is; nothing if there will never be one.
async fn connected(state: &mut watch::Receiver<LinkState>) -> Option<u64> {
    loop {
        if let LinkState::Connected { connection, .. } = &*state.borrow_and_update() {
            return Some(*connection);
        }
        state.changed().await.ok()?;
    }
}

/// An eviction is a hint, which anybody could have published: what is true is in the key.
fn note_eviction(shared: &Shared, value: &[u8]) {
    if let Some(ticket) = lease::ticket(shared.config.node, value) {
        debug!(%ticket, "a lease is said to be taken over");
        shared.table.borrow_mut().note_eviction(ticket, Instant::now());
    }
}

async fn give_back(shared: &Shared) {
    loop {
        let batch = shared.table.borrow_mut().due_returns(Instant::now(), shared.retry(), BATCH);
        // Some may have expired.
        shared.settled.notify_waiters();
        let Some(answers) = ask(shared, &batch, |chunk| shared.release_command(chunk)).await else { return };
        for (chunk, answer) in batch.chunks(CHUNK).zip(answers) {
            if let Err(error) = &answer {
                warn!(redis = %shared.link.address(), "{} leases could not be given back: {error}", chunk.len());
            }
            shared.note_released(chunk, answer);
        }
    }
}

async fn renew(shared: &Shared) {
    loop {
        let sent_at = Instant::now();
        // What is due soon goes along, so that many leases make few round trips, however their deadlines lie.
        let by = sent_at + shared.config.lease / 24;
        let batch = shared.table.borrow_mut().due_renewals(by, sent_at, shared.retry(), BATCH);
        let Some(answers) = ask(shared, &batch, |chunk| shared.renew_command(chunk)).await else { return };
        let mut free = Vec::new();
        for (chunk, answer) in batch.chunks(CHUNK).zip(answers) {
            match answer {
                Ok(Value::Array(answers)) if answers.len() == chunk.len() => {
                    for (grant, answer) in chunk.iter().zip(answers) {
                        note_renewal(shared, *grant, answer, sent_at, &mut free);
                    }
                }
                Ok(_) => warn!(redis = %shared.link.address(), "the answer to a renewal makes no sense"),
                Err(error) => {
                    warn!(redis = %shared.link.address(), "{} leases could not be renewed: {error}", chunk.len());
                }
            }
        }
        retake(shared, free).await;
    }
}

fn note_renewal(shared: &Shared, grant: Grant, answer: Value, sent_at: Instant, free: &mut Vec<Grant>) {
    let (user, ticket) = grant;
    if answer == Value::Int(1) {
        if shared.table.borrow_mut().confirmed(grant, sent_at, shared.renewal_after(sent_at)) {
            shared.count(|stats| stats.renewed += 1);
        }
    } else if answer == Value::Int(0) {
        free.push(grant);
    } else if let Value::BulkString(owner) = answer {
        note_owner(shared, grant, &owner);
    } else {
        warn!(%user, %ticket, "the key of a presence lease holds another type than a string");
    }
}

/// The key of a held lease has another value.
fn note_owner(shared: &Shared, grant: Grant, owner: &[u8]) {
    let (user, ticket) = grant;
    let mut table = shared.table.borrow_mut();
    let now = Instant::now();
    let own = lease::ticket(shared.config.node, owner);
    if let Some(own) = own
        && table.is_returning((user, own))
    {
        // A take of this node's that was given up has run late. Once it is deleted, the lease can be had again.
        table.return_now((user, own), now);
        table.renew_grant_at(grant, now + shared.pause());
    } else if table.lose(grant, now) {
        debug!(%user, %ticket, "a lease is another's");
        shared.count(|stats| stats.lost += 1);
        shared.lost.notify_one();
    }
}

/// Takes again what is free: it has expired, or Redis has forgotten it.
async fn retake(shared: &Shared, free: Vec<Grant>) {
    // What has been released since is left alone.
    let free: Vec<Grant> = free.into_iter().filter(|grant| shared.table.borrow_mut().retaking(*grant)).collect();
    if free.is_empty() {
        return;
    }
    let mut pipeline = Pipeline::with_capacity(free.len());
    for (user, ticket) in &free {
        pipeline.add_command(shared.set_command(&shared.config.key.key(user), &shared.value(*ticket)));
    }
    let sent_at = Instant::now();
    let Ok(answers) = shared.link.pipeline(&pipeline).await else { return };
    let mut table = shared.table.borrow_mut();
    for (grant, answer) in free.into_iter().zip(answers) {
        match answer {
            Ok(Value::Okay) => {
                if table.confirmed(grant, sent_at, shared.renewal_after(sent_at)) {
                    shared.count(|stats| stats.retaken += 1);
                }
            }
            // Somebody was faster. The next renewal says who.
            Ok(Value::Nil) => table.renew_grant_at(grant, Instant::now() + shared.pause()),
            Ok(_) | Err(_) => debug!(user = %grant.0, "a lease could not be taken again; it is tried later"),
        }
    }
}

/// Sends the commands of all chunks in one piece. Nothing if there is nothing to send, or no answer, after which there
/// is a new connection, on which everything is said again.
async fn ask(
    shared: &Shared,
    batch: &[Grant],
    command: impl Fn(&[Grant]) -> redis::Cmd,
) -> Option<Vec<Result<Value, LinkError>>> {
    if batch.is_empty() {
        return None;
    }
    let mut pipeline = Pipeline::with_capacity(batch.len().div_ceil(CHUNK));
    for chunk in batch.chunks(CHUNK) {
        pipeline.add_command(command(chunk));
    }
    shared.link.pipeline(&pipeline).await.ok()
}
