//! The times that faults say.

use std::time::Duration;

use super::{Fault, RedisFault, Served};

/// How long something takes that a fault begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Span {
    /// This long.
    Exact(Duration),
    /// Between the least and the most.
    Range(Duration, Duration),
}

impl Span {
    /// The times that it is written with.
    #[must_use]
    pub fn times(self) -> Vec<Duration> {
        match self {
            Self::Exact(time) => vec![time],
            Self::Range(least, most) => vec![least, most],
        }
    }
}

impl Fault {
    /// The time that it says; none of a fault that lasts until another ends it, or that is over at once.
    #[must_use]
    pub fn span(&self) -> Option<Span> {
        if let Self::Stall { gap: time, .. }
        | Self::Drain { within: time, .. }
        | Self::Ask { served: Served::Answers(time) | Served::Fails(time), .. }
        | Self::Redis(RedisFault::Slow(time)) = self
        {
            Some(Span::Exact(*time))
        } else if let Self::Latency { latency: (least, most), .. } = self {
            Some(Span::Range(*least, *most))
        } else {
            None
        }
    }

    /// The same fault with another time. One that says none, or one of the other kind, stays as it is.
    #[must_use]
    pub fn with_span(&self, span: Span) -> Self {
        let mut fault = self.clone();
        match span {
            Span::Exact(time) => {
                if let Self::Stall { gap: own, .. }
                | Self::Drain { within: own, .. }
                | Self::Ask { served: Served::Answers(own) | Served::Fails(own), .. }
                | Self::Redis(RedisFault::Slow(own)) = &mut fault
                {
                    *own = time;
                }
            }
            Span::Range(least, most) => {
                if let Self::Latency { latency, .. } = &mut fault {
                    *latency = (least, most);
                }
            }
        }
        fault
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{Event, parse};

    /// One of each fault that the language has, as it is written.
    const FAULTS: &str = "daemons server other\nstore redis\naccount alice wonder\npartition server other
repair server other\nhold server other\nrelease server other\nlatency server other 5ms..9ms\ncrash server
restart server\ndrain server 7s\nstop server\nclose-user server alice\nask server answers 3s\nask server fails 3s
ask server never\nstall server 3s\nredis crash\nredis restart\nredis restart empty\nredis freeze\nredis thaw
redis slow 20ms\nredis lie\nredis garble\nredis heal\n";

    fn faults() -> Vec<(String, Fault)> {
        let scenario = parse(FAULTS).expect("every line is a fault");
        let lines: Vec<_> = FAULTS.lines().collect();
        let fault = |event: &Event| if let Event::Fault(fault) = event { Some(fault.clone()) } else { None };
        let of = |line: u32| lines[line as usize - 1].to_owned();
        scenario.steps.iter().map(|step| (of(step.line), fault(&step.event).expect("it is one"))).collect()
    }

    #[test]
    fn a_fault_says_a_time_where_its_line_has_one() {
        let faults = faults();
        assert_eq!(faults.len(), 23);
        for (line, fault) in faults {
            let has_digits = line.contains(|character: char| character.is_ascii_digit());
            assert_eq!(fault.span().is_some(), has_digits, "{line}");
        }
    }

    #[test]
    fn another_time_changes_the_time_and_nothing_else() {
        let (time, least, most) = (Duration::from_secs(1), Duration::from_millis(1), Duration::from_millis(2));
        for (line, fault) in faults() {
            let changed = [Span::Exact(time), Span::Range(least, most)].map(|span| (span, fault.with_span(span)));
            for (span, changed) in changed {
                let is_of_its_kind = fault.span().is_some_and(|own| own.times().len() == span.times().len());
                assert_eq!(changed.span(), if is_of_its_kind { Some(span) } else { fault.span() }, "{line}");
                assert_eq!(fault.span().map(|own| changed.with_span(own)).unwrap_or(changed), fault, "{line}");
            }
        }
    }
}
