//! `lobbyd chat`: a client for a terminal.

use clap::Args;
use lobbyd_core::name::UserName;

use crate::chat::{self, ChatSettings};

/// Whom to talk to, and as whom.
#[derive(Debug, Args)]
pub(super) struct ChatArguments {
    /// The server, as HOST:PORT, or as HOST alone for port 7400
    #[arg(default_value = "127.0.0.1:7400", value_name = "ADDRESS", value_parser = chat::parse_address)]
    pub(super) address: String,
    /// Log in as this user; otherwise the name is asked for
    #[arg(long, value_name = "NAME")]
    pub(super) user: Option<UserName>,
}

/// Chats until the person or the server ends it.
pub(super) fn run(ChatArguments { address, user }: ChatArguments) -> anyhow::Result<()> {
    chat::run(ChatSettings { address, user })
}
