//! What the operator asks for: to say something, to kick, to clean up, to look, to ask a service, to enable an extension.

use lobbyd_core::config::DuplicateLogin;
use lobbyd_core::data::{Data, RawBytes};
use lobbyd_core::extension::REQUEST_BYTES_MAX;
use lobbyd_core::id::{AskId, CallTicket, RoomNumber};
use lobbyd_core::input::{Admin, Input, Notice, ServiceError};
use lobbyd_core::packet::{CloseReason, Code, LeaveCause, ServerPacket};
use lobbyd_core::text::Text;

use crate::support::packets::*;
use crate::support::puppet::{PUPPET, puppet};
use crate::support::*;

const ASK: AskId = AskId(77);

fn answer(result: Result<u32, Code>) -> Event {
    Event::Answer(ASK, result)
}

fn notice(room: Option<u32>, text: &str) -> ServerPacket {
    ServerPacket::NoticeNotify { room: room.map(RoomNumber), text: Text::new(text) }
}

fn to_user<'a>(user: &str, notice: Notice<'a>) -> Admin<'a> {
    Admin::NotifyUser { ask: ASK, user: name(user), notice }
}

fn to_room(room: u32, notice: Notice<'_>) -> Admin<'_> {
    Admin::NotifyRoom { ask: ASK, room: RoomNumber(room), notice }
}

#[test]
fn notice_reaches_every_session_of_a_user_and_nobody_else() {
    let mut server = Server::with(|config| config.duplicate_login = DuplicateLogin::Allow);
    let a = server.user_as(0, "dora", accepted_without_lease());
    let b = server.user_as(1, "dora", accepted_without_lease());
    server.user_as(2, "eve", accepted_without_lease());
    server.admin(to_user("dora", Notice::Text("hello".into())));
    server.does([broadcast([a, b], notice(None, "hello")), answer(Ok(2))]);
    let command_type = "game".parse().unwrap();
    server.admin(to_user("eve", Notice::Custom { command_type, data: "go".into() }));
    server.does([broadcast([session(2)], custom("game", "go")), answer(Ok(1))]);
    server.admin(to_user("nobody", Notice::Text("hello".into())));
    server.does([answer(Err(Code::UserUnknown))]);
}

#[test]
fn notice_counts_nobody_who_was_told_something_else_just_before() {
    let mut server = Server::new();
    let a = server.user(0, "dora");
    let b = server.user(1, "eve");
    server.enters(a, PLAZA);
    server.enters(b, PLAZA);
    server.at(seconds(10)).tick();
    server.take_events();
    server.says(b, pong(1));
    server.does_nothing();
    // The end of one that was silent falls into the same turn, since nobody has asked what is due.
    server.at(seconds(30)).admin(to_user("eve", Notice::Text("hello".into())));
    let ping = send(b, ServerPacket::Ping { nonce: server.nonce() });
    server.does([
        ping,
        broadcast([b], user_left(PLAZA, 3, server.id_of(a), LeaveCause::Disconnected)),
        release(server.ticket_of(a), "dora"),
        closing(a, CloseReason::Silent),
        close(a, CloseReason::Silent),
        broadcast([b], notice(None, "hello")),
        answer(Ok(1)),
    ]);
}

#[test]
fn notice_reaches_a_room() {
    let mut server = Server::new();
    let a = server.user(0, "dora");
    let b = server.user(1, "eve");
    server.user(2, "gerd");
    server.enters(a, PLAZA);
    server.enters(b, PLAZA);
    server.admin(to_room(PLAZA, Notice::Text("mind your words".into())));
    server.does([broadcast([a, b], notice(Some(PLAZA), "mind your words")), answer(Ok(2))]);
    server.admin(to_room(VAULT, Notice::Text("anybody?".into())));
    server.does([answer(Ok(0))]);
    server.admin(to_room(77, Notice::Text("anybody?".into())));
    server.does([answer(Err(Code::RoomUnknown))]);
}

#[test]
fn notice_keeps_the_rules_of_texts_and_frames() {
    let mut server = Server::new();
    let a = server.user(0, "dora");
    let long = "x".repeat(2_001);
    for (text, code) in [("", Code::TextEmpty), (long.as_str(), Code::TextTooLong), ("\u{7}", Code::TextInvalid)] {
        server.admin(to_user("dora", Notice::Text(text.into())));
        server.does([answer(Err(code))]);
    }
    let most = server.engine().config().data_bytes_max() as usize;
    let data = "x".repeat(most + 1);
    let command_type = "game".parse().unwrap();
    server.admin(to_user("dora", Notice::Custom { command_type, data: data.as_str().into() }));
    server.does([answer(Err(Code::TextTooLong))]);
    let data = &data[..most];
    server.admin(to_user("dora", Notice::Custom { command_type, data: data.into() }));
    server.does([broadcast([a], custom("game", data)), answer(Ok(1))]);
}

#[test]
fn operator_kicks_and_bans() {
    let mut server = Server::new();
    let a = server.user_as(0, "dora", accepted_as_administrator());
    let b = server.user(1, "eve");
    server.enters(a, PLAZA);
    server.enters(b, PLAZA);
    let kick = |user: &str, ban| Admin::Kick { ask: ASK, room: RoomNumber(PLAZA), user: name(user), ban };
    let kicked = |sequence, banned| ServerPacket::Kicked { room: RoomNumber(PLAZA), sequence, by: None, banned };
    // An administrator too.
    server.admin(kick("dora", false));
    server.does([
        broadcast([b], user_left(PLAZA, 3, server.id_of(a), LeaveCause::Kicked)),
        send(a, kicked(3, false)),
        answer(Ok(1)),
    ]);
    server.enters(a, PLAZA);
    server.admin(kick("eve", true));
    server.does([
        broadcast([a], user_left(PLAZA, 5, server.id_of(b), LeaveCause::Kicked)),
        send(b, kicked(5, true)),
        answer(Ok(1)),
    ]);
    server.refuses(b, enter(1, PLAZA), Code::RoomBanned);
    server.admin(kick("eve", false));
    server.does([answer(Err(Code::UserUnknown))]);
    server.admin(Admin::Kick { ask: ASK, room: RoomNumber(77), user: name("dora"), ban: false });
    server.does([answer(Err(Code::RoomUnknown))]);
}

#[test]
fn full_list_of_bans_stops_a_kick_with_a_ban() {
    let mut server = Server::with(|config| config.bans_per_room_max = 0);
    let a = server.user(0, "dora");
    server.enters(a, PLAZA);
    server.admin(Admin::Kick { ask: ASK, room: RoomNumber(PLAZA), user: name("dora"), ban: true });
    server.does([answer(Err(Code::BansFull))]);
    assert_eq!(server.counts().members, 1);
}

#[test]
fn empty_rooms_are_cleaned_up_at_once_and_counted() {
    let mut server = Server::with(|config| config.room_creations_per_user.burst = 10);
    let a = server.user(0, "dora");
    let b = server.user(1, "eve");
    for room in [3, 4, 5] {
        server.enters(a, room);
        if room < 5 {
            server.leaves(a, room);
        }
    }
    server.enters(b, PLAZA);
    assert_eq!(server.counts().rooms, 5);
    server.admin(Admin::CleanUpEmptyRooms { ask: ASK });
    server.does([answer(Ok(2))]);
    assert_eq!(server.counts().rooms, 3);
    server.admin(Admin::CleanUpEmptyRooms { ask: ASK });
    server.does([answer(Ok(0))]);
    // A number that went comes again, as another room.
    server.leaves(a, 5);
    server.enters(a, 3);
}

#[test]
fn rooms_and_their_members_can_be_looked_at() {
    let mut server = Server::new();
    let a = server.user(0, "dora");
    server.enters(a, PLAZA);
    let engine = server.engine();
    let status = engine.room_status(RoomNumber(PLAZA)).unwrap();
    assert_eq!((status.summary.members, status.users), (1, vec![server.user_of(a)]));
    assert_eq!(engine.room_status(RoomNumber(77)), None);
    assert_eq!(engine.rooms().map(|room| room.room.0).collect::<Vec<_>>(), [PLAZA, VAULT]);
    let page = engine.room_page(RoomNumber(0), 1);
    assert_eq!((page.rooms.0.len(), page.next), (1, Some(RoomNumber(VAULT))));
    let user = engine.user(a).expect("dora is online");
    assert_eq!((user.session(), user.id(), user.name()), (a, server.id_of(a), name("dora")));
    assert_eq!((user.room(), user.nickname(), user.is_administrator()), (Some(RoomNumber(PLAZA)), None, false));
    assert!(engine.user(session(9)).is_none());
}

fn asks<'a>(ask: u64, request: &'a str) -> Admin<'a> {
    Admin::CallService {
        ask: AskId(ask),
        service: "store".parse().expect("a good name"),
        request: RawBytes(request.as_bytes()),
    }
}

