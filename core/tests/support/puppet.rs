//! An extension that does what it is told: its parameters are what it does, one thing after the other.

use std::time::Duration;

use lobbyd_core::extension::{Command, CommandHandler, Context, Event, Failure, Handlers, KeptCommand, Reply};
use lobbyd_core::id::{CallTicket, RoomNumber};
use lobbyd_core::input::ServiceError;
use serde::{Deserialize, Serialize};

/// The name that it has in [`puppet`].
pub(crate) const PUPPET: &str = "puppet";

/// One puppet, and nothing else.
pub(crate) fn puppet() -> Handlers {
    let mut handlers = Handlers::new();
    handlers.register(PUPPET, Puppet::default()).expect("the name is good and free");
    handlers
}

/// Does what its parameters say: words, and `;` between things to do.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Puppet {
    /// Counts what it has counted.
    count: u64,
    /// What it was told, in words.
    heard: Vec<String>,
    /// What it has kept and not answered.
    kept: Vec<KeptCommand>,
    /// What it does when a deadline comes, or a service replies.
    later: String,
}

impl Puppet {
    fn act(&mut self, context: &mut Context<'_>, script: &str) -> Result<(), Failure> {
        for deed in script.split(';') {
            let (verb, rest) = deed.split_once(' ').unwrap_or((deed, ""));
            let (first, second) = rest.split_once(' ').unwrap_or((rest, ""));
            let number = || first.parse::<u64>().expect("a number");
            match verb {
                "" => {}
                "reply" => context.reply(Reply::success(rest.as_bytes()))?,
                "refuse" => context.reply(Reply::failure(rest))?,
                "refuse-with" => context.reply(Reply::failure(second).with_data(first.as_bytes()))?,
                "long" => context.reply(Reply::success(&vec![b'x'; number() as usize]))?,
                "count" => {
                    self.count += 1;
                    context.reply(Reply::success(self.count.to_string().as_bytes()))?;
                }
                "random" => {
                    let number = context.random();
                    context.reply(Reply::success(number.to_string().as_bytes()))?;
                }
                "heard" => {
                    context.reply(Reply::success(self.heard.join(",").as_bytes()))?;
                    self.heard.clear();
                }
                "keep" => {
                    let kept = context.keep()?;
                    self.kept.push(kept);
                }
                "answer" => {
                    let kept = self.kept.pop().expect("something is kept");
                    context.answer(kept, Reply::success(rest.as_bytes()))?;
                }
                "answer-again" => {
                    let kept = *self.kept.last().expect("something is kept");
                    context.answer(kept, Reply::success(rest.as_bytes()))?;
                }
                "room" => context.notify_room(RoomNumber(number() as u32), second.as_bytes())?,
                "user" => context.notify_user(first.parse().expect("a name"), second.as_bytes())?,
                "deadline" => context.set_deadline(number(), Duration::from_millis(second.parse().expect("a time")))?,
                "clear" => context.clear_deadline(number()),
                "call" => {
                    let ticket = context.call_service(first.parse().expect("a name"), second.as_bytes())?;
                    self.heard.push(format!("asked {ticket}"));
                }
                "later" => self.later = rest.replace(',', ";"),
                "fail" => return Err(Failure::new(rest)),
                "panic" => return Err(Failure::panicked(rest)),
                other => panic!("the puppet cannot {other}"),
            }
        }
        Ok(())
    }
}

impl CommandHandler for Puppet {
    fn command(&mut self, context: &mut Context<'_>, command: Command<'_>) -> Result<(), Failure> {
        let user = context.user(command.session).expect("only those who are logged in have commands");
        assert_eq!(user.session(), command.session);
        self.act(context, std::str::from_utf8(command.parameters).expect("scripts are text"))
    }

    fn event(&mut self, context: &mut Context<'_>, event: Event) -> Result<(), Failure> {
        let room = |room: RoomNumber| context.room(room).map_or(0, |room| room.members().len());
        self.heard.push(match event {
            Event::LoggedIn { user, .. } => format!("{user} in"),
            Event::LoggedOut { user, .. } => format!("{user} out"),
            Event::Entered { user, room: number, .. } => format!("{user} enters {number} of {}", room(number)),
            Event::Left { user, room: number, cause, .. } => format!("{user} leaves {number} {cause:?}"),
            Event::RoomGone { room } => format!("{room} gone"),
            // What it has to take up is in its script for later, like that of a deadline.
            Event::Enabled => {
                self.heard.push("enabled".to_owned());
                let script = self.later.clone();
                return self.act(context, &script);
            }
            other => panic!("the puppet does not know {other:?}"),
        });
        Ok(())
    }

    fn deadline(&mut self, context: &mut Context<'_>, key: u64) -> Result<(), Failure> {
        self.heard.push(format!("deadline {key}"));
        let script = self.later.clone();
        self.act(context, &script)
    }

    fn service_reply(
        &mut self,
        context: &mut Context<'_>,
        ticket: CallTicket,
        result: Result<&[u8], ServiceError>,
    ) -> Result<(), Failure> {
        let result = result.map(|bytes| String::from_utf8(bytes.to_vec()).expect("replies are text"));
        self.heard.push(format!("{ticket} {result:?}"));
        let script = self.later.clone();
        self.act(context, &script)
    }

    fn save(&self, out: &mut Vec<u8>) {
        serde_json::to_writer(out, self).expect("a puppet can be written");
    }

    fn load(&mut self, state: &[u8]) -> Result<(), String> {
        *self = serde_json::from_slice(state).map_err(|error| error.to_string())?;
        Ok(())
    }
}

impl Puppet {
    /// One that has counted so far.
    pub(crate) fn counting(count: u64) -> Self {
        Self { count, ..Self::default() }
    }
}
