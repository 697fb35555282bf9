//! What a handler sees of the engine, and everything that it can do.

use alloc::collections::BTreeMap;
use core::fmt;
use core::time::Duration;

use super::effects::{Effect, Effects};
use super::handler::Reply;
use super::{KeptCommand, REQUEST_BYTES_MAX};
use crate::command::CommandName;
use crate::config::{Config, ERROR_MESSAGE_BYTES_MAX};
use crate::data::Data;
use crate::engine::Engine;
use crate::id::{CallTicket, RequestId, RoomNumber, SessionId, UserId};
use crate::name::UserName;
use crate::packet::{CommandReply, User};
use crate::random::Random;
use crate::room::Room;
use crate::session::Online;
use crate::text::{Text, TextError, check_message};
use crate::time::Instant;

/// The shortest time after which a deadline comes, so that one that sets itself anew cannot stop time.
const DEADLINE_MIN: Duration = Duration::from_millis(1);

/// The command that a handler is called for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub(super) session: SessionId,
    pub(super) request: RequestId,
    pub(super) name: CommandName,
}

/// What a handler sees, and the only way in which it does anything. What it does takes effect, in that order, when the
/// handler returns `Ok`.
#[derive(Debug)]
pub struct Context<'e> {
    engine: &'e Engine,
    place: u32,
    asked: Option<Asked>,
    effects: Effects,
}

/// Why something is not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ContextError {
    /// There is no command at hand, or it is answered or kept already: each is answered once.
    #[error("there is no command to answer, or it is answered or kept already")]
    NothingToAnswer,
    /// Nobody waits for an answer to that kept command: it is answered, its time is over, or its user has gone.
    #[error("nobody waits for an answer to that command any more")]
    NotWaiting,
    /// Data over its limit would not fit a frame.
    #[error("data of {bytes} bytes, allowed are {bytes_max}")]
    DataTooLong {
        /// Of the data.
        bytes: usize,
        /// The most.
        bytes_max: u32,
    },
    /// The words of a refusal are over [`ERROR_MESSAGE_BYTES_MAX`], or not a text that may be shown.
    #[error(
        "an error message that cannot be shown ({error}), allowed are {ERROR_MESSAGE_BYTES_MAX} bytes of plain text"
    )]
    MessageInvalid {
        /// What is wrong with it.
        error: TextError,
    },
    /// That session, user or room is not there.
    #[error("the session, user or room is not there")]
    NobodyThere,
    /// As many commands wait as may, in all or of that session.
    #[error("as many commands wait for an answer as may")]
    TooManyWaiting,
    /// As many calls of services are under way as may be.
    #[error("as many service calls are under way as may be")]
    TooManyCalls,
    /// The extension has set as many deadlines as it may.
    #[error("as many deadlines are set as may be")]
    TooManyDeadlines,
}

impl ContextError {
    /// Whether it is a limit that may not be reached later on.
    pub(super) fn is_limit(self) -> bool {
        match self {
            Self::TooManyWaiting | Self::TooManyCalls | Self::TooManyDeadlines => true,
            Self::NothingToAnswer
            | Self::NotWaiting
            | Self::DataTooLong { .. }
            | Self::MessageInvalid { .. }
            | Self::NobodyThere => false,
        }
    }
}

impl<'e> Context<'e> {
    pub(super) fn new(
        engine: &'e Engine,
        place: u32,
        random: Random,
        asked: Option<Asked>,
        list: alloc::vec::Vec<Effect>,
    ) -> Self {
        let extensions = &engine.extensions;
        let effects = Effects {
            list,
            random,
            last_serial: extensions.last_serial,
            deadlines: extensions.slot(place).deadlines.len(),
            is_set: BTreeMap::new(),
            calls: extensions.calls.len(),
        };
        Self { engine, place, asked, effects }
    }

    pub(super) fn is_unanswered(&self) -> bool {
        self.asked.is_some()
    }

    pub(super) fn into_effects(self) -> Effects {
        self.effects
    }

