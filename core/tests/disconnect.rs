//! The end of a session from every state and for every cause: others are told, and nothing is left behind.

use lobbyd_core::config::DuplicateLogin;
use lobbyd_core::engine::Counts;
use lobbyd_core::id::SessionId;
use lobbyd_core::input::{Admin, Input, WireFault};
use lobbyd_core::packet::{CloseReason, LeaveCause};

use crate::support::packets::*;
use crate::support::*;

/// What a server without sessions counts: its two fixed rooms.
const NOBODY: Counts = Counts {
    sessions: 0,
    online: 0,
    logins_pending: 0,
    rooms: 2,
    members: 0,
    deadlines: 0,
    commands_waiting: 0,
    service_calls: 0,
};

fn faulty(session: SessionId, fault: WireFault) -> Input<'static> {
    Input::Malformed { session, fault }
}

/// Everything by which one connection alone ends: what goes in, and the reason that the client is told.
fn every_end(session: SessionId) -> [(Input<'static>, Option<CloseReason>); 6] {
    [
        (Input::Disconnected { session }, None),
        (Input::OutboxFull { session }, Some(CloseReason::SlowConsumer)),
        (faulty(session, WireFault::FrameEmpty), Some(CloseReason::FrameEmpty)),
        (faulty(session, WireFault::FrameTooLong), Some(CloseReason::FrameTooLong)),
        (faulty(session, WireFault::PacketUnknown), Some(CloseReason::PacketUnknown)),
        (faulty(session, WireFault::PacketMalformed), Some(CloseReason::PacketMalformed)),
    ]
}

/// What the client is told before its connection is closed; nothing if it has gone by itself.
fn farewell(session: SessionId, reason: Option<CloseReason>) -> Vec<Event> {
    reason.map_or(vec![], |reason| vec![closing(session, reason), close(session, reason)])
}

#[test]
fn connection_before_its_login_ends_without_a_trace() {
    type Arrive = fn(&mut Server) -> SessionId;
    let states: [Arrive; 4] = [
        |server| {
            server.connects(session(0));
            server.take_events();
            session(0)
        },
        |server| server.guest(0),
        |server| {
            let a = server.guest(0);
            server.asks_to_log_in(a, 1, "dora");
            a
        },
        |server| {
            let a = server.user_as(0, "dora", accepted_without_lease());
            server.says(a, logout(1));
            server.take_events();
            a
        },
    ];
    for arrive in states {
        for (end, reason) in every_end(session(0)) {
            let mut server = Server::new();
            let a = arrive(&mut server);
            server.input(end);
            server.does(farewell(a, reason));
            assert_eq!(server.counts(), NOBODY);
            assert_eq!(server.next_deadline(), None);
        }
    }
}

#[test]
fn user_in_the_lobby_ends_by_giving_the_lease_back() {
    for (end, reason) in every_end(session(0)) {
        let mut server = Server::new();
        let a = server.user(0, "dora");
        let ticket = server.ticket_of(a);
        server.input(end);
        let mut expected = vec![release(ticket, "dora")];
        expected.extend(farewell(a, reason));
        server.does(expected);
        assert_eq!(server.counts(), NOBODY);
        assert_eq!(server.next_deadline(), None);
    }
}

#[test]
fn member_ends_by_leaving_the_room_and_only_the_room_is_told() {
    for (end, reason) in every_end(session(0)) {
        let mut server = Server::new();
        let a = server.user(0, "dora");
        let [b, c, elsewhere] = [(1, "eve"), (2, "fay"), (3, "gus")].map(|(index, user)| server.user(index, user));
        for member in [b, a, c] {
            server.enters(member, PLAZA);
        }
        server.enters(elsewhere, 3);
        let (dora, ticket) = (server.id_of(a), server.ticket_of(a));
        server.input(end);
        let mut expected = vec![broadcast([b, c], user_left(PLAZA, 4, dora, LeaveCause::Disconnected))];
        expected.push(release(ticket, "dora"));
        expected.extend(farewell(a, reason));
        server.does(expected);
        // Its place is free, and the numbers of the room's changes go on.
        let next = server.user(4, "hal");
        server.says(next, enter(5, PLAZA));
        let epoch = server.epoch(PLAZA);
        let [eve, fay, hal] = [b, c, next].map(|member| server.user_of(member));
        server.does([
            broadcast([b, c], new_user(PLAZA, 5, hal.clone())),
            send(next, user_list(PLAZA, epoch, 5, None, [eve, fay, hal])),
            send(next, entered(5, PLAZA, epoch, 5)),
        ]);
    }
}

#[test]
fn owner_that_ends_passes_the_room_on() {
    for (end, reason) in every_end(session(0)) {
        let mut server = Server::new();
        let a = server.user_as(0, "dora", accepted_without_lease());
        let [b, c] = [(1, "eve"), (2, "fay")].map(|(index, user)| server.user(index, user));
        let den = server.creates(a, 3);
        server.enters(c, den);
        server.enters(b, den);
        let (dora, fay) = (server.id_of(a), server.id_of(c));
        server.input(end);
        let told = owned_user_left(den, 4, dora, LeaveCause::Disconnected, Some(fay));
        server.does([broadcast([c, b], told)].into_iter().chain(farewell(a, reason)));
    }
}

#[test]
fn last_member_that_ends_leaves_a_room_that_is_cleaned_up() {
    let mut server = Server::new();
    let a = server.user_as(0, "dora", accepted_without_lease());
    server.creates(a, 3);
    server.disconnects(a);
    server.does_nothing();
    assert_eq!(server.counts(), Counts { rooms: 3, deadlines: 1, ..NOBODY });
    server.at(seconds(60)).tick();
    server.does_nothing();
    assert_eq!(server.counts(), NOBODY);
}

#[test]
fn session_ends_once() {
    let mut server = Server::new();
    let a = server.user(0, "dora");
    server.disconnects(a);
    server.take_events();
    for (end, _) in every_end(a) {
        server.input(end);
        server.does_nothing();
    }
    for (_, packet) in every_request() {
        server.says(a, packet);
        server.does_nothing();
    }
    // Nor do those who were never there.
    for (end, _) in every_end(session(u32::MAX)) {
        server.input(end);
        server.does_nothing();
    }
}

#[test]
fn user_may_log_in_again_at_once_after_a_disconnection() {
    let mut server = Server::new();
    for generation in 0..5 {
        let a = server.guest_as(SessionId { index: 0, generation }, ADDRESS);
        server.logs_in(a, "dora", accepted());
        server.enters(a, PLAZA);
        let ticket = server.ticket_of(a);
        server.disconnects(a);
        server.does([release(ticket, "dora")]);
    }
}

#[test]
fn disconnection_during_a_login_frees_the_user_for_the_next_connection() {
    let mut server = Server::new();
    let a = server.guest(0);
    let old = server.asks_to_log_in(a, 1, "dora");
    server.disconnects(a);
    server.does_nothing();
    let b = server.guest_as(SessionId { index: 0, generation: 1 }, ADDRESS);
    let new = server.asks_to_log_in(b, 1, "dora");
    server.verdict(new, "dora", accepted());
    let dora = plain_user(new.serial, "dora");
    server.does([Event::Online(b, Some(name("dora"))), send(b, logged_in(1, dora))]);
    // The first verdict comes last.
    server.verdict(old, "dora", accepted());
    server.does([release(old, "dora")]);
    assert_eq!(server.counts().online, 1);
}

#[test]
fn operator_closes_every_session_of_a_user_and_no_other() {
    let mut server = Server::with(|config| config.duplicate_login = DuplicateLogin::Allow);
    let [a, b] = [0, 1].map(|index| server.user_as(index, "dora", accepted_without_lease()));
    let c = server.user_as(2, "doraemon", accepted_without_lease());
    let d = server.guest(3);
    let pending = server.asks_to_log_in(d, 1, "dora");
    server.enters(a, PLAZA);
    server.enters(c, PLAZA);
    let of_a = server.id_of(a);
    server.admin(Admin::CloseUser { user: name("DORA") });
    server.does([
        broadcast([c], user_left(PLAZA, 3, of_a, LeaveCause::Disconnected)),
        closing(a, CloseReason::OperatorClosed),
        close(a, CloseReason::OperatorClosed),
        closing(b, CloseReason::OperatorClosed),
        close(b, CloseReason::OperatorClosed),
        // Who is about to be online under that name as well.
        closing(d, CloseReason::OperatorClosed),
        close(d, CloseReason::OperatorClosed),
    ]);
    server.verdict(pending, "dora", accepted_without_lease());
    server.does_nothing();
    server.admin(Admin::CloseUser { user: name("dora") });
    server.does_nothing();
}
