//! A real `redis-server` for one test, and what every test needs.

use std::future::Future;
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use lobbyd_net::redis::{KeyPattern, Link, LinkConfig, LinkState, RedisAddress};
use redis::FromRedisValue;
use tokio::time::{Instant, sleep, timeout};

/// Longer than anything here takes on a machine under load; only a failing test waits for it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Runs a test on one thread with local tasks, as the I/O thread does.
pub(crate) fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let tasks = tokio::task::LocalSet::new();
    tasks.block_on(&runtime, async { timeout(3 * PATIENCE, test).await.expect("the test came to its end") });
}

/// Waits until `condition` holds.
pub(crate) async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "it never came to this: {what}");
        sleep(Duration::from_millis(5)).await;
    }
}

/// A `redis-server` of its own on a free port. It ends with the value.
pub(crate) struct RedisServer {
    child: Child,
    port: u16,
    folder: PathBuf,
    arguments: Vec<String>,
}

impl RedisServer {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        for port in ports() {
            let folder =
                PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("redis-{}-{port}", std::process::id()));
            std::fs::create_dir_all(&folder).unwrap();
            let child = spawn(port, &folder, &arguments);
            let mut server = Self { child, port, folder, arguments: arguments.clone() };
            if server.answers() {
                return server;
            }
            // Somebody else was faster with this port.
        }
        panic!("no free port for redis-server");
    }

    /// Where it is, without a password.
    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub(crate) fn address(&self) -> RedisAddress {
        RedisAddress::parse(&self.url()).unwrap()
    }

    /// A link with short times, so that tests are short.
    pub(crate) fn link(&self) -> Link {
        let address = self.address();
        let dial = address.dial();
        Link::start(address, dial, link_config())
    }

    /// Ends it at once, as a crash would.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again after a kill, with nothing in it.
    pub(crate) fn restart(&mut self) {
        self.child = spawn(self.port, &self.folder, &self.arguments);
        assert!(self.answers(), "redis-server starts again on its port");
    }

    /// Stops its clock, so that connections stay and nothing is answered.
    pub(crate) fn freeze(&self) {
        self.signal("-STOP");
    }

    /// Lets it run on after a freeze.
    pub(crate) fn thaw(&self) {
        self.signal("-CONT");
    }

    /// Asks by a connection of its own, apart from what is tested.
    pub(crate) fn ask<T: FromRedisValue>(&self, command: &[&str]) -> T {
        let mut connection = redis::Client::open(self.url()).unwrap().get_connection().unwrap();
        let mut packed = redis::Cmd::new();
        packed.arg(command);
        packed.query(&mut connection).unwrap()
    }

    /// A connection that can ask later what [`RedisServer::ask`] could not, such as after a password was set.
    pub(crate) fn control(&self) -> redis::Connection {
        redis::Client::open(self.url()).unwrap().get_connection().unwrap()
    }

    /// How often a command ran since the statistics were reset.
    pub(crate) fn calls(&self, command: &str) -> u64 {
        let statistics: String = self.ask(&["INFO", "commandstats"]);
        let line = format!("cmdstat_{command}:calls=");
        let count = statistics.lines().find_map(|entry| entry.strip_prefix(&line)?.split(',').next()?.parse().ok());
        count.unwrap_or_default()
    }

    fn signal(&self, signal: &str) {
        let status = Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    fn answers(&mut self) -> bool {
        let deadline = std::time::Instant::now() + PATIENCE;
        while std::time::Instant::now() < deadline {
            if self.child.try_wait().unwrap().is_some() {
                return false;
            }
            if let Ok(client) = redis::Client::open(self.url())
                && let Ok(mut connection) = client.get_connection()
            {
                let pong: redis::RedisResult<redis::Value> = redis::cmd("PING").query(&mut connection);
                // One that wants a password is up as well.
                if pong.map_or_else(|error| error.code() == Some("NOAUTH"), |_pong| true) {
                    return true;
                }
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        false
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        // It may have been killed by the test already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn spawn(port: u16, folder: &PathBuf, arguments: &[String]) -> Child {
    Command::new("redis-server")
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
        .args(arguments)
        .current_dir(folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("redis-server is installed (the test command of the README installs it)")
}

/// Free ports below those that the system gives away, so that a server that is down for a moment keeps its own.
fn ports() -> impl Iterator<Item = u16> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = u16::try_from(std::process::id() % 8_000).unwrap();
    (0..200).filter_map(move |_| {
        let port = 20_000 + (start.wrapping_mul(7).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed))) % 10_000;
        TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok().then_some(port)
    })
}

pub(crate) fn link_config() -> LinkConfig {
    LinkConfig {
        connect_timeout: Duration::from_secs(2),
        response_timeout: Duration::from_millis(300),
        backoff_min: Duration::from_millis(10),
        backoff_max: Duration::from_millis(100),
        ping_interval: Duration::from_secs(1),
        seed: 1,
        ..LinkConfig::default()
    }
}

/// Waits until the link is connected by a later connection than `after`, and says by which.
pub(crate) async fn connected(link: &Link, after: u64) -> u64 {
    let mut state = link.watch();
    let later = |state: &LinkState| matches!(state, LinkState::Connected { connection, .. } if *connection > after);
    let state = timeout(PATIENCE, state.wait_for(later)).await.expect("the link connects").unwrap().clone();
    match state {
        LinkState::Connected { connection, .. } => connection,
        LinkState::Connecting | LinkState::Disconnected { .. } => unreachable!("just waited for"),
    }
}

/// Waits until the link has lost its connection, or failed to make one, and says why.
pub(crate) async fn disconnected(link: &Link) -> String {
    let mut state = link.watch();
    let lost = |state: &LinkState| matches!(state, LinkState::Disconnected { .. });
    let state = timeout(PATIENCE, state.wait_for(lost)).await.expect("the link notices").unwrap().clone();
    match state {
        LinkState::Disconnected { fault, .. } => fault.to_string(),
        LinkState::Connecting | LinkState::Connected { .. } => unreachable!("just waited for"),
    }
}

pub(crate) fn pattern(text: &str) -> KeyPattern {
    KeyPattern::parse(text).unwrap()
}
