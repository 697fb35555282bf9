//! A process that is ended with the bench, and the last lines that it wrote.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpStream};
use std::process::{self, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// How long a server may take until it listens.
const START_TIMEOUT: Duration = Duration::from_secs(30);
/// Lines that are kept.
const LINES_KEPT: usize = 10;

/// A process; killed when dropped.
pub(super) struct Child {
    process: process::Child,
    name: String,
    lines: Receiver<String>,
    kept: Arc<Mutex<VecDeque<String>>>,
}

impl Child {
    /// Starts a program. It gets no settings of lobbyd from this process's environment.
    pub(super) fn start(mut command: Command) -> anyhow::Result<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        for (variable, _) in std::env::vars_os() {
            if variable.to_string_lossy().starts_with("LOBBYD_") {
                command.env_remove(variable);
            }
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn().with_context(|| format!("{name} cannot be started"))?;
        let kept = Arc::new(Mutex::new(VecDeque::new()));
        let (sender, lines) = channel();
        let outputs: [Option<Box<dyn Read + Send>>; 2] = [
            process.stdout.take().map(|output| Box::new(output) as _),
            process.stderr.take().map(|output| Box::new(output) as _),
        ];
        for output in outputs.into_iter().flatten() {
            let (sender, kept) = (sender.clone(), kept.clone());
            thread::spawn(move || keep_lines(output, &sender, &kept));
        }
        Ok(Self { process, name, lines, kept })
    }

    pub(super) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Asks it to stop, and waits for the first line of which `find` makes something.
    pub(super) fn stop<T>(&self, find: impl Fn(&str) -> Option<T>) -> Option<T> {
        kill(Pid::from_raw(i32::try_from(self.id()).ok()?), Signal::SIGTERM).ok()?;
        self.wait_for_line(find).ok()
    }

    /// Waits for the first line of which `find` makes something.
    pub(super) fn wait_for_line<T>(&self, find: impl Fn(&str) -> Option<T>) -> anyhow::Result<T> {
        let deadline = Instant::now() + START_TIMEOUT;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    if let Some(found) = find(&line) {
                        return Ok(found);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {
                    bail!("{} does not say within {START_TIMEOUT:?} where it listens{}", self.name, self.last_words())
                }
                Err(RecvTimeoutError::Disconnected) => {
                    bail!("{} has ended before it listened{}", self.name, self.last_words())
                }
            }
        }
    }

    /// Waits until somebody listens there.
    pub(super) fn wait_for_port(&mut self, address: SocketAddr) -> anyhow::Result<()> {
        let deadline = Instant::now() + START_TIMEOUT;
        loop {
            if TcpStream::connect(address).is_ok() {
                return Ok(());
            }
            if let Some(status) = self.process.try_wait().context("a process does not say how it is")? {
                return Err(anyhow!("{} has ended ({status}) before it listened{}", self.name, self.last_words()));
            }
            if Instant::now() > deadline {
                bail!("{} does not listen on {address} within {START_TIMEOUT:?}{}", self.name, self.last_words());
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// What it wrote last, as the end of a message.
    pub(super) fn last_words(&self) -> String {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let lines: Vec<&str> = kept.iter().map(String::as_str).collect();
        if lines.is_empty() { String::new() } else { format!("; it said last:\n  {}", lines.join("\n  ")) }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // One that has ended by itself is as good.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Reads to the end, so that the process never waits for whom it writes to.
fn keep_lines(output: impl Read, sender: &Sender<String>, kept: &Mutex<VecDeque<String>>) {
    let mut reader = BufReader::new(output);
    let mut bytes = Vec::new();
    while matches!(reader.read_until(b'\n', &mut bytes), Ok(count) if count > 0) {
        let line = String::from_utf8_lossy(&bytes).trim_end().to_owned();
        bytes.clear();
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() == LINES_KEPT {
            kept.pop_front();
        }
        kept.push_back(line.clone());
        drop(kept);
        // Nobody waits for a line any more once the server has started.
        let _ = sender.send(line);
    }
}
