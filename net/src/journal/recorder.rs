//! The engine's door, and who writes down what goes through it.

use std::fmt;
use std::mem;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};

use lobbyd_core::Engine;
use lobbyd_core::action::Actions;
use lobbyd_core::input::Input;
use lobbyd_core::time::Instant;
use tracing::error;

use super::entry::{Beginning, Entry, Event, Outcome};
use crate::codec;
use crate::extension::panic_message;

/// Where a journal goes. It is called while everybody waits, so it must not wait for anything itself.
pub trait JournalSink: Send {
    /// A part begins: with it, or it is none of the journal. Whatever was before is complete.
    fn begin(&mut self, beginning: Beginning);

    /// Some entries, whole ones, to go behind those before; none to ask what comes next. Where this answers
    /// [`Appetite::Nothing`], it has not taken them.
    fn append(&mut self, entries: &[u8]) -> Appetite;
}

/// What a [`JournalSink`] wants next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Appetite {
    /// More entries.
    Entries,
    /// A new part: the present one is long enough, or there is none yet.
    Part,
    /// Nothing now: it cannot take so much, or not any more. Entries are lost until it wants a new part.
    Nothing,
}

/// How a journal stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct JournalStats {
    /// Whether entries are taken at present.
    pub is_recording: bool,
    /// Parts that have begun.
    pub parts: u64,
    /// Entries that the sink has taken. What a disk loses afterwards is not known here.
    pub entries: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Entries that were lost, because the sink could not take them.
    pub lost: u64,
}

/// An engine whose inputs are written down, if somebody wants them.
///
/// Architecture invariant: nothing changes an engine but through this. To look at it is free.
#[derive(Debug)]
pub struct RecordedEngine {
    engine: Engine,
    recorder: Option<Recorder>,
}

impl RecordedEngine {
    /// Nothing is written down.
    #[must_use]
    pub fn new(engine: Engine) -> Self {
        Self { engine, recorder: None }
    }

    /// Writes down what comes from now on. `now` is the engine's time.
    pub fn record(&mut self, now: Instant, sink: Box<dyn JournalSink>) {
        self.recorder = Some(Recorder::new(sink, now, &self.engine));
    }

    /// As [`Engine::handle_input`].
    ///
    /// # Panics
    /// As [`Engine::handle_input`].
    #[inline]
    pub fn handle_input(&mut self, now: Instant, input: Input<'_>, actions: &mut Actions) {
        match self.recorder {
            // In a branch of its own, so that an input is not copied on its way.
            None => self.engine.handle_input(now, input, actions),
            Some(_) => self.record_input(now, input, actions),
        }
    }

    #[inline(never)]
    fn record_input(&mut self, now: Instant, input: Input<'_>, actions: &mut Actions) {
        self.record_event(now, Event::Input(&input));
        let before = Outcome::of(actions);
        self.engine.handle_input(now, input, actions);
        self.record_outcome(before, actions);
    }

    /// As [`Engine::handle_timeout`].
    ///
    /// # Panics
    /// As [`Engine::handle_timeout`].
    pub fn handle_timeout(&mut self, now: Instant, actions: &mut Actions) {
        self.record_event(now, Event::Timeout);
        let before = Outcome::of(actions);
        self.engine.handle_timeout(now, actions);
        self.record_outcome(before, actions);
    }

    fn record_event(&mut self, now: Instant, event: Event<&Input<'_>>) {
        if let Some(recorder) = &mut self.recorder {
            recorder.enter(now, event);
        }
    }

    fn record_outcome(&mut self, before: Outcome, actions: &Actions) {
        if let Some(recorder) = &mut self.recorder {
            recorder.came_out(Outcome::of(actions).since(before));
        }
    }

    /// Hands over what was written down since the last time, and begins a new part where the sink wants one. To be called
    /// when some entries are together: between two turns.
    #[inline]
    pub fn hand_over(&mut self) {
        if let Some(recorder) = &mut self.recorder {
            recorder.hand_over(&self.engine);
        }
    }

    /// Writes down that this is the end, and hands everything over. Nothing that comes later is recorded.
    pub fn finish(&mut self) {
        if let Some(mut recorder) = self.recorder.take() {
            recorder.enter(recorder.now, Event::End { digest: self.engine.digest() });
            recorder.came_out(Outcome::default());
            recorder.hand_over(&self.engine);
        }
    }

    /// How its journal stands, if it has one.
    #[must_use]
    pub fn journal_stats(&self) -> Option<JournalStats> {
        self.recorder.as_ref().map(|recorder| recorder.stats)
    }
}

impl Deref for RecordedEngine {
    type Target = Engine;

    #[inline]
    fn deref(&self) -> &Engine {
        &self.engine
    }
}

struct Recorder {
    sink: Box<dyn JournalSink>,
    /// What is not handed over yet.
    entries: Vec<u8>,
    /// How many entries that are.
    count: u64,
    /// The time of the last entry.
    now: Instant,
    /// No part can begin any more.
    is_over: bool,
    stats: JournalStats,
}

impl Recorder {
    fn new(sink: Box<dyn JournalSink>, now: Instant, engine: &Engine) -> Self {
        let mut recorder =
            Self { sink, entries: Vec::new(), count: 0, now, is_over: false, stats: JournalStats::default() };
        recorder.begin(engine);
        recorder
    }

    fn begin(&mut self, engine: &Engine) {
        // Extensions are copied with it, which guards nobody else against; nothing is changed.
        let snapshot = match catch_unwind(AssertUnwindSafe(|| engine.snapshot())) {
            Ok(snapshot) => snapshot,
            Err(panic) => {
                let reason = panic_message(&*panic);
                error!(reason, "an extension panicked in being copied: nothing more is recorded in the journal");
                (self.is_over, self.stats.is_recording) = (true, false);
                return;
            }
        };
        let JournalStats { parts, entries, lost, .. } = self.stats;
        self.sink.begin(Beginning { part: parts, entries: entries + lost, lost, now: self.now, snapshot });
        self.stats.parts += 1;
        self.stats.is_recording = true;
    }

    /// Before the engine is told, so that what it breaks down about is in the journal.
    fn enter(&mut self, now: Instant, event: Event<&Input<'_>>) {
        self.count += 1;
        let now = now.max(self.now);
        let after_ns = now.as_nanos() - self.now.as_nanos();
        self.now = now;
        if self.stats.is_recording {
            codec::append_value(&Entry { after_ns, event }, &mut self.entries);
        }
    }

    fn came_out(&mut self, outcome: Outcome) {
        if self.stats.is_recording {
            codec::append_value(&outcome, &mut self.entries);
        }
    }

    fn hand_over(&mut self, engine: &Engine) {
        if self.count == 0 {
            return;
        }
        if self.is_over {
            self.stats.lost += mem::take(&mut self.count);
            return;
        }
        let appetite = self.give();
        if appetite == Appetite::Part {
            self.begin(engine);
        }
    }

    fn give(&mut self) -> Appetite {
        let appetite = self.sink.append(&self.entries);
        let count = mem::take(&mut self.count);
        if self.stats.is_recording && appetite != Appetite::Nothing {
            self.stats.entries += count;
            self.stats.bytes += self.entries.len() as u64;
        } else {
            self.stats.is_recording = false;
            self.stats.lost += count;
        }
        self.entries.clear();
        appetite
    }
}

impl Drop for Recorder {
    /// After a panic, what has led to it is still here.
    fn drop(&mut self) {
        if self.count > 0 && !self.is_over {
            self.give();
        }
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").field("now", &self.now).field("stats", &self.stats).finish_non_exhaustive()
    }
}
