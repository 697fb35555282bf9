//! An extension for searches: the bytes of a command are what it does, so that whoever makes up bytes makes up
//! extensions, with answers in time, late and never, and with every way to fail.

use std::time::Duration;

use lobbyd_core::extension::{
    Command, CommandHandler, Context, ContextError, Event, Failure, Handlers, KeptCommand, Reply,
};
use lobbyd_core::id::{CallTicket, RoomNumber, SessionId};
use lobbyd_core::input::ServiceError;

/// The name that it has in [`handlers`].
pub const NAME: &str = "puppet";

/// The name of the service that it asks.
pub const SERVICE: &str = "store";

/// One puppet, and nothing else.
///
/// # Panics
/// Never: the name is good and free.
#[must_use]
pub fn handlers() -> Handlers {
    let mut handlers = Handlers::new();
    handlers.register(NAME, Puppet::default()).expect("the name is good and free");
    handlers
}

/// What a byte has the puppet do. Those that say so take the next byte, or 0 if there is none, as their number.
pub mod deed {
    /// Answers the command with as many bytes as the number says.
    pub const REPLY: u8 = 0;
    /// Answers that it will not.
    pub const REFUSE: u8 = 1;
    /// Answers more than fits a frame, which fails.
    pub const REPLY_TOO_LONG: u8 = 2;
    /// Keeps the command.
    pub const KEEP: u8 = 3;
    /// Answers the command that it has kept for longest, if anybody still waits.
    pub const ANSWER: u8 = 4;
    /// Asks the service.
    pub const CALL: u8 = 5;
    /// Sets one of four deadlines by the number: it comes after so many times 50 ms.
    pub const DEADLINE: u8 = 6;
    /// Clears one of four deadlines by the number.
    pub const CLEAR: u8 = 7;
    /// Says something to the session in the slot of that number, if somebody is online there.
    pub const TELL: u8 = 8;
    /// Says something to the room of that number, if it is there.
    pub const TELL_ROOM: u8 = 9;
    /// Remembers the rest, to do it when a deadline or a service's answer comes, and at every fourth event.
    pub const LATER: u8 = 10;
    /// Fails.
    pub const FAIL: u8 = 11;
    /// Panics, as an adapter reports it.
    pub const PANIC: u8 = 12;
    /// Answers with a random number.
    pub const RANDOM: u8 = 13;
    /// How many deeds there are. Higher bytes begin again from 0.
    pub const COUNT: u8 = 14;
}

/// Does what it is told. A call that fails leaves it as it was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Puppet {
    events: u64,
    kept: Vec<KeptCommand>,
    asked: Vec<CallTicket>,
    later: Vec<u8>,
}

impl Puppet {
    fn act(&mut self, context: &mut Context<'_>, deeds: &[u8]) -> Result<(), Failure> {
        let mut next = self.clone();
        next.try_to_act(context, deeds)?;
        *self = next;
        Ok(())
    }

