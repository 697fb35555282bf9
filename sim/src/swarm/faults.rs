//! Random faults, each with what heals it after a while, or only in the end.

use std::time::Duration;

use super::dice::Dice;
use super::{Ground, Script};
use crate::scenario::{Event, Fault, RedisFault, Served, Store};

/// What can break.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Partition,
    OneWay,
    Hold,
    Latency,
    Crash,
    Drain,
    Stop,
    CloseUser,
    Ask,
    Stall,
    RedisCrash,
    RedisFreeze,
    RedisSlow,
    RedisLie,
    RedisGarble,
    RedisRestart,
    RedisEmpty,
}

const KINDS: [(Kind, u32); 17] = [
    (Kind::Partition, 10),
    (Kind::OneWay, 8),
    (Kind::Hold, 10),
    (Kind::Latency, 6),
    (Kind::Crash, 6),
    (Kind::Drain, 4),
    (Kind::Stop, 2),
    (Kind::CloseUser, 5),
    (Kind::Ask, 12),
    (Kind::Stall, 5),
    (Kind::RedisCrash, 5),
    (Kind::RedisFreeze, 5),
    (Kind::RedisSlow, 5),
    (Kind::RedisLie, 3),
    (Kind::RedisGarble, 3),
    (Kind::RedisRestart, 3),
    (Kind::RedisEmpty, 3),
];

/// Breaks things, now and then.
pub(super) struct Weather {
    dice: Dice,
    kinds: Vec<(Kind, u32)>,
    /// How many of a hundred moments bring a fault: from a calm in which users get far to a storm in which few do.
    percent: u32,
    /// Who may be parted from others. On turmoil each has a host of its own, and hosts cost.
    parted: Vec<String>,
    /// What heals by itself, and when.
    heals: Vec<(Duration, Fault)>,
}

impl Weather {
    pub(super) fn new(ground: &Ground, seed: u64) -> Self {
        let mut dice = Dice::derived(seed, "faults");
        let percent = *dice.one_of(&[0, 2, 5, 10, 25]);
        let is_possible = |kind: Kind| match kind {
            Kind::RedisCrash
            | Kind::RedisFreeze
            | Kind::RedisSlow
            | Kind::RedisLie
            | Kind::RedisGarble
            | Kind::RedisRestart
            | Kind::RedisEmpty => ground.setup.store == Store::Redis,
            Kind::Partition
            | Kind::OneWay
            | Kind::Hold
            | Kind::Latency
            | Kind::Crash
            | Kind::Drain
            | Kind::Stop
            | Kind::CloseUser
            | Kind::Ask
            | Kind::Stall => true,
        };
        let possible = KINDS.into_iter().filter(|(kind, _)| is_possible(*kind));
        let kinds: Vec<_> = possible.filter(|_| dice.chance(60)).collect();
        let parted_max = if ground.is_pure { ground.clients.len() } else { 2 };
        let mut parted: Vec<_> = ground.clients.iter().take(parted_max).cloned().collect();
        if ground.setup.store == Store::Redis {
            // Twice, for what happens then is the harder part.
            parted.extend(["redis".to_owned(), "redis".to_owned()]);
        }
        Self { dice, kinds, percent, parted, heals: Vec::new() }
    }

    /// Heals what is due, and perhaps breaks something.
    pub(super) fn blow(&mut self, ground: &Ground, script: &mut Script) {
        let now = script.now;
        let (due, later): (Vec<_>, Vec<_>) = self.heals.drain(..).partition(|(at, _)| *at <= now);
        self.heals = later;
        for (_, fault) in due {
            script.push(Event::Fault(fault));
        }
        if self.dice.chance(self.percent)
            && let Some(kind) = self.dice.weighted(&self.kinds)
        {
            self.strike(kind, ground, script);
        }
    }

