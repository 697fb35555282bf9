//! What operations and faults are about, for whoever does not care which one it is.

use lobbyd_core::id::RoomNumber;

use super::{Fault, Operation};

/// What an operation does to its client's connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Touch {
    /// There is a new one.
    Opens,
    /// Bytes go out on it.
    Writes,
    /// No more bytes will go out on it.
    EndsWriting,
    /// It is closed properly.
    Closes,
    /// It is cut.
    Resets,
    /// It is left alone, without a word.
    Vanishes,
    /// What comes in on it is not read.
    StopsReading,
    /// What comes in on it is read again.
    ResumesReading,
}

impl Operation {
    /// What this does to its client's connection.
    #[must_use]
    pub fn touch(&self) -> Touch {
        match self {
            Self::Connect { .. } => Touch::Opens,
            Self::Hello { .. }
            | Self::Login { .. }
            | Self::Logout
            | Self::RoomList { .. }
            | Self::RoomCreate { .. }
            | Self::RoomEnter { .. }
            | Self::RoomLeave { .. }
            | Self::RoomChat { .. }
            | Self::DirectMessage { .. }
            | Self::Kick { .. }
            | Self::Command { .. }
            | Self::Ping { .. }
            | Self::Raw(_) => Touch::Writes,
            Self::HalfClose => Touch::EndsWriting,
            Self::Close => Touch::Closes,
            Self::Reset => Touch::Resets,
            Self::Vanish => Touch::Vanishes,
            Self::StopReading => Touch::StopsReading,
            Self::ResumeReading => Touch::ResumesReading,
        }
    }

    /// Whether this needs a writing half that is not ended.
    #[must_use]
    pub fn needs_writing_half(&self) -> bool {
        matches!(self.touch(), Touch::Writes | Touch::EndsWriting)
    }

    /// Who else this is about: the client that is kicked, or the user who is written to. Most clients are called as
    /// their users.
    #[must_use]
    pub fn target(&self) -> Option<&str> {
        if let Self::Kick { client: target, .. } | Self::DirectMessage { user: target, .. } = self {
            Some(target)
        } else {
            None
        }
    }

    /// The room that this names.
    #[must_use]
    pub fn room(&self) -> Option<RoomNumber> {
        if let Self::RoomEnter { room, .. }
        | Self::RoomLeave { room }
        | Self::RoomChat { room, .. }
        | Self::Kick { room, .. } = self
        {
            Some(*room)
        } else {
            None
        }
    }
}

impl Fault {
    /// Both hosts between which this breaks or heals something.
    #[must_use]
    pub fn ends(&self) -> Option<(&String, &String)> {
        if let Self::Partition { from, to, .. }
        | Self::Repair { from, to }
        | Self::Hold { from, to }
        | Self::Release { from, to }
        | Self::Latency { from, to, .. } = self
        {
            Some((from, to))
        } else {
            None
        }
    }

    /// The one daemon to which this happens.
    #[must_use]
    pub fn daemon(&self) -> Option<&String> {
        if let Self::Crash { daemon }
        | Self::Restart { daemon }
        | Self::Drain { daemon, .. }
        | Self::Stop { daemon }
        | Self::CloseUser { daemon, .. }
        | Self::Ask { daemon, .. }
        | Self::Stall { daemon, .. } = self
        {
            Some(daemon)
        } else {
            None
        }
    }
}
