//! Carries bytes between connections and the store, and breaks when told to.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep};

use super::reply::Reply;
use super::request::next_request;
use super::store::{ConnectionId, Store};
use super::words;
use crate::scenario::RedisFault;

const READ_BYTES: usize = 16 * 1024;

/// A Redis server that serves any streams. Clones are the same server, from inside and outside of its host.
#[derive(Clone)]
pub struct RedisServer(Rc<Shared>);

struct Shared {
    store: RefCell<Store>,
    /// Strings that an empty server holds: the accounts, which are another service's.
    accounts: Vec<(String, String)>,
    mode: watch::Sender<Mode>,
    started_at: Cell<Option<Instant>>,
    last_connection: Cell<u64>,
    /// Messages on their way to subscribers, and who waits for them.
    outgoing: RefCell<BTreeMap<ConnectionId, Rc<Outgoing>>>,
    answers_due: Cell<u32>,
    /// What was said, where somebody watches.
    seen: RefCell<Option<Vec<Exchange>>>,
}

/// A command and its answer, in words without their values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// Whose command it was, as [`RedisServer::serve_host`] was told.
    pub host: String,
    /// When it was run, by the clock that [`RedisServer::serve_host`] was given.
    pub at: Duration,
    /// The command.
    pub command: String,
    /// The answer; whether it reached anybody is not known here.
    pub reply: String,
}

/// Who is served, and by what clock that is told.
type Guest<'a> = (&'a str, &'a dyn Fn() -> Duration);

#[derive(Default)]
struct Outgoing {
    bytes: RefCell<Vec<u8>>,
    news: Notify,
}

/// How the server behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mode {
    /// Counts the lives of the process; none while there is no process.
    life: Option<u32>,
    lives: u32,
    frozen: bool,
    delay: Duration,
    truth: Truth,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Truth {
    Told,
    Lied,
    Garbled,
}

impl RedisServer {
    /// A running server that holds nothing but these strings: keys and values.
    #[must_use]
    pub fn new(accounts: Vec<(String, String)>) -> Self {
        Self::with_store(Store::new(), accounts)
    }

    /// The same, with a watch over the keys of leases, which begin in this way.
    #[must_use]
    pub fn with_custody(accounts: Vec<(String, String)>, prefix: &str) -> Self {
        Self::with_store(Store::new().with_custody(prefix), accounts)
    }

    /// The first command, if there was one, that touched a lease as nobody may.
    #[must_use]
    pub fn breach(&self) -> Option<String> {
        self.0.store.borrow().breach().map(str::to_owned)
    }

    fn with_store(store: Store, accounts: Vec<(String, String)>) -> Self {
        let mode = Mode { life: Some(0), lives: 0, frozen: false, delay: Duration::ZERO, truth: Truth::Told };
        let server = Self(Rc::new(Shared {
            store: RefCell::new(store),
            accounts,
            mode: watch::Sender::new(mode),
            started_at: Cell::new(None),
            last_connection: Cell::new(0),
            outgoing: RefCell::default(),
            answers_due: Cell::new(0),
            seen: RefCell::default(),
        }));
        server.write_accounts();
        server
    }

    /// Breaks or heals it. A crash ends every connection, and a freeze lets bytes lie unread, as a stopped process does.
    pub fn inject(&self, fault: RedisFault) {
        self.0.mode.send_modify(|mode| match fault {
            RedisFault::Crash => mode.life = None,
            RedisFault::Restart | RedisFault::RestartEmpty => {
                mode.lives += 1;
                mode.life = Some(mode.lives);
                mode.frozen = false;
            }
            RedisFault::Freeze => mode.frozen = true,
            RedisFault::Thaw => mode.frozen = false,
            RedisFault::Slow(delay) => mode.delay = delay,
            RedisFault::Lie => mode.truth = Truth::Lied,
            RedisFault::Garble => mode.truth = Truth::Garbled,
            RedisFault::Heal => {
                (mode.frozen, mode.delay, mode.truth) = (false, Duration::ZERO, Truth::Told);
            }
        });
        match fault {
            RedisFault::Crash | RedisFault::Restart => self.0.store.borrow_mut().disconnect_all(),
            RedisFault::RestartEmpty => {
                let mut store = self.0.store.borrow_mut();
                store.disconnect_all();
                store.clear();
                drop(store);
                self.write_accounts();
            }
            RedisFault::Freeze
            | RedisFault::Thaw
            | RedisFault::Slow(_)
            | RedisFault::Lie
            | RedisFault::Garble
            | RedisFault::Heal => {}
        }
    }

