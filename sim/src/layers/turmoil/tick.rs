//! The steps in which time goes by on the simulated network, and what follows from their length.

use std::time::Duration;

use crate::scenario::Network;

/// The finest tick: turmoil knows no part of a millisecond.
const FINEST: Duration = Duration::from_millis(1);
/// The coarsest tick, however slow the network is. When within a tick different hosts sent something has no influence on
/// the order in which it arrives, so that a longer one would hide more of the orders that there are; and what a scenario
/// waits for ends with a tick, so that it has to be far below the shortest time that one names, which are tens of
/// milliseconds.
const COARSEST: Duration = Duration::from_millis(2);
/// How long a world that is quiet has been at rest: longer than a timer of a task that is only giving way to others.
const REST: Duration = Duration::from_millis(2);

/// By how much time goes by at once where the network is so: by one millisecond where something can arrive in less than
/// two, else by two. Nothing that is sent within a tick can arrive within it, so no host runs before one that its past
/// depends on. On their hosts timers fire at each millisecond, whatever the tick.
///
/// ```
/// # use std::time::Duration;
/// # use lobbyd_sim::layers::turmoil::tick;
/// # use lobbyd_sim::scenario::Network;
/// let millis = Duration::from_millis;
/// let of = |least| tick(&Network { latency: (millis(least), millis(9)), chop: None });
/// assert_eq!([of(0), of(1), of(2), of(9)], [millis(1), millis(1), millis(2), millis(2)]);
/// ```
#[must_use]
pub fn tick(network: &Network) -> Duration {
    let (least, _most) = network.latency;
    if least < COARSEST { FINEST } else { COARSEST }
}

/// How long bytes are under way where a scenario says so, least and most: a tick at least, for what arrived within the
/// tick in which it was sent could arrive before it was.
pub(super) fn latency((least, most): (Duration, Duration), tick: Duration) -> (Duration, Duration) {
    let least = least.max(tick);
    (least, most.max(least))
}

/// Whether nothing has moved for a while, if something last did in the tick that began at `busy_at`.
pub(super) fn is_rest(now: Duration, busy_at: Duration, tick: Duration) -> bool {
    now >= busy_at + tick + REST
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLI: Duration = Duration::from_millis(1);

    #[test]
    fn nothing_arrives_within_a_tick() {
        for micros in (0..20_000).step_by(100) {
            let said = (Duration::from_micros(micros), 20 * MILLI);
            let tick = tick(&Network { latency: said, chop: None });
            assert!(tick <= said.0.max(FINEST));
            assert_eq!(latency(said, tick), (said.0.max(FINEST), said.1));
        }
    }

    #[test]
    fn latency_below_a_tick_is_a_tick() {
        assert_eq!(latency((Duration::ZERO, Duration::ZERO), 2 * MILLI), (2 * MILLI, 2 * MILLI));
        assert_eq!(latency((MILLI, 7 * MILLI), 2 * MILLI), (2 * MILLI, 7 * MILLI));
        assert_eq!(latency((5 * MILLI, 3 * MILLI), 2 * MILLI), (5 * MILLI, 5 * MILLI));
    }

    #[test]
    fn rest_is_counted_from_the_end_of_a_tick() {
        for tick in [FINEST, COARSEST] {
            // The last thing that moved may have done so just before the tick was over.
            let moved_at = 10 * MILLI + tick;
            assert!(!is_rest(moved_at, 10 * MILLI, tick));
            assert!(!is_rest(moved_at + MILLI, 10 * MILLI, tick));
            assert!(is_rest(moved_at + 2 * MILLI, 10 * MILLI, tick));
        }
    }
}
