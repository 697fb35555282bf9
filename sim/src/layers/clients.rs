//! The clients of a world with real bytes: what each says, does to its connection, and has heard.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use lobbyd_core::id::UserId;

use super::line::{Line, Order, Voice};
use super::{Arrival, CannotDo};
use crate::scenario::{Operation, Touch};

/// All clients of a world, by their names.
#[derive(Default)]
pub(in crate::layers) struct Clients {
    clients: BTreeMap<String, Client>,
    /// What each has heard; a name may have heard nothing and be nobody's.
    arrived: BTreeMap<String, VecDeque<Arrival>>,
}

/// A client that has connected once.
#[derive(Default)]
struct Client {
    voice: Rc<RefCell<Voice>>,
    line: Option<Rc<Line>>,
}

impl Clients {
    /// A new connection of a client, to be attended; the one that it has is left alone from now on.
    pub(in crate::layers) fn connect(&mut self, name: &str) -> (Rc<Line>, Rc<RefCell<Voice>>) {
        let line = Line::new();
        let client = self.clients.entry(name.to_owned()).or_default();
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
                let users: BTreeMap<&str, UserId> = self
                    .clients
                    .iter()
                    .filter_map(|(name, client)| Some((name.as_str(), client.voice.borrow().speech.user()?)))
                    .collect();
                let mut bytes = Vec::new();
                let user_of = |name: &str| users.get(name).copied();
                client.voice.borrow_mut().speech.say(now, operation, user_of, &mut bytes)?;
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
        for (name, client) in &self.clients {
            let mut voice = client.voice.borrow_mut();
            if !voice.arrived.is_empty() {
                self.arrived.entry(name.clone()).or_default().append(&mut voice.arrived);
            }
        }
    }

    /// Whether somebody has heard something that was not looked at yet.
    pub(in crate::layers) fn have_arrivals(&self) -> bool {
        self.arrived.values().any(|arrived| !arrived.is_empty())
    }

    /// Whether somebody waits for the answer to a login that was asked for since `since`.
    pub(in crate::layers) fn wait_for_login(&self, since: Duration) -> bool {
        self.clients.values().any(|client| {
            client.line.as_ref().is_some_and(|line| line.is_reading())
                && client.voice.borrow().speech.waits_for_login(since)
        })
    }

    /// What has arrived at a client and was not looked at yet, in order.
    pub(in crate::layers) fn arrived(&mut self, name: &str) -> &mut VecDeque<Arrival> {
        self.arrived.entry(name.to_owned()).or_default()
    }

    fn connected(&self, name: &str) -> Result<(&Client, &Rc<Line>), CannotDo> {
        let client = self.clients.get(name);
        let line = client.and_then(|client| client.line.as_ref().filter(|line| line.is_alive()));
        client.zip(line).ok_or_else(|| CannotDo::Scenario(format!("{name} has no connection")))
    }
}
