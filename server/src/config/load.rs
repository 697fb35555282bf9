//! Reading: file, environment and flags one over the other, gathering every problem on the way.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::{fmt, io};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::{ConfigErrors, Origin, Problem};
use super::relations;
use super::room::{ROOM_KEYS, RoomFault, read_room};
use super::suggestion::closest;
use super::table::{Entry, SECTIONS, Settings, entry};
use super::value::{Given, Refusal};

/// Where settings come from, apart from the defaults.
#[derive(Clone, Default)]
pub struct Sources {
    /// The TOML file. If absent, the environment variable `LOBBYD_CONFIG` names it; without that no file is read.
    pub file: Option<PathBuf>,
    /// Environment variables. Those that do not begin with `LOBBYD_` are left alone.
    pub environment: Vec<(OsString, OsString)>,
    /// Flags of the command line.
    pub flags: Vec<Flag>,
}

impl Sources {
    /// The TOML file that will be read, if any.
    #[must_use]
    pub fn named_file(&self) -> Option<&Path> {
        let by_variable = || self.environment.iter().find(|(name, _)| name == FILE_VARIABLE);
        self.file.as_deref().or_else(|| by_variable().map(|(_, path)| Path::new(path)))
    }
}

impl fmt::Debug for Sources {
    /// Without the values of variables, which may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let variables: Vec<&OsString> = self.environment.iter().map(|(name, _)| name).collect();
        let Self { file, environment: _, flags } = self;
        f.debug_struct("Sources").field("file", file).field("environment", &variables).field("flags", flags).finish()
    }
}

/// A setting given on the command line.
#[derive(Clone, PartialEq, Eq)]
pub struct Flag {
    /// The flag, for messages: `--store`.
    pub name: &'static str,
    /// The setting: `server.store`.
    pub key: String,
    /// Its value, as text.
    pub value: String,
}

impl fmt::Debug for Flag {
    /// Without the value, which may hold a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.key)
    }
}

/// What environment variables for settings begin with.
const VARIABLE_PREFIX: &str = "LOBBYD_";
/// The variable that names the file.
const FILE_VARIABLE: &str = "LOBBYD_CONFIG";
/// The setting that is not in the table: a list of rooms.
pub(super) const ROOMS: &str = "rooms";
/// What `rooms` allows.
pub(super) const ROOMS_ALLOWED: &str = "a list of rooms, in a file one [[rooms]] table for each";

/// The environment variable of a setting.
pub(super) fn variable(name: &str) -> String {
    format!("{VARIABLE_PREFIX}{}", name.replace('.', "_").to_uppercase())
}

pub(super) fn load(sources: &Sources) -> Result<Settings, ConfigErrors> {
    let mut loading = Loading::default();
    let all_is_known = match sources.named_file() {
        Some(path) => loading.read_file(path),
        None => true,
    };
    loading.read_environment(&sources.environment);
    loading.read_flags(&sources.flags);
    if loading.origin(ROOMS) == Origin::Default {
        // Who bounds every room did not choose the capacity of this one.
        let members_max = loading.settings.lobby.room_members_max;
        loading.settings.rooms.iter_mut().for_each(|room| room.capacity = room.capacity.min(members_max));
    }
    // What an unreadable file would have said may be just what makes the other values go together.
    if all_is_known {
        relations::check(&mut loading);
    }
    ConfigErrors::unless_empty(loading.problems, loading.settings)
}

/// Settings while they are read.
#[derive(Default)]
pub(super) struct Loading {
    pub(super) settings: Settings,
    /// Where each setting that is not the default came from, by its full name.
    origins: BTreeMap<&'static str, Origin>,
    /// Where each room came from.
    pub(super) room_origins: Vec<Origin>,
    /// Settings whose value is refused, so that nothing more can be said about them.
    refused: BTreeSet<&'static str>,
    problems: Vec<Problem>,
}

impl Loading {
    /// Where a setting came from.
    pub(super) fn origin(&self, name: &str) -> Origin {
        self.origins.get(name).cloned().unwrap_or(Origin::Default)
    }

    /// Whether the setting's value is refused.
    pub(super) fn is_refused(&self, name: &str) -> bool {
        self.refused.contains(name)
    }

    /// Notes that the setting's value is refused.
    pub(super) fn refuse(&mut self, name: &'static str) {
        self.refused.insert(name);
    }

    /// Notes a problem.
    pub(super) fn report(&mut self, origin: Origin, message: String) {
        self.problems.push(Problem { origin, message });
    }

