//! Extensions: what they see, what they do, and what is left of it when they fail.

use std::time::Duration;

use lobbyd_core::Engine;
use lobbyd_core::config::Config;
use lobbyd_core::engine::{RestoreError, Snapshot};
use lobbyd_core::extension::{Command, CommandHandler, Context, Failure, Handlers, REQUEST_BYTES_MAX, RegisterError};
use lobbyd_core::id::{CallTicket, SessionId};
use lobbyd_core::input::{Input, ServiceError};
use lobbyd_core::limits::Rate;
use lobbyd_core::packet::Code;
use lobbyd_core::time::Instant;

use crate::support::packets::*;
use crate::support::puppet::{PUPPET, Puppet, puppet};
use crate::support::*;

pub(crate) fn server() -> Server {
    Server::with_extensions(|_| {}, puppet)
}

/// A puppet that was told of nobody's coming yet.
pub(crate) fn user(server: &mut Server, index: u32, user: &str) -> SessionId {
    let session = server.user(index, user);
    server.says(session, command(900, PUPPET, "heard"));
    server.take_events();
    session
}

fn failed(reason: &str) -> Event {
    Event::Failed(PUPPET.parse().expect("a good name"), reason.to_owned(), false)
}

pub(crate) fn called(ticket: u64, service: &str, request: &str) -> Event {
    Event::Call(CallTicket(ticket), service.parse().expect("a good name"), request.into())
}

/// The puppet is told to do `script`, and does and answers this.
#[track_caller]
pub(crate) fn does<const N: usize>(server: &mut Server, session: SessionId, script: &str, expected: [Event; N]) {
    server.says(session, command(1, PUPPET, script));
    server.does(expected);
}

#[track_caller]
pub(crate) fn replies(server: &mut Server, session: SessionId, script: &str, data: &str) {
    does(server, session, script, [send(session, command_done(1, PUPPET, data))]);
}

#[track_caller]
fn fails(server: &mut Server, session: SessionId, script: &str, reason: &str) {
    does(server, session, script, [failed(reason), send(session, command_refused(1, PUPPET, Code::ExtensionFailed))]);
}

#[track_caller]
fn is_busy(server: &mut Server, session: SessionId, script: &str) {
    does(server, session, script, [send(session, command_refused(1, PUPPET, Code::ExtensionBusy))]);
}

#[test]
fn command_is_answered_once_by_its_handler() {
    let mut server = server();
    let a = user(&mut server, 0, "dora");
    replies(&mut server, a, "reply hello", "hello");
    does(&mut server, a, "refuse not today", [send(a, command_declined(1, PUPPET, "not today"))]);
    does(&mut server, a, "refuse-with 3 not today", [send(a, command_declined_with(1, PUPPET, "not today", "3"))]);
    fails(&mut server, a, "reply one;reply two", "there is no command to answer, or it is answered or kept already");
    fails(&mut server, a, "reply one;keep", "there is no command to answer, or it is answered or kept already");
    fails(&mut server, a, "", "it neither answered nor kept the command");
}

#[test]
fn command_goes_to_the_longest_name_before_a_dot() {
    let mut server = Server::with_extensions(
        |_| {},
        || {
            let mut handlers = puppet();
            handlers.register("puppet.nice", Puppet::default()).unwrap();
            handlers
        },
    );
    let a = server.user(0, "dora");
    let counted =
        [(PUPPET, "1"), ("puppet.count", "2"), ("puppet.nice", "1"), ("puppet.nice.a.b", "2"), ("puppet.nicer", "3")];
    for (name, count) in counted {
        server.says(a, command(1, name, "count"));
        server.does([send(a, command_done(1, name, count))]);
    }
    for name in ["pupp", "puppetry", "nice", ".puppet", "puppet ", "Puppet", ""] {
        server.refuses(a, command(1, name, "count"), Code::CommandUnknown);
    }
}

#[test]
fn command_needs_a_login_and_costs_of_the_flood_budget() {
    let flood = Rate { burst: 16, interval: Duration::from_secs(3_600) };
    let mut server = Server::with_extensions(|config| config.flood = flood, puppet);
    let a = server.guest(0);
    server.refuses(a, command(1, PUPPET, "count"), Code::NotLoggedIn);
    server.logs_in(a, "dora", accepted());
    // 16, less 1 for Hello, 3 for the refused command and 10 for the login.
    server.refuses(a, command(1, PUPPET, "count"), Code::Flooding);
}

