//! Plays steps on the layer, and writes down what arrives.

use std::time::Duration;

use lobbyd_core::config::FixedRoom;
use lobbyd_core::id::RoomNumber;
use lobbyd_core::text::Text;
use lobbyd_sim::layers::turmoil::Turmoil;
use lobbyd_sim::layers::{Arrival, World};
use lobbyd_sim::scenario::{
    Account, Check, Event, Fault, Network, Operation, Pattern, RedisFault, Scenario, Setup, Step, Store, WITHIN, fields,
};

/// Between two heartbeats. Short, since every second of a simulation takes its time.
pub(crate) const INTERVAL: Duration = Duration::from_secs(1);
/// Where everybody meets.
pub(crate) const PLAZA: RoomNumber = RoomNumber(1);

/// Three users, one room, one daemon, no Redis.
pub(crate) fn setup() -> Setup {
    let config = lobbyd_core::config::Config {
        heartbeat_interval: INTERVAL,
        fixed_rooms: vec![FixedRoom { number: PLAZA, title: Text::new("Plaza"), capacity: 100, password: None }],
        ..Default::default()
    };
    let account = |name: &str| Account {
        user: name.parse().unwrap(),
        secret: format!("secret of {name}"),
        nickname: None,
        administrator: false,
    };
    Setup {
        config,
        room_passwords: Vec::new(),
        accounts: ["alice", "bob", "carol"].map(account).to_vec(),
        daemons: vec!["server".to_owned()],
        store: Store::Listed,
        io_threads: 1,
        network: Network::default(),
        is_loose: false,
    }
}

/// The same, with accounts and presence in Redis.
pub(crate) fn on_redis() -> Setup {
    Setup { store: Store::Redis, ..setup() }
}

/// A world in which something is played.
pub(crate) struct Play {
    pub(crate) world: Turmoil,
    /// When, at whom, what.
    pub(crate) log: Vec<(Duration, String, String)>,
}

impl Play {
    /// A world in which each of these clients has a host of its own.
    pub(crate) fn apart(setup: Setup, seed: u64, apart: &[&str]) -> Self {
        let step = |client: &&str| Step {
            line: 0,
            event: Event::Fault(Fault::Repair { from: (*client).to_owned(), to: "server".to_owned() }),
            expects: Vec::new(),
            within: WITHIN,
        };
        let scenario = Scenario { title: String::new(), setup, steps: apart.iter().map(step).collect() };
        Self { world: Turmoil::for_scenario(&scenario, seed).unwrap(), log: Vec::new() }
    }

    pub(crate) fn new(setup: &Setup, seed: u64) -> Self {
        Self { world: Turmoil::new(setup, seed).unwrap(), log: Vec::new() }
    }

    pub(crate) fn begin(&mut self, client: &str, operation: Operation) {
        self.world.begin(client, &operation).unwrap();
    }

    pub(crate) fn inject(&mut self, fault: Fault) {
        self.world.inject(&fault).unwrap();
    }

    pub(crate) fn redis(&mut self, fault: RedisFault) {
        self.inject(Fault::Redis(fault));
    }

    pub(crate) fn connect(&mut self, client: &str, daemon: &str) {
        self.begin(client, Operation::Connect { daemon: daemon.to_owned() });
        self.expect(client, "Welcome");
        self.begin(client, Operation::Hello { version: 1 });
    }

    /// Asks for a login with the right secret of the user who is called like the client, but for digits at the end.
    pub(crate) fn ask_login(&mut self, client: &str) {
        let user = client.trim_end_matches(|character: char| character.is_ascii_digit());
        let secret = format!("secret of {user}");
        self.begin(client, Operation::Login { user: user.to_owned(), secret });
    }

    pub(crate) fn login(&mut self, client: &str, daemon: &str) {
        self.connect(client, daemon);
        self.ask_login(client);
        let user = client.trim_end_matches(|character: char| character.is_ascii_digit()).to_owned();
        self.expect(client, &format!("LoginResponse name={user}"));
    }

