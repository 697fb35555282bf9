//! The link to a real Redis.

use std::time::Duration;

use lobbyd_net::redis::{Link, LinkError, LinkFault, RedisAddress};
use redis::{Pipeline, Value, cmd};
use tokio::time::{Instant, timeout};

use super::support::{PATIENCE, RedisServer, connected, disconnected, link_config, run, until};

#[test]
fn the_first_command_waits_for_the_first_connection() {
    run(async {
        let server = RedisServer::start(&[]);
        let link = server.link();
        assert_eq!(link.command(cmd("SET").arg("a").arg("1")).await, Ok(Value::Okay));
        assert_eq!(link.command(cmd("GET").arg("a")).await, Ok(Value::BulkString(b"1".to_vec())));
        assert_eq!(link.command(cmd("GET").arg("b")).await, Ok(Value::Nil));
        assert_eq!(link.stats().connects, 1);
        assert_eq!(link.stats().answers, 3);
    });
}

#[test]
fn user_password_and_database_of_the_url_are_used() {
    run(async {
        let alice = ["--user", "alice", "on", ">s@crt", "~*", "&*", "+@all"];
        let server = RedisServer::start(&[&["--requirepass", "opensesame"], &alice[..]].concat());
        for login in [":opensesame", "alice:s%40crt"] {
            let url = server.url().replace("redis://", &format!("redis://{login}@")) + "/3";
            let address = RedisAddress::parse(&url).unwrap();
            let link = Link::start(address.clone(), address.dial(), link_config());
            assert_eq!(link.command(cmd("SET").arg("where").arg(login)).await, Ok(Value::Okay));
            let client: Value = link.command(cmd("CLIENT").arg("INFO")).await.unwrap();
            assert!(format!("{client:?}").contains("db=3"), "{client:?}");
        }
    });
}

#[test]
fn a_wrong_or_missing_password_is_said_clearly_and_never_shown() {
    run(async {
        let server = RedisServer::start(&["--requirepass", "opensesame"]);
        for (login, code) in [("", "NOAUTH"), (":opensesam", "WRONGPASS"), ("nobody:opensesame", "WRONGPASS")] {
            let separator = if login.is_empty() { "" } else { "@" };
            let url = server.url().replace("redis://", &format!("redis://{login}{separator}"));
            let address = RedisAddress::parse(&url).unwrap();
            let link = Link::start(address.clone(), address.dial(), link_config());
            let error = link.command(&cmd("PING")).await.unwrap_err();
            let LinkError::NotConnected(LinkFault::Refused(fault)) = &error else { panic!("{error}") };
            assert_eq!(fault.code(), code);
            assert!(!error.to_string().contains("opensesam"), "{error}");
            assert!(error.to_string().contains("password"), "{error}");
        }
    });
}

#[test]
fn a_link_without_a_redis_fails_at_once_and_connects_when_there_is_one() {
    run(async {
        let mut server = RedisServer::start(&[]);
        server.kill();
        let link = server.link();
        disconnected(&link).await;
        let asked_at = Instant::now();
        let error = link.command(&cmd("PING")).await.unwrap_err();
        assert!(matches!(error, LinkError::NotConnected(LinkFault::Unreachable(_))), "{error}");
        assert!(asked_at.elapsed() < link_config().response_timeout, "it did not fail at once");
        server.restart();
        connected(&link, 0).await;
        assert!(link.command(&cmd("PING")).await.is_ok());
        assert!(link.stats().connect_failures > 0);
    });
}

#[test]
fn a_killed_redis_is_noticed_at_once_and_a_restarted_one_found() {
    run(async {
        let mut server = RedisServer::start(&[]);
        let link = server.link();
        let first = connected(&link, 0).await;
        server.kill();
        assert_eq!(disconnected(&link).await, "closed the connection");
        server.restart();
        connected(&link, first).await;
        assert!(link.command(&cmd("PING")).await.is_ok());
        assert_eq!(link.stats().losses, 1);
    });
}

#[test]
fn a_frozen_redis_fails_every_command_within_the_timeout_and_is_used_again_when_it_thaws() {
    run(async {
        let server = RedisServer::start(&[]);
        let link = server.link();
        let first = connected(&link, 0).await;
        server.freeze();
        let asked_at = Instant::now();
        let (ping, get) = (cmd("PING"), cmd("GET").arg("a").clone());
        let (one, other) = tokio::join!(link.command(&ping), link.command(&get));
        let took = asked_at.elapsed();
        assert!(took >= link_config().response_timeout && took < PATIENCE, "{took:?}");
        for error in [one.unwrap_err(), other.unwrap_err()] {
            assert!(error.may_still_run(), "{error}");
        }
        assert_eq!(link.stats().in_flight, 0);
        server.thaw();
        connected(&link, first).await;
        assert!(link.command(&cmd("PING")).await.is_ok());
    });
}

#[test]
fn an_idle_link_finds_a_frozen_redis_by_its_ping() {
    run(async {
        let server = RedisServer::start(&[]);
        let link = server.link();
        connected(&link, 0).await;
        server.freeze();
        assert_eq!(disconnected(&link).await, "did not answer within 300ms");
        assert_eq!(link.stats().timeouts, 1);
        server.thaw();
    });
}

