//! On which I/O thread a connection is.

use lobbyd_core::id::SessionId;

/// Which sessions a thread has named: its number is in the last bits of their slots. Threads are counted up to a power of
/// two for that, so that it costs a mask and a shift, and with one thread nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) thread: usize,
    bits: u32,
}

impl Place {
    pub(crate) fn new(thread: usize, threads: usize) -> Self {
        Self { thread, bits: threads.next_power_of_two().trailing_zeros() }
    }

    /// Whether there is no other thread.
    #[inline]
    pub(crate) fn is_alone(self) -> bool {
        self.bits == 0
    }

    /// Whether this thread has named what is called so.
    #[inline]
    pub(crate) fn has_named(self, index: u32) -> bool {
        self.namer_of(index) == self.thread
    }

    /// The thread that has named what is called so.
    #[inline]
    pub(crate) fn namer_of(self, index: u32) -> usize {
        (index & ((1 << self.bits) - 1)) as usize
    }

    /// Which of its namer's slots that is.
    #[inline]
    pub(crate) fn slot(self, index: u32) -> usize {
        (index >> self.bits) as usize
    }

    /// What that slot of this thread is called.
    pub(crate) fn index(self, slot: u32) -> Option<u32> {
        let index = slot.checked_mul(1 << self.bits)?;
        Some(index | u32::try_from(self.thread).ok()?)
    }
}

/// On which thread every connection is: on that which has named it, until it moves to that of its room.
#[derive(Debug)]
pub(crate) struct Places {
    place: Place,
    /// For each slot that has moved once, or one behind it, the thread, or [`WITH_NAMER`].
    moved: Vec<u8>,
}

/// With the thread that has named it. There are fewer threads than this.
const WITH_NAMER: u8 = u8::MAX;

impl Places {
    pub(crate) fn new(threads: usize) -> Self {
        Self { place: Place::new(0, threads), moved: Vec::new() }
    }

    /// The thread on which that session's connection is, or the last one on which it was.
    #[inline]
    pub(crate) fn thread_of(&self, session: SessionId) -> usize {
        match self.moved.get(session.index as usize) {
            None | Some(&WITH_NAMER) => self.place.namer_of(session.index),
            Some(thread) => usize::from(*thread),
        }
    }

    /// It is on that thread from now on.
    pub(crate) fn settle(&mut self, session: SessionId, thread: usize) {
        let index = session.index as usize;
        let thread = if thread == self.place.namer_of(session.index) {
            if self.moved.len() <= index {
                return;
            }
            WITH_NAMER
        } else {
            u8::try_from(thread).expect("there are at most 64 threads")
        };
        if self.moved.len() <= index {
            self.moved.resize(index + 1, WITH_NAMER);
        }
        self.moved[index] = thread;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_of_all_threads_are_different_and_lead_back() {
        for threads in 1..=9 {
            let mut seen = std::collections::BTreeSet::new();
            for thread in 0..threads {
                let place = Place::new(thread, threads);
                for slot in 0..20 {
                    let index = place.index(slot).expect("there are enough");
                    assert!(seen.insert(index));
                    assert_eq!((place.namer_of(index), place.slot(index)), (thread, slot as usize));
                }
            }
        }
        let last = Place::new(0, 1).index(u32::MAX);
        assert_eq!((last, Place::new(0, 2).index(1 << 31)), (Some(u32::MAX), None));
    }

    #[test]
    fn session_is_where_it_has_moved_to_and_at_home_before() {
        let mut places = Places::new(3);
        let sessions = [0, 1, 2, 4, 5, 6].map(|index| SessionId { index, generation: 0 });
        let all = |places: &Places| sessions.map(|session| places.thread_of(session));
        places.settle(sessions[5], 2);
        assert_eq!(all(&places), [0, 1, 2, 0, 1, 2]);
        places.settle(sessions[3], 1);
        places.settle(sessions[1], 0);
        assert_eq!(all(&places), [0, 0, 2, 1, 1, 2]);
        places.settle(sessions[3], 0);
        places.settle(sessions[1], 1);
        assert_eq!(all(&places), [0, 1, 2, 0, 1, 2]);
    }
}
