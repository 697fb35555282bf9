//! A daemon in a process of its own, with its configuration and its accounts in a folder of its own.

use std::fmt::Display;
use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::log::{Log, Seen};
use super::process::{Ended, Process};
use super::settings::{self, Place};
use super::{START_MAX, StartError, cannot};
use crate::layers::{CannotDo, Failure};
use crate::scenario::{Account, Setup, Store};

/// A daemon of a scenario's own.
pub(super) struct Daemon {
    name: String,
    program: PathBuf,
    /// Its configuration.
    file: PathBuf,
    log: Log,
    /// Absent when it has ended.
    process: Option<Process>,
    ended: Option<Ended>,
    is_draining: bool,
}

impl Daemon {
    /// Starts one with its files in `folder`; it may not be ready yet. `drains` is in how long it drains.
    ///
    /// # Errors
    /// When its configuration cannot say what the setup says, its accounts cannot be made, or it cannot be started.
    pub(super) fn start(
        name: &str,
        setup: &Setup,
        program: &Path,
        folder: PathBuf,
        redis: Option<String>,
        drains: Option<Duration>,
    ) -> Result<Self, StartError> {
        let place = Place { data: folder.join("data"), redis, drain_timeout: drains };
        let text = settings::file(setup, &place)?;
        let file = folder.join("lobbyd.toml");
        let write = || fs::create_dir_all(&folder).and_then(|()| fs::write(&file, text));
        write().map_err(|error| StartError::System { what: format!("{} cannot be written", file.display()), error })?;
        let mut daemon = Self {
            name: name.to_owned(),
            program: program.to_owned(),
            file,
            log: Log::read(std::io::empty()),
            process: None,
            ended: None,
            is_draining: false,
        };
        if setup.store == Store::Listed {
            for account in &setup.accounts {
                daemon.add_user(account).map_err(|error| daemon.failed(&error))?;
            }
        }
        daemon.launch().map_err(|error| daemon.failed(&error))?;
        Ok(daemon)
    }

    /// Waits until it listens, and has reached Redis if it has one.
    ///
    /// # Errors
    /// When it ends instead, or takes too long; its log says why.
    pub(super) fn wait_until_ready(&mut self, has_redis: bool) -> Result<(), StartError> {
        let is_ready = |seen: &Seen| seen.address.is_some() && (seen.has_redis || !has_redis);
        if self.log.wait_until(Instant::now() + START_MAX, is_ready) {
            return Ok(());
        }
        let said = self.log.seen().last_lines();
        Err(StartError::Failed(format!("the daemon {} does not start; it says:{said}", self.name)))
    }

