//! What the driver asks of stores: who is a user (accounts), and where in the cluster a user is online (presence).
//!
//! Both are object-safe and single-threaded (`!Send` futures): they are called on the I/O thread, and do what blocks
//! or computes for long elsewhere.

use std::future::Future;
use std::pin::Pin;

use lobbyd_core::id::Ticket;
use lobbyd_core::input::Account;
use lobbyd_core::name::UserName;
use zeroize::Zeroizing;

/// A future on the I/O thread.
pub type LocalFuture<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// A secret in clear, wiped when it is dropped.
pub type SecretBytes = Zeroizing<Vec<u8>>;

/// The store could not be asked, or did not answer in time, or answered what makes no sense. The text is for the log:
/// what happened, which store, what to do; it never holds a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unavailable(pub String);

/// Knows which secret belongs to which user.
pub trait Accounts {
    /// The account, if `secret` is the secret of `user`; `None` if the user is unknown or the secret is wrong. The two
    /// cannot be told apart, also not by the time the answer takes. An empty secret is always wrong.
    ///
    /// # Errors
    /// When the store does not give an answer that can be trusted. It answers within a deadline of its own.
    fn verify(&self, user: UserName, secret: SecretBytes) -> LocalFuture<'_, Result<Option<Account>, Unavailable>>;
}

/// Owns at most one lease for each online user, across all daemons that share a store.
pub trait Presence {
    /// Takes the lease of `user` in the name of `ticket`: `true` if it is taken, `false` if another owns it (never with
    /// `replace`, which takes it from whoever owns it and tells that owner).
    ///
    /// # Errors
    /// When the store does not give an answer that can be trusted; no lease is held then, or it is released by itself.
    fn take(&self, ticket: Ticket, user: UserName, replace: bool) -> LocalFuture<'_, Result<bool, Unavailable>>;

    /// Gives the lease back if `ticket` still owns it. Returns at once; a later `take` of the same user by this daemon
    /// comes after it, also when the store is out of reach in between.
    fn release(&self, ticket: Ticket, user: UserName);

    /// Waits until a lease that was taken here turns out to be another's, and says whose it was.
    fn lost(&self) -> LocalFuture<'_, Ticket>;
}

/// Compares a secret with a stored argon2id hash, elsewhere than on the I/O thread. With no hash it takes as long and says no.
pub trait SecretVerifier {
    /// Whether `secret` is the one that `hash` (a PHC string) was made of.
    ///
    /// # Errors
    /// When the hash cannot be read, or there are too many comparisons waiting.
    fn verify(&self, hash: Option<String>, secret: SecretBytes) -> LocalFuture<'_, Result<bool, Unavailable>>;
}
