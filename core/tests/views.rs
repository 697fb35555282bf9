//! What a handler sees of the server, and handlers that do nothing but what they have to.

use lobbyd_core::action::Actions;
use lobbyd_core::engine::RestoreError;
use lobbyd_core::extension::{Command, CommandHandler, Context, ContextError, Failure, Handlers, Reply};
use lobbyd_core::id::{CallTicket, RoomNumber, UserId};
use lobbyd_core::input::{Account, Admin, Input, Verdict};
use lobbyd_core::packet::{ClientPacket, Code, ServerPacket};
use lobbyd_core::text::{RawText, Text};

use crate::support::history::{busy, replay};
use crate::support::packets::*;
use crate::support::*;

/// Answers every command with what a function says, and has nothing else of its own.
#[derive(Clone)]
struct Answers(fn(&mut Context<'_>, Command<'_>) -> String);

impl CommandHandler for Answers {
    fn command(&mut self, context: &mut Context<'_>, command: Command<'_>) -> Result<(), Failure> {
        let answer = (self.0)(context, command);
        Ok(context.reply(Reply::success(answer.as_bytes()))?)
    }
}

/// Extensions that show the room of whoever asks, a user, and the server.
fn shows() -> Handlers {
    let mut handlers = Handlers::new();
    let room = Answers(|context, command| {
        let user = context.user(command.session).expect("who asks is online");
        let Some(room) = user.room().and_then(|number| context.room(number)) else {
            return "lobby".to_owned();
        };
        let members: Vec<_> =
            room.members().map(|(session, user)| format!("{} {}", session.index, user.name)).collect();
        let epoch = room.epoch();
        let (number, title, capacity, owner) = (room.number(), room.title(), room.capacity(), room.owner());
        let seen = format!("{number} {title} of {capacity}, epoch {epoch}, {owner:?}, {}", members.join(", "));
        assert_eq!(format!("{room:?}"), format!("RoomView({number:?}, {})", members.len()));
        seen
    });
    let user = Answers(|context, command| {
        let name = std::str::from_utf8(command.parameters).expect("text").parse().expect("a name");
        let sessions: Vec<_> = context.sessions_of(name).collect();
        let Some(user) = sessions.first().and_then(|session| context.user(*session)) else {
            return "not online".to_owned();
        };
        assert_eq!(format!("{user:?}"), format!("UserView({:?}, {:?})", user.session(), user.name()));
        let indexes: Vec<_> = sessions.iter().map(|session| session.index).collect();
        let (id, nickname, administrator) = (user.id(), user.nickname(), user.is_administrator());
        format!("{} {id} {nickname:?} {administrator} on {indexes:?}", user.name())
    });
    let server = Answers(|context, command| {
        let online: Vec<_> = context.online().map(|session| session.index).collect();
        let (now, name) = (context.now().as_nanos(), context.config().server_name.clone());
        format!("{now} {name} {online:?} {} {}", command.name, command.timestamp)
    });
    handlers.register("room", room).expect("the name is good and free");
    handlers.register("server", server).expect("the name is good and free");
    handlers.register("user", user).expect("the name is good and free");
    handlers
}

#[track_caller]
fn is_shown(server: &mut Server, by: lobbyd_core::id::SessionId, name: &str, parameters: &str, expected: &str) {
    server.says(by, command(1, name, parameters));
    server.does([send(by, command_done(1, name, expected))]);
}

#[test]
fn handler_sees_rooms_users_and_the_server() {
    let mut server =
        Server::with_extensions(|config| config.duplicate_login = lobbyd_core::config::DuplicateLogin::Allow, shows);
    let account = Account { nickname: Some(Text::new("Änne")), administrator: true };
    let a = server.user_as(0, "zora", Verdict::Accepted { account, leased: false });
    let b = server.user_as(1, "anna", accepted_without_lease());
    let c = server.user_as(2, "zora", accepted_without_lease());
    server.guest(3);
    is_shown(&mut server, a, "room", "", "lobby");
    server.enters(b, PLAZA);
    server.enters(a, PLAZA);
    let expected = format!("1 Plaza of 3, epoch {}, None, 1 anna, 0 zora", server.epoch(PLAZA));
    is_shown(&mut server, a, "room", "", &expected);
    let den = server.creates(c, 9);
    let expected = format!("{den} Den of 9, epoch {}, Some(UserId({})), 2 zora", server.epoch(den), server.id_of(c).0);
    is_shown(&mut server, c, "room", "", &expected);
    let expected = format!("zora {} Some(\"Änne\") true on [0, 2]", server.id_of(a));
    is_shown(&mut server, b, "user", "zora", &expected);
    let expected = format!("anna {} None false on [1]", server.id_of(b));
    is_shown(&mut server, b, "user", "anna", &expected);
    is_shown(&mut server, b, "user", "nobody", "not online");
    server.after(milliseconds(1_500));
    let packet = |command_type| ClientPacket::CustomCommand {
        request: lobbyd_core::id::RequestId(1),
        command_type,
        parameters: "".into(),
        timestamp: 77,
    };
    server.says(a, packet(RawText(b"server.all")));
    let now = 1_000_000_000_000_u64 + 1_500_000_000;
    server.does([send(a, command_done(1, "server.all", &format!("{now} test [1, 0, 2] server.all 77")))]);
}

