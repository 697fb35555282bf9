//! Presence leases of several nodes in a real Redis.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use lobbyd_core::id::{SessionId, Ticket};
use lobbyd_core::name::UserName;
use lobbyd_net::redis::{Link, PresenceConfig, PresenceConfigError, RedisPresence, scripts};
use lobbyd_net::stores::Presence;
use tokio::time::{Instant, sleep, timeout};

use super::support::{PATIENCE, RedisServer, connected, pattern, run, until};

/// Long enough that nothing ends by itself within a test.
pub(super) const LONG: Duration = Duration::from_secs(600);
/// Short enough that a test can wait for its end.
pub(super) const SHORT: Duration = Duration::from_millis(900);

pub(super) const KEY: &str = "presence:alice";

/// A daemon as far as presence goes.
pub(super) struct Node {
    id: u128,
    pub(super) link: Link,
    pub(super) presence: RedisPresence,
}

impl Node {
    pub(super) fn start(server: &RedisServer, id: u128, lease: Duration) -> Self {
        let link = server.link();
        let presence = RedisPresence::start(link.clone(), config(id, lease)).unwrap();
        Self { id, link, presence }
    }

    pub(super) async fn take(&self, serial: u64) -> bool {
        self.presence.take(ticket(serial), alice(), false).await.unwrap()
    }

    /// Takes once Redis can be asked.
    pub(super) async fn take_when_possible(&self, serial: u64) -> bool {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.presence.take(ticket(serial), alice(), false).await {
                Ok(taken) => return taken,
                Err(error) => assert!(Instant::now() < deadline, "{error}"),
            }
            sleep(Duration::from_millis(5)).await;
        }
    }

    async fn replace(&self, serial: u64) -> bool {
        self.presence.take(ticket(serial), alice(), true).await.unwrap()
    }

    pub(super) async fn lost(&self) -> Ticket {
        timeout(PATIENCE, self.presence.lost()).await.expect("a lease is lost")
    }

    pub(super) async fn settled(&self) {
        timeout(PATIENCE, self.presence.settled()).await.expect("everything is given back");
    }

    /// The value of a lease of this node.
    pub(super) fn value(&self, serial: u64) -> String {
        format!("{:032x}:1.0#{serial}", self.id)
    }
}

fn config(node: u128, lease: Duration) -> PresenceConfig {
    PresenceConfig {
        key: pattern("presence:{user}"),
        channel: "presence:evicted".to_owned(),
        node,
        lease,
        take_timeout: Duration::from_secs(2),
        leases_max: 10_000,
        seed: u64::try_from(node).unwrap(),
    }
}

pub(super) fn alice() -> UserName {
    "alice".parse().unwrap()
}

pub(super) fn ticket(serial: u64) -> Ticket {
    Ticket { session: SessionId { index: 1, generation: 0 }, serial }
}

pub(super) fn owner(server: &RedisServer) -> Option<String> {
    server.ask(&["GET", KEY])
}

#[test]
fn a_user_is_online_at_one_node_at_a_time() {
    run(async {
        let server = RedisServer::start(&[]);
        let (one, two) = (Node::start(&server, 0xa, LONG), Node::start(&server, 0xb, LONG));
        assert!(one.take(1).await);
        assert_eq!(owner(&server), Some("0000000000000000000000000000000a:1.0#1".to_owned()));
        let life: u64 = server.ask(&["PTTL", KEY]);
        assert!(life > 590_000 && life <= 600_000, "{life}");
        assert!(!two.take(1).await);
        assert!(!one.take(2).await, "at its own node too");
        one.presence.release(ticket(1), alice());
        one.settled().await;
        assert!(two.take(2).await);
        assert_eq!(owner(&server), Some(two.value(2)));
        let stats = one.presence.stats();
        assert_eq!((stats.held, stats.taken, stats.refused, stats.returned, stats.returning), (0, 1, 1, 1, 0));
    });
}

#[test]
fn takes_at_the_same_moment_have_one_winner() {
    run(async {
        let server = RedisServer::start(&[]);
        let (one, two) = (Node::start(&server, 0xa, LONG), Node::start(&server, 0xb, LONG));
        let (a, b, c, d) = tokio::join!(one.take(1), two.take(1), one.take(2), two.take(2));
        assert_eq!([a, b, c, d].into_iter().filter(|taken| *taken).count(), 1);
        assert_eq!(one.presence.stats().held + two.presence.stats().held, 1);
    });
}

#[test]
fn only_the_owner_gives_a_lease_back() {
    run(async {
        let server = RedisServer::start(&[]);
        let (one, two) = (Node::start(&server, 0xa, LONG), Node::start(&server, 0xb, LONG));
        assert!(one.take(1).await);
        assert!(!one.take(2).await);
        two.presence.release(ticket(1), alice());
        one.presence.release(ticket(2), alice());
        one.presence.release(ticket(1), "bob".parse().unwrap());
        one.settled().await;
        two.settled().await;
        assert_eq!(owner(&server), Some(one.value(1)));
        assert_eq!(one.presence.stats().held, 1);
    });
}

