//! Streams and a listener in memory, which do what a test says at the moment that it says, and a log of what was sent.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use lobbyd_core::config::Config;
use lobbyd_core::id::RequestId;
use lobbyd_core::input::Account;
use lobbyd_core::limits::Rate;
use lobbyd_core::name::UserName;
use lobbyd_core::packet::{ClientPacket, Secret, ServerPacket};
use lobbyd_net::codec::{decode_server, encode_client};
use lobbyd_net::extension::Extensions;
use lobbyd_net::frame::next_frame;
use lobbyd_net::node::{Node, NodeHandle, Parts};
use lobbyd_net::stores::{Accounts, LocalFuture, Presence, SecretBytes, Unavailable};
use lobbyd_net::transport::{Listener, Stream};
use lobbyd_net::{Errands, Report};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinHandle, spawn_local};

/// What was sent to whom, in the order in which the node wrote it.
type Log = Rc<RefCell<Vec<(&'static str, ServerPacket)>>>;

/// Holds back what clients have to send until a test opens it, for all of them at the same moment.
#[derive(Clone, Default)]
pub(crate) struct Gate(Rc<GateState>);

#[derive(Default)]
struct GateState {
    is_open: Cell<bool>,
    waiting: RefCell<Vec<Waker>>,
}

impl Gate {
    /// Wakes who waits, in the order in which they came.
    pub(crate) fn open(&self) {
        self.0.is_open.set(true);
        self.0.waiting.take().into_iter().for_each(Waker::wake);
    }
}

impl Gate {
    /// Whether somebody stands before it.
    pub(crate) fn is_waited_for(&self) -> bool {
        !self.0.waiting.borrow().is_empty()
    }

    /// Whether a client is there that it holds back.
    pub(crate) fn is_held(&self) -> bool {
        Rc::strong_count(&self.0) > 1
    }
}

/// A client that sends some bytes at once, and the others when its gate is open.
pub(crate) struct Client {
    name: &'static str,
    opening: Vec<u8>,
    gate: Gate,
    behind_gate: Vec<u8>,
    at_gate: Option<Box<dyn FnOnce()>>,
    log: Log,
}

impl Client {
    /// One that says hello.
    pub(crate) fn new(name: &'static str) -> Self {
        let mut opening = Vec::new();
        encode_client(&ClientPacket::Hello { version: 1, client: "test 1".into() }, &mut opening);
        Self { name, opening, gate: Gate::default(), behind_gate: Vec::new(), at_gate: None, log: Log::default() }
    }

    /// It also asks to log in, as the user of its own name.
    pub(crate) fn with_login(mut self) -> Self {
        let (request, user, secret) = (RequestId(1), self.name.into(), Secret(b"secret"));
        encode_client(&ClientPacket::LoginRequest { request, user, secret }, &mut self.opening);
        self
    }

    /// It also has so many pings to send once `gate` is open.
    pub(crate) fn with_flood(mut self, gate: &Gate, pings: u64) -> Self {
        self.gate = gate.clone();
        for nonce in 0..pings {
            encode_client(&ClientPacket::Ping { nonce }, &mut self.behind_gate);
        }
        self
    }

    /// `then` happens when it is asked for the first time what it has to send behind the gate.
    pub(crate) fn and_then(mut self, then: impl FnOnce() + 'static) -> Self {
        self.at_gate = Some(Box::new(then));
        self
    }
}

impl Stream for Client {
    fn poll_read(&mut self, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let source = if self.opening.is_empty() {
            if !self.gate.0.is_open.get() {
                self.gate.0.waiting.borrow_mut().push(context.waker().clone());
                return Poll::Pending;
            }
            if let Some(then) = self.at_gate.take() {
                then();
            }
            &mut self.behind_gate
        } else {
            &mut self.opening
        };
        if source.is_empty() {
            return Poll::Pending;
        }
        let count = source.len().min(buffer.len());
        buffer[..count].copy_from_slice(&source[..count]);
        source.drain(..count);
        Poll::Ready(Ok(count))
    }

    fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let frame = next_frame(rest, 1 << 20).unwrap().expect("the node writes whole frames");
            self.log.borrow_mut().push((self.name, decode_server(frame.payload).unwrap()));
            rest = &rest[frame.consumed..];
        }
        Ok(bytes.len())
    }

    fn poll_writable(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Accepts the clients that a test puts in. One that is nobody was gone before it was accepted.
struct Door(mpsc::UnboundedReceiver<Client>);

impl Listener for Door {
    type Stream = Client;

    async fn accept(&mut self) -> io::Result<(Client, SocketAddr)> {
        match self.0.recv().await {
            Some(client) if client.name.is_empty() => Err(io::ErrorKind::ConnectionAborted.into()),
            Some(client) => Ok((client, SocketAddr::from(([127, 0, 0, 1], 1)))),
            None => std::future::pending().await,
        }
    }
}

/// Accounts that decide when a test does: each question goes to it with the way to answer.
struct Asked(mpsc::UnboundedSender<oneshot::Sender<bool>>);

impl Accounts for Asked {
    fn verify(&self, _: UserName, _: SecretBytes) -> LocalFuture<'_, Result<Option<Account>, Unavailable>> {
        let (sender, answer) = oneshot::channel();
        self.0.send(sender).unwrap();
        Box::pin(async move {
            let known = answer.await.map_err(|_| Unavailable("nobody decides".into()))?;
            Ok(known.then(|| Account { nickname: None, administrator: false }))
        })
    }
}

