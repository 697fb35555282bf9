//! Moving the bytes of a client, and sorting what comes: responses to those who wait, the rest into events.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use lobbyd_core::id::RoomNumber;
use lobbyd_core::packet::{CloseReason, Code, RoomChange, RoomEntered, ServerPacket};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, sleep_until, timeout};
use zeroize::{Zeroize, Zeroizing};

use super::room::Room;
use super::shared::{Reply, Shared, Waiting};
use super::{ClientError, Entered, Event};
use crate::codec::decode_server;
use crate::frame::next_frame;

/// While more than this waits to be sent, nothing is read: a server that pings without end and reads no answers cannot
/// fill the memory.
const OUTBOX_BYTES_MAX: usize = 256 * 1024;
/// How much is read at once.
const READ_BYTES: usize = 8 * 1024;
/// How long a connection that this side closes waits for the other side to close too. Without that wait the last
/// request could be lost to a reset.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// After how many heartbeat intervals without a complete packet the server is given up. Twice what the server grants its
/// clients: its process may be stopped and continued, which closes nobody there, and neither shall it here. At the
/// default interval of 20 seconds a server may stand still for a minute and more without losing anybody.
const SILENT_INTERVALS: u32 = 6;

/// Moves the bytes: nothing else of the client does anything while nobody runs this. Needs tokio's timer. Dropped
/// before its end, it ends the connection.
#[derive(Debug)]
pub struct Connection<S> {
    stream: S,
    inbox: BytesMut,
    receiver: Receiver,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    pub(super) fn new(stream: S, inbox: BytesMut, shared: Arc<Shared>) -> Self {
        Self { stream, inbox, receiver: Receiver { shared, room: Room::default() } }
    }

    /// Runs until the connection is over. A future that can be sent to another thread if the stream can.
    ///
    /// # Errors
    /// What ended it, unless this side did by [`Handle::close`](super::Handle::close) or by dropping every handle. The
    /// same error is what [`Events::next`](super::Events::next) and everybody who waits for a response get.
    pub async fn run(mut self) -> Result<(), ClientError> {
        let result = self.serve().await;
        self.receiver.shared.finish(result.clone().err().unwrap_or(ClientError::Closed(CloseReason::Disconnected)));
        result
    }

    async fn serve(&mut self) -> Result<(), ClientError> {
        let Self { stream, inbox, receiver } = self;
        let (mut reader, mut writer) = tokio::io::split(stream);
        let shared = receiver.shared.clone();
        let mut sending = Sending::default();
        let silence = shared.welcome.heartbeat_interval * SILENT_INTERVALS;
        let mut silent = pin!(sleep_until(Instant::now() + silence));
        loop {
            if receiver.receive_all(inbox)? {
                silent.as_mut().reset(Instant::now() + silence);
            }
            // Asked first: once it is closing, nothing more comes into the outbox that is taken next.
            let is_closing = shared.is_closing();
            sending.refill(&shared);
            if sending.is_done() && is_closing {
                return close(&mut reader, &mut writer).await;
            }
            tokio::select! {
                // Writing first: it ends, because what is written answers what is read or is bounded by the permits.
                biased;
                () = sending.advance(&mut writer), if !sending.is_done() => {}
                read = read_some(&mut reader, inbox), if shared.outbox_bytes() <= OUTBOX_BYTES_MAX => read?,
                () = shared.work.notified(), if sending.is_done() => {}
                () = &mut silent, if !silence.is_zero() => return Err(ClientError::ServerSilent(silence)),
            }
        }
    }
}

/// Reads into `inbox` what is there, or fails at the end of the stream.
async fn read_some(reader: &mut (impl AsyncRead + Unpin), inbox: &mut BytesMut) -> Result<(), ClientError> {
    inbox.reserve(READ_BYTES);
    match reader.read_buf(inbox).await? {
        0 => Err(ClientError::Closed(CloseReason::Disconnected)),
        _ => Ok(()),
    }
}

