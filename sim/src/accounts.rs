//! Accounts of a simulation: a list of names and secrets, with an answer that may take simulated time.

use std::collections::BTreeMap;
use std::time::Duration;

use lobbyd_core::input::Account;
use lobbyd_core::name::UserName;
use lobbyd_net::stores::{Accounts, LocalFuture, SecretBytes, Unavailable};
use tokio::time::sleep;

/// Who may log in, and how long the store takes to say so.
#[derive(Clone, Debug, Default)]
pub struct ListedAccounts {
    accounts: BTreeMap<UserName, (Vec<u8>, Account)>,
    delay: Duration,
}

impl ListedAccounts {
    /// Nobody, answered at once.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The same, and a user with this secret.
    #[must_use]
    pub fn with(self, user: UserName, secret: &str) -> Self {
        self.with_account(user, secret, Account::default())
    }

    /// The same, and a user with this secret and account.
    #[must_use]
    pub fn with_account(mut self, user: UserName, secret: &str, account: Account) -> Self {
        self.accounts.insert(user, (secret.as_bytes().to_vec(), account));
        self
    }

    /// The same, with every answer this much later.
    #[must_use]
    pub fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }
}

impl Accounts for ListedAccounts {
    fn verify(&self, user: UserName, secret: SecretBytes) -> LocalFuture<'_, Result<Option<Account>, Unavailable>> {
        Box::pin(async move {
            if !self.delay.is_zero() {
                sleep(self.delay).await;
            }
            let known = self.accounts.get(&user).filter(|(known, _)| !secret.is_empty() && *known == **secret);
            Ok(known.map(|(_, account)| account.clone()))
        })
    }
}
