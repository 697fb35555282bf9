//! `lobbyd user`: accounts.

use clap::Args;

use super::arguments::SettingsArguments;
use crate::config::{RedisAuth, Settings, Store};
use crate::stores::open::hash_parameters;
use crate::users::{self, Authentication, StoreChoice, UserCommand, UserSettings};

/// What is to be done with accounts, and in which store.
#[derive(Debug, Args)]
pub(super) struct UserArguments {
    #[command(flatten)]
    pub(super) settings: SettingsArguments,
    #[command(subcommand)]
    pub(super) command: UserCommand,
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
    users::run(command, &UserSettings { data: settings.server.data.clone(), store, hashing })
}
