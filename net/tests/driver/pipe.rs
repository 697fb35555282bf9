//! Connections in memory with two ends, and a node at one of them: whatever a test says, the node reads, and what the node
//! answers, the test reads.
//!
//! The streams do what TCP does (RFC 1122, section 4.2.2.13): one that is dropped while bytes of the client's lie
//! unread, or to which bytes come afterwards, is reset, and a reset destroys what the client has not read yet.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use lobbyd_core::config::{Config, FixedRoom};
use lobbyd_core::id::{RoomNumber, Ticket};
use lobbyd_core::input::Account;
use lobbyd_core::limits::Rate;
use lobbyd_core::name::UserName;
use lobbyd_core::packet::{ClientPacket, ServerPacket};
use lobbyd_core::text::Text;
use lobbyd_net::Report;
use lobbyd_net::codec::{decode_server, encode_client};
use lobbyd_net::extension::Extensions;
use lobbyd_net::frame::next_frame;
use lobbyd_net::node::{Node, NodeHandle, Parts, Spread};
use lobbyd_net::stores::{Accounts, LocalFuture, Presence, SecretBytes, Unavailable};
use lobbyd_net::transport::{Listener, Stream};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, LocalSet, spawn_local};

use crate::memory::settle;

/// A connection, as its two ends see it.
#[derive(Default)]
struct Pipe {
    /// What the client has sent and the server has not read.
    to_server: Vec<u8>,
    client_has_ended: bool,
    /// What the server has sent and the client has not read.
    to_client: Vec<u8>,
    server_has_ended: bool,
    server_is_gone: bool,
    is_reset: bool,
    /// Whether the client reads nothing, and its window is full.
    is_blocked: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Pipe {
    fn reset(&mut self) {
        self.is_reset = true;
        self.to_client.clear();
    }
}

/// The server's end.
pub(crate) struct ServerEnd(Rc<RefCell<Pipe>>);

impl Stream for ServerEnd {
    fn poll_read(&mut self, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut pipe = self.0.borrow_mut();
        if pipe.to_server.is_empty() && !pipe.client_has_ended {
            pipe.reader = Some(context.waker().clone());
            return Poll::Pending;
        }
        let count = pipe.to_server.len().min(buffer.len());
        buffer[..count].copy_from_slice(&pipe.to_server[..count]);
        pipe.to_server.drain(..count);
        Poll::Ready(Ok(count))
    }

    fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut pipe = self.0.borrow_mut();
        if pipe.is_blocked {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        pipe.to_client.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn poll_writable(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut pipe = self.0.borrow_mut();
        if pipe.is_blocked {
            pipe.writer = Some(context.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.borrow_mut().server_has_ended = true;
        Poll::Ready(Ok(()))
    }
}

impl Drop for ServerEnd {
    fn drop(&mut self) {
        let mut pipe = self.0.borrow_mut();
        (pipe.server_has_ended, pipe.server_is_gone) = (true, true);
        if !pipe.to_server.is_empty() {
            pipe.reset();
        }
    }
}

/// The client's end.
#[derive(Clone, Default)]
pub(crate) struct ClientEnd(Rc<RefCell<Pipe>>);

impl ClientEnd {
    pub(crate) fn send(&self, bytes: &[u8]) {
        let mut pipe = self.0.borrow_mut();
        if pipe.server_is_gone {
            pipe.reset();
        } else {
            pipe.to_server.extend_from_slice(bytes);
        }
        if let Some(reader) = pipe.reader.take() {
            reader.wake();
        }
    }

    pub(crate) fn say(&self, packets: &[ClientPacket<'_>]) {
        let mut bytes = Vec::new();
        packets.iter().for_each(|packet| encode_client(packet, &mut bytes));
        self.send(&bytes);
    }

    /// Takes nothing any more.
    pub(crate) fn block(&self) {
        self.0.borrow_mut().is_blocked = true;
    }

    /// Reads again.
    pub(crate) fn unblock(&self) {
        let mut pipe = self.0.borrow_mut();
        pipe.is_blocked = false;
        if let Some(writer) = pipe.writer.take() {
            writer.wake();
        }
    }

    pub(crate) fn end(&self) {
        self.0.borrow_mut().client_has_ended = true;
        self.send(&[]);
    }

    /// What can be read now.
    pub(crate) fn read(&self) -> Vec<ServerPacket> {
        let bytes = std::mem::take(&mut self.0.borrow_mut().to_client);
        let (mut rest, mut packets) = (bytes.as_slice(), Vec::new());
        while let Some(frame) = next_frame(rest, 1 << 20).unwrap() {
            packets.push(decode_server(frame.payload).unwrap());
            rest = &rest[frame.consumed..];
        }
        packets
    }

    /// How many bytes of it the node has not read yet.
    pub(crate) fn unread(&self) -> usize {
        self.0.borrow().to_server.len()
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.0.borrow().server_has_ended
    }

    pub(crate) fn is_reset(&self) -> bool {
        self.0.borrow().is_reset
    }

    pub(crate) fn is_let_go(&self) -> bool {
        self.0.borrow().server_is_gone
    }
}

struct Door(mpsc::UnboundedReceiver<ServerEnd>);

impl Listener for Door {
    type Stream = ServerEnd;

    async fn accept(&mut self) -> io::Result<(ServerEnd, SocketAddr)> {
        match self.0.recv().await {
            Some(stream) => Ok((stream, SocketAddr::from(([127, 0, 0, 1], 1)))),
            None => std::future::pending().await,
        }
    }
}

/// Everybody is who they say they are.
struct Trusting;

impl Accounts for Trusting {
    fn verify(&self, _: UserName, _: SecretBytes) -> LocalFuture<'_, Result<Option<Account>, Unavailable>> {
        Box::pin(async { Ok(Some(Account { nickname: None, administrator: false })) })
    }
}

/// Gives every lease, and remembers in whose name.
#[derive(Default)]
struct Giving(Rc<RefCell<Vec<Ticket>>>);

impl Presence for Giving {
    fn take(&self, ticket: Ticket, _: UserName, _: bool) -> LocalFuture<'_, Result<bool, Unavailable>> {
        self.0.borrow_mut().push(ticket);
        Box::pin(async { Ok(true) })
    }

    fn release(&self, _: Ticket, _: UserName) {}

    fn lost(&self) -> LocalFuture<'_, Ticket> {
        Box::pin(std::future::pending())
    }
}

pub(crate) struct World {
    door: mpsc::UnboundedSender<ServerEnd>,
    pub(crate) taken: Rc<RefCell<Vec<Ticket>>>,
    pub(crate) handle: NodeHandle,
    /// The last shard does not go on while this is true.
    pub(crate) last_shard_is_stopped: Rc<Cell<bool>>,
    pub(crate) running: JoinHandle<Report>,
}

impl World {
    pub(crate) fn start() -> Self {
        Self::start_sharded(1, 0)
    }

