//! `lobbyd serve`.

use crate::config::Settings;

/// Serves until told to stop.
pub(super) fn run(settings: Settings) -> anyhow::Result<()> {
    anyhow::bail!("serving on {:?} is not built yet", settings.server.listen)
}
