//! Replaying files of a journal: everything that happened to a server happens again, to an engine of its own, and must
//! come out the same.

use std::any::Any;
use std::fmt;
use std::fs;
use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use anyhow::{Context, bail};
use lobbyd_core::action::{Action, Actions};
use lobbyd_core::extension::RegisterError;
use lobbyd_core::id::SessionId;
use lobbyd_core::input::Input;
use lobbyd_net::extension::Extensions;
use lobbyd_net::journal::{Damage, Entry, Event, Heading, Outcome, Part, Replay};

use super::folder;

/// What is wanted of a replay.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Options {
    /// Show each entry, and what the engine does about it.
    pub print: bool,
    /// Show only what concerns this session.
    pub session: Option<SessionId>,
    /// Show only entries from this one on.
    pub from: u64,
    /// Replay no entry behind this one.
    pub until: Option<u64>,
}

/// How a replay went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Summary {
    /// Files that were replayed.
    pub files: usize,
    /// Entries that were replayed.
    pub entries: u64,
    /// How long that was when it was recorded.
    pub recorded: Duration,
    /// How often a state was compared with a recorded one: where files join, and at clean ends.
    pub states_compared: u64,
    /// Entries that are missing before files, because the disk did not take them or files are not there.
    pub gaps: u64,
    /// What is not as it was recorded; nothing if all is.
    pub violations: Vec<String>,
}

/// Replays files of journals, in the order in which they are given; of a folder, all of its files, the oldest first.
/// Writes to `out` what is to be shown. `extend` adds what extended the server; without it, only a server without
/// extensions can be replayed.
///
/// Damaged files and other outcomes are told in the summary. A file that is cut off is none of these: its server was
/// killed.
///
/// # Errors
/// When a file cannot be read or is no journal, or the state in it is not of this build and these extensions; when `out`
/// cannot be written to.
pub fn replay(
    paths: &[PathBuf],
    options: &Options,
    extend: &mut dyn FnMut(&mut Extensions) -> Result<(), RegisterError>,
    out: &mut dyn Write,
) -> anyhow::Result<Summary> {
    let mut story = Story { options, extend, out, summary: Summary::default(), told: None };
    for file in gathered(paths)? {
        if !story.tell_file(&file)? {
            break;
        }
    }
    Ok(story.summary)
}

/// The files that are meant.
fn gathered(paths: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() {
            let found = folder::files(path).with_context(|| format!("cannot read the folder {}", path.display()))?;
            if found.is_empty() {
                bail!("{} has no files of a journal (*.journal)", path.display());
            }
            files.extend(found);
        } else {
            files.push(path.clone());
        }
    }
    Ok(files)
}

struct Story<'a> {
    options: &'a Options,
    extend: &'a mut dyn FnMut(&mut Extensions) -> Result<(), RegisterError>,
    out: &'a mut dyn Write,
    summary: Summary,
    /// The engine, and whose life it has.
    told: Option<(Replay, u64)>,
}

impl Story<'_> {
    /// Tells of a file, and says whether more is wanted.
    fn tell_file(&mut self, path: &Path) -> anyhow::Result<bool> {
        let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let part = match Part::read(&bytes) {
            Ok(part) => part,
            Err(damage @ Damage::CutOff { .. }) => {
                writeln!(self.out, "{}: {damage}: nothing is in it", path.display())?;
                return Ok(true);
            }
            Err(damage) => return Err(damage).with_context(|| format!("cannot replay {}", path.display())),
        };
        writeln!(self.out, "{}: {}", path.display(), About(&part.heading))?;
        let mut replay = self.begin(path, &part.heading)?;
        self.summary.files += 1;
        let began_at = replay.now();
        let is_more_wanted = self.tell_entries(path, &part, &mut replay)?;
        self.summary.recorded += replay.now().saturating_since(began_at);
        self.told = Some((replay, part.heading.run));
        Ok(is_more_wanted && self.summary.violations.is_empty())
    }

    /// The engine at the beginning of a file: the one of the file before, if that is the same life without a gap.
    fn begin(&mut self, path: &Path, heading: &Heading) -> anyhow::Result<Replay> {
        let beginning = &heading.beginning;
        if let Some((replay, _)) = self.told.take_if(|(_, run)| *run == heading.run) {
            match replay.is_continued(beginning) {
                Ok(true) => {
                    self.summary.states_compared += 1;
                    return Ok(replay);
                }
                Ok(false) => {
                    let missing = beginning.entries.saturating_sub(replay.entries());
                    self.summary.gaps += missing;
                    writeln!(
                        self.out,
                        "{missing} entries are missing before it: it is replayed from its own beginning"
                    )?;
                }
                Err(difference) => self.violated(path, &difference)?,
            }
        }
        let mut extensions = Extensions::new();
        (self.extend)(&mut extensions)?;
        Replay::new(beginning.clone(), extensions).with_context(|| {
            format!(
                "cannot replay {}, which was recorded by {}, with {}",
                path.display(),
                heading.program,
                super::PROGRAM
            )
        })
    }

    fn tell_entries(&mut self, path: &Path, part: &Part<'_>, replay: &mut Replay) -> anyhow::Result<bool> {
        for entry in part.entries() {
            let (entry, outcome) = match entry {
                Ok(read) => read,
                Err(damage @ Damage::CutOff { .. }) => {
                    writeln!(self.out, "{damage}: the server was killed while it wrote that, or the disk was full")?;
                    return Ok(true);
                }
                Err(damage) => {
                    self.violated(path, &damage)?;
                    return Ok(false);
                }
            };
            let number = replay.entries();
            if self.options.until.is_some_and(|until| number > until) {
                return Ok(false);
            }
            if !self.tell_entry(path, number, &entry, outcome, replay)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Has one entry happen again. False if nothing can come behind it.
    fn tell_entry(
        &mut self,
        path: &Path,
        number: u64,
        entry: &Entry<Input<'_>>,
        outcome: Option<Outcome>,
        replay: &mut Replay,
    ) -> anyhow::Result<bool> {
        self.summary.entries += 1;
        let at = Duration::from_nanos((replay.now() + entry.after()).as_nanos());
        let is_wanted = self.options.print && number >= self.options.from;
        let of_it = |session: SessionId| self.options.session.is_none_or(|wanted| wanted == session);
        let is_about = is_wanted && session_of(&entry.event).is_none_or(of_it);
        // An engine that has panicked is not asked again.
        let step = catch_unwind(AssertUnwindSafe(|| replay.step(entry, outcome)));
        let step = match step {
            Ok(step) => step,
            Err(panic) => {
                let what = format!("entry {number} ends the engine again: {}\n  {:?}", message(&*panic), entry.event);
                self.violated(path, &what)?;
                return Ok(false);
            }
        };
        match step {
            Ok(()) => {
                self.summary.states_compared += u64::from(matches!(entry.event, Event::End { .. }));
                if is_wanted {
                    show(self.out, &Shown { number, at, entry, is_about }, replay.actions(), self.options.session)?;
                }
            }
            Err(difference) => {
                let what = format!("{difference}\n  {:?}", entry.event);
                self.violated(path, &what)?;
                return Ok(false);
            }
        }
        if outcome.is_none() {
            writeln!(self.out, "the server ended within entry {number}, which does not end the engine here")?;
        }
        Ok(true)
    }

    fn violated(&mut self, path: &Path, what: &dyn fmt::Display) -> io::Result<()> {
        let what = format!("{}: {what}", path.display());
        writeln!(self.out, "{what}")?;
        self.summary.violations.push(what);
        Ok(())
    }
}

/// An entry for people.
struct Shown<'a> {
    number: u64,
    at: Duration,
    entry: &'a Entry<Input<'a>>,
    /// Whether it concerns who is wanted, and not only what is done about it.
    is_about: bool,
}

