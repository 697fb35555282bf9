//! Runs a scenario on a world: begins what its steps say, lets the world go on, and holds what arrives against what was
//! expected. Which layer the world is makes no difference here.
//!
//! What a run demands:
//!
//! - At each client arrive exactly the expected packets, in the order of their expectations. What arrives at a client
//!   that its step expects nothing at waits there for a later step. At the end of the scenario nothing may be left.
//! - A step without expectations ends as soon as it is begun (an `advance` when its time is over). A step with some
//!   ends when they have arrived; then the world may settle until it is quiet, and at the clients that the step names
//!   nothing more may have come.
//! - `nothing` at a client: until the world is quiet, and its expectations and its `advance` are over, nothing comes.
//! - The server's `Ping`s, which clients answer by themselves, count only where the next expectation is one: elsewhere
//!   they are passed over. The trace shows them all.
//! - In a `together`, expectations with the same `any of` are one set, of which each takes another packet, in whatever
//!   order they come; if there are more expectations than packets in it, each chooses freely.
//! - A check may come true late, within the step's time.
//! - The invariants of [`audit`](crate::audit) hold throughout.
//! - A check that the layer cannot do is skipped alone. After an operation or a fault that it cannot do, nothing that
//!   follows is certain, so all later steps are skipped too, each by name. What of the setup it cannot do is skipped
//!   alone, as if it stood in line 0.
//!
//! A loose scenario (`expect anything`) demands less: an expectation waits for the next packet since the beginning of
//! its step that matches, all others pass by, nothing is left over in the end, and what makes no sense at its moment is
//! passed over. `nothing` is still nothing.

mod outcome;
mod parts;
mod seats;
mod signature;

use std::any::Any;
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use lobbyd_core::packet::ServerPacket;

use self::outcome::shorten;
pub use self::outcome::{Kind, Outcome, Skipped, Violation};
use self::parts::{collect, name_clients};
use self::seats::{Awaited, Pending, Seat, Set, pattern_line, share};
pub use self::signature::Signature;
use crate::audit::{Auditor, Breach};
use crate::layers::{Arrival, CannotDo, Failure, World};
use crate::scenario::{Check, Event, Expected, Operation, Scenario, Step};
use crate::trace::{self, Entry, Trace, What};

/// How long a world may take to become quiet at the end of a step, at most.
pub const SETTLE: Duration = Duration::from_secs(1);
/// Why a step is skipped that the layer could do itself.
pub const FOLLOWS: &str = "it follows what the layer cannot do";
/// How many lines of the trace a violation shows.
const TRACE_LINES: usize = 12;

/// Runs a scenario on a world that was made from its setup and where nothing has happened yet.
pub fn run(scenario: &Scenario, world: &mut dyn World) -> Outcome {
    let mut names = BTreeSet::new();
    scenario.steps.iter().for_each(|step| name_clients(step, &mut names));
    let mut auditor = Auditor::new(&scenario.setup);
    if world.has_middleware() {
        auditor.texts_may_change();
    }
    let mut run = Run {
        world,
        seats: names.into_iter().map(|name| Seat::new(name, auditor.client(name))).collect(),
        auditor,
        is_loose: scenario.setup.is_loose,
        trace: Trace::new(),
        skipped: Vec::new(),
        line: 0,
        step: 0,
        is_astray: false,
    };
    run.world.left_out().into_iter().for_each(|what| run.skip(what));
    let result = run.steps(&scenario.steps).and_then(|()| run.finish());
    let mut marks = run.world.marks();
    marks.add(run.auditor.marks());
    Outcome { result, skipped: run.skipped, trace: run.trace, marks }
}

struct Run<'a> {
    world: &'a mut dyn World,
    seats: Vec<Seat<'a>>,
    auditor: Auditor,
    /// Whether anything may arrive and be tried.
    is_loose: bool,
    trace: Trace,
    skipped: Vec<Skipped>,
    line: u32,
    step: u32,
    /// Whether something was skipped on which all that follows depends.
    is_astray: bool,
}

/// The checks of a step, with their times to come true in.
type Checks<'a> = Vec<(&'a str, Check, Duration)>;

impl<'a> Run<'a> {
    fn steps(&mut self, steps: &'a [Step]) -> Result<(), Violation> {
        for (number, step) in (1..).zip(steps) {
            (self.step, self.line) = (number, step.line);
            if self.is_astray {
                self.skip(FOLLOWS.to_owned());
                continue;
            }
            self.perform(step)?;
            self.audit_if_quiet()?;
            for (daemon, digest) in self.world.digests() {
                self.note(What::Digest { daemon, digest });
            }
        }
        if self.is_astray {
            return Ok(());
        }
        for seat in &mut self.seats {
            (seat.is_concerned, seat.silent_until) = (true, None);
        }
        self.settle(self.world.now() + SETTLE)?;
        self.audit_if_quiet()
    }

