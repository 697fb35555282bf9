//! A Redis that is slow, down, or lies: on paused time, so that the times are exact.

use std::cell::Cell;
use std::time::Duration;

use lobbyd_core::id::{SessionId, Ticket};
use lobbyd_net::redis::{LinkConfig, LinkError, LinkFault, PresenceConfig, RedisPresence};
use lobbyd_net::stores::Presence;
use redis::{Value, cmd};
use tokio::time::{Instant, sleep, timeout};

use super::accounts::{hashed, tokens, verify};
use super::fake::{Answer, Fake, bytes, run_paused};
use super::support::{connected, disconnected, pattern};

fn second() -> Duration {
    Duration::from_secs(1)
}

fn is(command: &[String], word: &str) -> bool {
    command.first().is_some_and(|first| first == word)
}

#[test]
fn attempts_are_spaced_by_a_growing_pause_that_a_seed_repeats() {
    let attempts = |seed| {
        let fake = Fake::new(|_, _| Answer::Usual);
        let seen = fake.dialled_at.clone();
        run_paused(async move {
            fake.is_down.set(true);
            let _link = fake.link(|config| config.seed = seed);
            sleep(Duration::from_secs(20)).await;
        });
        let at: Vec<Instant> = seen.take();
        at.windows(2).map(|pair| pair[1] - pair[0]).collect::<Vec<_>>()
    };
    let pauses = attempts(1);
    let mut whole = Duration::from_millis(50);
    for (place, pause) in pauses.iter().enumerate() {
        // The timer of tokio counts in milliseconds and rounds up.
        assert!(*pause >= whole / 2 && *pause <= whole + Duration::from_millis(1), "pause {place}: {pause:?}");
        whole = (whole * 2).min(Duration::from_secs(2));
    }
    assert!((12..=30).contains(&pauses.len()), "{} attempts in 20 s", pauses.len());
    assert_eq!(pauses, attempts(1));
    assert_ne!(pauses, attempts(2));
}

#[test]
fn commands_fail_at_once_while_there_is_no_connection() {
    run_paused(async {
        let fake = Fake::new(|_, _| Answer::Usual);
        fake.is_down.set(true);
        let link = fake.link(|_| {});
        disconnected(&link).await;
        let asked_at = Instant::now();
        for _ in 0..10_000 {
            let error = link.command(&cmd("GET")).await.unwrap_err();
            assert!(!error.was_sent());
        }
        assert_eq!(asked_at.elapsed(), Duration::ZERO);
        fake.is_down.set(false);
        connected(&link, 0).await;
        assert_eq!(link.command(&cmd("GET")).await, Ok(Value::Okay));
        assert_eq!(fake.count("GET"), 1, "nothing was queued");
    });
}

#[test]
fn an_answer_that_does_not_come_ends_the_connection_after_exactly_the_timeout() {
    run_paused(async {
        let fake = Fake::new(|connection, command| match connection {
            1 if is(command, "GET") => Answer::Nothing,
            _ => Answer::Usual,
        });
        let link = fake.link(|_| {});
        connected(&link, 0).await;
        let asked_at = Instant::now();
        let error = link.command(&cmd("GET")).await.unwrap_err();
        assert_eq!(asked_at.elapsed(), second());
        assert_eq!(error, LinkError::Lost(LinkFault::ResponseTimeout(second())));
        connected(&link, 1).await;
        assert_eq!(link.command(&cmd("GET")).await, Ok(Value::Okay));
        assert_eq!(link.stats().timeouts, 1);
    });
}

#[test]
fn a_handshake_that_hangs_is_given_up() {
    run_paused(async {
        let fake = Fake::new(|connection, _| if connection == 1 { Answer::Nothing } else { Answer::Usual });
        let link = fake.link(|_| {});
        let started_at = Instant::now();
        // The first command waits for the connection no longer than for an answer.
        let error = link.command(&cmd("GET")).await.unwrap_err();
        assert_eq!(error, LinkError::NotConnected(LinkFault::ConnectTimeout(second())));
        assert_eq!(started_at.elapsed(), second());
        assert_eq!(disconnected(&link).await, LinkFault::ConnectTimeout(2 * second()).to_string());
        assert_eq!(started_at.elapsed(), 2 * second());
        connected(&link, 0).await;
        assert_eq!(fake.connections(), 2);
    });
}

