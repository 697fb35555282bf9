//! What no client should send. Each gets a clear answer, and those who talk beside it do not notice.

use lobbyd_core::packet::{ClientPacket, CloseReason, Code, PROTOCOL_VERSION, ServerPacket};
use lobbyd_net::codec::encode_client;

use crate::support::{Daemon, Pair, Setup, Wire, say, secret_of};

const GENERAL: u32 = 1;
/// The default of `limits.frame_bytes_max`.
const FRAME_BYTES_MAX: u32 = 16 * 1024;
/// The default of `limits.text_bytes_max`.
const TEXT_BYTES_MAX: usize = 2_000;

/// A daemon on which Alice and Bob talk in the general room, and Mallory is about to log in.
struct Scene {
    daemon: Daemon,
    pair: Pair,
    _setup: Setup,
}

impl Scene {
    #[track_caller]
    fn new() -> Self {
        Self::with(Setup::new())
    }

    #[track_caller]
    fn with(setup: Setup) -> Self {
        let setup = setup.users(&["alice", "bob", "mallory"]);
        let daemon = setup.start();
        let pair = Pair::in_room(&daemon, ["alice", "bob"], GENERAL);
        Self { daemon, pair, _setup: setup }
    }

    /// What is told by the server on the sending of these bytes, before and after a login.
    #[track_caller]
    fn expect_closing(&mut self, bytes: &[u8], reason: CloseReason) {
        for is_logged_in in [false, true] {
            let mut mallory = self.daemon.greet("mallory");
            if is_logged_in {
                mallory.log_in();
            }
            self.pair.talk();
            mallory.send(bytes);
            mallory.expect_closing(reason);
            self.pair.talk();
        }
    }

    /// Logs Mallory in, says this, and expects that the code refuses it and nothing else comes of it.
    #[track_caller]
    fn expect_refusal(&mut self, mallory: &mut Wire, request: ClientPacket<'_>, code: Code) {
        self.pair.talk();
        mallory.say(request);
        mallory.expect(say::refused(&request, code));
        mallory.expect_nothing();
        self.pair.talk();
    }
}

fn frame(packet: ClientPacket<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_client(&packet, &mut bytes);
    bytes
}

/// A frame around any payload.
fn framed(payload: &[u8]) -> Vec<u8> {
    let mut bytes = (payload.len() as u32).to_le_bytes().to_vec();
    bytes.extend_from_slice(payload);
    bytes
}

#[test]
fn frame_of_no_length_is_refused() {
    Scene::new().expect_closing(&[0; 4], CloseReason::FrameEmpty);
}

#[test]
fn frame_of_four_gibibytes_is_refused() {
    Scene::new().expect_closing(&[255; 4], CloseReason::FrameTooLong);
}

#[test]
fn frame_of_one_byte_over_the_limit_is_refused_before_it_comes() {
    Scene::new().expect_closing(&(FRAME_BYTES_MAX + 1).to_le_bytes(), CloseReason::FrameTooLong);
}

#[test]
fn frame_over_the_limit_is_refused_with_all_its_bytes_behind_it() {
    // Less than the 64 KiB that are read and dropped.
    Scene::new().expect_closing(&framed(&vec![9; 60_000]), CloseReason::FrameTooLong);
}

#[test]
fn what_follows_refused_bytes_is_taken_so_that_no_reset_destroys_the_reason() {
    let mut scene = Scene::new();
    let mut mallory = scene.daemon.log_in("mallory");
    mallory.send(&(FRAME_BYTES_MAX + 1).to_le_bytes());
    mallory.expect(ServerPacket::Closing { reason: CloseReason::FrameTooLong });
    for _ in 0..4 {
        // A connection that is closed for good answers the first with a reset, and the next cannot be sent.
        mallory.send(&[9; 10_000]);
        scene.pair.talk();
    }
    mallory.finish_writing();
    mallory.expect_end();
}

