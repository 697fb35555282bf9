//! The client: waits for the person, the server and the system at once, and ends in an orderly way whoever ends it.

use std::io;
use std::pin::pin;
use std::time::Duration;

use anyhow::{Context, anyhow};
use lobbyd_core::name::UserName;
use lobbyd_core::packet::Code;
use lobbyd_net::client::{self, ClientError, Event, Events, Handle};
use lobbyd_net::stores::SecretBytes;
use rustyline::DefaultEditor;
use tokio::net::TcpStream;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{sleep, timeout};

use super::ChatSettings;
use super::command;
use super::escape::escape;
use super::input::{Answer, Input, Question};
use super::render;
use super::screen::{Screen, TerminalScreen};
use super::view::View;

/// How long connecting may take, up to the server's welcome.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long logging out may take at the end.
const FAREWELL_TIMEOUT: Duration = Duration::from_secs(2);
/// How long to wait before the server is asked again for what was over its budget.
pub(super) const FLOOD_PAUSE: Duration = Duration::from_millis(500);
/// What the server is told about this program.
const CLIENT_NAME: &str = concat!("lobbyd chat ", env!("CARGO_PKG_VERSION"));

/// Chats until something ends it.
pub(super) async fn chat(settings: ChatSettings) -> anyhow::Result<()> {
    let mut signals = Signals::new()?;
    let ChatSettings { address, user } = settings;
    let link = tokio::select! {
        link = Link::open(&address) => link?,
        () = signals.next() => return Ok(()),
    };
    let (screen, input) = console().context("standard input cannot be read")?;
    let mut client = Client { address, link, view: View::default(), screen, input, signals };
    let end = client.converse(user).await;
    client.finish(end).await
}

/// The client while it is connected.
pub(super) struct Client {
    pub(super) address: String,
    pub(super) link: Link,
    pub(super) view: View,
    pub(super) screen: Screen,
    pub(super) input: Input,
    signals: Signals,
}

/// Why the client ends.
#[derive(Debug)]
pub(super) enum End {
    /// The person wants to, the input has ended, or the system asks for it.
    Quit,
    /// Nobody reads what is shown.
    Unread,
    /// The connection is over.
    Lost(ClientError),
    /// Nobody is there to try another name or password.
    LoginRefused(String),
    /// Input or output failed.
    Failed(anyhow::Error),
}

impl Client {
    /// Logs in, then does what it is told to.
    async fn converse(&mut self, user: Option<UserName>) -> End {
        if let Err(end) = self.log_in_first(user).await {
            return end;
        }
        loop {
            if let Err(end) = self.converse_once().await {
                return end;
            }
        }
    }

    async fn converse_once(&mut self) -> Result<(), End> {
        let line = self.next_line().await?;
        let Ok(line) = std::str::from_utf8(&line) else {
            return self.complain("that line is not UTF-8; nothing was sent");
        };
        match command::parse(line) {
            Ok(command) => self.perform(command).await,
            Err(misspelled) => self.complain(&escape(&misspelled.to_string())),
        }
    }

    /// The next line of the chat. What happens meanwhile is shown.
    async fn next_line(&mut self) -> Result<SecretBytes, End> {
        self.input.ask(Question::Line(self.view.prompt()));
        loop {
            tokio::select! {
                event = self.link.events.next() => self.tell(event.map_err(End::Lost)?)?,
                answer = self.input.answer() => return answered(answer),
                () = self.signals.next() => return Err(End::Quit),
            }
        }
    }

    /// Asks the person something in between. What happens meanwhile is shown afterwards: it would garble the question.
    pub(super) async fn question(&mut self, question: Question) -> Result<SecretBytes, End> {
        self.input.ask(question);
        tokio::select! {
            answer = self.input.answer() => match answer {
                // A script that ends here is not complete; a person may change their mind.
                Ok(None) if !self.input.is_person() => {
                    Err(End::Failed(anyhow!("the input has ended where a user name or a password was expected")))
                }
                answer => answered(answer),
            },
            () = self.signals.next() => Err(End::Quit),
        }
    }

    /// Waits for the outcome of a request: done, or refused ([`ClientError::Refused`] and
    /// [`ClientError::RequestTooLong`] only). What happened before it has been shown by then.
    pub(super) async fn outcome<T>(
        &mut self,
        request: impl Future<Output = Result<T, ClientError>>,
    ) -> Result<Result<T, ClientError>, End> {
        let mut request = pin!(request);
        let outcome = loop {
            tokio::select! {
                // In this order, since the response comes behind the events that were before it.
                biased;
                event = self.link.events.next() => match event {
                    Ok(event) => self.tell(event)?,
                    // The connection is over: all requests have their outcomes, and this may still be a good one.
                    Err(_) => break request.await,
                },
                outcome = &mut request => break outcome,
                () = self.signals.next() => return Err(End::Quit),
            }
        };
        match outcome {
            Ok(_) | Err(ClientError::Refused(_) | ClientError::RequestTooLong { .. }) => Ok(outcome),
            Err(lost) => Err(End::Lost(lost)),
        }
    }

