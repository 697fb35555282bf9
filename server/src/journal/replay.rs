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
use lobbyd_core::engine::RestoreError;
use lobbyd_core::extension::RegisterError;
use lobbyd_core::id::SessionId;
use lobbyd_core::input::Input;
use lobbyd_net::extension::Extensions;
use lobbyd_net::journal::{Damage, Entry, Event, Heading, Outcome, Part, Replay};

use super::{PROGRAM, folder};

/// What is wanted of a replay.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Options {
    /// Show each entry, and what the engine does about it.
    pub print: bool,
    /// Show only what concerns this session. Each life of a server begins to name them anew.
    pub session: Option<SessionId>,
    /// Show only entries from this one on, counted in each life of a server.
    pub from: u64,
    /// Replay no entry behind this one, and no file behind that.
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
    /// Entries that are missing between files: the disk did not take them, or files are not there.
    pub missing: u64,
    /// What is not as it was recorded, and breakdowns that are; nothing if all is well.
    pub violations: Vec<String>,
}

/// Replays files of journals, in the order in which they are given; of a folder, all of its files, the oldest first.
/// Writes to `out` what is to be shown, with nothing in it that acts on a terminal. `extend` adds what extended the server;
/// without it, only a server without extensions can be replayed.
///
/// Damaged files, other outcomes and breakdowns are told in the summary. A file that is cut off is none of these: its
/// server was killed, or had no space.
///
/// # Errors
/// When a file cannot be read or is no journal, when the state in it is not of this build and these extensions, when files
/// are not in their order, when nothing is in any of them, and when `out` cannot be written to.
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
    if story.summary.files == 0 {
        bail!("nothing can be replayed: the files are cut off where they begin");
    }
    Ok(story.summary)
}

