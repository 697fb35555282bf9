//! Random histories of an engine with an extension, which does whatever its commands say. The model knows no extension:
//! here every step is held to what the engine promises its clients, and compared with a restored copy.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use lobbyd_core::Engine;
use lobbyd_core::action::{Action, Actions};
use lobbyd_core::config::Config;
use lobbyd_core::data::RawBytes;
use lobbyd_core::engine::Counts;
use lobbyd_core::id::{CallTicket, RequestId, RoomNumber, SessionId};
use lobbyd_core::input::{Account, Input, ServiceError, Verdict};
use lobbyd_core::packet::{ClientPacket, Code, Sealed, ServerPacket};
use lobbyd_core::time::Instant;
use lobbyd_sim::puppet::{self, deed};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{TestCaseError, TestError};

use crate::cast::ADDRESSES;
use crate::engine::runner;

const CASES: u32 = 4_000;
const CLIENTS: u8 = 4;
const USERS: [&str; CLIENTS as usize] = ["ada", "bob", "cid", "dot"];

/// Something that happens.
#[derive(Clone, Debug)]
enum Happening {
    /// A client connects, if it is not there, and logs in.
    Arrive(u8),
    HangUp(u8),
    LogOut(u8),
    Enter(u8, u8),
    /// A client has a command, by the name's place in [`NAMES`].
    Ask(u8, u8, Vec<u8>),
    /// The service answers one of its calls, counted from the last one, which may be answered already.
    Answer(u8, bool),
    Wait(Duration),
    Stall(Duration),
    /// The engine is stored and restored, and both go on.
    Restore,
    /// The operator of the process gives the extension up.
    Disable,
}

/// Commands of the extension's, and others.
const NAMES: [&str; 6] =
    ["puppet", "puppet.dance", "puppe", "puppet dance", "", "a-name-that-is-longer-than-thirty-two-bytes"];

fn happening() -> impl Strategy<Value = Happening> {
    let client = || 0..CLIENTS;
    let time = || select(&[0, 1, 49, 50, 100, 1_000, 2_000, 3_000][..]).prop_map(Duration::from_millis);
    let deeds = || vec(prop_oneof![3 => 0..deed::COUNT, 1 => any::<u8>()], 0..8);
    let name = prop_oneof![12 => Just(0), 3 => Just(1), 1 => 2..NAMES.len() as u8];
    prop_oneof![
        4 => client().prop_map(Happening::Arrive),
        1 => client().prop_map(Happening::HangUp),
        1 => client().prop_map(Happening::LogOut),
        2 => (client(), 1..3_u8).prop_map(|(client, room)| Happening::Enter(client, room)),
        16 => (client(), name, deeds()).prop_map(|(client, name, deeds)| Happening::Ask(client, name, deeds)),
        4 => (0..4_u8, any::<bool>()).prop_map(|(back, is_good)| Happening::Answer(back, is_good)),
        6 => time().prop_map(Happening::Wait),
        1 => time().prop_map(Happening::Stall),
        3 => Just(Happening::Restore),
        1 => select(&[Happening::Disable, Happening::Restore, Happening::Restore][..]),
    ]
}

/// What cases have to reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Mark {
    Answered,
    Declined,
    Refused(Code),
    /// A command that was kept got its answer.
    AnsweredLater,
    /// A service answered a call that nobody waited for any more.
    LateAnswer,
    Told,
    Panicked,
    RestoredWhileWaiting,
    RestoredDisabled,
}

const REQUIRED: [Mark; 12] = [
    Mark::Answered,
    Mark::Declined,
    Mark::Refused(Code::CommandUnknown),
    Mark::Refused(Code::CommandCancelled),
    Mark::Refused(Code::ExtensionFailed),
    Mark::Refused(Code::ExtensionBusy),
    Mark::AnsweredLater,
    Mark::LateAnswer,
    Mark::Told,
    Mark::Panicked,
    Mark::RestoredWhileWaiting,
    Mark::RestoredDisabled,
];

struct Trial {
    engine: Engine,
    actions: Actions,
    /// Was restored, and goes on beside the other one.
    twin: Option<(Engine, Actions)>,
    now: Instant,
    /// The session of each client that is connected.
    clients: [Option<SessionId>; CLIENTS as usize],
    generations: u32,
    /// The commands without an answer, by request, each with whose it is.
    waiting: BTreeMap<u32, SessionId>,
    requests: u32,
    calls: Vec<CallTicket>,
    is_disabled: bool,
    marks: BTreeSet<Mark>,
}

