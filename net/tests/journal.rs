//! Journals: what an engine was told is read as it was told, and another engine that is told it does the same.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lobbyd_core::Engine;
use lobbyd_core::action::{Action, Actions};
use lobbyd_core::config::{Config, FixedRoom};
use lobbyd_core::data::RawBytes;
use lobbyd_core::extension::{Command, CommandHandler, Context, Failure};
use lobbyd_core::id::{AskId, CallTicket, RequestId, RoomNumber, SessionId, Ticket};
use lobbyd_core::input::{Account, Admin, Input, Notice, ServiceError, Verdict, WireFault};
use lobbyd_core::packet::{ClientPacket, Code, PROTOCOL_VERSION, Sealed};
use lobbyd_core::text::{RawText, Text};
use lobbyd_core::time::Instant;
use lobbyd_net::extension::Extensions;
use lobbyd_net::journal::{
    Appetite, Beginning, Damage, Difference, Event, JournalSink, Memory, Outcome, Part, RecordedEngine, Replay,
};

const ROOM: RoomNumber = RoomNumber(1);
const EVER: usize = usize::MAX;

fn config() -> Config {
    let room = FixedRoom { number: ROOM, title: Text::new("Plaza"), capacity: 100, password: None };
    Config { fixed_rooms: vec![room], ..Config::default() }
}

fn session(index: u32) -> SessionId {
    SessionId { index, generation: 0 }
}

/// An engine that is recorded, and some people.
struct World {
    engine: RecordedEngine,
    now: Instant,
    actions: Actions,
    people: u32,
}

impl World {
    fn new(sink: impl JournalSink + 'static) -> Self {
        let mut engine = RecordedEngine::new(Engine::new(config(), 7, Instant::ZERO));
        engine.record(Instant::ZERO, Box::new(sink));
        Self { engine, now: Instant::ZERO, actions: Actions::new(), people: 0 }
    }

    /// A turn with one input, some time after the last one.
    fn tell(&mut self, input: Input<'_>) {
        self.now = self.now + Duration::from_millis(7);
        self.actions.clear();
        self.engine.handle_input(self.now, input, &mut self.actions);
        self.engine.hand_over();
    }

    fn say(&mut self, session: SessionId, packet: ClientPacket<'_, Sealed>) {
        self.tell(Input::Received { session, packet });
    }

    /// One more comes, logs in and enters the room.
    fn come(&mut self) -> SessionId {
        let session = session(self.people);
        self.people += 1;
        let name = format!("user{}", session.index);
        self.tell(Input::Connected { session, address: IpAddr::V4(Ipv4Addr::LOCALHOST) });
        self.say(session, ClientPacket::Hello { version: PROTOCOL_VERSION, client: "test 1".into() });
        let secret = Sealed([session.index as u8; 16]);
        self.say(session, ClientPacket::LoginRequest { request: RequestId(1), user: name.as_str().into(), secret });
        let asked = self.actions.iter().find_map(|action| {
            if let Action::VerifyLogin { ticket, user, .. } = action { Some((*ticket, *user)) } else { None }
        });
        let (ticket, user) = asked.expect("the store is asked");
        let verdict = Verdict::Accepted { account: Account::default(), leased: false };
        self.tell(Input::LoginVerdict { ticket, user, verdict });
        self.say(session, ClientPacket::RoomEnterRequest { request: RequestId(2), room: ROOM, password: None });
        session
    }

    fn chat(&mut self, session: SessionId) {
        let text = RawText::from("hello, everybody");
        self.say(session, ClientPacket::RoomChatRequest { request: RequestId(3), room: ROOM, text });
    }

    /// Some life: people come, talk, fall silent and go.
    fn live(&mut self) {
        let people: Vec<_> = (0..4).map(|_| self.come()).collect();
        people.iter().for_each(|session| self.chat(*session));
        self.tell(Input::Disconnected { session: people[1] });
        self.now = self.engine.poll_timeout().unwrap();
        self.actions.clear();
        self.engine.handle_timeout(self.now, &mut self.actions);
        self.engine.hand_over();
        self.chat(people[0]);
    }
}

