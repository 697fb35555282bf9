//! The locks and atomics that threads meet at, gathered here so that `tests/loom.rs` can put loom's in their place.

pub(crate) use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
pub(crate) use std::sync::{Mutex, MutexGuard, TryLockError};
