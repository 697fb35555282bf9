//! The configurations that cases run under: the usual one, with any of a list of limits made narrow.

use std::time::Duration;

use lobbyd_core::config::{Config, DuplicateLogin, FixedRoom};
use lobbyd_core::id::RoomNumber;
use lobbyd_core::limits::Rate;
use lobbyd_core::packet::Sealed;
use lobbyd_core::text::Text;

/// A protected room of every configuration.
pub(crate) const VAULT: RoomNumber = RoomNumber(2);
/// Its password.
pub(crate) const VAULT_PASSWORD: u8 = 1;
/// Rooms up to this number exist by being entered.
const OPEN_ROOMS_MAX: u32 = 4;

const MINUTE: Duration = Duration::from_secs(60);

/// What to change of the usual configuration.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    /// A bit for each narrow limit.
    pub(crate) narrow: u32,
    /// 0 to 2.
    pub(crate) duplicate_login: u8,
}

/// How many limits can be narrow.
pub(crate) const NARROW: u32 = 20;

impl Rules {
    /// The configuration.
    pub(crate) fn config(self) -> Config {
        let mut bit = 0;
        let mut narrow = || {
            bit += 1;
            self.narrow & (1 << (bit - 1)) != 0
        };
        let slow = |burst| Rate { burst, interval: Duration::from_secs(7) };
        let mut config = base();
        config.duplicate_login = match self.duplicate_login {
            0 => DuplicateLogin::Reject,
            1 => DuplicateLogin::NewestWins,
            _ => DuplicateLogin::Allow,
        };
        let mut set = |change: fn(&mut Config, Rate), burst| {
            if narrow() {
                change(&mut config, slow(burst));
            }
        };
        set(|config, _| config.sessions_max = 4, 0);
        set(|config, _| config.sessions_per_address_max = 2, 0);
        set(|config, rate| config.connects_per_address = rate, 3);
        set(|config, _| config.users_max = 2, 0);
        set(|config, _| config.logins_pending_max = 1, 0);
        set(|config, _| config.login_failures_per_session_max = 2, 0);
        // Slower than a verdict may be, so that it is seen whether an attempt that was not judged is given back.
        set(|config, rate| config.login_failures_per_user = Rate { interval: MINUTE, ..rate }, 2);
        set(|config, rate| config.login_failures_per_address = Rate { interval: MINUTE, ..rate }, 3);
        set(|config, rate| config.flood = rate, 18);
        set(|config, rate| config.flood_refusals = rate, 2);
        set(|config, _| config.text_bytes_max = 8, 0);
        // A text has to fit a frame.
        set(|config, _| (config.frame_bytes_max, config.text_bytes_max) = (1024, config.text_bytes_max.min(800)), 0);
        set(|config, _| config.rooms_max = 4, 0);
        set(|config, _| config.rooms_per_user_max = 1, 0);
        set(|config, rate| config.room_creations_per_user = rate, 2);
        set(|config, _| config.empty_room_timeout = Duration::ZERO, 0);
        set(|config, rate| config.room_password_failures_per_user = rate, 1);
        set(|config, _| (config.bans_per_room_max, config.remembered_max) = (1, 2), 0);
        set(|config, _| config.bans_per_room_max = 0, 0);
        set(|config, _| config.service_calls_max = 2, 0);
        config
    }
}

fn base() -> Config {
    let room =
        |number, title: &str, capacity, password| FixedRoom { number, title: Text::new(title), capacity, password };
    Config {
        fixed_rooms: vec![
            room(RoomNumber(1), "Plaza", 5, None),
            room(VAULT, "Vault", 2, Some(Sealed([VAULT_PASSWORD; 16]))),
        ],
        open_rooms_max: OPEN_ROOMS_MAX,
        login_failures_per_session_max: 3,
        ..Config::default()
    }
}
