//! The machine that measured: without it no figure means anything.

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;

use super::processors::Processors;
use super::server::version;
use super::target::Target;

/// The machine, and what ran on it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Machine {
    /// The processor's model.
    pub processor: String,
    /// How many processors this process may use.
    pub processors: usize,
    /// How server and generator share them.
    pub pinning: String,
    /// Memory in bytes.
    pub memory_bytes: u64,
    /// The kernel's name and version.
    pub kernel: String,
    /// The day, in UTC.
    pub date: String,
    /// What ran, by its own words.
    pub versions: Vec<(String, String)>,
    /// How many processes wanted a processor, in the minute before the bench: above 0 something else was running.
    pub load_before: f64,
}

impl Machine {
    pub(super) fn look(targets: &[Target], processors: Processors) -> Self {
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease");
        let kernel = kernel.map_or_else(|_| "unknown".to_owned(), |release| format!("Linux {}", release.trim()));
        let own = format!(
            "lobbyd {}{}",
            env!("CARGO_PKG_VERSION"),
            if cfg!(debug_assertions) { ", a debug build" } else { "" }
        );
        let mut versions = vec![("lobbyd".to_owned(), own)];
        versions.extend(targets.iter().filter_map(|target| Some((target.to_string(), version(target)?))));
        Self {
            processor: field("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown".to_owned()),
            processors: std::thread::available_parallelism().map_or(1, usize::from),
            pinning: match processors {
                Processors::Two { server, generator } => {
                    format!("the server on processor {server}, the generator on processor {generator}")
                }
                Processors::Shared => "server and generator share what there is".to_owned(),
            },
            memory_bytes: field("/proc/meminfo", "MemTotal")
                .and_then(|text| text.strip_suffix(" kB")?.parse::<u64>().ok())
                .map_or(0, |kib| kib * 1024),
            kernel,
            date: today(),
            versions,
            load_before: fs::read_to_string("/proc/loadavg")
                .ok()
                .and_then(|text| text.split(' ').next()?.parse().ok())
                .unwrap_or_default(),
        }
    }
}

/// The value of the first line `name : value` of a file.
fn field(path: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let mut lines = text.lines().filter_map(|line| line.split_once(':'));
    lines.find(|(key, _)| key.trim() == name).map(|(_, value)| value.trim().to_owned())
}

fn today() -> String {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let (year, month, day) = civil(seconds / 86_400);
    format!("{year:04}-{month:02}-{day:02}")
}

/// The date of a day since 1970-01-01 (Howard Hinnant, "chrono-compatible low-level date algorithms": `civil_from_days`).
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_have_their_dates() {
        let dates = [0, 59, 11_016, 19_782, 20_778].map(civil);
        assert_eq!(dates, [(1970, 1, 1), (1970, 3, 1), (2000, 2, 29), (2024, 2, 29), (2026, 11, 21)]);
    }
}
