//! What bounds the engine and chooses between its ways. Everything has a limit here.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::id::RoomNumber;
use crate::limits::Rate;
use crate::name::USER_NAME_MAX;
use crate::packet::Sealed;
use crate::text::{NICKNAME_BYTES_MAX, Text};

/// The engine's configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// The server's name, told in `Welcome`.
    pub server_name: Text,
    /// Silence after which a client is pinged; after three times this it is closed.
    pub heartbeat_interval: Duration,
    /// How long a connection may stay without being logged in, and without a login under way.
    pub login_grace: Duration,
    /// How long a login may wait for its verdict.
    pub login_timeout: Duration,
    /// What happens when a user who is online logs in again.
    pub duplicate_login: DuplicateLogin,
    /// The most connections.
    pub sessions_max: u32,
    /// The most connections from one address (for IPv6: from one /64 network).
    pub sessions_per_address_max: u32,
    /// How quickly one address may connect.
    pub connects_per_address: Rate,
    /// The most users online.
    pub users_max: u32,
    /// The most logins waiting for their verdict.
    pub logins_pending_max: u32,
    /// Failed logins after which a connection is closed.
    pub login_failures_per_session_max: u32,
    /// How quickly logins may fail for one user name. One whose verdict is not there yet counts as failed.
    pub login_failures_per_user: Rate,
    /// How quickly logins may fail from one address. One whose verdict is not there yet counts as failed, so the burst
    /// is also how many may be under way.
    pub login_failures_per_address: Rate,
    /// The most addresses, and the most user names, whose attempts are remembered. When there are more, the one is
    /// forgotten that would be soonest anyway, its budget being full again; of several the lowest.
    pub remembered_max: u32,
    /// How quickly a client may ask, in the units of `limits::cost`.
    pub flood: Rate,
    /// How quickly a client may go on asking while it is refused; over this it is closed.
    pub flood_refusals: Rate,
    /// The most bytes in the text of a message.
    pub text_bytes_max: u32,
    /// The most bytes in a frame's payload, both ways.
    pub frame_bytes_max: u32,
    /// The most bytes waiting to be sent to one client.
    pub outbox_bytes_max: u32,
    /// Rooms that always exist.
    pub fixed_rooms: Vec<FixedRoom>,
    /// Rooms with numbers from 1 to this are created when somebody first enters them; 0 for none.
    pub open_rooms_max: u32,
    /// The most rooms, fixed ones included.
    pub rooms_max: u32,
    /// The most members that any room may hold.
    pub room_members_max: u32,
    /// The most rooms that exist by one user's creation.
    pub rooms_per_user_max: u32,
    /// How quickly one user may create rooms.
    pub room_creations_per_user: Rate,
    /// How long a room that is not fixed stays when nobody is in it.
    pub empty_room_timeout: Duration,
    /// How quickly one user may be wrong about room passwords.
    pub room_password_failures_per_user: Rate,
    /// The most bans that one room holds.
    pub bans_per_room_max: u32,
    /// The most commands that wait for an extension's answer.
    pub commands_waiting_max: u32,
    /// The most of these that one session waits for.
    pub commands_waiting_per_session_max: u32,
    /// How long a command may wait for an extension's answer.
    pub command_timeout: Duration,
    /// The most calls of services that are under way.
    pub service_calls_max: u32,
    /// How long a call of a service may be under way.
    pub service_timeout: Duration,
    /// The most deadlines that one extension has set.
    pub extension_deadlines_max: u32,
}

/// A room of the configuration: it exists from the start and is never cleaned up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FixedRoom {
    /// Its number.
    pub number: RoomNumber,
    /// What the directory shows.
    pub title: Text,
    /// The most members.
    pub capacity: u32,
    /// If given, nobody enters without it.
    pub password: Option<Sealed>,
}

