//! Every invariant is broken once, by a server that errs, and found; what is in order is not.

use std::rc::Rc;
use std::time::Duration;

use lobbyd_core::id::{RequestId, RoomNumber, UserId};
use lobbyd_core::packet::{CloseReason, Code, LeaveCause, List, RoomChange, RoomEntered, ServerPacket, User};
use lobbyd_core::text::Text;

use super::*;

const PLAZA: RoomNumber = RoomNumber(1);
const EPOCH: u64 = 77;

/// A run in which a test says both what clients do and what a server answers.
struct Watched {
    auditor: Auditor,
    at: Duration,
    /// The first breach.
    breach: Option<Breach>,
}

fn watched(setup: Setup) -> Watched {
    Watched { auditor: Auditor::new(&setup), at: Duration::from_secs(1), breach: None }
}

fn id(name: &str) -> UserId {
    UserId(match name {
        "alice" => 1,
        "bob" => 2,
        _ => 3,
    })
}

fn user(name: &str) -> User {
    User { id: id(name), name: name.parse().expect("a good name"), nickname: None }
}

fn change(sequence: u64) -> RoomChange {
    RoomChange { room: PLAZA, sequence }
}

fn chat(text: &str) -> Operation {
    Operation::RoomChat { room: PLAZA, text: text.as_bytes().to_vec() }
}

fn notify(sequence: u64, name: &str, text: &str) -> ServerPacket {
    let User { id, name, .. } = user(name);
    ServerPacket::RoomChatNotify { room: PLAZA, sequence, user: id, name, text: Text::new(text) }
}

fn chatted(request: u32, sequence: u64) -> ServerPacket {
    ServerPacket::RoomChatResponse { request: RequestId(request), result: Ok(change(sequence)) }
}

impl Watched {
    fn does(&mut self, client: &str, operation: &Operation) {
        let number = self.auditor.client(client);
        self.auditor.begun(self.at, number, operation);
    }

    fn hears(&mut self, client: &str, packet: ServerPacket) {
        self.meets(client, &Arrival::Packet(Rc::new(packet)));
    }

    fn meets(&mut self, client: &str, arrival: &Arrival) {
        let number = self.auditor.client(client);
        let breach = self.auditor.arrived(self.at, number, arrival).err();
        self.breach = self.breach.take().or(breach);
    }

    fn connects(&mut self, client: &str) {
        self.does(client, &Operation::Connect { daemon: "server".to_owned() });
        self.hears(client, welcome());
    }

    /// Connects and logs in, by request 1.
    fn comes(&mut self, client: &str) {
        self.comes_as(client, client);
    }

    fn comes_as(&mut self, client: &str, name: &str) {
        self.connects(client);
        self.does(client, &Operation::Login { user: name.to_owned(), secret: String::new() });
        let user = User { id: id(client), ..user(name) };
        self.hears(client, ServerPacket::LoginResponse { request: RequestId(1), result: Ok(user) });
    }

    /// Enters the plaza, by request 2.
    fn enters(&mut self, client: &str, sequence: u64, members: &[&str]) {
        self.does(client, &Operation::RoomEnter { room: PLAZA, password: None });
        self.sees(client, sequence, members);
        let entered = RoomEntered { room: PLAZA, epoch: EPOCH, sequence };
        self.hears(client, ServerPacket::RoomEnterResponse { request: RequestId(2), result: Ok(entered) });
    }

    fn sees(&mut self, client: &str, sequence: u64, members: &[&str]) {
        let users = List(members.iter().map(|member| user(member)).collect());
        let (room, epoch, owner, last) = (PLAZA, EPOCH, None, true);
        self.hears(client, ServerPacket::RoomUserListNotify { room, epoch, sequence, owner, users, last });
    }

    fn is_told_of(&mut self, client: &str, sequence: u64, entrant: &str) {
        self.hears(client, ServerPacket::RoomNewUserNotify { room: PLAZA, sequence, user: user(entrant) });
    }

    fn is_quiet(&mut self) {
        let breach = self.auditor.quiet(self.at).err();
        self.breach = self.breach.take().or(breach);
    }

    #[track_caller]
    fn holds(&self) {
        assert_eq!(self.breach, None);
    }

    #[track_caller]
    fn breaks(&self, invariant: Invariant) {
        let breach = self.breach.as_ref().expect("it is found");
        assert_eq!(breach.invariant, invariant, "{breach}");
    }
}

fn welcome() -> ServerPacket {
    ServerPacket::Welcome {
        version_min: 1,
        version_max: 1,
        server: Text::new("lobbyd"),
        heartbeat_interval_ms: 1,
        frame_bytes_max: 1,
        text_bytes_max: 1,
    }
}

