//! The side of the control socket that asks: the daemon's users, to be administered from another process.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lobbyd_core::name::UserName;
use lobbyd_net::stores::LocalFuture;
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::protocol::{self, Answer, Command, PAGE_USERS, Request, Response, VERSION};
use super::{CONNECTION_TIMEOUT, SOCKET_NAME};
use crate::stores::directory::{DirectoryError, NewUser, Password, UserDirectory, UserEntry};

/// A little longer than the daemon takes at most, so that its own answer comes first.
const ANSWER_TIMEOUT: Duration = CONNECTION_TIMEOUT.saturating_add(Duration::from_secs(2));

/// The users of the daemon that serves the socket in a data folder. Needs a tokio runtime with I/O and time.
#[derive(Debug)]
pub struct ControlClient {
    path: PathBuf,
}

impl ControlClient {
    /// The daemon that serves the socket in `folder`; `None` if nobody does.
    ///
    /// # Errors
    /// When there is a socket that cannot be connected to, for instance because it belongs to another user.
    pub async fn find(folder: &Path) -> io::Result<Option<Self>> {
        let path = folder.join(SOCKET_NAME);
        let Err(error) = connect(&path).await else { return Ok(Some(Self { path })) };
        let kind = error.kind();
        // The last: there can be no socket with so long a name.
        let nobody = [io::ErrorKind::NotFound, io::ErrorKind::ConnectionRefused, io::ErrorKind::InvalidInput];
        if nobody.contains(&kind) {
            return Ok(None);
        }
        let path = path.display();
        Err(io::Error::new(
            kind,
            if kind == io::ErrorKind::PermissionDenied {
                format!("{path} belongs to another user: run this as the user whom lobbyd runs as")
            } else {
                format!("{path} cannot be connected to: {error}")
            },
        ))
    }

    async fn ask(&self, command: Command) -> Result<Answer, DirectoryError> {
        let exchange = async {
            let mut stream = connect(&self.path).await.map_err(|error| error.to_string())?;
            let request = Request { version: VERSION, command };
            protocol::write_line(&mut stream, &request).await.map_err(|error| error.to_string())?;
            drop(request);
            let line = protocol::read_line(&mut stream).await.map_err(|error| error.to_string())?;
            Response::parse(&line)
        };
        let answer = match timeout(ANSWER_TIMEOUT, exchange).await {
            Ok(answer) => answer,
            Err(_) => Err(format!("no answer within {} s", ANSWER_TIMEOUT.as_secs())),
        };
        answer.map_err(|reason| {
            DirectoryError::Unavailable(format!(
                "the running lobbyd did not answer at {}: {reason}; `lobbyd user list` shows what it did",
                self.path.display()
            ))
        })
    }

    /// Asks for a change of `user`.
    async fn change(&self, user: UserName, command: Command) -> Result<(), DirectoryError> {
        match self.ask(command).await? {
            Answer::Done => Ok(()),
            Answer::AlreadyExists => Err(DirectoryError::AlreadyExists(user)),
            Answer::Unknown => Err(DirectoryError::Unknown(user)),
            Answer::Unavailable(text) | Answer::Refused(text) => Err(DirectoryError::Unavailable(text)),
            Answer::Users(_) => Err(astray()),
        }
    }
}

impl UserDirectory for ControlClient {
    fn add(&self, user: NewUser) -> LocalFuture<'_, Result<(), DirectoryError>> {
        let NewUser { user, password, nickname, administrator } = user;
        Box::pin(self.change(user, Command::Add { user, password, nickname, administrator }))
    }

    fn set_password(&self, user: UserName, password: Password) -> LocalFuture<'_, Result<(), DirectoryError>> {
        Box::pin(self.change(user, Command::SetPassword { user, password }))
    }

    fn remove(&self, user: UserName) -> LocalFuture<'_, Result<(), DirectoryError>> {
        Box::pin(self.change(user, Command::Remove { user }))
    }

    fn list(&self) -> LocalFuture<'_, Result<Vec<UserEntry>, DirectoryError>> {
        Box::pin(async move {
            let mut users: Vec<UserEntry> = Vec::new();
            loop {
                let after = users.last().map(|last| last.user);
                match self.ask(Command::List { after }).await? {
                    Answer::Users(page) => {
                        // A daemon that goes round in circles must not do so for ever.
                        if page.first().is_some_and(|first| after.is_some_and(|after| first.user <= after)) {
                            return Err(astray());
                        }
                        let is_last = page.len() < PAGE_USERS;
                        users.extend(page);
                        if is_last {
                            return Ok(users);
                        }
                    }
                    Answer::Unavailable(text) | Answer::Refused(text) => return Err(DirectoryError::Unavailable(text)),
                    Answer::Done | Answer::AlreadyExists | Answer::Unknown => return Err(astray()),
                }
            }
        })
    }
}

async fn connect(path: &Path) -> io::Result<UnixStream> {
    match timeout(ANSWER_TIMEOUT, UnixStream::connect(path)).await {
        Ok(connected) => connected,
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}

fn astray() -> DirectoryError {
    DirectoryError::Unavailable("the running lobbyd answered something else than was asked".into())
}