fn called(ticket: u64, request: &str) -> Event {
    Event::Call(CallTicket(ticket), "store".parse().expect("a good name"), request.into())
}

fn replies(ticket: u64, result: Result<Data, ServiceError>) -> Input<'static> {
    Input::ServiceReply { ticket: CallTicket(ticket), result }
}

#[test]
fn service_answers_the_operator_once() {
    let mut server = Server::new();
    server.admin(asks(1, "get"));
    server.does([called(1, "get")]);
    server.admin(asks(2, "put"));
    server.does([called(2, "put")]);
    assert_eq!(server.counts().service_calls, 2);
    server.input(replies(2, Ok("done".into())));
    server.does([Event::ServiceAnswer(AskId(2), Ok("done".into()))]);
    server.input(replies(1, Err(ServiceError::Failed)));
    server.does([Event::ServiceAnswer(AskId(1), Err(ServiceError::Failed))]);
    server.input(replies(1, Ok("again".into())));
    server.does_nothing();
    assert_eq!(server.counts().service_calls, 0);
}

#[test]
fn service_that_does_not_answer_the_operator_has_timed_out() {
    let mut server = Server::with(|config| config.service_timeout = seconds(3));
    server.admin(asks(1, "get"));
    server.does([called(1, "get")]);
    server.after(seconds(3)).tick();
    server.does([Event::ServiceAnswer(AskId(1), Err(ServiceError::TimedOut))]);
    server.input(replies(1, Ok("late".into())));
    server.does_nothing();
    assert_eq!(server.counts().service_calls, 0);
}

