//! Whole histories that clients go through: what single operations at random would rarely come to.

use std::time::Duration;

use lobbyd_core::id::RoomNumber;
use lobbyd_core::packet::PROTOCOL_VERSION;

use super::kinds::Kind;
use super::setup::PASSWORD;
use super::workload::{Belief, Workload};
use super::{Script, doing, step};
use crate::scenario::{Event, Fault, Operation, Store};

/// What the transport takes for a client that does not read.
const SOCKET_BYTES: u32 = 64 * 1024;
/// Where texts are so short that it takes more of them, nobody is deafened.
const SPEECHES_MAX: u32 = 400;

impl Workload<'_> {
    pub(super) fn pipeline(&mut self, client: usize, script: &mut Script) {
        self.connect(client, script);
        let name = self.ground.clients[client].clone();
        for kind in [Kind::Hello, Kind::Login, Kind::Enter, Kind::Chat, Kind::Leave] {
            if self.dice.chance(85) {
                let operation = self.operation(kind, client);
                script.client(&name, operation);
            }
        }
    }

    /// One does not read, and another says more than the transport and its outbox hold. Mostly somebody listens who
    /// must not feel anything of it.
    pub(super) fn deafen(&mut self, client: usize, script: &mut Script) {
        // Somebody else: there are two clients at least.
        let others = self.ground.clients.len() - 1;
        let (deaf, speaker) = (client, (client + 1 + self.dice.index(others)) % (others + 1));
        let config = &self.ground.setup.config;
        let length = config.text_bytes_max.min(1_900);
        let count = (SOCKET_BYTES + config.outbox_bytes_max) / length + 5;
        if count > SPEECHES_MAX {
            return self.rush(script);
        }
        let room = RoomNumber(1);
        let listener = self.dice.index(self.ground.clients.len());
        let listener = Some(listener).filter(|listener| ![deaf, speaker].contains(listener));
        // All of them anew, and each as oneself: what they believe to be may not have come true.
        let daemon = self.dice.one_of(&self.ground.setup.daemons).clone();
        let all: Vec<_> = [deaf, speaker].into_iter().chain(listener).collect();
        for client in &all {
            self.begin_anew(*client, &daemon, script);
        }
        for client in all {
            self.beliefs[client].room = Some(room);
            let password = Some(PASSWORD.to_owned());
            script.client(&self.ground.clients[client], Operation::RoomEnter { room, password });
        }
        self.wait_for_all(script);
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

    /// Goes, and comes back to this daemon as the user of its own.
    fn begin_anew(&mut self, client: usize, daemon: &str, script: &mut Script) {
        let name = self.ground.clients[client].clone();
        if self.beliefs[client].is_connected {
            script.client(&name, Operation::Close);
            self.wait_for_all(script);
        }
        script.client(&name, Operation::Connect { daemon: daemon.to_owned() });
        self.wait_for_all(script);
        self.beliefs[client] = Belief { is_connected: true, ..Belief::default() };
        let hello = self.operation(Kind::Hello, client);
        script.client(&name, hello);
        let login = self.login(client, client);
        script.client(&name, login);
        self.wait_for_all(script);
    }

    /// As long as several answers in a row take, if nothing is broken.
    fn wait_for_all(&self, script: &mut Script) {
        script.advance(self.ground.setup.network.latency.1 * 8 + Duration::from_millis(20));
    }

    /// Two who are not logged in are so at once, as the same user.
    pub(super) fn race(&mut self, client: usize, script: &mut Script) {
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
    pub(super) fn come_to_the_lobby(&mut self, client: usize, script: &mut Script) {
        if self.beliefs[client].user.is_none() {
            self.arrive(client, script);
        }
        if let Some(room) = self.beliefs[client].room.take() {
            script.client(&self.ground.clients[client], Operation::RoomLeave { room });
        }
    }

    pub(super) fn club(&mut self, owner: usize, script: &mut Script) {
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

    pub(super) fn usurp(&mut self, script: &mut Script) {
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
    pub(super) fn come_to(&mut self, client: usize, daemon: &str, user: usize, script: &mut Script) {
        let name = self.ground.clients[client].clone();
        script.client(&name, Operation::Connect { daemon: daemon.to_owned() });
        script.client(&name, Operation::Hello { version: PROTOCOL_VERSION });
        self.beliefs[client] = Belief { is_connected: true, is_greeted: true, ..Belief::default() };
        let login = self.login(client, user);
        script.client(&name, login);
        self.wait_for_answer(script);
    }

    pub(super) fn rush(&mut self, script: &mut Script) {
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
}
