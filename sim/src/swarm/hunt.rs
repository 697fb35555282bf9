//! Runs many seeds, several at a time, and says what came of them.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::anyhow;

use super::{execute, scenario};
use crate::cli::Layer;
use crate::marks::Marks;
use crate::runner::Violation;
use crate::scenario::Scenario;

/// What is to be searched.
#[derive(Clone, Copy, Debug)]
pub struct Hunt {
    /// On which layer.
    pub layer: Layer,
    /// Which seeds.
    pub seeds: Seeds,
    /// How many at a time, each on a thread of its own; what comes of a seed does not depend on it.
    pub jobs: usize,
    /// Whether the search goes on after a violation.
    pub keeps_going: bool,
    /// How long one seed may take on the wall clock before it is given up as stuck.
    pub patience: Duration,
}

/// Which seeds are run, in their order.
#[derive(Clone, Copy, Debug)]
pub struct Seeds {
    /// The first of them.
    pub first: u64,
    /// How many; without end if none is said.
    pub count: Option<u64>,
    /// For how long new ones are begun; for ever if none is said.
    pub time: Option<Duration>,
}

/// What came of the seeds so far.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    /// How many have been run.
    pub seeds: u64,
    /// How much time has passed in their worlds, together.
    pub simulated: Duration,
    /// How much time has passed here.
    pub elapsed: Duration,
    /// Which hard cases they have reached.
    pub marks: Marks,
    /// What did not hold, by the seeds.
    pub findings: Vec<Finding>,
}

/// A seed whose run did not hold.
#[derive(Clone, Debug)]
pub struct Finding {
    /// Which.
    pub seed: u64,
    /// The scenario that it makes.
    pub scenario: Scenario,
    /// What did not hold.
    pub violation: Violation,
}

/// What came of one seed.
struct Done {
    simulated: Duration,
    marks: Marks,
    finding: Option<Finding>,
}

/// How often progress is told while nothing ends.
const TOLD_EVERY: Duration = Duration::from_millis(250);

/// Runs the seeds. `told` hears of every seed that is done, and now and then in between. `stuck` hears of a seed that
/// has taken longer than it may; nothing can end that run from outside, so it should end the process.
///
/// # Errors
/// When a layer cannot be set up, or does not do what scenarios of a search ask for, or the search itself fails: with
/// the seed.
pub fn hunt(hunt: &Hunt, told: &mut dyn FnMut(&Progress), stuck: &dyn Fn(u64)) -> anyhow::Result<Progress> {
    let began_at = Instant::now();
    let (next, is_over) = (AtomicU64::new(0), AtomicBool::new(false));
    let running = Mutex::new(BTreeMap::new());
    let mut progress = Progress::default();
    thread::scope(|scope| {
        let (sender, receiver) = mpsc::channel();
        for job in 0..hunt.jobs.max(1) {
            let (sender, next, is_over, running) = (sender.clone(), &next, &is_over, &running);
            scope.spawn(move || work(hunt, job, began_at, next, is_over, running, &sender));
        }
        drop(sender);
        let mut failed = Ok(());
        loop {
            match receiver.recv_timeout(TOLD_EVERY) {
                Ok(Ok(done)) => progress.take(done),
                Ok(Err(error)) => failed = failed.and(Err(error)),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if failed.is_err() || (!progress.findings.is_empty() && !hunt.keeps_going) {
                is_over.store(true, Ordering::Relaxed);
            }
            progress.elapsed = began_at.elapsed();
            told(&progress);
            let running = running.lock().unwrap_or_else(PoisonError::into_inner);
            let late = running.values().find(|(_, since): &&(u64, Instant)| since.elapsed() > hunt.patience);
            if let Some((seed, _)) = late {
                stuck(*seed);
            }
        }
        failed
    })?;
    progress.findings.sort_by_key(|finding| finding.seed);
    Ok(progress)
}

type Running = Mutex<BTreeMap<usize, (u64, Instant)>>;

/// One thread's part.
fn work(
    hunt: &Hunt,
    job: usize,
    began_at: Instant,
    next: &AtomicU64,
    is_over: &AtomicBool,
    running: &Running,
    sender: &Sender<anyhow::Result<Done>>,
) {
    loop {
        let index = next.fetch_add(1, Ordering::Relaxed);
        let is_enough = hunt.seeds.count.is_some_and(|count| index >= count)
            || hunt.seeds.time.is_some_and(|time| began_at.elapsed() >= time);
        if is_enough || is_over.load(Ordering::Relaxed) {
            return;
        }
        let seed = hunt.seeds.first.wrapping_add(index);
        running.lock().unwrap_or_else(PoisonError::into_inner).insert(job, (seed, Instant::now()));
        let done = catch_unwind(AssertUnwindSafe(|| run(seed, hunt.layer)));
        running.lock().unwrap_or_else(PoisonError::into_inner).remove(&job);
        let done = done.unwrap_or_else(|_| Err(anyhow!("the search itself panics")));
        if sender.send(done.map_err(|error| error.context(format!("seed {seed}")))).is_err() {
            return;
        }
    }
}

fn run(seed: u64, layer: Layer) -> anyhow::Result<Done> {
    let scenario = scenario(seed, layer);
    let ran = execute(&scenario, layer, seed)?;
    if let Some(skipped) = ran.outcome.skipped.first() {
        return Err(anyhow!("the scenario asks for what the layer cannot do: {}", skipped.what));
    }
    let violation = ran.outcome.result.err();
    let finding = violation.map(|violation| Finding { seed, scenario, violation });
    Ok(Done { simulated: ran.simulated, marks: ran.outcome.marks, finding })
}

impl Progress {
    /// How many seconds of simulated time a second brings.
    #[must_use]
    pub fn speed(&self) -> f64 {
        let elapsed = self.elapsed.as_secs_f64();
        if elapsed > 0.0 { self.simulated.as_secs_f64() / elapsed } else { 0.0 }
    }

    fn take(&mut self, done: Done) {
        self.seeds += 1;
        self.simulated += done.simulated;
        self.marks.add(&done.marks);
        self.findings.extend(done.finding);
    }
}
