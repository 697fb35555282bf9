//! The generator: every client of a load, on one thread, over one epoll.
//!
//! It is light on purpose, so that it is not what is measured: one buffer for all reads, texts are compared by their
//! stamp only, what a round has to say to a server goes out in one write for each connection. It reports its own load
//! all the same.

mod client;
mod crowd;
mod schedule;
mod tally;

use std::collections::VecDeque;
use std::io::{ErrorKind, Read};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail, ensure};
use mio::event::Event;
use mio::{Events, Interest, Poll, Token};

use self::client::{Client, Role, Stage};
use self::schedule::Schedule;
pub use self::tally::{Counts, Faults};
pub(crate) use self::tally::{Record, Tally};
use super::load::{Drive, Load, Storm};
use super::options::Options;
use super::protocol::{Heard, Protocol, Taken};
use super::stamp::{Stamp, blank_text};

/// Room for one read.
const SCRATCH_BYTES: usize = 256 * 1024;
/// Events taken from the kernel in one round.
const EVENTS: usize = 1024;
/// No progress for so long, while clients come in, is a failure.
const JOIN_PATIENCE: Duration = Duration::from_secs(20);
/// What is still under way at the end is waited for until nothing has come for so long.
const QUIET: Duration = Duration::from_secs(2);
/// And never longer than this.
const DRAIN_MAX: Duration = Duration::from_secs(20);

const TIMER: Token = Token(usize::MAX);
const STORM_TIMER: Token = Token(usize::MAX - 1);

/// Drives the clients of a load against one server, in whatever protocol.
pub(crate) trait Drives {
    /// Brings the first `count` clients to where they belong, a few at a time. Those that reconnect all the time wait
    /// for [`begin`](Self::begin).
    fn join(&mut self, count: usize) -> anyhow::Result<()>;

    /// Begins to do what the load says.
    fn begin(&mut self) -> anyhow::Result<()>;

    /// Begins the storm.
    fn begin_storm(&mut self) -> anyhow::Result<()>;

    /// Ends it: whoever is logged out logs in once more.
    fn end_storm(&mut self);

    /// Goes on for so long, and measures this.
    fn go_on(&mut self, duration: Duration, record: Record) -> anyhow::Result<()>;

    /// What has been counted and measured.
    fn tally(&self) -> &Tally;

    /// Stops, waits for what is under way, says what has been lost or come in disorder since the beginning, and closes all
    /// connections.
    fn end(&mut self) -> anyhow::Result<Faults>;
}

/// The clients of a load, who are not connected yet, against a server at that address.
pub(crate) fn drives<P: Protocol + 'static>(
    protocol: P,
    address: SocketAddr,
    load: &Load,
    options: &Options,
) -> anyhow::Result<Box<dyn Drives>> {
    Ok(Box::new(Generator::new(protocol, address, load, |number| options.user(number))?))
}

/// Every client of a load against one server.
struct Generator<P> {
    protocol: P,
    address: SocketAddr,
    drive: Drive,
    poll: Poll,
    events: Option<Events>,
    clients: Vec<Client>,
    /// Those who talk.
    talkers: Vec<usize>,
    schedule: Option<Schedule>,
    storm: Option<Storm>,
    is_storm: bool,
    storm_schedule: Option<Schedule>,
    /// Logouts that were due when every connection of the storm still waited for an answer.
    owed: u64,
    /// Connections of the storm that are logged in.
    logged_in: VecDeque<usize>,
    /// Where every connection reads into.
    scratch: Vec<u8>,
    /// Clients with something to write, each once.
    dirty: Vec<usize>,
    text: Vec<u8>,
    origin: Instant,
    is_driving: bool,
    /// Clients that are where they belong: in their room, or logged in.
    settled: usize,
    tally: Tally,
}

