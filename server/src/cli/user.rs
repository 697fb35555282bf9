//! `lobbyd user`: accounts.

use clap::{Args, Subcommand};
use lobbyd_core::name::UserName;

use super::arguments::SettingsArguments;
use crate::config::{RedisAuth, Settings, Store};
use crate::stores::open::hash_parameters;
use crate::users::{self, Authentication, StoreChoice, UserSettings};

/// What is to be done with accounts.
#[derive(Debug, Subcommand)]
pub(super) enum UserCommand {
    /// Add a user; the password is asked for, or is one line of the standard input.
    Add(AddArguments),
    /// Give a user another password, asked for or read like that of `add`.
    Passwd(NameArguments),
    /// Remove a user.
    Remove(NameArguments),
    /// List the users, one a line: name, nickname, administrator, time of adding.
    List(ListArguments),
}

/// A new account.
#[derive(Debug, Args)]
pub(super) struct AddArguments {
    /// The name: 1 to 32 of A-Z a-z 0-9 _ . - (upper and lower case are the same)
    pub(super) name: UserName,
    /// What others see instead of the name: 1 to 32 characters of any script
    #[arg(long)]
    pub(super) nickname: Option<String>,
    /// The user may kick others in every room
    #[arg(long)]
    pub(super) administrator: bool,
    #[command(flatten)]
    settings: SettingsArguments,
}

/// An account that exists.
#[derive(Debug, Args)]
pub(super) struct NameArguments {
    /// The user's name
    name: UserName,
    #[command(flatten)]
    settings: SettingsArguments,
}

/// All accounts.
#[derive(Debug, Args)]
pub(super) struct ListArguments {
    #[command(flatten)]
    settings: SettingsArguments,
}

impl UserCommand {
    /// What is to be done, and the arguments that set settings.
    pub(super) fn into_parts(self) -> (users::UserCommand, SettingsArguments) {
        match self {
            Self::Add(AddArguments { name, nickname, administrator, settings }) => {
                (users::UserCommand::Add { name, nickname, administrator }, settings)
            }
            Self::Passwd(NameArguments { name, settings }) => (users::UserCommand::Passwd { name }, settings),
            Self::Remove(NameArguments { name, settings }) => (users::UserCommand::Remove { name }, settings),
            Self::List(ListArguments { settings }) => (users::UserCommand::List, settings),
        }
    }
}

/// Does what is to be done.
pub(super) fn run(command: users::UserCommand, settings: &Settings) -> anyhow::Result<()> {
    let store = match &settings.server.store {
        Store::Embedded => StoreChoice::Embedded,
        Store::Redis(url) => StoreChoice::Redis {
            url: url.expose().to_owned(),
            account_key: settings.redis.account_key.clone(),
            authentication: match settings.redis.auth {
                RedisAuth::Argon2id => Authentication::Argon2id,
                RedisAuth::Token => Authentication::Token,
            },
        },
    };
    let hashing = hash_parameters(settings)?;
    users::run(command, &UserSettings { data: settings.server.data.clone(), store, hashing })
}
