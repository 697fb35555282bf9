//! What decides in a daemon: the engine, with the naive model looking over its shoulder, or the model in its place.

use std::mem;

use lobbyd_core::action::{Action, Actions, Recipients};
use lobbyd_core::config::Config;
use lobbyd_core::engine::Counts;
use lobbyd_core::id::SessionId;
use lobbyd_core::input::Input;
use lobbyd_core::packet::{ClientPacket, Sealed};
use lobbyd_core::time::Instant;
use lobbyd_net::extension::Assembled;
use lobbyd_net::extension::middleware::Chain;
use lobbyd_net::journal::RecordedEngine;

use super::twin::Twin;
use crate::extend::Extend;
use crate::layers::Failure;
use crate::model::{Model, Stimulus};
use crate::random::Random;

/// For how many inputs in a row the engine's parts are not looked through if they only talk. What the engine says is
/// compared with the model each time.
const TALK_UNCHECKED_MAX: u32 = 64;

/// Who decides in the daemons of a world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::layers::pure) enum Decider {
    /// The engine, unwatched.
    Engine,
    /// The engine. It is looked through and compared with the model.
    CheckedEngine,
    /// The model, where there are no extensions, which it knows nothing of. No engine runs.
    Model,
}

pub(super) struct Mind {
    /// The daemon's.
    name: String,
    decider: Decider,
    engine: RecordedEngine,
    chain: Chain,
    /// What the engine is compared with, or what decides. There is none where extensions are.
    model: Option<Model>,
    /// What the engine is compared with where extensions are: itself, restored.
    twin: Option<Twin>,
    /// What the model leaves to chance, if it decides.
    random: Random,
    talk_unchecked: u32,
    /// What is to be done.
    pub(super) deeds: Deeds,
}

/// What is to be done, by whoever has decided it.
#[derive(Default)]
pub(super) struct Deeds {
    by_engine: Actions,
    by_model: Vec<Action>,
}

impl Deeds {
    pub(super) fn iter(&self) -> impl Iterator<Item = &Action> {
        self.by_engine.iter().chain(&self.by_model)
    }

    pub(super) fn recipients(&self, of: Recipients) -> &[SessionId] {
        self.by_engine.recipients(of)
    }

    pub(super) fn clear(&mut self) {
        self.by_engine.clear();
        self.by_model.clear();
    }
}

impl Mind {
    /// One that knows nothing yet, at the start of its time.
    pub(super) fn new(name: &str, decider: Decider, extend: &Extend, config: &Config, seed: u64) -> Self {
        let Assembled { engine, chain, .. } = extend.make().assemble(config.clone(), seed, Instant::ZERO);
        let is_modelled = decider != Decider::Engine && extend.make().is_empty();
        Self {
            name: name.to_owned(),
            decider: if decider == Decider::Model && !is_modelled { Decider::CheckedEngine } else { decider },
            engine,
            chain,
            model: is_modelled.then(|| Model::new(config)),
            twin: (decider != Decider::Engine && !is_modelled).then(|| Twin::new(extend)),
            random: Random::derived(seed, "model"),
            talk_unchecked: 0,
            deeds: Deeds::default(),
        }
    }

    pub(super) fn has_middleware(&self) -> bool {
        !self.chain.is_empty()
    }

    /// Decides about an input.
    ///
    /// # Errors
    /// When the engine is not in order, or does something else than the model expects.
    pub(super) fn take_in(&mut self, now: Instant, input: Input<'_>) -> Result<(), Failure> {
        if self.decides_alone() {
            return self.ask_model(now, Stimulus::Input(&input));
        }
        if self.decider == Decider::Engine {
            self.engine.handle_input(now, input, &mut self.deeds.by_engine);
            return Ok(());
        }
        self.engine.handle_input(now, input.clone(), &mut self.deeds.by_engine);
        self.compare(now, Stimulus::Input(&input))?;
        self.compare_restored(&input, |twin, done| twin.handle_input(now, input.clone(), done))?;
        if self.is_to_be_checked(&input) { self.check(input) } else { Ok(()) }
    }

    /// Decides about a packet that middleware sees first.
    ///
    /// # Errors
    /// When the engine is not in order.
    pub(super) fn hear(
        &mut self,
        now: Instant,
        session: SessionId,
        packet: ClientPacket<'_, Sealed>,
    ) -> Result<(), Failure> {
        self.chain.step(&mut self.engine, now, session, packet, &mut self.deeds.by_engine);
        // Middleware passes nothing a second time, so a twin cannot hear it, too.
        let renewed = self.twin.as_mut().map_or(Ok(()), |twin| twin.renew(&self.engine));
        renewed.map_err(|what| self.otherwise(&what, packet))?;
        match self.decider {
            Decider::Engine => Ok(()),
            Decider::CheckedEngine | Decider::Model => self.check(packet),
        }
    }

