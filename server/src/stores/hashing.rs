//! The threads on which secrets are hashed and compared: few of them, with a bounded queue, so that a storm of logins
//! takes its share of the processors and no more, and the I/O thread never waits.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use lobbyd_net::stores::{LocalFuture, SecretBytes, SecretVerifier, Unavailable};
use tokio::sync::oneshot;

use super::hasher::{HashParameters, Hasher};

/// A job that has not been done by then is given up.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// A bounded pool of threads for argon2id. Clones share it; with the last one the threads end.
///
/// Its futures need a tokio runtime with a timer. A future that is dropped takes its job out of the queue, or, if the
/// job is being done, leaves it to end without anybody to tell.
#[derive(Clone, Debug)]
pub struct HashPool(Arc<Owner>);

impl HashPool {
    /// Starts `threads` threads (at least one), for which up to `queue_max` jobs may wait. New hashes are made with
    /// `parameters`.
    ///
    /// # Errors
    /// When the system gives no thread or no randomness.
    pub fn new(threads: usize, queue_max: usize, parameters: HashParameters) -> io::Result<Self> {
        let hasher = Hasher::new(parameters).map_err(io::Error::other)?;
        let shared = Arc::new(Shared {
            hasher,
            queue_max,
            state: Mutex::new(State { waiting: VecDeque::new(), idle: 0, closed: false }),
            wake: Condvar::new(),
        });
        // Made before the threads, so that those which did start end if another cannot.
        let owner = Owner(shared);
        for number in 0..threads.max(1) {
            let shared = Arc::clone(&owner.0);
            thread::Builder::new().name(format!("lobbyd-hash-{number}")).spawn(move || shared.work())?;
        }
        Ok(Self(Arc::new(owner)))
    }

    /// The hash of `secret`, as a PHC string, for storing.
    ///
    /// # Errors
    /// When the queue is full, the job is not done within [`ANSWER_TIMEOUT`], or the system lacks memory or randomness.
    pub fn hash(&self, secret: SecretBytes) -> impl Future<Output = Result<String, Unavailable>> + use<> {
        self.run(move |hasher| hasher.hash(&secret))
    }

    /// Runs `job` on one of the threads. What it holds is dropped before its result is told.
    ///
    /// The job is in the queue when this returns, before the future is first polled.
    pub(crate) fn run<T, J>(&self, job: J) -> impl Future<Output = Result<T, Unavailable>> + use<T, J>
    where
        T: Send + 'static,
        J: FnOnce(&Hasher) -> Result<T, Unavailable> + Send + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        let queued = self.0.0.push(Box::new(Request { job, sender }));
        async move {
            queued?;
            match tokio::time::timeout(ANSWER_TIMEOUT, receiver).await {
                Ok(Ok(result)) => result,
                Ok(Err(_)) => Err(Unavailable("a password could not be hashed: the computation failed".into())),
                Err(_) => Err(Unavailable(format!(
                    "a password was not hashed within {} s: too many logins at a time; give the hashing more threads \
                     or cheaper parameters",
                    ANSWER_TIMEOUT.as_secs()
                ))),
            }
        }
    }
}

impl SecretVerifier for HashPool {
    fn verify(&self, hash: Option<String>, secret: SecretBytes) -> LocalFuture<'_, Result<bool, Unavailable>> {
        Box::pin(self.run(move |hasher| hasher.verify(hash.as_deref(), &secret)))
    }
}

/// Ends the threads when it is dropped.
#[derive(Debug)]
struct Owner(Arc<Shared>);

impl Drop for Owner {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.closed = true;
        let abandoned = std::mem::take(&mut state.waiting);
        drop(state);
        self.0.wake.notify_all();
        // Outside the lock: what jobs hold may take its time to go.
        drop(abandoned);
    }
}

struct Shared {
    hasher: Hasher,
    queue_max: usize,
    state: Mutex<State>,
    wake: Condvar,
}

struct State {
    waiting: VecDeque<Box<dyn Job>>,
    /// Threads that wait for a job, also those that were woken for one and have not taken it yet.
    idle: usize,
    closed: bool,
}

