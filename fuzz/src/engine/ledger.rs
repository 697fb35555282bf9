//! What the engine owes: an answer to each request, silence to who is gone, and every lease that was taken.

use std::collections::{BTreeMap, BTreeSet};
use std::mem::{Discriminant, discriminant};

use lobbyd_core::action::Action;
use lobbyd_core::engine::Counts;
use lobbyd_core::id::{RequestId, SessionId, Ticket};
use lobbyd_core::input::{Input, Verdict};
use lobbyd_core::name::UserName;
use lobbyd_core::packet::{Code, ServerPacket};

/// A response that has to come: its kind and its request.
type Due = (Discriminant<ServerPacket>, RequestId);

#[derive(Default)]
pub(super) struct Ledger {
    /// The living sessions, each with the responses that it waits for.
    sessions: BTreeMap<SessionId, Vec<Due>>,
    /// Of these, who is logged in.
    online: BTreeSet<SessionId>,
    /// Whose stream has ended with the input that is being carried out. The engine has nothing to say about it.
    hung_up: Option<SessionId>,
    /// The leases that came with a verdict and were not given back.
    leases: BTreeSet<(Ticket, UserName)>,
}

impl Ledger {
    pub(super) fn is_open(&self, session: SessionId) -> bool {
        self.sessions.contains_key(&session)
    }

    pub(super) fn open(&self) -> Vec<SessionId> {
        self.sessions.keys().copied().collect()
    }

    /// An input that is about to be handed in.
    pub(super) fn note(&mut self, input: &Input<'_>) {
        match input {
            Input::Connected { session, .. } => {
                self.sessions.insert(*session, Vec::new());
            }
            Input::Received { session, packet } | Input::Stopped { session, packet, .. } => {
                let response = packet.refusal(Code::Flooding);
                let due = response.and_then(|response| Some((discriminant(&response), request(&response)?)));
                if let (Some(dues), Some(due)) = (self.sessions.get_mut(session), due) {
                    dues.push(due);
                }
            }
            Input::LoginVerdict { ticket, user, verdict: Verdict::Accepted { leased: true, .. } } => {
                self.leases.insert((*ticket, *user));
            }
            Input::Disconnected { session } => self.hung_up = Some(*session),
            Input::Malformed { .. }
            | Input::OutboxFull { .. }
            | Input::LoginVerdict { .. }
            | Input::PresenceLost { .. }
            | Input::Stalled { .. }
            | Input::ServiceReply { .. }
            | Input::DisableExtension { .. }
            | Input::Admin(_) => {}
        }
    }

    /// An action, and whom it goes to if it is a broadcast.
    pub(super) fn carry_out(&mut self, action: &Action, recipients: &[SessionId]) {
        match action {
            Action::Send { to, packet } => {
                let dues =
                    self.sessions.get_mut(to).unwrap_or_else(|| panic!("{packet:?} goes to {to}, which is gone"));
                if let Some(request) = request(packet) {
                    let due = (discriminant(packet), request);
                    let place = dues.iter().position(|other| *other == due);
                    dues.remove(place.unwrap_or_else(|| panic!("{packet:?} answers nothing that {to} has asked")));
                }
            }
            Action::Broadcast { packet, .. } => {
                assert_eq!(request(packet), None, "a response goes to one: {packet:?}");
                assert!(!recipients.is_empty(), "{packet:?} goes to nobody");
                let mut seen = BTreeSet::new();
                for to in recipients {
                    assert!(self.is_open(*to), "{packet:?} goes to {to}, which is gone");
                    assert!(seen.insert(to), "{packet:?} goes to {to} twice");
                }
            }
            Action::Close { session, .. } => {
                assert!(self.sessions.remove(session).is_some(), "{session} is closed twice");
                self.online.remove(session);
            }
            Action::VerifyLogin { ticket, .. } => {
                assert!(self.is_open(ticket.session), "{ticket} is of nobody");
            }
            Action::ReleasePresence { ticket, user } => {
                assert!(self.leases.remove(&(*ticket, *user)), "{ticket} has no lease of {user} to give back");
            }
            Action::Online { session, user: Some(_) } => {
                assert!(self.is_open(*session), "{session} is online and gone");
                assert!(self.online.insert(*session), "{session} goes online twice");
            }
            Action::Online { session, user: None } => {
                assert!(self.online.remove(session), "{session} logs out and was not online");
            }
            Action::CallService { .. }
            | Action::ExtensionFailed { .. }
            | Action::Answer { .. }
            | Action::ServiceAnswer { .. } => {}
        }
    }

    /// All actions of the step were carried out. Nothing but logins and commands that an extension has kept may still wait
    /// for an answer.
    pub(super) fn assert_settled(&mut self, counts: Counts) {
        if let Some(session) = self.hung_up.take() {
            self.sessions.remove(&session);
            self.online.remove(&session);
        }
        let login = ServerPacket::LoginResponse { request: RequestId(0), result: Err(Code::LoginDenied) };
        let request = RequestId(0);
        let command = ServerPacket::CustomResponse { request, command_type: None, result: Err(Code::Flooding) };
        let (mut logins, mut commands) = (0, 0);
        for (session, dues) in &self.sessions {
            let count = |packet| dues.iter().filter(|(kind, _)| *kind == discriminant(packet)).count();
            let (login, command) = (count(&login), count(&command));
            let is_settled = login + command == dues.len() && login <= 1;
            assert!(is_settled, "{session} waits for answers that do not come: {dues:?}");
            (logins, commands) = (logins + login, commands + command);
        }
        let expected = [self.sessions.len(), self.online.len(), logins, commands];
        let counts = [counts.sessions, counts.online, counts.logins_pending, counts.commands_waiting];
        assert_eq!(expected, counts.map(|count| count as usize));
    }

    pub(super) fn assert_nothing_is_left(&self) {
        assert_eq!(self.leases, BTreeSet::new(), "leases that nobody gives back");
    }
}

/// The request that a packet answers.
fn request(packet: &ServerPacket) -> Option<RequestId> {
    match packet {
        ServerPacket::LoginResponse { request, .. }
        | ServerPacket::LogoutResponse { request, .. }
        | ServerPacket::RoomListResponse { request, .. }
        | ServerPacket::RoomCreateResponse { request, .. }
        | ServerPacket::RoomEnterResponse { request, .. }
        | ServerPacket::RoomLeaveResponse { request, .. }
        | ServerPacket::RoomChatResponse { request, .. }
        | ServerPacket::DirectMessageResponse { request, .. }
        | ServerPacket::KickResponse { request, .. }
        | ServerPacket::CustomResponse { request, .. } => Some(*request),
        ServerPacket::Welcome { .. }
        | ServerPacket::Ping { .. }
        | ServerPacket::Pong { .. }
        | ServerPacket::GoAway { .. }
        | ServerPacket::Closing { .. }
        | ServerPacket::RoomNewUserNotify { .. }
        | ServerPacket::RoomLeaveUserNotify { .. }
        | ServerPacket::RoomUserListNotify { .. }
        | ServerPacket::RoomChatNotify { .. }
        | ServerPacket::DirectMessageNotify { .. }
        | ServerPacket::Kicked { .. }
        | ServerPacket::AnnounceNotify { .. }
        | ServerPacket::CustomNotify { .. }
        | ServerPacket::NoticeNotify { .. } => None,
    }
}