#[test]
fn frame_at_the_limit_is_read() {
    let mut scene = Scene::new();
    let mut mallory = scene.daemon.log_in("mallory");
    let overhead = frame(say::tell(7, "alice", &"x".repeat(1_000))).len() - 4 - 1_000;
    let text = "x".repeat(FRAME_BYTES_MAX as usize - overhead);
    let request = say::tell(7, "alice", &text);
    assert_eq!(frame(request).len(), 4 + FRAME_BYTES_MAX as usize);
    scene.expect_refusal(&mut mallory, request, Code::TextTooLong);
}

#[test]
fn frame_that_never_completes_is_closed_as_silent_however_it_dribbles() {
    let mut scene = Scene::with(Setup::new().set("session.heartbeat_interval", "400ms"));
    let mut mallory = scene.daemon.log_in("mallory");
    mallory.send(&5_000_u32.to_le_bytes());
    let mut pings = 0;
    loop {
        // Bytes that complete nothing are no sign of life.
        let received = mallory.receive_within(std::time::Duration::from_millis(20));
        match received {
            None => mallory.send(&[1]),
            Some(ServerPacket::Ping { .. }) => pings += 1,
            Some(packet) => {
                assert_eq!(packet, ServerPacket::Closing { reason: CloseReason::Silent });
                break;
            }
        }
        scene.pair.talk();
    }
    assert_eq!(pings, 1, "pinged once in a silence");
    scene.pair.talk();
}

#[test]
fn frame_that_never_completes_before_a_login_is_closed() {
    let mut scene = Scene::with(Setup::new().set("session.login_grace", "300ms"));
    let mut mallory = scene.daemon.connect("mallory");
    mallory.send(&[9, 0, 0]);
    mallory.expect_closing(CloseReason::LoginTimeout);
    scene.pair.talk();
}

#[test]
fn packets_one_byte_at_a_time_are_read() {
    let mut scene = Scene::new();
    let mut mallory = scene.daemon.connect("mallory");
    let secret = secret_of("mallory");
    let mut bytes = frame(ClientPacket::Hello { version: PROTOCOL_VERSION, client: "slow".into() });
    bytes.extend(frame(say::login(1, "mallory", &secret)));
    for byte in bytes {
        mallory.send(&[byte]);
    }
    mallory.expect_login(1);
    let request = say::tell(2, "alice", "byte by byte");
    for byte in frame(request) {
        mallory.send(&[byte]);
        // A round trip of somebody else's between two bytes, so that each is read by itself.
        scene.pair.member("bob").expect_nothing();
    }
    mallory.expect(say::told(2));
    scene.pair.member("alice").expect(say::heard_alone(&mallory.user(), "byte by byte"));
    scene.pair.talk();
}

#[test]
fn unknown_packet_number_is_refused() {
    let mut scene = Scene::new();
    for payload in [&[13][..], &[200], &[251, 0, 4], &[252, 0, 0, 1, 0], &[13, 1, 2, 3]] {
        scene.expect_closing(&framed(payload), CloseReason::PacketUnknown);
    }
}

#[test]
fn trailing_bytes_are_refused() {
    let mut payload = frame(say::list(1))[4..].to_vec();
    payload.push(0);
    Scene::new().expect_closing(&framed(&payload), CloseReason::PacketMalformed);
}

#[test]
fn packet_that_ends_too_early_is_refused() {
    let payload = frame(say::tell(1, "alice", "hello"))[4..].to_vec();
    let mut scene = Scene::new();
    for length in [1, 2, 3, payload.len() - 1] {
        scene.expect_closing(&framed(&payload[..length]), CloseReason::PacketMalformed);
    }
}

#[test]
fn second_encoding_of_a_packet_is_refused() {
    // A list request whose id, 1, takes three bytes instead of one.
    Scene::new().expect_closing(&framed(&[5, 251, 1, 0, 0, 0]), CloseReason::PacketMalformed);
}

#[test]
fn announced_lengths_are_not_believed() {
    // A direct message to a name of 2^40 bytes.
    let payload = [10, 1, 253, 0, 0, 0, 0, 0, 1, 0, 0];
    Scene::new().expect_closing(&framed(&payload), CloseReason::PacketMalformed);
}

