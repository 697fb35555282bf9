//! The chain: calls each piece of middleware for what it is interested in, and goes on without one that panics.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use lobbyd_core::Engine;
use lobbyd_core::action::{Action, Actions};
use lobbyd_core::id::SessionId;
use lobbyd_core::input::Input;
use lobbyd_core::packet::{ClientPacket, Code};
use lobbyd_core::time::Instant;
use tracing::{error, info};

use super::super::panic_message;
use super::interest::KINDS;
use super::look::Look;
use super::{Decision, Interest, Middleware, Outcome, Packet, Passage};
use crate::journal::RecordedEngine;
use crate::stats::MiddlewareStats;

/// Middleware in its order. An empty chain costs nothing, and a packet that nobody is interested in next to nothing.
pub struct Chain {
    middleware: Vec<Box<dyn Middleware>>,
    /// How each of them stands. Beside them, because what the engine gets may borrow from any of them.
    links: Vec<Link>,
    /// By the kind's number.
    routes: [Route; KINDS],
}

struct Link {
    name: String,
    /// What it asked for.
    interest: Interest,
    /// Whether it is left out.
    is_broken: bool,
    stopped: u64,
    replaced: u64,
    faults: u64,
}

/// Which links packets of one kind pass, by their places in rising order.
#[derive(Default)]
struct Route {
    before: Vec<usize>,
    after: Vec<usize>,
}

impl Route {
    /// How many of those that are asked before and after are among the first `seen` links.
    #[cold]
    fn passed(&self, seen: usize) -> (usize, usize) {
        let among = |places: &[usize]| places.partition_point(|place| *place < seen);
        (among(&self.before), among(&self.after))
    }
}

/// The routes of all kinds, round links that are broken.
fn routes(links: &[Link]) -> [Route; KINDS] {
    let places = |is_asked: &dyn Fn(Interest) -> bool| {
        let asked = (0..).zip(links).filter(|(_, link)| !link.is_broken && is_asked(link.interest));
        asked.map(|(place, _)| place).collect()
    };
    std::array::from_fn(|number| Route {
        before: places(&|interest| interest.is_before(number)),
        after: places(&|interest| interest.is_after(number)),
    })
}

impl Chain {
    pub(in super::super) fn new(middleware: Vec<Box<dyn Middleware>>) -> Self {
        let link = |middleware: &dyn Middleware| {
            let (name, interest) = (middleware.name().to_owned(), middleware.interest());
            Link { name, interest, is_broken: false, stopped: 0, replaced: 0, faults: 0 }
        };
        let links: Vec<_> = middleware.iter().map(|middleware| link(middleware.as_ref())).collect();
        let routes = routes(&links);
        Self { middleware, links, routes }
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
        let pieces = self.middleware.iter_mut().zip(&mut self.links);
        let broken = pieces.filter(|(_, link)| link.is_broken && link.name == name);
        let enabled = broken.map(|(middleware, link)| u32::from(link.enable(middleware.as_mut()))).sum();
        self.routes = routes(&self.links);
        enabled
    }

    /// Hands a packet to the engine, through the chain and back. What the engine does is in `actions`, which were empty.
    pub fn step(
        &mut self,
        engine: &mut RecordedEngine,
        now: Instant,
        session: SessionId,
        packet: Packet<'_>,
        actions: &mut Actions,
    ) {
        let number = usize::from(packet.number());
        let Route { before, after } = &self.routes[number];
        let (has_before, has_after) = (!before.is_empty(), !after.is_empty());
        if !has_before && !has_after {
            engine.handle_input(now, Input::Received { session, packet }, actions);
            return;
        }
        let is_timed = has_after && self.is_timed(number);
        let (mut seen, mut stopped, mut replaced) = (self.links.len(), None, None);
        if has_before {
            (seen, stopped) = self.decide(engine, now, session, &packet, &mut replaced);
        }
        let started = is_timed.then(tokio::time::Instant::now);
        // A packet is large, so each of these makes its own input, and most packets are copied but once.
        match (stopped, &replaced) {
            (None, None) => engine.handle_input(now, Input::Received { session, packet }, actions),
            (None, Some(packet)) => engine.handle_input(now, Input::Received { session, packet: *packet }, actions),
            (Some(code), _) => engine.handle_input(now, Input::Stopped { session, packet, code }, actions),
        }
        if has_after {
            let spent = started.map_or(Duration::ZERO, |started| started.elapsed());
            let outcome = outcome(session, &packet, actions);
            let passage = Passage { engine, now, session, look: &Look::at(&packet) };
            self.tell(seen, &passage, &packet, outcome, spent);
        }
    }

