//! Moderation: the middleware that comes with the server, and a piece of one's own that refuses links.

use lobbyd_core::extension::RegisterError;
use lobbyd_core::limits::Rate;
use lobbyd_core::packet::{ClientPacket, Code};
use lobbyd_net::extension::Extensions;
use lobbyd_net::extension::middleware::{
    CommandBudget, Decision, Interest, Middleware, Outcome, Packet, PacketKind, PacketLog, Passage, WordFilter,
};

/// Adds the moderation to a server, or to a simulated one. Packets pass it in this order.
pub(crate) fn extend(extensions: &mut Extensions) -> Result<(), RegisterError> {
    extensions
        .middleware(PacketLog)
        .middleware(CommandBudget::new().packet(PacketKind::RoomChatRequest, Rate::per_second(1, 5)))
        .middleware(NoLinks::default())
        .middleware(WordFilter::masking(["darn", "heck"]));
    Ok(())
}

/// Refuses links in rooms, except from administrators.
#[derive(Default)]
struct NoLinks {
    /// How many it has refused.
    refused: u64,
}

impl Middleware for NoLinks {
    fn name(&self) -> &str {
        "no links"
    }

    fn interest(&self) -> Interest {
        Interest::nothing().before(&[PacketKind::RoomChatRequest]).after(&[PacketKind::RoomChatRequest])
    }

    fn before<'p>(&'p mut self, passage: &Passage<'_>, packet: &Packet<'p>) -> Decision<'p> {
        let ClientPacket::RoomChatRequest { text, .. } = packet else { return Decision::Pass };
        let is_trusted = passage.user().is_some_and(|user| user.is_administrator());
        if is_trusted || !has_link(text.0) { Decision::Pass } else { Decision::Stop(Code::TextRefused) }
    }

    fn after(&mut self, passage: &Passage<'_>, _: &Packet<'_>, outcome: Outcome) {
        // Only this piece of the chain refuses a text so: the word filter masks.
        if outcome == Outcome::Refused(Code::TextRefused) {
            self.refused += 1;
            tracing::info!(session = %passage.session(), refused = self.refused, "a link was refused");
        }
    }
}

fn has_link(text: &[u8]) -> bool {
    text.windows(3).any(|part| part == b"://")
}