#[test]
fn what_redis_refuses_is_an_error_in_its_place_and_the_link_stays() {
    run(async {
        let server = RedisServer::start(&[]);
        let link = server.link();
        link.command(cmd("RPUSH").arg("list").arg("1")).await.unwrap();
        let mut pipeline = Pipeline::new();
        pipeline.cmd("SET").arg("a").arg("1").cmd("GET").arg("list").cmd("GET").arg("a");
        let answers = link.pipeline(&pipeline).await.unwrap();
        assert_eq!(answers.first(), Some(&Ok(Value::Okay)));
        let Some(Err(LinkError::Refused(fault))) = answers.get(1) else { panic!("{answers:?}") };
        assert_eq!(fault.code(), "WRONGTYPE");
        assert_eq!(answers.get(2), Some(&Ok(Value::BulkString(b"1".to_vec()))));
        assert_eq!(link.stats().losses, 0);
        assert_eq!(link.stats().refusals, 1);
    });
}

#[test]
fn a_redis_out_of_memory_is_named() {
    run(async {
        let server = RedisServer::start(&["--maxmemory", "1"]);
        let link = server.link();
        let error = link.command(cmd("SET").arg("a").arg("1")).await.unwrap_err().to_string();
        assert!(error.contains("OOM") && error.contains("maxmemory"), "{error}");
        assert!(link.command(&cmd("PING")).await.is_ok(), "the link is of use all the same");
    });
}

#[test]
fn a_replica_that_refuses_writes_is_left_for_whatever_is_at_the_address_next() {
    run(async {
        let primary = RedisServer::start(&[]);
        let replica = RedisServer::start(&[]);
        let port = primary.address().port().to_string();
        let link = replica.link();
        let first = connected(&link, 0).await;
        let _: () = replica.ask(&["REPLICAOF", "127.0.0.1", &port]);
        let error = link.command(cmd("SET").arg("a").arg("1")).await.unwrap_err();
        let LinkError::Refused(fault) = &error else { panic!("{error}") };
        assert_eq!(fault.code(), "READONLY");
        assert!(error.to_string().contains("primary"), "{error}");
        let _: () = replica.ask(&["REPLICAOF", "NO", "ONE"]);
        connected(&link, first).await;
        assert_eq!(link.command(cmd("SET").arg("a").arg("1")).await, Ok(Value::Okay));
    });
}

#[test]
fn an_answer_beyond_the_bound_is_never_collected() {
    run(async {
        let server = RedisServer::start(&[]);
        let _: () = server.ask(&["SETRANGE", "huge", "16000000", "x"]);
        let link = server.link();
        let error = link.command(cmd("GET").arg("huge")).await.unwrap_err();
        assert_eq!(error, LinkError::Lost(LinkFault::Protocol));
        connected(&link, 1).await;
        assert!(link.command(&cmd("PING")).await.is_ok());
    });
}

#[test]
fn subscriptions_outlive_a_restart() {
    run(async {
        let mut server = RedisServer::start(&[]);
        let link = server.link();
        let mut early = link.subscribe("early");
        let first = connected(&link, 0).await;
        // A channel that comes when the link is connected already.
        let mut late = link.subscribe("late");
        until("both are subscribed", || server.ask::<u64>(&["PUBLISH", "late", "0"]) == 1).await;
        server.kill();
        disconnected(&link).await;
        server.restart();
        connected(&link, first).await;
        // The link is connected before Redis has answered to the subscriptions.
        until("early is subscribed again", || server.ask::<u64>(&["PUBLISH", "early", "1"]) == 1).await;
        until("late is subscribed again", || server.ask::<u64>(&["PUBLISH", "late", "2"]) == 1).await;
        assert_eq!(timeout(PATIENCE, early.recv()).await.unwrap(), Some(b"1".to_vec()));
        assert_eq!(timeout(PATIENCE, late.recv()).await.unwrap(), Some(b"0".to_vec()));
        assert_eq!(timeout(PATIENCE, late.recv()).await.unwrap(), Some(b"2".to_vec()));
    });
}

#[test]
fn a_dropped_link_closes_its_connection() {
    run(async {
        let server = RedisServer::start(&[]);
        let link = server.link();
        connected(&link, 0).await;
        let clients = || server.ask::<String>(&["CLIENT", "LIST"]).lines().count();
        assert_eq!(clients(), 2, "the link and the one who asks");
        let other = link.clone();
        drop(link);
        assert!(other.command(&cmd("PING")).await.is_ok(), "a clone keeps it");
        drop(other);
        until("the connection is gone", || clients() == 1).await;
    });
}

#[test]
fn a_killed_connection_is_replaced() {
    run(async {
        let server = RedisServer::start(&[]);
        let link = server.link();
        let first = connected(&link, 0).await;
        let _: u64 = server.ask(&["CLIENT", "KILL", "TYPE", "normal"]);
        connected(&link, first).await;
        let pong = timeout(Duration::from_secs(5), link.command(&cmd("PING"))).await.unwrap();
        assert!(pong.is_ok());
    });
}