impl Shared {
    fn push(&self, job: Box<dyn Job>) -> Result<(), Unavailable> {
        let mut state = self.lock();
        if state.waiting.len() >= self.queue_max + state.idle {
            // Callers that have gone leave their jobs behind; those must not keep out the ones that are still here.
            state.waiting.retain(|job| job.is_wanted());
        }
        // A job that an idle thread takes at once does not wait.
        if state.waiting.len() >= self.queue_max + state.idle {
            return Err(Unavailable(format!(
                "{} passwords wait to be hashed already: too many logins at a time; give the hashing more threads or \
                 cheaper parameters",
                state.waiting.len()
            )));
        }
        state.waiting.push_back(job);
        drop(state);
        self.wake.notify_one();
        Ok(())
    }

    fn work(&self) {
        yield_to_the_rest();
        while let Some(job) = self.next() {
            // A panic must not take the thread with it: the job's sender is dropped and so its caller is told.
            let _ = catch_unwind(AssertUnwindSafe(|| job.run(&self.hasher)));
        }
    }

    /// The next job that somebody waits for; `None` when the pool is closed.
    fn next(&self) -> Option<Box<dyn Job>> {
        let mut state = self.lock();
        loop {
            if state.closed {
                return None;
            }
            match state.waiting.pop_front() {
                Some(job) if job.is_wanted() => return Some(job),
                Some(_) => {}
                None => {
                    state.idle += 1;
                    state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
                    state.idle -= 1;
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing under the lock can leave the queue half changed, so a panic there takes nothing away from others.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How much nicer than the rest of the server a thread is that hashes; of 19 at most.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 15;

/// Lowers the priority of the calling thread. A login may wait a moment, chat may not: on a processor that both share,
/// the I/O thread would else wait for the end of a time slice, some milliseconds, whenever it wakes.
///
/// Linux keeps a niceness for each thread (setpriority(2)); elsewhere it is the process's, and nothing is done.
fn yield_to_the_rest() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::nice(NICENESS) {
        tracing::warn!(%error, "the threads that hash passwords have the priority of all others: logins may slow chat");
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("queue_max", &self.queue_max).finish_non_exhaustive()
    }
}

/// What a thread does, without the type of its result.
trait Job: Send {
    /// Whether its caller still waits.
    fn is_wanted(&self) -> bool;
    fn run(self: Box<Self>, hasher: &Hasher);
}

struct Request<J, T> {
    job: J,
    sender: oneshot::Sender<Result<T, Unavailable>>,
}

impl<J, T> Job for Request<J, T>
where
    J: FnOnce(&Hasher) -> Result<T, Unavailable> + Send,
    T: Send,
{
    fn is_wanted(&self) -> bool {
        !self.sender.is_closed()
    }

    fn run(self: Box<Self>, hasher: &Hasher) {
        let Self { job, sender } = *self;
        // Whoever asked may have gone in the meantime.
        let _ = sender.send(job(hasher));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;

    use super::*;

    fn pool(threads: usize, queue_max: usize) -> HashPool {
        HashPool::new(threads, queue_max, HashParameters::new(8, 1, 1).unwrap()).unwrap()
    }

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
    }

    fn secret(text: &str) -> SecretBytes {
        SecretBytes::new(text.as_bytes().to_vec())
    }

    /// Keeps one thread of the pool busy until `release` is dropped. It is at work when this returns.
    fn occupy(pool: &HashPool) -> (mpsc::Sender<()>, impl Future<Output = Result<(), Unavailable>> + use<>) {
        let (release, released) = mpsc::channel::<()>();
        let (started, start) = mpsc::channel();
        let busy = pool.run(move |_| {
            started.send(()).unwrap();
            let _ = released.recv();
            Ok(())
        });
        start.recv().unwrap();
        (release, busy)
    }

    #[test]
    fn secret_matches_the_hash_made_of_it_and_no_other() {
        let pool = pool(2, 8);
        block_on(async {
            let hash = pool.hash(secret("right")).await.unwrap();
            assert_eq!(pool.verify(Some(hash.clone()), secret("right")).await, Ok(true));
            assert_eq!(pool.verify(Some(hash.clone()), secret("wrong")).await, Ok(false));
            assert_eq!(pool.verify(Some(hash), secret("")).await, Ok(false));
            assert_eq!(pool.verify(None, secret("right")).await, Ok(false));
        });
    }

    #[test]
    fn malformed_hash_is_unavailable() {
        let Unavailable(text) = block_on(pool(1, 8).verify(Some("junk".into()), secret("right"))).unwrap_err();
        assert!(text.contains("is not a PHC string") && !text.contains("junk"), "{text}");
    }

    #[test]
    fn full_queue_answers_at_once() {
        let pool = pool(1, 2);
        let (release, busy) = occupy(&pool);
        let waiting = [pool.hash(secret("a")), pool.hash(secret("b"))];
        block_on(async {
            let Unavailable(text) = pool.hash(secret("c")).await.unwrap_err();
            assert_eq!(
                text,
                "2 passwords wait to be hashed already: too many logins at a time; give the hashing more threads or \
                 cheaper parameters"
            );
            drop(release);
            busy.await.unwrap();
            for each in waiting {
                each.await.unwrap();
            }
            pool.hash(secret("d")).await.unwrap();
        });
    }

    #[test]
    fn queue_of_none_still_serves_an_idle_thread() {
        let pool = pool(1, 0);
        // The thread may not have reached its waiting place yet; from then on it is never refused.
        while pool.0.0.lock().idle == 0 {
            thread::yield_now();
        }
        block_on(pool.hash(secret("a"))).unwrap();
    }

    #[test]
    fn job_of_a_caller_who_has_gone_is_skipped_and_holds_no_place() {
        let pool = pool(1, 1);
        let (release, busy) = occupy(&pool);
        let done = Arc::new(AtomicUsize::new(0));
        let count = |amount: usize| {
            let done = Arc::clone(&done);
            move |_: &Hasher| {
                done.fetch_add(amount, Ordering::SeqCst);
                Ok(())
            }
        };
        drop(pool.run(count(100)));
        let second = pool.run(count(1));
        block_on(async {
            drop(release);
            busy.await.unwrap();
            second.await.unwrap();
        });
        assert_eq!(done.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn panic_in_a_job_is_told_and_the_thread_lives_on() {
        let pool = pool(1, 4);
        block_on(async {
            let Unavailable(text) = pool.run::<(), _>(|_| panic!("on purpose")).await.unwrap_err();
            assert_eq!(text, "a password could not be hashed: the computation failed");
            pool.hash(secret("a")).await.unwrap();
        });
    }

    #[test]
    fn what_a_job_holds_is_dropped_before_its_result_is_told() {
        let pool = pool(1, 4);
        let held = Arc::new(());
        for _ in 0..100 {
            let holding = Arc::clone(&held);
            block_on(pool.run(move |_| {
                let _held = &holding;
                Ok(())
            }))
            .unwrap();
            assert_eq!(Arc::strong_count(&held), 1);
        }
    }

    #[test]
    fn queued_jobs_are_told_when_the_pool_ends() {
        let pool = pool(1, 4);
        let (release, busy) = occupy(&pool);
        let queued = pool.hash(secret("a"));
        drop(pool);
        block_on(async {
            assert!(queued.await.is_err());
            drop(release);
            busy.await.unwrap();
        });
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn threads_that_hash_yield_to_all_others() {
        let own_before = rustix::process::nice(0).unwrap();
        let pool = pool(1, 4);
        let of_the_pool = block_on(pool.run(|_| Ok(rustix::process::nice(0).unwrap()))).unwrap();
        assert_eq!(of_the_pool, (own_before + NICENESS).min(19));
        assert_eq!(rustix::process::nice(0).unwrap(), own_before, "the thread that made the pool");
    }

    #[test]
    fn many_callers_share_few_threads() {
        let pool = pool(2, 1000);
        let done: Vec<_> = (0..200).map(|number| pool.hash(secret(&number.to_string()))).collect();
        block_on(async {
            for each in done {
                each.await.unwrap();
            }
        });
    }
}
