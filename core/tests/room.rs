//! Entering a room, being in it, and leaving it, by whatever cause.

use lobbyd_core::id::{RoomNumber, UserId};
use lobbyd_core::input::{Account, Admin, Verdict};
use lobbyd_core::packet::{CloseReason, Code, LeaveCause, List, ServerPacket, User};
use lobbyd_core::text::Text;

use crate::support::packets::{
    ban, chat, chatted, enter, enter_with, entered, kick, kick_done, kicked, leave, left, logged_out, logout, new_user,
    owned_user_left, said, user_left, user_list,
};
use crate::support::{
    Event, PLAZA, Server, VAULT, VAULT_PASSWORD, accepted, accepted_as_administrator, accepted_without_lease,
    broadcast, close, closing, name, release, sealed, seconds, send, session,
};

#[test]
fn everybody_in_the_room_hears_of_the_entrant() {
    let mut server = Server::new();
    let (anna, bert, carl) = (server.user(0, "anna"), server.user(1, "bert"), server.user(2, "carl"));
    let (a, b, c) = (server.user_of(anna), server.user_of(bert), server.user_of(carl));
    server.says(anna, enter(1, PLAZA));
    let epoch = server.epoch(PLAZA);
    server.does([send(anna, user_list(PLAZA, epoch, 1, None, [a.clone()])), send(anna, entered(1, PLAZA, epoch, 1))]);
    server.says(bert, enter(2, PLAZA));
    server.does([
        broadcast([anna], new_user(PLAZA, 2, b.clone())),
        send(bert, user_list(PLAZA, epoch, 2, None, [a.clone(), b.clone()])),
        send(bert, entered(2, PLAZA, epoch, 2)),
    ]);
    server.says(carl, enter(3, PLAZA));
    server.does([
        broadcast([anna, bert], new_user(PLAZA, 3, c.clone())),
        send(carl, user_list(PLAZA, epoch, 3, None, [a, b, c])),
        send(carl, entered(3, PLAZA, epoch, 3)),
    ]);
}

#[test]
fn list_is_in_the_order_of_entering() {
    let mut server = Server::new();
    let (anna, bert, carl) = (server.user(0, "anna"), server.user(1, "bert"), server.user(2, "carl"));
    let (a, b, c) = (server.user_of(anna), server.user_of(bert), server.user_of(carl));
    for id in [carl, anna] {
        server.enters(id, PLAZA);
    }
    server.leaves(carl, PLAZA);
    server.enters(bert, PLAZA);
    server.says(carl, enter(1, PLAZA));
    let epoch = server.epoch(PLAZA);
    server.does([
        broadcast([anna, bert], new_user(PLAZA, 5, c.clone())),
        send(carl, user_list(PLAZA, epoch, 5, None, [a, b, c])),
        send(carl, entered(1, PLAZA, epoch, 5)),
    ]);
}

#[test]
fn nickname_is_shown_in_the_list_and_to_the_members() {
    let mut server = Server::new();
    let account = Account { nickname: Some(Text::new("Änne")), administrator: false };
    let anna = server.user_as(0, "anna", Verdict::Accepted { account, leased: true });
    let bert = server.user(1, "bert");
    let a = User { id: UserId(1), name: name("anna"), nickname: Some(Text::new("Änne")) };
    let b = User { id: UserId(2), name: name("bert"), nickname: None };
    server.enters(bert, PLAZA);
    server.says(anna, enter(1, PLAZA));
    let epoch = server.epoch(PLAZA);
    server.does([
        broadcast([bert], new_user(PLAZA, 2, a.clone())),
        send(anna, user_list(PLAZA, epoch, 2, None, [b, a])),
        send(anna, entered(1, PLAZA, epoch, 2)),
    ]);
}

