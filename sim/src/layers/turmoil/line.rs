//! A client's connection: moves its bytes on its host, and does to the stream what the scenario says.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::mem;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use lobbyd_core::config::FRAME_BYTES_LIMIT;
use lobbyd_net::codec::decode_server;
use lobbyd_net::frame::next_frame;
use lobbyd_net::transport::Stream;
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::daemon::PORT;
use super::speech::Speech;
use crate::layers::Arrival;
use crate::network::{Network, SimulatedStream};

const READ_BYTES: usize = 16 * 1024;

/// What a client has heard and can say. Shared between the world and the client's connection.
#[derive(Default)]
pub(super) struct Voice {
    pub(super) speech: Speech,
    pub(super) arrived: VecDeque<Arrival>,
}

/// A connection, as the world steers it.
pub(super) struct Line {
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
pub(super) enum Order {
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

/// A connection to be made.
pub(super) struct Call {
    pub(super) line: Rc<Line>,
    pub(super) voice: Rc<RefCell<Voice>>,
    /// The host to connect to; none if nobody is there, who would refuse it.
    pub(super) host: Option<String>,
}

impl Line {
    pub(super) fn new() -> Rc<Self> {
        Rc::new(Self {
            outgoing: RefCell::default(),
            reads: Cell::new(true),
            order: Cell::new(Order::Keep),
            is_over: Cell::new(false),
            waker: RefCell::default(),
        })
    }

    /// Sends bytes, as soon as it is connected.
    pub(super) fn send(&self, bytes: &[u8]) {
        self.outgoing.borrow_mut().extend_from_slice(bytes);
        self.wake();
    }

    /// Reads, or does not any more.
    pub(super) fn set_reads(&self, reads: bool) {
        self.reads.set(reads);
        self.wake();
    }

    pub(super) fn order(&self, order: Order) {
        self.order.set(order);
        self.wake();
    }

    /// Whether the client still has something to say or to hear here.
    pub(super) fn is_alive(&self) -> bool {
        !self.is_over.get() && matches!(self.order.get(), Order::Keep | Order::HalfClose)
    }

    /// Whether the client has ended its writing half.
    pub(super) fn is_half_closed(&self) -> bool {
        self.order.get() == Order::HalfClose
    }

    pub(super) fn is_reading(&self) -> bool {
        self.is_alive() && self.reads.get()
    }

    fn wake(&self) {
        if let Some(waker) = &*self.waker.borrow() {
            waker.wake_by_ref();
        }
    }
}

/// What runs on a host of clients.
///
/// # Errors
/// Never; the simulation asks for a result.
pub(super) async fn run(
    mut calls: mpsc::UnboundedReceiver<Call>,
    network: Network,
) -> Result<(), Box<dyn std::error::Error>> {
    while let Some(call) = calls.recv().await {
        let network = network.clone();
        tokio::task::spawn_local(async move { attend(call, &network).await });
    }
    Ok(())
}

/// A connection's whole life.
async fn attend(call: Call, network: &Network) {
    let Call { line, voice, host } = call;
    let stream = match host {
        Some(host) => SimulatedStream::connect(network, (host.as_str(), PORT)).await.ok(),
        None => {
            sleep(Duration::from_millis(1)).await;
            None
        }
    };
    if let Some(stream) = stream {
        let mut attended = Attended {
            stream: Some(stream),
            line: &line,
            voice: &voice,
            sending: Vec::new(),
            sent: 0,
            is_shut: false,
            received: Vec::new(),
            scratch: vec![0; READ_BYTES],
        };
        poll_fn(|context| attended.poll(context)).await;
    }
    network.touch();
    if line.is_alive() {
        let mut voice = voice.borrow_mut();
        voice.arrived.push_back(Arrival::Closed);
        voice.speech.disconnected();
    }
    line.is_over.set(true);
}

struct Attended<'a> {
    /// Absent once it was cut or closed.
    stream: Option<SimulatedStream>,
    line: &'a Line,
    voice: &'a RefCell<Voice>,
    sending: Vec<u8>,
    sent: usize,
    is_shut: bool,
    received: Vec<u8>,
    scratch: Vec<u8>,
}

impl Attended<'_> {
    /// Ready when the connection is over.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.line.waker.replace(Some(context.waker().clone()));
        match self.line.order.get() {
            Order::Leave => return Poll::Pending,
            Order::Reset => {
                if let Some(stream) = self.stream.take() {
                    stream.reset();
                }
                return Poll::Ready(());
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
        if is_closed { Poll::Ready(()) } else { read }
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
    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Some(stream) = &mut self.stream else { return Poll::Ready(()) };
        loop {
            match stream.poll_read(context, &mut self.scratch) {
                Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(()),
                Poll::Ready(Ok(count)) => {
                    self.received.extend_from_slice(&self.scratch[..count]);
                    take_packets(&mut self.received, self.voice, self.line);
                }
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

/// Takes the whole packets out of what was received.
///
/// # Panics
/// When they are none: a daemon never sends what cannot be read.
fn take_packets(received: &mut Vec<u8>, voice: &RefCell<Voice>, line: &Line) {
    let mut consumed = 0;
    while let Some(frame) = next_frame(&received[consumed..], FRAME_BYTES_LIMIT).expect("a daemon sends frames") {
        let packet = decode_server(frame.payload).expect("a daemon sends packets");
        consumed += frame.consumed;
        let mut voice = voice.borrow_mut();
        voice.speech.hear(&packet, &mut line.outgoing.borrow_mut());
        voice.arrived.push_back(Arrival::Packet(packet));
    }
    received.drain(..consumed);
}
