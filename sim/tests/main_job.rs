//! The main job on the simulated network: production's driver, codec, connections and client, in simulated time.

use std::future::poll_fn;
use std::net::Ipv4Addr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, SystemTime};

use lobbyd_core::config::{Config, FixedRoom};
use lobbyd_core::id::RoomNumber;
use lobbyd_core::name::UserName;
use lobbyd_core::packet::{CloseReason, Code, LeaveCause};
use lobbyd_core::text::Text;
use lobbyd_net::client::{self, ClientError, Event, Events, Handle};
use lobbyd_net::extension::Extensions;
use lobbyd_net::node::{Node, NodeHandle, Parts, Stopped};
use lobbyd_sim::accounts::ListedAccounts;
use lobbyd_sim::network::SimulatedListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use turmoil::net::TcpStream;
use turmoil::{Builder, Sim};

const PORT: u16 = 7400;
const PLAZA: RoomNumber = RoomNumber(1);
const INTERVAL: Duration = Duration::from_secs(20);

type Done = Result<(), Box<dyn std::error::Error>>;

fn simulation() -> Sim<'static> {
    Builder::new()
        .rng_seed(7)
        .epoch(SystemTime::UNIX_EPOCH)
        .tick_duration(Duration::from_millis(1))
        .simulation_duration(Duration::from_secs(600))
        .build()
}

fn name(name: &str) -> UserName {
    name.parse().expect("tests name users rightly")
}

fn parts(accounts: ListedAccounts) -> Parts {
    let plaza = FixedRoom { number: PLAZA, title: Text::new("Plaza"), capacity: 10, password: None };
    let config = Config { heartbeat_interval: INTERVAL, fixed_rooms: vec![plaza], ..Config::default() };
    Parts {
        config,
        seed: 7,
        room_key: [7; 16],
        accounts: Rc::new(accounts),
        presence: None,
        extensions: Extensions::new(),
        journal: None,
    }
}

fn accounts() -> ListedAccounts {
    ListedAccounts::new().with(name("alice"), "wonder").with(name("bob"), "builder")
}

async fn serve(accounts: ListedAccounts, tell: impl FnOnce(NodeHandle)) -> Done {
    let (node, handle) = Node::new(parts(accounts));
    tell(handle);
    node.run(vec![SimulatedListener::bind(PORT).await?]).await;
    Ok(())
}

fn host(simulation: &mut Sim<'_>, accounts: ListedAccounts) {
    simulation.host("server", move || serve(accounts.clone(), |_handle| {}));
}

/// A connected client and the task that moves its bytes.
async fn connect() -> Result<(Handle, Events, JoinHandle<Result<(), ClientError>>), ClientError> {
    let stream = TcpStream::connect(("server", PORT)).await?;
    let (handle, events, connection) = client::connect(stream, "test").await?;
    Ok((handle, events, tokio::task::spawn_local(connection.run())))
}

#[test]
fn two_users_log_in_enter_talk_and_leave() -> Done {
    let mut simulation = simulation();
    host(&mut simulation, accounts());
    let (inside, alice_is_inside) = oneshot::channel();

    simulation.client("alice", async move {
        let (alice, mut events, _task) = connect().await?;
        let me = alice.login("Alice", b"wonder").await?;
        assert_eq!(me.name, name("alice"));
        let entered = alice.enter(PLAZA, None).await?;
        assert_eq!((entered.sequence, entered.users.as_slice()), (1, &[me][..]));
        inside.send(()).expect("bob waits");

        let Event::RoomNewUser { room: PLAZA, sequence: 2, user: bob } = events.next().await? else {
            panic!("bob has not entered");
        };
        assert_eq!(bob.name, name("bob"));
        let said = Event::RoomChat { room: PLAZA, sequence: 3, user: bob.id, name: bob.name, text: "hello".into() };
        assert_eq!(events.next().await?, said);
        assert_eq!(alice.chat(PLAZA, "hello yourself").await?.sequence, 4);
        let cause = LeaveCause::Disconnected;
        let left = Event::RoomLeaveUser { room: PLAZA, sequence: 5, user: bob.id, cause, owner: None };
        assert_eq!(events.next().await?, left);
        Ok(())
    });
    simulation.client("bob", async move {
        alice_is_inside.await?;
        let (bob, mut events, task) = connect().await?;
        let wrong = bob.login("bob", b"wonder").await;
        assert!(matches!(wrong, Err(ClientError::Refused(Code::LoginDenied))), "{wrong:?}");
        bob.login("bob", b"builder").await?;
        assert_eq!(bob.enter(PLAZA, None).await?.users.len(), 2);
        bob.chat(PLAZA, "hello").await?;
        let Event::RoomChat { sequence: 4, text, .. } = events.next().await? else {
            panic!("alice has not answered");
        };
        assert_eq!(text.as_str(), "hello yourself");
        bob.close();
        task.await??;
        Ok(())
    });
    simulation.run()
}

