//! Users log in, meet, talk and leave, whatever the stores are and however small the pieces in which bytes move.

use std::time::Duration;

use lobbyd_core::config::DuplicateLogin;
use lobbyd_sim::layers::turmoil::Turmoil;
use lobbyd_sim::layers::{CannotDo, World};
use lobbyd_sim::scenario::{Account, Check, Fault, Network, Operation, Setup};

use crate::play::{PLAZA, Play, on_redis, setup};

/// All of it, from the first connection to an empty daemon.
pub(crate) fn main_job(setup: &Setup, seed: u64) -> Play {
    let mut play = Play::new(setup, seed);
    play.login("alice", "server");
    play.enter("alice");
    play.login("bob", "server");
    play.enter("bob");
    play.expect("alice", "RoomNewUserNotify name=bob");

    play.chat("bob", "hello");
    play.expect("bob", "RoomChatResponse room=1 sequence=3");
    play.expect("alice", "RoomChatNotify name=bob text=\"hello\" sequence=3");
    play.begin("alice", Operation::DirectMessage { user: "Bob".to_owned(), text: b"psst".to_vec() });
    play.expect("alice", "DirectMessageResponse ok=true");
    play.expect("bob", "DirectMessageNotify name=alice text=\"psst\"");

    play.begin(
        "alice",
        Operation::RoomCreate { title: "Den".to_owned(), capacity: 2, password: Some("pw".to_owned()) },
    );
    play.expect("alice", "RoomCreateResponse refused=NotInLobby");
    play.begin("alice", Operation::RoomLeave { room: PLAZA });
    play.expect("alice", "RoomLeaveResponse room=1");
    play.expect("bob", "RoomLeaveUserNotify room=1 cause=Left");
    play.begin("bob", Operation::Logout);
    play.expect("bob", "LogoutResponse ok=true");
    play.begin("bob", Operation::Ping { nonce: 9 });
    play.expect("bob", "Pong nonce=9");
    play.nothing_more(&["alice", "bob"]);
    play.check("server", Check::Sessions(2));
    play.check("server", Check::Online(1));

    play.begin("alice", Operation::Close);
    play.begin("bob", Operation::HalfClose);
    play.expect("bob", "closed");
    play.nothing_more(&["alice", "bob"]);
    play.check("server", Check::Empty);
    play
}

#[test]
fn main_job_is_done_with_listed_accounts() {
    main_job(&setup(), 1);
}

#[test]
fn main_job_is_done_with_redis() {
    let play = main_job(&on_redis(), 1);
    let redis = play.world.redis().unwrap();
    assert_eq!(redis.execute(&["DBSIZE"]), lobbyd_sim::redis::Reply::Integer(3), "only the accounts are left");
}

#[test]
fn main_job_is_done_in_pieces_of_a_few_bytes() {
    for most in 1..=7 {
        for setup in [setup(), on_redis()] {
            let network = Network { chop: Some(most), ..Network::default() };
            main_job(&Setup { network, ..setup }, u64::from(most));
        }
    }
}

#[test]
fn main_job_is_done_over_a_slow_and_uneven_network() {
    let latency = (Duration::from_millis(5), Duration::from_millis(80));
    let network = Network { latency, chop: Some(50) };
    let play = main_job(&Setup { network, ..on_redis() }, 3);
    assert!(play.world.now() > Duration::from_millis(200), "{:?}", play.world.now());
}

#[test]
fn daemons_share_presence() {
    let daemons = vec!["one".to_owned(), "two".to_owned()];
    let mut play = Play::new(&Setup { daemons: daemons.clone(), ..on_redis() }, 1);
    play.login("alice", "one");
    play.connect("alice2", "two");
    play.ask_login("alice2");
    play.expect("alice2", "LoginResponse refused=AlreadyOnline");
    play.begin("alice", Operation::Logout);
    play.expect("alice", "LogoutResponse ok=true");
    play.nothing_more(&["alice", "alice2"]);
    play.ask_login("alice2");
    play.expect("alice2", "LoginResponse name=alice");

    let mut newest_wins = Setup { daemons, ..on_redis() };
    newest_wins.config.duplicate_login = DuplicateLogin::NewestWins;
    let mut play = Play::new(&newest_wins, 2);
    play.login("alice", "one");
    play.login("alice2", "two");
    play.expect("alice", "Closing reason=Superseded");
    play.expect("alice", "closed");
    play.nothing_more(&["alice", "alice2"]);
    play.check("one", Check::Empty);
    play.check("two", Check::Online(1));
}

#[test]
fn accounts_keep_their_nicknames_and_rights() {
    let mut setup = setup();
    setup.accounts.push(Account {
        user: "dora".parse().unwrap(),
        secret: "secret of dora".to_owned(),
        nickname: Some("Dora!".to_owned()),
        administrator: true,
    });
    setup.room_passwords.push((PLAZA, "open".to_owned()));
    let mut play = Play::new(&setup, 1);
    play.login("alice", "server");
    play.begin("alice", Operation::RoomEnter { room: PLAZA, password: Some("shut".to_owned()) });
    play.expect("alice", "RoomEnterResponse refused=RoomPasswordWrong");
    play.begin("alice", Operation::RoomEnter { room: PLAZA, password: Some("open".to_owned()) });
    play.expect("alice", "RoomUserListNotify last=true users=[alice]");
    play.expect("alice", "RoomEnterResponse");

    play.connect("dora", "server");
    play.ask_login("dora");
    play.expect("dora", "LoginResponse nickname=\"Dora!\"");
    play.begin("dora", Operation::RoomEnter { room: PLAZA, password: Some("open".to_owned()) });
    play.expect("dora", "RoomUserListNotify last=true");
    play.expect("dora", "RoomEnterResponse");
    play.expect("alice", "RoomNewUserNotify name=dora nickname=\"Dora!\"");
    play.begin("dora", Operation::Kick { room: PLAZA, client: "alice".to_owned(), ban: true });
    play.expect("dora", "RoomLeaveUserNotify cause=Kicked");
    play.expect("dora", "KickResponse room=1");
    play.expect("alice", "Kicked room=1 banned=true");
    play.nothing_more(&["alice", "dora"]);
}

