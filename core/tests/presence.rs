//! Presence leases: each that came with a verdict is given back exactly once, and none is inherited or lost.

use lobbyd_core::id::{SessionId, Ticket};
use lobbyd_core::input::{Admin, Input, Verdict, WireFault};
use lobbyd_core::limits::Rate;
use lobbyd_core::packet::{CloseReason, Code, LeaveCause};

use crate::support::packets::*;
use crate::support::*;

impl Server {
    #[track_caller]
    fn loses_presence(&mut self, ticket: Ticket) {
        self.input(Input::PresenceLost { ticket });
    }

    /// A user in the lobby with a lease, and its ticket.
    #[track_caller]
    fn leaseholder(&mut self, index: u32, user: &str) -> (SessionId, Ticket) {
        let session = self.user(index, user);
        (session, self.ticket_of(session))
    }
}

/// The session that comes after `session` in its slot.
fn next_in_slot(session: SessionId) -> SessionId {
    SessionId { generation: session.generation + 1, ..session }
}

#[test]
fn logout_gives_the_lease_back() {
    let mut server = Server::new();
    let (a, ticket) = server.leaseholder(0, "dora");
    server.says(a, logout(2));
    server.does([release(ticket, "dora"), Event::Online(a, None), send(a, logged_out(2))]);
    server.disconnects(a);
    server.does_nothing();
}

#[test]
fn every_end_of_a_session_gives_the_lease_back() {
    type End = fn(&mut Server, SessionId);
    let ends: [(CloseReason, End); 9] = [
        (CloseReason::HelloRepeated, |server, a| server.says(a, hello())),
        (CloseReason::PacketMalformed, |server, session| {
            server.input(Input::Malformed { session, fault: WireFault::PacketMalformed });
        }),
        (CloseReason::SlowConsumer, |server, session| server.input(Input::OutboxFull { session })),
        (CloseReason::Superseded, |server, a| server.loses_presence(server.ticket_of(a))),
        (CloseReason::OperatorClosed, |server, _| server.admin(Admin::CloseUser { user: name("dora") })),
        (CloseReason::Stopped, |server, _| server.admin(Admin::Stop)),
        (CloseReason::Silent, |server, _| server.at(seconds(30)).tick()),
        (CloseReason::Draining, |server, _| {
            server.admin(Admin::Drain { within: seconds(1) });
            server.take_events();
            server.after(seconds(1)).tick();
        }),
        (CloseReason::Flooding, |server, a| {
            for _ in 0..10 {
                server.says(a, pong(1));
                server.does_nothing();
            }
            server.says(a, pong(1));
        }),
    ];
    for (reason, end) in ends {
        let mut server = Server::with(|config| {
            // Of these the login and its hello take 11.
            config.flood = Rate { burst: 20, interval: seconds(1_000) };
            config.flood_refusals = Rate { burst: 1, interval: seconds(1_000) };
        });
        let (a, ticket) = server.leaseholder(0, "dora");
        end(&mut server, a);
        server.does([release(ticket, "dora"), closing(a, reason), close(a, reason)]);
    }
    let mut server = Server::new();
    let (a, ticket) = server.leaseholder(0, "dora");
    server.disconnects(a);
    server.does([release(ticket, "dora")]);
}

#[test]
fn login_without_a_lease_gives_none_back() {
    let mut server = Server::new();
    let a = server.user_as(0, "dora", accepted_without_lease());
    server.says(a, logout(2));
    server.does([Event::Online(a, None), send(a, logged_out(2))]);
    server.logs_in(a, "dora", accepted_without_lease());
    server.disconnects(a);
    server.does_nothing();
}