    /// The engine's time.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.engine.now
    }

    /// The engine's configuration.
    #[must_use]
    pub fn config(&self) -> &'e Config {
        &self.engine.config
    }

    /// A random number that follows from the engine's seed, out of a sequence of this extension's own. Not for secrets.
    pub fn random(&mut self) -> u64 {
        self.effects.random.next()
    }

    /// A random number from 0 to below `limit`; 0 if that is 0.
    pub fn random_below(&mut self, limit: u64) -> u64 {
        // The upper half of a product of two 64-bit numbers is a 64-bit number.
        ((u128::from(self.random()) * u128::from(limit)) >> 64) as u64
    }

    /// Who is logged in on that session.
    #[must_use]
    pub fn user(&self, session: SessionId) -> Option<UserView<'e>> {
        self.engine.user(session)
    }

    /// The sessions of that user, the longest-standing first; none if the user is not online, and more than one only
    /// where duplicate logins are allowed.
    pub fn sessions_of(&self, user: UserName) -> impl Iterator<Item = SessionId> + use<'e> {
        self.engine.users.sessions(user)
    }

    /// Every session that is logged in, in the order of the users' names.
    pub fn online(&self) -> impl Iterator<Item = SessionId> + use<'e> {
        self.engine.users.all()
    }

    /// That room.
    #[must_use]
    pub fn room(&self, number: RoomNumber) -> Option<RoomView<'e>> {
        self.engine.lobby.room(number).map(RoomView)
    }

    /// Answers the command at hand.
    ///
    /// # Errors
    /// When there is none or it is answered or kept already, and when the answer is too long.
    pub fn reply(&mut self, reply: Reply<'_>) -> Result<(), ContextError> {
        let asked = self.asked.ok_or(ContextError::NothingToAnswer)?;
        let reply = self.checked(reply)?;
        self.asked = None;
        self.effects.list.push(Effect::Reply { asked, reply });
        Ok(())
    }

    /// Keeps the command at hand, to answer it later. It is answered `ExtensionFailed` when `command_timeout` is over,
    /// and cancelled when its user logs out or goes.
    ///
    /// # Errors
    /// When there is no command or it is answered or kept already, and when too many wait.
    pub fn keep(&mut self) -> Result<KeptCommand, ContextError> {
        let asked = self.asked.ok_or(ContextError::NothingToAnswer)?;
        let extensions = &self.engine.extensions;
        let config = &self.engine.config;
        // Of this call itself none is counted, since there is one command at most.
        let has_place = extensions.waiting.len() < config.commands_waiting_max as usize;
        let of_session = extensions.waiting_of(asked.session).count();
        if !has_place || of_session >= config.commands_waiting_per_session_max as usize {
            return Err(ContextError::TooManyWaiting);
        }
        self.asked = None;
        let serial = self.next_serial();
        self.effects.list.push(Effect::Keep { asked, serial });
        Ok(KeptCommand { session: asked.session, serial })
    }

    /// Answers a command that was kept before, in an earlier call.
    ///
    /// # Errors
    /// When nobody waits for it any more, and when the answer is too long.
    pub fn answer(&mut self, kept: KeptCommand, reply: Reply<'_>) -> Result<(), ContextError> {
        let waiting = self.engine.extensions.waiting.get(&kept);
        let is_answered =
            |effect: &Effect| matches!(effect, Effect::Answer { kept: answered, .. } if *answered == kept);
        if waiting.is_none_or(|waiting| waiting.place != self.place) || self.effects.list.iter().any(is_answered) {
            return Err(ContextError::NotWaiting);
        }
        let reply = self.checked(reply)?;
        self.effects.list.push(Effect::Answer { kept, reply });
        Ok(())
    }

    /// Says something to one session that is logged in: a `CustomNotify` in the name of the extension.
    ///
    /// # Errors
    /// When nobody is logged in there, and when the data is too long.
    pub fn notify(&mut self, session: SessionId, data: &[u8]) -> Result<(), ContextError> {
        let data = self.data(data)?;
        self.user(session).ok_or(ContextError::NobodyThere)?;
        self.effects.list.push(Effect::Tell { session, data });
        Ok(())
    }

    /// Says something to every session of a user.
    ///
    /// # Errors
    /// When the user is not online, and when the data is too long.
    pub fn notify_user(&mut self, user: UserName, data: &[u8]) -> Result<(), ContextError> {
        let data = self.data(data)?;
        if !self.engine.users.is_online(user) {
            return Err(ContextError::NobodyThere);
        }
        self.effects.list.push(Effect::TellUser { user, data });
        Ok(())
    }

    /// Says something to every member of a room.
    ///
    /// # Errors
    /// When there is no such room, and when the data is too long.
    pub fn notify_room(&mut self, room: RoomNumber, data: &[u8]) -> Result<(), ContextError> {
        let data = self.data(data)?;
        self.room(room).ok_or(ContextError::NobodyThere)?;
        self.effects.list.push(Effect::TellRoom { room, data });
        Ok(())
    }

    /// Has [`super::CommandHandler::deadline`] called with `key` after that time, at least a millisecond. One that is
    /// set already under that key is set anew.
    ///
    /// # Errors
    /// When as many are set as may be.
    pub fn set_deadline(&mut self, key: u64, after: Duration) -> Result<(), ContextError> {
        if !self.has_deadline(key) {
            if self.effects.deadlines >= self.engine.config.extension_deadlines_max as usize {
                return Err(ContextError::TooManyDeadlines);
            }
            self.effects.deadlines += 1;
        }
        let at = self.engine.now + after.max(DEADLINE_MIN);
        self.effects.is_set.insert(key, true);
        self.effects.list.push(Effect::SetDeadline { key, at });
        Ok(())
    }

    /// Clears a deadline; one that is not set is no mistake.
    pub fn clear_deadline(&mut self, key: u64) {
        if self.has_deadline(key) {
            self.effects.deadlines -= 1;
            self.effects.is_set.insert(key, false);
            self.effects.list.push(Effect::ClearDeadline { key });
        }
    }

    /// Whether a deadline is set under that key.
    #[must_use]
    pub fn has_deadline(&self, key: u64) -> bool {
        let changed = self.effects.is_set.get(&key).copied();
        changed.unwrap_or_else(|| self.engine.extensions.slot(self.place).deadlines.contains_key(&key))
    }

    /// Asks a service. [`super::CommandHandler::service_reply`] gets the reply with this ticket, exactly once, at the
    /// latest after `service_timeout`. A service of an unknown name replies so.
    ///
    /// # Errors
    /// When the request is longer than [`REQUEST_BYTES_MAX`], or as many calls are under way as may be.
    pub fn call_service(&mut self, service: CommandName, request: &[u8]) -> Result<CallTicket, ContextError> {
        if request.len() > REQUEST_BYTES_MAX {
            return Err(ContextError::DataTooLong { bytes: request.len(), bytes_max: REQUEST_BYTES_MAX as u32 });
        }
        if self.effects.calls >= self.engine.config.service_calls_max as usize {
            return Err(ContextError::TooManyCalls);
        }
        self.effects.calls += 1;
        let ticket = CallTicket(self.next_serial());
        self.effects.list.push(Effect::Call { ticket, service, request: Data::new(request) });
        Ok(ticket)
    }

    fn next_serial(&mut self) -> u64 {
        self.effects.last_serial += 1;
        self.effects.last_serial
    }

    fn checked(&self, reply: Reply<'_>) -> Result<CommandReply, ContextError> {
        let message = |text: &str| match check_message(text.into(), ERROR_MESSAGE_BYTES_MAX) {
            Ok(text) => Ok(Text::new(text)),
            Err(error) => Err(ContextError::MessageInvalid { error }),
        };
        Ok(CommandReply {
            success: reply.success,
            data: self.data(reply.data)?,
            error_message: reply.error_message.map(message).transpose()?,
        })
    }

    fn data(&self, data: &[u8]) -> Result<Data, ContextError> {
        let bytes_max = self.engine.config.data_bytes_max();
        if data.len() > bytes_max as usize {
            return Err(ContextError::DataTooLong { bytes: data.len(), bytes_max });
        }
        Ok(Data::new(data))
    }
}

