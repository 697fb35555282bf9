//! A server that does what a test says, and the client connected to it.

use lobbyd_core::id::{RequestId, RoomNumber, UserId};
use lobbyd_core::packet::{ClientPacket, List, RoomChange, RoomEntered, ServerPacket, User};
use lobbyd_core::text::Text;
use lobbyd_net::client::{ClientError, Entered, Event, Events, Handle, connect};
use lobbyd_net::codec::{decode_client, encode_server};
use lobbyd_net::frame::next_frame;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::task::JoinHandle;

pub(crate) const FRAME_BYTES_MAX: u32 = 4096;
pub(crate) const ROOM: RoomNumber = RoomNumber(3);

/// The server's end of the stream, in the hand of a test.
pub(crate) struct Server {
    pub(crate) stream: DuplexStream,
    inbox: Vec<u8>,
}

impl Server {
    /// A server and the stream to it, which holds so few bytes that packets always come in pieces.
    pub(crate) fn new() -> (Self, DuplexStream) {
        Self::with_buffer(7)
    }

    pub(crate) fn with_buffer(bytes: usize) -> (Self, DuplexStream) {
        let (stream, client) = duplex(bytes);
        (Self { stream, inbox: Vec::new() }, client)
    }

    pub(crate) async fn send(&mut self, packet: ServerPacket) {
        let mut frame = Vec::new();
        encode_server(&packet, &mut frame);
        self.stream.write_all(&frame).await.unwrap();
    }

    /// The next packet must be this one.
    pub(crate) async fn expect(&mut self, expected: ClientPacket<'_>) {
        loop {
            if let Some(frame) = next_frame(&self.inbox, FRAME_BYTES_MAX).unwrap() {
                assert_eq!(decode_client(frame.payload), Ok(expected));
                let consumed = frame.consumed;
                self.inbox.drain(..consumed);
                return;
            }
            assert_ne!(self.stream.read_buf(&mut self.inbox).await.unwrap(), 0, "no {expected:?} came before the end");
        }
    }

    /// Nothing more comes than what has been expected.
    pub(crate) async fn expect_end(&mut self) {
        self.stream.read_to_end(&mut self.inbox).await.unwrap();
        assert_eq!(self.inbox, []);
    }
}

pub(crate) fn welcome() -> ServerPacket {
    ServerPacket::Welcome {
        version_min: 1,
        version_max: 3,
        server: Text::new("script"),
        heartbeat_interval_ms: 20_000,
        frame_bytes_max: FRAME_BYTES_MAX,
        text_bytes_max: 2000,
    }
}

pub(crate) struct Client {
    pub(crate) handle: Handle,
    pub(crate) events: Events,
    pub(crate) running: JoinHandle<Result<(), ClientError>>,
}

/// A server and a client that have greeted each other.
pub(crate) async fn greeted() -> (Server, Client) {
    greeted_over(Server::new()).await
}

pub(crate) async fn greeted_over((mut server, stream): (Server, DuplexStream)) -> (Server, Client) {
    let greeting = async {
        server.send(welcome()).await;
        server.expect(ClientPacket::Hello { version: 1, client: "test 1".into() }).await;
    };
    let ((), connected) = tokio::join!(greeting, connect(stream, "test 1"));
    let (handle, events, connection) = connected.unwrap();
    (server, Client { handle, events, running: tokio::spawn(connection.run()) })
}

/// A server and a client that has entered a room as change 10; its requests count on from 2.
pub(crate) async fn in_room() -> (Server, Client) {
    let (mut server, client) = greeted().await;
    let script = async {
        server.expect(ClientPacket::RoomEnterRequest { request: RequestId(1), room: ROOM, password: None }).await;
        server.send(list(vec![user(8, "grace"), user(9, "ada")], true)).await;
        server.send(entered(1)).await;
    };
    let ((), result) = tokio::join!(script, client.handle.enter(ROOM, None));
    let users = vec![user(8, "grace"), user(9, "ada")];
    assert_eq!(result.unwrap(), Entered { room: ROOM, epoch: 5, sequence: 10, owner: Some(UserId(8)), users });
    (server, client)
}

pub(crate) fn user(id: u64, name: &str) -> User {
    User { id: UserId(id), name: name.parse().unwrap(), nickname: None }
}

pub(crate) fn list(users: Vec<User>, last: bool) -> ServerPacket {
    let owner = Some(UserId(8));
    ServerPacket::RoomUserListNotify { room: ROOM, epoch: 5, sequence: 10, owner, users: List(users), last }
}

pub(crate) fn entered(request: u32) -> ServerPacket {
    let result = Ok(RoomEntered { room: ROOM, epoch: 5, sequence: 10 });
    ServerPacket::RoomEnterResponse { request: RequestId(request), result }
}

pub(crate) fn chat_notify(sequence: u64) -> ServerPacket {
    let (user, name) = (UserId(8), "grace".parse().unwrap());
    ServerPacket::RoomChatNotify { room: ROOM, sequence, user, name, text: Text::new("hi") }
}

pub(crate) fn chat_event(sequence: u64) -> Event {
    let (user, name) = (UserId(8), "grace".parse().unwrap());
    Event::RoomChat { room: ROOM, sequence, user, name, text: Text::new("hi") }
}

pub(crate) fn chat_request(request: u32, text: &str) -> ClientPacket<'_> {
    ClientPacket::RoomChatRequest { request: RequestId(request), room: ROOM, text: text.into() }
}

pub(crate) fn chat_response(request: u32, sequence: u64) -> ServerPacket {
    let result = Ok(RoomChange { room: ROOM, sequence });
    ServerPacket::RoomChatResponse { request: RequestId(request), result }
}
