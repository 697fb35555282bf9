//! Middleware: looks at every packet before the engine does, and at what came of it afterwards.
//!
//! What a chain decides is what becomes the engine's input, and the engine checks that like anything else a client
//! says. So a stopped or changed packet is simulated and replayed without the middleware that changed it.

mod budget;
mod log;
mod metrics;
mod words;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use lobbyd_core::Engine;
use lobbyd_core::action::{Action, Actions};
use lobbyd_core::extension::UserView;
use lobbyd_core::id::SessionId;
use lobbyd_core::input::Input;
use lobbyd_core::packet::{ClientPacket, CloseReason, Code, Sealed};
use lobbyd_core::time::Instant;
use tracing::{error, info};

pub use self::budget::CommandBudget;
pub use self::log::PacketLog;
pub use self::metrics::{PacketFigures, PacketMetrics, PacketMetricsHandle};
pub use self::words::WordFilter;
use super::panic_message;
use crate::stats::MiddlewareStats;

/// A packet as the engine gets it: secrets are sealed, so middleware can show it to anybody.
pub type Packet<'p> = ClientPacket<'p, Sealed>;

/// One link of the chain.
///
/// It must be deterministic, as everything that changes what the engine is told: time is handed in. One that panics is
/// taken out of the chain until an operator enables it again; the packet at which it did is refused with
/// `ExtensionFailed`.
pub trait Middleware: Send {
    /// What it is called in the log.
    fn name(&self) -> &str;

    /// Looks at a packet on its way to the engine.
    fn before<'p>(&'p mut self, passage: &Passage<'_>, packet: Packet<'p>) -> Decision<'p> {
        let _ = (passage, packet);
        Decision::Pass
    }

    /// Looks at what came of a packet that this has seen: the packet as the client said it, how it went, and how long
    /// the engine took for it (in simulated time that is no time at all; see also [`Middleware::is_timed`]).
    fn after(&mut self, passage: &Passage<'_>, packet: &Packet<'_>, outcome: Outcome, spent: Duration) {
        let _ = (passage, packet, outcome, spent);
    }

    /// Whether this wants to know how long the next packet takes. If no link of the chain does, the clock is left alone,
    /// which is most of what a chain costs, and `after` is told of no time at all.
    fn is_timed(&self) -> bool {
        true
    }

    /// An operator has it passed again after a panic, which may have left its state half changed: puts it in order.
    fn enabled(&mut self) {}
}

/// What is known where a packet passes.
#[derive(Clone, Copy, Debug)]
pub struct Passage<'e> {
    engine: &'e Engine,
    now: Instant,
    session: SessionId,
}

impl<'e> Passage<'e> {
    /// The engine's time.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.now
    }

    /// Whose packet it is.
    #[must_use]
    pub fn session(&self) -> SessionId {
        self.session
    }

    /// Who is logged in there.
    #[must_use]
    pub fn user(&self) -> Option<UserView<'e>> {
        self.engine.user(self.session)
    }

    /// The engine, to be looked at.
    #[must_use]
    pub fn engine(&self) -> &'e Engine {
        self.engine
    }
}

/// What middleware makes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Decision<'p> {
    /// It goes on as it is.
    Pass,
    /// This goes on instead: a packet of the same kind with the same id, and in a login the same secret. Anything else
    /// is refused with `ExtensionFailed`.
    Replace(Packet<'p>),
    /// It goes no further: the request is refused with this code. A packet that nothing answers (`Hello`, `Ping`,
    /// `Pong`) cannot be stopped and goes on.
    Stop(Code),
}

/// What came of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// The request was answered with success, or the packet is one that nothing answers.
    Done,
    /// The request was refused, by middleware behind this one or by the engine.
    Refused(Code),
    /// The request is answered later: a login, or a command that its extension has kept.
    Waits,
    /// The session was closed at it.
    Closed(CloseReason),
}

/// Middleware in its order. An empty chain costs nothing.
#[derive(Default)]
pub struct Chain {
    links: Vec<Link>,
}