impl<P: Protocol> Drives for Generator<P> {
    fn join(&mut self, count: usize) -> anyhow::Result<()> {
        let mut next = self.clients.iter().take_while(|client| client.stage != Stage::Absent).count();
        let count = count.min(self.clients.len());
        if self.drive == Drive::Reconnect {
            return Ok(());
        }
        let (mut progress, mut progress_at) = (self.settled, Instant::now());
        while self.settled < count {
            while next < count && next - self.settled < P::OPENING_MAX {
                self.connect(next)?;
                next += 1;
            }
            self.turn(Instant::now() + Duration::from_millis(100))?;
            if self.settled > progress {
                (progress, progress_at) = (self.settled, Instant::now());
            }
            ensure!(
                progress_at.elapsed() < JOIN_PATIENCE,
                "{} of {count} clients are in, and nothing has happened for {JOIN_PATIENCE:?}",
                self.settled
            );
        }
        Ok(())
    }

    fn begin(&mut self) -> anyhow::Result<()> {
        self.is_driving = true;
        for index in 0..self.clients.len() {
            match (self.clients[index].role, self.drive) {
                (Role::Talker, Drive::UnderWay(count)) => {
                    for _ in 0..count {
                        self.say(index, 0);
                    }
                }
                (Role::Hopper, _) => self.leave(index),
                (Role::Reconnector, _) => self.connect(index)?,
                (Role::Talker, Drive::Silence | Drive::Paced(_) | Drive::Hop | Drive::Reconnect)
                | (Role::Sleeper | Role::Login, _) => {}
            }
        }
        if let Drive::Paced(per_second) = self.drive
            && !self.talkers.is_empty()
        {
            let schedule = Schedule::new(per_second)?;
            schedule.register(self.poll.registry(), TIMER)?;
            self.schedule = Some(schedule);
        }
        self.flush_dirty()
    }

    fn begin_storm(&mut self) -> anyhow::Result<()> {
        self.is_storm = true;
        match self.storm.and_then(|storm| storm.per_second) {
            Some(per_second) => {
                let schedule = Schedule::new(per_second)?;
                schedule.register(self.poll.registry(), STORM_TIMER)?;
                self.storm_schedule = Some(schedule);
            }
            None => self.owed = self.logged_in.len() as u64,
        }
        self.log_out_what_is_due()?;
        self.flush_dirty()
    }

    fn end_storm(&mut self) {
        self.is_storm = false;
        self.storm_schedule = None;
        self.owed = 0;
    }

    fn go_on(&mut self, duration: Duration, record: Record) -> anyhow::Result<()> {
        self.tally.record(record);
        let deadline = Instant::now() + duration;
        while Instant::now() < deadline {
            self.turn(deadline)?;
        }
        self.tally.record(Record::Nothing);
        Ok(())
    }

    fn tally(&self) -> &Tally {
        &self.tally
    }

    fn end(&mut self) -> anyhow::Result<Faults> {
        self.is_driving = false;
        self.schedule = None;
        let began = Instant::now();
        let (mut heard, mut heard_at) = (self.tally.heard_ever(), began);
        while self.tally.heard_ever() < self.tally.due_ever && heard_at.elapsed() < QUIET && began.elapsed() < DRAIN_MAX
        {
            self.turn(Instant::now() + Duration::from_millis(20))?;
            if self.tally.heard_ever() > heard {
                (heard, heard_at) = (self.tally.heard_ever(), Instant::now());
            }
        }
        self.count_tails();
        let sleepers = (0..self.clients.len()).filter(|index| self.clients[*index].role == Role::Sleeper);
        for index in sleepers.collect::<Vec<_>>() {
            let was_closed = self.clients[index].is_closed_by_server(&mut self.scratch);
            self.tally.faults.sleepers_closed += u64::from(was_closed);
        }
        self.clients.iter_mut().for_each(|client| client.stream = None);
        Ok(self.tally.faults)
    }
}

