//! What is there before the first step: the lines of the setup, read and written.

use std::collections::BTreeMap;

use lobbyd_core::config::{Config, FixedRoom};
use lobbyd_core::text::Text;
use lobbyd_net::node::SHARDS_MAX;

use super::error::did_you_mean;
use super::names;
use super::operations::{capacity, password, room, show_password};
use super::tokens::{self, Line, Parsed, Refusal, here, show_duration_range, show_quoted, show_string};
use super::{Account, Network, Setup, Store, settings};

/// As many as a node may have.
const IO_THREADS_MAX: u32 = SHARDS_MAX as u32;
/// The daemon that is there without a line.
const DAEMON: &str = "server";

impl Default for Setup {
    /// The default configuration, nobody who may log in, and one daemon.
    fn default() -> Self {
        Self {
            config: Config::default(),
            room_passwords: Vec::new(),
            accounts: Vec::new(),
            daemons: vec![DAEMON.to_owned()],
            store: Store::Listed,
            io_threads: 1,
            network: Network::default(),
            is_loose: false,
        }
    }
}

/// The setup as far as it has been read, and where each thing was said.
#[derive(Debug, Default)]
pub(super) struct Reader {
    pub(super) setup: Setup,
    /// For each setting, `room` and each word that stands once: the line and the place in it where it was last said.
    said: BTreeMap<String, (u32, usize)>,
}

impl Reader {
    /// Reads the rest of a line that begins with `word`.
    pub(super) fn read(&mut self, word: &str, line: &mut Line<'_>, line_number: u32) -> Parsed<()> {
        let at = here(line);
        match word {
            "set" => {
                let key = settings::set(line, &mut self.setup.config)?;
                self.once(&key, line_number, at)?;
            }
            "room" => {
                self.room(line)?;
                self.said.insert("fixed_rooms".to_owned(), (line_number, at));
            }
            "account" => self.account(line)?,
            "daemons" => {
                self.daemons(line)?;
                self.once(word, line_number, at)?;
            }
            "store" => {
                let stores = [("listed", Store::Listed), ("redis", Store::Redis)];
                self.setup.store = tokens::one_of_words(line, "where accounts live", &stores)?;
                self.once(word, line_number, at)?;
            }
            "io_threads" => {
                let threads: u32 = tokens::number(line, "how many I/O threads each daemon has")?;
                if !(1..=IO_THREADS_MAX).contains(&threads) {
                    return Err(Refusal::wrong(at, format!("a daemon has from 1 to {IO_THREADS_MAX} I/O threads")));
                }
                self.setup.io_threads = threads;
                self.once(word, line_number, at)?;
            }
            "network" => {
                self.network(line)?;
                self.once(word, line_number, at)?;
            }
            "expect" => {
                if !tokens::keyword(line, "anything") {
                    let help = "what must arrive stands behind `->`, below the step that it comes of".to_owned();
                    return Err(Refusal::expected(here(line), "`anything`").with_help(help));
                }
                self.setup.is_loose = true;
                self.once(word, line_number, at)?;
            }
            other => {
                let help = did_you_mean(other, names::SETUP_WORDS);
                return Err(Refusal::expected(at, "a line of the setup").with_help(help));
            }
        }
        Ok(())
    }

    fn once(&mut self, word: &str, line_number: u32, at: usize) -> Parsed<()> {
        match self.said.insert(word.to_owned(), (line_number, at)) {
            None => Ok(()),
            Some((before, _)) => Err(Refusal::wrong(at, format!("{word} was said in line {before} already"))),
        }
    }

    fn room(&mut self, line: &mut Line<'_>) -> Parsed<()> {
        let number = room(line)?;
        let title = tokens::string(line, "the room's title")?;
        let fixed = FixedRoom { number, title: Text::new(&title), capacity: capacity(line)?, password: None };
        if let Some(password) = password(line)? {
            self.setup.room_passwords.push((number, password));
        }
        self.setup.config.fixed_rooms.push(fixed);
        Ok(())
    }

