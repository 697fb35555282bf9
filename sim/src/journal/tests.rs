//! Journals as they are, and wrong ones.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lobbyd_core::Engine;
use lobbyd_core::action::{Action, Actions};
use lobbyd_core::config::{Config, FixedRoom};
use lobbyd_core::id::{RequestId, RoomNumber, SessionId, Ticket};
use lobbyd_core::input::{Account, Input, Verdict, WireFault};
use lobbyd_core::packet::{ClientPacket, PROTOCOL_VERSION, Sealed};
use lobbyd_core::text::Text;
use lobbyd_core::time::Instant;
use lobbyd_net::journal::{Appetite, Beginning, RecordedEngine};

use super::*;

const ROOM: RoomNumber = RoomNumber(1);
const FIRST: SessionId = SessionId { index: 0, generation: 0 };
const SECOND: SessionId = SessionId { index: 0, generation: 1 };
const OTHER: SessionId = SessionId { index: 1, generation: 0 };

/// A sink that keeps every entry by itself, and begins a part with each.
#[derive(Clone, Default)]
struct Entries(Arc<Mutex<Written>>);

#[derive(Clone, Default)]
struct Written {
    beginnings: Vec<Beginning>,
    entries: Vec<Vec<u8>>,
}

impl JournalSink for Entries {
    fn begin(&mut self, beginning: Beginning) {
        self.0.lock().unwrap().beginnings.push(beginning);
    }

    fn append(&mut self, entries: &[u8]) -> Appetite {
        self.0.lock().unwrap().entries.push(entries.to_vec());
        Appetite::Part
    }
}

/// An engine that is recorded.
struct Recorded {
    engine: RecordedEngine,
    entries: Entries,
    now: Instant,
    actions: Actions,
}

impl Recorded {
    fn new() -> Self {
        let room = FixedRoom { number: ROOM, title: Text::new("Plaza"), capacity: 100, password: None };
        let config = Config { fixed_rooms: vec![room], ..Config::default() };
        let entries = Entries::default();
        let mut engine = RecordedEngine::new(Engine::new(config, 7, Instant::ZERO));
        engine.record(Instant::ZERO, Box::new(entries.clone()));
        Self { engine, entries, now: Instant::ZERO, actions: Actions::new() }
    }

    fn tell(&mut self, input: Input<'_>) {
        self.now = self.now + Duration::from_millis(1);
        self.actions.clear();
        self.engine.handle_input(self.now, input, &mut self.actions);
        self.engine.hand_over();
    }

    fn say(&mut self, session: SessionId, packet: ClientPacket<'_, Sealed>) {
        self.tell(Input::Received { session, packet });
    }

    /// Comes in, logs in and enters the room: five entries.
    fn come(&mut self, session: SessionId) {
        self.tell(connected(session));
        self.say(session, ClientPacket::Hello { version: PROTOCOL_VERSION, client: "test".into() });
        let name = format!("user{}", session.index);
        let secret = Sealed([7; 16]);
        self.say(session, ClientPacket::LoginRequest { request: RequestId(1), user: name.as_str().into(), secret });
        let asked = self.actions.iter().find_map(|action| {
            if let Action::VerifyLogin { ticket, user, .. } = action { Some((*ticket, *user)) } else { None }
        });
        let (ticket, user) = asked.expect("the store is asked");
        let verdict = Verdict::Accepted { account: Account::default(), leased: false };
        self.tell(Input::LoginVerdict { ticket, user, verdict });
        self.say(session, ClientPacket::RoomEnterRequest { request: RequestId(2), room: ROOM, password: None });
    }

    fn finish(&mut self) {
        self.engine.finish();
    }

    fn written(&self) -> Written {
        self.entries.0.lock().unwrap().clone()
    }
}

/// What was recorded of one who comes, and of the end.
fn one_who_comes() -> Written {
    let mut recorded = Recorded::new();
    recorded.come(FIRST);
    recorded.finish();
    recorded.written()
}