impl Trial {
    fn new() -> Self {
        let config = Config {
            open_rooms_max: 3,
            commands_waiting_max: 5,
            commands_waiting_per_session_max: 3,
            service_calls_max: 3,
            extension_deadlines_max: 2,
            command_timeout: Duration::from_secs(3),
            service_timeout: Duration::from_secs(2),
            ..Config::default()
        };
        Self {
            engine: Engine::with_extensions(config, 7, Instant::ZERO, puppet::handlers()),
            actions: Actions::new(),
            twin: None,
            now: Instant::ZERO,
            clients: [None; CLIENTS as usize],
            generations: 0,
            waiting: BTreeMap::new(),
            requests: 0,
            calls: Vec::new(),
            is_disabled: false,
            marks: BTreeSet::new(),
        }
    }

    fn run(&mut self, happening: &Happening) {
        match happening {
            Happening::Arrive(client) => self.arrive(*client),
            Happening::HangUp(client) => {
                if let Some(session) = self.clients[usize::from(*client)].take() {
                    self.waiting.retain(|_, waits| *waits != session);
                    self.input(Input::Disconnected { session });
                }
            }
            Happening::LogOut(client) => self.says(*client, |request| ClientPacket::LogoutRequest { request }),
            Happening::Enter(client, room) => {
                let room = RoomNumber(u32::from(*room));
                self.says(*client, |request| ClientPacket::RoomEnterRequest { request, room, password: None });
            }
            Happening::Ask(client, name, deeds) => {
                if let Some(session) = self.clients[usize::from(*client)] {
                    self.waiting.insert(self.requests + 1, session);
                }
                self.says(*client, |request| ClientPacket::CustomCommand {
                    request,
                    command_type: NAMES[usize::from(*name)].into(),
                    parameters: RawBytes(deeds),
                    timestamp: 0,
                });
            }
            Happening::Answer(back, is_good) => {
                if let Some(ticket) = self.calls.iter().nth_back(usize::from(*back)).copied() {
                    let result = if *is_good { Ok("got".into()) } else { Err(ServiceError::Unknown) };
                    let before = self.engine.counts().service_calls;
                    self.input(Input::ServiceReply { ticket, result });
                    let was_late = before == self.engine.counts().service_calls && self.actions.is_empty();
                    self.marks.extend(was_late.then_some(Mark::LateAnswer));
                }
            }
            Happening::Wait(time) => {
                self.now = self.now + *time;
                self.step(None);
            }
            Happening::Stall(gap) => {
                self.now = self.now + *gap;
                self.input(Input::Stalled { gap: *gap });
            }
            Happening::Restore => self.restore(),
            Happening::Disable => self.disable(),
        }
    }

    fn arrive(&mut self, client: u8) {
        let place = usize::from(client);
        if self.clients[place].is_none() {
            self.generations += 1;
            let session = SessionId { index: client.into(), generation: self.generations };
            self.clients[place] = Some(session);
            self.input(Input::Connected { session, address: ADDRESSES[place] });
            let hello = ClientPacket::Hello { version: 1, client: "properties".into() };
            self.input(Input::Received { session, packet: hello });
        }
        let user = USERS[place].into();
        self.says(client, |request| ClientPacket::LoginRequest { request, user, secret: Sealed([1; 16]) });
        let asked = self.actions.iter().find_map(|action| match action {
            Action::VerifyLogin { ticket, user, .. } => Some((*ticket, *user)),
            Action::Send { .. }
            | Action::Broadcast { .. }
            | Action::Close { .. }
            | Action::ReleasePresence { .. }
            | Action::Online { .. }
            | Action::CallService { .. }
            | Action::ExtensionFailed { .. }
            | Action::Answer { .. }
            | Action::ServiceAnswer { .. } => None,
        });
        if let Some((ticket, user)) = asked {
            let verdict = Verdict::Accepted { account: Account::default(), leased: false };
            self.input(Input::LoginVerdict { ticket, user, verdict });
        }
    }

