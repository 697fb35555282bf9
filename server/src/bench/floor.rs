//! The floor: a server that does the least that any server of rooms has to do, as fast as one thread can.
//!
//! One epoll loop without login, limits, numbers or checks. What one round of the loop has to say to a client goes out
//! in one write. Whoever is asked to be faster than this is asked to say less, or to say it later.

use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;

use anyhow::Context;
use lobbyd_net::frame::next_frame;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

use super::protocol::floor::{ENTER, LEAVE, PAYLOAD_MAX, SAID, SAY, put};

/// What the floor prints before its address when it listens.
pub(crate) const LISTENING: &str = "listening on ";

/// A client that lets more than this wait is dropped. The same as in lobbyd.
const OUTBOX_BYTES_MAX: usize = 1024 * 1024;
/// Room for one read.
const SCRATCH_BYTES: usize = 256 * 1024;
/// Events taken from the kernel in one round.
const EVENTS: usize = 1024;
/// Buffers that are kept for the next round.
const SPARE_BUFFERS: usize = 4096;

const LISTENER: Token = Token(usize::MAX);

/// Serves on any free port of the loopback address, which it prints, until the process is ended.
///
/// # Errors
/// What the system says when it cannot begin, or cannot wait for events.
pub fn serve() -> anyhow::Result<()> {
    let address = SocketAddr::from(([127, 0, 0, 1], 0));
    let mut listener = TcpListener::bind(address).context("the floor cannot listen")?;
    let mut floor = Floor::new()?;
    floor.poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    println!("{LISTENING}{}", listener.local_addr()?);
    let mut events = Events::with_capacity(EVENTS);
    loop {
        match floor.poll.poll(&mut events, None) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            polled => polled.context("the floor cannot wait for events")?,
        }
        for event in &events {
            if event.token() == LISTENER {
                floor.accept(&listener)?;
                continue;
            }
            let index = event.token().0;
            // Every event of a socket that has room says so. To write at each would be to coalesce nothing.
            if event.is_writable() && floor.is_blocked(index) {
                floor.flush(index);
            }
            if event.is_readable() {
                floor.read(index);
            }
        }
        floor.flush_dirty();
    }
}

struct Floor {
    poll: Poll,
    clients: Vec<Option<Client>>,
    /// Places in `clients` that are free.
    free: Vec<usize>,
    /// The members of each room.
    rooms: Vec<Vec<usize>>,
    /// Clients to whom this round has something to say, each once.
    dirty: Vec<usize>,
    scratch: Vec<u8>,
    encoded: Vec<u8>,
    spare: Vec<Vec<u8>>,
}

struct Client {
    stream: TcpStream,
    room: Option<usize>,
    /// What is to be written.
    outbox: Vec<u8>,
    /// The begin of a frame that has not arrived in full.
    carry: Vec<u8>,
    is_dirty: bool,
    /// The socket took less than there was.
    is_blocked: bool,
}

impl Floor {
    fn new() -> io::Result<Self> {
        Ok(Self {
            poll: Poll::new()?,
            clients: Vec::new(),
            free: Vec::new(),
            rooms: Vec::new(),
            dirty: Vec::new(),
            scratch: vec![0; SCRATCH_BYTES],
            encoded: Vec::new(),
            spare: Vec::new(),
        })
    }