/// Replays parts, one behind the other, to the end.
fn replay(parts: &[Vec<u8>]) -> Replay {
    let mut replay: Option<Replay> = None;
    for part in parts {
        let part = Part::read(part).unwrap();
        let mut engine = match replay.take() {
            None => Replay::new(part.beginning.clone(), Extensions::new()).unwrap(),
            Some(replay) => {
                assert_eq!(replay.is_continued(&part.beginning), Ok(true));
                replay
            }
        };
        for entry in part.entries() {
            let (entry, outcome) = entry.unwrap();
            engine.step(&entry, outcome).unwrap();
        }
        replay = Some(engine);
    }
    replay.expect("there is a part")
}

#[test]
fn replayed_engine_is_in_the_state_of_the_recorded_one() {
    let journal = Memory::new(EVER);
    let mut world = World::new(journal.clone());
    world.live();
    let parts = journal.take();
    assert_eq!(parts.len(), 1);
    let replay = replay(&parts);
    assert_eq!(replay.engine().digest(), world.engine.digest());
    assert_eq!((replay.now(), replay.entries()), (world.now, 27));
    let stats = world.engine.journal_stats().unwrap();
    assert!(stats.is_recording);
    assert_eq!((stats.parts, stats.entries, stats.lost), (1, 27, 0));
}

#[test]
fn each_part_goes_on_where_the_last_one_ended() {
    let journal = Memory::new(1);
    let mut world = World::new(journal.clone());
    world.live();
    world.engine.finish();
    let parts = journal.take();
    assert_eq!(parts.len(), 29, "each has one entry, and behind the last one another begins");
    assert_eq!(replay(&parts).engine().digest(), world.engine.digest());
    assert_eq!(replay(&parts[20..]).engine().digest(), world.engine.digest());
}

#[test]
fn another_state_at_the_beginning_of_a_part_is_a_difference() {
    let journal = Memory::new(1);
    let mut world = World::new(journal.clone());
    world.live();
    let parts = journal.take();
    let beginning = |part: usize| Part::read(&parts[part]).unwrap().beginning;
    let replay = replay(&parts[..10]);
    assert_eq!(replay.is_continued(&beginning(11)), Ok(false), "one is missing");
    let other = Beginning { snapshot: beginning(3).snapshot, ..beginning(10) };
    let difference = replay.is_continued(&other).unwrap_err();
    assert!(matches!(difference, Difference::State { entries: 10, .. }), "{difference}");
    let lost = Beginning { lost: 1, ..beginning(10) };
    assert_eq!(replay.is_continued(&lost), Ok(false));
}

#[test]
fn another_outcome_is_a_difference() {
    let journal = Memory::new(EVER);
    let mut world = World::new(journal.clone());
    world.come();
    let parts = journal.take();
    let part = Part::read(&parts[0]).unwrap();
    let mut replay = Replay::new(part.beginning.clone(), Extensions::new()).unwrap();
    let (entry, outcome) = part.entries().next().unwrap().unwrap();
    assert_eq!(outcome, Some(Outcome { actions: 1, recipients: 0 }));
    let recorded = Outcome { actions: 2, recipients: 0 };
    let difference = replay.step(&entry, Some(recorded)).unwrap_err();
    assert_eq!(difference, Difference::Outcome { entry: 0, found: outcome.unwrap(), recorded });
    assert_eq!(difference.to_string(), "entry 0: the engine answers with 1 action, and 2 actions were recorded");
}

#[test]
fn journal_whose_parts_were_taken_away_goes_on_with_a_new_one() {
    let journal = Memory::new(EVER);
    let mut world = World::new(journal.clone());
    world.come();
    assert_eq!(journal.take().len(), 1);
    world.come();
    let stats = world.engine.journal_stats().unwrap();
    assert_eq!((stats.parts, stats.entries, stats.lost), (2, 8, 2), "one without a part, one to ask for it");
    assert_eq!(replay(&journal.take()).engine().digest(), world.engine.digest());
}

