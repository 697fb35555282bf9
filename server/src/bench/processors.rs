//! Which processor runs what: the server on one, the generator on another, so that neither takes the other's time.

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

/// The processors of a bench; what is pinned is told in the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Processors {
    /// One for the server, one for the generator and what the server needs (a Redis).
    Two {
        /// The server's.
        server: usize,
        /// The generator's.
        generator: usize,
    },
    /// This process may use one only, or the system does not let it choose.
    Shared,
}

impl Processors {
    /// Chooses among those that this process may use.
    pub(crate) fn choose() -> Self {
        let Ok(allowed) = sched_getaffinity(Pid::from_raw(0)) else {
            return Self::Shared;
        };
        let mut numbers = (0..CpuSet::count()).filter(|number| allowed.is_set(*number).unwrap_or(false));
        match (numbers.next(), numbers.next()) {
            (Some(server), Some(generator)) => Self::Two { server, generator },
            _ => Self::Shared,
        }
    }

    /// Does something on the server's processor and returns to the generator's. A process that is started meanwhile
    /// stays where it was started, with all its threads.
    pub(crate) fn on_server<T>(self, start: impl FnOnce() -> T) -> T {
        let Self::Two { server, .. } = self else {
            return start();
        };
        move_to(server);
        let started = start();
        self.go_to_generator();
        started
    }

    /// Does something on all processors that this process may use, and returns to the generator's.
    pub(crate) fn on_all<T>(self, start: impl FnOnce() -> T) -> T {
        if self != Self::Shared {
            let mut all = CpuSet::new();
            // The system leaves out what this process may not use. What fails is seen in the loads of the report.
            if (0..CpuSet::count()).all(|number| all.set(number).is_ok()) {
                let _ = sched_setaffinity(Pid::from_raw(0), &all);
            }
        }
        let started = start();
        self.go_to_generator();
        started
    }

    /// Moves this thread to the generator's processor.
    pub(crate) fn go_to_generator(self) {
        if let Self::Two { generator, .. } = self {
            move_to(generator);
        }
    }
}

fn move_to(processor: usize) {
    let mut set = CpuSet::new();
    // The processor was found in such a set, and is one that this process may use: neither can fail, and if one does,
    // the loads in the report show it.
    if set.set(processor).is_ok() {
        let _ = sched_setaffinity(Pid::from_raw(0), &set);
    }
}
