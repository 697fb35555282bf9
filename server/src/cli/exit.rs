//! Exit codes: what the process tells who started it.

use std::process::ExitCode;

/// How the process exits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Exit {
    /// 0: everything asked for was done. A server was told to stop and has stopped.
    Fine,
    /// 1: it failed while running, or `config check` found problems. Trying again may help.
    Failed,
    /// 2: the command line or the configuration is wrong; nothing was begun. Trying again does not help.
    Usage,
}

/// The same, for `--help`.
pub(super) const HELP: &str = "\
Exit codes: 0 done, 1 failed while running (or `config check` found problems), 2 bad usage or configuration.";

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Fine => Self::SUCCESS,
            Exit::Failed => Self::from(1),
            Exit::Usage => Self::from(2),
        }
    }
}