    /// Asks the links: how many have seen the packet, and with which code it is refused, if it is. One guard is round all
    /// of them: entering one costs as much as a piece that only looks. What they find in a text they share, until one of
    /// them puts another packet in its place.
    fn decide<'p>(
        &'p mut self,
        engine: &Engine,
        now: Instant,
        session: SessionId,
        packet: &Packet<'p>,
        replaced: &mut Option<Packet<'p>>,
    ) -> (usize, Option<Code>) {
        let Self { middleware, links, routes } = self;
        let number = usize::from(packet.number());
        let mut middleware = middleware.iter_mut();
        // How many have seen the packet, and how many of the route are among these.
        let (mut seen, mut passed) = (0, 0);
        loop {
            let mut route = routes[number].before[passed..].iter();
            // Nothing broken is seen after a panic: the middleware is not called again.
            let asked = catch_unwind(AssertUnwindSafe(|| {
                'packets: loop {
                    let current = replaced.as_ref().unwrap_or(packet);
                    let passage = Passage { engine, now, session, look: &Look::at(current) };
                    for &place in route.by_ref() {
                        let Some(middleware) = middleware.nth(place - seen) else { break };
                        seen = place + 1;
                        let decision = middleware.before(&passage, current);
                        if matches!(decision, Decision::Pass) {
                            continue;
                        }
                        match links[place].note(current, decision) {
                            Ok(None) => {}
                            Ok(other) => {
                                *replaced = other;
                                continue 'packets;
                            }
                            Err(code) => return Some(code),
                        }
                    }
                    return None;
                }
            }));
            match asked {
                Ok(None) => return (links.len(), None),
                Ok(stopped) => return (seen, stopped),
                Err(payload) => links[seen - 1].broke(payload.as_ref()),
            }
            *routes = self::routes(links);
            passed = routes[number].passed(seen).0;
            // What nothing answers cannot be refused, and goes on to the next.
            if packet.request().is_some() {
                return (seen, Some(Code::ExtensionFailed));
            }
        }
    }

    /// Whether any link wants to know how long this packet takes.
    fn is_timed(&mut self, number: usize) -> bool {
        let mut asked = 0;
        let is_timed = catch_unwind(AssertUnwindSafe(|| {
            self.routes[number].after.iter().any(|place| {
                asked = *place;
                self.middleware[*place].is_timed()
            })
        }));
        is_timed.unwrap_or_else(|payload| {
            self.broke(asked, payload.as_ref());
            false
        })
    }

    /// Tells the links that have seen a packet what came of it, in reverse.
    fn tell(&mut self, seen: usize, passage: &Passage<'_>, packet: &Packet<'_>, outcome: Outcome, spent: Duration) {
        let number = usize::from(packet.number());
        let route = &self.routes[number];
        // Nearly always it was seen by all.
        let mut left = if seen == self.links.len() { route.after.len() } else { route.passed(seen).1 };
        while left > 0 {
            let told = catch_unwind(AssertUnwindSafe(|| {
                while left > 0 {
                    left -= 1;
                    let place = self.routes[number].after[left];
                    self.middleware[place].after(passage, packet, outcome, spent);
                }
            }));
            if let Err(payload) = told {
                // Those that are left keep their places in the route.
                self.broke(self.routes[number].after[left], payload.as_ref());
            }
        }
    }

    /// That link has panicked, and is left out from now on.
    fn broke(&mut self, place: usize, payload: &(dyn Any + Send)) {
        self.links[place].broke(payload);
        self.routes = routes(&self.links);
    }
}

impl Default for Chain {
    fn default() -> Self {
        Self::new(Vec::new())
    }
}

impl std::fmt::Debug for Chain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.links.iter().map(|link| &link.name)).finish()
    }
}

impl Link {
    /// Counts what middleware has decided. Says what goes on instead of the packet, or with which code it is refused.
    fn note<'p>(&mut self, packet: &Packet<'_>, decision: Decision<'p>) -> Result<Option<Packet<'p>>, Code> {
        let refused = |code| if packet.request().is_some() { Err(code) } else { Ok(None) };
        match decision {
            Decision::Pass => Ok(None),
            Decision::Replace(other) if may_replace(packet, &other) => {
                self.replaced += 1;
                Ok(Some(other))
            }
            Decision::Replace(_) => {
                let kind = packet.name();
                error!(middleware = self.name, kind, "middleware made another request of a packet, which is refused");
                self.faults += 1;
                refused(Code::ExtensionFailed)
            }
            Decision::Stop(code) => {
                self.stopped += 1;
                refused(code)
            }
        }
    }

    /// It has panicked.
    fn broke(&mut self, payload: &(dyn Any + Send)) {
        self.is_broken = true;
        self.faults += 1;
        self.tell(payload);
    }

    fn tell(&self, payload: &(dyn Any + Send)) {
        let reason = panic_message(payload);
        error!(
            middleware = self.name,
            reason, "middleware panicked; packets pass without it until it is enabled again"
        );
    }

    /// Puts itself back; says whether it could.
    fn enable(&mut self, middleware: &mut dyn Middleware) -> bool {
        match catch_unwind(AssertUnwindSafe(|| middleware.enabled())) {
            Ok(()) => {
                self.is_broken = false;
                info!(middleware = self.name, "packets pass middleware again");
                true
            }
            Err(payload) => {
                self.faults += 1;
                self.tell(payload.as_ref());
                false
            }
        }
    }
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
