//! The daemon: a server in a process of its own, from the first line of its log to its exit.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use lobbyd_core::extension::RegisterError;
use lobbyd_net::Report;
use lobbyd_net::extension::Extensions;
use tokio::runtime::Builder;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{info, warn};

use crate::config::{RedisAuth, Settings, Store};
use crate::open_files;
use crate::server::{EndError, Server, ServerHandle};

/// Serves, extended by what `extend` adds, until told to stop by SIGTERM or SIGINT. The process exits at once on a second such signal.
///
/// # Errors
/// When it cannot begin to serve: says what is wrong, with which setting, and what to do. When the server breaks down.
pub(crate) fn run(
    settings: Settings,
    extend: impl FnOnce(&mut Extensions) -> Result<(), RegisterError> + Send + 'static,
) -> anyhow::Result<()> {
    // For the signals alone: the server has a thread of its own.
    let runtime = Builder::new_current_thread().enable_all().build().context("the runtime cannot be started")?;
    runtime.block_on(serve(settings, extend))
}

async fn serve(
    settings: Settings,
    extend: impl FnOnce(&mut Extensions) -> Result<(), RegisterError> + Send + 'static,
) -> anyhow::Result<()> {
    open_files::raise_limit(settings.limits.sessions_max.into());
    // From here on a signal drains; what is not open yet is then closed at once.
    let signals = Signals::new()?;
    let server = Server::builder().settings(settings.clone()).extensions(extend).start().await?;
    say_what_next(&settings, server.addresses());
    tokio::select! {
        ended = server.ended() => ended,
        ended = signals.obey(&server, settings.server.drain_timeout) => ended,
    }?;
    Ok(())
}

fn say_what_next(settings: &Settings, addresses: &[SocketAddr]) {
    let chat = addresses.first().map_or_else(String::new, |address| format!("`lobbyd chat {address}` talks"));
    match (&settings.server.store, settings.redis.auth) {
        (Store::Embedded, _) => {
            let data = settings.server.data.display();
            info!(%data, "accounts are in the data folder");
            info!("next: `lobbyd user add NAME --data {data}` makes an account, {chat}");
        }
        (Store::Redis(url), RedisAuth::Argon2id) => {
            info!(store = %url, "accounts are in Redis");
            info!("next: `lobbyd user add NAME --store {url}` makes an account, {chat}");
        }
        (Store::Redis(url), RedisAuth::Token) => {
            info!(store = %url, key = %settings.redis.token_key, "tokens of users are in Redis");
            info!("next: once a token is written there, {chat}");
        }
    }
}

/// The signals that stop the daemon.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("the signals that stop the server cannot be received");
        Ok(Self { terminate: listen(SignalKind::terminate())?, interrupt: listen(SignalKind::interrupt())? })
    }

    /// Drains on the first signal, ends the process on the second.
    async fn obey(mut self, server: &ServerHandle, drain_timeout: Duration) -> Result<Report, EndError> {
        self.next().await;
        info!(seconds = drain_timeout.as_secs(), "stopping: clients are asked to leave; a second signal stops at once");
        tokio::select! {
            drained = server.drain(drain_timeout) => drained,
            () = self.next() => {
                warn!("stopped at once by a second signal");
                std::process::exit(STOPPED_AT_ONCE);
            }
        }
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// The exit code after a second signal: it did not end as it should.
const STOPPED_AT_ONCE: i32 = 1;
