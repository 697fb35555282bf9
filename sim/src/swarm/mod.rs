//! The search: scenarios made from seeds, each another configuration, another workload and other faults.
//!
//! A seed makes a whole [`Scenario`], up front: random things happen (safety), then every fault is healed and everybody
//! goes; then everybody has to come in, talk and go again (liveness), and nothing may be left. So what a search finds
//! *is* a scenario, which `run` replays to the byte and which can be made smaller step by step. It is loose: what must
//! hold meanwhile are the invariants, not single packets.
//!
//! Each part draws from a randomness of its own, so that a change of one moves nothing in the others. Swarm testing
//! (Groce and others, *Swarm Testing*, 2012): in each seed a random part of what can be done, and of what can break, is
//! left out, since what is rarely left alone is rarely reached.
//!
//! Architecture invariant: the scenario follows from the layer and the seed alone; it never depends on what happens.

mod dice;
mod ending;
mod faults;
mod histories;
mod hunt;
mod kinds;
mod setup;
mod workload;

use std::time::Duration;

use lobbyd_core::id::RoomNumber;

use self::dice::Dice;
pub use self::hunt::{Finding, Hunt, Progress, Seeds, hunt};
use crate::cli::{self, Layer};
use crate::extend::Extend;
use crate::runner::{self, Outcome};
use crate::scenario::{Event, Expectation, Expected, Operation, Pattern, Scenario, Setup, Step, WITHIN};

/// The scenario that a seed makes for a layer. The pure layer, being faster, has longer ones, and faults that only it
/// can do.
#[must_use]
pub fn scenario(seed: u64, layer: Layer) -> Scenario {
    let is_pure = layer == Layer::Pure;
    let mut ground = setup::ground(&mut Dice::derived(seed, "configuration"), is_pure);
    if !is_pure {
        ground.setup.io_threads = Dice::derived(seed, "I/O threads").between(1, 3);
    }
    let mut script = Script::default();
    workload::perform(&ground, seed, &mut script);
    ending::perform(&ground, &mut script);
    let title = format!("Whatever happens, nothing breaks and everything heals: seed {seed} on the {layer} layer.");
    Scenario { title, setup: ground.setup, steps: script.steps }
}

/// Runs the scenario of a seed, or the same one read from a file.
///
/// # Errors
/// When the layer cannot be set up.
pub fn execute(scenario: &Scenario, layer: Layer, seed: u64) -> anyhow::Result<Ran> {
    let mut world = cli::world(layer, scenario, seed, &Extend::default())?;
    let outcome = runner::run(scenario, world.as_mut());
    Ok(Ran { outcome, simulated: world.now() })
}

/// A run, and how long it was.
#[derive(Clone, Debug, PartialEq)]
pub struct Ran {
    /// What came of it.
    pub outcome: Outcome,
    /// How much time has passed in the world.
    pub simulated: Duration,
}

/// Where a scenario takes place.
struct Ground {
    setup: Setup,
    is_pure: bool,
    clients: Vec<String>,
    /// How many of the accounts are used before the end: the fewer, the more often users meet themselves.
    users: usize,
    /// A room into which nobody goes before the end, so that nobody is banned there.
    haven: RoomNumber,
    /// How many things happen before the end.
    events: u32,
}

/// A scenario in the making.
#[derive(Default)]
struct Script {
    steps: Vec<Step>,
    /// How much time has passed.
    now: Duration,
    /// Until when a process may stand still.
    stalled_until: Duration,
    /// Until when a daemon may be draining.
    draining_until: Duration,
    /// Who has crashed or been told to end, whether or not it was started again.
    down: Vec<String>,
    /// The hosts between which something was broken.
    broken: Vec<(String, String)>,
}

impl Script {
    fn push(&mut self, event: Event) {
        self.steps.push(step(event));
    }

    fn advance(&mut self, by: Duration) {
        if !by.is_zero() {
            self.now += by;
            self.push(Event::Advance(by));
        }
    }

    fn client(&mut self, client: &str, operation: Operation) {
        self.push(doing(client, operation));
    }

    /// A client does something, and at it and others must arrive what comes of it.
    fn demand(&mut self, client: &str, operation: Operation, expects: Vec<Expectation>, within: Duration) {
        self.steps.push(Step { expects, within, ..step(doing(client, operation)) });
    }
}

fn step(event: Event) -> Step {
    Step { line: 0, event, expects: Vec::new(), within: WITHIN }
}

fn doing(client: &str, operation: Operation) -> Event {
    Event::Client { client: client.to_owned(), operation }
}

/// That a packet with these fields arrives at a client.
fn arrives(client: &str, packet: &str, fields: &[(&str, String)]) -> Expectation {
    let fields = fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    let pattern = Pattern { packet: packet.to_owned(), fields };
    Expectation { client: client.to_owned(), what: Expected::Packet(pattern) }
}