/// What happens when a user who is online logs in again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum DuplicateLogin {
    /// The second login is refused.
    Reject,
    /// The second login, if its secret is right, closes the first session.
    NewestWins,
    /// Both stay.
    Allow,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            server_name: Text::new("lobbyd"),
            heartbeat_interval: Duration::from_secs(20),
            login_grace: Duration::from_secs(30),
            login_timeout: Duration::from_secs(5),
            duplicate_login: DuplicateLogin::Reject,
            sessions_max: 10_000,
            sessions_per_address_max: 500,
            connects_per_address: Rate::per_second(50, 500),
            users_max: 10_000,
            logins_pending_max: 1_000,
            login_failures_per_session_max: 5,
            login_failures_per_user: Rate::per_minute(6, 10),
            // A login counts until its verdict, and everybody behind one address may come back at the same moment.
            login_failures_per_address: Rate::per_minute(60, 500),
            remembered_max: 65_536,
            flood: Rate::per_second(50, 100),
            flood_refusals: Rate::per_second(10, 50),
            text_bytes_max: 2_000,
            frame_bytes_max: 16 * 1024,
            outbox_bytes_max: 1024 * 1024,
            fixed_rooms: Vec::new(),
            open_rooms_max: 0,
            rooms_max: 10_000,
            room_members_max: 1_000,
            rooms_per_user_max: 3,
            room_creations_per_user: Rate::per_minute(6, 3),
            empty_room_timeout: Duration::from_secs(60),
            room_password_failures_per_user: Rate::per_minute(6, 5),
            bans_per_room_max: 256,
            commands_waiting_max: 1_000,
            commands_waiting_per_session_max: 8,
            command_timeout: Duration::from_secs(60),
            service_calls_max: 256,
            service_timeout: Duration::from_secs(5),
            extension_deadlines_max: 10_000,
        }
    }
}

/// The most bytes that one user takes in a `RoomUserListNotify`: a number, a name, a nickname and their lengths.
pub(crate) const USER_BYTES_MAX: u32 = 9 + (1 + USER_NAME_MAX as u32) + (1 + 1 + NICKNAME_BYTES_MAX);
/// The most bytes that a packet's fixed fields take, with room to spare.
pub(crate) const PACKET_HEAD_BYTES_MAX: u32 = 128;
/// The most bytes in the words with which an extension says no.
pub const ERROR_MESSAGE_BYTES_MAX: u32 = 256;
/// The fewest bytes that a frame's limit may be: `Welcome`, a page with one room and a list with one user all fit.
pub const FRAME_BYTES_MIN: u32 = 1024;
/// The most bytes that a frame's limit may be.
pub const FRAME_BYTES_LIMIT: u32 = 1024 * 1024;

/// A setting that cannot hold: which one, its value, and what is allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConfigError {
    /// The setting's name in [`Config`].
    pub setting: &'static str,
    /// The value it has.
    pub value: alloc::string::String,
    /// What is allowed.
    pub allowed: alloc::string::String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is {}, allowed is {}", self.setting, self.value, self.allowed)
    }
}

impl core::error::Error for ConfigError {}

impl Config {
    /// Checks that every setting can hold, alone and beside the others.
    ///
    /// # Errors
    /// Names the first setting that cannot.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let day = Duration::from_secs(24 * 60 * 60);
        let instant = Duration::from_millis(1);
        within("heartbeat_interval", self.heartbeat_interval, instant, day)?;
        within("login_grace", self.login_grace, instant, day)?;
        within("login_timeout", self.login_timeout, instant, day)?;
        within("empty_room_timeout", self.empty_room_timeout, Duration::ZERO, day)?;
        within("command_timeout", self.command_timeout, instant, day)?;
        within("service_timeout", self.service_timeout, instant, day)?;

        let sessions_limit = 10_000_000;
        within("sessions_max", self.sessions_max, 1, sessions_limit)?;
        within("sessions_per_address_max", self.sessions_per_address_max, 1, sessions_limit)?;
        within("users_max", self.users_max, 1, sessions_limit)?;
        within("logins_pending_max", self.logins_pending_max, 1, sessions_limit)?;
        within("login_failures_per_session_max", self.login_failures_per_session_max, 1, 1_000_000)?;
        within("remembered_max", self.remembered_max, 1, sessions_limit)?;

