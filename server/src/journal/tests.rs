use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use lobbyd_core::action::Actions;
use lobbyd_core::config::Config;
use lobbyd_core::extension::{Command, CommandHandler, Context, Failure};
use lobbyd_core::id::SessionId;
use lobbyd_core::input::Input;
use lobbyd_core::limits::Rate;
use lobbyd_core::time::Instant;
use lobbyd_net::extension::Extensions;
use lobbyd_net::journal::{Appetite, Beginning, Heading, JournalSink, JournalStats, Part, RecordedEngine};
use tempfile::TempDir;

use super::PROGRAM;
use super::files::{JournalError, JournalFiles, Recording};
use super::queue::{Piece, Queue, Refusal, Work};
use super::replay::{Options, Summary, replay};
use crate::config::{JournalSettings, Size};

fn settings(folder: &Path) -> JournalSettings {
    JournalSettings { enabled: true, folder: folder.to_owned(), ..JournalSettings::default() }
}

fn engine(extensions: Extensions) -> RecordedEngine {
    let rate = Rate::per_second(1_000_000, 1_000_000);
    extensions.assemble(Config { connects_per_address: rate, ..Config::default() }, 7, Instant::ZERO).engine
}

/// An engine to which people come, one after the other, and go.
struct World {
    engine: RecordedEngine,
    now: Instant,
    people: u32,
    // Dropped behind the engine, with which the sink goes.
    _recording: Recording,
}

impl World {
    fn new(settings: &JournalSettings) -> Self {
        Self::extended(settings, Extensions::new())
    }

    fn extended(settings: &JournalSettings, extensions: Extensions) -> Self {
        let (recording, files) = JournalFiles::start_trying_again(settings, Duration::from_millis(1)).unwrap();
        let mut engine = engine(extensions);
        engine.record(Instant::ZERO, Box::new(files));
        Self { engine, now: Instant::ZERO, people: 0, _recording: recording }
    }

    fn tell(&mut self, input: Input<'_>) {
        self.now = self.now + Duration::from_millis(3);
        self.engine.handle_input(self.now, input, &mut Actions::new());
        self.engine.hand_over();
    }

    /// One comes and goes: two entries.
    fn pass(&mut self) {
        let session = SessionId { index: 0, generation: self.people };
        self.people += 1;
        self.tell(Input::Connected { session, address: IpAddr::V4(Ipv4Addr::LOCALHOST) });
        self.tell(Input::Disconnected { session });
    }

