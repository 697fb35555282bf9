//! The report as text, for people at a terminal.

use std::fmt::Write as _;

use super::figure::Figure;
use super::report::{Report, ScenarioReport, Spread, TargetReport};

/// Figures that a table has no room for: JSON and HTML have them all.
const LEFT_OUT: [Figure; 5] =
    [Figure::LatencyP90, Figure::LatencyMax, Figure::ResidentBefore, Figure::ResidentGrowth, Figure::GeneratorLateness];

/// The report as text: for each scenario a table, ratios, and warnings.
#[must_use]
pub fn text(report: &Report) -> String {
    let mut out = String::new();
    for line in about(report) {
        out += &line;
        out.push('\n');
    }
    for scenario in &report.scenarios {
        let _ = write!(out, "\n{}\n", heading(scenario));
        out += &table(scenario);
        for line in ratios(scenario) {
            let _ = writeln!(out, "  {line}");
        }
        for warning in scenario.warnings() {
            let _ = writeln!(out, "  ! {warning}");
        }
    }
    out
}

/// What one has to know of the machine and of how it was measured.
pub(super) fn about(report: &Report) -> Vec<String> {
    let machine = &report.machine;
    let gib = machine.memory_bytes as f64 / 1024.0 / 1024.0 / 1024.0;
    let rounds = report.scenarios.iter().flat_map(|scenario| &scenario.targets).map(|target| target.rounds.len()).max();
    let versions: Vec<String> = machine.versions.iter().map(|(_, version)| version.clone()).collect();
    let mut lines = vec![
        format!("{}: {} processors, {gib:.0} GiB, {}", machine.processor, machine.processors, machine.kernel),
        format!("{}; {}", machine.date, versions.join("; ")),
        format!(
            "{}; loopback; {} s each{}; medians of {} interleaved rounds (least to most)",
            machine.pinning,
            report.seconds,
            report.turn_seconds.map(|turn| format!(", all at once in turns of {} ms", turn * 1e3)).unwrap_or_default(),
            rounds.unwrap_or(0)
        ),
    ];
    if !report.settings.is_empty() {
        let settings: Vec<String> = report.settings.iter().map(|(key, value)| format!("{key}={value}")).collect();
        lines.push(format!("lobbyd with {}", settings.join(" ")));
    }
    if machine.load_before > 0.5 {
        lines.push(format!(
            "! {:.1} other processes wanted a processor before this began: look at ratios, not at figures",
            machine.load_before
        ));
    }
    lines
}

pub(super) fn heading(scenario: &ScenarioReport) -> String {
    let ScenarioReport { name, about, clients, rooms, text_bytes, accounts, targets: _ } = scenario;
    format!("{name} ({about}; {clients} clients, {rooms} rooms, texts of {text_bytes} bytes; {accounts})")
}

fn table(scenario: &ScenarioReport) -> String {
    let figures: Vec<Figure> = scenario.figures().into_iter().filter(|figure| !LEFT_OUT.contains(figure)).collect();
    let mut rows = vec![vec![String::new()]];
    rows[0].extend(figures.iter().map(Figure::to_string));
    for target in &scenario.targets {
        let mut row = vec![target.name.clone()];
        row.extend(figures.iter().map(|figure| cell(target, *figure)));
        rows.push(row);
    }
    let widths: Vec<usize> = (0..rows[0].len())
        .map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0))
        .collect();
    let mut out = String::new();
    for row in rows {
        let mut line = String::from(" ");
        for (place, (cell, width)) in row.iter().zip(&widths).enumerate() {
            let _ = if place == 0 { write!(line, " {cell:<width$}") } else { write!(line, "  {cell:>width$}") };
        }
        out += line.trim_end();
        out.push('\n');
    }
    out
}

/// A value with its spread, where there is one.
pub(super) fn cell(target: &TargetReport, figure: Figure) -> String {
    match target.figures.get(&figure) {
        None => "-".to_owned(),
        Some(Spread { median, .. }) if target.rounds.len() < 2 => figure.show(*median),
        Some(Spread { median, min, max }) => {
            format!("{} ({}–{})", figure.show(*median), figure.show(*min), figure.show(*max))
        }
    }
}

/// How the first server compares with each other, in a sentence.
pub(super) fn ratios(scenario: &ScenarioReport) -> Vec<String> {
    let Some((first, others)) = scenario.targets.split_first() else {
        return Vec::new();
    };
    let lines = others.iter().filter(|target| !target.ratios.is_empty()).map(|target| {
        let parts: Vec<String> = target
            .ratios
            .iter()
            .map(|(figure, Spread { median, min, max })| {
                let spread = if target.rounds.len() < 2 { String::new() } else { format!(" ({min:.2}–{max:.2})") };
                format!("{figure} × {median:.2}{spread}")
            })
            .collect();
        format!("{} by {}: {}", first.name, target.name, parts.join(", "))
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::super::report::tests::sample;
    use super::*;

    #[test]
    fn tables_line_up_and_say_how_the_first_compares() {
        let report = sample();
        let text = text(&report);
        let lines: Vec<&str> = text.lines().collect();
        let head = lines.iter().position(|line| line.contains("CPU µs/delivery")).unwrap();
        let [names, ours, theirs] = &lines[head..head + 3] else { panic!("{text}") };
        assert_eq!(ours.chars().count(), theirs.chars().count(), "{text}");
        assert_eq!(names.chars().count(), ours.chars().count(), "{text}");
        assert!(ours.contains("2.000 (1.000–3.000)"), "{text}");
        assert!(
            text.contains("127.0.0.1:7400 by redis: deliveries/s × 2.00 (1.00–3.00), CPU µs/delivery × 0.50"),
            "{text}"
        );
        assert!(text.contains("! redis: it <ended>"), "{text}");
    }
}