    /// All is over.
    fn finish(&mut self) -> Result<(), Violation> {
        self.guarded(|world| world.finish())?.map_err(|failure| self.failed(failure))
    }

    fn perform(&mut self, step: &'a Step) -> Result<(), Violation> {
        // A check may have let a little time pass.
        self.collect_arrivals()?;
        for seat in &mut self.seats {
            (seat.is_concerned, seat.silent_until) = (false, None);
            if self.is_loose {
                seat.inbox.clear();
            }
        }
        let begun_at = self.world.now();
        let (mut parts, mut sets, mut checks) = (Vec::new(), Vec::new(), Checks::new());
        collect(step, &mut parts);
        let mut over_at = begun_at;
        for part in &parts {
            match &part.event {
                Event::Client { client, operation } => self.begin(client, operation)?,
                Event::Fault(fault) => {
                    let done = self.guarded(|world| world.inject(fault))?;
                    if self.was_done(done)? {
                        self.auditor.injected(self.world.now(), fault);
                        self.note(What::Injected(fault.clone()));
                        self.collect_sightings();
                    }
                }
                Event::Advance(by) => over_at = over_at.max(begun_at + *by),
                Event::Check { daemon, check } => checks.push((daemon, *check, part.within)),
                // What it consists of stands behind it.
                Event::Together(_) | Event::Wait => {}
            }
            if self.is_astray {
                return Ok(());
            }
        }
        for part in &parts {
            self.expect(part, over_at, &mut sets);
        }
        share(&mut sets, &self.seats);
        self.go_on(over_at, &mut sets)?;
        if over_at > begun_at {
            self.note(What::Advanced(over_at - begun_at));
        }
        let settles = !self.is_loose || self.seats.iter().any(|seat| seat.silent_until.is_some());
        if settles && (parts.iter().any(|part| !part.expects.is_empty()) || !checks.is_empty()) {
            self.settle(self.world.now() + step.within.min(SETTLE))?;
        }
        checks.into_iter().try_for_each(|(daemon, check, within)| self.check(daemon, check, within))
    }

    fn begin(&mut self, client: &'a str, operation: &Operation) -> Result<(), Violation> {
        let done = self.guarded(|world| world.begin(client, operation))?;
        if self.was_done(done)? {
            let (now, seat) = (self.world.now(), self.seat(client));
            seat.is_concerned = true;
            let number = seat.number;
            self.auditor.begun(now, number, operation);
            self.note(What::Began { client: client.to_owned(), operation: operation.clone() });
            self.collect_sightings();
        }
        Ok(())
    }

    /// False if what was begun is not done: the layer cannot, or it makes no sense and the scenario is loose.
    fn was_done(&mut self, done: Result<(), CannotDo>) -> Result<bool, Violation> {
        match done {
            Ok(()) => Ok(true),
            Err(cannot @ CannotDo::Layer { .. }) => {
                self.skip(cannot.to_string());
                self.is_astray = true;
                Ok(false)
            }
            Err(CannotDo::Scenario(what)) if self.is_loose => {
                self.note(What::Skipped(what));
                Ok(false)
            }
            Err(CannotDo::Scenario(what)) => {
                Err(self.violation(Kind::Senseless, "a step that makes sense".to_owned(), what))
            }
        }
    }

    /// Notes what a part of the step expects.
    fn expect(&mut self, part: &'a Step, over_at: Duration, sets: &mut Vec<Set<'a>>) {
        let (deadline, within) = (over_at + part.within, part.within);
        for expectation in &part.expects {
            let what = match &expectation.what {
                Expected::Packet(pattern) => Some(Awaited::Packet(pattern)),
                Expected::AnyOf(patterns) => {
                    let known = sets.iter().position(|set| set.patterns == patterns.as_slice());
                    let index = known.unwrap_or_else(|| {
                        sets.push(Set { patterns, left: patterns.iter().collect(), is_shared: false });
                        sets.len() - 1
                    });
                    Some(Awaited::AnyOf(index))
                }
                Expected::Closed => Some(Awaited::Closed),
                Expected::Nothing => None,
            };
            let seat = self.seat(&expectation.client);
            seat.is_concerned = true;
            match what {
                Some(what) => seat.pending.push_back(Pending { what, deadline, within }),
                None => seat.silent_until = seat.silent_until.max(Some(deadline)),
            }
        }
    }