#[test]
fn invalid_utf8_in_a_text_is_refused() {
    let mut scene = Scene::new();
    let mut mallory = scene.daemon.log_in("mallory");
    mallory.say(say::create(1, "a room", 5, None));
    mallory.receive();
    mallory.receive();
    for bytes in [&[0xff_u8][..], &[0xc0, 0x80], &[0xed, 0xa0, 0x80], b"half \xe2\x82"] {
        let text = lobbyd_core::text::RawText(bytes);
        let request = lobbyd_core::id::RequestId(9);
        let chat = ClientPacket::RoomChatRequest { request, room: lobbyd_core::id::RoomNumber(2), text };
        scene.expect_refusal(&mut mallory, chat, Code::TextInvalid);
        let tell = ClientPacket::DirectMessageRequest { request, user: "alice".into(), text };
        scene.expect_refusal(&mut mallory, tell, Code::TextInvalid);
        let tell = ClientPacket::DirectMessageRequest { request, user: text, text: "hello".into() };
        scene.expect_refusal(&mut mallory, tell, Code::NameInvalid);
    }
    mallory.say(say::leave(8, 2));
    mallory.receive();
    let title = lobbyd_core::text::RawText(&[0xff]);
    let request = lobbyd_core::id::RequestId(9);
    let create = ClientPacket::RoomCreateRequest { request, title, capacity: 5, password: None };
    scene.expect_refusal(&mut mallory, create, Code::TitleInvalid);
}

#[test]
fn packet_before_hello_is_refused() {
    let mut scene = Scene::new();
    let secret = secret_of("mallory");
    for packet in
        [say::login(1, "mallory", &secret), ClientPacket::Ping { nonce: 1 }, say::chat(1, GENERAL, "x"), say::logout(1)]
    {
        let mut mallory = scene.daemon.connect("mallory");
        mallory.say(packet);
        mallory.expect_closing(CloseReason::HelloExpected);
        scene.pair.talk();
    }
}

#[test]
fn second_hello_and_unknown_version_are_refused() {
    let mut scene = Scene::new();
    scene.expect_closing(
        &frame(ClientPacket::Hello { version: PROTOCOL_VERSION, client: "again".into() }),
        CloseReason::HelloRepeated,
    );
    for version in [0, PROTOCOL_VERSION + 1, u32::MAX] {
        let mut mallory = scene.daemon.connect("mallory");
        mallory.say(ClientPacket::Hello { version, client: "future".into() });
        mallory.expect_closing(CloseReason::VersionUnsupported);
        scene.pair.talk();
    }
}

/// Everything that only one who is logged in may ask for.
fn requests_of_users() -> [ClientPacket<'static>; 8] {
    [
        say::logout(3),
        say::list(3),
        say::create(3, "a room", 5, None),
        say::enter(3, GENERAL),
        say::leave(3, GENERAL),
        say::chat(3, GENERAL, "hello"),
        say::tell(3, "alice", "hello"),
        say::kick(3, GENERAL, lobbyd_core::id::UserId(1), false),
    ]
}

#[test]
fn packet_before_login_is_refused() {
    let mut scene = Scene::new();
    let mut mallory = scene.daemon.greet("mallory");
    for request in requests_of_users() {
        scene.expect_refusal(&mut mallory, request, Code::NotLoggedIn);
    }
    mallory.log_in();
}

#[test]
fn packet_after_logout_is_refused() {
    let mut scene = Scene::new();
    let mut mallory = scene.daemon.log_in("mallory");
    mallory.say(say::logout(2));
    mallory.expect(say::logged_out(2));
    for request in requests_of_users() {
        scene.expect_refusal(&mut mallory, request, Code::NotLoggedIn);
    }
    mallory.log_in();
}

#[test]
fn second_login_of_a_session_is_refused() {
    let mut scene = Scene::new();
    let mut mallory = scene.daemon.log_in("mallory");
    let secret = secret_of("alice");
    scene.expect_refusal(&mut mallory, say::login(5, "alice", &secret), Code::AlreadyLoggedIn);
}

