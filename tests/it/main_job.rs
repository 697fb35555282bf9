//! The main job: log in, browse the lobby, enter rooms, chat; every packet, in order, at everybody.

use lobbyd_core::id::{RequestId, RoomNumber};
use lobbyd_core::packet::{
    ClientPacket, CloseReason, Code, LeaveCause, List, PROTOCOL_VERSION, RoomEntered, RoomPage, RoomSummary,
    ServerPacket,
};
use lobbyd_core::text::Text;

use crate::support::{Daemon, Setup, Wire, say, secret_of};

const GENERAL: u32 = 1;

fn daemon_with(users: &[&str]) -> (Setup, Daemon) {
    let setup = Setup::new().users(users);
    let daemon = setup.start();
    (setup, daemon)
}

/// Alice, Bob and Carol in the general room, in this order; returns the number of the last change there.
#[track_caller]
fn three_in_general(daemon: &Daemon) -> ([Wire; 3], u64) {
    let [mut alice, mut bob, mut carol] = ["alice", "bob", "carol"].map(|name| daemon.log_in(name));
    alice.enter(GENERAL);
    let (second, _) = bob.enter(GENERAL);
    let (third, _) = carol.enter(GENERAL);
    alice.expect(say::new_user(GENERAL, second.sequence, &bob.user()));
    alice.expect(say::new_user(GENERAL, third.sequence, &carol.user()));
    bob.expect(say::new_user(GENERAL, third.sequence, &carol.user()));
    ([alice, bob, carol], third.sequence)
}

#[test]
fn server_speaks_first_and_says_what_it_allows() {
    let setup = Setup::new().set("server.name", "a name for people").set("session.heartbeat_interval", "7s");
    let daemon = setup.start();
    let mut client = Wire::connect("nobody", daemon.address);
    client.expect(ServerPacket::Welcome {
        version_min: PROTOCOL_VERSION,
        version_max: PROTOCOL_VERSION,
        server: Text::new("a name for people"),
        heartbeat_interval_ms: 7_000,
        frame_bytes_max: 16 * 1024,
        text_bytes_max: 2_000,
    });
    client.hello();
    client.expect_nothing();
}

#[test]
fn two_users_log_in_enter_a_room_and_talk() {
    let (_setup, daemon) = daemon_with(&["alice", "bob"]);
    let mut alice = daemon.log_in("alice");
    let mut bob = daemon.log_in("bob");
    assert_eq!((alice.user().id.0, bob.user().id.0), (1, 2), "logins are numbered");

    let (first, users) = alice.enter(GENERAL);
    assert_eq!((first.sequence, users), (1, vec![alice.user()]));
    let (second, users) = bob.enter(GENERAL);
    assert_eq!(second, RoomEntered { sequence: 2, ..first });
    assert_eq!(users, [alice.user(), bob.user()]);
    alice.expect(say::new_user(GENERAL, 2, &bob.user()));

    alice.say(say::chat(10, GENERAL, "hello, Bob"));
    alice.expect(say::chatted(10, GENERAL, 3));
    bob.expect(say::heard(GENERAL, 3, &alice.user(), "hello, Bob"));
    bob.say(say::chat(10, GENERAL, "hello, Alice\nschön, dich zu lesen ✨"));
    bob.expect(say::chatted(10, GENERAL, 4));
    alice.expect(say::heard(GENERAL, 4, &bob.user(), "hello, Alice\nschön, dich zu lesen ✨"));
    alice.expect_nothing();
    bob.expect_nothing();
}

#[test]
fn user_name_is_compared_without_case_and_wrong_secrets_are_denied_alike() {
    let (_setup, daemon) = daemon_with(&["alice"]);
    let mut client = daemon.greet("alice");
    for (request, (user, secret)) in
        [("alice", "wrong"), ("nobody", secret_of("alice").as_str()), ("alice", "")].into_iter().enumerate()
    {
        let login = say::login(request as u32, user, secret);
        client.say(login);
        client.expect(say::refused(&login, Code::LoginDenied));
    }
    client.say(say::login(9, "ALICE", &secret_of("alice")));
    assert_eq!(client.expect_login(9).name.as_str(), "alice");
}