#[test]
fn only_an_idle_link_is_pinged() {
    run_paused(async {
        let fake = Fake::new(|_, _| Answer::Usual);
        let link = fake.link(|config| config.ping_interval = 5 * second());
        connected(&link, 0).await;
        assert_eq!(fake.count("PING"), 1, "the one of the handshake");
        for _ in 0..20 {
            sleep(second()).await;
            link.command(&cmd("GET")).await.unwrap();
        }
        assert_eq!(fake.count("PING"), 1);
        sleep(Duration::from_millis(20_500)).await;
        assert_eq!(fake.count("PING"), 1 + 4);
    });
}

#[test]
fn an_unanswered_ping_ends_the_connection() {
    run_paused(async {
        let pings = Cell::new(0);
        let fake = Fake::new(move |connection, command| {
            pings.set(pings.get() + u32::from(is(command, "PING")));
            if connection == 1 && pings.get() == 2 { Answer::Nothing } else { Answer::Usual }
        });
        let link = fake.link(|_| {});
        connected(&link, 0).await;
        let connected_at = Instant::now();
        assert_eq!(disconnected(&link).await, LinkFault::ResponseTimeout(second()).to_string());
        assert_eq!(connected_at.elapsed(), 6 * second());
        connected(&link, 1).await;
    });
}

#[test]
fn a_server_that_drops_every_connection_is_not_hammered() {
    run_paused(async {
        let fake = Fake::new(|_, command| if is(command, "GET") { Answer::Close } else { Answer::Usual });
        let link = fake.link(|_| {});
        let started_at = Instant::now();
        while started_at.elapsed() < Duration::from_secs(60) {
            let _ = link.command(&cmd("GET")).await;
            sleep(Duration::from_millis(1)).await;
        }
        assert!(fake.connections() < 60, "{} connections in a minute", fake.connections());
    });
}

#[test]
fn an_old_redis_that_repeats_the_password_does_not_bring_it_into_an_error() {
    run_paused(async {
        let answers = [
            "-ERR unknown command `HELLO`, with args beginning with: `3`, `AUTH`, `default`, `s3cret`, \r\n",
            "-ERR unknown command 'HELLO', with args beginning with: '3' 'AUTH' 'default' 's3cret' \r\n",
            "-s3cret s3cret\r\n",
        ];
        for answer in answers {
            let fake = Fake::new(move |_, _| bytes(answer));
            let link = fake.link(|_| {});
            let error = link.command(&cmd("GET")).await.unwrap_err();
            assert!(matches!(error, LinkError::NotConnected(LinkFault::TooOld | LinkFault::Refused(_))), "{error:?}");
            assert!(!format!("{error} {error:?}").contains("s3cret"), "{error:?}");
        }
    });
}

#[test]
fn an_error_text_cannot_forge_log_lines() {
    run_paused(async {
        let long = "x".repeat(1_000);
        let fake = Fake::new(move |_, command| match is(command, "GET") {
            true => Answer::Bytes(format!("-ERR a\u{1b}[31m\nb {long}\r\n").into_bytes()),
            false => Answer::Usual,
        });
        let link = fake.link(|_| {});
        let text = link.command(&cmd("GET")).await.unwrap_err().to_string();
        assert!(!text.chars().any(char::is_control), "{text:?}");
        assert!(text.len() < 300, "{text}");
    });
}

#[test]
fn a_redis_that_is_loading_is_not_used_until_it_is_done() {
    run_paused(async {
        let fake = Fake::new(|connection, command| match connection {
            1..=3 if is(command, "PING") => bytes("-LOADING Redis is loading the dataset in memory\r\n"),
            _ => Answer::Usual,
        });
        let link = fake.link(|_| {});
        let error = link.command(&cmd("GET")).await.unwrap_err();
        let LinkError::NotConnected(LinkFault::Refused(fault)) = &error else { panic!("{error}") };
        assert_eq!(fault.code(), "LOADING");
        assert_eq!(fake.count("GET"), 0);
        connected(&link, 0).await;
        assert_eq!(fake.connections(), 4);
    });
}

