//! A server that watches what is said: words are masked, links refused, and talk has a budget of its own.
//!
//! `cargo run -p lobbyd --example moderation [ADDRESS:PORT]`. Accounts are alice (`wonder`, an administrator) and bob
//! (`builder`).

mod links;

use std::env;
use std::error::Error;

use lobbyd::Server;
use lobbyd::config::Settings;
use lobbyd::stores::listed::ListedAccounts;
use lobbyd::telemetry;
use lobbyd_core::input::Account;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut settings = Settings::default();
    if let Some(address) = env::args().nth(1) {
        settings.server.listen = vec![address.parse()?];
    }
    telemetry::init(settings.log.format, settings.log.levels.as_str())?;
    let (alice, bob) = ("alice".parse()?, "bob".parse()?);
    let administrator = Account { administrator: true, ..Account::default() };
    let server = Server::builder()
        .settings(settings)
        .accounts(move || ListedAccounts::new().with_account(alice, "wonder", administrator).with(bob, "builder"))
        .extensions(links::extend)
        .start()
        .await?;
    println!("listening on {}", server.address());
    server.ended().await?;
    Ok(())
}