#[test]
fn pipelined_second_login_never_inherits_the_first_ones_verdict() {
    let mut scene = Scene::with(Setup::new().users(&["carol"]));
    let (right, other) = (secret_of("mallory"), secret_of("carol"));
    for secret in ["anything", &other] {
        let mut mallory = scene.daemon.greet("mallory");
        let (first, second) = (say::login(1, "mallory", &right), say::login(2, "carol", secret));
        mallory.say_all(&[first, second]);
        mallory.expect(say::refused(&second, Code::LoginPending));
        assert_eq!(mallory.expect_login(1).name.as_str(), "mallory");
        let to_carol = say::tell(3, "carol", "are you there?");
        scene.expect_refusal(&mut mallory, to_carol, Code::UserUnknown);
        mallory.say(say::logout(4));
        mallory.expect(say::logged_out(4));
    }
    // The other way round: a right secret does not mend a wrong one.
    let mut mallory = scene.daemon.greet("mallory");
    let (first, second) = (say::login(1, "mallory", "wrong"), say::login(2, "carol", &other));
    mallory.say_all(&[first, second]);
    mallory.expect(say::refused(&second, Code::LoginPending));
    mallory.expect(say::refused(&first, Code::LoginDenied));
    scene.expect_refusal(&mut mallory, say::list(3), Code::NotLoggedIn);
}

#[test]
fn pipelined_login_logout_login_ends_logged_in() {
    let mut scene = Scene::new();
    let secret = secret_of("mallory");
    let mut mallory = scene.daemon.greet("mallory");
    let (first, last) = (say::login(1, "mallory", &secret), say::login(3, "mallory", &secret));
    mallory.say_all(&[first, say::logout(2), last]);
    mallory.expect(say::refused(&first, Code::LoginCancelled));
    mallory.expect(say::logged_out(2));
    mallory.expect_login(3);
    mallory.expect_nothing();
    scene.pair.talk();
}

#[test]
fn user_whose_connection_ended_during_a_login_can_log_in_at_once() {
    let mut scene = Scene::new();
    let secret = secret_of("mallory");
    for _ in 0..5 {
        let mut first = scene.daemon.greet("mallory");
        first.say(say::login(1, "mallory", &secret));
        drop(first);
        let mut second = scene.daemon.log_in("mallory");
        second.say(say::logout(2));
        second.expect(say::logged_out(2));
        scene.pair.talk();
    }
}

#[test]
fn name_at_its_limit_is_taken_and_one_over_is_refused() {
    let longest = "n".repeat(32);
    let mut scene = Scene::with(Setup::new().users(&[&longest]));
    let mut client = scene.daemon.log_in(&longest);
    let too_long = "n".repeat(33);
    scene.expect_refusal(&mut client, say::tell(3, &too_long, "hello"), Code::NameInvalid);
    scene.expect_refusal(&mut client, say::tell(3, "", "hello"), Code::NameInvalid);
    let mut mallory = scene.daemon.greet("mallory");
    for name in [&too_long, "", "a b", "a/b", "ännchen", "a:b", "a*"] {
        scene.expect_refusal(&mut mallory, say::login(4, name, "secret"), Code::NameInvalid);
    }
    mallory.log_in();
}

