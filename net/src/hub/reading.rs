//! What a connection's turn does with what it has read: frames become packets, and packets inputs.

use std::io;
use std::mem;
use std::num::NonZeroU32;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use lobbyd_core::id::SessionId;
use lobbyd_core::input::{Input, WireFault};
use lobbyd_core::packet::ClientPacket;
use lobbyd_core::text::RawText;
use lobbyd_core::time::Instant;
use tracing::debug;
use zeroize::Zeroize;

use super::Hub;
use crate::codec;
use crate::commons::Helm;
use crate::connection::Phase;
use crate::frame::next_frame;
use crate::transport::Stream;

/// The most frames that one connection hands in before the others have their turn.
const FRAMES_PER_TURN: u32 = 64;
/// What is logged of a client's own name.
const CLIENT_NAME_BYTES_MAX: usize = 64;

impl<S: Stream> Hub<S> {
    /// Reads and steps until there is nothing to read, the budget is used up or the session is over.
    pub(super) fn poll_session(&mut self, context: &mut Context<'_>, session: SessionId) -> Poll<()> {
        let Some(connection) = self.connections.get_mut(session) else {
            return Poll::Ready(());
        };
        if connection.is_blocked {
            match connection.stream.poll_writable(context) {
                Poll::Ready(Ok(())) => self.flush(session),
                Poll::Ready(Err(error)) => self.break_connection(session, &error),
                Poll::Pending => {}
            }
        }
        let mut frames_left = FRAMES_PER_TURN;
        while self.is_open(session) {
            match ready!(self.poll_fill(context, session)) {
                // The engine is taken only now, so that nobody waits for it while this is read.
                Ok(Filled::Bytes(count)) => {
                    frames_left -= self.in_turn(|hub, helm| hub.take_frames(helm, session, count, frames_left));
                }
                Ok(Filled::End) => self.in_turn(|hub, helm| hub.hang_up(helm, session)),
                Err(error) => self.break_connection(session, &error),
            }
            if frames_left == 0 {
                // The rest has its turn after those who are waiting already.
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
        }
        Poll::Ready(())
    }

    /// A turn for what was read.
    fn in_turn<T>(&mut self, work: impl FnOnce(&mut Self, &mut Helm) -> T) -> T {
        let commons = Rc::clone(&self.commons);
        let mut helm = self.begin_turn(&commons);
        let result = work(self, &mut helm);
        self.end_turn(helm);
        result
    }

    /// Puts the connection's inbox, and what can be read behind it, into the scratch buffer. Reads nothing while a
    /// whole frame waits in the inbox.
    fn poll_fill(&mut self, context: &mut Context<'_>, session: SessionId) -> Poll<io::Result<Filled>> {
        let Some(connection) = self.connections.get_mut(session) else {
            return Poll::Ready(Ok(Filled::End));
        };
        let waiting = connection.inbox.len();
        let mut filled = waiting;
        if !connection.inbox_is_ready {
            let count = ready!(connection.stream.poll_read(context, &mut self.scratch[waiting..]))?;
            if count == 0 {
                return Poll::Ready(Ok(Filled::End));
            }
            filled += count;
            connection.bytes_in += count as u64;
            self.traffic.bytes_in += count as u64;
        }
        if waiting > 0 {
            self.scratch[..waiting].copy_from_slice(&connection.inbox);
            // There may be a part of a secret in it, and the pool lends it to others.
            connection.inbox.zeroize();
            self.pool.take_back(mem::take(&mut connection.inbox));
        }
        Poll::Ready(Ok(Filled::Bytes(filled)))
    }

    /// Steps the engine with the first frames of the scratch buffer, as many as may be, and keeps the rest in the
    /// connection's inbox. Returns how many it were.
    fn take_frames(&mut self, helm: &mut Helm, session: SessionId, filled: usize, frames_max: u32) -> u32 {
        // Taken out for the loop, because a packet borrows from it while the engine is stepped.
        let mut scratch = mem::take(&mut self.scratch);
        let mut rest = &scratch[..filled];
        let (mut frames, mut is_ready, mut held_secret) = (0, false, false);
        let mut better_thread = None;
        while better_thread.is_none() && self.is_open(session) {
            match next_frame(rest, self.frame_bytes_max) {
                Ok(None) => break,
                Ok(Some(_)) if frames == frames_max => {
                    is_ready = true;
                    break;
                }
                Ok(Some(frame)) => {
                    frames += 1;
                    rest = &rest[frame.consumed..];
                    match codec::decode_client(frame.payload) {
                        Ok(packet) => {
                            self.tally.received(&packet, frame.consumed);
                            if let ClientPacket::Pong { nonce } = packet {
                                self.ponged(session, nonce, helm.now);
                            }
                            if let ClientPacket::Hello { client, .. } = packet {
                                note_client(session, client);
                            }
                            held_secret |= packet.holds_secret();
                            let enters = matches!(packet, ClientPacket::RoomEnterRequest { .. });
                            let packet = self.sealer.seal(packet);
                            self.step_packet(helm, session, packet);
                            self.sealer.wipe();
                            if enters && !self.place.is_alone() {
                                better_thread = self.better_thread(helm, session);
                            }
                        }
                        Err(fault) => self.refuse_bytes(helm, session, fault),
                    }
                }
                Err(fault) => {
                    self.refuse_bytes(helm, session, fault);
                    // Where the next frame would begin is not known.
                    break;
                }
            }
        }
        // What follows is handled there, also if nothing more comes.
        let goes = better_thread.is_some() && self.is_open(session);
        is_ready |= goes && !matches!(next_frame(rest, self.frame_bytes_max), Ok(None));
        self.traffic.packets_in += u64::from(frames);
        self.user_lane.handled += u64::from(frames);
        self.tally.batch(frames);
        if let Some(connection) = self.connections.get_mut(session) {
            connection.packets_in += u64::from(frames);
            if frames > 0 {
                connection.heard_at = helm.now;
            }
            match (connection.inbox_is_ready, is_ready) {
                (false, true) => self.user_lane.add_waiting(),
                (true, false) => self.user_lane.waiting -= 1,
                (true, true) | (false, false) => {}
            }
            connection.inbox_is_ready = is_ready;
            self.user_lane.deferred += u64::from(is_ready);
            if !rest.is_empty() && connection.phase == Phase::Open {
                connection.inbox = self.pool.lend();
                connection.inbox.extend_from_slice(rest);
            }
        }
        if held_secret {
            scratch[..filled].zeroize();
        }
        self.scratch = scratch;
        if let Some(thread) = better_thread {
            self.move_to(helm, session, thread);
        }
        frames
    }

    /// A client answers a ping.
    fn ponged(&mut self, session: SessionId, nonce: u64, now: Instant) {
        let is_answered = self.pings.get(&session).is_some_and(|(known, _)| *known == nonce);
        if is_answered
            && let Some((_, pinged_at)) = self.pings.remove(&session)
            && let Some(connection) = self.connections.get_mut(session)
        {
            let latency = now.saturating_since(pinged_at);
            let micros = u32::try_from(latency.as_micros()).unwrap_or(u32::MAX);
            connection.heartbeat_latency_us = Some(NonZeroU32::new(micros).unwrap_or(NonZeroU32::MIN));
            self.tally.heartbeat.latency.record(latency);
        }
    }

    fn refuse_bytes(&mut self, helm: &mut Helm, session: SessionId, fault: WireFault) {
        self.step(helm, Input::Malformed { session, fault });
    }
}

/// What a connection brought.
enum Filled {
    /// This many bytes are in the scratch buffer.
    Bytes(usize),
    /// The end of the stream.
    End,
}

/// Logs what a client calls itself: debug output, since anybody can say anything there.
fn note_client(session: SessionId, client: RawText<'_>) {
    let kept = RawText(&client.0[..client.0.len().min(CLIENT_NAME_BYTES_MAX)]);
    debug!(%session, client = ?kept, "hello");
}
