//! A node and its clients, stepped by a schedule.

use std::rc::Rc;
use std::time::Duration;

use lobbyd_core::config::{Config, FixedRoom};
use lobbyd_core::id::RoomNumber;
use lobbyd_core::input::Account;
use lobbyd_core::limits::Rate;
use lobbyd_core::name::UserName;
use lobbyd_core::text::Text;
use lobbyd_net::Report;
use lobbyd_net::extension::Extensions;
use lobbyd_net::node::{Node, NodeHandle, Parts};
use lobbyd_net::stores::{Accounts, LocalFuture, SecretBytes, Unavailable};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, LocalSet, spawn_local, yield_now};
use tokio::time::{advance, sleep};

use crate::client::Client;
use crate::judge::Judge;
use crate::transport::{Near, Queue};

pub(crate) const ROOM: RoomNumber = RoomNumber(1);
pub(crate) const SECRET: &[u8] = b"secret";
/// The smallest that may be, so that outboxes may be small too.
pub(crate) const FRAME_BYTES_MAX: u32 = 1024;

/// One thing that happens; clients are named by their place, modulo how many they are.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// So many bytes of what a client has to say go out.
    Send(usize, usize),
    /// A client takes so many more bytes.
    OpenWindow(usize, usize),
    /// Everybody runs until nothing moves.
    Run,
    /// Time passes.
    Advance(Duration),
    /// A client ends its writing half.
    HangUp(usize),
    /// A client's connection breaks.
    Cut(usize),
}

/// How the world is made.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    /// For each client, how many bytes move at a time, and how many it takes before it is asked.
    pub(crate) wires: Vec<(Vec<usize>, usize)>,
    /// How many texts each client says.
    pub(crate) texts: usize,
    /// How long the store thinks about each login.
    pub(crate) login_time: Duration,
    /// How many bytes may wait for a client.
    pub(crate) outbox_bytes_max: u32,
}

/// More than all clients ever say.
pub(crate) const OUTBOX_LARGE: u32 = 256 * 1024;
/// As little as may be: a client that does not read is soon closed.
pub(crate) const OUTBOX_SMALL: u32 = 2 * FRAME_BYTES_MAX;

pub(crate) struct World {
    pub(crate) clients: Vec<Client>,
    handle: NodeHandle,
    node: JoinHandle<Report>,
    is_slow_allowed: bool,
}

/// Says yes to the one secret, after a while.
struct Slow(Duration);

impl Accounts for Slow {
    fn verify(&self, _: UserName, secret: SecretBytes) -> LocalFuture<'_, Result<Option<Account>, Unavailable>> {
        Box::pin(async move {
            sleep(self.0).await;
            Ok((secret.as_slice() == SECRET).then(Account::default))
        })
    }
}

fn config(outbox_bytes_max: u32) -> Config {
    let hour = Duration::from_secs(60 * 60);
    Config {
        fixed_rooms: vec![FixedRoom { number: ROOM, title: Text::new("Plaza"), capacity: 5, password: None }],
        room_members_max: 5,
        frame_bytes_max: FRAME_BYTES_MAX,
        text_bytes_max: 400,
        outbox_bytes_max,
        // Only what the schedule does ends a session.
        heartbeat_interval: hour,
        login_grace: hour,
        login_timeout: hour,
        flood: Rate::per_second(1_000, 10_000),
        ..Config::default()
    }
}

/// Runs a schedule to its end and judges what came of it.
pub(crate) fn run(setup: &Setup, steps: &[Step]) -> Judge {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .unhandled_panic(tokio::runtime::UnhandledPanic::ShutdownRuntime)
        .build()
        .unwrap();
    LocalSet::new().block_on(&runtime, async {
        let mut world = World::new(setup);
        for step in steps {
            world.step(step).await;
        }
        world.end().await
    })
}

impl World {
    fn new(setup: &Setup) -> Self {
        let (connect, queue) = mpsc::unbounded_channel();
        let accounts = Rc::new(Slow(setup.login_time));
        let (node, handle) = Node::new(Parts {
            config: config(setup.outbox_bytes_max),
            seed: 1,
            room_key: [1; 16],
            accounts,
            presence: None,
            extensions: Extensions::new(),
            journal: None,
        });
        let node = spawn_local(node.run(vec![Queue(queue)]));
        let mut clients = Vec::new();
        for ((sizes, window), name) in setup.wires.iter().zip(["ann", "bob", "cy", "dan"]) {
            let near = Near::new(sizes, *window);
            assert!(connect.send(near.far()).is_ok(), "the node listens");
            // Of different lengths, so that a mix-up would be seen; long enough to fill an outbox.
            let text = |place| format!("{name} {place} {}", "x".repeat(place * 53 % 300));
            clients.push(Client::new(near, name, (0..setup.texts).map(text).collect()));
        }
        Self { clients, handle, node, is_slow_allowed: setup.outbox_bytes_max < OUTBOX_LARGE }
    }

    fn client(&mut self, place: usize) -> &mut Client {
        let count = self.clients.len();
        &mut self.clients[place % count]
    }

    async fn step(&mut self, step: &Step) {
        match step {
            Step::Send(client, bytes) => self.client(*client).send(*bytes),
            Step::OpenWindow(client, bytes) => self.client(*client).near.open_window(*bytes),
            Step::Run => self.settle().await,
            Step::Advance(time) => {
                advance(*time).await;
                self.settle().await;
            }
            Step::HangUp(client) => self.client(*client).hang_up(),
            Step::Cut(client) => self.client(*client).cut(),
        }
    }

    /// Lets everybody run until nothing moves any more; time stands still.
    async fn settle(&mut self) {
        let moves = |clients: &[Client]| clients.iter().map(|client| client.near.look(|wire| wire.moves)).sum::<u64>();
        let (mut quiet, mut before) = (0, moves(&self.clients));
        // A task that was woken runs within a few rounds, and most of what it does moves something.
        while quiet < 12 {
            yield_now().await;
            let read = self.clients.iter_mut().map(Client::read).filter(|read| *read).count();
            let now = moves(&self.clients);
            quiet = if now == before && read == 0 { quiet + 1 } else { 0 };
            before = now;
        }
    }

    /// Everything that is held up goes on, then the node is stopped.
    async fn end(mut self) -> Judge {
        let mut rounds = 0;
        while rounds < 1 || self.clients.iter().any(Client::is_waiting) {
            for client in &mut self.clients {
                client.near.open_window(1 << 20);
                client.send(usize::MAX);
            }
            // Logins get their verdict, and who is gone is let go.
            self.settle().await;
            advance(Duration::from_secs(2)).await;
            self.settle().await;
            rounds += 1;
            assert!(rounds < 20, "somebody waits for ever");
        }
        // Whoever was closed in the last round is let go.
        advance(Duration::from_secs(2)).await;
        self.settle().await;
        let before = self.handle.report().await.unwrap();
        let mut judge = Judge::new(self.is_slow_allowed);
        for client in &self.clients {
            judge.hear(client);
        }
        judge.judge_the_living(&self.clients, &before);

        self.handle.stop().await.unwrap();
        self.settle().await;
        for client in self.clients.iter_mut().filter(|client| client.near.look(|wire| wire.server_has_ended)) {
            client.hang_up();
        }
        let report = self.node.await.unwrap();
        for client in &mut self.clients {
            client.read();
        }
        judge.judge_the_end(&self.clients, &report);
        judge
    }
}
