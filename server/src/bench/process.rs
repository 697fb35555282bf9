//! What a process costs: its processor time and its memory.

use std::fs;
use std::time::Duration;

use anyhow::{Context, anyhow};
use nix::time::{ClockId, clock_getcpuclockid};
use nix::unistd::Pid;

/// A process whose cost is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Process {
    id: u32,
    clock: ClockId,
}

impl Process {
    /// The process with this number.
    pub(crate) fn new(id: u32) -> anyhow::Result<Self> {
        let pid = Pid::from_raw(i32::try_from(id).context("no process has such a number")?);
        let clock = clock_getcpuclockid(pid).with_context(|| format!("process {id} cannot be measured"))?;
        Ok(Self { id, clock })
    }

    /// The processor time that all its threads have used, also those that have ended, in user and kernel. Counted by
    /// the kernel in nanoseconds, not in ticks.
    pub(crate) fn processor_time(&self) -> anyhow::Result<Duration> {
        let time = self.clock.now().with_context(|| format!("process {} has ended", self.id))?;
        Ok(time.into())
    }

    /// The memory that is in use, in bytes. What the kernel keeps for its sockets is not in it.
    pub(crate) fn resident_bytes(&self) -> anyhow::Result<u64> {
        let path = format!("/proc/{}/status", self.id);
        let status = fs::read_to_string(&path).with_context(|| format!("{path} cannot be read"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib =
            line.and_then(|line| line.trim().strip_suffix(" kB")).and_then(|number| number.trim().parse::<u64>().ok());
        kib.map(|kib| kib * 1024).ok_or_else(|| anyhow!("{path} does not say how much memory is in use"))
    }
}

/// The processor time of this process.
pub(crate) fn own_processor_time() -> Duration {
    ClockId::CLOCK_PROCESS_CPUTIME_ID.now().map_or(Duration::ZERO, Duration::from)
}
