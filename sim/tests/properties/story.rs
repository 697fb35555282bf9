//! A case told as a scenario, as far as the language can say it, ready to be kept. What it cannot say is noted on top.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use lobbyd_core::config::FRAME_BYTES_MIN;
use lobbyd_core::id::{SessionId, Ticket, UserId};
use lobbyd_core::input::{Admin, Input, Verdict, WireFault};
use lobbyd_core::packet::{ClientPacket, Sealed, ServerPacket};
use lobbyd_core::text::RawText;
use lobbyd_core::time::Instant;
use lobbyd_sim::layers::pure::Pure;
use lobbyd_sim::runner::run;
use lobbyd_sim::scenario::{
    Account, Event, Expectation, Expected, Fault, Network, Operation as Deed, Pattern, Scenario, Setup, Step, Store,
    WITHIN, fields, parse, print,
};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::cast::{ADDRESSES, account};
use crate::engine::{rules, runner};
use crate::operation::{CLIENTS, NAMES, Operation, operation};
use crate::rules::{Rules, VAULT};
use crate::trial::Trial;

const DAEMON: &str = "server";
const SECRET: &str = "secret";
const WRONG_SECRET: &str = "guess";

/// The scenario of a case. What arrives in it is what arrived in the case, until the step that broke it.
pub(crate) fn to_scenario(title: &str, rules: Rules, operations: &[Operation]) -> String {
    let mut trial = Trial::new(rules);
    trial.story = Some(Story::default());
    // A panic of the engine ends the story like any other end.
    let _ = catch_unwind(AssertUnwindSafe(|| operations.iter().try_for_each(|operation| trial.run(*operation))));
    let mut story = trial.story.take().unwrap_or_default();
    story.misses_verdict();
    let notes = story.notes.iter().map(|note| format!("\nNot said here: {note}."));
    let title = std::iter::once(title.to_owned()).chain(notes).collect();
    print(&Scenario { title, setup: setup(rules), steps: story.steps })
}

fn setup(rules: Rules) -> Setup {
    let mut config = rules.config();
    let passwords = config.fixed_rooms.iter_mut().filter_map(|room| Some((room.number, word(room.password.take()?))));
    let room_passwords: Vec<_> = passwords.collect();
    assert!(room_passwords.iter().all(|(number, _)| *number == VAULT), "only the vault is protected");
    let accounts = NAMES.iter().take(CLIENTS.into()).map(|name| {
        let user = name.parse().unwrap();
        let known = account(user);
        let nickname = known.nickname.filter(|nickname| !nickname.as_str().contains('\n'));
        let nickname = nickname.map(|nickname| nickname.as_str().to_owned());
        Account { user, secret: SECRET.to_owned(), nickname, administrator: known.administrator }
    });
    Setup {
        accounts: accounts.collect(),
        config,
        room_passwords,
        daemons: vec![DAEMON.to_owned()],
        is_loose: false,
        store: Store::Listed,
        io_threads: 1,
        network: Network::default(),
    }
}

/// Whether something can be said in a scenario, or what cannot.
type Told = Result<(), &'static str>;

/// What has happened so far, step by step.
#[derive(Debug, Default)]
pub(crate) struct Story {
    steps: Vec<Step>,
    notes: Vec<&'static str>,
    now: Instant,
    /// The login that was asked last, and its step.
    asked: Option<(Ticket, usize)>,
    /// Whether the operator has told the server to drain or stop: its process ends with its last connection.
    is_stopping: bool,
    /// Whether the last thing to happen is told as a step.
    is_told: bool,
}

