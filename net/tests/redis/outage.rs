//! Presence leases when nodes crash, and when Redis is away, stands still or forgets.

use std::time::Duration;

use lobbyd_net::stores::Presence;
use tokio::time::{Instant, timeout};

use super::presence::{KEY, LONG, Node, SHORT, alice, owner, ticket};
use super::support::{PATIENCE, RedisServer, connected, disconnected, run, until};

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
