//! What users do, when nothing breaks.

use lobbyd_core::id::RoomNumber;
use lobbyd_sim::scenario::{Check, Operation};

use crate::support::*;

#[test]
fn two_users_enter_talk_and_leave_and_nothing_is_left() {
    holds(
        setup(),
        vec![
            comes_in("alice", &[]),
            comes_in("bob", &["alice"]),
            check("server", Check::Sessions(2)),
            check("server", Check::Online(2)),
            vec![
                chat("alice", "hello")
                    .gets("bob", "RoomChatNotify name=alice text=\"hello\" sequence=3")
                    .gets("alice", "RoomChatResponse sequence=3"),
                does("bob", Operation::DirectMessage { user: "Alice".into(), text: b"psst".to_vec() })
                    .gets("alice", "DirectMessageNotify name=bob text=\"psst\"")
                    .gets("bob", "DirectMessageResponse ok=true"),
                does("bob", Operation::RoomLeave { room: PLAZA })
                    .gets("alice", "RoomLeaveUserNotify cause=Left sequence=4")
                    .gets("bob", "RoomLeaveResponse sequence=4"),
                does("bob", Operation::Logout).gets("bob", "LogoutResponse ok=true"),
                does("bob", Operation::Close),
                does("alice", Operation::Ping { nonce: 9 }).gets("alice", "Pong nonce=9"),
                does("alice", Operation::Close),
            ],
            check("server", Check::Empty),
        ],
    );
}

#[test]
fn requests_that_make_no_sense_are_refused() {
    let mut steps = greets("alice", "server");
    steps.extend([
        chat("alice", "hello").gets("alice", "RoomChatResponse refused=NotLoggedIn request=1"),
        does("alice", Operation::Login { user: "alice".into(), secret: "bob".into() })
            .gets("alice", "LoginResponse refused=LoginDenied request=2"),
        does("alice", Operation::Login { user: "alice".into(), secret: String::new() })
            .gets("alice", "LoginResponse refused=LoginDenied"),
        login("alice", "nobody").gets("alice", "LoginResponse refused=LoginDenied"),
        login("alice", "alice").gets("alice", "LoginResponse name=alice request=5"),
        login("alice", "alice").gets("alice", "LoginResponse refused=AlreadyLoggedIn"),
        chat("alice", "hello").gets("alice", "RoomChatResponse refused=NotInRoom"),
        does("alice", Operation::RoomEnter { room: RoomNumber(99), password: None })
            .gets("alice", "RoomEnterResponse refused=RoomUnknown"),
    ]);
    holds(setup(), vec![steps]);
}

#[test]
fn room_of_ones_own_has_a_password_and_an_owner_who_kicks() {
    let own = Operation::RoomCreate { title: "Den".into(), capacity: 4, password: Some("open".into()) };
    let enter =
        |password: Option<&str>| Operation::RoomEnter { room: RoomNumber(2), password: password.map(str::to_owned) };
    let kick = |client: &str, ban| Operation::Kick { room: RoomNumber(2), client: client.into(), ban };
    holds(
        setup(),
        vec![
            comes("alice"),
            comes("bob"),
            vec![
                does("alice", own)
                    .gets("alice", "RoomUserListNotify room=2")
                    .gets("alice", "RoomCreateResponse room=2"),
                does("bob", Operation::RoomList { from: RoomNumber(0), limit: 0 })
                    .gets("bob", "RoomListResponse rooms=[1,2] next=none"),
                does("bob", enter(None)).gets("bob", "RoomEnterResponse refused=RoomPasswordWrong"),
                does("bob", enter(Some("shut"))).gets("bob", "RoomEnterResponse refused=RoomPasswordWrong"),
                does("bob", enter(Some("open")))
                    .gets("alice", "RoomNewUserNotify name=bob")
                    .gets("bob", "RoomUserListNotify users=[alice,bob]")
                    .gets("bob", "RoomEnterResponse"),
                does("bob", kick("alice", false)).gets("bob", "KickResponse refused=NotAllowed"),
                does("alice", kick("bob", true))
                    .gets("bob", "Kicked room=2 banned=true")
                    .gets("alice", "RoomLeaveUserNotify cause=Kicked")
                    .gets("alice", "KickResponse room=2"),
                does("bob", enter(Some("open"))).gets("bob", "RoomEnterResponse refused=RoomBanned"),
            ],
            check("server", Check::Rooms(2)),
            vec![does("alice", Operation::Close), seconds(61)],
            check("server", Check::Rooms(1)),
        ],
    );
}

#[test]
fn configured_room_password_is_sealed_for_every_daemon() {
    let mut setup = shared();
    setup.room_passwords.push((PLAZA, "open".into()));
    let open = Operation::RoomEnter { room: PLAZA, password: Some("open".into()) };
    holds(
        setup,
        vec![
            comes_to("alice", "server"),
            comes_to("bob", "other"),
            vec![
                enter("alice").gets("alice", "RoomEnterResponse refused=RoomPasswordWrong"),
                does("alice", open.clone()).gets("alice", "RoomUserListNotify").gets("alice", "RoomEnterResponse"),
                does("bob", open).gets("bob", "RoomUserListNotify").gets("bob", "RoomEnterResponse"),
            ],
        ],
    );
}

#[test]
fn idle_clients_answer_pings_and_stay() {
    holds(
        setup(),
        vec![
            comes("alice"),
            vec![seconds(300)],
            check("server", Check::Online(1)),
            vec![
                does("alice", Operation::Ping { nonce: 1 }).gets("alice", "Pong nonce=1"),
                seconds(30).gets("alice", "Ping"),
            ],
        ],
    );
}

#[test]
fn connection_that_never_logs_in_is_closed() {
    holds(
        setup(),
        vec![greets("alice", "server"), vec![seconds(31).gets("alice", "Closing reason=LoginTimeout").closed("alice")]],
    );
}
