//! What the clients do before the end: mostly what makes sense for where they believe to be, sometimes anything.

use std::time::Duration;

use lobbyd_core::id::RoomNumber;
use lobbyd_core::packet::PROTOCOL_VERSION;

use super::dice::Dice;
use super::faults::Weather;
use super::setup::PASSWORD;
use super::{Ground, Script, doing, step};
use crate::scenario::{Event, Operation};

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
}

const KINDS: [(Kind, u32); 28] = [
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
];

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
    /// How quickly things follow each other: how many of a hundred at the same moment.
    haste: u32,
}

pub(super) fn perform(ground: &Ground, seed: u64, script: &mut Script) {
    let mut dice = Dice::derived(seed, "workload");
    let kinds = KINDS.into_iter().filter(|(kind, _)| *kind == Kind::Arrive || dice.chance(75)).collect();
    let haste = *dice.one_of(&[20, 50, 80]);
    let beliefs = vec![Belief::default(); ground.clients.len()];
    let mut workload = Workload { ground, dice, kinds, beliefs, texts: 0, haste };
    let mut weather = Weather::new(ground, seed);
    // Everybody is known before anything else names them.
    for client in 0..ground.clients.len() {
        workload.connect(client, script);
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
        let name = self.ground.clients[client].clone();
        match kind {
            Kind::Arrive => self.arrive(client, script),
            Kind::Connect => self.connect(client, script),
            Kind::Deafen => self.deafen(client, script),
            Kind::Race => self.race(client, script),
            Kind::Rush => self.rush(script),
            Kind::Pipeline => self.pipeline(client, script),
            Kind::Flood => {
                for _ in 0..self.dice.between(20, 150) {
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
                // Mostly one of those who can.
                let talks = matches!(kind, Kind::Chat | Kind::Kick | Kind::Leave);
                let client = if talks && self.dice.chance(85) { self.member(client) } else { client };
                let operation = self.operation(kind, client);
                script.client(&self.ground.clients[client], operation);
            }
        }
    }

    /// Somebody who is in a room, if anybody is.
    fn member(&mut self, otherwise: usize) -> usize {
        let members: Vec<_> = (0..self.beliefs.len()).filter(|client| self.beliefs[*client].room.is_some()).collect();
        if members.is_empty() { otherwise } else { *self.dice.one_of(&members) }
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
                let target = self.dice.index(self.ground.clients.len());
                Operation::Kick { room, client: self.ground.clients[target].clone(), ban: self.dice.chance(40) }
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
            | Kind::Pipeline => Operation::RoomChat { room, text: self.text() },
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
            let pause = self.dice.millis(1, 300);
            script.advance(pause);
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
            let pause = self.dice.millis(1, 300);
            script.advance(pause);
        }
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
        let deaf = self.ground.clients[client].clone();
        script.client(&deaf, Operation::StopReading);
        let config = &self.ground.setup.config;
        let length = config.text_bytes_max.min(1_900);
        let count = (80 * 1024 + config.outbox_bytes_max) / length;
        let speaker = self.member(client);
        let room = self.room(speaker);
        // The shortest texts would take thousands of packets.
        for _ in 0..count.min(if self.ground.is_pure { 400 } else { 150 }) {
            let text = vec![b'x'; length as usize];
            script.client(&self.ground.clients[speaker], Operation::RoomChat { room, text });
            if self.dice.chance(20) {
                script.advance(config.flood.interval * 6);
            }
        }
        script.advance(Duration::from_millis(500));
        if self.dice.chance(70) {
            script.client(&deaf, Operation::ResumeReading);
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
        let pause = self.dice.millis(50, 300);
        script.advance(pause);
        let mut logins = Vec::new();
        for runner in both {
            let login = self.login(runner, user);
            logins.push(step(doing(&self.ground.clients[runner], login)));
        }
        script.push(Event::Together(logins));
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
        // The lowest number that is surely free; where one is then is a guess.
        let reserved = self.ground.haven.0.max(self.ground.setup.config.open_rooms_max);
        self.beliefs[client].room = Some(RoomNumber(reserved + 1));
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
                let reserved = self.ground.haven.0.max(self.ground.setup.config.open_rooms_max);
                let rooms = [1, 1, 1, 1, 2, 3, 4, reserved + 1, reserved + 1, reserved + 2, 0];
                RoomNumber(*self.dice.one_of(&rooms))
            }
        }
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
        let mut bytes = match self.dice.between(0, 3) {
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