    fn stats(&self) -> JournalStats {
        self.engine.journal_stats().unwrap()
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    super::folder::files(folder).unwrap()
}

fn told(paths: &[PathBuf], options: &Options) -> anyhow::Result<(Summary, String)> {
    let mut out = Vec::new();
    let summary = replay(paths, options, &mut |_| Ok(()), &mut out)?;
    Ok((summary, String::from_utf8(out).unwrap()))
}

fn replayed(folder: &Path) -> Summary {
    told(&[folder.to_owned()], &Options::default()).unwrap().0
}

fn refused(path: &Path) -> String {
    format!("{:#}", told(&[path.to_owned()], &Options::default()).unwrap_err())
}

#[test]
fn what_was_recorded_is_replayed_to_the_end() {
    let folder = TempDir::new().unwrap();
    let mut world = World::new(&settings(folder.path()));
    (0..50).for_each(|_| world.pass());
    world.engine.finish();
    drop(world);
    let summary = replayed(folder.path());
    assert_eq!((summary.files, summary.entries, summary.states_compared, summary.missing), (1, 101, 1, 0));
    assert_eq!((summary.recorded, summary.violations), (Duration::from_millis(300), vec![]));
}

#[test]
fn server_that_did_not_end_cleanly_has_all_that_it_was_told_in_its_journal() {
    let folder = TempDir::new().unwrap();
    let mut world = World::new(&settings(folder.path()));
    world.pass();
    let session = SessionId { index: 0, generation: 77 };
    let connected = Input::Connected { session, address: IpAddr::V4(Ipv4Addr::LOCALHOST) };
    // In the middle of a turn.
    world.engine.handle_input(world.now, connected, &mut Actions::new());
    drop(world);
    let summary = replayed(folder.path());
    assert_eq!((summary.entries, summary.violations), (3, vec![]));
}

#[test]
fn files_have_their_size_and_old_ones_go() {
    let folder = TempDir::new().unwrap();
    let settings = JournalSettings { file_bytes_max: Size::bytes(1000), files_max: 3, ..settings(folder.path()) };
    let mut world = World::new(&settings);
    // A new part begins when the disk has the one before.
    while world.stats().parts < 20 {
        world.pass();
        thread::yield_now();
    }
    world.engine.finish();
    drop(world);
    let files = files(folder.path());
    let lengths: Vec<u64> = files.iter().map(|file| fs::metadata(file).unwrap().len()).collect();
    let before_last: u64 = lengths[..lengths.len() - 1].iter().sum();
    assert!(lengths.len() < 10 && before_last <= 3000, "{lengths:?}");
    let summary = replayed(folder.path());
    assert_eq!((summary.files, summary.missing, summary.violations), (files.len(), 0, vec![]));
    assert_eq!(summary.states_compared, files.len() as u64, "the joints and the end");
}

/// A journal of six parts or more.
fn parts(folder: &Path) -> Vec<PathBuf> {
    let settings = JournalSettings { file_bytes_max: Size::bytes(1), files_max: 1_000_000, ..settings(folder) };
    let mut world = World::new(&settings);
    while world.stats().parts < 6 {
        world.pass();
        thread::yield_now();
    }
    world.engine.finish();
    drop(world);
    files(folder)
}

#[test]
fn files_that_are_missing_or_out_of_order_are_noticed() {
    let folder = TempDir::new().unwrap();
    let files = parts(folder.path());
    let told = |files: &[&PathBuf]| {
        let files: Vec<PathBuf> = files.iter().map(|file| (*file).clone()).collect();
        told(&files, &Options::default())
    };
    let (first_is_missing, _) = told(&[&files[1], &files[2]]).unwrap();
    assert_eq!((first_is_missing.files, first_is_missing.missing), (2, 0));
    let (middle_is_missing, text) = told(&[&files[0], &files[2]]).unwrap();
    assert!(middle_is_missing.missing > 0 && text.contains("entries are missing before it"), "{text}");
    assert_eq!(middle_is_missing.violations, Vec::<String>::new());
    for wrong in [[&files[1], &files[0]], [&files[1], &files[1]]] {
        let error = told(&wrong).unwrap_err().to_string();
        assert!(error.ends_with("name each once, in their order"), "{error}");
    }
}

#[test]
fn nobody_else_reads_a_journal() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("journal");
    let mut world = World::new(&settings(&path));
    world.pass();
    drop(world);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&path), mode(&files(&path)[0]), mode(&path.join("lock"))), (0o700, 0o600, 0o600));
}

#[test]
fn clock_that_goes_backwards_costs_no_file_that_is_new() {
    let folder = TempDir::new().unwrap();
    let later = folder.path().join("99999999999999999998-00000000000000000003.journal");
    fs::write(&later, vec![0; 2000]).unwrap();
    let settings = JournalSettings { file_bytes_max: Size::bytes(1000), files_max: 1, ..settings(folder.path()) };
    let mut world = World::new(&settings);
    world.pass();
    drop(world);
    let [file] = &files(folder.path())[..] else { panic!("{:?}", files(folder.path())) };
    assert_ne!(*file, later, "that is the oldest one");
    assert_eq!(replayed(folder.path()).entries, 2);
}

#[test]
fn two_lives_of_a_server_are_replayed_one_behind_the_other() {
    let folder = TempDir::new().unwrap();
    for _ in 0..2 {
        let mut world = World::new(&settings(folder.path()));
        world.pass();
        world.engine.finish();
    }
    let summary = replayed(folder.path());
    assert_eq!((summary.files, summary.entries, summary.states_compared, summary.missing), (2, 6, 2, 0));
}

