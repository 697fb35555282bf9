//! The extensions that simulated daemons have, and who stands in for their services.
//!
//! A program of one's own that runs scenarios with its own commands:
//!
//! ```no_run
//! use lobbyd_net::extension::Extensions;
//! use lobbyd_sim::extend::Extend;
//!
//! fn extensions() -> Extensions {
//!     let mut extensions = Extensions::new();
//!     // extensions.command("dice", Dice::default()).expect("the name is good and free");
//!     extensions
//! }
//!
//! fn main() -> std::process::ExitCode {
//!     lobbyd_sim::main(&Extend::new(extensions))
//! }
//! ```

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use lobbyd_core::command::CommandName;
use lobbyd_core::data::Data;
use lobbyd_core::input::ServiceError;
use lobbyd_net::extension::Extensions;
use lobbyd_net::extension::service::Service;
use lobbyd_net::stores::LocalFuture;

use crate::questions::{self, SimulatedService};
use crate::random::Random;

/// Makes the extensions of each daemon anew, at each of its starts. Cheap to clone.
#[derive(Clone)]
pub struct Extend {
    make: Rc<dyn Fn() -> Extensions>,
    stand_ins: BTreeMap<CommandName, Rc<StandIn>>,
}

/// What stands in for a service: from a request and a random number it says how long the answer takes, and the answer.
/// It has to say the same of the same, always.
pub type StandIn = dyn Fn(&[u8], u64) -> (Duration, Result<Vec<u8>, ServiceError>);

impl Default for Extend {
    /// No extensions.
    fn default() -> Self {
        Self::new(Extensions::new)
    }
}

impl Extend {
    /// Daemons with what `make` makes.
    pub fn new(make: impl Fn() -> Extensions + 'static) -> Self {
        Self { make: Rc::new(make), stand_ins: BTreeMap::new() }
    }

    /// Has `stand_in` answer in the place of the service of that name, on every simulated layer. The pure layer, which
    /// runs nothing asynchronous, needs one for every service.
    #[must_use]
    pub fn with_stand_in(
        mut self,
        service: CommandName,
        stand_in: impl Fn(&[u8], u64) -> (Duration, Result<Vec<u8>, ServiceError>) + 'static,
    ) -> Self {
        self.stand_ins.insert(service, Rc::new(stand_in));
        self
    }

    /// The extensions of one life of a daemon.
    pub(crate) fn make(&self) -> Extensions {
        (self.make)()
    }

    /// The same, with services that the stand-ins are behind.
    pub(crate) fn make_with_stand_ins(&self, seed: u64) -> Extensions {
        let mut extensions = self.make();
        extensions.replace_service(questions::service(), SimulatedService);
        for (name, stand_in) in &self.stand_ins {
            let random = RefCell::new(Random::derived(seed, &format!("stand-in for {name}")));
            extensions.replace_service(*name, Scripted { stand_in: Rc::clone(stand_in), random });
        }
        extensions
    }

    /// Whether the daemons have middleware.
    pub(crate) fn has_middleware(&self) -> bool {
        self.make().has_middleware()
    }

    /// The first service that nobody stands in for.
    pub(crate) fn without_stand_in(&self) -> Option<CommandName> {
        self.make().services().find(|service| !self.stand_ins.contains_key(service))
    }

    /// How long the answer to a call takes, and the answer; nothing if there never is one.
    pub(crate) fn answer(
        &self,
        service: CommandName,
        request: &Data,
        random: u64,
    ) -> Option<(Duration, Result<Data, ServiceError>)> {
        match self.stand_ins.get(&service) {
            Some(stand_in) => Some(said(stand_in.as_ref(), request, random)),
            None if service == questions::service() => questions::reply(request),
            None => Some((Duration::ZERO, Err(ServiceError::Unknown))),
        }
    }
}

impl std::fmt::Debug for Extend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Extend").field("stand_ins", &self.stand_ins.keys().collect::<Vec<_>>()).finish_non_exhaustive()
    }
}

fn said(stand_in: &StandIn, request: &Data, random: u64) -> (Duration, Result<Data, ServiceError>) {
    let (delay, result) = stand_in(request.as_bytes(), random);
    (delay, result.map(Data::from))
}

/// A stand-in as a service, in simulated time.
struct Scripted {
    stand_in: Rc<StandIn>,
    random: RefCell<Random>,
}

impl Service for Scripted {
    fn call(&self, request: Data) -> LocalFuture<'_, Result<Data, ServiceError>> {
        let random = self.random.borrow_mut().next();
        let (delay, result) = said(self.stand_in.as_ref(), &request, random);
        Box::pin(async move {
            tokio::time::sleep(delay).await;
            result
        })
    }

    fn concurrent_max(&self) -> usize {
        // As on the pure layer: nobody waits for a turn, and only the engine's time bounds an answer.
        usize::MAX
    }

    fn timeout(&self) -> Duration {
        Duration::from_secs(24 * 60 * 60)
    }
}
