//! A server built, spoken to by its handle, and stopped.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use lobbyd::{EndError, ServerHandle};
use lobbyd_core::id::RoomNumber;
use lobbyd_core::input::Account;
use lobbyd_core::name::UserName;
use lobbyd_core::packet::{CloseReason, Code};
use lobbyd_net::client::{ClientError, Event, connect};
use lobbyd_net::extension::middleware::WordFilter;
use lobbyd_net::node::{ScheduleError, Stopped};
use lobbyd_net::stores::{Accounts, LocalFuture, SecretBytes, Unavailable};
use lobbyd_net::{AskError, Lane, Message};
use tokio::net::TcpStream;

use crate::support::{Die, GENERAL, builder, log_in, name, settings};

#[tokio::test]
async fn handle_speaks_looks_and_kicks() {
    let server = builder().start().await.unwrap();
    let (alice, mut events) = log_in(&server, "alice", "wonder").await;
    alice.enter(GENERAL, None).await.unwrap();

    assert_eq!(server.announce("tea time").await, Ok(1));
    assert_eq!(events.next().await.unwrap(), Event::Announce { text: "tea time".into() });
    assert_eq!(server.send_to_user("Alice", "hello").await, Ok(1));
    assert_eq!(events.next().await.unwrap(), Event::Notice { room: None, text: "hello".into() });
    assert_eq!(server.broadcast_to_room(GENERAL, "quiet").await, Ok(1));
    assert_eq!(events.next().await.unwrap(), Event::Notice { room: Some(GENERAL), text: "quiet".into() });
    let custom = Message::Custom { command_type: "game".parse().unwrap(), data: b"go".to_vec() };
    assert_eq!(server.send_to_user("alice", custom).await, Ok(1));
    assert!(matches!(events.next().await.unwrap(), Event::Custom { .. }));

    let status = server.room_status(GENERAL).await.unwrap().unwrap();
    assert_eq!(status.users.iter().map(|user| user.name).collect::<Vec<_>>(), [name("alice")]);
    assert_eq!(server.rooms().await.unwrap(), [status.summary]);
    assert_eq!(server.kick(GENERAL, "alice", false).await, Ok(1));
    assert!(matches!(events.next().await.unwrap(), Event::Kicked { by: None, banned: false, .. }));
    alice.create_room("Mine", 2, None).await.unwrap();
    alice.leave(RoomNumber(2)).await.unwrap();
    assert_eq!(server.cleanup_empty_rooms().await, Ok(1));

    assert_eq!(server.announce("\u{7}").await, Err(AskError::Refused(Code::TextInvalid)));
    assert_eq!(server.send_to_user("nobody", "hello").await, Err(AskError::Refused(Code::UserUnknown)));
    assert_eq!(server.send_to_user("not a name", "hello").await, Err(AskError::Refused(Code::NameInvalid)));
    assert_eq!(server.kick(RoomNumber(9), "alice", false).await, Err(AskError::Refused(Code::RoomUnknown)));
    server.disconnect("alice").await.unwrap();
    assert!(matches!(events.next().await, Err(ClientError::Closed(CloseReason::OperatorClosed))));
    server.stop().await.unwrap();
}

