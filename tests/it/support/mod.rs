//! What the tests are written with: a daemon in a process of its own, clients that speak in packets, Redis.
//!
//! Nothing here sleeps for a guessed time. Every wait ends with what is waited for, or fails after [`PATIENCE`] and
//! says what was there instead.

pub(crate) mod daemon;
pub(crate) mod log;
pub(crate) mod pair;
pub(crate) mod redis;
pub(crate) mod say;
pub(crate) mod setup;
pub(crate) mod wire;

use std::time::{Duration, Instant};

pub(crate) use daemon::{Daemon, Signal};
pub(crate) use pair::Pair;
pub(crate) use redis::RedisKeys;
pub(crate) use setup::{Setup, secret_of};
pub(crate) use wire::Wire;

/// How long anything that must happen may take before the test fails. Far more than it takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Asks `is_so` again and again until it says yes: for what tells nobody when it happens.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "waited {PATIENCE:?} in vain until {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