#[test]
fn what_is_no_redis_is_said_so() {
    run_paused(async {
        let lies = [
            "HTTP/1.1 400 Bad Request\r\n\r\n",
            "$1000000000\r\n",
            "*2000000000\r\n",
            ":12x4\r\n",
            "$3\r\nabcdef\r\n",
            "#maybe\r\n",
        ];
        for lie in lies {
            let fake = Fake::new(move |_, command| if is(command, "GET") { bytes(lie) } else { Answer::Usual });
            let link = fake.link(|_| {});
            let error = link.command(&cmd("GET")).await.unwrap_err();
            assert_eq!(error, LinkError::Lost(LinkFault::Protocol), "{lie:?}");
            connected(&link, 1).await;
        }
    });
}

#[test]
fn no_more_commands_wait_than_may() {
    run_paused(async {
        let fake = Fake::new(|_, command| if is(command, "GET") { Answer::Nothing } else { Answer::Usual });
        let link = fake.link(|config: &mut LinkConfig| config.commands_in_flight_max = 2);
        connected(&link, 0).await;
        let get = cmd("GET");
        let (one, two, three) = tokio::join!(link.command(&get), link.command(&get), link.command(&get));
        assert!(one.unwrap_err().was_sent());
        assert!(two.unwrap_err().was_sent());
        assert_eq!(three, Err(LinkError::Busy));
        assert_eq!((link.stats().busy, link.stats().in_flight), (1, 0));
        // One that is given up half-way makes room as well.
        connected(&link, 1).await;
        assert!(timeout(Duration::from_millis(1), link.command(&get)).await.is_err());
        assert_eq!(link.stats().in_flight, 0);
    });
}

#[test]
fn lies_about_accounts_are_never_a_yes() {
    run_paused(async {
        let lies: &[&[u8]] = &[
            b"+pw\r\n",
            b"+OK\r\n",
            b":1\r\n",
            b"#t\r\n",
            b"*0\r\n",
            b"*1\r\n$2\r\npw\r\n",
            b"*3\r\n:1\r\n:1\r\n:1\r\n",
            b"*4\r\n$10\r\nhash of pw\r\n$-1\r\n$-1\r\n$-1\r\n",
            b"*3\r\n$10\r\nhash of pw\r\n$-1\r\n:1\r\n",
            b"*3\r\n$10\r\nhash of pw\r\n*1\r\n$1\r\na\r\n$1\r\n1\r\n",
            b"%1\r\n$4\r\nhash\r\n$10\r\nhash of pw\r\n",
            b"=6\r\ntxt:pw\r\n",
            b"-WRONGTYPE Operation against a key holding the wrong kind of value\r\n",
        ];
        for lie in lies {
            let fake = Fake::new(move |_, command| match is(command, "GET") || is(command, "HMGET") {
                true => Answer::Bytes(lie.to_vec()),
                false => Answer::Usual,
            });
            let link = fake.link(|_| {});
            let shown = String::from_utf8_lossy(lie);
            assert!(verify(&tokens(link.clone()), "alice", b"pw").await.is_err(), "{shown}");
            assert!(verify(&hashed(link).0, "alice", b"pw").await.is_err(), "{shown}");
        }
    });
}

#[test]
fn a_slow_verdict_comes_within_the_deadline() {
    run_paused(async {
        let fake = Fake::new(|_, command| if is(command, "GET") { Answer::Nothing } else { Answer::Usual });
        // The link would wait longer than the accounts.
        let link = fake.link(|config| config.response_timeout = Duration::from_secs(60));
        let accounts = tokens(link.clone());
        let asked_at = Instant::now();
        let error = verify(&accounts, "alice", b"pw").await.unwrap_err();
        assert_eq!(asked_at.elapsed(), Duration::from_secs(2));
        assert!(error.0.contains("not decided within 2s") && error.0.contains("redis://fake:6379/0"), "{error}");
    });
}

fn presence(fake: &Fake, lease: Duration) -> RedisPresence {
    let config = PresenceConfig {
        key: pattern("presence:{user}"),
        channel: "presence:evicted".to_owned(),
        node: 0xa,
        lease,
        take_timeout: Duration::from_secs(5),
        leases_max: 10,
        seed: 3,
    };
    RedisPresence::start(fake.link(|_| {}), config).unwrap()
}

