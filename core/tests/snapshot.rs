//! Snapshots: an engine goes on where one was taken, and takes up none that is damaged.

use std::panic::{AssertUnwindSafe, catch_unwind};

use lobbyd_core::Engine;
use lobbyd_core::engine::{RestoreError, Snapshot};
use serde_json::{Value, json};

use crate::support::history::{aftermath, busy, engine, replay, step};
use crate::support::json::{leaves, other_values};
use crate::support::through_json;

fn stored() -> Value {
    serde_json::to_value(replay(&busy()).snapshot()).expect("a snapshot can be stored")
}

fn restore(stored: &Value) -> Result<Engine, RestoreError> {
    let snapshot: Snapshot = serde_json::from_value(stored.clone()).expect("the kinds of the values are right");
    Engine::restore(snapshot)
}

/// The session in slot `index`, as a pointer.
fn slot(index: u32, rest: &str) -> String {
    format!("/engine/sessions/slots/{index}/{rest}")
}

fn room(number: u32, rest: &str) -> String {
    format!("/engine/lobby/rooms/{number}/{rest}")
}

/// The state with these values changed is refused for this reason.
#[track_caller]
fn is_refused<const N: usize>(reason: &'static str, changes: [(String, Value); N]) {
    let mut stored = stored();
    for (pointer, value) in changes {
        let place = stored.pointer_mut(&pointer).unwrap_or_else(|| panic!("{pointer} is not there"));
        assert_ne!(*place, value, "{pointer} is that already");
        *place = value;
    }
    assert_eq!(restore(&stored).err(), Some(RestoreError::Inconsistent(reason)));
}

/// The state with one more element at the end of a list is refused for this reason.
#[track_caller]
fn is_refused_with(reason: &'static str, pointer: &str, element: Value) {
    let mut stored = stored();
    stored.pointer_mut(pointer).and_then(Value::as_array_mut).expect("a list is there").push(element);
    assert_eq!(restore(&stored).err(), Some(RestoreError::Inconsistent(reason)));
}

#[test]
fn engine_restored_anywhere_goes_on_like_the_one_that_was_stored() {
    let history: Vec<_> = busy().into_iter().chain(aftermath()).collect();
    let mut engine = engine();
    let mut restored = Vec::new();
    for (place, entry) in history.iter().enumerate() {
        if place % 7 == 0 {
            restored.push(through_json(&engine));
        }
        let deeds = step(&mut engine, entry);
        for other in &mut restored {
            assert_eq!(step(other, entry), deeds, "at {place}");
            assert_eq!(other.poll_timeout(), engine.poll_timeout());
            assert_eq!(other.digest(), engine.digest(), "at {place}");
        }
        engine.check().unwrap();
    }
    assert!(restored.iter().all(|other| *other == engine));
    assert_eq!(engine.counts().sessions, 0, "the aftermath ends with everybody gone");
}

#[test]
fn stored_state_is_not_changed_by_what_comes_after() {
    let mut engine = replay(&busy());
    let (snapshot, digest) = (engine.snapshot(), engine.digest());
    for entry in aftermath() {
        step(&mut engine, &entry);
    }
    assert_ne!(engine.digest(), digest);
    assert_eq!(snapshot.digest(), digest);
    let stored = serde_json::to_value(&snapshot).unwrap();
    let read: Snapshot = serde_json::from_value(stored).unwrap();
    assert_eq!(read.digest(), digest, "before anybody has taken it up");
    assert_eq!(Engine::restore(snapshot).unwrap().digest(), digest);
}

