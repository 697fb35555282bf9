//! The server that a life is about.

use std::time::Duration;

use lobbyd_core::config::{Config, DuplicateLogin, FixedRoom};
use lobbyd_core::extension::Handlers;
use lobbyd_core::id::RoomNumber;
use lobbyd_core::limits::Rate;
use lobbyd_core::packet::Sealed;
use lobbyd_core::text::Text;
use lobbyd_sim::puppet;

use super::SLOTS;
use crate::reader::Reader;

/// More than there are addresses and names.
const REMEMBERED_BY_ALL: u32 = 100;
/// An extension that does what its commands say, or none.
pub(super) fn handlers(are_there: bool) -> Handlers {
    if are_there { puppet::handlers() } else { Handlers::new() }
}

/// A small server, so that its limits are near, and whether it has an extension. A byte chooses for some limits at a time
/// whether they are.
pub(super) fn config(reader: &mut Reader<'_>) -> (Config, bool) {
    let room = |number, capacity, password| FixedRoom {
        number: RoomNumber(number),
        title: Text::new("Plaza"),
        capacity,
        password,
    };
    let first = reader.byte();
    let duplicate_login = match first % 3 {
        0 => DuplicateLogin::Reject,
        1 => DuplicateLogin::NewestWins,
        _ => DuplicateLogin::Allow,
    };
    let generous = Config {
        fixed_rooms: vec![room(1, 2, None), room(3, 8, Some(Sealed([1; 16])))],
        room_members_max: 8,
        text_bytes_max: 64,
        duplicate_login,
        commands_waiting_max: 4,
        commands_waiting_per_session_max: 2,
        service_calls_max: 3,
        extension_deadlines_max: 3,
        command_timeout: Duration::from_secs(2),
        service_timeout: Duration::from_secs(1),
        ..Config::default()
    };
    let near = reader.byte();
    let is_near = |bit: u8| near >> bit & 1 == 1;
    let limit = |bit, limit, otherwise| if is_near(bit) { limit } else { otherwise };
    let rate = |bit, limit, otherwise| if is_near(bit) { limit } else { otherwise };
    let config = Config {
        open_rooms_max: limit(0, 5, 0),
        sessions_max: limit(1, 5, SLOTS.into()),
        sessions_per_address_max: limit(1, 3, SLOTS.into()),
        users_max: limit(2, 3, SLOTS.into()),
        logins_pending_max: limit(2, 2, SLOTS.into()),
        rooms_max: limit(3, 4, 100),
        bans_per_room_max: limit(3, 1, 100),
        rooms_per_user_max: limit(3, 1, 3),
        remembered_max: limit(4, 1, REMEMBERED_BY_ALL),
        login_failures_per_session_max: limit(4, 2, 5),
        connects_per_address: rate(5, Rate::per_second(1, 4), generous.connects_per_address),
        room_creations_per_user: rate(5, Rate::per_minute(1, 1), generous.room_creations_per_user),
        login_failures_per_user: rate(6, Rate::per_minute(1, 2), generous.login_failures_per_user),
        login_failures_per_address: rate(6, Rate::per_minute(1, 3), generous.login_failures_per_address),
        room_password_failures_per_user: rate(6, Rate::per_minute(1, 1), generous.room_password_failures_per_user),
        flood: rate(7, Rate::per_second(2, 12), Rate::per_second(1_000, 1_000)),
        flood_refusals: rate(7, Rate::per_second(1, 2), generous.flood_refusals),
        ..generous
    };
    config.validate().expect("every choice of limits is a configuration");
    (config, first >= 128)
}
