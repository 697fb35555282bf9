//! Every code and every reason to close, each provoked by a short transcript. One that is new fails these tests until it
//! has a transcript here.

use std::collections::BTreeSet;
use std::time::Duration;

use lobbyd_core::input::{Admin, Input, Verdict, WireFault};
use lobbyd_core::limits::Rate;
use lobbyd_core::packet::{ClientPacket, CloseReason, Code};
use serde::de::DeserializeOwned;

use crate::support::packets::*;
use crate::support::puppet::{PUPPET, puppet};
use crate::support::*;

/// One at once, and one more in a day.
const ONCE: Rate = Rate { burst: 1, interval: Duration::from_secs(24 * 60 * 60) };

/// All variants of an enum with a transcript each.
macro_rules! table {
    ($name:ident of $enum:ident { $($variant:ident => $transcript:expr,)* }) => {
        fn $name() -> Vec<($enum, fn())> {
            let table: Vec<($enum, fn())> = vec![$(($enum::$variant, $transcript),)*];
            let named: BTreeSet<String> = table.iter().map(|(variant, _)| format!("{variant:?}")).collect();
            assert_eq!(named, variants_of::<$enum>());
            table
        }
    };
}

/// The names of an enum's variants, which serde tells to whoever asks for another.
fn variants_of<E: DeserializeOwned>() -> BTreeSet<String> {
    let Err(told) = serde_json::from_str::<E>("\"\"") else { panic!("no variant is called nothing") };
    let told = told.to_string();
    let (_, names) = told.split_once("expected one of ").unwrap_or_else(|| panic!("no list of variants: {told}"));
    names.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

table!(codes of Code {
    Flooding => || {
        let mut server = Server::with(|config| config.flood = Rate { burst: 10, ..ONCE });
        let a = server.guest(0);
        server.refuses(a, login(1, "dora"), Code::Flooding);
    },
    NotLoggedIn => || {
        let mut server = Server::new();
        let a = server.guest(0);
        server.refuses(a, list(1, 0, 0), Code::NotLoggedIn);
    },
    AlreadyLoggedIn => || {
        let mut server = Server::new();
        let a = server.user(0, "dora");
        server.refuses(a, login(1, "eve"), Code::AlreadyLoggedIn);
    },
    LoginPending => || {
        let mut server = Server::new();
        let a = server.guest(0);
        server.asks_to_log_in(a, 1, "dora");
        server.refuses(a, list(2, 0, 0), Code::LoginPending);
    },
    LoginCancelled => || {
        let mut server = Server::new();
        let a = server.guest(0);
        server.asks_to_log_in(a, 1, "dora");
        server.says(a, logout(2));
        server.does([send(a, login_refused(1, Code::LoginCancelled)), send(a, logged_out(2))]);
    },
    LoginDenied => || verdict_is_refused(Verdict::Denied, Code::LoginDenied),
    AlreadyOnline => || verdict_is_refused(Verdict::AlreadyOnline, Code::AlreadyOnline),
    TooManyAttempts => || {
        let mut server = Server::with(|config| config.login_failures_per_user = ONCE);
        let a = server.guest(0);
        server.asks_to_log_in(a, 1, "dora");
        let b = server.guest(1);
        server.refuses(b, login(1, "dora"), Code::TooManyAttempts);
    },
    ServerFull => || {
        let mut server = Server::with(|config| config.users_max = 1);
        server.user(0, "dora");
        let b = server.guest(1);
        server.refuses(b, login(1, "eve"), Code::ServerFull);
    },
    StoreUnavailable => || verdict_is_refused(Verdict::Unavailable, Code::StoreUnavailable),
    Draining => || {
        let mut server = Server::new();
        let a = server.guest(0);
        server.admin(Admin::Drain { within: seconds(10) });
        server.take_events();
        server.refuses(a, login(1, "dora"), Code::Draining);
    },
    NameInvalid => || {
        let mut server = Server::new();
        let a = server.guest(0);
        server.refuses(a, login(1, "not a name"), Code::NameInvalid);
    },
    NotInLobby => || {
        let mut server = Server::new();
        let a = server.user(0, "dora");
        server.enters(a, PLAZA);
        server.refuses(a, enter(1, PLAZA), Code::NotInLobby);
    },
    NotInRoom => || lobby_refuses(chat(1, PLAZA, "hi"), Code::NotInRoom),
    RoomUnknown => || lobby_refuses(enter(1, 0), Code::RoomUnknown),
    RoomPasswordWrong => || lobby_refuses(enter(1, VAULT), Code::RoomPasswordWrong),
    RoomPasswordAttempts => || {
        let mut server = Server::with(|config| config.room_password_failures_per_user = ONCE);
        let a = server.user(0, "dora");
        server.refuses(a, enter(1, VAULT), Code::RoomPasswordWrong);
        server.refuses(a, enter_with(2, VAULT, Some(VAULT_PASSWORD)), Code::RoomPasswordAttempts);
    },
    RoomFull => || {
        let mut server = Server::with(|config| config.fixed_rooms[0].capacity = 1);
        let a = server.user(0, "dora");
        server.enters(a, PLAZA);
        let b = server.user(1, "eve");
        server.refuses(b, enter(1, PLAZA), Code::RoomFull);
    },
    RoomBanned => || {
        let mut server = Server::new();
        let a = server.user_as(0, "dora", accepted_as_administrator());
        let b = server.user(1, "eve");
        server.enters(b, PLAZA);
        server.says(a, ban(1, PLAZA, server.id_of(b)));
        server.take_events();
        server.refuses(b, enter(1, PLAZA), Code::RoomBanned);
    },
    RoomLimit => || {
        let mut server = Server::with(|config| config.rooms_per_user_max = 0);
        let a = server.user(0, "dora");
        server.refuses(a, create(1, "Den", 2), Code::RoomLimit);
    },
    RoomRate => || {
        let mut server = Server::with(|config| config.room_creations_per_user = ONCE);
        let a = server.user(0, "dora");
        let den = server.creates(a, 2);
        server.leaves(a, den);
        server.refuses(a, create(1, "Den", 2), Code::RoomRate);
    },
    RoomsFull => || {
        let mut server = Server::with(|config| config.rooms_max = 2);
        let a = server.user(0, "dora");
        server.refuses(a, create(1, "Den", 2), Code::RoomsFull);
    },
    CapacityInvalid => || lobby_refuses(create(1, "Den", 0), Code::CapacityInvalid),
    TitleInvalid => || lobby_refuses(create(1, "\u{7}", 2), Code::TitleInvalid),
    TextEmpty => || plaza_refuses(chat(1, PLAZA, ""), Code::TextEmpty),
    TextTooLong => || plaza_refuses(chat(1, PLAZA, &"x".repeat(2_001)), Code::TextTooLong),
    TextInvalid => || plaza_refuses(chat_raw(1, PLAZA, &[0xff]), Code::TextInvalid),
    NotAllowed => || {
        let mut server = Server::new();
        let a = server.user(0, "dora");
        server.enters(a, PLAZA);
        server.refuses(a, kick(1, PLAZA, server.id_of(a)), Code::NotAllowed);
    },
    UserUnknown => || lobby_refuses(direct(1, "eve", "hi"), Code::UserUnknown),
    BansFull => || {
        let mut server = Server::with(|config| config.bans_per_room_max = 0);
        let a = server.user_as(0, "dora", accepted_as_administrator());
        let b = server.user(1, "eve");
        server.enters(b, PLAZA);
        server.refuses(a, ban(1, PLAZA, server.id_of(b)), Code::BansFull);
    },
    CommandUnknown => || lobby_refuses(command(1, "dice", ""), Code::CommandUnknown),
    CommandCancelled => || {
        let mut server = Server::with_extensions(|_| {}, puppet);
        let a = server.user(0, "dora");
        server.says(a, command(1, PUPPET, "keep"));
        server.does_nothing();
        server.says(a, logout(2));
        server.does([
            send(a, command_refused(1, PUPPET, Code::CommandCancelled)),
            release(server.ticket_of(a), "dora"),
            Event::Online(a, None),
            send(a, logged_out(2)),
        ]);
    },
    ExtensionFailed => || {
        let mut server = Server::with_extensions(|_| {}, puppet);
        let a = server.user(0, "dora");
        server.says(a, command(1, PUPPET, "fail out of luck"));
        server.does([
            Event::Failed(PUPPET.parse().expect("a good name"), "out of luck".to_owned(), false),
            send(a, command_refused(1, PUPPET, Code::ExtensionFailed)),
        ]);
    },
    ExtensionBusy => || {
        let mut server = Server::with_extensions(|config| config.commands_waiting_max = 0, puppet);
        let a = server.user(0, "dora");
        server.refuses(a, command(1, PUPPET, "keep"), Code::ExtensionBusy);
    },
    TextRefused => || middleware_refuses(Code::TextRefused),
    OverBudget => || middleware_refuses(Code::OverBudget),
});

fn middleware_refuses(code: Code) {
    let mut server = Server::new();
    let a = server.user(0, "dora");
    let packet = direct(1, "dora", "hi");
    server.input(Input::Stopped { session: a, packet, code });
    server.does([send(a, packet.refusal(code).expect("a request is refused"))]);
}

fn verdict_is_refused(verdict: Verdict, code: Code) {
    let mut server = Server::new();
    let a = server.guest(0);
    let ticket = server.asks_to_log_in(a, 1, "dora");
    server.verdict(ticket, "dora", verdict);
    server.does([send(a, login_refused(1, code))]);
}

fn lobby_refuses(packet: Packet<'_>, code: Code) {
    let mut server = Server::new();
    let a = server.user(0, "dora");
    server.refuses(a, packet, code);
}

fn plaza_refuses(packet: Packet<'_>, code: Code) {
    let mut server = Server::new();
    let a = server.user(0, "dora");
    server.enters(a, PLAZA);
    server.refuses(a, packet, code);
}

table!(reasons of CloseReason {
    Disconnected => || {
        let mut server = Server::new();
        let a = server.guest(0);
        server.disconnects(a);
        server.does_nothing();
    },
    ServerFull => || {
        let mut server = Server::with(|config| config.sessions_max = 1);
        server.guest(0);
        server.connects(session(1));
        closes(&mut server, 1, CloseReason::ServerFull);
    },
    AddressFull => || {
        let mut server = Server::with(|config| config.sessions_per_address_max = 1);
        server.guest(0);
        server.connects(session(1));
        closes(&mut server, 1, CloseReason::AddressFull);
    },
    ConnectRate => || {
        let mut server = Server::with(|config| config.connects_per_address = ONCE);
        server.guest(0);
        server.connects(session(1));
        closes(&mut server, 1, CloseReason::ConnectRate);
    },
    Draining => || {
        let mut server = Server::new();
        server.admin(Admin::Drain { within: seconds(10) });
        server.does_nothing();
        server.connects(session(0));
        closes(&mut server, 0, CloseReason::Draining);
    },
    VersionUnsupported => || {
        let mut server = Server::new();
        server.connects(session(0));
        server.take_events();
        server.says(session(0), ClientPacket::Hello { version: 0, client: "test".into() });
        closes(&mut server, 0, CloseReason::VersionUnsupported);
    },
    HelloExpected => || {
        let mut server = Server::new();
        server.connects(session(0));
        server.take_events();
        server.says(session(0), ping(1));
        closes(&mut server, 0, CloseReason::HelloExpected);
    },
    HelloRepeated => || {
        let mut server = Server::new();
        let a = server.guest(0);
        server.says(a, hello());
        closes(&mut server, 0, CloseReason::HelloRepeated);
    },
    FrameEmpty => || fault_closes(WireFault::FrameEmpty, CloseReason::FrameEmpty),
    FrameTooLong => || fault_closes(WireFault::FrameTooLong, CloseReason::FrameTooLong),
    PacketUnknown => || fault_closes(WireFault::PacketUnknown, CloseReason::PacketUnknown),
    PacketMalformed => || fault_closes(WireFault::PacketMalformed, CloseReason::PacketMalformed),
    LoginTimeout => || {
        let mut server = Server::with(|config| config.login_grace = seconds(5));
        server.guest(0);
        server.at(seconds(5)).tick();
        closes(&mut server, 0, CloseReason::LoginTimeout);
    },
    LoginAttempts => || {
        let mut server = Server::with(|config| config.login_failures_per_session_max = 1);
        let a = server.guest(0);
        let ticket = server.asks_to_log_in(a, 1, "dora");
        server.verdict(ticket, "dora", Verdict::Denied);
        server.does([
            send(a, login_refused(1, Code::LoginDenied)),
            closing(a, CloseReason::LoginAttempts),
            close(a, CloseReason::LoginAttempts),
        ]);
    },
    Silent => || {
        let mut server = Server::new();
        server.user_as(0, "dora", accepted_without_lease());
        server.at(seconds(30)).tick();
        closes(&mut server, 0, CloseReason::Silent);
    },
    Flooding => || {
        let mut server = Server::with(|config| {
            config.flood = Rate { burst: 10, ..ONCE };
            config.flood_refusals = ONCE;
        });
        let a = server.guest(0);
        server.refuses(a, login(1, "dora"), Code::Flooding);
        server.says(a, login(2, "dora"));
        closes(&mut server, 0, CloseReason::Flooding);
    },
    SlowConsumer => || {
        let mut server = Server::new();
        let session = server.guest(0);
        server.input(Input::OutboxFull { session });
        closes(&mut server, 0, CloseReason::SlowConsumer);
    },
    Superseded => || {
        let mut server = Server::new();
        let a = server.user(0, "dora");
        let ticket = server.ticket_of(a);
        server.input(Input::PresenceLost { ticket });
        server.does([
            release(ticket, "dora"),
            closing(a, CloseReason::Superseded),
            close(a, CloseReason::Superseded),
        ]);
    },
    OperatorClosed => || {
        let mut server = Server::new();
        server.user_as(0, "dora", accepted_without_lease());
        server.admin(Admin::CloseUser { user: name("dora") });
        closes(&mut server, 0, CloseReason::OperatorClosed);
    },
    Stopped => || {
        let mut server = Server::new();
        server.guest(0);
        server.admin(Admin::Stop);
        closes(&mut server, 0, CloseReason::Stopped);
    },
});

#[track_caller]
fn closes(server: &mut Server, index: u32, reason: CloseReason) {
    server.does([closing(session(index), reason), close(session(index), reason)]);
}

fn fault_closes(fault: WireFault, reason: CloseReason) {
    let mut server = Server::new();
    let session = server.guest(0);
    server.input(Input::Malformed { session, fault });
    closes(&mut server, 0, reason);
}

#[test]
fn every_code_is_sent() {
    for (code, transcript) in codes() {
        seen::take();
        transcript();
        let seen = seen::take();
        assert!(seen.codes.contains(&code), "the transcript of {code:?} shows {seen:?}");
    }
}

#[test]
fn every_reason_but_a_disconnection_is_told() {
    for (reason, transcript) in reasons() {
        seen::take();
        transcript();
        let seen = seen::take().reasons;
        let expected: Vec<_> = [reason].into_iter().filter(|reason| *reason != CloseReason::Disconnected).collect();
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), expected, "the transcript of {reason:?}");
    }
}

#[test]
fn every_code_and_every_reason_has_words_of_its_own() {
    let words = |texts: Vec<String>| {
        assert!(texts.iter().all(|text| !text.is_empty() && !text.ends_with('.')), "{texts:?}");
        let different: BTreeSet<_> = texts.iter().collect();
        assert_eq!(different.len(), texts.len(), "{texts:?}");
    };
    words(codes().into_iter().map(|(code, _)| code.to_string()).collect());
    words(reasons().into_iter().map(|(reason, _)| reason.to_string()).collect());
    assert_eq!(Code::RoomFull.to_string(), "the room is full");
    assert_eq!(CloseReason::Silent.to_string(), "nothing was heard from the client");
}
