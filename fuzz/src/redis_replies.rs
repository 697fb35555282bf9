//! A Redis that answers whatever it likes.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use lobbyd_core::id::{SessionId, Ticket};
use lobbyd_core::name::UserName;
use lobbyd_net::redis::{
    Dial, KeyPattern, Link, LinkConfig, PresenceConfig, RedisAccounts, RedisAddress, RedisPresence,
};
use lobbyd_net::stores::{Accounts, LocalFuture, Presence, SecretBytes, SecretVerifier, Unavailable};
use redis::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, DuplexStream};
use tokio::runtime::{Builder, UnhandledPanic};
use tokio::task::{LocalSet, spawn_local};
use tokio::time::{sleep, timeout};

use crate::reader::Reader;

/// What parts one answer from the next: no byte of UTF-8.
const ANSWER_END: u8 = 0xff;
/// Each attempt to connect costs more than all else that happens, and the twentieth tells nothing that the fifth did not.
const BACKOFF_MIN: Duration = Duration::from_millis(300);
/// Within this everything is decided, one way or the other; in simulated time.
const DEADLINE: Duration = Duration::from_secs(2);
/// Within this the link is well again once Redis is.
const RECOVERY: Duration = Duration::from_secs(60);
/// A secret that nobody finds by chance.
const SECRET: &[u8] = b"a secret that is in no answer";

/// Asks a Redis, through the production link, that answers with the bytes. Whatever they are: everybody who asks gets an
/// answer within the deadline, nobody is let in with a secret that was not in the answers, and when Redis speaks its
/// protocol again, the link works again.
///
/// Three bytes say what is asked, after how many commands of the handshake the lies begin, and in writes of how many
/// bytes they come (0: whole). The rest are the answers, each up to a byte of 255.
pub fn redis_replies(data: &[u8]) {
    let mut reader = Reader::new(data);
    let (question, honest_commands, write_bytes) = (reader.below(4), reader.below(4), reader.byte());
    let rest = reader.rest();
    let fake = Fake {
        honest_commands,
        write_bytes: if write_bytes == 0 { usize::MAX } else { write_bytes.into() },
        answers: Rc::new(RefCell::new(rest.split(|byte| *byte == ANSWER_END).map(<[u8]>::to_vec).collect())),
        is_honest: Rc::default(),
    };
    let knows_secret = rest.windows(SECRET.len()).any(|window| window == SECRET);
    let runtime = Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        // Else a panic of the link's tasks would be nobody's.
        .unhandled_panic(UnhandledPanic::ShutdownRuntime)
        .build()
        .expect("a runtime without sockets needs nothing that could be missing");
    LocalSet::new().block_on(&runtime, async {
        let link = Link::start(
            RedisAddress::parse("redis://:pw@fake").expect("a good URL"),
            fake.clone(),
            LinkConfig { seed: 7, backoff_min: BACKOFF_MIN, ..LinkConfig::default() },
        );
        ask(question, &link, knows_secret).await;
        fake.is_honest.set(true);
        let is_well = async {
            while link.command(&redis::cmd("ECHO")).await != Ok(Value::SimpleString("fine".to_owned())) {
                sleep(Duration::from_millis(100)).await;
            }
        };
        timeout(RECOVERY, is_well).await.expect("the link works again once Redis does");
        assert_eq!(link.stats().in_flight, 0, "a command waits for ever");
    });
}

