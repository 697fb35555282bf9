//! Commands about the connection itself, and messages between connections.

use super::super::reply::{Protocol, Reply};
use super::super::store::{ConnectionId, DATABASES, Store};
use super::{Answer, integer, strict_integer, word, wrong_number};

/// The version that the model was compared with.
const VERSION: &str = "7.0.15";

pub(super) fn ping(store: &mut Store, connection: ConnectionId, arguments: &[Vec<u8>]) -> Answer {
    let message = arguments.first();
    if store.is_only_listening(connection) {
        let message = Reply::bulk(message.cloned().unwrap_or_default());
        return Ok(Reply::Array(vec![Reply::bulk("pong"), message]));
    }
    Ok(message.map_or(Reply::Simple("PONG"), |message| Reply::bulk(message.as_slice())))
}

/// `HELLO [version [AUTH user password] [SETNAME name]]`
pub(super) fn hello(store: &mut Store, connection: ConnectionId, arguments: &[Vec<u8>]) -> Answer {
    let mut protocol = store.connection(connection).protocol;
    let (mut login, mut name) = (None, None);
    if let Some((version, mut options)) = arguments.split_first() {
        protocol = match strict_integer(version) {
            Some(2) => Protocol::Resp2,
            Some(3) => Protocol::Resp3,
            Some(_) => return Err(Reply::error("NOPROTO unsupported protocol version")),
            None => return Err(Reply::error("ERR Protocol version is not an integer or out of range")),
        };
        while let Some((option, rest)) = options.split_first() {
            options = match (word(option).as_str(), rest) {
                ("auth", [user, password, rest @ ..]) => {
                    login = Some((user, password));
                    rest
                }
                ("setname", [given, rest @ ..]) => {
                    name = Some(given);
                    rest
                }
                _ => {
                    let option = String::from_utf8_lossy(option);
                    return Err(Reply::error(format!("ERR Syntax error in HELLO option '{option}'")));
                }
            };
        }
    }
    if let Some((user, password)) = login {
        log_in(store, connection, user, password)?;
    }
    if !store.may_speak(connection) {
        return Err(Reply::error(
            "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO AUTH <user> <pass> \
             option can be used to authenticate the client and select the RESP protocol version at the same time",
        ));
    }
    if let Some(name) = name {
        set_name(store, connection, name)?;
    }
    store.connection(connection).protocol = protocol;
    let number = i64::try_from(connection.0).unwrap_or(i64::MAX);
    let facts = [
        ("server", Reply::bulk("redis")),
        ("version", Reply::bulk(VERSION)),
        ("proto", Reply::Integer(if protocol == Protocol::Resp3 { 3 } else { 2 })),
        ("id", Reply::Integer(number)),
        ("mode", Reply::bulk("standalone")),
        ("role", Reply::bulk("master")),
        ("modules", Reply::Array(Vec::new())),
    ];
    Ok(Reply::Map(facts.into_iter().map(|(name, value)| (Reply::bulk(name), value)).collect()))
}

pub(super) fn auth(store: &mut Store, connection: ConnectionId, arguments: &[Vec<u8>]) -> Answer {
    match arguments {
        [password] if store.password().is_some() => log_in(store, connection, b"default", password)?,
        [_] => {
            return Err(Reply::error(
                "ERR AUTH <password> called without any password configured for the default user. Are you sure your \
                 configuration is correct?",
            ));
        }
        [user, password, ..] => log_in(store, connection, user, password)?,
        [] => return Err(wrong_number("auth")),
    }
    Ok(Reply::OK)
}

/// There is only the user `default`, and without a password everybody is.
fn log_in(store: &mut Store, connection: ConnectionId, user: &[u8], password: &[u8]) -> Result<(), Reply> {
    let is_right = user == b"default" && store.password().is_none_or(|right| right.as_bytes() == password);
    if !is_right {
        return Err(Reply::error("WRONGPASS invalid username-password pair or user is disabled."));
    }
    store.connection(connection).is_authenticated = true;
    Ok(())
}

pub(super) fn select(store: &mut Store, connection: ConnectionId, arguments: &[Vec<u8>]) -> Answer {
    let database = u32::try_from(integer(&arguments[0])?).ok().filter(|database| *database < DATABASES);
    store.connection(connection).database = database.ok_or_else(|| Reply::error("ERR DB index is out of range"))?;
    Ok(Reply::OK)
}

pub(super) fn client_id(_store: &mut Store, connection: ConnectionId, _arguments: &[Vec<u8>]) -> Answer {
    Ok(Reply::Integer(i64::try_from(connection.0).unwrap_or(i64::MAX)))
}

pub(super) fn client_getname(store: &mut Store, connection: ConnectionId, _arguments: &[Vec<u8>]) -> Answer {
    let name = &store.connection(connection).name;
    Ok(if name.is_empty() { Reply::Nil } else { Reply::bulk(name.clone()) })
}

pub(super) fn client_setname(store: &mut Store, connection: ConnectionId, arguments: &[Vec<u8>]) -> Answer {
    set_name(store, connection, &arguments[0]).map(|()| Reply::OK)
}

/// Since Redis 7.2; what a client says there goes nowhere.
pub(super) fn client_setinfo(_store: &mut Store, _connection: ConnectionId, _arguments: &[Vec<u8>]) -> Answer {
    Ok(Reply::OK)
}

fn set_name(store: &mut Store, connection: ConnectionId, name: &[u8]) -> Result<(), Reply> {
    if !name.iter().all(|byte| (b'!'..=b'~').contains(byte)) {
        return Err(Reply::error("ERR Client names cannot contain spaces, newlines or special characters."));
    }
    store.connection(connection).name = name.to_vec();
    Ok(())
}

pub(super) fn publish(store: &mut Store, _connection: ConnectionId, arguments: &[Vec<u8>]) -> Answer {
    Ok(Reply::count(store.publish(&arguments[0], &arguments[1])))
}

pub(super) fn subscribe(store: &mut Store, connection: ConnectionId, arguments: &[Vec<u8>]) -> Answer {
    let channels = &mut store.connection(connection).channels;
    let notes = arguments.iter().map(|channel| {
        channels.insert(channel.clone());
        note("subscribe", Reply::bulk(channel.as_slice()), channels.len())
    });
    Ok(Reply::Several(notes.collect()))
}

/// Without arguments, from every channel.
pub(super) fn unsubscribe(store: &mut Store, connection: ConnectionId, arguments: &[Vec<u8>]) -> Answer {
    let channels = &mut store.connection(connection).channels;
    let named = if arguments.is_empty() { channels.iter().cloned().collect() } else { arguments.to_vec() };
    if named.is_empty() {
        return Ok(note("unsubscribe", Reply::Nil, 0));
    }
    let notes = named.into_iter().map(|channel| {
        channels.remove(&channel);
        note("unsubscribe", Reply::Bulk(channel), channels.len())
    });
    Ok(Reply::Several(notes.collect()))
}

fn note(what: &str, channel: Reply, left: usize) -> Reply {
    Reply::Push(vec![Reply::bulk(what), channel, Reply::count(left)])
}
