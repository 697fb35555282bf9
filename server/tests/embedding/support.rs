//! A server to test, and clients of it.

use std::net::SocketAddr;

use lobbyd::config::Settings;
use lobbyd::stores::listed::ListedAccounts;
use lobbyd::{Server, ServerBuilder, ServerHandle};
use lobbyd_core::extension::{Command, CommandHandler, Context, Failure, Reply};
use lobbyd_core::id::RoomNumber;
use lobbyd_core::name::UserName;
use lobbyd_net::client::{Events, Handle, connect};
use tokio::net::TcpStream;

pub(crate) const GENERAL: RoomNumber = RoomNumber(1);

pub(crate) fn settings() -> Settings {
    let mut settings = Settings::default();
    settings.server.listen = vec![SocketAddr::from(([127, 0, 0, 1], 0))];
    settings
}

pub(crate) fn name(text: &str) -> UserName {
    text.parse().unwrap()
}

pub(crate) fn builder() -> ServerBuilder {
    Server::builder()
        .settings(settings())
        .accounts(|| ListedAccounts::new().with(name("alice"), "wonder").with(name("bob"), "builder"))
}

pub(crate) async fn log_in(server: &ServerHandle, user: &str, secret: &str) -> (Handle, Events) {
    let stream = TcpStream::connect(server.address()).await.unwrap();
    let (handle, events, connection) = connect(stream, "embedding test").await.unwrap();
    tokio::spawn(connection.run());
    handle.login(user, secret.as_bytes()).await.unwrap();
    (handle, events)
}

/// Throws a die.
#[derive(Clone)]
pub(crate) struct Die;

impl CommandHandler for Die {
    fn command(&mut self, context: &mut Context<'_>, command: Command<'_>) -> Result<(), Failure> {
        if command.parameters == b"too long" {
            let long = vec![b'x'; context.config().frame_bytes_max as usize];
            return Ok(context.reply(Reply::success(&long))?);
        }
        let thrown = 1 + context.random_below(1_000_000);
        Ok(context.reply(Reply::success(thrown.to_string().as_bytes()))?)
    }
}
