//! The directory of rooms: its pages, how rooms come to be, and how they go.

use std::time::Duration;

use lobbyd_core::config::FixedRoom;
use lobbyd_core::id::{RequestId, RoomNumber, SessionId};
use lobbyd_core::input::Admin;
use lobbyd_core::limits::Rate;
use lobbyd_core::lobby::PAGE_ROOMS_MAX;
use lobbyd_core::packet::{Code, List, RoomPage, RoomSummary, ServerPacket};
use lobbyd_core::text::Text;

use crate::support::packets::{
    create, create_protected, created, enter, enter_with, entered, leave, left, list, new_user, user_list,
};
use crate::support::{Event, OPEN_ROOMS_MAX, PLAZA, Server, VAULT, VAULT_PASSWORD, accepted, broadcast, seconds, send};

const NANOSECOND: Duration = Duration::from_nanos(1);
/// The number of the first room that a user creates.
const FIRST: u32 = OPEN_ROOMS_MAX + 1;

/// A server on which nobody is pinged while rooms wait for their end.
fn server() -> Server {
    Server::with(|config| config.heartbeat_interval = seconds(24 * 60 * 60))
}

/// A server on which the caps per user never bind.
fn server_for_creators(rooms_max: u32) -> Server {
    Server::with(|config| {
        config.heartbeat_interval = seconds(24 * 60 * 60);
        config.rooms_max = rooms_max;
        config.rooms_per_user_max = 1_000;
        config.room_creations_per_user = Rate::per_second(1_000, 1_000);
    })
}

fn summary(room: u32, title: &str, members: u32, capacity: u32) -> RoomSummary {
    RoomSummary { room: RoomNumber(room), title: Text::new(title), members, capacity, protected: false }
}

fn page<const N: usize>(request: u32, rooms: [RoomSummary; N], next: Option<u32>) -> ServerPacket {
    let page = RoomPage { rooms: List(rooms.to_vec()), next: next.map(RoomNumber) };
    ServerPacket::RoomListResponse { request: RequestId(request), result: Ok(page) }
}

fn plaza(members: u32) -> RoomSummary {
    summary(PLAZA, "Plaza", members, 3)
}

fn vault(members: u32) -> RoomSummary {
    RoomSummary { protected: true, ..summary(VAULT, "Vault", members, 2) }
}

/// Rooms 1 to `count`, all with this title.
fn many_rooms(count: u32, title: &str) -> Vec<FixedRoom> {
    let room = |number| FixedRoom { number: RoomNumber(number), title: title.into(), capacity: 1, password: None };
    (1..=count).map(room).collect()
}

/// Asks for a page. The numbers of its rooms, and where the next one begins.
fn ask_page(server: &mut Server, id: SessionId, from: u32, limit: u32) -> (Vec<u32>, Option<u32>) {
    server.says(id, list(1, from, limit));
    let events = server.take_events();
    let [Event::Send(to, ServerPacket::RoomListResponse { request: RequestId(1), result: Ok(page) })] =
        events.as_slice()
    else {
        panic!("listed instead of {events:?}");
    };
    assert_eq!(*to, id);
    (page.rooms.0.iter().map(|room| room.room.0).collect(), page.next.map(|next| next.0))
}

#[test]
fn directory_lists_rooms_by_number() {
    let mut server = server();
    let anna = server.user(0, "anna");
    server.says(anna, list(1, 0, 0));
    server.does([send(anna, page(1, [plaza(0), vault(0)], None))]);
    server.says(anna, enter_with(2, VAULT, Some(VAULT_PASSWORD)));
    server.take_events();
    let bert = server.user(1, "bert");
    let room = server.creates(bert, 7);
    // From inside a room as from the lobby.
    server.says(anna, list(3, 0, 0));
    server.does([send(anna, page(3, [plaza(0), vault(1), summary(room, "Den", 1, 7)], None))]);
}

#[test]
fn directory_is_for_users() {
    let mut server = server();
    let guest = server.guest(0);
    server.refuses(guest, list(1, 0, 0), Code::NotLoggedIn);
}

