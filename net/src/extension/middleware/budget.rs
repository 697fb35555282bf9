//! Budgets of single commands, beside the flood budget that all packets share.

use std::collections::BTreeMap;

use lobbyd_core::id::SessionId;
use lobbyd_core::limits::{Budget, Exhausted, Rate};
use lobbyd_core::packet::{ClientPacket, Code};
use lobbyd_core::text::RawText;
use lobbyd_core::time::Instant;

use super::interest::KINDS;
use super::{Decision, Interest, Middleware, Packet, PacketKind, Passage};

/// Bounds how often one session may ask for one thing; over it, the request is refused with `OverBudget`. What is not
/// named is not bounded.
///
/// ```
/// use lobbyd_core::limits::Rate;
/// use lobbyd_net::extension::middleware::{CommandBudget, PacketKind};
///
/// let budget = CommandBudget::new()
///     .command("dice.roll", Rate::per_second(1, 5))
///     .packet(PacketKind::DirectMessageRequest, Rate::per_minute(30, 10));
/// ```
#[derive(Clone, Debug, Default)]
pub struct CommandBudget {
    commands: BTreeMap<String, Bounded>,
    /// By the kind's number.
    packets: [Option<Bounded>; KINDS],
}

/// What is left to each session.
#[derive(Clone, Debug)]
struct Bounded {
    rate: Rate,
    /// By the session's slot, with the generation whose it is: a few bytes for each slot, and no search.
    slots: Vec<(u32, Budget)>,
}

impl Bounded {
    fn new(rate: Rate) -> Self {
        Self { rate, slots: Vec::new() }
    }

    #[inline]
    fn spend(&mut self, session: SessionId, now: Instant) -> Result<(), Exhausted> {
        let index = session.index as usize;
        if self.slots.len() <= index {
            self.grow(index);
        }
        let (generation, budget) = &mut self.slots[index];
        if *generation != session.generation {
            (*generation, *budget) = (session.generation, Budget::default());
        }
        budget.spend(now, self.rate, 1)
    }

    /// Makes room for this slot. The slots are few and come back, so nearly always there is room.
    #[cold]
    fn grow(&mut self, index: usize) {
        self.slots.resize(index + 1, Default::default());
    }
}

impl CommandBudget {
    /// Bounds nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Bounds a custom command, by its whole name.
    #[must_use]
    pub fn command(mut self, name: &str, rate: Rate) -> Self {
        self.commands.insert(name.to_owned(), Bounded::new(rate));
        self
    }

    /// Bounds a kind of packet. What nothing answers (`Hello`, `Ping`, `Pong`) cannot be refused, and is not bounded.
    #[must_use]
    pub fn packet(mut self, kind: PacketKind, rate: Rate) -> Self {
        self.packets[kind.place()] = Some(Bounded::new(rate));
        self
    }

    fn spend(&mut self, session: SessionId, now: Instant, packet: &Packet<'_>) -> Result<(), Exhausted> {
        if let ClientPacket::CustomCommand { command_type, .. } = packet {
            self.spend_on_command(session, now, *command_type)?;
        }
        let of_kind = &mut self.packets[PacketKind::of(packet).place()];
        of_kind.as_mut().map_or(Ok(()), |bounded| bounded.spend(session, now))
    }

    /// Apart, because most packets are no commands, and should not pay for the search.
    #[inline(never)]
    fn spend_on_command(&mut self, session: SessionId, now: Instant, name: RawText<'_>) -> Result<(), Exhausted> {
        let of_command = name.as_utf8().and_then(|name| self.commands.get_mut(name));
        of_command.map_or(Ok(()), |bounded| bounded.spend(session, now))
    }
}

impl Middleware for CommandBudget {
    fn name(&self) -> &str {
        "command budget"
    }

    fn interest(&self) -> Interest {
        let bounded = PacketKind::ALL.iter().filter(|kind| {
            let has_commands = **kind == PacketKind::CustomCommand && !self.commands.is_empty();
            has_commands || self.packets[kind.place()].is_some()
        });
        bounded.fold(Interest::nothing(), |interest, kind| interest.before(&[*kind]))
    }

    fn before<'p>(&'p mut self, passage: &Passage<'_>, packet: &Packet<'p>) -> Decision<'p> {
        match self.spend(passage.session(), passage.now(), packet) {
            Ok(()) => Decision::Pass,
            Err(Exhausted) => Decision::Stop(Code::OverBudget),
        }
    }
}
