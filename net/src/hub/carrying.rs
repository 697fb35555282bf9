//! How the engine's actions are carried out: here, or by the thread whose connections they concern.

use std::sync::Arc;

use lobbyd_core::Engine;
use lobbyd_core::action::Action;
use lobbyd_core::command::CommandName;
use lobbyd_core::id::{SessionId, UserId};
use lobbyd_core::input::Input;
use lobbyd_core::name::UserName;
use lobbyd_core::packet::{CloseReason, User};
use lobbyd_core::text::Text;
use tracing::{debug, error};

use super::Hub;
use crate::commons::{HOME, Helm};
use crate::connection::Phase;
use crate::extension::middleware::Packet;
use crate::parcel::{Affair, Notice, Outgoing};
use crate::transport::Stream;

impl<S: Stream> Hub<S> {
    /// Hands a packet to the engine, through the chain of middleware.
    pub(super) fn step_packet(&mut self, helm: &mut Helm, session: SessionId, packet: Packet<'_>) {
        let Helm { engine, chain, actions, now, .. } = helm;
        chain.step(engine, *now, session, packet, actions);
        self.carry_out(helm);
    }

    /// Carries out the engine's actions, in their order.
    pub(super) fn carry_out(&mut self, helm: &mut Helm) {
        let Helm { engine, actions, outgoing, now, .. } = helm;
        for action in actions.iter() {
            match action {
                Action::Send { to, packet } => self.send(outgoing, *now, *to, packet),
                Action::Broadcast { to, packet } => self.broadcast(outgoing, actions.recipients(*to), packet),
                Action::Close { session, reason } => self.close(outgoing, *session, *reason),
                Action::VerifyLogin { ticket, user, secret, presence } => {
                    let secret = self.secret(*secret);
                    self.entrust(
                        outgoing,
                        Affair::VerifyLogin { ticket: *ticket, user: *user, secret, presence: *presence },
                    );
                }
                Action::ReleasePresence { ticket, user } => {
                    self.entrust(outgoing, Affair::ReleasePresence { ticket: *ticket, user: *user });
                }
                Action::Online { session, user } => self.went_online(outgoing, engine, *session, *user),
                Action::CallService { ticket, service, request } => {
                    let (ticket, service, request) = (*ticket, *service, request.clone());
                    self.entrust(outgoing, Affair::CallService { ticket, service, request });
                }
                Action::ExtensionFailed { extension, reason, panicked } => {
                    self.extension_failed(*extension, reason, *panicked);
                }
                Action::Answer { ask, result } => {
                    self.entrust(outgoing, Affair::Answer { ask: *ask, result: *result });
                }
                Action::ServiceAnswer { ask, result } => {
                    self.entrust(outgoing, Affair::ServiceAnswer { ask: *ask, result: result.clone() });
                }
            }
        }
        actions.clear();
    }

    /// Has the home see to something.
    pub(super) fn entrust(&mut self, outgoing: &mut Outgoing, affair: Affair) {
        if self.home.is_some() { self.see_to(affair) } else { outgoing.to(HOME).put_affair(affair) }
    }

    /// Nobody waits for a verdict about that session any more: it is over.
    pub(super) fn forget_login(&mut self, outgoing: &mut Outgoing, session: SessionId) {
        self.entrust(outgoing, Affair::LoginOver { session });
    }

    fn close(&mut self, outgoing: &mut Outgoing, session: SessionId, reason: CloseReason) {
        self.notify(outgoing, session, Notice::Close { session, reason });
        self.forget_login(outgoing, session);
    }

    fn went_online(&mut self, outgoing: &mut Outgoing, engine: &Engine, session: SessionId, user: Option<UserName>) {
        // Somebody may be logged in and out again within one input.
        let nobody_any_more = |name| Arc::new(User { id: UserId(0), name, nickname: None });
        let user = user.map(|name| engine.shared_user(session).unwrap_or_else(|| nobody_any_more(name)));
        self.notify(outgoing, session, Notice::Online { session, user });
    }

    /// Does something to a connection, on whichever thread it is.
    fn notify(&mut self, outgoing: &mut Outgoing, session: SessionId, notice: Notice) {
        let thread = outgoing.thread_of(session);
        if thread == self.place.thread { self.obey(notice) } else { outgoing.to(thread).put_notice(notice) }
    }

    /// Does something to a connection of its own.
    pub(super) fn obey(&mut self, notice: Notice) {
        match notice {
            Notice::Arrived { session } => self.take_in(session),
            Notice::Close { session, reason } => self.set_phase(session, Phase::Closing(reason)),
            Notice::Online { session, user } => {
                if let Some(connection) = self.connections.get_mut(session) {
                    let name = user.as_ref().map(|user| tracing::field::display(user.name));
                    debug!(%session, user = name, "logged in or out");
                    // The last one who was logged in is who the session's line in the log names.
                    if user.is_some() {
                        connection.user = user;
                    }
                }
            }
        }
    }

    fn extension_failed(&mut self, extension: CommandName, reason: &Text, panicked: bool) {
        if panicked {
            error!(%extension, %reason, "an extension panicked: its commands are refused until it is enabled again");
            // In this turn still, on whichever thread.
            self.system.push(Input::DisableExtension { extension });
        } else {
            error!(%extension, %reason, "an extension failed; nothing of what it was doing is done");
        }
    }
}
