//! What the link writes into the log.

use std::fmt::{Debug, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use redis::cmd;
use tokio::time::sleep;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use super::fake::{Answer, Fake, bytes, run_paused};
use super::support::{connected, disconnected};

/// Keeps every line.
#[derive(Default)]
struct Log(Mutex<Vec<(Level, String)>>);

impl Log {
    fn lines(&self, level: Level) -> Vec<String> {
        let lines = self.0.lock().unwrap();
        lines.iter().filter(|(of, _)| *of == level).map(|(_, line)| line.clone()).collect()
    }
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, "{}={value:?} ", field.name()).unwrap();
    }
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("lobbyd_net")
    }

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(String::new());
        event.record(&mut line);
        self.0.lock().unwrap().push((*event.metadata().level(), line.0));
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

#[test]
fn an_outage_is_one_warning_and_its_end_one_line() {
    let log = Arc::new(Log::default());
    let _in_use = tracing::subscriber::set_default(Arc::clone(&log));
    run_paused(async {
        let fake = Fake::new(|_, command| if command == ["QUIT"] { Answer::Close } else { Answer::Usual });
        let link = fake.link(|_| {});
        connected(&link, 0).await;
        for outage in 1..=2 {
            fake.is_down.set(true);
            assert!(link.command(&cmd("QUIT")).await.is_err());
            disconnected(&link).await;
            sleep(Duration::from_secs(60)).await;
            fake.is_down.set(false);
            connected(&link, outage).await;
        }
        assert!(link.stats().connect_failures > 20);
    });
    let warnings = log.lines(Level::WARN);
    assert_eq!(warnings.len(), 2, "{warnings:#?}");
    for warning in &warnings {
        assert!(warning.contains("lost the connection to Redis, which closed the connection"), "{warning}");
        assert!(warning.contains("redis=redis://fake:6379/0"), "{warning}");
    }
    let returns = log.lines(Level::INFO);
    assert_eq!(returns.len(), 3, "{returns:#?}");
    assert!(returns.last().unwrap().contains("connected to Redis again after 6"), "{returns:#?}");
}

#[test]
fn what_has_to_be_mended_is_said_once_and_the_password_never() {
    let log = Arc::new(Log::default());
    let _in_use = tracing::subscriber::set_default(Arc::clone(&log));
    run_paused(async {
        let fake = Fake::new(|_, command| match command.first() {
            Some(hello) if hello == "HELLO" => bytes("-WRONGPASS invalid username-password pair s3cret\r\n"),
            Some(_) | None => Answer::Usual,
        });
        fake.is_down.set(true);
        let link = fake.link(|_| {});
        sleep(Duration::from_secs(30)).await;
        fake.is_down.set(false);
        sleep(Duration::from_secs(30)).await;
        let _ = link.command(&cmd("GET")).await;
    });
    let warnings = log.lines(Level::WARN);
    assert_eq!(warnings.len(), 2, "{warnings:#?}");
    assert!(warnings[0].contains("cannot be reached (connection refused)"), "{warnings:#?}");
    assert!(warnings[1].contains("WRONGPASS") && warnings[1].contains("check user and password"), "{warnings:#?}");
    let everything = format!("{:?}", log.0.lock().unwrap());
    assert!(!everything.contains("s3cret"), "{everything}");
}