    fn try_to_act(&mut self, context: &mut Context<'_>, mut deeds: &[u8]) -> Result<(), Failure> {
        while let Some((deed, rest)) = deeds.split_first() {
            deeds = rest;
            let mut number = || {
                let (number, rest) = deeds.split_first().map_or((0, deeds), |(number, rest)| (*number, rest));
                deeds = rest;
                number
            };
            match deed % deed::COUNT {
                deed::REPLY => context.reply(Reply::success(&vec![b'x'; number().into()]))?,
                deed::REFUSE => context.reply(Reply::failure("not today"))?,
                deed::REPLY_TOO_LONG => {
                    let most = context.config().data_bytes_max() as usize;
                    context.reply(Reply::success(&vec![b'x'; most + 1]))?;
                }
                deed::KEEP => self.kept.push(context.keep()?),
                deed::ANSWER => {
                    if !self.kept.is_empty() {
                        still_there(context.answer(self.kept.remove(0), Reply::success(b"at last")))?;
                    }
                }
                deed::CALL => self.asked.push(context.call_service(SERVICE.parse().expect("a good name"), b"get")?),
                deed::DEADLINE => {
                    let number = number();
                    context.set_deadline((number % 4).into(), Duration::from_millis(50) * (number / 4).into())?;
                }
                deed::CLEAR => context.clear_deadline((number() % 4).into()),
                deed::TELL => {
                    let index = u32::from(number());
                    let session = context.online().find(|session| session.index == index);
                    let session = session.unwrap_or(SessionId { index, generation: 0 });
                    still_there(context.notify(session, b"psst"))?;
                }
                deed::TELL_ROOM => still_there(context.notify_room(RoomNumber(number().into()), b"hear"))?,
                deed::LATER => {
                    self.later = deeds.to_vec();
                    deeds = &[];
                }
                deed::FAIL => return Err(Failure::new("out of luck")),
                deed::PANIC => return Err(Failure::panicked("out of its mind")),
                deed::RANDOM => {
                    let number = context.random();
                    context.reply(Reply::success(&number.to_le_bytes()))?;
                }
                _ => unreachable!("a remainder is below the count"),
            }
        }
        Ok(())
    }

    fn act_later(&mut self, context: &mut Context<'_>) -> Result<(), Failure> {
        let later = self.later.clone();
        self.act(context, &later)
    }
}

/// That somebody has gone is no mistake.
fn still_there(done: Result<(), ContextError>) -> Result<(), ContextError> {
    match done {
        Err(ContextError::NotWaiting | ContextError::NobodyThere) => Ok(()),
        done => done,
    }
}

impl CommandHandler for Puppet {
    fn command(&mut self, context: &mut Context<'_>, command: Command<'_>) -> Result<(), Failure> {
        assert!(context.user(command.session).is_some(), "a command comes from who is online");
        self.act(context, command.parameters)
    }

    fn event(&mut self, context: &mut Context<'_>, _: Event) -> Result<(), Failure> {
        self.events += 1;
        if self.events.is_multiple_of(4) { self.act_later(context) } else { Ok(()) }
    }

    fn deadline(&mut self, context: &mut Context<'_>, key: u64) -> Result<(), Failure> {
        assert!(!context.has_deadline(key), "a deadline that has come is not set");
        self.act_later(context)
    }

    fn service_reply(
        &mut self,
        context: &mut Context<'_>,
        ticket: CallTicket,
        _: Result<&[u8], ServiceError>,
    ) -> Result<(), Failure> {
        let place = self.asked.iter().position(|asked| *asked == ticket);
        self.asked.remove(place.unwrap_or_else(|| panic!("call {ticket} was answered, and nobody waits for it")));
        self.act_later(context)
    }

    fn save(&self, out: &mut Vec<u8>) {
        let mut number = |number: u64| out.extend_from_slice(&number.to_le_bytes());
        number(self.events);
        number(self.kept.len() as u64);
        for KeptCommand { session, serial } in &self.kept {
            [session.index.into(), session.generation.into(), *serial].into_iter().for_each(&mut number);
        }
        number(self.asked.len() as u64);
        for CallTicket(ticket) in &self.asked {
            number(*ticket);
        }
        out.extend_from_slice(&self.later);
    }

    fn load(&mut self, state: &[u8]) -> Result<(), String> {
        let mut rest = state;
        let mut number = || -> Result<u64, String> {
            let (first, behind) = rest.split_first_chunk().ok_or("it breaks off")?;
            rest = behind;
            Ok(u64::from_le_bytes(*first))
        };
        let mut loaded = Self { events: number()?, ..Self::default() };
        for _ in 0..number()? {
            let mut small = || u32::try_from(number()?).map_err(|error| error.to_string());
            let session = SessionId { index: small()?, generation: small()? };
            loaded.kept.push(KeptCommand { session, serial: number()? });
        }
        for _ in 0..number()? {
            loaded.asked.push(CallTicket(number()?));
        }
        loaded.later = rest.to_vec();
        *self = loaded;
        Ok(())
    }
}