#[test]
fn cursor_leads_from_page_to_page() {
    let mut server = server();
    let anna = server.user(0, "anna");
    server.enters(anna, OPEN_ROOMS_MAX);
    server.says(anna, list(1, 0, 1));
    server.does([send(anna, page(1, [plaza(0)], Some(VAULT)))]);
    server.says(anna, list(2, VAULT, 1));
    server.does([send(anna, page(2, [vault(0)], Some(OPEN_ROOMS_MAX)))]);
    // A page that ends with the last room says so, and a cursor need not be a room's number.
    let open = summary(OPEN_ROOMS_MAX, "Room 5", 1, 1_000);
    server.says(anna, list(3, VAULT + 1, 1));
    server.does([send(anna, page(3, [open], None))]);
    server.says(anna, list(4, OPEN_ROOMS_MAX + 1, 1));
    server.does([send(anna, page(4, [], None))]);
    server.says(anna, list(5, u32::MAX, 0));
    server.does([send(anna, page(5, [], None))]);
}

#[test]
fn page_holds_what_is_asked_for_and_a_hundred_rooms_at_most() {
    let mut server = Server::with(|config| config.fixed_rooms = many_rooms(150, "Room"));
    let anna = server.user(0, "anna");
    let upto = |last: u32| ((1..=last).collect::<Vec<_>>(), Some(last + 1));
    assert_eq!(ask_page(&mut server, anna, 0, 0), upto(PAGE_ROOMS_MAX));
    assert_eq!(ask_page(&mut server, anna, 0, u32::MAX), upto(PAGE_ROOMS_MAX));
    assert_eq!(ask_page(&mut server, anna, 0, PAGE_ROOMS_MAX + 1), upto(PAGE_ROOMS_MAX));
    assert_eq!(ask_page(&mut server, anna, 1, PAGE_ROOMS_MAX), upto(PAGE_ROOMS_MAX));
    assert_eq!(ask_page(&mut server, anna, 1, PAGE_ROOMS_MAX - 1), upto(PAGE_ROOMS_MAX - 1));
    assert_eq!(ask_page(&mut server, anna, 101, 0), ((101..=150).collect(), None));
}

#[test]
fn page_fits_into_a_small_frame() {
    let title = "\u{1f980}".repeat(64);
    let mut server = Server::with(|config| {
        config.frame_bytes_max = 1024;
        config.text_bytes_max = 100;
        config.fixed_rooms = many_rooms(10, &title);
    });
    let anna = server.user(0, "anna");
    // A title of 256 bytes and the rest of a room: three of them are under 1024 bytes, four are over.
    assert_eq!(ask_page(&mut server, anna, 0, 0), (vec![1, 2, 3], Some(4)));
    assert_eq!(ask_page(&mut server, anna, 4, 0), (vec![4, 5, 6], Some(7)));
    assert_eq!(ask_page(&mut server, anna, 7, 2), (vec![7, 8], Some(9)));
    assert_eq!(ask_page(&mut server, anna, 9, 0), (vec![9, 10], None));
}

#[test]
fn creator_is_in_the_room_and_owns_it() {
    let mut server = server();
    let anna = server.user(0, "anna");
    let user = server.user_of(anna);
    server.says(anna, create(1, "Anna's den", 4));
    let epoch = server.epoch(FIRST);
    server.does([send(anna, user_list(FIRST, epoch, 1, Some(user.id), [user])), send(anna, created(1, FIRST, epoch))]);
    server.says(anna, list(2, FIRST, 0));
    server.does([send(anna, page(2, [summary(FIRST, "Anna's den", 1, 4)], None))]);
}

#[test]
fn room_created_with_a_password_is_listed_as_protected() {
    let mut server = server();
    let anna = server.user(0, "anna");
    server.says(anna, create_protected(1, "Den", 4, Some(VAULT_PASSWORD)));
    server.take_events();
    server.says(anna, list(2, FIRST, 0));
    let den = RoomSummary { protected: true, ..summary(FIRST, "Den", 1, 4) };
    server.does([send(anna, page(2, [den], None))]);
}

#[test]
fn creation_is_checked_in_order() {
    let mut server = Server::with(|config| config.rooms_max = 3);
    // Everything is wrong, and is put right one by one.
    let guest = server.guest(0);
    server.refuses(guest, create(1, "", 0), Code::NotLoggedIn);
    server.logs_in(guest, "anna", accepted());
    let anna = guest;
    server.enters(anna, PLAZA);
    server.refuses(anna, create(2, "", 0), Code::NotInLobby);
    server.leaves(anna, PLAZA);
    let bert = server.user(1, "bert");
    let room = server.creates(bert, 2);
    server.refuses(anna, create(3, "", 0), Code::TitleInvalid);
    server.refuses(anna, create(4, "Den", 0), Code::CapacityInvalid);
    server.refuses(anna, create(5, "Den", 1), Code::RoomsFull);
    server.leaves(bert, room);
    server.admin(Admin::Drain { within: seconds(1_000) });
    server.take_events();
    server.refuses(anna, create(6, "Den", 1), Code::Draining);
}

