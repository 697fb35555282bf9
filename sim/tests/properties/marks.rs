//! What cases have to reach: a generator that never gets there tests nothing there.

use std::collections::HashSet;

use lobbyd_core::packet::{CloseReason, Code, LeaveCause};

/// Something that a case has reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Mark {
    /// A request was refused with this code.
    Refused(Code),
    /// A session was closed for this reason.
    Closed(CloseReason),
    /// A member was seen to leave like this.
    Left(LeaveCause),
    /// A verdict that nobody waited for brought a lease, which went back.
    StaleLeaseReleased,
    /// A verdict came again for a user who is online by it, and changed nothing.
    VerdictTwice,
    /// A verdict named the ticket of one login and the user of another.
    VerdictOfAnother,
    /// What was possible when the store was asked was refused with its answer.
    RefusedOnVerdict(Code),
    /// A login went out of time, and its verdict came after all.
    VerdictAfterTimeout,
    /// The newest login ended an older session, in the same room or not.
    SupersededByLogin,
    /// Another daemon took a user's presence.
    SupersededByLoss,
    /// A room's owner left and another member owns it.
    OwnershipPassed,
    /// A member list came in parts.
    ListInParts,
    /// A page of the directory led on to another.
    PageLeadsOn,
    /// A room's number was given again, with another epoch.
    RoomAnew,
    /// Clients were pinged.
    Pinged,
    /// One step closed several sessions.
    ClosedTogether,
    /// A drain began while a login was pending.
    DrainDuringLogin,
    /// An engine was restored while it was in the middle of things.
    RestoredPending,
    RestoredInRoom,
    RestoredDraining,
    /// Something came in from the session that was in a living one's slot before.
    LateInput,
    /// A ban was made.
    Banned,
    /// A service answered the operator, or said why it did not.
    Served,
    ServiceFailed,
    /// As many questions were open as there may be.
    ServicesBusy,
    /// A service did not answer in time.
    ServiceMissing,
    /// A service answered what nobody waited for any more.
    ServiceLate,
    /// A service answered another question than the last one.
    ServiceOutOfOrder,
    RestoredAsking,
    /// An administrator kicked from a room that he was not in.
    KickedFromOutside,
}

/// Everything that cases have to reach.
pub(crate) fn required() -> HashSet<Mark> {
    let mut marks: HashSet<_> = [
        Mark::StaleLeaseReleased,
        Mark::VerdictTwice,
        Mark::VerdictOfAnother,
        Mark::RefusedOnVerdict(Code::Draining),
        Mark::RefusedOnVerdict(Code::ServerFull),
        Mark::RefusedOnVerdict(Code::AlreadyOnline),
        Mark::VerdictAfterTimeout,
        Mark::SupersededByLogin,
        Mark::SupersededByLoss,
        Mark::OwnershipPassed,
        Mark::ListInParts,
        Mark::PageLeadsOn,
        Mark::RoomAnew,
        Mark::Pinged,
        Mark::ClosedTogether,
        Mark::DrainDuringLogin,
        Mark::RestoredPending,
        Mark::RestoredInRoom,
        Mark::RestoredDraining,
        Mark::LateInput,
        Mark::Banned,
        Mark::Served,
        Mark::ServiceFailed,
        Mark::ServicesBusy,
        Mark::ServiceMissing,
        Mark::ServiceLate,
        Mark::ServiceOutOfOrder,
        Mark::RestoredAsking,
        Mark::KickedFromOutside,
    ]
    .into();
    marks.extend(CODES.map(Mark::Refused));
    marks.extend(REASONS.map(Mark::Closed));
    marks.extend(
        [LeaveCause::Left, LeaveCause::LoggedOut, LeaveCause::Disconnected, LeaveCause::Kicked].map(Mark::Left),
    );
    marks
}

const CODES: [Code; 30] = [
    Code::Flooding,
    Code::NotLoggedIn,
    Code::AlreadyLoggedIn,
    Code::LoginPending,
    Code::LoginCancelled,
    Code::LoginDenied,
    Code::AlreadyOnline,
    Code::TooManyAttempts,
    Code::ServerFull,
    Code::StoreUnavailable,
    Code::Draining,
    Code::NameInvalid,
    Code::NotInLobby,
    Code::NotInRoom,
    Code::RoomUnknown,
    Code::RoomPasswordWrong,
    Code::RoomPasswordAttempts,
    Code::RoomFull,
    Code::RoomBanned,
    Code::RoomLimit,
    Code::RoomRate,
    Code::RoomsFull,
    Code::CapacityInvalid,
    Code::TitleInvalid,
    Code::TextEmpty,
    Code::TextTooLong,
    Code::TextInvalid,
    Code::NotAllowed,
    Code::UserUnknown,
    Code::BansFull,
];

/// All but `Disconnected`, which is never told.
const REASONS: [CloseReason; 19] = [
    CloseReason::ServerFull,
    CloseReason::AddressFull,
    CloseReason::ConnectRate,
    CloseReason::Draining,
    CloseReason::VersionUnsupported,
    CloseReason::HelloExpected,
    CloseReason::HelloRepeated,
    CloseReason::FrameEmpty,
    CloseReason::FrameTooLong,
    CloseReason::PacketUnknown,
    CloseReason::PacketMalformed,
    CloseReason::LoginTimeout,
    CloseReason::LoginAttempts,
    CloseReason::Silent,
    CloseReason::Flooding,
    CloseReason::SlowConsumer,
    CloseReason::Superseded,
    CloseReason::OperatorClosed,
    CloseReason::Stopped,
];
