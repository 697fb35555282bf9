//! How the daemon ends, and how it refuses to begin.

use std::fs;
use std::net::TcpListener;
use std::process::Output;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use lobbyd_core::packet::{CloseReason, Code, LeaveCause, ServerPacket};

use crate::support::log::says;
use crate::support::{Daemon, Setup, Signal, Wire, say, secret_of};

const GENERAL: u32 = 1;

/// Has a client receive its `GoAway`; returns after how long it will be closed.
#[track_caller]
fn expect_go_away(wire: &mut Wire) -> Duration {
    match wire.receive() {
        ServerPacket::GoAway { after_ms } => Duration::from_millis(u64::from(after_ms)),
        other => panic!("{} expects GoAway: {other:?}", wire.name),
    }
}

#[test]
fn drain_tells_everybody_and_closes_each_at_its_own_time() {
    const DRAIN: Duration = Duration::from_secs(3);
    let names: Vec<String> = (0..8).map(|place| format!("member{place}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut daemon = Setup::new().set("server.drain_timeout", "3s").users(&names).users(&["late"]).start();
    let mut members: Vec<Wire> = names.iter().map(|name| daemon.log_in(name)).collect();
    for member in &mut members {
        member.enter(GENERAL);
    }
    // Everybody has heard of everybody who came later.
    for (place, member) in members.iter_mut().enumerate() {
        for _ in place + 1..names.len() {
            assert!(matches!(member.receive(), ServerPacket::RoomNewUserNotify { .. }));
        }
    }
    let mut strangers: Vec<Wire> = (0..8).map(|_| daemon.greet("late")).collect();
    // Answered, so that they are there when the drain begins.
    strangers.iter_mut().for_each(Wire::expect_nothing);

    let started_at = Instant::now();
    daemon.signal(Signal::Terminate);
    let by_delay = |wires: Vec<Wire>| {
        let mut delays: Vec<(Duration, Wire)> =
            wires.into_iter().map(|mut wire| (expect_go_away(&mut wire), wire)).collect();
        delays.sort_by_key(|(delay, _)| *delay);
        delays
    };
    let mut strangers = by_delay(strangers);
    // A close may come before a later client of the list has looked at its packets; it is only looked at afterwards.
    let mut members = by_delay(members);
    assert!(members.iter().chain(&strangers).all(|(delay, _)| *delay <= DRAIN), "told to stay beyond the end");
    let delays: Vec<Duration> = members.iter().map(|(delay, _)| *delay).collect();
    assert!(delays.windows(2).any(|pair| pair[0] != pair[1]), "all at the same time: {delays:?}");

    // What is new is refused.
    Wire::connect("too late", daemon.address).expect_closing(CloseReason::Draining);
    let secret = secret_of("late");
    let login = say::login(1, "late", &secret);
    let (_, stranger) = strangers.last_mut().expect("eight strangers");
    stranger.say(login);
    stranger.expect(say::refused(&login, Code::Draining));

    // Chat goes on, between the two who stay longest; then one of them wants a new room.
    let (_, mut last) = members.pop().expect("eight members");
    let (_, mut second_last) = members.pop().expect("seven members");
    second_last.say(say::chat(5, GENERAL, "still here"));
    let is_heard = |packet: &ServerPacket| match packet {
        ServerPacket::RoomChatNotify { user, text, .. } => {
            assert_eq!((*user, text.as_str()), (second_last.user().id, "still here"));
            true
        }
        _ => false,
    };
    let mut gone = receive_leaves_until(&mut last, is_heard);
    let (_, mut third_last) = members.pop().expect("six members");
    third_last.say(say::leave(6, GENERAL));
    let create = say::create(7, "a new room", 5, None);
    third_last.say(create);
    receive_leaves_until(&mut third_last, |packet| *packet == say::refused(&create, Code::Draining));
    third_last.expect_closing(CloseReason::Draining);

    // Everybody else has left for the last one, in the order of their times, each once.
    let mut expected: Vec<_> = members.iter().map(|(_, member)| (member.user().id, LeaveCause::Disconnected)).collect();
    expected.push((second_last.user().id, LeaveCause::Disconnected));
    gone.extend(receive_leaves_until(&mut last, |packet| {
        *packet == ServerPacket::Closing { reason: CloseReason::Draining }
    }));
    last.expect_end();
    for (_, stranger) in &mut strangers {
        stranger.expect_closing(CloseReason::Draining);
    }
    let by_request = gone.iter().position(|(user, _)| *user == third_last.user().id);
    assert_eq!(gone.remove(by_request.expect("it left")).1, LeaveCause::Left);
    assert_eq!(gone, expected);

    let status = daemon.wait_for_exit();
    assert_eq!(status.code(), Some(0));
    assert!(started_at.elapsed() < DRAIN + Duration::from_secs(3), "it took {:?}", started_at.elapsed());
    let log = daemon.log.wait_for_end();
    assert!(log.contains("\"stopped\""), "{log}");
}

/// Receives packets until this one; returns who left before it.
#[track_caller]
fn receive_leaves_until(
    wire: &mut Wire,
    is_it: impl Fn(&ServerPacket) -> bool,
) -> Vec<(lobbyd_core::id::UserId, LeaveCause)> {
    let mut leaves = Vec::new();
    loop {
        let packet = wire.receive();
        if is_it(&packet) {
            return leaves;
        }
        match packet {
            ServerPacket::RoomLeaveUserNotify { user, cause, .. } => leaves.push((user, cause)),
            ServerPacket::RoomLeaveResponse { result: Ok(_), .. } | ServerPacket::RoomChatNotify { .. } => {}
            other => panic!("{} does not expect {other:?}", wire.name),
        }
    }
}

#[test]
fn daemon_without_clients_stops_at_once() {
    for signal in [Signal::Terminate, Signal::Interrupt] {
        let mut daemon = Setup::new().start();
        let started_at = Instant::now();
        daemon.signal(signal);
        assert_eq!(daemon.wait_for_exit().code(), Some(0), "{signal:?}");
        // The default is to drain for 20 s.
        assert!(started_at.elapsed() < Duration::from_secs(5), "it took {:?}", started_at.elapsed());
    }
}

#[test]
fn daemon_stops_as_soon_as_the_last_client_has_left() {
    let mut daemon = Setup::new().set("server.drain_timeout", "10m").users(&["alice"]).start();
    let mut alice = daemon.log_in("alice");
    daemon.signal(Signal::Terminate);
    expect_go_away(&mut alice);
    drop(alice);
    assert_eq!(daemon.wait_for_exit().code(), Some(0));
}

#[test]
fn second_signal_stops_at_once() {
    let mut daemon = Setup::new().set("server.drain_timeout", "10m").users(&["alice"]).start();
    let mut alice = daemon.log_in("alice");
    daemon.signal(Signal::Terminate);
    expect_go_away(&mut alice);
    daemon.signal(Signal::Interrupt);
    assert_eq!(daemon.wait_for_exit().code(), Some(1));
    alice.expect_loss();
}

#[test]
fn clients_that_connect_again_and_again_do_not_keep_a_draining_daemon_alive() {
    let mut daemon = Setup::new().set("server.drain_timeout", "500ms").users(&["alice"]).start();
    let mut alice = daemon.log_in("alice");
    let is_over = AtomicBool::new(false);
    let address = daemon.address;
    let status = thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                // Each keeps its refused connections open, so that the daemon always has one to wait for.
                let mut refused = Vec::new();
                while !is_over.load(Ordering::Relaxed) {
                    if let Ok(stream) = std::net::TcpStream::connect(address) {
                        refused.push(stream);
                    }
                    thread::sleep(Duration::from_millis(20));
                }
            });
        }
        daemon.signal(Signal::Terminate);
        alice.expect_loss();
        let waited = thread::scope(|scope| scope.spawn(|| daemon.wait_for_exit()).join());
        is_over.store(true, Ordering::Relaxed);
        waited.expect("the daemon stops")
    });
    assert_eq!(status.code(), Some(0));
}