#[test]
fn a_release_does_not_delete_what_another_has_taken_meanwhile() {
    run(async {
        let server = RedisServer::start(&[]);
        let one = Node::start(&server, 0xa, LONG);
        assert!(one.take(1).await);
        let _: () = server.ask(&["SET", KEY, "another"]);
        one.presence.release(ticket(1), alice());
        one.settled().await;
        assert_eq!(owner(&server), Some("another".to_owned()));
        assert_eq!(one.presence.stats().returned, 0);
    });
}

#[test]
fn a_take_right_behind_a_release_succeeds() {
    run(async {
        let server = RedisServer::start(&[]);
        let one = Node::start(&server, 0xa, LONG);
        assert!(one.take(1).await);
        for serial in 1..100 {
            one.presence.release(ticket(serial), alice());
            assert!(one.take(serial + 1).await, "{serial}");
        }
        assert_eq!(owner(&server), Some(one.value(100)));
    });
}

#[test]
fn replacing_tells_the_old_owner_at_once() {
    run(async {
        let server = RedisServer::start(&[]);
        let (one, two) = (Node::start(&server, 0xa, LONG), Node::start(&server, 0xb, LONG));
        assert!(one.take(1).await);
        assert!(two.replace(1).await);
        // Its next renewal would be minutes away.
        assert_eq!(one.lost().await, ticket(1));
        assert_eq!(owner(&server), Some(two.value(1)));
        assert_eq!((one.presence.stats().held, one.presence.stats().lost), (0, 1));
        one.presence.release(ticket(1), alice());
        one.settled().await;
        assert_eq!(owner(&server), Some(two.value(1)), "what is lost is not given back");
        assert!(one.replace(2).await);
        assert_eq!(two.lost().await, ticket(1));
    });
}

#[test]
fn replacing_a_lease_of_the_same_node_loses_that_one() {
    run(async {
        let server = RedisServer::start(&[]);
        let one = Node::start(&server, 0xa, LONG);
        assert!(one.replace(1).await, "also when there is none");
        assert!(one.replace(2).await);
        assert_eq!(one.lost().await, ticket(1));
        one.presence.release(ticket(1), alice());
        one.settled().await;
        assert_eq!(owner(&server), Some(one.value(2)));
        assert_eq!((one.presence.stats().held, one.presence.stats().lost), (1, 1));
    });
}

#[test]
fn replacing_again_and_again_from_all_sides_leaves_one_owner() {
    run(async {
        let server = RedisServer::start(&[]);
        let (one, two) = (Node::start(&server, 0xa, LONG), Node::start(&server, 0xb, LONG));
        for serial in 0..20 {
            let (first, second) = tokio::join!(one.replace(serial), two.replace(serial));
            assert!(first && second, "a replace is never refused");
        }
        until("one of them has lost", || one.presence.stats().held + two.presence.stats().held == 1).await;
        let holder = if one.presence.stats().held == 1 { &one } else { &two };
        assert_eq!(owner(&server), Some(holder.value(19)));
        assert_eq!(one.presence.stats().lost + two.presence.stats().lost, 39);
    });
}

#[test]
fn a_forged_eviction_closes_nobody() {
    run(async {
        let server = RedisServer::start(&[]);
        let one = Node::start(&server, 0xa, LONG);
        assert!(one.take(1).await);
        assert_eq!(server.ask::<u64>(&["PUBLISH", "presence:evicted", &one.value(1)]), 1);
        until("it has looked at the key", || one.presence.stats().renewed == 1).await;
        assert_eq!((one.presence.stats().held, one.presence.stats().lost), (1, 0));
    });
}

#[test]
fn a_lease_is_renewed_for_as_long_as_it_is_held() {
    run(async {
        let server = RedisServer::start(&[]);
        let one = Node::start(&server, 0xa, SHORT);
        assert!(one.take(1).await);
        let taken_at = Instant::now();
        until("three lives have passed", || {
            assert_eq!(owner(&server), Some(one.value(1)), "after {:?}", taken_at.elapsed());
            taken_at.elapsed() > 3 * SHORT
        })
        .await;
        assert!(one.presence.stats().renewed >= 9);
        assert_eq!(one.presence.stats().unprotected, 0);
    });
}

#[test]
fn a_lease_that_has_another_value_at_its_renewal_is_lost() {
    run(async {
        let server = RedisServer::start(&[]);
        let one = Node::start(&server, 0xa, SHORT);
        assert!(one.take(1).await);
        let _: () = server.ask(&["SET", KEY, "another"]);
        assert_eq!(one.lost().await, ticket(1));
        assert_eq!(owner(&server), Some("another".to_owned()));
        assert!(timeout(Duration::from_millis(1), one.presence.lost()).await.is_err(), "it is lost once");
    });
}

