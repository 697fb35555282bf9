//! Streams and the network under them.

use std::time::Duration;

use lobbyd_core::id::RequestId;
use lobbyd_core::packet::{ClientPacket, Secret};
use lobbyd_net::codec::encode_client;
use lobbyd_sim::scenario::{Check, Fault, Operation, Setup, Step};
use lobbyd_sim::trace::What;

use crate::support::*;

fn both() -> Vec<Vec<Step>> {
    vec![comes_in("alice", &[]), comes_in("bob", &["alice"])]
}

fn partition(from: &str, to: &str, one_way: bool) -> Step {
    fault(Fault::Partition { from: from.into(), to: to.into(), one_way })
}

fn repair(from: &str, to: &str) -> Step {
    fault(Fault::Repair { from: from.into(), to: to.into() })
}

const GONE: &str = "RoomLeaveUserNotify cause=Disconnected";

#[test]
fn every_way_to_leave_is_seen_by_the_others_at_once() {
    for operation in [Operation::Close, Operation::Reset] {
        let steps = vec![does("alice", operation).gets("bob", GONE)];
        holds(
            setup(),
            [both(), vec![steps], check("server", Check::Sessions(1)).into_iter().map(|step| vec![step]).collect()]
                .concat(),
        );
    }
    let half = vec![does("alice", Operation::HalfClose).gets("bob", GONE).closed("alice")];
    holds(setup(), [both(), vec![half]].concat());
}

#[test]
fn what_came_before_the_end_is_processed_before_it() {
    let last_words = together(vec![chat("alice", "bye"), does("alice", Operation::Close)])
        .gets("bob", "RoomChatNotify text=\"bye\"")
        .gets("bob", GONE);
    holds(setup(), [both(), vec![vec![last_words]]].concat());
}

#[test]
fn client_that_vanished_is_closed_after_three_silent_intervals_and_let_go() {
    let steps = vec![does("alice", Operation::Vanish), seconds(58).silent("bob"), seconds(3).gets("bob", GONE)];
    let rest = vec![does("bob", Operation::Close), seconds(1)];
    holds(setup(), [both(), vec![steps, rest, check("server", Check::Empty)]].concat());
}

#[test]
fn partition_silences_both_ends_and_a_new_connection_works_after_it() {
    let steps = vec![
        partition("alice", "server", false),
        chat("bob", "lost").gets("bob", "RoomChatResponse"),
        seconds(61).gets("bob", GONE).silent("alice"),
        connect("alice", "server").closed("alice"),
        repair("alice", "server"),
        seconds(2).silent("alice"),
    ];
    holds(setup(), [both(), vec![steps, comes("alice")]].concat());
}

#[test]
fn partition_from_the_client_lets_it_hear_why_it_is_closed() {
    let steps = vec![
        partition("alice", "server", true),
        seconds(61).gets("bob", GONE).gets("alice", "Closing reason=Silent").closed("alice"),
    ];
    holds(setup(), [both(), vec![steps]].concat());
}

#[test]
fn partition_from_the_server_keeps_a_client_that_speaks() {
    let mut steps = vec![partition("server", "alice", true)];
    for _ in 0..10 {
        steps
            .extend([chat("alice", "still").gets("bob", "RoomChatNotify text=\"still\"").silent("alice"), seconds(15)]);
    }
    holds(setup(), [both(), vec![steps]].concat());
}

#[test]
fn what_is_held_arrives_in_order_when_it_is_released() {
    let hosts = || ("alice".to_owned(), "server".to_owned());
    let (from, to) = hosts();
    let hold = fault(Fault::Hold { from, to });
    let (from, to) = hosts();
    let release = fault(Fault::Release { from, to })
        .gets("bob", "RoomChatNotify text=\"one\"")
        .gets("bob", "RoomChatNotify text=\"two\"")
        .gets("alice", "RoomChatNotify text=\"meanwhile\"")
        .gets("alice", "RoomChatResponse")
        .gets("alice", "RoomChatResponse");
    let steps = vec![
        hold,
        chat("alice", "one").silent("bob"),
        chat("alice", "two").silent("bob"),
        chat("bob", "meanwhile").gets("bob", "RoomChatResponse").silent("alice"),
        seconds(5).silent("bob"),
        release,
    ];
    holds(setup(), [both(), vec![steps]].concat());
}

#[test]
fn latency_is_waited_both_ways() {
    let latency = (Duration::from_millis(100), Duration::from_millis(100));
    let slow = fault(Fault::Latency { from: "alice".into(), to: "server".into(), latency });
    let ping = does("alice", Operation::Ping { nonce: 1 }).gets("alice", "Pong");
    let outcome = holds(setup(), vec![comes("alice"), vec![slow, ping]]);
    let times: Vec<_> = outcome
        .trace
        .entries()
        .iter()
        .filter(|entry| entry.line == 5 && matches!(entry.what, What::Began { .. } | What::Arrived { .. }))
        .map(|entry| entry.at)
        .collect();
    assert_eq!(times[1] - times[0], Duration::from_millis(200));
}

