//! What is measured: each figure with its name, its unit, and what of it is better.

use std::fmt;

use serde::Serialize;

/// One thing that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Figure {
    /// Messages received by members, a second.
    DeliveriesPerSecond,
    /// Microseconds of the server's processor time for each of them.
    MicrosecondsPerDelivery,
    /// Logins a second.
    LoginsPerSecond,
    /// Times a second that a client entered a room.
    EntriesPerSecond,
    /// Connections made and greeted, a second.
    ConnectsPerSecond,
    /// Microseconds from when a message was due to when a member had it: half of them were faster.
    LatencyP50,
    /// 90 % were faster.
    LatencyP90,
    /// 99 % were faster.
    LatencyP99,
    /// 99.9 % were faster.
    LatencyP999,
    /// The slowest.
    LatencyMax,
    /// Half of the messages were faster while nobody logged in or out.
    CalmP50,
    /// 99 % were faster then.
    CalmP99,
    /// The 99th percentile with logins by that without.
    StormRatio,
    /// Resident bytes of the server for each joined connection that is silent.
    BytesPerConnection,
    /// Resident bytes of the server before anybody came.
    ResidentBefore,
    /// Resident bytes of the server at the end.
    ResidentAfter,
    /// Resident bytes that the server grew by in the second half of the measured time.
    ResidentGrowth,
    /// The share of the measured time in which the server had a processor (1 is one whole processor).
    ServerLoad,
    /// The time that several I/O threads of the server have waited for each other, by the processor time of its whole
    /// life.
    EngineWait,
    /// The share of the measured time in which the generator had a processor.
    GeneratorLoad,
    /// Microseconds that the generator itself was late with 1 % of its messages, or more.
    GeneratorLateness,
    /// Members that did not read and were closed.
    SleepersClosed,
}

impl Figure {
    /// What it is called in a table.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::DeliveriesPerSecond => "deliveries/s",
            Self::MicrosecondsPerDelivery => "CPU µs/delivery",
            Self::LoginsPerSecond => "logins/s",
            Self::EntriesPerSecond => "entries/s",
            Self::ConnectsPerSecond => "connects/s",
            Self::LatencyP50 => "p50 µs",
            Self::LatencyP90 => "p90 µs",
            Self::LatencyP99 => "p99 µs",
            Self::LatencyP999 => "p99.9 µs",
            Self::LatencyMax => "max µs",
            Self::CalmP50 => "p50 µs without logins",
            Self::CalmP99 => "p99 µs without logins",
            Self::StormRatio => "p99 with/without",
            Self::BytesPerConnection => "bytes/connection",
            Self::ResidentBefore => "RSS before",
            Self::ResidentAfter => "RSS after",
            Self::ResidentGrowth => "RSS growth",
            Self::ServerLoad => "server load",
            Self::EngineWait => "engine wait",
            Self::GeneratorLoad => "generator load",
            Self::GeneratorLateness => "generator late p99 µs",
            Self::SleepersClosed => "non-readers closed",
        }
    }

    /// Whether servers are compared by it.
    #[must_use]
    pub fn is_compared(self) -> bool {
        match self {
            Self::DeliveriesPerSecond
            | Self::MicrosecondsPerDelivery
            | Self::LoginsPerSecond
            | Self::EntriesPerSecond
            | Self::ConnectsPerSecond
            | Self::LatencyP50
            | Self::LatencyP99
            | Self::BytesPerConnection => true,
            Self::LatencyP90
            | Self::LatencyP999
            | Self::LatencyMax
            | Self::CalmP50
            | Self::CalmP99
            | Self::StormRatio
            | Self::ResidentBefore
            | Self::ResidentAfter
            | Self::ResidentGrowth
            | Self::ServerLoad
            | Self::EngineWait
            | Self::GeneratorLoad
            | Self::GeneratorLateness
            | Self::SleepersClosed => false,
        }
    }

    /// A value as it is shown.
    #[must_use]
    pub fn show(self, value: f64) -> String {
        match self {
            Self::ServerLoad | Self::GeneratorLoad => format!("{:.0} %", 100.0 * value),
            Self::ResidentBefore | Self::ResidentAfter | Self::ResidentGrowth => {
                format!("{:.1} MiB", value / 1024.0 / 1024.0)
            }
            Self::EngineWait => format!("{:.2} %", 100.0 * value),
            Self::MicrosecondsPerDelivery => format!("{value:.3}"),
            Self::StormRatio => format!("{value:.2}"),
            Self::DeliveriesPerSecond
            | Self::LoginsPerSecond
            | Self::EntriesPerSecond
            | Self::ConnectsPerSecond
            | Self::LatencyP50
            | Self::LatencyP90
            | Self::LatencyP99
            | Self::LatencyP999
            | Self::LatencyMax
            | Self::CalmP50
            | Self::CalmP99
            | Self::BytesPerConnection
            | Self::GeneratorLateness
            | Self::SleepersClosed => grouped(value),
        }
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A whole number with its thousands apart.
fn grouped(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut text = String::new();
    if value <= -0.5 {
        text.push('-');
    }
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_apart() {
        let shown = [0.0, 999.4, 1000.0, 1_234_567.0, -1500.0, -0.2].map(grouped);
        assert_eq!(shown, ["0", "999", "1,000", "1,234,567", "-1,500", "0"]);
    }
}