#[test]
fn user_behind_a_lost_network_is_closed_after_three_intervals() -> Done {
    let mut simulation = simulation();
    host(&mut simulation, accounts());
    let (inside, bob_is_inside) = oneshot::channel();

    simulation.client("bob", async move {
        let (bob, _events, task) = connect().await?;
        bob.login("bob", b"builder").await?;
        bob.enter(PLAZA, None).await?;
        inside.send(()).expect("alice waits");
        // What becomes of this side is not the subject: it learns nothing while the network is gone.
        let _ = task.await;
        Ok(())
    });
    simulation.client("alice", async move {
        bob_is_inside.await?;
        let (alice, mut events, _task) = connect().await?;
        alice.login("alice", b"wonder").await?;
        alice.enter(PLAZA, None).await?;
        turmoil::partition("server", "bob");
        let lost_at = tokio::time::Instant::now();
        let Event::RoomLeaveUser { cause: LeaveCause::Disconnected, .. } = events.next().await? else {
            panic!("bob is still there");
        };
        let silence = lost_at.elapsed();
        assert!(silence > 2 * INTERVAL && silence <= 3 * INTERVAL, "{silence:?}");
        Ok(())
    });
    simulation.run()
}

#[test]
fn login_waits_for_the_store_and_a_late_verdict_changes_nothing() -> Done {
    let mut simulation = simulation();
    let timeout = Config::default().login_timeout;
    host(&mut simulation, accounts().after(timeout + Duration::from_secs(1)));

    simulation.client("alice", async move {
        let (alice, _events, _task) = connect().await?;
        let asked_at = tokio::time::Instant::now();
        let late = alice.login("alice", b"wonder").await;
        assert!(matches!(late, Err(ClientError::Refused(Code::StoreUnavailable))), "{late:?}");
        assert!(asked_at.elapsed() >= timeout);
        // The verdict comes in this time; the session is still nobody's.
        tokio::time::sleep(Duration::from_secs(2)).await;
        let list = alice.all_rooms().await;
        assert!(matches!(list, Err(ClientError::Refused(Code::NotLoggedIn))), "{list:?}");
        Ok(())
    });
    simulation.run()
}

#[test]
fn drain_closes_everybody_in_time_and_ends_the_node() -> Done {
    const WITHIN: Duration = Duration::from_secs(10);
    let mut simulation = simulation();
    let (handle, handle_of_the_node) = oneshot::channel();
    simulation.client("server", serve(accounts(), |node| drop(handle.send(node))));

    simulation.client("alice", async move {
        let node = handle_of_the_node.await?;
        let (alice, mut events, _task) = connect().await?;
        alice.login("alice", b"wonder").await?;
        node.drain(WITHIN).await?;
        let drained_at = tokio::time::Instant::now();
        let Event::GoAway { after } = events.next().await? else {
            panic!("alice was not asked to leave");
        };
        alice.enter(PLAZA, None).await?;
        let closed = events.next().await;
        assert!(matches!(closed, Err(ClientError::Closed(CloseReason::Draining))), "{closed:?}");
        assert!(drained_at.elapsed() >= after && after < WITHIN, "{after:?}");
        while node.report().await.is_ok() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert_eq!(node.stop().await, Err(Stopped));
        Ok(())
    });
    simulation.run()
}

#[test]
fn same_seed_gives_the_same_course() -> Done {
    fn course() -> Result<String, Box<dyn std::error::Error>> {
        let mut simulation = simulation();
        host(&mut simulation, accounts().after(Duration::from_millis(30)));
        let (tell, told) = std::sync::mpsc::channel();
        for (user, secret) in [("alice", "wonder"), ("bob", "builder")] {
            let tell = tell.clone();
            simulation.client(user, async move {
                let (handle, mut events, _task) = connect().await?;
                let me = handle.login(user, secret.as_bytes()).await?;
                let entered = handle.enter(PLAZA, None).await?;
                handle.chat(PLAZA, "hello").await?;
                let event = tokio::time::timeout(Duration::from_secs(1), events.next()).await;
                tell.send(format!("{:?} {me:?} {entered:?} {event:?}", turmoil::sim_elapsed()))?;
                Ok(())
            });
        }
        simulation.run()?;
        drop(tell);
        Ok(told.iter().collect())
    }
    let first = course()?;
    assert_eq!(course()?, first);
    assert!(first.contains("RoomChat"), "{first}");
    Ok(())
}

#[test]
#[should_panic = "a spawned task panicked"]
fn panic_in_any_task_fails_the_simulation() {
    let mut simulation = simulation();
    simulation.client("somebody", async {
        let _task = tokio::task::spawn_local(async { panic!("a failure in a task of its own") });
        tokio::time::sleep(Duration::from_secs(1)).await;
        Ok(())
    });
    if let Err(error) = simulation.run() {
        panic!("{error}");
    }
}

#[test]
#[expect(clippy::disallowed_types, reason = "the simulation must refuse it")]
fn simulated_host_cannot_open_a_real_socket() -> Done {
    let mut simulation = simulation();
    simulation.client("somebody", async {
        let mut attempt = pin!(tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, 9)));
        // Caught here, for else it fails the simulation, as it should.
        let outcome = poll_fn(|context| {
            Poll::Ready(catch_unwind(AssertUnwindSafe(|| attempt.as_mut().poll(context).map(|_| ()))))
        });
        let panic = outcome.await.expect_err("tokio's I/O driver is enabled in the simulation");
        let message = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
        assert!(message.is_some_and(|message| message.contains("IO is disabled")), "{message:?}");
        Ok(())
    });
    simulation.run()
}
