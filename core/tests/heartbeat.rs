//! Liveness: who is silent is pinged after one interval and closed after three, unless the server itself stood still.

use std::time::Duration;

use lobbyd_core::id::SessionId;
use lobbyd_core::input::Input;
use lobbyd_core::packet::{CloseReason, Code, LeaveCause, ServerPacket};

use crate::support::packets::*;
use crate::support::*;

/// One nanosecond less.
fn just_before(duration: Duration) -> Duration {
    duration - Duration::from_nanos(1)
}

impl Server {
    #[track_caller]
    fn quiet_until(&mut self, since_start: Duration) {
        self.at(since_start).tick();
        self.does_nothing();
    }

    #[track_caller]
    fn pings(&mut self, session: SessionId) {
        let ping = ServerPacket::Ping { nonce: self.nonce() };
        self.does([send(session, ping)]);
    }

    /// Closes a user who has no lease for its silence.
    #[track_caller]
    fn closes_silent(&mut self, session: SessionId) {
        self.does([closing(session, CloseReason::Silent), close(session, CloseReason::Silent)]);
    }

    #[track_caller]
    fn stalls(&mut self, gap: Duration) {
        self.input(Input::Stalled { gap });
    }

    fn quiet_user(&mut self, index: u32, user: &str) -> SessionId {
        self.user_as(index, user, accepted_without_lease())
    }
}

#[test]
fn silent_client_is_pinged_after_one_interval_and_closed_after_three() {
    let mut server = Server::new();
    let a = server.quiet_user(0, "dora");
    assert_eq!(server.next_deadline(), Some(seconds(10)));
    server.quiet_until(just_before(seconds(10)));
    server.at(seconds(10)).tick();
    server.pings(a);
    assert_eq!(server.next_deadline(), Some(seconds(30)));
    server.quiet_until(seconds(20));
    server.quiet_until(just_before(seconds(30)));
    server.at(seconds(30)).tick();
    server.closes_silent(a);
    assert_eq!(server.next_deadline(), None);
}

#[test]
fn pong_begins_the_silence_anew() {
    let mut server = Server::new();
    let a = server.quiet_user(0, "dora");
    let mut nonces = Vec::new();
    for round in 0..5 {
        server.at(seconds(12 * round + 10)).tick();
        server.pings(a);
        nonces.push(server.nonce());
        let nonce = server.nonce();
        server.at(seconds(12 * round + 12)).says(a, pong(nonce));
        server.does_nothing();
        assert_eq!(server.next_deadline(), Some(seconds(12 * round + 22)));
    }
    nonces.sort_unstable();
    nonces.dedup();
    assert_eq!(nonces.len(), 5, "every ping has a nonce of its own");
    server.at(seconds(70)).tick();
    server.pings(a);
    server.quiet_until(just_before(seconds(90)));
    server.at(seconds(90)).tick();
    server.closes_silent(a);
}

#[test]
fn pong_counts_whatever_its_nonce() {
    let mut server = Server::new();
    let a = server.quiet_user(0, "dora");
    server.at(seconds(10)).tick();
    server.pings(a);
    let another_nonce = server.nonce() ^ 1;
    server.at(seconds(29)).says(a, pong(another_nonce));
    server.does_nothing();
    server.quiet_until(seconds(38));
    server.at(seconds(39)).tick();
    server.pings(a);
}

#[test]
fn every_packet_counts_refused_ones_too() {
    let mut server = Server::new();
    let a = server.quiet_user(0, "dora");
    server.at(seconds(9)).says(a, ping(1));
    server.does([send(a, ServerPacket::Pong { nonce: 1 })]);
    server.at(seconds(18)).refuses(a, leave(1, PLAZA), Code::NotInRoom);
    server.at(seconds(27)).refuses(a, enter(1, 99), Code::RoomUnknown);
    server.quiet_until(just_before(seconds(37)));
    server.at(seconds(37)).tick();
    server.pings(a);
    server.quiet_until(just_before(seconds(57)));
    server.at(seconds(57)).tick();
    server.closes_silent(a);
}

#[test]
fn packets_refused_for_flooding_count() {
    let mut server = Server::with(|config| {
        config.flood.burst = 11;
        config.flood.interval = seconds(1_000);
    });
    let a = server.quiet_user(0, "dora");
    server.at(seconds(9)).refuses(a, list(1, 0, 0), Code::Flooding);
    server.quiet_until(just_before(seconds(19)));
    server.at(seconds(19)).tick();
    server.pings(a);
}

