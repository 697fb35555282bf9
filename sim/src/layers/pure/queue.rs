//! What is going to happen, ordered by its moment and, within a moment, by when it was planned.

use std::cmp::{Ordering, Reverse};
use std::collections::{BinaryHeap, VecDeque};

use super::redis::StoreEvent;

/// Something that happens. Its numbers are indices into the world's lists.
#[derive(Clone, Copy, Debug)]
pub(super) enum Event {
    /// The next piece of a stream reaches the daemon.
    Up(u32),
    /// The next piece of a stream reaches the client.
    Down(u32),
    /// A client learns that its connection could not be made.
    Refused(u32),
    /// A client reads again what waits for it.
    Resume(u32),
    /// A daemon learns that a client reads again.
    Window(u32),
    /// A closed session has had its time to receive its last packets.
    Linger(u32),
    /// A daemon has a deadline.
    Timer(u32),
    /// A daemon's operator has asked for something.
    Command(u32),
    /// A service has answered a daemon; the number is that of the reply.
    Reply(u32, u32),
    /// Something about the stores.
    Store(StoreEvent),
}

/// The queue. Network traffic mostly comes in the order of its moments, so it has a lane of its own, where that costs
/// nothing; what does not fit there is in the heap, as are all deadlines.
#[derive(Default)]
pub(super) struct Queue {
    lane: VecDeque<Entry>,
    heap: BinaryHeap<Reverse<Entry>>,
    serial: u64,
    under_way: usize,
}

struct Entry {
    at: u64,
    serial: u64,
    is_under_way: bool,
    event: Event,
}

impl Queue {
    /// Plans what happens at `at` because something is under way until then.
    pub(super) fn send(&mut self, at: u64, event: Event) {
        self.under_way += 1;
        let entry = self.entry(at, event, true);
        if self.lane.back().is_none_or(|last| last.at <= at) {
            self.lane.push_back(entry);
        } else {
            self.heap.push(Reverse(entry));
        }
    }

    /// Plans what happens at `at` by itself: a deadline, which nobody has to wait for.
    pub(super) fn plan(&mut self, at: u64, event: Event) {
        let entry = self.entry(at, event, false);
        self.heap.push(Reverse(entry));
    }

    /// When the next thing happens.
    pub(super) fn next_at(&self) -> Option<u64> {
        let lane = self.lane.front().map(|entry| entry.at);
        let heap = self.heap.peek().map(|Reverse(entry)| entry.at);
        lane.into_iter().chain(heap).min()
    }

    /// The next thing, if it happens by `now`.
    pub(super) fn pop(&mut self, now: u64) -> Option<Event> {
        let from_lane = match (self.lane.front(), self.heap.peek()) {
            (Some(lane), Some(Reverse(heap))) => lane < heap,
            (Some(_), None) => true,
            (None, _) => false,
        };
        let entry = if from_lane {
            self.lane.front().filter(|entry| entry.at <= now)?;
            self.lane.pop_front()?
        } else {
            self.heap.peek().filter(|Reverse(entry)| entry.at <= now)?;
            self.heap.pop()?.0
        };
        self.under_way -= usize::from(entry.is_under_way);
        Some(entry.event)
    }

    /// Whether nothing is under way; deadlines may be.
    pub(super) fn is_quiet(&self) -> bool {
        self.under_way == 0
    }

    fn entry(&mut self, at: u64, event: Event, is_under_way: bool) -> Entry {
        self.serial += 1;
        Entry { at, serial: self.serial, is_under_way, event }
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.serial == other.serial
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at, self.serial).cmp(&(other.at, other.serial))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn things_happen_by_their_moments_and_then_in_the_order_of_planning() {
        let mut queue = Queue::default();
        queue.send(5, Event::Up(0));
        queue.send(9, Event::Up(1));
        queue.plan(5, Event::Up(2));
        queue.send(5, Event::Up(3));
        queue.send(9, Event::Up(4));
        queue.plan(1, Event::Up(5));
        let mut order = Vec::new();
        while let Some(at) = queue.next_at() {
            let Some(Event::Up(index)) = queue.pop(at) else { panic!("something is due at {at}") };
            order.push((at, index));
        }
        assert_eq!(order, [(1, 5), (5, 0), (5, 2), (5, 3), (9, 1), (9, 4)]);
    }

    #[test]
    fn only_what_is_under_way_disturbs_the_quiet() {
        let mut queue = Queue::default();
        queue.plan(1, Event::Timer(0));
        assert!(queue.is_quiet());
        queue.send(2, Event::Up(0));
        assert!(!queue.is_quiet());
        assert!(queue.pop(1).is_some());
        assert!(queue.pop(1).is_none(), "the rest is not due yet");
        assert!(queue.pop(2).is_some() && queue.is_quiet());
    }
}
