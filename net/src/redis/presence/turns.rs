//! One at a time for each user, in the order of asking.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use lobbyd_core::name::UserName;
use tokio::sync::{Mutex, OwnedMutexGuard};

/// Who is at work or waiting, by user. Holds nothing for a user for whom nobody is.
#[derive(Default)]
pub(super) struct Turns(RefCell<BTreeMap<UserName, Arc<Mutex<()>>>>);

/// The right to work for a user, until it is dropped.
pub(super) struct Turn<'a> {
    turns: &'a Turns,
    user: UserName,
    guard: Option<OwnedMutexGuard<()>>,
}

impl Turns {
    /// Waits until nobody who asked before works for `user` any more.
    pub(super) async fn take(&self, user: UserName) -> Turn<'_> {
        let queue = Arc::clone(self.0.borrow_mut().entry(user).or_default());
        // Before the wait, so that one who gives up waiting leaves nothing behind either.
        let mut turn = Turn { turns: self, user, guard: None };
        turn.guard = Some(queue.lock_owned().await);
        turn
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.guard = None;
        let mut queues = self.turns.0.borrow_mut();
        // Each waiter holds the queue too.
        if queues.get(&self.user).is_some_and(|queue| Arc::strong_count(queue) == 1) {
            queues.remove(&self.user);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::Turns;

    #[tokio::test(start_paused = true)]
    async fn turns_of_one_user_follow_each_other_and_leave_nothing_behind() {
        let turns = Turns::default();
        let (alice, bob) = ("alice".parse().expect("a name"), "bob".parse().expect("a name"));
        let first = turns.take(alice).await;
        let _other = turns.take(bob).await;
        let wait = Duration::from_secs(1);
        assert!(timeout(wait, turns.take(alice)).await.is_err(), "two turns at a time");
        let (second, ()) = tokio::join!(timeout(wait, turns.take(alice)), async { drop(first) });
        drop(second.expect("the turn comes when the first is over"));
        assert_eq!(turns.0.borrow().len(), 1, "only bob's turn is left");
    }

    #[tokio::test(start_paused = true)]
    async fn one_who_gave_up_waiting_last_leaves_nothing_behind() {
        let turns = Turns::default();
        let alice = "alice".parse().expect("a name");
        let first = turns.take(alice).await;
        let mut waiting = Box::pin(turns.take(alice));
        assert!(timeout(Duration::ZERO, waiting.as_mut()).await.is_err());
        drop(first);
        drop(waiting);
        assert!(turns.0.borrow().is_empty());
    }
}