#[test]
fn entry_is_checked_in_order() {
    let mut server = Server::with(|config| {
        // Of one capacity, so that one guest fills it.
        config.fixed_rooms[1].capacity = 1;
    });
    let root = server.user_as(0, "root", accepted_as_administrator());
    let bert = server.user(1, "bert");
    server.says(bert, enter_with(1, VAULT, Some(VAULT_PASSWORD)));
    server.take_events();
    server.says(root, ban(2, VAULT, server.id_of(bert)));
    server.take_events();
    server.says(root, enter_with(3, VAULT, Some(VAULT_PASSWORD)));
    server.take_events();
    // Everything is wrong, and is put right one by one.
    let guest = server.guest(2);
    server.refuses(guest, enter_with(4, 99, Some(sealed(9))), Code::NotLoggedIn);
    server.enters(bert, PLAZA);
    server.refuses(bert, enter_with(5, 99, Some(sealed(9))), Code::NotInLobby);
    server.leaves(bert, PLAZA);
    server.refuses(bert, enter_with(6, 99, Some(sealed(9))), Code::RoomUnknown);
    server.refuses(bert, enter_with(7, VAULT, Some(sealed(9))), Code::RoomPasswordWrong);
    server.refuses(bert, enter_with(8, VAULT, Some(VAULT_PASSWORD)), Code::RoomFull);
    server.leaves(root, VAULT);
    server.refuses(bert, enter_with(9, VAULT, Some(VAULT_PASSWORD)), Code::RoomBanned);
}

#[test]
fn one_is_in_one_room_at_a_time() {
    let mut server = Server::new();
    let anna = server.user(0, "anna");
    server.enters(anna, PLAZA);
    server.refuses(anna, enter(1, PLAZA), Code::NotInLobby);
    server.refuses(anna, enter(2, 3), Code::NotInLobby);
    assert_eq!(server.counts().members, 1);
    server.leaves(anna, PLAZA);
    server.enters(anna, 3);
}

#[test]
fn full_room_refuses_entry_until_somebody_leaves() {
    let mut server = Server::new();
    let ids: Vec<_> = (0..4).map(|index| server.user(index, &format!("user{index}"))).collect();
    for id in &ids[..3] {
        server.enters(*id, PLAZA);
    }
    server.refuses(ids[3], enter(1, PLAZA), Code::RoomFull);
    // The refusal took no number.
    server.says(ids[0], leave(2, PLAZA));
    let gone = server.id_of(ids[0]);
    server.does([
        broadcast([ids[1], ids[2]], user_left(PLAZA, 4, gone, LeaveCause::Left)),
        send(ids[0], left(2, PLAZA, 4)),
    ]);
    server.enters(ids[3], PLAZA);
}

/// A user whose name has six characters and whose nickname takes 128 bytes: at most 146 bytes on the wire.
fn wide_user(server: &mut Server, index: u32) -> User {
    let account = Account { nickname: Some(Text::new(&"\u{1f980}".repeat(32))), administrator: false };
    let id = server.user_as(index, &format!("user{index:02}"), Verdict::Accepted { account, leased: true });
    server.user_of(id)
}

/// The lists that the last of `count` wide users gets on entering, of which each part holds as many as are named here.
fn list_comes_in_parts(count: usize, parts: &[usize]) {
    let mut server = Server::with(|config| {
        config.frame_bytes_max = 1024;
        config.text_bytes_max = 100;
        config.fixed_rooms[0].capacity = 100;
    });
    let mut users = Vec::new();
    for index in 0..count - 1 {
        users.push(wide_user(&mut server, index as u32));
        server.enters(session(index as u32), PLAZA);
    }
    users.push(wide_user(&mut server, count as u32 - 1));
    let entrant = session(count as u32 - 1);
    server.says(entrant, enter(1, PLAZA));
    let (room, sequence, epoch) = (RoomNumber(PLAZA), count as u64, server.epoch(PLAZA));
    let others: Vec<_> = (0..count as u32 - 1).map(session).collect();
    let mut expected = vec![Event::Broadcast(others, new_user(PLAZA, sequence, users[count - 1].clone()))];
    let mut rest = users.as_slice();
    for part in parts {
        let (now, later) = rest.split_at(*part);
        rest = later;
        let (users, last) = (List(now.to_vec()), later.is_empty());
        let list = ServerPacket::RoomUserListNotify { room, epoch, sequence, owner: None, users, last };
        expected.push(send(entrant, list));
    }
    expected.push(send(entrant, entered(1, PLAZA, epoch, sequence)));
    server.does(expected);
}

