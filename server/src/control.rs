//! The control socket: a Unix socket in the data folder by which `lobbyd user` reaches the daemon that has the embedded
//! store open. Only the user whom the daemon runs as (and root) can connect to it.
//!
//! One request to a connection, as one line of JSON, and one line in answer ([`protocol`]). The daemon's side, a
//! [`ControlSocket`], runs on a thread of its own, since changes wait for the disk; the other side is a
//! [`client::ControlClient`].

pub mod client;
pub mod protocol;

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener as StdListener, UnixStream as StdStream};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::thread;
use std::time::Duration;

use lobbyd_core::name::UserName;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::oneshot;
use tokio::task::{JoinSet, LocalSet};

use crate::stores::directory::{DirectoryError, NewUser, UserDirectory};
use crate::stores::embedded::EmbeddedAccounts;
use protocol::{Answer, Command, PAGE_USERS, ReadError, Request, Response, VERSION};

/// The name of the socket in the data folder.
pub const SOCKET_NAME: &str = "control.sock";
/// The most connections served at a time; more wait to be accepted.
pub const CONNECTIONS_MAX: usize = 16;
/// A connection is cut after this, whatever it is at.
pub const CONNECTION_TIMEOUT: Duration = Duration::from_secs(10);

/// What was done through the socket. A change is told when it is on the disk, before it is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// A user was added.
    Added(UserName),
    /// A user has another password. Sessions that logged in with the old one go on.
    PasswordSet(UserName),
    /// A user is no more: its sessions are to be closed.
    Removed(UserName),
}

/// The socket, bound and not yet served. Its file goes when this does.
#[derive(Debug)]
pub struct ControlSocket {
    listener: StdListener,
    file: SocketFile,
}

impl ControlSocket {
    /// Makes the socket in `folder`, with mode 0600 from its first moment. One that a killed daemon has left is
    /// replaced. The caller has the store in `folder` open, so that no other daemon does this at the same time.
    ///
    /// # Errors
    /// `AddrInUse` when somebody answers at the socket, `AlreadyExists` when its name is taken by something else than a
    /// socket, `InvalidInput` when the folder's path is too long for a socket, and what the system says.
    pub fn bind(folder: &Path) -> io::Result<Self> {
        let path = folder.join(SOCKET_NAME);
        refuse_taken(&path)?;
        // Bound in a folder that only this user can enter, and moved to its place when its mode is set: a bound socket
        // has the mode that the umask leaves, and others could connect before that is changed. The name is no longer
        // than that of the socket, whose path must fit into some 100 bytes.
        let nursery = folder.join(".c.new");
        let newborn = nursery.join("s");
        clear(&nursery, &newborn)?;
        DirBuilder::new().mode(0o700).create(&nursery)?;
        let bound = bind_in(&newborn, &path);
        clear(&nursery, &newborn)?;
        bound
    }

    /// Serves the socket on a thread of its own, until the server that is returned is dropped. `on_change` is called on
    /// that thread.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn serve(
        self,
        accounts: EmbeddedAccounts,
        on_change: impl Fn(Change) + Send + 'static,
    ) -> io::Result<ControlServer> {
        let (stop, stopped) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = thread::Builder::new().name("lobbyd-control".into()).spawn(move || {
            let Self { listener, file } = self;
            let service = Rc::new(Service { accounts, on_change: Box::new(on_change) });
            let accepting = async {
                match UnixListener::from_std(listener) {
                    Ok(listener) => accept_until(stopped, listener, service).await,
                    Err(error) => tracing::error!(%error, "the control socket cannot be served; restart lobbyd"),
                }
            };
            LocalSet::new().block_on(&runtime, accepting);
            drop(file);
        })?;
        Ok(ControlServer { stop: Some(stop), thread: Some(thread) })
    }
}

/// A socket that is being served. When it is dropped, connections are cut, what is being written to the disk is ended,
/// and the socket's file is removed.
#[derive(Debug)]
pub struct ControlServer {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Drop for ControlServer {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It can only have panicked, which has been told by then.
            let _ = thread.join();
        }
    }
}

/// The file of a socket. When dropped it is removed, unless another socket has taken its place.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let is_ours = |file: fs::Metadata| (file.dev(), file.ino()) == (self.device, self.inode);
        if fs::symlink_metadata(&self.path).is_ok_and(is_ours) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn bind_in(newborn: &Path, path: &Path) -> io::Result<ControlSocket> {
    let listener = StdListener::bind(newborn).map_err(|error| {
        let text = format!("{} cannot be made: {error}; a shorter path of the data folder may help", path.display());
        io::Error::new(error.kind(), text)
    })?;
    listener.set_nonblocking(true)?;
    fs::set_permissions(newborn, Permissions::from_mode(0o600))?;
    let metadata = fs::symlink_metadata(newborn)?;
    fs::rename(newborn, path)?;
    let file = SocketFile { path: path.to_owned(), device: metadata.dev(), inode: metadata.ino() };
    Ok(ControlSocket { listener, file })
}

