//! A schedule that does not wait for the server: message number n is due n times the step after the beginning.

use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant};

use anyhow::Context;
use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

/// The schedule, and the timer that wakes for it: epoll's own timeout is only as fine as a millisecond.
pub(super) struct Schedule {
    began: Instant,
    step: Duration,
    next: u64,
    timer: TimerFd,
}

impl Schedule {
    /// So many messages a second, from now on.
    pub(super) fn new(per_second: f64) -> anyhow::Result<Self> {
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC);
        let timer = timer.context("the system gives no timer")?;
        let schedule =
            Self { began: Instant::now(), step: Duration::from_secs_f64(1.0 / per_second.max(0.001)), next: 0, timer };
        schedule.set_timer()?;
        Ok(schedule)
    }

    pub(super) fn register(&self, registry: &Registry, token: Token) -> anyhow::Result<()> {
        let descriptor = self.timer.as_fd().as_raw_fd();
        registry.register(&mut SourceFd(&descriptor), token, Interest::READABLE).context("epoll takes no timer")
    }

    /// The next message that is due by `now`: its number, and when it was due.
    pub(super) fn next_due(&mut self, now: Instant) -> Option<(u64, Instant)> {
        let (number, due) = (self.next, self.due());
        (due <= now).then(|| {
            self.next += 1;
            (number, due)
        })
    }

    /// Has the timer wake when the next message is due. What has expired before needs no reading: setting it again
    /// makes it new.
    pub(super) fn set_timer(&self) -> anyhow::Result<()> {
        // Zero would stop the timer.
        let wait = self.due().saturating_duration_since(Instant::now()).max(Duration::from_nanos(1));
        let expiration = Expiration::OneShot(TimeSpec::from_duration(wait));
        self.timer.set(expiration, TimerSetTimeFlags::empty()).context("the timer cannot be set")
    }

    fn due(&self) -> Instant {
        // Not step by step, whose rounding would add up.
        let nanoseconds = u128::from(self.next) * self.step.as_nanos();
        self.began + Duration::from_nanos(nanoseconds as u64)
    }
}

/// Who of `count` sends message number `number`: everybody in turn, but neighbours far apart, so that one message does
/// not follow the other into the same room.
pub(super) fn spread(number: u64, count: usize) -> usize {
    // A prime: it has no factor in common with a smaller count, nor with one that is not its multiple.
    const STRIDE: u64 = 7919;
    ((number * STRIDE) % count as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_has_a_turn() {
        for count in [1, 2, 10, 500, 1000] {
            let mut senders: Vec<usize> = (0..count as u64).map(|number| spread(number, count)).collect();
            senders.sort_unstable();
            assert_eq!(senders, (0..count).collect::<Vec<_>>());
        }
    }

    #[test]
    fn what_is_due_does_not_wait_for_what_was_late() {
        let mut schedule = Schedule::new(1000.0).unwrap();
        let began = schedule.began;
        assert_eq!(schedule.next_due(began), Some((0, began)));
        assert_eq!(schedule.next_due(began), None);
        let late = began + Duration::from_micros(2500);
        let due = std::iter::from_fn(|| schedule.next_due(late));
        let expected = [(1, began + Duration::from_millis(1)), (2, began + Duration::from_millis(2))];
        assert_eq!(due.collect::<Vec<_>>(), expected);
    }
}
