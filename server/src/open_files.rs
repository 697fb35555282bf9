//! The limit of open files: each connection is one.

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tracing::{debug, warn};

/// What a daemon opens besides connections: its log, store, sockets, Redis, and some to spare.
const OTHERS: u64 = 64;

/// Raises the process's limit as far as the system allows, and warns if it is still too low for `connections` of them.
pub(crate) fn raise_limit(connections: u64) {
    let (soft, hard) = match getrlimit(Resource::RLIMIT_NOFILE) {
        Ok(limits) => limits,
        Err(error) => return debug!(%error, "the limit of open files is not known"),
    };
    let allowed = match setrlimit(Resource::RLIMIT_NOFILE, hard, hard) {
        Ok(()) => hard,
        Err(error) => {
            debug!(%error, "the limit of open files cannot be raised");
            soft
        }
    };
    if allowed < connections + OTHERS {
        warn!(
            open_files = allowed,
            connections,
            "the limit of open files is lower than limits.sessions_max needs: raise it (ulimit -n, LimitNOFILE) or \
             lower that setting; connections beyond it wait"
        );
    }
}
