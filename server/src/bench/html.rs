//! The report as one HTML page, which needs nothing else: no script, no file beside it, no network.

use std::fmt::Write as _;

use super::figure::Figure;
use super::report::{Report, ScenarioReport};
use super::svg::{Bar, Curve, bars, colour, curves, escape};
use super::text::{about, cell, heading, ratios};

const STYLE: &str = "\
body{font:15px/1.45 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1b1b1b;background:#fff}\
h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2.5rem}table{border-collapse:collapse;font-size:13px;display:block;\
overflow-x:auto}th,td{padding:.25rem .6rem;border-bottom:1px solid #ddd;text-align:right;white-space:nowrap}\
th:first-child,td:first-child{text-align:left}svg{display:block;margin:1rem 0;max-width:100%;font:12px system-ui,\
sans-serif;fill:currentColor}svg .title{font-weight:600}.grid{stroke:#ccc;stroke-width:1}.round{fill:#1b1b1b;\
fill-opacity:.7}.warning{color:#a33}.mark{display:inline-block;width:.7em;height:.7em;margin-right:.4em}\
@media(prefers-color-scheme:dark){body{color:#ddd;background:#161616}th,td{border-color:#333}.grid{stroke:#444}\
.round{fill:#eee}.warning{color:#f88}}";

/// The report as a page.
#[must_use]
pub fn html(report: &Report) -> String {
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" \
         content=\"width=device-width\">\n<title>lobbyd bench</title>\n<style>{STYLE}</style>\n<h1>lobbyd bench</h1>\n"
    );
    for line in about(report) {
        let class = if line.starts_with('!') { " class=\"warning\"" } else { "" };
        let _ = writeln!(out, "<p{class}>{}</p>", escape(&line));
    }
    for scenario in &report.scenarios {
        let _ = writeln!(out, "<h2 id=\"{}\">{}</h2>", scenario.name, escape(&heading(scenario)));
        out += &plots(scenario);
        out += &table(scenario);
        for line in ratios(scenario) {
            let _ = writeln!(out, "<p>{}</p>", escape(&line));
        }
        for warning in scenario.warnings() {
            let _ = writeln!(out, "<p class=\"warning\">{}</p>", escape(&warning));
        }
    }
    out + "</html>\n"
}

fn plots(scenario: &ScenarioReport) -> String {
    let mut out = String::new();
    // The curve below says more about latency than bars do.
    let is_latency = |figure| matches!(figure, Figure::LatencyP50 | Figure::LatencyP99);
    for figure in scenario.figures().into_iter().filter(|figure| figure.is_compared() && !is_latency(*figure)) {
        let drawn: Vec<Bar> = scenario
            .targets
            .iter()
            .map(|target| Bar {
                name: target.name.clone(),
                shown: target.figures.get(&figure).map_or_else(|| "-".to_owned(), |spread| figure.show(spread.median)),
                median: target.figures.get(&figure).map_or(0.0, |spread| spread.median),
                rounds: target.rounds.iter().filter_map(|round| round.figures.get(&figure).copied()).collect(),
            })
            .collect();
        out += &bars(figure.name(), &drawn);
    }
    // Of several rounds the one whose 99th percentile is the median's nearest stands for all.
    let drawn = scenario.targets.iter().map(|target| {
        let p99 = target.figures.get(&Figure::LatencyP99).map_or(0.0, |spread| spread.median);
        let distance = |round: &&super::Measurement| {
            (round.figures.get(&Figure::LatencyP99).copied().unwrap_or(f64::INFINITY) - p99).abs()
        };
        let round = target.rounds.iter().min_by(|a, b| distance(a).total_cmp(&distance(b)));
        let points = round.map(|round| round.latency.iter().map(|point| (point.share, point.microseconds)).collect());
        Curve { name: target.name.clone(), points: points.unwrap_or_default() }
    });
    let drawn: Vec<Curve> = drawn.collect();
    if drawn.iter().any(|curve| !curve.points.is_empty()) {
        out += &curves("latency by percentile, from when a message was due", &drawn);
    }
    out
}

fn table(scenario: &ScenarioReport) -> String {
    let figures = scenario.figures();
    let mut out = String::from("<table><tr><th></th>");
    for figure in &figures {
        let _ = write!(out, "<th>{}</th>", escape(figure.name()));
    }
    out += "</tr>\n";
    for (place, target) in scenario.targets.iter().enumerate() {
        let mark = format!("<span class=\"mark\" style=\"background:{}\"></span>", colour(place));
        let _ = write!(out, "<tr><td>{mark}{}</td>", escape(&target.name));
        for figure in &figures {
            let _ = write!(out, "<td>{}</td>", escape(&cell(target, *figure)));
        }
        out += "</tr>\n";
    }
    out + "</table>\n"
}

#[cfg(test)]
mod tests {
    use super::super::report::tests::sample;
    use super::*;

    #[test]
    fn the_page_needs_nothing_else_and_hides_nothing() {
        let page = html(&sample());
        assert!(page.contains("<svg") && page.contains("polyline"), "{page}");
        assert!(page.contains("redis: it &lt;ended&gt;"), "{page}");
        let own = page.replace("http://www.w3.org/2000/svg", "");
        for foreign in ["http", "<script", "src=", "@import", "<link", "NaN", "inf"] {
            assert!(!own.contains(foreign), "{foreign}: {page}");
        }
        for (opened, closed) in [("<svg", "</svg>"), ("<table>", "</table>"), ("<text", "</text>"), ("<p", "</p>")] {
            let count = |text: &str| page.matches(text).count();
            let polylines = if opened == "<p" { count("<polyline") } else { 0 };
            assert_eq!(count(opened) - polylines, count(closed), "{opened}");
        }
    }
}
