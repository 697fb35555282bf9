//! The daemon's log, read as it is written.

use std::io::{BufRead, BufReader, Read};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use serde_json::Value;

use super::PATIENCE;

/// The lines that a daemon has written so far, each as its fields. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Shared>);

#[derive(Default)]
struct Shared {
    lines: Mutex<Lines>,
    changed: Condvar,
}

#[derive(Default)]
struct Lines {
    list: Vec<String>,
    is_over: bool,
}

impl Log {
    /// Reads a daemon's standard error to its end, on a thread.
    pub(crate) fn read(source: impl Read + Send + 'static) -> Self {
        let log = Self::default();
        let writer = log.clone();
        thread::spawn(move || {
            for line in BufReader::new(source).lines() {
                let Ok(line) = line else { break };
                writer.lock().list.push(line);
                writer.0.changed.notify_all();
            }
            writer.lock().is_over = true;
            writer.0.changed.notify_all();
        });
        log
    }

    /// Waits for the first line that `is_it` accepts; fails when the log ends without it.
    #[track_caller]
    pub(crate) fn wait_for(&self, what: &str, mut is_it: impl FnMut(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        let mut seen = 0;
        let mut lines = self.lock();
        loop {
            for line in &lines.list[seen..] {
                if let Some(fields) = parse(line).filter(&mut is_it) {
                    return fields;
                }
            }
            seen = lines.list.len();
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!lines.is_over, "the log ended without {what}:\n{}", lines.list.join("\n"));
            assert!(!left.is_zero(), "no {what} in the log within {PATIENCE:?}:\n{}", lines.list.join("\n"));
            lines = self.0.changed.wait_timeout(lines, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits until the daemon writes no more, and returns everything that it wrote.
    #[track_caller]
    pub(crate) fn wait_for_end(&self) -> String {
        let deadline = Instant::now() + PATIENCE;
        let mut lines = self.lock();
        while !lines.is_over {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "the log goes on after {PATIENCE:?}:\n{}", lines.list.join("\n"));
            lines = self.0.changed.wait_timeout(lines, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        lines.list.join("\n")
    }

    /// How many lines so far `is_it` accepts.
    pub(crate) fn count(&self, is_it: impl Fn(&Value) -> bool) -> usize {
        self.lock().list.iter().filter_map(|line| parse(line)).filter(|fields| is_it(fields)).count()
    }

    /// Everything so far.
    pub(crate) fn text(&self) -> String {
        self.lock().list.join("\n")
    }

    fn lock(&self) -> MutexGuard<'_, Lines> {
        self.0.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a line has this message.
pub(crate) fn says(line: &Value, message: &str) -> bool {
    line["message"].as_str().is_some_and(|said| said == message)
}

fn parse(line: &str) -> Option<Value> {
    serde_json::from_str(line).ok()
}