#[tokio::test]
async fn connections_are_told_with_who_where_and_how_much() {
    let server = builder().start().await.unwrap();
    let (alice, _events) = log_in(&server, "alice", "wonder").await;
    let stream = TcpStream::connect(server.address()).await.unwrap();
    let address = stream.local_addr().unwrap();
    let (bob, mut told, connection) = connect(stream, "embedding test").await.unwrap();
    tokio::spawn(connection.run());
    bob.ping().await.unwrap();
    alice.enter(GENERAL, None).await.unwrap();
    assert_eq!(server.connection_count().await, Ok(2));

    let connections = server.connection_stats().await.unwrap();
    let [of_alice, of_bob] = &connections[..] else { panic!("{connections:?}") };
    assert_eq!((of_alice.user, of_alice.room, of_alice.closing), (Some(name("alice")), Some(GENERAL), None));
    // Hello, login, enter; Welcome, login, the list of users, entered.
    assert_eq!((of_alice.packets_in, of_alice.packets_out, of_alice.outbox_bytes), (3, 4, 0));
    assert_eq!((of_bob.user, of_bob.room, of_bob.address), (None, None, address));
    assert_eq!((of_bob.packets_in, of_bob.packets_out, of_bob.inbox_bytes), (2, 2, 0));
    assert!(of_bob.bytes_in > 0 && of_bob.bytes_out > 0 && of_bob.idle <= of_bob.connected, "{of_bob:?}");
    assert_eq!(of_bob.heartbeat_latency, None, "nobody was silent for so long that it was pinged");
    let (sum_in, sum_out) = (of_alice.bytes_in + of_bob.bytes_in, of_alice.bytes_out + of_bob.bytes_out);

    bob.login("bob", b"wrong").await.unwrap_err();
    bob.login("bob", b"builder").await.unwrap();
    assert_eq!(server.announce("to both").await, Ok(2));
    assert_eq!(told.next().await.unwrap(), Event::Announce { text: "to both".into() });
    bob.close();
    while told.next().await.is_ok() {}
    let stats = loop {
        let stats = server.stats().await.unwrap();
        if stats.report.connections == 1 {
            break stats;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!((stats.sessions.in_room, stats.sessions.in_lobby, stats.sessions.anonymous), (1, 0, 0));
    assert_eq!((stats.logins.accepted, stats.logins.denied, stats.logins.latency.count()), (2, 1, 3));
    assert_eq!(stats.closes.iter().collect::<Vec<_>>(), [(&CloseReason::Disconnected, &1)]);
    assert_eq!((stats.packets_in["LoginRequest"].packets, stats.packets_in["Hello"].packets), (3, 2));
    assert_eq!(stats.packets_out["AnnounceNotify"].packets, 2, "a broadcast counts for each recipient");
    assert_eq!((stats.packets_out["Welcome"].packets, stats.packets_out["RoomUserListNotify"].packets), (2, 1));
    let bytes = |kinds: &std::collections::BTreeMap<_, lobbyd_net::stats::PacketStats>| {
        kinds.values().map(|kind| kind.bytes).sum::<u64>()
    };
    assert_eq!(bytes(&stats.packets_in), stats.report.traffic.bytes_in, "every byte was part of a packet");
    assert_eq!(bytes(&stats.packets_out), stats.report.traffic.bytes_out, "and everything was sent");
    assert!(stats.report.traffic.bytes_in > sum_in && stats.report.traffic.bytes_out > sum_out);
    let turns = stats.batches.iter().sum::<u64>();
    assert!((1..=stats.report.traffic.packets_in).contains(&turns), "{:?}", stats.batches);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn heartbeat_of_a_silent_client_is_measured() {
    let mut settings = settings();
    settings.session.heartbeat_interval = Duration::from_millis(200);
    let server = builder().settings(settings).start().await.unwrap();
    let (_alice, _events) = log_in(&server, "alice", "wonder").await;
    let stats = loop {
        let stats = server.stats().await.unwrap();
        if stats.heartbeat.latency.count() > 0 {
            break stats;
        }
        // A machine so busy that three intervals pass without an answer would keep this waiting for ever.
        assert_eq!(stats.report.connections, 1, "she was closed before she could answer");
        tokio::task::yield_now().await;
    };
    assert!(stats.heartbeat.pings >= stats.heartbeat.latency.count(), "{:?}", stats.heartbeat);
    let connections = server.connection_stats().await.unwrap();
    assert!(connections[0].heartbeat_latency.is_some_and(|latency| latency <= stats.report.uptime * 2));
    server.stop().await.unwrap();
}

#[tokio::test]
async fn two_servers_live_in_one_process() {
    let (first, second) = (builder().start().await.unwrap(), builder().start().await.unwrap());
    assert_ne!(first.address(), second.address());
    let (alice, _events) = log_in(&first, "alice", "wonder").await;
    log_in(&second, "alice", "wonder").await.0.enter(GENERAL, None).await.unwrap();
    assert_eq!(first.stats().await.unwrap().sessions.in_lobby, 1);
    second.stop().await.unwrap();
    alice.enter(GENERAL, None).await.unwrap();
    first.stop().await.unwrap();
}

#[tokio::test]
async fn commands_are_answered_and_an_oversized_reply_is_refused() {
    let thrown = async |seed| {
        let server = builder().command("die", Die).seed(seed).start().await.unwrap();
        let (alice, _events) = log_in(&server, "alice", "wonder").await;
        let reply = alice.command("die", b"", 0).await.unwrap();
        let refused = alice.command("die", b"too long", 0).await;
        assert!(matches!(refused, Err(ClientError::Refused(Code::ExtensionFailed))), "{refused:?}");
        server.stop().await.unwrap();
        reply.data
    };
    assert_eq!(thrown(1).await, thrown(1).await);
    assert_ne!(thrown(1).await, thrown(2).await);
}

#[tokio::test]
async fn middleware_is_passed_in_the_order_of_its_adding() {
    let server = builder()
        .middleware(WordFilter::masking(["darn"]))
        .middleware(WordFilter::refusing(["darn", "heck"]))
        .start()
        .await
        .unwrap();
    let (alice, _events) = log_in(&server, "alice", "wonder").await;
    alice.enter(GENERAL, None).await.unwrap();
    alice.chat(GENERAL, "darn").await.unwrap();
    let refused = alice.chat(GENERAL, "heck").await;
    assert!(matches!(refused, Err(ClientError::Refused(Code::TextRefused))), "{refused:?}");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn scheduled_futures_run_in_their_lanes_and_a_panic_is_an_error() {
    let server = builder().start().await.unwrap();
    for lane in Lane::ALL {
        assert_eq!(server.schedule(lane, async { 6 * 7 }).await, Ok(42));
        assert_eq!(
            server.schedule(lane, async { panic!("on purpose") }).await.map(|(): ()| ()),
            Err(ScheduleError::Panicked)
        );
        // One that nobody waits for goes on, and may ask the server itself.
        let (told, here) = mpsc::channel();
        let asks = server.clone();
        let given_up = server.schedule(lane, async move { told.send(asks.connection_count().await).unwrap() });
        tokio::time::timeout(Duration::ZERO, given_up).await.ok();
        let there = tokio::task::spawn_blocking(move || here.recv()).await.unwrap();
        // It may have been given up before it was handed over.
        assert!(matches!(there, Ok(Ok(0)) | Err(_)), "{there:?}");
    }
    for stats in server.stats().await.unwrap().scheduled {
        assert_eq!((stats.running, stats.panicked), (0, 1), "{stats:?}");
        assert!(stats.done >= 2, "{stats:?}");
    }
    // What has not ended by then goes with the server.
    let endless = server.clone();
    let waiting = tokio::spawn(async move { endless.schedule(Lane::User, std::future::pending::<()>()).await });
    while server.stats().await.unwrap().scheduled[Lane::User as usize].running == 0 {
        tokio::task::yield_now().await;
    }
    server.stop().await.unwrap();
    assert_eq!(waiting.await.unwrap(), Err(ScheduleError::Stopped(Stopped)));
}

#[tokio::test]
async fn drain_lets_clients_finish_and_ends() {
    let server = builder().start().await.unwrap();
    let (_alice, mut events) = log_in(&server, "alice", "wonder").await;
    let waits = server.clone();
    let ended = tokio::spawn(async move { waits.ended().await });
    server.drain(Duration::from_millis(50)).await.unwrap();
    assert!(matches!(events.next().await, Ok(Event::GoAway { .. })));
    assert!(matches!(events.next().await, Err(ClientError::Closed(CloseReason::Draining))));
    ended.await.unwrap().unwrap();
}

#[tokio::test]
async fn configuration_is_read_from_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("lobbyd.toml");
    std::fs::write(&file, "[server]\nlisten = \"127.0.0.1:0\"\nname = \"Plaza\"\n").unwrap();
    let server = builder().config_file(&file).start().await.unwrap();
    let stream = TcpStream::connect(server.address()).await.unwrap();
    let (client, _events, _connection) = connect(stream, "embedding test").await.unwrap();
    assert_eq!(client.welcome().server.as_str(), "Plaza");
    server.stop().await.unwrap();
}

/// Accounts that fall over at the first login.
struct Fragile(Arc<AtomicU32>);

impl Accounts for Fragile {
    fn verify(&self, _: UserName, _: SecretBytes) -> LocalFuture<'_, Result<Option<Account>, Unavailable>> {
        self.0.fetch_add(1, Ordering::Relaxed);
        panic!("on purpose")
    }
}

#[tokio::test]
async fn server_that_breaks_down_ends_alone_and_says_so() {
    let asked = Arc::new(AtomicU32::new(0));
    let counted = asked.clone();
    let broken = builder().accounts(move || Fragile(counted)).start().await.unwrap();
    let other = builder().start().await.unwrap();
    let stream = TcpStream::connect(broken.address()).await.unwrap();
    let (client, _events, connection) = connect(stream, "embedding test").await.unwrap();
    tokio::spawn(connection.run());
    client.login("alice", b"wonder").await.unwrap_err();
    assert_eq!(broken.ended().await.map(|_| ()), Err(EndError::Broken));
    assert_eq!(broken.connection_count().await, Err(Stopped));
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    log_in(&other, "alice", "wonder").await;
    other.stop().await.unwrap();
}

#[test]
fn handle_is_for_any_thread_and_needs_no_runtime_of_its_own() {
    fn is_shared<T: Clone + Send + Sync + 'static>() {}
    is_shared::<ServerHandle>();
    let runtime = || tokio::runtime::Builder::new_current_thread().build().unwrap();
    let server = runtime().block_on(builder().start()).unwrap();
    let counts: Vec<_> = (0..4)
        .map(|_| {
            let server = server.clone();
            std::thread::spawn(move || runtime().block_on(server.connection_count()))
        })
        .map(|thread| thread.join().unwrap())
        .collect();
    assert_eq!(counts, [Ok(0); 4]);
    runtime().block_on(server.stop()).unwrap();
}
