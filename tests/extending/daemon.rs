//! A daemon with what every example extends a server by, for the scenarios on the live layer. The inventory's service has
//! the same stand-in there as on the simulated layers.

#[path = "../../server/examples/custom_command/dice.rs"]
mod dice;
#[path = "../../server/examples/inventory_service/inventory.rs"]
mod inventory;
#[path = "../../server/examples/moderation/links.rs"]
mod links;
#[path = "../../server/examples/game_lobby/ready_check.rs"]
mod ready_check;
mod stand_in;

use std::env;
use std::process::ExitCode;
use std::time::Duration;

use lobbyd_core::data::Data;
use lobbyd_core::extension::RegisterError;
use lobbyd_core::input::ServiceError;
use lobbyd_net::extension::Extensions;
use lobbyd_net::extension::service::Service;
use lobbyd_net::stores::LocalFuture;

fn main() -> ExitCode {
    lobbyd::cli::main_with(env::args_os(), env::vars_os(), extend).into()
}

fn extend(extensions: &mut Extensions) -> Result<(), RegisterError> {
    [dice::extend, ready_check::extend, inventory::extend, links::extend].iter().try_for_each(|add| add(extensions))?;
    extensions.replace_service("items".parse().expect("a good name"), StandIn);
    Ok(())
}

/// The stand-in as a service in real time.
struct StandIn;

impl Service for StandIn {
    fn call(&self, request: Data) -> LocalFuture<'_, Result<Data, ServiceError>> {
        let (delay, answer) = stand_in::items(request.as_bytes(), 0);
        Box::pin(async move {
            tokio::time::sleep(delay).await;
            answer.map(Data::from)
        })
    }

    fn timeout(&self) -> Duration {
        // The engine's own bound is what the scenario sets.
        Duration::from_secs(24 * 60 * 60)
    }
}