#[test]
fn nothing_of_a_failed_call_takes_effect() {
    let mut server = server();
    let a = user(&mut server, 0, "dora");
    let b = user(&mut server, 1, "eve");
    server.enters(a, PLAZA);
    server.enters(b, PLAZA);
    let deeds = "room 1 hi;user eve hi;deadline 1 10;call store get;reply done";
    let deadline = server.next_deadline();
    fails(&mut server, a, &format!("{deeds};fail after all"), "after all");
    assert_eq!((server.counts().service_calls, server.next_deadline()), (0, deadline));
    does(
        &mut server,
        a,
        deeds,
        [
            broadcast([a, b], custom(PUPPET, "hi")),
            broadcast([b], custom(PUPPET, "hi")),
            // The number of the call that failed is not used again.
            called(2, "store", "get"),
            send(a, command_done(1, PUPPET, "done")),
        ],
    );
    assert_eq!(server.counts().service_calls, 1);
}

#[test]
fn oversized_answers_are_the_handlers_mistake_and_go_nowhere() {
    let mut server = server();
    let a = user(&mut server, 0, "dora");
    let most = server.engine().config().data_bytes_max();
    replies(&mut server, a, &format!("long {most}"), &"x".repeat(most as usize));
    let reason = format!("data of {} bytes, allowed are {most}", most + 1);
    fails(&mut server, a, &format!("long {}", most + 1), &reason);
    let text = "x".repeat(256);
    does(&mut server, a, &format!("refuse {text}"), [send(a, command_declined(1, PUPPET, &text))]);
    let reason = "an error message that cannot be shown (it is too long), allowed are 256 bytes of plain text";
    fails(&mut server, a, &format!("refuse {text}x"), reason);
}

#[test]
fn oversized_request_to_a_service_is_the_handlers_mistake_and_goes_nowhere() {
    let mut server = server();
    let a = user(&mut server, 0, "dora");
    let reason = format!("data of {} bytes, allowed are {REQUEST_BYTES_MAX}", REQUEST_BYTES_MAX + 1);
    fails(&mut server, a, &format!("call store {}", "x".repeat(REQUEST_BYTES_MAX + 1)), &reason);
    assert_eq!(server.counts().service_calls, 0);
}

#[test]
fn nobody_who_is_not_there_is_told() {
    let mut server = server();
    let a = user(&mut server, 0, "dora");
    fails(&mut server, a, "room 77 hi;reply", "the session, user or room is not there");
    fails(&mut server, a, "user eve hi;reply", "the session, user or room is not there");
    // A room without members is there.
    replies(&mut server, a, "room 1 hi;reply", "");
}

#[test]
fn kept_command_is_answered_later_and_once() {
    let mut server = server();
    let a = user(&mut server, 0, "dora");
    let b = user(&mut server, 1, "eve");
    server.says(a, command(7, PUPPET, "keep"));
    server.does_nothing();
    assert_eq!(server.counts().commands_waiting, 1);
    fails(
        &mut server,
        b,
        "answer-again yes;answer-again no;reply",
        "nobody waits for an answer to that command any more",
    );
    assert_eq!(server.counts().commands_waiting, 1);
    does(
        &mut server,
        b,
        "answer-again yes;reply",
        [send(a, command_done(7, PUPPET, "yes")), send(b, command_done(1, PUPPET, ""))],
    );
    assert_eq!(server.counts().commands_waiting, 0);
    fails(&mut server, b, "answer-again yes;reply", "nobody waits for an answer to that command any more");
}

#[test]
fn command_that_is_kept_for_too_long_is_answered() {
    let mut server = Server::with_extensions(|config| config.command_timeout = seconds(3), puppet);
    let a = user(&mut server, 0, "dora");
    server.says(a, command(7, PUPPET, "keep"));
    server.does_nothing();
    server.after(seconds(3)).tick();
    server.does([send(a, command_refused(7, PUPPET, Code::ExtensionFailed))]);
    fails(&mut server, a, "answer too late;reply", "nobody waits for an answer to that command any more");
}

#[test]
fn waiting_commands_are_bounded_in_all_and_by_session() {
    let bounds = |config: &mut Config| {
        (config.commands_waiting_max, config.commands_waiting_per_session_max) = (3, 2);
    };
    let mut server = Server::with_extensions(bounds, puppet);
    let a = user(&mut server, 0, "dora");
    let b = user(&mut server, 1, "eve");
    for session in [a, a, b] {
        if session == b {
            is_busy(&mut server, a, "keep");
        }
        server.says(session, command(7, PUPPET, "keep"));
        server.does_nothing();
    }
    is_busy(&mut server, b, "keep");
    does(&mut server, b, "answer;reply", [send(b, command_done(7, PUPPET, "")), send(b, command_done(1, PUPPET, ""))]);
    server.says(b, command(7, PUPPET, "keep"));
    server.does_nothing();
}