fn connected(session: SessionId) -> Input<'static> {
    Input::Connected { session, address: IpAddr::V4(Ipv4Addr::LOCALHOST) }
}

/// A journal of one part, with these entries.
fn journal(beginning: &Beginning, entries: &[Vec<u8>]) -> Journal {
    let journal = Journal::new(u32::MAX);
    let mut sink = journal.sink();
    sink.begin(beginning.clone());
    entries.iter().for_each(|entry| assert_eq!(sink.append(entry), Appetite::Entries));
    journal
}

/// What is wrong with a journal of one part, with these entries, that begins as this does.
fn audited(written: &Written, entries: &[Vec<u8>]) -> Result<(), Breach> {
    journal(&written.beginnings[0], entries).finish(&Extend::default())
}

#[test]
fn journal_of_an_engine_holds() {
    let written = one_who_comes();
    assert_eq!(written.entries.len(), 6);
    assert_eq!(audited(&written, &written.entries), Ok(()));
}

#[test]
fn swapped_entries_are_refused() {
    let written = one_who_comes();
    let swapped = |one, other| {
        let mut entries = written.entries.clone();
        entries.swap(one, other);
        audited(&written, &entries)
    };
    let stranger = swapped(0, 1).unwrap_err();
    assert_eq!(stranger, Breach::Stranger { entry: 0, what: "a packet of", session: FIRST });
    assert!(
        matches!(swapped(1, 2), Err(Breach::Different(Difference::Outcome { entry: 1, .. }))),
        "login before hello"
    );
    assert!(
        matches!(swapped(3, 4), Err(Breach::Different(Difference::Outcome { entry: 3, .. }))),
        "in before the verdict"
    );
    assert_eq!(swapped(4, 5), Err(Breach::Different(different_end(&written))), "the end before the last entry");
}

/// What comes of the end one entry too early.
fn different_end(written: &Written) -> Difference {
    let Event::End { digest: recorded } = last_event(written) else { panic!("there is an end") };
    Difference::State { entries: 5, found: written.beginnings[4].snapshot.digest(), recorded }
}

fn last_event(written: &Written) -> Event<Input<'static>> {
    let journal = journal(&written.beginnings[5], &written.entries[5..]);
    let part = journal.tape.take_last().unwrap();
    let (last, _) = Part::read(&part).unwrap().entries().last().unwrap().unwrap();
    match last.event {
        Event::End { digest } => Event::End { digest },
        Event::Input(_) | Event::Timeout => panic!("the last entry is the end"),
    }
}

#[test]
fn another_digest_at_the_end_is_refused() {
    let written = one_who_comes();
    let mut other = Recorded::new();
    other.tell(connected(OTHER));
    other.finish();
    let mut entries = written.entries.clone();
    entries[5] = other.written().entries[1].clone();
    assert_ne!(entries[5], written.entries[5]);
    let breach = audited(&written, &entries).unwrap_err();
    assert!(matches!(breach, Breach::Different(Difference::State { entries: 6, .. })), "{breach}");
}

#[test]
fn forgotten_entry_is_refused() {
    let written = one_who_comes();
    for forgotten in 0..5 {
        let mut entries = written.entries.clone();
        entries.remove(forgotten);
        audited(&written, &entries).expect_err("an entry is missing");
    }
}

