//! Who is who in a scenario: words that begin a line, daemons, clients, hosts.

use super::error::did_you_mean;
use super::tokens::{self, Line, Parsed, Refusal, here};

/// Words that begin a line of the setup.
pub(super) const SETUP_WORDS: [&str; 8] =
    ["set", "room", "account", "daemons", "store", "io_threads", "network", "expect"];
/// Words that begin a step that is no client's.
pub(super) const STEP_WORDS: [&str; 18] = [
    "together",
    "repeat",
    "advance",
    "wait",
    "check",
    "partition",
    "repair",
    "hold",
    "release",
    "latency",
    "crash",
    "restart",
    "drain",
    "stop",
    "stall",
    "close-user",
    "ask",
    "redis",
];

/// Whether a client or a daemon may be called that.
pub(super) fn is_reserved(name: &str) -> bool {
    SETUP_WORDS.contains(&name) || STEP_WORDS.contains(&name)
}

/// The names that are known so far.
#[derive(Debug, Default)]
pub(super) struct Names {
    pub(super) daemons: Vec<String>,
    /// Those that have connected, in the order in which they did.
    pub(super) clients: Vec<String>,
    /// Hosts that were named and are no daemon: each has to turn out to be a client. With the place of the name.
    pub(super) hosts: Vec<(String, u32, usize)>,
}

impl Names {
    fn clients(&self) -> impl Iterator<Item = &str> {
        self.clients.iter().map(String::as_str)
    }

    fn daemons(&self) -> impl Iterator<Item = &str> {
        self.daemons.iter().map(String::as_str)
    }

    /// Checks that a client has connected somewhere above.
    pub(super) fn known_client(&self, at: usize, name: &str) -> Parsed<()> {
        if self.clients().any(|client| client == name) {
            return Ok(());
        }
        let help = did_you_mean(name, self.clients());
        let help = help.unwrap_or_else(|| format!("a client is there from its first `{name} connect` on"));
        Err(Refusal::wrong(at, format!("there is no client {name} yet")).with_help(help))
    }

    /// Notes that a client connects, perhaps for the first time.
    pub(super) fn connects(&mut self, at: usize, name: &str) -> Parsed<()> {
        if is_reserved(name) {
            return Err(Refusal::wrong(at, format!("no client can be called {name}: lines begin with that word")));
        }
        if name == REDIS || self.daemons().any(|daemon| daemon == name) {
            return Err(Refusal::wrong(at, format!("no client can be called {name}: another host is")));
        }
        if !self.clients().any(|client| client == name) {
            self.clients.push(name.to_owned());
        }
        Ok(())
    }

    /// The client that comes next on the line.
    pub(super) fn client(&self, line: &mut Line<'_>) -> Parsed<String> {
        let at = here(line);
        let name = tokens::word(line, "a client")?;
        self.known_client(at, name)?;
        Ok(name.to_owned())
    }

    /// The daemon that comes next on the line.
    pub(super) fn daemon(&self, line: &mut Line<'_>) -> Parsed<String> {
        let at = here(line);
        let name = tokens::word(line, "a daemon")?;
        if self.daemons().any(|daemon| daemon == name) {
            return Ok(name.to_owned());
        }
        let help = did_you_mean(name, self.daemons());
        let help = help.unwrap_or_else(|| format!("the daemons are {}", self.daemons.join(", ")));
        Err(Refusal::wrong(at, format!("there is no daemon {name}")).with_help(help))
    }

    /// The host that comes next on the line: a daemon, a client (perhaps one that connects later), or Redis.
    pub(super) fn host(&mut self, line: &mut Line<'_>, line_number: u32) -> Parsed<String> {
        let at = here(line);
        let name = tokens::word(line, "a daemon, a client or redis")?;
        if name != REDIS && !self.daemons().any(|daemon| daemon == name) {
            self.hosts.push((name.to_owned(), line_number, at));
        }
        Ok(name.to_owned())
    }

    /// The first host that turned out to be nobody.
    pub(super) fn unknown_host(&self) -> Option<(u32, Refusal)> {
        let (name, line, at) = self.hosts.iter().find(|(name, ..)| !self.clients.contains(name))?;
        let help = did_you_mean(name, self.clients().chain(self.daemons()).chain([REDIS]));
        Some((*line, Refusal::wrong(*at, format!("{name} is no daemon, no client and not redis")).with_help(help)))
    }
}

/// The host on which Redis runs.
const REDIS: &str = "redis";