#[test]
fn waiting_commands_go_with_their_session() {
    let mut server = server();
    let a = user(&mut server, 0, "dora");
    server.says(a, command(7, PUPPET, "keep"));
    server.does_nothing();
    server.disconnects(a);
    server.does([release(server.ticket_of(a), "dora")]);
    assert_eq!(server.counts().commands_waiting, 0);
    let b = server.user(1, "eve");
    fails(&mut server, b, "answer;reply", "nobody waits for an answer to that command any more");
}

#[test]
fn deadlines_come_are_set_anew_and_cleared() {
    let mut server = server();
    let a = user(&mut server, 0, "dora");
    let start = server.elapsed();
    replies(&mut server, a, "deadline 5 700;deadline 6 400;deadline 7 100;reply", "");
    replies(&mut server, a, "clear 7;clear 8;deadline 5 300;reply", "");
    assert_eq!(server.next_deadline(), Some(start + milliseconds(300)));
    server.after(milliseconds(1_000)).tick();
    server.does_nothing();
    replies(&mut server, a, "heard", "deadline 5,deadline 6");
}

#[test]
fn deadline_without_a_time_does_not_stop_time() {
    let mut server = server();
    let a = user(&mut server, 0, "dora");
    // Sets itself anew whenever it comes, until it is cleared.
    replies(&mut server, a, "later deadline 1 0;deadline 1 0;reply", "");
    let start = server.elapsed();
    server.after(milliseconds(3)).tick();
    server.does_nothing();
    assert_eq!(server.next_deadline(), Some(start + milliseconds(4)));
    replies(&mut server, a, "clear 1;heard", "deadline 1");
}

#[test]
fn deadlines_are_bounded() {
    let mut server = Server::with_extensions(|config| config.extension_deadlines_max = 2, puppet);
    let a = user(&mut server, 0, "dora");
    replies(&mut server, a, "deadline 1 10;deadline 2 10;deadline 1 20;clear 2;deadline 3 10;reply", "");
    is_busy(&mut server, a, "deadline 4 10;reply");
    replies(&mut server, a, "deadline 3 30;clear 1;deadline 4 40;reply", "");
}

#[test]
fn deadlines_of_one_call_are_counted_by_their_keys() {
    let mut server = Server::with_extensions(|config| config.extension_deadlines_max = 2, puppet);
    let a = user(&mut server, 0, "dora");
    is_busy(&mut server, a, "deadline 1 10;deadline 2 10;deadline 3 10;reply");
    replies(&mut server, a, "deadline 1 10;deadline 2 10;reply", "");
    // Cleared and set again in one call, it counts again.
    is_busy(&mut server, a, "clear 1;deadline 1 20;deadline 3 10;reply");
    // Another's clearing changes nothing for the second one.
    replies(&mut server, a, "clear 1;deadline 2 20;deadline 3 10;reply", "");
    assert_eq!(server.next_deadline(), Some(server.elapsed() + milliseconds(10)));
}

#[test]
fn every_extension_hears_what_happens() {
    fn two() -> Handlers {
        let mut handlers = puppet();
        handlers.register("another", Puppet::default()).unwrap();
        handlers
    }
    let mut server = Server::with_extensions(|_| {}, two);
    let a = server.user(0, "dora");
    for name in ["another", PUPPET] {
        server.says(a, command(1, name, "heard"));
        server.does([send(a, command_done(1, name, "dora in"))]);
    }
}

#[test]
fn service_replies_once_and_stale_replies_are_dropped() {
    let mut server = server();
    let a = user(&mut server, 0, "dora");
    does(&mut server, a, "call store get 1;keep;later answer got it", [called(1, "store", "get 1")]);
    let reply = |ticket: u64, data: &str| Input::ServiceReply { ticket: CallTicket(ticket), result: Ok(data.into()) };
    // No call has that number; 2 is the command that is kept.
    for ticket in [0, 2, 3, u64::MAX] {
        server.input(reply(ticket, "nonsense"));
        server.does_nothing();
    }
    server.input(reply(1, "one"));
    server.does([send(a, command_done(1, PUPPET, "got it"))]);
    assert_eq!(server.counts().service_calls, 0);
    server.input(reply(1, "once more"));
    server.does_nothing();
    replies(&mut server, a, "later;heard", "asked 1,1 Ok(\"one\")");
    does(&mut server, a, "call store;reply", [called(3, "store", ""), send(a, command_done(1, PUPPET, ""))]);
    server.input(Input::ServiceReply { ticket: CallTicket(3), result: Err(ServiceError::Unknown) });
    server.does_nothing();
    replies(&mut server, a, "heard", "asked 3,3 Err(Unknown)");
}

