//! The slots of a daemon's connections, which give its sessions their names.

use lobbyd_core::id::SessionId;

pub(super) struct Slots {
    slots: Vec<Slot>,
    free: Vec<u32>,
    slots_max: u32,
}

struct Slot {
    generation: u32,
    stream: Option<u32>,
}

impl Slots {
    pub(super) fn new(slots_max: u32) -> Self {
        Self { slots: Vec::new(), free: Vec::new(), slots_max }
    }

    /// A name that no session of this life of the daemon has or had; none when every slot is taken.
    pub(super) fn reserve(&mut self, stream: u32) -> Option<SessionId> {
        let index = match self.free.pop() {
            Some(index) => index,
            None => {
                let index = u32::try_from(self.slots.len()).ok().filter(|index| *index < self.slots_max)?;
                self.slots.push(Slot { generation: 0, stream: None });
                index
            }
        };
        let slot = &mut self.slots[index as usize];
        slot.stream = Some(stream);
        Some(SessionId { index, generation: slot.generation })
    }

    /// The stream of a session that was not let go.
    pub(super) fn stream(&self, session: SessionId) -> Option<u32> {
        let slot = self.slots.get(session.index as usize)?;
        slot.stream.filter(|_| slot.generation == session.generation)
    }

    /// Lets go of a session that has a stream.
    pub(super) fn remove(&mut self, session: SessionId) {
        let slot = &mut self.slots[session.index as usize];
        slot.stream = None;
        // No run lasts so long that a slot's generations are used up.
        slot.generation += 1;
        self.free.push(session.index);
    }

    pub(super) fn count(&self) -> u32 {
        // As many as slots_max at most.
        (self.slots.len() - self.free.len()) as u32
    }

    /// Forgets everything, and says which streams there were.
    pub(super) fn clear(&mut self) -> Vec<u32> {
        self.free.clear();
        self.slots.drain(..).filter_map(|slot| slot.stream).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reused_slot_has_a_new_generation_and_the_old_name_finds_nothing() {
        let mut slots = Slots::new(1);
        let first = slots.reserve(5).expect("a free slot");
        assert_eq!((slots.reserve(6), slots.stream(first)), (None, Some(5)));
        slots.remove(first);
        let second = slots.reserve(6).expect("the slot is free again");
        assert_eq!((second.index, second.generation), (first.index, first.generation + 1));
        assert_eq!((slots.stream(first), slots.stream(second)), (None, Some(6)));
        assert_eq!((slots.clear(), slots.count()), (vec![6], 0));
    }
}
