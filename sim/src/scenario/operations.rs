//! What a client does: `alice chat 1 "hello"`, read and written.

use lobbyd_core::id::RoomNumber;
use lobbyd_core::packet::PROTOCOL_VERSION;

use super::Operation;
use super::error::did_you_mean;
use super::names::Names;
use super::tokens::{self, Line, Parsed, Refusal, here, show_string, show_text_or_bytes};

/// The verbs, each of which is one operation.
pub(super) const VERBS: [&str; 20] = [
    "connect",
    "hello",
    "login",
    "logout",
    "list",
    "create",
    "enter",
    "leave",
    "chat",
    "tell",
    "kick",
    "command",
    "ping",
    "raw",
    "half-close",
    "close",
    "reset",
    "vanish",
    "stop-reading",
    "resume-reading",
];

/// The verb that comes next on the line, and what belongs to it.
pub(super) fn operation(line: &mut Line<'_>, names: &Names) -> Parsed<Operation> {
    let at = here(line);
    let verb = tokens::word(line, VERB)?;
    Ok(match verb {
        "connect" => Operation::Connect { daemon: daemon_after(line, "to", names)? },
        "hello" => Operation::Hello { version: optional_number(line, PROTOCOL_VERSION)? },
        "login" => Operation::Login {
            user: tokens::string(line, "a user name, as it is typed")?,
            secret: tokens::string(line, "a secret, as it is typed")?,
        },
        "logout" => Operation::Logout,
        "list" => Operation::RoomList {
            from: if tokens::keyword(line, "from") { room(line)? } else { RoomNumber(0) },
            limit: if tokens::keyword(line, "limit") { tokens::number(line, "how many rooms")? } else { 0 },
        },
        "create" => Operation::RoomCreate {
            title: tokens::string(line, "a title")?,
            capacity: capacity(line)?,
            password: password(line)?,
        },
        "enter" => Operation::RoomEnter { room: room(line)?, password: password(line)? },
        "leave" => Operation::RoomLeave { room: room(line)? },
        "chat" => Operation::RoomChat { room: room(line)?, text: tokens::text_or_bytes(line, "a text")? },
        "tell" => Operation::DirectMessage {
            user: tokens::string(line, "a user name, as it is typed")?,
            text: tokens::text_or_bytes(line, "a text")?,
        },
        "kick" => Operation::Kick { room: room(line)?, client: names.client(line)?, ban: tokens::keyword(line, "ban") },
        "command" => Operation::Command {
            name: tokens::string(line, "a command's name, as it is typed")?,
            parameters: parameters(line)?,
            timestamp: if tokens::keyword(line, "timestamp") { tokens::number(line, TIMESTAMP)? } else { 0 },
        },
        "ping" => Operation::Ping { nonce: tokens::number(line, "a nonce, which is a whole number")? },
        "raw" => Operation::Raw(raw(line)?),
        "half-close" => Operation::HalfClose,
        "close" => Operation::Close,
        "reset" => Operation::Reset,
        "vanish" => Operation::Vanish,
        "stop-reading" => Operation::StopReading,
        "resume-reading" => Operation::ResumeReading,
        other => {
            let help = did_you_mean(other, VERBS.into_iter().chain([ARRIVES]));
            let help = help.unwrap_or_else(|| format!("the verbs are {}, {ARRIVES}", VERBS.join(", ")));
            return Err(Refusal::expected(at, VERB).with_help(help));
        }
    })
}

/// The verb that stands for several operations.
pub(super) const ARRIVES: &str = "arrives";

const VERB: &str = "what the client does, such as connect, login or chat";

/// The daemon after a keyword, or the first one.
pub(super) fn daemon_after(line: &mut Line<'_>, keyword: &str, names: &Names) -> Parsed<String> {
    if tokens::keyword(line, keyword) {
        return names.daemon(line);
    }
    Ok(names.daemons.first().expect("there is always a daemon").clone())
}

/// A room's number.
pub(super) fn room(line: &mut Line<'_>) -> Parsed<RoomNumber> {
    tokens::number(line, "a room's number").map(RoomNumber)
}

/// `capacity 5`.
pub(super) fn capacity(line: &mut Line<'_>) -> Parsed<u32> {
    if !tokens::keyword(line, "capacity") {
        return Err(Refusal::expected(here(line), "`capacity` and how many may be in the room"));
    }
    tokens::number(line, "how many may be in the room")
}

