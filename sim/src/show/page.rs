//! A chart as a page for a browser: one file, which asks for nothing from anywhere.
//!
//! The picture is a grid: a column for each host and a row for each thing that happened. Bands and lifelines are items
//! that span rows, so whatever opens between two rows moves them along.

use std::fmt::Write as _;

use super::chart::{Band, BandKind, Chart, Fate, Field, Host, Kind, Message, Row, What, time};
use super::escape::html;
use crate::trace::seconds;

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");
/// How many characters of a field the short form of a packet shows.
const BRIEF_CHARS_MAX: usize = 48;
/// The columns before the lanes: the line of the file, and the time.
const MARGINS: usize = 2;

/// The page. `facts` are what is known of the run besides: names and values.
#[must_use]
pub fn page(chart: &Chart, facts: &[(&str, String)]) -> String {
    let mut out = Page::default();
    let title = html(&chart.title);
    out.push("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
    // Whatever a text may try, the page can ask nobody for anything.
    out.push(
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; \
         script-src 'unsafe-inline'\">\n",
    );
    out.push("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n");
    out.push(&format!("<title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n"));
    out.header(chart, facts);
    out.chart(chart);
    out.push(&format!("<script>\n{SCRIPT}</script>\n</body>\n</html>\n"));
    out.text
}

#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    fn push(&mut self, text: &str) {
        self.text.push_str(text);
    }

    fn header(&mut self, chart: &Chart, facts: &[(&str, String)]) {
        let failure = failure(chart);
        let skipped = chart.rows.iter().filter(|row| matches!(row.what, What::Skipped(_))).count();
        self.push(&format!("<header>\n<h1><bdi>{}</bdi></h1>\n", html(&chart.title)));
        let verdict = if failure.is_some() { "failed" } else { "held" };
        let but = if skipped == 0 { String::new() } else { format!(", {skipped} skipped") };
        self.push(&format!("<p class=\"facts\"><strong class=\"verdict {verdict}\">{verdict}{but}</strong>"));
        for (name, value) in facts {
            self.push(&format!(" <span><b>{}</b> <bdi>{}</bdi></span>", html(name), html(value)));
        }
        self.push("</p>\n");
        if let Some((line, expected, arrived)) = failure {
            self.push(&format!(
                "<p class=\"failure\"><a href=\"#failure\">{} does not hold</a><br><b>expected</b> <bdi>{}</bdi><br>\
                 <b>arrived</b> <bdi>{}</bdi></p>\n",
                place(line),
                html(expected),
                html(arrived)
            ));
        }
        self.toolbar(chart);
        self.push("</header>\n");
    }

    /// What the script brings to life; without it, it stays hidden and everything is shown.
    fn toolbar(&mut self, chart: &Chart) {
        self.push("<form class=\"toolbar\" hidden>\n<fieldset><legend>Clients</legend>");
        for (lane, _) in chart.lanes.iter().enumerate().filter(|(_, lane)| lane.host == Host::Client) {
            let name = html(&chart.lanes[lane].name);
            self.push(&format!(
                "<label><input type=\"checkbox\" name=\"client\" value=\"{lane}\" checked>{name}</label>"
            ));
        }
        self.push("</fieldset>\n<fieldset><legend>Packets</legend>");
        let mut kinds: Vec<_> =
            (0..chart.rows.len()).filter_map(|row| chart.message(row)).map(|sent| sent.kind).collect();
        kinds.sort_unstable();
        kinds.dedup();
        for kind in kinds {
            let (class, words) = (class(kind), words(kind));
            self.push(&format!(
                "<label class=\"{class}\"><input type=\"checkbox\" name=\"kind\" value=\"{class}\" checked><i></i>{words}\
                 </label>"
            ));
        }
        self.push(
            "</fieldset>\n<fieldset><legend>Search</legend><input type=\"search\" name=\"search\" \
             placeholder=\"a packet or a text\" aria-label=\"Show only packets with this in their names or fields\">\
             </fieldset>\n<fieldset><legend>View</legend>\
             <label><input type=\"checkbox\" name=\"open\">all fields</label>\
             <label><input type=\"checkbox\" name=\"digests\">digests</label>\
             <button type=\"button\" name=\"theme\">light or dark</button></fieldset>\n</form>\n",
        );
        let mut kinds: Vec<_> = chart.bands.iter().map(|band| band.kind).collect();
        kinds.sort_unstable();
        kinds.dedup();
        if !kinds.is_empty() {
            self.push("<p class=\"legend\">Shaded:");
            for kind in kinds {
                let (class, words) = band_class(kind);
                self.push(&format!(" <span><i class=\"band {class}\"></i>{words}</span>"));
            }
            self.push("</p>\n");
        }
    }

    fn chart(&mut self, chart: &Chart) {
        let count = chart.lanes.len();
        let end = chart.rows.len() + 2;
        self.push(&format!("<main class=\"chart\" style=\"--count:{count}\">\n"));
        self.push("<div class=\"corner\" style=\"grid-column:1\">line</div><div class=\"corner\" style=\"grid-column:2\">time</div>\n");
        for (lane, host) in chart.lanes.iter().enumerate() {
            let (column, name) = (lane + MARGINS + 1, html(&host.name));
            let class = match host.host {
                Host::Client => "client",
                Host::Daemon => "daemon",
                Host::Redis => "redis",
            };
            self.push(&format!(
                "<div class=\"host {class}\" style=\"grid-column:{column}\"><span>{name}</span></div>\n"
            ));
            self.push(&format!("<div class=\"life {class}\" style=\"grid-column:{column};grid-row:2/{end}\"></div>\n"));
        }
        for (index, band) in chart.bands.iter().enumerate() {
            self.band(chart, index, band);
        }
        let failing = failure(chart).map(|(line, _, _)| line);
        let mut last_line = None;
        for (index, row) in chart.rows.iter().enumerate() {
            if !matches!(row.what, What::Gap(_) | What::Digests(_)) && last_line != Some(row.line) {
                let failing = if failing == Some(row.line) { " failing" } else { "" };
                self.push(&format!("<div class=\"rule{failing}\" style=\"grid-row:{}\"></div>", index + 2));
                if row.line > 0 {
                    self.push(&format!(
                        "<div class=\"line{failing}\" style=\"grid-row:{}\">{}</div>",
                        index + 2,
                        row.line
                    ));
                }
                last_line = Some(row.line);
            }
            self.row(chart, index, row);
        }
        self.push("</main>\n");
    }

    /// One strip on each of its lanes, narrower where it lies on others.
    fn band(&mut self, chart: &Chart, index: usize, band: &Band) {
        let (class, words) = band_class(band.kind);
        for lane in &band.lanes {
            let below = chart.bands[..index]
                .iter()
                .filter(|other| other.lanes.contains(lane) && other.from <= band.to && band.from <= other.to);
            self.push(&format!(
                "<div class=\"band {class}\" style=\"grid-column:{};grid-row:{}/{};--depth:{}\" title=\"{words}: {}\"></div>\n",
                lane + MARGINS + 1,
                band.from + 2,
                band.to + 3,
                below.count(),
                html(&band.text)
            ));
        }
    }

    fn row(&mut self, chart: &Chart, index: usize, row: &Row) {
        let grid_row = index + 2;
        match &row.what {
            What::Message(message) => self.message(chart, index, row, message),
            What::Landing { message } => self.landing(chart, index, row, *message),
            What::Act { lane, text } => self.note("act", index, row, &[*lane], text),
            What::Fault { lanes, text } => self.note("fault", index, row, lanes, text),
            What::Check { lane, text } => self.note("check", index, row, &[*lane], &format!("holds: {text}")),
            What::Gap(gap) => self.push(&format!(
                "<div class=\"gap\" style=\"grid-row:{grid_row}\" data-micros=\"{}\"><span>{} pass</span></div>\n",
                gap.as_micros(),
                time(*gap)
            )),
            What::Digests(digests) => {
                for (lane, digest) in digests {
                    self.push(&format!(
                        "<div class=\"digest\" style=\"grid-row:{grid_row};grid-column:{}\" title=\"the state of this \
                         daemon's engine at the end of the step\">{digest:016x}</div>\n",
                        lane + MARGINS + 1
                    ));
                }
            }
            What::Skipped(text) => self.push(&format!(
                "<div class=\"skipped\" style=\"grid-row:{grid_row}\"><span>skipped: <bdi>{}</bdi></span></div>\n",
                html(text)
            )),
            What::Failure { expected, arrived } => self.push(&format!(
                "<div class=\"broken\" id=\"failure\" style=\"grid-row:{grid_row}\"><p><strong>{} does not hold</strong></p>\
                 <p><b>expected</b> <bdi>{}</bdi></p><p><b>arrived</b> <bdi>{}</bdi></p></div>\n",
                place(row.line),
                html(expected),
                html(arrived)
            )),
        }
    }

    fn time(&mut self, index: usize, row: &Row, data: &str) {
        self.push(&format!("<div class=\"time\" style=\"grid-row:{}\"{data}>{}</div>", index + 2, clock(row)));
    }

    fn note(&mut self, class: &str, index: usize, row: &Row, lanes: &[usize], text: &str) {
        let first = lanes.iter().min().copied().unwrap_or(0);
        let last = lanes.iter().max().copied().unwrap_or(0);
        let data = "";
        self.time(index, row, data);
        self.push(&format!(
            "<div class=\"note {class}\" style=\"grid-row:{};grid-column:{}/{}\"><span><bdi>{}</bdi></span></div>\n",
            index + 2,
            first + MARGINS + 1,
            last + MARGINS + 2,
            html(text)
        ));
    }

    fn message(&mut self, chart: &Chart, index: usize, row: &Row, message: &Message) {
        let data = data(chart, message);
        let (columns, direction) = span(message);
        let (fate, note) = match message.fate {
            Fate::Arrived { row: None, .. } => ("", String::new()),
            Fate::Arrived { row: Some(landing), .. } => {
                self.push(&format!(
                    "<svg class=\"slope {} {direction}\" style=\"grid-row:{}/{};{columns}\"{data} \
                     preserveAspectRatio=\"none\" viewBox=\"0 0 100 100\" aria-hidden=\"true\"><line x1=\"{}\" y1=\"0\" \
                     x2=\"{}\" y2=\"100\"/></svg>\n",
                    class(message.kind),
                    index + 2,
                    landing + 3,
                    if direction == "right" { 0 } else { 100 },
                    if direction == "right" { 100 } else { 0 },
                ));
                (" sloping", String::new())
            }
            Fate::Lost => (" lost", " <em>lost</em>".to_owned()),
            Fate::UnderWay => (" waiting", " <em>not taken</em>".to_owned()),
        };
        self.time(index, row, &data);
        let (name, brief) = (html(&message.name), brief(message));
        self.push(&format!(
            "<details class=\"message {}{fate} {direction}\" id=\"row{index}\" style=\"grid-row:{};{columns}\"{data}>\
             <summary><span class=\"label\"><b>{name}</b>{brief}{note}</span><i class=\"arrow\"></i></summary>",
            class(message.kind),
            index + 2,
        ));
        self.fields(chart, index, row, message);
        self.push("</details>\n");
    }

    /// All that is known of a message.
    fn fields(&mut self, chart: &Chart, index: usize, row: &Row, message: &Message) {
        self.push("<dl>");
        let (from, to) = (&chart.lanes[message.from].name, &chart.lanes[message.to].name);
        let mut about = vec![("from".to_owned(), from.clone()), ("to".to_owned(), to.clone())];
        about.push(("sent".to_owned(), format!("{} s", seconds(row.at))));
        match message.fate {
            Fate::Arrived { at, .. } => {
                let took = time(at.saturating_sub(row.at));
                about.push(("arrived".to_owned(), format!("{} s, after {took}", seconds(at))));
            }
            Fate::Lost => about.push(("arrived".to_owned(), "never: it is lost".to_owned())),
            Fate::UnderWay => about.push(("arrived".to_owned(), "not by the end of the run".to_owned())),
        }
        if let Some(request) = message.answers.and_then(|request| chart.rows.get(request)) {
            about.push((
                "answers".to_owned(),
                format!("the request of {} before", time(row.at.saturating_sub(request.at))),
            ));
        }
        for Field { name, value, is_brief: _ } in &message.fields {
            self.push(&format!("<dt>{}</dt><dd><bdi>{}</bdi></dd>", html(name), html(value)));
        }
        for (name, value) in about {
            self.push(&format!("<dt class=\"about\">{}</dt><dd class=\"about\">{}</dd>", html(&name), html(&value)));
        }
        self.push("</dl>");
        if let Some(request) = message.answers {
            self.push(&format!("<a class=\"pair\" href=\"#row{request}\">to the request</a>"));
        } else if let Some(answer) = answer(chart, index) {
            self.push(&format!("<a class=\"pair\" href=\"#row{answer}\">to the answer</a>"));
        }
    }

    fn landing(&mut self, chart: &Chart, index: usize, row: &Row, sent: usize) {
        let (Some(message), Some(origin)) = (chart.message(sent), chart.rows.get(sent)) else { return };
        let data = data(chart, message);
        let (_, direction) = span(message);
        self.time(index, row, &data);
        self.push(&format!(
            "<div class=\"landing {} {direction}\" style=\"grid-row:{};grid-column:{}\"{data}><i></i><a href=\"#row{sent}\">{} \
             <small>after {}</small></a></div>\n",
            class(message.kind),
            index + 2,
            message.to + MARGINS + 1,
            html(&message.name),
            time(row.at.saturating_sub(origin.at))
        ));
    }
}