#[test]
fn another_beginning_is_refused() {
    let written = one_who_comes();
    let in_parts = |second: &Beginning| {
        let mut journal = journal(&written.beginnings[0], &written.entries[..2]);
        let mut sink = journal.sink();
        sink.begin(second.clone());
        written.entries[2..].iter().for_each(|entry| assert_eq!(sink.append(entry), Appetite::Entries));
        journal.finish(&Extend::default())
    };
    let right = Beginning { part: 1, ..written.beginnings[2].clone() };
    assert_eq!(in_parts(&right), Ok(()));
    let other = Beginning { snapshot: written.beginnings[1].snapshot.clone(), ..right.clone() };
    assert!(matches!(in_parts(&other), Err(Breach::Different(Difference::State { entries: 2, .. }))));
    assert_eq!(
        in_parts(&Beginning { entries: 3, ..right.clone() }),
        Err(Breach::Gap { part: 1, found: 3, lost: 0, read: 2 })
    );
    assert_eq!(in_parts(&Beginning { lost: 1, ..right }), Err(Breach::Gap { part: 1, found: 2, lost: 1, read: 2 }));
    let late = journal(&written.beginnings[2], &written.entries[2..]).finish(&Extend::default());
    assert_eq!(late, Err(Breach::Gap { part: 2, found: 2, lost: 0, read: 0 }), "what was before is not there");
}

#[test]
fn nothing_follows_the_end_and_a_clean_one_is_demanded() {
    let written = one_who_comes();
    let (last, others) = written.entries.split_last().unwrap();
    let twice = [others, &[last.clone(), last.clone()]].concat();
    assert_eq!(audited(&written, &twice), Err(Breach::AfterTheEnd { entry: 6 }));
    let unfinished = |must_have_ended| {
        let mut journal = journal(&written.beginnings[0], others);
        journal.must_have_ended = must_have_ended;
        journal.finish(&Extend::default())
    };
    assert_eq!(unfinished(false), Ok(()), "a crash");
    assert_eq!(unfinished(true), Err(Breach::NoEnd));
}

#[test]
fn damaged_part_is_refused() {
    let written = one_who_comes();
    let mut part = journal(&written.beginnings[0], &written.entries).tape.take_last().unwrap();
    let last = part.len() - 20;
    part[last] ^= 1;
    let breach = Journal::new(2).audit_part(&part, &Extend::default()).unwrap_err();
    assert!(matches!(breach, Breach::Damaged(_)), "{breach}");
}

#[test]
fn complete_parts_are_looked_through_and_dropped_as_it_goes_on() {
    let mut journals = Journals::new("server", &Extend::default());
    let mut recorded = Recorded::new();
    recorded.engine.record(recorded.now, journals.begin(1));
    for index in 0..20 {
        recorded.come(SessionId { index, generation: 0 });
        journals.audit().unwrap();
        assert!(journals.lives[0].tape.take_complete().is_none());
    }
    let parts = recorded.engine.journal_stats().unwrap().parts;
    assert_eq!(parts, 101, "each entry makes a part long enough");
    let entries = |journals: &Journals| journals.lives[0].replay.as_ref().map(Replay::entries);
    assert_eq!(entries(&journals), Some(100));
    recorded.finish();
    journals.end();
    journals.finish().unwrap();
    assert_eq!(entries(&journals), Some(101));
}

#[test]
fn each_life_has_a_journal_of_its_own_and_a_breach_says_which() {
    let mut journals = Journals::new("server", &Extend::default());
    for _ in 0..2 {
        let mut recorded = Recorded::new();
        recorded.engine.record(recorded.now, journals.begin(u32::MAX));
        recorded.come(FIRST);
        journals.audit().unwrap();
    }
    assert_eq!(journals.lives.len(), 1, "the first one is over");
    let mut sink = journals.begin(u32::MAX);
    let written = one_who_comes();
    sink.begin(written.beginnings[0].clone());
    sink.append(&written.entries[1]);
    let breach = journals.finish().unwrap_err();
    let said = "the journal of server, life 3: entry 0 is a packet of 0.0, which is not connected";
    assert!(breach.starts_with(said), "{breach}");
}

/// Tells of sessions what these inputs say.
fn follow(inputs: &[Input<'_>]) -> Result<(), Breach> {
    let mut sessions = Sessions::default();
    (0..).zip(inputs).try_for_each(|(entry, input)| sessions.follow(entry, input))
}

fn received(session: SessionId) -> Input<'static> {
    Input::Received { session, packet: ClientPacket::Pong { nonce: 1 } }
}