/// Says that nothing more comes, and waits a little until the other side says so too.
async fn close(
    reader: &mut (impl AsyncRead + Unpin),
    writer: &mut (impl AsyncWrite + Unpin),
) -> Result<(), ClientError> {
    let ending = async {
        writer.shutdown().await?;
        let mut discarded = [0; 1024];
        while reader.read(&mut discarded).await? > 0 {}
        Ok::<(), std::io::Error>(())
    };
    // This side is done with the connection: how the other side ends it changes nothing.
    let _ = timeout(CLOSE_TIMEOUT, ending).await;
    Ok(())
}

/// What is on its way out.
#[derive(Default)]
struct Sending {
    bytes: Zeroizing<Vec<u8>>,
    written: usize,
    unflushed: bool,
    /// Once writing has failed nothing is written any more. What ends the connection is what reading says: the other
    /// side may have left a reason before it went.
    is_broken: bool,
}

impl Sending {
    fn is_done(&self) -> bool {
        self.is_broken || (self.bytes.is_empty() && !self.unflushed)
    }

    fn refill(&mut self, shared: &Shared) {
        if self.bytes.is_empty() || self.is_broken {
            self.bytes.zeroize();
            shared.take_outbox(&mut self.bytes);
            self.written = 0;
        }
    }

    /// Writes some, or flushes when all is written. Giving up waiting loses nothing.
    async fn advance(&mut self, writer: &mut (impl AsyncWrite + Unpin)) {
        let result = if self.bytes.is_empty() {
            writer.flush().await.map(|()| self.unflushed = false)
        } else {
            writer.write(&self.bytes[self.written..]).await.and_then(|count| self.count(count))
        };
        self.is_broken = result.is_err();
    }

    fn count(&mut self, count: usize) -> std::io::Result<()> {
        if count == 0 {
            return Err(std::io::ErrorKind::WriteZero.into());
        }
        self.unflushed = true;
        self.written += count;
        if self.written == self.bytes.len() {
            self.bytes.zeroize();
            self.written = 0;
        }
        Ok(())
    }
}

/// Sorts what comes.
#[derive(Debug)]
struct Receiver {
    shared: Arc<Shared>,
    room: Room,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.shared.finish(ClientError::Closed(CloseReason::Disconnected));
    }
}

impl Receiver {
    /// Takes every complete packet out of `inbox`; says whether there was one.
    fn receive_all(&mut self, inbox: &mut BytesMut) -> Result<bool, ClientError> {
        let mut any = false;
        while let Some(frame) = next_frame(inbox, self.shared.welcome.frame_bytes_max)? {
            let consumed = frame.consumed;
            self.receive(decode_server(frame.payload)?, consumed)?;
            inbox.advance(consumed);
            any = true;
        }
        Ok(any)
    }

