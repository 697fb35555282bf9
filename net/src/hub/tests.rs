use std::cell::Cell;
use std::io;
use std::pin::pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Poll, Wake};

use lobbyd_core::config::Config;
use lobbyd_core::input::{Account, Admin, WireFault};
use lobbyd_core::name::UserName;
use lobbyd_core::packet::{CloseReason, ServerPacket};
use lobbyd_core::text::Text;
use tokio::sync::oneshot;

use super::closing::DISCARD_BYTES_MAX;
use super::visiting::VISITS_AT_A_TIME;
use super::writing::{CLOSING_BYTES, WRITES_PER_TURN};
use super::*;
use crate::ask::reply::reply;
use crate::codec;
use crate::corridor::corridor;
use crate::extension::{Assembled, Extensions};
use crate::login::Logins;
use crate::parcel::{FrameKind, Notice, Role};
use crate::report::Report;
use crate::stores::{Accounts, LocalFuture, SecretBytes, Unavailable};

/// A client that sends without end, a little at each look, and reads everything.
struct Chatterbox {
    sent: Rc<Cell<usize>>,
    pauses: bool,
    /// Told when it is written to for the first time.
    at_write: Option<oneshot::Sender<()>>,
}

impl Stream for Chatterbox {
    fn poll_read(&mut self, _: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        self.pauses = !self.pauses;
        if self.pauses {
            return Poll::Pending;
        }
        let count = buffer.len().min(1024);
        self.sent.set(self.sent.get() + count);
        Poll::Ready(Ok(count))
    }

    fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(at_write) = self.at_write.take() {
            at_write.send(()).unwrap();
        }
        Ok(bytes.len())
    }

    fn poll_writable(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

struct Nobody;

impl Accounts for Nobody {
    fn verify(&self, _: UserName, _: SecretBytes) -> LocalFuture<'_, Result<Option<Account>, Unavailable>> {
        Box::pin(async { Ok(None) })
    }
}

fn hub(config: Config) -> Rc<RefCell<Hub<Chatterbox>>> {
    hubs(config, 1, Ok).remove(0)
}

/// How a stream is taken up on another thread.
type Attach = fn(Chatterbox) -> io::Result<Chatterbox>;

/// The hubs of a node, the home first.
fn hubs(config: Config, threads: usize, attach: Attach) -> Vec<Rc<RefCell<Hub<Chatterbox>>>> {
    let logins = Logins::new(Rc::new(Nobody), None, Duration::from_secs(5));
    let (sessions_max, frame_bytes_max) = (config.sessions_max, config.frame_bytes_max);
    let outbox_bytes_max = config.outbox_bytes_max as usize;
    let Assembled { engine, services, chain, figures, buffers } = Extensions::new().assemble(config, 1, Instant::ZERO);
    let commons = Arc::new(Commons::new(engine, chain, figures, threads, 0));
    let parts = |thread| HubParts {
        commons: Arc::clone(&commons),
        place: Place::new(thread, threads),
        room_key: [1; 16],
        sessions_max,
        outbox_bytes_max,
        frame_bytes_max,
    };
    let mut home = Some(Home::new(services, logins, buffers, Vec::new()));
    let ends = corridor(threads).into_iter().enumerate();
    ends.map(|(thread, end)| Hub::new(parts(thread), home.take(), (threads > 1).then(|| end.open(Ok, attach))))
        .collect()
}

/// A turn in which nothing happens but this.
fn in_turn<T>(hub: &mut Hub<Chatterbox>, work: impl FnOnce(&mut Hub<Chatterbox>, &mut Helm) -> T) -> T {
    let commons = hub.commons.clone();
    let mut helm = hub.begin_turn(&commons);
    let result = work(hub, &mut helm);
    hub.end_turn(helm);
    result
}

/// How the node stands.
fn report(hub: &mut Hub<Chatterbox>) -> Report {
    let told = Rc::new(Cell::new(None));
    let telling = Rc::clone(&told);
    let commons = hub.commons.clone();
    let helm = commons.relay().look(&mut hub.waits);
    hub.tell_stats(&helm, move |stats, _| telling.set(Some(stats.report)));
    told.take().expect("there is no other thread")
}