    pub(crate) fn enter(&mut self, client: &str) {
        self.begin(client, Operation::RoomEnter { room: PLAZA, password: None });
        self.expect(client, "RoomUserListNotify last=true");
        self.expect(client, "RoomEnterResponse room=1");
    }

    pub(crate) fn chat(&mut self, client: &str, text: &str) {
        self.begin(client, Operation::RoomChat { room: PLAZA, text: text.as_bytes().to_vec() });
    }

    /// The next arrival at a client but for pings, within `within`.
    pub(crate) fn next(&mut self, client: &str, within: Duration) -> Option<Arrival> {
        let deadline = self.world.now() + within;
        loop {
            while let Some(arrival) = self.world.arrived(client).pop_front() {
                let line = match &arrival {
                    Arrival::Packet(packet) => fields::line(packet),
                    Arrival::Closed => "closed".to_owned(),
                };
                let is_ping = line.starts_with("Ping ");
                self.log.push((self.world.now(), client.to_owned(), line));
                if !is_ping {
                    return Some(arrival);
                }
            }
            let left = deadline.saturating_sub(self.world.now());
            if left.is_zero() {
                return None;
            }
            self.world.step(left).unwrap();
        }
    }

    pub(crate) fn expect(&mut self, client: &str, expected: &str) {
        self.expect_within(client, expected, WITHIN);
    }

    /// The next arrival at a client, written as in a scenario: a packet with some of its fields, or `closed`.
    pub(crate) fn expect_within(&mut self, client: &str, expected: &str, within: Duration) {
        let arrival = self.next(client, within);
        let mut words = expected.split(' ');
        let packet = words.next().unwrap().to_owned();
        let fields = words.map(|word| word.split_once('=').unwrap()).map(|(field, value)| (field.into(), value.into()));
        let pattern = Pattern { packet, fields: fields.collect() };
        let fits = match &arrival {
            Some(Arrival::Packet(packet)) => pattern.matches(packet),
            Some(Arrival::Closed) if expected == "closed" => Ok(()),
            Some(Arrival::Closed) => Err("closed".to_owned()),
            None => Err(format!("nothing within {within:?}")),
        };
        if let Err(why) = fits {
            self.show_log();
            panic!("{expected} was expected at {client} by {:?}, but {why}: {arrival:?}", self.world.now());
        }
    }

    pub(crate) fn advance(&mut self, by: Duration) {
        let until = self.world.now() + by;
        while self.world.now() < until {
            self.world.step(until - self.world.now()).unwrap();
        }
    }

    /// Lets everything that is under way arrive; nothing may be left then at these clients but pings.
    pub(crate) fn nothing_more(&mut self, clients: &[&str]) {
        let deadline = self.world.now() + Duration::from_secs(30);
        while !self.world.is_quiet() {
            assert!(self.world.now() < deadline, "the world does not become quiet");
            self.world.step(Duration::from_secs(1)).unwrap();
        }
        for client in clients {
            if let Some(arrival) = self.next(client, Duration::ZERO) {
                self.show_log();
                panic!("nothing was expected at {client}, but {arrival:?}");
            }
        }
    }

    /// It comes true within 5 s.
    pub(crate) fn check(&mut self, daemon: &str, check: Check) {
        self.check_within(daemon, check, WITHIN);
    }

    pub(crate) fn check_within(&mut self, daemon: &str, check: Check, within: Duration) {
        let deadline = self.world.now() + within;
        loop {
            match self.world.check(daemon, check).unwrap() {
                Ok(()) => return,
                Err(why) if self.world.now() >= deadline => panic!("{check:?} at {daemon}: {why}"),
                Err(_) => self.advance(Duration::from_millis(10)),
            }
        }
    }

    fn show_log(&self) {
        for (at, client, line) in &self.log {
            eprintln!("{at:>12?} {client}: {line}");
        }
    }
}
