//! Settings that must go together: the engine's own rules, and those between parts that the engine does not know.

use std::collections::BTreeSet;

use lobbyd_core::config::{Config, ConfigError};
use lobbyd_core::packet::Sealed;

use super::error::Origin;
use super::load::{Loading, ROOMS, room_key};
use super::size::Size;
use super::store::Store;
use super::table::{SECTIONS, Settings, entry};
use super::value::Value;

/// Checks every rule whose settings were all read well.
pub(super) fn check(loading: &mut Loading) {
    if let Some(config) = check_engine(loading) {
        check_rooms(loading, config);
    }
    if matches!(loading.settings.server.store, Store::Redis(_)) {
        check_redis(loading);
    }
}

/// Checks the engine's rules, apart from rooms. The engine names one setting at a time, so each that is named is
/// replaced by its default to hear about the next. Gives what the engine accepts at last, if it does.
fn check_engine(loading: &mut Loading) -> Option<Config> {
    let mut repaired = loading.settings.clone();
    repaired.rooms.clear();
    let mut named = BTreeSet::new();
    loop {
        let config = engine_config(&repaired);
        let Err(error) = config.validate() else { return Some(config) };
        let Some(place) = Place::of(error.setting) else {
            loading.report(Origin::Default, error.to_string());
            return None;
        };
        report_engine(loading, &place, &error, None);
        loading.refuse(place.name);
        let entry = entry(place.name).filter(|entry| named.insert(entry.name))?;
        (entry.reset)(&mut repaired);
    }
}

/// Checks each room alone, so that every bad one is named, and then all together.
fn check_rooms(loading: &mut Loading, mut config: Config) {
    let rooms = engine_config(&loading.settings).fixed_rooms;
    let mut numbers = BTreeSet::new();
    for (index, room) in rooms.iter().enumerate() {
        config.fixed_rooms = vec![room.clone()];
        if let Err(error) = config.validate()
            && let Some(place) = Place::of(error.setting)
        {
            report_engine(loading, &place, &error, Some(index));
        } else if !numbers.insert(room.number) {
            let origin = room_origin(loading, index);
            let message = format!("{} is {}, which another room has", room_key("number", index), room.number);
            loading.report(origin, message);
        }
    }
    let count_max = loading.settings.lobby.rooms_max;
    if rooms.len() > count_max as usize && !loading.is_refused("lobby.rooms_max") {
        let message = format!("{ROOMS} has {} rooms, allowed is up to lobby.rooms_max, {count_max}", rooms.len());
        let origin = blamed(loading, ROOMS, Some("lobby.rooms_max"));
        loading.report(origin, message);
    }
}

fn check_redis(loading: &mut Loading) {
    let redis = loading.settings.redis.clone();
    let login_timeout = loading.settings.session.login_timeout;
    let together = |loading: &mut Loading, holds: bool, name: &'static str, other: &'static str, rule: &str| {
        if holds || loading.is_refused(name) || loading.is_refused(other) {
            return;
        }
        let origin = blamed(loading, name, Some(other));
        let (value, other_value) = (literal(loading, name), literal(loading, other));
        let by = given_by(loading, other, &origin);
        let message = format!("{name} is {value}, allowed is {rule} {other}, which is {other_value}{by}");
        loading.report(origin, message);
    };
    let response = "redis.response_timeout";
    together(loading, login_timeout > redis.response_timeout, "session.login_timeout", response, "more than");
    together(loading, redis.lease >= redis.response_timeout * 3, "redis.lease", response, "at least three times");
    let (account, token, presence) = ("redis.account_key", "redis.token_key", "redis.presence_key");
    together(loading, redis.token_key != redis.account_key, token, account, "anything but");
    together(loading, redis.presence_key != redis.account_key, presence, account, "anything but");
    together(loading, redis.presence_key != redis.token_key, presence, token, "anything but");
}

fn engine_config(settings: &Settings) -> Config {
    // The engine cannot judge a password.
    settings.engine_config(|_| Sealed([0; 16]))
}

/// Where a setting of the engine stands in the configuration.
struct Place {
    /// The full name here.
    name: &'static str,
    /// The key inside a room, for what is said about rooms.
    room_key: Option<&'static str>,
    /// The setting that decides what is allowed.
    partner: Option<&'static str>,
}

