//! A client that plays against an example, and the example as a process.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};

use lobbyd_core::id::RoomNumber;
use lobbyd_core::packet::CommandReply;
use lobbyd_net::client::{ClientError, Event, Events, Handle, connect};
use tokio::net::TcpStream;

/// The room that every example has.
pub(crate) const GENERAL: RoomNumber = RoomNumber(1);

/// An example that runs. Killed when it is dropped.
pub(crate) struct Example {
    process: Child,
    said: BufReader<ChildStdout>,
    address: String,
}

impl Example {
    /// Starts the program on a free port, with more arguments, and waits until it listens.
    #[track_caller]
    pub(crate) fn start(program: &str, arguments: &[&str]) -> Self {
        let mut command = Command::new(program);
        command.arg("127.0.0.1:0").args(arguments).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut process = command.spawn().expect("the example can be started");
        let said = BufReader::new(process.stdout.take().expect("it is piped"));
        // From here on a failure ends the process, too.
        let mut example = Self { process, said, address: String::new() };
        let line = example.line();
        let address = line.trim_end().strip_prefix("listening on ");
        address.unwrap_or_else(|| panic!("it says where it listens, not {line:?}")).clone_into(&mut example.address);
        example
    }

    /// The next line that it writes.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.said.read_line(&mut line).expect("the example writes text");
        line
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Connects, and nothing more.
    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(&self.address).await.expect("the example listens")
    }

    /// Logs in, and enters the room.
    pub(crate) async fn player(&self, user: &str, secret: &str) -> Player {
        let stream = self.connect().await;
        let (handle, events, connection) = connect(stream, "player").await.expect("it speaks the protocol");
        tokio::spawn(connection.run());
        handle.login(user, secret.as_bytes()).await.expect("the account is there");
        handle.enter(GENERAL, None).await.expect("the room is there");
        Player { handle, events }
    }

    /// Alice and bob in the room.
    pub(crate) async fn players(&self) -> (Player, Player) {
        let mut alice = self.player("alice", "wonder").await;
        let bob = self.player("bob", "builder").await;
        while !matches!(alice.event().await, Event::RoomNewUser { .. }) {}
        (alice, bob)
    }

    /// The process itself.
    pub(crate) fn process(&mut self) -> &mut Child {
        &mut self.process
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        // One that has ended by itself cannot be killed, and need not be.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A client that is logged in.
pub(crate) struct Player {
    pub(crate) handle: Handle,
    events: Events,
}

impl Player {
    /// Sends a command and gives the reply.
    pub(crate) async fn command(&self, name: &str, parameters: &str) -> Result<CommandReply, ClientError> {
        self.handle.command(name, parameters.as_bytes(), 0).await
    }

    /// The data of a reply that says that it was done.
    #[track_caller]
    pub(crate) fn done(reply: Result<CommandReply, ClientError>) -> String {
        let reply = reply.expect("an extension answers");
        assert!(reply.success, "{reply:?}");
        String::from_utf8(reply.data.as_bytes().to_vec()).expect("the examples speak text")
    }

    /// The words of a reply that says that it was not done.
    #[track_caller]
    pub(crate) fn refused(reply: Result<CommandReply, ClientError>) -> String {
        let reply = reply.expect("an extension answers");
        assert!(!reply.success, "{reply:?}");
        reply.error_message.expect("it says why").as_str().to_owned()
    }

    /// The next thing that happens.
    pub(crate) async fn event(&mut self) -> Event {
        self.events.next().await.expect("the connection stays")
    }

    /// What an extension says next, with the talk of people left out.
    pub(crate) async fn told(&mut self) -> String {
        loop {
            if let Event::Custom { data, .. } = self.event().await {
                return String::from_utf8(data.as_bytes().to_vec()).expect("the examples speak text");
            }
        }
    }
}
