//! Login and logout: the order of the checks, what the store is asked, what its verdict does, and what attempts cost.

use lobbyd_core::action::Presence;
use lobbyd_core::id::{RequestId, SessionId, UserId};
use lobbyd_core::input::{Account, Admin, Verdict};
use lobbyd_core::limits::Rate;
use lobbyd_core::packet::{ClientPacket, CloseReason, Code, ServerPacket, User};
use lobbyd_core::text::{RawText, Text};

use crate::support::packets::*;
use crate::support::*;

/// `burst` at once, and one more every minute.
fn burst(burst: u32) -> Rate {
    Rate { burst, interval: seconds(60) }
}

const VERDICTS: [fn() -> Verdict; 5] =
    [accepted, accepted_without_lease, || Verdict::Denied, || Verdict::AlreadyOnline, || Verdict::Unavailable];

impl Server {
    #[track_caller]
    fn denies(&mut self, session: SessionId, user: &str) {
        let ticket = self.asks_to_log_in(session, 700, user);
        self.verdict(ticket, user, Verdict::Denied);
        self.does([send(session, login_refused(700, Code::LoginDenied))]);
    }
}

#[test]
fn login_is_verified_and_answered_with_the_user() {
    let mut server = Server::new();
    let a = server.guest(0);
    server.says(a, login(41, "DoRa"));
    let ticket = server.ticket();
    server.does([Event::Verify(ticket, name("dora"), sealed(1), Presence::Take)]);
    assert_eq!((server.counts().online, server.counts().logins_pending), (0, 1));
    let account = Account { nickname: Some(Text::new("Dóra 多拉")), administrator: false };
    server.verdict(ticket, "dora", Verdict::Accepted { account, leased: false });
    let dora = User { id: UserId(ticket.serial), name: name("dora"), nickname: Some(Text::new("Dóra 多拉")) };
    server.does([Event::Online(a, Some(name("dora"))), send(a, logged_in(41, dora))]);
    assert_eq!((server.counts().online, server.counts().logins_pending), (1, 0));
}

#[test]
fn nickname_that_breaks_the_rules_is_not_shown() {
    let mut server = Server::new();
    for (index, nickname) in (0..).zip(["", "a\u{1b}[2J", "a\u{202e}b", "e\u{301}", &"x".repeat(33)]) {
        let account = Account { nickname: Some(Text::new(nickname)), administrator: false };
        let user = format!("u{index}");
        let a = server.user_as(index, &user, Verdict::Accepted { account, leased: false });
        assert_eq!(server.user_of(a).nickname, None, "{nickname:?}");
    }
}

#[test]
fn name_out_of_the_alphabet_or_the_length_is_refused() {
    let mut server = Server::new();
    let a = server.guest(0);
    let long = "x".repeat(33);
    let invalid: [&[u8]; 8] =
        [b"", b" dora", b"dora\n", b"do ra", b"dora\x1b[0m", &[0xff], "d\u{f3}ra".as_bytes(), long.as_bytes()];
    for user in invalid {
        let packet = ClientPacket::LoginRequest { request: RequestId(1), user: RawText(user), secret: sealed(1) };
        server.refuses(a, packet, Code::NameInvalid);
    }
    server.logs_in(a, &long[1..], accepted());
}

#[test]
fn only_login_and_ping_are_for_those_who_are_not_logged_in() {
    let mut server = Server::new();
    let a = server.guest(0);
    let refuse_all = |server: &mut Server| {
        for (request, packet) in every_request() {
            if request != 1 {
                server.refuses(a, packet, Code::NotLoggedIn);
            }
        }
        server.says(a, ping(9));
        server.does([send(a, ServerPacket::Pong { nonce: 9 })]);
    };
    refuse_all(&mut server);
    server.logs_in(a, "dora", accepted_without_lease());
    server.says(a, logout(2));
    server.does([Event::Online(a, None), send(a, logged_out(2))]);
    refuse_all(&mut server);
}

