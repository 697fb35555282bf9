//! What the operator sees and does: accounts beside a running daemon, the log, settings from everywhere.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::{fs, thread};

use lobbyd_core::packet::{ClientPacket, CloseReason, Code, LeaveCause, PROTOCOL_VERSION, ServerPacket};
use serde_json::Value;

use crate::support::log::says;
use crate::support::setup::{PROGRAM, output_of};
use crate::support::{Daemon, Pair, RedisKeys, Setup, Signal, Wire, say, secret_of};

const GENERAL: u32 = 1;

#[test]
fn accounts_are_changed_beside_a_running_daemon() {
    let setup = Setup::new().users(&["alice", "bob"]);
    let daemon = setup.start();
    let mut pair = Pair::in_room(&daemon, ["alice", "bob"], GENERAL);

    setup.user(&["add", "carol", "--nickname", "Çarol"], "first");
    let list = setup.user(&["list"], "");
    assert!(["alice", "bob", "carol", "Çarol"].iter().all(|name| list.contains(name)), "{list}");
    let mut carol = daemon.greet("carol");
    carol.say(say::login(1, "carol", "first"));
    let user = carol.expect_login(1);
    assert_eq!(user.nickname.as_ref().map(|nickname| nickname.as_str()), Some("Çarol"));

    // Whoever is in stays in when the password changes.
    setup.user(&["passwd", "carol"], "second");
    carol.expect_nothing();
    carol.log_out();
    let old = say::login(2, "carol", "first");
    carol.say(old);
    carol.expect(say::refused(&old, Code::LoginDenied));
    carol.say(say::login(3, "carol", "second"));
    carol.expect_login(3);
    pair.talk();
}

#[test]
fn removing_a_user_closes_the_sessions_of_that_user() {
    let setup = Setup::new().users(&["alice", "bob", "carol"]);
    let daemon = setup.start();
    let mut pair = Pair::in_room(&daemon, ["alice", "bob"], GENERAL);
    let mut carol = daemon.log_in("carol");
    carol.enter(GENERAL);
    pair.expect(|sequence| say::new_user(GENERAL, sequence, &carol.user()));

    setup.user(&["remove", "carol"], "");
    carol.expect_closing(CloseReason::OperatorClosed);
    pair.expect(|sequence| say::leave_user(GENERAL, sequence, &carol.user(), LeaveCause::Disconnected, None));
    let mut carol = daemon.greet("carol");
    let secret = secret_of("carol");
    let login = say::login(1, "carol", &secret);
    carol.say(login);
    carol.expect(say::refused(&login, Code::LoginDenied));
    pair.talk();
}

#[test]
fn refused_user_commands_change_nothing_and_say_why() {
    let setup = Setup::new().users(&["alice"]);
    let run = |when: &str| {
        for (arguments, input, said) in [
            (&["add", "ALICE"][..], "a password", "alice"),
            (&["add", "bob"], "", "password"),
            (&["add", "a b"], "a password", "a b"),
            (&["passwd", "nobody"], "a password", "nobody"),
            (&["remove", "nobody"], "", "nobody"),
            (&["add", "bob", "--nickname", "\u{1b}[31m"], "a password", "nickname"),
        ] {
            let output = setup.try_user(arguments, input);
            let text = String::from_utf8_lossy(&output.stderr);
            assert!(!output.status.success(), "{when}: {arguments:?} succeeded");
            assert!(text.to_lowercase().contains(said), "{when}: {said:?} is not in {text:?}");
            assert!(!text.contains("a password") && !text.contains("panicked"), "{when}: {text}");
        }
        assert_eq!(setup.user(&["list"], "").lines().filter(|line| line.contains("bob")).count(), 0);
    };
    run("without a daemon");
    let daemon = setup.start();
    run("beside a daemon");
    daemon.log_in("alice");
}

#[test]
fn data_folder_is_its_owners_alone() {
    let setup = Setup::new().users(&["alice"]);
    let _daemon = setup.start();
    let mode = |path: &str| fs::metadata(setup.data.join(path)).expect(path).permissions().mode() & 0o777;
    assert_eq!((mode("."), mode("accounts.redb"), mode("control.sock")), (0o700, 0o600, 0o600));
}

