//! The commands, each with the arguments it takes.

mod hashes;
mod keys;
mod sessions;
mod strings;

use std::ops::RangeInclusive;

use super::reply::Reply;
use super::scripts;
use super::store::{ConnectionId, Store};

/// The answer, or the refusal, which is an answer too.
pub(super) type Answer = Result<Reply, Reply>;

/// How a command is run.
pub(super) struct Handler {
    /// In lower case; that of a subcommand as Redis writes it.
    pub(super) name: &'static str,
    /// How many arguments it takes, its name not counted.
    arguments: RangeInclusive<usize>,
    pub(super) run: fn(&mut Store, ConnectionId, &[Vec<u8>]) -> Answer,
}

/// The handler of a command and its arguments.
///
/// # Errors
/// The refusal, when there is no such command or it does not take so many arguments.
pub(super) fn find<'a>(name: &[u8], arguments: &'a [Vec<u8>]) -> Result<(&'static Handler, &'a [Vec<u8>]), Reply> {
    let lower = word(name);
    let is_container = matches!(lower.as_str(), "client" | "script");
    let (lower, arguments) = match arguments.split_first() {
        Some((subcommand, arguments)) if is_container => {
            let whole = format!("{lower}|{}", word(subcommand));
            if by_name(&whole).is_none() {
                let (subcommand, name) = (String::from_utf8_lossy(subcommand), lower.to_ascii_uppercase());
                return Err(Reply::error(format!("ERR unknown subcommand '{subcommand}'. Try {name} HELP.")));
            }
            (whole, arguments)
        }
        None if is_container => return Err(wrong_number(&lower)),
        Some(_) | None => (lower, arguments),
    };
    let handler = by_name(&lower).ok_or_else(|| unknown(name, arguments))?;
    if handler.arguments.contains(&arguments.len()) { Ok((handler, arguments)) } else { Err(wrong_number(&lower)) }
}

/// The handler of this name, if there is one.
pub(super) fn by_name(name: &str) -> Option<&'static Handler> {
    HANDLERS.iter().find(|handler| handler.name == name)
}

const MANY: usize = usize::MAX;

#[rustfmt::skip]
static HANDLERS: &[Handler] = &[
    Handler { name: "auth", arguments: 1..=2, run: sessions::auth },
    Handler { name: "client|getname", arguments: 0..=0, run: sessions::client_getname },
    Handler { name: "client|id", arguments: 0..=0, run: sessions::client_id },
    Handler { name: "client|setinfo", arguments: 2..=2, run: sessions::client_setinfo },
    Handler { name: "client|setname", arguments: 1..=1, run: sessions::client_setname },
    Handler { name: "hello", arguments: 0..=MANY, run: sessions::hello },
    Handler { name: "ping", arguments: 0..=1, run: sessions::ping },
    Handler { name: "publish", arguments: 2..=2, run: sessions::publish },
    Handler { name: "select", arguments: 1..=1, run: sessions::select },
    Handler { name: "subscribe", arguments: 1..=MANY, run: sessions::subscribe },
    Handler { name: "unsubscribe", arguments: 0..=MANY, run: sessions::unsubscribe },
    Handler { name: "get", arguments: 1..=1, run: strings::get },
    Handler { name: "set", arguments: 2..=MANY, run: strings::set },
    Handler { name: "hdel", arguments: 2..=MANY, run: hashes::hdel },
    Handler { name: "hexists", arguments: 2..=2, run: hashes::hexists },
    Handler { name: "hget", arguments: 2..=2, run: hashes::hget },
    Handler { name: "hlen", arguments: 1..=1, run: hashes::hlen },
    Handler { name: "hmget", arguments: 2..=MANY, run: hashes::hmget },
    Handler { name: "hset", arguments: 3..=MANY, run: hashes::hset },
    Handler { name: "hsetnx", arguments: 3..=3, run: hashes::hsetnx },
    Handler { name: "dbsize", arguments: 0..=0, run: keys::dbsize },
    Handler { name: "del", arguments: 1..=MANY, run: keys::del },
    Handler { name: "exists", arguments: 1..=MANY, run: keys::exists },
    Handler { name: "flushall", arguments: 0..=MANY, run: keys::flushall },
    Handler { name: "persist", arguments: 1..=1, run: keys::persist },
    Handler { name: "pexpire", arguments: 2..=MANY, run: keys::pexpire },
    Handler { name: "pttl", arguments: 1..=1, run: keys::pttl },
    Handler { name: "scan", arguments: 1..=MANY, run: keys::scan },
    Handler { name: "type", arguments: 1..=1, run: keys::kind },
    Handler { name: "eval", arguments: 2..=MANY, run: scripts::eval },
    Handler { name: "evalsha", arguments: 2..=MANY, run: scripts::evalsha },
    Handler { name: "script|exists", arguments: 1..=MANY, run: scripts::script_exists },
    Handler { name: "script|flush", arguments: 0..=0, run: scripts::script_flush },
    Handler { name: "script|load", arguments: 1..=1, run: scripts::script_load },
];

pub(super) fn syntax_error() -> Reply {
    Reply::error("ERR syntax error")
}

/// A whole number, written as Redis takes it: without a plus, leading zeros or spaces.
pub(super) fn integer(bytes: &[u8]) -> Result<i64, Reply> {
    strict_integer(bytes).ok_or_else(|| Reply::error("ERR value is not an integer or out of range"))
}

pub(super) fn strict_integer(bytes: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(bytes).ok()?;
    let number: i64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

/// A word that is taken in any case.
pub(super) fn word(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).to_ascii_lowercase()
}

/// The refusal of a command with too few or too many arguments.
pub(super) fn wrong_number(name: &str) -> Reply {
    Reply::error(format!("ERR wrong number of arguments for '{name}' command"))
}

fn unknown(name: &[u8], arguments: &[Vec<u8>]) -> Reply {
    const SHOWN: usize = 128;
    let name = String::from_utf8_lossy(&name[..name.len().min(SHOWN)]);
    let mut shown = String::new();
    for argument in arguments {
        if shown.len() >= SHOWN {
            break;
        }
        let argument = &argument[..argument.len().min(SHOWN - shown.len())];
        shown += &format!("'{}' ", String::from_utf8_lossy(argument));
    }
    Reply::error(format!("ERR unknown command '{name}', with args beginning with: {shown}"))
}
