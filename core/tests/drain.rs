//! The end of the server's life: everybody is told to go, each is closed at its own moment, and nobody new comes in.

use std::collections::BTreeMap;
use std::time::Duration;

use lobbyd_core::id::SessionId;
use lobbyd_core::input::{Admin, Input};
use lobbyd_core::packet::{CloseReason, Code, LeaveCause, ServerPacket};

use crate::support::packets::*;
use crate::support::*;

impl Server {
    /// Drains, which tells every session, in their order, a delay of its own.
    #[track_caller]
    fn drains(&mut self, within: Duration) -> BTreeMap<SessionId, Duration> {
        let sessions = self.counts().sessions;
        self.admin(Admin::Drain { within });
        let mut delays = BTreeMap::new();
        for event in self.take_events() {
            let Event::Send(to, ServerPacket::GoAway { after_ms }) = event else {
                panic!("drained instead of {event:?}");
            };
            assert!(delays.last_key_value().is_none_or(|(last, _)| *last < to), "out of order: {to:?}");
            delays.insert(to, milliseconds(u64::from(after_ms)));
        }
        assert_eq!(delays.len(), usize::try_from(sessions).expect("tests have few sessions"));
        delays
    }

    #[track_caller]
    fn refuses_connection(&mut self, index: u32) {
        self.connects(session(index));
        self.does([closing(session(index), CloseReason::Draining), close(session(index), CloseReason::Draining)]);
    }
}

/// A server whose clients may be silent for as long as these tests take.
fn server() -> Server {
    Server::with(|config| {
        config.heartbeat_interval = seconds(10_000);
        config.login_grace = seconds(10_000);
    })
}

fn draining(session: SessionId) -> [Event; 2] {
    [closing(session, CloseReason::Draining), close(session, CloseReason::Draining)]
}

fn stopped(session: SessionId) -> [Event; 2] {
    [closing(session, CloseReason::Stopped), close(session, CloseReason::Stopped)]
}

#[test]
fn everybody_is_told_a_delay_of_its_own_within_the_time() {
    let mut server = server();
    for index in 0..200 {
        server.guest(index);
    }
    assert!(!server.engine().is_draining());
    let delays = server.drains(seconds(100));
    assert!(server.engine().is_draining());
    assert!(delays.values().all(|delay| *delay < seconds(90)), "the last tenth is for farewells");
    // Spread over the time: about as many in each part of it.
    for part in 0..3 {
        let count = delays.values().filter(|delay| (part * 30..part * 30 + 30).contains(&delay.as_secs())).count();
        assert!((40..=95).contains(&count), "{count} of 200 in part {part} of 3");
    }
}

#[test]
fn connections_in_every_state_are_told() {
    let mut server = server();
    server.connects(session(0));
    server.take_events();
    let b = server.guest(1);
    server.asks_to_log_in(b, 1, "dora");
    let c = server.user(2, "eve");
    server.enters(c, PLAZA);
    server.user(3, "fay");
    server.drains(seconds(10));
}

#[test]
fn each_is_closed_at_its_own_moment_and_others_see_it_leave() {
    let mut server = server();
    let users = ["dora", "eve", "fay"];
    let mut members: Vec<_> = (0..).zip(users).map(|(index, user)| (server.user(index, user), user)).collect();
    for (member, _) in &members {
        server.enters(*member, PLAZA);
    }
    server.at(seconds(7));
    let delays = server.drains(seconds(100));
    members.sort_by_key(|(member, _)| delays[member]);
    for place in 0..3 {
        let (member, user) = members[place];
        // Told in whole milliseconds, and closed within the next one.
        let at = seconds(7) + delays[&member];
        server.at(at - milliseconds(1)).tick();
        server.does_nothing();
        server.at(at + milliseconds(1)).tick();
        let rest: Vec<_> = (0..3).map(session).filter(|id| members[place + 1..].iter().any(|(m, _)| m == id)).collect();
        let left = user_left(PLAZA, 4 + place as u64, server.id_of(member), LeaveCause::Disconnected);
        let mut expected = Vec::new();
        if !rest.is_empty() {
            expected.push(Event::Broadcast(rest, left));
        }
        expected.push(release(server.ticket_of(member), user));
        expected.extend(draining(member));
        server.does(expected);
    }
    // Nobody is left for the end.
    server.at(seconds(107)).tick();
    server.does_nothing();
    assert_eq!(server.next_deadline(), None);
    server.refuses_connection(3);
}

#[test]
fn draining_server_takes_no_connections_logins_or_rooms() {
    let mut server = server();
    let a = server.user(0, "dora");
    let b = server.guest(1);
    let c = server.guest(2);
    let ticket = server.asks_to_log_in(c, 1, "fay");
    server.drains(seconds(100));
    server.refuses_connection(3);
    server.refuses(b, login(1, "eve"), Code::Draining);
    server.refuses(a, create(2, "Den", 2), Code::Draining);
    // A room that would begin to exist by being entered is a new room.
    server.refuses(a, enter(3, OPEN_ROOMS_MAX), Code::Draining);
    server.verdict(ticket, "fay", accepted());
    server.does([release(ticket, "fay"), send(c, login_refused(1, Code::Draining))]);
}

