//! Logging: one line for each packet.

use tracing::debug;

use super::{Interest, Middleware, Outcome, Packet, PacketKind, Passage, Timing};

/// Logs each packet and what came of it, at level `debug`: the kind of packet, who, how it went, and how long the engine
/// took (of the first 64 of a kind after the level was changed, some go without). Texts and parameters are not logged.
#[derive(Clone, Copy, Debug, Default)]
pub struct PacketLog;

impl Middleware for PacketLog {
    fn name(&self) -> &str {
        "packet log"
    }

    fn interest(&self) -> Interest {
        Interest::nothing().after(PacketKind::ALL)
    }

    fn timing(&self) -> Timing {
        if tracing::enabled!(tracing::Level::DEBUG) { Timing::Always } else { Timing::Never }
    }

    fn after(&mut self, passage: &Passage<'_>, packet: &Packet<'_>, outcome: Outcome) {
        debug!(
            session = %passage.session(),
            user = passage.user().map(|user| tracing::field::display(user.name())),
            packet = packet.name(),
            ?outcome,
            microseconds = passage.spent().map(|spent| spent.as_micros()),
            "packet"
        );
    }
}
