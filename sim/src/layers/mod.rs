//! What a layer is to whoever runs a scenario: clients to act through, faults to inject, time to let pass.
//!
//! The runner is the same for every layer and never waits: it begins things, has the world step, and looks at what has
//! arrived. So a layer is a loop around an event queue (`pure`), around a simulated network (`turmoil`), or around real
//! sockets (`live`).

#[expect(clippy::disallowed_types, reason = "the one layer that opens sockets")]
pub mod live;
pub mod pure;
pub mod turmoil;

mod clients;
mod line;
mod speech;

use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use lobbyd_core::packet::ServerPacket;

use crate::marks::Marks;
use crate::scenario::{Check, Fault, Operation};
use crate::traffic::Seen;

/// How long the presence of a user outlives a crashed daemon, on every layer: the shortest that a daemon accepts with
/// Redis' usual second to answer.
pub const LEASE: Duration = Duration::from_secs(3);

/// A layer on which a scenario runs.
pub trait World {
    /// Since the start of the scenario, in the world's own time.
    fn now(&self) -> Duration;

    /// Begins what a client does. Nothing comes of it before the next step.
    ///
    /// # Errors
    /// When this layer cannot do that, or it makes no sense now (such as a request without a connection).
    fn begin(&mut self, client: &str, operation: &Operation) -> Result<(), CannotDo>;

    /// Injects a fault.
    ///
    /// # Errors
    /// When this layer cannot do that.
    fn inject(&mut self, fault: &Fault) -> Result<(), CannotDo>;

    /// Looks at a daemon.
    ///
    /// # Errors
    /// When it is not so (says what is instead), or this layer cannot look.
    fn check(&mut self, daemon: &str, check: Check) -> Result<Result<(), String>, CannotDo>;

    /// Lets the next thing happen, but lets no more than `limit` of time pass, rounded up to what passes at least at
    /// once ([`turmoil::tick()`]). Returns false when nothing is under way and no time has passed because nothing would
    /// ever happen by itself.
    ///
    /// # Errors
    /// When something inside the world has failed: an assertion, an invariant, a panic.
    fn step(&mut self, limit: Duration) -> Result<bool, Failure>;

    /// Looks at what can only be judged when all is over. To be called once, when nothing more is to happen.
    ///
    /// # Errors
    /// As [`World::step`].
    fn finish(&mut self) -> Result<(), Failure> {
        Ok(())
    }

    /// Whether daemons have middleware, which may change what users say.
    fn has_middleware(&self) -> bool {
        false
    }

    /// Whether nothing is under way: no bytes on the network, nothing that a task is about to do.
    fn is_quiet(&self) -> bool;

    /// The digests of the daemons' engines, by the names of the daemons; none where a layer cannot see them.
    fn digests(&self) -> Vec<(String, u64)> {
        Vec::new()
    }

    /// Has the layer record from now on what moves between hosts, if it can see that. Nothing else depends on it.
    fn watch(&mut self) {}

    /// What was seen since the last call, in order, with its times; nothing where nobody watches or a layer sees nothing.
    fn sightings(&mut self) -> Vec<(Duration, Seen)> {
        Vec::new()
    }

    /// The hard cases that only the layer can tell; none where it cannot look inside.
    fn marks(&self) -> Marks {
        Marks::default()
    }

    /// What of the setup this layer cannot do, and leaves out: each is reported as skipped.
    fn left_out(&self) -> Vec<String> {
        Vec::new()
    }

    /// What has arrived at a client and was not looked at yet, in order.
    fn arrived(&mut self, client: &str) -> &mut VecDeque<Arrival>;
}

/// What arrives at a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// A packet, which whoever else is sent the same has in common.
    Packet(Rc<ServerPacket>),
    /// The end of the connection, or the failure to make one.
    Closed,
}

/// Why something is not begun.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CannotDo {
    /// This layer cannot do it; the step is skipped, and reported by name.
    #[error("the {layer} layer cannot {what}")]
    Layer {
        /// Which layer.
        layer: &'static str,
        /// What it cannot.
        what: String,
    },
    /// The scenario asks for what makes no sense.
    #[error("{0}")]
    Scenario(String),
}

/// Something inside the world has failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Failure(pub String);
