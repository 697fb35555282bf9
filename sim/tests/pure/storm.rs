//! Everything at once, at random: whatever is done and broken, nothing inside fails, and once it is healed nothing is
//! left and everything works.

use std::collections::BTreeSet;
use std::time::Duration;

use lobbyd_core::config::DuplicateLogin;
use lobbyd_core::id::RoomNumber;
use lobbyd_core::packet::ServerPacket;
use lobbyd_sim::layers::pure::Pure;
use lobbyd_sim::layers::{Arrival, CannotDo, World};
use lobbyd_sim::scenario::{Check, Fault, Operation, RedisFault, Setup, Store, fields};
use lobbyd_sim::seed;

use crate::support::*;

const CLIENTS: [&str; 6] = ["alice", "bob", "carol", "dora", "emil", "fritz"];
const DAEMONS: [&str; 2] = ["server", "other"];

/// What a storm has to reach, else it is none.
const MARKS: [&str; 13] = [
    "AlreadyOnline",
    "Disconnected",
    "Draining",
    "HelloExpected",
    "Kicked",
    "LoginCancelled",
    "LoginPending",
    "LoginTimeout",
    "PacketMalformed",
    "RoomFull",
    "SlowConsumer",
    "StoreUnavailable",
    "Superseded",
];

/// How many seeds are run.
const SEEDS_MIN: u64 = 60;
/// How many are run at most until everything was reached.
const SEEDS_MAX: u64 = 600;

/// xorshift64* (Vigna, 2016), another generator than the one that is tested.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % limit
    }

    fn one_of<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len() as u64) as usize]
    }

    fn millis(&mut self, limit: u64) -> Duration {
        Duration::from_millis(self.below(limit))
    }
}

fn operation(dice: &mut Dice) -> Operation {
    // Three users for six clients.
    let user = dice.one_of(&CLIENTS[..3]).to_owned();
    // Mostly the first, so that they meet.
    let room = RoomNumber(1 + dice.below(5).saturating_sub(2) as u32);
    match dice.below(80) {
        0 => Operation::Connect { daemon: dice.one_of(&DAEMONS).to_owned() },
        1..=3 => Operation::Hello { version: dice.below(30).min(1) as u32 },
        4..=10 => Operation::Login { secret: user.clone(), user },
        11 => Operation::Login { user, secret: "wrong".to_owned() },
        12 | 13 => Operation::Logout,
        14..=25 => Operation::RoomEnter { room, password: None },
        26..=29 => Operation::RoomCreate { title: "Den".to_owned(), capacity: 2, password: None },
        30 | 31 => Operation::RoomLeave { room },
        32..=55 => chat(room, dice.below(2_100) as usize),
        56..=58 => Operation::DirectMessage { user, text: b"psst".to_vec() },
        59..=62 => Operation::Kick { room, client: dice.one_of(&CLIENTS).to_owned(), ban: dice.below(2) == 0 },
        63 => Operation::Ping { nonce: 3 },
        64 => Operation::Raw(vec![dice.below(12) as u8, 0, 0, 0, dice.below(14) as u8]),
        65 => Operation::HalfClose,
        66 => Operation::Close,
        67 => Operation::Reset,
        68 => Operation::Vanish,
        69..=72 => Operation::StopReading,
        _ => Operation::ResumeReading,
    }
}

fn chat(room: RoomNumber, length: usize) -> Operation {
    Operation::RoomChat { room, text: vec![b'x'; length] }
}

/// A client comes to a daemon and enters a room.
fn arrival(dice: &mut Dice) -> Vec<Operation> {
    let user = dice.one_of(&CLIENTS[..3]).to_owned();
    let connect = Operation::Connect { daemon: dice.one_of(&DAEMONS).to_owned() };
    let login = Operation::Login { secret: user.clone(), user };
    vec![connect, Operation::Hello { version: 1 }, login, Operation::RoomEnter { room: PLAZA, password: None }]
}

