//! Processes that a world starts: they end with it, whatever happens.

use std::io;
use std::process::{Child, Command, ExitStatus};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// How a process has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// As it was told to, with code 0.
    ByItself,
    /// It was killed.
    Killed,
}

/// A process. Killed when it is dropped.
pub(super) struct Process(Child);

impl Process {
    /// Starts it, away from the environment of this process but for `PATH`.
    ///
    /// # Errors
    /// When the system cannot start it.
    pub(super) fn start(command: &mut Command) -> io::Result<Self> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        command.env_clear().env("PATH", path).spawn().map(Self)
    }

    pub(super) fn child(&mut self) -> &mut Child {
        &mut self.0
    }

    /// The number of the process.
    pub(super) fn id(&self) -> u32 {
        self.0.id()
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// When the process is gone.
    pub(super) fn signal(&self, signal: Signal) -> io::Result<()> {
        let id = i32::try_from(self.0.id()).map_err(io::Error::other)?;
        kill(Pid::from_raw(id), signal).map_err(io::Error::from)
    }

    /// Kills it and waits until it is gone: its connections are cut by then.
    pub(super) fn kill(mut self) {
        self.end();
    }

    /// How it ended, if it did.
    pub(super) fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        self.0.try_wait()
    }

    fn end(&mut self) {
        // It may have ended already; a killed process ends, also one that stands still.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}
