//! What the hub does for extensions, and for a handle that asks the engine for something.

use lobbyd_core::command::CommandName;
use lobbyd_core::data::Data;
use lobbyd_core::id::{AskId, CallTicket, SessionId};
use lobbyd_core::input::Input;
use lobbyd_core::packet::Code;
use lobbyd_core::text::Text;
use lobbyd_core::time::Instant;
use tracing::error;

use super::Hub;
use crate::ask::{Ask, AskReply};
use crate::extension::middleware::Packet;
use crate::system::SystemWork;
use crate::transport::Stream;

impl<S: Stream> Hub<S> {
    /// Hands a packet to the engine, through the chain of middleware.
    pub(super) fn step_packet(&mut self, now: Instant, session: SessionId, packet: Packet<'_>) {
        self.chain.step(&mut self.engine, now, session, packet, &mut self.actions);
        self.carry_out();
    }

    /// An extension asks a service. The reply waits in the system lane.
    pub(super) fn call_service(&mut self, ticket: CallTicket, service: CommandName, request: Data) {
        let call = self.services.call(service, request);
        self.system.begin(|queue| async move {
            let result = call.await;
            queue.push(SystemWork::Input(Input::ServiceReply { ticket, result }));
        });
    }

    pub(super) fn extension_failed(&mut self, extension: CommandName, reason: &Text, panicked: bool) {
        if panicked {
            error!(%extension, %reason, "an extension panicked: its commands are refused from now on");
            self.system.push(Input::DisableExtension { extension });
        } else {
            error!(%extension, %reason, "an extension failed; nothing of what it was doing is done");
        }
    }

    /// A handle asks for something.
    pub(super) fn ask(&mut self, now: Instant, ask: &Ask, reply: AskReply) {
        if let Ask::Announce { text } = ask {
            let heard = self.engine.announcement(text.as_str().into());
            // Nothing answers this one.
            self.step(now, Input::Admin(ask.admin(self.last_ask)));
            // Whoever asked may have gone.
            let _ = reply.send(heard);
            return;
        }
        self.last_ask.0 += 1;
        let id = self.last_ask;
        self.asks.insert(id, reply);
        self.step(now, Input::Admin(ask.admin(id)));
    }

    pub(super) fn answered(&mut self, ask: AskId, result: Result<u32, Code>) {
        if let Some(reply) = self.asks.remove(&ask) {
            // Whoever asked may have gone.
            let _ = reply.send(result);
        }
    }
}
