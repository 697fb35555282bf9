//! What the golden vectors show: every packet, every number of every enum, both arms of every result, options present
//! and absent, integers where their encoding changes its length; and bytes that have to be refused.

use lobbyd_core::data::{Data, RawBytes};
use lobbyd_core::id::{RequestId, RoomNumber, UserId};
use lobbyd_core::input::WireFault;
use lobbyd_core::packet::{
    ClientPacket, CloseReason, Code, CommandReply, LeaveCause, List, RoomChange, RoomEntered, RoomPage, RoomSummary,
    Secret, ServerPacket, User,
};
use lobbyd_core::text::{RawText, Text};

use crate::variants;

/// The numbers at which the encoding of an integer changes its length.
const NUMBERS: [u32; 8] = [0, 1, 250, 251, 65_535, 65_536, 16_777_216, u32::MAX];
const LONG_NUMBERS: [u64; 4] = [u32::MAX as u64, 1 << 32, 1 << 53, u64::MAX];

/// The limit that the refused bytes are judged by.
pub(crate) const FRAME_BYTES_MAX: u32 = 16 * 1024;

/// What clients say, each with a name.
pub(crate) fn client_vectors() -> Vec<(String, ClientPacket<'static>)> {
    let request = RequestId(7);
    let room = RoomNumber(3);
    let mut vectors: Vec<(&str, ClientPacket<'static>)> = vec![
        ("hello", ClientPacket::Hello { version: 1, client: "example 1.0".into() }),
        ("hello of a client without a name", ClientPacket::Hello { version: 1, client: "".into() }),
        ("ping", ClientPacket::Ping { nonce: 42 }),
        ("pong", ClientPacket::Pong { nonce: 42 }),
        ("login", ClientPacket::LoginRequest { request, user: "Ada".into(), secret: Secret(b"correct horse") }),
        (
            "login with a secret that is no text",
            ClientPacket::LoginRequest { request, user: "ada".into(), secret: Secret(&[0, 255, 128]) },
        ),
        (
            "login with an empty secret (always wrong)",
            ClientPacket::LoginRequest { request, user: "ada".into(), secret: Secret(b"") },
        ),
        ("logout", ClientPacket::LogoutRequest { request }),
        ("first page of the room list", ClientPacket::RoomListRequest { request, from: RoomNumber(0), limit: 100 }),
        (
            "create a room",
            ClientPacket::RoomCreateRequest { request, title: "Tea".into(), capacity: 8, password: None },
        ),
        (
            "create a protected room with a title in Korean",
            ClientPacket::RoomCreateRequest {
                request,
                title: "찻집".into(),
                capacity: 8,
                password: Some(Secret(b"earl grey")),
            },
        ),
        ("enter a room", ClientPacket::RoomEnterRequest { request, room, password: None }),
        (
            "enter a protected room",
            ClientPacket::RoomEnterRequest { request, room, password: Some(Secret(b"earl grey")) },
        ),
        (
            "enter a room with an empty password, which is not the same as none",
            ClientPacket::RoomEnterRequest { request, room, password: Some(Secret(b"")) },
        ),
        ("leave a room", ClientPacket::RoomLeaveRequest { request, room }),
        ("chat", ClientPacket::RoomChatRequest { request, room, text: "hi".into() }),
        (
            "chat beyond ASCII",
            ClientPacket::RoomChatRequest { request, room, text: "caf\u{e9} \u{2615} \u{1f375}".into() },
        ),
        ("chat of two lines", ClientPacket::RoomChatRequest { request, room, text: "one\ntwo".into() }),
        (
            "chat without text (can be read; answered with TextEmpty)",
            ClientPacket::RoomChatRequest { request, room, text: "".into() },
        ),
        (
            "chat that is not UTF-8 (can be read; answered with TextInvalid)",
            ClientPacket::RoomChatRequest { request, room, text: RawText(&[0xff, 0xfe]) },
        ),
        (
            "direct message",
            ClientPacket::DirectMessageRequest { request, user: "grace".into(), text: "hello you".into() },
        ),
        ("kick", ClientPacket::KickRequest { request, room, user: UserId(12), ban: false }),
        ("kick and ban", ClientPacket::KickRequest { request, room, user: UserId(12), ban: true }),
        (
            "command",
            ClientPacket::CustomCommand {
                request,
                command_type: "dice.roll".into(),
                parameters: "2d6".into(),
                timestamp: 1_700_000_000_000,
            },
        ),
        (
            "command without parameters, by a client without a clock",
            ClientPacket::CustomCommand { request, command_type: "ready".into(), parameters: "".into(), timestamp: 0 },
        ),
        (
            "command with parameters that are no text, and a name that is none (can be read; answered with CommandUnknown)",
            ClientPacket::CustomCommand {
                request,
                command_type: "Dice!".into(),
                parameters: RawBytes(&[0, 255, 128]),
                timestamp: 0,
            },
        ),
    ];
    for length in [250, 251, 2_000] {
        let text = RawText("a".repeat(length).leak().as_bytes());
        vectors.push(("long chat", ClientPacket::RoomChatRequest { request, room, text }));
    }
    let mut vectors = named(vectors);
    for number in NUMBERS {
        let room = RoomNumber(number);
        let packet = ClientPacket::RoomLeaveRequest { request: RequestId(number), room };
        vectors.push((format!("u32 {number}"), packet));
    }
    for number in NUMBERS.map(u64::from).into_iter().chain(LONG_NUMBERS) {
        vectors.push((format!("u64 {number}"), ClientPacket::Ping { nonce: number }));
    }
    vectors
}

