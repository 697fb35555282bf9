//! Watches over the keys of leases: who may touch which (DESIGN section 4, duplicate login).
//!
//! A lease is taken only where its key is free, or where the command names the value that the key holds; it is given
//! back and renewed only by a command that names its value, and only by the node that the value names; and it has a
//! life. That holds of every command that reaches Redis, however late, so it is judged by what a command does to the
//! keys that it names, whichever command that is.

use std::collections::BTreeMap;

use super::store::{ConnectionId, Entry, Value};

/// The watch over the keys that begin in one way.
#[derive(Clone, Debug)]
pub(super) struct Custody {
    prefix: Vec<u8>,
    /// Whose leases come over which connection.
    nodes: BTreeMap<ConnectionId, Vec<u8>>,
    /// The first thing that was not as it should be.
    breach: Option<String>,
}

/// A key before a command, and what it held.
pub(super) type Before = Vec<(Vec<u8>, Option<Entry>)>;

impl Custody {
    pub(super) fn of(prefix: &str) -> Self {
        Self { prefix: prefix.as_bytes().to_vec(), nodes: BTreeMap::new(), breach: None }
    }

    pub(super) fn breach(&self) -> Option<&str> {
        self.breach.as_deref()
    }

    /// The keys under watch that a command names, as they are.
    pub(super) fn before(&self, arguments: &[Vec<u8>], keys: &BTreeMap<Vec<u8>, Entry>) -> Before {
        let named = arguments.iter().filter(|argument| argument.starts_with(&self.prefix));
        named.map(|key| (key.clone(), keys.get(key).cloned())).collect()
    }

    /// Judges what a command has done to them.
    pub(super) fn judge(
        &mut self,
        connection: ConnectionId,
        name: &str,
        arguments: &[Vec<u8>],
        before: Before,
        keys: &BTreeMap<Vec<u8>, Entry>,
    ) {
        for (key, before) in before {
            let judged = self.judge_key(connection, name, arguments, before.as_ref(), keys.get(&key));
            if let Err(what) = judged
                && self.breach.is_none()
            {
                self.breach = Some(format!("to the lease {} {name} {what}", key.escape_ascii()));
            }
        }
    }

    fn judge_key(
        &mut self,
        connection: ConnectionId,
        name: &str,
        arguments: &[Vec<u8>],
        before: Option<&Entry>,
        after: Option<&Entry>,
    ) -> Result<(), String> {
        let is_set = name == "set";
        if is_set && !arguments.iter().any(|argument| argument.eq_ignore_ascii_case(b"nx")) {
            return Err("does not ask whether it is free".to_owned());
        }
        let (was, is) = (before.map(value), after.map(value));
        let has_changed = was != is || before.map(|entry| entry.until_ms) != after.map(|entry| entry.until_ms);
        if !has_changed {
            return Ok(());
        }
        if let Some(was) = was {
            if !arguments.iter().any(|argument| argument == was) {
                return Err(format!("is done without the name of its owner, {}", was.escape_ascii()));
            }
            // What is taken over is another's. Anything else is done by the owner.
            if is.is_none_or(|is| is == was) {
                self.comes_from(connection, was)?;
            }
        }
        match after {
            Some(Entry { until_ms: None, .. }) => Err("gives a life without an end".to_owned()),
            Some(_) if was != is => self.comes_from(connection, is.unwrap_or_default()),
            Some(_) | None => Ok(()),
        }
    }

    /// The owner that a value names is the one whose connection this is.
    fn comes_from(&mut self, connection: ConnectionId, value: &[u8]) -> Result<(), String> {
        let node = value.split(|byte| *byte == b':').next().unwrap_or_default();
        let known = self.nodes.entry(connection).or_insert_with(|| node.to_vec());
        if known == node {
            return Ok(());
        }
        Err(format!("is done in the name of {}, over the connection of {}", node.escape_ascii(), known.escape_ascii()))
    }
}

fn value(entry: &Entry) -> &[u8] {
    match &entry.value {
        Value::String(bytes) => bytes,
        Value::Hash(_) => b"",
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use lobbyd_net::redis::scripts::{RELEASE, RENEW, REPLACE};

    use super::super::{ConnectionId, Store};

    const A: &str = "a:1.1#1";
    const B: &str = "b:1.1#1";

    /// What is wrong with the last of these commands, of which each comes from the connection that its number says.
    fn breach(commands: &[(u64, &[&str])]) -> Option<String> {
        let mut store = Store::new().with_custody("lease:");
        for (place, (connection, command)) in commands.iter().enumerate() {
            assert_eq!(store.breach(), None, "before command {place}");
            let command: Vec<_> = command.iter().map(|word| word.as_bytes().to_vec()).collect();
            store.execute(Duration::ZERO, ConnectionId(*connection), &command);
        }
        store.breach().map(str::to_owned)
    }

    const TAKE: (u64, &[&str]) = (1, &["SET", "lease:x", A, "NX", "PX", "1000"]);

    #[test]
    fn owner_may_do_everything() {
        for command in [
            &["EVAL", RENEW, "1", "lease:x", "500", A][..],
            &["EVAL", RELEASE, "1", "lease:x", A],
            &["EVAL", REPLACE, "1", "lease:x", "a:2.1#2", "1000", A, "news"],
        ] {
            assert_eq!(breach(&[TAKE, (1, command)]), None, "{command:?}");
        }
    }

    #[test]
    fn others_may_ask_and_take_over_by_name() {
        for command in [
            &["SET", "lease:x", B, "NX", "PX", "1000"][..],
            &["EVAL", RENEW, "1", "lease:x", "500", B],
            &["EVAL", RELEASE, "1", "lease:x", B],
            &["EVAL", REPLACE, "1", "lease:x", B, "1000", "", "news"],
            &["EVAL", REPLACE, "1", "lease:x", B, "1000", A, "news"],
            &["SET", "other:x", B],
        ] {
            assert_eq!(breach(&[TAKE, (2, command)]), None, "{command:?}");
        }
    }

    #[test]
    fn whoever_does_not_ask_is_found_out() {
        for (command, why) in [
            (&["SET", "lease:x", B, "PX", "1000"][..], "does not ask whether it is free"),
            (&["SET", "lease:y", B, "PX", "1000"], "does not ask whether it is free"),
            (&["SET", "lease:y", B, "NX"], "without an end"),
            (&["DEL", "lease:x"], "without the name of its owner"),
            (&["PEXPIRE", "lease:x", "5"], "without the name of its owner"),
            (&["PERSIST", "lease:x"], "without the name of its owner"),
        ] {
            let found = breach(&[TAKE, (2, command)]);
            assert!(found.as_ref().is_some_and(|found| found.contains(why)), "{command:?}: {found:?}");
        }
    }

    #[test]
    fn nobody_acts_in_the_name_of_another() {
        let take = (2, &["SET", "lease:y", B, "NX", "PX", "1000"][..]);
        for command in [&["EVAL", RENEW, "1", "lease:x", "500", A][..], &["EVAL", RELEASE, "1", "lease:x", A]] {
            let found = breach(&[TAKE, take, (2, command)]);
            assert!(found.as_ref().is_some_and(|found| found.contains("in the name of a")), "{command:?}: {found:?}");
        }
    }
}
