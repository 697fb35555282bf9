//! `lobbyd serve`.

use crate::config::Settings;
use crate::daemon;

/// Serves until told to stop.
pub(super) fn run(settings: Settings) -> anyhow::Result<()> {
    daemon::run(settings)
}