#[test]
fn chat_goes_on_while_the_server_drains() {
    let mut server = server();
    let a = server.user_as(0, "dora", accepted_without_lease());
    let b = server.user_as(1, "eve", accepted_without_lease());
    server.enters(a, PLAZA);
    let (dora, eve) = (server.user_of(a), server.user_of(b));
    server.drains(seconds(100));
    server.says(b, enter(1, PLAZA));
    let epoch = server.epoch(PLAZA);
    server.does([
        broadcast([a], new_user(PLAZA, 2, eve.clone())),
        send(b, user_list(PLAZA, epoch, 2, None, [dora.clone(), eve.clone()])),
        send(b, entered(1, PLAZA, epoch, 2)),
    ]);
    server.says(a, chat(2, PLAZA, "bye"));
    server.does([broadcast([b], said(PLAZA, 3, &dora, "bye")), send(a, chatted(2, PLAZA, 3))]);
    server.says(a, direct(3, "eve", "bye"));
    server.does([broadcast([b], said_directly(&dora, "bye")), send(a, direct_sent(3))]);
    server.says(b, logout(4));
    server.does([
        broadcast([a], user_left(PLAZA, 4, eve.id, LeaveCause::LoggedOut)),
        Event::Online(b, None),
        send(b, logged_out(4)),
    ]);
    server.refuses(b, login(5, "eve"), Code::Draining);
}

#[test]
fn client_that_goes_earlier_is_not_closed_again() {
    let mut server = server();
    let a = server.guest(0);
    let delays = server.drains(seconds(100));
    server.disconnects(a);
    server.does_nothing();
    server.after(delays[&a] + milliseconds(1)).tick();
    server.does_nothing();
}

#[test]
fn second_drain_changes_nothing() {
    let mut server = server();
    let a = server.guest(0);
    let delays = server.drains(seconds(100));
    for within in [Duration::ZERO, seconds(1), seconds(10_000)] {
        server.admin(Admin::Drain { within });
        server.does_nothing();
    }
    server.after(delays[&a] - milliseconds(1)).tick();
    server.does_nothing();
    server.after(milliseconds(2)).tick();
    server.does(draining(a));
    server.admin(Admin::Drain { within: seconds(1) });
    server.does_nothing();
}

#[test]
fn drain_without_time_closes_everybody_at_once() {
    let mut server = server();
    let [a, b] = [0, 1].map(|index| server.guest(index));
    let delays = server.drains(Duration::ZERO);
    assert!(delays.values().all(Duration::is_zero));
    server.tick();
    server.does([draining(a), draining(b)].concat());
    assert_eq!(server.next_deadline(), None);
}

#[test]
fn drain_of_an_empty_server_is_over_at_its_deadline() {
    let mut server = server();
    server.drains(seconds(5));
    assert_eq!(server.next_deadline(), Some(seconds(5)));
    server.at(seconds(5)).tick();
    server.does_nothing();
    assert_eq!(server.next_deadline(), None);
    server.refuses_connection(0);
}

#[test]
fn late_tick_closes_everybody_in_the_order_of_their_moments() {
    let mut server = server();
    for index in 0..5 {
        server.guest(index);
    }
    let delays = server.drains(seconds(100));
    let mut order: Vec<_> = delays.into_iter().map(|(session, delay)| (delay, session)).collect();
    order.sort_unstable();
    server.at(seconds(1_000)).tick();
    server.does(order.into_iter().flat_map(|(_, session)| draining(session)));
}

#[test]
fn stop_closes_everybody_at_once() {
    let mut server = server();
    server.connects(session(0));
    server.take_events();
    let b = server.guest(1);
    let ticket = server.asks_to_log_in(b, 1, "dora");
    let c = server.user(2, "eve");
    let d = server.user_as(3, "fay", accepted_without_lease());
    server.enters(c, PLAZA);
    server.enters(d, PLAZA);
    let (eve, eve_ticket) = (server.id_of(c), server.ticket_of(c));
    server.admin(Admin::Stop);
    let mut expected = [stopped(session(0)), stopped(b)].concat();
    expected.push(broadcast([d], user_left(PLAZA, 3, eve, LeaveCause::Disconnected)));
    expected.push(release(eve_ticket, "eve"));
    expected.extend([stopped(c), stopped(d)].concat());
    server.does(expected);
    assert_eq!(server.next_deadline(), None);
    server.refuses_connection(4);
    // The store answers into the void, and gets its lease back.
    server.verdict(ticket, "dora", accepted());
    server.does([release(ticket, "dora")]);
    server.admin(Admin::Stop);
    server.does_nothing();
    server.admin(Admin::Drain { within: seconds(1) });
    server.does_nothing();
    assert_eq!(server.next_deadline(), None);
}

#[test]
fn stop_ends_a_drain() {
    let mut server = server();
    let a = server.guest(0);
    server.drains(seconds(100));
    server.admin(Admin::Stop);
    server.does(stopped(a));
    assert_eq!(server.next_deadline(), None);
    server.refuses_connection(1);
}

#[test]
fn heartbeats_go_on_while_the_server_drains() {
    let mut server = Server::with(|config| config.login_grace = seconds(1_000));
    let a = server.guest(0);
    let delays = server.drains(seconds(100_000));
    assert!(delays[&a] > seconds(30), "the seed of the tests gives it time");
    server.at(seconds(10)).tick();
    server.does([send(a, ServerPacket::Ping { nonce: server.nonce() })]);
    server.at(seconds(30)).tick();
    server.does([closing(a, CloseReason::Silent), close(a, CloseReason::Silent)]);
}

#[test]
fn stall_does_not_put_off_the_end() {
    let mut server = server();
    let a = server.guest(0);
    server.drains(seconds(100));
    server.at(seconds(100)).input(Input::Stalled { gap: seconds(100) });
    server.does(draining(a));
    assert_eq!(server.next_deadline(), None);
}