fn clear(nursery: &Path, newborn: &Path) -> io::Result<()> {
    for removed in [fs::remove_file(newborn), fs::remove_dir(nursery)] {
        match removed {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// An error unless there is nothing at `path`, or a socket at which nobody answers any more.
fn refuse_taken(path: &Path) -> io::Result<()> {
    let refuse = |kind, text: &str| Err(io::Error::new(kind, format!("{} {text}", path.display())));
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
        Ok(metadata) if !metadata.file_type().is_socket() => {
            return refuse(io::ErrorKind::AlreadyExists, "is in the way of the control socket; move it elsewhere");
        }
        Ok(_) => {}
    }
    match StdStream::connect(path) {
        Err(error) if matches!(error.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound) => Ok(()),
        // Also one whose queue of connections is full is alive.
        Ok(_) => refuse(io::ErrorKind::AddrInUse, "is served by another lobbyd; stop it, or use another data folder"),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            refuse(io::ErrorKind::AddrInUse, "is served by another lobbyd; stop it, or use another data folder")
        }
        Err(error) => Err(error),
    }
}

async fn accept_until(mut stopped: oneshot::Receiver<()>, listener: UnixListener, service: Rc<Service>) {
    let mut connections = JoinSet::new();
    let mut is_failing = false;
    loop {
        tokio::select! {
            biased;
            _ = &mut stopped => return,
            Some(ended) = connections.join_next() => {
                if let Err(error) = ended {
                    tracing::error!(%error, "a control connection failed");
                }
            }
            accepted = listener.accept(), if connections.len() < CONNECTIONS_MAX => match accepted {
                Ok((stream, _)) => {
                    is_failing = false;
                    let service = Rc::clone(&service);
                    connections.spawn_local(async move {
                        if tokio::time::timeout(CONNECTION_TIMEOUT, service.attend(stream)).await.is_err() {
                            tracing::warn!("a control connection was cut: it took over {CONNECTION_TIMEOUT:?}");
                        }
                    });
                }
                Err(error) => {
                    // Once for a row of failures.
                    if !is_failing {
                        tracing::warn!(%error, "the control socket cannot accept a connection; it tries again");
                        is_failing = true;
                    }
                    // Out of file descriptors, most likely, which time may cure and trying at once does not.
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }
}

struct Service {
    accounts: EmbeddedAccounts,
    on_change: Box<dyn Fn(Change)>,
}

impl Service {
    /// One request and its answer.
    async fn attend(&self, mut stream: UnixStream) {
        let answer = match protocol::read_line(&mut stream).await {
            Ok(line) => match Request::parse(&line) {
                Ok(command) => {
                    drop(line);
                    self.carry_out(command).await
                }
                Err(text) => Answer::Refused(text),
            },
            // Somebody looked whether there is a daemon, or went away.
            Err(ReadError::Ended | ReadError::Failed(_)) => return,
            Err(ReadError::TooLong) => Answer::Refused(ReadError::TooLong.to_string()),
        };
        let response = Response { version: VERSION, answer };
        if let Err(error) = protocol::write_line(&mut stream, &response).await {
            // What was asked for is done all the same.
            tracing::debug!(%error, "a control connection went away before its answer");
        }
    }

    async fn carry_out(&self, command: Command) -> Answer {
        let done = match command {
            Command::Add { user, password, nickname, administrator } => {
                let added = self.accounts.add(NewUser { user, password, nickname, administrator }).await;
                added.map(|()| Change::Added(user))
            }
            Command::SetPassword { user, password } => {
                self.accounts.set_password(user, password).await.map(|()| Change::PasswordSet(user))
            }
            Command::Remove { user } => self.accounts.remove(user).await.map(|()| Change::Removed(user)),
            Command::List { after } => {
                return match self.accounts.page(after, PAGE_USERS) {
                    Ok(users) => Answer::Users(users),
                    Err(error) => Answer::from(error),
                };
            }
        };
        match done {
            Ok(change) => {
                (self.on_change)(change);
                Answer::Done
            }
            Err(error) => Answer::from(error),
        }
    }
}

impl From<DirectoryError> for Answer {
    fn from(error: DirectoryError) -> Self {
        match error {
            DirectoryError::AlreadyExists(_) => Self::AlreadyExists,
            DirectoryError::Unknown(_) => Self::Unknown,
            DirectoryError::Unavailable(text) => Self::Unavailable(text),
        }
    }
}
