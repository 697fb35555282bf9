//! What the parts of a client share: the bytes to be sent, who waits for which response, and the events.

use std::collections::{BTreeMap, VecDeque};
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard};

use lobbyd_core::id::RequestId;
use lobbyd_core::packet::{ClientPacket, CloseReason, Code, CommandReply, RoomChange, RoomPage, User};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot};
use zeroize::{Zeroize, Zeroizing};

use super::{ClientError, EVENT_BYTES_MAX, Entered, Event, REQUESTS_MAX, Welcome};
use crate::codec::encode_client;
use crate::frame::HEADER_BYTES;

/// Where the response to a request goes. Dropped when the connection ends.
pub(super) type Reply<T> = oneshot::Sender<Result<T, Code>>;

/// Who waits for a response, by the kind of the request.
#[derive(Debug)]
pub(super) enum Waiting {
    Login(Reply<User>),
    Logout(Reply<()>),
    RoomList(Reply<RoomPage>),
    RoomCreate(Reply<Entered>),
    RoomEnter(Reply<Entered>),
    RoomLeave(Reply<RoomChange>),
    RoomChat(Reply<RoomChange>),
    DirectMessage(Reply<()>),
    Kick(Reply<RoomChange>),
    Command(Reply<CommandReply>),
}

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) welcome: Welcome,
    state: Mutex<State>,
    /// Tells the connection that there is something to send, or that it is to close.
    pub(super) work: Notify,
    /// Tells whoever waits for events that there is one, or that there will be none.
    pub(super) news: Notify,
    /// Bounds the requests and pings that wait.
    permits: Arc<Semaphore>,
}

#[derive(Debug)]
struct State {
    /// Frames to be sent. Wiped once they have been, since some hold secrets.
    outbox: Zeroizing<Vec<u8>>,
    /// A request that was given up stays until its response has come, and so keeps its permit.
    requests: BTreeMap<RequestId, (Waiting, OwnedSemaphorePermit)>,
    pings: BTreeMap<u64, (oneshot::Sender<()>, OwnedSemaphorePermit)>,
    last_request: RequestId,
    last_nonce: u64,
    /// With the bytes that each takes.
    events: VecDeque<(Event, usize)>,
    event_bytes: usize,
    events_wanted: bool,
    closing: bool,
    end: Option<ClientError>,
}

impl Shared {
    pub(super) fn new(welcome: Welcome) -> Self {
        let state = State {
            // With room for the usual requests, so that no secret is left behind in a buffer that was outgrown.
            outbox: Zeroizing::new(Vec::with_capacity(4096)),
            requests: BTreeMap::new(),
            pings: BTreeMap::new(),
            last_request: RequestId(0),
            last_nonce: 0,
            events: VecDeque::new(),
            event_bytes: 0,
            events_wanted: true,
            closing: false,
            end: None,
        };
        Self {
            welcome,
            state: Mutex::new(state),
            work: Notify::new(),
            news: Notify::new(),
            permits: Arc::new(Semaphore::new(REQUESTS_MAX)),
        }
    }

    /// Waits until one more request may wait.
    pub(super) async fn permit(&self) -> Result<OwnedSemaphorePermit, ClientError> {
        self.permits.clone().acquire_owned().await.map_err(|_| self.end())
    }

