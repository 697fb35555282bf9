//! What clients do to their streams, and what becomes of the network between them and the daemon.

use std::time::Duration;

use lobbyd_core::limits::Rate;
use lobbyd_core::packet::{CloseReason, ServerPacket};
use lobbyd_sim::layers::{Arrival, World};
use lobbyd_sim::network::WINDOW_BYTES;
use lobbyd_sim::scenario::{Check, Fault, Network, Operation, Setup};

use crate::play::{INTERVAL, Play, setup};

/// Alice, on a host of her own, and Bob are in the room.
fn alice_and_bob(setup: Setup) -> Play {
    let mut play = Play::apart(setup, 1, &["alice"]);
    for client in ["alice", "bob"] {
        play.login(client, "server");
        play.enter(client);
    }
    play.expect("alice", "RoomNewUserNotify name=bob");
    play
}

fn link() -> (String, String) {
    ("alice".to_owned(), "server".to_owned())
}

#[test]
fn partitioned_client_is_gone_after_three_intervals_and_can_come_back() {
    let mut play = alice_and_bob(setup());
    let (from, to) = link();
    play.inject(Fault::Partition { from: from.clone(), to: to.clone(), one_way: false });
    let lost_at = play.world.now();
    play.expect_within("bob", "RoomLeaveUserNotify cause=Disconnected", 3 * INTERVAL);
    assert!(play.world.now() - lost_at > 2 * INTERVAL);
    play.begin("alice", Operation::Connect { daemon: "server".to_owned() });
    play.expect("alice", "closed");
    play.inject(Fault::Repair { from, to });
    play.login("alice", "server");
    play.enter("alice");
    play.expect("bob", "RoomNewUserNotify name=alice");
}

#[test]
fn one_way_partition_lets_the_other_way_pass() {
    let mut play = alice_and_bob(setup());
    let (alice, server) = link();
    play.inject(Fault::Partition { from: server, to: alice, one_way: true });
    play.chat("alice", "hello?");
    play.expect("bob", "RoomChatNotify name=alice text=\"hello?\"");
    play.nothing_more(&["alice", "bob"]);
}

#[test]
fn held_bytes_arrive_in_order_when_they_are_released() {
    let mut play = alice_and_bob(setup());
    let (from, to) = link();
    play.inject(Fault::Hold { from: from.clone(), to: to.clone() });
    for text in ["one", "two", "three"] {
        play.chat("bob", text);
        play.expect("bob", "RoomChatResponse room=1");
    }
    play.advance(Duration::from_secs(1));
    play.nothing_more(&["alice", "bob"]);
    play.inject(Fault::Release { from, to });
    for text in ["one", "two", "three"] {
        play.expect("alice", &format!("RoomChatNotify text=\"{text}\""));
    }
}

#[test]
fn reset_and_vanished_connections_are_noticed_when_they_can_be() {
    let mut play = alice_and_bob(setup());
    play.begin("alice", Operation::Reset);
    play.expect_within("bob", "RoomLeaveUserNotify cause=Disconnected", Duration::from_millis(20));
    play.nothing_more(&["alice", "bob"]);
    play.login("alice", "server");
    play.enter("alice");
    play.expect("bob", "RoomNewUserNotify name=alice");

    play.begin("alice", Operation::Vanish);
    let vanished_at = play.world.now();
    play.expect_within("bob", "RoomLeaveUserNotify cause=Disconnected", 3 * INTERVAL);
    assert!(play.world.now() - vanished_at > 2 * INTERVAL);
    play.check("server", Check::Sessions(1));
}

#[test]
fn connection_that_another_takes_the_place_of_stays_as_it_is() {
    let mut play = alice_and_bob(setup());
    play.connect("alice", "server");
    play.ask_login("alice");
    play.expect("alice", "LoginResponse refused=AlreadyOnline");
    play.check("server", Check::Sessions(3));
    // Nobody answers for the old one, until the daemon closes it.
    play.expect_within("bob", "RoomLeaveUserNotify cause=Disconnected", 3 * INTERVAL);
    play.check("server", Check::Sessions(2));
}