/// A handler that cannot be copied as often as one likes.
struct Fragile {
    copies: Arc<Mutex<u32>>,
}

impl Clone for Fragile {
    fn clone(&self) -> Self {
        *self.copies.lock().unwrap() += 1;
        assert!(*self.copies.lock().unwrap() <= COPIES, "this cannot be copied any more");
        Self { copies: Arc::clone(&self.copies) }
    }
}

impl CommandHandler for Fragile {
    fn command(&mut self, _: &mut Context<'_>, _: Command<'_>) -> Result<(), Failure> {
        Ok(())
    }
}

/// For the guard, and twice for the first part, in which the guard's copy is, too.
const COPIES: u32 = 3;

#[test]
fn extension_that_cannot_be_copied_ends_the_journal_and_not_the_server() {
    let journal = Memory::new(1);
    let mut extensions = Extensions::new();
    extensions.command("fragile", Fragile { copies: Arc::default() }).unwrap();
    let engine = extensions.assemble(config(), 7, Instant::ZERO).engine;
    let mut world = World { engine, now: Instant::ZERO, actions: Actions::new(), people: 0 };
    world.engine.record(Instant::ZERO, Box::new(journal.clone()));
    world.come();
    let stats = world.engine.journal_stats().unwrap();
    assert_eq!((stats.is_recording, stats.parts, stats.entries, stats.lost), (false, 1, 1, 4));
    assert_eq!(journal.take().len(), 1);
    world.engine.finish();
}

#[test]
fn clean_end_is_recorded_with_its_digest() {
    let journal = Memory::new(EVER);
    let mut world = World::new(journal.clone());
    world.come();
    world.engine.finish();
    assert_eq!(world.engine.journal_stats(), None);
    let parts = journal.take();
    let part = Part::read(&parts[0]).unwrap();
    let (end, _) = part.entries().last().unwrap().unwrap();
    assert_eq!(end.event, Event::End { digest: world.engine.digest() });
    let mut replay = Replay::new(part.beginning.clone(), Extensions::new()).unwrap();
    let difference = replay.step(&end, None).unwrap_err();
    assert!(matches!(difference, Difference::State { .. }), "without the entries before it, it ends in another state");
}

#[test]
fn what_the_engine_breaks_down_about_is_in_the_journal() {
    let journal = Memory::new(EVER);
    let mut world = World::new(journal.clone());
    world.tell(Input::Connected { session: session(0), address: IpAddr::V4(Ipv4Addr::LOCALHOST) });
    let again = Input::Connected { session: session(0), address: IpAddr::V4(Ipv4Addr::LOCALHOST) };
    let broken = catch_unwind(AssertUnwindSafe(|| world.tell(again.clone())));
    assert!(broken.is_err(), "two sessions of one name break a promise of the driver");
    drop(world);
    let parts = journal.take();
    let part = Part::read(&parts[0]).unwrap();
    let entries: Vec<_> = part.entries().map(Result::unwrap).collect();
    assert_eq!(entries.len(), 2);
    let (last, outcome) = &entries[1];
    assert_eq!((&last.event, *outcome), (&Event::Input(again), None), "it never came back from it");
    assert!(catch_unwind(|| replay(&parts)).is_err(), "and it does not when it is replayed");
}

/// Takes so many entries, then no more until it is asked `pause` times.
struct Choosy {
    memory: Memory,
    takes: u32,
    pause: u32,
}

impl JournalSink for Choosy {
    fn begin(&mut self, beginning: Beginning) {
        self.memory.begin(beginning);
        self.takes = 5;
    }

    fn append(&mut self, entries: &[u8]) -> Appetite {
        if self.takes > 0 {
            self.takes -= 1;
            return self.memory.append(entries);
        }
        assert!(self.pause == 3 || entries.is_empty(), "who takes nothing is given nothing");
        self.pause -= 1;
        if self.pause == 0 { Appetite::Part } else { Appetite::Nothing }
    }
}