#[test]
fn list_longer_than_a_frame_comes_in_parts_and_the_last_is_flagged() {
    list_comes_in_parts(5, &[5]);
    list_comes_in_parts(6, &[6]);
    list_comes_in_parts(7, &[6, 1]);
    // The last part is never empty.
    list_comes_in_parts(12, &[6, 6]);
    list_comes_in_parts(14, &[6, 6, 2]);
}

#[test]
fn leaver_is_told_after_the_others() {
    let mut server = Server::new();
    let (anna, bert, carl) = (server.user(0, "anna"), server.user(1, "bert"), server.user(2, "carl"));
    for id in [anna, bert, carl] {
        server.enters(id, PLAZA);
    }
    server.says(bert, leave(1, PLAZA));
    server.does([
        broadcast([anna, carl], user_left(PLAZA, 4, server.id_of(bert), LeaveCause::Left)),
        send(bert, left(1, PLAZA, 4)),
    ]);
    // Who has left hears no more of the room.
    server.says(anna, chat(2, PLAZA, "gone?"));
    server.does([broadcast([carl], said(PLAZA, 5, &server.user_of(anna), "gone?")), send(anna, chatted(2, PLAZA, 5))]);
}

#[test]
fn last_one_leaves_without_a_notify() {
    let mut server = Server::new();
    let anna = server.user(0, "anna");
    server.enters(anna, PLAZA);
    server.says(anna, leave(1, PLAZA));
    server.does([send(anna, left(1, PLAZA, 2))]);
}

#[test]
fn one_leaves_only_the_room_one_is_in() {
    let mut server = Server::new();
    let (guest, anna) = (server.guest(0), server.user(1, "anna"));
    server.refuses(guest, leave(1, PLAZA), Code::NotLoggedIn);
    server.refuses(anna, leave(2, PLAZA), Code::NotInRoom);
    server.enters(anna, PLAZA);
    server.refuses(anna, leave(3, VAULT), Code::NotInRoom);
    server.refuses(anna, leave(4, 99), Code::NotInRoom);
    server.leaves(anna, PLAZA);
    server.refuses(anna, leave(5, PLAZA), Code::NotInRoom);
}

#[test]
fn logout_leaves_the_room() {
    let mut server = Server::new();
    let (anna, bert) = (server.user(0, "anna"), server.user(1, "bert"));
    let (id, ticket) = (server.id_of(bert), server.ticket_of(bert));
    server.enters(anna, PLAZA);
    server.enters(bert, PLAZA);
    server.says(bert, logout(1));
    server.does([
        broadcast([anna], user_left(PLAZA, 3, id, LeaveCause::LoggedOut)),
        release(ticket, "bert"),
        Event::Online(bert, None),
        send(bert, logged_out(1)),
    ]);
    server.refuses(bert, chat(2, PLAZA, "still here?"), Code::NotLoggedIn);
    // The same connection may come back, as another login.
    server.logs_in(bert, "bert", accepted());
    assert_ne!(server.id_of(bert), id);
    server.enters(bert, PLAZA);
}

#[test]
fn disconnected_member_is_gone_from_the_room() {
    let mut server = Server::new();
    let (anna, bert) = (server.user(0, "anna"), server.user_as(1, "bert", accepted_without_lease()));
    let id = server.id_of(bert);
    server.enters(anna, PLAZA);
    server.enters(bert, PLAZA);
    server.disconnects(bert);
    server.does([broadcast([anna], user_left(PLAZA, 3, id, LeaveCause::Disconnected))]);
    assert_eq!(server.counts().members, 1);
}

