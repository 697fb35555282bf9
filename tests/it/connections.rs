//! Connections that stop reading, go silent, come by the thousand, or end by halves; and a daemon that stands still.

use std::fs;
use std::net::TcpStream;
use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

use lobbyd_core::packet::{CloseReason, Code, LeaveCause, ServerPacket};

use crate::support::log::says;
use crate::support::setup::PROGRAM;
use crate::support::{Daemon, Pair, Setup, Signal, Wire, say, secret_of, wait_until};

const GENERAL: u32 = 1;

/// A room in which long messages are allowed, and outboxes that hold few of them.
fn busy_room() -> Setup {
    Setup::new()
        .set("limits.outbox_bytes_max", "64KiB")
        .set("limits.text_bytes_max", "8000")
        .set("lobby.room_members_max", "100")
        .users(&["alice", "bob", "sleeper"])
}

/// Has Alice talk, and Bob hear every word, until a member who does not read is no longer in the room; returns the
/// number of that change.
#[track_caller]
fn talk_until_gone(alice: &mut Wire, bob: &mut Wire, sleeper: &Wire, mut sequence: u64) -> u64 {
    let text = "z".repeat(8_000);
    let slowest = Duration::from_secs(2);
    loop {
        sequence += 1;
        let said_at = Instant::now();
        alice.say(say::chat(5, GENERAL, &text));
        let gone = say::leave_user(GENERAL, sequence, &sleeper.user(), LeaveCause::Disconnected, None);
        let heard = alice.receive();
        if heard == gone {
            bob.expect(gone);
            sequence += 1;
            alice.expect(say::chatted(5, GENERAL, sequence));
            bob.expect(say::heard(GENERAL, sequence, &alice.user(), &text));
            return sequence - 1;
        }
        assert_eq!(heard, say::chatted(5, GENERAL, sequence));
        bob.expect(say::heard(GENERAL, sequence, &alice.user(), &text));
        assert!(said_at.elapsed() < slowest, "one who does not read slows the others");
        // What the system holds on the way to one who does not read is some ten MiB at most.
        assert!(sequence < 10_000, "one who does not read is never closed");
    }
}

/// Alice, Bob and the sleeper in the general room; returns the number of the last change.
#[track_caller]
fn with_sleeper(daemon: &Daemon) -> ([Wire; 3], u64) {
    let mut wires = ["sleeper", "alice", "bob"].map(|name| daemon.log_in(name));
    let mut last = 0;
    for place in 0..wires.len() {
        let (earlier, later) = wires.split_at_mut(place);
        let newcomer = &mut later[0];
        last = newcomer.enter(GENERAL).0.sequence;
        for member in earlier {
            member.expect(say::new_user(GENERAL, last, &newcomer.user()));
        }
    }
    (wires, last)
}

#[test]
fn client_that_does_not_read_is_closed_alone_and_learns_why_when_it_reads_on() {
    let daemon = busy_room().start();
    let ([mut sleeper, mut alice, mut bob], last) = with_sleeper(&daemon);
    let gone_at = talk_until_gone(&mut alice, &mut bob, &sleeper, last);
    let mut heard = last;
    loop {
        match sleeper.receive() {
            ServerPacket::RoomChatNotify { sequence, .. } => {
                heard += 1;
                assert_eq!(sequence, heard, "the sleeper misses a message without being told");
            }
            packet => {
                assert_eq!(packet, ServerPacket::Closing { reason: CloseReason::SlowConsumer });
                break;
            }
        }
    }
    sleeper.expect_end();
    // The message that was too much is the one before the close.
    assert_eq!(heard, gone_at - 2, "everything that fitted has arrived");
    alice.expect_nothing();
    bob.expect_nothing();
}

#[test]
fn client_that_never_reads_is_let_go() {
    let daemon = busy_room().start();
    let ([sleeper, mut alice, mut bob], last) = with_sleeper(&daemon);
    let files = daemon.open_files();
    let gone_at = talk_until_gone(&mut alice, &mut bob, &sleeper, last);
    let line = daemon.log.wait_for("end of the sleeper's session", |line| says(line, "session ended"));
    assert_eq!((line["user"].as_str(), line["level"].as_str()), (Some("sleeper"), Some("INFO")));
    assert_eq!(line["reason"], CloseReason::SlowConsumer.to_string());
    wait_until("the sleeper's connection is closed", || daemon.open_files() == files - 1);
    bob.say(say::chat(6, GENERAL, "good morning"));
    bob.expect(say::chatted(6, GENERAL, gone_at + 2));
    alice.expect(say::heard(GENERAL, gone_at + 2, &bob.user(), "good morning"));
    drop(sleeper);
}

