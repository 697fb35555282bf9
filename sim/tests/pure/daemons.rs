//! Daemons that crash, drain, stop and stand still.

use std::time::Duration;

use lobbyd_sim::scenario::{Check, Fault, Operation, RedisFault, Step};

use crate::support::*;

fn crash(daemon: &str) -> Step {
    fault(Fault::Crash { daemon: daemon.into() })
}

fn restart(daemon: &str) -> Step {
    fault(Fault::Restart { daemon: daemon.into() })
}

#[test]
fn crash_ends_every_stream_and_a_restart_knows_nothing() {
    holds(
        setup(),
        vec![
            comes_in("alice", &[]),
            comes_in("bob", &["alice"]),
            vec![
                together(vec![chat("alice", "lost"), crash("server")]).closed("alice").closed("bob"),
                connect("alice", "server").closed("alice"),
                restart("server"),
            ],
            check("server", Check::Empty),
            comes_in("alice", &[]),
        ],
    );
}

#[test]
fn drain_tells_everybody_and_ends_the_daemon() {
    let drain = fault(Fault::Drain { daemon: "server".into(), within: Duration::from_secs(10) });
    holds(
        setup(),
        vec![
            comes("alice"),
            vec![
                drain.gets("alice", "GoAway"),
                connect("bob", "server").gets("bob", "Closing reason=Draining").closed("bob"),
                seconds(10).gets("alice", "Closing reason=Draining").closed("alice"),
                connect("bob", "server").closed("bob"),
            ],
            check("server", Check::Empty),
            vec![restart("server")],
            comes("alice"),
        ],
    );
}

#[test]
fn stop_closes_everybody_at_once() {
    let stop = fault(Fault::Stop { daemon: "server".into() });
    holds(
        setup(),
        vec![
            comes("alice"),
            vec![stop.gets("alice", "Closing reason=Stopped").closed("alice"), connect("bob", "server").closed("bob")],
        ],
    );
}

#[test]
fn operator_closes_a_user() {
    let user = "alice".parse().expect("a good name");
    let close = fault(Fault::CloseUser { daemon: "server".into(), user });
    let closed = close.gets("alice", "Closing reason=OperatorClosed").closed("alice").silent("bob");
    holds(setup(), vec![comes("alice"), comes("bob"), vec![closed], check("server", Check::Online(1))]);
}

#[test]
fn daemon_that_stood_still_closes_nobody_for_it() {
    let stall = |seconds| fault(Fault::Stall { daemon: "server".into(), gap: Duration::from_secs(seconds) });
    let ping = || does("alice", Operation::Ping { nonce: 1 });
    holds(
        setup(),
        vec![
            comes("alice"),
            vec![stall(100), ping().silent("alice"), seconds(99).silent("alice"), seconds(2).gets("alice", "Pong")],
            check("server", Check::Online(1)),
            vec![does("alice", Operation::Vanish), seconds(65)],
            check("server", Check::Sessions(0)),
        ],
    );
}

#[test]
fn verdict_for_a_closed_session_does_not_reach_the_next_one_in_its_slot() {
    let mut setup = shared();
    setup.config.login_timeout = Duration::from_secs(5);
    holds(
        setup,
        vec![
            redis(RedisFault::Slow(Duration::from_millis(400))),
            greets("alice", "server"),
            vec![login("alice", "alice"), millis(100), does("alice", Operation::Close)],
            greets("bob", "server"),
            vec![
                seconds(2).silent("bob"),
                chat("bob", "hi").gets("bob", "RoomChatResponse refused=NotLoggedIn"),
                does("bob", Operation::Close),
            ],
            redis(RedisFault::Heal),
            check("server", Check::Empty),
        ],
    );
}

#[test]
fn more_connections_than_allowed_are_told_so() {
    let mut setup = setup();
    setup.config.sessions_max = 1;
    let full = connect("bob", "server").gets("bob", "Closing reason=ServerFull").closed("bob");
    let rest = vec![full, does("alice", Operation::Close)];
    holds(setup, vec![comes("alice"), rest, comes("bob")]);
}
