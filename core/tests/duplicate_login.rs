//! A user who is online logs in again: refused, taking over, or both, as the configuration says.

use lobbyd_core::action::Presence;
use lobbyd_core::config::DuplicateLogin;
use lobbyd_core::id::{SessionId, Ticket};
use lobbyd_core::input::Verdict;
use lobbyd_core::packet::{CloseReason, Code, LeaveCause};

use crate::support::packets::*;
use crate::support::*;

fn server_with(policy: DuplicateLogin) -> Server {
    Server::with(|config| config.duplicate_login = policy)
}

/// What a successful login does, as user `dora`.
fn online(ticket: Ticket, request: u32) -> [Event; 2] {
    let dora = plain_user(ticket.serial, "dora");
    [Event::Online(ticket.session, Some(name("dora"))), send(ticket.session, logged_in(request, dora))]
}

/// What becomes of the session that another login of `dora` takes over.
fn superseded(ticket: Ticket) -> [Event; 3] {
    let id = ticket.session;
    [release(ticket, "dora"), closing(id, CloseReason::Superseded), close(id, CloseReason::Superseded)]
}

impl Server {
    /// Asks to log in as `dora`, which asks the store with that `presence`.
    #[track_caller]
    fn asks_as_dora(&mut self, session: SessionId, presence: Presence) -> Ticket {
        self.says(session, login(1, "Dora"));
        let ticket = self.ticket();
        assert_eq!(ticket.session, session);
        self.does([Event::Verify(ticket, name("dora"), sealed(1), presence)]);
        ticket
    }
}

#[test]
fn second_login_is_rejected_without_asking_the_store() {
    let mut server = server_with(DuplicateLogin::Reject);
    let a = server.user(0, "dora");
    let b = server.guest(1);
    server.refuses(b, login(1, "dora"), Code::AlreadyOnline);
    server.refuses(b, login(2, "DORA"), Code::AlreadyOnline);
    server.says(a, logout(2));
    server.take_events();
    server.asks_as_dora(b, Presence::Take);
}

#[test]
fn of_two_logins_in_the_same_instant_the_first_verdict_is_taken() {
    for leased in [accepted(), accepted_without_lease()] {
        for second_asked_is_first in [false, true] {
            let mut server = server_with(DuplicateLogin::Reject);
            let [a, b] = [0, 1].map(|index| server.guest(index));
            let mut tickets = [a, b].map(|session| server.asks_as_dora(session, Presence::Take));
            if second_asked_is_first {
                tickets.reverse();
            }
            let [first, second] = tickets;
            server.verdict(first, "dora", accepted());
            server.does(online(first, 1));
            server.verdict(second, "dora", leased.clone());
            let refused = send(second.session, login_refused(1, Code::AlreadyOnline));
            if leased == accepted() {
                server.does([release(second, "dora"), refused]);
            } else {
                server.does([refused]);
            }
            assert_eq!(server.counts().online, 1);
        }
    }
}

#[test]
fn who_was_online_when_asked_and_is_not_any_more_on_the_verdict_is_no_obstacle() {
    let mut server = server_with(DuplicateLogin::Reject);
    let [a, b] = [0, 1].map(|index| server.guest(index));
    let [first, second] = [a, b].map(|session| server.asks_as_dora(session, Presence::Take));
    server.verdict(first, "dora", accepted());
    server.does(online(first, 1));
    server.disconnects(a);
    server.does([release(first, "dora")]);
    server.verdict(second, "dora", accepted());
    server.does(online(second, 1));
}

#[test]
fn newest_login_supersedes_only_with_a_right_secret() {
    let mut server = server_with(DuplicateLogin::NewestWins);
    let a = server.user(0, "dora");
    let b = server.guest(1);
    for (verdict, code) in [
        (Verdict::Denied, Code::LoginDenied),
        (Verdict::Unavailable, Code::StoreUnavailable),
        (Verdict::AlreadyOnline, Code::AlreadyOnline),
    ] {
        let ticket = server.asks_as_dora(b, Presence::Replace);
        server.verdict(ticket, "dora", verdict);
        server.does([send(b, login_refused(1, code))]);
    }
    let ticket_a = server.ticket_of(a);
    let ticket_b = server.asks_as_dora(b, Presence::Replace);
    server.verdict(ticket_b, "dora", accepted());
    server.does(superseded(ticket_a).into_iter().chain(online(ticket_b, 1)));
    assert_eq!((server.counts().sessions, server.counts().online), (1, 1));
}

