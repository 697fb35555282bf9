//! Middleware: looks at every packet before the engine does, and at what came of it afterwards.
//!
//! What a chain decides is what becomes the engine's input, and the engine checks that like anything else a client
//! says. So a stopped or changed packet is simulated and replayed without the middleware that changed it.

mod budget;
mod chain;
mod interest;
mod log;
mod metrics;
mod word_filter;
mod words;

use std::time::Duration;

use lobbyd_core::Engine;
use lobbyd_core::extension::UserView;
use lobbyd_core::id::SessionId;
use lobbyd_core::packet::{ClientPacket, CloseReason, Code, Sealed};
use lobbyd_core::time::Instant;

pub use self::budget::CommandBudget;
pub use self::chain::Chain;
pub use self::interest::{Interest, PacketKind};
pub use self::log::PacketLog;
pub use self::metrics::{PacketFigures, PacketMetrics, PacketMetricsHandle};
pub use self::word_filter::WordFilter;

/// A packet as the engine gets it: secrets are sealed, so middleware can show it to anybody.
pub type Packet<'p> = ClientPacket<'p, Sealed>;

/// One link of the chain.
///
/// It must be deterministic, as everything that changes what the engine is told: time is handed in. One that panics is
/// taken out of the chain until an operator enables it again; the request before which it did is refused with
/// `ExtensionFailed`.
///
/// ```
/// use lobbyd_core::packet::{ClientPacket, Code};
/// use lobbyd_net::extension::middleware::{Decision, Interest, Middleware, Packet, PacketKind, Passage};
///
/// /// Nobody shouts in rooms.
/// struct NoShouting;
///
/// impl Middleware for NoShouting {
///     fn name(&self) -> &str {
///         "no shouting"
///     }
///
///     fn interest(&self) -> Interest {
///         Interest::nothing().before(&[PacketKind::RoomChatRequest])
///     }
///
///     fn before<'p>(&'p mut self, _: &Passage<'_>, packet: &Packet<'p>) -> Decision<'p> {
///         let ClientPacket::RoomChatRequest { text, .. } = packet else { return Decision::Pass };
///         let has = |is_case: fn(&u8) -> bool| text.0.iter().any(is_case);
///         let is_shouted = has(u8::is_ascii_uppercase) && !has(u8::is_ascii_lowercase);
///         if is_shouted { Decision::Stop(Code::TextRefused) } else { Decision::Pass }
///     }
/// }
/// ```
pub trait Middleware: Send {
    /// What it is called in the log.
    fn name(&self) -> &str;

    /// Which packets it is called for, and when: all of them, before and after, unless it says less. It is asked once,
    /// when the chain is made, and what it is not called for costs nothing.
    fn interest(&self) -> Interest {
        Interest::everything()
    }

    /// Looks at a packet on its way to the engine.
    fn before<'p>(&'p mut self, passage: &Passage<'_>, packet: &Packet<'p>) -> Decision<'p> {
        let _ = (passage, packet);
        Decision::Pass
    }

    /// Looks at what came of a packet that has come as far as this: the packet as the client said it, and how it went. How long
    /// the engine took for it is in [`Passage::spent`], if it was timed.
    fn after(&mut self, passage: &Passage<'_>, packet: &Packet<'_>, outcome: Outcome) {
        let _ = (passage, packet, outcome);
    }

    /// Which of the packets that this is told of afterwards are to be timed: a sample, unless it says otherwise. It is
    /// asked again at one packet of a kind in 64. Whatever one piece of the chain wants, all are told.
    fn timing(&self) -> Timing {
        Timing::Sample
    }

    /// An operator has it passed again after a panic, which may have left its state half changed: puts it in order.
    fn enabled(&mut self) {}
}

/// What is known where a packet passes.
#[derive(Clone, Copy, Debug)]
pub struct Passage<'e> {
    engine: &'e Engine,
    now: Instant,
    session: SessionId,
    spent: Option<Duration>,
}

impl<'e> Passage<'e> {
    /// The engine's time.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.now
    }

    /// Whose packet it is.
    #[must_use]
    pub fn session(&self) -> SessionId {
        self.session
    }

    /// Who is logged in there.
    #[must_use]
    pub fn user(&self) -> Option<UserView<'e>> {
        self.engine.user(self.session)
    }

    /// How long the engine took for the packet: known after it, if the packet was timed ([`Middleware::timing`]). In
    /// simulated time it is no time at all.
    #[must_use]
    pub fn spent(&self) -> Option<Duration> {
        self.spent
    }

    /// The engine, to be looked at.
    #[must_use]
    pub fn engine(&self) -> &'e Engine {
        self.engine
    }
}

/// Which packets are timed. To read the clock costs more than all the rest of a short chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Timing {
    /// None.
    Never,
    /// The first one of each kind, and then one in 64.
    Sample,
    /// Every one.
    Always,
}

/// What middleware makes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Decision<'p> {
    /// It goes on as it is.
    Pass,
    /// This goes on instead: a packet of the same kind with the same id, and in a login the same secret. Anything else
    /// is refused with `ExtensionFailed`.
    Replace(Packet<'p>),
    /// It goes no further: the request is refused with this code. A packet that nothing answers (`Hello`, `Ping`,
    /// `Pong`) cannot be stopped and goes on.
    Stop(Code),
}

/// What came of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// The request was answered with success, or the packet is one that nothing answers.
    Done,
    /// The request was refused, by middleware behind this one or by the engine.
    Refused(Code),
    /// The request is answered later: a login, or a command that its extension has kept.
    Waits,
    /// The session was closed at it.
    Closed(CloseReason),
}
