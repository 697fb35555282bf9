//! The home of a node: what its first thread sees to for all. It takes in connections, has logins decided and services
//! asked, and knows which handle waits for what.

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::Poll;

use lobbyd_core::command::CommandName;
use lobbyd_core::data::{Data, RawBytes};
use lobbyd_core::id::{AskId, CallTicket, SessionId};
use lobbyd_core::input::{Admin, Input};
use lobbyd_core::packet::Sealed;
use tokio::sync::mpsc;
use tracing::{info, warn};

use super::{Hub, Question};
use crate::ask::{Ask, AskReply, CallReply};
use crate::buffers::Buffers;
use crate::commons::{HOME, Helm};
use crate::errands::ErrandId;
use crate::extension::service::Services;
use crate::login::{LoginJob, Logins};
use crate::parcel::Affair;
use crate::stores::SecretBytes;
use crate::system::SystemWork;
use crate::transport::Stream;

/// What only the first thread has.
pub(crate) struct Home<S> {
    /// What extensions may call.
    services: Services,
    logins: Logins,
    /// The logins that are being decided, at most one for each session.
    login_errands: BTreeMap<SessionId, ErrandId>,
    /// What services and programs borrow.
    pub(super) buffers: Buffers,
    /// Who waits for what the engine answers to a handle.
    asks: BTreeMap<AskId, AskReply>,
    /// Who waits for a service that a handle has asked.
    service_asks: BTreeMap<AskId, CallReply>,
    last_ask: AskId,
    /// The ways to the other threads, the second first.
    pub(super) doors: Vec<Door<S>>,
}

/// The way from the home to another thread.
pub(crate) struct Door<S> {
    /// Hands a connection over.
    pub(crate) hand_over: Box<dyn Fn(S, SocketAddr) -> io::Result<()>>,
    pub(crate) questions: mpsc::UnboundedSender<Question>,
}

impl<S> Home<S> {
    pub(crate) fn new(services: Services, logins: Logins, buffers: Buffers, doors: Vec<Door<S>>) -> Self {
        Self {
            services,
            logins,
            login_errands: BTreeMap::new(),
            buffers,
            asks: BTreeMap::new(),
            service_asks: BTreeMap::new(),
            last_ask: AskId(0),
            doors,
        }
    }

    pub(super) fn logins(&self) -> &Logins {
        &self.logins
    }

    fn next_ask(&mut self) -> AskId {
        self.last_ask.0 += 1;
        self.last_ask
    }
}

impl<S: Stream> Hub<S> {
    /// Sees to what others have decided, too.
    ///
    /// # Panics
    /// Anywhere but at home: nobody sends such a thing elsewhere.
    pub(super) fn see_to(&mut self, affair: Affair) {
        let home = at_home(&mut self.home);
        match affair {
            Affair::VerifyLogin { ticket, user, secret, presence } => {
                let decision = home.logins.decide(LoginJob { ticket, user, secret, presence });
                let errand = self.system.begin(|queue| async move {
                    let verdict = decision.await;
                    queue.push(SystemWork::Input(Input::LoginVerdict { ticket, user, verdict }));
                });
                // A login of the same session that is still being decided was cancelled: it would decide for nobody.
                if let Some(cancelled) = home.login_errands.insert(ticket.session, errand) {
                    self.system.cancel(cancelled);
                }
            }
            Affair::LoginOver { session } => {
                // What it has taken of a lease it gives back.
                if let Some(login) = home.login_errands.remove(&session) {
                    self.system.cancel(login);
                }
            }
            Affair::ReleasePresence { ticket, user } => home.logins.release(ticket, user),
            Affair::CallService { ticket, service, request } => self.call_service(ticket, service, request),
            // Whoever asked may have gone.
            Affair::Answer { ask, result } => {
                if let Some(reply) = home.asks.remove(&ask) {
                    reply.put(result, &mut self.answered);
                }
            }
            Affair::ServiceAnswer { ask, result } => {
                if let Some(reply) = home.service_asks.remove(&ask) {
                    reply.put(result, &mut self.answered);
                }
            }
        }
    }

