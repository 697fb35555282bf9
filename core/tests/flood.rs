//! Floods: what each packet costs, how a flood is answered and then ended, and how much is remembered of it.

use std::net::IpAddr;

use lobbyd_core::id::SessionId;
use lobbyd_core::input::Verdict;
use lobbyd_core::limits::Rate;
use lobbyd_core::packet::{CloseReason, Code, LeaveCause, ServerPacket};

use crate::support::packets::*;
use crate::support::*;

/// A server whose clients have a budget of `burst`, one more each second, and `refusals` refusals, one more a minute.
fn server_with(burst: u32, refusals: u32) -> Server {
    Server::with(|config| {
        config.flood = Rate { burst, interval: seconds(1) };
        config.flood_refusals = Rate { burst: refusals, interval: seconds(60) };
        config.heartbeat_interval = seconds(1_000);
    })
}

impl Server {
    /// How many more pings are answered at once, to a client that may be refused often enough.
    #[track_caller]
    fn budget_left(&mut self, session: SessionId) -> u32 {
        for count in 0.. {
            self.says(session, ping(1));
            let events = self.take_events();
            if events.is_empty() {
                return count;
            }
            assert_eq!(events, [send(session, ServerPacket::Pong { nonce: 1 })]);
        }
        unreachable!("a budget ends");
    }

    #[track_caller]
    fn ends_flood(&mut self, session: SessionId) {
        self.does([closing(session, CloseReason::Flooding), close(session, CloseReason::Flooding)]);
    }

    #[track_caller]
    fn connects_and_goes(&mut self, from: IpAddr) {
        self.connects_from(session(40), from);
        let expected = welcome(self.engine().config());
        self.does([send(session(40), expected)]);
        self.disconnects(session(40));
        self.does_nothing();
    }

    #[track_caller]
    fn refuses_rate_of(&mut self, from: IpAddr) {
        self.connects_from(session(40), from);
        self.does([closing(session(40), CloseReason::ConnectRate), close(session(40), CloseReason::ConnectRate)]);
    }
}

fn host(last: u8) -> IpAddr {
    [192, 0, 2, last].into()
}

#[test]
fn packets_cost_what_they_make_others_do() {
    // In the order of `every_request`, then those that are no requests.
    let costs = [10, 1, 2, 5, 3, 2, 1, 1, 3, 3, 1, 1];
    let packets = every_request().map(|(_, packet)| packet).into_iter().chain([ping(1), pong(1)]);
    for (cost, packet) in costs.into_iter().zip(packets) {
        let mut server = server_with(50, 10);
        // The hello costs 1.
        let a = server.guest(0);
        server.says(a, packet);
        server.take_events();
        assert_eq!(server.budget_left(a), 49 - cost, "{packet:?}");
    }
}

#[test]
fn request_costs_the_same_when_it_succeeds() {
    let mut server = server_with(100, 10);
    // 1 and 10, then 3, 1 and 2.
    let a = server.user(0, "dora");
    server.enters(a, PLAZA);
    server.says(a, chat(1, PLAZA, "hi"));
    server.take_events();
    server.leaves(a, PLAZA);
    assert_eq!(server.budget_left(a), 100 - 17);
}

#[test]
fn flood_is_answered_and_then_ended() {
    let mut server = server_with(20, 3);
    let a = server.user_as(0, "dora", accepted_without_lease());
    let b = server.user_as(1, "eve", accepted_without_lease());
    server.enters(a, PLAZA);
    server.enters(b, PLAZA);
    let dora = server.user_of(a);
    for sequence in 3..9 {
        server.says(a, chat(7, PLAZA, "hi"));
        server.does([broadcast([b], said(PLAZA, sequence, &dora, "hi")), send(a, chatted(7, PLAZA, sequence))]);
    }
    // Nobody but the flooder hears of what is refused.
    for request in 8..11 {
        server.refuses(a, chat(request, PLAZA, "hi"), Code::Flooding);
    }
    server.says(a, chat(11, PLAZA, "hi"));
    server.does([
        broadcast([b], user_left(PLAZA, 9, dora.id, LeaveCause::Disconnected)),
        closing(a, CloseReason::Flooding),
        close(a, CloseReason::Flooding),
    ]);
    // Nor does anybody else pay for it.
    server.says(b, chat(1, PLAZA, "hi"));
    server.does([send(b, chatted(1, PLAZA, 10))]);
}

#[test]
fn packets_without_a_response_count_towards_the_end_as_well() {
    let mut server = server_with(10, 3);
    let a = server.guest(0);
    assert_eq!(server.budget_left(a), 9);
    server.says(a, pong(1));
    server.does_nothing();
    server.says(a, ping(1));
    server.does_nothing();
    server.says(a, pong(1));
    server.ends_flood(a);
}

#[test]
fn second_hello_is_one_too_many_whatever_the_budget() {
    let mut server = server_with(10, 3);
    let a = server.guest(0);
    assert_eq!(server.budget_left(a), 9);
    server.says(a, pong(1));
    server.does_nothing();
    server.says(a, hello());
    server.does([closing(a, CloseReason::HelloRepeated), close(a, CloseReason::HelloRepeated)]);
}

#[test]
fn every_request_over_the_budget_is_refused_with_its_own_response() {
    let mut server = server_with(10, 11);
    let a = server.guest(0);
    assert_eq!(server.budget_left(a), 9);
    for (_, packet) in every_request() {
        server.refuses(a, packet, Code::Flooding);
    }
    assert_eq!(server.counts().logins_pending, 0);
}