    fn accept(&mut self, listener: &TcpListener) -> anyhow::Result<()> {
        loop {
            let mut stream = match listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                // The client has gone again.
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => continue,
                Err(error) => return Err(error).context("the floor cannot accept a connection"),
            };
            let _ = stream.set_nodelay(true);
            let index = self.free.pop().unwrap_or_else(|| {
                self.clients.push(None);
                self.clients.len() - 1
            });
            self.poll.registry().register(&mut stream, Token(index), Interest::READABLE | Interest::WRITABLE)?;
            let (outbox, carry) = (Vec::new(), Vec::new());
            let client = Client { stream, room: None, outbox, carry, is_dirty: false, is_blocked: false };
            self.clients[index] = Some(client);
        }
    }

    fn read(&mut self, index: usize) {
        let mut scratch = std::mem::take(&mut self.scratch);
        while let Some(client) = &mut self.clients[index] {
            let carried = client.carry.len();
            if scratch.len() < carried + SCRATCH_BYTES {
                scratch.resize(carried + SCRATCH_BYTES, 0);
            }
            scratch[..carried].copy_from_slice(&client.carry);
            client.carry.clear();
            let room = scratch.len() - carried;
            let count = match client.stream.read(&mut scratch[carried..]) {
                Ok(count) if count > 0 => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    client.carry.extend_from_slice(&scratch[..carried]);
                    break;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {
                    client.carry.extend_from_slice(&scratch[..carried]);
                    continue;
                }
                Ok(_) | Err(_) => {
                    self.remove(index);
                    break;
                }
            };
            let Some(consumed) = self.obey_all(index, &scratch[..carried + count]) else {
                self.remove(index);
                break;
            };
            if let Some(client) = &mut self.clients[index]
                && consumed < carried + count
            {
                client.carry.extend_from_slice(&scratch[consumed..carried + count]);
            }
            // A read that is short has emptied the socket.
            if count < room {
                break;
            }
        }
        self.scratch = scratch;
    }

    /// Obeys every complete frame; how many bytes they took, or `None` if they are no frames.
    fn obey_all(&mut self, index: usize, bytes: &[u8]) -> Option<usize> {
        let mut consumed = 0;
        while let Some(frame) = next_frame(&bytes[consumed..], PAYLOAD_MAX).ok()? {
            consumed += frame.consumed;
            let (kind, rest) = frame.payload.split_first()?;
            self.obey(index, *kind, rest)?;
        }
        Some(consumed)
    }

    fn obey(&mut self, index: usize, kind: u8, rest: &[u8]) -> Option<()> {
        match kind {
            ENTER => {
                let room = u32::from_le_bytes(rest.try_into().ok()?) as usize;
                self.leave(index);
                if self.rooms.len() <= room {
                    self.rooms.resize_with(room + 1, Vec::new);
                }
                self.rooms[room].push(index);
                self.clients[index].as_mut()?.room = Some(room);
                self.answer(index, ENTER);
            }
            LEAVE => {
                self.leave(index);
                self.answer(index, LEAVE);
            }
            SAY => self.say(index, rest)?,
            _ => return None,
        }
        Some(())
    }

    fn say(&mut self, index: usize, text: &[u8]) -> Option<()> {
        let room = self.clients[index].as_ref()?.room?;
        self.encoded.clear();
        put(SAY, text, &mut self.encoded);
        for member in &self.rooms[room] {
            let Some(client) = &mut self.clients[*member] else {
                continue;
            };
            client.make_dirty(*member, &mut self.dirty, &mut self.spare);
            if *member == index {
                put(SAID, &[], &mut client.outbox);
            } else {
                client.outbox.extend_from_slice(&self.encoded);
            }
        }
        Some(())
    }

    fn answer(&mut self, index: usize, kind: u8) {
        if let Some(client) = &mut self.clients[index] {
            client.make_dirty(index, &mut self.dirty, &mut self.spare);
            put(kind, &[], &mut client.outbox);
        }
    }

    fn leave(&mut self, index: usize) {
        if let Some(room) = self.clients[index].as_mut().and_then(|client| client.room.take()) {
            self.rooms[room].retain(|member| *member != index);
        }
    }

    fn flush_dirty(&mut self) {
        let mut dirty = std::mem::take(&mut self.dirty);
        for index in dirty.drain(..) {
            if let Some(client) = &mut self.clients[index] {
                client.is_dirty = false;
            }
            self.flush(index);
        }
        self.dirty = dirty;
    }

    fn is_blocked(&self, index: usize) -> bool {
        self.clients[index].as_ref().is_some_and(|client| client.is_blocked)
    }

    fn flush(&mut self, index: usize) {
        let Some(client) = &mut self.clients[index] else {
            return;
        };
        if client.outbox.is_empty() {
            return;
        }
        match client.stream.write(&client.outbox) {
            Ok(count) if count == client.outbox.len() => {
                client.is_blocked = false;
                let mut buffer = std::mem::take(&mut client.outbox);
                if self.spare.len() < SPARE_BUFFERS {
                    buffer.clear();
                    self.spare.push(buffer);
                }
                return;
            }
            Ok(count) => drop(client.outbox.drain(..count)),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(_) => return self.remove(index),
        }
        client.is_blocked = true;
        if client.outbox.len() > OUTBOX_BYTES_MAX {
            self.remove(index);
        }
    }

    fn remove(&mut self, index: usize) {
        self.leave(index);
        // Dropping the stream closes it, and closing takes it out of epoll.
        if self.clients[index].take().is_some() {
            self.free.push(index);
        }
    }
}

impl Client {
    fn make_dirty(&mut self, index: usize, dirty: &mut Vec<usize>, spare: &mut Vec<Vec<u8>>) {
        if self.is_dirty {
            return;
        }
        self.is_dirty = true;
        dirty.push(index);
        if self.outbox.capacity() == 0 {
            self.outbox = spare.pop().unwrap_or_default();
        }
    }
}