/// Alice and bob are in the plaza, whose next change is the third.
fn two_in_a_room() -> Watched {
    let mut run = watched(Setup::default());
    run.comes("alice");
    run.comes("bob");
    run.enters("alice", 1, &["alice"]);
    run.enters("bob", 2, &["alice", "bob"]);
    run.is_told_of("alice", 2, "bob");
    run
}

#[test]
fn what_is_in_order_holds() {
    let mut run = two_in_a_room();
    run.does("alice", &chat("hello"));
    run.does("bob", &chat("hi"));
    run.hears("bob", notify(3, "alice", "hello"));
    run.hears("alice", chatted(3, 3));
    run.hears("bob", chatted(3, 4));
    run.hears("alice", notify(4, "bob", "hi"));
    run.is_quiet();
    run.does("bob", &Operation::RoomLeave { room: PLAZA });
    run.hears("bob", ServerPacket::RoomLeaveResponse { request: RequestId(4), result: Ok(change(5)) });
    let left = ServerPacket::RoomLeaveUserNotify {
        room: PLAZA,
        sequence: 5,
        user: id("bob"),
        cause: LeaveCause::Left,
        owner: None,
    };
    run.hears("alice", left);
    run.is_quiet();
    run.does("bob", &Operation::Close);
    run.hears("alice", ServerPacket::Closing { reason: CloseReason::Stopped });
    run.meets("alice", &Arrival::Closed);
    run.is_quiet();
    run.holds();
}

#[test]
fn request_is_answered_once_and_in_its_turn() {
    let pong = |request, code| ServerPacket::LogoutResponse { request: RequestId(request), result: Err(code) };
    let mut twice = watched(Setup::default());
    twice.connects("alice");
    twice.does("alice", &Operation::Logout);
    twice.hears("alice", pong(1, Code::NotLoggedIn));
    twice.holds();
    twice.hears("alice", pong(1, Code::NotLoggedIn));
    twice.breaks(Invariant::OneResponse);

    let mut passed_over = watched(Setup::default());
    passed_over.connects("alice");
    passed_over.does("alice", &chat("hello"));
    passed_over.does("alice", &Operation::Logout);
    passed_over.hears("alice", pong(2, Code::NotLoggedIn));
    passed_over.breaks(Invariant::OneResponse);

    let mut never = watched(Setup::default());
    never.connects("alice");
    never.does("alice", &Operation::Logout);
    never.is_quiet();
    never.breaks(Invariant::OneResponse);

    let mut other = watched(Setup::default());
    other.connects("alice");
    other.does("alice", &chat("hello"));
    other.hears("alice", pong(1, Code::NotLoggedIn));
    other.breaks(Invariant::OneResponse);
}

#[test]
fn login_may_wait_but_not_for_ever() {
    let mut run = watched(Setup::default());
    run.connects("alice");
    run.does("alice", &Operation::Login { user: "alice".to_owned(), secret: String::new() });
    run.does("alice", &Operation::Ping { nonce: 4 });
    run.hears("alice", ServerPacket::Pong { nonce: 4 });
    run.is_quiet();
    run.holds();
    run.at = Duration::from_secs(60);
    run.is_quiet();
    run.breaks(Invariant::OneResponse);
}

#[test]
fn nothing_comes_before_the_welcome_or_after_the_end() {
    let mut early = watched(Setup::default());
    early.does("alice", &Operation::Connect { daemon: "server".to_owned() });
    early.hears("alice", ServerPacket::Ping { nonce: 1 });
    early.breaks(Invariant::BeginAndEnd);

    let mut late = watched(Setup::default());
    late.connects("alice");
    late.meets("alice", &Arrival::Closed);
    late.holds();
    late.hears("alice", ServerPacket::Ping { nonce: 1 });
    late.breaks(Invariant::BeginAndEnd);

    let mut behind = watched(Setup::default());
    behind.connects("alice");
    behind.hears("alice", ServerPacket::Closing { reason: CloseReason::Silent });
    behind.hears("alice", ServerPacket::Ping { nonce: 1 });
    behind.breaks(Invariant::BeginAndEnd);
}

#[test]
fn lost_doubled_and_misdirected_chats_are_found() {
    let mut lost = two_in_a_room();
    lost.does("alice", &chat("hello"));
    lost.hears("alice", chatted(3, 3));
    lost.holds();
    lost.is_quiet();
    lost.breaks(Invariant::RoomOrder);

    let mut gap = two_in_a_room();
    gap.does("alice", &chat("hello"));
    gap.hears("bob", notify(4, "alice", "hello"));
    gap.breaks(Invariant::RoomOrder);

    let mut doubled = two_in_a_room();
    doubled.does("alice", &chat("hello"));
    doubled.hears("bob", notify(3, "alice", "hello"));
    doubled.hears("bob", notify(4, "alice", "hello"));
    doubled.breaks(Invariant::Texts);

    let mut stranger = two_in_a_room();
    stranger.comes("carol");
    stranger.does("alice", &chat("hello"));
    stranger.hears("carol", notify(3, "alice", "hello"));
    stranger.breaks(Invariant::RoomOrder);

    let mut own = two_in_a_room();
    own.does("alice", &chat("hello"));
    own.hears("alice", notify(3, "alice", "hello"));
    own.breaks(Invariant::RoomOrder);
}