#[test]
fn lease_of_a_login_refused_on_its_verdict_goes_back() {
    let mut server = Server::with(|config| config.users_max = 2);
    let [a, b, c, d] = [0, 1, 2, 3].map(|index| server.guest(index));
    let [of_a, of_b] = [a, b].map(|session| server.asks_to_log_in(session, 1, "dora"));
    let of_c = server.asks_to_log_in(c, 1, "eve");
    server.verdict(of_a, "dora", accepted());
    server.take_events();
    server.verdict(of_b, "dora", accepted());
    server.does([release(of_b, "dora"), send(b, login_refused(1, Code::AlreadyOnline))]);
    server.logs_in(d, "fay", accepted());
    server.verdict(of_c, "eve", accepted());
    server.does([release(of_c, "eve"), send(c, login_refused(1, Code::ServerFull))]);
}

#[test]
fn lease_of_a_verdict_that_comes_after_the_session_has_gone_goes_back() {
    let mut server = Server::new();
    let a = server.guest(0);
    let ticket = server.asks_to_log_in(a, 1, "dora");
    server.disconnects(a);
    server.does_nothing();
    assert_eq!(server.counts().logins_pending, 0);
    server.verdict(ticket, "dora", accepted());
    server.does([release(ticket, "dora")]);

    let b = server.guest(1);
    for verdict in [accepted_without_lease(), Verdict::Denied, Verdict::AlreadyOnline, Verdict::Unavailable] {
        let ticket = server.asks_to_log_in(b, 1, "dora");
        server.says(b, logout(2));
        server.take_events();
        server.verdict(ticket, "dora", verdict);
        server.does_nothing();
    }
}

#[test]
fn next_session_in_a_slot_never_inherits_a_verdict() {
    let mut server = Server::new();
    let old = server.guest(0);
    let old_ticket = server.asks_to_log_in(old, 1, "dora");
    server.disconnects(old);
    server.does_nothing();
    // It has another generation and asks for the same user at once.
    let new = server.guest_as(next_in_slot(old), ADDRESS);
    server.verdict(old_ticket, "dora", accepted());
    server.does([release(old_ticket, "dora")]);
    let new_ticket = server.asks_to_log_in(new, 1, "dora");
    server.verdict(old_ticket, "dora", accepted());
    server.does([release(old_ticket, "dora")]);
    // A ticket of the old session is not made the new one's by its number, nor the other way round.
    let forged = [Ticket { session: old, ..new_ticket }, Ticket { session: new, ..old_ticket }];
    for ticket in forged {
        server.verdict(ticket, "dora", accepted());
        server.does([release(ticket, "dora")]);
    }
    server.verdict(new_ticket, "dora", Verdict::Denied);
    server.does([send(new, login_refused(1, Code::LoginDenied))]);
    assert_eq!(server.counts().online, 0);
}

#[test]
fn nothing_that_names_an_earlier_session_touches_the_next_in_its_slot() {
    let mut server = Server::new();
    let (old, old_ticket) = server.leaseholder(0, "dora");
    server.disconnects(old);
    server.does([release(old_ticket, "dora")]);
    let new = server.guest_as(next_in_slot(old), ADDRESS);
    server.logs_in(new, "dora", accepted());
    let new_ticket = server.ticket_of(new);
    server.says(old, logout(1));
    server.does_nothing();
    server.disconnects(old);
    server.does_nothing();
    server.input(Input::OutboxFull { session: old });
    server.does_nothing();
    server.input(Input::Malformed { session: old, fault: WireFault::FrameEmpty });
    server.does_nothing();
    server.loses_presence(old_ticket);
    server.does_nothing();
    server.says(new, logout(2));
    server.does([release(new_ticket, "dora"), Event::Online(new, None), send(new, logged_out(2))]);
}

#[test]
fn verdict_that_comes_twice_does_not_give_a_lease_back_that_is_in_use() {
    let mut server = Server::new();
    let (a, ticket) = server.leaseholder(0, "dora");
    for verdict in [accepted(), accepted_without_lease(), Verdict::Denied, Verdict::AlreadyOnline, Verdict::Unavailable]
    {
        server.verdict(ticket, "dora", verdict);
        server.does_nothing();
    }
    server.says(a, logout(2));
    server.does([release(ticket, "dora"), Event::Online(a, None), send(a, logged_out(2))]);
    // Now nobody uses it.
    server.verdict(ticket, "dora", accepted());
    server.does([release(ticket, "dora")]);
}

