//! What moves between clients and daemons: the clients, their streams, the network under these, and the queue of what is
//! going to happen. What a daemon makes of what reaches it is not known here.

use std::collections::BTreeMap;

use lobbyd_core::packet::ServerPacket;

use super::client::{Client, Said, say};
use super::network::{Network, Passage};
use super::queue::{Event, Queue};
use super::random::Random;
use super::stream::{Down, Reader, Stream, Up};
use super::traffic::{Toward, Traffic, UNSEEN};
use crate::layers::{Arrival, CannotDo};
use crate::marks::Marks;
use crate::scenario::Operation;
use crate::traffic::Cargo;

pub(super) struct Wire {
    /// Nanoseconds since the start of the scenario.
    pub(super) now: u64,
    pub(super) queue: Queue,
    pub(super) network: Network,
    pub(super) clients: Vec<Client>,
    pub(super) streams: Vec<Stream>,
    pub(super) traffic: Traffic,
    /// Hard cases that only show inside.
    pub(super) marks: Marks,
    names: BTreeMap<String, u32>,
    /// The most bytes of a write, if writes are chopped.
    chop: Option<u32>,
    chopper: Random,
}

impl Wire {
    pub(super) fn new(network: &crate::scenario::Network, seed: u64) -> Self {
        Self {
            now: 0,
            queue: Queue::default(),
            network: Network::new(network, seed),
            clients: Vec::new(),
            streams: Vec::new(),
            traffic: Traffic::default(),
            marks: Marks::default(),
            names: BTreeMap::new(),
            chop: network.chop,
            chopper: Random::derived(seed, "chopped writes"),
        }
    }

    pub(super) fn client(&mut self, name: &str) -> u32 {
        if let Some(client) = self.names.get(name) {
            return *client;
        }
        let client = u32::try_from(self.clients.len()).expect("a scenario has fewer than 2^32 clients");
        self.clients.push(Client::new(name));
        self.names.insert(name.to_owned(), client);
        client
    }

    /// Opens a connection in place of the one the client has.
    pub(super) fn connect(&mut self, client: &str, daemon: u32, daemon_name: &str) {
        let (up, down) = (self.network.way(client, daemon_name), self.network.way(daemon_name, client));
        let client = self.client(client);
        if let Some(old) = self.clients[client as usize].stream {
            self.abandon(old);
        }
        let id = u32::try_from(self.streams.len()).expect("a run makes fewer than 2^32 connections");
        self.streams.push(Stream::new(client, daemon, up, down));
        self.clients[client as usize].connected(id);
        let seen = self.leaves(id, Cargo::Operation);
        if !self.send_up(id, Up::Syn, seen) {
            self.queue.send(self.now, Event::Refused(id));
        }
    }

    /// Begins what a client does with the connection it has.
    ///
    /// # Errors
    /// When it has none, or cannot write any more.
    pub(super) fn begin(&mut self, client: &str, operation: &Operation) -> Result<(), CannotDo> {
        let known = self.names.get(client).copied();
        let connected = known.and_then(|index| Some((index, self.clients[index as usize].stream?)));
        let Some((index, id)) = connected else {
            return Err(CannotDo::Scenario(format!("{client} has no connection")));
        };
        if operation.needs_writing_half() && self.clients[index as usize].is_half_closed() {
            return Err(CannotDo::Scenario(format!("{client} has ended its writing half")));
        }
        if let Some(said) = say(self, index, operation)? {
            self.speak(id, said);
            return Ok(());
        }
        match operation {
            Operation::Raw(bytes) => {
                let seen = self.leaves(id, Cargo::Operation);
                self.send_bytes(id, bytes.clone(), seen);
            }
            Operation::HalfClose => {
                let seen = self.leaves(id, Cargo::Operation);
                self.send_up(id, Up::End, seen);
                self.clients[index as usize].half_closed();
            }
            Operation::Close => {
                if !self.clients[index as usize].is_half_closed() {
                    let seen = self.leaves(id, Cargo::Operation);
                    self.send_up(id, Up::End, seen);
                }
                self.leave(index, id);
            }
            Operation::Reset => {
                let seen = self.leaves(id, Cargo::Operation);
                self.send_up(id, Up::Reset, seen);
                self.leave(index, id);
            }
            Operation::Vanish => {
                self.leave(index, id);
                let stream = &mut self.streams[id as usize];
                (stream.up.is_broken, stream.is_stuck) = (true, true);
            }
            Operation::StopReading => {
                let stream = &mut self.streams[id as usize];
                (stream.reader, stream.is_stuck) = (Reader::Stopped, true);
            }
            Operation::ResumeReading => self.queue.send(self.now, Event::Resume(id)),
            Operation::Connect { .. }
            | Operation::Hello { .. }
            | Operation::Login { .. }
            | Operation::Logout
            | Operation::RoomList { .. }
            | Operation::RoomCreate { .. }
            | Operation::RoomEnter { .. }
            | Operation::RoomLeave { .. }
            | Operation::RoomChat { .. }
            | Operation::DirectMessage { .. }
            | Operation::Kick { .. }
            | Operation::Command { .. }
            | Operation::Ping { .. } => unreachable!("a connect is no use of a connection, and the rest is said"),
        }
        Ok(())
    }

