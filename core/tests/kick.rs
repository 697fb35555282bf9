//! Kicking and banning: who may, whom, and what it leaves behind.

use lobbyd_core::config::DuplicateLogin;
use lobbyd_core::id::UserId;
use lobbyd_core::limits::Rate;
use lobbyd_core::packet::{Code, LeaveCause};

use crate::support::packets::{
    ban, enter, entered, kick, kick_done, kicked, leave, owned_user_left, user_left, user_list,
};
use crate::support::{
    PLAZA, Server, accepted_as_administrator, accepted_without_lease, broadcast, milliseconds, seconds, send,
};

#[test]
fn owner_sends_a_member_back_to_the_lobby() {
    let mut server = Server::new();
    let (anna, bert, carl) = (server.user(0, "anna"), server.user(1, "bert"), server.user(2, "carl"));
    let (a, b) = (server.id_of(anna), server.id_of(bert));
    let room = server.creates(anna, 10);
    server.enters(bert, room);
    server.enters(carl, room);
    server.says(anna, kick(1, room, b));
    server.does([
        broadcast([anna, carl], owned_user_left(room, 4, b, LeaveCause::Kicked, Some(a))),
        send(bert, kicked(room, 4, a, false)),
        send(anna, kick_done(1, room, 4)),
    ]);
    // In the lobby, and without a ban free to come back.
    server.refuses(bert, leave(2, room), Code::NotInRoom);
    server.enters(bert, PLAZA);
    server.leaves(bert, PLAZA);
    server.enters(bert, room);
}

#[test]
fn administrator_kicks_from_outside_the_room() {
    let mut server = Server::new();
    let root = server.user_as(0, "root", accepted_as_administrator());
    let (anna, bert) = (server.user(1, "anna"), server.user(2, "bert"));
    let (r, a, b) = (server.id_of(root), server.id_of(anna), server.id_of(bert));
    server.enters(anna, PLAZA);
    server.enters(bert, PLAZA);
    server.says(root, kick(1, PLAZA, b));
    server.does([
        broadcast([anna], user_left(PLAZA, 3, b, LeaveCause::Kicked)),
        send(bert, kicked(PLAZA, 3, r, false)),
        send(root, kick_done(1, PLAZA, 3)),
    ]);
    // The last member too.
    server.says(root, kick(2, PLAZA, a));
    server.does([send(anna, kicked(PLAZA, 4, r, false)), send(root, kick_done(2, PLAZA, 4))]);
}

#[test]
fn kicked_owner_loses_the_room_to_the_next_member() {
    let mut server = Server::new();
    let root = server.user_as(0, "root", accepted_as_administrator());
    let (anna, bert) = (server.user(1, "anna"), server.user(2, "bert"));
    let (a, b) = (server.id_of(anna), server.id_of(bert));
    let room = server.creates(anna, 10);
    server.enters(bert, room);
    server.says(root, kick(1, room, a));
    server.does([
        broadcast([bert], owned_user_left(room, 3, a, LeaveCause::Kicked, Some(b))),
        send(anna, kicked(room, 3, server.id_of(root), false)),
        send(root, kick_done(1, room, 3)),
    ]);
    server.enters(anna, room);
    server.refuses(anna, kick(2, room, b), Code::NotAllowed);
    server.says(bert, kick(3, room, a));
    server.take_events();
}

#[test]
fn room_goes_after_its_last_member_was_kicked() {
    let mut server = Server::with(|config| config.empty_room_timeout = seconds(1));
    let root = server.user_as(0, "root", accepted_as_administrator());
    let anna = server.user(1, "anna");
    let room = server.creates(anna, 10);
    server.says(root, kick(1, room, server.id_of(anna)));
    server.take_events();
    server.at(seconds(1)).tick();
    server.does_nothing();
    server.refuses(anna, enter(2, room), Code::RoomUnknown);
}

#[test]
fn kick_is_checked_in_order() {
    let mut server = Server::new();
    let (guest, anna, bert) = (server.guest(0), server.user(1, "anna"), server.user(2, "bert"));
    let b = server.id_of(bert);
    server.refuses(guest, kick(1, 99, b), Code::NotLoggedIn);
    server.refuses(anna, kick(2, 99, b), Code::RoomUnknown);
    // Nobody owns a room of the configuration, and a room one is not in is not one's own.
    server.enters(bert, PLAZA);
    server.refuses(anna, kick(3, PLAZA, b), Code::NotAllowed);
    server.refuses(anna, kick(4, PLAZA, UserId(99)), Code::NotAllowed);
    server.enters(anna, PLAZA);
    server.refuses(anna, kick(5, PLAZA, b), Code::NotAllowed);
    server.leaves(anna, PLAZA);
    let room = server.creates(anna, 10);
    // Online, but elsewhere.
    server.refuses(anna, kick(6, room, b), Code::UserUnknown);
    server.refuses(anna, kick(7, room, UserId(99)), Code::UserUnknown);
    server.refuses(anna, kick(8, room, server.id_of(anna)), Code::NotAllowed);
    server.refuses(anna, ban(9, room, server.id_of(anna)), Code::NotAllowed);
    // One owns a room while one is in it.
    server.leaves(bert, PLAZA);
    server.enters(bert, room);
    server.leaves(anna, room);
    server.refuses(anna, kick(10, room, b), Code::NotAllowed);
}

