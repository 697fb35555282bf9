//! Extensions: handlers of custom commands, which run inside the engine and are simulated, stored and replayed with it.
//!
//! An extension is a [`CommandHandler`] under a name. Everything that it does goes through the [`Context`] that it is
//! handed, and takes effect only when it returns `Ok`: what a handler that fails has done is done by halves nowhere.
//!
//! Architecture invariant: a handler is called for one thing at a time, after that thing has happened to the end, and
//! nothing that it does calls another handler. So the order of calls is defined and their number bounded.

mod context;
mod effects;
mod handler;
mod state;

pub use self::context::{Context, ContextError, RoomView, UserView};
pub use self::handler::{CloneHandler, Command, CommandHandler, Event, Failure, Handlers, RegisterError, Reply};
pub(crate) use self::state::Extensions;

use alloc::boxed::Box;

use serde::{Deserialize, Serialize};

use self::context::Asked;
use self::effects::{Effect, Effects};
use self::state::{Call, Caller, Waiting};
use crate::action::{Action, Actions};
use crate::command::CommandName;
use crate::data::{Data, RawBytes};
use crate::deadline::Deadline;
use crate::engine::{Engine, Rejection};
use crate::id::{AskId, CallTicket, RequestId, SessionId};
use crate::input::ServiceError;
use crate::packet::{Code, CommandReply, LeaveCause, ServerPacket};
use crate::text::RawText;

/// The most bytes of a request to a service, as of its reply: what is larger belongs into a store, and its name into a
/// request.
pub const REQUEST_BYTES_MAX: usize = 1024 * 1024;

/// A command that an extension has kept, to answer it later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct KeptCommand {
    /// Whose it is.
    pub session: SessionId,
    /// Which: a number the engine never uses twice.
    pub serial: u64,
}

impl Engine {
    pub(crate) fn custom_command(
        &mut self,
        id: SessionId,
        request: RequestId,
        command_type: RawText<'_>,
        parameters: RawBytes<'_>,
        timestamp: u64,
        actions: &mut Actions,
    ) -> Result<(), Rejection> {
        self.sessions.online(id)?;
        let name = CommandName::parse(command_type).map_err(|_| Code::CommandUnknown)?;
        let place = self.extensions.place_of(name).ok_or(Code::CommandUnknown)?;
        let asked = Asked { session: id, request, name };
        let command = Command { session: id, name, parameters: parameters.0, timestamp };
        self.call(place, Some(asked), actions, |handler, context| handler.command(context, command))?;
        Ok(())
    }

    /// Calls handlers for what has happened to sessions and rooms since the last time.
    pub(crate) fn tell_extensions(&mut self, actions: &mut Actions) {
        if !self.extensions.has_news() {
            return;
        }
        let mut news = self.extensions.take_news();
        for event in news.drain(..) {
            for place in 0..self.extensions.count() {
                // Whatever comes of it is reported already.
                let _ = self.call(place, None, actions, |handler, context| handler.event(context, event));
            }
        }
        self.extensions.put_back(news);
    }

    /// A service has answered.
    pub(crate) fn service_reply(
        &mut self,
        ticket: CallTicket,
        result: Result<Data, ServiceError>,
        actions: &mut Actions,
    ) {
        if let Some(Call { caller, at }) = self.extensions.calls.remove(&ticket) {
            self.deadlines.disarm(at, Deadline::ServiceCall(ticket));
            self.service_replied(caller, ticket, result, actions);
        }
    }

    /// A service has not answered in time.
    pub(crate) fn service_call_due(&mut self, ticket: CallTicket, actions: &mut Actions) {
        let Call { caller, .. } = self.extensions.calls.remove(&ticket).expect("a call's deadline goes with it");
        self.service_replied(caller, ticket, Err(ServiceError::TimedOut), actions);
    }

