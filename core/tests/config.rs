//! The configuration's bounds: each holds, and one beyond it is refused by name.

use std::time::Duration;

use lobbyd_core::Engine;
use lobbyd_core::config::{Config, FRAME_BYTES_LIMIT, FRAME_BYTES_MIN, FixedRoom};
use lobbyd_core::id::RoomNumber;
use lobbyd_core::limits::{COST_MAX, Rate};
use lobbyd_core::text::Text;
use lobbyd_core::time::Instant;

use crate::support::config;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const NANOSECOND: Duration = Duration::from_nanos(1);

#[track_caller]
fn holds(change: impl FnOnce(&mut Config)) {
    let mut config = config();
    change(&mut config);
    assert_eq!(config.validate(), Ok(()));
}

#[track_caller]
fn is_refused(setting: &str, change: impl FnOnce(&mut Config)) {
    let mut config = config();
    change(&mut config);
    let error = config.validate().expect_err("the setting cannot hold");
    assert_eq!(error.setting, setting, "{error}");
}

/// A setting that holds from `least` to `most`, and not beyond.
#[track_caller]
fn is_within<T: Copy>(setting: &str, beyond: [Option<T>; 2], within: [T; 2], set: impl Fn(&mut Config, T)) {
    for value in within {
        holds(|config| set(config, value));
    }
    for value in beyond.into_iter().flatten() {
        is_refused(setting, |config| set(config, value));
    }
}

#[track_caller]
fn number_is_within(setting: &str, least: u32, most: u32, set: impl Fn(&mut Config, u32)) {
    is_within(setting, [least.checked_sub(1), most.checked_add(1)], [least, most], set);
}

#[track_caller]
fn duration_is_within(setting: &str, least: Duration, set: impl Fn(&mut Config, Duration)) {
    is_within(setting, [least.checked_sub(NANOSECOND), Some(DAY + NANOSECOND)], [least, DAY], set);
}

#[track_caller]
fn rate_is_within(setting: &str, burst_least: u32, set: impl Fn(&mut Config, Rate)) {
    let interval = Duration::from_secs(1);
    number_is_within(setting, burst_least, 1_000_000_000, |config, burst| set(config, Rate { burst, interval }));
    duration_is_within(setting, NANOSECOND, |config, interval| set(config, Rate { burst: 100, interval }));
}

#[test]
fn default_configuration_holds() {
    assert_eq!(Config::default().validate(), Ok(()));
    holds(|_| {});
}

#[test]
fn durations_are_bounded() {
    let millisecond = Duration::from_millis(1);
    duration_is_within("heartbeat_interval", millisecond, |config, value| config.heartbeat_interval = value);
    duration_is_within("login_grace", millisecond, |config, value| config.login_grace = value);
    duration_is_within("login_timeout", millisecond, |config, value| config.login_timeout = value);
    duration_is_within("empty_room_timeout", Duration::ZERO, |config, value| config.empty_room_timeout = value);
    duration_is_within("command_timeout", millisecond, |config, value| config.command_timeout = value);
    duration_is_within("service_timeout", millisecond, |config, value| config.service_timeout = value);
}

#[test]
fn counts_are_bounded() {
    let most = 10_000_000;
    number_is_within("sessions_max", 1, most, |config, value| config.sessions_max = value);
    number_is_within("sessions_per_address_max", 1, most, |config, value| config.sessions_per_address_max = value);
    number_is_within("users_max", 1, most, |config, value| config.users_max = value);
    number_is_within("logins_pending_max", 1, most, |config, value| config.logins_pending_max = value);
    number_is_within("login_failures_per_session_max", 1, 1_000_000, |config, value| {
        config.login_failures_per_session_max = value;
    });
    number_is_within("remembered_max", 1, most, |config, value| config.remembered_max = value);
    number_is_within("open_rooms_max", 0, most, |config, value| config.open_rooms_max = value);
    number_is_within("rooms_per_user_max", 0, most, |config, value| config.rooms_per_user_max = value);
    number_is_within("bans_per_room_max", 0, 1_000_000, |config, value| config.bans_per_room_max = value);
    number_is_within("commands_waiting_max", 0, most, |config, value| config.commands_waiting_max = value);
    number_is_within("commands_waiting_per_session_max", 0, most, |config, value| {
        config.commands_waiting_per_session_max = value;
    });
    number_is_within("service_calls_max", 0, most, |config, value| config.service_calls_max = value);
    number_is_within("extension_deadlines_max", 0, most, |config, value| config.extension_deadlines_max = value);
    number_is_within("rooms_max", 1, most, |config, value| {
        config.fixed_rooms.clear();
        config.rooms_max = value;
    });
}

