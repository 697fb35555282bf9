//! What Redis knows: keys, lives and connections; and how it takes a command.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::custody::Custody;
use super::handlers::{self, Handler};
use super::reply::{Protocol, Reply};

/// How many databases there are, as by default.
pub(super) const DATABASES: u32 = 16;

/// Which connection a command comes from. Never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConnectionId(pub u64);

/// A Redis server's state. It has no clock: the moment is handed in with each command, and never goes back.
#[derive(Clone, Debug, Default)]
pub struct Store {
    databases: BTreeMap<u32, BTreeMap<Vec<u8>, Entry>>,
    connections: BTreeMap<ConnectionId, Connection>,
    password: Option<String>,
    /// The digests of the scripts that `EVALSHA` finds.
    pub(super) loaded: BTreeSet<String>,
    messages: Vec<(ConnectionId, Reply)>,
    custody: Option<Custody>,
    now_ms: u64,
}

/// What a key holds.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) value: Value,
    /// The last millisecond in which the key lives; none if it lives for ever.
    pub(super) until_ms: Option<u64>,
}

#[derive(Clone, Debug)]
pub(super) enum Value {
    String(Vec<u8>),
    Hash(Fields),
}

/// A hash.
pub(super) type Fields = BTreeMap<Vec<u8>, Vec<u8>>;

/// What a connection has said about itself.
#[derive(Clone, Debug, Default)]
pub(super) struct Connection {
    pub(super) database: u32,
    pub(super) protocol: Protocol,
    pub(super) is_authenticated: bool,
    pub(super) name: Vec<u8>,
    pub(super) channels: BTreeSet<Vec<u8>>,
}

/// The key holds another type than the command works on.
pub(super) struct WrongType;

impl From<WrongType> for Reply {
    fn from(WrongType: WrongType) -> Self {
        Self::error("WRONGTYPE Operation against a key holding the wrong kind of value")
    }
}

impl Store {
    /// An empty Redis that lets everybody in.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The same, but who wants to say anything has to give this password.
    #[must_use]
    pub fn with_password(mut self, password: &str) -> Self {
        self.password = Some(password.to_owned());
        self
    }

    /// The same, with a watch over the keys of leases, which begin in this way.
    #[must_use]
    pub fn with_custody(mut self, prefix: &str) -> Self {
        self.custody = Some(Custody::of(prefix));
        self
    }

    /// The first command, if there was one, that touched a lease as nobody may. It was carried out nevertheless.
    #[must_use]
    pub fn breach(&self) -> Option<&str> {
        self.custody.as_ref().and_then(Custody::breach)
    }

    /// Takes a command from a connection and answers. A connection is known from its first command on.
    pub fn execute(&mut self, now: Duration, connection: ConnectionId, command: &[Vec<u8>]) -> Reply {
        self.now_ms = self.now_ms.max(u64::try_from(now.as_millis()).unwrap_or(u64::MAX));
        self.connections.entry(connection).or_default();
        let Some((name, arguments)) = command.split_first() else {
            // An empty array is no command, and is not answered.
            return Reply::Several(Vec::new());
        };
        let (Handler { name, run, .. }, arguments) = match handlers::find(name, arguments) {
            Ok(found) => found,
            Err(refusal) => return refusal,
        };
        if !self.may_speak(connection) && !matches!(*name, "auth" | "hello") {
            return Reply::error("NOAUTH Authentication required.");
        }
        if self.is_only_listening(connection) && !matches!(*name, "subscribe" | "unsubscribe" | "ping") {
            return Reply::error(format!(
                "ERR Can't execute '{name}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed \
                 in this context"
            ));
        }
        let Some(mut custody) = self.custody.take() else {
            return run(self, connection, arguments).unwrap_or_else(|refusal| refusal);
        };
        let before = custody.before(arguments, self.keys(connection));
        let reply = run(self, connection, arguments).unwrap_or_else(|refusal| refusal);
        if !before.is_empty() {
            custody.judge(connection, name, arguments, before, self.keys(connection));
        }
        self.custody = Some(custody);
        reply
    }

    /// Forgets a connection and what it has subscribed to.
    pub fn disconnect(&mut self, connection: ConnectionId) {
        self.connections.remove(&connection);
        self.messages.retain(|(to, _)| *to != connection);
    }

    /// Forgets all connections: what a restart does. Scripts have to be loaded again too.
    pub fn disconnect_all(&mut self) {
        self.connections.clear();
        self.messages.clear();
        self.loaded.clear();
    }

    /// Forgets all keys.
    pub fn clear(&mut self) {
        self.databases.clear();
    }

    /// What was published to subscribers since this was last asked, in order.
    pub fn take_messages(&mut self) -> Vec<(ConnectionId, Reply)> {
        std::mem::take(&mut self.messages)
    }

    /// Which version of the protocol a connection speaks.
    #[must_use]
    pub fn protocol(&self, connection: ConnectionId) -> Protocol {
        self.connections.get(&connection).map(|connection| connection.protocol).unwrap_or_default()
    }

    pub(super) fn password(&self) -> Option<&str> {
        self.password.as_deref()
    }

    pub(super) fn now_ms(&self) -> u64 {
        self.now_ms
    }

    pub(super) fn connection(&mut self, connection: ConnectionId) -> &mut Connection {
        self.connections.entry(connection).or_default()
    }

    pub(super) fn may_speak(&self, connection: ConnectionId) -> bool {
        let is_authenticated = self.connections.get(&connection).is_some_and(|known| known.is_authenticated);
        self.password.is_none() || is_authenticated
    }

    /// Whether nothing but messages goes over this connection any more: so it is in RESP2 after a subscription.
    pub(super) fn is_only_listening(&self, connection: ConnectionId) -> bool {
        let known = self.connections.get(&connection);
        known.is_some_and(|known| known.protocol == Protocol::Resp2 && !known.channels.is_empty())
    }

    /// Hands a message to all who listen to a channel, and says how many they are.
    pub(super) fn publish(&mut self, channel: &[u8], message: &[u8]) -> usize {
        let listening = self.connections.iter().filter(|(_, connection)| connection.channels.contains(channel));
        let before = self.messages.len();
        self.messages.extend(listening.map(|(id, _)| {
            (*id, Reply::Push(vec![Reply::bulk("message"), Reply::bulk(channel), Reply::bulk(message)]))
        }));
        self.messages.len() - before
    }

    /// The keys that a connection sees, without those whose life is over.
    pub(super) fn keys(&mut self, connection: ConnectionId) -> &mut BTreeMap<Vec<u8>, Entry> {
        let (now_ms, database) = (self.now_ms, self.connection(connection).database);
        let keys = self.databases.entry(database).or_default();
        keys.retain(|_, entry| entry.until_ms.is_none_or(|until_ms| now_ms <= until_ms));
        keys
    }

    pub(super) fn string(&mut self, connection: ConnectionId, key: &[u8]) -> Result<Option<&Vec<u8>>, WrongType> {
        match self.keys(connection).get(key).map(|entry| &entry.value) {
            Some(Value::String(bytes)) => Ok(Some(bytes)),
            Some(Value::Hash(_)) => Err(WrongType),
            None => Ok(None),
        }
    }

    pub(super) fn hash(&mut self, connection: ConnectionId, key: &[u8]) -> Result<Option<&mut Fields>, WrongType> {
        match self.keys(connection).get_mut(key).map(|entry| &mut entry.value) {
            Some(Value::Hash(fields)) => Ok(Some(fields)),
            Some(Value::String(_)) => Err(WrongType),
            None => Ok(None),
        }
    }
}