    /// The client takes nothing more from this stream.
    fn leave(&mut self, client: u32, id: u32) {
        let stream = &mut self.streams[id as usize];
        stream.reader = Reader::Gone;
        self.traffic.pieces_lost(self.now, id, Toward::Client, 0, stream.unread.len());
        stream.unread.clear();
        self.clients[client as usize].stream = None;
    }

    /// The stream stays open, and nobody reads or answers any more.
    fn abandon(&mut self, id: u32) {
        let stream = &mut self.streams[id as usize];
        (stream.reader, stream.is_stuck) = (Reader::Gone, true);
        self.traffic.pieces_lost(self.now, id, Toward::Client, 0, stream.unread.len());
        stream.unread.clear();
    }

    fn speak(&mut self, id: u32, said: Said) {
        let cargo = match &said {
            Said::Pong { nonce } => Cargo::Pong { nonce: *nonce },
            Said::Hello { .. } | Said::Ping { .. } | Said::Request { .. } => Cargo::Operation,
        };
        let seen = self.leaves(id, cargo);
        if self.chop.is_some() {
            let mut bytes = Vec::new();
            said.encode(&mut bytes);
            self.send_bytes(id, bytes, seen);
        } else {
            self.send_up(id, Up::Packet(said), seen);
        }
    }