#[test]
fn rates_are_bounded() {
    rate_is_within("connects_per_address", 1, |config, value| config.connects_per_address = value);
    rate_is_within("login_failures_per_user", 1, |config, value| config.login_failures_per_user = value);
    rate_is_within("login_failures_per_address", 1, |config, value| config.login_failures_per_address = value);
    // The dearest request must be possible at all.
    rate_is_within("flood", COST_MAX, |config, value| config.flood = value);
    rate_is_within("flood_refusals", 1, |config, value| config.flood_refusals = value);
    rate_is_within("room_creations_per_user", 1, |config, value| config.room_creations_per_user = value);
    rate_is_within("room_password_failures_per_user", 1, |config, value| {
        config.room_password_failures_per_user = value;
    });
}

#[test]
fn sizes_are_bounded_by_each_other() {
    number_is_within("frame_bytes_max", FRAME_BYTES_MIN, FRAME_BYTES_LIMIT, |config, value| {
        config.frame_bytes_max = value;
        config.text_bytes_max = 1;
        config.outbox_bytes_max = 2 * FRAME_BYTES_LIMIT;
    });
    // A text and what goes around it fit into a frame.
    number_is_within("text_bytes_max", 1, 4_096 - 128, |config, value| {
        config.frame_bytes_max = 4_096;
        config.text_bytes_max = value;
    });
    // Two frames fit into an outbox.
    number_is_within("outbox_bytes_max", 2 * 16_384, 1 << 30, |config, value| {
        config.frame_bytes_max = 16_384;
        config.outbox_bytes_max = value;
        config.room_members_max = 3;
    });
    // A list of all members, at most 172 bytes each, fits into half of it.
    number_is_within("room_members_max", 1, 1_000, |config, value| {
        config.outbox_bytes_max = 2 * 172 * 1_000;
        config.room_members_max = value;
        config.fixed_rooms.clear();
    });
}

#[test]
fn server_name_is_1_to_64_bytes() {
    number_is_within("server_name length", 1, 64, |config, value| {
        config.server_name = Text::new(&"s".repeat(value as usize));
    });
}

#[test]
fn fixed_rooms_are_within_the_limits_of_rooms() {
    number_is_within("fixed_rooms number", 1, u32::MAX / 2, |config, value| {
        config.fixed_rooms[0].number = RoomNumber(value);
    });
    number_is_within("fixed_rooms capacity", 1, 20, |config, value| {
        config.room_members_max = 20;
        config.fixed_rooms[0].capacity = value;
    });
    let room = |number| FixedRoom { number: RoomNumber(number), title: "Room".into(), capacity: 1, password: None };
    number_is_within("fixed_rooms length", 0, 7, |config, value| {
        config.rooms_max = 7;
        config.fixed_rooms = (1..=value).map(room).collect();
    });
    is_refused("fixed_rooms number", |config| config.fixed_rooms = vec![room(4), room(5), room(4)]);
    let longest = "\u{1f980}".repeat(64);
    holds(|config| config.fixed_rooms[0].title = Text::new(&longest));
    for title in ["", &"a".repeat(65), "two\nlines", "\u{202e}turned"] {
        is_refused("fixed_rooms title", |config| config.fixed_rooms[0].title = Text::new(title));
    }
}

#[test]
fn refusal_says_the_setting_its_value_and_what_is_allowed() {
    let says = |change: fn(&mut Config)| {
        let mut config = config();
        change(&mut config);
        config.validate().unwrap_err().to_string()
    };
    assert_eq!(says(|config| config.users_max = 0), "users_max is 0, allowed is 1 to 10000000");
    assert_eq!(says(|config| config.login_grace = DAY * 2), "login_grace is 172800s, allowed is 1ms to 86400s");
    assert_eq!(
        says(|config| config.fixed_rooms[1].number = RoomNumber(1)),
        "fixed_rooms number is 1 for two rooms, allowed is each number once"
    );
    assert_eq!(
        says(|config| config.fixed_rooms[1].title = Text::new("")),
        "fixed_rooms title is \"\", allowed is 1 to 64 characters without control characters; it is empty"
    );
}

#[test]
#[should_panic(expected = "the configuration was not validated: users_max is 0")]
fn engine_takes_no_configuration_that_cannot_hold() {
    let mut config = config();
    config.users_max = 0;
    let _ = Engine::new(config, 1, Instant::ZERO);
}

#[test]
fn data_leaves_room_for_the_rest_of_its_packet() {
    let config = Config { frame_bytes_max: 10_000, ..Config::default() };
    // 128 for what every packet begins with, 256 for the words of a refusal.
    assert_eq!(config.data_bytes_max(), 10_000 - 128 - 256);
}
