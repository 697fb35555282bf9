//! Connections: who is welcomed, who is refused and why, and what the first packet must be.

use std::net::IpAddr;

use lobbyd_core::input::Admin;
use lobbyd_core::limits::Rate;
use lobbyd_core::packet::{ClientPacket, CloseReason, ServerPacket};
use lobbyd_core::text::{RawText, Text};

use crate::support::packets::*;
use crate::support::*;

/// The address of another host.
const ELSEWHERE: &str = "192.0.2.2";

fn address(text: &str) -> IpAddr {
    text.parse().expect("tests write addresses rightly")
}

impl Server {
    #[track_caller]
    fn welcomes(&mut self, index: u32, from: &str) {
        self.connects_from(session(index), address(from));
        let expected = welcome(self.engine().config());
        self.does([send(session(index), expected)]);
    }

    #[track_caller]
    fn turns_away(&mut self, index: u32, from: &str, reason: CloseReason) {
        let sessions = self.counts().sessions;
        self.connects_from(session(index), address(from));
        self.does([closing(session(index), reason), close(session(index), reason)]);
        assert_eq!(self.counts().sessions, sessions);
    }
}

fn rate(burst: u32, interval_seconds: u64) -> Rate {
    Rate { burst, interval: seconds(interval_seconds) }
}

#[test]
fn connection_is_welcomed_with_versions_and_limits() {
    let mut server = Server::with(|config| {
        config.heartbeat_interval = milliseconds(1_500);
        config.frame_bytes_max = 4_096;
        config.text_bytes_max = 512;
    });
    server.connects(session(0));
    server.does([send(
        session(0),
        ServerPacket::Welcome {
            version_min: 1,
            version_max: 1,
            server: Text::new("test"),
            heartbeat_interval_ms: 1_500,
            frame_bytes_max: 4_096,
            text_bytes_max: 512,
        },
    )]);
    assert_eq!(server.counts().sessions, 1);
    assert_eq!(server.counts().online, 0);
}

#[test]
fn full_server_refuses_connection_until_somebody_leaves() {
    let mut server = Server::with(|config| config.sessions_max = 2);
    server.welcomes(0, "192.0.2.1");
    server.welcomes(1, ELSEWHERE);
    server.turns_away(2, "192.0.2.3", CloseReason::ServerFull);
    server.turns_away(2, ELSEWHERE, CloseReason::ServerFull);
    server.disconnects(session(0));
    server.does_nothing();
    server.welcomes(2, "192.0.2.3");
    server.turns_away(3, "192.0.2.3", CloseReason::ServerFull);
}

#[test]
fn refused_connection_has_no_session() {
    let mut server = Server::with(|config| config.sessions_max = 1);
    server.welcomes(0, ELSEWHERE);
    server.turns_away(1, ELSEWHERE, CloseReason::ServerFull);
    for packet in [hello(), ping(1), login(1, "dora")] {
        server.says(session(1), packet);
        server.does_nothing();
    }
    server.disconnects(session(1));
    server.does_nothing();
    assert_eq!(server.counts().sessions, 1);
    // The heartbeat and the time for logging in of the one that is there.
    assert_eq!(server.counts().deadlines, 2);
}

#[test]
fn address_with_all_its_connections_is_refused_and_others_are_not() {
    let mut server = Server::with(|config| config.sessions_per_address_max = 2);
    server.welcomes(0, "192.0.2.1");
    server.welcomes(1, "192.0.2.1");
    server.turns_away(2, "192.0.2.1", CloseReason::AddressFull);
    server.welcomes(2, ELSEWHERE);
    server.disconnects(session(2));
    server.does_nothing();
    server.turns_away(3, "192.0.2.1", CloseReason::AddressFull);
    server.disconnects(session(1));
    server.does_nothing();
    server.welcomes(3, "192.0.2.1");
    server.turns_away(4, "192.0.2.1", CloseReason::AddressFull);
}

#[test]
fn ipv6_addresses_count_by_their_64_bit_network() {
    let mut server = Server::with(|config| config.sessions_per_address_max = 2);
    server.welcomes(0, "2001:db8:0:1::1");
    server.welcomes(1, "2001:db8:0:1:ffff:ffff:ffff:ffff");
    server.turns_away(2, "2001:db8:0:1:8000::", CloseReason::AddressFull);
    server.welcomes(2, "2001:db8:0:2::1");
    server.welcomes(3, "2001:db8:0:0:ffff:ffff:ffff:ffff");
}

#[test]
fn ipv4_address_mapped_into_ipv6_is_the_ipv4_address() {
    let mut server = Server::with(|config| config.sessions_per_address_max = 2);
    server.welcomes(0, "192.0.2.1");
    server.welcomes(1, "::ffff:192.0.2.1");
    server.turns_away(2, "192.0.2.1", CloseReason::AddressFull);
    server.turns_away(2, "::ffff:192.0.2.1", CloseReason::AddressFull);
    // All mapped addresses lie in one /64 network, which says nothing about their hosts.
    server.welcomes(2, "::ffff:192.0.2.2");
    server.welcomes(3, "::1");
}