impl<P: Protocol> Generator<P> {
    /// A generator whose clients, named by `user`, are not connected yet.
    fn new(protocol: P, address: SocketAddr, load: &Load, user: impl Fn(u32) -> String) -> anyhow::Result<Self> {
        let clients = crowd::assemble(load, user);
        let talkers = (0..clients.len()).filter(|index| clients[*index].role == Role::Talker).collect();
        Ok(Self {
            protocol,
            address,
            drive: load.drive,
            poll: Poll::new().context("the system gives no epoll")?,
            events: Some(Events::with_capacity(EVENTS)),
            clients,
            talkers,
            schedule: None,
            storm: load.storm,
            is_storm: false,
            storm_schedule: None,
            owed: 0,
            logged_in: VecDeque::new(),
            scratch: vec![0; SCRATCH_BYTES],
            dirty: Vec::new(),
            text: blank_text(load.text_bytes),
            origin: Instant::now(),
            is_driving: false,
            settled: 0,
            tally: Tally::new()?,
        })
    }

    /// What each sender has said and a receiver has not heard is lost.
    fn count_tails(&mut self) {
        for receiver in &self.talkers {
            let receiver = &self.clients[*receiver];
            for (place, expected) in receiver.expected.iter().enumerate() {
                if P::ECHOES || receiver.place != place {
                    let sender = &self.clients[receiver.first_of_room + place];
                    self.tally.faults.lost += u64::from(sender.sent.wrapping_sub(*expected) % Stamp::NUMBERS);
                }
            }
        }
    }

    /// One round: waits for events, until `deadline` at the latest, and handles what has come.
    fn turn(&mut self, deadline: Instant) -> anyhow::Result<()> {
        let mut events = self.events.take().context("a round inside a round")?;
        let wait = deadline.saturating_duration_since(Instant::now());
        match self.poll.poll(&mut events, Some(wait)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => events.clear(),
            polled => polled.context("the system does not let the generator wait for events")?,
        }
        for event in &events {
            if event.token() != TIMER && event.token() != STORM_TIMER {
                self.ready(event.token().0, event)?;
            }
        }
        self.events = Some(events);
        self.say_what_is_due()?;
        self.log_out_what_is_due()?;
        self.flush_dirty()
    }

    fn say_what_is_due(&mut self) -> anyhow::Result<()> {
        let Some(mut schedule) = self.schedule.take() else {
            return Ok(());
        };
        let now = Instant::now();
        while let Some((number, due)) = schedule.next_due(now) {
            let talker = self.talkers[schedule::spread(number, self.talkers.len())];
            self.tally.sent_late(now - due);
            let due_ns = (due - self.origin).as_nanos() as u64;
            self.say(talker, due_ns);
        }
        schedule.set_timer()?;
        self.schedule = Some(schedule);
        Ok(())
    }

    fn log_out_what_is_due(&mut self) -> anyhow::Result<()> {
        if let Some(schedule) = &mut self.storm_schedule {
            let now = Instant::now();
            while schedule.next_due(now).is_some() {
                self.owed += 1;
            }
            schedule.set_timer()?;
        }
        while self.owed > 0
            && let Some(index) = self.logged_in.pop_front()
        {
            self.owed -= 1;
            self.log_out(index);
        }
        Ok(())
    }

    fn connect(&mut self, index: usize) -> anyhow::Result<()> {
        let client = &mut self.clients[index];
        let mut stream = client.connect(self.address)?;
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(&mut stream, Token(index), interest).context("epoll takes no more sockets")?;
        client.stream = Some(stream);
        Ok(())
    }

    fn ready(&mut self, index: usize, event: &Event) -> anyhow::Result<()> {
        if self.clients[index].stage == Stage::Connecting {
            if !self.clients[index].has_connected(self.address)? {
                return Ok(());
            }
            self.clients[index].stage = Stage::Opening;
            let client = &mut self.clients[index];
            client.tell(index, &mut self.dirty, |who, out| self.protocol.open(who, out));
            if !P::GREETS {
                self.done(index, None)?;
            }
        } else if event.is_writable() && self.clients[index].is_blocked {
            self.clients[index].flush()?;
        }
        if self.clients[index].reads() && (event.is_readable() || event.is_read_closed()) {
            return self.read(index);
        }
        Ok(())
    }

