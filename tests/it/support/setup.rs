//! What a daemon is started with: a data folder that outlives it, its settings, its users.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

use super::daemon::Daemon;

/// The program.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_lobbyd-under-test");

/// The secret of every user that [`Setup::user`] makes.
pub(crate) fn secret_of(user: &str) -> String {
    format!("the secret of {user}")
}

/// Settings and a data folder, from which daemons are started one after the other.
pub(crate) struct Setup {
    folder: TempDir,
    pub(crate) data: PathBuf,
    pub(crate) listen: String,
    arguments: Vec<String>,
    /// The most files that the daemon may have open, if not as many as this process.
    files_max: Option<u32>,
}

impl Setup {
    /// The defaults of the daemon, with a cheap hash, no limit that a quick test would meet, and any free port.
    pub(crate) fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("lobbyd-test-").tempdir().expect("a temporary folder");
        let data = folder.path().join("data");
        let setup = Self { folder, data, listen: "127.0.0.1:0".to_owned(), arguments: Vec::new(), files_max: None };
        setup
            .set("accounts.argon2_memory", "128KiB")
            .set("accounts.argon2_iterations", "1")
            .set("limits.flood_per_second", "100000")
            .set("limits.flood_burst", "100000")
            .set("limits.connects_per_address_burst", "100000")
            .set("limits.sessions_per_address_max", "10000")
    }

    /// Sets any setting.
    pub(crate) fn set(mut self, key: &str, value: &str) -> Self {
        self.arguments.extend(["--set".to_owned(), format!("{key}={value}")]);
        self
    }

    /// Sets a setting that [`Setup::new`] has set already.
    pub(crate) fn replace(mut self, key: &str, value: &str) -> Self {
        let prefix = format!("{key}=");
        let place = self.arguments.iter().position(|argument| argument.starts_with(&prefix));
        self.arguments[place.expect("a setting that is set")] = format!("{prefix}{value}");
        self
    }

    /// Sets what only a file can: rooms.
    pub(crate) fn file(mut self, toml: &str) -> Self {
        let path = self.folder.path().join("lobbyd.toml");
        fs::write(&path, toml).expect("the temporary folder can be written");
        self.arguments.extend(["--config".to_owned(), path.display().to_string()]);
        self
    }

    /// Bounds the files that the daemon may have open.
    pub(crate) fn files_max(mut self, count: u32) -> Self {
        self.files_max = Some(count);
        self
    }

    /// Adds users, each with its own secret.
    #[track_caller]
    pub(crate) fn users(self, names: &[&str]) -> Self {
        for name in names {
            self.user(&["add", name], &secret_of(name));
        }
        self
    }

    /// Runs `lobbyd user …`, which has to succeed, with a line of input; returns what it printed.
    #[track_caller]
    pub(crate) fn user(&self, arguments: &[&str], input: &str) -> String {
        let output = self.try_user(arguments, input);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "`lobbyd user {arguments:?}` failed with {}: {said}", output.status);
        String::from_utf8(output.stdout).expect("the program prints UTF-8")
    }

    /// Runs `lobbyd user …`.
    #[track_caller]
    pub(crate) fn try_user(&self, arguments: &[&str], input: &str) -> Output {
        output_of(self.user_command(arguments), input)
    }

    /// The command `lobbyd user …`.
    pub(crate) fn user_command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command.arg("user").args(self.shared_arguments()).args(arguments).env_clear();
        command
    }

    /// Starts a daemon and waits until it listens.
    #[track_caller]
    pub(crate) fn start(&self) -> Daemon {
        Daemon::start(self.serve())
    }

    /// Runs a daemon that cannot begin to serve; returns how it ended and what it said.
    #[track_caller]
    pub(crate) fn start_in_vain(&self) -> Output {
        output_of(self.serve(), "")
    }

    /// The command that serves.
    pub(crate) fn serve(&self) -> Command {
        let mut command = match self.files_max {
            None => Command::new(PROGRAM),
            Some(count) => {
                let mut shell = Command::new("sh");
                // The limit holds from the daemon's first moment, and its process id is the shell's.
                shell.arg("-c").arg(format!("ulimit -n {count}; exec \"$0\" \"$@\"")).arg(PROGRAM);
                shell
            }
        };
        command.arg("serve").args(self.shared_arguments());
        command.args(["--listen", &self.listen, "--log-format", "json"]);
        command
    }

    /// A folder that goes with this.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn shared_arguments(&self) -> impl Iterator<Item = String> {
        let data = ["--data".to_owned(), self.data.display().to_string()];
        data.into_iter().chain(self.arguments.iter().cloned())
    }
}

/// Runs a program to its end with a line of input.
#[track_caller]
pub(crate) fn output_of(mut command: Command, input: &str) -> Output {
    command.env_clear().stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = command.spawn().expect("the program can be started");
    let mut stdin = process.stdin.take().expect("it is piped");
    // One that reads nothing may be gone already.
    let _ = writeln!(stdin, "{input}");
    drop(stdin);
    process.wait_with_output().expect("the program ends")
}
