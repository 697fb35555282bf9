//! What the clients do before the end: mostly what makes sense for where they believe to be, sometimes anything.

use std::time::Duration;

use lobbyd_core::id::RoomNumber;
use lobbyd_core::packet::PROTOCOL_VERSION;

use super::dice::Dice;
use super::faults::Weather;
use super::setup::PASSWORD;
use super::{Ground, Script, doing, step};
use crate::scenario::{Event, Fault, Operation, Store};

/// What can be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Arrive,
    Connect,
    Hello,
    Login,
    WrongLogin,
    Logout,
    List,
    Create,
    Enter,
    Leave,
    Chat,
    BadChat,
    Tell,
    Kick,
    Ping,
    Raw,
    WrongHello,
    HalfClose,
    Close,
    Reset,
    Vanish,
    StopReading,
    ResumeReading,
    /// Many requests at once.
    Flood,
    /// One does not read while the others talk much.
    Deafen,
    /// Two log in as the same user at the same moment.
    Race,
    /// Everybody enters the same room at the same moment.
    Rush,
    /// Somebody connects and says everything at once, without waiting for any answer.
    Pipeline,
    /// Somebody opens a room, others come, and the owner throws one out or goes.
    Club,
    /// A daemon is cut off from Redis for longer than a lease lives, and its users come to another one.
    Usurp,
}

const KINDS: [(Kind, u32); 30] = [
    (Kind::Arrive, 30),
    (Kind::Connect, 3),
    (Kind::Hello, 3),
    (Kind::Login, 10),
    (Kind::WrongLogin, 4),
    (Kind::Logout, 4),
    (Kind::List, 4),
    (Kind::Create, 8),
    (Kind::Enter, 16),
    (Kind::Leave, 6),
    (Kind::Chat, 40),
    (Kind::BadChat, 4),
    (Kind::Tell, 8),
    (Kind::Kick, 8),
    (Kind::Ping, 3),
    (Kind::Raw, 2),
    (Kind::WrongHello, 1),
    (Kind::HalfClose, 2),
    (Kind::Close, 3),
    (Kind::Reset, 3),
    (Kind::Vanish, 3),
    (Kind::StopReading, 2),
    (Kind::ResumeReading, 4),
    (Kind::Flood, 2),
    (Kind::Deafen, 2),
    (Kind::Race, 5),
    (Kind::Rush, 4),
    (Kind::Pipeline, 4),
    (Kind::Club, 8),
    (Kind::Usurp, 1),
];

impl Kind {
    /// Whether a client does this who knows what it is doing.
    fn makes_sense_for(self, belief: &Belief) -> bool {
        match self {
            Self::Chat | Self::BadChat | Self::Leave | Self::Kick => belief.room.is_some(),
            Self::Enter | Self::Create => belief.user.is_some() && belief.room.is_none(),
            Self::List | Self::Tell | Self::Logout => belief.user.is_some(),
            Self::Login | Self::WrongLogin => belief.is_greeted && belief.user.is_none(),
            Self::Hello | Self::WrongHello => belief.is_connected && !belief.is_greeted,
            Self::Ping => belief.is_greeted,
            Self::Raw
            | Self::HalfClose
            | Self::Close
            | Self::Reset
            | Self::Vanish
            | Self::StopReading
            | Self::ResumeReading => belief.is_connected,
            Self::Arrive
            | Self::Connect
            | Self::Flood
            | Self::Deafen
            | Self::Race
            | Self::Rush
            | Self::Pipeline
            | Self::Club
            | Self::Usurp => true,
        }
    }
}

/// What the transport takes for a client that does not read.
const SOCKET_BYTES: u32 = 64 * 1024;
/// Where texts are so short that it takes more of them, nobody is deafened.
const SPEECHES_MAX: u32 = 400;

/// Where a client is, if everything that it asked for has come true.
#[derive(Clone, Default)]
struct Belief {
    is_connected: bool,
    is_greeted: bool,
    user: Option<usize>,
    room: Option<RoomNumber>,
}

