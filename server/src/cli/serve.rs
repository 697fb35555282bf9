//! `lobbyd serve`.

use super::Extend;
use crate::config::Settings;
use crate::daemon;

/// Serves until told to stop.
pub(super) fn run(settings: Settings, extend: Extend) -> anyhow::Result<()> {
    daemon::run(settings, extend)
}
