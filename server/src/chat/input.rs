//! Reads what is typed, or piped in: on a thread of its own, since reading a terminal cannot wait for anything else.
//!
//! The thread reads only when it is asked to. So it shows the prompt that is right by then, a command is read after the
//! one before it is done, and a script is read as quickly as the server answers it.

use std::io::{self, BufRead, IsTerminal, Read, Write};
use std::sync::mpsc::{Sender, channel};
use std::thread;

use lobbyd_net::stores::SecretBytes;
use rustyline::DefaultEditor;
use rustyline::error::ReadlineError;
use tokio::sync::mpsc;

use super::command;

/// The most bytes in a line that is piped in: far more than any message may have.
const LINE_BYTES_MAX: u64 = 64 * 1024;

/// What to read next.
#[derive(Debug)]
pub(super) enum Question {
    /// A line of the chat, with this prompt on a terminal.
    Line(String),
    /// The answer to this question.
    Name(&'static str),
    /// The answer to this question, which is not shown.
    Secret(String),
}

/// A line without its end, or nothing when the input has ended or the person at the terminal wants to.
pub(super) type Answer = io::Result<Option<SecretBytes>>;

/// Where lines come from.
pub(super) struct Input {
    questions: Sender<Question>,
    answers: mpsc::UnboundedReceiver<Answer>,
    open: bool,
    person: bool,
}

impl Input {
    /// Lines that are edited with `editor` on a terminal.
    pub(super) fn edited(editor: DefaultEditor) -> io::Result<Self> {
        let mut editor = editor;
        Self::spawn(true, move |question| edit(&mut editor, question))
    }

    /// Lines of standard input as they come.
    pub(super) fn plain() -> io::Result<Self> {
        Self::spawn(io::stdin().is_terminal(), read)
    }

    /// Whether a person types, who can be asked again.
    pub(super) fn is_person(&self) -> bool {
        self.person
    }

    /// Whether a question waits for its answer.
    pub(super) fn is_waiting(&self) -> bool {
        self.open
    }

    /// Has the next line read. [`Input::answer`] gives it.
    pub(super) fn ask(&mut self, question: Question) {
        self.open = true;
        // If the thread is gone, there will be no answer, which says the same.
        let _ = self.questions.send(question);
    }

    /// The answer to the last question. Giving up waiting loses nothing.
    pub(super) async fn answer(&mut self) -> Answer {
        let answer = self.answers.recv().await;
        self.open = false;
        answer.unwrap_or(Ok(None))
    }

    fn spawn(person: bool, mut read: impl FnMut(Question) -> Answer + Send + 'static) -> io::Result<Self> {
        let (questions, asked) = channel();
        // At most one question is open, and so at most one answer waits here.
        let (answer, answers) = mpsc::unbounded_channel();
        let read_all = move || {
            for question in asked {
                if answer.send(read(question)).is_err() {
                    return;
                }
            }
        };
        thread::Builder::new().name("input".into()).spawn(read_all)?;
        Ok(Self { questions, answers, open: false, person })
    }
}

fn edit(editor: &mut DefaultEditor, question: Question) -> Answer {
    let (prompt, remember) = match question {
        Question::Line(prompt) => (prompt, true),
        Question::Name(prompt) => (prompt.to_owned(), false),
        Question::Secret(prompt) => return ask_secret(&prompt),
    };
    match editor.readline(&prompt) {
        Ok(line) => {
            if remember && !command::holds_secret(&line) {
                // Who types with a history that is full has lost nothing.
                let _ = editor.add_history_entry(&line);
            }
            Ok(Some(SecretBytes::new(line.into_bytes())))
        }
        Err(ReadlineError::Eof | ReadlineError::Interrupted) => Ok(None),
        Err(error) => Err(io::Error::other(error)),
    }
}

fn read(question: Question) -> Answer {
    let mut input = io::stdin().lock();
    match question {
        Question::Secret(prompt) if input.is_terminal() => return ask_secret(&prompt),
        // The person who types cannot be asked on standard output, which goes elsewhere.
        Question::Name(prompt) if input.is_terminal() => {
            let _ = io::stderr().write_all(prompt.as_bytes());
        }
        Question::Line(_) | Question::Name(_) | Question::Secret(_) => {}
    }
    read_line(&mut input)
}

fn ask_secret(prompt: &str) -> Answer {
    match rpassword::prompt_password(prompt) {
        Ok(secret) => Ok(Some(SecretBytes::new(secret.into_bytes()))),
        // Ctrl-D and Ctrl-C.
        Err(error) if matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::Interrupted) => Ok(None),
        Err(error) => Err(error),
    }
}

/// One line without its end (`\n` or `\r\n`).
fn read_line(input: &mut impl BufRead) -> Answer {
    let mut line = SecretBytes::default();
    let count = input.take(LINE_BYTES_MAX + 2).read_until(b'\n', &mut line)?;
    if count == 0 {
        return Ok(None);
    }
    if line.last() == Some(&b'\n') {
        line.pop();
        if line.last() == Some(&b'\r') {
            line.pop();
        }
    }
    if line.len() as u64 > LINE_BYTES_MAX {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("a line has more than {LINE_BYTES_MAX} bytes, which no message may have"),
        ));
    }
    Ok(Some(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_one_by_one_without_their_ends() {
        let mut input = &b"one\r\n\ntw\ro\n\xffthree"[..];
        let mut next = || read_line(&mut input).unwrap().map(|line| line.to_vec());
        assert_eq!(next().unwrap(), b"one");
        assert_eq!(next().unwrap(), b"");
        assert_eq!(next().unwrap(), b"tw\ro");
        assert_eq!(next().unwrap(), b"\xffthree");
        assert_eq!(next(), None);
    }

    #[test]
    fn line_without_end_is_refused() {
        let longest = vec![b'x'; LINE_BYTES_MAX as usize];
        assert_eq!(read_line(&mut &longest[..]).unwrap().unwrap().len(), longest.len());
        assert_eq!(read_line(&mut &[&longest, &b"\n"[..]].concat()[..]).unwrap().unwrap().len(), longest.len());
        let error = read_line(&mut &[&longest, &b"x"[..]].concat()[..]).unwrap_err();
        assert!(error.to_string().contains("more than 65536 bytes"), "{error}");
    }
}
