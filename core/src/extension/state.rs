//! What the engine holds of extensions: their states, what waits for them, and what they wait for.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::fmt;
use core::mem;
use core::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::KeptCommand;
use super::effects::Effect;
use super::handler::{CommandHandler, Event, Handlers};
use crate::check::fits;
use crate::command::CommandName;
use crate::config::Config;
use crate::deadline::{Deadline, Deadlines};
use crate::digest;
use crate::engine::RestoreError;
use crate::id::{AskId, CallTicket, RequestId, SessionId};
use crate::random::Random;
use crate::time::Instant;

/// The extensions, in the order of their names, and what is under way with them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Extensions {
    slots: Vec<Slot>,
    /// Commands that were kept.
    #[serde(with = "crate::pairs")]
    pub(super) waiting: BTreeMap<KeptCommand, Waiting>,
    /// Calls of services that have no reply.
    #[serde(with = "crate::pairs")]
    pub(super) calls: BTreeMap<CallTicket, Call>,
    /// The number of the last kept command or call.
    pub(super) last_serial: u64,
    /// What handlers are to be told at the end of the turn; empty between turns.
    #[serde(skip)]
    news: Vec<Event>,
    /// A buffer; empty between calls.
    #[serde(skip)]
    effects: Buffer,
}

/// An extension.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Slot {
    pub(super) name: CommandName,
    pub(super) is_disabled: bool,
    /// Its own sequence of random numbers.
    pub(super) random: Random,
    /// Its own deadlines, each with the moment at which it is armed.
    #[serde(with = "crate::pairs")]
    pub(super) deadlines: BTreeMap<u64, Instant>,
    pub(super) keeper: Keeper,
}

/// A command that was kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Waiting {
    /// The extension's.
    pub(super) place: u32,
    pub(super) request: RequestId,
    pub(super) name: CommandName,
    /// When `Deadline::Command` is armed.
    pub(super) at: Instant,
}

/// A call of a service that has no reply.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Call {
    pub(super) caller: Caller,
    /// When `Deadline::ServiceCall` is armed.
    pub(super) at: Instant,
}

/// Who waits for a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Caller {
    /// The extension in this place.
    Extension(u32),
    /// The operator.
    Operator(AskId),
}

/// Keeps a handler. As stored it is the state that the handler wrote.
pub(super) enum Keeper {
    /// The handler is here.
    Here(Box<dyn CommandHandler>),
    /// The handler is being called.
    Away,
    /// Read from a snapshot: the state that a handler has to take up.
    Stored(Vec<u8>),
}

/// A buffer is no part of the state: a copy begins with an empty one, and all are equal.
#[derive(Debug, Default)]
struct Buffer(Vec<Effect>);

impl Extensions {
    pub(crate) fn new(handlers: Handlers, seed: u64) -> Self {
        let slot = |(name, handler)| Slot {
            name,
            is_disabled: false,
            // Of its own, so that one extension more or less changes nothing for the others.
            random: Random::new(digest::digest(&(seed, name))),
            deadlines: BTreeMap::new(),
            keeper: Keeper::Here(handler),
        };
        Self { slots: handlers.by_name.into_iter().map(slot).collect(), ..Self::default() }
    }

    /// Puts handlers to the states that were read from a snapshot.
    pub(crate) fn take_up(&mut self, handlers: Handlers) -> Result<(), RestoreError> {
        let mut handlers = handlers.by_name;
        for slot in &mut self.slots {
            let extension = slot.name;
            let mut handler = handlers.remove(&extension).ok_or(RestoreError::ExtensionMissing(extension))?;
            let loaded = handler.load(&slot.keeper.state());
            loaded.map_err(|reason| RestoreError::ExtensionState { extension, reason })?;
            slot.keeper = Keeper::Here(handler);
        }
        match handlers.into_keys().next() {
            Some(extension) => Err(RestoreError::ExtensionUnknown(extension)),
            None => Ok(()),
        }
    }

    /// Whether there are any.
    pub(crate) fn are_there(&self) -> bool {
        !self.slots.is_empty()
    }

    /// Each with whether it is enabled, in the order of their names.
    pub(crate) fn standing(&self) -> impl Iterator<Item = (CommandName, bool)> {
        self.slots.iter().map(|slot| (slot.name, !slot.is_disabled))
    }

