//! Commands on strings.

use super::super::reply::Reply;
use super::super::store::{ConnectionId, Entry, Store, Value};
use super::{Answer, integer, syntax_error, word};

/// A moment is at most this, as Redis has it: its milliseconds since 1970 are a signed 64-bit number. The model's own
/// time is far below, so whatever life Redis accepts it can add to it.
const LIFE_MS_MAX: i64 = i64::MAX - 4_000_000_000_000;

pub(super) fn get(store: &mut Store, connection: ConnectionId, arguments: &[Vec<u8>]) -> Answer {
    Ok(Reply::bulk_or_nil(store.string(connection, &arguments[0])?))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum If {
    Absent,
    Present,
}

#[derive(Clone, Copy)]
enum Life<'a> {
    Kept,
    Milliseconds(&'a [u8]),
    Seconds(&'a [u8]),
}

/// `SET key value [NX|XX] [GET] [EX seconds|PX milliseconds|KEEPTTL]`
pub(super) fn set(store: &mut Store, connection: ConnectionId, arguments: &[Vec<u8>]) -> Answer {
    let [key, value, options @ ..] = arguments else { return Err(syntax_error()) };
    let (mut condition, mut life, mut answers_old) = (None, None, false);
    let mut options = options.iter();
    while let Some(option) = options.next() {
        match (word(option).as_str(), condition, life) {
            ("nx", None | Some(If::Absent), _) => condition = Some(If::Absent),
            ("xx", None | Some(If::Present), _) => condition = Some(If::Present),
            ("get", _, _) => answers_old = true,
            ("keepttl", _, None | Some(Life::Kept)) => life = Some(Life::Kept),
            // Said again, the last counts.
            ("px", _, None | Some(Life::Milliseconds(_))) => {
                life = Some(Life::Milliseconds(options.next().ok_or_else(syntax_error)?))
            }
            ("ex", _, None | Some(Life::Seconds(_))) => {
                life = Some(Life::Seconds(options.next().ok_or_else(syntax_error)?))
            }
            _ => return Err(syntax_error()),
        }
    }
    let life_ms = match life {
        Some(Life::Milliseconds(bytes)) => Some(life_ms(bytes, 1)?),
        Some(Life::Seconds(bytes)) => Some(life_ms(bytes, 1000)?),
        Some(Life::Kept) | None => None,
    };

    let old = if answers_old { Some(Reply::bulk_or_nil(store.string(connection, key)?)) } else { None };
    let now_ms = store.now_ms();
    let keys = store.keys(connection);
    let known = keys.get(key);
    let allowed = condition.is_none_or(|condition| known.is_some() == (condition == If::Present));
    if !allowed {
        return Ok(old.unwrap_or(Reply::Nil));
    }
    let until_ms = match life {
        Some(Life::Kept) => known.and_then(|entry| entry.until_ms),
        Some(Life::Milliseconds(_) | Life::Seconds(_)) | None => life_ms.map(|life_ms| now_ms + life_ms),
    };
    keys.insert(key.clone(), Entry { value: Value::String(value.clone()), until_ms });
    Ok(old.unwrap_or(Reply::OK))
}

fn life_ms(bytes: &[u8], unit_ms: i64) -> Result<u64, Reply> {
    let life = integer(bytes)?;
    let life_ms = life.checked_mul(unit_ms).filter(|life_ms| (1..=LIFE_MS_MAX).contains(life_ms));
    let life_ms = life_ms.and_then(|life_ms| u64::try_from(life_ms).ok());
    life_ms.ok_or_else(|| Reply::error("ERR invalid expire time in 'set' command"))
}
