//! The hub: the one owner of the engine. Bytes come in from connections, go through the engine as inputs, and its
//! actions go out as bytes to the outboxes; nothing here waits.
//!
//! A *turn* is one visit: of a connection with what it has read, of the timer, of the flusher, of the system
//! lane's task. It begins with everything that waits in the system lane, and a connection hands in at most
//! [`FRAMES_PER_TURN`](reading) packets in its turn. What that promises to whom is written in `lanes.rs`.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::mem;
use std::net::SocketAddr;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use lobbyd_core::Engine;
use lobbyd_core::action::{Action, Actions, Presence as PresenceMode};
use lobbyd_core::id::{AskId, SessionId, Ticket, UserId};
use lobbyd_core::input::Input;
use lobbyd_core::name::UserName;
use lobbyd_core::packet::{CloseReason, Sealed, User};
use lobbyd_core::time::Instant;
use tracing::{debug, info, warn};

use self::scheduling::Scheduled;
pub(crate) use self::scheduling::Work;
use self::writing::write_out;
use crate::ask::{AskReply, CallReply};
use crate::buffers::Buffers;
use crate::connection::{Connection, Connections, Phase};
use crate::errands::{ErrandId, Errands};
use crate::extension::Assembled;
use crate::extension::figures::ExtensionFigures;
use crate::extension::middleware::Chain;
use crate::extension::service::Services;
use crate::frame::HEADER_BYTES;
use crate::lanes::LaneReport;
use crate::login::{LoginJob, Logins};
use crate::outbox::Flushed;
use crate::pool::BufferPool;
use crate::report::Traffic;
use crate::seal::Sealer;
use crate::system::{SystemLane, SystemQueue, SystemWork};
use crate::tally::Tally;
use crate::transport::Stream;
use crate::visits::Visits;

/// The least room that a read has.
const READ_BYTES: usize = 16 * 1024;
/// The most bytes of a closed session that are read and dropped before its stream is closed (DESIGN section 4).
const DISCARD_BYTES_MAX: usize = 64 * 1024;
/// Slots beyond the sessions that are allowed: for connections that are being refused or closed.
const SPARE_SLOTS: u32 = 1024;
/// A deadline that is no later than this has waited for a timer or a busy machine.
const STALL_MIN: Duration = Duration::from_millis(250);
/// The most connections that are being closed and may take their time over it: half of the spare slots, so that whoever
/// is refused again and again takes neither all slots nor all file descriptors.
const LINGERING_MAX: usize = SPARE_SLOTS as usize / 2;
/// The engine, the connections, and what carries one to the other.
pub(crate) struct Hub<S> {
    engine: Engine,
    /// What every packet passes on its way to the engine.
    chain: Chain,
    /// What extensions may call.
    services: Services,
    actions: Actions,
    connections: Connections<S>,
    /// The connections whose turn it is.
    visits: Visits,
    /// Pings that have no pong yet, the last one of each session: its nonce, and when it was sent.
    pings: BTreeMap<SessionId, (u64, Instant)>,
    /// What runs ahead of packets.
    system: SystemLane<S>,
    user_lane: LaneReport,
    background_lane: LaneReport,
    /// Connections whose outbox has something new, each once.
    dirty: Vec<SessionId>,
    /// Where a broadcast is encoded, once.
    encoded: Vec<u8>,
    /// Where every connection reads into.
    scratch: Vec<u8>,
    pool: BufferPool,
    sealer: Sealer,
    logins: Logins,
    /// The logins that are being decided, at most one for each session.
    login_errands: BTreeMap<SessionId, ErrandId>,
    /// What is counted of the engine's handlers.
    extension_figures: ExtensionFigures,
    /// What services and programs borrow.
    buffers: Buffers,
    /// Who waits for what the engine answers to a handle.
    asks: BTreeMap<AskId, AskReply>,
    /// Who waits for a service that a handle has asked.
    service_asks: BTreeMap<AskId, CallReply>,
    last_ask: AskId,
    this: Weak<RefCell<Self>>,
    started_at: tokio::time::Instant,
    last_turn_at: Instant,
    /// When the timer's task will come by itself.
    timer_at: Option<Instant>,
    timer: Option<Waker>,
    flusher: Option<Waker>,
    housekeeper: Option<Waker>,
    /// Wakes whoever waits for the end of the last connection.
    finish: Option<Waker>,
    outbox_bytes_max: usize,
    frame_bytes_max: u32,
    traffic: Traffic,
    tally: Tally,
    scheduled: Scheduled,
}

