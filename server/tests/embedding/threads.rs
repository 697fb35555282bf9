//! Several I/O threads: whoever is served by which, all hear the same, and they end together.

use std::panic::resume_unwind;

use lobbyd::stores::listed::ListedAccounts;
use lobbyd::{EndError, ServerHandle};
use lobbyd_core::extension::{Command, CommandHandler, Context, Failure};
use lobbyd_core::packet::CloseReason;
use lobbyd_net::client::{ClientError, Event, Events, Handle};

use crate::support::{GENERAL, builder, log_in, name, settings};

const THREADS: u32 = 3;
/// More of a room than one thread takes.
const CLIENTS: usize = 36;
const MESSAGES: usize = 30;

/// A server with several I/O threads, that knows `CLIENTS` users.
async fn start(extend: impl FnOnce(lobbyd::ServerBuilder) -> lobbyd::ServerBuilder) -> ServerHandle {
    let mut settings = settings();
    settings.server.io_threads = THREADS;
    settings.limits.flood_burst = 1_000_000;
    let accounts = || (0..CLIENTS).fold(ListedAccounts::new(), |all, number| all.with(name(&user(number)), "secret"));
    extend(builder().settings(settings).accounts(accounts)).start().await.unwrap()
}

fn user(number: usize) -> String {
    format!("user{number}")
}

/// Everything that the others say, in the order in which it comes.
async fn listen(mut events: Events) -> Vec<u64> {
    let mut heard = Vec::new();
    while heard.len() < (CLIENTS - 1) * MESSAGES {
        if let Event::RoomChat { sequence, .. } = events.next().await.unwrap() {
            heard.push(sequence);
        }
    }
    heard
}

/// Says something again and again, and gives the numbers of that.
async fn talk(client: Handle) -> Vec<u64> {
    let mut said = Vec::new();
    for number in 0..MESSAGES {
        said.push(client.chat(GENERAL, &number.to_string()).await.unwrap().sequence);
    }
    said
}

#[tokio::test]
async fn clients_of_all_threads_hear_everything_once_and_in_order() {
    let server = start(|builder| builder).await;
    let mut clients = Vec::new();
    for number in 0..CLIENTS {
        let (client, events) = log_in(&server, &user(number), "secret").await;
        client.enter(GENERAL, None).await.unwrap();
        clients.push((client, events));
    }
    let stats = server.stats().await.unwrap();
    let mut spread: Vec<_> = stats.io_threads.iter().map(|thread| thread.connections).collect();
    spread.sort_unstable();
    // The room gathers on one thread until that has a quarter above its share, and eight.
    assert!(spread[0] > 0 && (20..=23).contains(&spread[2]), "{spread:?}");
    assert!(stats.io_threads.iter().map(|thread| thread.moved_here).sum::<u64>() > 0, "{stats:?}");
    assert_eq!((stats.report.connections, stats.report.traffic.accepted), (CLIENTS as u64, CLIENTS as u64));
    let connections = server.connection_stats().await.unwrap();
    assert_eq!(connections.iter().filter(|one| one.room == Some(GENERAL)).count(), CLIENTS);

    let both =
        |(client, events): (Handle, Events)| (tokio::spawn(talk(client.clone())), tokio::spawn(listen(events)), client);
    let running: Vec<_> = clients.into_iter().map(both).collect();
    let mut kept = Vec::new();
    for (talking, listening, client) in running {
        let (said, heard) = (talking.await.unwrap(), listening.await.unwrap());
        assert!(heard.is_sorted_by(|one, next| one < next), "{heard:?}");
        let mut all = [said, heard].concat();
        all.sort_unstable();
        // So many have entered before.
        let first = CLIENTS as u64 + 1;
        assert_eq!(all, (first..first + (CLIENTS * MESSAGES) as u64).collect::<Vec<_>>());
        kept.push(client);
    }
    let stats = server.stats().await.unwrap();
    assert!(stats.io_threads.iter().all(|thread| thread.parcels > 0 && thread.appends >= 1_000), "{stats:?}");
    let report = server.stop().await.unwrap();
    assert_eq!((report.connections, report.counts.sessions, report.pool.lent), (0, 0, 0));
}