#[test]
fn member_who_is_not_the_owner_kicks_nobody() {
    let mut server = Server::new();
    let (anna, bert, carl) = (server.user(0, "anna"), server.user(1, "bert"), server.user(2, "carl"));
    let room = server.creates(anna, 10);
    server.enters(bert, room);
    server.enters(carl, room);
    for target in [anna, bert, carl] {
        server.refuses(bert, kick(1, room, server.id_of(target)), Code::NotAllowed);
    }
    assert_eq!(server.counts().members, 3);
}

#[test]
fn administrator_is_kicked_by_administrators_alone() {
    let mut server = Server::new();
    let root = server.user_as(0, "root", accepted_as_administrator());
    let other = server.user_as(1, "toor", accepted_as_administrator());
    let anna = server.user(2, "anna");
    let room = server.creates(anna, 10);
    server.enters(root, room);
    server.refuses(anna, kick(1, room, server.id_of(root)), Code::NotAllowed);
    server.refuses(anna, ban(2, room, server.id_of(root)), Code::NotAllowed);
    server.refuses(root, kick(3, room, server.id_of(root)), Code::NotAllowed);
    server.says(other, kick(4, room, server.id_of(root)));
    server.does([
        broadcast([anna], owned_user_left(room, 3, server.id_of(root), LeaveCause::Kicked, Some(server.id_of(anna)))),
        send(root, kicked(room, 3, server.id_of(other), false)),
        send(other, kick_done(4, room, 3)),
    ]);
    // The refused ban is none.
    server.enters(root, room);
}

#[test]
fn banned_user_stays_out_while_the_room_exists() {
    let mut server = Server::with(|config| config.empty_room_timeout = milliseconds(1_500));
    let (anna, bert) = (server.user(0, "anna"), server.user(1, "bert"));
    let (a, b) = (server.id_of(anna), server.id_of(bert));
    server.enters(anna, 3);
    server.enters(bert, 3);
    server.says(anna, ban(1, 3, b));
    server.does([
        broadcast([anna], owned_user_left(3, 3, b, LeaveCause::Kicked, Some(a))),
        send(bert, kicked(3, 3, a, true)),
        send(anna, kick_done(1, 3, 3)),
    ]);
    server.refuses(bert, enter(2, 3), Code::RoomBanned);
    // Another login of the same user is the same user, and a new owner lifts nothing.
    server.disconnects(bert);
    server.take_events();
    let bert = server.user(1, "Bert");
    server.refuses(bert, enter(3, 3), Code::RoomBanned);
    server.leaves(anna, 3);
    server.after(seconds(1));
    server.refuses(bert, enter(4, 3), Code::RoomBanned);
    server.enters(bert, 4);
    server.leaves(bert, 4);
    // Another room with the same number is another room.
    server.after(seconds(1));
    server.says(bert, enter(5, 3));
    let (epoch, user) = (server.epoch(3), server.user_of(bert));
    server.does([send(bert, user_list(3, epoch, 1, Some(user.id), [user])), send(bert, entered(5, 3, epoch, 1))]);
}

#[test]
fn room_holds_a_limited_number_of_bans() {
    let mut server = Server::with(|config| {
        config.bans_per_room_max = 1;
        config.flood = Rate::per_second(1_000, 1_000);
    });
    let (anna, bert, carl) = (server.user(0, "anna"), server.user(1, "bert"), server.user(2, "carl"));
    let room = server.creates(anna, 10);
    server.enters(bert, room);
    server.enters(carl, room);
    server.says(anna, ban(1, room, server.id_of(bert)));
    server.take_events();
    server.refuses(anna, ban(2, room, server.id_of(carl)), Code::BansFull);
    assert_eq!(server.counts().members, 2);
    // Without a ban it goes.
    server.says(anna, kick(3, room, server.id_of(carl)));
    server.does([
        broadcast([anna], owned_user_left(room, 5, server.id_of(carl), LeaveCause::Kicked, Some(server.id_of(anna)))),
        send(carl, kicked(room, 5, server.id_of(anna), false)),
        send(anna, kick_done(3, room, 5)),
    ]);
    // Each room has bans of its own.
    server.leaves(anna, room);
    let other = server.creates(anna, 10);
    server.enters(carl, other);
    server.says(anna, ban(4, other, server.id_of(carl)));
    server.take_events();
    server.refuses(carl, enter(5, other), Code::RoomBanned);
    server.enters(carl, room);
}

#[test]
fn banning_a_user_again_takes_no_further_place() {
    let mut server = Server::with(|config| {
        config.bans_per_room_max = 1;
        config.duplicate_login = DuplicateLogin::Allow;
    });
    let anna = server.user(0, "anna");
    let first = server.user_as(1, "bert", accepted_without_lease());
    let second = server.user_as(2, "bert", accepted_without_lease());
    let room = server.creates(anna, 10);
    server.enters(first, room);
    server.enters(second, room);
    server.says(anna, ban(1, room, server.id_of(first)));
    server.take_events();
    // A kick names a login, a ban its user: the other login stays until it is kicked as well.
    server.refuses(first, enter(2, room), Code::RoomBanned);
    server.says(anna, ban(3, room, server.id_of(second)));
    server.does([
        broadcast([anna], owned_user_left(room, 5, server.id_of(second), LeaveCause::Kicked, Some(server.id_of(anna)))),
        send(second, kicked(room, 5, server.id_of(anna), true)),
        send(anna, kick_done(3, room, 5)),
    ]);
}