#[test]
fn costly_request_is_refused_while_a_cheap_one_is_not() {
    let mut server = server_with(10, 10);
    let a = server.guest(0);
    for request in 1..4 {
        server.refuses(a, login(request, "dora"), Code::Flooding);
    }
    // What was refused has cost nothing.
    assert_eq!(server.budget_left(a), 9);
}

#[test]
fn budget_refills_with_time_up_to_its_burst() {
    let mut server = server_with(12, 1_000);
    let a = server.guest(0);
    assert_eq!(server.budget_left(a), 11);
    server.at(milliseconds(999));
    assert_eq!(server.budget_left(a), 0);
    server.at(seconds(1));
    assert_eq!(server.budget_left(a), 1);
    server.at(milliseconds(3_500));
    assert_eq!(server.budget_left(a), 2);
    server.at(seconds(4));
    assert_eq!(server.budget_left(a), 1);
    server.at(seconds(20));
    assert_eq!(server.budget_left(a), 12);
}

#[test]
fn refusals_refill_with_time_too() {
    let mut server = server_with(12, 2);
    let a = server.guest(0);
    let request = list(1, 0, 0);
    // Its end takes a refusal, and this the other.
    assert_eq!(server.budget_left(a), 11);
    server.refuses(a, request, Code::Flooding);
    server.at(milliseconds(500)).says(a, request);
    server.ends_flood(a);

    let b = server.user_as(1, "dora", accepted_without_lease());
    assert_eq!(server.budget_left(b), 1);
    server.refuses(b, request, Code::Flooding);
    for _ in 0..5 {
        server.after(seconds(60));
        // One refusal came back, which the end of this count takes.
        assert_eq!(server.budget_left(b), 12);
    }
    server.says(b, request);
    server.ends_flood(b);
}

#[test]
fn client_at_the_allowed_pace_is_never_refused() {
    let mut server = Server::new();
    let a = server.user_as(0, "dora", accepted_without_lease());
    server.enters(a, PLAZA);
    for message in 0..1_000 {
        // 50 a second, as the default allows.
        server.after(milliseconds(20)).says(a, chat(1, PLAZA, "hi"));
        server.does([send(a, chatted(1, PLAZA, message + 2))]);
    }
}

#[test]
fn flood_of_one_session_is_forgotten_with_it() {
    let mut server = server_with(10, 1);
    let a = server.guest(0);
    assert_eq!(server.budget_left(a), 9);
    server.says(a, pong(1));
    server.ends_flood(a);
    let next = server.guest_as(SessionId { generation: 1, ..a }, ADDRESS);
    assert_eq!(server.budget_left(next), 9);
}

#[test]
fn remembered_addresses_are_bounded_and_the_one_to_be_forgotten_soonest_goes_first() {
    let mut server = Server::with(|config| {
        config.connects_per_address = Rate { burst: 2, interval: seconds(60) };
        config.remembered_max = 2;
    });
    server.connects_and_goes(host(1));
    server.connects_and_goes(host(1));
    server.refuses_rate_of(host(1));
    // The harness checks the bound at every step.
    for last in 2..20 {
        server.connects_and_goes(host(last));
    }
    server.refuses_rate_of(host(1));
    // The second to the last has been forgotten.
    server.connects_and_goes(host(18));
    server.connects_and_goes(host(18));
    server.refuses_rate_of(host(18));
}

#[test]
fn address_that_is_remembered_pushes_out_no_other() {
    let mut server = Server::with(|config| {
        config.connects_per_address = Rate { burst: 3, interval: seconds(60) };
        config.remembered_max = 2;
    });
    server.connects_and_goes(host(1));
    server.connects_and_goes(host(1));
    server.at(seconds(1));
    for _ in 0..3 {
        server.connects_and_goes(host(2));
    }
    server.refuses_rate_of(host(2));
    server.connects_and_goes(host(1));
    server.refuses_rate_of(host(1));
}

#[test]
fn remembered_users_are_bounded() {
    let mut server = Server::with(|config| {
        config.login_failures_per_user = Rate { burst: 1, interval: seconds(60) };
        config.login_failures_per_session_max = 1_000;
        config.remembered_max = 3;
    });
    let a = server.guest(0);
    for number in 0..20 {
        let user = format!("user{number}");
        let ticket = server.after(seconds(1)).asks_to_log_in(a, 1, &user);
        server.verdict(ticket, &user, Verdict::Denied);
        server.does([send(a, login_refused(1, Code::LoginDenied))]);
    }
    server.refuses(a, login(1, "user19"), Code::TooManyAttempts);
    server.refuses(a, login(1, "user17"), Code::TooManyAttempts);
    server.asks_to_log_in(a, 1, "user16");
}

#[test]
fn what_is_full_again_is_not_remembered() {
    let mut server = Server::with(|config| {
        config.connects_per_address = Rate { burst: 2, interval: seconds(60) };
    });
    for last in 1..10 {
        server.connects_and_goes(host(last));
    }
    let remembered = |server: &Server| {
        let snapshot = serde_json::to_value(server.engine().snapshot()).unwrap();
        snapshot["engine"]["connects"].as_array().unwrap().len()
    };
    assert_eq!(remembered(&server), 9);
    server.at(seconds(60)).connects_and_goes(host(10));
    assert_eq!(remembered(&server), 1);
}
