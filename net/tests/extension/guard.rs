use std::time::Duration;

use lobbyd_core::action::Action;
use lobbyd_core::extension::{Command, CommandHandler, Context, Event, Failure, RegisterError, Reply};
use lobbyd_core::id::AskId;
use lobbyd_core::input::{Admin, Input};
use lobbyd_core::packet::Code;
use lobbyd_net::extension::Extensions;
use lobbyd_net::extension::middleware::PacketLog;

use crate::support::{ALICE, Server, chat, command, responses};

/// Counts, and panics when told to, after it has counted.
#[derive(Clone, Default)]
struct Fragile {
    count: u8,
}

impl CommandHandler for Fragile {
    fn command(&mut self, context: &mut Context<'_>, command: Command<'_>) -> Result<(), Failure> {
        self.count += 1;
        context.reply(Reply::success(self.count.to_string().as_bytes()))?;
        assert!(command.parameters != b"panic", "it was told to");
        Ok(())
    }

    fn save(&self, out: &mut Vec<u8>) {
        assert!(self.count != 99, "it cannot be saved");
        out.push(self.count);
    }

    fn load(&mut self, state: &[u8]) -> Result<(), String> {
        match state {
            [count] => self.count = *count,
            _ => return Err("not one byte".to_owned()),
        }
        Ok(())
    }
}

fn extensions() -> Extensions {
    let mut extensions = Extensions::new();
    extensions.command("fragile", Fragile::default()).unwrap();
    extensions
}

#[test]
fn panic_is_answered_reported_and_the_last_to_happen() {
    let mut server = Server::new(extensions());
    assert_eq!(responses(&server.says(ALICE, command(1, "fragile", ""))), ["\"1\""]);
    let said = server.says(ALICE, command(2, "fragile", "panic"));
    assert_eq!(responses(&said), ["ExtensionFailed"]);
    let extension = "fragile".parse().unwrap();
    let reason = "it was told to".into();
    assert!(said.contains(&Action::ExtensionFailed { extension, reason, panicked: true }), "{said:?}");
    // Also before the driver has disabled it, it is not called again.
    assert_eq!(responses(&server.says(ALICE, command(3, "fragile", ""))), ["ExtensionFailed"]);
    server.input(Input::DisableExtension { extension });
    let said = server.says(ALICE, command(4, "fragile", ""));
    assert_eq!((responses(&said), said.len()), (vec!["ExtensionFailed".to_owned()], 1));
    assert_eq!(responses(&server.says(ALICE, chat(5, "still here"))), ["ok"]);
}

/// The state, as the guard stores it.
fn stored(server: &Server) -> Vec<u8> {
    let snapshot = serde_json::to_value(server.assembled.engine.snapshot()).unwrap();
    serde_json::from_value(snapshot["engine"]["extensions"]["slots"][0]["keeper"].clone()).unwrap()
}

#[test]
fn state_goes_back_to_the_last_copy() {
    let mut server = Server::new(extensions());
    for _ in 0..3 {
        server.says(ALICE, command(1, "fragile", ""));
    }
    // The next second begins with a copy at 3; then two more, of which the copy knows nothing.
    server.after(Duration::from_secs(1));
    for _ in 0..2 {
        server.says(ALICE, command(1, "fragile", ""));
    }
    server.says(ALICE, command(2, "fragile", "panic"));
    let state = stored(&server);
    assert_eq!((state[8], &state[17..]), (1, &[3][..]));
}

#[test]
fn restored_guard_does_what_the_original_does() {
    let mut server = Server::new(extensions());
    server.says(ALICE, command(1, "fragile", ""));
    server.after(Duration::from_secs(1)).says(ALICE, command(1, "fragile", ""));
    server.says(ALICE, command(1, "fragile", ""));
    let snapshot = server.assembled.engine.snapshot();
    let stored = serde_json::to_string(&snapshot).unwrap();
    let assembled = extensions().restore(serde_json::from_str(&stored).unwrap()).unwrap();
    assert_eq!(assembled.engine.digest(), server.assembled.engine.digest());
    let mut restored = Server::new(Extensions::new());
    (restored.assembled, restored.now) = (assembled, server.now);
    for parameters in ["", "panic", ""] {
        let packet = command(2, "fragile", parameters);
        assert_eq!(restored.says(ALICE, packet), server.says(ALICE, packet));
        assert_eq!(restored.assembled.engine.digest(), server.assembled.engine.digest());
    }
}