#[test]
fn entering_tells_the_members_then_the_entrant() {
    let (_setup, daemon) = daemon_with(&["alice", "bob", "carol"]);
    let [mut alice, mut bob, mut carol] = ["alice", "bob", "carol"].map(|name| daemon.log_in(name));
    alice.say(say::enter(5, GENERAL));
    let ServerPacket::RoomUserListNotify { epoch, .. } = alice.receive() else {
        panic!("the list comes before the answer");
    };
    let at = |sequence| RoomEntered { room: RoomNumber(GENERAL), epoch, sequence };
    alice.expect(say::entered(5, at(1)));

    bob.say(say::enter(6, GENERAL));
    bob.expect(say::user_list(at(2), None, &[&alice.user(), &bob.user()]));
    bob.expect(say::entered(6, at(2)));
    carol.say(say::enter(7, GENERAL));
    carol.expect(say::user_list(at(3), None, &[&alice.user(), &bob.user(), &carol.user()]));
    carol.expect(say::entered(7, at(3)));

    alice.expect(say::new_user(GENERAL, 2, &bob.user()));
    alice.expect(say::new_user(GENERAL, 3, &carol.user()));
    bob.expect(say::new_user(GENERAL, 3, &carol.user()));
    for client in [&mut alice, &mut bob, &mut carol] {
        client.expect_nothing();
    }
}

#[test]
fn leaving_tells_the_others_then_the_leaver() {
    let (_setup, daemon) = daemon_with(&["alice", "bob", "carol"]);
    let ([mut alice, mut bob, mut carol], last) = three_in_general(&daemon);
    bob.say(say::leave(8, GENERAL));
    bob.expect(say::left(8, GENERAL, last + 1));
    for other in [&mut alice, &mut carol] {
        other.expect(say::leave_user(GENERAL, last + 1, &bob.user(), LeaveCause::Left, None));
    }
    alice.say(say::chat(9, GENERAL, "bob does not hear this"));
    alice.expect(say::chatted(9, GENERAL, last + 2));
    carol.expect(say::heard(GENERAL, last + 2, &alice.user(), "bob does not hear this"));
    for client in [&mut alice, &mut bob, &mut carol] {
        client.expect_nothing();
    }
}

#[test]
fn chat_reaches_every_other_member_once_and_in_order() {
    let (_setup, daemon) = daemon_with(&["alice", "bob", "carol", "dave"]);
    let ([mut alice, mut bob, mut carol], last) = three_in_general(&daemon);
    let mut dave = daemon.log_in("dave");
    alice.say_all(&[say::chat(1, GENERAL, "one"), say::chat(2, GENERAL, "two"), say::chat(3, GENERAL, "three")]);
    for (place, text) in ["one", "two", "three"].into_iter().enumerate() {
        let sequence = last + 1 + place as u64;
        alice.expect(say::chatted(1 + place as u32, GENERAL, sequence));
        bob.expect(say::heard(GENERAL, sequence, &alice.user(), text));
        carol.expect(say::heard(GENERAL, sequence, &alice.user(), text));
    }
    for client in [&mut alice, &mut bob, &mut carol, &mut dave] {
        client.expect_nothing();
    }
}