#[test]
fn refusals_name_the_first_reason_that_holds() {
    let mut server = Server::with(|config| {
        config.users_max = 1;
        config.logins_pending_max = 1;
        config.login_failures_per_user = burst(1);
    });
    let [a, b, c, d] = [0, 1, 2, 3].map(|index| server.guest(index));
    let invalid = login(1, "not a name");
    server.denies(b, "eve");
    server.asks_to_log_in(b, 1, "fay");
    server.refuses(c, login(1, "eve"), Code::ServerFull);
    server.refuses(b, login(1, "eve"), Code::LoginPending);
    server.refuses(b, invalid, Code::LoginPending);
    server.says(b, logout(2));
    server.take_events();
    server.refuses(c, login(1, "eve"), Code::TooManyAttempts);
    server.logs_in(a, "dora", accepted());
    server.refuses(c, login(1, "eve"), Code::ServerFull);
    server.refuses(c, login(1, "dora"), Code::ServerFull);
    server.refuses(c, invalid, Code::NameInvalid);
    server.admin(Admin::Drain { within: seconds(100) });
    server.take_events();
    server.refuses(d, invalid, Code::Draining);
    server.refuses(d, login(1, "dora"), Code::Draining);
    server.refuses(a, invalid, Code::AlreadyLoggedIn);
    server.refuses(a, login(1, "dora"), Code::AlreadyLoggedIn);
}

#[test]
fn user_online_is_told_before_too_many_pending_logins_are() {
    let mut server = Server::with(|config| config.logins_pending_max = 1);
    server.user(0, "dora");
    let [b, c] = [1, 2].map(|index| server.guest(index));
    server.asks_to_log_in(b, 1, "eve");
    server.refuses(c, login(1, "DORA"), Code::AlreadyOnline);
    server.refuses(c, login(2, "fay"), Code::ServerFull);
}

#[test]
fn pending_logins_are_bounded() {
    let mut server = Server::with(|config| config.logins_pending_max = 2);
    let [a, b, c] = [0, 1, 2].map(|index| server.guest(index));
    let ticket = server.asks_to_log_in(a, 1, "dora");
    server.asks_to_log_in(b, 1, "eve");
    server.refuses(c, login(1, "fay"), Code::ServerFull);
    server.verdict(ticket, "dora", Verdict::Denied);
    server.does([send(a, login_refused(1, Code::LoginDenied))]);
    server.asks_to_log_in(c, 2, "fay");
    // A disconnection frees the place as well.
    server.refuses(a, login(2, "dora"), Code::ServerFull);
    server.disconnects(b);
    server.does_nothing();
    server.asks_to_log_in(a, 3, "dora");
    assert_eq!(server.counts().logins_pending, 2);
}

#[test]
fn every_verdict_but_yes_is_a_refusal_after_which_one_may_try_again() {
    let mut server = Server::new();
    let a = server.guest(0);
    for (verdict, code) in [
        (Verdict::Denied, Code::LoginDenied),
        (Verdict::AlreadyOnline, Code::AlreadyOnline),
        (Verdict::Unavailable, Code::StoreUnavailable),
    ] {
        let ticket = server.asks_to_log_in(a, 5, "dora");
        server.verdict(ticket, "dora", verdict);
        server.does([send(a, login_refused(5, code))]);
        assert_eq!((server.counts().online, server.counts().logins_pending), (0, 0));
    }
    server.logs_in(a, "dora", accepted());
}

#[test]
fn every_login_has_a_number_of_its_own() {
    let mut server = Server::new();
    let a = server.guest(0);
    let mut before = 0;
    for _ in 0..3 {
        server.logs_in(a, "dora", accepted_without_lease());
        let id = server.id_of(a).0;
        assert!(id > before, "{id} after {before}");
        before = id;
        server.says(a, logout(2));
        server.does([Event::Online(a, None), send(a, logged_out(2))]);
    }
}

#[test]
fn while_a_login_is_pending_only_ping_and_logout_are_answered() {
    let mut server = Server::new();
    let a = server.guest(0);
    let ticket = server.asks_to_log_in(a, 50, "dora");
    for (request, packet) in every_request() {
        if request != 2 {
            server.refuses(a, packet, Code::LoginPending);
        }
    }
    server.says(a, ping(3));
    server.does([send(a, ServerPacket::Pong { nonce: 3 })]);
    server.says(a, pong(3));
    server.does_nothing();
    // None of that has disturbed the login.
    server.verdict(ticket, "dora", accepted());
    let dora = plain_user(ticket.serial, "dora");
    server.does([Event::Online(a, Some(name("dora"))), send(a, logged_in(50, dora))]);
}