#[test]
fn folder_is_for_one_server() {
    let folder = TempDir::new().unwrap();
    let settings = settings(folder.path());
    let world = World::new(&settings);
    let Err(error) = JournalFiles::start(&settings) else { panic!("two write to one folder") };
    assert!(matches!(error, JournalError::Taken { .. }));
    assert!(error.to_string().contains("a folder of its own (journal.folder)"), "{error}");
    drop(world);
    World::new(&settings);
}

#[test]
fn folder_that_cannot_be_is_an_error() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let Err(error) = JournalFiles::start(&settings(&file)) else { panic!("a file is no folder") };
    assert!(matches!(&error, JournalError::System { folder, .. } if *folder == file), "{error}");
}

#[test]
fn disk_that_fails_costs_the_server_nothing_but_the_journal_until_it_is_back() {
    let parent = TempDir::new().unwrap();
    let folder = parent.path().join("journal");
    let mut world =
        World::new(&JournalSettings { file_bytes_max: Size::bytes(200), files_max: 1000, ..settings(&folder) });
    world.pass();
    while files(&folder).is_empty() {
        thread::yield_now();
    }
    // The file that is open stays; the next one cannot be made.
    fs::rename(&folder, parent.path().join("away")).unwrap();
    while world.stats().is_recording {
        world.pass();
        thread::yield_now();
    }
    world.pass();
    assert!(world.stats().lost > 0);
    fs::rename(parent.path().join("away"), &folder).unwrap();
    let parts = world.stats().parts;
    // It may be that a part begins while the disk is not back yet, and fails, too.
    while world.stats().parts < parts + 3 || !world.stats().is_recording {
        world.pass();
        thread::yield_now();
    }
    world.engine.finish();
    drop(world);
    let summary = replayed(&folder);
    assert!(summary.missing > 0);
    assert!(summary.states_compared > 0, "it ended cleanly");
    assert_eq!(summary.violations, Vec::<String>::new());
}

/// The beginning of a journal.
fn beginning() -> Beginning {
    let snapshot = engine(Extensions::new()).snapshot();
    Beginning { part: 0, entries: 0, lost: 0, now: Instant::ZERO, snapshot }
}

#[test]
fn queue_takes_what_its_bound_allows_and_joins_what_belongs_together() {
    let queue = Queue::default();
    queue.begin(beginning());
    assert_eq!(queue.put(b"one", 6), Ok(()));
    assert_eq!(queue.put(b"two", 6), Ok(()));
    assert_eq!(queue.put(b"!", 6), Err(Refusal::Full));
    assert!(!queue.is_clear() && queue.has_beginning());
    let Work { pieces, is_last } = queue.take(Duration::ZERO);
    assert!(matches!(&pieces[..], [Piece::Beginning(_), Piece::Entries(entries)] if entries == b"onetwo"));
    assert!(!is_last && !queue.has_beginning() && !queue.is_clear());
    assert_eq!(queue.put(b"!", 6), Err(Refusal::Full), "it is being written");
    queue.wrote(6);
    assert!(queue.is_clear());
    assert_eq!(queue.put(b"three", 6), Ok(()));
    queue.break_down();
    assert_eq!(queue.put(b"", 6), Err(Refusal::Broken));
    assert!(!queue.is_clear());
    queue.repair();
    assert!(queue.is_clear(), "what waited is dropped");
    assert_eq!(queue.put(b"", 6), Err(Refusal::Broken), "it would be behind a gap");
    queue.begin(beginning());
    assert_eq!(queue.put(b"six", 6), Ok(()));
    queue.take(Duration::ZERO);
    queue.wrote(3);
    queue.end();
    let Work { pieces, is_last } = queue.take(Duration::ZERO);
    assert!(pieces.is_empty() && is_last);
}

