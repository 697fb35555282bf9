//! The server that is measured: a process of its own, in a temporary folder, on the loopback address.

mod accounts;
mod child;
mod foreign;
mod own;

use std::net::SocketAddr;

use anyhow::Context;
use tempfile::TempDir;

use self::child::Child;
use super::load::Load;
use super::options::Options;
use super::process::Process;
use super::processors::Processors;
use super::scenario::Scenario;
use super::target::Target;

pub(crate) use self::foreign::version;

/// A server that runs. It is ended when this is dropped, and what it wrote goes with it.
pub(crate) struct Server {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// What it costs; absent for one on an address whose process was not named.
    pub(crate) process: Option<Process>,
    /// Ended before its helper.
    child: Option<Child>,
    /// The Redis that it asks for tokens.
    _helper: Option<Child>,
    _folder: Option<TempDir>,
}

impl Server {
    /// Starts the server of a scenario, and waits until it listens.
    pub(crate) fn start(
        target: &Target,
        scenario: Scenario,
        load: &Load,
        options: &Options,
        processors: Processors,
    ) -> anyhow::Result<Self> {
        if let Target::Address(address) = target {
            let process = options.process.map(Process::new).transpose()?;
            return Ok(Self { address: *address, process, child: None, _helper: None, _folder: None });
        }
        let folder = tempfile::Builder::new().prefix("lobbyd-bench-").tempdir();
        let folder = folder.context("a temporary folder cannot be made")?;
        let (child, address, helper) = match target {
            Target::Lobbyd { program, io_threads, .. } => {
                let mut options = options.clone();
                options.settings.extend(io_threads.map(|count| ("server.io_threads".to_owned(), count.to_string())));
                let is_spread = io_threads.is_some();
                let (child, address, helper) =
                    own::start(program, scenario, load, &options, folder.path(), processors, is_spread)?;
                (child, address, helper)
            }
            Target::Floor { program } => {
                let (child, address) = own::start_floor(program, processors)?;
                (child, address, None)
            }
            Target::Redis | Target::Nats | Target::Mosquitto | Target::Ngircd | Target::Inspircd => {
                let start = || foreign::start(target, folder.path());
                let (child, address) = processors.on_server(start)?;
                (child, address, None)
            }
            Target::Address(_) => unreachable!("returned above"),
        };
        let process = Some(Process::new(child.id())?);
        Ok(Self { address, process, child: Some(child), _helper: helper, _folder: Some(folder) })
    }

    /// Stops a lobbyd, and says which share of the processor time of its whole life its I/O threads have waited for each
    /// other. None if it does not say.
    pub(crate) fn waited_share(&self) -> Option<f64> {
        let spent = self.process?.processor_time().ok()?;
        let line = self.child.as_ref()?.stop(|line| {
            let line: serde_json::Value = serde_json::from_str(line).ok()?;
            line.get("engine_waited_us")?.as_f64()
        });
        Some(line? / 1e6 / spent.as_secs_f64())
    }

    /// What the server has written last, for whoever has to explain a failure.
    pub(crate) fn last_words(&self) -> String {
        self.child.as_ref().map(Child::last_words).unwrap_or_default()
    }
}
