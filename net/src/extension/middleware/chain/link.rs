//! A link of the chain: how a piece of middleware stands.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use lobbyd_core::packet::{ClientPacket, Code};
use tracing::{error, info};

use super::super::super::panic_message;
use super::super::{Decision, Interest, Middleware, Packet};
use crate::stats::MiddlewareStats;

/// How one piece of middleware stands.
pub(super) struct Link {
    pub(super) name: String,
    /// What it asked for.
    pub(super) interest: Interest,
    /// Whether it is left out.
    pub(super) is_broken: bool,
    stopped: u64,
    replaced: u64,
    faults: u64,
}

impl Link {
    pub(super) fn new(middleware: &dyn Middleware) -> Self {
        let (name, interest) = (middleware.name().to_owned(), middleware.interest());
        Self { name, interest, is_broken: false, stopped: 0, replaced: 0, faults: 0 }
    }

    pub(super) fn stats(&self) -> MiddlewareStats {
        MiddlewareStats {
            name: self.name.clone(),
            enabled: !self.is_broken,
            stopped: self.stopped,
            replaced: self.replaced,
            faults: self.faults,
        }
    }

    /// Counts what middleware has decided, if that is not to let it pass. Says what goes on instead of
    /// the packet, or with which code it is refused.
    #[cold]
    #[inline(never)]
    pub(super) fn note<'p>(&mut self, packet: &Packet<'_>, decision: Decision<'p>) -> Result<Option<Packet<'p>>, Code> {
        let refused = |code| if packet.request().is_some() { Err(code) } else { Ok(None) };
        match decision {
            Decision::Pass => Ok(None),
            Decision::Replace(other) if may_replace(packet, &other) => {
                self.replaced += 1;
                Ok(Some(other))
            }
            Decision::Replace(_) => {
                let kind = packet.name();
                error!(middleware = self.name, kind, "middleware made another request of a packet, which is refused");
                self.faults += 1;
                refused(Code::ExtensionFailed)
            }
            Decision::Stop(code) => {
                self.stopped += 1;
                refused(code)
            }
        }
    }

    /// It has panicked.
    #[cold]
    #[inline(never)]
    pub(super) fn broke(&mut self, payload: &(dyn Any + Send)) {
        self.is_broken = true;
        self.faults += 1;
        self.tell(payload);
    }

    fn tell(&self, payload: &(dyn Any + Send)) {
        let reason = panic_message(payload);
        error!(
            middleware = self.name,
            reason, "middleware panicked; packets pass without it until it is enabled again"
        );
    }

    /// Puts itself back; says whether it could.
    pub(super) fn enable(&mut self, middleware: &mut dyn Middleware) -> bool {
        match catch_unwind(AssertUnwindSafe(|| middleware.enabled())) {
            Ok(()) => {
                self.is_broken = false;
                info!(middleware = self.name, "packets pass middleware again");
                true
            }
            Err(payload) => {
                self.faults += 1;
                self.tell(payload.as_ref());
                false
            }
        }
    }
}

/// Whether it is the same request, so that it gets its one response, and asks about the same secret, which is the only
/// one that the driver holds.
fn may_replace(packet: &Packet<'_>, other: &Packet<'_>) -> bool {
    let secret = |packet: &Packet<'_>| match packet {
        ClientPacket::LoginRequest { secret, .. } => Some(*secret),
        ClientPacket::Hello { .. }
        | ClientPacket::Ping { .. }
        | ClientPacket::Pong { .. }
        | ClientPacket::LogoutRequest { .. }
        | ClientPacket::RoomListRequest { .. }
        | ClientPacket::RoomCreateRequest { .. }
        | ClientPacket::RoomEnterRequest { .. }
        | ClientPacket::RoomLeaveRequest { .. }
        | ClientPacket::RoomChatRequest { .. }
        | ClientPacket::DirectMessageRequest { .. }
        | ClientPacket::KickRequest { .. }
        | ClientPacket::CustomCommand { .. } => None,
    };
    let is_same_kind = std::mem::discriminant(packet) == std::mem::discriminant(other);
    is_same_kind && packet.request() == other.request() && secret(packet) == secret(other)
}