#[test]
fn a_lease_released_before_its_take_is_answered_is_not_kept() {
    run(async {
        let server = RedisServer::start(&[]);
        let one = Node::start(&server, 0xa, LONG);
        connected(&one.link, 0).await;
        let mut take = one.presence.take(ticket(1), alice(), false);
        assert!(poll_fn(|context| Poll::Ready(take.as_mut().poll(context).is_pending())).await, "it is on its way");
        one.presence.release(ticket(1), alice());
        assert!(take.await.is_err());
        one.settled().await;
        assert_eq!((one.presence.stats().held, owner(&server)), (0, None));
    });
}

#[test]
fn a_replace_takes_a_lease_only_from_the_owner_that_it_names() {
    run(async {
        let server = RedisServer::start(&[]);
        let replace = |owner: &str| -> redis::Value {
            server.ask(&["EVAL", scripts::REPLACE, "1", KEY, "new", "100000", owner, "presence:evicted"])
        };
        let _: () = server.ask(&["SET", KEY, "later"]);
        for expected in ["", "earlier"] {
            assert_eq!(replace(expected), redis::Value::BulkString(b"later".to_vec()));
            assert_eq!(owner(&server), Some("later".to_owned()));
        }
        assert_eq!(replace("later"), redis::Value::Int(1));
        assert_eq!(owner(&server), Some("new".to_owned()));
        assert!(server.ask::<u64>(&["PTTL", KEY]) <= 100_000, "it has an end");
    });
}

#[test]
fn flushed_scripts_are_not_missed() {
    run(async {
        let server = RedisServer::start(&[]);
        let (one, two) = (Node::start(&server, 0xa, SHORT), Node::start(&server, 0xb, SHORT));
        assert!(one.take(1).await);
        for serial in 1..20 {
            let _: () = server.ask(&["SCRIPT", "FLUSH"]);
            assert!(two.replace(serial).await);
            let _: () = server.ask(&["SCRIPT", "FLUSH"]);
            assert!(one.replace(serial + 1).await);
        }
        one.presence.release(ticket(20), alice());
        one.settled().await;
        assert_eq!(owner(&server), None);
    });
}

#[test]
fn a_key_of_another_type_lets_nobody_in_and_throws_nobody_out() {
    run(async {
        let server = RedisServer::start(&[]);
        let one = Node::start(&server, 0xa, SHORT);
        assert!(one.take(1).await);
        let _: u64 = server.ask(&["DEL", KEY]);
        let _: u64 = server.ask(&["RPUSH", KEY, "x"]);
        until("a renewal has found it", || one.presence.stats().unprotected == 1).await;
        assert_eq!((one.presence.stats().held, one.presence.stats().lost), (1, 0));
        let two = Node::start(&server, 0xb, SHORT);
        assert!(!two.take(1).await);
        let error = two.presence.take(ticket(2), alice(), true).await.unwrap_err();
        assert!(error.0.contains("WRONGTYPE"), "{error}");
        one.presence.release(ticket(1), alice());
        one.settled().await;
        assert_eq!(server.ask::<u64>(&["LLEN", KEY]), 1, "it is not ours to delete");
    });
}

#[test]
fn thousands_of_leases_are_renewed_in_few_commands() {
    run(async {
        let server = RedisServer::start(&[]);
        let lease = Duration::from_secs(3);
        let one = Node::start(&server, 0xa, lease);
        let users: Vec<UserName> = (0..2_000).map(|number| format!("user{number}").parse().unwrap()).collect();
        for (serial, user) in (0..).zip(&users) {
            assert_eq!(one.presence.take(ticket(serial), *user, false).await, Ok(true));
        }
        let renewed = one.presence.stats().renewed;
        let _: () = server.ask(&["CONFIG", "RESETSTAT"]);
        let started_at = Instant::now();
        until("two lives have passed", || started_at.elapsed() > 2 * lease).await;
        assert_eq!(server.ask::<u64>(&["DBSIZE"]), 2_000);
        let (renewed, calls) = (one.presence.stats().renewed - renewed, server.calls("eval"));
        assert!(renewed >= 10_000, "{renewed} renewals");
        assert!(calls < renewed / 4, "{calls} commands for {renewed} renewals");
        assert_eq!((one.presence.stats().held, one.presence.stats().unprotected), (2_000, 0));
        for (serial, user) in (0..).zip(&users) {
            one.presence.release(ticket(serial), *user);
        }
        let calls = server.calls("eval");
        one.settled().await;
        assert_eq!(server.ask::<u64>(&["DBSIZE"]), 0);
        assert!(server.calls("eval") - calls < 100);
    });
}

#[test]
fn settings_that_cannot_hold_are_refused() {
    run(async {
        let server = RedisServer::start(&[]);
        let refused = |change: fn(&mut PresenceConfig)| {
            let mut config = config(1, LONG);
            change(&mut config);
            RedisPresence::start(server.link(), config).err()
        };
        let short = Duration::from_millis(99);
        assert_eq!(refused(|config| config.lease = Duration::from_millis(99)), Some(PresenceConfigError::Lease(short)));
        assert_eq!(refused(|config| config.channel.clear()), Some(PresenceConfigError::Channel));
        assert_eq!(refused(|_| {}), None);
    });
}
