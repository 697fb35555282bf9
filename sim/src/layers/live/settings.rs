//! A scenario's setup as a configuration file of the daemon.

use std::path::PathBuf;
use std::time::Duration;

use lobbyd_core::config::{Config, DuplicateLogin, FixedRoom};
use lobbyd_core::limits::Rate;
use lobbyd_core::text::Text;

use super::redis::TOKEN_KEY;
use super::{cannot, log};
use crate::layers::{CannotDo, LEASE};
use crate::scenario::Setup;

/// What of the configuration the scenario does not say.
pub(super) struct Place {
    /// The data folder.
    pub(super) data: PathBuf,
    /// Where Redis is, if the scenario has one.
    pub(super) redis: Option<String>,
    /// In how long the daemon drains, if it will be told to.
    pub(super) drain_timeout: Option<Duration>,
}

/// The file.
///
/// # Errors
/// When it cannot say a setting of the scenario.
pub(super) fn file(setup: &Setup, place: &Place) -> Result<String, CannotDo> {
    // Named one by one, so that a new setting cannot be forgotten here.
    let Config {
        server_name,
        heartbeat_interval,
        login_grace,
        login_timeout,
        duplicate_login,
        sessions_max,
        sessions_per_address_max,
        connects_per_address,
        users_max,
        logins_pending_max,
        login_failures_per_session_max,
        login_failures_per_user,
        login_failures_per_address,
        remembered_max,
        flood,
        flood_refusals,
        text_bytes_max,
        frame_bytes_max,
        outbox_bytes_max,
        fixed_rooms,
        open_rooms_max,
        rooms_max,
        room_members_max,
        rooms_per_user_max,
        room_creations_per_user,
        empty_room_timeout,
        room_password_failures_per_user,
        bans_per_room_max,
        commands_waiting_max,
        commands_waiting_per_session_max,
        command_timeout,
        service_calls_max,
        service_timeout,
        extension_deadlines_max,
    } = &setup.config;
    let mut file = File::default();
    if fixed_rooms.is_empty() {
        // Without a word about rooms there would be one.
        file.raw("rooms", "[]".to_owned());
    }

    file.section("server");
    file.raw("listen", "\"127.0.0.1:0\"".to_owned());
    file.text("name", server_name.as_str());
    file.text("data", &place.data.display().to_string());
    if let Some(url) = &place.redis {
        file.text("store", url);
    }
    if setup.io_threads != 1 {
        file.number("io_threads", setup.io_threads);
    }
    if let Some(timeout) = place.drain_timeout {
        file.duration("drain_timeout", timeout)?;
    }

    file.section("session");
    file.duration("heartbeat_interval", *heartbeat_interval)?;
    file.duration("login_grace", *login_grace)?;
    file.duration("login_timeout", *login_timeout)?;
    file.text(
        "duplicate_login",
        match duplicate_login {
            DuplicateLogin::Reject => "reject",
            DuplicateLogin::NewestWins => "newest-wins",
            DuplicateLogin::Allow => "allow",
        },
    );

    file.section("limits");
    file.number("sessions_max", *sessions_max);
    file.number("sessions_per_address_max", *sessions_per_address_max);
    file.rate("connects_per_address", *connects_per_address, Per::Second)?;
    file.number("users_max", *users_max);
    file.number("logins_pending_max", *logins_pending_max);
    file.number("login_failures_per_session_max", *login_failures_per_session_max);
    file.rate("login_failures_per_user", *login_failures_per_user, Per::Minute)?;
    file.rate("login_failures_per_address", *login_failures_per_address, Per::Minute)?;
    file.number("remembered_max", *remembered_max);
    file.rate("flood", *flood, Per::Second)?;
    file.rate("flood_refusals", *flood_refusals, Per::Second)?;
    file.number("text_bytes_max", *text_bytes_max);
    file.number("frame_bytes_max", *frame_bytes_max);
    file.number("outbox_bytes_max", *outbox_bytes_max);

    file.section("lobby");
    file.number("open_rooms_max", *open_rooms_max);
    file.number("rooms_max", *rooms_max);
    file.number("room_members_max", *room_members_max);
    file.number("rooms_per_user_max", *rooms_per_user_max);
    file.rate("room_creations_per_user", *room_creations_per_user, Per::Minute)?;
    file.duration("empty_room_timeout", *empty_room_timeout)?;
    file.rate("room_password_failures_per_user", *room_password_failures_per_user, Per::Minute)?;
    file.number("bans_per_room_max", *bans_per_room_max);

    file.section("extensions");
    file.number("commands_waiting_max", *commands_waiting_max);
    file.number("commands_waiting_per_session_max", *commands_waiting_per_session_max);
    file.duration("command_timeout", *command_timeout)?;
    file.number("service_calls_max", *service_calls_max);
    file.duration("service_timeout", *service_timeout)?;
    file.number("extension_deadlines_max", *extension_deadlines_max);

    // The cheapest hash there is: what it costs is not what a scenario is about.
    file.section("accounts");
    file.text("argon2_memory", "128KiB");
    file.number("argon2_iterations", 1);

    file.section("redis");
    file.text("auth", "token");
    file.text("token_key", TOKEN_KEY);
    file.duration("lease", LEASE)?;

    file.section("log");
    file.text("format", "json");
    file.text("levels", log::LEVELS);

    for FixedRoom { number, title, capacity, password: _ } in fixed_rooms {
        file.list("rooms");
        file.number("number", number.0);
        file.text("title", Text::as_str(title));
        file.number("capacity", *capacity);
        if let Some((_, password)) = setup.room_passwords.iter().find(|(room, _)| room == number) {
            file.text("password", password);
        }
    }
    Ok(file.0)
}

