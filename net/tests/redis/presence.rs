//! Presence leases of several nodes in a real Redis.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use lobbyd_core::id::{SessionId, Ticket};
use lobbyd_core::name::UserName;
use lobbyd_net::redis::{Link, PresenceConfig, PresenceConfigError, RedisPresence, scripts};
use lobbyd_net::stores::Presence;
use tokio::time::{Instant, sleep, timeout};

use super::support::{PATIENCE, RedisServer, connected, disconnected, pattern, run, until};

/// Long enough that nothing ends by itself within a test.
const LONG: Duration = Duration::from_secs(600);
/// Short enough that a test can wait for its end.
const SHORT: Duration = Duration::from_millis(900);

const KEY: &str = "presence:alice";

/// A daemon as far as presence goes.
struct Node {
    id: u128,
    link: Link,
    presence: RedisPresence,
}

impl Node {
    fn start(server: &RedisServer, id: u128, lease: Duration) -> Self {
        let link = server.link();
        let presence = RedisPresence::start(link.clone(), config(id, lease)).unwrap();
        Self { id, link, presence }
    }

    async fn take(&self, serial: u64) -> bool {
        self.presence.take(ticket(serial), alice(), false).await.unwrap()
    }

    /// Takes once Redis can be asked.
    async fn take_when_possible(&self, serial: u64) -> bool {
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

    async fn lost(&self) -> Ticket {
        timeout(PATIENCE, self.presence.lost()).await.expect("a lease is lost")
    }

    async fn settled(&self) {
        timeout(PATIENCE, self.presence.settled()).await.expect("everything is given back");
    }

    /// The value of a lease of this node.
    fn value(&self, serial: u64) -> String {
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

fn alice() -> UserName {
    "alice".parse().unwrap()
}

fn ticket(serial: u64) -> Ticket {
    Ticket { session: SessionId { index: 1, generation: 0 }, serial }
}

fn owner(server: &RedisServer) -> Option<String> {
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
fn a_crashed_node_frees_its_users_when_the_lease_ends() {
    run(async {
        let server = RedisServer::start(&[]);
        let (one, two) = (Node::start(&server, 0xa, SHORT), Node::start(&server, 0xb, SHORT));
        assert!(one.take(1).await);
        let crashed_at = Instant::now();
        drop(one);
        assert!(!two.take(1).await, "not before");
        until("the lease has ended", || owner(&server).is_none()).await;
        assert!(crashed_at.elapsed() <= 2 * SHORT);
        assert!(two.take(2).await);
    });
}

#[test]
fn a_lease_that_redis_forgot_is_taken_again() {
    run(async {
        let server = RedisServer::start(&[]);
        let one = Node::start(&server, 0xa, SHORT);
        assert!(one.take(1).await);
        let _: () = server.ask(&["FLUSHALL"]);
        until("it is back", || owner(&server) == Some(one.value(1))).await;
        until("it is counted", || one.presence.stats().retaken == 1).await;
        assert_eq!((one.presence.stats().held, one.presence.stats().lost), (1, 0));
    });
}

#[test]
fn a_restarted_redis_gets_all_leases_again_at_once() {
    run(async {
        let mut server = RedisServer::start(&[]);
        let one = Node::start(&server, 0xa, LONG);
        assert!(one.take(1).await);
        server.kill();
        disconnected(&one.link).await;
        server.restart();
        // The next renewal would be minutes away.
        until("it is back", || owner(&server) == Some(one.value(1))).await;
        let two = Node::start(&server, 0xb, LONG);
        assert!(!two.take(1).await);
    });
}

/// Cuts every connection and lets none in, but for `control`, until the password is taken back.
fn lock_out(control: &mut redis::Connection) {
    let _: () = redis::cmd("CONFIG").arg("SET").arg("requirepass").arg("x").query(control).unwrap();
    let _: u64 = redis::cmd("CLIENT").arg("KILL").arg("TYPE").arg("normal").query(control).unwrap();
    let _: u64 = redis::cmd("CLIENT").arg("KILL").arg("TYPE").arg("pubsub").query(control).unwrap();
}

fn let_in(control: &mut redis::Connection) {
    let _: () = redis::cmd("CONFIG").arg("SET").arg("requirepass").arg("").query(control).unwrap();
}

#[test]
fn a_lease_that_another_took_in_an_outage_is_lost() {
    run(async {
        let server = RedisServer::start(&[]);
        let mut control = server.control();
        let one = Node::start(&server, 0xa, SHORT);
        assert!(one.take(1).await);
        lock_out(&mut control);
        disconnected(&one.link).await;
        until("the lease has run out", || one.presence.stats().unprotected == 1).await;
        assert_eq!((one.presence.stats().held, one.presence.stats().lost), (1, 0), "the session stays");
        let set = || redis::cmd("SET").arg(KEY).arg("another").arg("NX").clone();
        until("the key has expired", || set().query(&mut control).unwrap()).await;
        let_in(&mut control);
        assert_eq!(one.lost().await, ticket(1));
        assert_eq!(owner(&server), Some("another".to_owned()));
    });
}

#[test]
fn a_lease_that_ran_out_in_an_outage_is_taken_again_if_it_is_free() {
    run(async {
        let server = RedisServer::start(&[]);
        let mut control = server.control();
        let one = Node::start(&server, 0xa, SHORT);
        assert!(one.take(1).await);
        lock_out(&mut control);
        until("the key has expired", || !redis::cmd("EXISTS").arg(KEY).query::<bool>(&mut control).unwrap()).await;
        let_in(&mut control);
        until("it is back", || owner(&server) == Some(one.value(1))).await;
        until("it is protected", || one.presence.stats().unprotected == 0).await;
        assert_eq!((one.presence.stats().held, one.presence.stats().retaken, one.presence.stats().lost), (1, 1, 0));
    });
}

#[test]
fn an_eviction_in_an_outage_is_learnt_after_it() {
    run(async {
        let server = RedisServer::start(&[]);
        let mut control = server.control();
        let one = Node::start(&server, 0xa, LONG);
        assert!(one.take(1).await);
        lock_out(&mut control);
        disconnected(&one.link).await;
        // Its message is lost, and the next renewal would be minutes away.
        let _: () = redis::cmd("SET").arg(KEY).arg("another").query(&mut control).unwrap();
        let_in(&mut control);
        assert_eq!(one.lost().await, ticket(1));
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
fn a_release_in_an_outage_is_made_good_after_it() {
    run(async {
        let server = RedisServer::start(&[]);
        let (one, two) = (Node::start(&server, 0xa, LONG), Node::start(&server, 0xb, LONG));
        assert!(one.take(1).await);
        server.freeze();
        assert_eq!(disconnected(&one.link).await, "did not answer within 300ms");
        one.presence.release(ticket(1), alice());
        assert_eq!(one.presence.stats().returning, 1);
        server.thaw();
        one.settled().await;
        assert_eq!(owner(&server), None);
        assert!(two.take_when_possible(1).await);
    });
}

#[test]
fn a_take_comes_after_a_release_in_an_outage() {
    run(async {
        let server = RedisServer::start(&[]);
        let one = Node::start(&server, 0xa, LONG);
        assert!(one.take(1).await);
        let first = connected(&one.link, 0).await;
        let _: () = server.ask(&["CLIENT", "PAUSE", "100000", "WRITE"]);
        one.presence.release(ticket(1), alice());
        // Neither the release nor this comes through.
        assert!(one.presence.take(ticket(2), alice(), false).await.is_err());
        let _: () = server.ask(&["CLIENT", "UNPAUSE"]);
        connected(&one.link, first).await;
        assert!(one.take(3).await);
        one.presence.release(ticket(2), alice());
        one.settled().await;
        assert_eq!(owner(&server), Some(one.value(3)));
    });
}

#[test]
fn a_take_without_an_answer_is_given_back_by_itself() {
    run(async {
        let server = RedisServer::start(&[]);
        let (one, two) = (Node::start(&server, 0xa, LONG), Node::start(&server, 0xb, LONG));
        connected(&one.link, 0).await;
        server.freeze();
        let asked_at = Instant::now();
        let error = one.presence.take(ticket(1), alice(), false).await.unwrap_err();
        assert!(error.0.contains("alice") && error.0.contains("did not answer within 300ms"), "{error}");
        assert!(asked_at.elapsed() < PATIENCE);
        assert_eq!((one.presence.stats().held, one.presence.stats().failed), (0, 1));
        // Redis now does what it was told long ago, on a connection that is gone.
        server.thaw();
        one.settled().await;
        until("the late lease was given back", || one.presence.stats().returned == 1).await;
        assert_eq!(owner(&server), None);
        assert!(two.take_when_possible(1).await, "long before the lease would have ended");
    });
}

#[test]
fn a_take_that_nobody_waits_for_any_more_is_given_back_by_itself() {
    run(async {
        let server = RedisServer::start(&[]);
        let one = Node::start(&server, 0xa, LONG);
        connected(&one.link, 0).await;
        let _: () = server.ask(&["CLIENT", "PAUSE", "100000", "WRITE"]);
        let take = one.presence.take(ticket(1), alice(), false);
        assert!(timeout(Duration::from_millis(50), take).await.is_err());
        let _: () = server.ask(&["CLIENT", "UNPAUSE"]);
        one.settled().await;
        assert_eq!((one.presence.stats().held, owner(&server)), (0, None));
        assert!(one.take(2).await);
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
fn a_given_up_take_that_runs_late_does_not_cost_the_lease_that_is_held() {
    run(async {
        let server = RedisServer::start(&[]);
        let one = Node::start(&server, 0xa, SHORT);
        assert!(one.take(1).await);
        let _: () = server.ask(&["CLIENT", "PAUSE", "100000", "WRITE"]);
        let take = one.presence.take(ticket(2), alice(), false);
        assert!(timeout(Duration::from_millis(50), take).await.is_err());
        let _: () = server.ask(&["CLIENT", "UNPAUSE"]);
        one.settled().await;
        // As if it had run after the held lease had expired, and the keeper looked at just that moment.
        let late = "redis.call('SET', KEYS[1], ARGV[1]) return redis.call('PUBLISH', 'presence:evicted', ARGV[2])";
        let _: u64 = server.ask(&["EVAL", late, "1", KEY, &one.value(2), &one.value(1)]);
        until("the held lease is back", || owner(&server) == Some(one.value(1))).await;
        until("nothing is watched any more", || one.presence.stats().returning == 0).await;
        assert_eq!((one.presence.stats().held, one.presence.stats().lost), (1, 0));
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
