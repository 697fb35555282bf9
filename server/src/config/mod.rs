//! Configuration: every setting with its type, default and meaning, and how it is read from flags, environment and file.
//!
//! Flags go before environment variables, those before the TOML file, that before the defaults. Unknown names and bad
//! values are errors wherever they come from, also where a source that goes before gives a good one.
//!
//! This module knows neither the process's environment nor its arguments: [`Sources`] are handed in.

mod choice;
mod document;
mod error;
mod levels;
mod load;
mod pattern;
mod relations;
mod room;
mod secret;
mod size;
mod store;
mod suggestion;
mod table;
mod value;

use lobbyd_core::config::{Config, FixedRoom};
use lobbyd_core::limits::Rate;
use lobbyd_core::packet::Sealed;

pub use self::choice::{LogFormat, RedisAuth};
pub use self::document::{reference, sample};
pub use self::error::{ConfigErrors, Origin, Problem};
pub use self::levels::Levels;
pub use self::load::{Flag, Sources};
pub use self::room::RoomSettings;
pub use self::secret::Secret;
pub use self::size::Size;
pub use self::store::{RedisUrl, Store, UnknownStore};
pub use self::table::{
    AccountSettings, JournalSettings, LimitSettings, LobbySettings, LogSettings, RedisSettings, ServerSettings,
    SessionSettings, Settings,
};

impl Settings {
    /// Reads and checks every setting.
    ///
    /// # Errors
    /// Everything that is wrong, not only the first: unknown names, bad values, values that do not go together.
    pub fn load(sources: &Sources) -> Result<Self, ConfigErrors> {
        load::load(sources)
    }

    /// What the engine is told. `seal` makes of a room's password what stands for it there.
    #[must_use]
    pub fn engine_config(&self, mut seal: impl FnMut(&str) -> Sealed) -> Config {
        let Self { server, session, limits, lobby, extensions, accounts: _, redis: _, journal: _, log: _, rooms } =
            self;
        let mut fixed_room = |room: &RoomSettings| FixedRoom {
            number: room.number,
            title: room.title.clone(),
            capacity: room.capacity,
            password: room.password.as_ref().map(|password| seal(password.expose())),
        };
        Config {
            server_name: server.name.clone(),
            heartbeat_interval: session.heartbeat_interval,
            login_grace: session.login_grace,
            login_timeout: session.login_timeout,
            duplicate_login: session.duplicate_login,
            sessions_max: limits.sessions_max,
            sessions_per_address_max: limits.sessions_per_address_max,
            connects_per_address: Rate::per_second(
                limits.connects_per_address_per_second,
                limits.connects_per_address_burst,
            ),
            users_max: limits.users_max,
            logins_pending_max: limits.logins_pending_max,
            login_failures_per_session_max: limits.login_failures_per_session_max,
            login_failures_per_user: Rate::per_minute(
                limits.login_failures_per_user_per_minute,
                limits.login_failures_per_user_burst,
            ),
            login_failures_per_address: Rate::per_minute(
                limits.login_failures_per_address_per_minute,
                limits.login_failures_per_address_burst,
            ),
            remembered_max: limits.remembered_max,
            flood: Rate::per_second(limits.flood_per_second, limits.flood_burst),
            flood_refusals: Rate::per_second(limits.flood_refusals_per_second, limits.flood_refusals_burst),
            text_bytes_max: limits.text_bytes_max.as_bytes(),
            frame_bytes_max: limits.frame_bytes_max.as_bytes(),
            outbox_bytes_max: limits.outbox_bytes_max.as_bytes(),
            fixed_rooms: rooms.iter().map(&mut fixed_room).collect(),
            open_rooms_max: lobby.open_rooms_max,
            rooms_max: lobby.rooms_max,
            room_members_max: lobby.room_members_max,
            rooms_per_user_max: lobby.rooms_per_user_max,
            room_creations_per_user: Rate::per_minute(
                lobby.room_creations_per_user_per_minute,
                lobby.room_creations_per_user_burst,
            ),
            empty_room_timeout: lobby.empty_room_timeout,
            room_password_failures_per_user: Rate::per_minute(
                lobby.room_password_failures_per_user_per_minute,
                lobby.room_password_failures_per_user_burst,
            ),
            bans_per_room_max: lobby.bans_per_room_max,
            commands_waiting_max: extensions.commands_waiting_max,
            commands_waiting_per_session_max: extensions.commands_waiting_per_session_max,
            command_timeout: extensions.command_timeout,
            service_calls_max: extensions.service_calls_max,
            service_timeout: extensions.service_timeout,
            extension_deadlines_max: extensions.extension_deadlines_max,
        }
    }
}