#[test]
fn too_many_rooms_matter_before_too_many_of_ones_own() {
    let mut server = Server::with(|config| {
        config.rooms_max = 3;
        config.rooms_per_user_max = 1;
    });
    let anna = server.user(0, "anna");
    let room = server.creates(anna, 2);
    server.leaves(anna, room);
    server.refuses(anna, create(1, "Den", 2), Code::RoomsFull);
}

#[test]
fn title_is_a_line_of_at_most_64_characters() {
    let mut server = server();
    let anna = server.user(0, "anna");
    let (longest, too_long) = ("\u{1f980}".repeat(64), "a".repeat(65));
    for title in ["", &too_long, "two\nlines", "bell\u{7}", "\u{202e}turned", "line\u{2028}break"] {
        server.refuses(anna, create(1, title, 4), Code::TitleInvalid);
    }
    server.says(anna, create(2, &longest, 4));
    server.take_events();
    server.says(anna, list(3, FIRST, 0));
    server.does([send(anna, page(3, [summary(FIRST, &longest, 1, 4)], None))]);
}

#[test]
fn capacity_is_1_to_the_configured_limit() {
    let mut server = Server::with(|config| config.room_members_max = 10);
    let anna = server.user(0, "anna");
    server.refuses(anna, create(1, "Den", 0), Code::CapacityInvalid);
    server.refuses(anna, create(2, "Den", 11), Code::CapacityInvalid);
    server.refuses(anna, create(3, "Den", u32::MAX), Code::CapacityInvalid);
    let room = server.creates(anna, 10);
    server.leaves(anna, room);
    let bert = server.user(1, "bert");
    let room = server.creates(bert, 1);
    server.refuses(anna, enter(4, room), Code::RoomFull);
}

#[test]
fn created_room_takes_the_lowest_free_number() {
    let mut server = server_for_creators(100);
    let ids: Vec<_> = [(0, "anna"), (1, "bert"), (2, "carl"), (3, "dora")]
        .into_iter()
        .map(|(index, user)| server.user(index, user))
        .collect();
    let rooms: Vec<_> = ids[..3].iter().map(|id| server.creates(*id, 2)).collect();
    assert_eq!(rooms, [FIRST, FIRST + 1, FIRST + 2]);
    server.leaves(ids[0], FIRST);
    server.at(seconds(1));
    server.leaves(ids[1], FIRST + 1);
    // An empty room keeps its number until it is gone.
    assert_eq!(server.creates(ids[0], 2), FIRST + 3);
    server.at(seconds(61)).tick();
    server.does_nothing();
    assert_eq!(server.creates(ids[1], 2), FIRST);
    assert_eq!(server.creates(ids[3], 2), FIRST + 1);
    // Those at the end are free again as well.
    server.leaves(ids[2], FIRST + 2);
    server.leaves(ids[0], FIRST + 3);
    server.after(seconds(60)).tick();
    server.does_nothing();
    assert_eq!(server.creates(ids[2], 2), FIRST + 2);
    assert_eq!(server.creates(ids[0], 2), FIRST + 3);
}

#[test]
fn created_rooms_are_numbered_above_fixed_ones() {
    let mut server = Server::with(|config| {
        config.fixed_rooms = many_rooms(1, "Far");
        config.fixed_rooms[0].number = RoomNumber(4_000);
    });
    let anna = server.user(0, "anna");
    assert_eq!(server.creates(anna, 2), 4_001);
}

