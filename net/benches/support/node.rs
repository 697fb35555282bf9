//! A whole node, from bytes to bytes, on streams that cost nothing: what is left is what the server itself does.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::{Future, pending};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use lobbyd_core::id::{RequestId, RoomNumber};
use lobbyd_core::input::Account;
use lobbyd_core::name::UserName;
use lobbyd_core::packet::{ClientPacket, PROTOCOL_VERSION, Secret};
use lobbyd_net::codec::encode_client;
use lobbyd_net::extension::Extensions;
use lobbyd_net::frame::next_frame;
use lobbyd_net::node::{Node, Parts};
use lobbyd_net::stores::{Accounts, LocalFuture, SecretBytes, Unavailable};
use lobbyd_net::transport::{Listener, Stream};
use tokio::runtime::{Builder, LocalOptions, LocalRuntime};
use tokio::task::yield_now;

use super::config;
use super::packets::chat_frame;

/// A node, and clients that are in its rooms.
pub(crate) struct House {
    runtime: LocalRuntime,
    clients: Vec<Rc<Client>>,
    room_members: u32,
    frames: Rc<Cell<u64>>,
}

/// The client's end of a stream.
struct Client {
    /// What it has sent and the server has not read.
    sent: RefCell<Vec<u8>>,
    reader: RefCell<Option<Waker>>,
    /// What all of them have received, counted in frames.
    frames: Rc<Cell<u64>>,
}

struct Pipe(Rc<Client>);

struct Gate(VecDeque<Pipe>);

struct Everybody;

impl House {
    /// So many clients, in rooms of so many.
    pub(crate) fn new(clients: u32, room_members: u32) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default());
        let runtime = runtime.expect("a runtime");
        let frames = Rc::new(Cell::new(0));
        let client =
            |_| Rc::new(Client { sent: RefCell::default(), reader: RefCell::default(), frames: Rc::clone(&frames) });
        let clients: Vec<_> = (0..clients).map(client).collect();
        let house = Self { runtime, clients, room_members, frames };
        let gate = Gate(house.clients.iter().map(|client| Pipe(Rc::clone(client))).collect());
        house.open(gate);
        let request = RequestId(1);
        house.all_ask(|_, _| ClientPacket::Hello { version: PROTOCOL_VERSION, client: "bench".into() });
        house.all_ask(|_, name| ClientPacket::LoginRequest { request, user: name.into(), secret: Secret(b"secret") });
        house.all_ask(|room, _| ClientPacket::RoomEnterRequest { request, room, password: None });
        assert_eq!(house.chat(1, 1), u64::from(room_members), "everybody is in a room");
        house
    }

    /// So many clients say so many messages each, all at once. Says how many frames that gave.
    pub(crate) fn chat(&self, speakers: u32, messages: u32) -> u64 {
        self.say(&self.words(speakers, messages), messages)
    }

    /// What so many clients send to say so many messages each.
    pub(crate) fn words(&self, speakers: u32, messages: u32) -> Vec<Vec<u8>> {
        (0..speakers).map(|index| chat_frame(1_000, self.room(index)).repeat(messages as usize)).collect()
    }

    /// The first clients send these words, of so many messages each, all at once. Says how many frames that gave.
    pub(crate) fn say(&self, words: &[Vec<u8>], messages: u32) -> u64 {
        let before = self.frames.get();
        self.runtime.block_on(async {
            for (client, words) in self.clients.iter().zip(words) {
                client.say(words);
            }
            let after = before + words.len() as u64 * u64::from(messages) * u64::from(self.room_members);
            while self.frames.get() < after {
                yield_now().await;
            }
        });
        self.frames.get() - before
    }

    fn open(&self, gate: Gate) {
        self.runtime.block_on(async {
            let parts = Parts {
                config: config(self.clients.len() as u32, self.room_members),
                seed: 1,
                room_key: [1; 16],
                accounts: Rc::new(Everybody),
                presence: None,
                extensions: Extensions::new(),
                journal: None,
            };
            let (node, handle) = Node::new(parts);
            tokio::task::spawn_local(async move {
                let _handle = handle;
                node.run(vec![gate]).await
            });
        });
    }

    fn all_ask(&self, packet: impl Fn(RoomNumber, &str) -> ClientPacket<'_>) {
        for (index, client) in (0..).zip(&self.clients) {
            let name = format!("b{index}");
            client.ask(&packet(self.room(index), &name));
        }
        self.wait_until_quiet();
    }

    /// Until nobody has said anything for some rounds of the runtime.
    pub(crate) fn wait_until_quiet(&self) {
        self.runtime.block_on(async {
            let mut quiet = 0;
            while quiet < 100 {
                let before = self.frames.get();
                yield_now().await;
                quiet = if self.frames.get() == before { quiet + 1 } else { 0 };
            }
        });
    }

    fn room(&self, index: u32) -> RoomNumber {
        RoomNumber(1 + index / self.room_members)
    }
}

impl Client {
    fn say(&self, bytes: &[u8]) {
        self.sent.borrow_mut().extend_from_slice(bytes);
        if let Some(reader) = self.reader.borrow_mut().take() {
            reader.wake();
        }
    }

    fn ask(&self, packet: &ClientPacket<'_>) {
        let mut frame = Vec::new();
        encode_client(packet, &mut frame);
        self.say(&frame);
    }
}

impl Stream for Pipe {
    fn poll_read(&mut self, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut sent = self.0.sent.borrow_mut();
        if sent.is_empty() {
            *self.0.reader.borrow_mut() = Some(context.waker().clone());
            return Poll::Pending;
        }
        let count = sent.len().min(buffer.len());
        buffer[..count].copy_from_slice(&sent[..count]);
        sent.drain(..count);
        Poll::Ready(Ok(count))
    }

    /// Takes everything, and counts it.
    fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut rest = bytes;
        let mut frames = 0;
        while let Ok(Some(frame)) = next_frame(rest, u32::MAX) {
            frames += 1;
            rest = &rest[frame.consumed..];
        }
        self.0.frames.set(self.0.frames.get() + frames);
        Ok(bytes.len())
    }

    fn poll_writable(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl Listener for Gate {
    type Stream = Pipe;

    fn accept(&mut self) -> impl Future<Output = io::Result<(Pipe, SocketAddr)>> {
        let pipe = self.0.pop_front();
        async move {
            match pipe {
                Some(pipe) => Ok((pipe, SocketAddr::from(([127, 0, 0, 1], 1)))),
                None => pending().await,
            }
        }
    }
}

impl Accounts for Everybody {
    fn verify(&self, _: UserName, _: SecretBytes) -> LocalFuture<'_, Result<Option<Account>, Unavailable>> {
        Box::pin(async { Ok(Some(Account::default())) })
    }
}
