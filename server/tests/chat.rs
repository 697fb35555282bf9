//! `lobbyd chat` against `lobbyd serve`, as processes under pipes: what two people see of each other.

#![expect(clippy::unwrap_used, reason = "in helpers of tests too, a panic is how a test fails")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// How long anything may take before it counts as never: for a machine that is very busy.
const DEADLINE: Duration = Duration::from_secs(30);

/// A hash that costs next to nothing.
const CHEAP: [&str; 4] = ["--set", "accounts.argon2_memory=128KiB", "--set", "accounts.argon2_iterations=1"];

/// The program, in an environment that sets none of its settings.
fn lobbyd(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lobbyd"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("LOBBYD_")) {
        command.env_remove(name);
    }
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A running program, killed when the test ends before it does.
struct Process {
    child: Child,
    input: Option<ChildStdin>,
    output: Lines,
    errors: Lines,
}

impl Process {
    fn start(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let (input, output, errors) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (output, errors) = (Lines::read("output", output.unwrap()), Lines::read("errors", errors.unwrap()));
        Self { child, input, output, errors }
    }

    fn type_line(&mut self, line: &str) {
        writeln!(self.input.as_mut().unwrap(), "{line}").unwrap();
    }

    fn end_input(&mut self) {
        self.input = None;
    }

    /// The exit code, after all output: what nobody has asked for yet is the second and the third.
    #[track_caller]
    fn exit(mut self) -> (Option<i32>, Vec<String>, Vec<String>) {
        let (output, errors) = (self.output.rest(), self.errors.rest());
        (self.child.wait().unwrap().code(), output, errors)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The lines of a pipe as they come.
struct Lines {
    pipe: &'static str,
    lines: Receiver<String>,
    seen: Vec<String>,
}

impl Lines {
    fn read(pipe: &'static str, from: impl Read + Send + 'static) -> Self {
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in BufReader::new(from).lines() {
                if sender.send(line.unwrap()).is_err() {
                    return;
                }
            }
        });
        Self { pipe, lines, seen: Vec::new() }
    }

    /// The next line, which has to be this one.
    #[track_caller]
    fn expect(&mut self, line: &str) {
        let next = self.next();
        assert_eq!(next, line, "the next line of the {} after {:#?}", self.pipe, self.seen);
    }

    /// The next line that contains `part`, and there has to be one.
    #[track_caller]
    fn find(&mut self, part: &str) -> String {
        loop {
            let line = self.next();
            if line.contains(part) {
                return line;
            }
        }
    }

    #[track_caller]
    fn next(&mut self) -> String {
        match self.lines.recv_timeout(DEADLINE) {
            Ok(line) => {
                self.seen.push(line.clone());
                line
            }
            Err(error) => panic!("no line of the {} ({error}) after {:#?}", self.pipe, self.seen),
        }
    }

    /// All lines up to the end.
    #[track_caller]
    fn rest(&mut self) -> Vec<String> {
        let (mut rest, deadline) = (Vec::new(), Instant::now() + DEADLINE);
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => rest.push(line),
                Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => return rest,
                Err(std::sync::mpsc::RecvTimeoutError::Timeout) => {
                    panic!("the {} does not end after {:#?} and {rest:#?}", self.pipe, self.seen)
                }
            }
        }
    }
}

/// A server with the users ann and bob, whose passwords are `ann's` and `bob's`, and a room 1.
struct Server {
    process: Process,
    address: String,
    _folder: TempDir,
}

fn server() -> Server {
    server_with(&[])
}

fn server_with(settings: &[&str]) -> Server {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_str().unwrap();
    for name in ["ann", "bob"] {
        let mut adding = Process::start(lobbyd(&[&["user", "add", name, "--data", data], &CHEAP[..]].concat()));
        adding.type_line(&format!("{name}'s"));
        let (code, _, errors) = adding.exit();
        assert_eq!(code, Some(0), "{errors:#?}");
    }
    let serve = ["serve", "--listen", "127.0.0.1:0", "--data", data, "--set", "server.drain_timeout=1s"];
    let rooms = ["--set", "rooms=[{ number = 1, title = \"General\", capacity = 2 }]", "--set", "server.name=test"];
    let mut process = Process::start(lobbyd(&[&serve[..], &rooms, &CHEAP, settings].concat()));
    let line = process.errors.find("listening");
    let port: String = line.rsplit_once("127.0.0.1:").unwrap().1.chars().take_while(char::is_ascii_digit).collect();
    Server { process, address: format!("127.0.0.1:{port}"), _folder: folder }
}

impl Server {
    fn chat(&self, arguments: &[&str]) -> Process {
        Process::start(lobbyd(&[&["chat", &self.address], arguments].concat()))
    }

    /// A chat in which this user has logged in.
    #[track_caller]
    fn logged_in(&self, name: &str) -> Process {
        let mut chat = self.chat(&["--user", name]);
        chat.type_line(&format!("{name}'s"));
        let line = chat.output.next();
        assert!(line.starts_with(&format!("* you are logged in to test as {name}; ")), "{line}");
        chat
    }

