//! From a [`Scenario`] to a file that reads back as the same one.

use super::{Event, Expectation, Scenario, Step, WITHIN};
use super::{expectations, faults, operations, setup, tokens};

/// Writes a scenario as `grammar.md` says. [`parse`](super::parse()) makes the same scenario of it again (the lines of
/// the steps apart), if its names are names, its configuration is valid and its clients connect before they do anything
/// else.
#[must_use]
pub fn print(scenario: &Scenario) -> String {
    let Scenario { title, setup, steps } = scenario;
    let mut printed = Printed { text: String::new(), first_daemon: setup.daemons.first().map(String::as_str) };
    for line in title.lines() {
        printed.line(0, format!("# {line}").trim_end());
    }
    for line in setup::show(setup) {
        printed.line(0, &line);
    }
    if !printed.text.is_empty() && !steps.is_empty() {
        printed.text.push('\n');
    }
    for step in steps {
        printed.step(0, step);
    }
    printed.text
}

/// The step as one line, without what must come of it: how a report names it.
#[must_use]
pub fn headline(step: &Step) -> String {
    head(step, None)
}

fn head(step: &Step, first_daemon: Option<&str>) -> String {
    let event = match &step.event {
        Event::Client { client, operation } => format!("{client} {}", operations::show(operation, first_daemon)),
        Event::Together(_) => "together".to_owned(),
        Event::Fault(fault) => faults::show(fault),
        Event::Advance(time) => format!("advance {}", tokens::show_duration(*time)),
        Event::Wait => "wait".to_owned(),
        Event::Check { daemon, check } => format!("check {daemon} {}", faults::show_check(*check)),
    };
    let within =
        if step.within == WITHIN { String::new() } else { format!(" within {}", tokens::show_duration(step.within)) };
    format!("{event}{within}")
}

/// The client whose step it is.
fn own(step: &Step) -> Option<&str> {
    match &step.event {
        Event::Client { client, .. } => Some(client),
        Event::Together(_) | Event::Fault(_) | Event::Advance(_) | Event::Wait | Event::Check { .. } => None,
    }
}

struct Printed<'s> {
    text: String,
    first_daemon: Option<&'s str>,
}

impl Printed<'_> {
    fn line(&mut self, depth: usize, line: &str) {
        self.text.extend(std::iter::repeat_n("  ", depth));
        self.text.push_str(line);
        self.text.push('\n');
    }

    fn step(&mut self, depth: usize, step: &Step) {
        let (head, own) = (head(step, self.first_daemon), own(step));
        // What happens together comes first; what must come of all of it is not mistaken for a step's, being no deeper.
        let mut expects = step.expects.as_slice();
        match (expects, own) {
            ([only], Some(own)) if only.client == own => {
                self.line(depth, &format!("{head} {}", expectation(only, Some(own))));
                expects = &[];
            }
            (_, _) => self.line(depth, &head),
        }
        if let Event::Together(steps) = &step.event {
            for step in steps {
                self.step(depth + 1, step);
            }
        }
        for expected in expects {
            self.line(depth + 1, &expectation(expected, own));
        }
    }
}

fn expectation(Expectation { client, what }: &Expectation, own: Option<&str>) -> String {
    let what = expectations::show(what);
    if own == Some(client.as_str()) { format!("-> {what}") } else { format!("{client} -> {what}") }
}
