//! Messages: to a room, to one user, from the operator to everybody.

use lobbyd_core::config::DuplicateLogin;
use lobbyd_core::id::RequestId;
use lobbyd_core::input::Admin;
use lobbyd_core::packet::{ClientPacket, Code, ServerPacket};
use lobbyd_core::text::{RawText, Text};

use crate::support::packets::{chat, chat_raw, chatted, direct, direct_sent, said, said_directly};
use crate::support::{Event, PLAZA, Packet, Server, VAULT, accepted_without_lease, broadcast, send};

fn direct_raw<'a>(request: u32, user: &'a [u8], text: &'a [u8]) -> Packet<'a> {
    ClientPacket::DirectMessageRequest { request: RequestId(request), user: RawText(user), text: RawText(text) }
}

fn announced(text: &str) -> ServerPacket {
    ServerPacket::AnnounceNotify { text: Text::new(text) }
}

/// Texts that no message may be, each with the code that says so. The limit is 10 bytes.
const BAD_TEXTS: [(&[u8], Code); 16] = [
    (b"", Code::TextEmpty),
    (b"0123456789a", Code::TextTooLong),
    // Ten characters, eleven bytes.
    ("012345678ä".as_bytes(), Code::TextTooLong),
    // Too long matters before what is in it.
    (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", Code::TextTooLong),
    (b"\xff", Code::TextInvalid),
    // The first half of a character, an overlong encoding, half a surrogate pair.
    (b"caf\xc3", Code::TextInvalid),
    (b"\xc0\xaf", Code::TextInvalid),
    (b"\xed\xa0\x80", Code::TextInvalid),
    (b"\0", Code::TextInvalid),
    (b"a\tb", Code::TextInvalid),
    (b"a\rb", Code::TextInvalid),
    (b"\x1b[31m", Code::TextInvalid),
    (b"\x7f", Code::TextInvalid),
    ("\u{85}".as_bytes(), Code::TextInvalid),
    ("a\u{202e}b".as_bytes(), Code::TextInvalid),
    ("a\u{2069}b".as_bytes(), Code::TextInvalid),
];

/// Texts up to the limit of 10 bytes.
const GOOD_TEXTS: [&str; 8] = ["a", "0123456789", "01234567ä", "two\nlines", "\n", "こんに", "e\u{301}", "\u{200f}שלו"];

fn server() -> Server {
    Server::with(|config| config.text_bytes_max = 10)
}

#[test]
fn others_hear_before_the_sender_is_answered() {
    let mut server = Server::new();
    let (anna, bert, carl) = (server.user(0, "anna"), server.user(1, "bert"), server.user(2, "carl"));
    server.user(3, "dora");
    for id in [anna, bert, carl] {
        server.enters(id, PLAZA);
    }
    server.says(bert, chat(1, PLAZA, "hello"));
    server.does([
        broadcast([anna, carl], said(PLAZA, 4, &server.user_of(bert), "hello")),
        send(bert, chatted(1, PLAZA, 4)),
    ]);
    server.says(carl, chat(2, PLAZA, "hello you"));
    server.does([
        broadcast([anna, bert], said(PLAZA, 5, &server.user_of(carl), "hello you")),
        send(carl, chatted(2, PLAZA, 5)),
    ]);
}

#[test]
fn who_is_alone_in_a_room_is_answered_all_the_same() {
    let mut server = Server::new();
    let anna = server.user(0, "anna");
    server.enters(anna, PLAZA);
    server.says(anna, chat(1, PLAZA, "anybody?"));
    server.does([send(anna, chatted(1, PLAZA, 2))]);
}

#[test]
fn rooms_do_not_hear_each_other() {
    let mut server = Server::new();
    let (anna, bert) = (server.user(0, "anna"), server.user(1, "bert"));
    server.enters(anna, PLAZA);
    server.enters(bert, 3);
    server.says(anna, chat(1, PLAZA, "hello"));
    server.does([send(anna, chatted(1, PLAZA, 2))]);
}

#[test]
fn one_speaks_only_in_the_room_one_is_in() {
    let mut server = server();
    let (guest, anna) = (server.guest(0), server.user(1, "anna"));
    // That one is not there matters before what one says.
    server.refuses(guest, chat(1, PLAZA, ""), Code::NotLoggedIn);
    server.refuses(anna, chat(2, PLAZA, ""), Code::NotInRoom);
    server.enters(anna, PLAZA);
    server.refuses(anna, chat(3, VAULT, ""), Code::NotInRoom);
    server.refuses(anna, chat(4, 99, "hello"), Code::NotInRoom);
    server.leaves(anna, PLAZA);
    server.refuses(anna, chat(5, PLAZA, "hello"), Code::NotInRoom);
}

#[test]
fn bad_text_is_refused_and_nobody_hears_it() {
    let mut server = server();
    let (anna, bert) = (server.user(0, "anna"), server.user(1, "bert"));
    server.enters(anna, PLAZA);
    server.enters(bert, PLAZA);
    for (text, code) in BAD_TEXTS {
        server.refuses(anna, chat_raw(1, PLAZA, text), code);
        server.refuses(anna, direct_raw(2, b"bert", text), code);
    }
    // No number was taken.
    server.says(anna, chat(3, PLAZA, "fine"));
    server.does([broadcast([bert], said(PLAZA, 3, &server.user_of(anna), "fine")), send(anna, chatted(3, PLAZA, 3))]);
}

#[test]
fn good_text_arrives_as_it_was_said() {
    let mut server = server();
    let (anna, bert) = (server.user(0, "anna"), server.user(1, "bert"));
    let a = server.user_of(anna);
    server.enters(anna, PLAZA);
    server.enters(bert, PLAZA);
    for (text, sequence) in GOOD_TEXTS.into_iter().zip(3..) {
        server.says(anna, chat(1, PLAZA, text));
        server.does([broadcast([bert], said(PLAZA, sequence, &a, text)), send(anna, chatted(1, PLAZA, sequence))]);
        server.says(anna, direct(2, "bert", text));
        server.does([broadcast([bert], said_directly(&a, text)), send(anna, direct_sent(2))]);
    }
}

#[test]
fn direct_message_reaches_a_user_wherever_that_user_is() {
    let mut server = Server::new();
    let (anna, bert) = (server.user(0, "anna"), server.user(1, "bert"));
    let a = server.user_of(anna);
    server.says(anna, direct(1, "BERT", "in the lobby"));
    server.does([broadcast([bert], said_directly(&a, "in the lobby")), send(anna, direct_sent(1))]);
    server.enters(bert, PLAZA);
    server.says(anna, direct(2, "bert", "in a room"));
    server.does([broadcast([bert], said_directly(&a, "in a room")), send(anna, direct_sent(2))]);
    // A note to oneself.
    server.says(anna, direct(3, "anna", "milk"));
    server.does([broadcast([anna], said_directly(&a, "milk")), send(anna, direct_sent(3))]);
}

#[test]
fn direct_message_reaches_all_sessions_of_a_user() {
    let mut server = Server::with(|config| config.duplicate_login = DuplicateLogin::Allow);
    let anna = server.user_as(0, "anna", accepted_without_lease());
    let first = server.user_as(3, "bert", accepted_without_lease());
    let second = server.user_as(1, "bert", accepted_without_lease());
    let a = server.user_of(anna);
    server.says(anna, direct(1, "bert", "hello"));
    // The longest-standing first.
    server.does([broadcast([first, second], said_directly(&a, "hello")), send(anna, direct_sent(1))]);
    server.disconnects(first);
    server.does_nothing();
    server.says(anna, direct(2, "bert", "hello"));
    server.does([broadcast([second], said_directly(&a, "hello")), send(anna, direct_sent(2))]);
}

#[test]
fn direct_message_is_checked_in_order() {
    let mut server = Server::new();
    let guest = server.guest(0);
    server.refuses(guest, direct(1, "no name", ""), Code::NotLoggedIn);
    let anna = server.user(1, "anna");
    server.refuses(anna, direct(2, "no name", ""), Code::NameInvalid);
    server.refuses(anna, direct(3, "", ""), Code::NameInvalid);
    server.refuses(anna, direct_raw(4, b"\xff", b""), Code::NameInvalid);
    server.refuses(anna, direct(5, "bert", ""), Code::TextEmpty);
    server.refuses(anna, direct(6, "bert", "hello"), Code::UserUnknown);
    // A name of which another begins with it is another user.
    server.user(2, "bertha");
    server.refuses(anna, direct(7, "bert", "hello"), Code::UserUnknown);
}

#[test]
fn direct_message_does_not_reach_who_has_gone() {
    let mut server = Server::new();
    let (anna, bert) = (server.user(0, "anna"), server.user(1, "bert"));
    server.disconnects(bert);
    server.take_events();
    server.refuses(anna, direct(1, "bert", "hello"), Code::UserUnknown);
}

#[test]
fn announcement_reaches_everybody_online_once() {
    let mut server = server();
    let (anna, bert) = (server.user(0, "bert"), server.user(1, "anna"));
    server.guest(2);
    server.enters(anna, PLAZA);
    server.admin(Admin::Announce { text: "tea time".into() });
    // By name.
    server.does([broadcast([bert, anna], announced("tea time"))]);
}

#[test]
fn announcement_to_nobody_or_of_bad_text_is_dropped() {
    let mut server = server();
    server.admin(Admin::Announce { text: "tea time".into() });
    server.does_nothing();
    let anna = server.user(0, "anna");
    for (text, _) in BAD_TEXTS {
        server.admin(Admin::Announce { text: RawText(text) });
        server.does_nothing();
    }
    for text in GOOD_TEXTS {
        server.admin(Admin::Announce { text: text.into() });
        server.does([Event::Broadcast(vec![anna], announced(text))]);
    }
}