fn accept(hub: &Rc<RefCell<Hub<Chatterbox>>>, sent: &Rc<Cell<usize>>) -> SessionId {
    let stream = Chatterbox { sent: sent.clone(), pauses: false, at_write: None };
    let mut hub = hub.borrow_mut();
    hub.commons.add_connection(0);
    let peer = SocketAddr::from(([127, 0, 0, 1], 1));
    in_turn(&mut hub, |hub, helm| hub.connect(helm, stream, peer)).expect("a free slot")
}

#[test]
fn closed_client_that_goes_on_sending_is_cut_after_so_many_bytes() {
    let (hub, sent) = (hub(Config::default()), Rc::default());
    let session = accept(&hub, &sent);
    let mut context = Context::from_waker(Waker::noop());
    hub.borrow_mut().system.push(Input::Malformed { session, fault: WireFault::FrameEmpty });
    hub.borrow_mut().poll_system(&context);
    let (mut discarded, mut looks) = (0, 0);
    while hub.borrow_mut().poll_closing(&mut context, session, &mut discarded).is_pending() {
        looks += 1;
        assert!(looks < 1000, "{} bytes were taken, and no end", sent.get());
    }
    assert_eq!(sent.get(), DISCARD_BYTES_MAX);
    assert_eq!(hub.borrow().traffic.bytes_in, DISCARD_BYTES_MAX as u64, "what is dropped was read too");
}

#[test]
fn closed_clients_may_linger_until_there_are_too_many() {
    let hub = hub(Config { sessions_max: 1, ..Config::default() });
    let sent = Rc::default();
    // The first is let in, the others are refused and stay.
    let sessions: Vec<_> = (0..=LINGERING_MAX).map(|_| accept(&hub, &sent)).collect();
    assert!(!hub.borrow().is_crowded());
    let one_more = accept(&hub, &sent);
    assert!(hub.borrow().is_crowded());
    hub.borrow_mut().remove(one_more);
    assert!(!hub.borrow().is_crowded());
    assert!(hub.borrow_mut().is_open(sessions[0]), "who was let in is not disturbed");
}

#[test]
fn every_farewell_fits_into_its_reserve() {
    // The last reason has the highest number, and so the longest encoding.
    for reason in [CloseReason::Disconnected, CloseReason::SlowConsumer, CloseReason::Stopped] {
        let mut frame = Vec::new();
        codec::encode_server(&ServerPacket::Closing { reason }, &mut frame);
        assert!(frame.len() <= CLOSING_BYTES, "{reason:?} takes {} bytes", frame.len());
    }
}

#[test]
fn system_lane_has_its_turn_between_the_writes_of_a_large_batch() {
    let (hub, sent) = (hub(Config::default()), Rc::default());
    let crowd: Vec<_> = (0..3 * WRITES_PER_TURN).map(|_| accept(&hub, &sent)).collect();
    let mut hub = hub.borrow_mut();
    let bytes: Vec<_> = crowd.iter().map(|session| hub.connections.get_mut(*session).unwrap().outbox.len()).collect();
    let sum = |bytes: &[usize]| bytes.iter().sum::<usize>() as u64;
    let (at_write, written) = oneshot::channel();
    hub.connections.get_mut(crowd[0]).unwrap().stream.at_write = Some(at_write);
    let (reply, report) = reply();
    hub.begin_errand(|queue| async move {
        written.await.unwrap();
        queue.push(SystemWork::Report { reply });
    });
    hub.system.gather();
    hub.poll_flush(&Context::from_waker(Waker::noop()));
    let mut context = Context::from_waker(Waker::noop());
    let Poll::Ready(Some(report)) = pin!(report).poll(&mut context) else { panic!("the report waits for all") };
    let then = report.traffic.bytes_out;
    assert_eq!(then, sum(&bytes[..WRITES_PER_TURN as usize]));
    assert_eq!(hub.traffic.bytes_out, sum(&bytes), "all are written in the end");
}

#[test]
fn client_that_reads_is_not_slow_however_much_is_said_before_the_flusher_comes() {
    let (hub, sent) = (hub(Config::default()), Rc::default());
    let session = accept(&hub, &sent);
    let mut hub = hub.borrow_mut();
    hub.outbox_bytes_max = 2_000;
    let packet = ServerPacket::AnnounceNotify { text: Text::new(&"x".repeat(900)) };
    for _ in 0..100 {
        in_turn(&mut hub, |hub, helm| hub.broadcast(&mut helm.outgoing, &[session], &packet));
    }
    let connection = hub.connections.get_mut(session).unwrap();
    assert!(!connection.is_overflowed);
    let waiting = connection.outbox.len();
    assert!(hub.traffic.bytes_out > 80_000 && waiting <= 2_000, "{waiting} wait");
}

