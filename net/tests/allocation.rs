//! What a peer's bytes can make the codec allocate: nothing for what a client says, and in proportion to the bytes that
//! are there, never to those that are announced, for what a server says. A program of its own, since it counts what its
//! whole process allocates.

#![expect(unsafe_code, reason = "an allocator that counts has to be an allocator")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::fs;
use std::path::Path;

use lobbyd_core::config::FRAME_BYTES_LIMIT;
use lobbyd_core::packet::{RoomSummary, ServerPacket, User};
use lobbyd_net::codec::{decode_client, decode_server};
use lobbyd_net::frame::next_frame;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::Value;

struct Counting;

/// What this thread has allocated: what the test harness does meanwhile is not the codec's.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    /// Allocations, and changes of the size of one.
    calls: usize,
    /// Bytes that live now, as far as they were allocated since the count began.
    live: isize,
    /// The most bytes that lived at once.
    peak: isize,
}

thread_local! {
    static COUNT: Cell<Count> = const { Cell::new(Count { calls: 0, live: 0, peak: 0 }) };
}

fn count(calls: usize, bytes: isize) {
    // A thread that is ending has no counter any more, and nobody who would look at it.
    let _ = COUNT.try_with(|cell| {
        let Count { calls: before, live, peak } = cell.get();
        let live = live + bytes;
        cell.set(Count { calls: before + calls, live, peak: peak.max(live) });
    });
}

fn signed(bytes: usize) -> isize {
    isize::try_from(bytes).expect("a layout has fewer bytes than that")
}

// SAFETY: every call goes to the system's allocator unchanged, whose promises these are; counting does not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(1, signed(layout.size()));
        // SAFETY: the caller keeps the same promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(1, signed(layout.size()));
        // SAFETY: the caller keeps the same promises.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // The old and the new block may exist side by side.
        count(1, signed(size));
        count(0, -signed(layout.size()));
        // SAFETY: the caller keeps the same promises.
        unsafe { System.realloc(memory, layout, size) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        count(0, -signed(layout.size()));
        // SAFETY: the caller keeps the same promises.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What `work` allocates; its result is dropped before the end.
fn counted<T>(work: impl FnOnce() -> T) -> Count {
    COUNT.set(Count::default());
    drop(std::hint::black_box(work()));
    COUNT.get()
}

/// The error of a refused packet is made of words; so many bytes are enough for them.
const ERROR_BYTES_MAX: isize = 512;
const ERROR_CALLS_MAX: usize = 8;

/// The most bytes that an element of a list takes in memory for each byte of its shortest encoding: a user has an id, a
/// name of one letter and no nickname (4 bytes), a room an empty title (5 bytes).
fn memory_for_a_byte() -> usize {
    size_of::<User>().div_ceil(4).max(size_of::<RoomSummary>().div_ceil(5))
}

/// A list that grows by doubling holds at most half its room in vain, and moves from a block half as large.
fn server_bytes_max(payload: usize) -> isize {
    // A list has room for four elements at once, and a text has a block of its own with a few words beside it.
    let least = 4 * size_of::<User>().max(size_of::<RoomSummary>());
    signed(3 * memory_for_a_byte() * payload + least) + ERROR_BYTES_MAX
}

fn assert_bounded(payload: &[u8]) {
    let client = counted(|| decode_client(payload).is_ok());
    assert!(client.calls <= ERROR_CALLS_MAX && client.peak <= ERROR_BYTES_MAX, "{client:?} for {payload:?}");
    if decode_client(payload).is_ok() {
        assert_eq!(client.calls, 0, "{payload:?}");
    }
    let server = counted(|| decode_server(payload));
    // The work: a list grows a few times for all its elements, and each of its texts is one block, of one byte or more.
    assert!(server.calls <= payload.len() + ERROR_CALLS_MAX, "{server:?} for {} bytes", payload.len());
    assert!(server.peak <= server_bytes_max(payload.len()), "{server:?} for {} bytes", payload.len());
    assert_eq!((client.live, server.live), (0, 0), "something is kept");
}

/// The payloads of the golden vectors, those that are to be refused too.
fn payloads() -> Vec<Vec<u8>> {
    let read = |file: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors").join(file);
        let vectors: Vec<Value> = serde_json::from_str(&fs::read_to_string(path).expect("a file")).expect("JSON");
        vectors.into_iter().map(|vector| {
            let digits = vector.get("frame").or(vector.get("bytes")).and_then(Value::as_str).expect("bytes");
            let byte = |place| u8::from_str_radix(&digits[place..place + 2], 16).expect("hexadecimal");
            (8..digits.len()).step_by(2).map(byte).collect::<Vec<u8>>()
        })
    };
    ["client.json", "server.json", "refused.json"].into_iter().flat_map(read).collect()
}

