//! A `redis-server` of the scenario's own, with the accounts as tokens.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use lobbyd_net::redis::KeyPattern;
use nix::sys::signal::Signal;
use redis::{Client, Connection, RedisResult, cmd};

use super::gate::Gate;
use super::process::Process;
use super::{START_MAX, StartError, cannot};
use crate::layers::{CannotDo, Failure};
use crate::scenario::{Account, RedisFault};

/// The key of a user's token, as the other layers have it.
pub(super) const TOKEN_KEY: &str = "lobbyd:token:{user}";
/// How many ports are tried: a free one may be taken before Redis takes it.
const PORTS_TRIED: usize = 20;
/// How often is asked whether it is there.
const ASK_EVERY: Duration = Duration::from_millis(5);
/// How long it may take to answer.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// A Redis of a scenario's own, on a port of its own.
pub(super) struct Redis {
    folder: PathBuf,
    port: u16,
    tokens: Vec<(String, String)>,
    /// Absent while it is crashed.
    process: Option<Process>,
    /// Where daemons connect instead, if its answers will be slow or spoiled.
    gate: Option<Gate>,
}

impl Redis {
    /// Starts one with its files in `folder`, and writes the accounts. If `has_gate`, its answers can be slowed down and
    /// spoiled.
    ///
    /// # Errors
    /// When there is no `redis-server`, or it does not start.
    pub(super) fn start(folder: &Path, accounts: &[Account], has_gate: bool) -> Result<Self, StartError> {
        let pattern = KeyPattern::parse(TOKEN_KEY).expect("the pattern holds {user} once");
        let tokens = accounts.iter().map(|account| (pattern.key(&account.user), account.secret.clone())).collect();
        let mut redis = Self { folder: folder.join("redis"), port: 0, tokens, process: None, gate: None };
        for _ in 0..PORTS_TRIED {
            let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
            redis.port = free.map_err(|error| failed("there is no free port", &error))?.port();
            match redis.launch() {
                Ok(true) => {
                    redis.write_tokens().map_err(|error| failed("Redis does not take the accounts", &error))?;
                    let gate = has_gate.then(|| Gate::open(redis.address())).transpose();
                    redis.gate = gate.map_err(|error| failed("nothing can be put before Redis", &error))?;
                    return Ok(redis);
                }
                Ok(false) => {}
                Err(error) => return Err(StartError::NoRedis(error)),
            }
        }
        Err(StartError::Failed(format!("redis-server does not start on any of {PORTS_TRIED} free ports")))
    }

    /// Where daemons find it.
    pub(super) fn url(&self) -> String {
        url(self.gate.as_ref().map_or(self.address(), Gate::address))
    }

    /// Breaks or heals it.
    ///
    /// # Errors
    /// When that makes no sense now, or cannot be done to a real Redis.
    pub(super) fn inject(&mut self, fault: RedisFault) -> Result<(), CannotDo> {
        match (fault, &self.gate) {
            (RedisFault::Crash, _) => self.crash(),
            (RedisFault::Restart, _) => self.restart(),
            (RedisFault::RestartEmpty, _) => self.restart_empty(),
            (RedisFault::Freeze, _) => self.signal(Signal::SIGSTOP),
            (RedisFault::Thaw, _) => self.signal(Signal::SIGCONT),
            (RedisFault::Lie, _) => Err(cannot("have a real Redis answer what makes no sense".to_owned())),
            (RedisFault::Slow(delay), Some(gate)) => {
                gate.slow(delay);
                Ok(())
            }
            (RedisFault::Garble, Some(gate)) => {
                gate.garble();
                Ok(())
            }
            (RedisFault::Slow(_) | RedisFault::Garble, None) => {
                Err(cannot("spoil the answers of a Redis that was started without a gate".to_owned()))
            }
            (RedisFault::Heal, gate) => {
                if let Some(gate) = gate {
                    gate.heal();
                }
                // As the model has it, a frozen one answers again.
                if self.process.is_some() { self.signal(Signal::SIGCONT) } else { Ok(()) }
            }
        }
    }