#[test]
fn service_that_does_not_reply_has_timed_out() {
    let mut server = Server::with_extensions(|config| config.service_timeout = seconds(2), puppet);
    let a = user(&mut server, 0, "dora");
    does(&mut server, a, "call store;reply", [called(1, "store", ""), send(a, command_done(1, PUPPET, ""))]);
    server.after(seconds(2)).tick();
    server.does_nothing();
    server.input(Input::ServiceReply { ticket: CallTicket(1), result: Ok("late".into()) });
    server.does_nothing();
    replies(&mut server, a, "heard", "asked 1,1 Err(TimedOut)");
}

#[test]
fn service_calls_are_bounded() {
    let mut server = Server::with_extensions(|config| config.service_calls_max = 2, puppet);
    let a = user(&mut server, 0, "dora");
    is_busy(&mut server, a, "call store;call store;call store;reply");
    does(&mut server, a, "call store;reply", [called(3, "store", ""), send(a, command_done(1, PUPPET, ""))]);
    is_busy(&mut server, a, "call store;call store;reply");
}

#[test]
fn stall_puts_off_what_waits_for_an_answer() {
    let timeouts = |config: &mut Config| {
        (config.service_timeout, config.command_timeout) = (seconds(2), seconds(3));
    };
    let mut server = Server::with_extensions(timeouts, puppet);
    let a = user(&mut server, 0, "dora");
    does(&mut server, a, "call store;keep", [called(1, "store", "")]);
    server.after(seconds(61)).input(Input::Stalled { gap: seconds(60) });
    server.does_nothing();
    assert_eq!((server.counts().service_calls, server.counts().commands_waiting), (1, 1));
    server.after(seconds(1)).tick();
    server.does_nothing();
    assert_eq!((server.counts().service_calls, server.counts().commands_waiting), (0, 1));
    server.after(seconds(1)).tick();
    server.does([send(a, command_refused(1, PUPPET, Code::ExtensionFailed))]);
}

#[test]
fn handlers_hear_who_comes_and_goes_after_it_has_happened() {
    let mut server = Server::with_extensions(|config| config.empty_room_timeout = seconds(5), puppet);
    let a = user(&mut server, 0, "dora");
    let b = server.user_as(1, "eve", accepted_as_administrator());
    server.enters(a, PLAZA);
    server.enters(b, PLAZA);
    server.says(b, kick(1, PLAZA, server.id_of(a)));
    server.take_events();
    server.enters(a, 5);
    server.leaves(a, 5);
    server.says(b, logout(2));
    server.take_events();
    replies(
        &mut server,
        a,
        "heard",
        "eve in,dora enters 1 of 1,eve enters 1 of 2,dora leaves 1 Kicked,dora enters 5 of 1,dora leaves 5 Left,eve \
         leaves 1 LoggedOut,eve out",
    );
    server.after(server.engine().config().empty_room_timeout).tick();
    server.take_events();
    let c = server.user(2, "gerd");
    server.enters(c, PLAZA);
    server.disconnects(a);
    server.does([release(server.ticket_of(a), "dora")]);
    server.disconnects(c);
    server.does([release(server.ticket_of(c), "gerd")]);
    let d = server.user(3, "hans");
    let heard = "5 gone,gerd in,gerd enters 1 of 1,dora out,gerd leaves 1 Disconnected,gerd out,hans in";
    replies(&mut server, d, "heard", heard);
}

#[test]
fn random_numbers_are_each_extensions_own() {
    fn two() -> Handlers {
        let mut handlers = puppet();
        handlers.register("another", Puppet::default()).unwrap();
        handlers
    }
    fn numbers(handlers: fn() -> Handlers, others: bool) -> Vec<String> {
        let mut server = Server::with_extensions(|_| {}, handlers);
        let a = server.user(0, "dora");
        let mut numbers = Vec::new();
        for _ in 0..3 {
            if others {
                server.says(a, command(1, "another", "random"));
                server.take_events();
            }
            server.says(a, command(1, PUPPET, "random"));
            numbers.push(format!("{:?}", server.take_events()));
        }
        numbers
    }
    let alone = numbers(puppet, false);
    assert_eq!(alone, numbers(two, true));
    assert!(alone[0] != alone[1] && alone[1] != alone[2]);
}

