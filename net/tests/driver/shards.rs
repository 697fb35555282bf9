//! Several shards: each client is served by one, and hears the same as if there were but one. They run on one thread here,
//! and hand each other the same parcels as I/O threads do, in the order that a seed gives.

use std::collections::BTreeSet;
use std::time::Duration;

use lobbyd_core::id::RequestId;
use lobbyd_core::packet::{ClientPacket, CloseReason, Secret, ServerPacket};
use tokio::task::{LocalSet, yield_now};

use crate::pipe::{ClientEnd, PLAZA, World};

/// As many seeds find each of the faults that `shards.rs` is against; the tests take no second.
const SEEDS: u64 = 40;
pub(crate) const SHARDS: usize = 3;

/// Lets everybody run until nobody has anything to do, however long they dawdle.
pub(crate) async fn settle() {
    for _ in 0..400 {
        yield_now().await;
    }
}

pub(crate) async fn with_seeds(mut scene: impl AsyncFnMut(u64)) {
    for seed in 1..=SEEDS {
        LocalSet::new().run_until(scene(seed)).await;
    }
}

/// A client who is logged in and in the room.
pub(crate) async fn member(world: &World, name: &str) -> ClientEnd {
    let client = world.connect().await;
    settle().await;
    client.say(&[ClientPacket::LoginRequest { request: RequestId(1), user: name.into(), secret: Secret(b"secret") }]);
    settle().await;
    enter(&client);
    settle().await;
    client
}

/// Members of the room, who come one after the other.
async fn members(world: &World, names: &[&str]) -> Vec<ClientEnd> {
    let mut members = Vec::with_capacity(names.len());
    for name in names {
        members.push(member(world, name).await);
    }
    members
}

fn enter(client: &ClientEnd) {
    client.say(&[ClientPacket::RoomEnterRequest { request: RequestId(2), room: PLAZA, password: None }]);
}

fn chat(text: &str) -> ClientPacket<'_> {
    ClientPacket::RoomChatRequest { request: RequestId(3), room: PLAZA, text: text.into() }
}

/// The number of the change in the room that a packet tells of.
fn change(packet: &ServerPacket) -> Option<u64> {
    if let ServerPacket::RoomUserListNotify { sequence, .. }
    | ServerPacket::RoomNewUserNotify { sequence, .. }
    | ServerPacket::RoomLeaveUserNotify { sequence, .. }
    | ServerPacket::RoomChatNotify { sequence, .. } = packet
    {
        return Some(*sequence);
    }
    if let ServerPacket::RoomChatResponse { result, .. } | ServerPacket::RoomLeaveResponse { result, .. } = packet {
        return Some(result.as_ref().unwrap().sequence);
    }
    None
}

/// What a client has heard of a room, checked as it comes: each change once, in its order.
#[derive(Default)]
pub(crate) struct Ear {
    /// The number of the last change; none outside of the room.
    pub(crate) last: Option<u64>,
    pub(crate) texts: Vec<String>,
}