/// What servers say, each with a name.
pub(crate) fn server_vectors() -> Vec<(String, ServerPacket)> {
    let vectors = [session_vectors(), response_vectors(), room_vectors(), other_vectors()];
    let mut vectors = named(vectors.into_iter().flatten().collect());
    let request = RequestId(7);
    for reason in variants::all::<CloseReason>() {
        vectors.push((format!("closing: {reason:?}"), ServerPacket::Closing { reason }));
    }
    for code in variants::all::<Code>() {
        vectors.push((format!("login refused: {code:?}"), ServerPacket::LoginResponse { request, result: Err(code) }));
    }
    for cause in variants::all::<LeaveCause>() {
        let (room, sequence, user, owner) = (RoomNumber(3), 18, UserId(12), Some(UserId(11)));
        let packet = ServerPacket::RoomLeaveUserNotify { room, sequence, user, cause, owner };
        vectors.push((format!("somebody left: {cause:?}"), packet));
    }
    for number in NUMBERS {
        vectors.push((format!("u32 {number}"), ServerPacket::GoAway { after_ms: number }));
    }
    for number in NUMBERS.map(u64::from).into_iter().chain(LONG_NUMBERS) {
        vectors.push((format!("u64 {number}"), ServerPacket::Pong { nonce: number }));
    }
    vectors
}

fn session_vectors() -> Vec<(&'static str, ServerPacket)> {
    let welcome = ServerPacket::Welcome {
        version_min: 1,
        version_max: 1,
        server: Text::new("lobbyd"),
        heartbeat_interval_ms: 20_000,
        frame_bytes_max: 16_384,
        text_bytes_max: 2_000,
    };
    vec![("welcome", welcome), ("ping", ServerPacket::Ping { nonce: 42 }), ("pong", ServerPacket::Pong { nonce: 42 })]
}

