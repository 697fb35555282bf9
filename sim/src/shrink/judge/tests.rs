//! What is left of a scenario that a broken server breaks holds on a sound one.

use std::collections::VecDeque;
use std::time::Duration;

use lobbyd_core::packet::{LeaveCause, ServerPacket};

use super::*;
use crate::extend::Extend;
use crate::layers::pure::Pure;
use crate::layers::{Arrival, CannotDo, Failure};
use crate::scenario::{Check, Fault, Operation};
use crate::shrink::{Size, shrink};

const SEED: u64 = 3;

/// A world whose server is sound but for what never arrives, and for one that it counts too many.
struct Broken {
    world: Pure,
    loses: fn(&ServerPacket) -> bool,
    miscounts: bool,
}

impl World for Broken {
    fn now(&self) -> Duration {
        self.world.now()
    }

    fn begin(&mut self, client: &str, operation: &Operation) -> Result<(), CannotDo> {
        self.world.begin(client, operation)
    }

    fn inject(&mut self, fault: &Fault) -> Result<(), CannotDo> {
        self.world.inject(fault)
    }

    fn check(&mut self, daemon: &str, check: Check) -> Result<Result<(), String>, CannotDo> {
        match check {
            Check::Online(count) if self.miscounts => self.world.check(daemon, Check::Online(count.saturating_sub(1))),
            Check::Online(_) | Check::Empty | Check::Sessions(_) | Check::Rooms(_) => self.world.check(daemon, check),
        }
    }

    fn step(&mut self, limit: Duration) -> Result<bool, Failure> {
        self.world.step(limit)
    }

    fn is_quiet(&self) -> bool {
        self.world.is_quiet()
    }

    fn arrived(&mut self, client: &str) -> &mut VecDeque<Arrival> {
        let loses = self.loses;
        let arrived = self.world.arrived(client);
        arrived.retain(|arrival| !matches!(arrival, Arrival::Packet(packet) if loses(packet)));
        arrived
    }
}

/// Four in two rooms, of whom two are cut off; whoever was in a room with them has to be told.
const TOWN: &str = r#"# Those who stay hear of those who were cut off.
room 1 "Plaza" capacity 10
room 2 "Cellar" capacity 10
account alice wonder
account bob builder
account carol singer
account dora explorer

alice arrives
bob arrives
carol arrives
dora arrives
alice enter 1 -> RoomUserListNotify
  -> RoomEnterResponse room=1
carol enter 2 -> RoomUserListNotify
  -> RoomEnterResponse room=2
bob enter 1 -> RoomUserListNotify users=[alice,bob]
  -> RoomEnterResponse room=1
  alice -> RoomNewUserNotify name=bob
dora enter 2 -> RoomUserListNotify
  -> RoomEnterResponse room=2
  carol -> RoomNewUserNotify name=dora
repeat 5
  alice chat 1 "one" -> RoomChatResponse
    bob -> RoomChatNotify text="one"
  carol chat 2 "two" -> RoomChatResponse
    dora -> RoomChatNotify text="two"
  advance 700ms
carol leave 2 -> RoomLeaveResponse
  dora -> RoomLeaveUserNotify
check server online 4
alice reset
  bob -> RoomLeaveUserNotify cause=Disconnected
"#;

fn read(source: &str) -> Scenario {
    // Every step gets a line of its own.
    parse(&print(&parse(source).expect("a scenario"))).expect("the same")
}

fn run(scenario: &Scenario, world: WorldOf<'_>) -> Result<(), Violation> {
    runner::run(scenario, world(scenario).expect("it can be built").as_mut()).result
}

fn sound(scenario: &Scenario) -> anyhow::Result<Box<dyn World>> {
    Ok(Box::new(Pure::new(&scenario.setup, SEED)?))
}

fn reference(scenario: &Scenario) -> anyhow::Result<Box<dyn World>> {
    Ok(Box::new(Pure::reference(&scenario.setup, SEED, &Extend::default())?))
}

fn no_reference(_: &Scenario) -> anyhow::Result<Box<dyn World>> {
    anyhow::bail!("there is none")
}

fn without_goodbyes(scenario: &Scenario) -> anyhow::Result<Box<dyn World>> {
    let loses: fn(&ServerPacket) -> bool =
        |packet| matches!(packet, ServerPacket::RoomLeaveUserNotify { cause: LeaveCause::Disconnected, .. });
    Ok(Box::new(Broken { world: Pure::new(&scenario.setup, SEED)?, loses, miscounts: false }))
}

fn one_too_many(scenario: &Scenario) -> anyhow::Result<Box<dyn World>> {
    Ok(Box::new(Broken { world: Pure::new(&scenario.setup, SEED)?, loses: |_| false, miscounts: true }))
}