#[test]
fn reader_that_stops_is_closed_and_holds_up_nobody() {
    const TEXT_BYTES: usize = 1_900;
    let mut setup = setup();
    setup.config.outbox_bytes_max = 2 * setup.config.frame_bytes_max;
    setup.config.room_members_max = 50;
    setup.config.fixed_rooms[0].capacity = 50;
    setup.config.flood = Rate::per_second(100_000, 100_000);
    let buffered = WINDOW_BYTES + setup.config.outbox_bytes_max as usize;
    let mut play = alice_and_bob(setup);
    play.begin("alice", Operation::StopReading);
    let text = "x".repeat(TEXT_BYTES);
    let mut chats = 0;
    loop {
        play.chat("bob", &text);
        chats += 1;
        let arrival = play.next("bob", Duration::from_millis(10));
        let Some(Arrival::Packet(packet)) = arrival else { panic!("bob is held up: {arrival:?}") };
        // Behind the answer to the chat that was one too many for alice.
        if matches!(*packet, ServerPacket::RoomLeaveUserNotify { .. }) {
            break chats -= 1;
        }
        assert!(matches!(*packet, ServerPacket::RoomChatResponse { .. }), "bob is held up: {packet:?}");
    }
    assert!((chats - 1) * TEXT_BYTES < buffered && chats * (TEXT_BYTES + 50) > buffered, "{chats}");

    play.begin("alice", Operation::ResumeReading);
    let mut heard = Vec::new();
    while let Some(Arrival::Packet(packet)) = play.next("alice", Duration::from_secs(3)) {
        heard.push((*packet).clone());
    }
    assert_eq!(heard.pop(), Some(ServerPacket::Closing { reason: CloseReason::SlowConsumer }));
    assert_eq!(heard.len(), chats - 1);
    assert!(heard.iter().all(|packet| matches!(packet, ServerPacket::RoomChatNotify { .. })));
}

#[test]
fn latency_of_a_link_can_be_set() {
    let mut play = alice_and_bob(setup());
    let (from, to) = link();
    let latency = (Duration::from_millis(200), Duration::from_millis(300));
    play.inject(Fault::Latency { from, to, latency });
    for nonce in 0..10 {
        let asked_at = play.world.now();
        play.begin("alice", Operation::Ping { nonce });
        play.expect("alice", &format!("Pong nonce={nonce}"));
        let took = play.world.now() - asked_at;
        assert!(took >= 2 * latency.0 && took <= 2 * latency.1 + Duration::from_millis(10), "{took:?}");
    }
}

#[test]
fn bytes_that_are_no_packets_are_answered_with_their_reason() {
    for chop in [None, Some(1), Some(7)] {
        let network = Network { chop, ..Network::default() };
        let mut play = Play::new(&Setup { network, ..setup() }, 1);
        for (bytes, reason) in [
            (vec![0; 4], "FrameEmpty"),
            (vec![0xff; 4], "FrameTooLong"),
            (vec![1, 0, 0, 0, 200], "PacketUnknown"),
            (vec![3, 0, 0, 0, 1, 2, 3], "PacketMalformed"),
        ] {
            play.begin("alice", Operation::Connect { daemon: "server".to_owned() });
            play.expect("alice", "Welcome");
            play.begin("alice", Operation::Raw(bytes));
            play.expect("alice", &format!("Closing reason={reason}"));
            play.expect("alice", "closed");
        }
        play.check("server", Check::Empty);
    }
}

#[test]
fn time_goes_by_in_ticks_that_are_no_longer_than_the_least_latency() {
    for (least, most, tick) in [(0, 9, 1), (1, 1, 1), (2, 2, 2), (5, 9, 2)] {
        let millis = Duration::from_millis;
        let network = Network { latency: (millis(least), millis(most)), chop: None };
        let mut play = Play::new(&Setup { network, ..setup() }, 1);
        let begun_at = play.world.now();
        assert!(play.world.step(millis(1)).unwrap());
        assert_eq!(play.world.now() - begun_at, millis(tick), "{least}..{most}");
        assert!(!play.world.step(Duration::ZERO).unwrap());
    }
}

#[test]
fn latency_of_a_link_is_rounded_up_to_ticks() {
    let round_trip = |latency: [u64; 2]| {
        let mut play = alice_and_bob(setup());
        let ((from, to), latency) = (link(), latency.map(Duration::from_millis));
        play.inject(Fault::Latency { from, to, latency: (latency[0], latency[1]) });
        let asked_at = play.world.now();
        play.begin("alice", Operation::Ping { nonce: 1 });
        play.expect("alice", "Pong nonce=1");
        play.world.now() - asked_at
    };
    let usual = round_trip([2, 2]);
    assert_eq!([round_trip([0, 0]), round_trip([0, 1]), round_trip([1, 2])], [usual; 3]);
    assert_eq!([round_trip([3, 3]), round_trip([4, 4])], [usual + Duration::from_millis(4); 2]);
}
