//! Whoever enters a room goes to the shard on which most of it is. Nobody notices: nothing is lost on the way, doubled or out
//! of order, in either direction.

use std::collections::BTreeSet;
use std::time::Duration;

use lobbyd_core::id::{RequestId, RoomNumber};
use lobbyd_core::packet::{ClientPacket, CloseReason, Secret, ServerPacket};
use tokio::task::yield_now;

use crate::pipe::{ClientEnd, GARDEN, PLAZA, World};
use crate::shards::{Ear, SHARDS, member, settle, stop, with_seeds};

const REQUEST: RequestId = RequestId(9);

fn enter(room: RoomNumber) -> ClientPacket<'static> {
    ClientPacket::RoomEnterRequest { request: REQUEST, room, password: None }
}

fn leave(room: RoomNumber) -> ClientPacket<'static> {
    ClientPacket::RoomLeaveRequest { request: REQUEST, room }
}

fn say(room: RoomNumber, text: &str) -> ClientPacket<'_> {
    ClientPacket::RoomChatRequest { request: REQUEST, room, text: text.into() }
}

/// Clients who are logged in and in the lobby, as many on each shard.
async fn lobby(world: &World, count: usize) -> Vec<ClientEnd> {
    let mut clients = Vec::with_capacity(count);
    for number in 0..count {
        let client = world.connect().await;
        let (user, secret) = (format!("m{number}"), Secret(b"secret".as_slice()));
        client.say(&[ClientPacket::LoginRequest { request: REQUEST, user: user.as_str().into(), secret }]);
        clients.push(client);
    }
    settle().await;
    clients.iter().for_each(|client| drop(client.read()));
    clients
}

async fn connections(world: &World) -> Vec<u64> {
    world.handle.stats().await.unwrap().io_threads.iter().map(|thread| thread.connections).collect()
}

async fn moves(world: &World) -> u64 {
    world.handle.stats().await.unwrap().io_threads.iter().map(|thread| thread.moved_here).sum()
}

async fn parcels(world: &World) -> u64 {
    world.handle.stats().await.unwrap().io_threads.iter().map(|thread| thread.parcels).sum()
}