    fn read(&mut self, index: usize) -> anyhow::Result<()> {
        let mut scratch = std::mem::take(&mut self.scratch);
        let outcome = self.read_into(index, &mut scratch);
        self.scratch = scratch;
        outcome.with_context(|| format!("the client {} fails", self.clients[index].user))
    }

    fn read_into(&mut self, index: usize, scratch: &mut [u8]) -> anyhow::Result<()> {
        loop {
            let client = &mut self.clients[index];
            let Some(stream) = &mut client.stream else {
                return Ok(());
            };
            let carried = client.carry.len();
            ensure!(carried < scratch.len() / 2, "a unit of the protocol is longer than {carried} bytes");
            let count = match stream.read(&mut scratch[carried..]) {
                Ok(0) => bail!("the server has closed the connection"),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error).context("the connection is broken"),
            };
            scratch[..carried].copy_from_slice(&client.carry);
            client.carry.clear();
            let end = carried + count;
            // One clock for all that came in one read. Only a schedule knows when a message was due.
            let now_ns = if self.schedule.is_some() { self.origin.elapsed().as_nanos() as u64 } else { 0 };
            let consumed = self.hear_all(index, &scratch[..end], now_ns)?;
            let client = &mut self.clients[index];
            if client.stream.is_some() {
                client.carry.extend_from_slice(&scratch[consumed..end]);
            }
            // A read that is short has emptied the socket.
            if end < scratch.len() {
                return Ok(());
            }
        }
    }

    fn hear_all(&mut self, index: usize, bytes: &[u8], now_ns: u64) -> anyhow::Result<usize> {
        let mut consumed = 0;
        loop {
            let who = self.clients[index].who();
            let Some((heard, length)) = self.protocol.next(who, &bytes[consumed..]).map_err(|text| anyhow!(text))?
            else {
                return Ok(consumed);
            };
            consumed += length;
            match heard {
                Heard::Message { text, change } => self.hear_message(index, text, change, now_ns),
                Heard::Said { change } => {
                    self.clients[index].note_change(change, &mut self.tally.faults);
                    if P::TAKEN == Taken::Answer {
                        self.taken(index);
                    }
                }
                Heard::Changed(number) => {
                    self.clients[index].note_change(Some(number), &mut self.tally.faults);
                    self.tally.counts.changes += 1;
                }
                Heard::Done { entered } => self.done(index, entered)?,
                Heard::Asked(asked) => {
                    let client = &mut self.clients[index];
                    client.tell(index, &mut self.dirty, |_, out| self.protocol.answer(asked, out));
                }
                Heard::Nothing => {}
            }
        }
    }

    fn hear_message(&mut self, index: usize, text: &[u8], change: Option<u64>, now_ns: u64) {
        let client = &mut self.clients[index];
        client.note_change(change, &mut self.tally.faults);
        self.tally.counts.deliveries += 1;
        let Some(stamp) = Stamp::read(text) else {
            self.tally.faults.strange += 1;
            return;
        };
        if self.schedule.is_some() {
            self.tally.heard_after(now_ns.saturating_sub(stamp.due_ns));
        }
        client.note_stamp(stamp, &mut self.tally.faults);
        let sender = stamp.sender as usize;
        let first = client.first_of_room;
        match P::TAKEN {
            Taken::Echo if sender == client.place => self.taken(index),
            Taken::Witness if client.is_witness_of(sender) => self.taken(first + sender),
            Taken::Answer | Taken::Echo | Taken::Witness => {}
        }
    }

    fn taken(&mut self, index: usize) {
        if self.is_driving && matches!(self.drive, Drive::UnderWay(_)) {
            self.say(index, 0);
        }
    }

    fn say(&mut self, index: usize, due_ns: u64) {
        let client = &mut self.clients[index];
        // Places are below the number of clients.
        Stamp { sender: client.place as u32, number: client.sent, due_ns }.write(&mut self.text);
        client.sent = (client.sent + 1) % Stamp::NUMBERS;
        self.tally.due_ever += client.talkers_in_room as u64 - u64::from(!P::ECHOES);
        let text = &self.text;
        client.tell(index, &mut self.dirty, |who, out| self.protocol.say(who, text, out));
    }

    fn leave(&mut self, index: usize) {
        let client = &mut self.clients[index];
        client.stage = Stage::Leaving;
        client.next_change = None;
        client.tell(index, &mut self.dirty, |who, out| self.protocol.leave(who, out));
    }

    fn log_out(&mut self, index: usize) {
        let client = &mut self.clients[index];
        client.stage = Stage::LoggingOut;
        client.tell(index, &mut self.dirty, |_, out| self.protocol.log_out(out));
    }

    fn log_in(&mut self, index: usize) {
        let client = &mut self.clients[index];
        client.stage = Stage::LoggingIn;
        client.tell(index, &mut self.dirty, |who, out| self.protocol.log_in(who, out));
    }

    fn enter(&mut self, index: usize) {
        let client = &mut self.clients[index];
        client.stage = Stage::Entering;
        client.tell(index, &mut self.dirty, |who, out| self.protocol.enter(who, out));
    }

    /// What was asked for last is done: goes on to the next.
    fn done(&mut self, index: usize, entered: Option<u64>) -> anyhow::Result<()> {
        let role = self.clients[index].role;
        match self.clients[index].stage {
            Stage::Opening if role == Role::Reconnector && P::GREETS => self.reconnect(index)?,
            // What does not greet has to answer something, else more is asked of it than it can have noticed.
            Stage::Entering if role == Role::Reconnector => self.reconnect(index)?,
            Stage::Opening => {
                self.clients[index].tell(index, &mut self.dirty, |_, out| self.protocol.hello(out));
                if P::LOGS_IN { self.log_in(index) } else { self.enter(index) }
            }
            Stage::LoggingIn if role == Role::Login => {
                self.tally.counts.logins += 1;
                self.clients[index].stage = Stage::Settled;
                self.count_settled(index);
                self.logged_in.push_back(index);
                // Without a schedule everybody is due as soon as it is in.
                self.owed += u64::from(self.is_storm && self.storm_schedule.is_none());
            }
            Stage::LoggingIn => self.enter(index),
            Stage::LoggingOut => self.log_in(index),
            Stage::Entering => {
                let client = &mut self.clients[index];
                client.stage = Stage::Settled;
                client.next_change = entered.map(|number| number + 1);
                self.count_settled(index);
                self.tally.counts.entries += 1;
                if role == Role::Hopper && self.is_driving {
                    self.leave(index);
                }
            }
            Stage::Leaving => self.enter(index),
            Stage::Absent | Stage::Connecting | Stage::Settled => {}
        }
        Ok(())
    }

    fn reconnect(&mut self, index: usize) -> anyhow::Result<()> {
        self.tally.counts.connects += 1;
        self.clients[index].drop_connection();
        if self.is_driving { self.connect(index) } else { Ok(()) }
    }

    fn count_settled(&mut self, index: usize) {
        let client = &mut self.clients[index];
        self.settled += usize::from(!client.was_settled);
        client.was_settled = true;
    }

    fn flush_dirty(&mut self) -> anyhow::Result<()> {
        let mut dirty = std::mem::take(&mut self.dirty);
        for index in dirty.drain(..) {
            let client = &mut self.clients[index];
            client.is_dirty = false;
            client.flush().with_context(|| format!("the client {} fails", client.user))?;
        }
        self.dirty = dirty;
        Ok(())
    }
}