#[test]
fn request_to_a_service_has_a_bound() {
    let mut server = Server::with_extensions(|_| {}, puppet);
    assert_eq!(REQUEST_BYTES_MAX, 1_048_576);
    let longest = "x".repeat(REQUEST_BYTES_MAX);
    server.admin(asks(7, &longest));
    server.does([called(1, &longest)]);
    let too_long = longest + "x";
    server.admin(asks(8, &too_long));
    server.does([Event::ServiceAnswer(AskId(8), Err(ServiceError::TooLong))]);
    assert_eq!(server.counts().service_calls, 1);
}

#[test]
fn operator_and_extensions_share_one_bound_of_service_calls() {
    let mut server = Server::with_extensions(|config| config.service_calls_max = 2, puppet);
    let a = server.user(0, "dora");
    server.says(a, command(1, PUPPET, "call store of-puppet;reply"));
    server.does([called(1, "of-puppet"), send(a, command_done(1, PUPPET, ""))]);
    server.admin(asks(7, "get"));
    server.does([called(2, "get")]);
    server.admin(asks(8, "get"));
    server.does([Event::ServiceAnswer(AskId(8), Err(ServiceError::Busy))]);
    server.says(a, command(2, PUPPET, "call store more;reply"));
    server.does([send(a, command_refused(2, PUPPET, Code::ExtensionBusy))]);
    server.input(replies(2, Ok("done".into())));
    server.does([Event::ServiceAnswer(AskId(7), Ok("done".into()))]);
    // The number of a call that was refused is used by the next.
    server.admin(asks(9, "get"));
    server.does([called(3, "get")]);
}

#[test]
fn calls_of_the_operator_outlive_a_disabled_extension() {
    let mut server = Server::with_extensions(|_| {}, puppet);
    let a = server.user(0, "dora");
    server.says(a, command(1, PUPPET, "call store of-puppet;reply"));
    server.does([called(1, "of-puppet"), send(a, command_done(1, PUPPET, ""))]);
    server.admin(asks(7, "get"));
    server.does([called(2, "get")]);
    server.admin(set_puppet(false));
    server.does([answer(Ok(1))]);
    assert_eq!(server.counts().service_calls, 1);
    server.input(replies(1, Ok("nobody waits".into())));
    server.does_nothing();
    server.input(replies(2, Ok("done".into())));
    server.does([Event::ServiceAnswer(AskId(7), Ok("done".into()))]);
}

