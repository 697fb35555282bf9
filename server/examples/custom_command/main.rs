//! A server with a command of its own: everybody in a room sees the dice.
//!
//! `cargo run -p lobbyd --example custom_command [ADDRESS:PORT [SEED]]`; with a seed the same dice fall again. Accounts are
//! alice (`wonder`) and bob (`builder`). `EXTENDING.md` builds this step by step.

mod dice;

use std::env;
use std::error::Error;

use lobbyd::Server;
use lobbyd::config::Settings;
use lobbyd::stores::listed::ListedAccounts;
use lobbyd::telemetry;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let mut settings = Settings::default();
    if let Some(address) = arguments.next() {
        settings.server.listen = vec![address.parse()?];
    }
    telemetry::init(settings.log.format, settings.log.levels.as_str())?;
    let (alice, bob) = ("alice".parse()?, "bob".parse()?);
    let mut builder = Server::builder()
        .settings(settings)
        .accounts(move || ListedAccounts::new().with(alice, "wonder").with(bob, "builder"))
        .extensions(dice::extend);
    if let Some(seed) = arguments.next() {
        builder = builder.seed(seed.parse()?);
    }
    let server = builder.start().await?;
    println!("listening on {}", server.address());
    server.ended().await?;
    Ok(())
}