/// How many connections this process may hold at once and leave room for other tests.
fn connections_max() -> usize {
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let files = limits.lines().find(|line| line.starts_with("Max open files"));
    let files: usize = files.and_then(|line| line.split_whitespace().nth(3)?.parse().ok()).unwrap_or(1_024);
    (files / 3).min(5_000)
}

#[test]
fn thousands_of_connections_opened_and_dropped_at_once_leave_nothing() {
    const CONNECTIONS: usize = 10_000;
    let daemon = Setup::new().users(&["alice", "bob", "carol"]).start();
    let mut pair = Pair::in_room(&daemon, ["alice", "bob"], GENERAL);
    let files = daemon.open_files();
    let secret = secret_of("carol");
    let mut opened = 0;
    while opened < CONNECTIONS {
        let mut wave = Vec::new();
        for place in 0..connections_max().min(CONNECTIONS - opened) {
            let mut wire = Wire::connect("one of many", daemon.address);
            // At every stage of their lives.
            match place % 4 {
                0 => {}
                1 => wire.hello(),
                2 => wire.send(&[200, 0, 0, 0, 1]),
                _ => {
                    wire.hello();
                    wire.say(say::login(1, "carol", &secret));
                }
            }
            wave.push(wire);
        }
        opened += wave.len();
        pair.talk();
        drop(wave);
        pair.talk();
    }
    daemon.wait_for_ended_sessions(CONNECTIONS);
    wait_until("their connections are closed", || daemon.open_files() == files);
    assert_eq!(daemon.log.count(|line| says(line, "session ended")), CONNECTIONS);
    pair.talk();
    // None of them is still online.
    pair.member("alice").say(say::tell(9, "carol", "are you there?"));
    pair.member("alice").expect(say::refused(&say::tell(9, "carol", ""), Code::UserUnknown));
}

#[test]
fn silent_client_is_pinged_then_closed_though_it_never_closes() {
    let daemon = Setup::new().set("session.heartbeat_interval", "300ms").users(&["alice"]).start();
    let files = daemon.open_files();
    // Before the login: the silence begins later than this.
    let started_at = Instant::now();
    let mut alice = daemon.log_in("alice");
    assert!(matches!(alice.receive(), ServerPacket::Ping { .. }));
    let pinged_after = started_at.elapsed();
    alice.expect_closing(CloseReason::Silent);
    let closed_after = started_at.elapsed();
    assert!(pinged_after >= Duration::from_millis(300), "pinged after {pinged_after:?}");
    assert!(closed_after >= Duration::from_millis(900), "closed after {closed_after:?}");
    // The client keeps its half open, and the daemon lets go of it all the same.
    daemon.wait_for_ended_sessions(1);
    wait_until("the connection is closed", || daemon.open_files() == files);
    drop(alice);
}

#[test]
fn client_that_answers_pings_stays() {
    let daemon = Setup::new().set("session.heartbeat_interval", "300ms").users(&["alice"]).start();
    let mut alice = daemon.log_in("alice");
    alice.answers_pings = true;
    assert_eq!(alice.receive_within(Duration::from_millis(1_500)), None, "nothing but pings");
    alice.expect_nothing();
}

#[test]
fn client_that_has_finished_writing_still_gets_its_answers() {
    let daemon = Setup::new().users(&["alice", "bob"]).start();
    let (mut alice, mut bob) = (daemon.log_in("alice"), daemon.log_in("bob"));
    alice.enter(GENERAL);
    let (entered, _) = bob.enter(GENERAL);
    alice.expect(say::new_user(GENERAL, entered.sequence, &bob.user()));
    let count = 500;
    bob.say_all(&vec![say::chat(4, GENERAL, "the last words"); count]);
    bob.say(say::tell(5, "alice", "farewell"));
    bob.finish_writing();
    let mut sequence = entered.sequence;
    for _ in 0..count {
        sequence += 1;
        bob.expect(say::chatted(4, GENERAL, sequence));
        alice.expect(say::heard(GENERAL, sequence, &bob.user(), "the last words"));
    }
    bob.expect(say::told(5));
    bob.expect_end();
    alice.expect(say::heard_alone(&bob.user(), "farewell"));
    alice.expect(say::leave_user(GENERAL, sequence + 1, &bob.user(), LeaveCause::Disconnected, None));
    alice.expect_nothing();
}