    fn send_bytes(&mut self, id: u32, bytes: Vec<u8>, seen: u32) {
        let Some(most) = self.chop else {
            self.send_up(id, Up::Bytes(bytes), seen);
            return;
        };
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let count = self.chopper.between(1, u64::from(most).max(1)).min(rest.len() as u64);
            let (piece, behind) = rest.split_at(count as usize);
            self.send_up(id, Up::Bytes(piece.to_vec()), seen);
            rest = behind;
        }
    }

    /// False if the piece is lost. `seen` is the number of what it is a part of, for whoever watches.
    fn send_up(&mut self, id: u32, piece: Up, seen: u32) -> bool {
        let stream = &mut self.streams[id as usize];
        let is_sent = stream.up.send(piece, Event::Up(id), self.now, &mut self.network, &mut self.queue);
        self.traffic.piece_sent(self.now, id, Toward::Daemon, seen, !is_sent);
        is_sent
    }

    /// Something leaves the client of a stream.
    fn leaves(&mut self, id: u32, cargo: Cargo) -> u32 {
        let stream = &self.streams[id as usize];
        self.traffic.leaves_client(self.now, &self.clients[stream.client as usize].name, stream.daemon, cargo)
    }

    /// Sends a daemon's piece. What is lost stays unread for ever.
    pub(super) fn send_down(&mut self, id: u32, piece: Down) {
        let stream = &mut self.streams[id as usize];
        let seen = if self.traffic.is_watched() {
            let cargo = match &piece {
                Down::Packet(packet) => Some(Cargo::Packet((**packet).clone())),
                // The answer to a client's own end tells nobody anything.
                Down::End => (stream.reader != Reader::Gone).then_some(Cargo::End),
            };
            let client = &self.clients[stream.client as usize].name;
            cargo.map_or(UNSEEN, |cargo| self.traffic.leaves_daemon(self.now, stream.daemon, client, cargo))
        } else {
            UNSEEN
        };
        let is_sent = stream.down.send(piece, Event::Down(id), self.now, &mut self.network, &mut self.queue);
        if !is_sent {
            stream.is_stuck = true;
        }
        self.traffic.piece_sent(self.now, id, Toward::Client, seen, !is_sent);
    }

    /// The piece that reaches a daemon now; none if it is lost or held.
    pub(super) fn take_up(&mut self, id: u32) -> Option<Up> {
        let pipe = &mut self.streams[id as usize].up;
        match self.network.pass(pipe.way(), Event::Up(id)) {
            Passage::Through => {
                self.traffic.piece_taken(self.now, id, Toward::Daemon);
                pipe.take()
            }
            Passage::Lost => {
                self.traffic.pieces_lost(self.now, id, Toward::Daemon, 0, usize::MAX);
                pipe.lose();
                None
            }
            Passage::Held => None,
        }
    }

    /// A piece reaches a client.
    pub(super) fn arrive(&mut self, id: u32) {
        let stream = &mut self.streams[id as usize];
        let piece = match self.network.pass(stream.down.way(), Event::Down(id)) {
            Passage::Through => stream.down.take(),
            Passage::Lost => {
                self.traffic.pieces_lost(self.now, id, Toward::Client, stream.unread.len(), usize::MAX);
                stream.down.lose();
                stream.is_stuck = true;
                None
            }
            Passage::Held => None,
        };
        let Some(piece) = piece else { return };
        match stream.reader {
            Reader::Reads => self.receive(id, piece),
            Reader::Stopped => stream.unread.push_back(piece),
            Reader::Gone => self.traffic.pieces_lost(self.now, id, Toward::Client, 0, 1),
        }
    }

    fn receive(&mut self, id: u32, piece: Down) {
        self.traffic.piece_taken(self.now, id, Toward::Client);
        let client = self.streams[id as usize].client;
        match piece {
            Down::Packet(packet) => {
                if let Some(nonce) = self.clients[client as usize].receive(packet) {
                    self.speak(id, Said::Pong { nonce });
                }
            }
            Down::End => self.end(id),
        }
    }

    /// The client learns that its connection is over, and ends it on its side too.
    pub(super) fn end(&mut self, id: u32) {
        let index = self.streams[id as usize].client;
        if self.streams[id as usize].reader == Reader::Gone {
            return;
        }
        if !self.clients[index as usize].is_half_closed() {
            self.send_up(id, Up::End, UNSEEN);
        }
        self.clients[index as usize].arrived.push_back(Arrival::Closed);
        self.leave(index, id);
        self.streams[id as usize].down.shrink();
    }

    /// The client reads again, first what waits for it.
    pub(super) fn resume(&mut self, id: u32) {
        let stream = &mut self.streams[id as usize];
        if stream.reader != Reader::Stopped {
            return;
        }
        stream.reader = Reader::Reads;
        while self.streams[id as usize].reader == Reader::Reads {
            let Some(piece) = self.streams[id as usize].unread.pop_front() else { break };
            self.receive(id, piece);
        }
        let way = self.streams[id as usize].up.way();
        if let Some(delay) = self.network.delay(way) {
            self.queue.send(self.now + delay, Event::Window(id));
        }
    }

    /// Lets what waited between two hosts arrive.
    pub(super) fn release(&mut self, from: &str, to: &str) {
        for event in self.network.release(from, to) {
            self.queue.send(self.now, event);
        }
    }
}

/// How many bytes a packet is on the wire, its header included.
pub(super) fn frame_bytes(packet: &ServerPacket, scratch: &mut Vec<u8>) -> usize {
    scratch.clear();
    lobbyd_net::codec::encode_server(packet, scratch);
    scratch.len()
}
