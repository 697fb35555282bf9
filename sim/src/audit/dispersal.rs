//! Drains: who is told to go when. If all went at once, all would come back elsewhere at once.

use std::time::Duration;

use super::{Auditor, Breach, Invariant};
use crate::marks::Mark;

/// What a daemon that drains has told its connections.
#[derive(Default)]
pub(super) struct Dispersal {
    /// The shortest and the longest of its drains. Which one it has heard cannot be told where it stood still, or was
    /// started again, in between.
    within: Option<(Duration, Duration)>,
    /// The first delay that this life of the daemon has told, in milliseconds.
    first_ms: Option<u32>,
    /// How many were told that one, as long as nobody was told another.
    same: u32,
    is_dispersed: bool,
}

/// More delays than this are not the same by chance: each is one of about a thousand, or of more in a longer drain.
const SAME_MAX: u32 = 3;
/// In a shorter drain the same delay may well come up several times.
const WITHIN_MIN: Duration = Duration::from_secs(1);

impl Dispersal {
    /// The daemon is told to drain.
    pub(super) fn begin(&mut self, within: Duration) {
        let (shortest, longest) = self.within.unwrap_or((within, within));
        self.within = Some((shortest.min(within), longest.max(within)));
    }

    /// The daemon's process is another.
    pub(super) fn begin_anew(&mut self) {
        *self = Self { within: self.within, ..Self::default() };
    }

    /// Takes note of one more delay, and says what is wrong with it.
    fn tell(&mut self, after_ms: u32) -> Option<String> {
        // Who was told without any drain in the scenario was told by an operator.
        let (shortest, longest) = self.within?;
        if Duration::from_millis(after_ms.into()) > longest {
            return Some(format!("is told to go after {after_ms} ms, and the drain takes {longest:?}"));
        }
        let first_ms = *self.first_ms.get_or_insert(after_ms);
        self.is_dispersed |= after_ms != first_ms;
        self.same += u32::from(!self.is_dispersed);
        (!self.is_dispersed && self.same > SAME_MAX && shortest >= WITHIN_MIN)
            .then(|| format!("is told to go after {after_ms} ms, and so were all {} before it", self.same - 1))
    }
}

impl Auditor {
    pub(super) fn told_to_go(&mut self, index: usize, after_ms: u32) -> Result<(), Breach> {
        self.marks.reach(Mark::GoneAway);
        let connection = &self.connections[index];
        let daemon = &mut self.daemons[connection.daemon];
        if connection.life != Some(daemon.life) {
            return Ok(());
        }
        let wrong = daemon.dispersal.tell(after_ms);
        wrong.map_or(Ok(()), |what| self.breach(Invariant::Dispersal, index, &what))
    }
}