    fn says<'a>(&mut self, client: u8, packet: impl FnOnce(RequestId) -> ClientPacket<'a, Sealed>) {
        if let Some(session) = self.clients[usize::from(client)] {
            self.requests += 1;
            self.input(Input::Received { session, packet: packet(RequestId(self.requests)) });
        }
    }

    fn disable(&mut self) {
        self.is_disabled = true;
        self.input(Input::DisableExtension { extension: puppet::NAME.parse().unwrap() });
        let Counts { commands_waiting, service_calls, .. } = self.engine.counts();
        assert_eq!((commands_waiting, service_calls), (0, 0), "a disabled extension leaves nothing behind");
    }

    fn restore(&mut self) {
        let snapshot = self.engine.snapshot();
        let twin = Engine::restore_with_extensions(snapshot, puppet::handlers()).expect("a snapshot can be restored");
        assert_eq!(twin.digest(), self.engine.digest(), "a restored engine has another digest");
        if !self.waiting.is_empty() && self.engine.counts().service_calls > 0 {
            self.marks.insert(Mark::RestoredWhileWaiting);
        }
        self.marks.extend(self.is_disabled.then_some(Mark::RestoredDisabled));
        self.twin = Some((twin, Actions::new()));
    }

    fn input(&mut self, input: Input<'_>) {
        self.step(Some(input));
    }

    fn step(&mut self, input: Option<Input<'_>>) {
        self.actions.clear();
        turn(&mut self.engine, self.now, input.clone(), &mut self.actions);
        self.engine.check().expect("the engine's parts fit together");
        if let Some((twin, actions)) = &mut self.twin {
            actions.clear();
            turn(twin, self.now, input, actions);
            assert!(self.actions.iter().eq(actions.iter()), "a restored engine does something else");
            assert_eq!(twin.digest(), self.engine.digest(), "a restored engine goes another way");
        }
        let is_panic = self.look();
        assert_eq!(self.engine.counts().commands_waiting as usize, self.waiting.len(), "each command has one answer");
        // As a driver does.
        if is_panic {
            self.disable();
        }
    }

    /// Looks at what the step has done; says whether the extension panicked.
    fn look(&mut self) -> bool {
        let mut is_panic = false;
        for action in self.actions.iter() {
            match action {
                Action::Send { to, packet: ServerPacket::CustomResponse { request, result, .. } } => {
                    assert_eq!(self.waiting.remove(&request.0), Some(*to), "an answer that nobody waits for");
                    let is_later = request.0 != self.requests;
                    self.marks.insert(match result {
                        Ok(_) if is_later => Mark::AnsweredLater,
                        Ok(reply) if reply.success => Mark::Answered,
                        Ok(_) => Mark::Declined,
                        Err(code) => Mark::Refused(*code),
                    });
                }
                Action::Send { packet: ServerPacket::CustomNotify { .. }, .. }
                | Action::Broadcast { packet: ServerPacket::CustomNotify { .. }, .. } => {
                    self.marks.insert(Mark::Told);
                }
                Action::Close { session, .. } => {
                    self.waiting.retain(|_, waits| waits != session);
                    for client in &mut self.clients {
                        client.take_if(|there| there == session);
                    }
                }
                Action::CallService { ticket, .. } => {
                    assert!(!self.calls.contains(ticket), "{ticket} is not new");
                    self.calls.push(*ticket);
                }
                Action::ExtensionFailed { panicked, .. } => {
                    assert!(!self.is_disabled, "a disabled extension is not called");
                    is_panic |= panicked;
                    self.marks.extend(panicked.then_some(Mark::Panicked));
                }
                Action::Send { .. }
                | Action::Broadcast { .. }
                | Action::VerifyLogin { .. }
                | Action::ReleasePresence { .. }
                | Action::Online { .. }
                | Action::Answer { .. }
                | Action::ServiceAnswer { .. } => {}
            }
        }
        is_panic
    }

    fn end(mut self) -> BTreeSet<Mark> {
        for client in 0..CLIENTS {
            self.run(&Happening::HangUp(client));
        }
        assert_eq!(self.engine.counts().commands_waiting, 0, "a command waits of nobody");
        self.disable();
        self.run(&Happening::Wait(Duration::from_secs(24 * 60 * 60)));
        assert_eq!(self.engine.counts(), Counts::default(), "something is left");
        self.marks
    }
}

fn turn(engine: &mut Engine, now: Instant, input: Option<Input<'_>>, actions: &mut Actions) {
    match input {
        Some(input) => engine.handle_input(now, input, actions),
        None => engine.handle_timeout(now, actions),
    }
}

#[test]
fn extension_may_do_what_it_likes_and_every_command_is_answered_once() {
    let reached = RefCell::new(BTreeSet::new());
    let outcome = runner(CASES, 1).run(&vec(happening(), 1..40), |happenings| {
        let run = || {
            let mut trial = Trial::new();
            happenings.iter().for_each(|happening| trial.run(happening));
            trial.end()
        };
        match std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)) {
            Ok(marks) => reached.borrow_mut().extend(marks),
            Err(_) => return Err(TestCaseError::fail("see above")),
        }
        Ok(())
    });
    if let Err(TestError::Fail(reason, happenings)) = &outcome {
        panic!("{reason}: {happenings:#?}");
    }
    outcome.unwrap();
    let missing: Vec<_> = REQUIRED.iter().filter(|mark| !reached.borrow().contains(mark)).collect();
    assert!(missing.is_empty(), "no case has reached {missing:?}");
}