#[test]
fn sink_that_is_behind_takes_nothing_until_everything_is_written() {
    let folder = TempDir::new().unwrap();
    let settings = JournalSettings { buffer_bytes_max: Size::bytes(10), ..settings(folder.path()) };
    let (recording, mut files) = JournalFiles::start(&settings).unwrap();
    files.begin(beginning());
    assert_eq!(files.append(&[0; 11]), Appetite::Nothing);
    let mut appetite = Appetite::Nothing;
    while appetite == Appetite::Nothing {
        thread::yield_now();
        appetite = files.append(&[]);
    }
    assert_eq!(appetite, Appetite::Part);
    drop((files, recording));
}

/// A journal in a file, of a server to which five came.
fn journal(folder: &Path) -> PathBuf {
    let mut world = World::new(&settings(folder));
    (0..5).for_each(|_| world.pass());
    world.engine.finish();
    drop(world);
    files(folder).remove(0)
}

#[test]
fn entries_are_shown_that_are_wanted() {
    let folder = TempDir::new().unwrap();
    let file = [journal(folder.path())];
    let shown = |options: Options| told(&file, &options).unwrap().1;
    let all = shown(Options { print: true, ..Options::default() });
    assert_eq!(all.lines().filter(|line| line.starts_with('#')).count(), 11, "{all}");
    assert!(all.contains("#0 at 0.003000 s: Connected { session: session 0.0, address: 127.0.0.1 }"), "{all}");
    assert!(all.contains("  to session 0.0: Welcome"), "{all}");
    assert!(all.contains("#10 at 0.030000 s: the end, with digest "), "{all}");
    let third = Some(SessionId { index: 0, generation: 2 });
    let of_third = shown(Options { print: true, session: third, ..Options::default() });
    let numbers = |text: &str| -> Vec<String> {
        let lines = text.lines().filter(|line| line.starts_with('#'));
        lines.map(|line| line.split(' ').next().unwrap().to_owned()).collect()
    };
    assert_eq!(numbers(&of_third), ["#4", "#5", "#10"], "{of_third}");
    let some = shown(Options { print: true, from: 3, until: Some(4), ..Options::default() });
    assert_eq!(numbers(&some), ["#3", "#4"], "{some}");
    let none = shown(Options::default());
    assert_eq!(none.lines().count(), 1, "{none}");
}

#[test]
fn damage_is_a_violation_and_a_cut_is_not() {
    let folder = TempDir::new().unwrap();
    let file = journal(folder.path());
    let whole = fs::read(&file).unwrap();
    fs::write(&file, &whole[..whole.len() - 1]).unwrap();
    let (summary, text) = told(std::slice::from_ref(&file), &Options::default()).unwrap();
    assert!(text.contains("cut off") && summary.violations.is_empty(), "{text}");
    fs::write(&file, &whole[..20]).unwrap();
    assert!(refused(&file).starts_with("nothing can be replayed"), "{}", refused(&file));
    let mut damaged = whole.clone();
    damaged.extend_from_slice(&[1; 20]);
    fs::write(&file, &damaged).unwrap();
    let (summary, text) = told(std::slice::from_ref(&file), &Options::default()).unwrap();
    let [violation] = &summary.violations[..] else { panic!("{text}") };
    assert!(violation.contains("is damaged: its checksum is"), "{violation}");
    assert_eq!(summary.entries, 11, "what is before it is whole");
}

/// What a sink got, turn by turn.
#[derive(Clone, Default)]
struct Turns(Arc<Mutex<Vec<Vec<u8>>>>);

impl JournalSink for Turns {
    fn begin(&mut self, _: Beginning) {}

    fn append(&mut self, entries: &[u8]) -> Appetite {
        self.0.lock().unwrap().push(entries.to_owned());
        Appetite::Entries
    }
}

/// The entries of one who comes: one that has two actions of one byte each as its outcome.
fn connected() -> Vec<u8> {
    let turns = Turns::default();
    let mut engine = engine(Extensions::new());
    engine.record(Instant::ZERO, Box::new(turns.clone()));
    let session = SessionId { index: 0, generation: 0 };
    let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
    engine.handle_input(Instant::ZERO, Input::Connected { session, address }, &mut Actions::new());
    engine.hand_over();
    turns.0.lock().unwrap().remove(0)
}

