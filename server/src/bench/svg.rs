//! Plots as SVG, written by hand: bars with their rounds, and latency curves.

use std::fmt::Write as _;

/// Colours that people with any eyes tell apart (Okabe and Ito).
const COLOURS: [&str; 8] = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9", "#999999", "#000000"];

const WIDTH: f64 = 760.0;
const LABEL_WIDTH: f64 = 130.0;
const VALUE_WIDTH: f64 = 120.0;
const BAR_HEIGHT: f64 = 24.0;
const CURVE_HEIGHT: f64 = 320.0;
const MARGIN: f64 = 60.0;

/// A bar: a name, the value shown, and the values of the rounds.
pub(super) struct Bar {
    pub(super) name: String,
    pub(super) shown: String,
    pub(super) median: f64,
    pub(super) rounds: Vec<f64>,
}

/// A line of a plot: a name and points.
pub(super) struct Curve {
    pub(super) name: String,
    /// The share, 0 to 1, and microseconds.
    pub(super) points: Vec<(f64, f64)>,
}

/// The colour of the n-th server.
pub(super) fn colour(place: usize) -> &'static str {
    COLOURS[place % COLOURS.len()]
}

/// Bars from 0, with a dot for each round.
pub(super) fn bars(title: &str, bars: &[Bar]) -> String {
    let greatest = bars.iter().flat_map(|bar| &bar.rounds).copied().fold(f64::MIN_POSITIVE, f64::max);
    let scale = (WIDTH - LABEL_WIDTH - VALUE_WIDTH) / greatest;
    let height = 30.0 + (BAR_HEIGHT + 6.0) * bars.len() as f64;
    let mut out = open(height, title);
    for (place, bar) in bars.iter().enumerate() {
        let top = 28.0 + (BAR_HEIGHT + 6.0) * place as f64;
        let middle = top + BAR_HEIGHT / 2.0;
        let length = (bar.median * scale).max(0.0);
        let _ = write!(
            out,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\
             <rect x=\"{LABEL_WIDTH}\" y=\"{top:.1}\" width=\"{length:.1}\" height=\"{BAR_HEIGHT}\" fill=\"{}\" \
             fill-opacity=\"0.75\"/>",
            LABEL_WIDTH - 8.0,
            middle + 4.0,
            escape(&bar.name),
            colour(place)
        );
        for round in &bar.rounds {
            let x = LABEL_WIDTH + (round * scale).max(0.0);
            let _ = write!(out, "<circle cx=\"{x:.1}\" cy=\"{middle:.1}\" r=\"2.5\" class=\"round\"/>");
        }
        let right = bar.rounds.iter().copied().fold(bar.median, f64::max) * scale;
        let x = LABEL_WIDTH + right.max(0.0) + 10.0;
        let _ = write!(out, "<text x=\"{x:.1}\" y=\"{:.1}\">{}</text>", middle + 4.0, escape(&bar.shown));
    }
    out + "</svg>\n"
}

/// Latency by percentile: each step to the right is ten times closer to 100 %, each step up ten times slower.
pub(super) fn curves(title: &str, curves: &[Curve]) -> String {
    // The last points of a histogram lie at 100 % and have no place on such an axis.
    let depth = |share: f64| -(1.0 - share).log10();
    let drawn = |curve: &Curve| -> Vec<(f64, f64)> {
        let points = curve.points.iter().filter(|(share, value)| *share < 1.0 && *value > 0.0);
        points.map(|(share, value)| (depth(*share), value.log10())).collect()
    };
    let all: Vec<(f64, f64)> = curves.iter().flat_map(&drawn).collect();
    let deepest = all.iter().map(|point| point.0).fold(1.0, f64::max).ceil();
    let lowest = all.iter().map(|point| point.1).fold(f64::INFINITY, f64::min).min(6.0).floor();
    let highest = all.iter().map(|point| point.1).fold(lowest + 1.0, f64::max).ceil();
    let plot_height = CURVE_HEIGHT - 80.0;
    let x = |depth: f64| MARGIN + depth / deepest * (WIDTH - 2.0 * MARGIN);
    let y = |height: f64| 40.0 + (highest - height) / (highest - lowest) * plot_height;
    let mut out = open(CURVE_HEIGHT, title);
    for nines in 0..=deepest as u32 {
        let share = 100.0 * (1.0 - 10f64.powi(-(nines as i32)));
        let at = x(f64::from(nines));
        let _ = write!(
            out,
            "<line x1=\"{at:.1}\" y1=\"40\" x2=\"{at:.1}\" y2=\"{:.1}\" class=\"grid\"/>\
             <text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{share:.*} %</text>",
            40.0 + plot_height,
            58.0 + plot_height,
            (nines as usize).saturating_sub(2)
        );
    }
    for decade in lowest as i32..=highest as i32 {
        let at = y(f64::from(decade));
        let _ = write!(
            out,
            "<line x1=\"{MARGIN}\" y1=\"{at:.1}\" x2=\"{:.1}\" y2=\"{at:.1}\" class=\"grid\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            WIDTH - MARGIN,
            MARGIN - 6.0,
            at + 4.0,
            duration(10f64.powi(decade))
        );
    }
    for (place, curve) in curves.iter().enumerate() {
        let points: Vec<String> = drawn(curve).iter().map(|(a, b)| format!("{:.1},{:.1}", x(*a), y(*b))).collect();
        let _ = write!(
            out,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"2\"/>",
            points.join(" "),
            colour(place)
        );
        let column = MARGIN + 90.0 * place as f64;
        let _ = write!(
            out,
            "<rect x=\"{column:.1}\" y=\"{:.1}\" width=\"10\" height=\"10\" fill=\"{}\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            CURVE_HEIGHT - 15.0,
            colour(place),
            column + 14.0,
            CURVE_HEIGHT - 6.0,
            escape(&curve.name)
        );
    }
    out + "</svg>\n"
}

/// Text as HTML and SVG show it.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            other => out.push(other),
        }
    }
    out
}

fn open(height: f64, title: &str) -> String {
    let title = escape(title);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height:.0}\" role=\"img\" \
         aria-label=\"{title}\"><text x=\"0\" y=\"16\" class=\"title\">{title}</text>"
    )
}

fn duration(microseconds: f64) -> String {
    if microseconds >= 1e6 {
        format!("{} s", microseconds / 1e6)
    } else if microseconds >= 1e3 {
        format!("{} ms", microseconds / 1e3)
    } else {
        format!("{microseconds} µs")
    }
}