#[test]
fn busy_history_leaves_something_of_everything() {
    let stored = stored();
    for pointer in ["lobby/free", "lobby/creations", "lobby/password_failures", "connects", "attempts/by_user"] {
        let list = stored.pointer(&format!("/engine/{pointer}")).unwrap().as_array().unwrap();
        assert!(!list.is_empty(), "{pointer} is empty");
    }
    assert_eq!(stored.pointer(&slot(10, "state")), Some(&json!("AwaitingHello")));
    assert_eq!(stored.pointer(&slot(12, "state")), Some(&json!("Anonymous")));
    assert_eq!(stored.pointer(&slot(11, "state/LoginPending/user")), Some(&json!("gerd")));
    assert_eq!(stored.pointer(&slot(0, "state/Online/nickname")), Some(&json!("Änne")));
    assert_eq!(stored.pointer(&slot(3, "state/Online/administrator")), Some(&json!(true)));
    assert_eq!(stored.pointer(&room(8, "banned/0")), Some(&json!("anna")));
}

#[test]
fn snapshot_of_another_layout_is_refused() {
    let mut stored = stored();
    stored["version"] = json!(4);
    let error = restore(&stored).unwrap_err();
    assert_eq!(error, RestoreError::Version { found: 4, expected: 3 });
    assert_eq!(error.to_string(), "the snapshot has layout 4, this build reads layout 3");
    // Whatever else is wrong with it: another layout cannot be judged.
    stored["version"] = json!(0);
    stored["engine"]["now"] = json!(0);
    assert_eq!(restore(&stored).unwrap_err(), RestoreError::Version { found: 0, expected: 3 });
}

#[test]
fn refusal_says_what_does_not_fit() {
    let mut stored = stored();
    stored["engine"]["now"] = json!(0);
    let error = restore(&stored).unwrap_err();
    assert_eq!(error.to_string(), "the snapshot is damaged: a session was heard in the future");
}

#[test]
fn sessions_that_do_not_fit_are_refused() {
    is_refused("a session is not in its slot", [(slot(0, "id/index"), json!(1))]);
    is_refused("sessions are counted wrongly", [("/engine/sessions/count".into(), json!(9))]);
    is_refused("sessions are counted wrongly by address", [("/engine/sessions/by_address/0/1".into(), json!(9))]);
    is_refused("a session was heard in the future", [(slot(0, "heard_at"), json!(u64::MAX))]);
    is_refused("there are more sessions than allowed", [("/engine/config/sessions_max".into(), json!(9))]);
    is_refused("there are more users online than allowed", [("/engine/config/users_max".into(), json!(6))]);
    is_refused("time is beyond its end", [("/engine/now".into(), json!(u64::MAX))]);
    let reason = "a session has outlived its failed logins";
    let most = stored()["engine"]["config"]["login_failures_per_session_max"].clone();
    is_refused(reason, [(slot(12, "login_failures"), most)]);
    is_refused(reason, [(slot(12, "login_failures"), json!(u32::MAX))]);
    is_refused("the configuration cannot hold", [("/engine/config/users_max".into(), json!(0))]);
}

#[test]
fn logins_that_do_not_fit_are_refused() {
    let (online, pending) = (
        |index, rest: &str| slot(index, &format!("state/Online/{rest}")),
        |rest: &str| slot(11, &format!("state/LoginPending/{rest}")),
    );
    is_refused("a session may stay for ever without logging in", [(slot(10, "login_at"), Value::Null)]);
    is_refused("a session may stay for ever without logging in", [(slot(12, "login_at"), Value::Null)]);
    is_refused("a login may wait for ever", [(slot(11, "login_at"), Value::Null)]);
    is_refused("a logged-in session must still log in", [(slot(0, "login_at"), json!(1))]);
    is_refused("a login waits in another session", [(pending("ticket/session/index"), json!(12))]);
    is_refused("a login belongs to another session", [(online(0, "ticket/session/generation"), json!(1))]);
    is_refused("a ticket was never issued", [(pending("ticket/serial"), json!(12))]);
    is_refused("a ticket was never issued", [(online(0, "ticket/serial"), json!(0))]);
    is_refused("a ticket was never issued", [("/engine/attempts/last_serial".into(), json!(10))]);
    let reason = "there are no more numbers for logins";
    is_refused(reason, [("/engine/attempts/last_serial".into(), json!(u64::MAX))]);
    is_refused("a ticket was issued twice", [(pending("ticket/serial"), json!(1))]);
    is_refused("a ticket was issued twice", [(online(13, "ticket/serial"), json!(9))]);
    is_refused("a login has another login's number", [(online(0, "id"), json!(8))]);
    is_refused("an online user is not in the directory", [(online(0, "name"), json!("anne"))]);
    is_refused("an online user is not in the directory", [("/engine/users/online/0/1/index".into(), json!(1))]);
    is_refused("pending logins are counted wrongly", [("/engine/attempts/pending".into(), json!(2))]);
    let stranger = json!([["zora", 8], { "index": 6, "generation": 0 }]);
    is_refused_with("the directory holds users who are not online", "/engine/users/online", stranger);
}

