//! What can happen in a case. Operands are places in short tables, the plainest first, so that a failure shrinks towards
//! plain ones; an operation that makes no sense where it stands does something harmless, so that any part of a case is
//! a case.

use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::select;

/// How many clients there are, each with one connection at a time.
pub(crate) const CLIENTS: u8 = 8;
/// Names as they are typed: one for each client, one of them as long as a name may be, and then one more spelling of the
/// first, and two that are no names.
pub(crate) const NAMES: [&str; 11] =
    ["ada", "Grace", "root", "x2345678901234567890123456789_.-", "joan", "mary", "edith", "kay", "ADA", "", "a b"];
/// The first of them, few enough to meet each other.
const NAMES_USUAL: u8 = 4;
/// The administrator among them.
pub(crate) const ADMINISTRATOR: &str = "root";
/// Texts, valid and not: what is wrong with each depends on the limit.
pub(crate) const TEXTS: [&[u8]; 12] = [
    b"hi",
    b"two\nlines",
    b"8 bytes!",
    b"9 bytes!!",
    b"",
    b"\x07",
    b"\xff\xfe",
    "\u{202e}evil".as_bytes(),
    "\u{2028}".as_bytes(),
    "\u{9f}".as_bytes(),
    &[b'x'; 65],
    &[b'y'; 2001],
];
/// Rooms by number. The first stands for the one that one is in, or for a kick the one where the other is.
pub(crate) const ROOMS: [u32; 9] = [u32::MAX, 1, 2, 3, 5, 6, 7, 0, 99];

/// Something that happens.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Operation {
    /// Connects if it is not, says hello, logs in, and is let in.
    Arrive {
        client: u8,
        user: u8,
    },
    /// Logs in with a wrong secret.
    Guess {
        client: u8,
        user: u8,
    },
    /// Leaves its room and creates one.
    Host {
        client: u8,
    },
    /// Leaves its room and goes to where another is; the vault stands for one more.
    Visit {
        client: u8,
        host: u8,
        password: u8,
    },
    /// Everybody who is not logged in arrives, each under an own name, and goes into this room.
    Crowd {
        room: u8,
    },
    /// Hangs up if it is connected, and connects.
    Connect {
        client: u8,
        address: u8,
    },
    /// Says something, also when it is not connected any more.
    Say {
        client: u8,
        what: Said,
    },
    /// The store answers: the last question, or one that far back, also twice.
    Verdict {
        back: u8,
        answer: Answer,
        of_another: bool,
    },
    /// Time passes and the engine is not asked.
    Advance(Duration),
    /// Time passes until the next deadline.
    Deadline,
    /// The client hangs up.
    Disconnect {
        client: u8,
    },
    /// The client sends bytes that are no packet.
    Malformed {
        client: u8,
        fault: u8,
    },
    /// Something comes in from the session that was in the client's slot before, if there was one.
    Late {
        client: u8,
        kind: u8,
    },
    /// The client does not read.
    OutboxFull {
        client: u8,
    },
    /// The lease of the last login, or one that far back, is another's.
    PresenceLost {
        back: u8,
    },
    /// The process did not run.
    Stall(Duration),
    /// Orders of the operator.
    Drain(Duration),
    Stop,
    CloseUser {
        user: u8,
    },
    Announce {
        text: u8,
    },
    /// The operator asks a service by a handle.
    AskService {
        text: u8,
    },
    /// A service answers: the last question, or one that far back, also twice, and too late.
    Serve {
        back: u8,
        served: Served,
    },
    /// The engine is stored, and goes on from what was stored; beside it goes on the one that was stored.
    Restore,
}

/// What a client says.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Said {
    Chat { room: u8, text: u8 },
    Enter { room: u8, password: u8 },
    Leave { room: u8 },
    Login { user: u8 },
    Logout,
    Create { title: u8, capacity: u32, password: u8 },
    List { from: u32, limit: u32 },
    Direct { user: u8, text: u8 },
    Kick { room: u8, whom: u8, ban: bool },
    Ping,
    Pong,
    Hello { version: u32 },
}

/// What the store says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Accepted,
    /// The account takes no lease.
    AcceptedWithoutLease,
    Denied,
    AlreadyOnline,
    Unavailable,
}

/// What a service says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Served {
    /// Something that it says to no other question.
    Answer,
    Failed,
    Busy,
    Unknown,
    /// Its own time was over, which it says in the words that the engine uses for its own.
    TimedOut,
    /// The answer to a question that was never asked.
    OfNobody,
}

