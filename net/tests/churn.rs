//! Clients that come and go leave nothing behind: over real sockets of the loopback address, ten thousand connections a
//! round. A program of its own, since it counts what its whole process allocates.

#![expect(unsafe_code, reason = "an allocator that counts has to be an allocator")]
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::atomic::{AtomicI64, Ordering};

use lobbyd_core::config::{Config, FixedRoom};
use lobbyd_core::id::{RequestId, RoomNumber};
use lobbyd_core::input::Account;
use lobbyd_core::limits::Rate;
use lobbyd_core::name::UserName;
use lobbyd_core::packet::{ClientPacket, PROTOCOL_VERSION, Secret, ServerPacket};
use lobbyd_net::codec::{decode_server, encode_client};
use lobbyd_net::extension::Extensions;
use lobbyd_net::frame::next_frame;
use lobbyd_net::node::{Node, NodeHandle, Parts};
use lobbyd_net::stores::{Accounts, LocalFuture, SecretBytes, Unavailable};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::{LocalSet, spawn_local, yield_now};

struct Counting;

/// Bytes that live now.
static LIVE: AtomicI64 = AtomicI64::new(0);

fn count(bytes: usize, sign: i64) {
    LIVE.fetch_add(sign * i64::try_from(bytes).expect("a layout has fewer bytes than that"), Ordering::Relaxed);
}

// SAFETY: every call goes to the system's allocator unchanged, whose promises these are; counting does not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 1);
        // SAFETY: the caller keeps the same promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 1);
        // SAFETY: the caller keeps the same promises.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size, 1);
        count(layout.size(), -1);
        // SAFETY: the caller keeps the same promises.
        unsafe { System.realloc(memory, layout, size) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        count(layout.size(), -1);
        // SAFETY: the caller keeps the same promises.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const ROUNDS: usize = 4;
/// Connections of a round, and how many of them are there at a time: below the usual limit of open files, which counts
/// both ends.
const CONNECTIONS: usize = 10_000;
const AT_ONCE: usize = 250;
const ROOM: RoomNumber = RoomNumber(1);
/// What live bytes may differ by, such as by a buffer that the pool has kept or given up: a few bytes a connection would
/// be more.
const LIVE_SLACK: i64 = 64 * 1024;
/// What the pages of a process may differ by for reasons of the allocator's own.
const RESIDENT_SLACK: i64 = 1024 * 1024;

/// Everybody is who they say they are.
struct Trusting;

impl Accounts for Trusting {
    fn verify(&self, _: UserName, _: SecretBytes) -> LocalFuture<'_, Result<Option<Account>, Unavailable>> {
        Box::pin(async { Ok(Some(Account::default())) })
    }
}

fn config() -> Config {
    let rate = Rate::per_second(1_000_000, 1_000_000);
    let room = FixedRoom { number: ROOM, title: "Plaza".into(), capacity: AT_ONCE as u32, password: None };
    Config { flood: rate, connects_per_address: rate, fixed_rooms: vec![room], ..Config::default() }
}

/// Reads until `is_last` comes.
async fn hear(stream: &mut TcpStream, is_last: impl Fn(&ServerPacket) -> bool) {
    let mut heard = Vec::new();
    loop {
        while let Some(frame) = next_frame(&heard, 1 << 20).unwrap() {
            let is_over = is_last(&decode_server(frame.payload).unwrap());
            let consumed = frame.consumed;
            heard.drain(..consumed);
            if is_over {
                return;
            }
        }
        assert_ne!(stream.read_buf(&mut heard).await.unwrap(), 0, "the server closed the connection");
    }
}

/// One of three lives: connects only; is greeted; logs in, enters the room and talks.
async fn live(address: SocketAddr, number: usize) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // A reset leaves no port waiting.
    stream.set_zero_linger().unwrap();
    let mut bytes = Vec::new();
    if number.is_multiple_of(3) {
        return stream;
    }
    encode_client(&ClientPacket::Hello { version: PROTOCOL_VERSION, client: "churn".into() }, &mut bytes);
    stream.write_all(&bytes).await.unwrap();
    hear(&mut stream, |packet| matches!(packet, ServerPacket::Welcome { .. })).await;
    if number % 3 == 1 {
        return stream;
    }
    let user = format!("user{number}");
    let packets = [
        ClientPacket::LoginRequest { request: RequestId(1), user: user.as_str().into(), secret: Secret(b"secret") },
        ClientPacket::RoomEnterRequest { request: RequestId(2), room: ROOM, password: None },
        ClientPacket::RoomChatRequest { request: RequestId(3), room: ROOM, text: "hello".into() },
    ];
    let [login, rest @ ..] = packets;
    bytes.clear();
    encode_client(&login, &mut bytes);
    stream.write_all(&bytes).await.unwrap();
    hear(&mut stream, |packet| matches!(packet, ServerPacket::LoginResponse { .. })).await;
    bytes.clear();
    rest.iter().for_each(|packet| encode_client(packet, &mut bytes));
    stream.write_all(&bytes).await.unwrap();
    hear(&mut stream, |packet| matches!(packet, ServerPacket::RoomChatResponse { result: Ok(_), .. })).await;
    stream
}

async fn round(address: SocketAddr, node: &NodeHandle) {
    for batch in 0..CONNECTIONS / AT_ONCE {
        let clients = (0..AT_ONCE).map(|place| spawn_local(live(address, batch * AT_ONCE + place)));
        let clients: Vec<_> = clients.collect();
        let mut streams = Vec::with_capacity(AT_ONCE);
        for client in clients {
            streams.push(client.await.unwrap());
        }
        drop(streams);
        while node.report().await.unwrap().connections > 0 {
            yield_now().await;
        }
    }
}

fn resident() -> i64 {
    let pages = fs::read_to_string("/proc/self/statm").unwrap();
    let pages: i64 = pages.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}

#[tokio::test]
async fn connections_that_come_and_go_leave_nothing_behind() {
    let work = async {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        // Who finds the queue full tries again a second later.
        let listener = socket.listen(2 * AT_ONCE as u32).unwrap();
        let address = listener.local_addr().unwrap();
        let parts = Parts {
            config: config(),
            seed: 1,
            room_key: [1; 16],
            accounts: Rc::new(Trusting),
            presence: None,
            extensions: Extensions::new(),
            journal: None,
        };
        let (node, handle) = Node::new(parts);
        let running = spawn_local(node.run(vec![listener]));
        let mut after = Vec::with_capacity(ROUNDS);
        for _ in 0..ROUNDS {
            round(address, &handle).await;
            after.push((LIVE.load(Ordering::Relaxed), resident()));
        }
        let report = handle.report().await.unwrap();
        assert_eq!((report.traffic.accepted, report.counts.sessions), ((ROUNDS * CONNECTIONS) as u64, 0));
        running.abort();
        after
    };
    let after = LocalSet::new().run_until(work).await;
    println!("live bytes and resident bytes after each round: {after:?}");
    // The first round gives tables and the pool their size.
    let (live, resident) = after[0];
    for (live_now, resident_now) in &after[1..] {
        assert!(live_now - live < LIVE_SLACK, "bytes live on after a round: {after:?}");
        assert!(resident_now - resident < RESIDENT_SLACK, "the process has grown: {after:?}");
    }
}
