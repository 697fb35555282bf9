//! `lobbyd user`: accounts.

use clap::{Args, Subcommand};
use lobbyd_core::name::UserName;

use super::arguments::SettingsArguments;
use crate::config::{RedisAuth, Settings, Store};
use crate::stores::open::hash_parameters;
use crate::users::{self, Authentication, StoreChoice, UserSettings};

/// What is to be done with accounts, and in which store.
#[derive(Debug, Args)]
pub(super) struct UserArguments {
    #[command(flatten)]
    pub(super) settings: SettingsArguments,
    #[command(subcommand)]
    pub(super) command: UserCommand,
}

/// What is to be done with accounts.
#[derive(Debug, Subcommand)]
pub(super) enum UserCommand {
    /// Add a user; the password is asked for, or is one line of the standard input.
    Add {
        /// The name: 1 to 32 of A-Z a-z 0-9 _ . - (upper and lower case are the same)
        name: UserName,
        /// What others see instead of the name: 1 to 32 characters of any script
        #[arg(long)]
        nickname: Option<String>,
        /// The user may kick others in every room
        #[arg(long)]
        administrator: bool,
    },
    /// Give a user another password, asked for or read like that of `add`.
    Passwd {
        /// The user's name
        name: UserName,
    },
    /// Remove a user.
    Remove {
        /// The user's name
        name: UserName,
    },
    /// List the users, one a line: name, nickname, administrator, time of adding.
    List,
}

impl From<UserCommand> for users::UserCommand {
    fn from(command: UserCommand) -> Self {
        match command {
            UserCommand::Add { name, nickname, administrator } => Self::Add { name, nickname, administrator },
            UserCommand::Passwd { name } => Self::Passwd { name },
            UserCommand::Remove { name } => Self::Remove { name },
            UserCommand::List => Self::List,
        }
    }
}

/// Does what is to be done.
pub(super) fn run(command: UserCommand, settings: &Settings) -> anyhow::Result<()> {
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
    users::run(command.into(), &UserSettings { data: settings.server.data.clone(), store, hashing })
}