#[test]
fn directory_that_does_not_fit_is_refused() {
    let lobby = |rest: &str| format!("/engine/lobby/{rest}");
    is_refused("a room is filed under another number", [(room(3, "number"), json!(4))]);
    let reason = "a room of the configuration can be cleaned up, or another cannot";
    is_refused(reason, [(room(1, "creator"), json!("anna"))]);
    is_refused(reason, [(room(3, "creator"), Value::Null)]);
    is_refused("a room's capacity is over the limit", [(room(3, "capacity"), json!(1_001))]);
    is_refused("created rooms are counted wrongly", [(lobby("created_by/bert"), json!(3))]);
    is_refused("created rooms are counted wrongly", [(room(3, "creator"), json!("anna"))]);
    is_refused("room numbers are reserved wrongly", [(lobby("reserved"), json!(4))]);
    is_refused("room numbers are reserved wrongly", [("/engine/config/open_rooms_max".into(), json!(6))]);
    is_refused("reserved room numbers are given away", [(lobby("numbers_used"), json!(4))]);
    let reason = "a room number is lost, or both free and in use";
    is_refused(reason, [(lobby("free"), json!([]))]);
    is_refused(reason, [(lobby("free"), json!([7, 8]))]);
    is_refused(reason, [(lobby("free"), json!([5, 7]))]);
    is_refused(reason, [(lobby("numbers_used"), json!(11))]);
    let reason = "free room numbers at the end are remembered";
    is_refused(reason, [(lobby("free"), json!([7, 11])), (lobby("numbers_used"), json!(11))]);
    is_refused("there are more rooms than allowed", [("/engine/config/rooms_max".into(), json!(7))]);
    is_refused("more attempts are remembered than allowed", [("/engine/config/remembered_max".into(), json!(1))]);
    let fifth = json!({ "number": 5, "title": "Fifth", "capacity": 3, "password": null });
    is_refused_with("a room of the configuration is missing", "/engine/config/fixed_rooms", fifth);
}

#[test]
fn each_kind_of_attempts_is_bounded() {
    let reason = "more attempts are remembered than allowed";
    let nobody = |kind: &str| (format!("/engine/{kind}"), json!([]));
    let most = |most: u32| ("/engine/config/remembered_max".to_owned(), json!(most));
    let mut many = stored()["engine"]["attempts"]["by_user"].clone();
    many.as_array_mut().unwrap().truncate(1);
    many.as_array_mut().unwrap().push(json!(["zora", { "full_at": 1 }]));
    let users = ("/engine/attempts/by_user".to_owned(), many);
    is_refused(reason, [nobody("connects"), users, nobody("attempts/by_address"), most(1)]);
    let addresses = (
        "/engine/attempts/by_address".to_owned(),
        json!([[{ "V4": 1 }, { "full_at": 1 }], [{ "V4": 2 }, { "full_at": 1 }]]),
    );
    is_refused(reason, [nobody("connects"), nobody("attempts/by_user"), addresses, most(1)]);
}