#[test]
fn superseded_member_leaves_its_room() {
    let mut server = server_with(DuplicateLogin::NewestWins);
    let a = server.user(0, "dora");
    let other = server.user(1, "eve");
    server.enters(a, PLAZA);
    server.enters(other, PLAZA);
    let (dora, ticket_a) = (server.id_of(a), server.ticket_of(a));
    let b = server.guest(2);
    let ticket_b = server.asks_as_dora(b, Presence::Replace);
    server.verdict(ticket_b, "dora", accepted());
    let told = broadcast([other], user_left(PLAZA, 3, dora, LeaveCause::Disconnected));
    server.does([told].into_iter().chain(superseded(ticket_a)).chain(online(ticket_b, 1)));
    // The newest is in the lobby, not in the room of the one before.
    server.refuses(b, chat(2, PLAZA, "hi"), Code::NotInRoom);
}

#[test]
fn of_two_newest_logins_in_the_same_instant_the_last_verdict_stays() {
    for second_asked_is_first in [false, true] {
        let mut server = server_with(DuplicateLogin::NewestWins);
        let [a, b] = [0, 1].map(|index| server.guest(index));
        let mut tickets = [a, b].map(|session| server.asks_as_dora(session, Presence::Replace));
        if second_asked_is_first {
            tickets.reverse();
        }
        let [first, second] = tickets;
        server.verdict(first, "dora", accepted());
        server.does(online(first, 1));
        server.verdict(second, "dora", accepted());
        server.does(superseded(first).into_iter().chain(online(second, 1)));
        assert_eq!((server.counts().sessions, server.counts().online), (1, 1));
    }
}

#[test]
fn newest_login_has_a_place_on_a_full_server_and_nobody_else_has() {
    let mut server = Server::with(|config| {
        config.duplicate_login = DuplicateLogin::NewestWins;
        config.users_max = 1;
    });
    let a = server.user(0, "dora");
    let ticket_a = server.ticket_of(a);
    let b = server.guest(1);
    server.refuses(b, login(1, "eve"), Code::ServerFull);
    let ticket_b = server.asks_as_dora(b, Presence::Replace);
    server.verdict(ticket_b, "dora", accepted());
    server.does(superseded(ticket_a).into_iter().chain(online(ticket_b, 1)));
}

#[test]
fn newest_login_has_no_place_when_another_user_took_it_meanwhile() {
    let mut server = Server::with(|config| {
        config.duplicate_login = DuplicateLogin::NewestWins;
        config.users_max = 1;
    });
    let a = server.user(0, "dora");
    let [b, c] = [1, 2].map(|index| server.guest(index));
    let ticket_b = server.asks_as_dora(b, Presence::Replace);
    server.says(a, logout(2));
    server.take_events();
    server.logs_in(c, "eve", accepted());
    server.verdict(ticket_b, "dora", accepted());
    server.does([release(ticket_b, "dora"), send(b, login_refused(1, Code::ServerFull))]);
}

#[test]
fn where_duplicates_are_allowed_both_stay_and_are_told_apart_by_number() {
    let mut server = server_with(DuplicateLogin::Allow);
    let [a, b, c] = [0, 1, 2].map(|index| server.guest(index));
    let tickets = [a, b].map(|session| server.asks_as_dora(session, Presence::None));
    for ticket in tickets {
        server.verdict(ticket, "dora", accepted_without_lease());
        server.does(online(ticket, 1));
    }
    assert_ne!(server.id_of(a), server.id_of(b));
    assert_eq!(server.counts().online, 2);

    server.enters(a, PLAZA);
    let (user_a, user_b) = (server.user_of(a), server.user_of(b));
    server.says(b, enter(2, PLAZA));
    server.does([
        broadcast([a], new_user(PLAZA, 2, user_b.clone())),
        send(b, user_list(PLAZA, server.epoch(PLAZA), 2, None, [user_a, user_b.clone()])),
        send(b, entered(2, PLAZA, server.epoch(PLAZA), 2)),
    ]);
    server.logs_in(c, "eve", accepted_without_lease());
    let eve = server.user_of(c);
    server.says(c, direct(3, "dora", "hi"));
    server.does([broadcast([a, b], said_directly(&eve, "hi")), send(c, direct_sent(3))]);

    server.disconnects(b);
    server.does([broadcast([a], user_left(PLAZA, 3, user_b.id, LeaveCause::Disconnected))]);
    server.says(c, direct(4, "dora", "hi"));
    server.does([broadcast([a], said_directly(&eve, "hi")), send(c, direct_sent(4))]);
}

#[test]
fn allowed_duplicates_count_against_the_limit_of_users() {
    let mut server = Server::with(|config| {
        config.duplicate_login = DuplicateLogin::Allow;
        config.users_max = 2;
    });
    server.user(0, "dora");
    server.user(1, "dora");
    let c = server.guest(2);
    server.refuses(c, login(1, "dora"), Code::ServerFull);
}