impl Ear {
    pub(crate) fn hear(&mut self, packets: Vec<ServerPacket>, whose: &str) {
        for packet in packets {
            let Some(sequence) = change(&packet) else { continue };
            if let ServerPacket::RoomUserListNotify { .. } = packet {
                self.last = Some(sequence);
                continue;
            }
            let expected = self.last.map(|last| last + 1);
            assert_eq!(Some(sequence), expected, "{whose} hears this after number {:?}: {packet:?}", self.last);
            self.last = Some(sequence);
            if let ServerPacket::RoomChatNotify { text, .. } = packet {
                self.texts.push(text.to_string());
            } else if let ServerPacket::RoomLeaveResponse { .. } = packet {
                self.last = None;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn members_on_three_shards_hear_every_change_once_and_in_order() {
    with_seeds(async |seed| {
        let world = World::start_sharded(SHARDS, seed);
        let names: Vec<_> = (0..9).map(|number| format!("m{number}")).collect();
        let mut members = Vec::new();
        for name in &names {
            members.push((member(&world, name).await, Ear::default()));
        }
        let stats = world.handle.stats().await.unwrap();
        assert_eq!(stats.io_threads.iter().map(|thread| thread.connections).collect::<Vec<_>>(), [3, 3, 3]);
        for round in 0..20_u64 {
            for (number, (client, _)) in (0..).zip(&members) {
                let text = format!("{number} says {round}");
                match (round + number) % 10 {
                    // Out and in again, and what it says is about the room it has come back to.
                    0 => {
                        client.say(&[ClientPacket::RoomLeaveRequest { request: RequestId(4), room: PLAZA }]);
                        enter(client);
                        client.say(&[chat(&text)]);
                    }
                    1..=6 => client.say(&[chat(&text), chat(&text)]),
                    _rests => {}
                }
                if (seed + round + number).is_multiple_of(4) {
                    yield_now().await;
                }
            }
        }
        settle().await;
        for (name, (client, ear)) in names.iter().zip(&mut members) {
            ear.hear(client.read(), &format!("with seed {seed}, {name}"));
            assert!(ear.texts.len() > 150, "{name} has heard {} texts", ear.texts.len());
        }
        let last: BTreeSet<_> = members.iter().map(|(_, ear)| ear.last).collect();
        assert_eq!(last.len(), 1, "all have heard the last change: {last:?}");
        let stats = world.handle.stats().await.unwrap();
        assert!(stats.io_threads.iter().all(|thread| thread.parcels > 0 && thread.appends > 300), "{stats:?}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn whoever_comes_hears_nothing_that_was_meant_for_others() {
    with_seeds(async |seed| {
        let world = World::start_sharded(SHARDS, seed);
        let talkers = [member(&world, "ada").await, member(&world, "grace").await];
        for round in 0..10 {
            let leaver = member(&world, &format!("m{round}")).await;
            talkers.iter().for_each(|talker| talker.say(&[chat("one"), chat("two")]));
            leaver.end();
            talkers.iter().for_each(|talker| talker.say(&[chat("three")]));
            let newcomer = world.connect().await;
            talkers.iter().for_each(|talker| talker.say(&[chat("four")]));
            settle().await;
            assert_eq!(newcomer.read(), [], "seed {seed}");
            newcomer.end();
            settle().await;
            assert!(leaver.is_let_go() && newcomer.is_let_go());
        }
        assert_eq!(world.handle.report().await.unwrap().connections, 2);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn client_of_any_shard_reads_why_it_is_closed_after_all_that_came_before() {
    with_seeds(async |seed| {
        let world = World::start_sharded(SHARDS, seed);
        let names = ["ada", "grace", "mary", "joan"];
        let clients = members(&world, &names).await;
        for (name, client) in names.iter().zip(&clients) {
            clients[0].say(&[chat("before")]);
            world.handle.close_user(name.parse().unwrap()).await.unwrap();
            clients[3].say(&[chat("after")]);
            settle().await;
            let heard = client.read();
            let closing = ServerPacket::Closing { reason: CloseReason::OperatorClosed };
            assert_eq!(heard.last(), Some(&closing), "seed {seed}, {name}");
            assert!(client.is_closed());
            client.end();
            settle().await;
            assert!(client.is_let_go() && !client.is_reset());
        }
        assert_eq!(world.handle.report().await.unwrap().counts.sessions, 0);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn slow_consumer_of_any_shard_is_closed_and_disturbs_nobody() {
    with_seeds(async |seed| {
        let world = World::start_sharded(SHARDS, seed);
        let talker = member(&world, "talker").await;
        let listener = member(&world, "listener").await;
        let slow = [member(&world, "slow1").await, member(&world, "slow2").await, member(&world, "slow3").await];
        slow.iter().for_each(ClientEnd::block);
        let text = "x".repeat(900);
        for _ in 0..200 {
            talker.say(&[chat(&text)]);
            yield_now().await;
        }
        settle().await;
        let mut ear = Ear::default();
        ear.hear(listener.read(), "the listener");
        assert_eq!(ear.texts.len(), 200);
        let stats = world.handle.stats().await.unwrap();
        assert_eq!((stats.report.counts.sessions, stats.report.connections), (2, 5), "seed {seed}");
        tokio::time::advance(Duration::from_secs(2)).await;
        settle().await;
        let closes = world.handle.stats().await.unwrap().closes;
        assert_eq!(closes.into_iter().collect::<Vec<_>>(), [(CloseReason::SlowConsumer, 3)]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn silent_clients_of_all_shards_are_pinged_and_heard() {
    with_seeds(async |seed| {
        let world = World::start_sharded(SHARDS, seed);
        let clients = [world.connect().await, world.connect().await, world.connect().await, world.connect().await];
        tokio::time::advance(Duration::from_secs(21)).await;
        settle().await;
        for client in &clients {
            let heard = client.read();
            let [ServerPacket::Ping { nonce }] = heard[..] else { panic!("seed {seed}: {heard:?}") };
            client.say(&[ClientPacket::Pong { nonce }]);
        }
        settle().await;
        let heartbeat = world.handle.stats().await.unwrap().heartbeat;
        assert_eq!((heartbeat.pings, heartbeat.latency.count()), (4, 4));
        let connections = world.handle.connection_stats().await.unwrap();
        assert_eq!(connections.iter().filter(|one| one.heartbeat_latency.is_some()).count(), 4);
        let slots: BTreeSet<_> = connections.iter().map(|one| one.session.index).collect();
        // The third shard has the numbers that end on 2, and there is no fourth.
        assert_eq!(slots, BTreeSet::from([0, 1, 2, 4]));
    })
    .await;
}

/// The node stops, and all its clients learn of it.
pub(crate) async fn stop(world: World, clients: &[ClientEnd], seed: u64) {
    world.handle.stop().await.unwrap();
    settle().await;
    for client in clients {
        assert!(client.is_closed() && !client.is_reset(), "seed {seed}");
        client.end();
    }
    let report = world.running.await.unwrap();
    assert_eq!((report.connections, report.traffic.accepted, report.pool.lent), (0, clients.len() as u64, 0));
    assert_eq!((report.counts.sessions, report.lanes.system.waiting), (0, 0));
    assert!(world.handle.report().await.is_err());
}

#[tokio::test(start_paused = true)]
async fn stopped_node_ends_with_all_its_shards() {
    with_seeds(async |seed| {
        let world = World::start_sharded(SHARDS, seed);
        let names = ["ada", "grace", "mary", "joan"];
        let clients = members(&world, &names).await;
        stop(world, &clients, seed).await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn talkers_rest_while_a_shard_has_more_to_do_than_it_may() {
    with_seeds(async |seed| {
        if seed > 3 {
            return;
        }
        let world = World::start_sharded(SHARDS, seed);
        let members = members(&world, &["ada", "grace", "mary"]).await;
        members.iter().for_each(|member| drop(member.read()));
        let text = "x".repeat(1_000);
        let message = [chat(&text)];
        world.last_shard_is_stopped.set(true);
        (0..3_000).for_each(|_| members[0].say(&message));
        settle().await;
        // A mailbox holds a MiB, and the turn that made it so much.
        let unread = members[0].unread();
        assert!((1_000_000..2_000_000).contains(&unread), "seed {seed}: {unread} of 3 MB are not read");
        members[1].say(&message);
        settle().await;
        assert_eq!(members[0].unread(), unread, "nobody is read");
        world.last_shard_is_stopped.set(false);
        settle().await;
        settle().await;
        for member in &members {
            assert_eq!(member.unread(), 0);
            let mut last = None;
            let chats: Vec<_> = member.read().iter().filter_map(change).collect();
            for sequence in &chats {
                assert!(last.is_none_or(|last| last + 1 == *sequence));
                last = Some(*sequence);
            }
            assert_eq!(chats.len(), 3_001);
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn shard_that_others_rest_for_is_woken_also_in_the_middle_of_their_round() {
    LocalSet::new()
        .run_until(async {
            let world = World::start_sharded(2, 0);
            let (mut talkers, mut others) = (Vec::new(), Vec::new());
            for number in 0..80 {
                // The next one goes to the other shard.
                talkers.push(member(&world, &format!("m{number}")).await);
                others.push(world.connect().await);
            }
            let listener = &others[0];
            listener.say(&[ClientPacket::LoginRequest {
                request: RequestId(1),
                user: "listener".into(),
                secret: Secret(b"secret"),
            }]);
            settle().await;
            enter(listener);
            settle().await;
            listener.read();
            // So many have their turn in one round that the other's mailbox is crammed before its end.
            let text = "x".repeat(1_000);
            let messages = [(); 20].map(|()| chat(&text));
            talkers.iter().for_each(|talker| talker.say(&messages));
            settle().await;
            assert_eq!(talkers.iter().map(ClientEnd::unread).sum::<usize>(), 0);
            assert_eq!(listener.read().len(), 80 * 20);
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn node_breaks_down_with_a_shard_that_ends_before_it() {
    LocalSet::new()
        .run_until(async {
            let world = World::start_without_its_last_shard(SHARDS);
            assert!(world.running.await.unwrap_err().is_panic());
            assert!(world.handle.report().await.is_err());
        })
        .await;
}
