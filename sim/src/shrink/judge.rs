//! Which smaller scenarios count: those that show the same fault, and show it because of the server.
//!
//! A scenario that expects something may break the same expectation for want of what made it right: whoever leaves out
//! the step that causes a packet need not wonder that it does not come. So each candidate is also run on a reference,
//! a world that is known to be sound ([`Pure::reference`](crate::layers::pure::Pure::reference): the naive model decides
//! there), and has to do there what the whole scenario does. What comes of it then holds on a sound server, and not on
//! the one that was run.
//!
//! The reference is the pure layer, on which things take other times than on others. Where another layer is broken, an
//! expectation or a check has to be left all the time that it had ([`Clock`]).
//!
//! Where the whole does not hold on the reference either, two things can be. It breaks there in the same way: then the
//! scenario itself expects what no server does, and a candidate has to break both alike. Or it breaks in another way,
//! or cannot be run there: then nothing can be said of a candidate, and everything stays on which the broken
//! expectation depends ([`Needs`]).

use super::needs::Needs;
use super::times::Times;
use crate::layers::World;
use crate::runner::{self, Kind, Outcome, Signature, Violation};
use crate::scenario::{Scenario, parse, print};

/// Makes a world for a scenario.
pub type WorldOf<'w> = &'w dyn Fn(&Scenario) -> anyhow::Result<Box<dyn World>>;

/// Whether the same things take the same time on the reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// It is the same layer.
    Same,
    /// It is another, so that no time may become shorter.
    Other,
}

/// Says of smaller scenarios whether they count.
pub struct Judge<'w> {
    world: WorldOf<'w>,
    reference: WorldOf<'w>,
    signature: Signature,
    demand: Demand,
    /// Those that may not become less.
    times: Option<Times>,
}

/// What is demanded of a candidate beside that it breaks as the whole does.
enum Demand {
    /// It holds on the reference.
    HoldsOnReference,
    /// It breaks alike on the reference.
    BreaksReference,
    /// It has everything on which the broken expectation depends.
    Has(Box<Needs>),
    /// Nothing: what is broken is no expectation, so it depends on none.
    Nothing,
}

impl<'w> Judge<'w> {
    /// Judges pieces of `whole`, which breaks on a world of `world`'s as `violation` says. Its steps need lines that tell
    /// them apart: those of what [`print()`] writes and [`parse()`] reads do.
    pub fn new(
        whole: &Scenario,
        violation: &Violation,
        world: WorldOf<'w>,
        reference: WorldOf<'w>,
        clock: Clock,
    ) -> Self {
        let is_told_by_time = matches!(violation.kind, Kind::Expectation | Kind::Check) && clock == Clock::Other;
        let signature = violation.signature();
        let demand = match verdict(whole, reference) {
            Some(Ok(())) => Demand::HoldsOnReference,
            Some(Err(other)) if other.signature() == signature => Demand::BreaksReference,
            Some(Err(_)) | None => match violation.kind {
                Kind::Expectation | Kind::Check => Demand::Has(Box::new(Needs::of(whole, violation))),
                Kind::Invariant(_) | Kind::World | Kind::Panic | Kind::Senseless => Demand::Nothing,
            },
        };
        // Of what no server does, the time does not matter.
        let has_times = is_told_by_time && !matches!(demand, Demand::BreaksReference);
        Self { world, reference, signature, demand, times: has_times.then(|| Times::of(whole)) }
    }

    /// Whether the candidate, written down and read again, breaks as the whole does, and because of the server.
    #[must_use]
    pub fn counts(&self, candidate: &Scenario) -> bool {
        if self.times.as_ref().is_some_and(|times| !times.are_kept(candidate)) {
            return false;
        }
        let Ok(read) = parse(&print(candidate)) else { return false };
        // The cheaper question first.
        let is_meant = match &self.demand {
            Demand::HoldsOnReference => verdict(&read, self.reference).is_some_and(|verdict| verdict.is_ok()),
            Demand::BreaksReference => verdict(&read, self.reference)
                .is_some_and(|verdict| verdict.is_err_and(|violation| violation.signature() == self.signature)),
            Demand::Has(needs) => needs.are_met(candidate),
            Demand::Nothing => true,
        };
        if !is_meant {
            return false;
        }
        let Ok(mut world) = (self.world)(&read) else { return false };
        let Err(violation) = runner::run(&read, world.as_mut()).result else { return false };
        let is_there = match &self.demand {
            Demand::Has(needs) => needs.is_broken_step(candidate, &violation),
            Demand::HoldsOnReference | Demand::BreaksReference | Demand::Nothing => true,
        };
        is_there && violation.signature() == self.signature
    }
}

/// What comes of a scenario; `None` where not all of it can be done.
fn verdict(scenario: &Scenario, world: WorldOf<'_>) -> Option<Result<(), Violation>> {
    let mut world = world(scenario).ok()?;
    let Outcome { result, skipped, .. } = runner::run(scenario, world.as_mut());
    skipped.is_empty().then_some(result)
}

#[cfg(test)]
mod tests;
