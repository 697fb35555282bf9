//! Where the journal of one life is written to, and taken from part by part while it goes on.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lobbyd_net::journal::{Appetite, Beginning, JournalSink, Memory, Part};

/// A state of so many bytes is a small one.
const SMALL_BYTES: usize = 1024;

/// A journal in memory, of which complete parts can be taken while the next one is being written.
#[derive(Clone)]
pub(super) struct Tape {
    written: Arc<Mutex<Written>>,
    length: u32,
}

#[derive(Default)]
struct Written {
    /// Each part as a file would have it.
    parts: VecDeque<Vec<u8>>,
    /// When the last one is long enough.
    bytes_max: usize,
}

impl Tape {
    /// Wants a new part when one is so many times as long as what it begins with, the engine's whole state, or longer by as
    /// much as that state is larger than a small one: where many come and go there are many entries, too, and restoring all
    /// of them is what costs most.
    pub(super) fn new(length: u32) -> Self {
        Self { written: Arc::default(), length }
    }

    /// The next part, if another one has begun after it.
    pub(super) fn take_complete(&self) -> Option<Vec<u8>> {
        let mut written = self.lock();
        if written.parts.len() > 1 { written.parts.pop_front() } else { None }
    }

    /// The part that is being written, when all before it are taken. To be called at the end: what would follow is lost.
    pub(super) fn take_last(&self) -> Option<Vec<u8>> {
        self.lock().parts.pop_front()
    }

    fn lock(&self) -> MutexGuard<'_, Written> {
        // No panic can come while it is locked.
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl JournalSink for Tape {
    fn begin(&mut self, beginning: Beginning) {
        let mut memory = Memory::new(usize::MAX);
        memory.begin(beginning);
        let mut written = self.lock();
        for part in memory.take() {
            let times = (self.length as usize).saturating_mul((part.len() / SMALL_BYTES).max(1));
            written.bytes_max = part.len().saturating_mul(times);
            written.parts.push_back(part);
        }
    }

    fn append(&mut self, entries: &[u8]) -> Appetite {
        let mut written = self.lock();
        let bytes_max = written.bytes_max;
        // Without a part there is nobody any more who reads it.
        let Some(part) = written.parts.back_mut() else { return Appetite::Nothing };
        if !entries.is_empty() {
            Part::append_entries(entries, part);
        }
        if part.len() < bytes_max { Appetite::Entries } else { Appetite::Part }
    }
}
