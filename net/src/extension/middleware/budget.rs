//! Budgets of single commands, beside the flood budget that all packets share.

use std::collections::BTreeMap;

use lobbyd_core::id::SessionId;
use lobbyd_core::limits::{Budget, Exhausted, Rate};
use lobbyd_core::packet::{ClientPacket, Code};
use lobbyd_core::time::Instant;

use super::{Decision, Middleware, Packet, Passage};

/// Bounds how often one session may ask for one thing; over it, the request is refused with `OverBudget`. What is not
/// named is not bounded.
///
/// ```
/// use lobbyd_core::limits::Rate;
/// use lobbyd_net::extension::middleware::CommandBudget;
///
/// let budget = CommandBudget::new()
///     .command("dice.roll", Rate::per_second(1, 5))
///     .packet("DirectMessageRequest", Rate::per_minute(30, 10));
/// ```
#[derive(Clone, Debug, Default)]
pub struct CommandBudget {
    commands: BTreeMap<String, Bounded>,
    packets: BTreeMap<&'static str, Bounded>,
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

    fn spend(&mut self, session: SessionId, now: Instant) -> Result<(), Exhausted> {
        let index = session.index as usize;
        if self.slots.len() <= index {
            self.slots.resize(index + 1, Default::default());
        }
        let (generation, budget) = &mut self.slots[index];
        if *generation != session.generation {
            (*generation, *budget) = (session.generation, Budget::default());
        }
        budget.spend(now, self.rate, 1)
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

    /// Bounds a kind of packet, by the name that it has in `ClientPacket`.
    #[must_use]
    pub fn packet(mut self, name: &'static str, rate: Rate) -> Self {
        self.packets.insert(name, Bounded::new(rate));
        self
    }
}

impl Middleware for CommandBudget {
    fn name(&self) -> &str {
        "command budget"
    }

    fn before<'p>(&'p mut self, passage: &Passage<'_>, packet: Packet<'p>) -> Decision<'p> {
        let command = match packet {
            ClientPacket::CustomCommand { command_type, .. } => command_type.as_utf8(),
            ClientPacket::Hello { .. }
            | ClientPacket::Ping { .. }
            | ClientPacket::Pong { .. }
            | ClientPacket::LoginRequest { .. }
            | ClientPacket::LogoutRequest { .. }
            | ClientPacket::RoomListRequest { .. }
            | ClientPacket::RoomCreateRequest { .. }
            | ClientPacket::RoomEnterRequest { .. }
            | ClientPacket::RoomLeaveRequest { .. }
            | ClientPacket::RoomChatRequest { .. }
            | ClientPacket::DirectMessageRequest { .. }
            | ClientPacket::KickRequest { .. } => None,
        };
        let of_command = command.and_then(|name| self.commands.get_mut(name));
        for bounded in of_command.into_iter().chain(self.packets.get_mut(packet.name())) {
            if bounded.spend(passage.session(), passage.now()).is_err() {
                return Decision::Stop(Code::OverBudget);
            }
        }
        Decision::Pass
    }

    fn is_timed(&self) -> bool {
        false
    }
}