    /// Reads the file; `false` if it cannot be read as TOML, so that nobody knows what it says.
    fn read_file(&mut self, path: &Path) -> bool {
        let whole = Origin::File { path: path.to_owned(), line: None };
        let source = match std::fs::read_to_string(path) {
            Ok(source) => source,
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                self.report(whole, String::from("the file is not UTF-8 text; save it as UTF-8"));
                return false;
            }
            Err(error) => {
                self.report(whole, format!("the file cannot be read: {error}"));
                return false;
            }
        };
        let place = Place::File { path, source: &source };
        let (document, faults) = DeTable::parse_recoverable(&source);
        for fault in &faults {
            let at = fault.span().map_or(0, |span| span.start);
            self.report(place.at(at), format!("this is not TOML: {}", fault.message()));
        }
        if faults.is_empty() {
            self.read_document(document.get_ref(), &place);
        }
        faults.is_empty()
    }

    fn read_document(&mut self, document: &DeTable<'_>, place: &Place<'_>) {
        for (name, value) in document {
            let section = SECTIONS.iter().find(|section| section.name == name.get_ref().as_ref());
            match (section, value.get_ref()) {
                (Some(section), DeValue::Table(table)) => {
                    for (key, value) in table {
                        let at = place.at(key.span().start);
                        match section.entries.iter().find(|entry| entry.key == key.get_ref().as_ref()) {
                            Some(entry) => self.read_entry(entry, Given::typed(value, place.source()), at),
                            None => self.report(at, unknown(&format!("{}.{}", section.name, key.get_ref()))),
                        }
                    }
                }
                (Some(section), _) => {
                    let message = format!("{0} is a section, write [{0}] and its settings below", section.name);
                    self.report(place.at(name.span().start), message);
                }
                (None, _) if name.get_ref() == ROOMS => self.read_rooms(value, place),
                (None, DeValue::Table(_)) => {
                    let message = unknown_section(name.get_ref());
                    self.report(place.at(name.span().start), message);
                }
                (None, _) => self.report(place.at(name.span().start), unknown(name.get_ref())),
            }
        }
    }

    fn read_environment(&mut self, environment: &[(OsString, OsString)]) {
        for (name, value) in environment {
            let Some(name) = name.to_str().filter(|name| name.starts_with(VARIABLE_PREFIX)) else { continue };
            if name == FILE_VARIABLE || is_kubernetes(name, value) {
                continue;
            }
            let origin = Origin::Variable(name.to_owned());
            let Some(value) = value.to_str() else {
                self.report(origin, String::from("the value is not UTF-8 text"));
                continue;
            };
            let mut entries = SECTIONS.iter().flat_map(|section| section.entries);
            match entries.find(|entry| variable(entry.name) == name) {
                Some(entry) => self.read_entry(entry, Given::Plain(value), origin),
                None if name == variable(ROOMS) => {
                    self.read_plain_rooms(value, &Place::Other { origin, source: value })
                }
                None => self.report(origin, unknown_variable(name)),
            }
        }
    }

    fn read_flags(&mut self, flags: &[Flag]) {
        for (index, flag) in flags.iter().enumerate() {
            let origin = Origin::Flag(flag.name.to_owned());
            if flags[..index].iter().any(|other| other.key == flag.key) {
                self.report(origin, format!("{} is given twice on the command line", flag.key));
                continue;
            }
            match entry(&flag.key) {
                Some(entry) => self.read_entry(entry, Given::Plain(&flag.value), origin),
                None if flag.key == ROOMS => {
                    self.read_plain_rooms(&flag.value, &Place::Other { origin, source: &flag.value });
                }
                None => self.report(origin, unknown(&flag.key)),
            }
        }
    }

    fn read_entry(&mut self, entry: &'static Entry, given: Given<'_>, origin: Origin) {
        match (entry.read)(&mut self.settings, given) {
            Ok(()) => {
                self.refused.remove(entry.name);
            }
            Err(refusal) => {
                self.refused.insert(entry.name);
                let message = refused(entry.name, &(entry.shown)(given), &(entry.allowed)(), &refusal);
                self.report(origin.clone(), message);
            }
        }
        self.origins.insert(entry.name, origin);
    }

    /// Rooms as text: a TOML array of tables.
    fn read_plain_rooms(&mut self, text: &str, place: &Place<'_>) {
        let (value, faults) = DeValue::parse_recoverable(text);
        match faults.first() {
            None => self.read_rooms(&value, place),
            // The value is not shown: it may hold passwords.
            Some(fault) => {
                self.refuse(ROOMS);
                let example = "[{ number = 1, title = \"General\", capacity = 100 }]";
                let message = format!("{ROOMS} is not TOML ({}), allowed is a list such as {example}", fault.message());
                self.report(place.at(0), message);
            }
        }
    }

    fn read_rooms(&mut self, value: &Spanned<DeValue<'_>>, place: &Place<'_>) {
        self.refused.remove(ROOMS);
        self.origins.insert(ROOMS, place.at(value.span().start));
        self.settings.rooms.clear();
        self.room_origins.clear();
        let DeValue::Array(list) = value.get_ref() else {
            self.refuse(ROOMS);
            let kind = value.get_ref().type_str();
            self.report(place.at(value.span().start), format!("{ROOMS} is a {kind}, allowed is {ROOMS_ALLOWED}"));
            return;
        };
        for (index, item) in list.iter().enumerate() {
            let at = place.at(item.span().start);
            let Some(table) = item.get_ref().as_table() else {
                self.refuse(ROOMS);
                self.report(at, format!("{ROOMS} holds something that is no room, allowed is {ROOMS_ALLOWED}"));
                continue;
            };
            match read_room(table, place.source()) {
                Ok(room) => {
                    self.settings.rooms.push(room);
                    self.room_origins.push(at);
                }
                Err(faults) => {
                    self.refuse(ROOMS);
                    for fault in faults {
                        self.report_room(&fault, index, place, &at);
                    }
                }
            }
        }
    }

    fn report_room(&mut self, fault: &RoomFault, index: usize, place: &Place<'_>, room: &Origin) {
        match fault {
            RoomFault::Unknown { key, at } => {
                let known = ROOM_KEYS.iter().map(|known| known.key);
                let keys: Vec<&str> = known.clone().collect();
                let hint = match closest(key, "\0", known) {
                    Some(key) => format!("did you mean {key}?"),
                    None => format!("a room has {}", keys.join(", ")),
                };
                let message = format!("{} is unknown; {hint}", room_key(key, index));
                self.report(place.at(*at), message);
            }
            RoomFault::Missing { key } => {
                let allowed = ROOM_KEYS.iter().find(|known| known.key == *key).map(|known| (known.allowed)());
                let message =
                    format!("{} is missing, allowed is {}", room_key(key, index), allowed.unwrap_or_default());
                self.report(room.clone(), message);
            }
            RoomFault::Refused { key, at, shown, allowed, refusal } => {
                self.report(place.at(*at), refused(&room_key(key, index), shown, allowed, refusal));
            }
        }
    }
}

