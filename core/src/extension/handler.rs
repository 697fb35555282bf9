//! What an extension is: the trait it fulfils, what it is told, and the list in which it is registered.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use self::sealed::Sealed;
use super::{Context, ContextError};
use crate::command::{CommandName, InvalidCommandName};
use crate::id::{CallTicket, RoomNumber, SessionId};
use crate::input::ServiceError;
use crate::name::UserName;
use crate::packet::{Code, LeaveCause};
use crate::text::{RawText, Text};

/// An extension: answers custom commands, and keeps what it needs for that.
///
/// It must be *deterministic*: what it does follows from its state and from what it is handed, time and randomness
/// included ([`Context::now`], [`Context::random`]). Then it is simulated, stored and replayed with everything else.
/// What takes time, or asks somebody outside, is a service ([`Context::call_service`]). Its whole state is in what
/// [`CommandHandler::save`] writes; a copy of a handler (`Clone`) shares nothing with it.
///
/// A method that returns an error has done nothing: no effect of the call takes place, and a command is answered
/// [`Code::ExtensionFailed`]. The handler's own fields are its own to keep in order then. A driver's adapter catches a
/// panic, sets the handler's state back and disables the extension, until the operator enables it again
/// ([`Event::Enabled`]).
///
/// ```
/// use lobbyd_core::extension::{Command, CommandHandler, Context, Failure, Reply};
///
/// /// Throws a die.
/// #[derive(Clone)]
/// struct Die;
///
/// impl CommandHandler for Die {
///     fn command(&mut self, context: &mut Context<'_>, _: Command<'_>) -> Result<(), Failure> {
///         let thrown = 1 + context.random_below(6);
///         context.reply(Reply::success(thrown.to_string().as_bytes()))?;
///         Ok(())
///     }
/// }
///
/// let mut handlers = lobbyd_core::extension::Handlers::new();
/// handlers.register("die", Die).expect("the name is good and free");
/// ```
pub trait CommandHandler: CloneHandler + Send {
    /// A client asks for something. Has to answer ([`Context::reply`]) or to keep the command ([`Context::keep`]).
    ///
    /// # Errors
    /// When it cannot: the command is answered `ExtensionFailed` (or `ExtensionBusy`, for a limit of the context's).
    fn command(&mut self, context: &mut Context<'_>, command: Command<'_>) -> Result<(), Failure>;

    /// Something has happened to a session or a room, and everything that came of it has happened too.
    ///
    /// # Errors
    /// When it cannot do what it has to.
    fn event(&mut self, context: &mut Context<'_>, event: Event) -> Result<(), Failure> {
        let _ = (context, event);
        Ok(())
    }

    /// A deadline that [`Context::set_deadline`] has set has come.
    ///
    /// # Errors
    /// When it cannot do what it has to.
    fn deadline(&mut self, context: &mut Context<'_>, key: u64) -> Result<(), Failure> {
        let _ = (context, key);
        Ok(())
    }

    /// A service has answered a [`Context::call_service`], or has not within `service_timeout`. Who asked may have gone
    /// meanwhile, and whatever was assumed then is to be checked again.
    ///
    /// # Errors
    /// When it cannot do what it has to.
    fn service_reply(
        &mut self,
        context: &mut Context<'_>,
        ticket: CallTicket,
        result: Result<&[u8], ServiceError>,
    ) -> Result<(), Failure> {
        let _ = (context, ticket, result);
        Ok(())
    }

    /// Appends the whole state to `out`. Equal states write equal bytes. A handler without state writes nothing.
    fn save(&self, out: &mut Vec<u8>) {
        let _ = out;
    }

    /// Takes up a state that [`CommandHandler::save`] has written.
    ///
    /// # Errors
    /// Says what is wrong with it.
    fn load(&mut self, state: &[u8]) -> Result<(), String> {
        if state.is_empty() { Ok(()) } else { Err(String::from("this extension keeps no state")) }
    }
}

/// Copies a handler behind its trait. Every handler that is `Clone` has it, and nothing else can.
pub trait CloneHandler: Sealed {
    /// A copy.
    fn clone_boxed(&self) -> Box<dyn CommandHandler>;
}

/// Keeps [`CloneHandler`] to handlers that are `Clone`.
mod sealed {
    pub trait Sealed {}

    impl<T: super::CommandHandler + Clone + 'static> Sealed for T {}
}

impl<T: CommandHandler + Clone + 'static> CloneHandler for T {
    fn clone_boxed(&self) -> Box<dyn CommandHandler> {
        Box::new(self.clone())
    }
}

/// A command as its handler sees it. Who asks, says [`Context::user`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Command<'a> {
    /// Who asks: a session that is logged in.
    pub session: SessionId,
    /// The command's whole name: that of the extension, perhaps with a dot and more behind it.
    pub name: CommandName,
    /// Whatever the client sent, at most a frame.
    pub parameters: &'a [u8],
    /// The client's own clock in milliseconds since 1970. Nothing makes it true.
    pub timestamp: u64,
}

/// What an extension answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reply<'a> {
    /// Whether it did what was asked.
    pub success: bool,
    /// Whatever it answers: at most [`crate::config::Config::data_bytes_max`] bytes.
    pub data: &'a [u8],
    /// Why it did not, for people: at most [`crate::config::ERROR_MESSAGE_BYTES_MAX`] bytes under the rules of a message.
    pub error_message: Option<&'a str>,
}

impl<'a> Reply<'a> {
    /// It did what was asked.
    #[must_use]
    pub fn success(data: &'a [u8]) -> Self {
        Self { success: true, data, error_message: None }
    }