fn ticket(serial: u64) -> Ticket {
    Ticket { session: SessionId { index: 1, generation: 0 }, serial }
}

#[test]
fn lies_about_a_lease_are_no_lease_and_it_is_given_back() {
    run_paused(async {
        for lie in [":1\r\n", "$2\r\nOK\r\n", "*0\r\n", "-OOM command not allowed\r\n"] {
            let fake = Fake::new(move |_, command| match command {
                [set, ..] if set == "SET" => bytes(lie),
                [eval, ..] if eval == "EVAL" => bytes("*1\r\n:1\r\n"),
                _ => Answer::Usual,
            });
            let presence = presence(&fake, 10 * second());
            assert!(presence.take(ticket(1), "alice".parse().unwrap(), false).await.is_err(), "{lie:?}");
            timeout(second(), presence.settled()).await.expect("it is given back by itself");
            assert_eq!((presence.stats().held, presence.stats().returning), (0, 0), "{lie:?}");
        }
    });
}

#[test]
fn a_take_that_may_run_late_is_watched_for_one_more_lease() {
    run_paused(async {
        let fake = Fake::new(|connection, command| match command {
            [set, ..] if set == "SET" && connection == 1 => Answer::Nothing,
            [eval, ..] if eval == "EVAL" => bytes("*1\r\n:0\r\n"),
            _ => Answer::Usual,
        });
        let presence = presence(&fake, 12 * second());
        assert!(presence.take(ticket(1), "alice".parse().unwrap(), false).await.is_err());
        presence.settled().await;
        let answered_at = Instant::now();
        assert_eq!(presence.stats().returning, 1, "that it is not there is not the last word");
        while presence.stats().returning > 0 {
            sleep(Duration::from_millis(100)).await;
        }
        assert!(answered_at.elapsed() >= 12 * second() && answered_at.elapsed() <= 15 * second());
        assert!((6..=8).contains(&fake.count("EVAL")), "{} tries in a lease", fake.count("EVAL"));
    });
}

#[test]
fn a_second_take_of_a_user_waits_for_the_first() {
    run_paused(async {
        let fake = Fake::new(|_, command| if is(command, "SET") { Answer::Nothing } else { Answer::Usual });
        let presence = presence(&fake, 10 * second());
        let take = |serial, user: &str| presence.take(ticket(serial), user.parse().unwrap(), false);
        let wait = second() / 2;
        let (one, two, other) = tokio::join!(
            timeout(wait, take(1, "alice")),
            timeout(wait, take(2, "alice")),
            timeout(wait, take(3, "bob"))
        );
        assert!(one.is_err() && two.is_err() && other.is_err());
        let sets = fake.commands().into_iter().filter(|command| is(command, "SET"));
        let mut keys: Vec<_> = sets.filter_map(|command| command.into_iter().nth(1)).collect();
        keys.sort();
        assert_eq!(keys, ["presence:alice", "presence:bob"], "one for each user");
    });
}

#[test]
fn leases_are_bounded() {
    run_paused(async {
        let fake = Fake::new(|_, _| Answer::Usual);
        let presence = presence(&fake, 10 * second());
        for serial in 0..10 {
            assert_eq!(presence.take(ticket(serial), format!("user{serial}").parse().unwrap(), false).await, Ok(true));
        }
        let error = presence.take(ticket(10), "one.more".parse().unwrap(), false).await.unwrap_err();
        assert!(error.0.contains("10 leases"), "{error}");
        assert_eq!(fake.count("SET"), 10);
    });
}

#[test]
fn a_failing_renewal_is_not_hammered() {
    run_paused(async {
        let fake = Fake::new(|_, command| match command {
            [eval, ..] if eval == "EVAL" => bytes("-OOM command not allowed when used memory > 'maxmemory'\r\n"),
            _ => Answer::Usual,
        });
        let presence = presence(&fake, 12 * second());
        assert_eq!(presence.take(ticket(1), "alice".parse().unwrap(), false).await, Ok(true));
        sleep(Duration::from_secs(60)).await;
        assert!((25..=35).contains(&fake.count("EVAL")), "{} tries in a minute", fake.count("EVAL"));
        assert_eq!((presence.stats().held, presence.stats().unprotected), (1, 1), "the session stays");
    });
}
