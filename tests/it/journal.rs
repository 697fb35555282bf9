//! The journal of a daemon, whatever its end: `lobbyd replay` has everything happen again.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use lobbyd_core::packet::ServerPacket;

use crate::support::log::says;
use crate::support::setup::{PROGRAM, output_of};
use crate::support::{Daemon, Setup, Signal, Wire, say, secret_of, wait_until};

const GENERAL: u32 = 1;
const FAILURE: &str = "the journal cannot be written (journal.folder): nothing is recorded until it can be";

fn recorded(users: &[&str]) -> (Setup, PathBuf) {
    let setup = Setup::new();
    let folder = setup.folder().join("journal");
    let setup = setup.set("journal.enabled", "true").set("journal.folder", &folder.display().to_string());
    (setup.users(users), folder)
}

fn replay(arguments: &[&str], folder: &Path) -> Output {
    let mut command = Command::new(PROGRAM);
    command.arg("replay").args(arguments).arg(folder);
    output_of(command, "")
}

/// Replays a journal, which has to come out as it was recorded; gives what was printed.
#[track_caller]
fn replayed(arguments: &[&str], folder: &Path) -> String {
    let output = replay(arguments, folder);
    let printed = String::from_utf8(output.stdout).expect("the program prints UTF-8");
    assert!(output.status.success(), "{}: {printed}{}", output.status, String::from_utf8_lossy(&output.stderr));
    assert!(printed.contains(" came out as "), "{printed}");
    printed
}

/// The one file of a journal.
#[track_caller]
fn only_file(folder: &Path) -> PathBuf {
    let entries = fs::read_dir(folder).expect("it is there").map(|entry| entry.expect("it can be read").path());
    let mut files = entries.filter(|path| path.extension().is_some_and(|extension| extension == "journal"));
    let file = files.next().expect("there is one");
    assert_eq!(files.next(), None);
    file
}

fn talk(alice: &mut Wire, bob: &mut Wire, texts: &[&str]) {
    for text in texts {
        alice.say(say::chat(9, GENERAL, text));
        assert!(matches!(alice.receive(), ServerPacket::RoomChatResponse { .. }));
        assert!(matches!(bob.receive(), ServerPacket::RoomChatNotify { .. }));
    }
}

fn in_general(daemon: &Daemon) -> [Wire; 2] {
    let [mut alice, mut bob] = ["alice", "bob"].map(|name| daemon.log_in(name));
    alice.enter(GENERAL);
    bob.enter(GENERAL);
    assert!(matches!(alice.receive(), ServerPacket::RoomNewUserNotify { .. }));
    [alice, bob]
}

#[test]
fn everything_that_happened_happens_again_and_no_secret_is_in_it() {
    let (setup, folder) = recorded(&["alice", "bob"]);
    let mut daemon = setup.start();
    let [mut alice, mut bob] = in_general(&daemon);
    talk(&mut alice, &mut bob, &["who is there?"]);
    // Refused, and in the journal all the same.
    alice.say(say::chat(10, GENERAL, "\u{202e}backwards\u{1b}[2J"));
    assert!(matches!(alice.receive(), ServerPacket::RoomChatResponse { .. }));
    drop(alice);
    daemon.signal(Signal::Interrupt);
    assert!(daemon.wait_for_exit().success());
    let printed = replayed(&["--print"], &folder);
    assert!(printed.contains("text: \"who is there?\""), "{printed}");
    assert!(printed.contains("the end, with digest "), "{printed}");
    assert!(!printed.chars().any(|character| character.is_control() && character != '\n'), "{printed}");
    assert!(printed.contains("backwards") && !printed.contains('\u{202e}'), "{printed}");
    let file = only_file(&folder);
    let bytes = fs::read(&file).expect("it can be read");
    assert!(bytes.windows(13).any(|window| window == b"who is there?"));
    let secret = secret_of("alice");
    assert!(!bytes.windows(secret.len()).any(|window| window == secret.as_bytes()));
    assert!(!printed.contains(&secret));
}

#[test]
fn daemon_that_was_killed_has_all_but_its_last_moment_in_its_journal() {
    let (setup, folder) = recorded(&["alice", "bob"]);
    let daemon = setup.start();
    let [mut alice, mut bob] = in_general(&daemon);
    talk(&mut alice, &mut bob, &["one", "two", "three"]);
    // What is older than a moment is with the system: entries are written every ten milliseconds.
    wait_until("the last text in the journal", || {
        let printed = replay(&["--print"], &folder).stdout;
        String::from_utf8_lossy(&printed).contains("text: \"three\"")
    });
    daemon.kill();
    let printed = replayed(&["--print", "--session", "0.0"], &folder);
    assert!(printed.contains("text: \"three\""), "{printed}");
    assert!(!printed.contains("the end, with digest"), "{printed}");
}