fn verdict(session: SessionId) -> Input<'static> {
    let ticket = Ticket { session, serial: 1 };
    Input::LoginVerdict { ticket, user: "alice".parse().unwrap(), verdict: Verdict::Denied }
}

#[test]
fn slot_is_given_away_again_only_under_another_name() {
    let over = Input::Disconnected { session: FIRST };
    assert_eq!(follow(&[connected(FIRST), connected(OTHER), over.clone(), connected(SECOND)]), Ok(()));
    let again = follow(&[connected(FIRST), over.clone(), connected(FIRST)]);
    assert_eq!(again, Err(Breach::NamedAgain { entry: 2, session: FIRST, before: FIRST }));
    let earlier = follow(&[connected(SECOND), connected(FIRST)]);
    assert_eq!(earlier, Err(Breach::NamedAgain { entry: 1, session: FIRST, before: SECOND }));
}

#[test]
fn nothing_comes_of_who_is_not_connected() {
    let full = |session| Input::OutboxFull { session };
    let over = |session| Input::Disconnected { session };
    let lost = |session| Input::PresenceLost { ticket: Ticket { session, serial: 1 } };
    for (what, input) in [
        ("a packet of", received as fn(_) -> _),
        ("an outbox over its limit of", full),
        ("the end of", over),
        ("a verdict on a login of", verdict),
        ("the loss of a lease of", lost),
    ] {
        let stranger = |entry, session| Err(Breach::Stranger { entry, what, session });
        assert_eq!(follow(&[input(FIRST)]), stranger(0, FIRST));
        assert_eq!(follow(&[connected(FIRST), input(SECOND)]), stranger(1, SECOND), "it comes later");
        assert_eq!(follow(&[connected(FIRST), input(FIRST)]), Ok(()));
        let late = follow(&[connected(FIRST), over(FIRST), connected(SECOND), input(FIRST)]);
        let is_patient = matches!(input(FIRST), Input::LoginVerdict { .. } | Input::PresenceLost { .. });
        assert_eq!(late, if is_patient { Ok(()) } else { stranger(3, FIRST) }, "{what}");
    }
}

#[test]
fn nothing_is_received_after_the_end() {
    let over = Input::Disconnected { session: FIRST };
    let malformed = Input::Malformed { session: FIRST, fault: WireFault::FrameEmpty };
    let too_late = |entry, what, before| Err(Breach::TooLate { entry, what, session: FIRST, before });
    let late = follow(&[connected(FIRST), received(FIRST), over.clone(), received(FIRST)]);
    assert_eq!(late, too_late(3, "a packet of", "its end"));
    let late = follow(&[connected(FIRST), over.clone(), malformed.clone()]);
    assert_eq!(late, too_late(2, "bytes that are no packet of", "its end"));
    let late = follow(&[connected(FIRST), malformed.clone(), received(FIRST)]);
    assert_eq!(late, too_late(2, "a packet of", "bytes that are no packet"));
    let full = Input::OutboxFull { session: FIRST };
    assert_eq!(follow(&[connected(FIRST), malformed, over.clone(), full.clone(), over.clone()]), Ok(()));
    let late = follow(&[connected(FIRST), over.clone(), over.clone(), over]);
    assert_eq!(late, too_late(3, "the end of", "who reads and who writes have told of it"));
    let late = follow(&[connected(FIRST), full.clone(), full]);
    assert_eq!(late, too_late(2, "an outbox over its limit of", "it was told already"));
}

#[test]
fn breach_says_what_to_look_for() {
    let said = Breach::NamedAgain { entry: 9, session: FIRST, before: FIRST }.to_string();
    assert!(said.contains("entry 9 names a new session 0.0, and 0.0 had that slot before"), "{said}");
    assert!(said.contains("without a higher generation"), "{said}");
}