#[tokio::test]
async fn login_that_is_wrong_or_given_up_is_nothing_special_on_another_thread() {
    let server = start(|builder| builder).await;
    for number in 0..6 {
        let stream = tokio::net::TcpStream::connect(server.address()).await.unwrap();
        let (client, _events, connection) = lobbyd_net::client::connect(stream, "embedding test").await.unwrap();
        let running = tokio::spawn(connection.run());
        client.login(&user(number), b"wrong").await.unwrap_err();
        client.login(&user(number), b"secret").await.unwrap();
        client.logout().await.unwrap();
        client.login(&user(number), b"secret").await.unwrap();
        drop(client);
        running.abort();
    }
    let stats = loop {
        let stats = server.stats().await.unwrap();
        if stats.report.connections == 0 {
            break stats;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!((stats.logins.accepted, stats.logins.denied), (12, 6));
    assert_eq!(stats.io_threads.len(), THREADS as usize);
    server.stop().await.unwrap();
}

/// Where they have moved to, they end at a moment of their own; and where they were named, others come.
#[tokio::test]
async fn clients_that_move_and_are_reset_and_others_that_come_meanwhile_break_nothing() {
    const AT_ONCE: usize = 8;
    const ROUNDS: usize = 40;
    let mut settings = settings();
    settings.server.io_threads = THREADS;
    settings.limits.connects_per_address_burst = 1_000_000;
    let accounts =
        || (0..AT_ONCE * ROUNDS + 1).fold(ListedAccounts::new(), |all, number| all.with(name(&user(number)), "secret"));
    let server = builder().settings(settings).accounts(accounts).start().await.unwrap();
    let (resident, _events) = log_in(&server, &user(AT_ONCE * ROUNDS), "secret").await;
    resident.enter(GENERAL, None).await.unwrap();
    let visits = (0..AT_ONCE).map(|visitor| {
        let address = server.address();
        tokio::spawn(async move {
            for round in 0..ROUNDS {
                let stream = tokio::net::TcpStream::connect(address).await.unwrap();
                // Dropped, it is reset.
                stream.set_zero_linger().unwrap();
                let (client, _events, connection) =
                    lobbyd_net::client::connect(stream, "embedding test").await.unwrap();
                let running = tokio::spawn(connection.run());
                client.login(&user(visitor * ROUNDS + round), b"secret").await.unwrap();
                client.enter(GENERAL, None).await.unwrap();
                running.abort();
            }
        })
    });
    for visit in visits.collect::<Vec<_>>() {
        visit.await.unwrap();
    }
    let stats = loop {
        let stats = server.stats().await.unwrap();
        if stats.report.connections == 1 {
            break stats;
        }
        tokio::task::yield_now().await;
    };
    let moved: u64 = stats.io_threads.iter().map(|thread| thread.moved_here).sum();
    assert!(moved > (AT_ONCE * ROUNDS / 2) as u64, "only {moved} have moved");
    assert_eq!((stats.report.counts.sessions, stats.report.counts.members), (1, 1));
    server.stop().await.unwrap();
}

/// Panics with a word that panics itself when it is dropped, where no guard is any more.
#[derive(Clone)]
struct Mine;

struct Trap;

impl Drop for Trap {
    fn drop(&mut self) {
        panic!("on purpose")
    }
}

impl CommandHandler for Mine {
    fn command(&mut self, _: &mut Context<'_>, _: Command<'_>) -> Result<(), Failure> {
        resume_unwind(Box::new(Trap))
    }
}

#[tokio::test]
async fn server_ends_with_each_of_its_threads() {
    for victim in 0..THREADS as usize {
        let server = start(|builder| builder.command("mine", Mine)).await;
        let mut clients = Vec::new();
        for number in 0..CLIENTS {
            clients.push(log_in(&server, &user(number), "secret").await);
        }
        // Connections are spread in turn.
        clients[victim].0.command("mine", b"", 0).await.unwrap_err();
        assert_eq!(server.ended().await.map(|_| ()), Err(EndError::Broken));
        for (_, mut events) in clients {
            let end = loop {
                match events.next().await {
                    Ok(_) => {}
                    Err(end) => break end,
                }
            };
            // Not as by a stop, which says so.
            assert!(!matches!(end, ClientError::Closed(CloseReason::Stopped)), "{end:?}");
        }
    }
}