#[test]
fn altered_and_refused_texts_are_found() {
    let mut altered = two_in_a_room();
    altered.does("alice", &chat("hello"));
    altered.hears("bob", notify(3, "alice", "hallo"));
    altered.breaks(Invariant::Texts);

    let mut refused = two_in_a_room();
    refused.does("alice", &chat("hello"));
    refused.hears("bob", notify(3, "alice", "hello"));
    let refusal = ServerPacket::RoomChatResponse { request: RequestId(3), result: Err(Code::Flooding) };
    refused.hears("alice", refusal);
    refused.breaks(Invariant::Texts);

    // The speaker is answered first, and another hears something else as the same change.
    let mut other = two_in_a_room();
    other.does("alice", &chat("hello"));
    other.hears("alice", chatted(3, 3));
    other.hears("bob", notify(3, "alice", "good bye"));
    other.breaks(Invariant::Texts);
}

#[test]
fn same_words_said_twice_are_told_apart_by_their_answers() {
    let mut run = two_in_a_room();
    run.does("alice", &chat("hi"));
    run.does("alice", &chat("hi"));
    // The first was refused, and the second was heard.
    run.hears("bob", notify(3, "alice", "hi"));
    let refused = |request| ServerPacket::RoomChatResponse { request: RequestId(request), result: Err(Code::Flooding) };
    run.hears("alice", refused(3));
    run.holds();
    run.hears("alice", refused(4));
    run.breaks(Invariant::Texts);

    // Somebody who came in between hears only the second, and before anybody has heard the first.
    let mut between = two_in_a_room();
    between.does("alice", &chat("hi"));
    between.does("alice", &chat("hi"));
    between.comes("carol");
    between.enters("carol", 4, &["alice", "bob", "carol"]);
    between.hears("carol", notify(5, "alice", "hi"));
    between.hears("alice", chatted(3, 3));
    between.is_told_of("alice", 4, "carol");
    between.hears("alice", chatted(4, 5));
    between.hears("bob", notify(3, "alice", "hi"));
    between.holds();
}

#[test]
fn membership_that_members_see_differently_is_found() {
    let mut missing = watched(Setup::default());
    missing.comes("alice");
    missing.comes("bob");
    missing.enters("alice", 1, &["alice"]);
    missing.enters("bob", 2, &["bob"]);
    missing.is_told_of("alice", 2, "bob");
    missing.breaks(Invariant::Membership);

    let mut twice = watched(Setup::default());
    twice.comes("alice");
    twice.enters("alice", 1, &["alice", "alice"]);
    twice.breaks(Invariant::Membership);

    let mut again = two_in_a_room();
    again.is_told_of("alice", 3, "bob");
    again.breaks(Invariant::Membership);
}

#[test]
fn member_whose_connection_is_over_is_a_ghost() {
    let mut ghost = two_in_a_room();
    ghost.does("bob", &Operation::Close);
    ghost.is_quiet();
    ghost.breaks(Invariant::Membership);

    // Of one that was cut off the server may know nothing yet.
    let mut cut = two_in_a_room();
    let (from, to) = ("bob".to_owned(), "server".to_owned());
    cut.auditor.injected(cut.at, &Fault::Partition { from, to, one_way: false });
    cut.does("bob", &Operation::Close);
    cut.is_quiet();
    cut.holds();
}

#[test]
fn owner_is_the_longest_standing_member() {
    let mut run = watched(Setup::default());
    run.comes("alice");
    run.does("alice", &Operation::RoomEnter { room: PLAZA, password: None });
    let users = List(["carol", "bob", "alice"].map(user).into());
    let (room, owner) = (PLAZA, Some(id("carol")));
    run.hears("alice", ServerPacket::RoomUserListNotify { room, epoch: EPOCH, sequence: 9, owner, users, last: true });
    let cause = LeaveCause::LoggedOut;
    let (user, owner) = (id("carol"), Some(id("alice")));
    run.hears("alice", ServerPacket::RoomLeaveUserNotify { room, sequence: 10, user, cause, owner });
    run.breaks(Invariant::Membership);
}

