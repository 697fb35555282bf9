//! Services: slow work for extensions, such as asking a database, run beside the engine. The answer comes back as an
//! input, so everything that a service does to the engine is seen, stored and replayed.

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use lobbyd_core::command::CommandName;
use lobbyd_core::data::Data;
use lobbyd_core::input::ServiceError;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tracing::{error, warn};

use super::panic_message;
use crate::stores::LocalFuture;

/// The most bytes in a reply; one that is longer has failed.
pub const REPLY_BYTES_MAX: usize = 1024 * 1024;

/// Slow work behind a name. Runs on the I/O thread, so it must not block: what blocks or computes for long belongs on
/// a thread of the service's own.
///
/// A call that is given up (its time is over, the node ends) is dropped at any of its await points.
///
/// ```
/// use lobbyd_core::data::Data;
/// use lobbyd_core::input::ServiceError;
/// use lobbyd_net::extension::service::Service;
/// use lobbyd_net::stores::LocalFuture;
///
/// struct Shouting;
///
/// impl Service for Shouting {
///     fn call(&self, request: Data) -> LocalFuture<'_, Result<Data, ServiceError>> {
///         Box::pin(async move { Ok(request.as_bytes().to_ascii_uppercase().into()) })
///     }
/// }
/// ```
pub trait Service {
    /// Answers one request.
    fn call(&self, request: Data) -> LocalFuture<'_, Result<Data, ServiceError>>;

    /// The most calls that run at once; others wait for their turn. At least 1.
    fn concurrent_max(&self) -> usize {
        16
    }

    /// How long a call may take, its waiting included. The engine waits no longer than `service_timeout` anyway.
    fn timeout(&self) -> Duration {
        Duration::from_secs(5)
    }
}

/// The services of a node, each with its bounds. Cheap to clone.
#[derive(Clone, Default)]
pub struct Services {
    by_name: Rc<BTreeMap<CommandName, Running>>,
}

#[derive(Clone)]
struct Running {
    service: Rc<dyn Service>,
    permits: Rc<Semaphore>,
}

impl Services {
    pub(super) fn new(services: BTreeMap<CommandName, Rc<dyn Service>>) -> Self {
        let running = |(name, service): (CommandName, Rc<dyn Service>)| {
            let permits = Rc::new(Semaphore::new(service.concurrent_max().clamp(1, Semaphore::MAX_PERMITS)));
            (name, Running { service, permits })
        };
        Self { by_name: Rc::new(services.into_iter().map(running).collect()) }
    }

    /// Calls a service within its bounds, whatever it does. Nothing happens before the future is polled; it can be
    /// dropped at any time.
    ///
    /// # Errors
    /// `Unknown` without such a service, `Busy` when its turn did not come in time, `TimedOut` when it began and did
    /// not end in time, and `Failed` when it said so, panicked, or gave a reply over [`REPLY_BYTES_MAX`].
    pub fn call(&self, name: CommandName, request: Data) -> impl Future<Output = Result<Data, ServiceError>> + use<> {
        let running = self.by_name.get(&name).cloned();
        async move {
            let Running { service, permits } = running.ok_or(ServiceError::Unknown)?;
            let mut has_begun = false;
            let work = async {
                // The semaphore is never closed.
                let _permit = permits.acquire().await.map_err(|_| ServiceError::Failed)?;
                has_begun = true;
                caught(name, &*service, request).await
            };
            match timeout(service.timeout(), work).await {
                Ok(result) => checked(name, result),
                Err(_) if has_begun => {
                    warn!(service = %name, "a service did not answer in time");
                    Err(ServiceError::TimedOut)
                }
                Err(_) => {
                    warn!(service = %name, "a call waited for its turn at a service until its time was over");
                    Err(ServiceError::Busy)
                }
            }
        }
    }
}

impl std::fmt::Debug for Services {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.by_name.keys()).finish()
    }
}

/// The service's own future, in which a panic is a failure.
async fn caught(name: CommandName, service: &dyn Service, request: Data) -> Result<Data, ServiceError> {
    let told = |payload: Box<dyn std::any::Any + Send>| {
        let reason = panic_message(payload.as_ref());
        error!(service = %name, reason, "a service panicked");
        ServiceError::Failed
    };
    // Nothing of a future that has panicked is used again: it is dropped.
    let work = catch_unwind(AssertUnwindSafe(|| service.call(request))).map_err(told)?;
    let mut work = pin!(work);
    poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(context))) {
        Ok(poll) => poll,
        Err(payload) => std::task::Poll::Ready(Err(told(payload))),
    })
    .await
}

fn checked(name: CommandName, result: Result<Data, ServiceError>) -> Result<Data, ServiceError> {
    match result {
        Ok(reply) if reply.len() > REPLY_BYTES_MAX => {
            error!(service = %name, bytes = reply.len(), bytes_max = REPLY_BYTES_MAX, "a service's reply is too long");
            Err(ServiceError::Failed)
        }
        Ok(_) | Err(_) => result,
    }
}