/// Replays a file with these entries; gives the violations, and what was shown.
fn told_of(program: &str, entries: &[u8]) -> (Vec<String>, String) {
    let mut file = Vec::new();
    let heading = Heading { program: program.to_owned(), run: 1, unix_ms: u64::MAX };
    Part::append_beginning(&heading, &beginning(), &mut file);
    Part::append_entries(entries, &mut file);
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("made.journal");
    fs::write(&path, file).unwrap();
    let (summary, text) = told(&[path], &Options::default()).unwrap();
    (summary.violations, text)
}

#[test]
fn breakdown_that_was_recorded_and_does_not_come_again_is_a_violation() {
    let whole = connected();
    assert_eq!(told_of(PROGRAM, &whole).0, Vec::<String>::new());
    let (violations, _) = told_of(PROGRAM, &whole[..whole.len() - 2]);
    let [violation] = &violations[..] else { panic!("{violations:?}") };
    assert!(violation.contains("entry 0 has ended the recorded engine, and does not end this one"), "{violation}");
}

#[test]
fn breakdown_is_told_and_whether_it_was_recorded() {
    // Two sessions of one name, which no driver gives.
    let twice = [connected(), connected()].concat();
    let (violations, _) = told_of(PROGRAM, &twice);
    assert!(violations[0].contains("entry 1 ends the engine, and did not when it was recorded: "), "{violations:?}");
    assert!(violations[0].contains("Connected { session: session 0.0"), "{violations:?}");
    let (violations, _) = told_of(PROGRAM, &twice[..twice.len() - 2]);
    assert!(violations[0].contains("entry 1 ends the engine, as was recorded: "), "{violations:?}");
}

#[test]
fn other_program_is_named_and_nothing_of_it_acts_on_a_terminal() {
    let (violations, text) = told_of("lobbyd 9.9 \u{1b}[2J\u{202e}", &connected());
    assert_eq!(violations, Vec::<String>::new());
    assert!(text.contains("lobbyd 9.9 \\u{1b}[2J\\u{202e}, 18446744073709551615 ms after 1970"), "{text}");
    assert!(text.contains(&format!("this is {PROGRAM}: it may do something else, and be right")), "{text}");
}

#[test]
fn what_cannot_be_replayed_is_said() {
    let folder = TempDir::new().unwrap();
    assert!(refused(folder.path()).ends_with("has no files of a journal (*.journal)"));
    let text = folder.path().join("notes.journal");
    fs::write(&text, "notes, and nothing else").unwrap();
    assert!(refused(&text).contains("this is no journal of lobbyd"), "{}", refused(&text));
    assert!(refused(&folder.path().join("nothing")).starts_with("cannot read "));
}

#[derive(Clone)]
struct Silent;

impl CommandHandler for Silent {
    fn command(&mut self, _: &mut Context<'_>, _: Command<'_>) -> Result<(), Failure> {
        Ok(())
    }
}

#[test]
fn server_with_extensions_is_replayed_with_the_same_ones() {
    let folder = TempDir::new().unwrap();
    let extend = |extensions: &mut Extensions| extensions.command("silent", Silent).map(|_| ());
    let mut extensions = Extensions::new();
    extend(&mut extensions).unwrap();
    let mut world = World::extended(&settings(folder.path()), extensions);
    world.pass();
    drop(world);
    let error = refused(folder.path());
    assert!(error.contains("was taken with extension silent, which is not there"), "{error}");
    assert!(error.contains("the program that it was recorded by has its extensions"), "{error}");
    let paths = [folder.path().to_owned()];
    let summary = replay(&paths, &Options::default(), &mut { extend }, &mut Vec::new()).unwrap();
    assert_eq!((summary.entries, summary.violations), (2, vec![]));
}