        self.connects_per_address.validate("connects_per_address", 1)?;
        self.login_failures_per_user.validate("login_failures_per_user", 1)?;
        self.login_failures_per_address.validate("login_failures_per_address", 1)?;
        self.flood.validate("flood", crate::limits::COST_MAX)?;
        self.flood_refusals.validate("flood_refusals", 1)?;
        self.room_creations_per_user.validate("room_creations_per_user", 1)?;
        self.room_password_failures_per_user.validate("room_password_failures_per_user", 1)?;

        within("frame_bytes_max", self.frame_bytes_max, FRAME_BYTES_MIN, FRAME_BYTES_LIMIT)?;
        let text_limit = self.frame_bytes_max - PACKET_HEAD_BYTES_MAX;
        within("text_bytes_max", self.text_bytes_max, 1, text_limit)?;
        within("server_name length", self.server_name.len() as u64, 1, 64)?;
        // A list, the frames it comes in and the response behind it have to fit, else nobody could enter a full room.
        let outbox_min = 2 * u64::from(self.frame_bytes_max);
        within("outbox_bytes_max", u64::from(self.outbox_bytes_max), outbox_min, 1 << 30)?;
        let members_limit = self.outbox_bytes_max / (2 * USER_BYTES_MAX);
        within("room_members_max", self.room_members_max, 1, members_limit)?;

        within("rooms_max", self.rooms_max, 1, sessions_limit)?;
        within("open_rooms_max", self.open_rooms_max, 0, sessions_limit)?;
        within("rooms_per_user_max", self.rooms_per_user_max, 0, sessions_limit)?;
        within("bans_per_room_max", self.bans_per_room_max, 0, 1_000_000)?;
        within("commands_waiting_max", self.commands_waiting_max, 0, sessions_limit)?;
        within("commands_waiting_per_session_max", self.commands_waiting_per_session_max, 0, sessions_limit)?;
        within("service_calls_max", self.service_calls_max, 0, sessions_limit)?;
        within("extension_deadlines_max", self.extension_deadlines_max, 0, sessions_limit)?;
        self.validate_fixed_rooms()
    }

    /// The most bytes of data in what an extension answers or says: beside it, the fixed fields and the words of a
    /// refusal fit into a frame.
    #[must_use]
    pub fn data_bytes_max(&self) -> u32 {
        self.frame_bytes_max - PACKET_HEAD_BYTES_MAX - ERROR_MESSAGE_BYTES_MAX
    }

    fn validate_fixed_rooms(&self) -> Result<(), ConfigError> {
        within("fixed_rooms length", self.fixed_rooms.len() as u64, 0, u64::from(self.rooms_max))?;
        let mut numbers = BTreeSet::new();
        for room in &self.fixed_rooms {
            // Above the fixed rooms there must be numbers left for the created ones.
            within("fixed_rooms number", room.number.0, 1, u32::MAX / 2)?;
            within("fixed_rooms capacity", room.capacity, 1, self.room_members_max)?;
            if let Err(error) = crate::text::check_title(room.title.as_str().into()) {
                let allowed = alloc::format!("1 to 64 characters without control characters; {error}");
                return Err(ConfigError {
                    setting: "fixed_rooms title",
                    value: alloc::format!("{:?}", room.title),
                    allowed,
                });
            }
            if !numbers.insert(room.number) {
                let value = alloc::format!("{} for two rooms", room.number);
                let allowed = alloc::string::String::from("each number once");
                return Err(ConfigError { setting: "fixed_rooms number", value, allowed });
            }
        }
        Ok(())
    }

    /// The highest number that is spoken for; rooms that users create are numbered above it.
    pub(crate) fn reserved_room_numbers(&self) -> u32 {
        let fixed = self.fixed_rooms.iter().map(|room| room.number.0).max().unwrap_or(0);
        fixed.max(self.open_rooms_max)
    }
}

pub(crate) fn within<T: PartialOrd + fmt::Debug>(
    setting: &'static str,
    value: T,
    least: T,
    most: T,
) -> Result<(), ConfigError> {
    if value >= least && value <= most {
        return Ok(());
    }
    Err(ConfigError { setting, value: alloc::format!("{value:?}"), allowed: alloc::format!("{least:?} to {most:?}") })
}