#[test]
fn second_login_while_one_is_pending_never_inherits_its_verdict() {
    let mut server = Server::new();
    let a = server.guest(0);
    let ticket = server.asks_to_log_in(a, 1, "alice");
    server.refuses(a, login(2, "bob"), Code::LoginPending);
    assert_eq!(server.ticket(), ticket);
    server.verdict(ticket, "alice", accepted());
    let alice = plain_user(ticket.serial, "alice");
    server.does([Event::Online(a, Some(name("alice"))), send(a, logged_in(1, alice))]);
    server.refuses(a, login(3, "bob"), Code::AlreadyLoggedIn);
    // Bob is not online, so somebody else may be.
    server.user(1, "bob");
}

#[test]
fn login_logout_login_takes_only_the_verdict_on_the_second_login() {
    for first in VERDICTS {
        for second in VERDICTS {
            for in_order in [true, false] {
                login_logout_login(first(), second(), in_order);
            }
        }
    }
}

fn login_logout_login(first: Verdict, second: Verdict, in_order: bool) {
    let mut server = Server::new();
    let a = server.guest(0);
    let ticket_1 = server.asks_to_log_in(a, 1, "dora");
    server.says(a, logout(2));
    server.does([send(a, login_refused(1, Code::LoginCancelled)), send(a, logged_out(2))]);
    let ticket_2 = server.asks_to_log_in(a, 3, "dora");
    assert_ne!(ticket_1, ticket_2);

    let of_the_first = if first == accepted() { vec![release(ticket_1, "dora")] } else { vec![] };
    let dora = plain_user(ticket_2.serial, "dora");
    let of_the_second = match second {
        Verdict::Accepted { .. } => vec![Event::Online(a, Some(name("dora"))), send(a, logged_in(3, dora))],
        Verdict::Denied => vec![send(a, login_refused(3, Code::LoginDenied))],
        Verdict::AlreadyOnline => vec![send(a, login_refused(3, Code::AlreadyOnline))],
        Verdict::Unavailable => vec![send(a, login_refused(3, Code::StoreUnavailable))],
    };
    let mut verdicts = [(ticket_1, first, of_the_first), (ticket_2, second, of_the_second)];
    if !in_order {
        verdicts.reverse();
    }
    for (ticket, verdict, expected) in verdicts {
        server.verdict(ticket, "dora", verdict);
        server.does(expected);
    }
}

#[test]
fn logout_cancels_a_pending_login() {
    let mut server = Server::new();
    let a = server.guest(0);
    server.asks_to_log_in(a, 1, "dora");
    server.says(a, logout(2));
    server.does([send(a, login_refused(1, Code::LoginCancelled)), send(a, logged_out(2))]);
    assert_eq!(server.counts().logins_pending, 0);
    server.refuses(a, logout(3), Code::NotLoggedIn);
}

#[test]
fn limit_of_users_is_checked_again_on_the_verdict() {
    let mut server = Server::with(|config| config.users_max = 1);
    let [a, b, c] = [0, 1, 2].map(|index| server.guest(index));
    let ticket_a = server.asks_to_log_in(a, 1, "dora");
    let ticket_b = server.asks_to_log_in(b, 1, "eve");
    let ticket_c = server.asks_to_log_in(c, 1, "fay");
    server.verdict(ticket_b, "eve", accepted());
    let eve = plain_user(ticket_b.serial, "eve");
    server.does([Event::Online(b, Some(name("eve"))), send(b, logged_in(1, eve))]);
    server.verdict(ticket_a, "dora", accepted());
    server.does([release(ticket_a, "dora"), send(a, login_refused(1, Code::ServerFull))]);
    server.verdict(ticket_c, "fay", accepted_without_lease());
    server.does([send(c, login_refused(1, Code::ServerFull))]);
    assert_eq!((server.counts().online, server.counts().logins_pending), (1, 0));
    server.says(b, logout(2));
    server.does([release(ticket_b, "eve"), Event::Online(b, None), send(b, logged_out(2))]);
    server.logs_in(a, "dora", accepted());
}

