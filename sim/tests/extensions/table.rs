//! A small game table as a user might write it: dice, a ready-check of a room, and a ledger that a service keeps.

use std::collections::BTreeMap;
use std::time::Duration;

use lobbyd_core::data::Data;
use lobbyd_core::extension::{Command, CommandHandler, Context, Event, Failure, KeptCommand, Reply};
use lobbyd_core::id::{CallTicket, RoomNumber, SessionId};
use lobbyd_core::input::ServiceError;
use lobbyd_net::extension::service::Service;
use lobbyd_net::stores::LocalFuture;

/// How long a room has to get ready.
const READY_TIME: Duration = Duration::from_secs(10);

#[derive(Clone, Default)]
pub(crate) struct Table {
    throws: u32,
    /// Who is ready in each room, with the commands that wait for the others.
    ready: BTreeMap<RoomNumber, BTreeMap<SessionId, KeptCommand>>,
    asked: BTreeMap<CallTicket, KeptCommand>,
}

impl Table {
    fn end_check(&mut self, context: &mut Context<'_>, room: RoomNumber, is_ready: bool) -> Result<(), Failure> {
        context.clear_deadline(room.0.into());
        for kept in self.ready.remove(&room).unwrap_or_default().into_values() {
            let reply = if is_ready { Reply::success(b"start") } else { Reply::failure("not everybody is ready") };
            context.answer(kept, reply)?;
        }
        if is_ready {
            context.notify_room(room, b"the match begins")?;
        }
        Ok(())
    }
}

impl CommandHandler for Table {
    fn command(&mut self, context: &mut Context<'_>, command: Command<'_>) -> Result<(), Failure> {
        let user = context.user(command.session).ok_or_else(|| Failure::new("nobody is there"))?;
        match command.name.as_str() {
            "table.throw" => {
                self.throws += 1;
                let thrown = 1 + context.random_below(6);
                assert!((1..=6).contains(&thrown));
                Ok(context.reply(Reply::success(format!("throw {}", self.throws).as_bytes()))?)
            }
            "table.ready" => {
                let Some(room) = user.room() else { return Ok(context.reply(Reply::failure("enter a room first"))?) };
                let kept = context.keep()?;
                let ready = self.ready.entry(room).or_default();
                ready.insert(command.session, kept);
                let (count, all) = (ready.len(), context.room(room).map_or(0, |room| room.members().len()));
                context.notify_room(room, format!("{count} of {all} ready").as_bytes())?;
                if !context.has_deadline(room.0.into()) {
                    context.set_deadline(room.0.into(), READY_TIME)?;
                }
                // What was kept in this call is answered in the next one at the earliest.
                if count == all {
                    context.set_deadline(room.0.into(), Duration::ZERO)?;
                }
                Ok(())
            }
            "table.balance" => {
                let ticket =
                    context.call_service("ledger".parse().map_err(|_| Failure::new("no name"))?, command.parameters)?;
                self.asked.insert(ticket, context.keep()?);
                Ok(())
            }
            "table.panic" => {
                self.throws = 1_000;
                panic!("the table falls over");
            }
            _ => Ok(context.reply(Reply::failure("the table cannot do that"))?),
        }
    }

    fn event(&mut self, context: &mut Context<'_>, event: Event) -> Result<(), Failure> {
        let Event::Left { room, .. } = event else { return Ok(()) };
        let Some(ready) = self.ready.get_mut(&room) else { return Ok(()) };
        let members: Vec<_> =
            context.room(room).map(|room| room.members().map(|(session, _)| session).collect()).unwrap_or_default();
        // Who has gone is not waited for; one who went offline has no command any more.
        ready.retain(|session, _| members.contains(session));
        self.end_check(context, room, false)
    }

    fn deadline(&mut self, context: &mut Context<'_>, key: u64) -> Result<(), Failure> {
        let room = RoomNumber(u32::try_from(key).map_err(|_| Failure::new("no room's deadline"))?);
        let members = context.room(room).map_or(0, |room| room.members().len());
        let is_ready = self.ready.get(&room).is_some_and(|ready| ready.len() == members);
        self.end_check(context, room, is_ready)
    }

    fn service_reply(
        &mut self,
        context: &mut Context<'_>,
        ticket: CallTicket,
        result: Result<&[u8], ServiceError>,
    ) -> Result<(), Failure> {
        let kept = self.asked.remove(&ticket).ok_or_else(|| Failure::new("a reply to nothing"))?;
        let words = result.map_err(|error| error.to_string());
        let reply = match &words {
            Ok(balance) => Reply::success(balance),
            Err(error) => Reply::failure(error),
        };
        // Who asked may have gone.
        let _ = context.answer(kept, reply);
        Ok(())
    }

    fn save(&self, out: &mut Vec<u8>) {
        let ready: Vec<_> = self.ready.iter().map(|(room, ready)| (room, ready.iter().collect::<Vec<_>>())).collect();
        let asked: Vec<_> = self.asked.iter().collect();
        serde_json::to_writer(out, &(self.throws, ready, asked)).expect("a table can be written");
    }

    fn load(&mut self, state: &[u8]) -> Result<(), String> {
        type Rooms = Vec<(RoomNumber, Vec<(SessionId, KeptCommand)>)>;
        type Stored = (u32, Rooms, Vec<(CallTicket, KeptCommand)>);
        let (throws, ready, asked): Stored = serde_json::from_slice(state).map_err(|error| error.to_string())?;
        let ready = ready.into_iter().map(|(room, ready)| (room, ready.into_iter().collect())).collect();
        *self = Self { throws, ready, asked: asked.into_iter().collect() };
        Ok(())
    }
}

/// A ledger elsewhere.
pub(crate) struct Ledger;

impl Service for Ledger {
    fn call(&self, _: Data) -> LocalFuture<'_, Result<Data, ServiceError>> {
        unreachable!("in a simulation somebody stands in for it")
    }
}