/// The full name of a key of the room at `index` of the list.
pub(super) fn room_key(key: &str, index: usize) -> String {
    format!("{ROOMS}.{} (room {} in the list)", Name(key), index + 1)
}

/// What is being read, to say where in it something is.
enum Place<'a> {
    File { path: &'a Path, source: &'a str },
    Other { origin: Origin, source: &'a str },
}

impl Place<'_> {
    fn source(&self) -> &str {
        match self {
            Self::File { source, .. } | Self::Other { source, .. } => source,
        }
    }

    fn at(&self, offset: usize) -> Origin {
        match self {
            Self::File { path, source } => {
                let before = &source.as_bytes()[..offset.min(source.len())];
                let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
                Origin::File { path: path.to_path_buf(), line: Some(line) }
            }
            Self::Other { origin, .. } => origin.clone(),
        }
    }
}

/// A name that somebody wrote, for people: shortened, and without anything that steers a terminal.
struct Name<'a>(&'a str);

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let short: String = self.0.chars().take(80).collect();
        write!(f, "{}", short.escape_debug())
    }
}

fn refused(name: &str, shown: &str, allowed: &str, refusal: &Refusal) -> String {
    let message = format!("{name} is {shown}, allowed is {allowed}");
    match &refusal.because {
        Some(reason) => format!("{message}; {reason}"),
        None => message,
    }
}

/// An unknown setting. Its value is not shown: it may be a secret whose name is misspelled.
fn unknown(name: &str) -> String {
    let known = SECTIONS.iter().flat_map(|section| section.entries).map(|entry| entry.name);
    let tail = format!(".{}", name.rsplit('.').next().unwrap_or_default());
    unknown_message("setting", name, closest(name, &tail, known.chain([ROOMS])))
}

fn unknown_section(name: &str) -> String {
    let known = SECTIONS.iter().map(|section| section.name).chain([ROOMS]);
    unknown_message("section", name, closest(name, "\0", known))
}

fn unknown_variable(name: &str) -> String {
    let known: Vec<String> =
        SECTIONS.iter().flat_map(|section| section.entries).map(|entry| variable(entry.name)).collect();
    let tail = name.replacen(VARIABLE_PREFIX, "_", 1);
    let rooms = variable(ROOMS);
    let known = known.iter().map(String::as_str).chain([rooms.as_str(), FILE_VARIABLE]);
    unknown_message("setting", name, closest(name, &tail, known))
}

fn unknown_message(kind: &str, name: &str, suggestion: Option<&str>) -> String {
    let hint = match suggestion {
        Some(suggestion) => format!("did you mean {suggestion}?"),
        None => format!("`lobbyd config doc` lists every {kind}"),
    };
    format!("there is no {kind} {}; {hint}", Name(name))
}

/// Whether Kubernetes made this variable for a service whose name begins with `lobbyd`. It does so for every service of
/// a namespace, in every container, and nobody can switch off what they did not write.
fn is_kubernetes(name: &str, value: &OsStr) -> bool {
    let is_url = value.to_str().is_some_and(|value| value.contains("://"));
    let after_port = name.split("_PORT_").nth(1).unwrap_or_default();
    let names_a_port = after_port.split_once('_').is_some_and(|(port, rest)| {
        port.bytes().all(|byte| byte.is_ascii_digit())
            && ["TCP", "UDP", "SCTP"].iter().any(|kind| rest.starts_with(kind))
    });
    name.ends_with("_SERVICE_HOST")
        || name.contains("_SERVICE_PORT")
        || (name.ends_with("_PORT") && is_url)
        || names_a_port
}