#[test]
fn user_has_a_limited_number_of_rooms_at_a_time() {
    let mut server = Server::with(|config| {
        config.heartbeat_interval = seconds(24 * 60 * 60);
        config.rooms_per_user_max = 2;
        config.room_creations_per_user = Rate::per_second(100, 100);
    });
    let (anna, bert) = (server.user(0, "anna"), server.user(1, "bert"));
    let first = server.creates(anna, 2);
    server.enters(bert, first);
    server.leaves(anna, first);
    // A room that exists by being entered counts like one that was asked for.
    server.enters(anna, 3);
    server.leaves(anna, 3);
    server.refuses(anna, create(1, "Den", 2), Code::RoomLimit);
    server.refuses(anna, enter(2, 4), Code::RoomLimit);
    // What counts is the user, not the connection.
    server.disconnects(anna);
    server.take_events();
    let anna = server.user(0, "anna");
    server.refuses(anna, create(3, "Den", 2), Code::RoomLimit);
    server.leaves(bert, first);
    server.creates(bert, 2);
    server.after(seconds(60)).tick();
    server.does_nothing();
    // Both of hers are gone now.
    let rooms = [(); 2].map(|()| {
        let room = server.creates(anna, 2);
        server.leaves(anna, room);
        room
    });
    server.refuses(anna, create(4, "Den", 2), Code::RoomLimit);
    assert_eq!(rooms, [FIRST, FIRST + 2]);
}

#[test]
fn user_creates_rooms_at_a_limited_rate() {
    let mut server = Server::with(|config| {
        config.heartbeat_interval = seconds(24 * 60 * 60);
        config.rooms_per_user_max = 100;
        config.room_creations_per_user = Rate::per_minute(6, 3);
    });
    let anna = server.user(0, "anna");
    for _ in 0..3 {
        let room = server.creates(anna, 2);
        server.leaves(anna, room);
    }
    server.refuses(anna, create(1, "Den", 2), Code::RoomRate);
    server.refuses(anna, enter(2, 3), Code::RoomRate);
    // Entering what is there creates nothing.
    server.enters(anna, FIRST);
    server.leaves(anna, FIRST);
    // Another connection is no way around it, and another user has a budget of its own.
    server.disconnects(anna);
    server.take_events();
    let (anna, bert) = (server.user(0, "anna"), server.user(1, "bert"));
    server.refuses(anna, create(3, "Den", 2), Code::RoomRate);
    server.creates(bert, 2);
    server.at(seconds(10) - NANOSECOND);
    server.refuses(anna, create(4, "Den", 2), Code::RoomRate);
    server.at(seconds(10));
    let room = server.creates(anna, 2);
    server.leaves(anna, room);
    server.refuses(anna, create(5, "Den", 2), Code::RoomRate);
}

#[test]
fn refused_creation_costs_nothing_of_the_rate() {
    let mut server = server_for_creators(3);
    let (anna, bert) = (server.user(0, "anna"), server.user(1, "bert"));
    let room = server.creates(bert, 2);
    for request in 0..5 {
        server.refuses(anna, create(request, "", 2), Code::TitleInvalid);
        server.refuses(anna, create(request, "Den", 2), Code::RoomsFull);
    }
    server.leaves(bert, room);
    server.after(seconds(60)).tick();
    server.does_nothing();
    server.creates(anna, 2);
}

#[test]
fn open_room_exists_by_being_entered() {
    let mut server = server();
    let (anna, bert) = (server.user(0, "anna"), server.user(1, "bert"));
    let (a, b) = (server.user_of(anna), server.user_of(bert));
    assert_eq!(server.counts().rooms, 2);
    server.says(anna, enter(1, 3));
    let epoch = server.epoch(3);
    server.does([send(anna, user_list(3, epoch, 1, Some(a.id), [a.clone()])), send(anna, entered(1, 3, epoch, 1))]);
    server.says(bert, enter(2, 3));
    server.does([
        broadcast([anna], new_user(3, 2, b.clone())),
        send(bert, user_list(3, epoch, 2, Some(a.id), [a, b])),
        send(bert, entered(2, 3, epoch, 2)),
    ]);
    server.says(bert, list(3, 3, 0));
    server.does([send(bert, page(3, [summary(3, "Room 3", 2, 1_000)], None))]);
}

#[test]
fn other_numbers_are_no_open_rooms() {
    let mut server = server();
    let anna = server.user(0, "anna");
    for room in [0, OPEN_ROOMS_MAX + 1, u32::MAX] {
        server.refuses(anna, enter(1, room), Code::RoomUnknown);
    }
    server.enters(anna, OPEN_ROOMS_MAX);
}

#[test]
fn open_room_is_not_created_beyond_the_limit_or_while_draining() {
    let mut server = server_for_creators(3);
    let (anna, bert) = (server.user(0, "anna"), server.user(1, "bert"));
    server.enters(anna, 3);
    server.refuses(bert, enter(1, 4), Code::RoomsFull);
    server.admin(Admin::Drain { within: seconds(1_000) });
    server.take_events();
    server.refuses(bert, enter(2, 4), Code::Draining);
    // What is there may be entered until the end.
    server.enters(bert, 3);
}