/// The files that are meant.
fn gathered(paths: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() {
            let found = folder::files(path).with_context(|| format!("cannot read the folder {}", shown(path)))?;
            if found.is_empty() {
                bail!("{} has no files of a journal (*.journal)", shown(path));
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
        let bytes = fs::read(path).with_context(|| format!("cannot read {}", shown(path)))?;
        let part = match Part::read(&bytes) {
            Ok(part) => part,
            Err(damage @ Damage::CutOff { .. }) => {
                writeln!(self.out, "{}: {damage}: nothing is in it", shown(path))?;
                return Ok(true);
            }
            Err(damage) => {
                // Even if nothing else can be read by this build.
                let by =
                    Heading::read(&bytes).map(|heading| format!(", which {} recorded", heading.program.escape_debug()));
                let by = by.unwrap_or_default();
                return Err(damage).with_context(|| format!("{PROGRAM} cannot replay {}{by}", shown(path)));
            }
        };
        writeln!(self.out, "{}: {}", shown(path), About(&part))?;
        if part.heading.program != PROGRAM {
            writeln!(self.out, "this is {PROGRAM}: it may do something else, and be right")?;
        }
        let mut replay = self.begin(path, &part)?;
        self.summary.files += 1;
        let began_at = replay.now();
        let is_more_wanted = self.tell_entries(path, &part, &mut replay)?;
        self.summary.recorded += replay.now().saturating_since(began_at);
        self.told = Some((replay, part.heading.run));
        Ok(is_more_wanted && self.summary.violations.is_empty())
    }

    /// The engine at the beginning of a file: the one of the file before, if that is the same life without a gap.
    fn begin(&mut self, path: &Path, part: &Part<'_>) -> anyhow::Result<Replay> {
        let Part { heading, beginning, .. } = part;
        if let Some((replay, _)) = self.told.take_if(|(_, run)| *run == heading.run) {
            if beginning.entries < replay.entries() {
                bail!("{} comes before the files that were replayed: name each once, in their order", shown(path));
            }
            match replay.is_continued(beginning) {
                Ok(true) => {
                    self.summary.states_compared += 1;
                    return Ok(replay);
                }
                Ok(false) => {
                    let missing = beginning.entries - replay.entries();
                    self.summary.missing += missing;
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
        Replay::new(beginning.clone(), extensions).map_err(|error| {
            let is_extended = matches!(error, RestoreError::ExtensionMissing(_));
            let advice = if is_extended { " (the program that it was recorded by has its extensions)" } else { "" };
            let recorded_by = heading.program.escape_debug();
            let what = format!("{PROGRAM} cannot replay {}, which {recorded_by} recorded{advice}", shown(path));
            anyhow::Error::new(error).context(what)
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
            if self.options.until.is_some_and(|until| replay.entries() > until) {
                return Ok(false);
            }
            if !self.tell_entry(path, &entry, outcome, replay)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Has one entry happen again. False if nothing can come behind it.
    fn tell_entry(
        &mut self,
        path: &Path,
        entry: &Entry<Input<'_>>,
        outcome: Option<Outcome>,
        replay: &mut Replay,
    ) -> anyhow::Result<bool> {
        self.summary.entries += 1;
        let number = replay.entries();
        let at = Duration::from_nanos((replay.now() + entry.after()).as_nanos());
        // An engine that has panicked is not asked again.
        let what = match (catch_unwind(AssertUnwindSafe(|| replay.step(entry, outcome))), outcome) {
            (Ok(Ok(())), Some(_)) => {
                self.summary.states_compared += u64::from(matches!(entry.event, Event::End { .. }));
                if self.options.print && number >= self.options.from {
                    show(self.out, &Shown { number, at, entry }, replay.actions(), self.options.session)?;
                }
                return Ok(true);
            }
            (Ok(Ok(())), None) => format!("entry {number} has ended the recorded engine, and does not end this one"),
            (Ok(Err(difference)), _) => difference.to_string(),
            (Err(panic), None) => format!("entry {number} ends the engine, as was recorded: {}", message(&*panic)),
            (Err(panic), Some(_)) => {
                format!("entry {number} ends the engine, and did not when it was recorded: {}", message(&*panic))
            }
        };
        self.violated(path, &format!("{what}\n  {:?}", entry.event))?;
        Ok(false)
    }

    fn violated(&mut self, path: &Path, what: &dyn fmt::Display) -> io::Result<()> {
        let what = format!("{}: {what}", shown(path));
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
}

/// Shows an entry and what is done about it; of these, if one session is wanted, what concerns it.
fn show(out: &mut dyn Write, shown: &Shown<'_>, actions: &Actions, session: Option<SessionId>) -> io::Result<()> {
    let Shown { number, at, entry } = shown;
    let is_wanted = |action: &&Action| session.is_none_or(|session| concerns(action, actions, session));
    let mut done = actions.iter().filter(is_wanted).peekable();
    if session.is_some_and(|session| !is_about(&entry.event, session)) && done.peek().is_none() {
        return Ok(());
    }
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

/// Whether an entry is about that session, or about the whole server. A deadline is about whoever is told something.
fn is_about(event: &Event<Input<'_>>, wanted: SessionId) -> bool {
    let input = match event {
        Event::Input(input) => input,
        Event::Timeout => return false,
        Event::End { .. } => return true,
    };
    match input {
        Input::Connected { session, .. }
        | Input::Received { session, .. }
        | Input::Stopped { session, .. }
        | Input::Malformed { session, .. }
        | Input::Disconnected { session }
        | Input::OutboxFull { session } => *session == wanted,
        Input::LoginVerdict { ticket, .. } | Input::PresenceLost { ticket } => ticket.session == wanted,
        Input::Stalled { .. } | Input::ServiceReply { .. } | Input::DisableExtension { .. } | Input::Admin(_) => true,
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

/// What a panic said, with nothing in it that acts on a terminal.
fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("a panic without a message").escape_debug().to_string()
}

/// A path, with nothing in it that acts on a terminal.
fn shown(path: &Path) -> String {
    path.to_string_lossy().escape_debug().to_string()
}

/// A part for people.
struct About<'a>(&'a Part<'a>);

impl fmt::Display for About<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Part { heading: Heading { program, run: _, unix_ms }, beginning, .. } = self.0;
        let program = program.escape_debug();
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