#[tokio::test(start_paused = true)]
async fn members_of_a_room_come_together_and_talk_without_parcels() {
    with_seeds(async |seed| {
        let world = World::start_sharded(SHARDS, seed);
        let clients = lobby(&world, 36).await;
        assert_eq!(connections(&world).await, [12, 12, 12]);
        let (room, others) = clients.split_at(4);
        for client in room {
            client.say(&[enter(PLAZA)]);
            settle().await;
        }
        // The first one was on the first shard, and so was the fourth.
        assert_eq!((connections(&world).await, moves(&world).await), (vec![14, 11, 11], 2), "seed {seed}");
        let before = parcels(&world).await;
        room.iter().for_each(|client| client.say(&[say(PLAZA, "hello")]));
        settle().await;
        assert_eq!(parcels(&world).await, before, "seed {seed}");
        for client in room {
            let mut ear = Ear::default();
            ear.hear(client.read(), "a member");
            assert_eq!(ear.texts, ["hello"; 3], "those of the others");
        }
        // No shard gets more than a quarter above its share.
        others.iter().for_each(|client| client.say(&[enter(PLAZA)]));
        settle().await;
        let spread = connections(&world).await;
        assert_eq!((spread.iter().max(), spread.iter().sum()), (Some(&15), 36), "seed {seed}: {spread:?}");
        let told = world.handle.connection_stats().await.unwrap();
        let sessions: Vec<_> = told.iter().map(|one| one.session).collect();
        assert!(sessions.is_sorted() && sessions.len() == 36, "{sessions:?}");
        assert!(told.iter().all(|one| one.room == Some(PLAZA)));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn whoever_moves_hears_and_says_everything_once_and_in_order() {
    with_seeds(async |seed| {
        let world = World::start_sharded(SHARDS, seed);
        let clients = lobby(&world, 30).await;
        // Three of the first shard in the one room, three of the second in the other.
        for (number, client) in clients.iter().enumerate().take(9) {
            match number % SHARDS {
                0 => client.say(&[enter(PLAZA)]),
                1 => client.say(&[enter(GARDEN)]),
                _stays => {}
            }
        }
        settle().await;
        let moved_before = moves(&world).await;
        let mut ears: Vec<_> = clients.iter().map(|_| Ear::default()).collect();
        // Some on every shard go to and fro, and say everything in one piece.
        let hoppers: Vec<_> = clients.iter().enumerate().skip(9).take(6).collect();
        for round in 0..12_u64 {
            for (number, hopper) in &hoppers {
                let (one, other) =
                    if (round + *number as u64).is_multiple_of(2) { (PLAZA, GARDEN) } else { (GARDEN, PLAZA) };
                let texts = [1, 2, 3, 4].map(|text| format!("{number} {round} {text}"));
                hopper.say(&[
                    enter(one),
                    say(one, &texts[0]),
                    say(one, &texts[1]),
                    leave(one),
                    enter(other),
                    say(other, &texts[2]),
                    say(other, &texts[3]),
                    leave(other),
                ]);
                if (seed + round).is_multiple_of(3) {
                    yield_now().await;
                }
            }
            if round % 4 == seed % 4 {
                settle().await;
            }
        }
        settle().await;
        let moved = moves(&world).await - moved_before;
        assert!(moved > 40, "seed {seed}: they have moved {moved} times only");
        let mut heard = BTreeSet::new();
        for (number, (client, ear)) in clients.iter().zip(&mut ears).enumerate() {
            ear.hear(client.read(), &format!("with seed {seed}, {number}"));
            let before = heard.len();
            if number < 9 && number % SHARDS < 2 {
                heard.extend(ear.texts.iter().cloned());
                assert_eq!(heard.len() - before, if number < 2 { 6 * 12 * 2 } else { 0 }, "seed {seed}: {number}");
                assert_eq!(ear.texts.len(), 6 * 12 * 2);
            }
        }
        for (number, _) in &hoppers {
            let own = heard.iter().filter(|text| text.starts_with(&format!("{number} ")));
            assert_eq!(own.count(), 12 * 4);
        }
        assert_eq!(connections(&world).await.iter().sum::<u64>(), 30);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_was_not_sent_yet_goes_with_whoever_moves() {
    with_seeds(async |seed| {
        let world = World::start_sharded(SHARDS, seed);
        let clients = lobby(&world, 30).await;
        let (talker, mover) = (&clients[0], &clients[1]);
        mover.block();
        for number in 0..20 {
            let text = format!("private {number}");
            talker.say(&[ClientPacket::DirectMessageRequest {
                request: REQUEST,
                user: "m1".into(),
                text: text.as_str().into(),
            }]);
        }
        talker.say(&[enter(PLAZA)]);
        settle().await;
        mover.say(&[enter(PLAZA)]);
        settle().await;
        talker.say(&[say(PLAZA, "welcome")]);
        settle().await;
        assert_eq!((moves(&world).await, mover.read()), (1, vec![]), "seed {seed}");
        mover.unblock();
        settle().await;
        let heard = mover.read();
        let texts: Vec<_> = heard.iter().filter_map(text_of).collect();
        let expected = (0..20).map(|number| format!("private {number}")).chain(["welcome".to_owned()]);
        assert!(texts.iter().cloned().eq(expected), "seed {seed}: {heard:?}");
        let report = world.handle.report().await.unwrap();
        assert_eq!(report.pool.lent, 0, "every buffer is back in its pool");
    })
    .await;
}

fn text_of(packet: &ServerPacket) -> Option<String> {
    if let ServerPacket::DirectMessageNotify { text, .. } | ServerPacket::RoomChatNotify { text, .. } = packet {
        return Some(text.to_string());
    }
    None
}

#[tokio::test(start_paused = true)]
async fn ping_of_whoever_moves_has_its_pong() {
    with_seeds(async |seed| {
        let world = World::start_sharded(SHARDS, seed);
        let clients = lobby(&world, 30).await;
        clients[0].say(&[enter(PLAZA)]);
        settle().await;
        tokio::time::advance(Duration::from_secs(21)).await;
        settle().await;
        let heard = clients[1].read();
        let [ServerPacket::Ping { nonce }] = heard[..] else { panic!("seed {seed}: {heard:?}") };
        clients[1].say(&[enter(PLAZA), ClientPacket::Pong { nonce }]);
        settle().await;
        let stats = world.handle.stats().await.unwrap();
        assert_eq!((moves(&world).await, stats.heartbeat.latency.count()), (1, 1), "seed {seed}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn session_that_ends_where_it_has_moved_to_leaves_its_slot_to_others() {
    with_seeds(async |seed| {
        let world = World::start_sharded(SHARDS, seed);
        let clients = lobby(&world, 30).await;
        // Not on the shard that new ones come to.
        clients[1].say(&[enter(PLAZA)]);
        settle().await;
        let mut names = BTreeSet::new();
        for round in 0..20 {
            let guest = member(&world, &format!("guest{round}")).await;
            settle().await;
            names.extend(world.handle.connection_stats().await.unwrap().iter().map(|one| one.session));
            if round % 2 == 0 {
                world.handle.close_user(format!("guest{round}").parse().unwrap()).await.unwrap();
                settle().await;
                let closing = ServerPacket::Closing { reason: CloseReason::OperatorClosed };
                assert_eq!(guest.read().last(), Some(&closing), "seed {seed}");
            }
            guest.end();
            settle().await;
            assert!(guest.is_let_go() && !guest.is_reset());
        }
        // Each guest had a name of its own, in a slot that others had before.
        assert_eq!(names.len(), 30 + 20, "seed {seed}");
        let slots: BTreeSet<_> = names.iter().map(|name| name.index).collect();
        assert!(slots.len() <= 30 + SHARDS, "seed {seed}: {} slots", slots.len());
        assert_eq!(moves(&world).await, 20, "seed {seed}");
        assert_eq!(connections(&world).await, [10, 10, 10]);
        clients.iter().for_each(|client| drop(client.read()));
        let stats = world.handle.stats().await.unwrap();
        assert_eq!((stats.report.connections, stats.report.counts.sessions, stats.report.pool.lent), (30, 30, 0));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn stopped_node_ends_with_those_who_are_moving() {
    with_seeds(async |seed| {
        let world = World::start_sharded(SHARDS, seed);
        let clients = lobby(&world, 30).await;
        clients[0].say(&[enter(PLAZA)]);
        settle().await;
        clients[1..].iter().for_each(|client| client.say(&[enter(PLAZA), say(PLAZA, "hello")]));
        for _ in 0..seed {
            yield_now().await;
        }
        stop(world, &clients, seed).await;
    })
    .await;
}
