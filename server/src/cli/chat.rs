//! `lobbyd chat`: a client for a terminal.

use clap::Args;

/// Whom to talk to, and as whom.
#[derive(Debug, Args)]
pub(super) struct ChatArguments {
    /// The server
    #[arg(default_value = "127.0.0.1:7400", value_name = "ADDRESS")]
    pub(super) address: String,
    /// Log in as this user; otherwise the name is asked for
    #[arg(long, value_name = "NAME")]
    pub(super) user: Option<String>,
}

/// Chats until the person or the server ends it.
pub(super) fn run(arguments: ChatArguments) -> anyhow::Result<()> {
    anyhow::bail!("chatting with {} as {:?} is not built yet", arguments.address, arguments.user)
}