#[test]
fn lease_that_a_second_verdict_brings_to_a_login_without_one_goes_back() {
    let mut server = Server::new();
    let a = server.user_as(0, "dora", accepted_without_lease());
    let ticket = server.ticket_of(a);
    server.verdict(ticket, "dora", accepted());
    server.does([release(ticket, "dora")]);
    server.disconnects(a);
    server.does_nothing();
}

#[test]
fn verdict_on_another_user_changes_no_session() {
    let mut server = Server::new();
    let a = server.guest(0);
    let ticket = server.asks_to_log_in(a, 1, "dora");
    server.verdict(ticket, "eve", accepted());
    server.does([release(ticket, "eve")]);
    server.verdict(ticket, "eve", Verdict::Denied);
    server.does_nothing();
    assert_eq!(server.counts().logins_pending, 1);
    server.verdict(ticket, "dora", accepted());
    let dora = plain_user(ticket.serial, "dora");
    server.does([Event::Online(a, Some(name("dora"))), send(a, logged_in(1, dora))]);
    // The lease in use is dora's; this one is not.
    server.verdict(ticket, "eve", accepted());
    server.does([release(ticket, "eve")]);
}

#[test]
fn verdict_on_a_ticket_that_was_never_issued_changes_nothing() {
    let mut server = Server::new();
    server.guest(0);
    for ticket in [Ticket { session: session(0), serial: 0 }, Ticket { session: session(u32::MAX), serial: u64::MAX }] {
        server.verdict(ticket, "dora", accepted());
        server.does([release(ticket, "dora")]);
        server.verdict(ticket, "dora", Verdict::Denied);
        server.does_nothing();
        server.loses_presence(ticket);
        server.does_nothing();
    }
}

#[test]
fn user_whose_presence_is_lost_is_superseded() {
    let mut server = Server::new();
    let (a, ticket) = server.leaseholder(0, "dora");
    let (b, _) = server.leaseholder(1, "eve");
    server.enters(a, PLAZA);
    server.enters(b, PLAZA);
    server.loses_presence(ticket);
    server.does([
        broadcast([b], user_left(PLAZA, 3, server.id_of(a), LeaveCause::Disconnected)),
        release(ticket, "dora"),
        closing(a, CloseReason::Superseded),
        close(a, CloseReason::Superseded),
    ]);
    server.loses_presence(ticket);
    server.does_nothing();
}

#[test]
fn only_the_presence_in_use_can_be_lost() {
    let mut server = Server::new();
    let (a, ended) = server.leaseholder(0, "dora");
    server.says(a, logout(2));
    server.take_events();
    server.loses_presence(ended);
    server.does_nothing();
    let pending = server.asks_to_log_in(a, 3, "dora");
    server.loses_presence(pending);
    server.does_nothing();
    server.verdict(pending, "dora", accepted());
    server.take_events();
    // The loss of the earlier login's lease comes late.
    server.loses_presence(ended);
    server.does_nothing();

    let b = server.user_as(1, "eve", accepted_without_lease());
    server.loses_presence(server.ticket_of(b));
    server.does_nothing();
    assert_eq!(server.counts().online, 2);
}

#[test]
fn user_whom_the_operator_closes_does_not_get_in_by_a_login_under_way() {
    let mut server = Server::new();
    let a = server.guest(0);
    let b = server.guest(1);
    let ticket = server.asks_to_log_in(a, 1, "alice");
    let other = server.asks_to_log_in(b, 1, "bob");
    server.admin(Admin::CloseUser { user: name("alice") });
    server.does([closing(a, CloseReason::OperatorClosed), close(a, CloseReason::OperatorClosed)]);
    server.verdict(ticket, "alice", accepted());
    server.does([release(ticket, "alice")]);
    server.verdict(other, "bob", Verdict::Denied);
    assert_eq!(server.take_events().len(), 1, "the other login goes its way");
}