/// In what the daemon counts a rate.
#[derive(Clone, Copy)]
enum Per {
    Second,
    Minute,
}

/// A TOML file that grows.
#[derive(Default)]
struct File(String);

impl File {
    fn section(&mut self, name: &str) {
        self.0 += &format!("\n[{name}]\n");
    }

    fn list(&mut self, name: &str) {
        self.0 += &format!("\n[[{name}]]\n");
    }

    fn raw(&mut self, key: &str, literal: String) {
        self.0 += &format!("{key} = {literal}\n");
    }

    fn number(&mut self, key: &str, number: u32) {
        self.raw(key, number.to_string());
    }

    fn text(&mut self, key: &str, text: &str) {
        // Every JSON text is a basic string of TOML, but for the one control character that JSON does not escape.
        self.raw(key, serde_json::Value::from(text).to_string().replace('\u{7f}', "\\u007f"));
    }

    fn duration(&mut self, key: &str, duration: Duration) -> Result<(), CannotDo> {
        let millis = duration.as_millis();
        if Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX)) != duration {
            return Err(cannot(format!("set {key} to {duration:?}: the daemon counts it in whole milliseconds")));
        }
        self.raw(key, format!("\"{millis}ms\""));
        Ok(())
    }

    fn rate(&mut self, key: &str, rate: Rate, per: Per) -> Result<(), CannotDo> {
        let Rate { burst, interval } = rate;
        let (unit, whole, of): (_, _, fn(u32, u32) -> Rate) = match per {
            Per::Second => ("second", Duration::from_secs(1), Rate::per_second),
            Per::Minute => ("minute", Duration::from_secs(60), Rate::per_minute),
        };
        let count = whole.as_nanos().checked_div(interval.as_nanos()).and_then(|count| u32::try_from(count).ok());
        match count.filter(|count| *count > 0 && of(*count, burst) == rate) {
            Some(count) => {
                self.number(&format!("{key}_per_{unit}"), count);
                self.number(&format!("{key}_burst"), burst);
                Ok(())
            }
            None => Err(cannot(format!("set {key} to one every {interval:?}: the daemon counts it by the {unit}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::parse;

    fn of(setup: &str) -> Result<String, CannotDo> {
        let place = Place { data: PathBuf::from("/data"), redis: None, drain_timeout: None };
        file(&parse(setup).expect("a scenario").setup, &place)
    }

    #[test]
    fn settings_and_rooms_are_said_as_the_daemon_reads_them() {
        let text = of("# .\nset flood 10/s burst 20\nset room_creations_per_user every 20s burst 1\n\
                       set heartbeat_interval 1500ms\nset duplicate_login NewestWins\n\
                       room 2 \"A \\\"cellar\\\"\" capacity 5 password sesame\n");
        let text = text.expect("all of it can be said");
        for line in [
            "flood_per_second = 10\nflood_burst = 20\n",
            "room_creations_per_user_per_minute = 3\nroom_creations_per_user_burst = 1\n",
            "heartbeat_interval = \"1500ms\"\n",
            "duplicate_login = \"newest-wins\"\n",
            "[[rooms]]\nnumber = 2\ntitle = \"A \\\"cellar\\\"\"\ncapacity = 5\npassword = \"sesame\"\n",
        ] {
            assert!(text.contains(line), "{line:?} is not in {text}");
        }
        assert!(!text.contains("rooms = []"));
        assert!(of("# .\n").expect("nothing is said").starts_with("rooms = []\n"));
    }

    #[test]
    fn what_the_daemon_cannot_be_told_is_named() {
        for (setting, named) in [
            ("flood every 1h burst 20", "set flood to one every 3600s: the daemon counts it by the second"),
            ("flood every 700ms burst 20", "set flood to one every 700ms: the daemon counts it by the second"),
            ("login_grace 1500us", "set login_grace to 1.5ms: the daemon counts it in whole milliseconds"),
        ] {
            let refused = of(&format!("# .\nset {setting}\n")).map(|_| ()).expect_err(setting);
            assert_eq!(refused, cannot(named.to_owned()));
        }
    }
}
