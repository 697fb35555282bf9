//! Accounts that a program lists itself: for examples and tests, and for programs that know their few users.

use std::collections::BTreeMap;

use lobbyd_core::input::Account;
use lobbyd_core::name::UserName;
use lobbyd_core::packet::Sealed;
use lobbyd_net::password_digest;
use lobbyd_net::stores::{Accounts, LocalFuture, SecretBytes, Unavailable};
use subtle::ConstantTimeEq;

/// Who may log in. Only keyed digests of the secrets are kept, which takes no time and so protects no weak password from
/// whoever reads this process's memory.
#[derive(Clone)]
pub struct ListedAccounts {
    key: [u8; 16],
    accounts: BTreeMap<UserName, (Sealed, Account)>,
}

impl ListedAccounts {
    /// Nobody.
    ///
    /// # Panics
    /// If the system gives no random numbers.
    #[must_use]
    pub fn new() -> Self {
        let mut key = [0; 16];
        getrandom::fill(&mut key).expect("a system that runs programs has random numbers");
        Self { key, accounts: BTreeMap::new() }
    }

    /// The same, and a user with this secret. An empty one lets nobody in.
    #[must_use]
    pub fn with(self, user: UserName, secret: &str) -> Self {
        self.with_account(user, secret, Account::default())
    }

    /// The same, and a user with this secret, nickname and rights.
    #[must_use]
    pub fn with_account(mut self, user: UserName, secret: &str, account: Account) -> Self {
        self.accounts.insert(user, (password_digest(self.key, secret.as_bytes()), account));
        self
    }
}

impl Default for ListedAccounts {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for ListedAccounts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.accounts.keys()).finish()
    }
}

impl Accounts for ListedAccounts {
    fn verify(&self, user: UserName, secret: SecretBytes) -> LocalFuture<'_, Result<Option<Account>, Unavailable>> {
        let given = password_digest(self.key, &secret);
        let known = self.accounts.get(&user);
        // Compared also where there is nothing to compare with, so that it takes as long.
        let (expected, account) = known.map_or((Sealed([0; 16]), None), |(digest, account)| (*digest, Some(account)));
        let is_right = bool::from(given.0.ct_eq(&expected.0)) && !secret.is_empty();
        let verdict = account.filter(|_| is_right).cloned();
        Box::pin(async move { Ok(verdict) })
    }
}