#[test]
fn what_the_server_sends_never_counts() {
    let mut server = Server::new();
    let [a, b] = [(0, "dora"), (1, "eve")].map(|(index, user)| server.quiet_user(index, user));
    server.enters(a, PLAZA);
    server.enters(b, PLAZA);
    let (dora, eve) = (server.user_of(a), server.user_of(b));
    for (sequence, second) in (3..).zip([5, 9, 14, 19, 24, 29]) {
        if second == 14 {
            server.at(seconds(10)).tick();
            server.pings(a);
        }
        server.at(seconds(second)).says(b, chat(1, PLAZA, "hi"));
        server.does([broadcast([a], said(PLAZA, sequence, &eve, "hi")), send(b, chatted(1, PLAZA, sequence))]);
    }
    server.at(seconds(30)).tick();
    server.does([
        broadcast([b], user_left(PLAZA, 9, dora.id, LeaveCause::Disconnected)),
        closing(a, CloseReason::Silent),
        close(a, CloseReason::Silent),
    ]);
}

#[test]
fn client_whose_login_is_pending_is_pinged_and_closed_likewise() {
    let mut server = Server::with(|config| config.login_timeout = seconds(100));
    let a = server.guest(0);
    server.at(seconds(3));
    server.asks_to_log_in(a, 1, "dora");
    server.at(seconds(13)).tick();
    server.pings(a);
    server.at(seconds(33)).tick();
    server.closes_silent(a);
    assert_eq!(server.counts().logins_pending, 0);
}

#[test]
fn connection_before_hello_is_not_pinged_and_closed_after_three_intervals() {
    let mut server = Server::with(|config| config.login_grace = seconds(100));
    server.connects(session(0));
    server.take_events();
    server.quiet_until(seconds(10));
    server.quiet_until(just_before(seconds(30)));
    server.at(seconds(30)).tick();
    server.closes_silent(session(0));
}

#[test]
fn hello_after_a_silence_begins_a_new_interval() {
    let mut server = Server::with(|config| config.login_grace = seconds(100));
    server.connects(session(0));
    server.take_events();
    server.quiet_until(seconds(10));
    server.at(seconds(25)).says(session(0), hello());
    server.does_nothing();
    server.quiet_until(just_before(seconds(35)));
    server.at(seconds(35)).tick();
    server.pings(session(0));
}

#[test]
fn late_tick_pings_once_and_closes_at_the_same_moment_as_ever() {
    let mut server = Server::new();
    let a = server.quiet_user(0, "dora");
    server.at(seconds(25)).tick();
    server.pings(a);
    server.at(seconds(30)).tick();
    server.closes_silent(a);

    let b = server.quiet_user(1, "eve");
    server.at(seconds(60)).tick();
    server.closes_silent(b);
}

#[test]
fn deadlines_that_are_due_fire_before_the_input_is_taken() {
    let mut server = Server::new();
    let a = server.quiet_user(0, "dora");
    server.at(seconds(30)).says(a, ping(1));
    server.closes_silent(a);
}

#[test]
fn deadlines_of_the_same_moment_fire_in_the_order_of_the_sessions() {
    let mut server = Server::new();
    for index in [2, 0, 1] {
        server.quiet_user(index, &format!("u{index}"));
    }
    server.at(seconds(30)).tick();
    server.does(
        [0, 1, 2]
            .map(session)
            .into_iter()
            .flat_map(|a| [closing(a, CloseReason::Silent), close(a, CloseReason::Silent)]),
    );
}

#[test]
fn server_that_stood_still_for_a_minute_closes_nobody() {
    let mut server = Server::new();
    let a = server.quiet_user(0, "dora");
    let b = server.at(seconds(3)).guest(1);
    let c = server.at(seconds(5)).guest(2);
    server.at(seconds(6));
    let ticket = server.asks_to_log_in(c, 1, "eve");
    // From the 8th to the 68th second.
    server.at(seconds(68)).stalls(seconds(60));
    server.does_nothing();
    assert_eq!(server.next_deadline(), Some(seconds(70)));
    server.at(seconds(70)).tick();
    server.pings(a);
    // The store has answered meanwhile, and the login still had 2 s on the 69th and 1 s now.
    server.verdict(ticket, "eve", accepted_without_lease());
    let eve = plain_user(ticket.serial, "eve");
    server.does([Event::Online(c, Some(name("eve"))), send(c, logged_in(1, eve))]);
    server.says(a, pong(server.nonce()));
    server.does_nothing();
    server.at(seconds(73)).tick();
    server.pings(b);
}