#[test]
fn empty_room_goes_after_its_time() {
    let mut server = server();
    let anna = server.user(0, "anna");
    let room = server.creates(anna, 2);
    assert_eq!(server.counts().rooms, 3);
    server.leaves(anna, room);
    assert_eq!(server.next_deadline(), Some(seconds(60)));
    server.at(seconds(60) - NANOSECOND).tick();
    server.does_nothing();
    assert_eq!(server.counts().rooms, 3);
    server.at(seconds(60)).tick();
    server.does_nothing();
    assert_eq!(server.counts().rooms, 2);
    server.refuses(anna, enter(1, room), Code::RoomUnknown);
}

#[test]
fn room_goes_after_its_last_member_is_disconnected() {
    let mut server = server();
    let anna = server.user(0, "anna");
    server.creates(anna, 2);
    server.at(seconds(5));
    server.disconnects(anna);
    server.take_events();
    assert_eq!(server.next_deadline(), Some(seconds(65)));
    server.at(seconds(65)).tick();
    server.does_nothing();
    assert_eq!(server.counts().rooms, 2);
}

#[test]
fn room_without_a_time_to_stay_goes_at_once() {
    let mut server = Server::with(|config| config.empty_room_timeout = seconds(0));
    let anna = server.user(0, "anna");
    let room = server.creates(anna, 2);
    server.leaves(anna, room);
    // Due deadlines come before the next input.
    server.refuses(anna, enter(1, room), Code::RoomUnknown);
}

#[test]
fn re_entered_room_stays() {
    let mut server = server();
    let anna = server.user(0, "anna");
    let room = server.creates(anna, 2);
    let epoch = server.epoch(room);
    server.leaves(anna, room);
    server.at(seconds(59));
    server.enters(anna, room);
    assert_eq!(server.epoch(room), epoch);
    server.at(seconds(600)).tick();
    server.does_nothing();
    assert_eq!(server.counts().rooms, 3);
    // Its time begins anew.
    server.leaves(anna, room);
    assert_eq!(server.next_deadline(), Some(seconds(660)));
}

#[test]
fn room_created_anew_has_a_new_epoch_and_counts_from_1() {
    let mut server = server();
    let anna = server.user(0, "anna");
    let user = server.user_of(anna);
    server.enters(anna, 3);
    let before = server.epoch(3);
    server.says(anna, leave(1, 3));
    server.does([send(anna, left(1, 3, 2))]);
    server.after(seconds(60));
    server.says(anna, enter(2, 3));
    let epoch = server.epoch(3);
    server.does([send(anna, user_list(3, epoch, 1, Some(user.id), [user])), send(anna, entered(2, 3, epoch, 1))]);
    assert_ne!(epoch, before);
}

#[test]
fn fixed_room_stays() {
    let mut server = server();
    let anna = server.user(0, "anna");
    server.enters(anna, PLAZA);
    let epoch = server.epoch(PLAZA);
    server.leaves(anna, PLAZA);
    server.at(seconds(24 * 60 * 60 - 1)).tick();
    server.does_nothing();
    // Nobody owns it, and it goes on counting.
    let user = server.user_of(anna);
    server.says(anna, enter(1, PLAZA));
    server.does([send(anna, user_list(PLAZA, epoch, 3, None, [user])), send(anna, entered(1, PLAZA, epoch, 3))]);
}

/// A room whose title has 64 bytes is counted as 83 bytes: its title, three numbers of 5 bytes at most, a length of 3 and
/// a flag. 128 bytes of the frame are left for what stands before the rooms.
#[test]
fn page_is_as_long_as_its_frame_allows() {
    for (frame_bytes_max, rooms) in [(128 + 12 * 83, 12), (128 + 12 * 83 - 1, 11), (128 + 11 * 82, 10), (1024, 10)] {
        let mut server = Server::with(|config| {
            config.frame_bytes_max = frame_bytes_max;
            config.text_bytes_max = 100;
            config.fixed_rooms = many_rooms(20, &"a".repeat(64));
        });
        let anna = server.user(0, "anna");
        assert_eq!(ask_page(&mut server, anna, 1, 0), ((1..=rooms).collect(), Some(rooms + 1)), "{frame_bytes_max}");
    }
}