    fn service_replied(
        &mut self,
        caller: Caller,
        ticket: CallTicket,
        result: Result<Data, ServiceError>,
        actions: &mut Actions,
    ) {
        match caller {
            Caller::Extension(place) => {
                let result = result.as_ref().map(Data::as_bytes).map_err(|error| *error);
                let reply = |handler: &mut dyn CommandHandler, context: &mut Context<'_>| {
                    handler.service_reply(context, ticket, result)
                };
                let _ = self.call(place, None, actions, reply);
            }
            Caller::Operator(ask) => actions.push(Action::ServiceAnswer { ask, result }),
        }
    }

    /// The operator asks a service: one call more, under the bound that all callers share.
    pub(crate) fn operator_calls(
        &mut self,
        ask: AskId,
        service: CommandName,
        request: RawBytes<'_>,
        actions: &mut Actions,
    ) {
        let refusal = if request.0.len() > REQUEST_BYTES_MAX {
            Some(ServiceError::TooLong)
        } else {
            (self.extensions.call_count() >= self.config.service_calls_max).then_some(ServiceError::Busy)
        };
        if let Some(refusal) = refusal {
            actions.push(Action::ServiceAnswer { ask, result: Err(refusal) });
            return;
        }
        self.extensions.last_serial += 1;
        let ticket = CallTicket(self.extensions.last_serial);
        self.call_service(Caller::Operator(ask), ticket, service, Data::new(request.0), actions);
    }

    fn call_service(
        &mut self,
        caller: Caller,
        ticket: CallTicket,
        service: CommandName,
        request: Data,
        actions: &mut Actions,
    ) {
        let at = self.now + self.config.service_timeout;
        self.deadlines.arm(at, Deadline::ServiceCall(ticket));
        self.extensions.calls.insert(ticket, Call { caller, at });
        actions.push(Action::CallService { ticket, service, request });
    }

    /// A deadline of an extension's own has come.
    pub(crate) fn extension_due(&mut self, place: u32, key: u64, actions: &mut Actions) {
        let known = self.extensions.slot_mut(place).deadlines.remove(&key);
        assert!(known.is_some(), "an extension's deadline is known while it is armed");
        let _ = self.call(place, None, actions, |handler, context| handler.deadline(context, key));
    }

    /// A command was kept for too long.
    pub(crate) fn command_due(&mut self, session: SessionId, serial: u64, actions: &mut Actions) {
        let kept = KeptCommand { session, serial };
        let waiting = self.extensions.waiting.remove(&kept).expect("a waiting command's deadline goes with it");
        refuse(kept, &waiting, Code::ExtensionFailed, actions);
    }

    /// A user goes offline, and with it what its commands wait for. One who stays connected is told.
    pub(crate) fn drop_commands(&mut self, id: SessionId, cause: LeaveCause, actions: &mut Actions) {
        while let Some((kept, waiting)) = self.extensions.take_waiting_of(id) {
            self.deadlines.disarm(waiting.at, Deadline::Command(id, kept.serial));
            if cause == LeaveCause::LoggedOut {
                refuse(kept, &waiting, Code::CommandCancelled, actions);
            }
        }
    }

    /// Each extension with whether it is enabled, in the order of their names.
    pub fn extensions(&self) -> impl Iterator<Item = (CommandName, bool)> {
        self.extensions.standing()
    }

    /// The operator wants an extension to be called again, or not any more.
    pub(crate) fn set_extension(&mut self, ask: AskId, extension: CommandName, enabled: bool, actions: &mut Actions) {
        let result = match self.extensions.place_named(extension) {
            None => Err(Code::CommandUnknown),
            Some(place) if self.extensions.slot(place).is_disabled != enabled => Ok(0),
            Some(place) if enabled => self.enable_extension(place, actions).map(|()| 1),
            Some(_) => {
                self.disable_extension(extension, actions);
                Ok(1)
            }
        };
        actions.push(Action::Answer { ask, result });
    }

    /// An extension is called again, if it can take up its work.
    fn enable_extension(&mut self, place: u32, actions: &mut Actions) -> Result<(), Code> {
        self.extensions.slot_mut(place).is_disabled = false;
        let taken_up = self.call(place, None, actions, |handler, context| handler.event(context, Event::Enabled));
        self.extensions.slot_mut(place).is_disabled = taken_up.is_err();
        taken_up
    }

    /// An extension is not called any more, and nothing of it remains but its state.
    pub(crate) fn disable_extension(&mut self, extension: CommandName, actions: &mut Actions) {
        let Some(place) = self.extensions.place_named(extension) else {
            return;
        };
        let slot = self.extensions.slot_mut(place);
        slot.is_disabled = true;
        for (key, at) in core::mem::take(&mut slot.deadlines) {
            self.deadlines.disarm(at, Deadline::Extension(place, key));
        }
        while let Some((ticket, call)) = self.extensions.take_call_of(place) {
            self.deadlines.disarm(call.at, Deadline::ServiceCall(ticket));
        }
        while let Some((kept, waiting)) = self.extensions.take_waiting_for(place) {
            self.deadlines.disarm(waiting.at, Deadline::Command(kept.session, kept.serial));
            refuse(kept, &waiting, Code::ExtensionFailed, actions);
        }
    }

    /// Calls a handler. What it did takes effect if it succeeds, and if it has answered or kept the command that it was
    /// `asked`; else nothing of it does, and the code says why.
    fn call(
        &mut self,
        place: u32,
        asked: Option<Asked>,
        actions: &mut Actions,
        work: impl FnOnce(&mut dyn CommandHandler, &mut Context<'_>) -> Result<(), Failure>,
    ) -> Result<(), Code> {
        let slot = self.extensions.slot_mut(place);
        if slot.is_disabled {
            return Err(Code::ExtensionFailed);
        }
        let mut handler = slot.keeper.take();
        let (extension, random) = (slot.name, slot.random.clone());
        let effects = self.extensions.take_effects();
        let is_asked = asked.is_some();
        let mut context = Context::new(self, place, random, asked, effects);
        let mut result = work(handler.as_mut(), &mut context);
        if result.is_ok() && is_asked && context.is_unanswered() {
            result = Err(Failure::new("it neither answered nor kept the command"));
        }
        let Effects { mut list, last_serial, random, .. } = context.into_effects();
        self.extensions.last_serial = last_serial;
        let slot = self.extensions.slot_mut(place);
        slot.keeper.put_back(handler);
        // Also when the call has failed: the handler may remember a number that would come again.
        slot.random = random;
        let result = match result {
            Ok(()) => {
                for effect in list.drain(..) {
                    self.take_effect(place, effect, actions);
                }
                Ok(())
            }
            Err(failure) => {
                list.clear();
                if let Some((reason, panicked)) = failure.report() {
                    actions.push(Action::ExtensionFailed { extension, reason, panicked });
                }
                Err(failure.code())
            }
        };
        self.extensions.put_effects_back(list);
        result
    }

    fn take_effect(&mut self, place: u32, effect: Effect, actions: &mut Actions) {
        match effect {
            Effect::Reply { asked: Asked { session, request, name }, reply } => {
                actions.send(session, response(request, name, Ok(Box::new(reply))));
            }
            Effect::Keep { asked: Asked { session, request, name }, serial } => {
                let at = self.now + self.config.command_timeout;
                self.deadlines.arm(at, Deadline::Command(session, serial));
                let waiting = Waiting { place, request, name, at };
                self.extensions.waiting.insert(KeptCommand { session, serial }, waiting);
            }
            Effect::Answer { kept, reply } => {
                let waiting = self.extensions.waiting.remove(&kept).expect("it waited when the handler answered it");
                self.deadlines.disarm(waiting.at, Deadline::Command(kept.session, kept.serial));
                actions.send(kept.session, response(waiting.request, waiting.name, Ok(Box::new(reply))));
            }
            Effect::Tell { session, data } => {
                let command_type = self.extensions.slot(place).name;
                actions.send(session, ServerPacket::CustomNotify { command_type, data });
            }
            Effect::TellUser { user, data } => {
                let command_type = self.extensions.slot(place).name;
                let packet = || ServerPacket::CustomNotify { command_type, data };
                actions.broadcast(self.users.sessions(user), packet);
            }
            Effect::TellRoom { room, data } => {
                let command_type = self.extensions.slot(place).name;
                let members = self.lobby.room(room).map_or(&[][..], |room| room.members());
                let packet = || ServerPacket::CustomNotify { command_type, data };
                actions.broadcast(members.iter().map(|member| member.session), packet);
            }
            Effect::SetDeadline { key, at } => {
                self.clear_extension_deadline(place, key);
                self.extensions.slot_mut(place).deadlines.insert(key, at);
                self.deadlines.arm(at, Deadline::Extension(place, key));
            }
            Effect::ClearDeadline { key } => self.clear_extension_deadline(place, key),
            Effect::Call { ticket, service, request } => {
                self.call_service(Caller::Extension(place), ticket, service, request, actions);
            }
        }
    }

    fn clear_extension_deadline(&mut self, place: u32, key: u64) {
        if let Some(at) = self.extensions.slot_mut(place).deadlines.remove(&key) {
            self.deadlines.disarm(at, Deadline::Extension(place, key));
        }
    }
}

fn response(request: RequestId, name: CommandName, result: Result<Box<CommandReply>, Code>) -> ServerPacket {
    ServerPacket::CustomResponse { request, command_type: Some(name), result }
}

fn refuse(kept: KeptCommand, waiting: &Waiting, code: Code, actions: &mut Actions) {
    actions.send(kept.session, response(waiting.request, waiting.name, Err(code)));
}