#[test]
fn random_number_stays_below_its_limit_and_reaches_all_of_it() {
    fn dice() -> Handlers {
        let mut handlers = Handlers::new();
        let dice = Answers(|context, command| {
            let limit = std::str::from_utf8(command.parameters).expect("text").parse().expect("a number");
            context.random_below(limit).to_string()
        });
        handlers.register("dice", dice).expect("the name is good and free");
        handlers
    }
    let mut server = Server::with_extensions(|_| {}, dice);
    let a = server.user(0, "dora");
    let mut throw = |limit: u64| -> u64 {
        server.after(seconds(1)).says(a, command(1, "dice", &limit.to_string()));
        match server.take_events().as_slice() {
            [Event::Send(_, ServerPacket::CustomResponse { result: Ok(reply), .. })] => {
                std::str::from_utf8(reply.data.as_bytes()).unwrap().parse().unwrap()
            }
            events => panic!("{events:?}"),
        }
    };
    let mut seen = [false; 6];
    for _ in 0..100 {
        seen[throw(6) as usize] = true;
    }
    assert_eq!(seen, [true; 6]);
    assert_eq!((throw(0), throw(1)), (0, 0));
    assert!((0..20).any(|_| throw(u64::MAX) > u64::MAX / 2), "the upper half is reached");
}

/// Says something to the session that asks, or to the one that the parameters say.
#[derive(Clone)]
struct Teller;

impl CommandHandler for Teller {
    fn command(&mut self, context: &mut Context<'_>, command: Command<'_>) -> Result<(), Failure> {
        let session = lobbyd_core::id::SessionId { index: command.parameters[0].into(), generation: 0 };
        let told = context.notify(session, &command.parameters[1..]);
        let answer = match told {
            Ok(()) => "told",
            Err(ContextError::NobodyThere) => "nobody",
            Err(_) => "too long",
        };
        Ok(context.reply(Reply::success(answer.as_bytes()))?)
    }
}

#[test]
fn one_session_is_told_something() {
    fn teller() -> Handlers {
        let mut handlers = Handlers::new();
        handlers.register("tell", Teller).expect("the name is good and free");
        handlers
    }
    let mut server = Server::with_extensions(|_| {}, teller);
    let a = server.user(0, "dora");
    let b = server.user(1, "eve");
    server.guest(2);
    server.says(a, command(1, "tell", "\u{1}psst"));
    server.does([send(b, custom("tell", "psst")), send(a, command_done(1, "tell", "told"))]);
    for absent in ["\u{2}psst", "\u{7}psst"] {
        is_shown(&mut server, a, "tell", absent, "nobody");
    }
    let most = server.engine().config().data_bytes_max() as usize;
    is_shown(&mut server, a, "tell", &format!("\u{1}{}", "x".repeat(most + 1)), "too long");
    server.says(a, command(1, "tell", &format!("\u{1}{}", "x".repeat(most))));
    server.does([send(b, custom("tell", &"x".repeat(most))), send(a, command_done(1, "tell", "told"))]);
}

/// Sets a deadline and asks a service, and leaves what comes of it to the trait.
#[derive(Clone)]
struct Careless;

impl CommandHandler for Careless {
    fn command(&mut self, context: &mut Context<'_>, _: Command<'_>) -> Result<(), Failure> {
        context.set_deadline(1, seconds(1))?;
        context.call_service("store".parse().expect("a good name"), b"get")?;
        Ok(context.reply(Reply::success(b""))?)
    }
}

fn careless() -> Handlers {
    let mut handlers = Handlers::new();
    handlers.register("careless", Careless).expect("the name is good and free");
    handlers
}

#[test]
fn handler_may_leave_everything_but_commands_alone() {
    let mut server = Server::with_extensions(|_| {}, careless);
    let a = server.user(0, "dora");
    server.says(a, command(1, "careless", ""));
    let call = Event::Call(CallTicket(1), "store".parse().unwrap(), "get".into());
    server.does([call, send(a, command_done(1, "careless", ""))]);
    server.input(Input::ServiceReply { ticket: CallTicket(1), result: Ok("got".into()) });
    server.does_nothing();
    server.after(seconds(1)).tick();
    server.does_nothing();
    assert_eq!(server.counts().service_calls, 0);
}