    /// Its process is gone from one moment to the next.
    fn crash(&mut self) -> Result<(), CannotDo> {
        let process = self.process.take().ok_or_else(|| CannotDo::Scenario("Redis does not run".to_owned()))?;
        process.kill();
        Ok(())
    }

    /// It starts again with what it had.
    fn restart(&mut self) -> Result<(), CannotDo> {
        if self.process.is_some() {
            return Err(CannotDo::Scenario("Redis runs".to_owned()));
        }
        match self.launch() {
            Ok(true) => Ok(()),
            Ok(false) => Err(CannotDo::Scenario(format!("Redis does not start again on port {}", self.port))),
            Err(error) => Err(CannotDo::Scenario(format!("Redis does not start again: {error}"))),
        }
    }

    /// It starts again with nothing but the accounts.
    fn restart_empty(&mut self) -> Result<(), CannotDo> {
        let scenario = |error: &dyn std::fmt::Display| CannotDo::Scenario(format!("Redis cannot be emptied: {error}"));
        if self.process.is_none() {
            fs::remove_dir_all(&self.folder).map_err(|error| scenario(&error))?;
        }
        self.restart()?;
        self.write_tokens().map_err(|error| scenario(&error))
    }

    /// # Errors
    /// When it has ended without being told to.
    pub(super) fn watch(&mut self) -> Result<(), Failure> {
        let Some(process) = &mut self.process else { return Ok(()) };
        match process.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(Failure(format!("redis-server has ended by itself: {status}"))),
            Err(error) => Err(Failure(format!("redis-server cannot be watched: {error}"))),
        }
    }

    /// Where its process listens.
    fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    fn signal(&self, signal: Signal) -> Result<(), CannotDo> {
        let process = self.process.as_ref().ok_or_else(|| CannotDo::Scenario("Redis does not run".to_owned()))?;
        process.signal(signal).map_err(|error| CannotDo::Scenario(format!("Redis cannot be sent {signal}: {error}")))
    }

    /// Starts the process and waits until it answers. False if it cannot have its port.
    fn launch(&mut self) -> io::Result<bool> {
        fs::create_dir_all(&self.folder)?;
        // What it has taken is written before it is answered, so that it outlives the process.
        let process = Process::start(
            Command::new("redis-server")
                .args(["--port", &self.port.to_string(), "--bind", "127.0.0.1", "--save", ""])
                .args(["--appendonly", "yes", "--appendfsync", "no", "--daemonize", "no", "--dir"])
                .arg(&self.folder)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null()),
        )?;
        let url = url(self.address());
        let process = self.process.insert(process);
        let deadline = Instant::now() + START_MAX;
        while process.try_wait()?.is_none() && Instant::now() < deadline {
            // Somebody else's Redis may have the port; ours ends then.
            if process_at(&url).is_ok_and(|found| found == process.id()) {
                return Ok(true);
            }
            sleep(ASK_EVERY);
        }
        self.process = None;
        Ok(false)
    }

    fn write_tokens(&self) -> RedisResult<()> {
        let mut connection = connect(&url(self.address()))?;
        self.tokens.iter().try_for_each(|(key, token)| cmd("SET").arg(key).arg(token).exec(&mut connection))
    }
}

fn url(address: SocketAddr) -> String {
    format!("redis://{address}/")
}

fn failed(what: &str, error: &dyn std::fmt::Display) -> StartError {
    StartError::Failed(format!("{what}: {error}"))
}

fn connect(url: &str) -> RedisResult<Connection> {
    let connection = Client::open(url)?.get_connection_with_timeout(ANSWER_MAX)?;
    connection.set_read_timeout(Some(ANSWER_MAX))?;
    Ok(connection)
}

/// The number of the process that answers, 0 if it does not say.
fn process_at(url: &str) -> RedisResult<u32> {
    let info: String = cmd("INFO").arg("server").query(&mut connect(url)?)?;
    let found = info.lines().find_map(|line| line.strip_prefix("process_id:")).and_then(|id| id.trim().parse().ok());
    Ok(found.unwrap_or_default())
}