#[test]
fn what_the_sink_does_not_take_is_lost_and_counted_and_a_new_part_begins_when_it_can() {
    let memory = Memory::new(EVER);
    let mut world = World::new(Choosy { memory: memory.clone(), takes: 5, pause: 3 });
    world.come();
    assert!(world.engine.journal_stats().unwrap().is_recording);
    let session = session(0);
    world.chat(session);
    assert!(!world.engine.journal_stats().unwrap().is_recording);
    world.chat(session);
    world.chat(session);
    world.chat(session);
    let stats = world.engine.journal_stats().unwrap();
    assert!(stats.is_recording);
    assert_eq!((stats.parts, stats.entries, stats.lost), (2, 6, 3));
    let parts = memory.take();
    let second = Part::read(&parts[1]).unwrap().beginning;
    assert_eq!((second.part, second.entries, second.lost), (1, 8, 3));
    assert_eq!(replay(&parts[..1]).is_continued(&second), Ok(false));
    assert_eq!(replay(&parts[1..]).engine().digest(), world.engine.digest());
}

#[test]
fn several_entries_of_a_turn_are_handed_over_together() {
    #[derive(Clone, Default)]
    struct Counting(Arc<Mutex<Vec<usize>>>);
    impl JournalSink for Counting {
        fn begin(&mut self, _beginning: Beginning) {}
        fn append(&mut self, entries: &[u8]) -> Appetite {
            self.0.lock().unwrap().push(entries.len());
            Appetite::Entries
        }
    }
    let sink = Counting::default();
    let mut world = World::new(sink.clone());
    for index in 0..3 {
        let address = IpAddr::V6(Ipv6Addr::LOCALHOST);
        world.engine.handle_input(world.now, Input::Connected { session: session(index), address }, &mut world.actions);
    }
    assert!(sink.0.lock().unwrap().is_empty());
    world.engine.hand_over();
    world.engine.hand_over();
    assert_eq!(sink.0.lock().unwrap().len(), 1);
}

/// One of each kind.
fn inputs() -> Vec<Input<'static>> {
    let session = SessionId { index: 3, generation: u32::MAX };
    let ticket = Ticket { session, serial: u64::MAX };
    let user = "bob".parse().unwrap();
    let name = "dice.roll".parse().unwrap();
    let ask = AskId(9);
    let notices = [Notice::Text("dinner".into()), Notice::Custom { command_type: name, data: RawBytes(&[0, 255]) }];
    let packets = [
        ClientPacket::Ping { nonce: 7 },
        ClientPacket::LoginRequest { request: RequestId(1), user: "Bob".into(), secret: Sealed([4; 16]) },
        ClientPacket::RoomChatRequest { request: RequestId(2), room: ROOM, text: RawText::from("\u{202e}any text") },
    ];
    let account = Account { nickname: Some(Text::new("Böb")), administrator: true };
    let verdicts =
        [Verdict::Accepted { account, leased: true }, Verdict::Denied, Verdict::AlreadyOnline, Verdict::Unavailable];
    let answers = [
        Ok(vec![1, 2, 3].into()),
        Err(ServiceError::Unknown),
        Err(ServiceError::Busy),
        Err(ServiceError::TimedOut),
        Err(ServiceError::Failed),
    ];
    let mut inputs = vec![
        Input::Connected { session, address: IpAddr::V6(Ipv6Addr::LOCALHOST) },
        Input::Connected { session, address: IpAddr::V4(Ipv4Addr::BROADCAST) },
        Input::Disconnected { session },
        Input::OutboxFull { session },
        Input::PresenceLost { ticket },
        Input::Stalled { gap: Duration::new(u64::MAX, 999_999_999) },
        Input::DisableExtension { extension: name },
        Input::Admin(Admin::Drain { within: Duration::from_nanos(1) }),
        Input::Admin(Admin::Stop),
        Input::Admin(Admin::CloseUser { user }),
        Input::Admin(Admin::Announce { text: "hear".into() }),
        Input::Admin(Admin::Kick { ask, room: ROOM, user, ban: true }),
        Input::Admin(Admin::CleanUpEmptyRooms { ask }),
        Input::Admin(Admin::CallService { ask, service: name, request: RawBytes(b"what") }),
        Input::Admin(Admin::SetExtension { ask, extension: name, enabled: false }),
    ];
    inputs.extend(notices.map(|notice| Input::Admin(Admin::NotifyUser { ask, user, notice })));
    inputs.extend(notices.map(|notice| Input::Admin(Admin::NotifyRoom { ask, room: ROOM, notice })));
    inputs.extend(packets.map(|packet| Input::Received { session, packet }));
    inputs.extend(packets.map(|packet| Input::Stopped { session, packet, code: Code::TextRefused }));
    inputs.extend(verdicts.map(|verdict| Input::LoginVerdict { ticket, user, verdict }));
    inputs.extend(answers.map(|result| Input::ServiceReply { ticket: CallTicket(1), result }));
    let faults = [WireFault::FrameEmpty, WireFault::FrameTooLong, WireFault::PacketUnknown, WireFault::PacketMalformed];
    inputs.extend(faults.map(|fault| Input::Malformed { session, fault }));
    inputs
}

