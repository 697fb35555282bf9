//! The room server as a program, `lobbyd`, and as a part of a program of your own.
//!
//! [`Server`] builds one server: configuration, accounts, and what extends it. `EXTENDING.md` beside this package walks
//! through it, and `examples/` holds small programs to begin with.
//!
//! ```
//! use lobbyd::Server;
//! use lobbyd::config::Settings;
//! use lobbyd::stores::listed::ListedAccounts;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut settings = Settings::default();
//! settings.server.listen = vec!["127.0.0.1:0".parse()?];
//! let alice = "alice".parse()?;
//! let server = Server::builder()
//!     .settings(settings)
//!     .accounts(move || ListedAccounts::new().with(alice, "wonder"))
//!     .start()
//!     .await?;
//! println!("listening on {}", server.address());
//! assert_eq!(server.connection_count().await?, 0);
//! server.stop().await?;
//! # Ok(())
//! # }
//! ```

#![forbid(unsafe_code)]

#[cfg(not(tokio_unstable))]
compile_error!("lobbyd needs tokio's `tokio_unstable` cfg: if RUSTFLAGS is set, add `--cfg tokio_unstable` to it");

#[cfg(target_os = "linux")]
pub mod bench;
pub mod chat;
pub mod cli;
pub mod config;
pub mod control;
mod daemon;
pub mod journal;
mod listener;
mod open_files;
pub mod prompt;
mod server;
pub mod stores;
pub mod telemetry;
pub mod users;

pub use lobbyd_core;
pub use lobbyd_net;

pub use listener::BindError;
pub use server::{EndError, Server, ServerBuilder, ServerHandle, StartError};
