//! What Redis answers goes before packets too, although it comes by a socket of its own.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use lobbyd_net::Errands;
use lobbyd_net::redis::{Dial, KeyPattern, Link, LinkConfig, LinkState, RedisAccounts, RedisAddress};
use lobbyd_net::stores::LocalFuture;
use tokio::io::{AsyncRead, AsyncWriteExt, DuplexStream, ReadBuf};
use tokio::task::{LocalSet, spawn_local};

use crate::memory::{Client, World, begin, settle};

/// A Redis in memory that knows how to shake hands, and leaves every `GET` to a test.
#[derive(Clone, Default)]
struct Memory {
    /// The far end of the connection.
    stream: Rc<RefCell<Option<DuplexStream>>>,
    questions: Rc<RefCell<u32>>,
}

impl Memory {
    /// Answers a `GET` now.
    fn answer(&self, token: &str) {
        let mut stream = self.stream.borrow_mut();
        let answer = format!("${}\r\n{token}\r\n", token.len());
        assert!(begin(stream.as_mut().unwrap().write_all(answer.as_bytes())).is_ready(), "there is room for it");
    }

    fn answer_word(&self, word: &str) {
        let answer: &[u8] = match word {
            "HELLO" => b"%1\r\n+server\r\n+redis\r\n",
            "CLIENT" => b"+OK\r\n",
            "PING" => b"+PONG\r\n",
            "GET" => {
                *self.questions.borrow_mut() += 1;
                return;
            }
            _ => return,
        };
        assert!(begin(self.stream.borrow_mut().as_mut().unwrap().write_all(answer)).is_ready());
    }

    async fn serve(self) {
        let mut bytes = [0; 4_096];
        loop {
            let read = poll_fn(|context| {
                let mut buffer = ReadBuf::new(&mut bytes);
                let mut stream = self.stream.borrow_mut();
                let poll = Pin::new(stream.as_mut().unwrap()).poll_read(context, &mut buffer);
                poll.map_ok(|()| buffer.filled().len())
            });
            let count = read.await.unwrap();
            if count == 0 {
                return;
            }
            // Whole commands come in one piece: there is room for them.
            String::from_utf8_lossy(&bytes[..count]).split("\r\n").for_each(|word| self.answer_word(word));
        }
    }
}

impl Dial for Memory {
    type Stream = DuplexStream;

    fn dial(&self) -> LocalFuture<'_, io::Result<DuplexStream>> {
        let (near, far) = tokio::io::duplex(4_096);
        self.stream.replace(Some(far));
        spawn_local(self.clone().serve());
        Box::pin(async { Ok(near) })
    }
}

fn start(redis: &Memory) -> (World, Link) {
    let errands = Errands::start();
    let address = RedisAddress::parse("redis://memory").unwrap();
    let link = Link::start_in(errands.clone(), address, redis.clone(), LinkConfig::default());
    let pattern = KeyPattern::parse("token:{user}").unwrap();
    let accounts = RedisAccounts::token(link.clone(), pattern, Duration::from_secs(1));
    (World::start_with_accounts(Rc::new(accounts), errands), link)
}

#[tokio::test(start_paused = true)]
async fn answer_of_redis_is_a_verdict_before_the_packets_of_the_next_connection() {
    LocalSet::new()
        .run_until(async {
            let redis = Memory::default();
            let (world, link) = start(&redis);
            world.connect(Client::new("ada").with_login());
            settle().await;
            assert_eq!(*redis.questions.borrow(), 1);
            let answering = redis.clone();
            let sent = world.flood(move || answering.answer("secret")).await;
            assert_eq!(sent[..3], ["first Pong 64", "ada LoginResponse 1", "second Pong 64"]);
            assert_eq!(world.handle.report().await.unwrap().counts.online, 1);
            assert_eq!(link.stats().answers, 1);
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn link_outlives_the_node_that_ran_its_errands_and_ends_with_its_last_handle() {
    LocalSet::new()
        .run_until(async {
            let redis = Memory::default();
            let (world, link) = start(&redis);
            settle().await;
            world.handle.stop().await.unwrap();
            let report = world.running.await.unwrap();
            assert_eq!(report.lanes.system.waiting, 0);

            let (asked, answering) = (link.clone(), redis.clone());
            let answer = spawn_local(async move { asked.command(redis::cmd("GET").arg("key")).await });
            settle().await;
            answering.answer("late");
            assert_eq!(answer.await.unwrap(), Ok(redis::Value::BulkString(b"late".to_vec())));

            let mut state = link.watch();
            assert!(matches!(*state.borrow_and_update(), LinkState::Connected { .. }));
            drop(link);
            settle().await;
            assert!(state.changed().await.is_err(), "nobody could say anything any more");
            let gone = begin(redis.stream.borrow_mut().as_mut().unwrap().write_all(b"+OK\r\n"));
            assert!(matches!(gone, std::task::Poll::Ready(Err(_))), "its stream is closed");
        })
        .await;
}