#[test]
fn start_says_where_it_listens_where_its_data_is_and_what_to_type_next() {
    let setup = Setup::new();
    let daemon = setup.start();
    daemon.log.wait_for("data folder", |line| line["data"].as_str() == setup.data.to_str());
    let next = daemon
        .log
        .wait_for("next command", |line| line["message"].as_str().is_some_and(|message| message.contains("user add")));
    assert!(next["message"].as_str().is_some_and(|message| message.contains(&daemon.address.to_string())), "{next}");
}

#[test]
fn each_session_is_one_line_of_the_log() {
    let mut daemon = Setup::new().set("server.drain_timeout", "100ms").users(&["alice", "bob"]).start();
    let mut pair = Pair::in_room(&daemon, ["alice", "bob"], GENERAL);
    for _ in 0..50 {
        pair.talk();
    }
    let before = daemon.log.text().lines().count();
    let mut stranger = daemon.greet("stranger");
    stranger.send(&[0; 4]);
    stranger.expect_closing(CloseReason::FrameEmpty);
    daemon.wait_for_ended_sessions(1);
    pair.member("alice").log_out();
    drop(pair);
    daemon.wait_for_ended_sessions(3);
    assert_eq!(daemon.log.text().lines().count(), before + 3, "{}", daemon.log.text());
    daemon.signal(Signal::Terminate);
    assert_eq!(daemon.wait_for_exit().code(), Some(0));

    let log = daemon.log.wait_for_end();
    let lines: Vec<Value> =
        log.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"))).collect();
    let mut sessions: Vec<(Option<&str>, &str)> = lines
        .iter()
        .filter(|line| says(line, "session ended"))
        .map(|line| (line["user"].as_str(), line["reason"].as_str().expect("a reason")))
        .collect();
    sessions.sort_unstable();
    // One who has logged out is still named.
    let ended = "the connection ended";
    assert_eq!(sessions, [(None, "a frame was empty"), (Some("alice"), ended), (Some("bob"), ended)]);
    assert!(lines.iter().all(|line| line["level"] == "INFO"), "{log}");
}

#[test]
fn no_secret_ever_reaches_the_log() {
    const ROOM_PASSWORD: &str = "password-of-a-room";
    let keys = RedisKeys::new();
    let rooms = format!("[[rooms]]\nnumber = 1\ntitle = \"One\"\ncapacity = 9\npassword = \"{ROOM_PASSWORD}\"\n");
    for (setup, store) in [(Setup::new(), "embedded"), (keys.setup(), "redis")] {
        let daemon = setup.set("log.levels", "trace").file(&rooms).users(&["alice"]).start();
        let mut alice = daemon.log_in("alice");
        alice.say(say::enter_protected(2, 1, ROOM_PASSWORD));
        alice.receive();
        assert!(matches!(alice.receive(), ServerPacket::RoomEnterResponse { result: Ok(_), .. }));
        alice.log_out();
        let wrong = say::login(3, "alice", "a-wrong-secret");
        alice.say(wrong);
        alice.expect(say::refused(&wrong, Code::LoginDenied));
        alice.say(say::login(4, "alice", "a-secret-too-early"));
        alice.say(say::create(5, "mine", 5, Some("password-of-mine")));
        drop(alice);
        daemon.wait_for_ended_sessions(1);
        let log = daemon.log.text();
        // As text, and as the numbers of its bytes.
        for secret in [&secret_of("alice"), ROOM_PASSWORD, "a-wrong-secret", "a-secret-too-early", "password-of-mine"] {
            let bytes = format!("{:?}", secret.as_bytes());
            assert!(!log.contains(secret) && !log.contains(bytes.trim_matches(['[', ']'])), "{store}: {secret}");
        }
        assert!(log.lines().any(|line| line.contains("\"DEBUG\"")), "{store}: nothing was traced");
    }
}

#[test]
fn levels_of_the_log_are_by_target() {
    let mut daemon = Setup::new().set("log.levels", "info,lobbyd_net=warn").users(&["alice"]).start();
    drop(daemon.log_in("alice"));
    daemon.signal(Signal::Terminate);
    assert_eq!(daemon.wait_for_exit().code(), Some(0));
    let log = daemon.log.wait_for_end();
    assert!(log.contains("stopped") && !log.contains("session ended"), "{log}");
}

#[test]
fn listening_beyond_this_machine_is_warned_about() {
    let mut setup = Setup::new();
    setup.listen = "0.0.0.0:0".to_owned();
    let daemon = setup.start();
    daemon.log.wait_for("warning", |line| {
        line["level"] == "WARN" && line["message"].as_str().is_some_and(|message| message.contains("in clear"))
    });
}