#[test]
fn truly_silent_client_is_closed_in_spite_of_a_stall() {
    let mut server = Server::new();
    let a = server.quiet_user(0, "dora");
    server.at(seconds(10)).tick();
    server.pings(a);
    // Silent for 29 s when the server stood still, and silent afterwards.
    server.at(seconds(89)).stalls(seconds(60));
    server.does_nothing();
    server.quiet_until(just_before(seconds(90)));
    server.at(seconds(90)).tick();
    server.closes_silent(a);

    let b = server.quiet_user(1, "eve");
    // The stall explains only a part of that silence.
    server.at(seconds(180)).stalls(seconds(60));
    server.closes_silent(b);
}

#[test]
fn stall_puts_off_the_deadlines_of_logins() {
    let mut server = Server::with(|config| config.heartbeat_interval = seconds(1_000));
    let [a, b] = [0, 1].map(|index| server.guest(index));
    server.asks_to_log_in(b, 1, "dora");
    server.at(seconds(64)).stalls(seconds(60));
    server.does_nothing();
    server.quiet_until(just_before(seconds(65)));
    server.at(seconds(65)).tick();
    server.does([send(b, login_refused(1, Code::StoreUnavailable))]);
    server.quiet_until(just_before(seconds(90)));
    server.at(seconds(90)).tick();
    server.does([closing(a, CloseReason::LoginTimeout), close(a, CloseReason::LoginTimeout)]);
}

#[test]
fn stalls_add_up() {
    let mut server = Server::new();
    let a = server.quiet_user(0, "dora");
    for round in 1..=10 {
        server.at(seconds(61 * round)).stalls(seconds(60));
        // Awake for a second each time.
        if round == 10 {
            server.pings(a);
        } else {
            server.does_nothing();
        }
    }
}

#[test]
fn stall_longer_than_the_server_has_lived_hurts_nothing() {
    let mut server = Server::new();
    let a = server.quiet_user(0, "dora");
    server.guest(1);
    server.at(seconds(100)).stalls(Duration::MAX);
    server.does_nothing();
    server.at(seconds(110)).tick();
    let events = server.take_events();
    assert_eq!(events.len(), 2, "both are pinged: {events:?}");
    server.says(a, pong(1));
    server.does_nothing();
}

#[test]
fn time_that_goes_backwards_stands_still() {
    let mut server = Server::new();
    let a = server.quiet_user(0, "dora");
    server.at(seconds(9)).says(a, pong(1));
    server.does_nothing();
    server.quiet_until(seconds(2));
    server.at(Duration::ZERO).says(a, ping(1));
    server.does([send(a, ServerPacket::Pong { nonce: 1 })]);
    assert_eq!(server.next_deadline(), Some(seconds(10)));
    server.at(seconds(1)).stalls(seconds(1));
    server.does_nothing();
    let b = server.at(seconds(3)).guest(1);
    server.quiet_until(just_before(seconds(19)));
    server.at(seconds(19)).tick();
    let events = server.take_events();
    let pinged: Vec<_> =
        events.iter().map(|event| matches!(event, Event::Send(_, ServerPacket::Ping { .. }))).collect();
    assert_eq!(pinged, [true, true], "{events:?}");
    // What was said at the 9th second counts from there, although the clock had said otherwise since.
    server.says(b, pong(1));
    server.does_nothing();
    server.at(seconds(39)).tick();
    let events = server.take_events();
    assert!(events.contains(&close(a, CloseReason::Silent)) && !events.contains(&close(b, CloseReason::Silent)));
}

#[test]
fn end_of_time_is_no_panic() {
    let mut server = Server::new();
    server.quiet_user(0, "dora");
    server.at(Duration::MAX).tick();
    server.closes_silent(session(0));
    let b = server.quiet_user(1, "eve");
    server.stalls(Duration::MAX);
    server.does_nothing();
    server.says(b, ping(1));
    server.does([send(b, ServerPacket::Pong { nonce: 1 })]);
}