#[test]
fn daemons_with_several_threads_and_small_files_are_replayed_as_well() {
    let (setup, folder) = recorded(&["alice", "bob"]);
    let setup = setup.set("server.io_threads", "3").set("journal.file_bytes_max", "64KiB");
    for _ in 0..2 {
        let mut daemon = setup.start();
        let [mut alice, mut bob] = in_general(&daemon);
        let long = "a text of some length, again and again; ".repeat(40);
        talk(&mut alice, &mut bob, &[long.as_str(); 60]);
        daemon.signal(Signal::Terminate);
        drop((alice, bob));
        assert!(daemon.wait_for_exit().success());
    }
    let printed = replayed(&[], &folder);
    let files = printed.lines().filter(|line| line.contains(" part ")).count();
    assert!(files >= 4, "{printed}");
    assert!(!printed.contains("missing"), "{printed}");
}

#[test]
fn disk_that_is_full_for_a_while_costs_what_happens_meanwhile_and_no_file() {
    let (setup, folder) = recorded(&["alice", "bob"]);
    let serve = setup.serve();
    // Without the signal by which the system would end a process that writes past its limit.
    let mut command = Command::new("bash");
    command.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""]).arg(serve.get_program()).args(serve.get_args());
    let mut daemon = Daemon::start(command);
    let [mut alice, mut bob] = in_general(&daemon);
    daemon.log.wait_for("the journal", |line| says(line, "the journal begins"));
    let limit_files_to = |bytes: &str| {
        let process = format!("--pid={}", daemon.process_id());
        let done = Command::new("prlimit").args([&process, &format!("--fsize={bytes}:unlimited")]).status();
        assert!(done.expect("prlimit (of util-linux) is needed").success());
    };
    // The state with which a file begins is longer.
    limit_files_to("200");
    talk(&mut alice, &mut bob, &["lost"]);
    let line = daemon.log.wait_for("the failure", |line| says(line, FAILURE));
    assert!(line["error"].as_str().is_some_and(|error| error.contains("File too large")), "{line}");
    // It is tried again after five seconds, which fails when the file is made already.
    let since = Instant::now();
    wait_until("another try", || {
        talk(&mut alice, &mut bob, &["lost, too"]);
        since.elapsed() > Duration::from_secs(6)
    });
    only_file(&folder);
    limit_files_to("unlimited");
    wait_until("a file that begins", || {
        talk(&mut alice, &mut bob, &["found"]);
        fs::read_dir(&folder).expect("it is there").count() == 3
    });
    drop((alice, bob));
    daemon.wait_for_ended_sessions(2);
    daemon.signal(Signal::Interrupt);
    assert!(daemon.wait_for_exit().success());
    let printed = replayed(&["--print"], &folder);
    assert!(printed.contains("entries are missing") && printed.contains("\"found\""), "{printed}");
    assert!(!printed.contains("\"lost, too\""), "{printed}");
}

#[test]
fn damaged_journal_fails_and_says_where() {
    let (setup, folder) = recorded(&["alice"]);
    let mut daemon = setup.start();
    drop(daemon.log_in("alice"));
    daemon.wait_for_ended_sessions(1);
    daemon.signal(Signal::Interrupt);
    assert!(daemon.wait_for_exit().success());
    let file = only_file(&folder);
    let mut bytes = fs::read(&file).expect("it can be read");
    bytes[100] ^= 1;
    fs::write(&file, bytes).expect("it can be written");
    let output = replay(&[], &file);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains(" is damaged: its checksum is "), "{said}");
}

#[test]
fn folder_of_another_daemon_is_refused_before_anything_begins() {
    let (setup, folder) = recorded(&[]);
    let _daemon = setup.start();
    let other = Setup::new().set("journal.enabled", "true").set("journal.folder", &folder.display().to_string());
    let output = other.start_in_vain();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("another server writes its journal to"), "{said}");
}

#[test]
fn journal_says_in_the_log_where_it_is() {
    let (setup, folder) = recorded(&[]);
    let daemon = setup.start();
    let line = daemon.log.wait_for("the journal", |line| says(line, "the journal begins"));
    assert!(line["path"].as_str().is_some_and(|path| Path::new(path).starts_with(&folder)), "{line}");
}