#[test]
fn nobody_is_closed_for_the_silence_while_the_daemon_was_stopped() {
    let daemon = Setup::new()
        .set("session.heartbeat_interval", "500ms")
        .set("session.login_grace", "1s")
        .users(&["alice", "bob", "carol", "mallory"])
        .start();
    let mut silent = daemon.log_in("mallory");
    let mut late = daemon.greet("carol");
    let mut pair = Pair::in_room(&daemon, ["alice", "bob"], GENERAL);
    daemon.signal(Signal::Stop);
    // The one wait for nothing but time: six heartbeat intervals.
    sleep(Duration::from_secs(3));
    daemon.signal(Signal::Continue);

    late.answers_pings = true;
    late.log_in();
    pair.talk();
    daemon.log.wait_for("the stall", |line| {
        line["level"] == "WARN" && line["message"].as_str().is_some_and(|said| said.contains("did not run"))
    });
    assert_eq!(daemon.log.count(|line| says(line, "session ended")), 0, "{}", daemon.log.text());

    // From then on silence counts again.
    loop {
        pair.talk();
        late.expect_nothing();
        match silent.receive_within(Duration::from_millis(50)) {
            None | Some(ServerPacket::Ping { .. }) => {}
            Some(packet) => {
                assert_eq!(packet, ServerPacket::Closing { reason: CloseReason::Silent });
                break;
            }
        }
    }
    pair.talk();
}

#[test]
fn one_connection_too_many_is_told_so() {
    for (setting, reason) in [
        ("limits.sessions_max", CloseReason::ServerFull),
        ("limits.sessions_per_address_max", CloseReason::AddressFull),
    ] {
        let setup = Setup::new();
        let setup =
            if setting == "limits.sessions_max" { setup.set(setting, "3") } else { setup.replace(setting, "3") };
        let daemon = setup.users(&["alice", "bob"]).start();
        let mut pair = Pair::in_room(&daemon, ["alice", "bob"], GENERAL);
        let third = daemon.greet("third");
        Wire::connect("fourth", daemon.address).expect_closing(reason);
        pair.talk();
        drop(third);
        daemon.wait_for_ended_sessions(2);
        daemon.greet("the third again").expect_nothing();
        pair.talk();
    }
}

#[test]
fn connections_that_come_too_quickly_are_told_so() {
    let daemon = Setup::new()
        .replace("limits.connects_per_address_burst", "4")
        .set("limits.connects_per_address_per_second", "1")
        .users(&["alice", "bob"])
        .start();
    let mut pair = Pair::in_room(&daemon, ["alice", "bob"], GENERAL);
    let mut refused = 0;
    let mut accepted = Vec::new();
    while refused == 0 {
        let mut wire = Wire::connect("one of many", daemon.address);
        match wire.receive() {
            ServerPacket::Welcome { .. } => accepted.push(wire),
            packet => {
                assert_eq!(packet, ServerPacket::Closing { reason: CloseReason::ConnectRate });
                wire.expect_end();
                refused += 1;
            }
        }
        assert!(accepted.len() < 10, "there is no limit");
    }
    pair.talk();
}

#[test]
fn one_user_too_many_is_told_so() {
    let daemon = Setup::new().set("limits.users_max", "2").users(&["alice", "bob", "carol"]).start();
    let mut pair = Pair::in_room(&daemon, ["alice", "bob"], GENERAL);
    let mut carol = daemon.greet("carol");
    let secret = secret_of("carol");
    let login = say::login(1, "carol", &secret);
    carol.say(login);
    carol.expect(say::refused(&login, Code::ServerFull));
    pair.talk();
    pair.member("bob").say(say::logout(8));
    pair.member("bob").expect(say::logged_out(8));
    carol.log_in();
}

#[test]
fn without_free_files_those_who_are_there_talk_on_and_accepting_resumes() {
    let setup = Setup::new().users(&["alice", "bob", "carol"]).files_max(40);
    let daemon = setup.start();
    let mut pair = Pair::in_room(&daemon, ["alice", "bob"], GENERAL);
    let crowd: Vec<TcpStream> =
        (0..60).map(|_| TcpStream::connect(daemon.address).expect("the system queues connections")).collect();
    daemon.log.wait_for("warning", |line| {
        line["level"] == "WARN" && line["message"].as_str().is_some_and(|said| said.contains("could not be accepted"))
    });
    // The daemon's other listener has the same trouble: the socket of `lobbyd user`.
    let mut user = setup.user_command(&["list"]);
    let user = user.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let user = user.unwrap_or_else(|error| panic!("{PROGRAM}: {error}"));

    let before = (Instant::now(), daemon.processor_time());
    while before.0.elapsed() < Duration::from_secs(1) {
        pair.talk();
        sleep(Duration::from_millis(50));
    }
    let (elapsed, spent) = (before.0.elapsed(), daemon.processor_time() - before.1);
    assert!(spent < elapsed / 4, "the daemon spins: {spent:?} of the processor in {elapsed:?}");
    let warnings = daemon.log.count(|line| line["level"] == "WARN");
    assert!(warnings < 10, "{warnings} warnings");

    drop(crowd);
    daemon.log_in("carol");
    let output = user.wait_with_output().expect("the command ends");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    pair.talk();
}