/// A user who is online.
#[derive(Clone, Copy)]
pub struct UserView<'e> {
    session: SessionId,
    online: &'e Online,
}

impl<'e> UserView<'e> {
    pub(crate) fn new(session: SessionId, online: &'e Online) -> Self {
        Self { session, online }
    }

    /// Where.
    #[must_use]
    pub fn session(self) -> SessionId {
        self.session
    }

    /// The number of the login.
    #[must_use]
    pub fn id(self) -> UserId {
        self.online.user.id
    }

    /// The identity.
    #[must_use]
    pub fn name(self) -> UserName {
        self.online.user.name
    }

    /// What to show instead of the name.
    #[must_use]
    pub fn nickname(self) -> Option<&'e str> {
        self.online.user.nickname.as_ref().map(Text::as_str)
    }

    /// Whether the user may kick in every room.
    #[must_use]
    pub fn is_administrator(self) -> bool {
        self.online.administrator
    }

    /// The room that the user is in; none in the lobby.
    #[must_use]
    pub fn room(self) -> Option<RoomNumber> {
        self.online.room
    }
}

impl fmt::Debug for UserView<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("UserView").field(&self.session).field(&self.online.user.name).finish()
    }
}

/// A room.
#[derive(Clone, Copy)]
pub struct RoomView<'e>(&'e Room);

impl<'e> RoomView<'e> {
    /// Its number.
    #[must_use]
    pub fn number(self) -> RoomNumber {
        self.0.number
    }

    /// New each time the room is created anew: number and epoch name a room for ever.
    #[must_use]
    pub fn epoch(self) -> u64 {
        self.0.epoch
    }

    /// What it is called.
    #[must_use]
    pub fn title(self) -> &'e str {
        self.0.title.as_str()
    }

    /// How many may be in it.
    #[must_use]
    pub fn capacity(self) -> u32 {
        self.0.capacity
    }

    /// Who owns it.
    #[must_use]
    pub fn owner(self) -> Option<UserId> {
        self.0.owner
    }

    /// The members, the longest-standing first.
    pub fn members(self) -> impl ExactSizeIterator<Item = (SessionId, &'e User)> {
        self.0.members().iter().map(|member| (member.session, &*member.user))
    }
}

impl fmt::Debug for RoomView<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RoomView").field(&self.0.number).field(&self.0.members().len()).finish()
    }
}
