//! What comes up the streams of a daemon: connections, packets, bytes, and their ends.

use std::mem;

use lobbyd_core::id::SessionId;
use lobbyd_core::input::{Input, WireFault};
use lobbyd_core::packet::{ClientPacket, CloseReason};
use lobbyd_core::time::Instant;
use lobbyd_net::codec;
use lobbyd_net::frame::next_frame;

use super::super::client::Said;
use super::super::stores::Stores;
use super::super::stream::{Phase, Up};
use super::super::wire::Wire;
use super::outbound::cut_off;
use super::{ADDRESS, Daemon, State};
use crate::layers::Failure;

impl Daemon {
    /// What has come up a stream reaches the process.
    pub(in crate::layers::pure) fn read(
        &mut self,
        id: u32,
        wire: &mut Wire,
        stores: &mut Stores,
    ) -> Result<(), Failure> {
        let Some(piece) = wire.take_up(id) else { return Ok(()) };
        match wire.streams[id as usize].phase {
            Phase::Connecting => match piece {
                Up::Syn if self.state == State::Running => self.accept(id, wire, stores),
                Up::Syn => {
                    cut_off(wire, id);
                    Ok(())
                }
                Up::Packet(_) | Up::Bytes(_) | Up::End | Up::Reset => unreachable!("a connection begins with its Syn"),
            },
            Phase::Open => match piece {
                Up::Packet(said) => self.hear(id, said, wire, stores),
                Up::Bytes(bytes) => {
                    wire.streams[id as usize].inbox.extend_from_slice(&bytes);
                    self.take_frames(id, wire, stores)
                }
                Up::End | Up::Reset => {
                    let is_reset = matches!(piece, Up::Reset);
                    self.hang_up(id, is_reset, wire, stores)
                }
                Up::Syn => unreachable!("a connection begins once"),
            },
            // What comes in after the close is dropped, until its end.
            Phase::Closing(_) => {
                if matches!(piece, Up::End | Up::Reset) {
                    self.remove(id, wire);
                }
                Ok(())
            }
            Phase::Removed => Ok(()),
        }
    }

    fn accept(&mut self, id: u32, wire: &mut Wire, stores: &mut Stores) -> Result<(), Failure> {
        let Some(session) = self.slots.reserve(id) else {
            // Every slot is taken.
            cut_off(wire, id);
            return Ok(());
        };
        let now = self.begin_turn(wire, stores)?;
        let stream = &mut wire.streams[id as usize];
        (stream.phase, stream.session) = (Phase::Open, session);
        self.step(now, Input::Connected { session, address: ADDRESS }, wire, stores)?;
        self.end_turn(wire, stores)
    }

    fn hear(&mut self, id: u32, said: Said, wire: &mut Wire, stores: &mut Stores) -> Result<(), Failure> {
        let stream = &mut wire.streams[id as usize];
        if !stream.inbox.is_empty() || said.bytes_max() > self.config.frame_bytes_max as usize {
            // Where it begins, or whether it is let in, depends on bytes.
            said.encode(&mut stream.inbox);
            return self.take_frames(id, wire, stores);
        }
        let session = stream.session;
        let now = self.begin_turn(wire, stores)?;
        self.step_packet(now, session, said.packet(), wire, stores)?;
        self.end_turn(wire, stores)
    }

    /// Hands in every whole frame of a stream's inbox.
    fn take_frames(&mut self, id: u32, wire: &mut Wire, stores: &mut Stores) -> Result<(), Failure> {
        let now = self.begin_turn(wire, stores)?;
        let session = wire.streams[id as usize].session;
        let inbox = mem::take(&mut wire.streams[id as usize].inbox);
        let mut rest = inbox.as_slice();
        while wire.streams[id as usize].phase == Phase::Open {
            match next_frame(rest, self.config.frame_bytes_max) {
                Ok(None) => break,
                Ok(Some(frame)) => {
                    rest = &rest[frame.consumed..];
                    match codec::decode_client(frame.payload) {
                        Ok(packet) => self.step_packet(now, session, packet, wire, stores)?,
                        Err(fault) => self.refuse_bytes(now, session, fault, wire, stores)?,
                    }
                }
                Err(fault) => {
                    self.refuse_bytes(now, session, fault, wire, stores)?;
                    break;
                }
            }
        }
        if wire.streams[id as usize].phase == Phase::Open {
            wire.streams[id as usize].inbox = rest.to_vec();
        }
        self.end_turn(wire, stores)
    }

    fn step_packet(
        &mut self,
        now: Instant,
        session: SessionId,
        packet: ClientPacket<'_>,
        wire: &mut Wire,
        stores: &mut Stores,
    ) -> Result<(), Failure> {
        let packet = self.seals.seal(packet);
        let taken = if self.mind.has_middleware() {
            let heard = self.mind.hear(now, session, packet);
            self.carry_out(wire, stores);
            heard
        } else {
            self.step(now, Input::Received { session, packet }, wire, stores)
        };
        self.seals.forget();
        taken
    }

    fn refuse_bytes(
        &mut self,
        now: Instant,
        session: SessionId,
        fault: WireFault,
        wire: &mut Wire,
        stores: &mut Stores,
    ) -> Result<(), Failure> {
        self.step(now, Input::Malformed { session, fault }, wire, stores)
    }

    /// The client has ended its writing half, or the stream is broken.
    fn hang_up(&mut self, id: u32, is_reset: bool, wire: &mut Wire, stores: &mut Stores) -> Result<(), Failure> {
        let now = self.begin_turn(wire, stores)?;
        let session = wire.streams[id as usize].session;
        self.step(now, Input::Disconnected { session }, wire, stores)?;
        self.close(id, CloseReason::Disconnected, wire);
        if is_reset {
            self.remove(id, wire);
        }
        self.end_turn(wire, stores)
    }
}