    fn terminate(&self) {
        let kill = format!("kill -TERM {}", self.process.child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    }
}

const ALONE: &str = "* you are in room 1, alone so far; what you type is said to those who come";

#[test]
fn two_people_talk_whisper_and_leave() {
    let server = server();
    let mut ann = server.logged_in("ann");
    ann.type_line("/enter 1");
    ann.output.expect(ALONE);

    // The name comes from the input when it is not an argument.
    let mut bob = server.chat(&[]);
    bob.type_line("BOB");
    bob.type_line("bob's");
    bob.output.find("as bob;");
    bob.type_line("hello?");
    bob.errors.expect("! enter a room first: /rooms lists them, /enter NUMBER enters one");
    bob.type_line("/rooms");
    bob.output.expect("  number    members  title");
    bob.output.expect("       1        1/2  General");
    bob.type_line("/enter 1");
    bob.output.expect("* you are in room 1 with ann; what you type is said there");
    ann.output.expect("* bob came in");

    bob.type_line("grüß Gott");
    ann.output.expect("bob: grüß Gott");
    ann.type_line("//rooms is a command");
    bob.output.expect("ann: /rooms is a command");
    ann.type_line("/msg bob psst");
    ann.output.expect("* sent to bob");
    bob.output.expect("ann -> you: psst");
    bob.type_line("/who");
    bob.output.expect("* room 1: 2 members");
    bob.output.expect("  ann");
    bob.output.expect("  bob  you");

    bob.type_line("/leave");
    bob.output.expect("* you left room 1");
    ann.output.expect("* bob left");
    bob.type_line("/enter 1");
    bob.output.expect("* you are in room 1 with ann; what you type is said there");
    ann.output.expect("* bob came in");

    // What was said before the input ended has arrived, and bob has left as one does.
    bob.type_line("bye");
    bob.end_input();
    assert_eq!(bob.exit(), (Some(0), vec![], vec![]));
    ann.output.expect("bob: bye");
    ann.output.expect("* bob logged out");
    ann.type_line("/quit");
    assert_eq!(ann.exit(), (Some(0), vec![], vec![]));
}

#[test]
fn owner_sends_members_out() {
    let server = server();
    let (mut ann, mut bob) = (server.logged_in("ann"), server.logged_in("bob"));
    ann.type_line("/create Back room 2 --password");
    ann.type_line("sesame");
    let entered = ann.output.next();
    let room = entered.strip_prefix("* you are in room ").unwrap().split_once(',').unwrap().0.to_owned();

    bob.type_line(&format!("/enter {room}"));
    bob.errors.expect("! the room's password is missing or wrong: /enter NUMBER PASSWORD");
    bob.type_line("/rooms");
    assert!(bob.output.find("Back room").ends_with("1/2  Back room  (password)"));
    bob.type_line(&format!("/enter {room} sesame"));
    bob.output.expect(&format!("* you are in room {room} with ann; what you type is said there"));
    bob.type_line("/kick ann");
    bob.errors.expect("! you may not do that");
    ann.output.expect("* bob came in");
    ann.type_line("/kick carl");
    ann.errors.expect("! carl is not in this room: /who lists who is");
    ann.type_line("/ban bob");
    ann.output.expect("* bob was sent out");
    ann.output.expect(&format!("* bob may not come back to room {room}"));
    bob.output.expect(&format!("* ann sent you out of room {room}, and you may not come back"));
    bob.type_line(&format!("/enter {room} sesame"));
    bob.errors.expect("! you are banned from that room");
}

#[test]
fn refusals_are_sentences_and_the_chat_goes_on() {
    let server = server();
    let mut ann = server.logged_in("ann");
    for (line, complaint) in [
        ("/enter 77", "! there is no such room: /rooms lists those there are"),
        ("/enter here", "! that is written: /enter NUMBER [PASSWORD]"),
        ("/jump", "! there is no command /jump: /help lists them, // says a text that begins with /"),
        ("/msg carl hi", "! no such user is there"),
        ("/command dice 2d6", "! there is no such command"),
        ("/leave", "! enter a room first: /rooms lists them, /enter NUMBER enters one"),
        ("/create x 0", "! the capacity is 0 or over the server's limit: /create TITLE CAPACITY"),
        ("/login", "! already logged in: /logout first"),
    ] {
        ann.type_line(line);
        ann.errors.expect(complaint);
    }
    ann.type_line("/ping");
    assert!(ann.output.next().starts_with("* the server answered in "));
    ann.type_line("/logout");
    ann.output.expect("* you are logged out; /login logs in again, /quit ends");
    ann.type_line("anybody?");
    ann.errors.expect("! log in first: /login");
    ann.type_line("/login bob");
    ann.type_line("bob's");
    ann.output.find("as bob;");
    ann.end_input();
    assert_eq!(ann.exit(), (Some(0), vec![], vec![]));
}

#[test]
fn script_says_more_than_the_budget_allows_at_once() {
    let server = server();
    let (mut ann, mut bob) = (server.logged_in("ann"), server.logged_in("bob"));
    ann.type_line("/enter 1");
    ann.output.expect(ALONE);
    bob.type_line("/enter 1");
    ann.output.expect("* bob came in");
    // The server's budget is a burst of 100.
    let lines: Vec<_> = (0..130).map(|number| format!("line {number}")).collect();
    lines.iter().for_each(|line| bob.type_line(line));
    bob.end_input();
    for line in lines {
        ann.output.expect(&format!("bob: {line}"));
    }
    ann.output.expect("* bob logged out");
    assert_eq!(bob.exit().0, Some(0));
}

#[test]
fn wrong_password_is_the_end_of_a_script() {
    let server = server();
    let mut chat = server.chat(&["--user", "ann"]);
    chat.type_line("bob's");
    let error = "lobbyd: the login was refused: the name or the secret is wrong".to_owned();
    assert_eq!(chat.exit(), (Some(1), vec![], vec![error]));

    let mut chat = server.chat(&[]);
    chat.type_line("ann's friend");
    let error = "lobbyd: the login was refused: a user name is 1 to 32 characters of A-Z a-z 0-9 _ . -".to_owned();
    assert_eq!(chat.exit(), (Some(1), vec![], vec![error]));
}

#[test]
fn input_that_ends_before_the_password_is_an_error() {
    let server = server();
    for lines in [&[][..], &["ann"]] {
        let mut chat = server.chat(&[]);
        lines.iter().for_each(|line| chat.type_line(line));
        chat.end_input();
        let error = "lobbyd: the input has ended where a user name or a password was expected".to_owned();
        assert_eq!(chat.exit(), (Some(1), vec![], vec![error]));
    }
}

#[test]
fn password_may_take_longer_than_the_server_waits() {
    let mut server = server_with(&["--set", "session.login_grace=2s"]);
    let mut ann = server.chat(&["--user", "ann"]);
    server.process.errors.find("reason=no login in time");
    ann.type_line("ann's");
    assert!(ann.output.next().contains(" as ann; "));
    ann.end_input();
    assert_eq!(ann.exit(), (Some(0), vec![], vec![]));
}

#[test]
fn drained_server_says_so_and_ends_the_chat() {
    let server = server();
    let mut ann = server.logged_in("ann");
    server.terminate();
    // Connections are closed one after the other in the time that the setting gives.
    let line = ann.output.next();
    let time =
        line.strip_prefix("* the server is going to stop: it closes this connection in ").expect("an announcement");
    assert!(time == "1 s" || time.ends_with(" ms"), "{line}");
    let error = "lobbyd: the connection was closed: the server is going to stop".to_owned();
    assert_eq!(ann.exit(), (Some(1), vec![], vec![error]));
}

#[test]
fn killed_server_ends_the_chat() {
    let mut server = server();
    let ann = server.logged_in("ann");
    server.process.child.kill().unwrap();
    let (code, output, errors) = ann.exit();
    assert_eq!((code, output.len(), errors.len()), (Some(1), 0, 1), "{errors:?}");
    assert!(errors[0].starts_with("lobbyd: the connection "), "{errors:?}");
}

#[test]
fn nobody_there_is_an_error_that_says_what_to_check() {
    // A port that was free a moment ago.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let (code, output, errors) = Process::start(lobbyd(&["chat", &address])).exit();
    assert_eq!((code, output.len(), errors.len()), (Some(1), 0, 1), "{errors:?}");
    let expected = format!("lobbyd: cannot connect to {address} (Connection refused");
    assert!(errors[0].starts_with(&expected), "{errors:?}");
}

#[test]
fn bad_usage_is_told_before_anything_begins() {
    for arguments in [&["chat", "host:port"][..], &["chat", "--user", "a b"], &["chat", "--password", "x"]] {
        let (code, output, errors) = Process::start(lobbyd(arguments)).exit();
        assert_eq!((code, output.len()), (Some(2), 0), "{arguments:?}: {errors:?}");
    }
}

#[test]
fn output_that_nobody_reads_any_more_ends_the_chat() {
    let server = server();
    let mut ann = server.logged_in("ann");
    // The only reader of the pipe goes away with its next line.
    let mut command = Command::new("sh");
    let script = format!("{} chat {} --user bob | head -n 1", env!("CARGO_BIN_EXE_lobbyd"), server.address);
    command.args(["-c", &script]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    ann.type_line("/enter 1");
    ann.output.expect(ALONE);
    let mut bob = Process::start(command);
    bob.type_line("bob's");
    bob.output.find("as bob;");
    bob.type_line("/enter 1");
    ann.output.expect("* bob came in");
    ann.output.expect("* bob logged out");
    assert_eq!(bob.exit().2, [""; 0]);
}
