//! A journal in memory.

use std::sync::{Arc, Mutex, PoisonError};

use super::entry::{Beginning, Heading};
use super::part::Part;
use super::recorder::{Appetite, JournalSink};

/// A sink that keeps its parts in memory, as a file would have them, for whoever has a clone of it. It grows: it is for
/// tests and simulations.
#[derive(Clone, Debug)]
pub struct Memory {
    parts: Arc<Mutex<Vec<Vec<u8>>>>,
    part_bytes: usize,
}

impl Memory {
    /// Wants a new part when one has so many bytes.
    #[must_use]
    pub fn new(part_bytes: usize) -> Self {
        Self { parts: Arc::default(), part_bytes }
    }

    /// Takes what it has got until now, whole parts and the one that is being written.
    #[must_use]
    pub fn take(&self) -> Vec<Vec<u8>> {
        std::mem::take(&mut *self.parts.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl JournalSink for Memory {
    fn begin(&mut self, beginning: Beginning) {
        let mut part = Vec::new();
        Part::append_beginning(&Heading { program: String::new(), run: 0, unix_ms: 0 }, &beginning, &mut part);
        self.parts.lock().unwrap_or_else(PoisonError::into_inner).push(part);
    }

    fn append(&mut self, entries: &[u8]) -> Appetite {
        let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(part) = parts.last_mut() else {
            // What it had was taken away, so that there is no part for these.
            return if entries.is_empty() { Appetite::Part } else { Appetite::Nothing };
        };
        if !entries.is_empty() {
            Part::append_entries(entries, part);
        }
        if part.len() < self.part_bytes { Appetite::Entries } else { Appetite::Part }
    }
}
