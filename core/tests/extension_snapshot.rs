//! Snapshots of engines with extensions: what is stored of them, and none that is damaged is taken up.

use lobbyd_core::Engine;
use lobbyd_core::engine::{RestoreError, Snapshot};

use crate::extension::{called, does, replies, server, user};
use crate::support::packets::*;
use crate::support::puppet::{PUPPET, puppet};

#[test]
fn extensions_that_do_not_fit_are_refused() {
    let mut server = server();
    let a = user(&mut server, 0, "dora");
    does(&mut server, a, "call store;deadline 1 500;deadline 2 500;keep", [called(1, "store", "")]);
    let stored = serde_json::to_value(server.engine().snapshot()).unwrap();
    let is_refused = |reason: &'static str, pointer: &str, value: serde_json::Value| {
        let mut stored = stored.clone();
        *stored.pointer_mut(pointer).unwrap_or_else(|| panic!("{pointer} is not there")) = value;
        let snapshot: Snapshot = serde_json::from_value(stored).unwrap();
        let error = Engine::restore_with_extensions(snapshot, puppet()).unwrap_err();
        assert_eq!(error, RestoreError::Inconsistent(reason));
    };
    let at = |rest: &str| format!("/engine/extensions/{rest}");
    is_refused("a disabled extension has deadlines", &at("slots/0/is_disabled"), true.into());
    let reason = "an extension has more deadlines than allowed";
    is_refused(reason, "/engine/config/extension_deadlines_max", 1.into());
    let reason = "something waits for an extension that is not there";
    is_refused(reason, &at("waiting/0/1/place"), 1.into());
    is_refused(reason, &at("calls/0/1/caller/Extension"), 1.into());
    is_refused("a command waits for another's extension", &at("waiting/0/1/name"), "pupp".into());
    is_refused("more commands wait than allowed", "/engine/config/commands_waiting_max", 0.into());
    let reason = "more service calls are under way than allowed";
    is_refused(reason, "/engine/config/service_calls_max", 0.into());
    is_refused("a number is used twice for an extension", &at("calls/0/0"), 2.into());
    is_refused("a number was never issued to an extension", &at("last_serial"), 1.into());
    is_refused("a number was never issued to an extension", &at("calls/0/0"), 0.into());
}

#[test]
fn stored_state_can_be_copied_and_shown() {
    let mut server = server();
    let a = user(&mut server, 0, "dora");
    replies(&mut server, a, "count", "1");
    let stored = serde_json::to_string(&server.engine().snapshot()).unwrap();
    let snapshot: Snapshot = serde_json::from_str(&stored).unwrap();
    assert_eq!(
        format!("{snapshot:?}"),
        format!("{:?}", server.engine().snapshot()),
        "stored or not, it shows the same"
    );
    let restored = Engine::restore_with_extensions(snapshot.clone(), puppet()).unwrap();
    assert_eq!(restored, *server.engine());
}

#[test]
fn waiting_commands_that_do_not_fit_are_refused() {
    let mut server = server();
    let a = user(&mut server, 0, "dora");
    server.guest(1);
    for _ in 0..2 {
        server.says(a, command(7, PUPPET, "keep"));
        server.does_nothing();
    }
    let stored = serde_json::to_value(server.engine().snapshot()).unwrap();
    let refusal = |pointer: &str, value: u32| {
        let mut stored = stored.clone();
        *stored.pointer_mut(pointer).unwrap() = value.into();
        let snapshot: Snapshot = serde_json::from_value(stored).unwrap();
        Engine::restore_with_extensions(snapshot, puppet()).unwrap_err()
    };
    let reason = "a command waits of nobody who is online";
    // The last one in the order of sessions, so that the order still holds.
    assert_eq!(refusal("/engine/extensions/waiting/1/0/session/index", 1), RestoreError::Inconsistent(reason));
    assert_eq!(refusal("/engine/extensions/waiting/1/0/session/index", 2), RestoreError::Inconsistent(reason));
    let reason = "more commands of a session wait than allowed";
    let setting = "/engine/config/commands_waiting_per_session_max";
    assert_eq!(refusal(setting, 1), RestoreError::Inconsistent(reason));
}
