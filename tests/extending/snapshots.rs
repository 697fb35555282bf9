//! What the examples extend the engine by goes through a snapshot: the engine that goes on and the one that is restored do
//! the same.

use std::net::IpAddr;
use std::time::Duration;

use lobbyd_core::action::{Action, Actions};
use lobbyd_core::config::{Config, FixedRoom};
use lobbyd_core::data::RawBytes;
use lobbyd_core::extension::RegisterError;
use lobbyd_core::id::{AskId, RequestId, RoomNumber, SessionId};
use lobbyd_core::input::{Account, Admin, Input, Verdict};
use lobbyd_core::packet::{ClientPacket, PROTOCOL_VERSION, Sealed};
use lobbyd_core::text::Text;
use lobbyd_core::time::Instant;
use lobbyd_net::extension::{Assembled, Extensions};

use crate::{dice, inventory, ready_check};

const ROOM: RoomNumber = RoomNumber(1);

fn extensions() -> Extensions {
    let mut extensions = Extensions::new();
    let added: Result<(), RegisterError> =
        [dice::extend, ready_check::extend, inventory::extend].iter().try_for_each(|extend| extend(&mut extensions));
    added.expect("the names are good and free");
    extensions
}

/// An engine with users in a room, and what it has done.
struct Play {
    side: Assembled,
    now: Instant,
    requests: u32,
}

impl Play {
    fn new() -> Self {
        let plaza = FixedRoom { number: ROOM, title: Text::new("Plaza"), capacity: 5, password: None };
        let config = Config { fixed_rooms: vec![plaza], ..Config::default() };
        Self { side: extensions().assemble(config, 1, Instant::ZERO), now: Instant::ZERO, requests: 0 }
    }

    fn input(&mut self, input: Input<'_>) -> String {
        let mut actions = Actions::new();
        self.side.engine.handle_input(self.now, input, &mut actions);
        let mut verdicts = Vec::new();
        for action in actions.iter() {
            if let Action::VerifyLogin { ticket, user, .. } = action {
                verdicts.push((*ticket, *user));
            }
        }
        let mut done = format!("{actions:?}");
        for (ticket, user) in verdicts {
            let verdict = Verdict::Accepted { account: Account::default(), leased: false };
            done += &self.input(Input::LoginVerdict { ticket, user, verdict });
        }
        self.side.engine.check().expect("the engine's parts fit together");
        done
    }

    fn say(&mut self, session: SessionId, packet: impl FnOnce(RequestId) -> ClientPacket<'static, Sealed>) -> String {
        self.requests += 1;
        let packet = packet(RequestId(self.requests));
        self.input(Input::Received { session, packet })
    }

    fn arrive(&mut self, index: u32, user: &'static str) -> SessionId {
        let session = SessionId { index, generation: 0 };
        self.input(Input::Connected { session, address: IpAddr::from([127, 0, 0, 1]) });
        self.say(session, |_| ClientPacket::Hello { version: PROTOCOL_VERSION, client: "player".into() });
        self.say(session, |request| ClientPacket::LoginRequest { request, user: user.into(), secret: Sealed([0; 16]) });
        self.say(session, |request| ClientPacket::RoomEnterRequest { request, room: ROOM, password: None });
        session
    }

    fn command(&mut self, session: SessionId, name: &'static str, parameters: &'static str) -> String {
        let (command_type, parameters) = (name.into(), RawBytes::from(parameters));
        self.say(session, |request| ClientPacket::CustomCommand { request, command_type, parameters, timestamp: 0 })
    }

    /// The same at this moment, restored from what is stored of it.
    fn restored(&self) -> Self {
        let stored = serde_json::to_string(&self.side.engine.snapshot()).expect("a snapshot can be written");
        let snapshot = serde_json::from_str(&stored).expect("and read");
        let side = extensions().restore(snapshot).expect("and taken up");
        Self { side, now: self.now, requests: self.requests }
    }

    fn wait(&mut self, time: Duration) -> String {
        let until = self.now + time;
        let mut done = String::new();
        while let Some(at) = self.side.engine.poll_timeout().filter(|at| *at <= until) {
            self.now = at;
            let mut actions = Actions::new();
            self.side.engine.handle_timeout(at, &mut actions);
            done += &format!("{actions:?}");
        }
        self.now = until;
        done
    }
}

#[test]
fn restored_engine_goes_on_as_the_one_that_was_stored() {
    let mut play = Play::new();
    let (alice, bob) = (play.arrive(0, "alice"), play.arrive(1, "bob"));
    play.command(alice, "dice", "3d6");
    play.command(alice, "match.ready", "");
    assert!(play.command(bob, "inventory.take", "sword").contains("CallService"), "it waits for its service");
    let mut restored = play.restored();
    assert_eq!(restored.side.engine.digest(), play.side.engine.digest());

    let go_on = |play: &mut Play| {
        [
            play.command(bob, "dice", "5d1000"),
            play.command(bob, "dice.total", ""),
            play.command(bob, "match.ready", ""),
            play.wait(Duration::from_secs(4)),
            play.command(bob, "match.status", ""),
            play.wait(Duration::from_secs(20)),
        ]
    };
    let (on, again) = (go_on(&mut play), go_on(&mut restored));
    assert_eq!(on, again);
    assert_eq!(restored.side.engine.digest(), play.side.engine.digest());
    let [_, total, _, begun, status, late] = on;
    assert!(total.contains("\"8\""), "{total}");
    assert!(begun.contains("match 1 begins on map"), "{begun}");
    assert!(status.contains("match 1 is on"), "{status}");
    assert!(late.contains("the inventory does not answer") || late.contains("ExtensionFailed"), "{late}");
}

#[test]
fn examples_take_up_their_work_when_they_are_enabled_again() {
    let mut play = Play::new();
    let (alice, bob) = (play.arrive(0, "alice"), play.arrive(1, "bob"));
    play.command(alice, "match.ready", "");
    assert!(play.command(bob, "match.ready", "").contains("all 2 are ready"));
    assert!(play.command(bob, "inventory.take", "sword").contains("CallService"));
    let set = |play: &mut Play, enabled| {
        let set_one = |name: &str| {
            let extension = name.parse().expect("a good name");
            play.input(Input::Admin(Admin::SetExtension { ask: AskId(1), extension, enabled }))
        };
        ["match", "inventory", "dice"].map(set_one).concat()
    };
    assert!(set(&mut play, false).contains("ExtensionFailed"), "what waits for the inventory is refused");
    assert!(play.command(alice, "match.status", "").contains("ExtensionFailed"));
    play.wait(Duration::from_secs(5));
    let mut restored = play.restored();
    for play in [&mut play, &mut restored] {
        let enabled = set(play, true);
        assert!(enabled.contains("say again that you are ready") && !enabled.contains("Err("), "{enabled}");
        assert!(play.command(alice, "match.status", "").contains("nobody is ready"));
        play.command(alice, "match.ready", "");
        assert!(play.command(bob, "match.ready", "").contains("all 2 are ready"));
        assert!(play.wait(Duration::from_secs(3)).contains("match 1 begins on map"));
        assert!(play.command(bob, "inventory.take", "shield").contains("CallService"));
    }
    assert_eq!(restored.side.engine.digest(), play.side.engine.digest());
}