    fn receive(&mut self, packet: ServerPacket, bytes: usize) -> Result<(), ClientError> {
        match packet {
            ServerPacket::Welcome { .. } => Err(ClientError::Unexpected("it said Welcome twice")),
            ServerPacket::Ping { nonce } => {
                self.shared.pong(nonce);
                Ok(())
            }
            ServerPacket::Pong { nonce } => self.shared.ponged(nonce),
            ServerPacket::GoAway { after_ms } => {
                self.shared.tell(Event::GoAway { after: Duration::from_millis(after_ms.into()) }, bytes)
            }
            ServerPacket::Closing { reason } => Err(ClientError::Closed(reason)),
            ServerPacket::LoginResponse { request, result } => {
                let Waiting::Login(reply) = self.shared.waiting(request)? else { return Err(MISMATCH) };
                answer(reply, result)
            }
            ServerPacket::LogoutResponse { request, result } => {
                let Waiting::Logout(reply) = self.shared.waiting(request)? else { return Err(MISMATCH) };
                if result.is_ok() {
                    self.room.leave();
                }
                answer(reply, result)
            }
            ServerPacket::RoomListResponse { request, result } => {
                let Waiting::RoomList(reply) = self.shared.waiting(request)? else { return Err(MISMATCH) };
                answer(reply, result)
            }
            ServerPacket::RoomCreateResponse { request, result } => {
                let Waiting::RoomCreate(reply) = self.shared.waiting(request)? else { return Err(MISMATCH) };
                self.enter(reply, result)
            }
            ServerPacket::RoomEnterResponse { request, result } => {
                let Waiting::RoomEnter(reply) = self.shared.waiting(request)? else { return Err(MISMATCH) };
                self.enter(reply, result)
            }
            ServerPacket::RoomLeaveResponse { request, result } => {
                let Waiting::RoomLeave(reply) = self.shared.waiting(request)? else { return Err(MISMATCH) };
                self.confirm(result, bytes)?;
                if result.is_ok() {
                    self.room.leave();
                }
                answer(reply, result)
            }
            ServerPacket::RoomChatResponse { request, result } => {
                let Waiting::RoomChat(reply) = self.shared.waiting(request)? else { return Err(MISMATCH) };
                self.confirm(result, bytes)?;
                answer(reply, result)
            }
            ServerPacket::DirectMessageResponse { request, result } => {
                let Waiting::DirectMessage(reply) = self.shared.waiting(request)? else { return Err(MISMATCH) };
                answer(reply, result)
            }
            ServerPacket::KickResponse { request, result } => {
                let Waiting::Kick(reply) = self.shared.waiting(request)? else { return Err(MISMATCH) };
                self.confirm(result, bytes)?;
                answer(reply, result)
            }
            ServerPacket::RoomNewUserNotify { room, sequence, user } => {
                self.notice(Event::RoomNewUser { room, sequence, user }, (room, sequence), bytes)
            }
            ServerPacket::RoomLeaveUserNotify { room, sequence, user, cause, owner } => {
                self.notice(Event::RoomLeaveUser { room, sequence, user, cause, owner }, (room, sequence), bytes)
            }
            ServerPacket::RoomUserListNotify { room, epoch, sequence, owner, users, last } => {
                self.room.add_to_list(Entered { room, epoch, sequence, owner, users: users.0 }, last, bytes)
            }
            ServerPacket::RoomChatNotify { room, sequence, user, name, text } => {
                self.notice(Event::RoomChat { room, sequence, user, name, text }, (room, sequence), bytes)
            }
            ServerPacket::DirectMessageNotify { user, name, text } => {
                self.shared.tell(Event::DirectMessage { user, name, text }, bytes)
            }
            ServerPacket::Kicked { room, sequence, by, banned } => {
                self.notice(Event::Kicked { room, sequence, by, banned }, (room, sequence), bytes)?;
                self.room.leave();
                Ok(())
            }
            ServerPacket::AnnounceNotify { text } => self.shared.tell(Event::Announce { text }, bytes),
            ServerPacket::CustomResponse { request, command_type: _, result } => {
                let Waiting::Command(reply) = self.shared.waiting(request)? else { return Err(MISMATCH) };
                answer(reply, result.map(|reply| *reply))
            }
            ServerPacket::CustomNotify { command_type, data } => {
                self.shared.tell(Event::Custom { command_type, data }, bytes)
            }
            ServerPacket::NoticeNotify { room, text } => self.shared.tell(Event::Notice { room, text }, bytes),
        }
    }

    fn enter(&mut self, reply: Reply<Entered>, result: Result<RoomEntered, Code>) -> Result<(), ClientError> {
        match result {
            Ok(entered) => answer(reply, Ok(self.room.enter(entered)?)),
            Err(code) => {
                self.room.stay_out()?;
                answer(reply, Err(code))
            }
        }
    }

    fn notice(&mut self, event: Event, (room, sequence): (RoomNumber, u64), bytes: usize) -> Result<(), ClientError> {
        if let Some(gap) = self.room.notice(room, sequence)? {
            self.shared.tell(gap, 0)?;
        }
        self.shared.tell(event, bytes)
    }

    fn confirm(&mut self, result: Result<RoomChange, Code>, bytes: usize) -> Result<(), ClientError> {
        match result.ok().and_then(|change| self.room.confirm(change)) {
            Some(gap) => self.shared.tell(gap, bytes),
            None => Ok(()),
        }
    }
}

const MISMATCH: ClientError = ClientError::Unexpected("a response is not of the kind of its request");

fn answer<T>(reply: Reply<T>, result: Result<T, Code>) -> Result<(), ClientError> {
    // Whoever asked may have given up.
    let _ = reply.send(result);
    Ok(())
}
