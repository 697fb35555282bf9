//! Once a node has its tables and buffers, chat allocates nothing, from the bytes that come in to those that go out. A
//! program of its own, since it counts what allocates.

#![expect(unsafe_code, reason = "an allocator that counts has to be an allocator")]

#[path = "../benches/support/mod.rs"]
#[expect(dead_code, reason = "the benchmarks measure more than this")]
mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::hint::black_box;

use self::support::node::House;

struct Counting;

thread_local! {
    /// Allocations of this thread, and changes of the size of one: what the test harness does meanwhile is not counted.
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

fn count() {
    // A thread that is ending has no counter any more, and nobody who would look at it.
    let _ = ALLOCATIONS.try_with(|cell| cell.set(cell.get() + 1));
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

fn allocations(work: impl FnOnce()) -> u64 {
    let before = ALLOCATIONS.get();
    work();
    ALLOCATIONS.get() - before
}

const CLIENTS: u32 = 500;
const ROOM_MEMBERS: u32 = 10;
const MESSAGES: u32 = 8;

#[test]
fn counter_counts() {
    assert_eq!(allocations(|| drop(black_box(Box::new(1)))), 1);
    assert_eq!(allocations(|| ()), 0);
}

#[test]
fn chat_in_steady_state_allocates_nothing() {
    let house = House::new(CLIENTS, ROOM_MEMBERS);
    let words = house.words(CLIENTS, MESSAGES);
    let deliveries = u64::from(CLIENTS * MESSAGES * ROOM_MEMBERS);
    for _ in 0..10 {
        assert_eq!(house.say(&words, MESSAGES), deliveries);
    }
    // The runtime itself allocates when it is entered, which a server does once.
    let idle = allocations(|| house.wait_until_quiet());
    let mut counts = [0; 20];
    for of_a_round in &mut counts {
        *of_a_round = allocations(|| assert_eq!(house.say(&words, MESSAGES), deliveries));
    }
    assert_eq!(counts, [idle; 20], "in each round");
}