impl Story {
    /// Something is going to happen.
    pub(crate) fn happens(
        &mut self,
        now: Instant,
        input: Option<&Input<'_>>,
        is_connected: impl Fn(SessionId) -> bool,
        client_of: impl Fn(UserId) -> Option<u8>,
    ) {
        let passed = now.saturating_since(self.now);
        self.now = now;
        if passed > Duration::ZERO && !matches!(input, Some(Input::Stalled { .. })) {
            self.step(Event::Advance(passed));
        }
        let Some(input) = input else {
            self.is_told = passed > Duration::ZERO;
            return;
        };
        let told = match input {
            Input::Connected { session, address } => {
                if *address != ADDRESSES[0] {
                    self.note("connections from other addresses");
                }
                if self.is_stopping {
                    self.note("connections to a process that may have ended");
                }
                self.does(*session, Deed::Connect { daemon: DAEMON.to_owned() })
            }
            Input::Received { session, .. } | Input::Malformed { session, .. } | Input::Disconnected { session }
                if !is_connected(*session) =>
            {
                Err("what comes from a session that is over")
            }
            Input::Received { session, packet } => deed(packet, client_of).and_then(|deed| self.does(*session, deed)),
            Input::Malformed { session, fault } => self.does(*session, Deed::Raw(bad_bytes(*fault))),
            Input::Disconnected { session } => self.does(*session, Deed::Close),
            Input::LoginVerdict { ticket, verdict, .. } => self.verdict(*ticket, verdict),
            Input::OutboxFull { .. } => Err("an outbox that is full"),
            Input::PresenceLost { .. } => Err("a lease that is lost"),
            Input::Stalled { gap } => {
                self.step(Event::Fault(Fault::Stall { daemon: DAEMON.to_owned(), gap: *gap }));
                self.step(Event::Advance(*gap));
                Ok(())
            }
            Input::Admin(Admin::Drain { within }) => {
                self.breaks(Fault::Drain { daemon: DAEMON.to_owned(), within: *within })
            }
            Input::Admin(Admin::Stop) => self.breaks(Fault::Stop { daemon: DAEMON.to_owned() }),
            Input::Admin(Admin::CloseUser { user }) => {
                self.breaks(Fault::CloseUser { daemon: DAEMON.to_owned(), user: *user })
            }
            Input::Admin(Admin::Announce { .. }) => Err("an announcement"),
            Input::Admin(
                Admin::NotifyUser { .. }
                | Admin::NotifyRoom { .. }
                | Admin::Kick { .. }
                | Admin::CleanUpEmptyRooms { .. }
                | Admin::CallService { .. }
                | Admin::SetExtension { .. },
            ) => Err("what the operator asks by a handle"),
            Input::Stopped { .. } | Input::ServiceReply { .. } | Input::DisableExtension { .. } => {
                Err("what comes of extensions")
            }
        };
        self.is_stopping |= matches!(input, Input::Admin(Admin::Drain { .. } | Admin::Stop));
        self.is_told = told.is_ok();
        if let Err(note) = told {
            self.note(note);
        }
    }

    /// The engine asks about a login.
    pub(crate) fn asks(&mut self, ticket: Ticket) {
        self.misses_verdict();
        self.asked = Some((ticket, self.steps.len()));
    }

    /// Something has come of it. The clients of a scenario answer pings by themselves.
    pub(crate) fn arrives(&mut self, at: SessionId, packet: &ServerPacket) {
        if matches!(packet, ServerPacket::Ping { .. }) {
            self.note("clients that do not answer pings");
            return;
        }
        if !std::mem::replace(&mut self.is_told, true) {
            self.step(Event::Wait);
        }
        let (packet, _) = fields::of(packet);
        let what = Expected::Packet(Pattern { packet: packet.clone(), fields: Vec::new() });
        if let Some(step) = self.steps.last_mut() {
            step.expects.push(Expectation { client: name(at), what });
            if packet == "Closing" {
                step.expects.push(Expectation { client: name(at), what: Expected::Closed });
            }
        }
    }

    fn misses_verdict(&mut self) {
        if self.asked.take().is_some() {
            self.note("a login that is not answered");
        }
    }

