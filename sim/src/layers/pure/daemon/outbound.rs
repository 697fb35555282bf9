//! What a daemon does about the actions of its engine: packets go down the streams, which end, and stores are asked.

use std::collections::VecDeque;
use std::mem;
use std::rc::Rc;

use lobbyd_core::action::Action;
use lobbyd_core::id::SessionId;
use lobbyd_core::input::Input;
use lobbyd_core::packet::{CloseReason, ServerPacket};

use super::super::queue::Event;
use super::super::stores::{Question, Stores};
use super::super::stream::{Down, Phase, Reader};
use super::super::wire::{Wire, frame_bytes};
use super::{CLOSING_BYTES, Daemon, LINGER_NANOS, SOCKET_BYTES};

impl Daemon {
    /// Sends what waited for a client to read again.
    pub(in crate::layers::pure) fn flush(&mut self, id: u32, wire: &mut Wire) {
        let stream = &mut wire.streams[id as usize];
        if stream.reader != Reader::Reads || stream.down.is_broken || stream.phase == Phase::Removed {
            return;
        }
        (stream.is_stuck, stream.socket_bytes, stream.outbox_bytes) = (false, 0, 0);
        let phase = stream.phase;
        for (packet, _) in mem::take(&mut stream.outbox) {
            wire.send_down(id, Down::Packet(packet));
        }
        if let Phase::Closing(reason) = phase {
            self.shut_down(id, reason, wire);
        }
    }

    /// A closed session has had its time.
    pub(in crate::layers::pure) fn linger_is_over(&mut self, id: u32, wire: &mut Wire) {
        if matches!(wire.streams[id as usize].phase, Phase::Closing(_)) {
            self.remove(id, wire);
        }
    }

    /// Carries out what was decided, in its order.
    pub(super) fn carry_out(&mut self, wire: &mut Wire, stores: &mut Stores) {
        let deeds = self.mind.take_deeds();
        for action in deeds.iter() {
            match action {
                Action::Send { to, packet } => self.send(*to, &Rc::new(packet.clone()), wire),
                Action::Broadcast { to, packet } => {
                    let packet = Rc::new(packet.clone());
                    for session in deeds.recipients(*to) {
                        self.send(*session, &packet, wire);
                    }
                }
                Action::Close { session, reason } => {
                    if let Some(id) = self.slots.stream(*session) {
                        self.close(id, *reason, wire);
                    }
                }
                Action::VerifyLogin { ticket, user, secret, presence } => {
                    let held = self.seals.take(*secret);
                    let secret = held.expect("the engine asks in the step that brought the secret");
                    let question = Question { ticket: *ticket, user: *user, secret, presence: *presence };
                    stores.ask(self.index, question, wire);
                }
                Action::ReleasePresence { ticket, user } => stores.release(self.index, *ticket, *user, wire),
                Action::Online { .. } | Action::Answer { .. } | Action::ServiceAnswer { .. } => {}
                Action::CallService { ticket, service, request } => {
                    let random = self.stand_in_random.next();
                    let Some((delay, result)) = self.extend.answer(*service, request, random) else { continue };
                    let at = wire.now.saturating_add(u64::try_from(delay.as_nanos()).unwrap_or(u64::MAX));
                    self.last_reply += 1;
                    self.replies.insert(self.last_reply, Input::ServiceReply { ticket: *ticket, result });
                    wire.queue.send(at, Event::Reply(self.index, self.last_reply));
                }
                Action::ExtensionFailed { extension, panicked, reason: _ } => {
                    if *panicked {
                        self.system.push_back(Input::DisableExtension { extension: *extension });
                    }
                }
            }
        }
        self.mind.give_back(deeds);
    }

    fn send(&mut self, to: SessionId, packet: &Rc<ServerPacket>, wire: &mut Wire) {
        let Some(id) = self.slots.stream(to) else { return };
        let stream = &mut wire.streams[id as usize];
        if !stream.is_stuck && stream.outbox.is_empty() && !stream.is_overflowed {
            wire.send_down(id, Down::Packet(Rc::clone(packet)));
            return;
        }
        let is_farewell = matches!(**packet, ServerPacket::Closing { .. });
        if stream.is_overflowed && !is_farewell {
            return;
        }
        let bytes = frame_bytes(packet, &mut self.scratch);
        let outbox_bytes_max = self.config.outbox_bytes_max as usize + if is_farewell { CLOSING_BYTES } else { 0 };
        if stream.outbox.is_empty() && stream.socket_bytes + bytes <= SOCKET_BYTES {
            stream.socket_bytes += bytes;
            wire.send_down(id, Down::Packet(Rc::clone(packet)));
        } else if stream.outbox_bytes + bytes <= outbox_bytes_max {
            stream.outbox_bytes += bytes;
            stream.outbox.push_back((Rc::clone(packet), bytes));
        } else {
            stream.is_overflowed = true;
            self.system.push_back(Input::OutboxFull { session: to });
        }
    }

    /// The session is over: what waits is sent, then the stream ends. The first reason stays.
    pub(super) fn close(&mut self, id: u32, reason: CloseReason, wire: &mut Wire) {
        let stream = &mut wire.streams[id as usize];
        if stream.phase != Phase::Open {
            return;
        }
        stream.phase = Phase::Closing(reason);
        stream.inbox = Vec::new();
        wire.queue.plan(wire.now + LINGER_NANOS, Event::Linger(id));
        if wire.streams[id as usize].outbox.is_empty() {
            self.shut_down(id, reason, wire);
        }
    }

    /// Everything was sent.
    fn shut_down(&mut self, id: u32, reason: CloseReason, wire: &mut Wire) {
        if reason == CloseReason::Disconnected {
            self.remove(id, wire);
        } else if !wire.streams[id as usize].is_ended {
            wire.streams[id as usize].is_ended = true;
            wire.send_down(id, Down::End);
        }
    }

    /// Lets go of a stream. What the transport has not taken is lost.
    pub(super) fn remove(&mut self, id: u32, wire: &mut Wire) {
        let session = wire.streams[id as usize].session;
        if self.slots.stream(session) != Some(id) {
            return;
        }
        self.slots.remove(session);
        cut_off(wire, id);
        self.end_if_done();
    }
}

/// The daemon has nothing to do with a stream any more.
pub(super) fn cut_off(wire: &mut Wire, id: u32) {
    let stream = &mut wire.streams[id as usize];
    stream.phase = Phase::Removed;
    stream.inbox = Vec::new();
    stream.outbox = VecDeque::new();
    stream.up.shrink();
    if !mem::replace(&mut stream.is_ended, true) {
        wire.send_down(id, Down::End);
    }
}