/// Anything that can happen, the usual more often.
pub(crate) fn operation() -> impl Strategy<Value = Operation> {
    // The most frequent first: what stands before the one that is taken costs time too.
    prop_oneof![
        28 => (client(), said()).prop_map(|(client, what)| Operation::Say { client, what }),
        6 => (client(), 0..NAMES_USUAL).prop_map(|(client, user)| Operation::Arrive { client, user }),
        2 => (client(), 0..2_u8).prop_map(|(client, user)| Operation::Guess { client, user }),
        3 => client().prop_map(|client| Operation::Host { client }),
        5 => (client(), 0..CLIENTS + 3, 0..3_u8)
            .prop_map(|(client, host, password)| Operation::Visit { client, host, password }),
        5 => (0..4_u8, answer(), prop::bool::weighted(0.1))
            .prop_map(|(back, answer, of_another)| Operation::Verdict { back, answer, of_another }),
        3 => (client(), 0..4_u8).prop_map(|(client, address)| Operation::Connect { client, address }),
        7 => time(),
        8 => seldom(),
    ]
}

/// Few clients more often than many, so that something becomes of them.
fn client() -> impl Strategy<Value = u8> {
    (0..CLIENTS, 0..3_u8, 0..4_u8).prop_map(|(any, few, which)| if which == 0 { any } else { few })
}

fn time() -> impl Strategy<Value = Operation> {
    const SECONDS: [u64; 9] = [1, 5, 7, 19, 20, 30, 60, 61, 3_600];
    prop_oneof![
        Just(Operation::Deadline),
        select(&SECONDS[..]).prop_map(|seconds| Operation::Advance(Duration::from_secs(seconds))),
        (0..10_000_u64).prop_map(|millis| Operation::Advance(Duration::from_millis(millis))),
    ]
}

fn seldom() -> impl Strategy<Value = Operation> {
    const WITHIN: [u64; 4] = [10, 0, 1, 100];
    const SERVED: [Served; 8] = [
        Served::Answer,
        Served::Answer,
        Served::Answer,
        Served::Failed,
        Served::Busy,
        Served::Unknown,
        Served::TimedOut,
        Served::OfNobody,
    ];
    (0..19_u8, 0..CLIENTS, 0..TEXTS.len() as u8, 1..100_000_u64).prop_map(|(kind, client, other, millis)| match kind {
        0..=2 => Operation::Disconnect { client },
        3 => Operation::Malformed { client, fault: other % 4 },
        4 => Operation::OutboxFull { client },
        5 | 6 => Operation::PresenceLost { back: other % 3 },
        7 => Operation::Stall(Duration::from_millis(millis)),
        8 => Operation::Drain(Duration::from_secs(WITHIN[usize::from(other % 4)])),
        9 => Operation::CloseUser { user: other % NAMES_USUAL },
        10 => Operation::Announce { text: other },
        11 if client == 0 => Operation::Stop,
        12 => Operation::Crowd { room: client },
        13 | 14 => Operation::Late { client, kind: other % 4 },
        15 | 16 => Operation::AskService { text: other },
        17 => Operation::Serve { back: client % 4, served: SERVED[usize::from(other) % SERVED.len()] },
        _ => Operation::Restore,
    })
}

fn said() -> impl Strategy<Value = Said> {
    let room = || 0..ROOMS.len() as u8;
    let own = || prop_oneof![3 => Just(0), 1 => room()];
    // An open one, the first that is created, the protected one.
    let entered = prop_oneof![3 => Just(3), 2 => Just(4), 2 => Just(2), 2 => room()];
    let text = || prop_oneof![2 => Just(0), 1 => 0..TEXTS.len() as u8];
    let user = || 0..NAMES.len() as u8;
    prop_oneof![
        5 => (own(), text()).prop_map(|(room, text)| Said::Chat { room, text }),
        8 => (entered, 0..3_u8).prop_map(|(room, password)| Said::Enter { room, password }),
        3 => own().prop_map(|room| Said::Leave { room }),
        7 => user().prop_map(|user| Said::Login { user }),
        6 => (text(), select(&[5, 5, 1, 2, 2, 1000, 0, 1001][..]), 0..3_u8)
            .prop_map(|(title, capacity, password)| Said::Create { title, capacity, password }),
        6 => (own(), client(), any::<bool>()).prop_map(|(room, whom, ban)| Said::Kick { room, whom, ban }),
        3 => (user(), text()).prop_map(|(user, text)| Said::Direct { user, text }),
        5 => (0..10_u32, 0..12_u32).prop_map(|(kind, number)| match kind {
            0 | 1 | 9 => Said::Logout,
            2 | 3 => Said::List { from: number, limit: 0 },
            4 => Said::List { from: number % 3, limit: number },
            5 => Said::Ping,
            6 => Said::Pong,
            7 => Said::Hello { version: 1 },
            _ => Said::Hello { version: 1 + number % 2 },
        }),
    ]
}

fn answer() -> impl Strategy<Value = Answer> {
    prop_oneof![
        4 => Just(Answer::Accepted),
        1 => Just(Answer::AcceptedWithoutLease),
        2 => Just(Answer::Denied),
        1 => Just(Answer::AlreadyOnline),
        1 => Just(Answer::Unavailable),
    ]
}
