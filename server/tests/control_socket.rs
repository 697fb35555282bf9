//! The control socket end to end: a served store on one side, the client or raw bytes on the other.

#![expect(clippy::unwrap_used, reason = "in helpers of tests too, a panic is how a test fails")]

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::mpsc::{self, Receiver};

use lobbyd::control::client::ControlClient;
use lobbyd::control::protocol::{LINE_BYTES_MAX, PAGE_USERS};
use lobbyd::control::{CONNECTIONS_MAX, Change, ControlServer, ControlSocket, SOCKET_NAME};
use lobbyd::stores::directory::{DirectoryError, NewUser, Nickname, Password, UserDirectory};
use lobbyd::stores::embedded::EmbeddedAccounts;
use lobbyd::stores::hasher::HashParameters;
use lobbyd::stores::hashing::HashPool;
use lobbyd_core::name::UserName;
use lobbyd_net::stores::{Accounts, SecretBytes};
use tempfile::TempDir;

struct Daemon {
    folder: TempDir,
    accounts: EmbeddedAccounts,
    changes: Receiver<Change>,
    server: ControlServer,
}

fn daemon() -> Daemon {
    let folder = tempfile::tempdir().unwrap();
    let hashing = HashPool::new(2, 64, HashParameters::new(8, 1, 1).unwrap()).unwrap();
    let accounts = EmbeddedAccounts::open(folder.path(), hashing).unwrap();
    let (tell, changes) = mpsc::channel();
    let socket = ControlSocket::bind(folder.path()).unwrap();
    let server = socket.serve(accounts.clone(), move |change| tell.send(change).unwrap()).unwrap();
    Daemon { folder, accounts, changes, server }
}

impl Daemon {
    async fn client(&self) -> ControlClient {
        ControlClient::find(self.folder.path()).await.unwrap().expect("somebody listens")
    }

    fn raw(&self) -> UnixStream {
        UnixStream::connect(self.folder.path().join(SOCKET_NAME)).unwrap()
    }

    fn changes(&self) -> Vec<Change> {
        self.changes.try_iter().collect()
    }
}

fn name(text: &str) -> UserName {
    text.parse().unwrap()
}

fn secret(bytes: &[u8]) -> SecretBytes {
    SecretBytes::new(bytes.to_vec())
}

fn password(bytes: &[u8]) -> Password {
    Password::new(secret(bytes)).unwrap()
}

fn new_user(user: &str, bytes: &[u8]) -> NewUser {
    NewUser { user: name(user), password: password(bytes), nickname: None, administrator: false }
}

fn bind_error(folder: &Path) -> io::Error {
    ControlSocket::bind(folder).expect_err("it must not bind")
}

#[tokio::test]
async fn users_are_administered_and_the_daemon_is_told() {
    let daemon = daemon();
    let client = daemon.client().await;
    let longest = [0xff; 1024];
    let alice = NewUser {
        nickname: Some(Nickname::new("Алиса \"\\\"").unwrap()),
        administrator: true,
        ..new_user("alice", &longest)
    };
    client.add(alice).await.unwrap();
    assert_eq!(daemon.changes(), [Change::Added(name("alice"))]);
    let account =
        daemon.accounts.verify(name("alice"), secret(&longest)).await.unwrap().expect("the password is right");
    assert_eq!((account.nickname.unwrap().as_str(), account.administrator), ("Алиса \"\\\"", true));

    assert_eq!(client.add(new_user("alice", b"x")).await, Err(DirectoryError::AlreadyExists(name("alice"))));
    client.set_password(name("alice"), password(b"new\n")).await.unwrap();
    assert_eq!(daemon.changes(), [Change::PasswordSet(name("alice"))]);
    assert!(daemon.accounts.verify(name("alice"), secret(b"new\n")).await.unwrap().is_some());

    assert_eq!(client.list().await, daemon.accounts.list().await);
    client.remove(name("alice")).await.unwrap();
    assert_eq!(daemon.changes(), [Change::Removed(name("alice"))]);
    assert_eq!(client.remove(name("alice")).await, Err(DirectoryError::Unknown(name("alice"))));
    assert_eq!(client.set_password(name("alice"), password(b"x")).await, Err(DirectoryError::Unknown(name("alice"))));
    assert_eq!(daemon.changes(), []);
}

#[tokio::test]
async fn list_of_several_pages_is_complete() {
    let daemon = daemon();
    let client = daemon.client().await;
    for count in [PAGE_USERS - 1, 1, 1, PAGE_USERS] {
        let known = client.list().await.unwrap().len();
        for number in known..known + count {
            let user = NewUser {
                nickname: Some(Nickname::new(&"\u{1f600}".repeat(32)).unwrap()),
                ..new_user(&format!("{number:032}"), b"x")
            };
            daemon.accounts.add(user).await.unwrap();
        }
        let listed = client.list().await.unwrap();
        assert_eq!(listed.len(), known + count);
        assert!(listed.iter().enumerate().all(|(number, entry)| entry.user == name(&format!("{number:032}"))));
    }
}

#[test]
fn socket_is_its_owners_only_and_nothing_else_is_left_beside_it() {
    let daemon = daemon();
    let path = daemon.folder.path().join(SOCKET_NAME);
    let metadata = fs::symlink_metadata(&path).unwrap();
    assert!(metadata.file_type().is_socket());
    assert_eq!(metadata.permissions().mode() & 0o7777, 0o600);
    let mut names: Vec<_> =
        fs::read_dir(daemon.folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["accounts.redb", SOCKET_NAME]);
    drop(daemon.server);
    assert!(!path.exists());
}

