//! The clients of a world with real bytes: what each says, does to its connection, and has heard.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use super::line::{Line, News, Order, Voice};
use super::{Arrival, CannotDo};
use crate::scenario::{Operation, Touch};

/// All clients of a world. Each has a number, so that what happens in every tick looks nobody up by name.
#[derive(Default)]
pub(in crate::layers) struct Clients {
    numbers: BTreeMap<String, usize>,
    clients: Vec<Client>,
    news: Rc<News>,
}

/// A client; a name may have been asked for only, and be nobody's.
struct Client {
    voice: Rc<RefCell<Voice>>,
    /// Absent until it has connected once.
    line: Option<Rc<Line>>,
    /// What it has heard.
    arrived: VecDeque<Arrival>,
}

impl Clients {
    /// A new connection of a client, to be attended; the one that it has is left alone from now on.
    pub(in crate::layers) fn connect(&mut self, name: &str) -> (Rc<Line>, Rc<RefCell<Voice>>) {
        let line = Line::new();
        let client = self.client(name);
        if let Some(old) = client.line.replace(line.clone()) {
            // One that is being closed or reset at this moment goes on with that.
            if old.is_alive() {
                old.order(Order::Leave);
            }
        }
        client.voice.borrow_mut().speech.disconnected();
        (line, client.voice.clone())
    }

    /// Begins what a client does on its connection. A connect is not begun here, but by [`Clients::connect`].
    ///
    /// # Errors
    /// When it makes no sense now.
    pub(in crate::layers) fn begin(&self, name: &str, operation: &Operation, now: Duration) -> Result<(), CannotDo> {
        let (client, line) = self.connected(name)?;
        match operation.touch() {
            Touch::EndsWriting => line.order(Order::HalfClose),
            Touch::Closes => line.order(Order::Close),
            Touch::Resets => line.order(Order::Reset),
            Touch::Vanishes => line.order(Order::Leave),
            Touch::StopsReading => line.set_reads(false),
            Touch::ResumesReading => line.set_reads(true),
            Touch::Opens | Touch::Writes => {
                if line.is_half_closed() {
                    return Err(CannotDo::Scenario(format!("{name} has ended its writing half")));
                }
                let mut voice = client.voice.borrow_mut();
                let own = voice.speech.user();
                let user_of =
                    |other: &str| if other == name { own } else { self.known(other)?.voice.borrow().speech.user() };
                let mut bytes = Vec::new();
                voice.speech.say(now, operation, user_of, &mut bytes)?;
                line.send(&bytes);
            }
        }
        if !line.is_alive() {
            client.voice.borrow_mut().speech.disconnected();
        }
        Ok(())
    }

    /// Takes over what the connections have heard by now.
    pub(in crate::layers) fn listen(&mut self) {
        let clients = &mut self.clients;
        self.news.each(|number| {
            let Client { voice, arrived, .. } = &mut clients[number];
            voice.borrow_mut().tell(arrived);
        });
    }

    /// Whether somebody has heard something that was not looked at yet.
    pub(in crate::layers) fn have_arrivals(&self) -> bool {
        self.clients.iter().any(|client| !client.arrived.is_empty())
    }

    /// Whether somebody waits for the answer to a login that was asked for since `since`.
    pub(in crate::layers) fn wait_for_login(&self, since: Duration) -> bool {
        self.clients.iter().any(|client| {
            client.line.as_ref().is_some_and(|line| line.is_reading())
                && client.voice.borrow().speech.waits_for_login(since)
        })
    }

    /// What has arrived at a client and was not looked at yet, in order.
    pub(in crate::layers) fn arrived(&mut self, name: &str) -> &mut VecDeque<Arrival> {
        &mut self.client(name).arrived
    }

    fn client(&mut self, name: &str) -> &mut Client {
        let number = self.numbers.get(name).copied().unwrap_or_else(|| {
            let number = self.clients.len();
            let voice = Rc::new(RefCell::new(Voice::new(number, self.news.clone())));
            self.clients.push(Client { voice, line: None, arrived: VecDeque::new() });
            self.numbers.insert(name.to_owned(), number);
            number
        });
        &mut self.clients[number]
    }

    fn known(&self, name: &str) -> Option<&Client> {
        self.numbers.get(name).map(|number| &self.clients[*number])
    }

    fn connected(&self, name: &str) -> Result<(&Client, &Rc<Line>), CannotDo> {
        let client = self.known(name);
        let line = client.and_then(|client| client.line.as_ref().filter(|line| line.is_alive()));
        client.zip(line).ok_or_else(|| CannotDo::Scenario(format!("{name} has no connection")))
    }
}