/// A node in memory that runs.
pub(crate) struct World {
    log: Log,
    pub(crate) handle: NodeHandle,
    /// The logins that want to be decided.
    pub(crate) logins: mpsc::UnboundedReceiver<oneshot::Sender<bool>>,
    pub(crate) door: mpsc::UnboundedSender<Client>,
    pub(crate) running: JoinHandle<Report>,
}

/// How many pings a client has when the gate opens: far more than one turn takes.
pub(crate) const PINGS: u64 = 200;

impl World {
    pub(crate) fn start(presence: Option<Rc<dyn Presence>>) -> Self {
        let (sender, logins) = mpsc::unbounded_channel();
        Self::start_with(Rc::new(Asked(sender)), logins, presence, Errands::start())
    }

    /// One whose logins others decide.
    pub(crate) fn start_with_accounts(accounts: Rc<dyn Accounts>, errands: Errands) -> Self {
        Self::start_with(accounts, mpsc::unbounded_channel().1, None, errands)
    }

    fn start_with(
        accounts: Rc<dyn Accounts>,
        logins: mpsc::UnboundedReceiver<oneshot::Sender<bool>>,
        presence: Option<Rc<dyn Presence>>,
        errands: Errands,
    ) -> Self {
        let rate = Rate::per_second(1_000_000, 1_000_000);
        let config = Config { flood: rate, connects_per_address: rate, ..Config::default() };
        let (door, clients) = mpsc::unbounded_channel();
        let (node, handle) = Node::new(Parts {
            config,
            seed: 1,
            room_key: [1; 16],
            accounts,
            presence,
            extensions: Extensions::new(),
            journal: None,
        });
        let running = spawn_local(node.with_errands(errands).run(vec![Door(clients)]));
        Self { log: Log::default(), handle, logins, door, running }
    }

    /// A client as the listener will accept it.
    pub(crate) fn client(&self, client: Client) -> Client {
        Client { log: self.log.clone(), ..client }
    }

    pub(crate) fn clear_log(&self) {
        self.log.borrow_mut().clear();
    }

    /// What was sent to whom since the log was cleared.
    pub(crate) fn sent(&self) -> Vec<(&'static str, ServerPacket)> {
        self.log.borrow().clone()
    }

    pub(crate) fn connect(&self, client: Client) {
        self.door.send(self.client(client)).ok().unwrap();
    }

    /// Lets four clients send all they have at the same moment. `then` happens while the first of them is read. Returns
    /// what everybody was sent from then on, equal neighbours with their number, in the order in which the node wrote it:
    /// that in which each got his first packet since he was last written to.
    pub(crate) async fn flood(&self, then: impl FnOnce() + 'static) -> Vec<String> {
        let gate = Gate::default();
        self.connect(Client::new("first").with_flood(&gate, PINGS).and_then(then));
        for name in ["second", "third", "fourth"] {
            self.connect(Client::new(name).with_flood(&gate, PINGS));
        }
        settle().await;
        self.log.borrow_mut().clear();
        gate.open();
        settle().await;
        let mut sent: Vec<(String, u32)> = Vec::new();
        for (name, packet) in self.log.take() {
            let packet = format!("{packet:?}");
            let line = format!("{name} {}", packet.split(' ').next().unwrap());
            match sent.last_mut() {
                Some((last, count)) if *last == line => *count += 1,
                Some(_) | None => sent.push((line, 1)),
            }
        }
        sent.into_iter().map(|(line, count)| format!("{line} {count}")).collect()
    }
}

/// Lets every task run until none has anything to do.
pub(crate) async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

/// Begins what another task will answer: does the first step of `future`.
pub(crate) fn begin<F: Future>(future: F) -> Poll<F::Output> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}