#[test]
fn messages_of_many_have_the_same_order_at_every_member() {
    const EACH: u64 = 200;
    let (_setup, daemon) = daemon_with(&["alice", "bob", "carol"]);
    let (members, last) = three_in_general(&daemon);
    let threads: Vec<_> = members
        .into_iter()
        .map(|mut member| {
            std::thread::spawn(move || {
                let texts: Vec<String> = (0..EACH).map(|place| format!("{} {place}", member.name)).collect();
                let packets: Vec<_> = texts.iter().map(|text| say::chat(4, GENERAL, text)).collect();
                member.say_all(&packets);
                let mut own = 0;
                let mut seen = Vec::new();
                for _ in 0..3 * EACH {
                    let (sequence, text) = match member.receive() {
                        ServerPacket::RoomChatResponse { result: Ok(change), .. } => {
                            own += 1;
                            (change.sequence, texts[own - 1].clone())
                        }
                        ServerPacket::RoomChatNotify { sequence, text, .. } => (sequence, text.as_str().to_owned()),
                        other => panic!("{} expects chat: {other:?}", member.name),
                    };
                    assert_eq!(sequence, last + 1 + seen.len() as u64, "{} misses a message", member.name);
                    seen.push(text);
                }
                (member, seen)
            })
        })
        .collect();
    let joined = threads.into_iter().map(|thread| thread.join().expect("no member fails"));
    let (mut members, seen): (Vec<_>, Vec<_>) = joined.unzip();
    assert_eq!(seen[0], seen[1]);
    assert_eq!(seen[0], seen[2]);
    for member in &mut members {
        member.expect_nothing();
    }
}

#[test]
fn every_way_to_disconnect_tells_the_others() {
    let (_setup, daemon) = daemon_with(&["alice", "bob", "carol"]);
    let ([mut alice, bob, mut carol], last) = three_in_general(&daemon);
    let gone = bob.user();
    drop(bob);
    alice.expect(say::leave_user(GENERAL, last + 1, &gone, LeaveCause::Disconnected, None));
    carol.expect(say::leave_user(GENERAL, last + 1, &gone, LeaveCause::Disconnected, None));

    // Closed with something unread, so that the daemon gets a reset instead of an orderly end.
    alice.say(say::chat(4, GENERAL, "unread"));
    alice.expect(say::chatted(4, GENERAL, last + 2));
    let gone = carol.user();
    carol.stream.peek(&mut [0]).expect("the message has arrived");
    drop(carol);
    alice.expect(say::leave_user(GENERAL, last + 3, &gone, LeaveCause::Disconnected, None));
    alice.expect_nothing();

    daemon.wait_for_ended_sessions(2);
    let mut bob = daemon.log_in("bob");
    let (_, users) = bob.enter(GENERAL);
    assert_eq!(users, [alice.user(), bob.user()], "nothing of the others is left behind");
}

#[test]
fn logging_out_leaves_the_room_and_the_connection_stays() {
    let (_setup, daemon) = daemon_with(&["alice", "bob", "carol"]);
    let ([mut alice, mut bob, mut carol], last) = three_in_general(&daemon);
    let gone = bob.user();
    bob.say(say::logout(5));
    bob.expect(say::logged_out(5));
    for other in [&mut alice, &mut carol] {
        other.expect(say::leave_user(GENERAL, last + 1, &gone, LeaveCause::LoggedOut, None));
    }
    let again = bob.log_in();
    assert_ne!(again.id, gone.id, "each login has a number of its own");
    bob.expect_nothing();
}

#[test]
fn creating_a_room_enters_it_owns_it_and_lists_it() {
    let (_setup, daemon) = daemon_with(&["alice", "bob"]);
    let (mut alice, mut bob) = (daemon.log_in("alice"), daemon.log_in("bob"));
    alice.say(say::create(3, "Alice's room ♜", 2, Some("sesame")));
    let ServerPacket::RoomUserListNotify { epoch, .. } = alice.receive() else {
        panic!("the list comes before the answer");
    };
    let room = RoomNumber(2);
    alice.expect(say::created(3, RoomEntered { room, epoch, sequence: 1 }));

    bob.say(say::list(4));
    let general =
        RoomSummary { room: RoomNumber(1), title: Text::new("General"), members: 0, capacity: 100, protected: false };
    let made = RoomSummary { room, title: Text::new("Alice's room ♜"), members: 1, capacity: 2, protected: true };
    bob.expect(ServerPacket::RoomListResponse {
        request: RequestId(4),
        result: Ok(RoomPage { rooms: List(vec![general, made.clone()]), next: None }),
    });
    bob.say(say::enter_protected(5, 2, "sesame"));
    let at = RoomEntered { room, epoch, sequence: 2 };
    bob.expect(say::user_list(at, Some(alice.user().id), &[&alice.user(), &bob.user()]));
    bob.expect(say::entered(5, at));
    alice.expect(say::new_user(2, 2, &bob.user()));

    alice.say(say::leave(6, 2));
    alice.expect(say::left(6, 2, 3));
    bob.expect(say::leave_user(2, 3, &alice.user(), LeaveCause::Left, Some(bob.user().id)));
    alice.say(ClientPacket::RoomListRequest { request: RequestId(7), from: RoomNumber(2), limit: 1 });
    alice.expect(ServerPacket::RoomListResponse {
        request: RequestId(7),
        result: Ok(RoomPage { rooms: List(vec![made]), next: None }),
    });
    alice.expect_nothing();
    bob.expect_nothing();
}

