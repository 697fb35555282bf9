//! Packets that middleware stopped.

use lobbyd_core::input::Input;
use lobbyd_core::limits::Rate;
use lobbyd_core::packet::{CloseReason, Code, ServerPacket};

use crate::support::packets::*;
use crate::support::*;

#[test]
fn stopped_packet_is_a_sign_of_life_costs_and_is_refused() {
    let flood = Rate { burst: 12, interval: seconds(3_600) };
    let mut server = Server::with(|config| config.flood = flood);
    let a = server.user(0, "dora");
    let packet = direct(1, "dora", "hi");
    let stopped = |session, packet| Input::Stopped { session, packet, code: Code::TextRefused };
    server.after(seconds(9)).input(stopped(a, packet));
    server.does([send(a, packet.refusal(Code::TextRefused).unwrap())]);
    // It was heard, so no ping follows a second later; and the budget has room for nothing more.
    server.after(seconds(1)).tick();
    server.does_nothing();
    server.input(stopped(a, packet));
    server.does([send(a, packet.refusal(Code::Flooding).unwrap())]);
    // Of a session that is gone it is nothing.
    server.input(stopped(session(9), packet));
    server.does_nothing();
}

#[test]
fn what_nothing_answers_cannot_be_stopped() {
    let mut server = Server::new();
    let a = session(0);
    let stopped = |packet| Input::Stopped { session: a, packet, code: Code::TextRefused };
    server.connects(a);
    server.does([send(a, welcome(server.engine().config()))]);
    // Before Hello the protocol is broken, stopped or not.
    let b = session(1);
    server.connects(b);
    server.does([send(b, welcome(server.engine().config()))]);
    server.input(Input::Stopped { session: b, packet: list(1, 0, 0), code: Code::TextRefused });
    server.does([closing(b, CloseReason::HelloExpected), close(b, CloseReason::HelloExpected)]);
    server.input(stopped(hello()));
    server.does_nothing();
    server.input(stopped(ping(5)));
    server.does([send(a, ServerPacket::Pong { nonce: 5 })]);
    let ticket = server.asks_to_log_in(a, 1, "dora");
    server.input(stopped(list(2, 0, 0)));
    server.does([send(a, list(2, 0, 0).refusal(Code::LoginPending).unwrap())]);
    server.verdict(ticket, "dora", accepted());
    server.take_events();
}