struct Workload<'g> {
    ground: &'g Ground,
    dice: Dice,
    kinds: Vec<(Kind, u32)>,
    beliefs: Vec<Belief>,
    /// How many texts were made; each is another.
    texts: u32,
    /// How many rooms were created, if all went well.
    created: u32,
    /// How quickly things follow each other: how many of a hundred at the same moment.
    haste: u32,
}

pub(super) fn perform(ground: &Ground, seed: u64, script: &mut Script) {
    let mut dice = Dice::derived(seed, "workload");
    let kinds = KINDS.into_iter().filter(|(kind, _)| *kind == Kind::Arrive || dice.chance(75)).collect();
    let haste = *dice.one_of(&[20, 50, 80]);
    let beliefs = vec![Belief::default(); ground.clients.len()];
    let mut workload = Workload { ground, dice, kinds, beliefs, texts: 0, created: 0, haste };
    let mut weather = Weather::new(ground, seed);
    // Everybody is known before anything else names them.
    for client in 0..ground.clients.len() {
        if workload.dice.chance(60) {
            workload.arrive(client, script);
        } else {
            workload.connect(client, script);
        }
    }
    for _ in 0..ground.events {
        weather.blow(ground, script);
        workload.go_on(script);
        let pause = workload.pause();
        script.advance(pause);
    }
}

