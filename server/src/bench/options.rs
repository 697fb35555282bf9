//! What a bench is asked to do.

use std::time::Duration;

use super::load::{Drive, Load};
use super::scenario::Scenario;
use super::target::Target;

/// What a bench is asked to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// What is run, in this order.
    pub scenarios: Vec<Scenario>,
    /// Against what, in turn. Ratios are those of the first to the others.
    pub targets: Vec<Target>,
    /// How often; the servers take turns within each round.
    pub rounds: u32,
    /// How long each measurement is, after a time of half of this (one second at most) that does not count.
    pub duration: Duration,
    /// Where it is given, the servers of a round run at the same time and are asked in turns of this length: what else the
    /// machine does meanwhile is the same for all, and small differences of what a delivery costs show. Deliveries a second
    /// are not told, because what is under way at the end of a turn takes the time of the next. Only for saturation and
    /// texts, whose messages wait for the server.
    pub turn: Option<Duration>,
    /// Clients, where not as many as the scenario usually has. Paces of rooms of ten go with them.
    pub clients: Option<u32>,
    /// Rooms, where not as many as the scenario usually has.
    pub rooms: Option<u32>,
    /// Messages a second in all, where not as many as the scenario usually has. Only of scenarios with a schedule.
    pub messages: Option<u32>,
    /// The names of users, with `{}` where their number goes: they must exist on a server that runs already.
    pub users: String,
    /// The secret of every user.
    pub secret: String,
    /// Settings of a lobbyd that is started, by their full names.
    pub settings: Vec<(String, String)>,
    /// The process of a server that runs already, if what it costs is to be measured.
    pub process: Option<u32>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            scenarios: Scenario::DEFAULT.to_vec(),
            targets: Vec::new(),
            rounds: 1,
            duration: Duration::from_secs(3),
            turn: None,
            clients: None,
            rooms: None,
            messages: None,
            users: "b{}".to_owned(),
            secret: "bench".to_owned(),
            settings: Vec::new(),
            process: None,
        }
    }
}

impl Options {
    /// The load of a scenario.
    #[must_use]
    pub fn load(&self, scenario: Scenario) -> Load {
        let load = scenario.load(self.clients, self.rooms);
        match (load.drive, self.messages) {
            (Drive::Paced(_), Some(messages)) => Load { drive: Drive::Paced(messages.into()), ..load },
            _without_a_schedule => load,
        }
    }

    /// The name of a user, by number.
    #[must_use]
    pub fn user(&self, number: u32) -> String {
        self.users.replace("{}", &number.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_those_of_a_schedule() {
        let options = Options { messages: Some(70), clients: Some(20), ..Options::default() };
        assert_eq!(options.load(Scenario::Paced).drive, Drive::Paced(70.0));
        assert_eq!(options.load(Scenario::Saturation).drive, Drive::UnderWay(8));
        assert_eq!((options.load(Scenario::Paced).clients, options.load(Scenario::BigRoom).clients), (20, 20));
        assert_eq!(Options::default().load(Scenario::Paced).drive, Drive::Paced(5_000.0));
    }
}
