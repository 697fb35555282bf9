//! The Redis side: one connection that mends itself, and the accounts and presence leases that stand on it.
//!
//! Everything here runs on the I/O thread, as [errands](crate::Errands), and takes its streams from a [`Dial`], its time
//! from `tokio::time` and its randomness from seeds that are handed in. So it runs unchanged inside a simulation.
//!
//! Architecture invariant: nothing but [`TcpDial`] opens a socket.

mod accounts;
mod address;
mod cork;
mod dial;
mod error;
mod guard;
mod jitter;
mod key;
mod link;
mod presence;

pub use accounts::{RedisAccounts, TOKEN_BYTES_MAX};
pub use address::{AddressError, RedisAddress};
pub use dial::{Dial, TcpDial};
pub use error::{LinkError, LinkFault, ServerFault};
pub use key::{KeyPattern, KeyPatternError, PATTERN_BYTES_MAX};
pub use link::{Link, LinkConfig, LinkState, LinkStats};
pub use presence::{PresenceConfig, PresenceConfigError, PresenceStats, RedisPresence, scripts};
