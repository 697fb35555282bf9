//! What login attempts cost, by session, user and address, and how long a login may take.

use std::net::IpAddr;

use lobbyd_core::input::{Admin, Input, Verdict};
use lobbyd_core::limits::Rate;
use lobbyd_core::packet::{CloseReason, Code};

use crate::support::packets::*;
use crate::support::*;

/// `burst` at once, and one more every minute.
fn burst(burst: u32) -> Rate {
    Rate { burst, interval: seconds(60) }
}

fn address(text: &str) -> IpAddr {
    text.parse().expect("tests write addresses rightly")
}

impl Server {
    /// A new connection from there tries `user` with a wrong secret, and goes.
    #[track_caller]
    fn fails_from(&mut self, from: &str, user: &str) {
        let id = self.guest_as(session(40), address(from));
        let ticket = self.asks_to_log_in(id, 1, user);
        self.verdict(ticket, user, Verdict::Denied);
        self.does([send(id, login_refused(1, Code::LoginDenied))]);
        self.disconnects(id);
        self.does_nothing();
    }

    /// A new connection from there is refused before the store is asked, and goes.
    #[track_caller]
    fn has_no_attempt_from(&mut self, from: &str, user: &str) {
        let id = self.guest_as(session(40), address(from));
        self.refuses(id, login(1, user), Code::TooManyAttempts);
        self.disconnects(id);
        self.does_nothing();
    }
}

#[test]
fn connection_is_closed_after_its_last_wrong_secret() {
    let mut server = Server::with(|config| config.login_failures_per_session_max = 3);
    let a = server.guest(0);
    for user in ["dora", "eve"] {
        let ticket = server.asks_to_log_in(a, 1, user);
        server.verdict(ticket, user, Verdict::Denied);
        server.does([send(a, login_refused(1, Code::LoginDenied))]);
    }
    for verdict in [Verdict::AlreadyOnline, Verdict::Unavailable] {
        let ticket = server.asks_to_log_in(a, 1, "dora");
        server.verdict(ticket, "dora", verdict);
        server.take_events();
    }
    let ticket = server.asks_to_log_in(a, 7, "fay");
    server.verdict(ticket, "fay", Verdict::Denied);
    server.does([
        send(a, login_refused(7, Code::LoginDenied)),
        closing(a, CloseReason::LoginAttempts),
        close(a, CloseReason::LoginAttempts),
    ]);
    assert_eq!(server.counts().sessions, 0);
}

#[test]
fn attempts_for_one_user_are_limited_across_connections_and_addresses() {
    let mut server = Server::with(|config| config.login_failures_per_user = burst(2));
    server.fails_from("192.0.2.1", "dora");
    server.fails_from("192.0.2.2", "DORA");
    server.has_no_attempt_from("192.0.2.1", "dora");
    server.has_no_attempt_from("192.0.2.3", "Dora");
    server.fails_from("192.0.2.1", "eve");
    server.at(seconds(60) - milliseconds(1));
    server.has_no_attempt_from("192.0.2.1", "dora");
    server.at(seconds(60));
    server.fails_from("192.0.2.1", "dora");
    server.has_no_attempt_from("192.0.2.1", "dora");
}

#[test]
fn attempts_from_one_address_are_limited_across_users() {
    let mut server = Server::with(|config| config.login_failures_per_address = burst(2));
    server.fails_from("192.0.2.1", "dora");
    server.fails_from("::ffff:192.0.2.1", "eve");
    server.has_no_attempt_from("192.0.2.1", "fay");
    server.fails_from("192.0.2.2", "fay");
    server.at(seconds(60));
    server.fails_from("192.0.2.1", "fay");
    server.has_no_attempt_from("192.0.2.1", "dora");
}

#[test]
fn attempts_from_ipv6_are_limited_by_network() {
    let mut server = Server::with(|config| config.login_failures_per_address = burst(2));
    server.fails_from("2001:db8::1", "dora");
    server.fails_from("2001:db8::2", "eve");
    server.has_no_attempt_from("2001:db8::3", "fay");
    server.fails_from("2001:db8:0:1::1", "fay");
}

#[test]
fn attempt_refused_for_its_user_costs_the_address_nothing() {
    let mut server = Server::with(|config| {
        config.login_failures_per_user = burst(1);
        config.login_failures_per_address = burst(2);
    });
    server.fails_from("192.0.2.1", "dora");
    for _ in 0..5 {
        server.has_no_attempt_from("192.0.2.1", "dora");
    }
    server.fails_from("192.0.2.1", "eve");
    server.has_no_attempt_from("192.0.2.1", "fay");
}

