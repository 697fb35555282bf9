//! In steady state the engine allocates nothing (DESIGN section 3). A program of its own, since it counts what its
//! whole process allocates.

#![expect(unsafe_code, reason = "an allocator that counts has to be an allocator")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use lobbyd_core::Engine;
use lobbyd_core::action::{Action, Actions};
use lobbyd_core::config::{Config, FixedRoom};
use lobbyd_core::extension::{Command, CommandHandler, Context, Failure, Handlers, Reply};
use lobbyd_core::id::{RequestId, RoomNumber, SessionId};
use lobbyd_core::input::{Account, Input, Verdict};
use lobbyd_core::packet::{ClientPacket, PROTOCOL_VERSION, Sealed, ServerPacket};
use lobbyd_core::text::RawText;
use lobbyd_core::time::Instant;

struct Counting;

thread_local! {
    /// Of this thread alone: what the test harness does meanwhile is not the engine's.
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

fn count() {
    // A thread that is ending has no counter any more, and nobody who would look at it.
    let _ = ALLOCATIONS.try_with(|allocations| allocations.set(allocations.get() + 1));
}

// SAFETY: every call goes to the system's allocator unchanged, whose promises these are; counting does not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps the same promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps the same promises.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller keeps the same promises.
        unsafe { System.realloc(memory, layout, size) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the same promises.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How often `work` allocates.
fn allocations(work: impl FnOnce()) -> u64 {
    let before = ALLOCATIONS.get();
    work();
    ALLOCATIONS.get() - before
}

const MEMBERS: u32 = 10;
const ROOM: RoomNumber = RoomNumber(1);

/// A full room, and the time that goes on in it.
struct Busy {
    engine: Engine,
    actions: Actions,
    now: Instant,
    chats: u32,
}

impl Busy {
    fn new() -> Self {
        Self::with(Handlers::new())
    }

    fn with(handlers: Handlers) -> Self {
        let room = FixedRoom { number: ROOM, title: "Plaza".into(), capacity: MEMBERS, password: None };
        // Nobody is asked whether they are there.
        let heartbeat_interval = Duration::from_secs(24 * 60 * 60);
        let config = Config { fixed_rooms: vec![room], heartbeat_interval, ..Config::default() };
        let now = Instant::from_nanos(1_000_000_000);
        let mut busy =
            Self { engine: Engine::with_extensions(config, 1, now, handlers), actions: Actions::new(), now, chats: 0 };
        for index in 0..MEMBERS {
            busy.member(index);
        }
        assert_eq!(busy.engine.counts().members, MEMBERS);
        busy
    }

    fn input(&mut self, input: Input<'_>) {
        self.now = self.now + Duration::from_millis(10);
        self.actions.clear();
        self.engine.handle_input(self.now, input, &mut self.actions);
    }

    fn member(&mut self, index: u32) {
        let session = SessionId { index, generation: 0 };
        let name = format!("user{index}");
        let request = RequestId(1);
        let packets = [
            ClientPacket::Hello { version: PROTOCOL_VERSION, client: "test".into() },
            ClientPacket::LoginRequest { request, user: name.as_str().into(), secret: Sealed([1; 16]) },
        ];
        self.input(Input::Connected { session, address: IpAddr::V4(Ipv4Addr::LOCALHOST) });
        for packet in packets {
            self.input(Input::Received { session, packet });
        }
        let Some(Action::VerifyLogin { ticket, user, .. }) = self.actions.get(0) else {
            panic!("asked the store instead of {:?}", self.actions);
        };
        let (ticket, user) = (*ticket, *user);
        let verdict = Verdict::Accepted { account: Account::default(), leased: true };
        self.input(Input::LoginVerdict { ticket, user, verdict });
        self.input(Input::Received {
            session,
            packet: ClientPacket::RoomEnterRequest { request, room: ROOM, password: None },
        });
    }

    /// Everybody in turn says something, of every length up to `text_bytes_max`.
    fn chat(&mut self, text: &[u8]) {
        self.chats += 1;
        let session = SessionId { index: self.chats % MEMBERS, generation: 0 };
        let request = RequestId(self.chats);
        let text = RawText(&text[..1 + self.chats as usize % text.len()]);
        self.input(Input::Received { session, packet: ClientPacket::RoomChatRequest { request, room: ROOM, text } });
        let (mut heard, mut answered) = (0, 0);
        for action in self.actions.iter() {
            if let Action::Broadcast { to, packet: ServerPacket::RoomChatNotify { text: said, .. } } = action {
                assert_eq!(said.as_str().as_bytes(), text.0);
                heard += self.actions.recipients(*to).len();
            } else if let Action::Send { packet: ServerPacket::RoomChatResponse { result: Ok(_), .. }, .. } = action {
                answered += 1;
            } else {
                panic!("chatted instead of {action:?}");
            }
        }
        assert_eq!((heard, answered), (MEMBERS as usize - 1, 1));
    }
}

#[test]
fn counter_counts() {
    assert_eq!(allocations(|| drop(std::hint::black_box(Box::new(1)))), 1);
    assert_eq!(allocations(|| ()), 0);
}

#[test]
fn chat_in_steady_state_allocates_nothing() {
    let text = [b'a'; 2_000];
    let mut busy = Busy::new();
    for _ in 0..100 {
        busy.chat(&text);
    }
    let count = allocations(|| {
        for _ in 0..10_000 {
            busy.chat(&text);
        }
    });
    assert_eq!(count, 0);
}

/// A driver that still holds the texts of earlier turns, in outboxes, makes the engine take a new block now and then,
/// not one for each text.
#[test]
fn texts_that_others_still_hold_share_blocks() {
    let text = [b'a'; 100];
    let mut busy = Busy::new();
    let mut held = Vec::with_capacity(2_000);
    let count = allocations(|| {
        for _ in 0..1_000 {
            busy.chat(&text);
            held.extend(busy.actions.iter().cloned());
        }
    });
    assert!(count < 1_000 / 10, "{count} allocations");
}

/// Answers every command with nothing, and what happens leaves it alone.
#[derive(Clone)]
struct Short;

impl CommandHandler for Short {
    fn command(&mut self, context: &mut Context<'_>, _: Command<'_>) -> Result<(), Failure> {
        Ok(context.reply(Reply::success(b""))?)
    }
}

fn short() -> Handlers {
    let mut handlers = Handlers::new();
    handlers.register("short", Short).expect("the name is good and free");
    handlers
}

#[test]
fn command_in_steady_state_allocates_its_answer_and_nothing_else() {
    let mut busy = Busy::with(short());
    let mut ask = || {
        let (session, request) = (SessionId { index: 1, generation: 0 }, RequestId(1));
        let (command_type, parameters) = ("short".into(), "".into());
        let packet = ClientPacket::CustomCommand { request, command_type, parameters, timestamp: 0 };
        busy.input(Input::Received { session, packet });
        assert_eq!(busy.actions.len(), 1);
        busy.now = busy.now + Duration::from_millis(100);
    };
    ask();
    assert_eq!(allocations(|| (0..1_000).for_each(|_| ask())), 1_000);
}

#[test]
fn telling_extensions_what_happens_allocates_nothing() {
    let come_and_go = |handlers| {
        let mut busy = Busy::with(handlers);
        let mut leave_and_enter = || {
            let (session, request) = (SessionId { index: 1, generation: 0 }, RequestId(1));
            busy.input(Input::Received { session, packet: ClientPacket::RoomLeaveRequest { request, room: ROOM } });
            let enter = ClientPacket::RoomEnterRequest { request, room: ROOM, password: None };
            busy.input(Input::Received { session, packet: enter });
            assert_eq!(busy.actions.len(), 3);
            busy.now = busy.now + Duration::from_millis(500);
        };
        leave_and_enter();
        allocations(|| (0..20).for_each(|_| leave_and_enter()))
    };
    assert_eq!(come_and_go(short()), come_and_go(Handlers::new()));
}