/// Shows an entry and what is done about it; of these, if one session is wanted, what concerns it.
fn show(out: &mut dyn Write, shown: &Shown<'_>, actions: &Actions, session: Option<SessionId>) -> io::Result<()> {
    let is_about = |action: &&Action| session.is_none_or(|session| concerns(action, actions, session));
    let mut done = actions.iter().filter(is_about).peekable();
    if !shown.is_about && done.peek().is_none() {
        return Ok(());
    }
    let Shown { number, at, entry, .. } = shown;
    write!(out, "#{number} at {}.{:06} s: ", at.as_secs(), at.subsec_micros())?;
    match &entry.event {
        Event::Input(input) => writeln!(out, "{input:?}")?,
        Event::Timeout => writeln!(out, "a deadline")?,
        Event::End { digest } => writeln!(out, "the end, with digest {digest:016x}")?,
    }
    for action in done {
        match action {
            Action::Broadcast { to, packet } => writeln!(out, "  to {:?}: {packet:?}", actions.recipients(*to))?,
            Action::Send { to, packet } => writeln!(out, "  to {to:?}: {packet:?}")?,
            Action::Close { .. }
            | Action::VerifyLogin { .. }
            | Action::ReleasePresence { .. }
            | Action::Online { .. }
            | Action::CallService { .. }
            | Action::ServiceAnswer { .. }
            | Action::Answer { .. }
            | Action::ExtensionFailed { .. } => writeln!(out, "  {action:?}")?,
        }
    }
    Ok(())
}

/// Whose entry it is; nobody's if it is the server's.
fn session_of(event: &Event<Input<'_>>) -> Option<SessionId> {
    let Event::Input(input) = event else { return None };
    match input {
        Input::Connected { session, .. }
        | Input::Received { session, .. }
        | Input::Stopped { session, .. }
        | Input::Malformed { session, .. }
        | Input::Disconnected { session }
        | Input::OutboxFull { session } => Some(*session),
        Input::LoginVerdict { ticket, .. } | Input::PresenceLost { ticket } => Some(ticket.session),
        Input::Stalled { .. } | Input::ServiceReply { .. } | Input::DisableExtension { .. } | Input::Admin(_) => None,
    }
}

fn concerns(action: &Action, actions: &Actions, wanted: SessionId) -> bool {
    match action {
        Action::Send { to, .. } => *to == wanted,
        Action::Broadcast { to, .. } => actions.recipients(*to).contains(&wanted),
        Action::Close { session, .. } | Action::Online { session, .. } => *session == wanted,
        Action::VerifyLogin { ticket, .. } | Action::ReleasePresence { ticket, .. } => ticket.session == wanted,
        Action::CallService { .. }
        | Action::ServiceAnswer { .. }
        | Action::Answer { .. }
        | Action::ExtensionFailed { .. } => false,
    }
}

/// What a panic said.
fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("a panic without a message")
}

/// A heading for people.
struct About<'a>(&'a Heading);

impl fmt::Display for About<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Heading { program, run: _, unix_ms, beginning } = self.0;
        // What a file says may be any number.
        let began_at =
            UNIX_EPOCH.checked_add(Duration::from_millis(*unix_ms)).filter(|at| *at < UNIX_EPOCH + YEAR_10000);
        match began_at {
            Some(at) => write!(f, "{program}, {}", humantime::format_rfc3339_millis(at))?,
            None => write!(f, "{program}, {unix_ms} ms after 1970")?,
        }
        write!(f, ", part {} from entry {} on", beginning.part, beginning.entries)
    }
}

/// From 1970 on; later times have no such form.
const YEAR_10000: Duration = Duration::from_secs(253_402_300_800);