    /// Decides about what is due.
    ///
    /// # Errors
    /// When the engine is not in order, or does something else than the model expects.
    pub(super) fn fire(&mut self, now: Instant) -> Result<(), Failure> {
        if self.decides_alone() {
            return self.ask_model(now, Stimulus::Timeout);
        }
        self.engine.handle_timeout(now, &mut self.deeds.by_engine);
        self.compare(now, Stimulus::Timeout)?;
        self.compare_restored("a deadline", |twin, done| twin.handle_timeout(now, done))?;
        match self.decider {
            Decider::Engine => Ok(()),
            Decider::CheckedEngine | Decider::Model => self.check("a deadline"),
        }
    }

    /// When it wants to decide next by itself.
    pub(super) fn due_at(&self) -> Option<Instant> {
        match &self.model {
            Some(model) if self.decider == Decider::Model => model.due_at(),
            Some(_) | None => self.engine.poll_timeout(),
        }
    }

    pub(super) fn counts(&self) -> Counts {
        match &self.model {
            Some(model) if self.decider == Decider::Model => model.counts(),
            Some(_) | None => self.engine.counts(),
        }
    }

    pub(super) fn is_draining(&self) -> bool {
        match &self.model {
            Some(model) if self.decider == Decider::Model => model.is_draining(),
            Some(_) | None => self.engine.is_draining(),
        }
    }

    /// Of the engine; of one that decides nothing it stays the same.
    pub(super) fn digest(&self) -> u64 {
        self.engine.digest()
    }

    fn decides_alone(&self) -> bool {
        self.decider == Decider::Model
    }

    fn ask_model(&mut self, now: Instant, what: Stimulus<'_>) -> Result<(), Failure> {
        let model = self.model.as_mut().expect("it decides only where it knows all that is there");
        let random = &mut self.random;
        let said = model.answer(now, what, &mut || random.next());
        let said =
            said.map_err(|lost| Failure(format!("the model of {} is lost: {lost}, after {what:?}", self.name)))?;
        self.deeds.by_model = said;
        Ok(())
    }

    /// Holds what the engine has just done against the model.
    fn compare(&mut self, now: Instant, what: Stimulus<'_>) -> Result<(), Failure> {
        let Some(model) = &mut self.model else { return Ok(()) };
        let compared = model.check(now, what, &self.deeds.by_engine);
        compared.map_err(|mismatch| Failure(format!("of the engine of {} {mismatch}, after {what:?}", self.name)))
    }

    /// Holds what the engine has just done against what it does if it is restored before.
    fn compare_restored(
        &mut self,
        after: impl std::fmt::Debug,
        work: impl FnOnce(&mut RecordedEngine, &mut Actions),
    ) -> Result<(), Failure> {
        let Some(twin) = &mut self.twin else { return Ok(()) };
        let followed = twin.follow(&self.engine, &self.deeds.by_engine, work);
        followed.map_err(|what| self.otherwise(&what, after))
    }

    fn otherwise(&self, what: &str, after: impl std::fmt::Debug) -> Failure {
        Failure(format!("the engine of {}, restored from its snapshot, {what}; after {after:?}", self.name))
    }

    /// Every input but talk, which changes little and is most of what comes in: of it one in so many in a row.
    fn is_to_be_checked(&mut self, input: &Input<'_>) -> bool {
        let is_talk = matches!(
            input,
            Input::Received {
                packet: ClientPacket::RoomChatRequest { .. }
                    | ClientPacket::DirectMessageRequest { .. }
                    | ClientPacket::Ping { .. }
                    | ClientPacket::Pong { .. },
                session: _,
            }
        );
        self.talk_unchecked = if is_talk { self.talk_unchecked + 1 } else { TALK_UNCHECKED_MAX };
        let is_due = self.talk_unchecked >= TALK_UNCHECKED_MAX;
        if is_due {
            self.talk_unchecked = 0;
        }
        is_due
    }

    fn check(&self, after: impl std::fmt::Debug) -> Result<(), Failure> {
        let name = &self.name;
        self.engine.check().map_err(|what| Failure(format!("in the engine of {name} {what}, after {after:?}")))?;
        let Some(model) = &self.model else { return Ok(()) };
        let counted = model.check_counts(self.engine.counts());
        counted.map_err(|mismatch| Failure(format!("in the engine of {name} {mismatch}, after {after:?}")))
    }

    /// What is to be done, to be given back when it is done.
    pub(super) fn take_deeds(&mut self) -> Deeds {
        mem::take(&mut self.deeds)
    }

    /// The memory of what was done.
    pub(super) fn give_back(&mut self, mut done: Deeds) {
        done.clear();
        self.deeds = done;
    }
}