    fn strike(&mut self, kind: Kind, ground: &Ground, script: &mut Script) {
        let daemon = self.dice.one_of(&ground.setup.daemons).clone();
        let other = self.dice.one_of(&self.parted).clone();
        let is_from = self.dice.chance(50);
        let (from, to) = if is_from { (daemon.clone(), other) } else { (other, daemon.clone()) };
        let pair = || (from.clone(), to.clone());
        let fault = match kind {
            Kind::Partition | Kind::OneWay => {
                script.broken.push(pair());
                self.heal_later(script, Fault::Repair { from: from.clone(), to: to.clone() });
                Fault::Partition { from, to, one_way: kind == Kind::OneWay }
            }
            Kind::Hold => {
                script.broken.push(pair());
                self.heal_later(script, Fault::Release { from: from.clone(), to: to.clone() });
                Fault::Hold { from, to }
            }
            Kind::Latency => {
                script.broken.push(pair());
                let most = self.dice.millis(0, 900);
                Fault::Latency { from, to, latency: (most / 4, most) }
            }
            Kind::Crash => {
                script.down.push(daemon.clone());
                self.heal_later(script, Fault::Restart { daemon: daemon.clone() });
                Fault::Crash { daemon }
            }
            Kind::Drain => {
                let within = self.dice.millis(0, 8_000);
                script.draining_until = script.draining_until.max(script.now + within);
                script.down.push(daemon.clone());
                self.heals
                    .push((script.now + within + Duration::from_secs(2), Fault::Restart { daemon: daemon.clone() }));
                Fault::Drain { daemon, within }
            }
            Kind::Stop => {
                script.down.push(daemon.clone());
                self.heal_later(script, Fault::Restart { daemon: daemon.clone() });
                Fault::Stop { daemon }
            }
            Kind::CloseUser => {
                let account = self.dice.index(ground.users);
                Fault::CloseUser { daemon, user: ground.setup.accounts[account].user }
            }
            Kind::Ask => {
                // Now and then longer than an answer may take.
                let time = self.dice.millis(0, 6_000);
                let served = *self.dice.one_of(&[Served::Answers(time), Served::Fails(time), Served::Never]);
                // Several at a time, so that their answers can be mistaken for each other's.
                for _ in 0..self.dice.between(1, 3) {
                    let own = if self.dice.chance(50) { Served::Answers(self.dice.millis(0, 3_000)) } else { served };
                    script.push(Event::Fault(Fault::Ask { daemon: daemon.clone(), served: own }));
                }
                Fault::Ask { daemon, served }
            }
            Kind::Stall => {
                let gap =
                    if self.dice.chance(70) { self.dice.millis(1, 5_000) } else { self.dice.millis(5_000, 40_000) };
                script.stalled_until = script.stalled_until.max(script.now + gap);
                Fault::Stall { daemon, gap }
            }
            Kind::RedisCrash => {
                self.heal_later(script, Fault::Redis(RedisFault::Restart));
                Fault::Redis(RedisFault::Crash)
            }
            Kind::RedisFreeze => {
                self.heal_later(script, Fault::Redis(RedisFault::Thaw));
                Fault::Redis(RedisFault::Freeze)
            }
            Kind::RedisSlow => {
                self.heal_later(script, Fault::Redis(RedisFault::Heal));
                Fault::Redis(RedisFault::Slow(self.dice.millis(1, 2_500)))
            }
            Kind::RedisLie => {
                self.heal_later(script, Fault::Redis(RedisFault::Heal));
                Fault::Redis(RedisFault::Lie)
            }
            Kind::RedisGarble => {
                self.heal_later(script, Fault::Redis(RedisFault::Heal));
                Fault::Redis(RedisFault::Garble)
            }
            Kind::RedisRestart => Fault::Redis(RedisFault::Restart),
            Kind::RedisEmpty => Fault::Redis(RedisFault::RestartEmpty),
        };
        script.push(Event::Fault(fault));
    }

    /// Mostly; the rest heals in the end.
    fn heal_later(&mut self, script: &Script, fault: Fault) {
        let after = self.dice.millis(0, 9_000);
        if self.dice.chance(85) {
            self.heals.push((script.now + after, fault));
        }
    }
}
