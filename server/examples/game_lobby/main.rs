//! A server for a game: a match begins when everybody in a room is ready.
//!
//! `cargo run -p lobbyd --example game_lobby [ADDRESS:PORT]`. Accounts are alice (`wonder`) and bob (`builder`).

mod ready_check;

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
        .extensions(ready_check::extend)
        .start()
        .await?;
    println!("listening on {}", server.address());
    server.ended().await?;
    Ok(())
}