#[test]
fn killed_daemon_leaves_nothing_in_the_way_of_the_next() {
    let setup = Setup::new().users(&["alice"]);
    let daemon = setup.start();
    daemon.log_in("alice");
    daemon.kill();
    let daemon = setup.start();
    daemon.log_in("alice");
    setup.user(&["list"], "");
}

/// Fails with this code and says all of this in one line on standard error.
#[track_caller]
fn assert_refusal(output: &Output, code: i32, said: &[&str]) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{text}");
    let line = text.lines().find(|line| line.starts_with("lobbyd: ")).unwrap_or_else(|| panic!("no message: {text}"));
    for part in said {
        assert!(line.contains(part), "{part:?} is not in {line:?}");
    }
    assert!(!text.contains("panicked"), "{text}");
}

#[test]
fn taken_port_is_said_with_what_to_do() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("it is bound").to_string();
    let mut setup = Setup::new();
    setup.listen.clone_from(&address);
    assert_refusal(&setup.start_in_vain(), 1, &["cannot listen on", &address, "--listen"]);
}

#[test]
fn unusable_data_folder_is_said_with_what_to_do() {
    // Not by its permissions, which do not bind root.
    let mut setup = Setup::new();
    let file = setup.folder().join("a file");
    fs::write(&file, "").expect("the temporary folder can be written");
    setup.data = file.join("data");
    let path = setup.data.display().to_string();
    assert_refusal(&setup.start_in_vain(), 1, &["data folder", &path, "cannot be used", "choose another"]);
}

#[test]
fn damaged_accounts_are_said_with_what_to_do() {
    let setup = Setup::new().users(&["alice"]);
    let file = setup.data.join("accounts.redb");
    fs::write(&file, vec![7; 100_000]).expect("the temporary folder can be written");
    assert_refusal(&setup.start_in_vain(), 1, &[&file.display().to_string()]);
}

#[test]
fn data_folder_of_another_daemon_is_said_with_what_to_do() {
    let setup = Setup::new().users(&["alice"]);
    let daemon = setup.start();
    let mut alice = daemon.log_in("alice");
    assert_refusal(&setup.start_in_vain(), 1, &["held by another process", "choose another data folder"]);
    alice.expect_nothing();
    // Its socket is still its own, too.
    setup.user(&["list"], "");
}

#[test]
fn daemon_that_follows_another_waits_for_its_data_folder() {
    let setup = Setup::new().set("server.drain_timeout", "300ms").users(&["alice"]);
    let mut first = setup.start();
    let mut alice = first.log_in("alice");
    first.signal(Signal::Terminate);
    expect_go_away(&mut alice);
    let second: Daemon = setup.start();
    assert_eq!(first.wait_for_exit().code(), Some(0));
    second.log_in("alice");
    assert_eq!(first.log.count(|line| says(line, "session ended")), 1);
}

#[test]
fn wrong_settings_are_said_by_name_and_value() {
    for (key, value) in [
        ("limits.sessions_max", "0"),
        ("limits.sesions_max", "10"),
        ("session.heartbeat_interval", "soon"),
        ("session.duplicate_login", "maybe"),
        ("server.store", "redsi://localhost"),
    ] {
        let output = Setup::new().set(key, value).start_in_vain();
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(text.contains(key), "{key} is not in {text}");
    }
}
