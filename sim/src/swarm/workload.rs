//! What the clients do before the end: mostly what makes sense for where they believe to be, sometimes anything.

use std::time::Duration;

use lobbyd_core::id::RoomNumber;
use lobbyd_core::packet::PROTOCOL_VERSION;

use super::dice::Dice;
use super::faults::Weather;
use super::kinds::{KINDS, Kind};
use super::setup::PASSWORD;
use super::{Ground, Script};
use crate::scenario::Operation;

/// Where a client is, if everything that it asked for has come true.
#[derive(Clone, Default)]
pub(super) struct Belief {
    pub(super) is_connected: bool,
    pub(super) is_greeted: bool,
    pub(super) user: Option<usize>,
    pub(super) room: Option<RoomNumber>,
}

pub(super) struct Workload<'g> {
    pub(super) ground: &'g Ground,
    pub(super) dice: Dice,
    kinds: Vec<(Kind, u32)>,
    pub(super) beliefs: Vec<Belief>,
    /// How many texts were made; each is another.
    texts: u32,
    /// How many rooms were created, if all went well.
    created: u32,
    /// How quickly things follow each other: how many of a hundred at the same moment.
    haste: u32,
}

pub(super) fn perform(ground: &Ground, seed: u64, script: &mut Script) {
    let mut dice = Dice::derived(seed, "workload");
    let kinds = KINDS.into_iter().filter(|(kind, _)| *kind == Kind::Arrive || dice.chance(75));
    let kinds = kinds.map(|(kind, weight)| (kind, weight * if ground.is_pure { 1 } else { kind.zeal() })).collect();
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
            | Kind::Command
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
    pub(super) fn operation(&mut self, kind: Kind, client: usize) -> Operation {
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
            Kind::Command => {
                // Nobody extends the server here, so no command is known.
                let name = if self.dice.chance(85) { "dice.roll" } else { "No Name!" };
                Operation::Command { name: name.to_owned(), parameters: self.text(), timestamp: 0 }
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

    pub(super) fn connect(&mut self, client: usize, script: &mut Script) {
        let daemon = self.dice.one_of(&self.ground.setup.daemons).clone();
        script.client(&self.ground.clients[client], Operation::Connect { daemon });
        self.beliefs[client] = Belief { is_connected: true, ..Belief::default() };
    }

    /// Comes in, as far as there is something left to do for it: to a room, mostly.
    pub(super) fn arrive(&mut self, client: usize, script: &mut Script) {
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
    pub(super) fn wait_for_answer(&mut self, script: &mut Script) {
        let most = self.ground.setup.network.latency.1;
        let pause = if self.dice.chance(80) { most * 4 + Duration::from_millis(2) } else { self.dice.millis(0, 50) };
        script.advance(pause);
    }

    pub(super) fn login(&mut self, client: usize, user: usize) -> Operation {
        self.beliefs[client].user = Some(user);
        Operation::Login { user: self.name(user), secret: self.ground.setup.accounts[user].secret.clone() }
    }

    pub(super) fn enter(&mut self, client: usize, room: RoomNumber) -> Operation {
        self.beliefs[client].room = Some(room);
        let is_protected = self.ground.setup.room_passwords.iter().any(|(number, _)| *number == room);
        let wrong = self.dice.chance(25);
        let password = if wrong { "guess" } else { PASSWORD };
        Operation::RoomEnter { room, password: (is_protected || self.dice.chance(5)).then(|| password.to_owned()) }
    }

    pub(super) fn create(&mut self, client: usize) -> Operation {
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
    pub(super) fn room(&mut self, client: usize) -> RoomNumber {
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
    pub(super) fn user(&mut self, client: usize) -> usize {
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
