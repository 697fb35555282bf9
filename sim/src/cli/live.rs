//! What the live layer is told on the command line.

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::Args;

use super::Layer;
use crate::layers::live::Target;
use crate::scenario::{Scenario, print};

/// On what the live layer runs.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "The live layer")]
pub(super) struct LiveArguments {
    /// The daemon's program, which is started for each scenario [default: lobbyd beside this program]
    #[arg(long, value_name = "PATH", conflicts_with = "addresses")]
    daemon: Option<PathBuf>,
    /// A server that runs already; once for each daemon of the scenario, in its order. Its configuration and accounts
    /// must be those of the scenario's setup, which is printed, and it must have been started just before if the
    /// scenario expects numbers of users
    #[arg(long = "address", value_name = "HOST:PORT")]
    addresses: Vec<String>,
}

impl LiveArguments {
    /// On what the live layer runs.
    ///
    /// # Errors
    /// When this program does not know where it is itself.
    pub(super) fn target(&self) -> anyhow::Result<Target> {
        if !self.addresses.is_empty() {
            return Ok(Target::Running { addresses: self.addresses.clone() });
        }
        let program = match &self.daemon {
            Some(program) => program.clone(),
            None => std::env::current_exe()
                .context("cannot find this program, beside which lobbyd would be: name it by --daemon PATH")?
                .with_file_name("lobbyd"),
        };
        Ok(Target::Started { program })
    }

    /// Refuses what has no effect on a layer.
    ///
    /// # Errors
    /// When something is given for another layer.
    pub(super) fn must_fit(&self, layer: Layer) -> anyhow::Result<()> {
        let given = [("--daemon", self.daemon.is_some()), ("--address", !self.addresses.is_empty())];
        match given.iter().find(|(_, is_given)| *is_given) {
            Some((flag, _)) if layer != Layer::Live => {
                bail!("{flag} has no meaning on the {layer} layer: give --layer live as well")
            }
            Some(_) | None => Ok(()),
        }
    }

    /// What a server that runs already must be like, if it is to run on one: the setup's own lines.
    pub(super) fn needs(&self, scenario: &Scenario) -> Vec<String> {
        if self.addresses.is_empty() {
            return Vec::new();
        }
        let setup = Scenario { title: String::new(), setup: scenario.setup.clone(), steps: Vec::new() };
        // How the network is and how strict the run is are no server's business.
        let is_of_server = |line: &&str| !line.starts_with("network ") && !line.starts_with("expect ");
        print(&setup).lines().filter(is_of_server).map(str::to_owned).collect()
    }

    /// The same as arguments, each behind a space.
    pub(super) fn shown(&self) -> String {
        let daemon = self.daemon.iter().map(|program| format!(" --daemon {}", super::quoted(program)));
        daemon.chain(self.addresses.iter().map(|address| format!(" --address {address}"))).collect()
    }
}

#[cfg(test)]
impl LiveArguments {
    /// Servers that run already, for tests of other files.
    pub(super) fn with_addresses(addresses: &[&str]) -> Self {
        Self { daemon: None, addresses: addresses.iter().map(|address| (*address).to_owned()).collect() }
    }
}
