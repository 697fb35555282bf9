//! Logging: one line for each packet.

use std::time::Duration;

use tracing::debug;

use super::{Interest, Middleware, Outcome, Packet, PacketKind, Passage};

/// Logs each packet and what came of it, at level `debug`: the kind of packet, who, how it went, and how long the engine
/// took. Texts and parameters are not logged.
#[derive(Clone, Copy, Debug, Default)]
pub struct PacketLog;

impl Middleware for PacketLog {
    fn name(&self) -> &str {
        "packet log"
    }

    fn interest(&self) -> Interest {
        Interest::nothing().after(PacketKind::ALL)
    }

    fn is_timed(&self) -> bool {
        tracing::enabled!(tracing::Level::DEBUG)
    }

    fn after(&mut self, passage: &Passage<'_>, packet: &Packet<'_>, outcome: Outcome, spent: Duration) {
        debug!(
            session = %passage.session(),
            user = passage.user().map(|user| tracing::field::display(user.name())),
            packet = packet.name(),
            ?outcome,
            microseconds = spent.as_micros(),
            "packet"
        );
    }
}
