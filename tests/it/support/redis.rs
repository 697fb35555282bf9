//! Redis: the server that `tests/run` has started, with keys of its own for each test, or one of the test's own that
//! may be stopped and killed.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use redis::{Client, Connection, FromRedisValue, RedisResult, cmd};
use tempfile::TempDir;

use super::daemon::{Signal, send_signal};
use super::setup::Setup;
use super::wait_until;

/// Where `tests/run` says that its Redis is.
const VARIABLE: &str = "LOBBYD_TEST_REDIS";

/// Keys that no other test uses, in some Redis. Deleted when this is dropped.
pub(crate) struct RedisKeys {
    url: String,
    prefix: String,
    /// If the test has started it for itself.
    server: Option<OwnRedis>,
}

impl RedisKeys {
    /// Keys in the Redis that is there for all tests; without one, in one of the test's own.
    #[track_caller]
    pub(crate) fn new() -> Self {
        match std::env::var(VARIABLE) {
            Ok(url) if !url.is_empty() => Self { url, prefix: prefix(), server: None },
            Ok(_) | Err(_) => Self::in_own_server(),
        }
    }

    /// Keys in a Redis of the test's own.
    #[track_caller]
    pub(crate) fn in_own_server() -> Self {
        let server = OwnRedis::start();
        Self { url: server.url(), prefix: prefix(), server: Some(server) }
    }

    /// A daemon with its accounts, tokens and presence at these keys.
    pub(crate) fn setup(&self) -> Setup {
        let Self { url, prefix, .. } = self;
        Setup::new()
            .set("server.store", url)
            .set("redis.account_key", &format!("{prefix}account:{{user}}"))
            .set("redis.token_key", &format!("{prefix}token:{{user}}"))
            .set("redis.presence_key", &format!("{prefix}presence:{{user}}"))
    }

    pub(crate) fn account(&self, user: &str) -> String {
        format!("{}account:{user}", self.prefix)
    }

    pub(crate) fn token(&self, user: &str) -> String {
        format!("{}token:{user}", self.prefix)
    }

    pub(crate) fn presence(&self, user: &str) -> String {
        format!("{}presence:{user}", self.prefix)
    }

    /// Sends a command; it has to succeed.
    #[track_caller]
    pub(crate) fn run<T: FromRedisValue>(&self, command: &[&str]) -> T {
        run(&self.url, command).expect("Redis does what a test asks for")
    }

    /// The server, which the test has started for itself.
    #[track_caller]
    pub(crate) fn server(&mut self) -> &mut OwnRedis {
        self.server.as_mut().expect("keys in a server of the test's own")
    }
}

impl Drop for RedisKeys {
    fn drop(&mut self) {
        if self.server.is_none() {
            // Somebody's own Redis is left as it was; what a failed test leaves there harms nobody.
            let keys: Vec<String> = run(&self.url, &["KEYS", &format!("{}*", self.prefix)]).unwrap_or_default();
            for key in keys {
                let _: RedisResult<i64> = run(&self.url, &["DEL", &key]);
            }
        }
    }
}

/// A `redis-server` of a test's own, which keeps what it holds when it is killed.
pub(crate) struct OwnRedis {
    folder: TempDir,
    port: u16,
    process: Child,
}

impl OwnRedis {
    /// Starts one on a free port.
    #[track_caller]
    fn start() -> Self {
        for _ in 0..20 {
            let folder = tempfile::Builder::new().prefix("lobbyd-redis-").tempdir().expect("a temporary folder");
            // Free now; if somebody else takes it first, the next one will do.
            let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
            let port = port.expect("there are free ports").port();
            let process = launch(&folder, port);
            let mut server = Self { folder, port, process };
            if server.comes_up() {
                return server;
            }
        }
        panic!("redis-server does not start on any of 20 free ports");
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        self.process.kill().expect("redis-server can be killed");
        self.process.wait().expect("a killed process ends");
    }

    /// Starts it again, after [`OwnRedis::kill`].
    #[track_caller]
    pub(crate) fn restart(&mut self) {
        self.process = launch(&self.folder, self.port);
        assert!(self.comes_up(), "redis-server does not start again");
    }

    /// SIGSTOP: connections stay and nothing is answered.
    #[track_caller]
    pub(crate) fn stop(&self) {
        send_signal(self.process.id(), Signal::Stop);
    }

    /// SIGCONT.
    #[track_caller]
    pub(crate) fn resume(&self) {
        send_signal(self.process.id(), Signal::Continue);
    }

    fn comes_up(&mut self) -> bool {
        let url = self.url();
        let mut runs = true;
        wait_until("redis-server answers", || {
            runs = self.process.try_wait().expect("it is a child of this process").is_none();
            !runs || run::<String>(&url, &["PING"]).is_ok()
        });
        runs
    }
}

impl Drop for OwnRedis {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn launch(folder: &TempDir, port: u16) -> Child {
    // Written before each answer, so that it outlives the process; it need not outlive the machine.
    Command::new("redis-server")
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""])
        .args(["--appendonly", "yes", "--appendfsync", "no", "--daemonize", "no", "--dir"])
        .arg(folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("redis-server is installed (tests/run does that)")
}

fn run<T: FromRedisValue>(url: &str, command: &[&str]) -> RedisResult<T> {
    let mut connection: Connection = Client::open(url)?.get_connection_with_timeout(super::PATIENCE)?;
    let mut request = cmd(command[0]);
    for argument in &command[1..] {
        request.arg(argument);
    }
    request.query(&mut connection)
}

fn prefix() -> String {
    static LAST: AtomicU32 = AtomicU32::new(0);
    let number = LAST.fetch_add(1, Ordering::Relaxed);
    let time = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is after 1970").as_nanos();
    format!("lobbyd-test:{}:{time}:{number}:", std::process::id())
}
