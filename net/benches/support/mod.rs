//! What the benchmarks measure, ready to be measured: shared by the one that takes times and the one that counts
//! instructions.

pub(crate) mod chain;
pub(crate) mod engine;
pub(crate) mod node;
pub(crate) mod packets;

use std::time::Duration;

use lobbyd_core::config::Config;
use lobbyd_core::limits::Rate;

/// Rooms for so many sessions, with limits above any load. They are checked all the same.
fn config(sessions: u32, room_members: u32) -> Config {
    let plenty = Rate { burst: 1_000_000_000, interval: Duration::from_nanos(1) };
    Config {
        sessions_max: sessions.max(1),
        sessions_per_address_max: sessions.max(1),
        users_max: sessions.max(1),
        logins_pending_max: sessions.max(1),
        connects_per_address: plenty,
        login_failures_per_address: plenty,
        login_failures_per_user: plenty,
        flood: plenty,
        room_members_max: room_members,
        open_rooms_max: sessions.div_ceil(room_members),
        rooms_max: sessions.div_ceil(room_members),
        ..Config::default()
    }
}