impl Place {
    /// Of a setting by the name that the engine's errors give it.
    fn of(engine: &str) -> Option<Self> {
        let (setting, detail) = engine.split_once(' ').unwrap_or((engine, ""));
        if setting == "fixed_rooms" {
            let room_key = super::room::ROOM_KEYS.iter().map(|known| known.key).find(|key| *key == detail);
            let partner = if detail == "capacity" { "lobby.room_members_max" } else { "lobby.rooms_max" };
            return Some(Self { name: ROOMS, room_key, partner: Some(partner) });
        }
        let partner = match setting {
            "text_bytes_max" | "outbox_bytes_max" => Some("limits.frame_bytes_max"),
            "room_members_max" => Some("limits.outbox_bytes_max"),
            _ => None,
        };
        // The engine holds as one rate what are two settings here; what can be wrong with it is its burst.
        let is_it = |key: &str| match setting {
            "server_name" => key == "name",
            setting => key == setting || key.strip_suffix("_burst") == Some(setting),
        };
        let mut entries = SECTIONS.iter().flat_map(|section| section.entries);
        let name = entries.find(|entry| is_it(entry.key))?.name;
        Some(Self { name, room_key: None, partner })
    }
}

fn report_engine(loading: &mut Loading, place: &Place, error: &ConfigError, room: Option<usize>) {
    if loading.is_refused(place.name) || place.partner.is_some_and(|partner| loading.is_refused(partner)) {
        return;
    }
    let (name, value, origin) = match (place.room_key, room) {
        (Some(key), Some(index)) => (room_key(key, index), error.value.clone(), room_origin(loading, index)),
        (_, _) => (String::from(place.name), literal(loading, place.name), blamed(loading, place.name, place.partner)),
    };
    let allowed = if name.ends_with("_bytes_max") { in_units(&error.allowed) } else { error.allowed.clone() };
    let because = match place.partner {
        Some(partner) => {
            format!(" because {partner} is {}{}", literal(loading, partner), given_by(loading, partner, &origin))
        }
        None => String::new(),
    };
    loading.report(origin, format!("{name} is {value}, allowed is {allowed}{because}"));
}

/// Where the setting came from, or, if nobody gave it, the one that does not go with it.
fn blamed(loading: &Loading, name: &str, partner: Option<&str>) -> Origin {
    match loading.origin(name) {
        Origin::Default => partner.map_or(Origin::Default, |partner| loading.origin(partner)),
        given @ (Origin::File { .. } | Origin::Variable(_) | Origin::Flag(_)) => given,
    }
}

/// Where the setting came from, in brackets, unless nobody gave it or that is said already.
fn given_by(loading: &Loading, name: &str, said: &Origin) -> String {
    let origin = loading.origin(name);
    if origin == Origin::Default || origin == *said { String::new() } else { format!(" ({origin})") }
}

fn room_origin(loading: &Loading, index: usize) -> Origin {
    loading.room_origins.get(index).cloned().unwrap_or(Origin::Default)
}

fn literal(loading: &Loading, name: &str) -> String {
    entry(name).map(|entry| (entry.literal)(&loading.settings)).unwrap_or_default()
}

/// A range of bytes, in the units in which people write sizes.
fn in_units(range: &str) -> String {
    let size = |number: &str| number.parse().map_or_else(|_| number.to_owned(), |bytes| Size::bytes(bytes).literal());
    range.split(' ').map(size).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_of_the_engine_has_a_place() {
        let config = serde_json::to_value(Config::default()).unwrap();
        for setting in config.as_object().unwrap().keys() {
            assert!(Place::of(setting).is_some(), "{setting}");
        }
        for (setting, name) in [
            ("server_name length", "server.name"),
            ("heartbeat_interval", "session.heartbeat_interval"),
            ("flood", "limits.flood_burst"),
            ("flood_refusals", "limits.flood_refusals_burst"),
            ("room_creations_per_user", "lobby.room_creations_per_user_burst"),
            ("fixed_rooms length", "rooms"),
        ] {
            assert_eq!(Place::of(setting).map(|place| place.name), Some(name), "{setting}");
        }
        assert!(Place::of("something_new").is_none());
    }
}