impl Workload<'_> {
    fn go_on(&mut self, script: &mut Script) {
        let Some(kind) = self.dice.weighted(&self.kinds) else { return };
        let client = self.dice.index(self.ground.clients.len());
        match kind {
            Kind::Arrive => self.arrive(client, script),
            Kind::Connect => self.connect(client, script),
            Kind::Deafen => self.deafen(client, script),
            Kind::Race => self.race(client, script),
            Kind::Rush => self.rush(script),
            Kind::Pipeline => self.pipeline(client, script),
            Kind::Club => self.club(client, script),
            Kind::Usurp => self.usurp(script),
            Kind::Flood => {
                let (client, times) = (self.member(client), self.dice.between(20, 120));
                let name = self.ground.clients[client].clone();
                for _ in 0..times {
                    let operation = self.operation(Kind::Chat, client);
                    script.client(&name, operation);
                }
            }
            Kind::Hello
            | Kind::Login
            | Kind::WrongLogin
            | Kind::Logout
            | Kind::List
            | Kind::Create
            | Kind::Enter
            | Kind::Leave
            | Kind::Chat
            | Kind::BadChat
            | Kind::Tell
            | Kind::Kick
            | Kind::Ping
            | Kind::Raw
            | Kind::WrongHello
            | Kind::HalfClose
            | Kind::Close
            | Kind::Reset
            | Kind::Vanish
            | Kind::StopReading
            | Kind::ResumeReading => {
                // Mostly one of those for whom it makes sense; if there is none, somebody may come.
                let able = |belief: &Belief| kind.makes_sense_for(belief);
                let client = if self.dice.chance(90) { self.one_who(able) } else { Some(client) };
                let Some(client) = client else {
                    let client = self.dice.index(self.ground.clients.len());
                    return self.arrive(client, script);
                };
                let operation = self.operation(kind, client);
                script.client(&self.ground.clients[client], operation);
            }
        }
    }

    /// Somebody who is in a room, if anybody is.
    fn member(&mut self, otherwise: usize) -> usize {
        self.one_who(|belief| belief.room.is_some()).unwrap_or(otherwise)
    }

    /// Somebody of whom this is believed.
    fn one_who(&mut self, is_it: impl Fn(&Belief) -> bool) -> Option<usize> {
        let fitting: Vec<_> = (0..self.beliefs.len()).filter(|client| is_it(&self.beliefs[*client])).collect();
        if fitting.is_empty() { None } else { Some(*self.dice.one_of(&fitting)) }
    }

    /// A single operation; the client believes that it succeeds.
    fn operation(&mut self, kind: Kind, client: usize) -> Operation {
        let room = self.room(client);
        match kind {
            Kind::Hello => {
                self.beliefs[client].is_greeted = true;
                Operation::Hello { version: PROTOCOL_VERSION }
            }
            Kind::WrongHello => Operation::Hello { version: self.dice.between(2, 9) },
            Kind::Login => {
                let user = self.user(client);
                self.login(client, user)
            }
            Kind::WrongLogin => {
                let user = self.user(client);
                let user = if self.dice.chance(30) { "no name!".to_owned() } else { self.name(user) };
                Operation::Login { user, secret: "wrong".to_owned() }
            }
            Kind::Logout => {
                (self.beliefs[client].user, self.beliefs[client].room) = (None, None);
                Operation::Logout
            }
            Kind::List => {
                Operation::RoomList { from: RoomNumber(self.dice.between(0, 3)), limit: self.dice.between(0, 3) }
            }
            Kind::Create => self.create(client),
            Kind::Enter => self.enter(client, room),
            Kind::Leave => {
                self.beliefs[client].room = None;
                Operation::RoomLeave { room }
            }
            Kind::BadChat => {
                let texts: [&[u8]; 4] = [b"", b"\xff\xfe", "over\u{202e}ride".as_bytes(), &[b'x'; 2_100]];
                Operation::RoomChat { room, text: self.dice.one_of(&texts).to_vec() }
            }
            Kind::Tell => {
                let user = if self.dice.chance(85) { self.any_user() } else { "nobody".to_owned() };
                Operation::DirectMessage { user, text: self.text() }
            }
            Kind::Kick => {
                // Mostly somebody who is there too.
                let here = |belief: &Belief| belief.room == Some(room);
                let target = if self.dice.chance(85) { self.one_who(here) } else { None };
                let target = target.unwrap_or_else(|| self.dice.index(self.ground.clients.len()));
                if target != client {
                    self.beliefs[target].room = None;
                }
                Operation::Kick { room, client: self.ground.clients[target].clone(), ban: self.dice.chance(50) }
            }
            Kind::Ping => Operation::Ping { nonce: self.dice.between(0, 9).into() },
            Kind::Raw => Operation::Raw(self.bytes()),
            Kind::HalfClose => self.gone(client, Operation::HalfClose),
            Kind::Close => self.gone(client, Operation::Close),
            Kind::Reset => self.gone(client, Operation::Reset),
            Kind::Vanish => self.gone(client, Operation::Vanish),
            Kind::StopReading => Operation::StopReading,
            Kind::ResumeReading => Operation::ResumeReading,
            Kind::Chat
            | Kind::Arrive
            | Kind::Connect
            | Kind::Flood
            | Kind::Deafen
            | Kind::Race
            | Kind::Rush
            | Kind::Pipeline
            | Kind::Club
            | Kind::Usurp => Operation::RoomChat { room, text: self.text() },
        }
    }

    fn gone(&mut self, client: usize, operation: Operation) -> Operation {
        self.beliefs[client] = Belief::default();
        operation
    }

    fn connect(&mut self, client: usize, script: &mut Script) {
        let daemon = self.dice.one_of(&self.ground.setup.daemons).clone();
        script.client(&self.ground.clients[client], Operation::Connect { daemon });
        self.beliefs[client] = Belief { is_connected: true, ..Belief::default() };
    }

    /// Comes in, as far as there is something left to do for it: to a room, mostly.
    fn arrive(&mut self, client: usize, script: &mut Script) {
        let name = self.ground.clients[client].clone();
        let mut operations = Vec::new();
        if !self.beliefs[client].is_connected || self.dice.chance(20) {
            self.connect(client, script);
            self.wait_for_answer(script);
        }
        if !self.beliefs[client].is_greeted {
            operations.push(self.operation(Kind::Hello, client));
        }
        if self.beliefs[client].user.is_none() {
            operations.push(self.operation(Kind::Login, client));
        }
        if self.beliefs[client].room.is_none() {
            let room = self.room(client);
            operations.push(self.enter(client, room));
        }
        for operation in operations {
            script.client(&name, operation);
            self.wait_for_answer(script);
        }
    }

    /// Mostly long enough for an answer, if nothing is broken.
    fn wait_for_answer(&mut self, script: &mut Script) {
        let most = self.ground.setup.network.latency.1;
        let pause = if self.dice.chance(80) { most * 4 + Duration::from_millis(2) } else { self.dice.millis(0, 50) };
        script.advance(pause);
    }

    fn pipeline(&mut self, client: usize, script: &mut Script) {
        self.connect(client, script);
        let name = self.ground.clients[client].clone();
        for kind in [Kind::Hello, Kind::Login, Kind::Enter, Kind::Chat, Kind::Leave] {
            if self.dice.chance(85) {
                let operation = self.operation(kind, client);
                script.client(&name, operation);
            }
        }
    }

    /// One does not read, and the others say more than the transport and its outbox hold.
    fn deafen(&mut self, client: usize, script: &mut Script) {
        let (deaf, speaker) = (client, self.dice.index(self.ground.clients.len()));
        let config = &self.ground.setup.config;
        let length = config.text_bytes_max.min(1_900);
        let count = (SOCKET_BYTES + config.outbox_bytes_max) / length + 5;
        if deaf == speaker || count > SPEECHES_MAX {
            return self.rush(script);
        }
        let room = RoomNumber(1);
        for client in [deaf, speaker] {
            self.come_to_the_lobby(client, script);
            self.beliefs[client].room = Some(room);
            let password = Some(PASSWORD.to_owned());
            script.client(&self.ground.clients[client], Operation::RoomEnter { room, password });
        }
        self.wait_for_answer(script);
        script.client(&self.ground.clients[deaf], Operation::StopReading);
        for spoken in 1..=count {
            let text = vec![b'x'; length as usize];
            script.client(&self.ground.clients[speaker], Operation::RoomChat { room, text });
            if spoken % (config.flood.burst / 2) == 0 {
                script.advance(config.flood.interval * (config.flood.burst / 2));
            }
        }
        let pause = self.dice.millis(0, 900);
        script.advance(pause);
        if self.dice.chance(70) {
            script.client(&self.ground.clients[deaf], Operation::ResumeReading);
        }
    }

    /// Two who are not logged in are so at once, as the same user.
    fn race(&mut self, client: usize, script: &mut Script) {
        let other = self.dice.index(self.ground.clients.len());
        let user = self.user(client);
        let both = if other == client { vec![client] } else { vec![client, other] };
        for runner in &both {
            if self.beliefs[*runner].user.is_some() {
                let operation = self.operation(Kind::Logout, *runner);
                script.client(&self.ground.clients[*runner], operation);
            } else if !self.beliefs[*runner].is_greeted {
                self.connect(*runner, script);
                let operation = self.operation(Kind::Hello, *runner);
                script.client(&self.ground.clients[*runner], operation);
            }
        }
        self.wait_for_answer(script);
        let mut logins = Vec::new();
        for runner in both {
            let login = self.login(runner, user);
            logins.push(step(doing(&self.ground.clients[runner], login)));
        }
        script.push(Event::Together(logins));
    }

    /// Comes in and leaves its room for the lobby.
    fn come_to_the_lobby(&mut self, client: usize, script: &mut Script) {
        if self.beliefs[client].user.is_none() {
            self.arrive(client, script);
        }
        if let Some(room) = self.beliefs[client].room.take() {
            script.client(&self.ground.clients[client], Operation::RoomLeave { room });
        }
    }

    fn club(&mut self, owner: usize, script: &mut Script) {
        self.come_to_the_lobby(owner, script);
        let open = self.ground.setup.config.open_rooms_max;
        // Rooms that open by being entered begin above the fixed ones.
        let operation =
            if open > 3 && self.dice.chance(40) { self.enter(owner, RoomNumber(open)) } else { self.create(owner) };
        script.client(&self.ground.clients[owner], operation);
        let Some(room) = self.beliefs[owner].room else { return };
        self.wait_for_answer(script);
        let mut guests = Vec::new();
        for _ in 0..self.dice.between(1, 3) {
            let guest = self.dice.index(self.ground.clients.len());
            if guest != owner {
                self.come_to_the_lobby(guest, script);
                self.beliefs[guest].room = Some(room);
                let password = Some(PASSWORD.to_owned());
                script.client(&self.ground.clients[guest], Operation::RoomEnter { room, password });
                guests.push(guest);
            }
        }
        self.wait_for_answer(script);
        for guest in guests {
            if self.dice.chance(50) {
                let (client, ban) = (self.ground.clients[guest].clone(), self.dice.chance(60));
                script.client(&self.ground.clients[owner], Operation::Kick { room, client, ban });
                // Where the guest still believes to be decides whether it tries to come back.
                self.beliefs[guest].room = None;
                if self.dice.chance(60) {
                    self.wait_for_answer(script);
                    let password = Some(PASSWORD.to_owned());
                    script.client(&self.ground.clients[guest], Operation::RoomEnter { room, password });
                }
            }
        }
        if self.dice.chance(40) {
            self.beliefs[owner].room = None;
            script.client(&self.ground.clients[owner], Operation::RoomLeave { room });
        }
    }

    fn usurp(&mut self, script: &mut Script) {
        let daemons = &self.ground.setup.daemons;
        if self.ground.setup.store != Store::Redis || daemons.len() < 2 {
            return;
        }
        let (old, new) = (daemons[0].clone(), daemons[1].clone());
        let client = self.dice.index(self.ground.clients.len());
        let usurper = self.dice.index(self.ground.clients.len());
        let user = self.user(client);
        self.come_to(client, &old, user, script);
        let (from, to) = (old, "redis".to_owned());
        script.broken.push((from.clone(), to.clone()));
        script.push(Event::Fault(Fault::Partition { from: from.clone(), to: to.clone(), one_way: false }));
        let outage = self.dice.millis(2_500, 6_000);
        script.advance(outage);
        self.come_to(usurper, &new, user, script);
        if self.dice.chance(80) {
            script.push(Event::Fault(Fault::Repair { from, to }));
        }
    }

    /// Comes to this daemon as this user.
    fn come_to(&mut self, client: usize, daemon: &str, user: usize, script: &mut Script) {
        let name = self.ground.clients[client].clone();
        script.client(&name, Operation::Connect { daemon: daemon.to_owned() });
        script.client(&name, Operation::Hello { version: PROTOCOL_VERSION });
        self.beliefs[client] = Belief { is_connected: true, is_greeted: true, ..Belief::default() };
        let login = self.login(client, user);
        script.client(&name, login);
        self.wait_for_answer(script);
    }

    fn rush(&mut self, script: &mut Script) {
        let room = self.room(0);
        let mut entering = Vec::new();
        for client in 0..self.ground.clients.len() {
            let operation = if self.beliefs[client].room == Some(room) && self.dice.chance(50) {
                Operation::RoomLeave { room }
            } else {
                self.enter(client, room)
            };
            entering.push(step(doing(&self.ground.clients[client], operation)));
        }
        script.push(Event::Together(entering));
    }

    fn login(&mut self, client: usize, user: usize) -> Operation {
        self.beliefs[client].user = Some(user);
        Operation::Login { user: self.name(user), secret: self.ground.setup.accounts[user].secret.clone() }
    }

    fn enter(&mut self, client: usize, room: RoomNumber) -> Operation {
        self.beliefs[client].room = Some(room);
        let is_protected = self.ground.setup.room_passwords.iter().any(|(number, _)| *number == room);
        let wrong = self.dice.chance(25);
        let password = if wrong { "guess" } else { PASSWORD };
        Operation::RoomEnter { room, password: (is_protected || self.dice.chance(5)).then(|| password.to_owned()) }
    }

    fn create(&mut self, client: usize) -> Operation {
        // The lowest number that seems to be free.
        self.created += 1;
        let is_free = |number: &u32| self.beliefs.iter().all(|belief| belief.room != Some(RoomNumber(*number)));
        let number = (self.reserved() + 1..).find(is_free).unwrap_or_default();
        self.beliefs[client].room = Some(RoomNumber(number));
        let title = if self.dice.chance(90) { "Den" } else { "two\nlines" };
        let capacity = if self.dice.chance(90) { self.dice.between(1, 6) } else { *self.dice.one_of(&[0, 1_000]) };
        let password = self.dice.chance(20).then(|| PASSWORD.to_owned());
        Operation::RoomCreate { title: title.to_owned(), capacity, password }
    }

    /// The room in which a client believes to be, mostly; else one that may be there.
    fn room(&mut self, client: usize) -> RoomNumber {
        match self.beliefs[client].room {
            Some(room) if self.dice.chance(90) => room,
            Some(_) | None => {
                let config = &self.ground.setup.config;
                let mut rooms: Vec<_> = config.fixed_rooms.iter().map(|room| room.number.0).collect();
                // Nobody goes into the haven. The first room is where most meet.
                rooms.pop();
                rooms.extend([1, 1]);
                rooms.extend((1..=config.open_rooms_max.min(3)).map(|open| if open == 1 { 1 } else { open + 2 }));
                // Created rooms have the lowest numbers that are free.
                rooms.extend((1..=self.created.min(2)).flat_map(|created| [self.reserved() + created; 2]));
                if self.dice.chance(4) {
                    rooms = vec![0, self.reserved() + 9];
                }
                RoomNumber(*self.dice.one_of(&rooms))
            }
        }
    }

    /// Rooms that users create are numbered above this.
    fn reserved(&self) -> u32 {
        self.ground.haven.0.max(self.ground.setup.config.open_rooms_max)
    }

    /// Mostly a client's own account, as far as it is one of those that are used.
    fn user(&mut self, client: usize) -> usize {
        if client < self.ground.users && self.dice.chance(60) { client } else { self.dice.index(self.ground.users) }
    }

    fn any_user(&mut self) -> String {
        let user = self.dice.index(self.ground.users);
        self.name(user)
    }

    fn name(&mut self, user: usize) -> String {
        let name = self.ground.setup.accounts[user].user.to_string();
        if self.dice.chance(10) { name.to_uppercase() } else { name }
    }

    /// A text that nobody has said yet.
    fn text(&mut self) -> Vec<u8> {
        self.texts += 1;
        let mut text = format!("text {}", self.texts);
        if self.dice.chance(10) {
            text.push_str("\nwith \"é\" and 長");
        }
        text.into_bytes()
    }

    /// Bytes that are no packet, or only the beginning of one, or one of another kind.
    fn bytes(&mut self) -> Vec<u8> {
        let length = self.dice.between(0, 12) as u8;
        let mut bytes = match self.dice.between(0, 4) {
            // A packet and something behind it.
            4 => vec![3, 0, 0, 0, self.dice.between(0, 12) as u8, 1],
            0 => vec![0, 0, 0, 0],
            1 => vec![0xff, 0xff, 0xff, 0x7f],
            _ => vec![length, 0, 0, 0],
        };
        for _ in 0..self.dice.between(0, 14) {
            bytes.push(self.dice.between(0, 255) as u8);
        }
        bytes
    }

    fn pause(&mut self) -> Duration {
        if self.dice.chance(self.haste) {
            return Duration::ZERO;
        }
        match self.dice.between(1, 20) {
            1..=13 => self.dice.millis(0, 80),
            14..=18 => self.dice.millis(80, 1_000),
            _ => self.dice.millis(1_000, 7_000),
        }
    }
}
