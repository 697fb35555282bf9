//! The words for why: why a request was refused, why a connection was closed, how a member came to leave.
//!
//! The order of the variants is their number on the wire (`net/PROTOCOL.md`): new ones go to the end.

use core::fmt;

use serde::{Deserialize, Serialize};

/// How a member came to leave a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum LeaveCause {
    /// By its own request.
    Left,
    /// By logging out.
    LoggedOut,
    /// Its connection ended, for whatever reason.
    Disconnected,
    /// Sent back to the lobby.
    Kicked,
}

/// Why a request was refused. Nothing has changed then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Code {
    /// Over the budget of requests; wait before the next one. The connection is closed if it goes on.
    Flooding,
    /// One must log in first.
    NotLoggedIn,
    /// One is logged in already.
    AlreadyLoggedIn,
    /// A login is under way; only ping and logout are answered until its response.
    LoginPending,
    /// The login was cancelled by a logout.
    LoginCancelled,
    /// The name or the secret is wrong (which of the two is not said).
    LoginDenied,
    /// The user is online already, here or at another daemon.
    AlreadyOnline,
    /// Too many wrong secrets for this user or from this address; wait before the next attempt.
    TooManyAttempts,
    /// As many users are online, or as many logins under way, as the server allows.
    ServerFull,
    /// The account store did not answer, or not in time; nothing is wrong with the secret. Try again later.
    StoreUnavailable,
    /// The server is going to stop and takes no new logins and no new rooms.
    Draining,
    /// The user name is not 1 to 32 of `A-Z a-z 0-9 _ . -`.
    NameInvalid,
    /// One is in a room, and the request is for those in the lobby.
    NotInLobby,
    /// One is not in that room.
    NotInRoom,
    /// There is no such room.
    RoomUnknown,
    /// The room is protected and the password is missing or wrong.
    RoomPasswordWrong,
    /// Too many wrong room passwords; wait before the next attempt.
    RoomPasswordAttempts,
    /// As many members are in the room as it holds.
    RoomFull,
    /// One has been banned from the room.
    RoomBanned,
    /// One has created as many rooms as a user may have.
    RoomLimit,
    /// One creates rooms too quickly; wait before the next one.
    RoomRate,
    /// There are as many rooms as the server allows.
    RoomsFull,
    /// The capacity is 0 or over the server's limit.
    CapacityInvalid,
    /// The title is empty, too long, not UTF-8, or holds control characters.
    TitleInvalid,
    /// The text is empty.
    TextEmpty,
    /// The text is longer than `Welcome` allows.
    TextTooLong,
    /// The text is not UTF-8, or holds a control character or one that overrides the direction of writing.
    TextInvalid,
    /// One may not do that.
    NotAllowed,
    /// No such user is online, or in that room.
    UserUnknown,
    /// A room holds as many bans as it may; the member was not kicked.
    BansFull,
    /// No extension of this server knows the command.
    CommandUnknown,
    /// The user logged out before the command was answered.
    CommandCancelled,
    /// The extension behind the command broke down, gave no answer, or not in time.
    ExtensionFailed,
    /// As many commands wait for their answer as the server allows; try again later.
    ExtensionBusy,
    /// The rules of this server do not allow the text.
    TextRefused,
    /// One asks for this too quickly; wait before the next one. The connection stays.
    OverBudget,
}

