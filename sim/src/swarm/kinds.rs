//! What the clients of a search can do, and how often they do it.

use super::workload::Belief;

/// What can be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Arrive,
    Connect,
    Hello,
    Login,
    WrongLogin,
    Logout,
    List,
    Create,
    Enter,
    Leave,
    Chat,
    BadChat,
    Tell,
    Kick,
    Command,
    Ping,
    Raw,
    WrongHello,
    HalfClose,
    Close,
    Reset,
    Vanish,
    StopReading,
    ResumeReading,
    /// Many requests at once.
    Flood,
    /// One does not read while the others talk much.
    Deafen,
    /// Two log in as the same user at the same moment.
    Race,
    /// Everybody enters the same room at the same moment.
    Rush,
    /// Somebody connects and says everything at once, without waiting for any answer.
    Pipeline,
    /// Somebody opens a room, others come, and the owner throws one out or goes.
    Club,
    /// A daemon is cut off from Redis for longer than a lease lives, and its users come to another one.
    Usurp,
}

pub(super) const KINDS: [(Kind, u32); 31] = [
    (Kind::Arrive, 30),
    (Kind::Connect, 3),
    (Kind::Hello, 3),
    (Kind::Login, 10),
    (Kind::WrongLogin, 4),
    (Kind::Logout, 4),
    (Kind::List, 4),
    (Kind::Create, 8),
    (Kind::Enter, 16),
    (Kind::Leave, 6),
    (Kind::Chat, 40),
    (Kind::BadChat, 4),
    (Kind::Tell, 8),
    (Kind::Kick, 8),
    (Kind::Command, 2),
    (Kind::Ping, 3),
    (Kind::Raw, 2),
    (Kind::WrongHello, 1),
    (Kind::HalfClose, 2),
    (Kind::Close, 3),
    (Kind::Reset, 3),
    (Kind::Vanish, 3),
    (Kind::StopReading, 2),
    (Kind::ResumeReading, 4),
    (Kind::Flood, 2),
    (Kind::Deafen, 2),
    (Kind::Race, 5),
    (Kind::Rush, 4),
    (Kind::Pipeline, 4),
    (Kind::Club, 8),
    (Kind::Usurp, 1),
];

impl Kind {
    /// How many times as often it is done on the turmoil layer, which does fewer things in more time.
    pub(super) fn zeal(self) -> u32 {
        if self == Self::Deafen { 4 } else { 1 }
    }

    /// Whether a client does this who knows what it is doing.
    pub(super) fn makes_sense_for(self, belief: &Belief) -> bool {
        match self {
            Self::Chat | Self::BadChat | Self::Leave | Self::Kick => belief.room.is_some(),
            Self::Enter | Self::Create => belief.user.is_some() && belief.room.is_none(),
            Self::List | Self::Tell | Self::Command | Self::Logout => belief.user.is_some(),
            Self::Login | Self::WrongLogin => belief.is_greeted && belief.user.is_none(),
            Self::Hello | Self::WrongHello => belief.is_connected && !belief.is_greeted,
            Self::Ping => belief.is_greeted,
            Self::Raw
            | Self::HalfClose
            | Self::Close
            | Self::Reset
            | Self::Vanish
            | Self::StopReading
            | Self::ResumeReading => belief.is_connected,
            Self::Arrive
            | Self::Connect
            | Self::Flood
            | Self::Deafen
            | Self::Race
            | Self::Rush
            | Self::Pipeline
            | Self::Club
            | Self::Usurp => true,
        }
    }
}
