//! Arguments that set settings, shared by the commands that read any.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory};

use super::CommandLine;
use crate::config::{Flag, Sources};

/// Where settings come from, and which store they name.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Settings")]
pub(super) struct SettingsArguments {
    /// Read settings from this TOML file [environment: LOBBYD_CONFIG]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where accounts live: embedded, or redis://HOST:PORT/DATABASE (setting server.store; with a password rather
    /// in the file or in the environment variable LOBBYD_SERVER_STORE, for others see this command line)
    #[arg(long, value_name = "STORE")]
    store: Option<Hidden>,
    /// The data folder (setting server.data)
    #[arg(long, value_name = "FOLDER")]
    data: Option<String>,
    /// Set any setting, for example --set limits.users_max=500; see `lobbyd config doc`
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_and_value)]
    set: Vec<(String, Hidden)>,
}

/// The same, and what only a server needs.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Settings")]
pub(super) struct ServeArguments {
    /// Listen on this address, for example 127.0.0.1:7400; repeat for more (setting server.listen)
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Vec<String>,
    /// How log lines look: text or json (setting log.format)
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<String>,
    /// Which log lines are written, for example info,lobbyd_net=debug (setting log.levels)
    #[arg(long, value_name = "LEVELS")]
    log_levels: Option<String>,
    #[command(flatten)]
    settings: SettingsArguments,
}

impl ServeArguments {
    /// Keeps only what a server alone needs.
    pub(super) fn forget_settings(&mut self) {
        self.settings = SettingsArguments::default();
    }
}

/// A value that may hold a secret.
#[derive(Clone)]
struct Hidden(String);

impl std::fmt::Debug for Hidden {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(not shown)")
    }
}

impl From<String> for Hidden {
    fn from(value: String) -> Self {
        Self(value)
    }
}

fn key_and_value(argument: &str) -> Result<(String, Hidden), String> {
    let (key, value) = argument.split_once('=').ok_or("it has no =, as in --set limits.users_max=500")?;
    Ok((key.trim().to_owned(), Hidden(value.to_owned())))
}

/// What the arguments set.
#[derive(Debug, Default)]
pub(super) struct Overrides {
    /// The file to read.
    pub(super) file: Option<PathBuf>,
    flags: Vec<Flag>,
}

impl Overrides {
    /// These, given before the command's name, and `inner`, given after it.
    pub(super) fn and(mut self, inner: Self) -> Result<Self, clap::Error> {
        if self.file.is_some() && inner.file.is_some() {
            return Err(conflict("--config is given twice, before and after the command"));
        }
        self.file = self.file.or(inner.file);
        self.flags.extend(inner.flags);
        Ok(self)
    }

    /// For commands that read no settings: an argument without effect is refused.
    pub(super) fn must_be_none(&self, command: &str) -> Result<(), clap::Error> {
        let flag = self.file.as_ref().map(|_| "--config").or(self.flags.first().map(|flag| flag.name));
        match flag {
            Some(flag) => Err(conflict(&format!("{flag} has no meaning for {command}, which reads no settings"))),
            None => Ok(()),
        }
    }

    pub(super) fn into_sources(self, environment: Vec<(OsString, OsString)>) -> Sources {
        Sources { file: self.file, environment, flags: self.flags }
    }

    fn set(&mut self, name: &'static str, key: &str, value: Option<String>) {
        self.flags.extend(value.map(|value| Flag { name, key: String::from(key), value }));
    }
}

pub(super) fn conflict(message: &str) -> clap::Error {
    CommandLine::command().error(ErrorKind::ArgumentConflict, message)
}

impl From<SettingsArguments> for Overrides {
    fn from(arguments: SettingsArguments) -> Self {
        let SettingsArguments { config, store, data, set } = arguments;
        let mut overrides = Self { file: config, flags: Vec::new() };
        overrides.set("--store", "server.store", store.map(|store| store.0));
        overrides.set("--data", "server.data", data);
        for (key, value) in set {
            overrides.set("--set", &key, Some(value.0));
        }
        overrides
    }
}

impl From<ServeArguments> for Overrides {
    fn from(arguments: ServeArguments) -> Self {
        let ServeArguments { listen, log_format, log_levels, settings } = arguments;
        let mut overrides = Self::from(settings);
        overrides.set("--listen", "server.listen", (!listen.is_empty()).then(|| listen.join(",")));
        overrides.set("--log-format", "log.format", log_format);
        overrides.set("--log-levels", "log.levels", log_levels);
        overrides
    }
}