    fn account(&mut self, line: &mut Line<'_>) -> Parsed<()> {
        let at = here(line);
        let user = tokens::user_name(line)?;
        if self.setup.accounts.iter().any(|account| account.user == user) {
            return Err(Refusal::wrong(at, format!("{user} has an account already")));
        }
        let secret = tokens::string(line, "the secret with which the user logs in")?;
        let nickname = if tokens::keyword(line, "nickname") { Some(tokens::string(line, "a nickname")?) } else { None };
        let administrator = tokens::keyword(line, "administrator");
        self.setup.accounts.push(Account { user, secret, nickname, administrator });
        Ok(())
    }

    fn daemons(&mut self, line: &mut Line<'_>) -> Parsed<()> {
        self.setup.daemons.clear();
        while self.setup.daemons.is_empty() || !tokens::is_at_end(line) {
            let at = here(line);
            let name = tokens::word(line, "the name of a daemon")?;
            if names::is_reserved(name) {
                return Err(Refusal::wrong(at, format!("no daemon can be called {name}: lines begin with that word")));
            }
            if self.setup.daemons.iter().any(|daemon| daemon == name) {
                return Err(Refusal::wrong(at, format!("{name} is named twice")));
            }
            self.setup.daemons.push(name.to_owned());
        }
        Ok(())
    }

    fn network(&mut self, line: &mut Line<'_>) -> Parsed<()> {
        let at = here(line);
        let has_latency = tokens::keyword(line, "latency");
        if has_latency {
            self.setup.network.latency = tokens::duration_range(line)?;
        }
        if tokens::keyword(line, "chop") {
            let at = here(line);
            let bytes: u32 = tokens::number(line, "the most bytes that are moved at once")?;
            if bytes == 0 {
                return Err(Refusal::wrong(at, "nothing would ever be moved"));
            }
            self.setup.network.chop = Some(bytes);
        } else if !has_latency {
            return Err(Refusal::expected(at, "`latency 1ms..5ms`, `chop 7` or both"));
        }
        Ok(())
    }

    /// Checks the whole.
    ///
    /// # Errors
    /// The line and the place of what cannot be.
    pub(super) fn validate(&self) -> Result<(), (u32, Refusal)> {
        let Err(error) = self.setup.config.validate() else {
            return Ok(());
        };
        // "server_name length" speaks of server_name. Two settings may fit only one of them alone: then, of what was
        // said, the last is shown.
        let setting = error.setting.split(' ').next().expect("a split has a first part");
        let last = self.said.values().max().copied().unwrap_or((1, 0));
        let (line, at) = self.said.get(setting).copied().unwrap_or(last);
        Err((line, Refusal::wrong(at, error.to_string())))
    }
}

/// The lines of the setup.
pub(super) fn show(setup: &Setup) -> Vec<String> {
    let Setup { config, room_passwords, accounts, daemons, store, io_threads, network, is_loose } = setup;
    let mut lines: Vec<_> = settings::show(config).into_iter().map(|setting| format!("set {setting}")).collect();
    for room in &config.fixed_rooms {
        let password = room_passwords.iter().find(|(number, _)| *number == room.number);
        let password = show_password(password.map(|(_, password)| password.as_str()));
        let title = show_quoted(room.title.as_str());
        lines.push(format!("room {} {title} capacity {}{password}", room.number, room.capacity));
    }
    for Account { user, secret, nickname, administrator } in accounts {
        let nickname = nickname.as_ref().map(|nickname| format!(" nickname {}", show_quoted(nickname)));
        let administrator = if *administrator { " administrator" } else { "" };
        let secret = show_string(secret);
        lines.push(format!("account {user} {secret}{}{administrator}", nickname.unwrap_or_default()));
    }
    if *daemons != [DAEMON] {
        lines.push(format!("daemons {}", daemons.join(" ")));
    }
    match store {
        Store::Listed => {}
        Store::Redis => lines.push("store redis".to_owned()),
    }
    if *io_threads != 1 {
        lines.push(format!("io_threads {io_threads}"));
    }
    let usual = Network::default();
    if *network != usual {
        let latency =
            (network.latency != usual.latency).then(|| format!(" latency {}", show_duration_range(network.latency)));
        let chop = network.chop.map(|bytes| format!(" chop {bytes}"));
        lines.push(format!("network{}{}", latency.unwrap_or_default(), chop.unwrap_or_default()));
    }
    if *is_loose {
        lines.push("expect anything".to_owned());
    }
    lines
}