#[test]
fn attempts_count_from_their_beginning() {
    let mut server = Server::with(|config| config.login_failures_per_user = burst(2));
    let [a, b, c] = [0, 1, 2].map(|index| server.guest(index));
    let ticket = server.asks_to_log_in(a, 1, "dora");
    server.asks_to_log_in(b, 1, "dora");
    server.refuses(c, login(1, "dora"), Code::TooManyAttempts);
    server.verdict(ticket, "dora", Verdict::Unavailable);
    server.does([send(a, login_refused(1, Code::StoreUnavailable))]);
    server.asks_to_log_in(c, 2, "dora");
}

#[test]
fn attempt_that_was_no_wrong_secret_is_paid_back() {
    let mut server = Server::with(|config| {
        config.login_failures_per_user = burst(1);
        config.login_failures_per_address = burst(1);
        config.users_max = 1;
        config.login_failures_per_session_max = 1;
        config.heartbeat_interval = seconds(1_000);
    });
    let [a, b] = [0, 1].map(|index| server.guest(index));
    for _ in 0..3 {
        server.logs_in(a, "dora", accepted_without_lease());
        server.says(a, logout(2));
        server.take_events();
    }
    for verdict in [Verdict::AlreadyOnline, Verdict::Unavailable] {
        let ticket = server.asks_to_log_in(a, 1, "dora");
        server.verdict(ticket, "dora", verdict);
        server.take_events();
    }
    for round in 1..=3 {
        server.asks_to_log_in(a, 1, "dora");
        server.at(seconds(5 * round)).tick();
        server.does([send(a, login_refused(1, Code::StoreUnavailable))]);
    }
    // Refused on the verdict, since meanwhile there are enough users.
    let c = server.guest_as(session(2), address("192.0.2.2"));
    let ticket = server.asks_to_log_in(b, 1, "eve");
    server.logs_in(c, "fay", accepted_without_lease());
    server.verdict(ticket, "eve", accepted_without_lease());
    server.does([send(b, login_refused(1, Code::ServerFull))]);
    server.says(c, logout(2));
    server.take_events();
    server.logs_in(b, "eve", accepted_without_lease());
}

#[test]
fn attempt_refused_since_the_server_drains_is_paid_back() {
    let mut server = Server::with(|config| config.login_failures_per_address = burst(1));
    let a = server.guest(0);
    let ticket = server.asks_to_log_in(a, 1, "dora");
    let before = server.engine().clone();
    server.admin(Admin::Drain { within: seconds(100) });
    server.take_events();
    server.verdict(ticket, "dora", accepted());
    server.does([release(ticket, "dora"), send(a, login_refused(1, Code::Draining))]);
    // Nobody can log in any more, so that only the state can tell.
    let attempts =
        |engine: &lobbyd_core::Engine| serde_json::to_value(engine.snapshot()).unwrap()["engine"]["attempts"].clone();
    assert_eq!(attempts(&before)["by_address"].as_array().unwrap().len(), 1);
    assert_eq!(attempts(server.engine())["by_address"].as_array().unwrap().len(), 0);
    assert_eq!(attempts(server.engine())["by_user"].as_array().unwrap().len(), 0);
}

#[test]
fn attempt_that_the_client_gave_up_is_not_paid_back() {
    let mut server = Server::with(|config| config.login_failures_per_user = burst(2));
    let a = server.guest(0);
    let cancelled = server.asks_to_log_in(a, 1, "dora");
    server.says(a, logout(2));
    server.take_events();
    // Not by a late verdict either, whatever it says.
    server.verdict(cancelled, "dora", accepted_without_lease());
    server.does_nothing();
    let dropped = server.asks_to_log_in(a, 3, "dora");
    server.disconnects(a);
    server.does_nothing();
    server.input(Input::LoginVerdict { ticket: dropped, user: name("dora"), verdict: Verdict::Unavailable });
    server.does_nothing();
    server.has_no_attempt_from("192.0.2.1", "dora");
}

#[test]
fn right_secret_does_not_forgive_wrong_ones() {
    let mut server = Server::with(|config| config.login_failures_per_address = burst(2));
    server.fails_from("192.0.2.1", "dora");
    let a = server.guest(0);
    for _ in 0..3 {
        server.logs_in(a, "eve", accepted_without_lease());
        server.says(a, logout(2));
        server.take_events();
    }
    server.fails_from("192.0.2.1", "dora");
    server.has_no_attempt_from("192.0.2.1", "dora");
}
