//! Telemetry: log lines on standard error, as text or JSON, with levels by target.

use std::fmt;
use std::io::{self, IsTerminal};

use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::config::LogFormat;

/// Sends log lines of the whole process to standard error from now on. Text has colours only on a terminal, and not
/// when the environment variable `NO_COLOR` is set to anything.
///
/// `levels` are directives `LEVEL` and `TARGET=LEVEL` with commas between, such as `info,lobbyd_net=debug`.
///
/// # Errors
/// For a directive that makes no sense, naming it, and when log lines go somewhere already.
pub fn init(format: LogFormat, levels: &str) -> anyhow::Result<()> {
    let colours = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let subscriber = subscriber(format, filter(levels)?, colours, io::stderr);
    tracing::subscriber::set_global_default(subscriber)
        .map_err(|_| anyhow::anyhow!("the log is set up already; telemetry::init is for once in a process"))
}

/// A directive for log levels that makes no sense.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct InvalidDirective {
    /// The directive as it was given.
    pub(crate) directive: String,
}

impl fmt::Display for InvalidDirective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { directive } = self;
        write!(f, "{directive:?} is not LEVEL or TARGET=LEVEL, where LEVEL is off, error, warn, info, debug or trace")
    }
}

impl std::error::Error for InvalidDirective {}

/// The filter that `levels` spell.
///
/// # Errors
/// Names the first directive that makes no sense.
pub(crate) fn filter(levels: &str) -> Result<EnvFilter, InvalidDirective> {
    let directives: Vec<&str> = levels.split(',').map(str::trim).collect();
    for directive in &directives {
        // The parser would take a misspelled level for a target, and then write every line of a target that is not.
        let level = directive.rsplit_once('=').map_or(*directive, |(_, level)| level);
        if level.is_empty() || level.parse::<LevelFilter>().is_err() {
            return Err(InvalidDirective { directive: String::from(*directive) });
        }
    }
    let parsed = EnvFilter::builder().with_regex(false).parse(directives.join(","));
    parsed.map_err(|_| InvalidDirective { directive: levels.to_owned() })
}

fn subscriber<W>(format: LogFormat, filter: EnvFilter, colours: bool, writer: W) -> Box<dyn Subscriber + Send + Sync>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    // A log that cannot be written is not reported on the same standard error: that would panic when it is closed.
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer).log_internal_errors(false);
    match format {
        LogFormat::Text => Box::new(builder.with_ansi(colours).finish()),
        LogFormat::Json => Box::new(builder.with_ansi(false).json().flatten_event(true).finish()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: LogFormat, levels: &str, colours: bool) -> String {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = subscriber(format, filter(levels).unwrap(), colours, move || writer.clone());
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(target: "lobbyd", user = "ann", "logged in");
            tracing::debug!(target: "lobbyd_net::driver", "a batch");
            tracing::debug!(target: "other", "noise");
        });
        let bytes = lines.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn text_has_one_line_for_each_event_and_no_colours_in_a_file() {
        let text = logged(LogFormat::Text, "info", false);
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(text.ends_with(" INFO lobbyd: logged in user=\"ann\"\n"), "{text}");
        assert!(!text.contains('\u{1b}'), "{text}");
        assert!(logged(LogFormat::Text, "info", true).contains('\u{1b}'));
    }

    #[test]
    fn json_has_one_object_for_each_line() {
        let text = logged(LogFormat::Json, "info", true);
        assert_eq!(text.lines().count(), 1, "{text}");
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(line["level"], "INFO");
        assert_eq!(line["target"], "lobbyd");
        assert_eq!(line["message"], "logged in");
        assert_eq!(line["user"], "ann");
        assert!(line["timestamp"].is_string());
    }

    #[test]
    fn levels_are_by_target() {
        for (levels, count) in
            [("off", 0), ("debug", 3), ("warn,lobbyd_net=debug", 1), ("debug,other=off", 2), ("INFO, other=trace", 2)]
        {
            assert_eq!(logged(LogFormat::Text, levels, false).lines().count(), count, "{levels}");
        }
    }

    #[test]
    fn a_directive_that_makes_no_sense_is_named() {
        for (levels, named) in [
            ("", ""),
            ("inof", "inof"),
            ("info,", ""),
            ("info,,warn", ""),
            ("lobbyd", "lobbyd"),
            ("info,lobbyd=loud", "lobbyd=loud"),
            ("info;lobbyd=debug,=", "="),
            ("lobbyd=", "lobbyd="),
            ("[x=info", "[x=info"),
        ] {
            let error = filter(levels).unwrap_err();
            assert_eq!(error.directive, named, "{levels}");
        }
        let error = init(LogFormat::Text, "info,loud").unwrap_err();
        let said = "\"loud\" is not LEVEL or TARGET=LEVEL, where LEVEL is off, error, warn, info, debug or trace";
        assert_eq!(error.to_string(), said);
    }
}