/// A talkative room with small outboxes.
fn narrow() -> Setup {
    let mut setup = setup();
    (setup.config.frame_bytes_max, setup.config.outbox_bytes_max, setup.config.room_members_max) =
        (4096, 16 * 1024, 10);
    setup
}

fn long_chats(count: usize) -> Vec<Step> {
    let text = "x".repeat(2_000);
    (0..count).map(|_| chat("bob", &text).gets("bob", "RoomChatResponse")).collect()
}

#[test]
fn client_that_reads_no_more_is_closed_when_its_outbox_is_full_and_nobody_is_slowed() {
    let mut chats = long_chats(41);
    let last = chats.pop().expect("some").gets("bob", GONE);
    let mut steps = vec![does("alice", Operation::StopReading)];
    // 32 fit into the transport, 8 into the outbox; the next one is too much.
    steps.extend(chats);
    steps.push(last);
    holds(narrow(), [both(), vec![steps, check("server", Check::Sessions(1))]].concat());
}

#[test]
fn client_that_reads_again_in_time_gets_everything_in_order() {
    let mut steps = vec![does("alice", Operation::StopReading)];
    steps.extend(long_chats(38));
    let again = (3..41).fold(does("alice", Operation::ResumeReading), |step, sequence| {
        step.gets("alice", &format!("RoomChatNotify sequence={sequence}"))
    });
    steps.push(again);
    steps.push(chat("bob", "live").gets("bob", "RoomChatResponse").gets("alice", "RoomChatNotify text=\"live\""));
    holds(narrow(), [both(), vec![steps]].concat());
}

#[test]
fn bytes_that_are_no_packet_are_told_and_closed() {
    let cases: [(&[u8], &str); 4] = [
        (&[0, 0, 0, 0], "FrameEmpty"),
        (&[255, 255, 255, 255], "FrameTooLong"),
        (&[1, 0, 0, 0, 200], "PacketUnknown"),
        (&[2, 0, 0, 0, 1, 251], "PacketMalformed"),
    ];
    for (bytes, reason) in cases {
        let closing = format!("Closing reason={reason}");
        let raw = does("alice", Operation::Raw(bytes.to_vec())).gets("alice", &closing).closed("alice");
        holds(setup(), vec![greets("alice", "server"), vec![raw], check("server", Check::Sessions(0))]);
    }
}

#[test]
fn frame_in_two_pieces_is_one_packet_and_what_follows_is_another() {
    let mut bytes = Vec::new();
    let (user, secret) = ("alice".into(), Secret(b"alice"));
    encode_client(&ClientPacket::LoginRequest { request: RequestId(77), user, secret }, &mut bytes);
    let (one, other) = bytes.split_at(6);
    let steps = vec![
        does("alice", Operation::Raw(one.to_vec())).silent("alice"),
        together(vec![does("alice", Operation::Raw(other.to_vec())), does("alice", Operation::Ping { nonce: 1 })])
            .gets("alice", "Pong nonce=1")
            .gets("alice", "LoginResponse request=77 name=alice"),
        // A piece of a frame, and a packet in it: its first bytes are the rest of the frame.
        together(vec![does("alice", Operation::Raw(vec![1, 0, 0, 0])), does("alice", Operation::Ping { nonce: 1 })])
            .gets("alice", "Closing")
            .closed("alice"),
    ];
    holds(setup(), vec![greets("alice", "server"), steps]);
}

#[test]
fn packet_over_the_frame_limit_is_refused_as_on_the_wire() {
    let long = chat("alice", &"x".repeat(20_000)).gets("alice", "Closing reason=FrameTooLong").closed("alice");
    holds(setup(), vec![comes("alice"), vec![long]]);
    let longest = chat("alice", &"x".repeat(16_300)).gets("alice", "RoomChatResponse refused=NotInRoom");
    holds(setup(), vec![comes("alice"), vec![longest]]);
}

#[test]
fn chopped_writes_change_nothing() {
    let mut setup = setup();
    setup.network.chop = Some(3);
    setup.network.latency = (Duration::ZERO, Duration::from_millis(20));
    let talk = chat("alice", "hello").gets("bob", "RoomChatNotify text=\"hello\"").gets("alice", "RoomChatResponse");
    holds(setup, [both(), vec![vec![talk]]].concat());
}

#[test]
fn new_connection_leaves_the_old_one_to_itself() {
    let steps = vec![seconds(61).gets("bob", GONE), does("alice", Operation::Ping { nonce: 1 }).gets("alice", "Pong")];
    holds(setup(), [both(), vec![greets("alice", "server"), is_refused("alice", "server", "AlreadyOnline")]].concat());
    let mut setup = setup();
    setup.config.login_grace = Duration::from_secs(100);
    holds(setup, [both(), vec![greets("alice", "server"), steps]].concat());
}