/// What is left of a town that `world` breaks, with the size of it. It breaks what is left in the same way.
fn left(world: WorldOf<'_>, reference: WorldOf<'_>) -> (Scenario, Size) {
    let whole = read(TOWN);
    let violation = run(&whole, world).expect_err("it is broken");
    let judge = Judge::new(&whole, &violation, world, reference, Clock::Same);
    let smallest = shrink(&whole, &mut |candidate| judge.counts(candidate), &mut |_| {});
    let again = run(&read(&print(&smallest)), world).expect_err("what is left is broken");
    assert_eq!(again.signature(), violation.signature());
    let size = Size::of(&smallest);
    (smallest, size)
}

/// As [`left`], by nothing but how it breaks.
fn left_by_signature(world: WorldOf<'_>) -> Scenario {
    let whole = read(TOWN);
    let signature = run(&whole, world).expect_err("it is broken").signature();
    let breaks = |candidate: &Scenario| run(&read(&print(candidate)), world);
    shrink(&whole, &mut |candidate| breaks(candidate).is_err_and(|it| it.signature() == signature), &mut |_| {})
}

#[test]
fn town_holds_on_a_sound_server() {
    run(&read(TOWN), &sound).expect("it holds");
    run(&read(TOWN), &reference).expect("it holds");
}

#[test]
fn missing_packet_is_due_in_what_is_left() {
    let (smallest, size) = left(&without_goodbyes, &reference);
    run(&smallest, &sound).unwrap_or_else(|violation| panic!("{violation}\n{}", print(&smallest)));
    assert_eq!(size.clients, 2, "{}", print(&smallest));
    assert!(size.steps <= 10, "{}", print(&smallest));
    // Who goes by the violation alone is left with a packet that nothing causes.
    let unfair = left_by_signature(&without_goodbyes);
    assert!(run(&unfair, &sound).is_err(), "{}", print(&unfair));
}

#[test]
fn count_is_right_in_what_is_left() {
    let (smallest, _) = left(&one_too_many, &reference);
    run(&smallest, &sound).unwrap_or_else(|violation| panic!("{violation}\n{}", print(&smallest)));
    let unfair = left_by_signature(&one_too_many);
    assert!(run(&unfair, &sound).is_err(), "{}", print(&unfair));
}

#[test]
fn without_a_reference_everything_stays_that_the_packet_depends_on() {
    let (smallest, size) = left(&without_goodbyes, &no_reference);
    run(&smallest, &sound).unwrap_or_else(|violation| panic!("{violation}\n{}", print(&smallest)));
    // Those in the other room have nothing to do with it.
    assert_eq!(size.clients, 2, "{}", print(&smallest));
    let text = print(&smallest);
    assert!(text.contains("bob enter 1") && text.contains("alice enter 1") && !text.contains("Cellar"), "{text}");
}

#[test]
fn without_a_reference_a_count_keeps_everybody_who_is_counted() {
    let (smallest, size) = left(&one_too_many, &no_reference);
    run(&smallest, &sound).unwrap_or_else(|violation| panic!("{violation}\n{}", print(&smallest)));
    assert_eq!(size.clients, 4, "{}", print(&smallest));
}

#[test]
fn what_no_server_does_is_made_small_for_its_own_sake() {
    let whole = read(&TOWN.replace("cause=Disconnected", "cause=Kicked"));
    let violation = run(&whole, &sound).expect_err("it is wrong");
    let judge = Judge::new(&whole, &violation, &sound, &reference, Clock::Same);
    let smallest = shrink(&whole, &mut |candidate| judge.counts(candidate), &mut |_| {});
    for world in [&sound as WorldOf<'_>, &reference] {
        let violation = run(&smallest, world).expect_err("it is still wrong");
        assert!(violation.arrived.contains("(cause is Disconnected"), "{violation}\n{}", print(&smallest));
    }
    assert_eq!(Size::of(&smallest).clients, 2, "{}", print(&smallest));
}

#[test]
fn no_time_becomes_shorter_where_the_reference_has_another_clock() {
    let whole = read(TOWN);
    let violation = run(&whole, &without_goodbyes).expect_err("it is broken");
    let judge = Judge::new(&whole, &violation, &without_goodbyes, &reference, Clock::Other);
    let with = |line: &str| read(&print(&whole).replace("advance 700ms", line));
    for (line, counts) in [("advance 700ms", true), ("advance 701ms", true), ("advance 699ms", false)] {
        // The lines are those of the whole.
        assert_eq!(judge.counts(&with(line)), counts, "{line}");
    }
    let smallest = shrink(&whole, &mut |candidate| judge.counts(candidate), &mut |_| {});
    assert!(Size::of(&smallest).steps <= 10, "a time may be left out altogether: {}", print(&smallest));
}