    /// A verdict about that session has come.
    pub(super) fn decided(&mut self, session: SessionId) {
        at_home(&mut self.home).login_errands.remove(&session);
    }

    /// The secret behind the handle in the packet that is being stepped.
    pub(super) fn secret(&mut self, handle: Sealed) -> SecretBytes {
        self.sealer.take(handle).expect("the engine asks in the step that brought the secret")
    }

    /// Takes a connection in, on the thread with the fewest.
    pub(super) fn admit(&mut self, helm: &mut Helm, stream: S, peer: SocketAddr) {
        let home = at_home(&mut self.home);
        let thread = self.commons.least_busy();
        if self.commons.connections() >= self.connections.slots_max() {
            self.traffic.turned_away += 1;
        } else if thread == HOME {
            self.commons.add_connection(HOME);
            self.connect(helm, stream, peer);
        } else if let Err(error) = (home.doors[thread - 1].hand_over)(stream, peer) {
            warn!(%peer, %error, "a connection could not be handed to its I/O thread, and is dropped");
        } else {
            self.commons.add_connection(thread);
        }
    }

    /// Takes up a connection that the home has handed over.
    pub(super) fn arrive(&mut self, helm: &mut Helm, stream: io::Result<S>, peer: SocketAddr) {
        match stream {
            Ok(stream) => {
                self.connect(helm, stream, peer);
            }
            Err(error) => {
                warn!(%peer, %error, "a connection did not arrive at its I/O thread, and is dropped");
                self.turn_away();
            }
        }
    }

    /// A connection that is counted already has no place here.
    pub(super) fn turn_away(&mut self) {
        self.traffic.turned_away += 1;
        self.commons.remove_connection(self.place.thread);
        self.commons.call_finish();
    }

    /// Ready when another thread has ended, which none does before this one.
    pub(crate) fn watch_shards(&self) -> Pin<Box<dyn Future<Output = ()>>> {
        let doors = self.home.iter().flat_map(|home| &home.doors);
        let mut ends: Vec<_> = doors
            .map(|door| {
                let questions = door.questions.clone();
                Box::pin(async move { questions.closed().await })
            })
            .collect();
        Box::pin(poll_fn(move |context| {
            let has_ended = ends.iter_mut().any(|end| end.as_mut().poll(context).is_ready());
            if has_ended { Poll::Ready(()) } else { Poll::Pending }
        }))
    }

    /// An extension asks a service. The reply waits in the system lane.
    fn call_service(&mut self, ticket: CallTicket, service: CommandName, request: Data) {
        let call = at_home(&mut self.home).services.call(service, request);
        self.system.begin(|queue| async move {
            let result = call.await;
            queue.push(SystemWork::Input(Input::ServiceReply { ticket, result }));
        });
    }

    /// A handle asks for something.
    pub(super) fn ask(&mut self, helm: &mut Helm, ask: &Ask, reply: AskReply) {
        let home = at_home(&mut self.home);
        if let Ask::Announce { text } = ask {
            let heard = helm.engine.announcement(text.as_str().into());
            // Nothing answers this one.
            let id = home.last_ask;
            self.step(helm, Input::Admin(ask.admin(id)));
            reply.put(heard, &mut self.answered);
            return;
        }
        let id = home.next_ask();
        home.asks.insert(id, reply);
        self.step(helm, Input::Admin(ask.admin(id)));
        if let Ask::SetExtension { extension, enabled } = ask {
            info!(%extension, enabled, "the operator has set whether an extension's commands are served");
        }
    }

    /// A handle asks a service.
    pub(super) fn ask_service(&mut self, helm: &mut Helm, service: CommandName, request: &Data, reply: CallReply) {
        let home = at_home(&mut self.home);
        let ask = home.next_ask();
        home.service_asks.insert(ask, reply);
        self.step(helm, Input::Admin(Admin::CallService { ask, service, request: RawBytes(request.as_bytes()) }));
    }
}

fn at_home<S>(home: &mut Option<Box<Home<S>>>) -> &mut Home<S> {
    home.as_deref_mut().expect("only the home is asked for what is its own")
}
