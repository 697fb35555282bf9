//! The ready-check of a room and the match that follows it: `match.ready`, `match.status`, `match.over`.
//!
//! ```text
//!            ready              all are ready            3 s
//! (nothing) ──────> Gathering ───────────────> Counting ─────> Playing
//!     ^       30 s, or nobody is left  │  somebody comes or goes  │  over, or too few are left
//!     └────────────────────────────────┴──────────────────────────┘
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::time::Duration;

use lobbyd_core::extension::{Command, CommandHandler, Context, Event, Failure, RegisterError, Reply};
use lobbyd_core::id::{RoomNumber, SessionId};
use lobbyd_net::extension::Extensions;
use serde::{Deserialize, Serialize};

/// How few can play.
const PLAYERS_MIN: usize = 2;
/// How long the first one who is ready waits for the others.
const READY_TIMEOUT: Duration = Duration::from_secs(30);
/// How long it takes to begin when everybody is.
const COUNTDOWN: Duration = Duration::from_secs(3);

/// Adds the ready-check to a server, or to a simulated one.
pub(crate) fn extend(extensions: &mut Extensions) -> Result<(), RegisterError> {
    extensions.command("match", ReadyCheck::default())?;
    Ok(())
}

/// The state of every room in which there is something to remember. Its whole state is stored and restored.
#[derive(Clone, Default, Serialize, Deserialize)]
struct ReadyCheck {
    rooms: BTreeMap<RoomNumber, Phase>,
    /// The number of the last match.
    last_match: u64,
}

/// Where a room stands. Each has one deadline at most, whose key is the room's number.
#[derive(Clone, Serialize, Deserialize)]
enum Phase {
    /// Some are ready, and the others have until the deadline.
    Gathering {
        /// Who.
        ready: BTreeSet<SessionId>,
    },
    /// Everybody is ready, and the match begins at the deadline.
    Counting,
    /// A match is on.
    Playing {
        /// Its number.
        number: u64,
    },
}

impl CommandHandler for ReadyCheck {
    fn command(&mut self, context: &mut Context<'_>, command: Command<'_>) -> Result<(), Failure> {
        let Some(room) = context.user(command.session).and_then(|user| user.room()) else {
            return Ok(context.reply(Reply::failure("enter a room first"))?);
        };
        match command.name.as_str() {
            "match.ready" => self.ready(context, room, command.session),
            "match.status" => Ok(context.reply(Reply::success(self.status(room).as_bytes()))?),
            "match.over" => match self.rooms.get(&room) {
                Some(Phase::Playing { number }) => {
                    let number = *number;
                    context.reply(Reply::success(b""))?;
                    self.end(context, room, &format!("match {number} is over"))
                }
                Some(Phase::Gathering { .. } | Phase::Counting) | None => {
                    Ok(context.reply(Reply::failure("no match is on"))?)
                }
            },
            _ => Ok(context.reply(Reply::failure("there is match.ready, match.status and match.over"))?),
        }
    }

    fn event(&mut self, context: &mut Context<'_>, event: Event) -> Result<(), Failure> {
        if let Event::Entered { room, user, .. } = event
            && matches!(self.rooms.get(&room), Some(Phase::Counting))
        {
            return self.end(context, room, &format!("{user} came in: say again that you are ready"));
        }
        // Also who logs out or is disconnected has left.
        if let Event::Left { session, user, room, .. } = event {
            return self.left(context, room, session, user.as_str());
        }
        if let Event::RoomGone { room } = event {
            // Its number may come again, for another room.
            self.rooms.remove(&room);
            context.clear_deadline(room.0.into());
        }
        if event == Event::Enabled {
            // After a panic. Nobody has told this who came and went meanwhile, and its deadlines are gone.
            for room in mem::take(&mut self.rooms).into_keys() {
                self.end(context, room, "something went wrong: say again that you are ready")?;
            }
        }
        Ok(())
    }