struct Link {
    name: String,
    middleware: Box<dyn Middleware>,
    is_broken: bool,
    stopped: u64,
    replaced: u64,
    faults: u64,
}

impl Chain {
    pub(super) fn new(middleware: Vec<Box<dyn Middleware>>) -> Self {
        let link = |middleware: Box<dyn Middleware>| {
            let name = middleware.name().to_owned();
            Link { name, middleware, is_broken: false, stopped: 0, replaced: 0, faults: 0 }
        };
        Self { links: middleware.into_iter().map(link).collect() }
    }

    /// Whether there is no middleware.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.links.is_empty()
    }

    /// How each piece of middleware stands, in the order in which packets pass it.
    pub(crate) fn stats(&self) -> Vec<MiddlewareStats> {
        let stats = |link: &Link| MiddlewareStats {
            name: link.name.clone(),
            enabled: !link.is_broken,
            stopped: link.stopped,
            replaced: link.replaced,
            faults: link.faults,
        };
        self.links.iter().map(stats).collect()
    }

    /// Has packets pass middleware of that name again, and says how many pieces were out.
    pub fn enable(&mut self, name: &str) -> u32 {
        let broken = self.links.iter_mut().filter(|link| link.is_broken && link.name == name);
        broken.map(|link| u32::from(link.enable())).sum()
    }

    /// Hands a packet to the engine, through the chain and back. What the engine does is in `actions`, which were empty.
    pub fn step(
        &mut self,
        engine: &mut Engine,
        now: Instant,
        session: SessionId,
        packet: Packet<'_>,
        actions: &mut Actions,
    ) {
        if self.links.is_empty() {
            engine.handle_input(now, Input::Received { session, packet }, actions);
            return;
        }
        let is_timed = self.links.iter().any(Link::is_timed);
        let (input, seen) = self.decide(&Passage { engine, now, session }, packet);
        let started = is_timed.then(tokio::time::Instant::now);
        engine.handle_input(now, input, actions);
        let spent = started.map_or(Duration::ZERO, |started| started.elapsed());
        let outcome = outcome(session, &packet, actions);
        let passage = Passage { engine, now, session };
        for link in self.links[..seen].iter_mut().rev() {
            link.after(&passage, &packet, outcome, spent);
        }
    }

    /// What becomes the input, and how many links have seen the packet.
    fn decide<'p>(&'p mut self, passage: &Passage<'_>, packet: Packet<'p>) -> (Input<'p>, usize) {
        let session = passage.session;
        let mut current = packet;
        let mut seen = 0;
        for link in &mut self.links {
            seen += 1;
            match link.before(passage, current) {
                Decision::Pass => {}
                Decision::Replace(other) => current = other,
                Decision::Stop(code) if current.request().is_some() => {
                    return (Input::Stopped { session, packet, code }, seen);
                }
                Decision::Stop(_) => {}
            }
        }
        (Input::Received { session, packet: current }, seen)
    }
}

impl std::fmt::Debug for Chain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.links.iter().map(|link| &link.name)).finish()
    }
}

