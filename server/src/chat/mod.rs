//! The terminal client: the client library of `lobbyd_net` with a person, or a script, in front of it.
//!
//! What a line means (`command`), what the client knows of the room (`view`) and how all that is told in words
//! (`render`) are plain values and functions. Around them, `client` decides what is waited for, `input` reads and
//! `screen` writes, both on a terminal with line editing as well as through pipes.
//!
//! Architecture invariant: whatever comes from the server goes through `escape` before it is shown.

mod address;
mod client;
mod command;
mod escape;
mod input;
mod login;
mod perform;
mod render;
mod screen;
mod terminal;
mod view;

use anyhow::Context;
use lobbyd_core::name::UserName;
use tokio::runtime::{Builder, LocalOptions};

pub use self::address::{InvalidAddress, parse_address};

/// Whom to talk to, and as whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChatSettings {
    /// The server, in the shape that [`parse_address`] gives.
    pub address: String,
    /// Who logs in; absent, the name is asked for.
    pub user: Option<UserName>,
}

/// Chats on standard input and output until the person quits, the input ends or nobody reads the output any more.
///
/// # Errors
/// When there is no connection to the server, the login is refused, or the connection is lost: says why.
pub fn run(settings: ChatSettings) -> anyhow::Result<()> {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build_local(LocalOptions::default())
        .context("the runtime cannot be started")?;
    let outcome = runtime.block_on(client::chat(settings));
    // A name that is still being looked up on another thread is not worth waiting for.
    runtime.shutdown_background();
    outcome
}