    pub(super) fn count(&self) -> u32 {
        // Nobody registers so many.
        self.slots.len() as u32
    }

    /// The place of the extension that gets commands of that name: its own, or the nearest one before a dot.
    pub(super) fn place_of(&self, command: CommandName) -> Option<u32> {
        let mut name = Some(command);
        while let Some(known) = name {
            if let Some(place) = self.place_named(known) {
                return Some(place);
            }
            name = known.family();
        }
        None
    }

    /// The place of the extension of exactly that name.
    pub(super) fn place_named(&self, name: CommandName) -> Option<u32> {
        self.slots.binary_search_by_key(&name, |slot| slot.name).ok().map(|place| place as u32)
    }

    pub(super) fn slot(&self, place: u32) -> &Slot {
        &self.slots[place as usize]
    }

    pub(super) fn slot_mut(&mut self, place: u32) -> &mut Slot {
        &mut self.slots[place as usize]
    }

    /// Notes what handlers are to be told, if there are any.
    pub(crate) fn hear(&mut self, event: impl FnOnce() -> Event) {
        if self.are_there() {
            self.news.push(event());
        }
    }

    pub(super) fn has_news(&self) -> bool {
        !self.news.is_empty()
    }

    pub(super) fn take_news(&mut self) -> Vec<Event> {
        mem::take(&mut self.news)
    }

    /// Gives the emptied list back, for its memory.
    pub(super) fn put_back(&mut self, news: Vec<Event>) {
        debug_assert!(news.is_empty() && self.news.is_empty(), "what handlers do is no news");
        self.news = news;
    }

    pub(super) fn take_effects(&mut self) -> Vec<Effect> {
        mem::take(&mut self.effects.0)
    }

    pub(super) fn put_effects_back(&mut self, effects: Vec<Effect>) {
        self.effects.0 = effects;
    }

    /// The commands that wait of a session.
    pub(super) fn waiting_of(&self, session: SessionId) -> impl Iterator<Item = KeptCommand> {
        let kept = |serial| KeptCommand { session, serial };
        self.waiting.range(kept(0)..=kept(u64::MAX)).map(|(kept, _)| *kept)
    }

    pub(super) fn take_waiting_of(&mut self, session: SessionId) -> Option<(KeptCommand, Waiting)> {
        let kept = self.waiting_of(session).next()?;
        self.waiting.remove_entry(&kept)
    }

    pub(super) fn take_waiting_for(&mut self, place: u32) -> Option<(KeptCommand, Waiting)> {
        let (kept, _) = self.waiting.iter().find(|(_, waiting)| waiting.place == place)?;
        let kept = *kept;
        self.waiting.remove_entry(&kept)
    }

    pub(super) fn take_call_of(&mut self, place: u32) -> Option<(CallTicket, Call)> {
        let (ticket, _) = self.calls.iter().find(|(_, call)| call.caller == Caller::Extension(place))?;
        let ticket = *ticket;
        self.calls.remove_entry(&ticket)
    }

    /// How many commands wait.
    pub(crate) fn waiting_count(&self) -> u32 {
        // Bounded by the configuration, in a `u32`.
        self.waiting.len() as u32
    }

    /// How many calls are under way.
    pub(crate) fn call_count(&self) -> u32 {
        // Bounded by the configuration, in a `u32`.
        self.calls.len() as u32
    }

    /// Nobody could answer for so long.
    pub(crate) fn stalled(&mut self, gap: Duration, deadlines: &mut Deadlines) {
        for (kept, waiting) in &mut self.waiting {
            let deadline = Deadline::Command(kept.session, kept.serial);
            deadlines.disarm(waiting.at, deadline);
            waiting.at = waiting.at + gap;
            deadlines.arm(waiting.at, deadline);
        }
        for (ticket, call) in &mut self.calls {
            deadlines.disarm(call.at, Deadline::ServiceCall(*ticket));
            call.at = call.at + gap;
            deadlines.arm(call.at, Deadline::ServiceCall(*ticket));
        }
    }