#[cfg(test)]
mod load_tests;

#[cfg(test)]
mod tests {
    use lobbyd_core::id::RoomNumber;
    use lobbyd_core::text::Text;

    use super::*;

    #[test]
    fn the_defaults_are_those_of_the_engine_and_one_room() {
        let config = Settings::default().engine_config(|_| unreachable!("the room has no password"));
        let general = FixedRoom { number: RoomNumber(1), title: Text::new("General"), capacity: 100, password: None };
        assert_eq!(config, Config { fixed_rooms: vec![general], ..Config::default() });
        assert_eq!(config.validate(), Ok(()));
    }

    #[test]
    fn each_setting_of_the_engine_moves_exactly_its_field() {
        let fields = |settings: &Settings| {
            let config = serde_json::to_value(settings.engine_config(|_| Sealed([0; 16]))).unwrap();
            config.as_object().unwrap().clone()
        };
        let before = fields(&Settings::default());
        let sections = table::SECTIONS
            .iter()
            .filter(|section| ["session", "limits", "lobby", "extensions"].contains(&section.name));
        let mut moved = std::collections::BTreeSet::new();
        for entry in sections.flat_map(|section| section.entries) {
            let mut settings = Settings::default();
            let read = |text| (entry.read)(&mut settings, value::Given::Plain(text));
            assert!(["4321", "4321ms", "allow"].into_iter().map(read).any(|outcome| outcome.is_ok()), "{}", entry.name);
            let after = fields(&settings);
            let changed: Vec<&String> = before.keys().filter(|key| before[*key] != after[*key]).collect();
            let suffixes = ["_per_second", "_per_minute", "_burst"];
            let field = suffixes.iter().find_map(|suffix| entry.key.strip_suffix(suffix)).unwrap_or(entry.key);
            assert_eq!(changed, [field], "{}", entry.name);
            let rate = &after[field];
            let changed_burst = rate.get("burst") != before[field].get("burst");
            assert_eq!(changed_burst, entry.key.ends_with("_burst"), "{}", entry.name);
            moved.insert(field);
        }
        let unmoved: Vec<&String> = before.keys().filter(|key| !moved.contains(key.as_str())).collect();
        assert_eq!(unmoved, ["fixed_rooms", "server_name"]);
    }

    #[test]
    fn a_room_password_reaches_the_engine_only_sealed() {
        let mut settings = Settings::default();
        settings.rooms[0].password = Some(Secret::new(String::from("hunter2")));
        let config = settings.engine_config(|password| {
            assert_eq!(password, "hunter2");
            Sealed([7; 16])
        });
        assert_eq!(config.fixed_rooms[0].password, Some(Sealed([7; 16])));
    }

    #[test]
    fn debug_shows_no_secret() {
        let mut settings = Settings::default();
        settings.rooms[0].password = Some(Secret::new(String::from("hunter2")));
        settings.server.store = Store::Redis(RedisUrl::parse("redis://ann:hunter2@localhost").unwrap());
        let shown = format!("{settings:?} {settings:#?}");
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(shown.contains("redis://***@localhost"), "{shown}");
    }
}
