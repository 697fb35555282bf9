//! A Redis in memory that answers what the test wants, on paused time.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use lobbyd_net::redis::{Dial, Link, LinkConfig, RedisAddress};
use lobbyd_net::stores::LocalFuture;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, DuplexStream};
use tokio::time::Instant;

/// What the fake does with a command.
pub(crate) enum Answer {
    /// As a Redis would: `HELLO`, `PING` and `SUBSCRIBE` are understood, all else is answered `OK`.
    Usual,
    /// These bytes.
    Bytes(Vec<u8>),
    /// Nothing. What comes behind it is heard.
    Nothing,
    /// Closes the connection.
    Close,
}

pub(crate) fn bytes(text: &str) -> Answer {
    Answer::Bytes(text.as_bytes().to_vec())
}

/// Decides by the number of the connection, from 1, and the words of the command.
pub(crate) type Script = dyn Fn(usize, &[String]) -> Answer;

/// The fake, and what it has seen. Clones are the same.
#[derive(Clone)]
pub(crate) struct Fake {
    script: Rc<Script>,
    pub(crate) is_down: Rc<Cell<bool>>,
    pub(crate) dialled_at: Rc<RefCell<Vec<Instant>>>,
    /// Every command, those of the handshake too.
    commands: Rc<RefCell<Vec<Vec<String>>>>,
    connections: Rc<Cell<usize>>,
}

impl Fake {
    pub(crate) fn new(script: impl Fn(usize, &[String]) -> Answer + 'static) -> Self {
        Self {
            script: Rc::new(script),
            is_down: Rc::default(),
            dialled_at: Rc::default(),
            commands: Rc::default(),
            connections: Rc::default(),
        }
    }

    pub(crate) fn link(&self, change: impl FnOnce(&mut LinkConfig)) -> Link {
        let mut config = LinkConfig { seed: 7, ..LinkConfig::default() };
        change(&mut config);
        Link::start(RedisAddress::parse("redis://:s3cret@fake").unwrap(), self.clone(), config)
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.get()
    }

    pub(crate) fn commands(&self) -> Vec<Vec<String>> {
        self.commands.borrow().clone()
    }

    /// How many commands began with this word, on whatever connection.
    pub(crate) fn count(&self, word: &str) -> usize {
        self.commands.borrow().iter().filter(|command| command.first().is_some_and(|first| first == word)).count()
    }

    async fn serve(self, connection: usize, stream: DuplexStream) -> io::Result<()> {
        let mut stream = BufReader::new(stream);
        loop {
            let command = read_command(&mut stream).await?;
            let answer = (self.script)(connection, &command);
            self.commands.borrow_mut().push(command.clone());
            match answer {
                Answer::Usual => stream.write_all(usual(&command).as_bytes()).await?,
                Answer::Bytes(bytes) => stream.write_all(&bytes).await?,
                Answer::Nothing => {}
                Answer::Close => return Ok(()),
            }
        }
    }
}

impl Dial for Fake {
    type Stream = DuplexStream;

    fn dial(&self) -> LocalFuture<'_, io::Result<DuplexStream>> {
        Box::pin(async {
            self.dialled_at.borrow_mut().push(Instant::now());
            if self.is_down.get() {
                return Err(io::ErrorKind::ConnectionRefused.into());
            }
            self.connections.set(self.connections.get() + 1);
            let (near, far) = tokio::io::duplex(1_024);
            tokio::task::spawn_local(self.clone().serve(self.connections.get(), far));
            Ok(near)
        })
    }
}

/// Runs a test on paused time: it passes by itself when there is nothing else to do.
pub(crate) fn run_paused(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, async {
        tokio::time::timeout(Duration::from_secs(3_600), test).await.expect("the test came to its end");
    });
}

async fn read_command(stream: &mut BufReader<DuplexStream>) -> io::Result<Vec<String>> {
    let count = read_number(stream, '*').await?;
    let mut words = Vec::new();
    for _ in 0..count {
        let mut word = vec![0; read_number(stream, '$').await? + 2];
        stream.read_exact(&mut word).await?;
        word.truncate(word.len() - 2);
        words.push(String::from_utf8_lossy(&word).into_owned());
    }
    Ok(words)
}

async fn read_number(stream: &mut BufReader<DuplexStream>, kind: char) -> io::Result<usize> {
    let mut line = String::new();
    stream.read_line(&mut line).await?;
    let number = line.strip_prefix(kind).and_then(|number| number.trim_end().parse().ok());
    number.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}

fn usual(command: &[String]) -> String {
    match command {
        [hello, ..] if hello == "HELLO" => "%1\r\n+server\r\n+redis\r\n".to_owned(),
        [ping] if ping == "PING" => "+PONG\r\n".to_owned(),
        [subscribe, channels @ ..] if subscribe == "SUBSCRIBE" => {
            let confirm = |(place, channel): (usize, &String)| {
                format!(">3\r\n$9\r\nsubscribe\r\n${}\r\n{channel}\r\n:{}\r\n", channel.len(), place + 1)
            };
            channels.iter().enumerate().map(confirm).collect()
        }
        _ => "+OK\r\n".to_owned(),
    }
}