#[tokio::test]
async fn socket_of_a_killed_daemon_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    // Dropping a listener of std leaves its file, as a kill does.
    drop(UnixListener::bind(folder.path().join(SOCKET_NAME)).unwrap());
    fs::create_dir(folder.path().join(".c.new")).unwrap();
    fs::write(folder.path().join(".c.new/s"), "").unwrap();
    assert!(ControlClient::find(folder.path()).await.unwrap().is_none());
    let socket = ControlSocket::bind(folder.path()).unwrap();
    assert!(ControlClient::find(folder.path()).await.unwrap().is_some());
    drop(socket);
    assert!(ControlClient::find(folder.path()).await.unwrap().is_none());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn live_socket_and_other_files_are_not_replaced() {
    let daemon = daemon();
    let error = bind_error(daemon.folder.path());
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    assert!(error.to_string().contains("is served by another lobbyd; stop it"), "{error}");
    daemon.raw();

    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(SOCKET_NAME), "precious").unwrap();
    let error = bind_error(folder.path());
    assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
    assert_eq!(fs::read(folder.path().join(SOCKET_NAME)).unwrap(), b"precious");
}

#[test]
fn socket_that_has_been_replaced_is_not_removed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(SOCKET_NAME);
    let old = ControlSocket::bind(folder.path()).unwrap();
    fs::remove_file(&path).unwrap();
    let _new = ControlSocket::bind(folder.path()).unwrap();
    drop(old);
    assert!(path.exists());
}

#[test]
fn folder_with_too_long_a_path_is_a_clear_error() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("x".repeat(120));
    fs::create_dir(&folder).unwrap();
    let error = bind_error(&folder);
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    assert!(error.to_string().contains("a shorter path of the data folder may help"), "{error}");
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
}

#[test]
fn bad_requests_are_answered_and_harm_nobody() {
    let daemon = daemon();
    for (request, answer) in [
        ("junk\n".to_owned(), "is not of the control protocol"),
        ("\n".to_owned(), "is not of the control protocol"),
        ("{\"version\":9,\"command\":1}\n".to_owned(), "speaks version 9 of the control protocol"),
        ("{\"version\":1,\"command\":{\"quit\":{}}}\n".to_owned(), "does not understand the request"),
        ("[".repeat(LINE_BYTES_MAX - 1) + "\n", "is not of the control protocol"),
        ("x".repeat(LINE_BYTES_MAX), "the line is over 65536 bytes long"),
    ] {
        let mut stream = daemon.raw();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answered = String::new();
        stream.read_to_string(&mut answered).unwrap();
        assert!(answered.contains("\"refused\"") && answered.contains(answer), "{answered}");
        assert!(answered.ends_with('\n') && answered.len() < 500, "{answered}");
    }
    // A request that is cut off does nothing.
    let mut stream = daemon.raw();
    stream.write_all(b"{\"version\":1,\"command\":{\"remove\":{\"user\":\"alice\"}}}").unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(stream.read(&mut [0; 1]).unwrap(), 0);
    assert_eq!(daemon.changes(), []);
}

#[tokio::test]
async fn idle_connections_delay_others_no_longer_than_they_stay() {
    let daemon = daemon();
    let mut idle: Vec<UnixStream> = (0..CONNECTIONS_MAX).map(|_| daemon.raw()).collect();
    // Wait until all places are taken: the last one that is answered shows that it was accepted.
    let mut last = idle.pop().unwrap();
    last.write_all(b"{\"version\":1,\"command\":{\"list\":{\"after\":null}}}\n").unwrap();
    last.read_to_string(&mut String::new()).unwrap();
    let _last = daemon.raw();
    let client = daemon.client().await;
    let adding = client.add(new_user("alice", b"x"));
    let freeing = async {
        tokio::task::yield_now().await;
        idle.clear();
    };
    let (added, ()) = tokio::join!(adding, freeing);
    added.unwrap();
}

#[tokio::test]
async fn concurrent_requests_are_all_served() {
    let daemon = daemon();
    let client = daemon.client().await;
    let names: Vec<String> = (0..3 * CONNECTIONS_MAX).map(|number| format!("user{number}")).collect();
    let mut waiting: Vec<_> = names.iter().map(|user| client.add(new_user(user, b"x"))).collect();
    std::future::poll_fn(|context| {
        waiting.retain_mut(|adding| match adding.as_mut().poll(context) {
            std::task::Poll::Ready(added) => {
                added.unwrap();
                false
            }
            std::task::Poll::Pending => true,
        });
        if waiting.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    assert_eq!(client.list().await.unwrap().len(), names.len());
    assert_eq!(daemon.changes().len(), names.len());
}

#[tokio::test]
async fn store_is_free_once_the_server_has_ended() {
    let daemon = daemon();
    let _idle = daemon.raw();
    let Daemon { folder, accounts, server, .. } = daemon;
    drop(server);
    drop(accounts);
    let hashing = HashPool::new(1, 1, HashParameters::new(8, 1, 1).unwrap()).unwrap();
    EmbeddedAccounts::open(folder.path(), hashing).unwrap();
}
