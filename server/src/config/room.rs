//! Rooms of the configuration: `[[rooms]]` tables.

use std::ops::RangeInclusive;

use lobbyd_core::id::RoomNumber;
use lobbyd_core::text::Text;
use toml::de::DeTable;

use super::secret::Secret;
use super::value::{Given, Line, Refusal, Value};

/// A room that exists from the start and is never cleaned up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomSettings {
    /// Its number.
    pub number: RoomNumber,
    /// What the directory shows.
    pub title: Text,
    /// The most members.
    pub capacity: u32,
    /// If given, nobody enters without it.
    pub password: Option<Secret>,
}

/// The one room of a server that is told of none.
pub(super) fn general_room() -> RoomSettings {
    RoomSettings { number: RoomNumber(1), title: Text::new("General"), capacity: 100, password: None }
}

/// A key of a `[[rooms]]` table, for people.
pub(super) struct RoomKey {
    pub(super) key: &'static str,
    pub(super) doc: &'static str,
    pub(super) required: bool,
    pub(super) allowed: fn() -> String,
}

/// The keys of a `[[rooms]]` table.
pub(super) static ROOM_KEYS: [RoomKey; 4] = [
    RoomKey {
        key: "number",
        doc: "By what clients enter it. Each number once.",
        required: true,
        allowed: || u32::allowed(&NUMBERS),
    },
    RoomKey {
        key: "title",
        doc: "What the directory shows.",
        required: true,
        allowed: || Text::allowed(&Line::RoomTitle),
    },
    RoomKey {
        key: "capacity",
        doc: "The most members. Not above lobby.room_members_max.",
        required: true,
        allowed: || u32::allowed(&CAPACITIES),
    },
    RoomKey {
        key: "password",
        doc: "Nobody enters without it. Without this key everybody may.",
        required: false,
        allowed: || Secret::allowed(&()),
    },
];

/// Above the fixed rooms there must be numbers left for the rooms that users create.
const NUMBERS: RangeInclusive<u32> = 1..=u32::MAX / 2;
const CAPACITIES: RangeInclusive<u32> = 1..=10_000_000;

/// What is wrong with a `[[rooms]]` table.
pub(super) enum RoomFault {
    /// No room has this key.
    Unknown { key: String, at: usize },
    /// A key that every room has is not there.
    Missing { key: &'static str },
    /// The value of this key is refused. It is shown, unless it is a secret.
    Refused { key: &'static str, at: usize, shown: String, allowed: String, refusal: Refusal },
}

/// Reads one table inside `source`. Positions are byte offsets in it.
pub(super) fn read_room(table: &DeTable<'_>, source: &str) -> Result<RoomSettings, Vec<RoomFault>> {
    let mut faults = Vec::new();
    for key in table.keys() {
        if !ROOM_KEYS.iter().any(|known| known.key == key.get_ref().as_ref()) {
            faults.push(RoomFault::Unknown { key: key.get_ref().to_string(), at: key.span().start });
        }
    }
    let mut reader = Reader { table, source, faults };
    let number = reader.required::<u32>("number", &NUMBERS);
    let title = reader.required::<Text>("title", &Line::RoomTitle);
    let capacity = reader.required::<u32>("capacity", &CAPACITIES);
    let password = reader.optional::<Secret>("password", &());
    match (number, title, capacity) {
        (Some(number), Some(title), Some(capacity)) if reader.faults.is_empty() => {
            Ok(RoomSettings { number: RoomNumber(number), title, capacity, password })
        }
        _ => Err(reader.faults),
    }
}

struct Reader<'a> {
    table: &'a DeTable<'a>,
    source: &'a str,
    faults: Vec<RoomFault>,
}

impl Reader<'_> {
    fn required<T: Value>(&mut self, key: &'static str, allowed: &T::Allowed) -> Option<T> {
        if !self.table.contains_key(key) {
            self.faults.push(RoomFault::Missing { key });
        }
        self.optional(key, allowed)
    }

    fn optional<T: Value>(&mut self, key: &'static str, allowed: &T::Allowed) -> Option<T> {
        let value = self.table.get(key)?;
        let given = Given::typed(value, self.source);
        match T::read(given, allowed) {
            Ok(value) => Some(value),
            Err(refusal) => {
                let (shown, allowed) = (T::shown(given), T::allowed(allowed));
                self.faults.push(RoomFault::Refused { key, at: value.span().start, shown, allowed, refusal });
                None
            }
        }
    }
}