#[test]
fn housekeeping_waits_for_every_other_lane() {
    let hub = hub(Config::default());
    let mut hub = hub.borrow_mut();
    let crowd: Vec<_> = (0..200).map(|_| hub.pool.lend()).collect();
    crowd.into_iter().for_each(|buffer| hub.pool.take_back(buffer));
    hub.tidy();
    let idle = report(&mut hub).pool.idle;
    assert_eq!(report(&mut hub).lanes.background, LaneReport { waiting: 1, peak: 0, handled: 1, deferred: 0 });

    // An input waits; then an errand; then packets; then an outbox.
    hub.system.push(Input::Admin(Admin::Announce { text: "hello".into() }));
    hub.tidy();
    assert!(hub.system.next().is_some());
    let errand = hub.begin_errand(|_| async {});
    hub.tidy();
    hub.cancel_errand(errand);
    hub.system.gather();
    hub.user_lane.add_waiting();
    hub.tidy();
    hub.user_lane.waiting = 0;
    hub.dirty.push(SessionId { index: 0, generation: 0 });
    hub.tidy();
    hub.dirty.clear();
    assert_eq!(report(&mut hub).pool.idle, idle);
    hub.tidy();
    assert!(report(&mut hub).pool.idle < idle);
    assert_eq!(report(&mut hub).lanes.background, LaneReport { waiting: 1, peak: 0, handled: 2, deferred: 4 });
}

/// A task that counts how often it was woken.
#[derive(Default)]
struct Sleeper(AtomicU32);