#[test]
fn directory_comes_in_pages() {
    let rooms: String = (1..=250)
        .map(|number| format!("[[rooms]]\nnumber = {number}\ntitle = \"Room {number}\"\ncapacity = 5\n"))
        .collect();
    let daemon = Setup::new().users(&["alice"]).file(&rooms).start();
    let mut alice = daemon.log_in("alice");
    let (mut from, mut seen) = (RoomNumber(0), Vec::new());
    let mut pages = 0;
    loop {
        alice.say(ClientPacket::RoomListRequest { request: RequestId(7), from, limit: 0 });
        let ServerPacket::RoomListResponse { result: Ok(page), .. } = alice.receive() else {
            panic!("a page of the directory");
        };
        pages += 1;
        seen.extend(page.rooms.0.iter().map(|room| room.room.0));
        match page.next {
            Some(next) => from = next,
            None => break,
        }
    }
    assert_eq!(seen, (1..=250).collect::<Vec<_>>());
    assert!(pages > 1, "all in one page");
}

#[test]
fn kicking_tells_the_others_then_the_kicked_then_the_kicker() {
    let (_setup, daemon) = daemon_with(&["alice", "bob", "carol"]);
    let [mut alice, mut bob, mut carol] = ["alice", "bob", "carol"].map(|name| daemon.log_in(name));
    alice.say(say::create(3, "Alice's", 9, None));
    alice.receive();
    alice.receive();
    bob.enter(2);
    carol.enter(2);
    alice.expect(say::new_user(2, 2, &bob.user()));
    alice.expect(say::new_user(2, 3, &carol.user()));
    bob.expect(say::new_user(2, 3, &carol.user()));

    let kick = say::kick(4, 2, alice.user().id, false);
    bob.say(kick);
    bob.expect(say::refused(&kick, Code::NotAllowed));

    alice.say(say::kick(4, 2, bob.user().id, true));
    let owner = Some(alice.user().id);
    alice.expect(say::leave_user(2, 4, &bob.user(), LeaveCause::Kicked, owner));
    alice.expect(say::kicked(4, 2, 4));
    carol.expect(say::leave_user(2, 4, &bob.user(), LeaveCause::Kicked, owner));
    bob.expect(ServerPacket::Kicked { room: RoomNumber(2), sequence: 4, by: owner, banned: true });
    let enter = say::enter(5, 2);
    bob.say(enter);
    bob.expect(say::refused(&enter, Code::RoomBanned));
    bob.enter(GENERAL);
    for client in [&mut alice, &mut bob, &mut carol] {
        client.expect_nothing();
    }
}

#[test]
fn direct_message_reaches_one_user_wherever_that_user_is() {
    let (_setup, daemon) = daemon_with(&["alice", "bob", "carol"]);
    let ([mut alice, mut bob, mut carol], _) = three_in_general(&daemon);
    alice.say(say::tell(4, "BOB", "psst"));
    alice.expect(say::told(4));
    bob.expect(say::heard_alone(&alice.user(), "psst"));
    bob.say(say::leave(5, GENERAL));
    bob.receive();
    alice.receive();
    carol.receive();
    carol.say(say::tell(5, "bob", "in the lobby"));
    carol.expect(say::told(5));
    bob.expect(say::heard_alone(&carol.user(), "in the lobby"));
    let to_nobody = say::tell(6, "dave", "anybody there?");
    carol.say(to_nobody);
    carol.expect(say::refused(&to_nobody, Code::UserUnknown));
    for client in [&mut alice, &mut bob, &mut carol] {
        client.expect_nothing();
    }
}