/// The line of the step that did not hold, what was expected, and what arrived.
fn failure(chart: &Chart) -> Option<(u32, &str, &str)> {
    chart.rows.iter().find_map(|row| match &row.what {
        What::Failure { expected, arrived } => Some((row.line, expected.as_str(), arrived.as_str())),
        What::Message(_)
        | What::Landing { .. }
        | What::Act { .. }
        | What::Fault { .. }
        | What::Check { .. }
        | What::Gap(_)
        | What::Digests(_)
        | What::Skipped(_) => None,
    })
}

/// The columns of a message's arrow, and where it points.
fn span(message: &Message) -> (String, &'static str) {
    let (first, last) = (message.from.min(message.to), message.from.max(message.to));
    let columns = format!("grid-column:{}/{}", first + MARGINS + 1, last + MARGINS + 2);
    (columns, if message.from <= message.to { "right" } else { "left" })
}

/// What the script needs to know: the client and the kind.
fn data(chart: &Chart, message: &Message) -> String {
    let client = [message.from, message.to].into_iter().find(|lane| chart.lanes[*lane].host == Host::Client);
    let client = client.map(|lane| format!(" data-client=\"{lane}\"")).unwrap_or_default();
    format!(" data-kind=\"{}\"{client}", class(message.kind))
}

