//! Scenarios in few words.

use std::time::Duration;

use lobbyd_core::config::{Config, FixedRoom};
use lobbyd_core::id::RoomNumber;
use lobbyd_core::text::Text;
use lobbyd_sim::layers::pure::Pure;
use lobbyd_sim::runner::{Outcome, Violation, run};
use lobbyd_sim::scenario::{
    Account, Check, Event, Expectation, Expected, Fault, Network, Operation, Pattern, RedisFault, Scenario, Setup,
    Step, Store, WITHIN,
};

pub(crate) const PLAZA: RoomNumber = RoomNumber(1);
pub(crate) const SEED: u64 = 7;

/// One daemon, a room, and alice, bob and carol, whose secrets are their names.
pub(crate) fn setup() -> Setup {
    let plaza = FixedRoom { number: PLAZA, title: Text::new("Plaza"), capacity: 10, password: None };
    let account = |name: &str| Account {
        user: name.parse().expect("a good name"),
        secret: name.to_owned(),
        nickname: None,
        administrator: false,
    };
    Setup {
        config: Config { fixed_rooms: vec![plaza], ..Config::default() },
        room_passwords: Vec::new(),
        accounts: ["alice", "bob", "carol"].map(account).into(),
        daemons: vec!["server".to_owned()],
        store: Store::Listed,
        io_threads: 1,
        network: Network::default(),
        is_loose: false,
    }
}

/// Two daemons that share a Redis.
pub(crate) fn shared() -> Setup {
    Setup { daemons: vec!["server".to_owned(), "other".to_owned()], store: Store::Redis, ..setup() }
}

pub(crate) fn scenario(setup: Setup, steps: Vec<Vec<Step>>) -> Scenario {
    let numbered = |(line, step): (u32, Step)| Step { line, ..step };
    let steps = (1..).zip(steps.into_iter().flatten()).map(numbered).collect();
    Scenario { title: "It holds.".to_owned(), setup, steps }
}

pub(crate) fn outcome(setup: Setup, steps: Vec<Vec<Step>>) -> Outcome {
    let scenario = scenario(setup, steps);
    let mut world = Pure::new(&scenario.setup, SEED).expect("a good setup");
    run(&scenario, &mut world)
}

/// Runs a scenario that holds, and of which nothing is skipped.
pub(crate) fn holds(setup: Setup, steps: Vec<Vec<Step>>) -> Outcome {
    let outcome = outcome(setup, steps);
    if let Err(violation) = &outcome.result {
        panic!("{violation}");
    }
    assert_eq!(outcome.skipped, []);
    outcome
}

/// Runs a scenario that does not hold.
pub(crate) fn breaks(setup: Setup, steps: Vec<Vec<Step>>) -> Violation {
    outcome(setup, steps).result.expect_err("the scenario does not hold")
}

fn step(event: Event) -> Step {
    Step { line: 0, event, expects: Vec::new(), within: WITHIN }
}

pub(crate) fn does(client: &str, operation: Operation) -> Step {
    step(Event::Client { client: client.to_owned(), operation })
}

pub(crate) fn together(steps: Vec<Step>) -> Step {
    step(Event::Together(steps))
}

pub(crate) fn fault(fault: Fault) -> Step {
    step(Event::Fault(fault))
}

pub(crate) fn redis(what: RedisFault) -> Vec<Step> {
    vec![fault(Fault::Redis(what))]
}

pub(crate) fn seconds(count: u64) -> Step {
    step(Event::Advance(Duration::from_secs(count)))
}

pub(crate) fn millis(count: u64) -> Step {
    step(Event::Advance(Duration::from_millis(count)))
}

pub(crate) fn wait() -> Step {
    step(Event::Wait)
}

pub(crate) fn check(daemon: &str, check: Check) -> Vec<Step> {
    vec![step(Event::Check { daemon: daemon.to_owned(), check })]
}

/// What a step is to bring, in words.
pub(crate) trait Brings: Sized {
    fn expects(self, client: &str, what: Expected) -> Self;

    /// A packet: its name, and fields as `name=value`.
    fn gets(self, client: &str, packet: &str) -> Self {
        self.expects(client, Expected::Packet(pattern(packet)))
    }

    fn gets_any_of(self, client: &str, packets: &[&str]) -> Self {
        self.expects(client, Expected::AnyOf(packets.iter().map(|packet| pattern(packet)).collect()))
    }

    fn closed(self, client: &str) -> Self {
        self.expects(client, Expected::Closed)
    }

    fn silent(self, client: &str) -> Self {
        self.expects(client, Expected::Nothing)
    }
}

impl Brings for Step {
    fn expects(mut self, client: &str, what: Expected) -> Self {
        self.expects.push(Expectation { client: client.to_owned(), what });
        self
    }
}

fn pattern(text: &str) -> Pattern {
    let mut words = text.split(' ');
    let packet = words.next().expect("a packet has a name").to_owned();
    let field = |word: &str| {
        let (name, value) = word.split_once('=').expect("a field is name=value");
        (name.to_owned(), value.to_owned())
    };
    Pattern { packet, fields: words.map(field).collect() }
}

pub(crate) fn connect(client: &str, daemon: &str) -> Step {
    does(client, Operation::Connect { daemon: daemon.to_owned() })
}

pub(crate) fn login(client: &str, user: &str) -> Step {
    does(client, Operation::Login { user: user.to_owned(), secret: user.to_owned() })
}

pub(crate) fn enter(client: &str) -> Step {
    does(client, Operation::RoomEnter { room: PLAZA, password: None })
}

pub(crate) fn chat(client: &str, text: &str) -> Step {
    does(client, Operation::RoomChat { room: PLAZA, text: text.as_bytes().to_vec() })
}

/// A client says hello to a daemon.
pub(crate) fn greets(client: &str, daemon: &str) -> Vec<Step> {
    vec![
        connect(client, daemon).gets(client, "Welcome server=\"lobbyd\""),
        does(client, Operation::Hello { version: 1 }),
    ]
}

/// A client logs in at a daemon, as the user whose name it has.
pub(crate) fn comes_to(client: &str, daemon: &str) -> Vec<Step> {
    let mut steps = greets(client, daemon);
    steps.push(login(client, client).gets(client, &format!("LoginResponse name={client}")));
    steps
}

pub(crate) fn comes(client: &str) -> Vec<Step> {
    comes_to(client, "server")
}

/// A client logs in and enters the room, which holds these others already.
pub(crate) fn comes_in(client: &str, others: &[&str]) -> Vec<Step> {
    let mut steps = comes(client);
    let enters = enter(client).gets(client, "RoomUserListNotify last=true").gets(client, "RoomEnterResponse room=1");
    let seen = |step: Step, other: &&str| step.gets(other, &format!("RoomNewUserNotify room=1 name={client}"));
    steps.push(others.iter().fold(enters, seen));
    steps
}

/// A client logs in at a daemon and is refused with a code.
pub(crate) fn is_refused(client: &str, daemon: &str, code: &str) -> Vec<Step> {
    let mut steps = greets(client, daemon);
    steps.push(login(client, client).gets(client, &format!("LoginResponse refused={code}")));
    steps
}