impl<S: Stream> Hub<S> {
    pub(crate) fn new(assembled: Assembled, sealer: Sealer, logins: Logins) -> Rc<RefCell<Self>> {
        let Assembled { engine, services, chain, figures, buffers } = assembled;
        let config = engine.config();
        let (outbox_bytes_max, frame_bytes_max) = (config.outbox_bytes_max as usize, config.frame_bytes_max);
        let slots_max = config.sessions_max.saturating_add(SPARE_SLOTS);
        Rc::new_cyclic(|this| {
            RefCell::new(Self {
                engine,
                chain,
                services,
                actions: Actions::new(),
                connections: Connections::new(slots_max),
                visits: Visits::default(),
                pings: BTreeMap::new(),
                system: SystemLane::new(),
                user_lane: LaneReport::default(),
                background_lane: LaneReport::default(),
                dirty: Vec::new(),
                encoded: Vec::new(),
                // A frame that is complete but for its last byte, and a whole read behind it.
                scratch: vec![0; HEADER_BYTES + frame_bytes_max as usize + READ_BYTES],
                pool: BufferPool::default(),
                sealer,
                logins,
                login_errands: BTreeMap::new(),
                extension_figures: figures,
                buffers,
                asks: BTreeMap::new(),
                service_asks: BTreeMap::new(),
                last_ask: AskId(0),
                this: this.clone(),
                started_at: tokio::time::Instant::now(),
                last_turn_at: Instant::ZERO,
                timer_at: None,
                timer: None,
                flusher: None,
                housekeeper: None,
                finish: None,
                outbox_bytes_max,
                frame_bytes_max,
                traffic: Traffic::default(),
                tally: Tally::new(),
                scheduled: Scheduled::default(),
            })
        })
    }