fn brief(message: &Message) -> String {
    let mut text = String::new();
    for field in message.fields.iter().filter(|field| field.is_brief) {
        let (name, value) = (&field.name, html(&field.short(BRIEF_CHARS_MAX)));
        match name.as_str() {
            _ if field.is_word() => write!(text, " <span>{}</span>", html(name)),
            "request" => write!(text, " <span class=\"request-number\" title=\"request {value}\">{value}</span>"),
            "text" | "title" | "refused" | "reason" => write!(text, " <span><bdi>{value}</bdi></span>"),
            _ => write!(text, " <span><u>{}</u> <bdi>{value}</bdi></span>", html(name)),
        }
        .expect("a string takes what is written");
    }
    text
}

/// The row of the answer to a request.
fn answer(chart: &Chart, request: usize) -> Option<usize> {
    (request..chart.rows.len()).find(|row| chart.message(*row).is_some_and(|message| message.answers == Some(request)))
}

fn clock(row: &Row) -> String {
    let text = seconds(row.at);
    let (whole, micros) = text.split_once('.').unwrap_or((&text, ""));
    let (millis, micros) = micros.split_at(micros.len().min(3));
    format!("{whole}.{millis}<small>{micros}</small>")
}

fn place(line: u32) -> String {
    if line == 0 { "a step".to_owned() } else { format!("line {line}") }
}

fn class(kind: Kind) -> &'static str {
    match kind {
        Kind::Connection => "connection",
        Kind::Request => "request",
        Kind::Response => "response",
        Kind::Refusal => "refusal",
        Kind::Notify => "notify",
        Kind::Heartbeat => "heartbeat",
        Kind::Redis => "store",
    }
}

fn words(kind: Kind) -> &'static str {
    match kind {
        Kind::Connection => "connections",
        Kind::Request => "requests",
        Kind::Response => "responses",
        Kind::Refusal => "refusals",
        Kind::Notify => "notifies",
        Kind::Heartbeat => "heartbeat",
        Kind::Redis => "Redis",
    }
}

fn band_class(kind: BandKind) -> (&'static str, &'static str) {
    match kind {
        BandKind::Partition => ("partition", "partitioned"),
        BandKind::Hold => ("hold", "held back"),
        BandKind::Latency => ("latency", "other latency"),
        BandKind::Down => ("down", "down"),
        BandKind::Frozen => ("frozen", "frozen"),
        BandKind::Impaired => ("impaired", "slow, lying or draining"),
        BandKind::Deaf => ("deaf", "gone or not reading"),
    }
}