    /// The same; a refusal is told to the person, and gives nothing.
    pub(super) async fn done<T>(
        &mut self,
        request: impl Future<Output = Result<T, ClientError>>,
    ) -> Result<Option<T>, End> {
        match self.outcome(request).await? {
            Ok(value) => Ok(Some(value)),
            Err(refused) => self.complain(&refusal(&refused)).map(|()| None),
        }
    }

    /// Shows these lines.
    pub(super) fn show(&self, lines: &[String]) -> Result<(), End> {
        self.screen.show(lines).map_err(unwritten)
    }

    /// Says what cannot be done.
    pub(super) fn complain(&self, text: &str) -> Result<(), End> {
        self.screen.complain(text).map_err(unwritten)
    }

    fn tell(&mut self, event: Event) -> Result<(), End> {
        let lines = self.view.happened(event);
        self.show(&lines)
    }

    /// Ends politely where there still is somebody to be polite to, and says what went wrong.
    async fn finish(mut self, end: End) -> anyhow::Result<()> {
        let mut outcome = match end {
            End::Quit | End::Unread => Ok(()),
            End::Lost(error) => Err(lost(&error)),
            End::LoginRefused(why) => Err(anyhow!("the login was refused: {why}")),
            End::Failed(error) => Err(error),
        };
        if outcome.is_ok() && self.view.me().is_some() {
            // Who waits no longer has left all the same: the connection is closed now.
            if let Ok(Err(error)) = timeout(FAREWELL_TIMEOUT, self.link.log_out()).await {
                outcome = Err(lost(&error));
            }
        }
        self.link.handle.close();
        // What happened before the end has come by now, and is still of interest to whoever reads.
        while let Ok(Ok(event)) = timeout(FAREWELL_TIMEOUT, self.link.events.next()).await {
            if self.tell(event).is_err() {
                break;
            }
        }
        self.screen.close(self.input.is_waiting());
        outcome
    }
}

/// A connection to the server.
pub(super) struct Link {
    pub(super) handle: Handle,
    events: Events,
}

impl Link {
    /// Connects to `address`.
    pub(super) async fn open(address: &str) -> anyhow::Result<Self> {
        let connecting = async {
            let stream = TcpStream::connect(address).await.map_err(|error| {
                anyhow!("cannot connect to {address} ({error}): check the address, and that `lobbyd serve` runs there")
            })?;
            // A line that is typed goes out at once. Where that cannot be had, it goes out a little later.
            let _ = stream.set_nodelay(true);
            let connected = client::connect(stream, CLIENT_NAME).await;
            connected.with_context(|| format!("{address} does not let this client in"))
        };
        let connected = timeout(CONNECT_TIMEOUT, connecting).await;
        let (handle, events, connection) = connected.map_err(|_| {
            anyhow!("{address} has not answered for {}: check the address", render::duration(CONNECT_TIMEOUT))
        })??;
        // What ends it is told to whoever waits for an event or a response.
        tokio::task::spawn_local(connection.run());
        Ok(Self { handle, events })
    }

    /// Logs out, also when that is more than the server's budget allows at the moment.
    async fn log_out(&self) -> Result<(), ClientError> {
        loop {
            match self.handle.logout().await {
                Err(ClientError::Refused(Code::Flooding)) => sleep(FLOOD_PAUSE).await,
                // There is nobody to log out.
                Ok(()) | Err(ClientError::Refused(_)) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }
}

/// Why a request was refused, for people.
pub(super) fn refusal(error: &ClientError) -> String {
    if let ClientError::Refused(code) = error { render::refusal(*code) } else { error.to_string() }
}

/// Where lines are shown, and where they come from.
fn console() -> io::Result<(Screen, Input)> {
    // Line editing needs a terminal on both sides, of a kind that it knows.
    if let Ok(mut editor) = DefaultEditor::new()
        && let Ok(printer) = editor.create_external_printer()
    {
        let screen = TerminalScreen::new(printer)?;
        return Ok((Screen::Terminal(screen), Input::edited(editor)?));
    }
    Ok((Screen::Plain, Input::plain()?))
}

fn answered(answer: Answer) -> Result<SecretBytes, End> {
    match answer {
        Ok(Some(line)) => Ok(line),
        Ok(None) => Err(End::Quit),
        Err(error) => Err(End::Failed(anyhow::Error::new(error).context("standard input cannot be read"))),
    }
}

fn unwritten(error: io::Error) -> End {
    if error.kind() == io::ErrorKind::BrokenPipe {
        return End::Unread;
    }
    End::Failed(anyhow::Error::new(error).context("the messages cannot be shown"))
}

fn lost(error: &ClientError) -> anyhow::Error {
    // Each says by itself what has become of the connection.
    anyhow!("{error}")
}

/// The signals that ask the program to end.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Signals {
    fn new() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("the signals that end the program cannot be received");
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            hangup: listen(SignalKind::hangup())?,
        })
    }

    /// The next one. Giving up waiting loses none.
    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hangup.recv() => {}
        }
    }
}
