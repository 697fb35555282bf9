//! The hub: what one I/O thread owns. Bytes come in from its connections, go through the engine as inputs, and what the
//! engine decides goes out as bytes to the outboxes; nothing here waits, but for another thread that has the engine.
//!
//! A *turn* is the time for which a hub holds the engine (`commons.rs`): of a connection with what it has read, of the
//! timer, of the system lane. It begins with the mail of other threads. Before a connection is read, everything that waits
//! in the system lane has a turn, and a connection hands in at most [`FRAMES_PER_TURN`](reading) packets. What that
//! promises to whom is written in `lanes.rs`. What a turn decides about connections of other threads is in their
//! mailboxes before it ends.
//!
//! A connection may move to another hub, which nobody notices (`hub/moving.rs`).
//!
//! The first hub of a node is its *home* ([`Home`]): it accepts, and sees to what is no connection's affair.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::{Rc, Weak};
use std::sync::{Arc, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use lobbyd_core::id::SessionId;
use lobbyd_core::input::Input;
use lobbyd_core::time::Instant;
use tracing::{debug, warn};

use self::closing::LINGERING_MAX;
pub(crate) use self::home::{Door, Home};
use self::scheduling::Scheduled;
pub(crate) use self::scheduling::Work;
pub(crate) use self::standing::Question;
use crate::ask::reply::Answered;
use crate::commons::{Commons, Helm};
use crate::connection::{Connection, Connections, Phase};
use crate::corridor::Corridor;
use crate::errands::{ErrandId, Errands};
use crate::frame::HEADER_BYTES;
use crate::lanes::LaneReport;
use crate::parcel::Parcel;
use crate::place::Place;
use crate::pool::BufferPool;
use crate::relay::Waits;
use crate::report::Traffic;
use crate::seal::Sealer;
use crate::system::{SystemLane, SystemQueue, SystemWork};
use crate::tally::Tally;
use crate::transport::Stream;
use crate::visits::Visits;

/// The least room that a read has.
const READ_BYTES: usize = 16 * 1024;
/// Slots beyond the sessions that are allowed: for connections that are being refused or closed.
const SPARE_SLOTS: u32 = 1024;
/// A deadline that is no later than this has waited for a timer or a busy machine.
const STALL_MIN: Duration = Duration::from_millis(250);

/// The connections of a thread, and what carries bytes between them and the engine.
pub(crate) struct Hub<S> {
    #[expect(
        clippy::redundant_allocation,
        reason = "every turn holds it, and must not count that where all threads do"
    )]
    commons: Rc<Arc<Commons>>,
    place: Place,
    /// Present on the first thread.
    home: Option<Box<Home<S>>>,
    connections: Connections<S>,
    /// How many of them are being closed.
    closing: usize,
    closing_max: usize,
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
    /// Where mail is taken to. Kept for its allocations.
    mail: Vec<Parcel>,
    /// The tasks of other threads that have got mail and are to be woken when everybody who was ready has had a turn.
    sleepers: Vec<Waker>,
    /// Those who have asked something by a handle and have their reply: they are woken when the turn is over.
    answered: Answered,
    /// Present with several threads.
    corridor: Option<Corridor<S>>,
    /// Sessions that have ended here and were named by other threads. Those learn of it in a turn, when the engine knows.
    departed: Vec<SessionId>,
    this: Weak<RefCell<Self>>,
    flusher: Option<Waker>,
    housekeeper: Option<Waker>,
    outbox_bytes_max: usize,
    frame_bytes_max: u32,
    traffic: Traffic,
    tally: Tally,
    scheduled: Scheduled,
    waits: Waits,
    parcels: u64,
    appends: u64,
    moved_here: u64,
}

/// What a hub is made of, on whichever thread.
#[derive(Clone)]
pub(crate) struct HubParts {
    pub(crate) commons: Arc<Commons>,
    pub(crate) place: Place,
    pub(crate) room_key: [u8; 16],
    pub(crate) sessions_max: u32,
    pub(crate) outbox_bytes_max: usize,
    pub(crate) frame_bytes_max: u32,
}

impl<S: Stream> Hub<S> {
    pub(crate) fn new(parts: HubParts, home: Option<Home<S>>, corridor: Option<Corridor<S>>) -> Rc<RefCell<Self>> {
        let HubParts { commons, place, room_key, sessions_max, outbox_bytes_max, frame_bytes_max } = parts;
        let threads = commons.threads();
        // Whatever a thread has named may be on another one, so that each can name them all.
        let slots_max = sessions_max.saturating_add(SPARE_SLOTS);
        Rc::new_cyclic(|this| {
            RefCell::new(Self {
                commons: Rc::new(commons),
                place,
                home: home.map(Box::new),
                connections: Connections::new(place, threads, slots_max),
                closing: 0,
                closing_max: (LINGERING_MAX / threads).max(1),
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
                sealer: Sealer::new(room_key, place.thread),
                mail: Vec::new(),
                sleepers: Vec::new(),
                answered: Answered::default(),
                corridor,
                departed: Vec::new(),
                this: this.clone(),
                flusher: None,
                housekeeper: None,
                outbox_bytes_max,
                frame_bytes_max,
                traffic: Traffic::default(),
                tally: Tally::new(),
                scheduled: Scheduled::default(),
                waits: Waits::default(),
                parcels: 0,
                appends: 0,
                moved_here: 0,
            })
        })
    }

