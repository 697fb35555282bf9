//! Holds what a daemon says about itself against what a scenario expects.

use super::daemon::Standing;
use crate::scenario::Check;

/// Whether a daemon stands as it should; if not, what is instead.
pub(super) fn judge(standing: &Standing, fixed_rooms: u32, check: Check) -> Result<(), String> {
    let Standing { report, has_ended, leases } = standing;
    let counts = report.counts;
    let same = |what: &str, found: u64, expected: u64| {
        if found == expected { Ok(()) } else { Err(format!("{found} {what}, expected was {expected}")) }
    };
    match check {
        Check::Sessions(expected) => same("sessions", counts.sessions.into(), expected.into()),
        Check::Online(expected) => same("users online", counts.online.into(), expected.into()),
        Check::Rooms(expected) => same("rooms", counts.rooms.into(), expected.into()),
        Check::Empty => {
            same("sessions", counts.sessions.into(), 0)?;
            same("users online", counts.online.into(), 0)?;
            same("pending logins", counts.logins_pending.into(), 0)?;
            same("members", counts.members.into(), 0)?;
            if !has_ended {
                // Nobody sees to them where a process has ended, and an empty room waits for its deadline.
                same("rooms", counts.rooms.into(), fixed_rooms.into())?;
                same("deadlines", counts.deadlines.into(), 0)?;
            }
            same("connections", report.connections, 0)?;
            same("buffers lent", report.pool.lent, 0)?;
            same("presence leases", *leases as u64, 0)
        }
    }
}
