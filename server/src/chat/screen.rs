//! Shows lines: above the line that is being typed on a terminal, otherwise on standard output and standard error.

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, channel, sync_channel};
use std::thread;
use std::time::Duration;

use rustyline::ExternalPrinter;

use super::terminal::SavedModes;

/// The most messages that wait for a terminal that takes none, because somebody has pressed Ctrl-S.
const WAITING_MAX: usize = 10_000;
/// How long to wait at the end for a terminal to show what it has not yet.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(500);
/// How long line editing has at the end to paint its prompt anew below the last message, which nothing tells of.
const REPAINT_TIME: Duration = Duration::from_millis(20);
/// Does nothing on a terminal: up a line and down again.
const NOTHING: &str = "\x1b[A\n";

/// Where lines are shown.
pub(super) enum Screen {
    /// Standard output, and standard error for complaints.
    Plain,
    /// A terminal on which a line is being edited meanwhile.
    Terminal(TerminalScreen),
}

impl Screen {
    /// Shows these lines.
    ///
    /// # Errors
    /// [`io::ErrorKind::BrokenPipe`] when nobody reads them any more.
    pub(super) fn show(&self, lines: &[String]) -> io::Result<()> {
        if lines.is_empty() {
            return Ok(());
        }
        let mut text = lines.join("\n");
        text.push('\n');
        match self {
            Self::Plain => {
                let mut output = io::stdout().lock();
                output.write_all(text.as_bytes())?;
                output.flush()
            }
            Self::Terminal(terminal) => terminal.print(text),
        }
    }

    /// Says what cannot be done.
    ///
    /// # Errors
    /// As [`Screen::show`], on a terminal. A standard error that is closed is nobody's to complain to.
    pub(super) fn complain(&self, text: &str) -> io::Result<()> {
        match self {
            Self::Plain => {
                let _ = writeln!(io::stderr(), "! {text}");
                Ok(())
            }
            Self::Terminal(terminal) => terminal.print(format!("! {text}\n")),
        }
    }

    /// Ends showing. `typing` says whether a line was being typed, which is then given up.
    pub(super) fn close(self, typing: bool) {
        match self {
            Self::Plain => {}
            Self::Terminal(terminal) => terminal.close(typing),
        }
    }
}

/// A terminal on which a line is being edited meanwhile.
///
/// A printer of rustyline waits until the line editor takes the message, which may be not before the next line is asked
/// for. So it has a thread of its own: the client, which asks, must not wait.
pub(super) struct TerminalScreen {
    messages: SyncSender<String>,
    closed: Receiver<()>,
    modes: Option<SavedModes>,
}

impl TerminalScreen {
    /// Prints with `printer`.
    pub(super) fn new(mut printer: impl ExternalPrinter + Send + 'static) -> io::Result<Self> {
        let (messages, waiting) = sync_channel::<String>(WAITING_MAX);
        let (close, closed) = channel();
        let print_all = move || {
            for message in waiting {
                if printer.print(message).is_err() {
                    return;
                }
            }
            // The printer takes the next message when the one before it has been taken to be shown, and that one when
            // the one before it has been shown. So these two say that all others have been.
            let _ = printer.print(NOTHING.to_owned()).and_then(|()| printer.print(NOTHING.to_owned()));
            let _ = close.send(());
        };
        thread::Builder::new().name("screen".into()).spawn(print_all)?;
        Ok(Self { messages, closed, modes: SavedModes::save() })
    }

    fn print(&self, message: String) -> io::Result<()> {
        self.messages.try_send(message).map_err(|error| match error {
            TrySendError::Full(_) => io::Error::other("the terminal has not taken any for too long"),
            TrySendError::Disconnected(_) => io::ErrorKind::BrokenPipe.into(),
        })
    }

    fn close(self, typing: bool) {
        let Self { messages, closed, modes } = self;
        drop(messages);
        // A terminal that shows nothing any more is not waited for.
        let _ = closed.recv_timeout(CLOSE_TIMEOUT);
        if typing && let Some(modes) = modes {
            thread::sleep(REPAINT_TIME);
            modes.abandon_line();
        }
    }
}
