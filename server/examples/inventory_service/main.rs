//! A server that asks a database: what users carry is kept by a service, which answers when it can.
//!
//! `cargo run -p lobbyd --example inventory_service [ADDRESS:PORT]`. Accounts are alice (`wonder`) and bob (`builder`).

mod inventory;

use std::env;
use std::error::Error;

use lobbyd::Server;
use lobbyd::config::Settings;
use lobbyd::stores::listed::ListedAccounts;
use lobbyd::telemetry;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut settings = Settings::default();
    if let Some(address) = env::args().nth(1) {
        settings.server.listen = vec![address.parse()?];
    }
    telemetry::init(settings.log.format, settings.log.levels.as_str())?;
    let (alice, bob) = ("alice".parse()?, "bob".parse()?);
    let server = Server::builder()
        .settings(settings)
        .accounts(move || ListedAccounts::new().with(alice, "wonder").with(bob, "builder"))
        .extensions(inventory::extend)
        .start()
        .await?;
    println!("listening on {}", server.address());
    server.ended().await?;
    Ok(())
}