#[test]
fn map_with_a_key_twice_is_no_snapshot() {
    let mut stored = stored();
    let connects = stored.pointer_mut("/engine/connects").and_then(Value::as_array_mut).unwrap();
    let again = connects.last().unwrap().clone();
    connects.push(again);
    assert!(serde_json::from_value::<Snapshot>(stored).is_err());
}

#[test]
fn rooms_that_do_not_fit_are_refused() {
    is_refused("a session's room does not know it", [(slot(0, "state/Online/room"), json!(3))]);
    let reason = "a room's member is elsewhere, or somebody else";
    is_refused(reason, [(room(3, "members/0/user/name"), json!("anna"))]);
    is_refused(reason, [(room(3, "members/0/user/nickname"), json!("Anna"))]);
    is_refused(reason, [(slot(1, "state/Online/room"), Value::Null)]);
    is_refused("a session's room does not know it", [(room(3, "members/0/session/generation"), json!(1))]);
    let bert =
        json!({ "session": { "index": 1, "generation": 0 }, "user": { "id": 2, "name": "bert", "nickname": null } });
    is_refused_with("a member is in a room twice", &room(3, "members"), bert);
    is_refused("a room holds more members than its capacity", [(room(3, "capacity"), json!(0))]);
    is_refused("a room holds too many bans", [(room(8, "banned"), json!(["anna", "bert", "carl"]))]);
    let reason = "an empty room stays for ever, or one in use does not";
    is_refused(reason, [(room(4, "empty_at"), Value::Null)]);
    is_refused(reason, [(room(3, "empty_at"), json!(1))]);
    is_refused(reason, [(room(1, "empty_at"), json!(1))]);
    is_refused("a room's owner is not in it", [(room(3, "owner"), json!(1))]);
    let reason = "a created room has members and no owner, or another has one";
    is_refused(reason, [(room(3, "owner"), Value::Null)]);
    is_refused(reason, [(room(2, "owner"), json!(5))]);
    is_refused("there are no more numbers for a room's changes", [(room(3, "sequence"), json!(u64::MAX))]);
}

#[test]
fn deadlines_that_do_not_fit_are_refused() {
    is_refused("a session may be silent for ever", [(slot(0, "heartbeat_at"), Value::Null)]);
    is_refused("a session may be silent for too long", [(slot(0, "heartbeat_at"), json!(u64::MAX))]);
    is_refused("a remembered deadline is not armed", [(slot(0, "heartbeat_at"), json!(1))]);
    is_refused("a remembered deadline is not armed", [(slot(10, "login_at"), json!(1))]);
    is_refused("a remembered deadline is not armed", [(room(4, "empty_at"), json!(1))]);
    let reason = "a session outlives the server, or it does not drain";
    is_refused(reason, [(slot(0, "drain_at"), json!(1))]);
    is_refused(reason, [("/engine/drain".into(), json!({ "end_at": null }))]);
    is_refused_with("a deadline is armed for nobody", "/engine/deadlines/armed", json!([1, "DrainEnd"]));
}

/// However a single value is changed: the snapshot is refused, or what comes of it goes on without a panic.
#[test]
fn no_damaged_value_makes_an_engine_that_panics() {
    let (stored, aftermath) = (stored(), aftermath());
    let mut went_on = 0;
    for pointer in leaves(&stored) {
        for value in other_values(&stored, &pointer) {
            let mut damaged = stored.clone();
            *damaged.pointer_mut(&pointer).unwrap() = value.clone();
            let Ok(Ok(mut engine)) = serde_json::from_value::<Snapshot>(damaged).map(Engine::restore) else {
                continue;
            };
            went_on += 1;
            let run = catch_unwind(AssertUnwindSafe(|| {
                for entry in &aftermath {
                    step(&mut engine, entry);
                    engine.check().unwrap();
                }
            }));
            assert!(run.is_ok(), "{pointer} is {value}");
        }
    }
    assert!(went_on > 200, "only {went_on} were restored");
}
