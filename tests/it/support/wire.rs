//! A client that knows the wire and nothing more: what a test says goes out as it is, and what comes in is compared
//! packet by packet.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use lobbyd_core::id::RoomNumber;
use lobbyd_core::packet::{ClientPacket, CloseReason, Code, PROTOCOL_VERSION, RoomEntered, ServerPacket, User};
use lobbyd_net::codec::{decode_server, encode_client};
use lobbyd_net::frame::next_frame;

use super::say;
use super::setup::secret_of;
use super::{PATIENCE, wait_until};

/// The most bytes in a frame that a test's server sends.
const FRAME_BYTES_MAX: u32 = 1024 * 1024;

/// A connection, and who has logged in on it.
pub(crate) struct Wire {
    /// Who it is, in messages, and as whom it logs in.
    pub(crate) name: String,
    pub(crate) stream: TcpStream,
    inbox: Vec<u8>,
    /// Whether the server's pings are answered and kept from the test, as a real client would.
    pub(crate) answers_pings: bool,
    user: Option<User>,
    last_nonce: u64,
}

/// What comes in next.
#[derive(Debug, PartialEq)]
enum Received {
    Packet(ServerPacket),
    /// The server has ended its writing half.
    End,
    /// The connection is broken.
    Broken(ErrorKind),
    /// Nothing, in the time given.
    Nothing,
}

impl Wire {
    /// Connects; what the server says first has yet to be read.
    #[track_caller]
    pub(crate) fn connect(name: &str, address: SocketAddr) -> Self {
        let stream = TcpStream::connect_timeout(&address, PATIENCE).expect("the daemon accepts connections");
        stream.set_nodelay(true).expect("a fresh socket has options");
        stream.set_write_timeout(Some(PATIENCE)).expect("a fresh socket has options");
        let name = name.to_owned();
        Self { name, stream, inbox: Vec::new(), answers_pings: false, user: None, last_nonce: 0 }
    }

    #[track_caller]
    pub(crate) fn expect_welcome(&mut self) {
        let packet = self.receive();
        assert!(matches!(packet, ServerPacket::Welcome { .. }), "{} is not welcomed: {packet:?}", self.name);
    }

    pub(crate) fn hello(&mut self) {
        self.say(ClientPacket::Hello { version: PROTOCOL_VERSION, client: "a test".into() });
    }

    /// Logs in under its own name with the secret of that user.
    #[track_caller]
    pub(crate) fn log_in(&mut self) -> User {
        let (name, secret) = (self.name.clone(), secret_of(&self.name));
        self.say(say::login(1, &name, &secret));
        self.expect_login(1)
    }

    /// Logs out, and stays connected.
    #[track_caller]
    pub(crate) fn log_out(&mut self) {
        self.say(say::logout(3));
        self.expect(say::logged_out(3));
        self.user = None;
    }

    /// Expects a login to be accepted.
    #[track_caller]
    pub(crate) fn expect_login(&mut self, request: u32) -> User {
        match self.receive() {
            ServerPacket::LoginResponse { request: answered, result: Ok(user) } if answered.0 == request => {
                self.user = Some(user.clone());
                user
            }
            other => panic!("{} is not logged in: {other:?}", self.name),
        }
    }

    /// Who has logged in here.
    #[track_caller]
    pub(crate) fn user(&self) -> User {
        self.user.clone().expect("logged in")
    }

    /// Enters a room: the list of members, then the answer, and both name the same change.
    #[track_caller]
    pub(crate) fn enter(&mut self, room: u32) -> (RoomEntered, Vec<User>) {
        self.say(say::enter(2, room));
        let mut users = Vec::new();
        let entered = loop {
            match self.receive() {
                ServerPacket::RoomUserListNotify { room, epoch, sequence, users: part, last, .. } => {
                    users.extend(part.0);
                    if last {
                        break RoomEntered { room, epoch, sequence };
                    }
                }
                other => panic!("{} is not told who is in the room: {other:?}", self.name),
            }
        };
        assert_eq!(entered.room, RoomNumber(room));
        self.expect(say::entered(2, entered));
        (entered, users)
    }

    /// Sends a packet.
    pub(crate) fn say(&mut self, packet: ClientPacket<'_>) {
        self.say_all(&[packet]);
    }

    /// Sends packets in one piece.
    pub(crate) fn say_all(&mut self, packets: &[ClientPacket<'_>]) {
        let mut bytes = Vec::new();
        for packet in packets {
            encode_client(packet, &mut bytes);
        }
        self.send(&bytes);
    }

    /// Sends bytes.
    #[track_caller]
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        if let Err(error) = self.stream.write_all(bytes) {
            panic!("{} cannot send: {error}", self.name);
        }
    }