/// Why a connection was closed. All but [`CloseReason::Disconnected`] are told to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum CloseReason {
    /// The client closed its connection, or the network did. Never sent.
    Disconnected,
    /// As many connections are open as the server allows.
    ServerFull,
    /// As many connections are open from this address as the server allows.
    AddressFull,
    /// Connections come from this address too quickly.
    ConnectRate,
    /// The server is going to stop.
    Draining,
    /// The version in `Hello` is not within the range that `Welcome` offered.
    VersionUnsupported,
    /// The first packet was not `Hello`.
    HelloExpected,
    /// A second `Hello` came.
    HelloRepeated,
    /// A frame announced no payload at all.
    FrameEmpty,
    /// A frame announced more payload than `Welcome` allows.
    FrameTooLong,
    /// A packet number that this version does not know.
    PacketUnknown,
    /// A packet that does not end where its frame ends, or whose fields cannot be read.
    PacketMalformed,
    /// No login within the time allowed.
    LoginTimeout,
    /// Too many failed logins on this connection.
    LoginAttempts,
    /// No complete packet for three heartbeat intervals.
    Silent,
    /// Requests went on over the budget.
    Flooding,
    /// The client does not read what is sent to it.
    SlowConsumer,
    /// The user logged in elsewhere and the newest login wins, or another daemon took over the user's presence.
    Superseded,
    /// The operator closed the connection.
    OperatorClosed,
    /// The server stops now.
    Stopped,
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Disconnected => "the connection ended",
            Self::ServerFull => "the server is full",
            Self::AddressFull => "too many connections from this address",
            Self::ConnectRate => "connections come too quickly from this address",
            Self::Draining => "the server is going to stop",
            Self::VersionUnsupported => "the protocol version is not supported",
            Self::HelloExpected => "the first packet was not Hello",
            Self::HelloRepeated => "Hello came twice",
            Self::FrameEmpty => "a frame was empty",
            Self::FrameTooLong => "a frame was too long",
            Self::PacketUnknown => "a packet number is unknown",
            Self::PacketMalformed => "a packet could not be read",
            Self::LoginTimeout => "no login in time",
            Self::LoginAttempts => "too many failed logins",
            Self::Silent => "nothing was heard from the client",
            Self::Flooding => "too many requests",
            Self::SlowConsumer => "the client does not read what is sent to it",
            Self::Superseded => "the user logged in elsewhere",
            Self::OperatorClosed => "the operator closed the connection",
            Self::Stopped => "the server stopped",
        })
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Flooding => "too many requests: wait a moment",
            Self::NotLoggedIn => "log in first",
            Self::AlreadyLoggedIn => "already logged in",
            Self::LoginPending => "a login is under way",
            Self::LoginCancelled => "the login was cancelled",
            Self::LoginDenied => "the name or the secret is wrong",
            Self::AlreadyOnline => "this user is online already",
            Self::TooManyAttempts => "too many attempts: wait before the next one",
            Self::ServerFull => "the server is full",
            Self::StoreUnavailable => "the account store does not answer: try again later",
            Self::Draining => "the server is going to stop",
            Self::NameInvalid => "a user name is 1 to 32 characters of A-Z a-z 0-9 _ . -",
            Self::NotInLobby => "leave the room first",
            Self::NotInRoom => "you are not in that room",
            Self::RoomUnknown => "there is no such room",
            Self::RoomPasswordWrong => "the room's password is missing or wrong",
            Self::RoomPasswordAttempts => "too many wrong room passwords: wait before the next one",
            Self::RoomFull => "the room is full",
            Self::RoomBanned => "you are banned from that room",
            Self::RoomLimit => "you have created as many rooms as a user may have",
            Self::RoomRate => "you create rooms too quickly",
            Self::RoomsFull => "there are as many rooms as the server allows",
            Self::CapacityInvalid => "the capacity is 0 or over the server's limit",
            Self::TitleInvalid => "a title is 1 to 64 characters without control characters",
            Self::TextEmpty => "the text is empty",
            Self::TextTooLong => "the text is too long",
            Self::TextInvalid => "the text holds characters that are not allowed",
            Self::NotAllowed => "you may not do that",
            Self::UserUnknown => "no such user is there",
            Self::BansFull => "the room holds as many bans as it may",
            Self::CommandUnknown => "there is no such command",
            Self::CommandCancelled => "the command was cancelled",
            Self::ExtensionFailed => "the extension behind the command failed",
            Self::ExtensionBusy => "too many commands wait for an answer: try again later",
            Self::TextRefused => "the rules of this server do not allow the text",
            Self::OverBudget => "you ask for this too quickly: wait before the next one",
        })
    }
}