    /// Ends every connection; new ones are served as before.
    pub fn drop_connections(&self) {
        self.0.mode.send_modify(|mode| {
            if mode.life.is_some() {
                mode.lives += 1;
                mode.life = Some(mode.lives);
            }
        });
        self.0.store.borrow_mut().disconnect_all();
    }

    /// Whether there is a process.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.0.mode.borrow().life.is_some()
    }

    /// Whether it owes answers that it will give by itself.
    #[must_use]
    pub fn is_answering(&self) -> bool {
        self.0.answers_due.get() > 0 && !self.0.mode.borrow().frozen
    }

    /// Waits until there is a process, or there is none.
    pub async fn until_running(&self, running: bool) {
        let mut mode = self.0.mode.subscribe();
        // The sender lives as long as the server.
        let _ = mode.wait_for(|mode| mode.life.is_some() == running).await;
    }

    /// Runs a command in place of a client.
    pub fn execute(&self, command: &[&str]) -> Reply {
        /// No client has this number.
        const NOBODY: ConnectionId = ConnectionId(0);
        let command: Vec<_> = command.iter().map(|argument| argument.as_bytes().to_vec()).collect();
        let reply = self.0.store.borrow_mut().execute(self.0.now(), NOBODY, &command);
        self.0.hand_out_messages();
        reply
    }

    /// Has it remember from now on what it is asked.
    pub fn watch(&self) {
        self.0.seen.borrow_mut().get_or_insert_default();
    }

    /// What it was asked since the last call, in order; nothing where nobody watches.
    #[must_use]
    pub fn take_seen(&self) -> Vec<Exchange> {
        self.0.seen.borrow_mut().as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// As [`RedisServer::serve`], a host whose name and time are remembered with what it asks.
    ///
    /// # Errors
    /// When the stream breaks.
    pub async fn serve_host<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
        host: &str,
        clock: &dyn Fn() -> Duration,
    ) -> io::Result<()> {
        self.serve_guest(stream, Some((host, clock))).await
    }

    /// Serves a connection until it ends. Must be called where `tokio::time` works, always on the same clock.
    ///
    /// # Errors
    /// When the stream breaks.
    pub async fn serve<S: AsyncRead + AsyncWrite + Unpin>(&self, stream: S) -> io::Result<()> {
        self.serve_guest(stream, None).await
    }

    async fn serve_guest<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
        guest: Option<Guest<'_>>,
    ) -> io::Result<()> {
        let shared = &self.0;
        if shared.started_at.get().is_none() {
            shared.started_at.set(Some(Instant::now()));
        }
        shared.last_connection.set(shared.last_connection.get() + 1);
        let id = ConnectionId(shared.last_connection.get());
        let outgoing = Rc::new(Outgoing::default());
        shared.outgoing.borrow_mut().insert(id, outgoing.clone());

        let mut mode = shared.mode.subscribe();
        let life = mode.borrow_and_update().life;
        let mut connection = Served { shared, id, guest, stream, received: Vec::new() };
        let served = tokio::select! {
            biased;
            _ended = mode.wait_for(|mode| mode.life != life || life.is_none()) => Ok(()),
            served = connection.serve(&outgoing) => served,
        };
        shared.outgoing.borrow_mut().remove(&id);
        shared.store.borrow_mut().disconnect(id);
        served
    }

    fn write_accounts(&self) {
        for (key, value) in &self.0.accounts {
            self.execute(&["SET", key, value]);
        }
    }
}

impl Shared {
    fn now(&self) -> Duration {
        self.started_at.get().map(|started_at| started_at.elapsed()).unwrap_or_default()
    }

    /// Puts what was published where the subscribers' connections send it.
    fn hand_out_messages(&self) {
        let mut store = self.store.borrow_mut();
        for (to, message) in store.take_messages() {
            if let Some(outgoing) = self.outgoing.borrow().get(&to) {
                message.encode(store.protocol(to), &mut outgoing.bytes.borrow_mut());
                outgoing.news.notify_one();
            }
        }
    }

    async fn until_thawed(&self) {
        let mut mode = self.mode.subscribe();
        let _ = mode.wait_for(|mode| !mode.frozen).await;
    }
}

