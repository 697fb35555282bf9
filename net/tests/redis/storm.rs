//! Several nodes, one user, a Redis that stumbles, and everything by chance.

use std::time::Duration;

use lobbyd_core::id::{SessionId, Ticket};
use lobbyd_core::name::UserName;
use lobbyd_net::redis::{PresenceConfig, RedisPresence};
use lobbyd_net::stores::Presence;
use tokio::time::{Instant, sleep};

use super::support::{RedisServer, pattern, run, until};

const LEASE: Duration = Duration::from_millis(600);

/// Numbers by chance (SplitMix64).
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }
}

/// One node and what it believes to hold.
struct Node {
    presence: RedisPresence,
    held: Option<Ticket>,
    serial: u64,
}

fn user() -> UserName {
    "alice".parse().unwrap()
}

impl Node {
    fn start(server: &RedisServer, node: u128) -> Self {
        let config = PresenceConfig {
            key: pattern("presence:{user}"),
            channel: "presence:evicted".to_owned(),
            node,
            lease: LEASE,
            take_timeout: Duration::from_secs(1),
            leases_max: 1_000,
            seed: u64::try_from(node).unwrap(),
        };
        Self { presence: RedisPresence::start(server.link(), config).unwrap(), held: None, serial: 0 }
    }

    /// Takes or gives back, whichever is possible.
    async fn act(&mut self, replace: bool) {
        if let Some(held) = self.held.take() {
            self.presence.release(held, user());
            return;
        }
        self.serial += 1;
        let ticket = Ticket { session: SessionId { index: 1, generation: 0 }, serial: self.serial };
        if self.presence.take(ticket, user(), replace).await == Ok(true) {
            self.held = Some(ticket);
        }
    }

    /// Hears of losses that wait to be heard of.
    async fn listen(&mut self) {
        while let Ok(lost) = tokio::time::timeout(Duration::ZERO, self.presence.lost()).await {
            if self.held == Some(lost) {
                self.held = None;
            }
        }
    }

    /// Whether it holds a lease that nobody else could own.
    fn is_sure(&self) -> bool {
        let stats = self.presence.stats();
        stats.held > stats.unprotected
    }
}

async fn stumble(server: &RedisServer, chance: &mut Chance) {
    match chance.below(8) {
        0 => {
            server.freeze();
            sleep(Duration::from_millis(chance.below(1_200))).await;
            server.thaw();
        }
        1 => {
            let _: u64 = server.ask(&["CLIENT", "KILL", "TYPE", "pubsub"]);
        }
        2 => {
            let _: () = server.ask(&["CLIENT", "PAUSE", "500", "WRITE"]);
        }
        3 => {
            let _: () = server.ask(&["SCRIPT", "FLUSH"]);
        }
        _ => sleep(Duration::from_millis(chance.below(100))).await,
    }
}

/// Runs a storm of half a hundred steps. `replace` lets nodes replace each other.
fn storm(seed: u64, replace: bool) {
    run(async move {
        let server = RedisServer::start(&[]);
        let mut chance = Chance(seed);
        let mut nodes: Vec<Node> = (1..=3).map(|node| Node::start(&server, node)).collect();
        let ends_at = Instant::now() + Duration::from_secs(6);
        while Instant::now() < ends_at {
            let [one, two, three] = nodes.as_mut_slice() else { unreachable!("three were started") };
            let acts = [chance.below(2) == 0, chance.below(2) == 0, chance.below(2) == 0];
            let act = async |node: &mut Node, acts: bool| {
                if acts {
                    node.act(replace).await;
                }
                node.listen().await;
            };
            tokio::join!(act(one, acts[0]), act(two, acts[1]), act(three, acts[2]), stumble(&server, &mut chance));
            let sure = nodes.iter().filter(|node| node.is_sure()).count();
            assert!(replace || sure <= 1, "seed {seed}: {sure} nodes are sure to own the same user");
        }

        // Calm again: whoever holds something gives it back, and nothing stays behind, anywhere.
        for node in &mut nodes {
            if let Some(held) = node.held.take() {
                node.presence.release(held, user());
            }
        }
        until("all leases are gone", || {
            let stats = nodes.iter().map(|node| node.presence.stats());
            stats.map(|stats| stats.held + stats.returning).sum::<usize>() == 0
        })
        .await;
        assert_eq!(server.ask::<u64>(&["DBSIZE"]), 0, "seed {seed}: a lease without an owner stays");
        let taken: u64 = nodes.iter().map(|node| node.presence.stats().taken).sum();
        assert!(taken > 3, "seed {seed}: the storm was too strong to see anything, {taken} takes");
    });
}

#[test]
fn in_a_storm_no_two_nodes_are_sure_of_the_same_user() {
    storm(1, false);
}

#[test]
fn after_a_storm_of_replacing_nothing_stays_behind() {
    storm(2, true);
}
