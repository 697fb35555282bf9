//! Decides about a login outside the engine: asks the accounts, then takes the presence lease.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use lobbyd_core::action::Presence as PresenceMode;
use lobbyd_core::id::Ticket;
use lobbyd_core::input::Verdict;
use lobbyd_core::name::UserName;
use tokio::time::Instant;
use tracing::{debug, warn};

use crate::stats::LoginStats;
use crate::stores::{Accounts, Presence, SecretBytes};

/// The stores that decide about logins.
#[derive(Clone)]
pub(crate) struct Logins {
    accounts: Rc<dyn Accounts>,
    /// Absent where no other daemon shares the accounts: the engine alone then knows who is online.
    presence: Option<Rc<dyn Presence>>,
    /// How long a verdict may take; after that nobody waits for it.
    timeout: Duration,
    warnings: Rc<Warnings>,
    stats: Rc<RefCell<LoginStats>>,
}

/// A login to be decided.
pub(crate) struct LoginJob {
    pub(crate) ticket: Ticket,
    pub(crate) user: UserName,
    pub(crate) secret: SecretBytes,
    pub(crate) presence: PresenceMode,
}

impl Logins {
    pub(crate) fn new(accounts: Rc<dyn Accounts>, presence: Option<Rc<dyn Presence>>, timeout: Duration) -> Self {
        Self { accounts, presence, timeout, warnings: Rc::default(), stats: Rc::default() }
    }

    /// The logins that were decided so far.
    pub(crate) fn stats(&self) -> LoginStats {
        *self.stats.borrow()
    }

    /// The verdict; the lease is taken only after the secret has proved right.
    pub(crate) fn decide(&self, job: LoginJob) -> impl Future<Output = Verdict> + use<> {
        let decision = self.ask(job);
        let stats = self.stats.clone();
        async move {
            let asked_at = Instant::now();
            let verdict = decision.await;
            let mut stats = stats.borrow_mut();
            stats.latency.record(asked_at.elapsed());
            *match verdict {
                Verdict::Accepted { .. } => &mut stats.accepted,
                Verdict::Denied => &mut stats.denied,
                Verdict::AlreadyOnline => &mut stats.already_online,
                Verdict::Unavailable => &mut stats.unavailable,
            } += 1;
            verdict
        }
    }

    fn ask(&self, job: LoginJob) -> impl Future<Output = Verdict> + use<> {
        let Self { accounts, presence, timeout, warnings, stats: _ } = self.clone();
        let LoginJob { ticket, user, secret, presence: mode } = job;
        async move {
            // Given up, it makes room for those that somebody waits for.
            let verified = tokio::time::timeout(timeout, accounts.verify(user, secret)).await;
            let account = match verified {
                Ok(Ok(Some(account))) => account,
                Ok(Ok(None)) => return Verdict::Denied,
                Ok(Err(unavailable)) => {
                    warnings.say(user, &unavailable.0);
                    return Verdict::Unavailable;
                }
                Err(_elapsed) => {
                    warnings.say(user, "the account store did not answer in time");
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
                    warnings.say(user, &unavailable.0);
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

/// Says what keeps logins from being decided, but not for each of thousands.
#[derive(Debug, Default)]
struct Warnings {
    said_at: Cell<Option<Instant>>,
    unsaid: Cell<u64>,
}

/// A warning of this kind is said once in this time.
const WARNING_INTERVAL: Duration = Duration::from_secs(1);

impl Warnings {
    fn say(&self, user: UserName, error: &str) {
        debug!(%user, error, "a login could not be decided");
        if self.said_at.get().is_some_and(|at| at.elapsed() < WARNING_INTERVAL) {
            self.unsaid.set(self.unsaid.get() + 1);
            return;
        }
        self.said_at.set(Some(Instant::now()));
        let others = self.unsaid.take();
        warn!(%user, error, others, "a login could not be decided");
    }
}

#[cfg(test)]
mod tests {
    use lobbyd_core::id::SessionId;
    use lobbyd_core::input::Account;

    use super::*;
    use crate::stores::{LocalFuture, Unavailable};

    /// Accounts that never answer, and know how many still try.
    #[derive(Default)]
    struct Silent {
        trying: Rc<Cell<u32>>,
    }

    struct Try(Rc<Cell<u32>>);

    impl Drop for Try {
        fn drop(&mut self) {
            self.0.set(self.0.get() - 1);
        }
    }

    impl Accounts for Silent {
        fn verify(&self, _: UserName, _: SecretBytes) -> LocalFuture<'_, Result<Option<Account>, Unavailable>> {
            self.trying.set(self.trying.get() + 1);
            let attempt = Try(self.trying.clone());
            Box::pin(async move {
                let _attempt = attempt;
                std::future::pending().await
            })
        }
    }

    #[tokio::test(start_paused = true)]
    async fn login_that_is_not_decided_in_time_is_given_up() {
        let timeout = Duration::from_secs(5);
        let accounts = Silent::default();
        let trying = accounts.trying.clone();
        let logins = Logins::new(Rc::new(accounts), None, timeout);
        let session = SessionId { index: 0, generation: 0 };
        let decision = logins.decide(LoginJob {
            ticket: Ticket { session, serial: 1 },
            user: "alice".parse().expect("a good name"),
            secret: SecretBytes::new(b"wonder".to_vec()),
            presence: PresenceMode::None,
        });
        let begun_at = Instant::now();
        assert_eq!(decision.await, Verdict::Unavailable);
        assert_eq!((begun_at.elapsed(), trying.get()), (timeout, 0), "the store works on for nobody");
    }

    #[tokio::test(start_paused = true)]
    async fn warnings_are_counted_rather_than_repeated() {
        let warnings = Warnings::default();
        let user = "alice".parse().expect("a good name");
        for _ in 0..5 {
            warnings.say(user, "Redis is gone");
        }
        assert_eq!(warnings.unsaid.get(), 4);
        tokio::time::advance(WARNING_INTERVAL).await;
        warnings.say(user, "Redis is gone");
        assert_eq!(warnings.unsaid.get(), 0, "said with the next one");
    }
}