/// Somebody makes a room; a guest comes in and is thrown out.
fn thrown_out<'a>(host: &'a str, guest: &'a str) -> [(&'a str, Operation); 5] {
    // The lowest number that no room of the configuration has.
    let den = RoomNumber(PLAZA.0 + 1);
    [
        (host, Operation::RoomLeave { room: PLAZA }),
        (host, Operation::RoomCreate { title: "Den".to_owned(), capacity: 2, password: None }),
        (guest, Operation::RoomLeave { room: PLAZA }),
        (guest, Operation::RoomEnter { room: den, password: None }),
        (host, Operation::Kick { room: den, client: guest.to_owned(), ban: false }),
    ]
}

fn random_fault(dice: &mut Dice) -> Fault {
    let daemon = dice.one_of(&DAEMONS).to_owned();
    let (to, from) = (daemon.clone(), dice.one_of(&["alice", "bob", "carol", "redis", "redis"]).to_owned());
    match dice.below(28) {
        0 | 1 => Fault::Partition { from, to, one_way: dice.below(2) == 0 },
        2..=4 => Fault::Repair { from, to },
        5 | 6 => Fault::Hold { from, to },
        7..=9 => Fault::Release { from, to },
        10 => Fault::Latency { from, to, latency: (Duration::ZERO, dice.millis(800)) },
        11 | 12 => Fault::Crash { daemon },
        13..=16 => Fault::Restart { daemon },
        17 => Fault::Drain { daemon, within: dice.millis(20_000) },
        18 => Fault::Stop { daemon },
        19 => Fault::CloseUser { daemon, user: "alice".parse().expect("a good name") },
        20 => Fault::Stall { daemon, gap: dice.millis(90_000) },
        21 => Fault::Redis(RedisFault::Crash),
        22 => Fault::Redis(RedisFault::Restart),
        23 => Fault::Redis(if dice.below(2) == 0 { RedisFault::RestartEmpty } else { RedisFault::Lie }),
        24 => Fault::Redis(RedisFault::Freeze),
        25 => Fault::Redis(RedisFault::Thaw),
        26 => Fault::Redis(if dice.below(2) == 0 { RedisFault::Slow(dice.millis(3_000)) } else { RedisFault::Garble }),
        _ => Fault::Redis(RedisFault::Heal),
    }
}

fn go_on(world: &mut Pure, by: Duration, seed: u64) {
    let until = world.now() + by;
    while world.now() < until {
        world.step(until - world.now()).unwrap_or_else(|failure| panic!("seed {seed}: {failure}"));
    }
}

/// What makes no sense now is not done.
fn try_to(done: Result<(), CannotDo>) {
    if let Err(CannotDo::Layer { layer, what }) = done {
        panic!("the {layer} layer can do everything, so also {what}");
    }
}

fn stormy(seed: u64) -> Setup {
    let mut setup = shared();
    setup.network.latency = (Duration::ZERO, Duration::from_millis(seed % 50));
    setup.network.chop = seed.is_multiple_of(3).then_some(4);
    if seed.is_multiple_of(5) {
        setup.store = Store::Listed;
        setup.accounts[0].administrator = true;
    }
    let config = &mut setup.config;
    (config.frame_bytes_max, config.outbox_bytes_max, config.room_members_max) = (4096, 8192, 10);
    config.open_rooms_max = 3;
    config.fixed_rooms[0].capacity = 3;
    config.duplicate_login =
        [DuplicateLogin::Reject, DuplicateLogin::NewestWins, DuplicateLogin::Allow][seed as usize % 3];
    setup
}

/// Whole again: each fault is healed, whether or not it was there.
fn heal(world: &mut Pure, seed: u64) {
    try_to(world.inject(&Fault::Redis(RedisFault::Restart)));
    for daemon in DAEMONS {
        for host in CLIENTS.iter().copied().chain(["redis"]) {
            let (from, to) = (host.to_owned(), daemon.to_owned());
            try_to(world.inject(&Fault::Repair { from: from.clone(), to: to.clone() }));
            try_to(world.inject(&Fault::Release { from: from.clone(), to: to.clone() }));
            let latency = (Duration::from_millis(1), Duration::from_millis(5));
            try_to(world.inject(&Fault::Latency { from, to, latency }));
        }
        try_to(world.inject(&Fault::Restart { daemon: daemon.to_owned() }));
    }
    for client in CLIENTS {
        try_to(world.begin(client, &Operation::Close));
    }
    // Stalls, silent sessions, empty rooms, and one more life of every lease.
    go_on(world, Duration::from_secs(400), seed);
}