async fn ask(question: u8, link: &Link, knows_secret: bool) {
    // The accounts keep the deadline themselves; a moment more for timers, which count in milliseconds.
    let patience = DEADLINE + Duration::from_millis(10);
    let pattern = |text: &str| KeyPattern::parse(text).expect("a good pattern");
    let user: UserName = "alice".parse().expect("a good name");
    match question {
        0 | 1 => {
            let accounts = if question == 0 {
                RedisAccounts::token(link.clone(), pattern("token:{user}"), DEADLINE)
            } else {
                RedisAccounts::argon2id(link.clone(), pattern("account:{user}"), Rc::new(NobodyIsRight), DEADLINE)
            };
            for _ in 0..3 {
                let verdict = timeout(patience, accounts.verify(user, SecretBytes::new(SECRET.to_vec())));
                let verdict = verdict.await.expect("a verdict comes within the deadline");
                let is_wrong = question == 1 || !knows_secret;
                assert!(!(is_wrong && matches!(verdict, Ok(Some(_)))), "let in with a wrong secret: {verdict:?}");
            }
        }
        2 => {
            let config = PresenceConfig {
                key: pattern("presence:{user}"),
                channel: "evicted".to_owned(),
                node: 0xa,
                lease: Duration::from_secs(10),
                take_timeout: DEADLINE,
                leases_max: 10,
                seed: 3,
            };
            let presence = RedisPresence::start(link.clone(), config).expect("a good configuration");
            let ticket = |serial| Ticket { session: SessionId { index: 1, generation: 0 }, serial };
            for (serial, replace) in [(1, false), (2, true)] {
                let taken = timeout(patience, presence.take(ticket(serial), user, replace)).await;
                let _ = taken.expect("whether a lease is taken is decided within the deadline");
            }
            // Renewals, evictions and losses, for some leases' time.
            let _ = timeout(3 * Duration::from_secs(10), presence.lost()).await;
            presence.release(ticket(2), user);
            let _ = timeout(Duration::from_secs(10), presence.settled()).await;
        }
        _ => {
            let _ = link.command(&redis::cmd("GET")).await;
            let mut pipeline = redis::pipe();
            pipeline.add_command(redis::cmd("GET")).add_command(redis::cmd("SET"));
            let _ = link.pipeline(&pipeline).await;
            let _ = link.command(&redis::cmd("EVALSHA")).await;
        }
    }
}

/// Finds every secret wrong.
struct NobodyIsRight;

impl SecretVerifier for NobodyIsRight {
    fn verify(&self, _: Option<String>, _: SecretBytes) -> LocalFuture<'_, Result<bool, Unavailable>> {
        Box::pin(async { Ok(false) })
    }
}

/// A Redis in memory. Clones are the same.
#[derive(Clone)]
struct Fake {
    honest_commands: u8,
    write_bytes: usize,
    answers: Rc<RefCell<VecDeque<Vec<u8>>>>,
    is_honest: Rc<Cell<bool>>,
}

impl Fake {
    async fn serve(self, stream: DuplexStream) -> io::Result<()> {
        let mut stream = BufReader::new(stream);
        let was_honest = self.is_honest.get();
        let mut honest_left = self.honest_commands;
        loop {
            let command = read_command(&mut stream).await?;
            if was_honest || honest_left > 0 {
                honest_left = honest_left.saturating_sub(1);
                stream.write_all(honest_answer(&command).as_bytes()).await?;
                continue;
            }
            // When it knows no more answers it says nothing more.
            let answer = self.answers.borrow_mut().pop_front().unwrap_or_default();
            for part in answer.chunks(self.write_bytes) {
                stream.write_all(part).await?;
                tokio::task::yield_now().await;
            }
        }
    }
}

impl Dial for Fake {
    type Stream = DuplexStream;

    fn dial(&self) -> LocalFuture<'_, io::Result<DuplexStream>> {
        Box::pin(async {
            let (near, far) = tokio::io::duplex(4_096);
            spawn_local(self.clone().serve(far));
            Ok(near)
        })
    }
}

/// The words of a command.
async fn read_command(stream: &mut BufReader<DuplexStream>) -> io::Result<Vec<Vec<u8>>> {
    let count = read_number(stream, '*').await?;
    let mut words = Vec::new();
    for _ in 0..count {
        let mut word = vec![0; read_number(stream, '$').await? + 2];
        stream.read_exact(&mut word).await?;
        word.truncate(word.len() - 2);
        words.push(word);
    }
    Ok(words)
}

async fn read_number(stream: &mut BufReader<DuplexStream>, kind: char) -> io::Result<usize> {
    let mut line = String::new();
    stream.read_line(&mut line).await?;
    let number = line.strip_prefix(kind).and_then(|number| number.trim_end().parse().ok());
    number.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}

fn honest_answer(command: &[Vec<u8>]) -> String {
    match command {
        [name, ..] if name == b"HELLO" => "%1\r\n+server\r\n+redis\r\n".to_owned(),
        [name, ..] if name == b"PING" => "+PONG\r\n".to_owned(),
        [name, channels @ ..] if name == b"SUBSCRIBE" => {
            let confirm = |(place, channel): (usize, &Vec<u8>)| {
                let name = String::from_utf8_lossy(channel);
                format!(">3\r\n$9\r\nsubscribe\r\n${}\r\n{name}\r\n:{}\r\n", channel.len(), place + 1)
            };
            channels.iter().enumerate().map(confirm).collect()
        }
        [name, ..] if name == b"ECHO" => "+fine\r\n".to_owned(),
        _ => "_\r\n".to_owned(),
    }
}
