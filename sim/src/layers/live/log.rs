//! A daemon's log, read as it is written: where it listens, and which sessions it has.

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use serde_json::Value;

/// Which lines a daemon has to write, so that this module sees what it has to.
pub(super) const LEVELS: &str = "info,lobbyd_net=debug";
/// How many of the last lines a failure shows.
const LAST_LINES: usize = 12;

/// The log of one life of a daemon.
pub(super) struct Log(Arc<Shared>);

#[derive(Default)]
struct Shared {
    seen: Mutex<Seen>,
    changed: Condvar,
}

/// What a daemon has said so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    /// Where it listens.
    pub(super) address: Option<SocketAddr>,
    /// Whether it has reached Redis.
    pub(super) has_redis: bool,
    /// Its sessions, and whether each is logged in.
    sessions: BTreeMap<String, bool>,
    last: VecDeque<String>,
    /// Whether there is nothing more to come.
    is_over: bool,
}

impl Log {
    /// Reads a daemon's standard error to its end, on a thread.
    pub(super) fn read(source: impl Read + Send + 'static) -> Self {
        let shared = Arc::new(Shared::default());
        let writer = shared.clone();
        thread::spawn(move || {
            for line in BufReader::new(source).lines().map_while(Result::ok) {
                writer.lock().hear(line);
                writer.changed.notify_all();
            }
            writer.lock().is_over = true;
            writer.changed.notify_all();
        });
        Self(shared)
    }

    /// What was said so far.
    pub(super) fn seen(&self) -> Seen {
        self.0.lock().clone()
    }

    /// Waits until it was said, in which case the answer is true, or the log has ended, or the deadline is there.
    pub(super) fn wait_until(&self, deadline: Instant, is_said: impl Fn(&Seen) -> bool) -> bool {
        let mut seen = self.0.lock();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if is_said(&seen) || seen.is_over || left.is_zero() {
                return is_said(&seen);
            }
            seen = self.0.changed.wait_timeout(seen, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    /// How many sessions it has.
    pub(super) fn sessions(&self) -> u32 {
        u32::try_from(self.sessions.len()).unwrap_or(u32::MAX)
    }

    /// How many of them are logged in.
    pub(super) fn online(&self) -> u32 {
        u32::try_from(self.sessions.values().filter(|is_online| **is_online).count()).unwrap_or(u32::MAX)
    }

    /// The last lines, for a failure.
    pub(super) fn last_lines(&self) -> String {
        self.last.iter().fold(String::new(), |text, line| text + "\n  " + line)
    }

    fn hear(&mut self, line: String) {
        if let Ok(fields) = serde_json::from_str::<Value>(&line) {
            let text = |field: &str| fields[field].as_str().map(str::to_owned);
            match (text("message").as_deref(), text("session")) {
                (Some("listening"), _) => {
                    self.address = self.address.or(text("address").and_then(|address| address.parse().ok()));
                }
                (Some("connected to Redis"), _) => self.has_redis = true,
                (Some("connected"), Some(session)) => {
                    self.sessions.insert(session, false);
                }
                (Some("logged in or out"), Some(session)) => {
                    // One that has ended meanwhile is not there again.
                    if let Some(is_online) = self.sessions.get_mut(&session) {
                        *is_online = text("user").is_some();
                    }
                }
                (Some("session ended"), Some(session)) => {
                    self.sessions.remove(&session);
                }
                (_, _) => {}
            }
        }
        self.last.push_back(line);
        if self.last.len() > LAST_LINES {
            self.last.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const LOG: &str = r#"{"message":"listening","address":"127.0.0.1:7400"}
{"message":"connected to Redis","redis":"redis://127.0.0.1:1/"}
{"message":"connected","session":"s1","peer":"127.0.0.1:5"}
{"message":"connected","session":"s2","peer":"127.0.0.1:6"}
no JSON at all
{"message":"logged in or out","session":"s1","user":"alice"}
{"message":"logged in or out","session":"s2","user":"bob"}
{"message":"logged in or out","session":"s1"}
{"message":"session ended","session":"s2"}
{"message":"logged in or out","session":"s2","user":"bob"}
"#;

    #[test]
    fn log_says_where_the_daemon_listens_and_who_is_there() {
        let log = Log::read(LOG.as_bytes());
        assert!(!log.wait_until(Instant::now() + Duration::from_secs(20), |_| false), "the log ends");
        let seen = log.seen();
        assert_eq!(seen.address, Some(SocketAddr::from(([127, 0, 0, 1], 7400))));
        assert!(seen.has_redis);
        assert_eq!((seen.sessions(), seen.online()), (1, 0));
        assert!(seen.last_lines().contains("no JSON at all"));
    }
}