#[test]
fn text_at_its_limit_is_taken_and_one_over_is_refused() {
    let mut scene = Scene::new();
    let mut mallory = scene.daemon.log_in("mallory");
    // Bytes are counted, not characters.
    let longest = "ü".repeat(TEXT_BYTES_MAX / 2);
    mallory.say(say::tell(1, "alice", &longest));
    mallory.expect(say::told(1));
    scene.pair.member("alice").expect(say::heard_alone(&mallory.user(), &longest));
    let too_long = format!("{longest}.");
    scene.expect_refusal(&mut mallory, say::tell(2, "alice", &too_long), Code::TextTooLong);
    scene.expect_refusal(&mut mallory, say::tell(2, "alice", ""), Code::TextEmpty);

    mallory.say(say::create(3, &"♜".repeat(64), 5, None));
    mallory.receive();
    assert!(matches!(mallory.receive(), ServerPacket::RoomCreateResponse { result: Ok(_), .. }));
    mallory.say(say::chat(4, 2, &longest));
    mallory.expect(say::chatted(4, 2, 2));
    scene.expect_refusal(&mut mallory, say::chat(4, 2, &too_long), Code::TextTooLong);
    mallory.say(say::leave(5, 2));
    mallory.expect(say::left(5, 2, 3));
    scene.expect_refusal(&mut mallory, say::create(6, &"♜".repeat(65), 5, None), Code::TitleInvalid);
    scene.expect_refusal(&mut mallory, say::create(6, "", 5, None), Code::TitleInvalid);
}

#[test]
fn secret_of_any_length_is_answered() {
    let mut scene = Scene::new();
    let overhead = frame(say::login(1, "mallory", &"s".repeat(1_000))).len() - 4 - 1_000;
    let longest = "s".repeat(FRAME_BYTES_MAX as usize - overhead);
    let mut mallory = scene.daemon.greet("mallory");
    scene.expect_refusal(&mut mallory, say::login(1, "mallory", &longest), Code::LoginDenied);
    scene.expect_refusal(&mut mallory, say::login(1, "mallory", ""), Code::LoginDenied);
    mallory.log_in();
}

#[test]
fn rooms_that_cannot_be_entered_say_why() {
    let rooms = "[[rooms]]\nnumber = 1\ntitle = \"General\"\ncapacity = 10\n\
                 [[rooms]]\nnumber = 2\ntitle = \"Full\"\ncapacity = 1\n\
                 [[rooms]]\nnumber = 3\ntitle = \"Protected\"\ncapacity = 5\npassword = \"sesame\"\n";
    let mut scene = Scene::with(Setup::new().file(rooms).users(&["carol"]));
    let mut carol = scene.daemon.log_in("carol");
    carol.enter(2);
    let mut mallory = scene.daemon.log_in("mallory");
    scene.expect_refusal(&mut mallory, say::enter(1, 2), Code::RoomFull);
    for unknown in [0, 4, u32::MAX] {
        scene.expect_refusal(&mut mallory, say::enter(2, unknown), Code::RoomUnknown);
    }
    scene.expect_refusal(&mut mallory, say::enter(3, 3), Code::RoomPasswordWrong);
    scene.expect_refusal(&mut mallory, say::enter_protected(3, 3, "Sesame"), Code::RoomPasswordWrong);
    for elsewhere in [say::leave(4, GENERAL), say::chat(4, GENERAL, "let me in"), say::chat(4, 2, "let me in")] {
        scene.expect_refusal(&mut mallory, elsewhere, Code::NotInRoom);
    }
    mallory.say(say::enter_protected(5, 3, "sesame"));
    mallory.receive();
    assert!(matches!(mallory.receive(), ServerPacket::RoomEnterResponse { result: Ok(_), .. }));
    for again in [say::enter_protected(6, 3, "sesame"), say::enter(6, GENERAL), say::create(6, "mine", 5, None)] {
        scene.expect_refusal(&mut mallory, again, Code::NotInLobby);
    }
    scene.expect_refusal(&mut mallory, say::leave(7, GENERAL), Code::NotInRoom);
    scene.expect_refusal(&mut mallory, say::kick(7, 3, carol.user().id, false), Code::NotAllowed);
    carol.expect_nothing();
}

#[test]
fn guessing_a_rooms_password_ends_in_a_pause() {
    let rooms = "[[rooms]]\nnumber = 1\ntitle = \"General\"\ncapacity = 10\n\
                 [[rooms]]\nnumber = 3\ntitle = \"Protected\"\ncapacity = 5\npassword = \"sesame\"\n";
    let mut scene = Scene::with(Setup::new().file(rooms).set("lobby.room_password_failures_per_user_burst", "3"));
    let mut mallory = scene.daemon.log_in("mallory");
    for _ in 0..3 {
        scene.expect_refusal(&mut mallory, say::enter_protected(1, 3, "guess"), Code::RoomPasswordWrong);
    }
    scene.expect_refusal(&mut mallory, say::enter_protected(1, 3, "sesame"), Code::RoomPasswordAttempts);
}

