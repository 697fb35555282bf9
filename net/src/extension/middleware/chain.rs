//! The chain: calls each piece of middleware for what it is interested in, and goes on without one that panics.

mod link;
mod route;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use lobbyd_core::action::{Action, Actions};
use lobbyd_core::id::SessionId;
use lobbyd_core::input::Input;
use lobbyd_core::packet::Code;
use lobbyd_core::time::Instant;

use self::link::Link;
use self::route::Route;
use super::interest::KINDS;
use super::{Decision, Middleware, Outcome, Packet, Passage, Timing};
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

impl Chain {
    pub(in super::super) fn new(middleware: Vec<Box<dyn Middleware>>) -> Self {
        let links: Vec<_> = middleware.iter().map(|middleware| Link::new(middleware.as_ref())).collect();
        let routes = Route::all(&links);
        Self { middleware, links, routes }
    }

    /// Whether there is no middleware.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.links.is_empty()
    }

    /// How each piece of middleware stands, in the order in which packets pass it.
    pub(crate) fn stats(&self) -> Vec<MiddlewareStats> {
        self.links.iter().map(Link::stats).collect()
    }

    /// Has packets pass middleware of that name again, and says how many pieces were out.
    pub fn enable(&mut self, name: &str) -> u32 {
        let pieces = self.middleware.iter_mut().zip(&mut self.links);
        let broken = pieces.filter(|(_, link)| link.is_broken && link.name == name);
        let enabled = broken.map(|(middleware, link)| u32::from(link.enable(middleware.as_mut()))).sum();
        reroute(&mut self.routes, &self.links);
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
        let route = &mut self.routes[number];
        let is_worded = route.is_worded(&packet);
        let (has_before, has_after) = (!route.before(is_worded, 0).is_empty(), !route.after().is_empty());
        if !has_before && !has_after {
            engine.handle_input(now, Input::Received { session, packet }, actions);
            return;
        }
        let is_timed = has_after && route.is_timed().unwrap_or_else(|| self.ask_timing(number));
        let (mut seen, mut stopped, mut replaced) = (self.links.len(), None, None);
        if has_before {
            let passage = Passage { engine, now, session, spent: None };
            (seen, stopped) = self.decide(&passage, is_worded, &packet, &mut replaced);
        }
        let started = is_timed.then(tokio::time::Instant::now);
        // A packet is large, so each of these makes its own input, and most packets are copied but once.
        match (stopped, &replaced) {
            (None, None) => engine.handle_input(now, Input::Received { session, packet }, actions),
            (None, Some(packet)) => engine.handle_input(now, Input::Received { session, packet: *packet }, actions),
            (Some(code), _) => engine.handle_input(now, Input::Stopped { session, packet, code }, actions),
        }
        if has_after {
            let spent = started.map(|started| started.elapsed());
            let passage = Passage { engine, now, session, spent };
            self.tell(seen, &passage, &packet, outcome(session, &packet, actions));
        }
    }

    /// Asks the links: how many have seen the packet, and with which code it is refused, if it is. One guard is round all
    /// of them: entering one costs as much as a piece that only looks.
    fn decide<'p>(
        &'p mut self,
        passage: &Passage<'_>,
        mut is_worded: bool,
        packet: &Packet<'p>,
        replaced: &mut Option<Packet<'p>>,
    ) -> (usize, Option<Code>) {
        let Self { middleware, links, routes } = self;
        let number = usize::from(packet.number());
        let mut middleware = middleware.iter_mut();
        // How many have seen the packet.
        let mut seen = 0;
        loop {
            // Nothing broken is seen after a panic: the middleware is not called again.
            let asked = catch_unwind(AssertUnwindSafe(|| {
                'packets: loop {
                    let current = replaced.as_ref().unwrap_or(packet);
                    for &place in routes[number].before(is_worded, seen) {
                        let Some(middleware) = middleware.nth(place - seen) else { break };
                        seen = place + 1;
                        let decision = middleware.before(passage, current);
                        if matches!(decision, Decision::Pass) {
                            continue;
                        }
                        *replaced = match links[place].note(current, decision) {
                            Ok(None) => continue,
                            Ok(other) => other,
                            Err(code) => return Some(code),
                        };
                        is_worded = replaced.as_ref().is_some_and(|other| routes[number].is_worded(other));
                        continue 'packets;
                    }
                    return None;
                }
            }));
            match asked {
                Ok(None) => return (links.len(), None),
                Ok(stopped) => return (seen, stopped),
                Err(payload) => links[seen - 1].broke(payload.as_ref()),
            }
            reroute(routes, links);
            // What nothing answers cannot be refused, and goes on to the next.
            if packet.request().is_some() {
                return (seen, Some(Code::ExtensionFailed));
            }
        }
    }

    /// Asks the links that are told afterwards what they want to be timed; says whether the packet at hand is.
    #[inline(never)]
    fn ask_timing(&mut self, number: usize) -> bool {
        let mut asked = 0;
        let timing = catch_unwind(AssertUnwindSafe(|| {
            let timings = self.routes[number].after().iter().map(|place| {
                asked = *place;
                self.middleware[*place].timing()
            });
            timings.max().unwrap_or(Timing::Never)
        }));
        match timing {
            Ok(timing) => self.routes[number].set_timing(timing),
            Err(payload) => {
                self.broke(asked, payload.as_ref());
                false
            }
        }
    }

    /// Tells the links that have seen a packet what came of it, in reverse.
    fn tell(&mut self, seen: usize, passage: &Passage<'_>, packet: &Packet<'_>, outcome: Outcome) {
        let number = usize::from(packet.number());
        let route = &self.routes[number];
        // Nearly always it was seen by all.
        let mut left = if seen == self.links.len() { route.after().len() } else { route.told(seen) };
        while left > 0 {
            let told = catch_unwind(AssertUnwindSafe(|| {
                while left > 0 {
                    left -= 1;
                    let place = self.routes[number].after()[left];
                    self.middleware[place].after(passage, packet, outcome);
                }
            }));
            if let Err(payload) = told {
                // Those that are left keep their places in the route.
                self.broke(self.routes[number].after()[left], payload.as_ref());
            }
        }
    }

    /// That link has panicked, and is left out from now on.
    #[cold]
    #[inline(never)]
    fn broke(&mut self, place: usize, payload: &(dyn Any + Send)) {
        self.links[place].broke(payload);
        reroute(&mut self.routes, &self.links);
    }
}

/// The routes of all kinds anew, after a link broke or came back.
#[cold]
#[inline(never)]
fn reroute(routes: &mut [Route; KINDS], links: &[Link]) {
    *routes = Route::all(links);
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