#[test]
fn user_is_online_once_and_can_return_at_once_after_leaving() {
    let (_setup, daemon) = daemon_with(&["alice"]);
    let mut first = daemon.log_in("alice");
    let mut second = daemon.greet("alice");
    let secret = secret_of("alice");
    let login = say::login(1, "alice", &secret);
    second.say(login);
    second.expect(say::refused(&login, Code::AlreadyOnline));
    first.say(say::logout(2));
    first.expect(say::logged_out(2));
    second.log_in();
    first.say(login);
    first.expect(say::refused(&login, Code::AlreadyOnline));
    drop(second);
    daemon.wait_for_ended_sessions(1);
    first.log_in();
}

#[test]
fn two_logins_of_one_user_at_the_same_moment_bring_one_in() {
    let (_setup, daemon) = daemon_with(&["alice"]);
    let secret = secret_of("alice");
    for _ in 0..8 {
        let (mut one, mut other) = (daemon.greet("alice"), daemon.greet("alice"));
        one.say(say::login(1, "alice", &secret));
        other.say(say::login(1, "alice", &secret));
        let answers = [one.receive(), other.receive()];
        let accepted = |packet: &ServerPacket| matches!(packet, ServerPacket::LoginResponse { result: Ok(_), .. });
        let already = say::login_refused(1, Code::AlreadyOnline);
        assert_eq!(answers.iter().filter(|answer| accepted(answer)).count(), 1, "{answers:?}");
        assert!(answers.contains(&already), "{answers:?}");
        let winner = if accepted(&answers[0]) { &mut one } else { &mut other };
        winner.say(say::logout(2));
        winner.expect(say::logged_out(2));
    }
}

#[test]
fn newest_login_wins_only_with_the_right_secret() {
    let daemon = Setup::new().set("session.duplicate_login", "newest-wins").users(&["alice", "bob"]).start();
    let (mut old, mut bob) = (daemon.log_in("alice"), daemon.log_in("bob"));
    old.enter(GENERAL);
    let (entered, _) = bob.enter(GENERAL);
    old.expect(say::new_user(GENERAL, entered.sequence, &bob.user()));

    let mut new = daemon.greet("alice");
    let wrong = say::login(1, "alice", "wrong");
    new.say(wrong);
    new.expect(say::refused(&wrong, Code::LoginDenied));
    old.expect_nothing();

    new.log_in();
    old.expect_closing(CloseReason::Superseded);
    bob.expect(say::leave_user(GENERAL, entered.sequence + 1, &old.user(), LeaveCause::Disconnected, None));
    new.enter(GENERAL);
}

#[test]
fn one_user_may_be_online_many_times_where_that_is_allowed() {
    let daemon = Setup::new().set("session.duplicate_login", "allow").users(&["alice", "bob"]).start();
    let (mut one, mut other, mut bob) = (daemon.log_in("alice"), daemon.log_in("alice"), daemon.log_in("bob"));
    assert_ne!(one.user().id, other.user().id);
    bob.say(say::tell(3, "alice", "to both of you"));
    bob.expect(say::told(3));
    one.expect(say::heard_alone(&bob.user(), "to both of you"));
    other.expect(say::heard_alone(&bob.user(), "to both of you"));
}

#[test]
fn accounts_survive_a_daemon_that_is_killed() {
    let setup = Setup::new().users(&["alice"]);
    for round in 0..3 {
        let daemon = setup.start();
        // Added beside the running daemon, and on the disk when the command has ended.
        let name = format!("user{round}");
        setup.user(&["add", &name], &secret_of(&name));
        daemon.log_in("alice");
        for earlier in 0..=round {
            daemon.log_in(&format!("user{earlier}"));
        }
        daemon.kill();
    }
    assert_eq!(setup.user(&["list"], "").lines().filter(|line| line.contains("user")).count(), 3);
}
