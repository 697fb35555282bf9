//! What the hub does for extensions, and for a handle that asks the engine for something.

use lobbyd_core::command::CommandName;
use lobbyd_core::data::{Data, RawBytes};
use lobbyd_core::id::{AskId, CallTicket, SessionId};
use lobbyd_core::input::{Admin, Input, ServiceError};
use lobbyd_core::packet::Code;
use lobbyd_core::text::Text;
use lobbyd_core::time::Instant;
use tracing::{error, info};

use super::Hub;
use crate::ask::{Ask, AskReply, CallReply};
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
            error!(%extension, %reason, "an extension panicked: its commands are refused until it is enabled again");
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
        let id = self.next_ask();
        self.asks.insert(id, reply);
        self.step(now, Input::Admin(ask.admin(id)));
        if let Ask::SetExtension { extension, enabled } = ask {
            info!(%extension, enabled, "the operator has set whether an extension's commands are served");
        }
    }

    /// A handle asks a service.
    pub(super) fn ask_service(&mut self, now: Instant, service: CommandName, request: &Data, reply: CallReply) {
        let ask = self.next_ask();
        self.service_asks.insert(ask, reply);
        self.step(now, Input::Admin(Admin::CallService { ask, service, request: RawBytes(request.as_bytes()) }));
    }

    pub(super) fn service_answered(&mut self, ask: AskId, result: Result<Data, ServiceError>) {
        if let Some(reply) = self.service_asks.remove(&ask) {
            // Whoever asked may have gone.
            let _ = reply.send(result);
        }
    }

    fn next_ask(&mut self) -> AskId {
        self.last_ask.0 += 1;
        self.last_ask
    }

    pub(super) fn answered(&mut self, ask: AskId, result: Result<u32, Code>) {
        if let Some(reply) = self.asks.remove(&ask) {
            // Whoever asked may have gone.
            let _ = reply.send(result);
        }
    }
}
