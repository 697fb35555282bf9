//! Decides about a login outside the engine: asks the accounts, then takes the presence lease.

use std::future::Future;
use std::rc::Rc;

use lobbyd_core::action::Presence as PresenceMode;
use lobbyd_core::id::Ticket;
use lobbyd_core::input::Verdict;
use lobbyd_core::name::UserName;
use tracing::warn;

use crate::stores::{Accounts, Presence, SecretBytes};

/// The stores that decide about logins.
#[derive(Clone)]
pub(crate) struct Logins {
    accounts: Rc<dyn Accounts>,
    /// Absent where no other daemon shares the accounts: the engine alone then knows who is online.
    presence: Option<Rc<dyn Presence>>,
}

/// A login to be decided.
pub(crate) struct LoginJob {
    pub(crate) ticket: Ticket,
    pub(crate) user: UserName,
    pub(crate) secret: SecretBytes,
    pub(crate) presence: PresenceMode,
}

impl Logins {
    pub(crate) fn new(accounts: Rc<dyn Accounts>, presence: Option<Rc<dyn Presence>>) -> Self {
        Self { accounts, presence }
    }

    /// The verdict; the lease is taken only after the secret has proved right.
    pub(crate) fn decide(&self, job: LoginJob) -> impl Future<Output = Verdict> + use<> {
        let Self { accounts, presence } = self.clone();
        let LoginJob { ticket, user, secret, presence: mode } = job;
        async move {
            let account = match accounts.verify(user, secret).await {
                Ok(Some(account)) => account,
                Ok(None) => return Verdict::Denied,
                Err(unavailable) => {
                    warn!(%user, error = %unavailable, "a login could not be decided");
                    return Verdict::Unavailable;
                }
            };
            let replace = match mode {
                PresenceMode::None => return Verdict::Accepted { account, leased: false },
                PresenceMode::Take => false,
                PresenceMode::Replace => true,
            };
            let Some(presence) = presence else {
                return Verdict::Accepted { account, leased: false };
            };
            match presence.take(ticket, user, replace).await {
                Ok(true) => Verdict::Accepted { account, leased: true },
                Ok(false) => Verdict::AlreadyOnline,
                Err(unavailable) => {
                    warn!(%user, error = %unavailable, "a user's presence could not be decided");
                    Verdict::Unavailable
                }
            }
        }
    }

    pub(crate) fn release(&self, ticket: Ticket, user: UserName) {
        if let Some(presence) = &self.presence {
            presence.release(ticket, user);
        }
    }
}