#[test]
fn guessing_a_secret_ends_in_a_pause_and_in_a_closed_connection() {
    let mut scene = Scene::with(Setup::new().set("limits.login_failures_per_user_burst", "7"));
    let mut mallory = scene.daemon.greet("mallory");
    let guess = say::login(1, "mallory", "guess");
    for _ in 0..5 {
        mallory.say(guess);
        mallory.expect(say::refused(&guess, Code::LoginDenied));
    }
    mallory.expect_closing(CloseReason::LoginAttempts);
    // A new connection does not start the count anew.
    let mut mallory = scene.daemon.greet("mallory");
    for _ in 0..2 {
        scene.expect_refusal(&mut mallory, guess, Code::LoginDenied);
    }
    let secret = secret_of("mallory");
    scene.expect_refusal(&mut mallory, say::login(2, "mallory", &secret), Code::TooManyAttempts);
}

#[test]
fn control_and_override_characters_are_refused_everywhere() {
    let mut scene = Scene::new();
    let mut mallory = scene.daemon.connect("mallory");
    // What the client calls itself is for the log only.
    mallory.say(ClientPacket::Hello { version: PROTOCOL_VERSION, client: "\u{1b}[2Jevil\r\nline".into() });
    for bad in ["\u{1b}[31mred", "bell\u{7}", "nul\0", "\u{202e}txet", "c1\u{9b}31m", "del\u{7f}", "back\u{8}", "\r"] {
        scene.expect_refusal(&mut mallory, say::login(1, bad, "secret"), Code::NameInvalid);
    }
    mallory.log_in();
    for bad in ["\u{1b}[31mred", "bell\u{7}", "nul\0", "\u{202e}txet", "c1\u{9b}31m", "del\u{7f}", "back\u{8}", "\r"] {
        scene.expect_refusal(&mut mallory, say::tell(2, "alice", bad), Code::TextInvalid);
        scene.expect_refusal(&mut mallory, say::tell(2, bad, "hello"), Code::NameInvalid);
        scene.expect_refusal(&mut mallory, say::create(3, bad, 5, None), Code::TitleInvalid);
    }
    scene.expect_refusal(&mut mallory, say::create(3, "two\nlines", 5, None), Code::TitleInvalid);
    mallory.say(say::create(3, "plain", 5, None));
    mallory.receive();
    mallory.receive();
    scene.expect_refusal(&mut mallory, say::chat(4, 2, "\u{1b}]0;title\u{7}"), Code::TextInvalid);
    assert!(!scene.daemon.log.text().contains('\u{1b}'), "an escape in the log");
}

#[test]
fn flood_is_refused_then_closed_and_slows_nobody() {
    let setup = Setup::new().set("limits.flood_refusals_burst", "20");
    let mut scene = Scene::with(setup.replace("limits.flood_burst", "300").replace("limits.flood_per_second", "1"));
    let mut mallory = scene.daemon.log_in("mallory");
    let request = say::tell(5, "nobody", "flood");
    mallory.say_all(&vec![request; 600]);
    let (mut answered, mut refused) = (0, 0);
    loop {
        let packet = mallory.receive();
        if packet == say::refused(&request, Code::UserUnknown) {
            assert_eq!(refused, 0, "the budget comes back too early");
            answered += 1;
        } else if packet == say::refused(&request, Code::Flooding) {
            refused += 1;
        } else {
            assert_eq!(packet, ServerPacket::Closing { reason: CloseReason::Flooding });
            break;
        }
    }
    mallory.expect_end();
    // A hello and a login came before, and a slow machine gives one or two back.
    assert!((285..=295).contains(&answered), "{answered} were answered");
    assert!((20..=40).contains(&refused), "{refused} were refused");
    scene.pair.talk();
}