    /// Begins an errand of the system lane, which puts what it brings into the lane's queue. It must not own the hub.
    pub(crate) fn begin_errand<F: Future<Output = ()> + 'static>(
        &mut self,
        errand: impl FnOnce(SystemQueue<S>) -> F,
    ) -> ErrandId {
        self.system.begin(errand)
    }

    pub(crate) fn cancel_errand(&mut self, errand: ErrandId) {
        self.system.cancel(errand);
    }

    /// Runs these errands too, ahead of its own.
    pub(crate) fn adopt_errands(&mut self, errands: Errands) {
        self.system.adopt(errands);
    }

    /// Ends all errands of its own: what they wait for is not handled any more. Connections that are still there are let
    /// go.
    pub(crate) fn give_up(&mut self) {
        self.system.close();
        let mut sessions = Vec::with_capacity(self.connections.count());
        for connection in self.connections.iter_mut() {
            connection.phase = Phase::Broken(match connection.phase {
                Phase::Open => CloseReason::Stopped,
                Phase::Closing(reason) | Phase::Broken(reason) => reason,
            });
            sessions.push(connection.session);
        }
        for session in sessions {
            self.remove(session);
        }
    }

    /// A turn for nothing but the system lane. Its task polls this, and is woken once when there is something.
    pub(crate) fn poll_system(&mut self, context: &Context<'_>) {
        self.system.remember(context.waker());
        let now = self.begin_turn();
        self.end_turn(now);
    }

    /// Fires what is due, and returns when the next deadline is; none if there is none.
    pub(crate) fn poll_timer(&mut self, context: &Context<'_>) -> Option<tokio::time::Instant> {
        remember(&mut self.timer, context);
        let now = self.begin_turn();
        self.engine.handle_timeout(now, &mut self.actions);
        self.carry_out();
        // Set before the turn ends, so that the turn does not wake this task for what it is about to be told.
        self.timer_at = self.engine.poll_timeout();
        self.end_turn(now);
        self.timer_at.map(|at| self.started_at + Duration::from_nanos(at.as_nanos()))
    }

    /// Reads, steps and answers; ready when the session is over.
    fn poll_open(&mut self, context: &mut Context<'_>, session: SessionId) -> Poll<()> {
        let now = self.begin_turn();
        let poll = self.poll_session(context, session, now);
        self.end_turn(now);
        match poll {
            Poll::Pending if self.is_open(session) => Poll::Pending,
            Poll::Pending | Poll::Ready(()) => Poll::Ready(()),
        }
    }

    /// The client has ended its writing half, after everything that was handled before this.
    fn hang_up(&mut self, session: SessionId, now: Instant) {
        self.step(now, Input::Disconnected { session });
        self.set_phase(session, Phase::Closing(CloseReason::Disconnected));
    }

    /// Sends what waits, ends the writing half, and then drops what still comes in, so that a reset does not destroy
    /// the last packets on their way. `discarded` counts the bytes that were dropped.
    fn poll_closing(&mut self, context: &mut Context<'_>, session: SessionId, discarded: &mut usize) -> Poll<()> {
        let Some(connection) = self.connections.get_mut(session) else {
            return Poll::Ready(());
        };
        while !connection.outbox.is_empty() && matches!(connection.phase, Phase::Closing(_)) {
            let flushed = match write_out(connection, &mut self.pool, &mut self.traffic) {
                Ok(Flushed::Blocked) => ready!(connection.stream.poll_writable(context)),
                Ok(Flushed::All) => Ok(()),
                Err(error) => Err(error),
            };
            if flushed.is_err() {
                return Poll::Ready(());
            }
        }
        match connection.phase {
            Phase::Open | Phase::Broken(_) => return Poll::Ready(()),
            Phase::Closing(CloseReason::Disconnected) => {
                return connection.stream.poll_shutdown(context).map(|_| ());
            }
            Phase::Closing(_) => {}
        }
        if ready!(connection.stream.poll_shutdown(context)).is_err() {
            return Poll::Ready(());
        }
        while *discarded < DISCARD_BYTES_MAX {
            match ready!(connection.stream.poll_read(context, &mut self.scratch)) {
                Ok(0) | Err(_) => break,
                Ok(count) => {
                    *discarded += count;
                    connection.bytes_in += count as u64;
                    self.traffic.bytes_in += count as u64;
                }
            }
        }
        Poll::Ready(())
    }

    /// Lets go of a connection whose session is over, and says so in the log.
    fn remove(&mut self, session: SessionId) {
        let Some(mut connection) = self.connections.remove(session) else {
            return;
        };
        self.pings.remove(&session);
        connection.outbox.discard(&mut self.pool);
        if connection.inbox.capacity() > 0 {
            self.pool.take_back(mem::take(&mut connection.inbox));
        }
        let Connection { peer, user, phase, connected_at, packets_in, bytes_in, bytes_out, .. } = connection;
        let (Phase::Closing(reason) | Phase::Broken(reason)) = phase else {
            unreachable!("an open connection is not let go");
        };
        self.tally.closed(reason);
        info!(
            %session,
            %peer,
            user = user.as_ref().map(|user| tracing::field::display(user.name)),
            reason = %reason,
            seconds = self.now().saturating_since(connected_at).as_secs(),
            packets_in,
            bytes_in,
            bytes_out,
            "session ended"
        );
        if self.connections.is_empty()
            && let Some(finish) = &self.finish
        {
            finish.wake_by_ref();
        }
    }

    /// Whether so many connections are being closed that none may linger.
    fn is_crowded(&self) -> bool {
        self.connections.count() - self.engine.session_count() as usize > LINGERING_MAX
    }

    /// Ready when the server drains and the last session is over.
    pub(crate) fn poll_drained(&mut self, context: &Context<'_>) -> Poll<()> {
        remember(&mut self.finish, context);
        if self.engine.is_draining() && self.engine.session_count() == 0 { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Ready when the server drains and the last connection has gone.
    pub(crate) fn poll_finished(&mut self, context: &Context<'_>) -> Poll<()> {
        remember(&mut self.finish, context);
        if self.engine.is_draining() && self.connections.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    }

    /// A turn for the system lane, if anything waits in it.
    fn take_system_turn(&mut self) {
        if !self.system.is_idle() {
            let now = self.begin_turn();
            self.end_turn(now);
        }
    }

    /// Ready when there is housekeeping to do.
    pub(crate) fn poll_untidy(&mut self, context: &Context<'_>) -> Poll<()> {
        remember(&mut self.housekeeper, context);
        if self.is_untidy() { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Does one step of housekeeping, if nothing else waits.
    pub(crate) fn tidy(&mut self) {
        if self.is_busy() {
            self.background_lane.deferred += 1;
            return;
        }
        self.background_lane.handled += 1;
        self.pool.tidy();
        self.buffers.tidy();
    }

    /// Whether there is housekeeping to do.
    fn is_untidy(&self) -> bool {
        self.pool.is_untidy() || self.buffers.is_untidy()
    }

    /// Whether a lane before the background has anything waiting.
    fn is_busy(&self) -> bool {
        !self.system.is_idle() || self.user_lane.waiting > 0 || !self.dirty.is_empty()
    }

    fn call_housekeeper(&mut self) {
        if self.is_untidy()
            && let Some(housekeeper) = self.housekeeper.take()
        {
            housekeeper.wake();
        }
    }

    /// The stream is broken: the session ends, and nothing more can be sent.
    fn break_connection(&mut self, session: SessionId, error: &io::Error) {
        debug!(%session, %error, "connection broken");
        if self.is_open(session) {
            self.system.push(Input::Disconnected { session });
        }
        self.set_phase(session, Phase::Broken(CloseReason::Disconnected));
    }

    /// A session's phase only ever gets worse, and keeps its first reason.
    fn set_phase(&mut self, session: SessionId, phase: Phase) {
        let Some(connection) = self.connections.get_mut(session) else {
            return;
        };
        connection.phase = match (connection.phase, phase) {
            (Phase::Open, next) => next,
            (Phase::Closing(reason), Phase::Broken(_)) => Phase::Broken(reason),
            (now @ (Phase::Closing(_) | Phase::Broken(_)), _) => now,
        };
        connection.wake();
        // What it has sent beyond its budget is of no interest any more.
        if mem::take(&mut connection.inbox_is_ready) {
            self.user_lane.waiting -= 1;
        }
        // Nobody waits for the verdict any more. What it has taken of a lease it gives back.
        if let Some(login) = self.login_errands.remove(&session) {
            self.system.cancel(login);
        }
    }

    fn is_open(&mut self, session: SessionId) -> bool {
        self.connections.get_mut(session).is_some_and(|connection| connection.phase == Phase::Open)
    }

    fn now(&self) -> Instant {
        let elapsed = self.started_at.elapsed().as_nanos();
        Instant::from_nanos(u64::try_from(elapsed).unwrap_or(u64::MAX))
    }

    /// Reads the clock once, sees whether the process stood still, and runs the inputs that go first.
    fn begin_turn(&mut self) -> Instant {
        let now = self.now();
        if let Some(gap) = self.stall(now) {
            warn!(
                seconds = gap.as_secs_f32(),
                "the process did not run for a while; nobody is closed for silence in it"
            );
            self.engine.handle_input(now, Input::Stalled { gap }, &mut self.actions);
            self.carry_out();
        }
        self.last_turn_at = now;
        self.system.gather();
        self.run_system(now);
        now
    }

    /// How long the process stood still: more than a heartbeat interval has passed since the last turn, although a
    /// deadline called for a turn in between, and it is late by more than a busy machine explains.
    fn stall(&self, now: Instant) -> Option<Duration> {
        let interval = self.engine.config().heartbeat_interval;
        let gap = now.saturating_since(self.last_turn_at);
        if gap <= interval {
            return None;
        }
        let late = now.saturating_since(self.engine.poll_timeout()?);
        (late > STALL_MIN.max(interval / 8)).then_some(gap)
    }

    fn run_system(&mut self, now: Instant) {
        while let Some(work) = self.system.next() {
            match work {
                SystemWork::Input(input) => {
                    if let Input::LoginVerdict { ticket, .. } = input {
                        self.login_errands.remove(&ticket.session);
                    }
                    self.step(now, input);
                }
                SystemWork::Connection { stream, peer } => {
                    self.connect(now, stream, peer);
                }
                SystemWork::Report { reply } => {
                    // Whoever asked may have gone.
                    let _ = reply.send(self.report());
                }
                SystemWork::Stats { reply } => {
                    let _ = reply.send(self.stats());
                }
                SystemWork::Connections { from, limit, reply } => {
                    let _ = reply.send(self.connection_page(from, limit));
                }
                SystemWork::Schedule { lane, work } => self.schedule(lane, work),
                SystemWork::Ask { ask, reply } => self.ask(now, &ask, reply),
                SystemWork::Look(look) => look(&self.engine),
                SystemWork::CallService { service, request, reply } => {
                    self.ask_service(now, service, &request, reply);
                }
                SystemWork::EnableMiddleware { name, reply } => {
                    let _ = reply.send(self.chain.enable(&name));
                }
            }
        }
    }

    /// Takes up an accepted stream, which is visited from now on. None if every slot is taken.
    fn connect(&mut self, now: Instant, stream: S, peer: SocketAddr) -> Option<SessionId> {
        let Some(session) = self.connections.reserve() else {
            self.traffic.turned_away += 1;
            return None;
        };
        self.traffic.accepted += 1;
        let connection = Connection::new(session, self.visits.knock(session), stream, peer, now);
        connection.wake();
        self.connections.insert(connection);
        debug!(%session, %peer, "connected");
        self.step(now, Input::Connected { session, address: peer.ip() });
        Some(session)
    }

    /// Runs what the turn itself gave rise to, and wakes whom it concerns: each at most once for the turn.
    fn end_turn(&mut self, now: Instant) {
        self.run_system(now);
        self.call_flusher();
        self.call_housekeeper();
        let next_at = self.engine.poll_timeout();
        let is_earlier = next_at.is_some_and(|next_at| self.timer_at.is_none_or(|timer_at| next_at < timer_at));
        if is_earlier && let Some(timer) = self.timer.take() {
            timer.wake();
        }
        if self.engine.is_draining()
            && let Some(finish) = self.finish.take()
        {
            finish.wake();
        }
    }

    /// Wakes the flusher if there is something for it, and everybody who was ready has had a turn.
    fn call_flusher(&mut self) {
        if !self.dirty.is_empty()
            && self.visits.is_round_over()
            && let Some(flusher) = self.flusher.take()
        {
            flusher.wake();
        }
    }

    fn step(&mut self, now: Instant, input: Input<'_>) {
        self.engine.handle_input(now, input, &mut self.actions);
        self.carry_out();
    }

    /// Carries out the engine's actions, in their order.
    fn carry_out(&mut self) {
        let mut actions = mem::take(&mut self.actions);
        for action in actions.iter() {
            match action {
                Action::Send { to, packet } => self.send(*to, packet),
                Action::Broadcast { to, packet } => self.broadcast(actions.recipients(*to), packet),
                Action::Close { session, reason } => self.set_phase(*session, Phase::Closing(*reason)),
                Action::VerifyLogin { ticket, user, secret, presence } => {
                    self.verify_login(*ticket, *user, *secret, *presence);
                }
                Action::ReleasePresence { ticket, user } => self.logins.release(*ticket, *user),
                Action::Online { session, user } => self.went_online(*session, *user),
                Action::CallService { ticket, service, request } => {
                    self.call_service(*ticket, *service, request.clone());
                }
                Action::ExtensionFailed { extension, reason, panicked } => {
                    self.extension_failed(*extension, reason, *panicked);
                }
                Action::Answer { ask, result } => self.answered(*ask, *result),
                Action::ServiceAnswer { ask, result } => self.service_answered(*ask, result.clone()),
            }
        }
        actions.clear();
        self.actions = actions;
    }

    fn verify_login(&mut self, ticket: Ticket, user: UserName, secret: Sealed, presence: PresenceMode) {
        let secret = self.sealer.take(secret).expect("the engine asks in the step that brought the secret");
        let decision = self.logins.decide(LoginJob { ticket, user, secret, presence });
        let errand = self.system.begin(|queue| async move {
            let verdict = decision.await;
            queue.push(SystemWork::Input(Input::LoginVerdict { ticket, user, verdict }));
        });
        // A login of the same session that is still being decided was cancelled: it would decide for nobody.
        if let Some(cancelled) = self.login_errands.insert(ticket.session, errand) {
            self.system.cancel(cancelled);
        }
    }

    fn went_online(&mut self, session: SessionId, user: Option<UserName>) {
        if let Some(connection) = self.connections.get_mut(session) {
            debug!(%session, user = user.as_ref().map(tracing::field::display), "logged in or out");
            // The last one who was logged in is who the session's line in the log names. Somebody may be logged in and
            // out again within one input.
            if let Some(name) = user {
                let nobody_any_more = || Arc::new(User { id: UserId(0), name, nickname: None });
                connection.user = Some(self.engine.shared_user(session).unwrap_or_else(nobody_any_more));
            }
        }
    }
}

fn remember(place: &mut Option<Waker>, context: &Context<'_>) {
    match place {
        Some(waker) => waker.clone_from(context.waker()),
        None => *place = Some(context.waker().clone()),
    }
}

mod extending;
mod reading;
mod scheduling;
mod standing;
#[cfg(test)]
mod tests;
mod visiting;
mod writing;