fn enable() -> Input<'static> {
    let extension = "fragile".parse().unwrap();
    Input::Admin(Admin::SetExtension { ask: AskId(1), extension, enabled: true })
}

#[test]
fn extension_that_is_enabled_again_goes_on_from_its_last_copy() {
    let mut server = Server::new(extensions());
    server.says(ALICE, command(1, "fragile", ""));
    server.after(Duration::from_secs(1)).says(ALICE, command(1, "fragile", "panic"));
    server.input(Input::DisableExtension { extension: "fragile".parse().unwrap() });
    assert_eq!(responses(&server.says(ALICE, command(2, "fragile", ""))), ["ExtensionFailed"]);
    // Also a restored one can be enabled, and goes on as the original does.
    let stored = serde_json::to_string(&server.assembled.engine.snapshot()).unwrap();
    let mut restored = Server::new(Extensions::new());
    restored.assembled = extensions().restore(serde_json::from_str(&stored).unwrap()).unwrap();
    restored.now = server.now;
    for server in [&mut server, &mut restored] {
        assert_eq!(server.input(enable()), [Action::Answer { ask: AskId(1), result: Ok(1) }]);
        assert_eq!(responses(&server.says(ALICE, command(3, "fragile", ""))), ["\"2\""]);
    }
    assert_eq!(restored.assembled.engine.digest(), server.assembled.engine.digest());
    // It is guarded as before: what broke first is nowhere any more.
    server.says(ALICE, command(4, "fragile", "panic"));
    server.input(Input::DisableExtension { extension: "fragile".parse().unwrap() });
    server.input(enable());
    assert_eq!(responses(&server.says(ALICE, command(5, "fragile", ""))), ["\"2\""]);
}

/// Panics at being enabled.
#[derive(Clone)]
struct Stubborn;

impl CommandHandler for Stubborn {
    fn command(&mut self, context: &mut Context<'_>, _: Command<'_>) -> Result<(), Failure> {
        Ok(context.reply(Reply::success(b""))?)
    }

    fn event(&mut self, _: &mut Context<'_>, event: Event) -> Result<(), Failure> {
        assert!(event != Event::Enabled, "no");
        Ok(())
    }
}

#[test]
fn panic_at_being_enabled_leaves_the_extension_disabled() {
    let mut extensions = Extensions::new();
    extensions.command("fragile", Stubborn).unwrap();
    let mut server = Server::new(extensions);
    let extension = "fragile".parse().unwrap();
    server.input(Input::DisableExtension { extension });
    let failed = Action::ExtensionFailed { extension, reason: "no".into(), panicked: true };
    let refused = Action::Answer { ask: AskId(1), result: Err(Code::ExtensionFailed) };
    assert_eq!(server.input(enable()), [failed, refused]);
    assert_eq!(responses(&server.says(ALICE, command(2, "fragile", ""))), ["ExtensionFailed"]);
}

#[test]
fn panic_in_saving_leaves_the_server_alone() {
    let mut extensions = Extensions::new();
    extensions.command("fragile", Fragile { count: 98 }).unwrap();
    let mut server = Server::new(extensions);
    server.says(ALICE, command(1, "fragile", ""));
    let (one, other) = (server.assembled.engine.digest(), server.assembled.engine.digest());
    assert_eq!(one, other);
}

#[test]
fn names_are_used_once_among_handlers_and_among_services() {
    let mut extensions = extensions();
    let taken = extensions.command("fragile", Fragile::default()).unwrap_err();
    assert_eq!(taken, RegisterError::Duplicate("fragile".parse().unwrap()));
    assert!(!extensions.is_empty() && !extensions.has_middleware());
    extensions.middleware(PacketLog);
    assert!(extensions.has_middleware());
    assert!(Extensions::new().is_empty());
}