#[test]
fn closed_member_is_gone_from_the_room_whatever_closed_it() {
    let mut server = Server::new();
    let (anna, bert) = (server.user(0, "anna"), server.user(1, "bert"));
    let (id, ticket) = (server.id_of(bert), server.ticket_of(bert));
    server.enters(anna, PLAZA);
    server.enters(bert, PLAZA);
    server.admin(Admin::CloseUser { user: name("bert") });
    server.does([
        broadcast([anna], user_left(PLAZA, 3, id, LeaveCause::Disconnected)),
        release(ticket, "bert"),
        closing(bert, CloseReason::OperatorClosed),
        close(bert, CloseReason::OperatorClosed),
    ]);
}

#[test]
fn silent_member_is_gone_from_the_room() {
    let mut server = Server::new();
    let (anna, bert) = (server.user(0, "anna"), server.user(1, "bert"));
    server.enters(anna, PLAZA);
    server.enters(bert, PLAZA);
    server.at(seconds(29));
    server.says(anna, chat(1, PLAZA, "bert?"));
    // The pings of both, and what was said; other tests' business.
    server.take_events();
    server.at(seconds(30)).tick();
    server.does([
        broadcast([anna], user_left(PLAZA, 4, server.id_of(bert), LeaveCause::Disconnected)),
        release(server.ticket_of(bert), "bert"),
        closing(bert, CloseReason::Silent),
        close(bert, CloseReason::Silent),
    ]);
}

#[test]
fn every_change_takes_the_next_number_for_its_notify_and_its_response() {
    let mut server = Server::new();
    let (anna, bert, carl) = (server.user(0, "anna"), server.user(1, "bert"), server.user(2, "carl"));
    let (a, b, c) = (server.user_of(anna), server.user_of(bert), server.user_of(carl));
    let room = server.creates(anna, 10);
    let epoch = server.epoch(room);
    server.says(bert, enter(1, room));
    server.does([
        broadcast([anna], new_user(room, 2, b.clone())),
        send(bert, user_list(room, epoch, 2, Some(a.id), [a.clone(), b.clone()])),
        send(bert, entered(1, room, epoch, 2)),
    ]);
    server.says(bert, chat(2, room, "hi"));
    server.does([broadcast([anna], said(room, 3, &b, "hi")), send(bert, chatted(2, room, 3))]);
    // Refusals and other rooms take none of its numbers.
    server.refuses(bert, chat(3, room, ""), Code::TextEmpty);
    server.enters(carl, PLAZA);
    server.leaves(carl, PLAZA);
    server.says(carl, enter(4, room));
    server.does([
        broadcast([anna, bert], new_user(room, 4, c.clone())),
        send(carl, user_list(room, epoch, 4, Some(a.id), [a.clone(), b.clone(), c.clone()])),
        send(carl, entered(4, room, epoch, 4)),
    ]);
    server.says(anna, kick(5, room, c.id));
    server.does([
        broadcast([anna, bert], owned_user_left(room, 5, c.id, LeaveCause::Kicked, Some(a.id))),
        send(carl, kicked(room, 5, a.id, false)),
        send(anna, kick_done(5, room, 5)),
    ]);
    server.says(anna, leave(6, room));
    server.does([
        broadcast([bert], owned_user_left(room, 6, a.id, LeaveCause::Left, Some(b.id))),
        send(anna, left(6, room, 6)),
    ]);
    // The numbers go on while the room exists, through a time without members too.
    server.says(bert, leave(7, room));
    server.does([send(bert, left(7, room, 7))]);
    server.says(carl, enter(8, room));
    server.does([send(carl, user_list(room, epoch, 8, Some(c.id), [c])), send(carl, entered(8, room, epoch, 8))]);
}

