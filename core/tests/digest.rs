//! The digest: equal states have equal ones, over runs, builds and machines, and any difference shows.

use std::collections::{BTreeMap, BTreeSet};

use lobbyd_core::Engine;
use lobbyd_core::action::Actions;
use lobbyd_core::engine::Snapshot;

use crate::support::history::{START, aftermath, busy, config, engine, replay, step};
use crate::support::json::{is_version, leaves, other_values};
use crate::support::{milliseconds, through_json};

#[test]
fn equal_histories_have_equal_digests_at_every_step() {
    let (mut one, mut other) = (engine(), engine());
    let mut digests = BTreeSet::new();
    for entry in busy().iter().chain(&aftermath()) {
        assert_eq!(step(&mut one, entry), step(&mut other, entry));
        assert_eq!(one.digest(), other.digest());
        assert_eq!(through_json(&one).digest(), one.digest());
        assert!(digests.insert(one.digest()), "a step that changes nothing of the state: {entry:?}");
    }
}

/// The same number on every machine, in every build, for ever. A change in the layout of the state changes it: then
/// `SNAPSHOT_VERSION` has to rise, and these numbers with it.
#[test]
fn digest_is_the_same_everywhere() {
    assert_eq!(engine().digest(), 3_928_512_144_973_679_798);
    assert_eq!(replay(&busy()).digest(), 6_173_531_147_283_681_576);
    let whole: Vec<_> = busy().into_iter().chain(aftermath()).collect();
    assert_eq!(replay(&whole).digest(), 165_070_550_967_089_257);
}

#[test]
fn states_of_different_histories_have_different_digests() {
    let history = busy();
    let mut states = BTreeMap::from([(replay(&history).digest(), replay(&history))]);
    for left_out in 0..history.len() {
        let mut shorter = history.clone();
        let entry = shorter.remove(left_out);
        let engine = replay(&shorter);
        if let Some(other) = states.insert(engine.digest(), engine.clone()) {
            assert!(other == engine, "two states have one digest, one without {entry:?}");
        }
    }
    // Some inputs make no difference in the end, such as the one before a session that never comes to anything.
    assert!(states.len() > history.len() / 2, "{} of {}", states.len(), history.len());
}

#[test]
fn seed_time_and_configuration_show_in_the_digest() {
    let digest = engine().digest();
    assert_ne!(Engine::new(config(), 8, START).digest(), digest);
    assert_ne!(Engine::new(config(), 7, START + milliseconds(1)).digest(), digest);
    let mut other = config();
    other.bans_per_room_max += 1;
    assert_ne!(Engine::new(other, 7, START).digest(), digest);
    let mut later = engine();
    later.handle_timeout(START + milliseconds(1), &mut Actions::new());
    assert_ne!(later.digest(), digest);
}

/// Whatever value of the stored state is changed: the state is refused, or it is another one and so is its digest.
#[test]
fn every_stored_value_shows_in_the_digest() {
    let engine = replay(&busy());
    let stored = serde_json::to_value(engine.snapshot()).unwrap();
    let (mut refused, mut different) = (0, 0);
    for pointer in leaves(&stored).into_iter().filter(|pointer| !is_version(pointer)) {
        for value in other_values(&stored, &pointer) {
            let mut changed = stored.clone();
            *changed.pointer_mut(&pointer).unwrap() = value.clone();
            match serde_json::from_value::<Snapshot>(changed).map(Engine::restore) {
                Err(_) | Ok(Err(_)) => refused += 1,
                Ok(Ok(restored)) => {
                    // A set that is stored with an element twice is the same set.
                    let is_same = restored == engine;
                    different += u32::from(!is_same);
                    let says_same = restored.digest() == engine.digest();
                    assert_eq!(says_same, is_same, "{pointer} is {value}");
                }
            }
        }
    }
    assert!(refused > 200 && different > 200, "{refused} refused, {different} different");
}
