//! What a handle asks of the engine and gets an answer to.

pub(crate) mod reply;
#[cfg(test)]
mod tests;

use lobbyd_core::Engine;
use lobbyd_core::command::CommandName;
use lobbyd_core::data::{Data, RawBytes};
use lobbyd_core::id::{AskId, RoomNumber};
use lobbyd_core::input::{Admin, Notice, ServiceError};
use lobbyd_core::name::UserName;
use lobbyd_core::packet::Code;

use self::reply::{Answered, Reply};
use crate::node::Stopped;

/// How many sessions or rooms something concerned, or why nothing was done.
pub(crate) type AskReply = Reply<Result<u32, Code>>;

/// A look at the engine between two inputs. It changes nothing, so it is no input.
pub(crate) type Look = Box<dyn FnOnce(&Engine, &mut Answered) + Send>;

/// Something that changes what the engine does, and so becomes an input.
#[derive(Clone, Debug)]
pub(crate) enum Ask {
    Announce { text: String },
    NotifyUser { user: UserName, message: Message },
    NotifyRoom { room: RoomNumber, message: Message },
    Kick { room: RoomNumber, user: UserName, ban: bool },
    CleanUpEmptyRooms,
    SetExtension { extension: CommandName, enabled: bool },
}

/// What a service has answered, or why it has not.
pub(crate) type CallReply = Reply<Result<Data, ServiceError>>;

/// What the operator says to some.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Message {
    /// A text for people; clients get `NoticeNotify`. The rules of a message hold.
    Text(String),
    /// Something for programs, in the name of an extension; clients get `CustomNotify`. At most
    /// [`data_bytes_max`](lobbyd_core::config::Config::data_bytes_max) bytes.
    Custom {
        /// The name of the extension.
        command_type: CommandName,
        /// What it says.
        data: Vec<u8>,
    },
}

/// Why nothing came of what a handle asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AskError {
    /// The node does not run any more.
    #[error(transparent)]
    Stopped(#[from] Stopped),
    /// The engine refuses it.
    #[error("{0}")]
    Refused(Code),
}

/// Why a handle got no answer of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// The node does not run any more.
    #[error(transparent)]
    Stopped(#[from] Stopped),
    /// The service was not asked, or gave no answer.
    #[error("{0}")]
    Service(ServiceError),
}

impl Ask {
    pub(crate) fn admin(&self, ask: AskId) -> Admin<'_> {
        match self {
            Self::Announce { text } => Admin::Announce { text: text.as_str().into() },
            Self::NotifyUser { user, message } => Admin::NotifyUser { ask, user: *user, notice: message.notice() },
            Self::NotifyRoom { room, message } => Admin::NotifyRoom { ask, room: *room, notice: message.notice() },
            Self::Kick { room, user, ban } => Admin::Kick { ask, room: *room, user: *user, ban: *ban },
            Self::CleanUpEmptyRooms => Admin::CleanUpEmptyRooms { ask },
            Self::SetExtension { extension, enabled } => {
                Admin::SetExtension { ask, extension: *extension, enabled: *enabled }
            }
        }
    }
}

impl Message {
    fn notice(&self) -> Notice<'_> {
        match self {
            Self::Text(text) => Notice::Text(text.as_str().into()),
            Self::Custom { command_type, data } => Notice::Custom { command_type: *command_type, data: RawBytes(data) },
        }
    }
}

impl From<&str> for Message {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Message {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}