    /// It did not.
    #[must_use]
    pub fn failure(error_message: &'a str) -> Self {
        Self { success: false, data: &[], error_message: Some(error_message) }
    }

    /// The same with this data, for a client that is to learn more from a failure than its words.
    #[must_use]
    pub fn with_data(self, data: &'a [u8]) -> Self {
        Self { data, ..self }
    }
}

/// What happens to sessions and rooms. Told in the order in which it happened, but when all of the turn has happened: a
/// session that one hears of may be gone already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A user has logged in and is in the lobby.
    LoggedIn {
        /// Where.
        session: SessionId,
        /// Who.
        user: UserName,
    },
    /// A user has entered a room.
    Entered {
        /// Where.
        session: SessionId,
        /// Who.
        user: UserName,
        /// Which.
        room: RoomNumber,
    },
    /// A user has left a room, in whatever way.
    Left {
        /// Where.
        session: SessionId,
        /// Who.
        user: UserName,
        /// Which.
        room: RoomNumber,
        /// How it came.
        cause: LeaveCause,
    },
    /// A user is not online any more: has logged out, or the session is closed. Its kept commands are gone.
    LoggedOut {
        /// Where.
        session: SessionId,
        /// Who.
        user: UserName,
    },
    /// A room that was empty is gone. Its number may come again, for another room.
    RoomGone {
        /// Which.
        room: RoomNumber,
    },
    /// The operator has enabled this extension again. Its kept commands, deadlines and calls are gone, and it was not told
    /// what has happened since it was disabled; after a panic its state is an earlier one. So what it remembers of
    /// sessions and rooms is to be looked up anew in the context, and a deadline that it needs is to be set. If this
    /// fails, the extension stays disabled.
    Enabled,
}

/// A handler cannot do what it was called for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    kind: Kind,
    reason: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Failed,
    Busy,
    Panicked,
}

impl Failure {
    /// It failed. The reason is for the log; the client is not told it.
    #[must_use]
    pub fn new(reason: impl Into<String>) -> Self {
        Self { kind: Kind::Failed, reason: reason.into() }
    }

    /// It panicked, and an adapter has caught that. The driver has to disable the extension.
    #[must_use]
    pub fn panicked(reason: impl Into<String>) -> Self {
        Self { kind: Kind::Panicked, reason: reason.into() }
    }

    pub(super) fn code(&self) -> Code {
        match self.kind {
            Kind::Busy => Code::ExtensionBusy,
            Kind::Failed | Kind::Panicked => Code::ExtensionFailed,
        }
    }

    /// What to say in the log, and whether it panicked; nothing for a limit that was reached.
    pub(super) fn report(&self) -> Option<(Text, bool)> {
        match self.kind {
            Kind::Busy => None,
            Kind::Failed | Kind::Panicked => Some((Text::new(&self.reason), self.kind == Kind::Panicked)),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl core::error::Error for Failure {}

impl From<ContextError> for Failure {
    fn from(error: ContextError) -> Self {
        let kind = if error.is_limit() { Kind::Busy } else { Kind::Failed };
        Self { kind, reason: alloc::format!("{error}") }
    }
}

/// Handlers to be, each under its name.
#[derive(Clone, Default)]
pub struct Handlers {
    pub(super) by_name: BTreeMap<CommandName, Box<dyn CommandHandler>>,
}

/// Why a handler is not registered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RegisterError {
    /// The name is no name of a command.
    #[error("{name:?} is no name for an extension: {InvalidCommandName}")]
    NameInvalid {
        /// The name.
        name: String,
    },
    /// There is one of that name already.
    #[error("there are two extensions called {0}: give one of them another name")]
    Duplicate(CommandName),
}

impl Handlers {
    /// No handlers.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a handler. It gets the commands of that name, and those whose name is that, a dot and anything, unless a
    /// handler with a longer name gets them.
    ///
    /// # Errors
    /// When the name is not 1 to 32 of `a-z 0-9 _ . -`, or taken.
    pub fn register(&mut self, name: &str, handler: impl CommandHandler + 'static) -> Result<&mut Self, RegisterError> {
        self.register_boxed(name, Box::new(handler))
    }

    /// As [`Handlers::register`], for a handler whose type is not known here.
    ///
    /// # Errors
    /// As [`Handlers::register`].
    pub fn register_boxed(&mut self, name: &str, handler: Box<dyn CommandHandler>) -> Result<&mut Self, RegisterError> {
        let raw = RawText(name.as_bytes());
        let name = CommandName::parse(raw).map_err(|_| RegisterError::NameInvalid { name: String::from(name) })?;
        if self.by_name.contains_key(&name) {
            return Err(RegisterError::Duplicate(name));
        }
        self.by_name.insert(name, handler);
        Ok(self)
    }

    /// The names, in order.
    pub fn names(&self) -> impl Iterator<Item = CommandName> {
        self.by_name.keys().copied()
    }

    /// The same handlers, each wrapped by what `wrap` makes of it.
    #[must_use]
    pub fn map(self, mut wrap: impl FnMut(CommandName, Box<dyn CommandHandler>) -> Box<dyn CommandHandler>) -> Self {
        let by_name = self.by_name.into_iter().map(|(name, handler)| (name, wrap(name, handler)));
        Self { by_name: by_name.collect() }
    }
}

impl Clone for Box<dyn CommandHandler> {
    fn clone(&self) -> Self {
        // The inner one's: a box of a handler is no handler that could be boxed again.
        (**self).clone_boxed()
    }
}

impl fmt::Debug for Handlers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.by_name.keys()).finish()
    }
}