    /// Whether the node has no other thread.
    pub(crate) fn is_alone(&self) -> bool {
        self.place.is_alone()
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

    /// A turn for the system lane. Its task polls this, and is woken once when there is something.
    pub(crate) fn poll_system(&mut self, context: &Context<'_>) {
        self.system.remember(context.waker());
        self.take_system_turn();
    }

    /// Fires what is due, and returns when the next deadline is; none if there is none. For the home alone.
    pub(crate) fn poll_timer(&mut self, context: &Context<'_>) -> Option<tokio::time::Instant> {
        let commons = Rc::clone(&self.commons);
        let mut helm = self.begin_turn(&commons);
        remember(&mut helm.timer, context);
        self.run_lane(&mut helm);
        self.fire_deadlines(&mut helm);
        // Set before the turn ends, so that the turn does not wake this task for what it is about to be told.
        let timer_at = helm.engine.poll_timeout();
        helm.timer_at = timer_at;
        self.end_turn(helm);
        timer_at.map(|at| commons.started_at() + Duration::from_nanos(at.as_nanos()))
    }

    fn fire_deadlines(&mut self, helm: &mut Helm) {
        let Helm { engine, actions, now, .. } = helm;
        engine.handle_timeout(*now, actions);
        self.carry_out(helm);
    }

    /// Ready when the server drains and the last session is over.
    pub(crate) fn poll_drained(&mut self, context: &Context<'_>) -> Poll<()> {
        self.commons.remember_finish(context.waker());
        let helm = self.commons.relay().look(&mut self.waits);
        if helm.engine.is_draining() && helm.engine.session_count() == 0 { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Ready when the server drains and the last connection has gone.
    pub(crate) fn poll_finished(&mut self, context: &Context<'_>) -> Poll<()> {
        self.commons.remember_finish(context.waker());
        let is_draining = self.commons.relay().look(&mut self.waits).engine.is_draining();
        if is_draining && self.commons.connections() == 0 { Poll::Ready(()) } else { Poll::Pending }
    }

    /// The engine is not told anything any more.
    pub(crate) fn finish_journal(&mut self) {
        self.commons.relay().look(&mut self.waits).engine.finish();
    }

    /// A turn for the system lane, if anything waits in it.
    fn take_system_turn(&mut self) {
        if !self.system.is_idle() {
            let commons = Rc::clone(&self.commons);
            let mut helm = self.begin_turn(&commons);
            self.run_lane(&mut helm);
            self.end_turn(helm);
        }
    }

    /// A turn for what this thread has to tell the engine itself, if there is anything.
    fn take_own_turn(&mut self) {
        if self.system.has_work() || !self.departed.is_empty() {
            let commons = Rc::clone(&self.commons);
            let helm = self.begin_turn(&commons);
            self.end_turn(helm);
        }
    }

    /// Takes the engine and learns what others have decided; reads the clock once, and sees whether the process stood
    /// still. Whatever is put in front of a turn is done after this.
    fn begin_turn<'c>(&mut self, commons: &'c Commons) -> MutexGuard<'c, Helm> {
        // What can be read before is not read while others wait.
        if !self.place.is_alone() {
            self.read_mailbox();
        }
        let (mut helm, has_mail) = commons.relay().take(self.place.thread, &mut self.mail, &mut self.waits);
        if has_mail {
            self.read_mail();
        }
        let now = commons.now().max(helm.now);
        let gap = stall(&helm, now);
        helm.now = now;
        if let Some(gap) = gap {
            warn!(
                seconds = gap.as_secs_f32(),
                "the process did not run for a while; nobody is closed for silence in it"
            );
            self.step(&mut helm, Input::Stalled { gap });
        }
        helm
    }

    /// Runs what was woken of the system lane, and everything that waits in it.
    fn run_lane(&mut self, helm: &mut Helm) {
        self.system.gather();
        self.run_system(helm);
    }

    fn run_system(&mut self, helm: &mut Helm) {
        while let Some(work) = self.system.next() {
            match work {
                SystemWork::Input(input) => {
                    if let Input::LoginVerdict { ticket, .. } = input {
                        self.decided(ticket.session);
                    }
                    let over = if let Input::Disconnected { session } = input { Some(session) } else { None };
                    self.step(helm, input);
                    if let Some(session) = over {
                        self.forget_login(&mut helm.outgoing, session);
                    }
                }
                SystemWork::Connection { stream, peer } => self.admit(helm, stream, peer),
                SystemWork::Arrival { stream, peer } => self.arrive(helm, stream, peer),
                SystemWork::Report { reply } => {
                    self.tell_stats(helm, |stats, answered| reply.put(stats.report, answered));
                }
                SystemWork::Stats { reply } => self.tell_stats(helm, |stats, answered| reply.put(stats, answered)),
                SystemWork::Connections { from, limit, reply } => self.tell_connections(helm, from, limit, reply),
                SystemWork::Schedule { lane, work } => self.schedule(lane, work),
                SystemWork::Ask { ask, reply } => self.ask(helm, &ask, reply),
                SystemWork::Tell(tell) => tell(&mut self.answered),
                SystemWork::Look(look) => look(&helm.engine, &mut self.answered),
                SystemWork::CallService { service, request, reply } => {
                    self.ask_service(helm, service, &request, reply);
                }
                SystemWork::EnableMiddleware { name, reply } => {
                    reply.put(helm.chain.enable(&name), &mut self.answered);
                }
            }
        }
    }

    /// Takes up an accepted stream, which is visited from now on. None if every slot is taken.
    fn connect(&mut self, helm: &mut Helm, stream: S, peer: SocketAddr) -> Option<SessionId> {
        if !self.place.is_alone() {
            let vacated = self.commons.take_vacated(self.place.thread);
            vacated.into_iter().for_each(|session| self.connections.vacate(session));
        }
        let Some(session) = self.connections.reserve() else {
            self.turn_away();
            return None;
        };
        self.traffic.accepted += 1;
        // Whoever had the slot before may have been elsewhere.
        helm.outgoing.settle(session, self.place.thread);
        let connection = Connection::new(session, self.visits.knock(session), stream, peer, helm.now);
        connection.wake();
        self.connections.insert(connection);
        debug!(%session, %peer, "connected");
        self.step(helm, Input::Connected { session, address: peer.ip() });
        Some(session)
    }

    /// Runs what the turn itself gave rise to, hands over what concerns others, lets go of the engine, and wakes whom
    /// it all concerns: each at most once for the turn.
    fn end_turn(&mut self, mut helm: MutexGuard<'_, Helm>) {
        // Nearly every turn finds nothing.
        if self.system.has_work() {
            self.run_system(&mut helm);
        }
        // Only now: else a new session could be named like one of which the engine does not know yet that it is over.
        for session in self.departed.drain(..) {
            self.commons.vacate(self.place.namer_of(session.index), session);
        }
        helm.engine.hand_over();
        let next_at = helm.engine.poll_timeout();
        let is_earlier = next_at.is_some_and(|next_at| helm.timer_at.is_none_or(|timer_at| next_at < timer_at));
        let timer = if is_earlier { helm.timer.take() } else { None };
        let is_draining = helm.engine.is_draining();
        self.commons.relay().let_go(helm, &mut self.sleepers);
        if let Some(timer) = timer {
            timer.wake();
        }
        self.answered.wake();
        if is_draining {
            self.commons.call_finish();
        }
        self.call_flusher();
        self.call_housekeeper();
    }

    fn step(&mut self, helm: &mut Helm, input: Input<'_>) {
        let Helm { engine, actions, now, .. } = helm;
        engine.handle_input(*now, input, actions);
        self.carry_out(helm);
    }

    fn is_open(&mut self, session: SessionId) -> bool {
        self.connections.get_mut(session).is_some_and(|connection| connection.phase == Phase::Open)
    }
}

/// How long the process stood still: more than a heartbeat interval has passed since the last turn, although a
/// deadline called for a turn in between, and it is late by more than a busy machine explains.
fn stall(helm: &Helm, now: Instant) -> Option<Duration> {
    // Every turn asks: this much of it is cheap.
    if now.as_nanos() - helm.now.as_nanos() <= helm.pause_max_ns {
        return None;
    }
    let late = now.saturating_since(helm.engine.poll_timeout()?);
    let interval = helm.engine.config().heartbeat_interval;
    (late > STALL_MIN.max(interval / 8)).then_some(now.saturating_since(helm.now))
}

fn remember(place: &mut Option<Waker>, context: &Context<'_>) {
    match place {
        Some(waker) => waker.clone_from(context.waker()),
        None => *place = Some(context.waker().clone()),
    }
}

mod carrying;
mod closing;
mod handing;
mod home;
mod moving;
mod reading;
mod scheduling;
mod standing;
#[cfg(test)]
mod tests;
mod tidying;
mod visiting;
mod writing;
