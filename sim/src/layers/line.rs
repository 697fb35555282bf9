//! A client's connection: moves its bytes, and does to the stream what the scenario says. On which network, the layers
//! decide that hand in the stream.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::mem;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use lobbyd_core::config::FRAME_BYTES_LIMIT;
use lobbyd_net::codec::decode_server;
use lobbyd_net::frame::next_frame;
use lobbyd_net::transport::Stream;

use super::Arrival;
use super::speech::Speech;

const READ_BYTES: usize = 16 * 1024;

/// What a client has heard and can say. Shared between the world and the client's connection.
pub(in crate::layers) struct Voice {
    pub(in crate::layers) speech: Speech,
    arrived: VecDeque<Arrival>,
    number: usize,
    news: Rc<News>,
}

/// The numbers of those who have heard something that they have not told the world. The world asks in every tick, so it
/// does not look at those who have nothing to tell.
#[derive(Default)]
pub(in crate::layers) struct News(RefCell<Vec<usize>>);

impl News {
    /// Hands each number to `tell`, which is to have that voice [tell](Voice::tell) what it has.
    pub(in crate::layers) fn each(&self, tell: impl FnMut(usize)) {
        self.0.borrow_mut().drain(..).for_each(tell);
    }
}

impl Voice {
    /// Somebody who has heard nothing, and who is `number` in the news.
    pub(in crate::layers) fn new(number: usize, news: Rc<News>) -> Self {
        Self { speech: Speech::default(), arrived: VecDeque::new(), number, news }
    }

    /// Moves what it has heard behind what it has told before.
    pub(in crate::layers) fn tell(&mut self, told: &mut VecDeque<Arrival>) {
        told.append(&mut self.arrived);
    }

    fn heard(&mut self, arrival: Arrival) {
        if self.arrived.is_empty() {
            self.news.0.borrow_mut().push(self.number);
        }
        self.arrived.push_back(arrival);
    }
}

/// A connection, as the world steers it.
pub(in crate::layers) struct Line {
    outgoing: RefCell<Vec<u8>>,
    reads: Cell<bool>,
    /// What is to become of the stream when everything before is sent.
    order: Cell<Order>,
    /// Whether there is nothing more to come of it.
    is_over: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

/// What is to become of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::layers) enum Order {
    /// It goes on.
    Keep,
    /// Its writing half ends.
    HalfClose,
    /// It is closed.
    Close,
    /// It is cut, whether or not something waits to be sent.
    Reset,
    /// It is left alone: nobody reads, writes or closes it.
    Leave,
}

/// A stream that can be cut.
pub(in crate::layers) trait Cut: Stream {
    /// Cuts the connection: the peer reads an error instead of the end of the stream.
    fn cut(self);
}

/// A daemon has sent what is no packet.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the server sent what is no packet: {0}")]
pub(in crate::layers) struct Unreadable(String);

impl Line {
    pub(in crate::layers) fn new() -> Rc<Self> {
        Rc::new(Self {
            outgoing: RefCell::default(),
            reads: Cell::new(true),
            order: Cell::new(Order::Keep),
            is_over: Cell::new(false),
            waker: RefCell::default(),
        })
    }

    /// Sends bytes, as soon as it is connected.
    pub(in crate::layers) fn send(&self, bytes: &[u8]) {
        self.outgoing.borrow_mut().extend_from_slice(bytes);
        self.wake();
    }

    /// Reads, or does not any more.
    pub(in crate::layers) fn set_reads(&self, reads: bool) {
        self.reads.set(reads);
        self.wake();
    }

    pub(in crate::layers) fn order(&self, order: Order) {
        self.order.set(order);
        self.wake();
    }

    /// Whether the client still has something to say or to hear here.
    pub(in crate::layers) fn is_alive(&self) -> bool {
        !self.is_over.get() && matches!(self.order.get(), Order::Keep | Order::HalfClose)
    }

    /// Whether the client has ended its writing half.
    pub(in crate::layers) fn is_half_closed(&self) -> bool {
        self.order.get() == Order::HalfClose
    }

    pub(in crate::layers) fn is_reading(&self) -> bool {
        self.is_alive() && self.reads.get()
    }

    fn remember(&self, waker: &Waker) {
        match &mut *self.waker.borrow_mut() {
            // Nearly always it is the same one, which is not cloned again.
            Some(known) => known.clone_from(waker),
            unknown => *unknown = Some(waker.clone()),
        }
    }

    fn wake(&self) {
        if let Some(waker) = &*self.waker.borrow() {
            waker.wake_by_ref();
        }
    }
}