fn set_puppet(enabled: bool) -> Admin<'static> {
    Admin::SetExtension { ask: ASK, extension: PUPPET.parse().expect("a good name"), enabled }
}

fn is_enabled(server: &Server) -> bool {
    let extensions: Vec<_> = server.engine().extensions().collect();
    let [(name, is_enabled)] = extensions[..] else { panic!("{extensions:?}") };
    assert_eq!(name.as_str(), PUPPET);
    is_enabled
}

#[test]
fn extension_that_is_enabled_again_takes_up_its_work() {
    let mut server = Server::with_extensions(|_| {}, puppet);
    let a = server.user(0, "dora");
    server.says(a, command(1, PUPPET, "later deadline 5 100;heard"));
    server.does([send(a, command_done(1, PUPPET, "dora in"))]);
    server.says(a, command(2, PUPPET, "keep"));
    server.does_nothing();
    assert!(is_enabled(&server));
    server.admin(set_puppet(false));
    server.does([send(a, command_refused(2, PUPPET, Code::ExtensionFailed)), answer(Ok(1))]);
    assert!(!is_enabled(&server));
    server.enters(a, PLAZA);
    server.refuses(a, command(3, PUPPET, "count"), Code::ExtensionFailed);
    server.admin(set_puppet(false));
    server.does([answer(Ok(0))]);

    server.admin(set_puppet(true));
    server.does([answer(Ok(1))]);
    assert!(is_enabled(&server));
    server.says(a, command(4, PUPPET, "heard"));
    // Of what happened meanwhile it was not told.
    server.does([send(a, command_done(4, PUPPET, "enabled"))]);
    server.after(milliseconds(100)).tick();
    server.does_nothing();
    server.says(a, command(5, PUPPET, "clear 5;later;heard"));
    server.does([send(a, command_done(5, PUPPET, "deadline 5"))]);
    server.admin(set_puppet(true));
    server.does([answer(Ok(0))]);
    server.admin(Admin::SetExtension { ask: ASK, extension: "nobody".parse().unwrap(), enabled: true });
    server.does([answer(Err(Code::CommandUnknown))]);
}

#[test]
fn extension_that_cannot_take_up_its_work_stays_disabled() {
    let mut server = Server::with_extensions(|_| {}, puppet);
    let a = server.user(0, "dora");
    server.says(a, command(1, PUPPET, "later fail no;reply"));
    server.does([send(a, command_done(1, PUPPET, ""))]);
    server.admin(set_puppet(false));
    server.does([answer(Ok(1))]);
    server.admin(set_puppet(true));
    let failed = Event::Failed(PUPPET.parse().unwrap(), "no".to_owned(), false);
    server.does([failed, answer(Err(Code::ExtensionFailed))]);
    assert!(!is_enabled(&server));
    server.refuses(a, command(2, PUPPET, "count"), Code::ExtensionFailed);
}

#[test]
fn driver_learns_who_is_logged_in_on_a_session() {
    let mut server = Server::new();
    let alice = server.user(0, "alice");
    let guest = server.guest(1);
    let user = server.engine().shared_user(alice).expect("alice is logged in");
    assert_eq!((user.id, user.name.as_str()), (server.id_of(alice), "alice"));
    assert_eq!(server.engine().shared_user(guest), None);
}

#[test]
fn driver_learns_who_else_is_in_the_room_of_a_session() {
    let mut server = Server::new();
    let (a, b, c) = (server.user(0, "alice"), server.user(1, "bob"), server.user(2, "carol"));
    let (elsewhere, guest) = (server.user(3, "dave"), server.guest(4));
    [a, b, c].into_iter().for_each(|member| server.enters(member, PLAZA));
    let mates = |server: &Server, of| server.engine().room_mates(of).collect::<Vec<_>>();
    assert_eq!((mates(&server, a), mates(&server, c)), (vec![b, c], vec![a, b]));
    assert_eq!((mates(&server, elsewhere), mates(&server, guest)), (vec![], vec![]));
}