    pub(crate) fn note(&mut self, note: &'static str) {
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    fn step(&mut self, event: Event) {
        self.steps.push(Step { line: 0, event, expects: Vec::new(), within: WITHIN });
    }

    fn does(&mut self, session: SessionId, operation: Deed) -> Told {
        self.step(Event::Client { client: name(session), operation });
        Ok(())
    }

    fn breaks(&mut self, fault: Fault) -> Told {
        self.step(Event::Fault(fault));
        Ok(())
    }

    /// The store of a scenario answers by itself, at once, and as the secret is.
    fn verdict(&mut self, ticket: Ticket, verdict: &Verdict) -> Told {
        let Some((_, after)) = self.asked.take_if(|(asked, _)| *asked == ticket) else {
            return Err("a verdict that comes twice or too late");
        };
        let is_waiting = after != self.steps.len();
        if is_waiting {
            self.note("what happens while a login waits for its verdict");
        }
        if let Some(Step { event: Event::Client { operation: Deed::Login { secret, .. }, .. }, .. }) =
            self.steps.get_mut(after - 1)
        {
            let is_right = !matches!(verdict, Verdict::Denied);
            *secret = if is_right { SECRET } else { WRONG_SECRET }.to_owned();
        }
        match verdict {
            Verdict::Accepted { .. } | Verdict::Denied if is_waiting => self.step(Event::Wait),
            Verdict::Accepted { .. } | Verdict::Denied => {}
            Verdict::AlreadyOnline => return Err("a user who is online at another daemon"),
            Verdict::Unavailable => return Err("a store that cannot be asked"),
        }
        Ok(())
    }
}

fn name(session: SessionId) -> String {
    format!("client{}", session.index)
}

/// A password as a scenario types it.
fn word(Sealed([first, ..]): Sealed) -> String {
    first.to_string()
}

fn deed(packet: &ClientPacket<'_, Sealed>, client_of: impl Fn(UserId) -> Option<u8>) -> Result<Deed, &'static str> {
    let text = |RawText(bytes): RawText<'_>| {
        let fits = bytes.len() < FRAME_BYTES_MIN as usize - 64;
        if fits { Ok(bytes.to_vec()) } else { Err("a text that need not fit a frame") }
    };
    let typed = |raw| String::from_utf8(text(raw)?).map_err(|_| "a name or a title that is not UTF-8");
    Ok(match *packet {
        ClientPacket::Hello { version, .. } => Deed::Hello { version },
        ClientPacket::Ping { nonce } => Deed::Ping { nonce },
        ClientPacket::Pong { .. } => return Err("a pong that answers nothing"),
        ClientPacket::LoginRequest { user, .. } => Deed::Login { user: typed(user)?, secret: SECRET.to_owned() },
        ClientPacket::LogoutRequest { .. } => Deed::Logout,
        ClientPacket::RoomListRequest { from, limit, .. } => Deed::RoomList { from, limit },
        ClientPacket::RoomCreateRequest { title, capacity, password, .. } => {
            Deed::RoomCreate { title: typed(title)?, capacity, password: password.map(word) }
        }
        ClientPacket::RoomEnterRequest { room: number, password, .. } => {
            Deed::RoomEnter { room: number, password: password.map(word) }
        }
        ClientPacket::RoomLeaveRequest { room: number, .. } => Deed::RoomLeave { room: number },
        ClientPacket::RoomChatRequest { room: number, text: said, .. } => {
            Deed::RoomChat { room: number, text: text(said)? }
        }
        ClientPacket::DirectMessageRequest { user, text: said, .. } => {
            Deed::DirectMessage { user: typed(user)?, text: text(said)? }
        }
        ClientPacket::KickRequest { room: number, user, ban, .. } => {
            let client = client_of(user).ok_or("a kick of somebody who is not there")?;
            Deed::Kick { room: number, client: format!("client{client}"), ban }
        }
        ClientPacket::CustomCommand { command_type, parameters, timestamp, .. } => {
            Deed::Command { name: typed(command_type)?, parameters: text(RawText(parameters.0))?, timestamp }
        }
    })
}

/// Bytes that are wrong in this way.
fn bad_bytes(fault: WireFault) -> Vec<u8> {
    match fault {
        WireFault::FrameEmpty => vec![0, 0, 0, 0],
        WireFault::FrameTooLong => vec![0xff, 0xff, 0xff, 0xff],
        WireFault::PacketUnknown => vec![1, 0, 0, 0, 200],
        WireFault::PacketMalformed => vec![2, 0, 0, 0, 1, 0xfe],
    }
}

#[test]
fn story_of_a_case_is_a_scenario_that_holds() {
    let told = RefCell::new(0);
    let takes_time =
        |operation: &Operation| matches!(operation, Operation::Advance(_) | Operation::Deadline | Operation::Stall(_));
    let cases = (rules(), vec(operation(), 1..=12));
    let outcome = runner(400, 1).run(&cases, |(rules, operations)| {
        // The network of a scenario takes time itself, and what is due just then comes otherwise.
        if operations.iter().any(takes_time) {
            return Ok(());
        }
        let printed = to_scenario("It holds.", rules, &operations);
        let scenario = parse(&printed).map_err(|error| TestCaseError::fail(format!("{error}\n{printed}")))?;
        if printed.contains("Not said here") {
            return Ok(());
        }
        *told.borrow_mut() += 1;
        let mut world = Pure::new(&scenario.setup, 1).map_err(|error| TestCaseError::fail(error.to_string()))?;
        let result = run(&scenario, &mut world).result;
        result.map_err(|violation| TestCaseError::fail(format!("{violation}\n{printed}")))
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
    assert!(*told.borrow() > 30, "only {} cases could be told", told.borrow());
}