    /// One of which a shard has ended at once.
    pub(crate) fn start_without_its_last_shard(shards: usize) -> Self {
        Self::start_with(shards, shards - 1, 0)
    }

    /// One of so many shards, which run as the seed will have it: each now and then lets others go first.
    pub(crate) fn start_sharded(shards: usize, seed: u64) -> Self {
        Self::start_with(shards, shards, seed)
    }

    fn start_with(shards: usize, living: usize, seed: u64) -> Self {
        let (door, streams) = mpsc::unbounded_channel();
        let presence = Giving::default();
        let taken = presence.0.clone();
        let rate = Rate::per_second(1_000_000, 1_000_000);
        let room = |number, title| FixedRoom { number, title: Text::new(title), capacity: 100, password: None };
        let (node, others, handle) = Node::with_shards(
            Parts {
                config: Config {
                    flood: rate,
                    connects_per_address: rate,
                    fixed_rooms: vec![room(PLAZA, "Plaza"), room(GARDEN, "Garden")],
                    outbox_bytes_max: 128 * 1024,
                    room_members_max: 100,
                    ..Config::default()
                },
                seed: 1,
                room_key: [1; 16],
                accounts: Rc::new(Trusting),
                presence: Some(Rc::new(presence)),
                extensions: Extensions::new(),
                journal: None,
            },
            Spread::over(shards).with_slack(0),
        );
        let last_shard_is_stopped = Rc::new(Cell::new(false));
        for (number, shard) in (1..).zip(others).take(living - 1) {
            let is_stopped = if number + 1 == shards as u64 { last_shard_is_stopped.clone() } else { Rc::default() };
            spawn_local(dawdling(seed * 100 + number, is_stopped, shard.run()));
        }
        let running = spawn_local(dawdling(seed * 100, Rc::default(), node.run(vec![Door(streams)])));
        Self { door, taken, handle, last_shard_is_stopped, running }
    }

    /// A client that has said hello and read the answer.
    pub(crate) async fn connect(&self) -> ClientEnd {
        let client = ClientEnd::default();
        self.door.send(ServerEnd(client.0.clone())).ok().unwrap();
        client.say(&[ClientPacket::Hello { version: 1, client: "test 1".into() }]);
        settle().await;
        assert!(matches!(client.read().as_slice(), [ServerPacket::Welcome { .. }, ..]));
        client
    }
}

/// A room that is always there.
pub(crate) const PLAZA: RoomNumber = RoomNumber(1);
/// Another one.
pub(crate) const GARDEN: RoomNumber = RoomNumber(2);

/// Runs a future with all its tasks, as a seed will have it: it lets others go first in one of three cases, without a
/// seed never.
async fn dawdling<T>(seed: u64, is_stopped: Rc<Cell<bool>>, future: impl Future<Output = T>) -> T {
    let tasks = LocalSet::new();
    let mut run = pin!(tasks.run_until(future));
    let mut state = seed;
    poll_fn(|context| {
        // Knuth's numbers for a linear congruential generator; its high bits are the better ones.
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        if is_stopped.get() || seed >= 100 && (state >> 33).is_multiple_of(3) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        run.as_mut().poll(context)
    })
    .await
}