#[test]
fn address_that_connects_too_quickly_is_refused_until_time_has_passed() {
    let mut server = Server::with(|config| config.connects_per_address = rate(2, 1));
    server.welcomes(0, "192.0.2.1");
    server.welcomes(1, "::ffff:192.0.2.1");
    server.turns_away(2, "192.0.2.1", CloseReason::ConnectRate);
    server.welcomes(2, ELSEWHERE);
    // A disconnection does not undo the connection.
    server.disconnects(session(0));
    server.does_nothing();
    server.at(milliseconds(999)).turns_away(3, "192.0.2.1", CloseReason::ConnectRate);
    server.at(seconds(1)).welcomes(3, "192.0.2.1");
    server.turns_away(4, "192.0.2.1", CloseReason::ConnectRate);
    // After a rest the whole burst is there again, and not more.
    server.at(seconds(9)).welcomes(4, "192.0.2.1");
    server.welcomes(5, "192.0.2.1");
    server.turns_away(6, "192.0.2.1", CloseReason::ConnectRate);
}

#[test]
fn rate_of_connections_counts_ipv6_by_network() {
    let mut server = Server::with(|config| config.connects_per_address = rate(1, 60));
    server.welcomes(0, "2001:db8::1");
    server.turns_away(1, "2001:db8::2", CloseReason::ConnectRate);
    server.welcomes(1, "2001:db8:0:1::1");
}

#[test]
fn refused_connections_are_not_counted_as_connecting() {
    let mut server = Server::with(|config| {
        config.sessions_per_address_max = 1;
        config.connects_per_address = rate(2, 60);
    });
    server.welcomes(0, "192.0.2.1");
    for _ in 0..5 {
        server.turns_away(1, "192.0.2.1", CloseReason::AddressFull);
    }
    server.disconnects(session(0));
    server.does_nothing();
    server.welcomes(1, "192.0.2.1");
    server.disconnects(session(1));
    server.does_nothing();
    for _ in 0..5 {
        server.turns_away(2, "192.0.2.1", CloseReason::ConnectRate);
    }
    // Refusals for the rate do not put off the moment either.
    server.at(seconds(60)).welcomes(2, "192.0.2.1");
}

#[test]
fn refusals_name_the_first_reason_that_holds() {
    let mut server = Server::with(|config| {
        config.sessions_max = 2;
        config.sessions_per_address_max = 1;
        config.connects_per_address = rate(1, 60);
    });
    server.welcomes(0, "192.0.2.1");
    server.turns_away(1, "192.0.2.1", CloseReason::AddressFull);
    server.welcomes(1, ELSEWHERE);
    server.turns_away(2, "192.0.2.1", CloseReason::ServerFull);
    server.disconnects(session(0));
    server.does_nothing();
    server.turns_away(2, "192.0.2.1", CloseReason::ConnectRate);
    server.welcomes(2, "192.0.2.3");
    server.admin(Admin::Drain { within: seconds(100) });
    server.take_events();
    server.turns_away(3, "192.0.2.1", CloseReason::Draining);
}

#[test]
fn first_packet_must_be_hello() {
    let mut server = Server::new();
    let packets = every_request().map(|(_, packet)| packet).into_iter().chain([ping(1), pong(1)]);
    for (index, packet) in (0..).zip(packets) {
        server.welcomes(index, "192.0.2.1");
        server.says(session(index), packet);
        server.does([
            closing(session(index), CloseReason::HelloExpected),
            close(session(index), CloseReason::HelloExpected),
        ]);
        // What it sent behind that finds nobody.
        server.says(session(index), hello());
        server.does_nothing();
    }
    assert_eq!(server.counts().sessions, 0);
}

#[test]
fn hello_with_another_version_closes() {
    let mut server = Server::new();
    for (index, version) in [(0, 0), (1, 2), (2, u32::MAX)] {
        server.welcomes(index, "192.0.2.1");
        server.says(session(index), ClientPacket::Hello { version, client: "test".into() });
        server.does([
            closing(session(index), CloseReason::VersionUnsupported),
            close(session(index), CloseReason::VersionUnsupported),
        ]);
    }
}

#[test]
fn hello_may_call_the_client_anything() {
    let mut server = Server::new();
    let long = [b'x'; 10_000];
    for (index, client) in [(0, &b""[..]), (1, &[0xff, 0xfe, 0x1b]), (2, &long)] {
        server.welcomes(index, "192.0.2.1");
        server.says(session(index), ClientPacket::Hello { version: 1, client: RawText(client) });
        server.does_nothing();
        server.says(session(index), ping(5));
        server.does([send(session(index), ServerPacket::Pong { nonce: 5 })]);
    }
}

#[test]
fn second_hello_closes_in_every_state() {
    let mut server = Server::new();
    let anonymous = server.guest(0);
    let pending = server.guest(1);
    server.asks_to_log_in(pending, 1, "dora");
    let in_lobby = server.user_as(2, "eve", accepted_without_lease());
    let in_room = server.user_as(3, "fay", accepted_without_lease());
    server.enters(in_room, PLAZA);
    for session in [anonymous, pending, in_lobby, in_room] {
        server.says(session, hello());
        server.does([closing(session, CloseReason::HelloRepeated), close(session, CloseReason::HelloRepeated)]);
    }
    let counts = server.counts();
    assert_eq!((counts.sessions, counts.online, counts.logins_pending, counts.members), (0, 0, 0, 0));
}

#[test]
fn connections_opened_and_dropped_leave_nothing() {
    let mut server = Server::with(|config| config.connects_per_address = rate(1_000, 1));
    for generation in 0..700 {
        let session = lobbyd_core::id::SessionId { index: 3, generation };
        server.connects(session);
        server.take_events();
        server.disconnects(session);
        server.does_nothing();
    }
    for index in 0..200 {
        server.welcomes(index, "192.0.2.1");
    }
    for index in 0..200 {
        server.disconnects(session(index));
        server.does_nothing();
    }
    assert_eq!(server.counts().sessions, 0);
    assert_eq!(server.next_deadline(), None);
}