/// `password "sesame"`, perhaps.
pub(super) fn password(line: &mut Line<'_>) -> Parsed<Option<String>> {
    if tokens::keyword(line, "password") { tokens::string(line, "a password").map(Some) } else { Ok(None) }
}

/// Parameters, perhaps.
fn parameters(line: &mut Line<'_>) -> Parsed<Vec<u8>> {
    let are_given = line.starts_with('"') || line.starts_with("hex:");
    if are_given { tokens::text_or_bytes(line, "parameters") } else { Ok(Vec::new()) }
}

const TIMESTAMP: &str = "milliseconds since 1970";

fn optional_number(line: &mut Line<'_>, otherwise: u32) -> Parsed<u32> {
    let is_given = tokens::peek_word(line).is_some_and(|word| word.starts_with(|first: char| first.is_ascii_digit()));
    if is_given { tokens::number(line, "a whole number") } else { Ok(otherwise) }
}

/// Hexadecimal digits in one or more groups, or a text whose bytes are meant.
fn raw(line: &mut Line<'_>) -> Parsed<Vec<u8>> {
    if line.starts_with('"') {
        return tokens::quoted(line).map(String::into_bytes);
    }
    let mut bytes = tokens::hex(line)?;
    while tokens::peek_word(line).is_some_and(|word| word.bytes().all(|digit| digit.is_ascii_hexdigit())) {
        bytes.extend(tokens::hex(line)?);
    }
    Ok(bytes)
}

/// The operation as [`operation`] reads it. `daemon` is where one connects to without saying so.
pub(super) fn show(operation: &Operation, first_daemon: Option<&str>) -> String {
    match operation {
        Operation::Connect { daemon } if Some(daemon.as_str()) == first_daemon => "connect".to_owned(),
        Operation::Connect { daemon } => format!("connect to {daemon}"),
        Operation::Hello { version: PROTOCOL_VERSION } => "hello".to_owned(),
        Operation::Hello { version } => format!("hello {version}"),
        Operation::Login { user, secret } => format!("login {} {}", show_string(user), show_string(secret)),
        Operation::Logout => "logout".to_owned(),
        Operation::RoomList { from, limit } => {
            let from = if from.0 == 0 { String::new() } else { format!(" from {from}") };
            let limit = if *limit == 0 { String::new() } else { format!(" limit {limit}") };
            format!("list{from}{limit}")
        }
        Operation::RoomCreate { title, capacity, password } => {
            format!("create {} capacity {capacity}{}", tokens::show_quoted(title), show_password(password.as_deref()))
        }
        Operation::RoomEnter { room, password } => format!("enter {room}{}", show_password(password.as_deref())),
        Operation::RoomLeave { room } => format!("leave {room}"),
        Operation::RoomChat { room, text } => format!("chat {room} {}", show_text_or_bytes(text)),
        Operation::DirectMessage { user, text } => format!("tell {} {}", show_string(user), show_text_or_bytes(text)),
        Operation::Kick { room, client, ban } => format!("kick {room} {client}{}", if *ban { " ban" } else { "" }),
        Operation::Command { name, parameters, timestamp } => {
            let name = show_string(name);
            let parameters =
                if parameters.is_empty() { String::new() } else { format!(" {}", show_text_or_bytes(parameters)) };
            let timestamp = if *timestamp == 0 { String::new() } else { format!(" timestamp {timestamp}") };
            format!("command {name}{parameters}{timestamp}")
        }
        Operation::Ping { nonce } => format!("ping {nonce}"),
        Operation::Raw(bytes) if bytes.is_empty() => "raw \"\"".to_owned(),
        Operation::Raw(bytes) => format!("raw {}", tokens::show_hex(bytes)),
        Operation::HalfClose => "half-close".to_owned(),
        Operation::Close => "close".to_owned(),
        Operation::Reset => "reset".to_owned(),
        Operation::Vanish => "vanish".to_owned(),
        Operation::StopReading => "stop-reading".to_owned(),
        Operation::ResumeReading => "resume-reading".to_owned(),
    }
}

/// A password as [`password`] reads it, with a space before it.
pub(super) fn show_password(password: Option<&str>) -> String {
    password.map(|password| format!(" password {}", show_string(password))).unwrap_or_default()
}
