//! What a node runs: the tasks that take turns at the hub, and the errands of its system lane.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use lobbyd_core::input::{Admin, Input};
use tokio::sync::mpsc;
use tokio::task::{JoinSet, unconstrained, yield_now};
use tokio::time::{Instant, sleep, sleep_until};
use tracing::warn;

use crate::errands::next_turn;
use crate::hub::Hub;
use crate::node::Command;
use crate::stores::Presence;
use crate::system::{SystemQueue, SystemWork};
use crate::transport::{Listener, Stream};

/// The most connections of one listener that are taken up in one turn. A system call each, so together about what the
/// packets of a turn cost.
pub(crate) const CONNECTS_PER_TURN: u32 = 16;
/// The most commands of the handle that are taken up in one turn.
const COMMANDS_PER_TURN: u32 = 64;
/// The most lost leases that are told of in one turn. There may be as many as users.
const LOSSES_PER_TURN: u32 = 64;
/// How long no connection is accepted after one could not be: for want of file descriptors it would fail again at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Failures to accept come by the thousand, and are said once in this time.
const ACCEPT_WARNING_INTERVAL: Duration = Duration::from_secs(10);
/// Between two steps of housekeeping.
const HOUSEKEEPING_INTERVAL: Duration = Duration::from_secs(1);

/// Runs what every hub needs.
pub(crate) fn run<S: Stream>(running: &mut JoinSet<()>, hub: &Rc<RefCell<Hub<S>>>) {
    running.spawn_local(visit(hub.clone()));
    running.spawn_local(flush(hub.clone()));
    running.spawn_local(run_system(hub.clone()));
    running.spawn_local(keep_house(hub.clone()));
    if !hub.borrow().is_alone() {
        running.spawn_local(read_mail(hub.clone()));
    }
}

/// Task: does what other threads have decided, when no turn does.
async fn read_mail<S: Stream>(hub: Rc<RefCell<Hub<S>>>) {
    poll_fn(|context| hub.borrow_mut().poll_mail(context)).await
}

/// Task: visits the connections that were woken.
async fn visit<S: Stream>(hub: Rc<RefCell<Hub<S>>>) {
    // Without tokio's budget: every connection has its own for a turn, and there is a pause after so many of them.
    unconstrained(async {
        loop {
            poll_fn(|context| hub.borrow_mut().poll_visits(context)).await;
            // The runtime looks at its sockets and timers before this goes on.
            yield_now().await;
        }
    })
    .await
}

/// Task: writes what waits in outboxes.
async fn flush<S: Stream>(hub: Rc<RefCell<Hub<S>>>) {
    poll_fn(|context| {
        hub.borrow_mut().poll_flush(context);
        Poll::Pending
    })
    .await
}

/// Task: has the engine's deadlines fire.
pub(crate) async fn fire_deadlines<S: Stream>(hub: Rc<RefCell<Hub<S>>>) {
    let mut timer = None;
    poll_fn(|context| {
        loop {
            let Some(next_at) = hub.borrow_mut().poll_timer(context) else {
                timer = None;
                return Poll::Pending;
            };
            let sleep = timer.get_or_insert_with(|| Box::pin(sleep_until(next_at)));
            if sleep.deadline() != next_at {
                sleep.as_mut().reset(next_at);
            }
            match sleep.as_mut().poll(context) {
                Poll::Ready(()) => timer = None,
                Poll::Pending => return Poll::Pending,
            }
        }
    })
    .await
}

/// Task: a turn for the system lane when nobody else has one.
async fn run_system<S: Stream>(hub: Rc<RefCell<Hub<S>>>) {
    poll_fn(|context| {
        hub.borrow_mut().poll_system(context);
        Poll::Pending
    })
    .await
}

/// Task: the background lane. Its timer runs only while there is something to do.
async fn keep_house<S: Stream>(hub: Rc<RefCell<Hub<S>>>) {
    loop {
        poll_fn(|context| hub.borrow_mut().poll_untidy(context)).await;
        sleep(HOUSEKEEPING_INTERVAL).await;
        hub.borrow_mut().tidy();
    }
}

/// Errand: takes connections from a listener, a share in each turn.
pub(crate) async fn accept<L: Listener>(mut listener: L, queue: SystemQueue<L::Stream>) {
    let mut warned_at = None;
    let mut share = Share::new(CONNECTS_PER_TURN);
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                queue.push(SystemWork::Connection { stream, peer });
                share.take(&queue).await;
            }
            // This one client was gone before it was accepted, but the system was asked all the same.
            Err(error) if matches!(error.kind(), ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset) => {
                share.take(&queue).await;
            }
            Err(error) => {
                if warned_at.is_none_or(|at: Instant| at.elapsed() >= ACCEPT_WARNING_INTERVAL) {
                    warn!(%error, "a connection could not be accepted; trying on (is the limit of open files too low?)");
                    warned_at = Some(Instant::now());
                }
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Errand: takes up the connections that the home has accepted.
pub(crate) async fn arrive<S, D>(
    mut arrivals: mpsc::UnboundedReceiver<(D, SocketAddr)>,
    attach: fn(D) -> io::Result<S>,
    queue: SystemQueue<S>,
) {
    let mut share = Share::new(CONNECTS_PER_TURN);
    while let Some((stream, peer)) = arrivals.recv().await {
        queue.push(SystemWork::Arrival { stream: attach(stream), peer });
        share.take(&queue).await;
    }
}

/// Errand: does what the handle asks for, a share in each turn.
pub(crate) async fn obey<S>(mut commands: mpsc::Receiver<Command>, queue: SystemQueue<S>) {
    let mut share = Share::new(COMMANDS_PER_TURN);
    while let Some(command) = commands.recv().await {
        queue.push(match command {
            Command::Drain { within } => SystemWork::Input(Input::Admin(Admin::Drain { within })),
            Command::Stop => SystemWork::Input(Input::Admin(Admin::Stop)),
            Command::CloseUser { user } => SystemWork::Input(Input::Admin(Admin::CloseUser { user })),
            Command::Report { reply } => SystemWork::Report { reply },
            Command::Stats { reply } => SystemWork::Stats { reply },
            Command::Connections { from, limit, reply } => SystemWork::Connections { from, limit, reply },
            Command::Schedule { lane, work } => SystemWork::Schedule { lane, work },
            Command::Ask { ask, reply } => SystemWork::Ask { ask, reply },
            Command::Look(look) => SystemWork::Look(look),
            Command::CallService { service, request, reply } => SystemWork::CallService { service, request, reply },
            Command::EnableMiddleware { name, reply } => SystemWork::EnableMiddleware { name, reply },
        });
        share.take(&queue).await;
    }
}

/// Errand: hears of leases that were lost, a share in each turn.
pub(crate) async fn watch_presence<S>(presence: Rc<dyn Presence>, queue: SystemQueue<S>) {
    let mut share = Share::new(LOSSES_PER_TURN);
    loop {
        let ticket = presence.lost().await;
        queue.push(SystemWork::Input(Input::PresenceLost { ticket }));
        share.take(&queue).await;
    }
}

/// What an errand may bring before the next turn. It counts on over turns, so that a turn may get less, never more.
struct Share {
    whole: u32,
    taken: u32,
}

impl Share {
    fn new(whole: u32) -> Self {
        Self { whole, taken: 0 }
    }

    /// Takes one of it, and waits for the next turn when that was the last.
    async fn take<S>(&mut self, queue: &SystemQueue<S>) {
        self.taken += 1;
        if self.taken == self.whole {
            self.taken = 0;
            queue.note_deferred();
            next_turn().await;
        }
    }
}
