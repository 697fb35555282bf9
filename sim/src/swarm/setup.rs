//! A random setup: limits small enough to be met, in a part of the seeds each; everything else as usual.

use std::time::Duration;

use lobbyd_core::config::{Config, DuplicateLogin, FixedRoom};
use lobbyd_core::id::RoomNumber;
use lobbyd_core::limits::Rate;
use lobbyd_core::text::Text;

use super::Ground;
use super::dice::Dice;
use crate::scenario::{Account, Network, Setup, Store};

const NAMES: [&str; 12] =
    ["alice", "bob", "carol", "dora", "emil", "fritz", "gina", "hugo", "ida", "jan", "kim", "lea"];
const DAEMONS: [&str; 3] = ["north", "south", "west"];
/// The password of the rooms that have one.
pub(super) const PASSWORD: &str = "sesame";
/// Above the rooms into which people go before the end.
const HAVEN: RoomNumber = RoomNumber(40);

pub(super) fn ground(dice: &mut Dice, is_pure: bool) -> Ground {
    let count = dice.between(2, if is_pure { NAMES.len() as u32 } else { 6 });
    let clients: Vec<_> = NAMES.iter().take(count as usize).map(|name| (*name).to_owned()).collect();
    let store = if dice.chance(55) { Store::Redis } else { Store::Listed };
    let daemons = if dice.chance(35) { 1 } else { dice.between(1, if is_pure { 3 } else { 2 }) };
    let (config, room_passwords) = config(dice, count);
    let is_listed = store == Store::Listed;
    // In Redis accounts are tokens, which say nothing more about their users.
    let has_nicknames = is_listed && dice.chance(60);
    let has_administrator = is_listed && dice.chance(30);
    let account = |(index, name): (usize, &String)| Account {
        user: name.parse().expect("these are good names"),
        secret: format!("{name}'s"),
        nickname: has_nicknames.then(|| "長".repeat(32)),
        administrator: has_administrator && index == 0,
    };
    let least = dice.between(0, 5);
    let most = least + if dice.chance(60) { dice.between(0, 10) } else { dice.between(0, 120) };
    let chop = dice.chance(if is_pure { 30 } else { 20 }).then(|| dice.between(1, 40));
    let setup = Setup {
        accounts: clients.iter().enumerate().map(account).collect(),
        room_passwords,
        config,
        daemons: DAEMONS.iter().take(daemons as usize).map(|name| (*name).to_owned()).collect(),
        store,
        io_threads: 1,
        network: Network { latency: (Duration::from_millis(least.into()), Duration::from_millis(most.into())), chop },
        is_loose: true,
    };
    let users = if dice.chance(50) { count } else { dice.between(1, count) } as usize;
    let events = if is_pure { dice.between(40, 240) } else { dice.between(30, 90) };
    Ground { setup, is_pure, clients, users, haven: HAVEN, events }
}

/// The engine's configuration, and the passwords of its rooms. What must be possible again in the end is: each budget
/// is full after a few seconds, and the haven holds everybody.
fn config(dice: &mut Dice, clients: u32) -> (Config, Vec<(RoomNumber, String)>) {
    let usual = Config::default();
    let frame_bytes_max = if dice.chance(60) { frame_bytes(dice) } else { usual.frame_bytes_max };
    let outbox_bytes_min = (2 * frame_bytes_max).max(6 * 1024);
    let secs = |count: u32| Duration::from_secs(count.into());
    let policies = [DuplicateLogin::Reject, DuplicateLogin::NewestWins, DuplicateLogin::Allow];
    let mut config = Config {
        duplicate_login: *dice.one_of(&policies),
        heartbeat_interval: secs(dice.between(1, 6)),
        login_grace: secs(dice.between(3, 12)),
        login_timeout: dice.millis(500, 5_000),
        frame_bytes_max,
        text_bytes_max: dice.between(40, (frame_bytes_max - 128).min(2_000)),
        outbox_bytes_max: outbox_bytes_min + dice.between(0, 16 * 1024),
        room_members_max: 16,
        rooms_per_user_max: if dice.chance(10) { 0 } else { dice.between(1, 3) },
        room_creations_per_user: rate(dice, 1, 3),
        room_password_failures_per_user: rate(dice, 1, 3),
        empty_room_timeout: dice.millis(0, 6_000),
        bans_per_room_max: dice.between(0, 3),
        open_rooms_max: if dice.chance(40) { dice.between(1, 6) } else { 0 },
        ..usual
    };
    if dice.chance(30) {
        config.sessions_max = dice.between(1, clients + 1);
    }
    if dice.chance(20) {
        config.sessions_per_address_max = dice.between(1, clients + 1);
    }
    if dice.chance(25) {
        config.connects_per_address = rate(dice, 2, 10);
    }
    if dice.chance(30) {
        config.users_max = dice.between(1, clients);
    }
    if dice.chance(25) {
        config.logins_pending_max = dice.between(1, 2);
    }
    if dice.chance(40) {
        config.login_failures_per_session_max = dice.between(1, 3);
    }
    if dice.chance(40) {
        config.login_failures_per_user = rate(dice, 1, 3);
    }
    if dice.chance(20) {
        config.login_failures_per_address = rate(dice, 2, 8);
    }
    if dice.chance(20) {
        config.remembered_max = dice.between(1, 4);
    }
    if dice.chance(40) {
        config.flood = Rate { burst: dice.between(16, 40), interval: dice.millis(20, 100) };
    }
    if dice.chance(60) {
        config.flood_refusals = rate(dice, 1, 6);
    }
    config.service_timeout = dice.millis(500, 4_000);
    if dice.chance(40) {
        config.service_calls_max = dice.between(0, 3);
    }
    let passwords = fixed_rooms(dice, clients, &mut config);
    let rooms = config.fixed_rooms.len() as u32;
    if dice.chance(30) {
        config.rooms_max = rooms + dice.between(0, 3);
    }
    debug_assert_eq!(config.validate(), Ok(()), "what is chosen here can hold");
    (config, passwords)
}

fn fixed_rooms(dice: &mut Dice, clients: u32, config: &mut Config) -> Vec<(RoomNumber, String)> {
    let room = |number, title: &str, capacity| FixedRoom { number, title: Text::new(title), capacity, password: None };
    let mut passwords = Vec::new();
    for number in 1..=dice.between(1, 3) {
        let capacity = if dice.chance(50) { dice.between(1, 4) } else { clients };
        config.fixed_rooms.push(room(RoomNumber(number), "Plaza", capacity));
        if dice.chance(25) {
            passwords.push((RoomNumber(number), PASSWORD.to_owned()));
        }
    }
    config.fixed_rooms.push(room(HAVEN, "Haven", clients));
    passwords
}

/// Some at once, and one more again and again within some seconds.
fn rate(dice: &mut Dice, burst_min: u32, burst_max: u32) -> Rate {
    Rate { burst: dice.between(burst_min, burst_max), interval: dice.millis(100, 2_000) }
}

/// Often so few that a list of many users comes in parts.
fn frame_bytes(dice: &mut Dice) -> u32 {
    let most = *dice.one_of(&[1_100, 4_096]);
    dice.between(1_024, most)
}
