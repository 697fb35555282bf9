//! Connections of clients on their simulated hosts.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::sleep;

use super::daemon::PORT;
use crate::layers::line::{self, Cut, Line, Voice};
use crate::network::{Network, SimulatedStream};

/// A connection to be made.
pub(super) struct Call {
    /// Whose it is.
    pub(super) client: String,
    pub(super) line: Rc<Line>,
    pub(super) voice: Rc<RefCell<Voice>>,
    /// The host to connect to; none if nobody is there, who would refuse it.
    pub(super) host: Option<String>,
}

impl Cut for SimulatedStream {
    fn cut(self) {
        self.reset();
    }
}

/// What runs on a host of clients.
///
/// # Errors
/// Never; the simulation asks for a result.
pub(super) async fn run(
    mut calls: mpsc::UnboundedReceiver<Call>,
    network: Network,
) -> Result<(), Box<dyn std::error::Error>> {
    while let Some(call) = calls.recv().await {
        let network = network.clone();
        tokio::task::spawn_local(async move { attend(call, &network).await });
    }
    Ok(())
}

/// A connection's whole life.
///
/// # Panics
/// When a daemon sends what is no packet: it never does.
async fn attend(call: Call, network: &Network) {
    let Call { client, line, voice, host } = call;
    let stream = match host {
        Some(host) => SimulatedStream::connect(network, (host.as_str(), PORT)).await.ok(),
        None => {
            sleep(Duration::from_millis(1)).await;
            None
        }
    };
    if let Some(stream) = &stream {
        network.name(stream, &client);
    }
    let outcome = line::attend(stream, &line, &voice).await;
    network.touch();
    if let Err(unreadable) = outcome {
        panic!("{unreadable}");
    }
}