fn packets(world: &mut Pure, client: &str) -> Vec<ServerPacket> {
    let packet = |arrival| match arrival {
        Arrival::Packet(packet) => Some(ServerPacket::clone(&packet)),
        Arrival::Closed => None,
    };
    world.arrived(client).drain(..).filter_map(packet).collect()
}

#[test]
fn nothing_is_left_of_a_storm_and_everything_works_after_it() {
    let mut reached = BTreeSet::new();
    // Another stretch of seeds for every commit; the dice do not roll from zero.
    let root = seed::from_environment().max(1);
    for seed in (0..SEEDS_MAX).map(|nth| root.saturating_add(nth)) {
        let is_done = MARKS.iter().all(|mark| reached.contains(*mark));
        if is_done && seed >= root.saturating_add(SEEDS_MIN) {
            break;
        }
        let mut dice = Dice(seed);
        // In percent of the steps: from a calm in which users get far to a storm in which nobody does.
        let weather = [0, 1, 3, 12][seed as usize % 4];
        let mut world = Pure::new(&stormy(seed), seed).expect("a good setup");
        for _ in 0..400 {
            let client = dice.one_of(&CLIENTS);
            if dice.below(100) < weather {
                try_to(world.inject(&random_fault(&mut dice)));
            }
            match dice.below(10) {
                0 | 1 => go_on(&mut world, dice.millis(3_000), seed),
                2 => {
                    for operation in arrival(&mut dice) {
                        try_to(world.begin(client, &operation));
                        go_on(&mut world, dice.millis(60), seed);
                    }
                }
                3 if dice.below(8) == 0 => {
                    let deaf = dice.one_of(&CLIENTS);
                    try_to(world.begin(deaf, &Operation::StopReading));
                    for _ in 0..50 {
                        try_to(world.begin(client, &chat(PLAZA, 2_000)));
                    }
                    go_on(&mut world, dice.millis(500), seed);
                    try_to(world.begin(deaf, &Operation::ResumeReading));
                }
                4 if dice.below(4) == 0 => {
                    for (who, operation) in thrown_out(client, dice.one_of(&CLIENTS)) {
                        try_to(world.begin(who, &operation));
                        go_on(&mut world, dice.millis(60), seed);
                    }
                }
                _ => {
                    try_to(world.begin(client, &operation(&mut dice)));
                    go_on(&mut world, dice.millis(60), seed);
                }
            }
        }
        heal(&mut world, seed);
        for packet in CLIENTS.iter().flat_map(|client| packets(&mut world, client)) {
            let (_, fields) = fields::of(&packet);
            reached.extend(["reason", "refused", "cause"].iter().filter_map(|field| fields.get(*field)).cloned());
        }
        for daemon in DAEMONS {
            assert_eq!(world.check(daemon, Check::Empty), Ok(Ok(())), "seed {seed}");
        }
        // A drain that was under way ends the daemon.
        for daemon in DAEMONS {
            try_to(world.inject(&Fault::Restart { daemon: daemon.to_owned() }));
        }
        for (client, daemon) in [("alice", "server"), ("bob", "other")] {
            world.arrived(client).clear();
            let login = Operation::Login { user: client.to_owned(), secret: client.to_owned() };
            // Not the plaza, whose bans have outlived the storm.
            let enter = Operation::RoomEnter { room: RoomNumber(3), password: None };
            let connect = Operation::Connect { daemon: daemon.to_owned() };
            for operation in [connect, Operation::Hello { version: 1 }, login, enter] {
                world.begin(client, &operation).expect("everything works");
                go_on(&mut world, Duration::from_secs(1), seed);
            }
            let packets = packets(&mut world, client);
            let entered = matches!(packets.last(), Some(ServerPacket::RoomEnterResponse { result: Ok(_), .. }));
            assert!(entered, "seed {seed}: {packets:?}");
        }
        while !world.is_quiet() {
            go_on(&mut world, Duration::from_millis(1), seed);
            assert!(world.now() < Duration::from_secs(1_000_000), "seed {seed} never is quiet");
        }
    }
    for mark in MARKS {
        assert!(reached.contains(mark), "no seed from {root} on has reached {mark}: {reached:?}");
    }
}