fn response_vectors() -> Vec<(&'static str, ServerPacket)> {
    let request = RequestId(7);
    let room = RoomNumber(3);
    let entered = RoomEntered { room, epoch: 5, sequence: 17 };
    let change = RoomChange { room, sequence: 18 };
    let tea = RoomSummary { room, title: Text::new("Tea"), members: 2, capacity: 8, protected: false };
    let coffee = RoomSummary {
        room: RoomNumber(300),
        title: Text::new("카페 ☕"),
        members: 0,
        capacity: 70_000,
        protected: true,
    };
    let last_page = RoomPage { rooms: List(vec![tea.clone()]), next: None };
    let page = RoomPage { rooms: List(vec![tea, coffee]), next: Some(RoomNumber(301)) };
    let no_rooms = RoomPage { rooms: List(Vec::new()), next: None };
    let command = |result: Result<CommandReply, Code>| {
        let (command_type, result) = (Some("dice.roll".parse().unwrap()), result.map(Box::new));
        ServerPacket::CustomResponse { request, command_type, result }
    };
    let nameless = User { id: UserId(11), name: "ada".parse().unwrap(), nickname: None };
    vec![
        ("logged in", ServerPacket::LoginResponse { request, result: Ok(nameless) }),
        ("logged in, with a nickname", ServerPacket::LoginResponse { request, result: Ok(ada()) }),
        ("logged out", ServerPacket::LogoutResponse { request, result: Ok(()) }),
        ("logout refused", ServerPacket::LogoutResponse { request, result: Err(Code::NotLoggedIn) }),
        ("the only page of the room list", ServerPacket::RoomListResponse { request, result: Ok(last_page) }),
        ("a page of the room list", ServerPacket::RoomListResponse { request, result: Ok(page) }),
        ("an empty room list", ServerPacket::RoomListResponse { request, result: Ok(no_rooms) }),
        ("room list refused", ServerPacket::RoomListResponse { request, result: Err(Code::NotLoggedIn) }),
        ("room created", ServerPacket::RoomCreateResponse { request, result: Ok(entered) }),
        ("creation refused", ServerPacket::RoomCreateResponse { request, result: Err(Code::RoomLimit) }),
        ("entered", ServerPacket::RoomEnterResponse { request, result: Ok(entered) }),
        ("entry refused", ServerPacket::RoomEnterResponse { request, result: Err(Code::RoomFull) }),
        ("left", ServerPacket::RoomLeaveResponse { request, result: Ok(change) }),
        ("leaving refused", ServerPacket::RoomLeaveResponse { request, result: Err(Code::NotInRoom) }),
        ("chat delivered", ServerPacket::RoomChatResponse { request, result: Ok(change) }),
        ("chat refused", ServerPacket::RoomChatResponse { request, result: Err(Code::TextTooLong) }),
        ("direct message delivered", ServerPacket::DirectMessageResponse { request, result: Ok(()) }),
        ("direct message refused", ServerPacket::DirectMessageResponse { request, result: Err(Code::UserUnknown) }),
        ("kicked", ServerPacket::KickResponse { request, result: Ok(change) }),
        ("kick refused", ServerPacket::KickResponse { request, result: Err(Code::NotAllowed) }),
        ("command done", command(Ok(CommandReply { success: true, data: "3 4".into(), error_message: None }))),
        (
            "command done, with data that is no text",
            command(Ok(CommandReply { success: true, data: Data::new(&[0, 255, 128]), error_message: None })),
        ),
        (
            "command that the extension does not carry out",
            command(Ok(CommandReply {
                success: false,
                data: Data::default(),
                error_message: Some(Text::new("no such die")),
            })),
        ),
        ("command refused", command(Err(Code::ExtensionFailed))),
        (
            "command refused whose name is none",
            ServerPacket::CustomResponse { request, command_type: None, result: Err(Code::CommandUnknown) },
        ),
    ]
}