    /// Every deadline that has to be armed.
    pub(crate) fn deadlines(&self) -> impl Iterator<Item = (Instant, Deadline)> {
        let waiting = self.waiting.iter().map(|(kept, it)| (it.at, Deadline::Command(kept.session, kept.serial)));
        let calls = self.calls.iter().map(|(ticket, call)| (call.at, Deadline::ServiceCall(*ticket)));
        let own = (0..).zip(&self.slots).flat_map(|(place, slot)| {
            slot.deadlines.iter().map(move |(key, at)| (*at, Deadline::Extension(place, *key)))
        });
        waiting.chain(calls).chain(own)
    }

    /// The sessions that wait for an answer, one for each command.
    pub(crate) fn waiting_sessions(&self) -> impl Iterator<Item = SessionId> {
        self.waiting.keys().map(|kept| kept.session)
    }

    /// Whether the parts fit together, and to the configuration.
    pub(crate) fn check(&self, config: &Config) -> Result<(), &'static str> {
        fits(self.news.is_empty(), "an extension was not told everything")?;
        let rises = self.slots.windows(2).all(|pair| pair[0].name < pair[1].name);
        fits(rises, "extensions are not in the order of their names")?;
        for slot in &self.slots {
            fits(matches!(slot.keeper, Keeper::Here(_)), "an extension has no handler")?;
            fits(!slot.is_disabled || slot.deadlines.is_empty(), "a disabled extension has deadlines")?;
            let deadlines_max = config.extension_deadlines_max as usize;
            fits(slot.deadlines.len() <= deadlines_max, "an extension has more deadlines than allowed")?;
        }
        let is_served = |place: u32| self.slots.get(place as usize).is_some_and(|slot| !slot.is_disabled);
        let of_calls = self.calls.values().filter_map(|call| match call.caller {
            Caller::Extension(place) => Some(place),
            Caller::Operator(_) => None,
        });
        let places = self.waiting.values().map(|waiting| waiting.place).chain(of_calls);
        fits(places.into_iter().all(is_served), "something waits for an extension that is not there")?;
        let names_fit = self.waiting.values().all(|waiting| self.place_of(waiting.name) == Some(waiting.place));
        fits(names_fit, "a command waits for another's extension")?;
        fits(self.waiting_count() <= config.commands_waiting_max, "more commands wait than allowed")?;
        fits(self.call_count() <= config.service_calls_max, "more service calls are under way than allowed")?;
        let serials = self.waiting.keys().map(|kept| kept.serial).chain(self.calls.keys().map(|ticket| ticket.0));
        let mut serials: Vec<_> = serials.collect();
        serials.sort_unstable();
        fits(serials.windows(2).all(|pair| pair[0] < pair[1]), "a number is used twice for an extension")?;
        let are_issued = serials.iter().all(|serial| (1..=self.last_serial).contains(serial));
        fits(are_issued, "a number was never issued to an extension")
    }
}

impl Keeper {
    pub(super) fn take(&mut self) -> Box<dyn CommandHandler> {
        match mem::replace(self, Self::Away) {
            Self::Here(handler) => handler,
            Self::Away | Self::Stored(_) => unreachable!("a handler is called for one thing at a time, once restored"),
        }
    }

    pub(super) fn put_back(&mut self, handler: Box<dyn CommandHandler>) {
        *self = Self::Here(handler);
    }

    fn state(&self) -> Vec<u8> {
        match self {
            Self::Here(handler) => {
                let mut state = Vec::new();
                handler.save(&mut state);
                state
            }
            Self::Stored(state) => state.clone(),
            Self::Away => unreachable!("nothing is stored in the middle of a call"),
        }
    }
}

impl Clone for Keeper {
    fn clone(&self) -> Self {
        match self {
            Self::Here(handler) => Self::Here(handler.clone()),
            Self::Away => Self::Away,
            Self::Stored(state) => Self::Stored(state.clone()),
        }
    }
}

impl fmt::Debug for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Here(_) | Self::Stored(_) => f.debug_tuple("Keeper").field(&self.state()).finish(),
            Self::Away => f.write_str("Away"),
        }
    }
}

impl PartialEq for Keeper {
    fn eq(&self, other: &Self) -> bool {
        self.state() == other.state()
    }
}

impl Eq for Keeper {}

impl Serialize for Keeper {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.state().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Keeper {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::deserialize(deserializer).map(Self::Stored)
    }
}

impl Clone for Buffer {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl PartialEq for Buffer {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Buffer {}