    /// Where it listens; none if it does not run.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        self.process.as_ref().and(self.log.seen().address)
    }

    /// What it has said so far.
    pub(super) fn seen(&self) -> Seen {
        self.log.seen()
    }

    /// How it has ended, if it has.
    pub(super) fn ended(&self) -> Option<Ended> {
        self.ended
    }

    /// Whether it was told to drain.
    pub(super) fn is_draining(&self) -> bool {
        self.is_draining
    }

    /// Its process is gone from one moment to the next.
    ///
    /// # Errors
    /// When it does not run.
    pub(super) fn crash(&mut self) -> Result<(), CannotDo> {
        self.running()?;
        if let Some(process) = self.process.take() {
            process.kill();
        }
        self.ended = Some(Ended::Killed);
        Ok(())
    }

    /// It starts again, knowing nothing but its accounts, and listens.
    ///
    /// # Errors
    /// When it runs, or does not start.
    pub(super) fn restart(&mut self) -> Result<(), CannotDo> {
        if self.process.is_some() {
            return Err(CannotDo::Scenario(format!("{} runs", self.name)));
        }
        let started = self.launch().map_err(|error| self.failed(&error));
        started.and_then(|()| self.wait_until_ready(false)).map_err(|error| CannotDo::Scenario(error.to_string()))
    }

    /// It is told to drain, by SIGTERM.
    ///
    /// # Errors
    /// When it does not run, or drains already.
    pub(super) fn drain(&mut self) -> Result<(), CannotDo> {
        if self.is_draining {
            return Err(cannot(format!("tell {} a second time to drain: it would stop at once", self.name)));
        }
        self.is_draining = true;
        self.signal(Signal::SIGTERM)
    }

    /// Its process stands still.
    ///
    /// # Errors
    /// When it does not run.
    pub(super) fn stall(&mut self) -> Result<(), CannotDo> {
        self.signal(Signal::SIGSTOP)
    }

    /// Its process goes on, if there is one.
    ///
    /// # Errors
    /// When it cannot be told to.
    pub(super) fn resume(&mut self) -> Result<(), CannotDo> {
        if self.process.is_some() { self.signal(Signal::SIGCONT) } else { Ok(()) }
    }

    /// The operator closes a user's sessions: by removing the account, which is there again afterwards.
    ///
    /// # Errors
    /// When it does not run, or its accounts cannot be changed.
    pub(super) fn close_user(&mut self, account: &Account) -> Result<(), CannotDo> {
        self.running()?;
        let name = account.user.as_str();
        let changed = self.run_user(&["remove", name], "").and_then(|()| self.add_user(account));
        changed.map_err(|error| CannotDo::Scenario(self.failed(&error).to_string()))
    }

    /// # Errors
    /// When it has ended in any other way than it was told to.
    pub(super) fn watch(&mut self) -> Result<(), Failure> {
        let Some(process) = &mut self.process else { return Ok(()) };
        let status = match process.try_wait() {
            Ok(None) => return Ok(()),
            Ok(Some(status)) => status,
            Err(error) => return Err(Failure(format!("{} cannot be watched: {error}", self.name))),
        };
        self.process = None;
        self.ended = Some(Ended::ByItself);
        if self.is_draining && status.success() {
            return Ok(());
        }
        // Its last words may still be under way.
        self.log.wait_until(Instant::now() + START_MAX, |_| false);
        let said = self.log.seen().last_lines();
        Err(Failure(format!("{} has ended ({status}), which nobody told it to; it said:{said}", self.name)))
    }

    fn running(&self) -> Result<&Process, CannotDo> {
        self.process.as_ref().ok_or_else(|| CannotDo::Scenario(format!("{} does not run", self.name)))
    }

    fn signal(&self, signal: Signal) -> Result<(), CannotDo> {
        let sent = self.running()?.signal(signal);
        sent.map_err(|error| CannotDo::Scenario(format!("{} cannot be sent {signal}: {error}", self.name)))
    }

    fn launch(&mut self) -> std::io::Result<()> {
        let mut process = Process::start(
            Command::new(&self.program)
                .arg("serve")
                .arg("--config")
                .arg(&self.file)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::piped()),
        )?;
        let said = process.child().stderr.take().expect("the standard error of the process is piped");
        self.log = Log::read(said);
        (self.process, self.ended, self.is_draining) = (Some(process), None, false);
        Ok(())
    }

    fn add_user(&self, account: &Account) -> std::io::Result<()> {
        let mut arguments = vec!["add", account.user.as_str()];
        if let Some(nickname) = &account.nickname {
            arguments.extend(["--nickname", nickname]);
        }
        if account.administrator {
            arguments.push("--administrator");
        }
        self.run_user(&arguments, &account.secret)
    }

    /// Runs `lobbyd user …` with a line of input.
    fn run_user(&self, arguments: &[&str], input: &str) -> std::io::Result<()> {
        let mut process = Process::start(
            Command::new(&self.program)
                .arg("user")
                .arg("--config")
                .arg(&self.file)
                .args(arguments)
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .stderr(Stdio::piped()),
        )?;
        let mut stdin = process.child().stdin.take().expect("the standard input of the process is piped");
        // It may have ended with an error already, which is then what is told.
        let _ = writeln!(stdin, "{input}");
        drop(stdin);
        let mut said = String::new();
        let mut stderr = process.child().stderr.take().expect("the standard error of the process is piped");
        std::io::Read::read_to_string(&mut stderr, &mut said)?;
        let status = process.child().wait()?;
        if status.success() { Ok(()) } else { Err(std::io::Error::other(format!("`lobbyd user`: {}", said.trim()))) }
    }

    fn failed(&self, error: &dyn Display) -> StartError {
        StartError::Failed(format!("the daemon {}: {error}", self.name))
    }
}