#[test]
fn ownership_passes_to_the_longest_standing_member() {
    let mut server = Server::new();
    let (anna, bert, carl) = (server.user(0, "anna"), server.user(1, "bert"), server.user(2, "carl"));
    let (a, b, c) = (server.user_of(anna), server.user_of(bert), server.user_of(carl));
    let room = server.creates(anna, 10);
    let epoch = server.epoch(room);
    // Not in the order of their names, slots or numbers.
    server.enters(carl, room);
    server.enters(bert, room);
    server.says(anna, leave(1, room));
    server.does([
        broadcast([carl, bert], owned_user_left(room, 4, a.id, LeaveCause::Left, Some(c.id))),
        send(anna, left(1, room, 4)),
    ]);
    // Who created it comes back as a member like any other.
    server.says(anna, enter(2, room));
    server.does([
        broadcast([carl, bert], new_user(room, 5, a.clone())),
        send(anna, user_list(room, epoch, 5, Some(c.id), [c.clone(), b.clone(), a.clone()])),
        send(anna, entered(2, room, epoch, 5)),
    ]);
    // It does not pass when another leaves.
    server.says(bert, logout(3));
    server.does([
        broadcast([carl, anna], owned_user_left(room, 6, b.id, LeaveCause::LoggedOut, Some(c.id))),
        release(server.ticket_of(bert), "bert"),
        Event::Online(bert, None),
        send(bert, logged_out(3)),
    ]);
    server.disconnects(carl);
    server.does([
        broadcast([anna], owned_user_left(room, 7, c.id, LeaveCause::Disconnected, Some(a.id))),
        release(server.ticket_of(carl), "carl"),
    ]);
}

#[test]
fn who_enters_an_empty_created_room_owns_it() {
    let mut server = Server::new();
    let (anna, bert) = (server.user(0, "anna"), server.user(1, "bert"));
    let b = server.user_of(bert);
    let room = server.creates(anna, 10);
    server.leaves(anna, room);
    server.says(bert, enter(1, room));
    let epoch = server.epoch(room);
    server
        .does([send(bert, user_list(room, epoch, 3, Some(b.id), [b.clone()])), send(bert, entered(1, room, epoch, 3))]);
    server.enters(anna, room);
    server.refuses(anna, kick(2, room, b.id), Code::NotAllowed);
}

/// A user with a name of 31 bytes and a nickname of 32 is counted as 75 bytes: the texts, a number of 9 bytes at most, two
/// lengths and an option's tag. So 11 of them are in the 1024 - 128 bytes of a part, where 12 of 74 bytes would be.
#[test]
fn part_of_a_list_is_as_long_as_its_frame_allows() {
    let mut server = Server::with(|config| {
        config.frame_bytes_max = 1024;
        config.text_bytes_max = 100;
        config.fixed_rooms[0].capacity = 100;
    });
    for index in 0..13 {
        let account = Account { nickname: Some(Text::new(&"n".repeat(32))), administrator: false };
        let verdict = Verdict::Accepted { account, leased: true };
        let id = server.user_as(index, &format!("a-name-of-exactly-31-characte{index:02}"), verdict);
        server.says(id, enter(1, PLAZA));
        let events = server.take_events();
        let parts = events.iter().filter_map(|event| match event {
            Event::Send(_, ServerPacket::RoomUserListNotify { users, .. }) => Some(users.0.len()),
            Event::Send(..)
            | Event::Broadcast(..)
            | Event::Close(..)
            | Event::Verify(..)
            | Event::Release(..)
            | Event::Online(..)
            | Event::Call(..)
            | Event::Failed(..)
            | Event::Answer(..)
            | Event::ServiceAnswer(..) => None,
        });
        let count = index as usize + 1;
        let expected = if count > 11 { vec![11, count - 11] } else { vec![count] };
        assert_eq!(parts.collect::<Vec<_>>(), expected);
    }
}