fn room_vectors() -> Vec<(&'static str, ServerPacket)> {
    let room = RoomNumber(3);
    let grace = User { id: UserId(12), name: "grace".parse().unwrap(), nickname: None };
    let list = |users, owner, last| ServerPacket::RoomUserListNotify {
        room,
        epoch: 5,
        sequence: 17,
        owner,
        users: List(users),
        last,
    };
    let many = (0..251).map(|id| User { id: UserId(id), name: "a".parse().unwrap(), nickname: None }).collect();
    let chat = |text| ServerPacket::RoomChatNotify {
        room,
        sequence: 18,
        user: UserId(12),
        name: "grace".parse().unwrap(),
        text: Text::new(text),
    };
    let nobody_owns = ServerPacket::RoomLeaveUserNotify {
        room,
        sequence: 18,
        user: UserId(12),
        cause: LeaveCause::Left,
        owner: None,
    };
    let kicked = |by, banned| ServerPacket::Kicked { room, sequence: 18, by, banned };
    vec![
        ("somebody entered", ServerPacket::RoomNewUserNotify { room, sequence: 17, user: ada() }),
        ("somebody left a room that nobody owns", nobody_owns),
        ("members of a room", list(vec![grace.clone(), ada()], Some(UserId(12)), true)),
        ("first part of the members of a room", list(vec![grace], Some(UserId(12)), false)),
        ("last part of the members of a room", list(vec![ada()], Some(UserId(12)), true)),
        ("members of a room that nobody owns", list(vec![ada()], None, true)),
        ("251 members", list(many, None, true)),
        ("somebody said something", chat("hi")),
        ("somebody said something beyond ASCII", chat("caf\u{e9} \u{2615} \u{1f375}")),
        ("kicked by a member", kicked(Some(UserId(11)), false)),
        ("kicked by the operator, with a ban", kicked(None, true)),
    ]
}

fn other_vectors() -> Vec<(&'static str, ServerPacket)> {
    let direct = ServerPacket::DirectMessageNotify {
        user: UserId(11),
        name: "ada".parse().unwrap(),
        text: Text::new("hello you"),
    };
    let custom = |data| ServerPacket::CustomNotify { command_type: "dice".parse().unwrap(), data };
    let notice = |room| ServerPacket::NoticeNotify { room, text: Text::new("mind your words") };
    let announce = |text: &str| ServerPacket::AnnounceNotify { text: Text::new(text) };
    let mut vectors = vec![
        ("direct message", direct),
        ("announcement", announce("maintenance at noon")),
        ("announcement without text", announce("")),
        ("something an extension says", custom("round 2".into())),
        ("something an extension says that is no text", custom(Data::new(&[0, 255, 128]))),
        ("the operator says something to a user", notice(None)),
        ("the operator says something to a room", notice(Some(RoomNumber(3)))),
    ];
    for length in [250, 251, 2_000] {
        vectors.push(("long announcement", announce(&"a".repeat(length))));
    }
    vectors
}

fn ada() -> User {
    User { id: UserId(11), name: "ada".parse().unwrap(), nickname: Some(Text::new("아다 ✨")) }
}

/// Who says the refused bytes.
#[derive(Clone, Copy)]
pub(crate) enum From {
    Client,
    Server,
}

/// Bytes that have to be refused.
pub(crate) struct Refused {
    pub(crate) name: &'static str,
    pub(crate) from: From,
    pub(crate) bytes: Vec<u8>,
    pub(crate) fault: WireFault,
}

