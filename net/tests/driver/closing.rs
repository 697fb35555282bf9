//! How a connection ends: the client reads why, also if it goes on sending, and its session's name dies with it.
//!
//! The streams do what TCP does (RFC 1122, section 4.2.2.13): one that is dropped while bytes of the client's lie
//! unread, or to which bytes come afterwards, is reset, and a reset destroys what the client has not read yet.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use lobbyd_core::config::Config;
use lobbyd_core::id::{RequestId, Ticket};
use lobbyd_core::input::Account;
use lobbyd_core::name::UserName;
use lobbyd_core::packet::{ClientPacket, CloseReason, Secret, ServerPacket};
use lobbyd_net::codec::{decode_server, encode_client};
use lobbyd_net::extension::Extensions;
use lobbyd_net::frame::next_frame;
use lobbyd_net::node::{Node, NodeHandle, Parts};
use lobbyd_net::stores::{Accounts, LocalFuture, Presence, SecretBytes, Unavailable};
use lobbyd_net::transport::{Listener, Stream};
use tokio::sync::mpsc;
use tokio::task::{LocalSet, spawn_local};

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
    reader: Option<Waker>,
}

impl Pipe {
    fn reset(&mut self) {
        self.is_reset = true;
        self.to_client.clear();
    }
}

/// The server's end.
struct ServerEnd(Rc<RefCell<Pipe>>);

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
        self.0.borrow_mut().to_client.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn poll_writable(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
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
struct ClientEnd(Rc<RefCell<Pipe>>);

impl ClientEnd {
    fn send(&self, bytes: &[u8]) {
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

    fn say(&self, packets: &[ClientPacket<'_>]) {
        let mut bytes = Vec::new();
        packets.iter().for_each(|packet| encode_client(packet, &mut bytes));
        self.send(&bytes);
    }

    fn end(&self) {
        self.0.borrow_mut().client_has_ended = true;
        self.send(&[]);
    }

    /// What can be read now.
    fn read(&self) -> Vec<ServerPacket> {
        let bytes = std::mem::take(&mut self.0.borrow_mut().to_client);
        let (mut rest, mut packets) = (bytes.as_slice(), Vec::new());
        while let Some(frame) = next_frame(rest, 1 << 20).unwrap() {
            packets.push(decode_server(frame.payload).unwrap());
            rest = &rest[frame.consumed..];
        }
        packets
    }

    fn is_closed(&self) -> bool {
        self.0.borrow().server_has_ended
    }

    fn is_reset(&self) -> bool {
        self.0.borrow().is_reset
    }

    fn is_let_go(&self) -> bool {
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

struct World {
    door: mpsc::UnboundedSender<ServerEnd>,
    taken: Rc<RefCell<Vec<Ticket>>>,
    _handle: NodeHandle,
}

impl World {
    fn start() -> Self {
        let (door, streams) = mpsc::unbounded_channel();
        let presence = Giving::default();
        let taken = presence.0.clone();
        let (node, handle) = Node::new(Parts {
            config: Config::default(),
            seed: 1,
            room_key: [1; 16],
            accounts: Rc::new(Trusting),
            presence: Some(Rc::new(presence)),
            extensions: Extensions::new(),
        });
        spawn_local(node.run(vec![Door(streams)]));
        Self { door, taken, _handle: handle }
    }

    /// A client that has said hello and read the answer.
    async fn connect(&self) -> ClientEnd {
        let client = ClientEnd::default();
        self.door.send(ServerEnd(client.0.clone())).ok().expect("the node accepts");
        client.say(&[ClientPacket::Hello { version: 1, client: "test 1".into() }]);
        settle().await;
        assert!(matches!(client.read().as_slice(), [ServerPacket::Welcome { .. }, ..]));
        client
    }
}

/// A frame whose packet has a number that no packet has.
const UNKNOWN_PACKET: &[u8] = &[1, 0, 0, 0, 99];
const UNKNOWN: ServerPacket = ServerPacket::Closing { reason: CloseReason::PacketUnknown };

#[tokio::test(start_paused = true)]
async fn client_that_has_sent_more_reads_why_it_is_closed() {
    LocalSet::new()
        .run_until(async {
            let world = World::start();
            let client = world.connect().await;
            client.send(&[UNKNOWN_PACKET, &[7; 40_000]].concat());
            settle().await;
            assert!(client.is_closed() && !client.is_reset());
            assert_eq!(client.read(), [UNKNOWN]);
            client.end();
            settle().await;
            assert!(client.is_let_go() && !client.is_reset());
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn client_that_does_not_know_yet_may_go_on_sending() {
    LocalSet::new()
        .run_until(async {
            let world = World::start();
            let client = world.connect().await;
            client.send(UNKNOWN_PACKET);
            for _ in 0..9 {
                settle().await;
                client.say(&[ClientPacket::Ping { nonce: 1 }]);
                tokio::time::advance(Duration::from_millis(100)).await;
            }
            assert!(!client.is_reset(), "what the client has not read is gone");
            assert_eq!(client.read(), [UNKNOWN]);
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn client_that_never_ends_is_let_go_after_a_second_or_64_kib() {
    LocalSet::new()
        .run_until(async {
            let world = World::start();
            let (silent, endless) = (world.connect().await, world.connect().await);
            silent.send(UNKNOWN_PACKET);
            endless.send(&[UNKNOWN_PACKET, &[7; 200_000]].concat());
            settle().await;
            assert!(!silent.is_let_go() && endless.is_let_go());
            tokio::time::advance(Duration::from_millis(999)).await;
            settle().await;
            assert!(!silent.is_let_go());
            tokio::time::advance(Duration::from_millis(2)).await;
            settle().await;
            assert!(silent.is_let_go() && !silent.is_reset());
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn no_two_sessions_have_one_name() {
    LocalSet::new()
        .run_until(async {
            let world = World::start();
            for _ in 0..5 {
                let client = world.connect().await;
                let (request, user, secret) = (RequestId(1), "ada".into(), Secret(b"secret"));
                client.say(&[ClientPacket::LoginRequest { request, user, secret }]);
                settle().await;
                client.end();
                settle().await;
                assert!(client.is_let_go());
            }
            let taken = world.taken.borrow();
            assert_eq!(taken.len(), 5);
            let places: Vec<_> = taken.iter().map(|ticket| ticket.session.index).collect();
            assert_eq!(places, [0; 5], "a place that is free again is used again");
            let lives: Vec<_> = taken.iter().map(|ticket| ticket.session.generation).collect();
            assert!(lives.is_sorted_by(|one, next| one < next), "{lives:?}");
        })
        .await;
}
