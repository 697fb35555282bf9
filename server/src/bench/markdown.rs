//! The report as one table in Markdown, for a README: a row for each server, and of each scenario what it is about.

use std::fmt::Write as _;

use super::figure::Figure;
use super::report::{Report, ScenarioReport};
use super::text::{about, cell, heading};

/// What a scenario is about, the first of these that it has; latency stands beside it.
const SUBJECTS: [Figure; 5] = [
    Figure::BytesPerConnection,
    Figure::LoginsPerSecond,
    Figure::EntriesPerSecond,
    Figure::ConnectsPerSecond,
    Figure::MicrosecondsPerDelivery,
];

/// The report in Markdown: the machine, the table, what each scenario is, and warnings.
#[must_use]
pub fn markdown(report: &Report) -> String {
    let mut out = about(report).join("  \n") + "\n\n";
    let columns: Vec<(&ScenarioReport, Figure)> =
        report.scenarios.iter().flat_map(|scenario| shown(scenario).map(move |figure| (scenario, figure))).collect();
    out += "| |";
    for (scenario, figure) in &columns {
        let _ = write!(out, " {}: {figure} |", scenario.name);
    }
    out += "\n|---|";
    out += &"---:|".repeat(columns.len());
    out.push('\n');
    let servers = report.scenarios.first().map_or(0, |scenario| scenario.targets.len());
    for server in 0..servers {
        let _ = write!(out, "| {} |", report.scenarios[0].targets[server].name);
        for (scenario, figure) in &columns {
            let _ = write!(out, " {} |", cell(&scenario.targets[server], *figure));
        }
        out.push('\n');
    }
    out.push('\n');
    for scenario in &report.scenarios {
        let _ = writeln!(out, "- {}", heading(scenario));
        for warning in scenario.warnings() {
            let _ = writeln!(out, "  - {}", warning.lines().next().unwrap_or_default());
        }
    }
    out
}

/// The columns of a scenario.
fn shown(scenario: &ScenarioReport) -> impl Iterator<Item = Figure> {
    let figures = scenario.figures();
    let subject = SUBJECTS.into_iter().find(|figure| figures.contains(figure));
    subject.into_iter().chain(figures.into_iter().filter(|figure| *figure == Figure::LatencyP99))
}

#[cfg(test)]
mod tests {
    use super::super::report::tests::sample;
    use super::*;

    #[test]
    fn the_table_has_a_row_for_each_server() {
        let text = markdown(&sample());
        let rows: Vec<&str> = text.lines().filter(|line| line.starts_with('|')).collect();
        assert_eq!(
            rows,
            [
                "| | paced: CPU µs/delivery |",
                "|---|---:|",
                "| 127.0.0.1:7400 | 2.000 (1.000–3.000) |",
                "| redis | 4.000 (2.000–8.000) |"
            ]
        );
        assert!(text.contains("  - redis: it <ended>"), "{text}");
    }
}
