//! When each of several shards goes on: as a seed says, where threads would go on as the machine does.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use tokio::runtime::UnhandledPanic;
use tokio::task::LocalSet;

use crate::random::Random;

/// A shard lets others go first so many times of a hundred.
const PAUSES: u64 = 30;

/// Runs a shard with all its tasks. Whenever it could go on, it may let the others go first.
pub(super) async fn in_its_own_time<T>(seed: u64, shard: impl Future<Output = T>) -> T {
    let mut tasks = LocalSet::new();
    tasks.unhandled_panic(UnhandledPanic::ShutdownRuntime);
    let mut random = Random::derived(seed, "schedule");
    let mut run = pin!(tasks.run_until(shard));
    poll_fn(|context| {
        if random.between(1, 100) <= PAUSES {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        run.as_mut().poll(context)
    })
    .await
}
