//! A daemon in a process of its own.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::PATIENCE;
use super::log::{Log, says};
use super::wire::Wire;

/// A signal that a test sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    Terminate,
    Interrupt,
    Stop,
    Continue,
}

impl Signal {
    fn name(self) -> &'static str {
        match self {
            Self::Terminate => "TERM",
            Self::Interrupt => "INT",
            Self::Stop => "STOP",
            Self::Continue => "CONT",
        }
    }
}

/// Sends a signal to a process, which must be there.
#[track_caller]
pub(crate) fn send_signal(process: u32, signal: Signal) {
    // The shell's own `kill`: the program of that name is not everywhere.
    let status = Command::new("sh").arg("-c").arg(format!("kill -{} {process}", signal.name())).status();
    assert!(status.expect("sh can be started").success(), "process {process} cannot be sent {signal:?}");
}

/// A running daemon. Killed when it is dropped; its log is shown when the test fails.
pub(crate) struct Daemon {
    process: Child,
    pub(crate) address: SocketAddr,
    pub(crate) log: Log,
}

impl Daemon {
    /// Starts it and waits until it listens.
    #[track_caller]
    pub(crate) fn start(command: Command) -> Self {
        Self::start_in(command, &[])
    }

    /// The same, with these environment variables and no others.
    #[track_caller]
    pub(crate) fn start_in(mut command: Command, environment: &[(&str, &str)]) -> Self {
        command.env_clear().envs(environment.iter().copied());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut process = command.spawn().expect("the daemon can be started");
        let log = Log::read(process.stderr.take().expect("it is piped"));
        // From here on a failure ends the process, too.
        let mut daemon = Self { process, address: SocketAddr::from(([0, 0, 0, 0], 0)), log };
        let line = daemon.log.wait_for("address", |line| says(line, "listening"));
        let address = line["address"].as_str().and_then(|address| address.parse().ok());
        daemon.address = address.expect("the daemon says where it listens");
        daemon
    }

    /// Connects, and is welcomed.
    #[track_caller]
    pub(crate) fn connect(&self, name: &str) -> Wire {
        let mut wire = Wire::connect(name, self.address);
        wire.expect_welcome();
        wire
    }

    /// Connects and says hello.
    #[track_caller]
    pub(crate) fn greet(&self, name: &str) -> Wire {
        let mut wire = self.connect(name);
        wire.hello();
        wire
    }

    /// Connects and logs in a user that `Setup::users` has made.
    #[track_caller]
    pub(crate) fn log_in(&self, name: &str) -> Wire {
        let mut wire = self.greet(name);
        wire.log_in();
        wire
    }

    pub(crate) fn process_id(&self) -> u32 {
        self.process.id()
    }

    #[track_caller]
    pub(crate) fn signal(&self, signal: Signal) {
        send_signal(self.process.id(), signal);
    }

    /// `kill -9`, and waits until it is gone.
    pub(crate) fn kill(mut self) {
        self.process.kill().expect("the daemon can be killed");
        self.process.wait().expect("a killed process ends");
    }

    /// Waits until it has ended by itself.
    #[track_caller]
    pub(crate) fn wait_for_exit(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.process.try_wait().expect("the daemon is a child of this process") {
                return status;
            }
            assert!(Instant::now() < deadline, "the daemon still runs after {PATIENCE:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until so many of its sessions have ended, for any reason.
    #[track_caller]
    pub(crate) fn wait_for_ended_sessions(&self, count: usize) {
        let mut ended = 0;
        self.log.wait_for(&format!("end of {count} sessions"), |line| {
            ended += usize::from(says(line, "session ended"));
            ended >= count
        });
    }

    /// What its threads are called.
    pub(crate) fn thread_names(&self) -> Vec<String> {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.process.id())).expect("the process is there");
        let name = |task: io::Result<fs::DirEntry>| fs::read_to_string(task.ok()?.path().join("comm")).ok();
        tasks.filter_map(name).map(|name| name.trim_end().to_owned()).collect()
    }

    /// How many of its files are open.
    pub(crate) fn open_files(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.process.id())).expect("the daemon runs").count()
    }

    /// How much time the processor has spent on it.
    pub(crate) fn processor_time(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.process.id())).expect("the daemon runs");
        // proc(5): fields 14 and 15, in ticks of 10 ms; the second field, in brackets, may hold anything.
        let fields = stat.rsplit(')').next().expect("there is always a rest");
        let ticks = fields.split_whitespace().skip(11).take(2).map(|ticks| ticks.parse::<u64>().expect("a number"));
        Duration::from_millis(ticks.sum::<u64>() * 10)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
        if std::thread::panicking() {
            eprintln!("--- the log of the daemon at {}\n{}\n---", self.address, self.log.text());
        }
    }
}
