//! Commands on keys of any type, and on all keys.

use super::super::glob;
use super::super::reply::Reply;
use super::super::store::{ConnectionId, Store, Value};
use super::{Answer, integer, strict_integer, syntax_error, word};

pub(super) fn del(store: &mut Store, connection: ConnectionId, arguments: &[Vec<u8>]) -> Answer {
    let keys = store.keys(connection);
    Ok(Reply::count(arguments.iter().filter(|key| keys.remove(*key).is_some()).count()))
}

pub(super) fn exists(store: &mut Store, connection: ConnectionId, arguments: &[Vec<u8>]) -> Answer {
    let keys = store.keys(connection);
    Ok(Reply::count(arguments.iter().filter(|key| keys.contains_key(*key)).count()))
}

pub(super) fn kind(store: &mut Store, connection: ConnectionId, arguments: &[Vec<u8>]) -> Answer {
    Ok(Reply::Simple(store.keys(connection).get(&arguments[0]).map_or("none", |entry| name(&entry.value))))
}

fn name(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "string",
        Value::Hash(_) => "hash",
    }
}

/// `PEXPIRE key milliseconds`; the conditions that it takes since Redis 7.0 are not known here.
pub(super) fn pexpire(store: &mut Store, connection: ConnectionId, arguments: &[Vec<u8>]) -> Answer {
    if let Some(option) = arguments.get(2) {
        return Err(Reply::error(format!("ERR Unsupported option {}", String::from_utf8_lossy(option))));
    }
    let life_ms = integer(&arguments[1])?;
    // A moment since 1970 must not overflow; a day in the far future stands for the present one.
    if life_ms > i64::MAX - 4_000_000_000_000 {
        return Err(Reply::error("ERR invalid expire time in 'pexpire' command"));
    }
    let now_ms = store.now_ms();
    let keys = store.keys(connection);
    let Some(entry) = keys.get_mut(&arguments[0]) else { return Ok(Reply::Integer(0)) };
    match u64::try_from(life_ms) {
        Ok(life_ms) if life_ms > 0 => entry.until_ms = Some(now_ms + life_ms),
        // A life that is over already.
        Ok(_) | Err(_) => {
            keys.remove(&arguments[0]);
        }
    }
    Ok(Reply::Integer(1))
}

pub(super) fn pttl(store: &mut Store, connection: ConnectionId, arguments: &[Vec<u8>]) -> Answer {
    let now_ms = store.now_ms();
    Ok(Reply::Integer(match store.keys(connection).get(&arguments[0]).map(|entry| entry.until_ms) {
        Some(Some(until_ms)) => i64::try_from(until_ms.saturating_sub(now_ms)).unwrap_or(i64::MAX),
        Some(None) => -1,
        None => -2,
    }))
}

pub(super) fn persist(store: &mut Store, connection: ConnectionId, arguments: &[Vec<u8>]) -> Answer {
    let entry = store.keys(connection).get_mut(&arguments[0]);
    Ok(Reply::Integer(entry.is_some_and(|entry| entry.until_ms.take().is_some()).into()))
}

pub(super) fn dbsize(store: &mut Store, connection: ConnectionId, _arguments: &[Vec<u8>]) -> Answer {
    Ok(Reply::count(store.keys(connection).len()))
}

pub(super) fn flushall(store: &mut Store, _connection: ConnectionId, arguments: &[Vec<u8>]) -> Answer {
    match arguments {
        [] => {}
        [how] if matches!(word(how).as_str(), "sync" | "async") => {}
        _ => return Err(syntax_error()),
    }
    store.clear();
    Ok(Reply::OK)
}

/// `SCAN cursor [MATCH pattern] [COUNT count] [TYPE type]`
///
/// Keys are walked in the order of a hash of theirs, and the cursor is where the walk stands: so a key that is there
/// all the time is told at least once, whatever comes and goes in between, which is what Redis promises.
pub(super) fn scan(store: &mut Store, connection: ConnectionId, arguments: &[Vec<u8>]) -> Answer {
    let cursor: Option<u64> = std::str::from_utf8(&arguments[0]).ok().and_then(|cursor| cursor.parse().ok());
    let cursor = cursor.ok_or_else(|| Reply::error("ERR invalid cursor"))?;
    let (mut pattern, mut count, mut wanted) = (None, 10, None);
    for option in arguments[1..].chunks(2) {
        let [option, value] = option else { return Err(syntax_error()) };
        match word(option).as_str() {
            "match" => pattern = Some(value),
            "type" => wanted = Some(word(value)),
            "count" => {
                let number = strict_integer(value);
                let number = number.ok_or_else(|| Reply::error("ERR value is not an integer or out of range"))?;
                count = usize::try_from(number).ok().filter(|count| *count > 0).ok_or_else(syntax_error)?;
            }
            _ => return Err(syntax_error()),
        }
    }

    let keys = store.keys(connection);
    let mut walk: Vec<_> = keys.iter().map(|(key, entry)| (place(key), key, entry)).collect();
    walk.retain(|(place, _, _)| *place >= cursor);
    walk.sort_unstable_by_key(|(place, key, _)| (*place, *key));
    // Keys of one place go together, so that the cursor can stand between any two pages.
    let page_end = walk
        .get(count.saturating_sub(1))
        .map_or(walk.len(), |(last, _, _)| walk.partition_point(|(place, _, _)| place <= last));
    let next = walk.get(page_end).map_or(0, |(place, _, _)| *place);
    let found = walk[..page_end].iter().filter(|(_, key, entry)| {
        pattern.is_none_or(|pattern| glob::matches(pattern, key))
            && wanted.as_ref().is_none_or(|wanted| wanted == name(&entry.value))
    });
    let found = found.map(|(_, key, _)| Reply::bulk(key.as_slice())).collect();
    Ok(Reply::Array(vec![Reply::bulk(next.to_string()), Reply::Array(found)]))
}

/// Where a key stands in the walk of a scan: FNV-1a, never 0, which is where a walk begins and ends.
fn place(key: &[u8]) -> u64 {
    let fold = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    key.iter().fold(0xcbf2_9ce4_8422_2325, fold).max(1)
}