#[test]
fn every_listener_serves() {
    let mut setup = Setup::new().users(&["alice", "bob"]);
    setup.listen = "127.0.0.1:0,127.0.0.1:0".to_owned();
    let daemon = setup.start();
    let mut addresses: Vec<SocketAddr> = Vec::new();
    daemon.log.wait_for("second address", |line| {
        if says(line, "listening") {
            addresses.push(line["address"].as_str().and_then(|address| address.parse().ok()).expect("an address"));
        }
        addresses.len() == 2
    });
    let mut wires = ["alice", "bob"].map(|name| Wire::connect(name, addresses.pop().expect("two addresses")));
    for wire in &mut wires {
        wire.expect_welcome();
        wire.hello();
        wire.log_in();
    }
    let [mut alice, mut bob] = wires;
    alice.enter(GENERAL);
    let (entered, _) = bob.enter(GENERAL);
    alice.expect(say::new_user(GENERAL, entered.sequence, &bob.user()));
}

#[test]
fn log_that_nobody_reads_any_more_stops_nothing() {
    let setup = Setup::new().users(&["alice", "bob"]);
    let mut command = setup.serve();
    command.env_clear().stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut process = command.spawn().expect("the daemon can be started");
    let mut lines = BufReader::new(process.stderr.take().expect("it is piped")).lines();
    let address = loop {
        let line = lines.next().expect("the daemon says where it listens").expect("UTF-8");
        let line: Value = serde_json::from_str(&line).expect("JSON");
        if says(&line, "listening") {
            break line["address"].as_str().and_then(|address| address.parse().ok()).expect("an address");
        }
    };
    drop(lines);
    let outcome = thread::spawn(move || {
        // Each of these ends with a line that cannot be written.
        for _ in 0..3 {
            let mut wire = Wire::connect("alice", address);
            wire.expect_welcome();
            wire.hello();
            wire.send(&[0; 4]);
            wire.expect_closing(CloseReason::FrameEmpty);
        }
        let mut wire = Wire::connect("alice", address);
        wire.expect_welcome();
        wire.hello();
        wire.log_in();
        wire.expect_nothing();
    })
    .join();
    process.kill().expect("the daemon runs");
    process.wait().expect("a killed process ends");
    outcome.expect("the daemon serves on");
}

#[test]
fn settings_come_from_flags_over_environment_over_file() {
    let setup = Setup::new().file("[server]\nname = \"of the file\"\n[session]\nheartbeat_interval = \"3s\"\n");
    let mut command = setup.serve();
    command.args(["--set", "limits.text_bytes_max=1500B"]);
    let welcome = |command: Command, environment: &[(&str, &str)]| {
        let daemon = Daemon::start_in(command, environment);
        Wire::connect("nobody", daemon.address).receive()
    };
    let expected = |name: &str, text_bytes_max| ServerPacket::Welcome {
        version_min: PROTOCOL_VERSION,
        version_max: PROTOCOL_VERSION,
        server: lobbyd_core::text::Text::new(name),
        heartbeat_interval_ms: 3_000,
        frame_bytes_max: 16 * 1024,
        text_bytes_max,
    };
    let environment = [("LOBBYD_SERVER_NAME", "of the environment"), ("LOBBYD_LIMITS_TEXT_BYTES_MAX", "1000B")];
    assert_eq!(welcome(command, &environment), expected("of the environment", 1_500));
    assert_eq!(welcome(setup.serve(), &environment), expected("of the environment", 1_000));
    assert_eq!(welcome(setup.serve(), &[]), expected("of the file", 2_000));
}

#[test]
fn sample_configuration_is_accepted() {
    let mut command = Command::new(PROGRAM);
    command.args(["config", "default"]);
    let sample = output_of(command, "");
    assert!(sample.status.success());
    let sample = String::from_utf8(sample.stdout).expect("UTF-8");
    let setup = Setup::new();
    let file = setup.folder().join("sample.toml");
    fs::write(&file, &sample).expect("the temporary folder can be written");
    let mut command = Command::new(PROGRAM);
    command.args(["config", "check"]).arg(&file);
    let check = output_of(command, "");
    assert!(check.status.success(), "{}", String::from_utf8_lossy(&check.stderr));
    let daemon = Setup::new().file(&sample).start();
    daemon.greet("nobody").say(ClientPacket::Ping { nonce: 1 });
}
