//! What waits in the system lane goes before packets, however many connections have them ready. No test looks at a
//! clock: what comes first is seen in the order of what is sent.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use lobbyd_core::id::{SessionId, Ticket};
use lobbyd_core::name::UserName;
use lobbyd_net::Lane;
use lobbyd_net::stores::{LocalFuture, Presence, Unavailable};
use tokio::sync::Notify;
use tokio::task::LocalSet;

use crate::memory::{Client, Gate, PINGS, World, begin, settle};

/// The order in which the first round of four clients is answered when nothing comes between.
const ROUND: [&str; 4] = ["first Pong 64", "second Pong 64", "third Pong 64", "fourth Pong 64"];

#[tokio::test(start_paused = true)]
async fn connections_take_turns_of_one_budget() {
    LocalSet::new()
        .run_until(async {
            let world = World::start(None);
            let sent = world.flood(|| {}).await;
            assert_eq!(sent[..4], ROUND);
            assert_eq!(sent[4..8], ROUND);
            assert_eq!(sent[12..], ["first Pong 8", "second Pong 8", "third Pong 8", "fourth Pong 8"]);
            let report = world.handle.report().await.unwrap();
            let user = report.lanes.of(Lane::User);
            // Four times three budgets are used up; the hellos count as packets too.
            assert_eq!((user.waiting, user.peak, user.handled, user.deferred), (0, 4, 4 * PINGS + 4, 12));
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn verdict_is_handled_before_the_packets_of_the_next_connection() {
    LocalSet::new()
        .run_until(async {
            let mut world = World::start(None);
            world.connect(Client::new("ada").with_login());
            settle().await;
            let login = world.logins.try_recv().unwrap();
            let sent = world.flood(move || login.send(true).unwrap()).await;
            assert_eq!(sent[..3], [ROUND[0], "ada LoginResponse 1", ROUND[1]]);
            assert_eq!(world.handle.report().await.unwrap().counts.online, 1);
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn verdict_from_another_thread_is_handled_before_the_packets_of_the_next_connection() {
    LocalSet::new()
        .run_until(async {
            let mut world = World::start(None);
            world.connect(Client::new("ada").with_login());
            settle().await;
            let login = world.logins.try_recv().unwrap();
            let then = move || std::thread::spawn(move || login.send(true).unwrap()).join().unwrap();
            let sent = world.flood(then).await;
            assert_eq!(sent[..3], [ROUND[0], "ada LoginResponse 1", ROUND[1]]);
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn many_verdicts_are_handled_in_their_order_before_the_packets_of_the_next_connection() {
    LocalSet::new()
        .run_until(async {
            let mut world = World::start(None);
            for name in ["ada", "grace", "mary"] {
                world.connect(Client::new(name).with_login());
            }
            settle().await;
            let mut logins: Vec<_> = std::iter::from_fn(|| world.logins.try_recv().ok()).collect();
            logins.rotate_left(1);
            let then = move || logins.into_iter().for_each(|login| login.send(true).unwrap());
            let sent = world.flood(then).await;
            let responses = ["grace LoginResponse 1", "mary LoginResponse 1", "ada LoginResponse 1"];
            assert_eq!((&*sent[0], &sent[1..4], &*sent[4]), (ROUND[0], &responses.map(String::from)[..], ROUND[1]));
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn command_is_handled_before_the_packets_of_the_next_connection() {
    LocalSet::new()
        .run_until(async {
            let world = World::start(None);
            let handle = world.handle.clone();
            let mut sent = world.flood(move || assert!(begin(handle.stop()).is_ready())).await;
            // Who had not had his turn has none any more. A connection that is closed writes for itself.
            sent.sort_unstable();
            let closed = ["first Closing 1", ROUND[0], "fourth Closing 1", "second Closing 1", "third Closing 1"];
            assert_eq!(sent, closed);
        })
        .await;
}

/// The most packets that a connection hands in in one turn.
const BUDGET: u64 = 64;

/// Has a scheduled future stop the node while the first of four floods is read, and says how many packets of the floods
/// were answered before.
async fn answered_before_a_scheduled_future(lane: Lane) -> u64 {
    let world = World::start(None);
    let handle = world.handle.clone();
    let then = move || {
        let stops = handle.clone();
        let scheduled = handle.schedule(lane, async move { stops.stop().await });
        // Given up as soon as it is on its way: it goes on.
        assert!(begin(scheduled).is_pending());
    };
    let sent = world.flood(then).await;
    let pongs = sent.iter().filter(|line| line.contains("Pong"));
    pongs.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
}

#[tokio::test(start_paused = true)]
async fn scheduled_futures_have_the_turns_of_their_lanes() {
    LocalSet::new()
        .run_until(async {
            // The first budget passes while it is scheduled. The future begins at the next turn, after which that
            // turn's budget passes; its own command is taken up at the one behind that.
            assert_eq!(answered_before_a_scheduled_future(Lane::System).await, 3 * BUDGET);
            // All who were ready have their turn before; the command is taken up at the next turn, before its packets.
            assert_eq!(answered_before_a_scheduled_future(Lane::User).await, 4 * BUDGET);
            assert_eq!(answered_before_a_scheduled_future(Lane::Background).await, 4 * PINGS);
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn connect_is_handled_before_the_packets_of_the_next_connection() {
    LocalSet::new()
        .run_until(async {
            let world = World::start(None);
            let (door, newcomer) = (world.door.clone(), world.client(Client::new("newcomer")));
            let sent = world.flood(move || door.send(newcomer).ok().unwrap()).await;
            assert_eq!(sent[..3], [ROUND[0], "newcomer Welcome 1", ROUND[1]]);
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn storm_of_connects_does_not_stop_the_packets() {
    LocalSet::new()
        .run_until(async {
            let world = World::start(None);
            let (door, newcomers) = (world.door.clone(), (0..100).map(|_| world.client(Client::new("newcomer"))));
            let newcomers: Vec<_> = newcomers.collect();
            let then = move || newcomers.into_iter().for_each(|newcomer| door.send(newcomer).ok().unwrap());
            let sent = world.flood(then).await;
            // The share counts on from the four connects before.
            assert_eq!(sent[..4], [ROUND[0], "newcomer Welcome 12", ROUND[1], "newcomer Welcome 16"]);
            let report = world.handle.report().await.unwrap();
            assert_eq!(report.traffic.accepted, 104);
            let system = report.lanes.of(Lane::System);
            // 104 connects, and the question for this report.
            assert_eq!((system.waiting, system.peak, system.handled, system.deferred), (0, 16, 105, 6));
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn storm_of_connects_that_come_to_nothing_does_not_stop_the_packets() {
    LocalSet::new()
        .run_until(async {
            let world = World::start(None);
            let (door, newcomer) = (world.door.clone(), world.client(Client::new("newcomer")));
            let ghosts: Vec<_> = (0..40).map(|_| world.client(Client::new(""))).collect();
            let then = move || ghosts.into_iter().chain([newcomer]).for_each(|client| door.send(client).ok().unwrap());
            let sent = world.flood(then).await;
            // 12, 16 and 12 of them have their turn before the newcomer has.
            assert_eq!(sent[..5], [ROUND[0], ROUND[1], ROUND[2], "newcomer Welcome 1", ROUND[3]]);
            assert_eq!(world.handle.report().await.unwrap().traffic.accepted, 5);
        })
        .await;
}

/// Presence that has lost so many leases as it is told.
#[derive(Default)]
struct Loser {
    left: Cell<u32>,
    news: Notify,
}

impl Presence for Loser {
    fn take(&self, _: Ticket, _: UserName, _: bool) -> LocalFuture<'_, Result<bool, Unavailable>> {
        Box::pin(async { Ok(true) })
    }

    fn release(&self, _: Ticket, _: UserName) {}

    fn lost(&self) -> LocalFuture<'_, Ticket> {
        Box::pin(async {
            while self.left.get() == 0 {
                self.news.notified().await;
            }
            self.left.set(self.left.get() - 1);
            Ticket { session: SessionId { index: 1_000, generation: 0 }, serial: 1 }
        })
    }
}

#[tokio::test(start_paused = true)]
async fn loss_of_many_leases_does_not_stop_the_packets() {
    LocalSet::new()
        .run_until(async {
            let presence = Rc::new(Loser::default());
            let world = World::start(Some(presence.clone()));
            let (door, newcomer) = (world.door.clone(), world.client(Client::new("newcomer")));
            let then = move || {
                presence.left.set(200);
                presence.news.notify_one();
                door.send(newcomer).ok().unwrap();
            };
            let sent = world.flood(then).await;
            assert_eq!(sent[..3], [ROUND[0], "newcomer Welcome 1", ROUND[1]]);
            let system = world.handle.report().await.unwrap().lanes.system;
            // Five connects, 200 leases, and the question for this report; 64 of a turn are the most that waited, with
            // the newcomer.
            assert_eq!((system.waiting, system.peak, system.handled, system.deferred), (0, 65, 206, 3));
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn housekeeping_frees_what_a_crowd_left_behind_and_then_rests() {
    LocalSet::new()
        .run_until(async {
            let (world, gate) = (World::start(None), Gate::default());
            for _ in 0..100 {
                world.connect(Client::new("member").with_flood(&gate, PINGS));
            }
            settle().await;
            gate.open();
            settle().await;
            let crowded = world.handle.report().await.unwrap();
            assert_eq!((crowded.pool.peak, crowded.pool.idle, crowded.pool.lent), (200, 200, 0));
            assert_eq!(crowded.lanes.of(Lane::Background).waiting, 1);
            tokio::time::sleep(Duration::from_secs(10)).await;
            let quiet = world.handle.report().await.unwrap();
            assert_eq!(quiet.pool.idle, 64);
            // One step learns that nobody needs them, and three free 136 of them.
            assert_eq!((quiet.lanes.of(Lane::Background).handled, quiet.lanes.of(Lane::Background).waiting), (4, 0));
        })
        .await;
}
