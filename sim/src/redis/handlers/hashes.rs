//! Commands on hashes.

use super::super::reply::Reply;
use super::super::store::{ConnectionId, Entry, Fields, Store, Value, WrongType};
use super::{Answer, wrong_number};

pub(super) fn hget(store: &mut Store, connection: ConnectionId, arguments: &[Vec<u8>]) -> Answer {
    let fields = store.hash(connection, &arguments[0])?;
    Ok(Reply::bulk_or_nil(fields.and_then(|fields| fields.get(&arguments[1]))))
}

pub(super) fn hmget(store: &mut Store, connection: ConnectionId, arguments: &[Vec<u8>]) -> Answer {
    let fields = store.hash(connection, &arguments[0])?;
    let value = |name| Reply::bulk_or_nil(fields.as_ref().and_then(|fields| fields.get(name)));
    Ok(Reply::Array(arguments[1..].iter().map(value).collect()))
}

pub(super) fn hset(store: &mut Store, connection: ConnectionId, arguments: &[Vec<u8>]) -> Answer {
    let (key, pairs) = (&arguments[0], &arguments[1..]);
    if !pairs.len().is_multiple_of(2) {
        return Err(wrong_number("hset"));
    }
    let fields = hash_or_new(store, connection, key)?;
    let new = pairs.chunks_exact(2).filter(|pair| fields.insert(pair[0].clone(), pair[1].clone()).is_none());
    Ok(Reply::count(new.count()))
}

pub(super) fn hsetnx(store: &mut Store, connection: ConnectionId, arguments: &[Vec<u8>]) -> Answer {
    let fields = hash_or_new(store, connection, &arguments[0])?;
    let is_new = !fields.contains_key(&arguments[1]);
    if is_new {
        fields.insert(arguments[1].clone(), arguments[2].clone());
    }
    Ok(Reply::Integer(is_new.into()))
}

pub(super) fn hexists(store: &mut Store, connection: ConnectionId, arguments: &[Vec<u8>]) -> Answer {
    let fields = store.hash(connection, &arguments[0])?;
    Ok(Reply::Integer(fields.is_some_and(|fields| fields.contains_key(&arguments[1])).into()))
}

pub(super) fn hlen(store: &mut Store, connection: ConnectionId, arguments: &[Vec<u8>]) -> Answer {
    let fields = store.hash(connection, &arguments[0])?;
    Ok(Reply::count(fields.map_or(0, |fields| fields.len())))
}

pub(super) fn hdel(store: &mut Store, connection: ConnectionId, arguments: &[Vec<u8>]) -> Answer {
    let Some(fields) = store.hash(connection, &arguments[0])? else { return Ok(Reply::Integer(0)) };
    let gone = arguments[1..].iter().filter(|name| fields.remove(*name).is_some()).count();
    if fields.is_empty() {
        // A hash without fields is no key.
        store.keys(connection).remove(&arguments[0]);
    }
    Ok(Reply::count(gone))
}

fn hash_or_new<'a>(store: &'a mut Store, connection: ConnectionId, key: &[u8]) -> Result<&'a mut Fields, WrongType> {
    let empty = || Entry { value: Value::Hash(Fields::new()), until_ms: None };
    match &mut store.keys(connection).entry(key.to_vec()).or_insert_with(empty).value {
        Value::Hash(fields) => Ok(fields),
        Value::String(_) => Err(WrongType),
    }
}
