//! `lobbyd user`: accounts.

use clap::{Args, Subcommand};
use lobbyd_core::name::UserName;
use lobbyd_core::text::{Text, check_nickname};

use super::arguments::SettingsArguments;
use crate::config::Settings;

/// What is to be done with accounts. Passwords are asked for at a prompt or read from standard input.
#[derive(Debug, Subcommand)]
pub(super) enum UserCommand {
    /// Make an account; the password is asked for, or read from standard input.
    Add(AddArguments),
    /// Change a user's password; it is asked for, or read from standard input.
    Passwd(NameArguments),
    /// Remove an account.
    Remove(NameArguments),
    /// List the accounts.
    List(ListArguments),
}

/// A new account.
#[derive(Debug, Args)]
pub(super) struct AddArguments {
    /// The user's name: 1 to 32 characters of A-Z a-z 0-9 _ . -
    pub(super) name: UserName,
    /// What others see instead of the name: 1 to 32 characters
    #[arg(long, value_parser = nickname)]
    pub(super) nickname: Option<Text>,
    /// May kick in every room
    #[arg(long)]
    pub(super) administrator: bool,
    #[command(flatten)]
    settings: SettingsArguments,
}

/// An account that exists.
#[derive(Debug, Args)]
pub(super) struct NameArguments {
    /// The user's name
    pub(super) name: UserName,
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
    /// The arguments that set settings.
    pub(super) fn settings(&self) -> SettingsArguments {
        match self {
            Self::Add(arguments) => arguments.settings.clone(),
            Self::Passwd(arguments) | Self::Remove(arguments) => arguments.settings.clone(),
            Self::List(arguments) => arguments.settings.clone(),
        }
    }
}

fn nickname(argument: &str) -> Result<Text, String> {
    check_nickname(argument.into()).map(Text::new).map_err(|error| error.to_string())
}

/// Does what is to be done.
pub(super) fn run(command: UserCommand, settings: &Settings) -> anyhow::Result<()> {
    anyhow::bail!("{command:?} in the store {} is not built yet", settings.server.store)
}