    /// The next packet.
    #[track_caller]
    pub(crate) fn receive(&mut self) -> ServerPacket {
        match self.next(PATIENCE) {
            Received::Packet(packet) => packet,
            other => panic!("{} expects a packet: {other:?}", self.name),
        }
    }

    /// The next packet, if it comes in this time.
    #[track_caller]
    pub(crate) fn receive_within(&mut self, time: Duration) -> Option<ServerPacket> {
        match self.next(time) {
            Received::Packet(packet) => Some(packet),
            Received::Nothing => None,
            other => panic!("{} expects a packet: {other:?}", self.name),
        }
    }

    /// The next packet is this one.
    #[track_caller]
    pub(crate) fn expect(&mut self, packet: ServerPacket) {
        let received = self.next(PATIENCE);
        assert_eq!(received, Received::Packet(packet), "what {} receives (left) and expects (right)", self.name);
    }

    /// Nothing was sent to this client since it last looked, and everything it sent has been dealt with: the answer to
    /// a ping is the very next packet. (One who is not logged in may ask that, too.)
    #[track_caller]
    pub(crate) fn expect_nothing(&mut self) {
        self.last_nonce += 1;
        let nonce = self.last_nonce;
        self.say(ClientPacket::Ping { nonce });
        self.expect(ServerPacket::Pong { nonce });
    }

    /// The server says why it closes the connection, and then ends it in an orderly way.
    #[track_caller]
    pub(crate) fn expect_closing(&mut self, reason: CloseReason) {
        self.expect(ServerPacket::Closing { reason });
        self.expect_end();
    }

    /// The server ends the connection in an orderly way.
    #[track_caller]
    pub(crate) fn expect_end(&mut self) {
        assert_eq!(self.next(PATIENCE), Received::End, "what {} receives (left) and expects (right)", self.name);
    }

    /// The connection ends, in whatever way: the daemon is gone.
    #[track_caller]
    pub(crate) fn expect_loss(&mut self) {
        loop {
            match self.next(PATIENCE) {
                Received::Packet(_) => {}
                Received::End | Received::Broken(_) => return,
                Received::Nothing => panic!("the connection of {} does not end", self.name),
            }
        }
    }

    /// Ends the writing half.
    pub(crate) fn finish_writing(&mut self) {
        self.stream.shutdown(Shutdown::Write).expect("the connection is open");
    }

    #[track_caller]
    fn next(&mut self, time: Duration) -> Received {
        let deadline = Instant::now() + time;
        loop {
            let frame = next_frame(&self.inbox, FRAME_BYTES_MAX);
            if let Some(frame) = frame.expect("the server sends frames of an allowed length") {
                let packet = decode_server(frame.payload).expect("the server sends packets that can be read");
                let consumed = frame.consumed;
                self.inbox.drain(..consumed);
                match packet {
                    ServerPacket::Ping { nonce } if self.answers_pings => self.say(ClientPacket::Pong { nonce }),
                    packet => return Received::Packet(packet),
                }
                continue;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Received::Nothing;
            }
            self.stream.set_read_timeout(Some(left)).expect("a time that is not zero");
            let mut buffer = [0; 64 * 1024];
            match self.stream.read(&mut buffer) {
                Ok(0) => return Received::End,
                Ok(count) => self.inbox.extend_from_slice(&buffer[..count]),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    return Received::Nothing;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Received::Broken(error.kind()),
            }
        }
    }
}

/// Logs in as soon as the user may: for when nobody tells when that is. Every refusal until then is one of these.
#[track_caller]
pub(crate) fn log_in_when_possible(wire: &mut Wire, refusals: &[Code]) -> User {
    let (name, secret) = (wire.name.clone(), secret_of(&wire.name));
    let mut user = None;
    wait_until(&format!("{name} can log in"), || {
        wire.say(say::login(1, &name, &secret));
        match wire.receive() {
            ServerPacket::LoginResponse { result: Ok(accepted), .. } => user = Some(accepted),
            ServerPacket::LoginResponse { result: Err(code), .. } if refusals.contains(&code) => {}
            other => panic!("{name} expects to be let in or to be refused by {refusals:?}: {other:?}"),
        }
        user.is_some()
    });
    wire.user.clone_from(&user);
    user.expect("waited for")
}