/// What nobody may say.
pub(crate) fn refused_vectors() -> Vec<Refused> {
    use WireFault::{FrameEmpty, FrameTooLong, PacketMalformed, PacketUnknown};
    let stream = |name, from, bytes: &[u8], fault| Refused { name, from, bytes: bytes.to_vec(), fault };
    let packet = |name, from, payload: &[u8], fault| {
        let length = u32::try_from(payload.len()).unwrap();
        Refused { name, from, bytes: [&length.to_le_bytes(), payload].concat(), fault }
    };
    let announced = |number: u8, length: u64| [&[number, 7, 3, 253][..], &length.to_le_bytes()].concat();
    let (client, server) = (From::Client, From::Server);
    vec![
        stream("a frame without payload", client, &[0, 0, 0, 0], FrameEmpty),
        stream("a frame of 2^32-1 bytes, judged by its length alone", client, &[255, 255, 255, 255], FrameTooLong),
        stream("a frame one byte over the limit", client, &(FRAME_BYTES_MAX + 1).to_le_bytes(), FrameTooLong),
        packet("the first packet number that a client does not have", client, &[13], PacketUnknown),
        packet("packet number 250", client, &[250, 1, 2, 3], PacketUnknown),
        packet("packet number 251", client, &[251, 251, 0], PacketUnknown),
        packet("packet number 2^32-1", client, &[252, 255, 255, 255, 255], PacketUnknown),
        packet("a packet number of 64 bits", client, &[253, 0, 0, 0, 0, 1, 0, 0, 0], PacketMalformed),
        packet("a packet number that breaks off", client, &[251, 9], PacketMalformed),
        packet("packet number 200 in three bytes instead of one", client, &[251, 200, 0], PacketMalformed),
        packet("ping, its number in three bytes instead of one", client, &[251, 1, 0, 42], PacketMalformed),
        packet("a trailing byte", client, &[1, 42, 0], PacketMalformed),
        packet("two packets in one frame", client, &[1, 42, 1, 42], PacketMalformed),
        packet("a field is missing", client, &[1], PacketMalformed),
        packet("a nonce of 250 in three bytes", client, &[1, 251, 250, 0], PacketMalformed),
        packet("a nonce of 65535 in five bytes", client, &[1, 252, 255, 255, 0, 0], PacketMalformed),
        packet("a nonce of 2^32-1 in nine bytes", client, &[1, 253, 255, 255, 255, 255, 0, 0, 0, 0], PacketMalformed),
        packet("an integer that begins with 254", client, &[1, 254, 1, 0, 0, 0], PacketMalformed),
        packet("an integer that begins with 255", client, &[1, 255], PacketMalformed),
        packet("an integer that breaks off", client, &[1, 252, 1, 2, 3], PacketMalformed),
        packet("a u32 of 2^32", client, &[4, 253, 0, 0, 0, 0, 1, 0, 0, 0], PacketMalformed),
        packet("a bool of 2", client, &[11, 7, 3, 12, 2], PacketMalformed),
        packet("a command without a timestamp", client, &[12, 7, 1, 97, 0], PacketMalformed),
        packet("an option tag of 2", client, &[7, 7, 3, 2], PacketMalformed),
        packet("an option that is present but not there", client, &[7, 7, 3, 1], PacketMalformed),
        packet("an absent option with a value", client, &[7, 7, 3, 0, 1, 97], PacketMalformed),
        packet("a text shorter than announced", client, &[9, 7, 3, 3, 104, 105], PacketMalformed),
        packet("a text of 2^40 bytes, of which none come", client, &announced(9, 1 << 40), PacketMalformed),
        packet("a text of 2^64-1 bytes, of which none come", client, &announced(9, u64::MAX), PacketMalformed),
        packet("a text length of 2 in three bytes", client, &[9, 7, 3, 251, 2, 0, 104, 105], PacketMalformed),
        packet("the first packet number that a server does not have", server, &[24], PacketUnknown),
        packet("a text that is not UTF-8", server, &[20, 2, 0xff, 0xfe], PacketMalformed),
        packet("a result tag of 2", server, &[6, 7, 2], PacketMalformed),
        packet("an unknown code", server, &[6, 7, 1, 250], PacketMalformed),
        packet("an unknown reason", server, &[4, 250], PacketMalformed),
        packet("a user name in upper case", server, &[5, 7, 0, 11, 3, 65, 100, 97, 0], PacketMalformed),
        packet("a command name in upper case", server, &[22, 1, 65, 0], PacketMalformed),
        packet("data shorter than announced", server, &[22, 1, 97, 2, 0], PacketMalformed),
        packet("a user name that is empty", server, &[5, 7, 0, 11, 0, 0], PacketMalformed),
        packet("a list shorter than announced", server, &[7, 7, 0, 2, 3, 0, 0, 1, 0], PacketMalformed),
        packet(
            "a list of 2^63 elements, of which none come",
            server,
            &[7, 7, 0, 253, 0, 0, 0, 0, 0, 0, 0, 128],
            PacketMalformed,
        ),
    ]
}

fn named<P>(vectors: Vec<(&str, P)>) -> Vec<(String, P)> {
    vectors.into_iter().map(|(name, packet)| (name.to_owned(), packet)).collect()
}
