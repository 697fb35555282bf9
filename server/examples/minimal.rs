//! The smallest program with a server in it: two accounts, one room, and an announcement.
//!
//! `cargo run -p lobbyd --example minimal`, and in other terminals `cargo run -- chat --user alice` (the password is
//! `wonder`) and `cargo run -- chat --user bob` (`builder`). Ctrl-C asks everybody to leave and ends it.

use std::env;
use std::error::Error;
use std::time::Duration;

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
        .start()
        .await?;
    println!("listening on {}", server.address());

    // The server has a thread of its own. This one may do whatever the program is for, and asks for what it needs.
    let announcer = server.clone();
    tokio::spawn(async move {
        let mut known = 0;
        while let Ok(connections) = announcer.connection_count().await {
            if connections > known {
                // Nobody online to hear it is no mistake: it says how many did.
                let _ = announcer.announce(format!("{connections} connected")).await;
            }
            known = connections;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });

    tokio::signal::ctrl_c().await?;
    let report = server.drain(Duration::from_secs(5)).await?;
    println!("served {} connections", report.traffic.accepted);
    Ok(())
}