/// A connection being served.
struct Served<'a, S> {
    shared: &'a Shared,
    id: ConnectionId,
    guest: Option<Guest<'a>>,
    stream: S,
    received: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Served<'_, S> {
    async fn serve(&mut self, outgoing: &Outgoing) -> io::Result<()> {
        loop {
            self.shared.until_thawed().await;
            let messages = std::mem::take(&mut *outgoing.bytes.borrow_mut());
            self.write(&messages).await?;
            tokio::select! {
                biased;
                () = outgoing.news.notified() => continue,
                count = read(&mut self.stream, &mut self.received) => if count? == 0 {
                    return Ok(());
                },
            }
            // What was read in the moment of a freeze waits with the rest.
            self.shared.until_thawed().await;
            let _due = Due::of(&self.shared.answers_due);
            let (answers, is_over) = self.answer();
            let delay = self.shared.mode.borrow().delay;
            if !delay.is_zero() {
                sleep(delay).await;
                self.shared.until_thawed().await;
            }
            self.write(&answers).await?;
            if is_over {
                return Ok(());
            }
        }
    }

    /// Runs the commands that have arrived. Also says whether something was no command.
    fn answer(&mut self) -> (Vec<u8>, bool) {
        let mut answers = Vec::new();
        loop {
            let (command, consumed) = match next_request(&self.received) {
                Ok(Some(request)) => request,
                Ok(None) => return (answers, false),
                Err(fault) => {
                    let mut store = self.shared.store.borrow_mut();
                    let protocol = store.protocol(self.id);
                    store.disconnect(self.id);
                    Reply::error(format!("ERR {fault}")).encode(protocol, &mut answers);
                    return (answers, true);
                }
            };
            self.received.drain(..consumed);
            let mut store = self.shared.store.borrow_mut();
            let reply = store.execute(self.shared.now(), self.id, &command);
            let protocol = store.protocol(self.id);
            drop(store);
            self.note(&command, &reply);
            match self.shared.mode.borrow().truth {
                Truth::Told => reply.encode(protocol, &mut answers),
                Truth::Lied => lie(&reply).encode(protocol, &mut answers),
                Truth::Garbled => answers.extend_from_slice(b"HTTP/1.1 400 Bad Request\r\n\r\n"),
            }
            self.shared.hand_out_messages();
        }
    }

    /// Remembers what was asked, if anybody wants to know.
    fn note(&self, command: &[Vec<u8>], reply: &Reply) {
        if let (Some((host, clock)), Some(seen)) = (self.guest, self.shared.seen.borrow_mut().as_mut()) {
            let reply = match self.shared.mode.borrow().truth {
                Truth::Told => words::of_reply(reply),
                Truth::Lied => "an answer of the wrong type".to_owned(),
                Truth::Garbled => "bytes that are no answer".to_owned(),
            };
            let command = words::of_command(command);
            seen.push(Exchange { host: host.to_owned(), at: clock(), command, reply });
        }
    }

    async fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let write = std::future::poll_fn(|context| Pin::new(&mut self.stream).poll_write(context, bytes));
            let count = write.await?;
            if count == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            bytes = &bytes[count..];
        }
        Ok(())
    }
}

/// Appends what can be read, and says how many bytes that are. Safe to cancel.
async fn read(stream: &mut (impl AsyncRead + Unpin), received: &mut Vec<u8>) -> io::Result<usize> {
    let mut chunk = [0; READ_BYTES];
    let mut buffer = ReadBuf::new(&mut chunk);
    std::future::poll_fn(|context| Pin::new(&mut *stream).poll_read(context, &mut buffer)).await?;
    received.extend_from_slice(buffer.filled());
    Ok(buffer.filled().len())
}

/// An answer of another type than the true one.
fn lie(truth: &Reply) -> Reply {
    match truth {
        Reply::Simple(_) | Reply::Bulk(_) | Reply::Map(_) | Reply::Push(_) | Reply::Several(_) => Reply::Integer(7),
        Reply::Integer(_) | Reply::Nil => Reply::Array(Vec::new()),
        Reply::Array(_) | Reply::Error(_) => Reply::bulk("a lie"),
    }
}

/// An answer that is owed, for as long as this is there.
struct Due<'a>(&'a Cell<u32>);

impl<'a> Due<'a> {
    fn of(due: &'a Cell<u32>) -> Self {
        due.set(due.get() + 1);
        Self(due)
    }
}

impl Drop for Due<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}
