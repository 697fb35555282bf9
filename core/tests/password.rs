//! Protected rooms: who gets in, and how often one may be wrong.

use std::time::Duration;

use lobbyd_core::id::SessionId;
use lobbyd_core::limits::Rate;
use lobbyd_core::packet::{Code, ServerPacket};

use crate::support::packets::{create_protected, enter, enter_with, entered, user_list};
use crate::support::{Event, PLAZA, Packet, Server, VAULT, VAULT_PASSWORD, sealed, seconds, send};

/// A server on which one may be wrong three times, and once more every ten seconds.
fn server() -> Server {
    Server::with(|config| {
        config.heartbeat_interval = seconds(24 * 60 * 60);
        config.room_password_failures_per_user = Rate::per_minute(6, 3);
        config.fixed_rooms[1].capacity = 10;
    })
}

fn with_right_password() -> Packet<'static> {
    enter_with(1, VAULT, Some(VAULT_PASSWORD))
}

fn with_wrong_password() -> Packet<'static> {
    enter_with(2, VAULT, Some(sealed(9)))
}

#[track_caller]
fn gets_in_and_out(server: &mut Server, id: SessionId) {
    server.says(id, with_right_password());
    let events = server.take_events();
    let Some(Event::Send(to, ServerPacket::RoomEnterResponse { result: Ok(_), .. })) = events.last() else {
        panic!("got in instead of {events:?}");
    };
    assert_eq!(*to, id);
    server.leaves(id, VAULT);
}

#[test]
fn right_password_opens_the_room() {
    let mut server = server();
    let anna = server.user(0, "anna");
    let user = server.user_of(anna);
    server.says(anna, with_right_password());
    let epoch = server.epoch(VAULT);
    server.does([send(anna, user_list(VAULT, epoch, 1, None, [user])), send(anna, entered(1, VAULT, epoch, 1))]);
}

#[test]
fn missing_or_wrong_password_is_refused() {
    let mut server = server();
    let anna = server.user(0, "anna");
    server.refuses(anna, enter(3, VAULT), Code::RoomPasswordWrong);
    server.refuses(anna, with_wrong_password(), Code::RoomPasswordWrong);
    assert_eq!(server.counts().members, 0);
}

#[test]
fn password_for_a_room_without_one_does_not_matter() {
    let mut server = server();
    let anna = server.user(0, "anna");
    for _ in 0..10 {
        server.says(anna, enter_with(1, PLAZA, Some(sealed(9))));
        server.take_events();
        server.leaves(anna, PLAZA);
    }
}

#[test]
fn created_room_is_protected_by_its_own_password() {
    let mut server = server();
    let (anna, bert) = (server.user(0, "anna"), server.user(1, "bert"));
    server.says(anna, create_protected(1, "Den", 4, Some(sealed(3))));
    server.take_events();
    let room = 6;
    server.refuses(bert, enter(1, room), Code::RoomPasswordWrong);
    server.refuses(bert, enter_with(2, room, Some(VAULT_PASSWORD)), Code::RoomPasswordWrong);
    // Who created it is no exception.
    server.leaves(anna, room);
    server.refuses(anna, enter(3, room), Code::RoomPasswordWrong);
    server.says(bert, enter_with(4, room, Some(sealed(3))));
    let (epoch, user) = (server.epoch(room), server.user_of(bert));
    server.does([send(bert, user_list(room, epoch, 3, Some(user.id), [user])), send(bert, entered(4, room, epoch, 3))]);
}

#[test]
fn wrong_passwords_use_up_the_attempts() {
    let mut server = server();
    let (anna, bert) = (server.user(0, "anna"), server.user(1, "bert"));
    for _ in 0..3 {
        server.refuses(anna, with_wrong_password(), Code::RoomPasswordWrong);
    }
    // Now even the right one is not looked at, or it could be guessed all the same.
    server.refuses(anna, with_wrong_password(), Code::RoomPasswordAttempts);
    server.refuses(anna, with_right_password(), Code::RoomPasswordAttempts);
    // That is between her and protected rooms.
    server.enters(anna, PLAZA);
    gets_in_and_out(&mut server, bert);
}

#[test]
fn attempts_come_back_one_by_one() {
    let mut server = server();
    let anna = server.user(0, "anna");
    for _ in 0..3 {
        server.refuses(anna, with_wrong_password(), Code::RoomPasswordWrong);
    }
    server.at(seconds(10) - Duration::from_nanos(1));
    server.refuses(anna, with_right_password(), Code::RoomPasswordAttempts);
    server.at(seconds(10));
    server.refuses(anna, with_wrong_password(), Code::RoomPasswordWrong);
    server.refuses(anna, with_right_password(), Code::RoomPasswordAttempts);
    server.at(seconds(20));
    gets_in_and_out(&mut server, anna);
}

#[test]
fn right_password_costs_no_attempt() {
    let mut server = server();
    let anna = server.user(0, "anna");
    server.refuses(anna, with_wrong_password(), Code::RoomPasswordWrong);
    server.refuses(anna, with_wrong_password(), Code::RoomPasswordWrong);
    for _ in 0..5 {
        gets_in_and_out(&mut server, anna);
    }
    // Nor does it give those back that were spent.
    server.refuses(anna, with_wrong_password(), Code::RoomPasswordWrong);
    server.refuses(anna, with_right_password(), Code::RoomPasswordAttempts);
}

#[test]
fn attempts_are_the_users_whatever_the_connection_and_the_room() {
    let mut server = server();
    let (anna, bert) = (server.user(0, "anna"), server.user(1, "bert"));
    server.says(bert, create_protected(1, "Den", 4, Some(sealed(3))));
    server.take_events();
    server.refuses(anna, with_wrong_password(), Code::RoomPasswordWrong);
    server.refuses(anna, enter(2, 6), Code::RoomPasswordWrong);
    server.disconnects(anna);
    server.take_events();
    let anna = server.user(2, "anna");
    server.refuses(anna, with_wrong_password(), Code::RoomPasswordWrong);
    server.refuses(anna, with_right_password(), Code::RoomPasswordAttempts);
    server.refuses(anna, enter_with(3, 6, Some(sealed(3))), Code::RoomPasswordAttempts);
}

#[test]
fn full_room_with_the_right_password_costs_no_attempt() {
    let mut server = Server::with(|config| {
        config.room_password_failures_per_user = Rate::per_minute(6, 1);
        config.fixed_rooms[1].capacity = 1;
    });
    let (anna, bert) = (server.user(0, "anna"), server.user(1, "bert"));
    server.says(anna, with_right_password());
    server.take_events();
    for _ in 0..3 {
        server.refuses(bert, with_right_password(), Code::RoomFull);
    }
    server.leaves(anna, VAULT);
    gets_in_and_out(&mut server, bert);
}

#[test]
fn only_so_many_users_are_remembered() {
    let mut server = Server::with(|config| {
        config.remembered_max = 2;
        config.room_password_failures_per_user = Rate::per_minute(6, 1);
    });
    let ids = [(0, "anna"), (1, "bert"), (2, "carl")].map(|(index, user)| server.user(index, user));
    for (id, at) in ids.into_iter().zip(0..) {
        server.at(seconds(at));
        server.refuses(id, with_wrong_password(), Code::RoomPasswordWrong);
    }
    // The one is forgotten whose attempts would have come back first.
    server.refuses(ids[1], with_right_password(), Code::RoomPasswordAttempts);
    server.refuses(ids[2], with_right_password(), Code::RoomPasswordAttempts);
    gets_in_and_out(&mut server, ids[0]);
}