/// The rest of a connection's life, from when it was made; without a stream it was not made.
///
/// # Errors
/// When something arrives that is no packet. The connection counts as closed then.
pub(in crate::layers) async fn attend<S: Cut>(
    stream: Option<S>,
    line: &Line,
    voice: &RefCell<Voice>,
) -> Result<(), Unreadable> {
    let mut outcome = Ok(());
    if let Some(stream) = stream {
        let mut attended = Attended {
            stream: Some(stream),
            line,
            voice,
            sending: Vec::new(),
            sent: 0,
            is_shut: false,
            received: Vec::new(),
            scratch: vec![0; READ_BYTES],
        };
        outcome = poll_fn(|context| attended.poll(context)).await;
    }
    if line.is_alive() {
        let mut voice = voice.borrow_mut();
        voice.heard(Arrival::Closed);
        voice.speech.disconnected();
    }
    line.is_over.set(true);
    outcome
}

struct Attended<'a, S> {
    /// Absent once it was cut or closed.
    stream: Option<S>,
    line: &'a Line,
    voice: &'a RefCell<Voice>,
    sending: Vec<u8>,
    sent: usize,
    is_shut: bool,
    received: Vec<u8>,
    scratch: Vec<u8>,
}

impl<S: Cut> Attended<'_, S> {
    /// Ready when the connection is over.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Unreadable>> {
        self.line.remember(context.waker());
        match self.line.order.get() {
            Order::Leave => return Poll::Pending,
            Order::Reset => {
                if let Some(stream) = self.stream.take() {
                    stream.cut();
                }
                return Poll::Ready(Ok(()));
            }
            Order::Keep | Order::HalfClose | Order::Close => {}
        }
        // Reading makes the client answer pings, which are then written.
        let read = if self.line.reads.get() { self.poll_read(context) } else { Poll::Pending };
        let written = self.poll_write(context);
        match self.line.order.get() {
            Order::HalfClose | Order::Close if written.is_ready() && !self.is_shut => {
                self.is_shut = true;
                if let Some(stream) = &mut self.stream {
                    // What is broken already need not be ended.
                    let _ = stream.poll_shutdown(context);
                }
            }
            Order::Keep | Order::HalfClose | Order::Close | Order::Reset | Order::Leave => {}
        }
        let is_closed = self.line.order.get() == Order::Close && self.is_shut;
        if is_closed { Poll::Ready(Ok(())) } else { read }
    }

    /// Ready when everything is written, or nothing more can be.
    fn poll_write(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Some(stream) = &mut self.stream else { return Poll::Ready(()) };
        loop {
            if self.sent == self.sending.len() {
                self.sending = mem::take(&mut self.line.outgoing.borrow_mut());
                self.sent = 0;
            }
            if self.sending.is_empty() || self.is_shut {
                return Poll::Ready(());
            }
            match stream.try_write(&self.sending[self.sent..]) {
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => match stream.poll_writable(context) {
                    Poll::Ready(Ok(())) => {}
                    Poll::Ready(Err(_)) => self.sent = self.sending.len(),
                    Poll::Pending => return Poll::Pending,
                },
                // The end of the connection is found by reading.
                Err(_) => self.sent = self.sending.len(),
            }
        }
    }

    /// Ready when nothing more will come.
    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Unreadable>> {
        let Some(stream) = &mut self.stream else { return Poll::Ready(Ok(())) };
        loop {
            match stream.poll_read(context, &mut self.scratch) {
                Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Ok(())),
                Poll::Ready(Ok(count)) => {
                    self.received.extend_from_slice(&self.scratch[..count]);
                    take_packets(&mut self.received, self.voice, self.line)?;
                }
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

/// Takes the whole packets out of what was received.
fn take_packets(received: &mut Vec<u8>, voice: &RefCell<Voice>, line: &Line) -> Result<(), Unreadable> {
    let mut consumed = 0;
    while let Some(frame) = next_frame(&received[consumed..], FRAME_BYTES_LIMIT).map_err(unreadable)? {
        let packet = decode_server(frame.payload).map_err(unreadable)?;
        consumed += frame.consumed;
        // Whoever has closed a connection hears no more of it; another one may have its place already.
        if !line.is_alive() {
            continue;
        }
        let mut voice = voice.borrow_mut();
        voice.speech.hear(&packet, &mut line.outgoing.borrow_mut());
        voice.heard(Arrival::Packet(Rc::new(packet)));
    }
    received.drain(..consumed);
    Ok(())
}

fn unreadable(error: impl std::fmt::Debug) -> Unreadable {
    Unreadable(format!("{error:?}"))
}
