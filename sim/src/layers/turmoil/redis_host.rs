//! The model Redis on its host, and the way to it.

use std::io;

use lobbyd_net::redis::{Dial, KeyPattern, RedisAddress};
use lobbyd_net::stores::LocalFuture;
use turmoil::net::{TcpListener, TcpStream};

use crate::network::{Chopped, Network, Watched};
use crate::redis::RedisServer;
use crate::scenario::{Account, Setup};

/// The name of its host.
pub(super) const HOST: &str = "redis";
const PORT: u16 = 6379;
/// How the keys of leases begin.
const LEASES: &str = "lobbyd:presence:";
/// Where evictions are published.
pub(super) const CHANNEL: &str = "lobbyd:presence:{user}:evicted";

/// The server with the tokens of the accounts.
pub(super) fn server(setup: &Setup) -> RedisServer {
    let token = |account: &Account| (token_key().key(&account.user), account.secret.clone());
    RedisServer::with_custody(setup.accounts.iter().map(token).collect(), LEASES)
}

/// What runs on its host: listens while there is a process.
///
/// # Errors
/// When it cannot listen.
pub(super) async fn run(server: RedisServer, network: Network) -> Result<(), Box<dyn std::error::Error>> {
    loop {
        server.until_running(true).await;
        let listener = TcpListener::bind(("0.0.0.0", PORT)).await?;
        loop {
            let (stream, peer) = tokio::select! {
                biased;
                () = server.until_running(false) => break,
                accepted = listener.accept() => accepted?,
            };
            let stream = Watched::new(Chopped::new(stream, network.chopper()), network.clone());
            let (server, network) = (server.clone(), network.clone());
            let host = turmoil::reverse_lookup(peer.ip()).unwrap_or_default();
            tokio::task::spawn_local(async move {
                // How a connection ends is the business of whoever made it.
                let _ = server.serve_host(stream, &host, &|| network.now()).await;
            });
        }
    }
}

/// Where daemons find it.
pub(super) fn address() -> RedisAddress {
    RedisAddress::parse(&format!("redis://{HOST}:{PORT}/0")).expect("a good URL")
}

pub(super) fn token_key() -> KeyPattern {
    pattern("lobbyd:token:{user}")
}

pub(super) fn presence_key() -> KeyPattern {
    pattern(&format!("{LEASES}{{user}}"))
}

fn pattern(text: &str) -> KeyPattern {
    KeyPattern::parse(text).expect("a good pattern")
}

/// Connects to it over the simulated network.
pub(super) struct SimulatedDial(Network);

/// What goes from a daemon to Redis.
pub(super) fn dial(network: &Network) -> SimulatedDial {
    SimulatedDial(network.clone())
}

impl Dial for SimulatedDial {
    type Stream = Chopped<TcpStream>;

    fn dial(&self) -> LocalFuture<'_, io::Result<Self::Stream>> {
        Box::pin(async { Ok(Chopped::new(TcpStream::connect((HOST, PORT)).await?, self.0.chopper())) })
    }
}