#[test]
fn drain_is_checked_again_on_the_verdict() {
    let mut server = Server::new();
    let [a, b] = [0, 1].map(|index| server.guest(index));
    let ticket_a = server.asks_to_log_in(a, 1, "dora");
    let ticket_b = server.asks_to_log_in(b, 1, "eve");
    server.admin(Admin::Drain { within: seconds(100) });
    server.take_events();
    server.verdict(ticket_a, "dora", accepted());
    server.does([release(ticket_a, "dora"), send(a, login_refused(1, Code::Draining))]);
    // A wrong secret stays a wrong secret.
    server.verdict(ticket_b, "eve", Verdict::Denied);
    server.does([send(b, login_refused(1, Code::LoginDenied))]);
}

#[test]
fn login_without_a_verdict_in_time_is_refused_and_its_late_verdict_changes_nothing() {
    for late in VERDICTS {
        let mut server = Server::new();
        let a = server.guest(0);
        server.at(seconds(1));
        let ticket_1 = server.asks_to_log_in(a, 1, "dora");
        assert_eq!(server.next_deadline(), Some(seconds(6)));
        server.at(seconds(6) - milliseconds(1)).tick();
        server.does_nothing();
        server.at(seconds(6)).tick();
        server.does([send(a, login_refused(1, Code::StoreUnavailable))]);
        assert_eq!(server.counts().logins_pending, 0);

        let released = if late() == accepted() { vec![release(ticket_1, "dora")] } else { vec![] };
        server.verdict(ticket_1, "dora", late());
        server.does(released.clone());
        let ticket_2 = server.asks_to_log_in(a, 2, "dora");
        // It may even come twice.
        server.verdict(ticket_1, "dora", late());
        server.does(released);
        server.verdict(ticket_2, "dora", accepted());
        let dora = plain_user(ticket_2.serial, "dora");
        server.does([Event::Online(a, Some(name("dora"))), send(a, logged_in(2, dora))]);
    }
}

#[test]
fn verdict_at_the_very_moment_of_the_timeout_is_late() {
    let mut server = Server::new();
    let a = server.guest(0);
    let ticket = server.asks_to_log_in(a, 1, "dora");
    server.at(seconds(5)).verdict(ticket, "dora", accepted());
    server.does([send(a, login_refused(1, Code::StoreUnavailable)), release(ticket, "dora")]);
}

#[test]
fn connection_that_does_not_log_in_is_closed() {
    let mut server = Server::new();
    let [a, b] = [0, 1].map(|index| server.guest(index));
    for second in (5..30).step_by(5) {
        for session in [a, b] {
            server.at(seconds(second)).says(session, pong(1));
            server.does_nothing();
        }
    }
    server.logs_in(b, "dora", accepted());
    server.at(seconds(30)).tick();
    server.does([closing(a, CloseReason::LoginTimeout), close(a, CloseReason::LoginTimeout)]);
    server.at(seconds(34)).tick();
    server.does_nothing();
}

#[test]
fn connection_that_never_says_hello_is_closed_and_never_pinged() {
    let mut server = Server::with(|config| config.login_grace = seconds(25));
    server.connects(session(0));
    server.take_events();
    for second in [10, 20, 24] {
        server.at(seconds(second)).tick();
        server.does_nothing();
    }
    server.at(seconds(25)).tick();
    server.does([closing(session(0), CloseReason::LoginTimeout), close(session(0), CloseReason::LoginTimeout)]);
}

#[test]
fn time_for_logging_in_begins_anew_when_a_login_has_ended() {
    let mut server = Server::with(|config| config.heartbeat_interval = seconds(1_000));
    let [a, b, c] = [0, 1, 2].map(|index| server.guest(index));
    server.at(seconds(29));
    server.denies(a, "dora");
    server.logs_in(b, "eve", accepted_without_lease());
    server.says(b, logout(2));
    server.does([Event::Online(b, None), send(b, logged_out(2))]);
    server.asks_to_log_in(c, 1, "fay");
    // What waits for the store is not closed for not being logged in.
    server.at(seconds(30)).tick();
    server.does_nothing();
    server.at(seconds(34)).tick();
    server.does([send(c, login_refused(1, Code::StoreUnavailable))]);
    server.at(seconds(59)).tick();
    server.does([
        closing(a, CloseReason::LoginTimeout),
        close(a, CloseReason::LoginTimeout),
        closing(b, CloseReason::LoginTimeout),
        close(b, CloseReason::LoginTimeout),
    ]);
    server.at(seconds(64)).tick();
    server.does([closing(c, CloseReason::LoginTimeout), close(c, CloseReason::LoginTimeout)]);
}