    /// Lets the world go on until everything expected has arrived and the moment has come.
    fn go_on(&mut self, over_at: Duration, sets: &mut [Set<'a>]) -> Result<(), Violation> {
        loop {
            self.collect_arrivals()?;
            for index in 0..self.seats.len() {
                self.match_arrivals(index, sets)?;
            }
            let now = self.world.now();
            let next = self.seats.iter().filter_map(|seat| seat.pending.front().map(|pending| pending.deadline)).min();
            let until = match next {
                Some(deadline) if deadline <= now => return Err(self.missing(sets)),
                Some(deadline) if over_at > now => deadline.min(over_at),
                Some(deadline) => deadline,
                None if over_at > now => over_at,
                None => return Ok(()),
            };
            if !self.advance(until)? {
                return if next.is_some() { Err(self.missing(sets)) } else { Ok(()) };
            }
        }
    }

    /// Holds what has arrived at a client against what is expected there.
    fn match_arrivals(&mut self, index: usize, sets: &mut [Set<'a>]) -> Result<(), Violation> {
        while let Some(pending) = self.seats[index].pending.front() {
            let Some(arrival) = self.seats[index].inbox.front() else { return Ok(()) };
            let wrong = match (&pending.what, arrival) {
                (Awaited::Closed, Arrival::Closed) => None,
                (Awaited::Packet(pattern), Arrival::Packet(packet)) => pattern.matches(packet).err(),
                (Awaited::AnyOf(set), Arrival::Packet(packet)) => sets[*set].take(packet).err(),
                (Awaited::Closed, Arrival::Packet(_)) | (Awaited::Packet(_) | Awaited::AnyOf(_), Arrival::Closed) => {
                    Some(String::new())
                }
            };
            match wrong {
                None => {
                    self.seats[index].pending.pop_front();
                }
                Some(_) if self.is_loose || is_ping(arrival) => {}
                Some(why) => {
                    let why = if why.is_empty() { why } else { format!(" ({why})") };
                    let arrived = format!("{}{why}", trace::arrival_line(arrival));
                    let expected = self.expected_at(index, sets);
                    return Err(self.violation(Kind::Expectation, expected, arrived));
                }
            }
            self.seats[index].inbox.pop_front();
        }
        let seat = &self.seats[index];
        if seat.silent_until.is_some() { self.nothing_more(index) } else { Ok(()) }
    }

    /// Lets the world become quiet, but not for ever, and demands that nothing is left at the clients of the step.
    fn settle(&mut self, until: Duration) -> Result<(), Violation> {
        let until = self.seats.iter().filter_map(|seat| seat.silent_until).fold(until, Duration::max);
        loop {
            self.collect_arrivals()?;
            for index in 0..self.seats.len() {
                if self.is_over_for(index) {
                    self.nothing_more(index)?;
                }
            }
            if self.world.is_quiet() || self.world.now() >= until || !self.advance(until)? {
                return Ok(());
            }
        }
    }

    /// Whether nothing more may come at a client of the step.
    fn is_over_for(&self, index: usize) -> bool {
        let seat = &self.seats[index];
        if self.is_loose { seat.silent_until.is_some() } else { seat.is_concerned }
    }

    fn nothing_more(&self, index: usize) -> Result<(), Violation> {
        let seat = &self.seats[index];
        match seat.inbox.iter().find(|arrival| !is_ping(arrival)) {
            None => Ok(()),
            Some(arrival) => Err(self.violation(
                Kind::Expectation,
                format!("nothing more at {}", seat.name),
                trace::arrival_line(arrival),
            )),
        }
    }

    fn check(&mut self, daemon: &str, check: Check, within: Duration) -> Result<(), Violation> {
        let deadline = self.world.now() + within;
        loop {
            match self.guarded(|world| world.check(daemon, check))? {
                Ok(Ok(())) => {
                    self.note(What::Checked { daemon: daemon.to_owned(), check });
                    return Ok(());
                }
                Ok(Err(instead)) if self.world.now() >= deadline => {
                    let expected = format!("{} at {daemon} within {within:?}", trace::check_line(check));
                    return Err(self.violation(Kind::Check, expected, instead));
                }
                Ok(Err(_)) => {}
                Err(cannot @ CannotDo::Layer { .. }) => {
                    self.skip(cannot.to_string());
                    return Ok(());
                }
                Err(CannotDo::Scenario(what)) => {
                    return Err(self.violation(Kind::Senseless, "a check that makes sense".to_owned(), what));
                }
            }
            self.advance(deadline)?;
            self.collect_arrivals()?;
        }
    }

    /// Lets the next thing happen, by `until`. False if nothing has happened and no time has passed.
    fn advance(&mut self, until: Duration) -> Result<bool, Violation> {
        let before = self.world.now();
        let limit = until.saturating_sub(before);
        let went_on = self.guarded(|world| world.step(limit))?;
        match went_on {
            Ok(happened) => Ok(happened || self.world.now() > before),
            Err(failure) => {
                // What the world says is wrong is what counts.
                let _ = self.collect_arrivals();
                Err(self.failed(failure))
            }
        }
    }

    fn failed(&self, Failure(what): Failure) -> Violation {
        self.violation(Kind::World, "a world in order".to_owned(), what)
    }

    /// Calls into the world; a panic there is a violation.
    fn guarded<T>(&mut self, call: impl FnOnce(&mut dyn World) -> T) -> Result<T, Violation> {
        let world = &mut *self.world;
        catch_unwind(AssertUnwindSafe(|| call(world))).map_err(|panic| {
            let arrived = format!("a panic: {}", panic_message(panic.as_ref()));
            self.violation(Kind::Panic, "a world in order".to_owned(), arrived)
        })
    }

    fn collect_sightings(&mut self) {
        for (at, what) in self.world.sightings() {
            self.trace.see(at, what);
        }
    }

    fn collect_arrivals(&mut self) -> Result<(), Violation> {
        self.collect_sightings();
        let (at, line) = (self.world.now(), self.line);
        let mut held = Ok(());
        for seat in &mut self.seats {
            for arrival in self.world.arrived(seat.name).drain(..) {
                let what = What::Arrived { client: seat.name.to_owned(), arrival: arrival.clone() };
                self.trace.push(Entry { at, line, what });
                held = held.and_then(|()| self.auditor.arrived(at, seat.number, &arrival));
                seat.inbox.push_back(arrival);
            }
        }
        held.map_err(|breach| self.breached(breach))
    }

    /// What holds only when nothing is under way is held against what is then.
    fn audit_if_quiet(&self) -> Result<(), Violation> {
        if self.is_astray || !self.world.is_quiet() {
            return Ok(());
        }
        self.auditor.quiet(self.world.now()).map_err(|breach| self.breached(breach))
    }

    fn breached(&self, Breach { invariant, what }: Breach) -> Violation {
        self.violation(Kind::Invariant(invariant), invariant.to_string(), what)
    }

    fn seat(&mut self, client: &str) -> &mut Seat<'a> {
        let known = self.seats.iter_mut().find(|seat| seat.name == client);
        known.expect("every client that a step names has a seat")
    }

    fn note(&mut self, what: What) {
        self.trace.push(Entry { at: self.world.now(), line: self.line, what });
    }

    fn skip(&mut self, what: String) {
        self.note(What::Skipped(what.clone()));
        self.skipped.push(Skipped { line: self.line, what });
    }

    /// The expectation that has waited for too long.
    fn missing(&self, sets: &[Set<'_>]) -> Violation {
        let waits = |index: &usize| self.seats[*index].pending.front().map(|pending| pending.deadline);
        let late = (0..self.seats.len()).filter(|index| waits(index).is_some()).min_by_key(|index| waits(index));
        let index = late.expect("something is missing");
        let within = self.seats[index].pending.front().map(|pending| pending.within).unwrap_or_default();
        self.violation(Kind::Expectation, self.expected_at(index, sets), format!("nothing within {within:?}"))
    }

    fn expected_at(&self, index: usize, sets: &[Set<'_>]) -> String {
        let seat = &self.seats[index];
        let what = match seat.pending.front().map(|pending| &pending.what) {
            None => "nothing more".to_owned(),
            Some(Awaited::Closed) => "closed".to_owned(),
            Some(Awaited::Packet(pattern)) => pattern_line(pattern),
            Some(Awaited::AnyOf(set)) => {
                let left: Vec<_> = sets[*set].left.iter().map(|pattern| pattern_line(pattern)).collect();
                format!("any of {}", left.join(" | "))
            }
        };
        format!("{what} at {}", seat.name)
    }

    fn violation(&self, kind: Kind, expected: String, arrived: String) -> Violation {
        let mut trace: Vec<_> = self.trace.lines().rev().take(TRACE_LINES).map(shorten).collect();
        trace.reverse();
        Violation { kind, line: self.line, step: self.step, expected, arrived, trace, at: self.world.now() }
    }
}

fn is_ping(arrival: &Arrival) -> bool {
    matches!(arrival, Arrival::Packet(packet) if matches!(**packet, ServerPacket::Ping { .. }))
}

fn panic_message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a message")
}