impl Link {
    fn before<'p>(&'p mut self, passage: &Passage<'_>, packet: Packet<'p>) -> Decision<'p> {
        let Self { name, middleware, is_broken, stopped, replaced, faults } = self;
        if *is_broken {
            return Decision::Pass;
        }
        // Nothing broken is seen after a panic: the middleware is not called again.
        let before = AssertUnwindSafe(|| {
            // Moved in, so that what it returns may borrow from it.
            let middleware: &'p mut dyn Middleware = { middleware }.as_mut();
            middleware.before(passage, packet)
        });
        match catch_unwind(before) {
            Ok(Decision::Replace(other)) if !may_replace(&packet, &other) => {
                let kind = packet.name();
                error!(middleware = name, kind, "middleware made another request of a packet, which is refused");
                *faults += 1;
                Decision::Stop(Code::ExtensionFailed)
            }
            Ok(decision) => {
                match &decision {
                    Decision::Pass => {}
                    Decision::Replace(_) => *replaced += 1,
                    Decision::Stop(_) => *stopped += 1,
                }
                decision
            }
            Err(payload) => {
                *is_broken = true;
                *faults += 1;
                tell(name, payload.as_ref());
                Decision::Stop(Code::ExtensionFailed)
            }
        }
    }

    fn is_timed(&self) -> bool {
        // One that panics here is as good as one that does not care; at its next packet it is left out.
        !self.is_broken && catch_unwind(AssertUnwindSafe(|| self.middleware.is_timed())).unwrap_or(false)
    }

    /// Puts itself back; says whether it could.
    fn enable(&mut self) -> bool {
        let Self { name, middleware, is_broken, faults, .. } = self;
        match catch_unwind(AssertUnwindSafe(|| middleware.enabled())) {
            Ok(()) => {
                *is_broken = false;
                info!(middleware = name, "packets pass middleware again");
                true
            }
            Err(payload) => {
                *faults += 1;
                tell(name, payload.as_ref());
                false
            }
        }
    }

    fn after(&mut self, passage: &Passage<'_>, packet: &Packet<'_>, outcome: Outcome, spent: Duration) {
        let Self { name, middleware, is_broken, faults, .. } = self;
        if *is_broken {
            return;
        }
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| middleware.after(passage, packet, outcome, spent))) {
            *is_broken = true;
            *faults += 1;
            tell(name, payload.as_ref());
        }
    }
}

fn tell(name: &str, payload: &(dyn std::any::Any + Send)) {
    let reason = panic_message(payload);
    error!(middleware = name, reason, "middleware panicked; packets pass without it until it is enabled again");
}

/// Whether it is the same request, so that it gets its one response, and asks about the same secret, which is the only
/// one that the driver holds.
fn may_replace(packet: &Packet<'_>, other: &Packet<'_>) -> bool {
    let secret = |packet: &Packet<'_>| match packet {
        ClientPacket::LoginRequest { secret, .. } => Some(*secret),
        ClientPacket::Hello { .. }
        | ClientPacket::Ping { .. }
        | ClientPacket::Pong { .. }
        | ClientPacket::LogoutRequest { .. }
        | ClientPacket::RoomListRequest { .. }
        | ClientPacket::RoomCreateRequest { .. }
        | ClientPacket::RoomEnterRequest { .. }
        | ClientPacket::RoomLeaveRequest { .. }
        | ClientPacket::RoomChatRequest { .. }
        | ClientPacket::DirectMessageRequest { .. }
        | ClientPacket::KickRequest { .. }
        | ClientPacket::CustomCommand { .. } => None,
    };
    let is_same_kind = std::mem::discriminant(packet) == std::mem::discriminant(other);
    is_same_kind && packet.request() == other.request() && secret(packet) == secret(other)
}

/// What the engine did about a packet of that session. A turn begins with the deadlines that are due, but what these
/// answer was asked in another packet, and a client that gives two of them one id learns no less by that than it can.
fn outcome(session: SessionId, packet: &Packet<'_>, actions: &Actions) -> Outcome {
    let asked = packet.request();
    for action in actions.iter() {
        match action {
            Action::Close { session: closed, reason } if *closed == session => return Outcome::Closed(*reason),
            Action::Send { to, packet } if *to == session => {
                if let Some((request, result)) = packet.response()
                    && Some(request) == asked
                {
                    return result.map_or_else(Outcome::Refused, |()| Outcome::Done);
                }
            }
            Action::Close { .. }
            | Action::Send { .. }
            | Action::Broadcast { .. }
            | Action::VerifyLogin { .. }
            | Action::ReleasePresence { .. }
            | Action::Online { .. }
            | Action::CallService { .. }
            | Action::ExtensionFailed { .. }
            | Action::Answer { .. }
            | Action::ServiceAnswer { .. } => {}
        }
    }
    if asked.is_some() { Outcome::Waits } else { Outcome::Done }
}