#[test]
fn every_kind_of_input_is_read_as_it_was_written() {
    let journal = Memory::new(EVER);
    let mut world = World::new(journal.clone());
    let inputs = inputs();
    for input in &inputs {
        // What the engine makes of it is not the question here; a name that lives would break a promise of the driver.
        if !matches!(input, Input::Connected { .. }) {
            world.tell(input.clone());
        }
    }
    let parts = journal.take();
    let part = Part::read(&parts[0]).unwrap();
    let read = part.entries().map(|entry| entry.unwrap().0.event);
    let told = inputs.into_iter().filter(|input| !matches!(input, Input::Connected { .. })).map(Event::Input);
    assert_eq!(read.collect::<Vec<_>>(), told.collect::<Vec<_>>());
}

#[test]
fn part_that_is_cut_off_is_whole_up_to_there() {
    let journal = Memory::new(EVER);
    let mut world = World::new(journal.clone());
    world.come();
    let whole = journal.take().remove(0);
    let all: Vec<_> = Part::read(&whole).unwrap().entries().map(Result::unwrap).collect();
    for length in 0..whole.len() {
        let part = match Part::read(&whole[..length]) {
            Ok(part) => part,
            Err(damage) => {
                assert!(matches!(damage, Damage::CutOff { .. }), "{length} bytes: {damage}");
                continue;
            }
        };
        let mut entries: Vec<_> = part.entries().collect();
        let damage = entries.pop_if(|entry| entry.is_err());
        if let Some(damage) = damage {
            assert!(matches!(damage, Err(Damage::CutOff { .. })), "{length} bytes: {damage:?}");
        }
        let entries: Vec<_> = entries.into_iter().map(Result::unwrap).collect();
        assert!(entries.len() < all.len(), "{length} bytes");
        assert_eq!(entries, all[..entries.len()], "{length} bytes");
    }
}

#[test]
fn what_is_no_journal_is_said_to_be_none() {
    let journal = Memory::new(EVER);
    let mut world = World::new(journal.clone());
    world.come();
    let mut part = journal.take().remove(0);
    assert_eq!(Part::read(b"# Markdown, perhaps").unwrap_err(), Damage::NoJournal);
    assert_eq!(Part::read(b"hi").unwrap_err(), Damage::NoJournal);
    part[7] = 2;
    assert_eq!(Part::read(&part).unwrap_err(), Damage::Version { found: 2 });
    part[7] = 1;
    part[30] ^= 4;
    assert!(matches!(Part::read(&part).unwrap_err(), Damage::Checksum { at: 23, .. }));
}