    fn deadline(&mut self, context: &mut Context<'_>, key: u64) -> Result<(), Failure> {
        let room = RoomNumber(u32::try_from(key).map_err(|_| Failure::new("a deadline of no room"))?);
        match self.rooms.get(&room) {
            Some(Phase::Gathering { .. }) => self.end(context, room, "not everybody was ready in time"),
            Some(Phase::Counting) => {
                let number = self.last_match + 1;
                // Every player's program makes the same map of it.
                let map = context.random_below(1_000_000);
                context.notify_room(room, format!("match {number} begins on map {map}").as_bytes())?;
                self.last_match = number;
                self.rooms.insert(room, Phase::Playing { number });
                Ok(())
            }
            Some(Phase::Playing { .. }) | None => Err(Failure::new("a deadline that should have been cleared")),
        }
    }

    fn save(&self, out: &mut Vec<u8>) {
        let pairs: Vec<_> = self.rooms.iter().collect();
        serde_json::to_writer(out, &(pairs, self.last_match)).expect("numbers and lists of them can be written");
    }

    fn load(&mut self, state: &[u8]) -> Result<(), String> {
        let (pairs, last_match): (Vec<_>, _) = serde_json::from_slice(state).map_err(|error| error.to_string())?;
        *self = Self { rooms: pairs.into_iter().collect(), last_match };
        Ok(())
    }
}

impl ReadyCheck {
    fn ready(&mut self, context: &mut Context<'_>, room: RoomNumber, session: SessionId) -> Result<(), Failure> {
        let mut ready = match self.rooms.get(&room) {
            Some(Phase::Gathering { ready }) => ready.clone(),
            None => BTreeSet::new(),
            Some(Phase::Counting | Phase::Playing { .. }) => {
                return Ok(context.reply(Reply::failure("it has begun already"))?);
            }
        };
        ready.insert(session);
        context.reply(Reply::success(b""))?;
        self.gather(context, room, ready)
    }

    /// So many are ready: waits for the others, or begins to count.
    fn gather(
        &mut self,
        context: &mut Context<'_>,
        room: RoomNumber,
        ready: BTreeSet<SessionId>,
    ) -> Result<(), Failure> {
        let members = context.room(room).map_or(0, |room| room.members().len());
        let key = room.0.into();
        if ready.len() == members && members >= PLAYERS_MIN {
            context.notify_room(room, format!("all {members} are ready").as_bytes())?;
            context.set_deadline(key, COUNTDOWN)?;
            self.rooms.insert(room, Phase::Counting);
            return Ok(());
        }
        context.notify_room(room, format!("{} of {members} are ready", ready.len()).as_bytes())?;
        if !context.has_deadline(key) {
            context.set_deadline(key, READY_TIMEOUT)?;
        }
        self.rooms.insert(room, Phase::Gathering { ready });
        Ok(())
    }

    /// Somebody has left, in whatever way.
    fn left(
        &mut self,
        context: &mut Context<'_>,
        room: RoomNumber,
        session: SessionId,
        user: &str,
    ) -> Result<(), Failure> {
        let members = context.room(room).map_or(0, |room| room.members().len());
        match self.rooms.get(&room) {
            Some(Phase::Gathering { ready }) => {
                let mut ready = ready.clone();
                ready.remove(&session);
                if ready.is_empty() {
                    return self.end(context, room, "nobody is ready any more");
                }
                self.gather(context, room, ready)
            }
            Some(Phase::Counting) => self.end(context, room, &format!("{user} left: say again that you are ready")),
            Some(Phase::Playing { number }) if members < PLAYERS_MIN => {
                let number = *number;
                self.end(context, room, &format!("match {number} is over: too few are left"))
            }
            Some(Phase::Playing { .. }) | None => Ok(()),
        }
    }

    /// Back to nothing, for the reason that everybody in the room is told.
    fn end(&mut self, context: &mut Context<'_>, room: RoomNumber, why: &str) -> Result<(), Failure> {
        context.clear_deadline(room.0.into());
        if context.room(room).is_some() {
            context.notify_room(room, why.as_bytes())?;
        }
        self.rooms.remove(&room);
        Ok(())
    }

    fn status(&self, room: RoomNumber) -> String {
        match self.rooms.get(&room) {
            Some(Phase::Gathering { ready }) => format!("{} are ready", ready.len()),
            Some(Phase::Counting) => String::from("about to begin"),
            Some(Phase::Playing { number }) => format!("match {number} is on"),
            None => String::from("nobody is ready"),
        }
    }
}