#[test]
fn disabled_extension_is_not_called_and_nothing_waits_for_it() {
    let mut server = server();
    let a = user(&mut server, 0, "dora");
    does(&mut server, a, "call store;deadline 1 10;keep", [called(1, "store", "")]);
    let extension = PUPPET.parse().unwrap();
    server.says(a, command(2, PUPPET, "panic at once"));
    server.does([
        Event::Failed(extension, "at once".to_owned(), true),
        send(a, command_refused(2, PUPPET, Code::ExtensionFailed)),
    ]);
    server.input(Input::DisableExtension { extension });
    server.does([send(a, command_refused(1, PUPPET, Code::ExtensionFailed))]);
    assert_eq!((server.counts().service_calls, server.counts().commands_waiting), (0, 0));
    server.refuses(a, command(3, PUPPET, "count"), Code::ExtensionFailed);
    server.enters(a, PLAZA);
    server.input(Input::ServiceReply { ticket: CallTicket(1), result: Ok("late".into()) });
    server.does_nothing();
    server.after(milliseconds(20)).tick();
    server.does_nothing();
    // Twice is no mistake, nor is one that is not there.
    server.input(Input::DisableExtension { extension });
    server.does_nothing();
    server.input(Input::DisableExtension { extension: "nobody".parse().unwrap() });
    server.does_nothing();
}

#[test]
fn registration_refuses_bad_and_taken_names() {
    let mut handlers = puppet();
    let taken = handlers.register(PUPPET, Puppet::default()).unwrap_err();
    assert_eq!(taken, RegisterError::Duplicate(PUPPET.parse().unwrap()));
    assert_eq!(taken.to_string(), "there are two extensions called puppet: give one of them another name");
    for name in ["", "Puppet", "pup pet", "p\u{fc}ppet", &"x".repeat(33)] {
        let refused = handlers.register(name, Puppet::default()).unwrap_err();
        assert_eq!(refused, RegisterError::NameInvalid { name: name.to_owned() });
    }
    assert_eq!(handlers.names().map(|name| name.to_string()).collect::<Vec<_>>(), [PUPPET]);
    handlers.register(&"x".repeat(32), Puppet::default()).unwrap();
}

#[test]
fn snapshot_goes_on_only_with_the_same_extensions() {
    let mut server = server();
    let a = user(&mut server, 0, "dora");
    replies(&mut server, a, "count", "1");
    let stored = serde_json::to_string(&server.engine().snapshot()).unwrap();
    let restore = |handlers| Engine::restore_with_extensions(serde_json::from_str(&stored).unwrap(), handlers);
    let name = PUPPET.parse().unwrap();
    assert_eq!(restore(Handlers::new()).unwrap_err(), RestoreError::ExtensionMissing(name));
    let snapshot: Snapshot = serde_json::from_str(&stored).unwrap();
    assert_eq!(Engine::restore(snapshot).unwrap_err(), RestoreError::ExtensionMissing(name));
    let mut more = puppet();
    more.register("another", Puppet::default()).unwrap();
    assert_eq!(restore(more).unwrap_err(), RestoreError::ExtensionUnknown("another".parse().unwrap()));
    let mut other = Handlers::new();
    other.register(PUPPET, Stateless).unwrap();
    let error = restore(other).unwrap_err();
    assert_eq!(
        error.to_string(),
        "extension puppet does not read its state in the snapshot: this extension keeps no state"
    );
    // What was stored in memory alone goes on as well, and goes on from there.
    let snapshot = server.engine().snapshot();
    replies(&mut server, a, "count", "2");
    let restored = Engine::restore_with_extensions(snapshot, puppet()).unwrap();
    assert_eq!(restored, restore(puppet()).unwrap());
    assert_ne!(restored.digest(), server.engine().digest());
}

#[test]
fn state_of_an_extension_shows_in_the_digest() {
    let engine = |count: u64| {
        let mut handlers = Handlers::new();
        handlers.register(PUPPET, Puppet::counting(count)).unwrap();
        Engine::with_extensions(config(), 7, Instant::ZERO, handlers)
    };
    assert_eq!(engine(1).digest(), engine(1).digest());
    assert_ne!(engine(1).digest(), engine(2).digest());
    assert_ne!(engine(1), engine(2));
    assert_ne!(engine(0).digest(), Engine::new(config(), 7, Instant::ZERO).digest());
}

/// An extension that keeps no state.
#[derive(Clone)]
struct Stateless;

impl CommandHandler for Stateless {
    fn command(&mut self, context: &mut Context<'_>, _: Command<'_>) -> Result<(), Failure> {
        context.keep()?;
        Ok(())
    }
}
