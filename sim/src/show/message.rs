//! Packets and what else is sent, as names, fields and kinds.

use lobbyd_core::packet::ServerPacket;

use super::chart::{Field, Kind};
use crate::scenario::{Operation, fields};

/// What stands in the place of a secret.
pub(super) const SECRET: &str = "(kept secret)";

/// What something that is sent looks like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sent {
    pub(super) kind: Kind,
    pub(super) name: String,
    pub(super) fields: Vec<Field>,
    /// The number of the request that it is, or answers.
    pub(super) request: Option<u32>,
}

/// How many bytes of what is no packet are shown.
const RAW_BYTES_MAX: usize = 256;
/// How many characters of a field are shown.
const VALUE_CHARS_MAX: usize = 4000;
/// Fields in the order in which one reads them; others follow, by name, before the long ones at the end.
const FIRST: [&str; 16] = [
    "version_min",
    "version_max",
    "request",
    "ok",
    "refused",
    "room",
    "sequence",
    "id",
    "name",
    "nickname",
    "user",
    "by",
    "cause",
    "banned",
    "owner",
    "epoch",
];
const LAST: [&str; 4] = ["users", "rooms", "text", "title"];

/// What a client sends by an operation; none if it sends nothing. `request` is the number that a request would have.
pub(super) fn of_operation(operation: &Operation, request: u32) -> Option<Sent> {
    let ask = |name: &str, fields: Vec<(&str, String)>| {
        let mut all = vec![("request", request.to_string())];
        all.extend(fields);
        Some(Sent { request: Some(request), ..sent(Kind::Request, name, all) })
    };
    let secret = || SECRET.to_owned();
    let password = |password: &Option<String>| if password.is_some() { secret() } else { "none".to_owned() };
    match operation {
        Operation::Connect { daemon: _ } => Some(sent(Kind::Connection, "connect", Vec::new())),
        Operation::Hello { version } => Some(sent(Kind::Connection, "Hello", vec![("version", version.to_string())])),
        Operation::Ping { nonce } => Some(sent(Kind::Heartbeat, "Ping", vec![("nonce", nonce.to_string())])),
        Operation::Login { user, secret: _ } => {
            ask("LoginRequest", vec![("user", quoted(user.as_bytes())), ("secret", secret())])
        }
        Operation::Logout => ask("LogoutRequest", Vec::new()),
        Operation::RoomList { from, limit } => {
            ask("RoomListRequest", vec![("from", from.to_string()), ("limit", limit.to_string())])
        }
        Operation::RoomCreate { title, capacity, password: protected } => ask(
            "RoomCreateRequest",
            vec![
                ("title", quoted(title.as_bytes())),
                ("capacity", capacity.to_string()),
                ("password", password(protected)),
            ],
        ),
        Operation::RoomEnter { room, password: given } => {
            ask("RoomEnterRequest", vec![("room", room.to_string()), ("password", password(given))])
        }
        Operation::RoomLeave { room } => ask("RoomLeaveRequest", vec![("room", room.to_string())]),
        Operation::RoomChat { room, text } => {
            ask("RoomChatRequest", vec![("room", room.to_string()), ("text", quoted(text))])
        }
        Operation::DirectMessage { user, text } => {
            ask("DirectMessageRequest", vec![("user", quoted(user.as_bytes())), ("text", quoted(text))])
        }
        Operation::Kick { room, client, ban } => {
            ask("KickRequest", vec![("room", room.to_string()), ("user", client.clone()), ("ban", ban.to_string())])
        }
        Operation::Command { name, parameters, timestamp } => ask(
            "CustomCommand",
            vec![
                ("command_type", quoted(name.as_bytes())),
                ("parameters", quoted(parameters)),
                ("timestamp", timestamp.to_string()),
            ],
        ),
        Operation::Raw(bytes) => {
            Some(sent(Kind::Connection, "bytes", vec![("bytes", hex(bytes)), ("count", bytes.len().to_string())]))
        }
        Operation::HalfClose => Some(sent(Kind::Connection, "end of writing", Vec::new())),
        Operation::Close => Some(sent(Kind::Connection, "close", Vec::new())),
        Operation::Reset => Some(sent(Kind::Connection, "reset", Vec::new())),
        Operation::Vanish | Operation::StopReading | Operation::ResumeReading => None,
    }
}

/// A packet of a daemon's.
pub(super) fn of_packet(packet: &ServerPacket) -> Sent {
    let (name, fields) = fields::of(packet);
    let request = fields.get("request").and_then(|request| request.parse().ok());
    let kind = match name.as_str() {
        "Ping" | "Pong" => Kind::Heartbeat,
        "Welcome" | "GoAway" | "Closing" => Kind::Connection,
        _ if fields.contains_key("refused") => Kind::Refusal,
        _ if request.is_some() => Kind::Response,
        _ => Kind::Notify,
    };
    let mut fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
    // Stable, so that what has no place keeps the order of its name.
    fields.sort_by_key(|(name, _)| place(name));
    Sent { request, ..sent(kind, &name, fields) }
}

/// A client's answer to a ping.
pub(super) fn of_pong(nonce: u64) -> Sent {
    sent(Kind::Heartbeat, "Pong", vec![("nonce", nonce.to_string())])
}

/// The end of a daemon's stream.
pub(super) fn of_end() -> Sent {
    sent(Kind::Connection, "end of stream", Vec::new())
}

/// What a daemon says to Redis, or Redis to it.
pub(super) fn of_redis(words: &str) -> Sent {
    // The link's own heartbeat is of no more interest than the clients'.
    let kind = if matches!(words, "ping" | "pong") { Kind::Heartbeat } else { Kind::Redis };
    sent(kind, words, Vec::new())
}

fn place(field: &str) -> usize {
    let first = FIRST.iter().position(|known| *known == field);
    let last = || LAST.iter().position(|known| *known == field).map(|place| FIRST.len() + 1 + place);
    first.or_else(last).unwrap_or(FIRST.len())
}

fn sent(kind: Kind, name: &str, fields: Vec<(&str, String)>) -> Sent {
    let field = |(name, value): (&str, String)| Field {
        is_brief: is_brief(name, &value),
        name: name.to_owned(),
        value: super::escape::shorten(&value, VALUE_CHARS_MAX),
    };
    Sent { kind, name: name.to_owned(), fields: fields.into_iter().map(field).collect(), request: None }
}

/// Whether a short form needs the field: what is there for machines, or says what is so anyway, can be looked up.
fn is_brief(field: &str, value: &str) -> bool {
    let is_for_machines =
        matches!(field, "epoch" | "server" | "frame_bytes_max" | "text_bytes_max" | "heartbeat_interval_ms" | "count");
    let says_nothing = value == "none" || (field == "last" && value == "true") || (field == "ban" && value == "false");
    !is_for_machines && !says_nothing
}

/// As expectations write texts, or as bytes if it is none.
fn quoted(text: &[u8]) -> String {
    match std::str::from_utf8(text) {
        Ok(text) => serde_json::Value::from(text).to_string(),
        Err(_) => format!("hex:{}", hex(text)),
    }
}

fn hex(bytes: &[u8]) -> String {
    let shown: Vec<_> = bytes.iter().take(RAW_BYTES_MAX).map(|byte| format!("{byte:02x}")).collect();
    let rest = bytes.len().saturating_sub(RAW_BYTES_MAX);
    let more = if rest > 0 { format!(" … ({rest} more)") } else { String::new() };
    shown.join(" ") + &more
}
