//! The scripts of the presence leases, each written out in Rust. Any other script is refused: there is no Lua here.

use lobbyd_net::redis::scripts::{RELEASE, RENEW, REPLACE};

use super::handlers::{Answer, by_name, integer};
use super::reply::Reply;
use super::store::{ConnectionId, Store};

#[derive(Clone, Copy)]
enum Script {
    Release,
    Renew,
    Replace,
}

/// What a script is called with.
struct Call<'a> {
    store: &'a mut Store,
    connection: ConnectionId,
    digest: String,
    keys: &'a [Vec<u8>],
    values: &'a [Vec<u8>],
}

/// `EVAL script numkeys [key …] [value …]`
pub(super) fn eval(store: &mut Store, connection: ConnectionId, arguments: &[Vec<u8>]) -> Answer {
    let (keys, values) = split(&arguments[1..])?;
    let known = by_text(&arguments[0]);
    let (script, digest) = known.ok_or_else(|| Reply::error("ERR this model of Redis does not know that script"))?;
    store.loaded.insert(digest.clone());
    Call { store, connection, digest, keys, values }.run(script)
}

/// `EVALSHA digest numkeys [key …] [value …]`
pub(super) fn evalsha(store: &mut Store, connection: ConnectionId, arguments: &[Vec<u8>]) -> Answer {
    let (keys, values) = split(&arguments[1..])?;
    let digest = String::from_utf8_lossy(&arguments[0]).to_ascii_lowercase();
    let loaded = store.loaded.contains(&digest).then(|| scripts().find(|(_, _, known)| *known == digest)).flatten();
    let (script, _, digest) = loaded.ok_or_else(|| Reply::error("NOSCRIPT No matching script. Please use EVAL."))?;
    Call { store, connection, digest, keys, values }.run(script)
}

pub(super) fn script_load(store: &mut Store, _connection: ConnectionId, arguments: &[Vec<u8>]) -> Answer {
    let known = by_text(&arguments[0]);
    let (_, digest) = known.ok_or_else(|| Reply::error("ERR this model of Redis does not know that script"))?;
    store.loaded.insert(digest.clone());
    Ok(Reply::bulk(digest))
}

pub(super) fn script_exists(store: &mut Store, _connection: ConnectionId, arguments: &[Vec<u8>]) -> Answer {
    let is_loaded = |digest: &Vec<u8>| store.loaded.contains(String::from_utf8_lossy(digest).as_ref());
    Ok(Reply::Array(arguments.iter().map(|digest| Reply::Integer(is_loaded(digest).into())).collect()))
}

pub(super) fn script_flush(store: &mut Store, _connection: ConnectionId, _arguments: &[Vec<u8>]) -> Answer {
    store.loaded.clear();
    Ok(Reply::OK)
}

fn scripts() -> impl Iterator<Item = (Script, &'static str, String)> {
    [(Script::Release, RELEASE), (Script::Renew, RENEW), (Script::Replace, REPLACE)]
        .into_iter()
        .map(|(script, text)| (script, text, redis::Script::new(text).get_hash().to_owned()))
}

fn by_text(text: &[u8]) -> Option<(Script, String)> {
    let (script, _, digest) = scripts().find(|(_, known, _)| known.as_bytes() == text)?;
    Some((script, digest))
}

/// What a script is called with: `KEYS` and `ARGV`.
type KeysAndValues<'a> = (&'a [Vec<u8>], &'a [Vec<u8>]);

/// Keys and values behind the number of keys.
fn split(arguments: &[Vec<u8>]) -> Result<KeysAndValues<'_>, Reply> {
    let number = integer(&arguments[0])?;
    let number = usize::try_from(number).map_err(|_| Reply::error("ERR Number of keys can't be negative"))?;
    let split = arguments[1..].split_at_checked(number);
    split.ok_or_else(|| Reply::error("ERR Number of keys can't be greater than number of args"))
}

impl Call<'_> {
    fn run(mut self, script: Script) -> Answer {
        match script {
            Script::Release => self.release(),
            Script::Renew => self.renew(),
            Script::Replace => self.replace(),
        }
    }

    fn release(&mut self) -> Answer {
        let mut answers = Vec::new();
        for (index, key) in self.keys.iter().enumerate() {
            let is_held =
                self.get(key).ok().flatten().as_ref().is_some_and(|owner| self.values.get(index) == Some(owner));
            if is_held {
                self.store.keys(self.connection).remove(key);
            }
            answers.push(Reply::Integer(is_held.into()));
        }
        Ok(Reply::Array(answers))
    }

    fn renew(&mut self) -> Answer {
        let mut answers = Vec::new();
        for (index, key) in self.keys.iter().enumerate() {
            answers.push(match self.get(key) {
                Ok(Some(owner)) if self.values.get(index + 1) == Some(&owner) => {
                    let life_ms = self.values[0].clone();
                    self.call(5, "pexpire", &[key.clone(), life_ms])?;
                    Reply::Integer(1)
                }
                Ok(Some(owner)) => Reply::Bulk(owner),
                Ok(None) => Reply::Integer(0),
                Err(_wrong_type) => Reply::Integer(-1),
            });
        }
        Ok(Reply::Array(answers))
    }

    fn replace(&mut self) -> Answer {
        let [key, ..] = self.keys else { return Err(self.raised(1, no_argument())) };
        let owner = self.get(key).map_err(|refusal| self.raised(1, refusal))?;
        if let Some(owner) = &owner
            && self.values.get(2) != Some(owner)
        {
            return Ok(Reply::Bulk(owner.clone()));
        }
        let [value, life_ms, ..] = self.values else { return Err(self.raised(5, no_argument())) };
        self.call(5, "set", &[key.clone(), value.clone(), b"PX".to_vec(), life_ms.clone()])?;
        // Without a channel the script passes over the refusal of its `PUBLISH`.
        if let (Some(owner), Some(channel)) = (owner, self.values.get(3)) {
            self.store.publish(channel, &owner);
        }
        Ok(Reply::Integer(1))
    }

    fn get(&mut self, key: &[u8]) -> Result<Option<Vec<u8>>, Reply> {
        Ok(self.store.string(self.connection, key)?.cloned())
    }

    /// A command in the given line of the script, whose refusal ends the script.
    fn call(&mut self, line: u32, name: &str, arguments: &[Vec<u8>]) -> Result<(), Reply> {
        let handler = by_name(name).expect("the commands of the scripts are known");
        (handler.run)(self.store, self.connection, arguments).map(drop).map_err(|refusal| self.raised(line, refusal))
    }

    fn raised(&self, line: u32, refusal: Reply) -> Reply {
        match refusal {
            Reply::Error(text) => Reply::Error(format!("{text} script: {}, on @user_script:{line}.", self.digest)),
            // Only errors are raised.
            answer @ (Reply::Simple(_)
            | Reply::Integer(_)
            | Reply::Bulk(_)
            | Reply::Nil
            | Reply::Array(_)
            | Reply::Map(_)
            | Reply::Push(_)
            | Reply::Several(_)) => answer,
        }
    }
}

/// What a command in a script says to a key or value that the script was not given.
fn no_argument() -> Reply {
    Reply::error("ERR Lua redis lib command arguments must be strings or integers")
}