#[test]
fn counter_counts() {
    let count = counted(|| vec![0_u8; 100].into_boxed_slice());
    assert_eq!((count.calls, count.live, count.peak), (1, 0, 100));
    let count = counted(|| {
        let mut bytes = Vec::with_capacity(10);
        bytes.resize(20, 1_u8);
        bytes
    });
    assert_eq!((count.calls, count.live, count.peak), (2, 0, 30));
    assert_eq!(counted(|| ()).calls, 0);
}

#[test]
fn vectors_are_read_within_bounds() {
    let payloads = payloads();
    assert!(payloads.len() > 100, "{} vectors", payloads.len());
    for payload in payloads {
        assert_bounded(&payload);
    }
}

/// `RoomListResponse`, `RoomUserListNotify`, and texts and secrets of both sides, up to where a length or a count stands.
const ANNOUNCERS: [&[u8]; 6] = [&[7, 7, 0], &[16, 3, 5, 17, 0], &[20], &[0, 1], &[3, 7], &[6, 7, 1, b'a', 8, 1]];

#[test]
fn announced_lengths_make_nobody_allocate_or_count() {
    // 2^16, 2^40 and 2^64-1; behind them as many bytes as the longest frame has, and hardly any.
    let lengths: [&[u8]; 3] =
        [&[252, 0, 0, 1, 0], &[253, 0, 0, 0, 0, 0, 1, 0, 0], &[253, 255, 255, 255, 255, 255, 255, 255, 255]];
    for announcer in ANNOUNCERS {
        for length in lengths {
            for (fill, count) in [(0, 0), (0, 7), (0, FRAME_BYTES_LIMIT as usize - 32), (1, 1_000), (255, 1_000)] {
                let payload = [announcer, length, &vec![fill; count]].concat();
                assert_bounded(&payload);
            }
        }
    }
}

#[test]
fn longest_lists_of_the_shortest_elements_are_read_within_bounds() {
    let room: &[u8] = &[1, 0, 0, 1, 0];
    let user: &[u8] = &[1, 1, b'a', 0];
    for (head, element, tail) in [(&[7, 7, 0][..], room, &[0][..]), (&[16, 3, 5, 17, 0], user, &[1])] {
        let count = (FRAME_BYTES_LIMIT as usize - 32) / element.len();
        let length = [&[252][..], &u32::try_from(count).expect("it fits").to_le_bytes()].concat();
        let payload = [head, &length, &element.repeat(count), tail].concat();
        let packet = decode_server(&payload);
        assert!(matches!(packet, Ok(ServerPacket::RoomListResponse { .. } | ServerPacket::RoomUserListNotify { .. })));
        assert_bounded(&payload);
        // It grew as it came, so many elements took few steps.
        assert!(counted(|| decode_server(&payload)).calls < 64);
    }
}

#[test]
fn cutting_frames_allocates_nothing() {
    for header in [[0; 4], [1, 0, 0, 0], [255, 255, 255, 255], [0, 0, 16, 0]] {
        let stream = [&header[..], &[7; 100]].concat();
        assert_eq!(counted(|| next_frame(&stream, FRAME_BYTES_LIMIT).is_ok()).calls, 0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn broken_packets_are_refused_within_bounds(
        payload in select(payloads()),
        changes in vec((any::<Index>(), prop_oneof![0..4u8, 250..=255u8, any::<u8>()], any::<bool>()), 1..6),
    ) {
        let mut payload = payload;
        for (place, byte, is_more) in changes {
            let place = place.index(payload.len() + 1);
            if is_more || place == payload.len() { payload.insert(place, byte) } else { payload[place] = byte }
        }
        assert_bounded(&payload);
    }

    #[test]
    fn noise_is_refused_within_bounds(number in 0..24u8, noise in vec(any::<u8>(), 0..300)) {
        let payload = [&[number], noise.as_slice()].concat();
        assert_bounded(&payload);
    }
}