impl Wake for Sleeper {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[tokio::test]
async fn whoever_is_woken_while_many_are_visited_is_visited_again() {
    let (hub, sent) = (hub(Config::default()), Rc::default());
    let crowd: Vec<_> = (0..2 * VISITS_AT_A_TIME - 1).map(|_| accept(&hub, &sent)).collect();
    let sleeper = Arc::new(Sleeper::default());
    let waker = Waker::from(Arc::clone(&sleeper));
    let context = Context::from_waker(&waker);
    let mut hub = hub.borrow_mut();
    assert!(hub.poll_visits(&context).is_ready(), "there are more than are visited at a time");
    hub.connections.get_mut(crowd[0]).unwrap().wake();
    assert!(hub.poll_visits(&context).is_ready(), "there is a pause before the next round, too");
    let before = sent.get();
    while hub.poll_visits(&context).is_ready() {}
    assert!(sent.get() > before, "who waited was visited");
    // A task that is woken while it runs has its next turn without the pause.
    assert_eq!(sleeper.0.load(Ordering::Relaxed), 0, "nobody wakes the task while it has something to do");
    hub.connections.get_mut(crowd[1]).unwrap().wake();
    assert_eq!(sleeper.0.load(Ordering::Relaxed), 1, "whoever is woken later wakes the task");
}

#[tokio::test]
async fn what_is_said_is_flushed_also_when_the_last_of_the_round_has_gone() {
    let (hub, sent) = (hub(Config::default()), Rc::default());
    let [talker, leaver] = [accept(&hub, &sent), accept(&hub, &sent)];
    let sleeper = Arc::new(Sleeper::default());
    let waker = Waker::from(Arc::clone(&sleeper));
    let mut hub = hub.borrow_mut();
    let context = Context::from_waker(Waker::noop());
    while hub.poll_visits(&context).is_ready() {}
    hub.poll_flush(&Context::from_waker(&waker));
    [talker, leaver].iter().for_each(|session| hub.connections.get_mut(*session).unwrap().wake());
    hub.set_phase(leaver, Phase::Broken(CloseReason::Disconnected));
    hub.remove(leaver);
    let _ = hub.poll_visits(&context);
    assert_eq!(sleeper.0.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn ping_of_a_connection_that_has_gone_is_forgotten() {
    let (hub, sent) = (hub(Config::default()), Rc::default());
    let session = accept(&hub, &sent);
    let mut hub = hub.borrow_mut();
    let ping = ServerPacket::Ping { nonce: 1 };
    in_turn(&mut hub, |hub, helm| hub.send(&mut helm.outgoing, helm.now, session, &ping));
    assert_eq!(hub.pings.len(), 1);
    hub.set_phase(session, Phase::Broken(CloseReason::Disconnected));
    hub.remove(session);
    assert!(hub.pings.is_empty());
}

#[tokio::test]
async fn flusher_waits_until_everybody_who_was_ready_had_a_turn() {
    let (hub, sent) = (hub(Config::default()), Rc::default());
    let crowd: Vec<_> = (0..=VISITS_AT_A_TIME).map(|_| accept(&hub, &sent)).collect();
    let sleeper = Arc::new(Sleeper::default());
    let waker = Waker::from(Arc::clone(&sleeper));
    let mut hub = hub.borrow_mut();
    let context = Context::from_waker(Waker::noop());
    // At the first look they say nothing; at the second what is no packet, so that each is told why it is closed.
    while hub.poll_visits(&context).is_ready() {}
    hub.poll_flush(&Context::from_waker(&waker));
    crowd.iter().for_each(|session| hub.connections.get_mut(*session).unwrap().wake());
    assert!(hub.poll_visits(&context).is_ready());
    assert_eq!(sleeper.0.load(Ordering::Relaxed), 0);
    assert!(hub.poll_visits(&context).is_ready(), "whoever is closed is visited again");
    assert_eq!(sleeper.0.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn parcel_for_whoever_had_the_slot_before_reaches_nobody() {
    let (hub, sent) = (hub(Config::default()), Rc::default());
    let leaver = accept(&hub, &sent);
    in_turn(&mut hub.borrow_mut(), |hub, helm| hub.hang_up(helm, leaver));
    hub.borrow_mut().remove(leaver);
    let newcomer = accept(&hub, &sent);
    assert_eq!((newcomer.index, newcomer.generation), (leaver.index, leaver.generation + 1));
    let mut hub = hub.borrow_mut();
    let before = hub.connections.get_mut(newcomer).unwrap().outbox.len();

    let mut parcel = Parcel::default();
    for (role, packet) in [(Role::Usual, 17), (Role::Ping { nonce: 1, at: Instant::ZERO }, 2), (Role::Farewell, 4)] {
        parcel.address(leaver);
        parcel.put_frame(b"for somebody else", FrameKind { packet, role });
    }
    parcel.put_notice(Notice::Close { session: leaver, reason: CloseReason::Superseded });
    hub.unpack(&mut parcel);
    let newcomer = hub.connections.get_mut(newcomer).unwrap();
    assert_eq!((newcomer.outbox.len(), newcomer.phase), (before, Phase::Open));
    assert!(hub.pings.is_empty());
    assert_eq!((hub.parcels, hub.appends), (1, 0));
}

/// Whether its stream was lost on the way, or its client resets it there.
#[test]
fn slot_of_a_session_that_ends_on_another_thread_is_free_only_when_the_engine_knows() {
    let arrives: Attach = Ok;
    let is_lost: Attach = |_| Err(io::ErrorKind::OutOfMemory.into());
    for attach in [arrives, is_lost] {
        let hubs = hubs(Config::default(), 2, attach);
        let session = accept(&hubs[0], &Rc::default());
        in_turn(&mut hubs[0].borrow_mut(), |hub, helm| hub.move_to(helm, session, 1));
        assert!(hubs[0].borrow().connections.is_empty());
        let mut hub = hubs[1].borrow_mut();
        hub.read_mailbox();
        if hub.is_open(session) {
            hub.break_connection(session, &io::ErrorKind::ConnectionReset.into());
            hub.remove(session);
        }
        let commons = hub.commons.clone();
        let sessions = |hub: &mut Hub<Chatterbox>| commons.relay().look(&mut hub.waits).engine.session_count();
        assert_eq!((sessions(&mut hub), commons.take_vacated(0)), (1, vec![]), "it could be named like a living one");
        hub.take_own_turn();
        assert_eq!((sessions(&mut hub), commons.take_vacated(0)), (0, vec![session]));
        assert_eq!((hub.connections.count(), commons.connections()), (0, 0));
    }
}