#[test]
fn operator_drains_stops_and_closes() {
    let mut play = Play::new(&setup(), 1);
    play.login("alice", "server");
    play.login("bob", "server");
    play.inject(Fault::CloseUser { daemon: "server".to_owned(), user: "bob".parse().unwrap() });
    play.expect("bob", "Closing reason=OperatorClosed");
    play.expect("bob", "closed");
    play.begin("alice", Operation::RoomCreate { title: "Den".to_owned(), capacity: 2, password: None });
    play.expect("alice", "RoomUserListNotify");
    play.expect("alice", "RoomCreateResponse");
    play.inject(Fault::Drain { daemon: "server".to_owned(), within: Duration::from_secs(10) });
    play.expect("alice", "GoAway");
    play.expect_within("alice", "Closing reason=Draining", Duration::from_secs(10));
    play.expect("alice", "closed");
    // Her room outlives the process, whose end nobody waits for to clean it up.
    play.check("server", Check::Empty);
    play.begin("carol", Operation::Connect { daemon: "server".to_owned() });
    play.expect("carol", "closed");

    play.inject(Fault::Restart { daemon: "server".to_owned() });
    play.login("carol", "server");
    play.inject(Fault::Stop { daemon: "server".to_owned() });
    play.expect("carol", "Closing reason=Stopped");
    play.expect("carol", "closed");
}

/// The listed store, and one whose link has tasks of its own.
#[test]
fn process_that_does_not_run_answers_nobody_and_closes_nobody_when_it_goes_on() {
    for setup in [setup(), on_redis()] {
        let mut play = Play::new(&setup, 1);
        play.login("alice", "server");
        play.login("bob", "server");
        play.inject(Fault::Stall { daemon: "server".to_owned(), gap: Duration::from_secs(30) });
        let stalled_at = play.world.now();
        play.begin("alice", Operation::Ping { nonce: 1 });
        play.begin("carol", Operation::Connect { daemon: "server".to_owned() });
        for client in ["alice", "carol"] {
            assert_eq!(play.next(client, Duration::from_secs(14)), None, "{client} hears something");
        }
        assert!(!play.world.is_quiet(), "the ping is still to be read");
        play.expect("alice", "Pong nonce=1");
        let silence = play.world.now() - stalled_at;
        assert!((30_000..30_010).contains(&silence.as_millis()), "it went on after {silence:?}");
        play.expect("carol", "Welcome");
        play.begin("bob", Operation::Ping { nonce: 2 });
        play.expect("bob", "Pong nonce=2");
        play.check("server", Check::Sessions(3));
    }
}

#[test]
fn process_that_crashes_while_it_does_not_run_runs_when_it_is_started() {
    let mut play = Play::new(&setup(), 1);
    play.login("alice", "server");
    play.inject(Fault::Stall { daemon: "server".to_owned(), gap: Duration::from_secs(1_000) });
    play.inject(Fault::Crash { daemon: "server".to_owned() });
    play.expect("alice", "closed");
    play.inject(Fault::Restart { daemon: "server".to_owned() });
    play.login("alice", "server");
}

#[test]
fn what_the_layer_cannot_do_is_said_by_name() {
    let mut world = Turmoil::new(&setup(), 1).unwrap();
    world.begin("zoe", &Operation::Connect { daemon: "server".to_owned() }).unwrap();
    world.begin("zoe", &Operation::HalfClose).unwrap();
    let refusals = [
        world.begin("zoe", &Operation::Logout),
        world.begin("zoe", &Operation::Kick { room: PLAZA, client: "alice".to_owned(), ban: false }),
        world.begin("alice", &Operation::Logout),
        world.begin("alice", &Operation::Connect { daemon: "nowhere".to_owned() }),
        world.inject(&Fault::Redis(lobbyd_sim::scenario::RedisFault::Freeze)),
        world.inject(&Fault::Restart { daemon: "server".to_owned() }),
        world.inject(&Fault::Hold { from: "server".to_owned(), to: "server".to_owned() }),
        world.check("nowhere", Check::Empty).map(drop),
    ];
    for refusal in refusals {
        assert!(matches!(refusal, Err(CannotDo::Scenario(_))), "{refusal:?}");
    }
    // Two clients on one host cannot be parted.
    for client in ["a", "b", "c", "d", "e", "f"] {
        world.begin(client, &Operation::Connect { daemon: "server".to_owned() }).unwrap();
    }
    let parted = world.inject(&Fault::Hold { from: "server".to_owned(), to: "a".to_owned() });
    assert!(matches!(&parted, Err(CannotDo::Layer { .. })), "{parted:?}");
}

#[test]
fn setup_that_makes_no_sense_is_refused() {
    let mut nickname = on_redis();
    nickname.accounts[0].nickname = Some("Al".to_owned());
    let mut config = setup();
    config.config.sessions_max = 0;
    let mut twice = setup();
    twice.daemons.push("server".to_owned());
    let reserved = Setup { daemons: vec!["redis".to_owned()], ..setup() };
    for setup in [nickname, config, twice, reserved] {
        assert!(matches!(Turmoil::new(&setup, 1), Err(CannotDo::Scenario(_))));
    }
}