    /// Puts a request that has `bytes` bytes of text and secrets into the outbox, and remembers who waits.
    pub(super) fn ask<'a>(
        &self,
        bytes: usize,
        packet: impl FnOnce(RequestId) -> ClientPacket<'a>,
        waiting: Waiting,
        permit: OwnedSemaphorePermit,
    ) -> Result<(), ClientError> {
        let bytes_max = self.welcome.frame_bytes_max;
        if bytes > bytes_max as usize {
            return Err(ClientError::RequestTooLong { bytes, bytes_max });
        }
        let mut state = self.open_state()?;
        // Unique among those that wait, which are far fewer than there are numbers.
        let request = RequestId(state.last_request.0.wrapping_add(1));
        let start = state.outbox.len();
        encode_client(&packet(request), &mut state.outbox);
        let bytes = state.outbox.len() - start - HEADER_BYTES;
        if bytes > bytes_max as usize {
            state.outbox[start..].zeroize();
            state.outbox.truncate(start);
            return Err(ClientError::RequestTooLong { bytes, bytes_max });
        }
        state.last_request = request;
        state.requests.insert(request, (waiting, permit));
        drop(state);
        self.work.notify_one();
        Ok(())
    }

    /// Puts a ping into the outbox, and remembers who waits.
    pub(super) fn ping(&self, reply: oneshot::Sender<()>, permit: OwnedSemaphorePermit) -> Result<(), ClientError> {
        let mut state = self.open_state()?;
        state.last_nonce += 1;
        let nonce = state.last_nonce;
        encode_client(&ClientPacket::Ping { nonce }, &mut state.outbox);
        state.pings.insert(nonce, (reply, permit));
        drop(state);
        self.work.notify_one();
        Ok(())
    }

    /// Answers a ping of the server.
    pub(super) fn pong(&self, nonce: u64) {
        encode_client(&ClientPacket::Pong { nonce }, &mut self.state().outbox);
    }

    /// A ping of this side was answered.
    pub(super) fn ponged(&self, nonce: u64) -> Result<(), ClientError> {
        let (reply, _) = self.state().pings.remove(&nonce).ok_or(ClientError::Unexpected("a pong answers no ping"))?;
        // Whoever asked may have given up.
        let _ = reply.send(());
        Ok(())
    }

    /// Who waits for the response to `request`.
    pub(super) fn waiting(&self, request: RequestId) -> Result<Waiting, ClientError> {
        let waiting = self.state().requests.remove(&request);
        waiting.map(|(waiting, _)| waiting).ok_or(ClientError::Unexpected("a response answers no request"))
    }

    /// Adds an event that came in `bytes` bytes.
    pub(super) fn tell(&self, event: Event, bytes: usize) -> Result<(), ClientError> {
        let bytes = bytes + size_of::<Event>();
        let mut state = self.state();
        if !state.events_wanted {
            return Ok(());
        }
        if state.event_bytes + bytes > EVENT_BYTES_MAX {
            return Err(ClientError::EventsUnread);
        }
        state.event_bytes += bytes;
        state.events.push_back((event, bytes));
        drop(state);
        self.news.notify_one();
        Ok(())
    }

    /// The first event that nobody has fetched, or the end; `None` when there is neither yet.
    pub(super) fn next_event(&self) -> Option<Result<Event, ClientError>> {
        let mut state = self.state();
        if let Some((event, bytes)) = state.events.pop_front() {
            state.event_bytes -= bytes;
            return Some(Ok(event));
        }
        state.end.clone().map(Err)
    }

    /// Drops the events that are there and all that come.
    pub(super) fn refuse_events(&self) {
        let mut state = self.state();
        state.events_wanted = false;
        state.events = VecDeque::new();
        state.event_bytes = 0;
    }

    /// Moves what is to be sent into `writing`, which is empty.
    pub(super) fn take_outbox(&self, writing: &mut Zeroizing<Vec<u8>>) {
        mem::swap(&mut self.state().outbox, writing);
    }

    pub(super) fn outbox_bytes(&self) -> usize {
        self.state().outbox.len()
    }

    /// Asks the connection to send what is there and to close.
    pub(super) fn close(&self) {
        self.state().closing = true;
        self.work.notify_one();
    }

    pub(super) fn is_closing(&self) -> bool {
        self.state().closing
    }

    /// The connection is over; the first to say why is right. Everybody who waits learns it.
    pub(super) fn finish(&self, why: ClientError) {
        let mut state = self.state();
        if state.end.is_some() {
            return;
        }
        state.end = Some(why);
        state.outbox.zeroize();
        // To drop the senders is what wakes those who wait; they then ask for the end, so it is there before.
        let (requests, pings) = (mem::take(&mut state.requests), mem::take(&mut state.pings));
        drop(state);
        self.permits.close();
        drop((requests, pings));
        self.news.notify_one();
    }

    /// What ended the connection.
    pub(super) fn end(&self) -> ClientError {
        self.state().end.clone().unwrap_or(ClientError::Closed(CloseReason::Disconnected))
    }

    /// The state, unless the connection is over or about to be.
    fn open_state(&self) -> Result<MutexGuard<'_, State>, ClientError> {
        let state = self.state();
        match &state.end {
            Some(end) => Err(end.clone()),
            None if state.closing => Err(ClientError::Closed(CloseReason::Disconnected)),
            None => Ok(state),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it holds this lock")
    }
}