#[test]
fn handler_without_state_takes_up_none() {
    let mut server = Server::with_extensions(|_| {}, careless);
    server.user(0, "dora");
    let mut stored = serde_json::to_value(server.engine().snapshot()).unwrap();
    let state = stored.pointer_mut("/engine/extensions/slots/0/keeper").unwrap();
    assert_eq!(*state, serde_json::json!([]), "nothing is stored");
    *state = serde_json::json!([1]);
    let snapshot = serde_json::from_value(stored).unwrap();
    let error = lobbyd_core::Engine::restore_with_extensions(snapshot, careless()).unwrap_err();
    let reason = "this extension keeps no state".to_owned();
    assert_eq!(error, RestoreError::ExtensionState { extension: "careless".parse().unwrap(), reason });
}

#[test]
fn refusal_to_restore_says_which_extension_and_what_to_do() {
    let extension = "dice".parse().unwrap();
    let cases = [
        (
            RestoreError::ExtensionMissing(extension),
            "the snapshot was taken with extension dice, which is not there: register it",
        ),
        (RestoreError::ExtensionUnknown(extension), "the snapshot was taken without extension dice: leave it out"),
        (
            RestoreError::ExtensionState { extension, reason: "odd".to_owned() },
            "extension dice does not read its state in the snapshot: odd",
        ),
    ];
    for (error, text) in cases {
        assert_eq!(error.to_string(), text);
    }
    assert_eq!(Failure::new("no luck").to_string(), "no luck");
}

#[test]
fn handlers_are_listed_copied_and_wrapped_by_name() {
    let mut handlers = shows();
    let names = |handlers: &Handlers| handlers.names().map(|name| name.as_str().to_owned()).collect::<Vec<_>>();
    assert_eq!(names(&handlers), ["room", "server", "user"]);
    assert_eq!(format!("{handlers:?}"), "{\"room\", \"server\", \"user\"}");
    handlers = handlers.map(|name, handler| if name.as_str() == "user" { Box::new(Careless) } else { handler });
    assert_eq!(names(&handlers.clone()), ["room", "server", "user"]);
    let engine = lobbyd_core::Engine::with_extensions(config(), 7, lobbyd_core::time::Instant::ZERO, handlers);
    assert_eq!(engine, engine.clone());
}

#[test]
fn operator_sees_who_is_online_and_what_an_announcement_would_reach() {
    let mut server = Server::new();
    let a = server.user(0, "dora");
    let b = server.guest(1);
    server.user(2, "eve");
    let engine = server.engine();
    assert_eq!(engine.announcement("hi".into()), Ok(2));
    assert_eq!(engine.announcement("".into()), Err(Code::TextEmpty));
    assert_eq!(engine.announcement(RawText(b"\xff")), Err(Code::TextInvalid));
    assert_eq!(engine.user(a).map(|user| (user.session(), user.id())), Some((a, UserId(1))));
    assert!(engine.user(b).is_none());
    assert_eq!(engine.session_count(), 3);
    assert_eq!(lobbyd_core::Engine::new(config(), 7, lobbyd_core::time::Instant::ZERO).session_count(), 0);
    assert!(engine.room_status(RoomNumber(99)).is_none());
}

#[test]
fn recipients_are_counted() {
    let mut engine = replay(&busy());
    let online = engine.counts().online as usize;
    assert!(online > 1);
    let mut actions = Actions::new();
    for times in 1..=2 {
        let announcement = Input::Admin(Admin::Announce { text: "hi".into() });
        engine.handle_input(lobbyd_core::time::Instant::ZERO, announcement, &mut actions);
        assert_eq!(actions.recipient_count(), times * online);
    }
    actions.clear();
    assert_eq!(actions.recipient_count(), 0);
}

#[test]
fn actions_are_counted() {
    let mut engine = lobbyd_core::Engine::new(config(), 7, lobbyd_core::time::Instant::ZERO);
    let mut actions = Actions::new();
    assert_eq!((actions.len(), actions.is_empty()), (0, true));
    let now = lobbyd_core::time::Instant::ZERO;
    for (index, count) in [(0, 1), (1, 2), (2, 3)] {
        engine.handle_input(now, Input::Connected { session: session(index), address: ADDRESS }, &mut actions);
        assert_eq!((actions.len(), actions.is_empty(), actions.iter().len()), (count, false, count));
    }
    actions.clear();
    assert_eq!((actions.len(), actions.is_empty()), (0, true));
}