#[test]
fn user_who_is_online_twice_is_found_unless_that_is_allowed() {
    let twice = |duplicate_login| {
        let mut setup = Setup::default();
        setup.config.duplicate_login = duplicate_login;
        let mut run = watched(setup);
        run.comes("alice");
        run.comes_as("bob", "alice");
        run.is_quiet();
        run
    };
    twice(DuplicateLogin::Reject).breaks(Invariant::OneSession);
    twice(DuplicateLogin::NewestWins).breaks(Invariant::OneSession);
    twice(DuplicateLogin::Allow).holds();
}

#[test]
fn user_who_is_online_at_two_daemons_is_found_while_leases_are_valid() {
    let twice = |fault: Option<Fault>| {
        let daemons = vec!["server".to_owned(), "other".to_owned()];
        let mut run = watched(Setup { daemons, store: Store::Redis, ..Setup::default() });
        run.comes("alice");
        run.does("bob", &Operation::Connect { daemon: "other".to_owned() });
        run.hears("bob", welcome());
        run.does("bob", &Operation::Login { user: "alice".to_owned(), secret: String::new() });
        let user = User { id: id("bob"), ..user("alice") };
        run.hears("bob", ServerPacket::LoginResponse { request: RequestId(1), result: Ok(user) });
        if let Some(fault) = fault {
            run.auditor.injected(run.at, &fault);
        }
        run.at = EVICTION_MAX * 2;
        run.is_quiet();
        run
    };
    twice(None).breaks(Invariant::OneSession);
    twice(Some(Fault::Redis(RedisFault::RestartEmpty))).holds();
}

/// Four who are told to go, each after so many milliseconds, by a drain of two seconds.
fn told_to_go(delays_ms: [u32; 4]) -> Watched {
    let mut run = watched(Setup::default());
    let names = ["alice", "bob", "carol", "dora"];
    names.iter().for_each(|name| run.connects(name));
    let drain = Fault::Drain { daemon: "server".to_owned(), within: Duration::from_secs(2) };
    run.auditor.injected(run.at, &drain);
    for (name, after_ms) in names.iter().zip(delays_ms) {
        run.hears(name, ServerPacket::GoAway { after_ms });
    }
    run
}

#[test]
fn drain_that_sends_all_away_at_once_is_found() {
    told_to_go([5, 5, 5, 6]).holds();
    told_to_go([5, 6, 6, 6]).holds();
    told_to_go([5, 5, 5, 5]).breaks(Invariant::Dispersal);
    told_to_go([5, 6, 7, 2_001]).breaks(Invariant::Dispersal);
}

#[test]
fn direct_message_reaches_its_user_once() {
    let whisper = |text: &str| ServerPacket::DirectMessageNotify {
        user: id("alice"),
        name: "alice".parse().expect("a good name"),
        text: Text::new(text),
    };
    let said = || {
        let mut run = watched(Setup::default());
        run.comes("alice");
        run.comes("bob");
        run.does("alice", &Operation::DirectMessage { user: "BOB".to_owned(), text: b"psst".to_vec() });
        run
    };
    let mut once = said();
    once.hears("bob", whisper("psst"));
    once.holds();
    once.hears("bob", whisper("psst"));
    once.breaks(Invariant::Texts);
    let mut other = said();
    other.hears("bob", whisper("pssst"));
    other.breaks(Invariant::Texts);
    let mut to_another = said();
    to_another.comes("carol");
    to_another.hears("carol", whisper("psst"));
    to_another.breaks(Invariant::Texts);
}

#[test]
fn what_a_fault_may_have_kept_back_is_not_missed() {
    let mut run = two_in_a_room();
    run.does("bob", &Operation::StopReading);
    run.does("bob", &Operation::Logout);
    run.does("alice", &chat("hello"));
    run.hears("alice", chatted(3, 3));
    run.is_quiet();
    run.holds();
}

#[test]
fn bytes_as_they_are_excuse_what_nobody_is_known_to_have_said() {
    let mut run = two_in_a_room();
    run.does("alice", &Operation::Raw(vec![1]));
    run.hears("bob", notify(3, "alice", "hello"));
    run.hears("alice", chatted(9, 3));
    run.is_quiet();
    run.holds();
}

#[test]
fn marks_are_told_from_what_arrives() {
    let mut run = two_in_a_room();
    run.hears("bob", ServerPacket::Kicked { room: PLAZA, sequence: 3, by: None, banned: true });
    run.hears("alice", ServerPacket::Closing { reason: CloseReason::Flooding });
    run.holds();
    assert_eq!(run.auditor.marks().count(Mark::Banned), 1);
    assert_eq!(run.auditor.marks().count(Mark::Kicked), 0);
    assert!(!run.auditor.marks().unreached(true).contains(&"closed as Flooding".to_owned()));
}
