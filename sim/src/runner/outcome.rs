//! What comes of a run, for a person to read.

use std::fmt;
use std::time::Duration;

use crate::audit::Invariant;
use crate::marks::Marks;
use crate::trace::{self, Trace};

/// How many characters of a line a violation shows.
const LINE_CHARS_MAX: usize = 240;

/// What came of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// Whether the scenario held.
    pub result: Result<(), Violation>,
    /// What was not done because the layer cannot.
    pub skipped: Vec<Skipped>,
    /// What happened.
    pub trace: Trace,
    /// Which hard cases were reached.
    pub marks: Marks,
}

/// A step, or a part of one, that was not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// The line of the step.
    pub line: u32,
    /// What, and why not.
    pub what: String,
}

/// What kind of thing went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Something else arrived than was expected, or nothing, or more.
    Expectation,
    /// A check of a daemon did not come true in its time.
    Check,
    /// An invariant of [`audit`](crate::audit) does not hold: which one.
    Invariant(Invariant),
    /// Something inside the world has failed: an assertion, an invariant.
    World,
    /// Something inside the world has panicked.
    Panic,
    /// The scenario asks for what makes no sense.
    Senseless,
}

/// How a run broke the scenario.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// What kind of thing went wrong: a smaller scenario shows the same fault only if its violation is of this kind.
    pub kind: Kind,
    /// The line of the step that did not hold; 0 when no file says it.
    pub line: u32,
    /// Which step, counted from 1.
    pub step: u32,
    /// What was expected, and where, at any length.
    pub expected: String,
    /// What came instead, at any length.
    pub arrived: String,
    /// The last lines of the trace, shortened.
    pub trace: Vec<String>,
    /// When, in the world's time.
    pub at: Duration,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "step {}", self.step)?,
            line => write!(f, "line {line} (step {})", self.step)?,
        }
        writeln!(f, " does not hold, at {} s", trace::seconds(self.at))?;
        writeln!(f, "  expected: {}", shorten(self.expected.clone()))?;
        write!(f, "  arrived:  {}", shorten(self.arrived.clone()))?;
        if !self.trace.is_empty() {
            write!(f, "\n  before that:")?;
        }
        self.trace.iter().try_for_each(|line| write!(f, "\n  {line}"))
    }
}

impl std::error::Error for Violation {}

/// What is too long to be read is cut in its middle; its end often says why.
pub(super) fn shorten(line: String) -> String {
    let count = line.chars().count();
    if count <= LINE_CHARS_MAX {
        return line;
    }
    let end = LINE_CHARS_MAX / 4;
    let start: String = line.chars().take(LINE_CHARS_MAX - end).collect();
    let rest: String = line.chars().skip(count - end).collect();
    format!("{start}… ({} more) …{rest}", count - LINE_CHARS_MAX)
}
