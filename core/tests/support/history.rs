//! A busy history that leaves something in every part of the engine's state, to be replayed.

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use lobbyd_core::Engine;
use lobbyd_core::action::{Action, Actions};
use lobbyd_core::config::Config;
use lobbyd_core::id::{SessionId, Ticket, UserId};
use lobbyd_core::input::{Account, Admin, Input, Verdict};
use lobbyd_core::limits::Rate;
use lobbyd_core::text::Text;
use lobbyd_core::time::Instant;

use super::packets::{
    ban, chat, create, create_protected, direct, enter, enter_with, hello, kick, leave, list, login, logout, pong,
};
use super::{
    ADDRESS, PLAZA, Packet, VAULT, VAULT_PASSWORD, accepted, accepted_as_administrator, milliseconds, name, sealed,
    seconds, session,
};

/// The inputs of a history, each with its moment.
pub(crate) type History = Vec<(Instant, Input<'static>)>;

pub(crate) const START: Instant = Instant::from_nanos(1_000_000_000_000);

pub(crate) fn config() -> Config {
    Config {
        connects_per_address: Rate::per_second(2, 20),
        rooms_max: 10,
        bans_per_room_max: 2,
        empty_room_timeout: seconds(20),
        ..super::config()
    }
}

pub(crate) fn engine() -> Engine {
    Engine::new(config(), 7, START)
}

/// What one step did: its actions and whom its broadcasts went to.
pub(crate) type Deeds = (Vec<Action>, Vec<Vec<SessionId>>);

/// Feeds one step to an engine.
pub(crate) fn step(engine: &mut Engine, (at, input): &(Instant, Input<'static>)) -> Deeds {
    let mut actions = Actions::new();
    engine.handle_input(*at, input.clone(), &mut actions);
    let recipients = actions.iter().filter_map(|action| match action {
        Action::Broadcast { to, .. } => Some(actions.recipients(*to).to_vec()),
        Action::Send { .. }
        | Action::Close { .. }
        | Action::VerifyLogin { .. }
        | Action::ReleasePresence { .. }
        | Action::Online { .. }
        | Action::CallService { .. }
        | Action::ExtensionFailed { .. }
        | Action::Answer { .. }
        | Action::ServiceAnswer { .. } => None,
    });
    (actions.iter().cloned().collect(), recipients.collect())
}

/// The engine at the end of a history.
pub(crate) fn replay(history: &[(Instant, Input<'static>)]) -> Engine {
    let mut engine = engine();
    for entry in history {
        step(&mut engine, entry);
    }
    engine
}

struct Writer {
    history: History,
    at: Duration,
    serial: u64,
}

impl Writer {
    fn input(&mut self, input: Input<'static>) {
        self.at += milliseconds(50);
        self.history.push((START + self.at, input));
    }

    fn says(&mut self, index: u32, packet: Packet<'static>) {
        self.input(Input::Received { session: session(index), packet });
    }

    fn guest(&mut self, index: u32, address: IpAddr) {
        self.input(Input::Connected { session: session(index), address });
        self.says(index, hello());
    }

    fn asks(&mut self, index: u32, user: &'static str) -> Ticket {
        self.says(index, login(index, user));
        self.serial += 1;
        Ticket { session: session(index), serial: self.serial }
    }

    fn user(&mut self, index: u32, user: &'static str, verdict: Verdict) -> UserId {
        let ticket = self.asks(index, user);
        self.input(Input::LoginVerdict { ticket, user: name(user), verdict });
        UserId(ticket.serial)
    }
}

/// A history until everything that an engine can hold is there.
pub(crate) fn busy() -> History {
    let mut writer = Writer { history: Vec::new(), at: Duration::ZERO, serial: 0 };
    let it = &mut writer;
    let network = |host: u16| IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 7, 0, 0, 0, host));
    for index in 0..6 {
        it.guest(index, ADDRESS);
    }
    for index in 6..9 {
        it.guest(index, network(index as u16));
    }
    let nickname = Some(Text::new("Änne"));
    let anna =
        it.user(0, "anna", Verdict::Accepted { account: Account { nickname, administrator: false }, leased: true });
    let bert = it.user(1, "bert", accepted());
    it.user(2, "carl", accepted());
    it.user(3, "root", accepted_as_administrator());
    let dora = it.user(4, "dora", accepted());
    it.user(5, "emil", Verdict::Accepted { account: Account::default(), leased: false });
    it.user(6, "fritz", Verdict::Denied);
    it.user(6, "fritz", Verdict::Unavailable);
    for index in [0, 1, 4] {
        it.says(index, enter(10, PLAZA));
        it.says(index, chat(11, PLAZA, "hello, everybody"));
    }
    it.says(3, ban(12, PLAZA, dora));
    it.says(4, enter(13, PLAZA));
    it.says(4, create(14, "Dora's den", 5));
    it.says(5, create_protected(15, "Emil's den", 5, Some(sealed(5))));
    it.says(2, enter_with(16, 7, Some(sealed(6))));
    it.says(2, enter_with(17, 7, Some(sealed(5))));
    it.says(2, leave(18, 7));
    it.says(2, enter(19, 6));
    it.says(2, direct(20, "emil", "what is it again?"));
    it.says(1, leave(21, PLAZA));
    it.says(1, create(22, "Bert's den", 2));
    it.says(1, leave(23, 8));
    it.says(1, enter(24, 3));
    it.says(0, kick(25, PLAZA, bert));
    it.input(Input::Admin(Admin::Announce { text: "tea time".into() }));
    // Everybody is pinged, most answer; meanwhile the process stands still for a while.
    it.at += seconds(11);
    for index in [0, 1, 2, 3, 4, 5, 7] {
        it.says(index, pong(1));
    }
    it.at += seconds(4);
    it.input(Input::Stalled { gap: seconds(4) });
    it.says(3, kick(26, 6, dora));
    it.says(4, enter_with(27, VAULT, Some(VAULT_PASSWORD)));
    it.says(5, leave(28, 7));
    it.at += seconds(4);
    // Room 8 is gone by now and 7 is empty: take 8 again, and leave a gap of free numbers below.
    it.says(5, list(29, 0, 0));
    it.says(5, create(30, "Emil's other den", 5));
    it.says(0, leave(31, PLAZA));
    it.says(0, enter(32, 8));
    for index in [0, 1, 2, 3, 4, 5, 7] {
        it.says(index, pong(2));
    }
    it.at += seconds(9);
    for index in [0, 1, 2, 3, 4, 5, 7] {
        it.says(index, pong(3));
    }
    it.at += seconds(5);
    // One who has said nothing yet, one who is logging in, and one who has failed at it.
    it.input(Input::Connected { session: session(10), address: network(99) });
    it.guest(11, network(98));
    it.asks(11, "gerd");
    it.guest(12, ADDRESS);
    it.user(12, "hans", Verdict::Denied);
    it.guest(13, ADDRESS);
    it.user(13, "ida", accepted());
    it.says(13, create(33, "Ida's den", 3));
    it.says(13, leave(34, 10));
    it.says(13, enter(35, 4));
    it.says(13, leave(36, 4));
    // Room 7 is gone too, which leaves a gap.
    it.at += seconds(1);
    it.says(0, direct(37, "ida", "welcome"));
    it.says(3, enter(38, 8));
    it.says(3, ban(39, 8, anna));
    it.says(0, enter_with(40, VAULT, Some(sealed(8))));
    writer.history
}

/// What may come after [`busy`], until everybody is gone.
pub(crate) fn aftermath() -> History {
    let at = busy().last().expect("it is not empty").0.saturating_since(START);
    let mut writer = Writer { history: Vec::new(), at, serial: 1_000 };
    let it = &mut writer;
    it.input(Input::LoginVerdict {
        ticket: Ticket { session: session(11), serial: 9 },
        user: name("gerd"),
        verdict: accepted(),
    });
    it.says(0, enter(50, 8));
    it.says(0, create(51, "Another", 2));
    it.says(2, chat(52, 6, "anybody?"));
    it.says(2, logout(53));
    it.says(13, create(54, "Yet another", 2));
    it.says(11, enter_with(55, VAULT, Some(sealed(1))));
    it.guest(14, ADDRESS);
    it.says(14, login(56, "hans"));
    it.input(Input::Disconnected { session: session(5) });
    it.input(Input::Admin(Admin::CloseUser { user: name("dora") }));
    it.says(1, leave(56, 3));
    it.says(1, enter(57, 4));
    it.says(1, leave(58, 4));
    it.at += seconds(12);
    it.says(1, list(59, 0, 0));
    it.says(1, create(60, "The last", 2));
    it.at += seconds(12);
    it.says(1, pong(4));
    it.input(Input::OutboxFull { session: session(3) });
    it.input(Input::Admin(Admin::Drain { within: seconds(15) }));
    it.at += seconds(20);
    it.input(Input::Admin(Admin::Stop));
    it.at += seconds(60);
    it.input(Input::Stalled { gap: seconds(1) });
    writer.history
}
