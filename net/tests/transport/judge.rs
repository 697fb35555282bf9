//! What must be true of what clients heard and of what the node says about itself.

use std::collections::{BTreeMap, BTreeSet};

use lobbyd_core::id::{RequestId, UserId};
use lobbyd_core::packet::{CloseReason, ServerPacket};
use lobbyd_net::Report;

use crate::client::{Client, End};

/// A change in the room, whoever heard of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Entered(UserId),
    Left(UserId),
    Said(UserId, String),
}

/// What all clients together heard.
#[derive(Debug, Default)]
pub(crate) struct Judge {
    /// The room's changes by their numbers.
    pub(crate) changes: BTreeMap<u64, Change>,
    /// For each client, by its place: its id once it is logged in, and the number of the last change it heard of.
    views: Vec<View>,
    /// For each client, whether it was there until the node stopped.
    pub(crate) living: Vec<bool>,
    /// Whether outboxes are so small that a client that does not read may be closed for it.
    is_slow_allowed: bool,
}

/// One client's side.
#[derive(Clone, Debug, Default)]
struct View {
    user: Option<UserId>,
    last: Option<u64>,
    members: BTreeSet<UserId>,
    answered: Vec<RequestId>,
    closed: Option<CloseReason>,
}

impl Judge {
    pub(crate) fn new(is_slow_allowed: bool) -> Self {
        Self { is_slow_allowed, ..Self::default() }
    }

    /// Takes down what a client heard, which has to fit what the others heard.
    pub(crate) fn hear(&mut self, client: &Client) {
        let mut view = View::default();
        for packet in &client.heard {
            self.hear_one(client, &mut view, packet);
        }
        self.views.push(view);
    }

    fn hear_one(&mut self, client: &Client, view: &mut View, packet: &ServerPacket) {
        if let Some(request) = answered(packet) {
            view.answered.push(request);
        }
        match packet {
            ServerPacket::LoginResponse { result, .. } => view.user = Some(result.as_ref().unwrap().id),
            ServerPacket::RoomUserListNotify { sequence, users, last, .. } => {
                assert!(last, "a few users fit one frame");
                view.members = users.0.iter().map(|user| user.id).collect();
                // The change itself is what the others call an entering.
                view.last = Some(*sequence - 1);
                self.change(client, view, *sequence, Change::Entered(view.user.unwrap()));
            }
            ServerPacket::RoomEnterResponse { result, .. } => {
                assert_eq!(Some(result.unwrap().sequence), view.last, "{} entered at another moment", client.name);
            }
            ServerPacket::RoomNewUserNotify { sequence, user, .. } => {
                assert!(view.members.insert(user.id), "{} hears of {} twice", client.name, user.name);
                self.change(client, view, *sequence, Change::Entered(user.id));
            }
            ServerPacket::RoomLeaveUserNotify { sequence, user, .. } => {
                assert!(view.members.remove(user), "{} hears of the leaving of who is not there", client.name);
                self.change(client, view, *sequence, Change::Left(*user));
            }
            ServerPacket::RoomChatNotify { sequence, user, text, .. } => {
                assert!(view.members.contains(user), "{} hears who is not there", client.name);
                self.change(client, view, *sequence, Change::Said(*user, text.as_str().to_owned()));
            }
            ServerPacket::RoomChatResponse { request, result } => {
                let said = Change::Said(view.user.unwrap(), client.text(*request).to_owned());
                self.change(client, view, result.unwrap().sequence, said);
            }
            ServerPacket::Closing { reason } => view.closed = Some(*reason),
            ServerPacket::Welcome { .. } => {}
            ServerPacket::Ping { .. }
            | ServerPacket::Pong { .. }
            | ServerPacket::GoAway { .. }
            | ServerPacket::LogoutResponse { .. }
            | ServerPacket::RoomListResponse { .. }
            | ServerPacket::RoomCreateResponse { .. }
            | ServerPacket::RoomLeaveResponse { .. }
            | ServerPacket::DirectMessageResponse { .. }
            | ServerPacket::KickResponse { .. }
            | ServerPacket::DirectMessageNotify { .. }
            | ServerPacket::Kicked { .. }
            | ServerPacket::AnnounceNotify { .. }
            | ServerPacket::CustomResponse { .. }
            | ServerPacket::CustomNotify { .. }
            | ServerPacket::NoticeNotify { .. } => panic!("{} hears what nobody caused: {packet:?}", client.name),
        }
    }

    /// The next change a client hears of has the next number, and is the same for everybody.
    fn change(&mut self, client: &Client, view: &mut View, sequence: u64, change: Change) {
        assert_eq!(Some(sequence - 1), view.last, "{} misses a change, or hears one twice: {change:?}", client.name);
        view.last = Some(sequence);
        let known = self.changes.entry(sequence).or_insert_with(|| change.clone());
        assert_eq!(*known, change, "{} hears something else than the others at {sequence}", client.name);
    }

    /// How many answers a client heard until the node stopped.
    pub(crate) fn answers(&self, client: usize) -> usize {
        self.views[client].answered.len()
    }

    /// Everything has arrived, and the node still runs.
    pub(crate) fn judge_the_living(&mut self, clients: &[Client], report: &Report) {
        let is_living = |client: &Client| client.end == End::None && !client.near.look(|wire| wire.is_dropped);
        self.living = clients.iter().map(is_living).collect();
        let newest = self.changes.last_key_value().map(|(sequence, _)| *sequence);
        for ((client, view), is_living) in clients.iter().zip(&self.views).zip(&self.living) {
            let sent = client.requests_sent();
            assert!(sent.starts_with(&view.answered), "{}: {:?} answers {sent:?}", client.name, view.answered);
            let said = self.said(view);
            assert!(said.len() <= client.texts_sent());
            assert!(
                client.texts[..said.len()].iter().eq(said.iter().copied()),
                "{} is misheard: {said:?}",
                client.name
            );
            if *is_living {
                assert_eq!(view.closed, None);
                assert_eq!(view.answered, sent, "{} has no answer to everything", client.name);
                assert_eq!(said.len(), client.texts.len(), "{} was not heard", client.name);
                assert_eq!(view.last, newest, "{} did not hear everything", client.name);
                assert_eq!(client.part_of_a_frame(), 0, "{} waits for the rest of a frame", client.name);
                continue;
            }
            assert!(self.is_slow_allowed || client.end != End::None, "{} was closed: {:?}", client.name, view.closed);
            assert!(matches!(view.closed, None | Some(CloseReason::SlowConsumer)), "{:?}", view.closed);
            if client.end == End::HungUp && !self.is_slow_allowed && self.was_watched(view) {
                assert_eq!(said.len(), client.texts_sent(), "what {} said before the end is lost", client.name);
                assert!(self.changes.values().any(|change| Some(change) == view.user.map(Change::Left).as_ref()));
            }
        }
        let counts = report.counts;
        let living = self.living.iter().filter(|is_living| **is_living).count() as u32;
        assert_eq!((counts.sessions, counts.online, counts.members), (living, living, living), "{report:?}");
        assert_eq!((report.connections, report.pool.lent), (u64::from(living), 0), "{report:?}");
        judge_traffic(clients, report);
    }

    /// The node has stopped.
    pub(crate) fn judge_the_end(&self, clients: &[Client], report: &Report) {
        for (client, is_living) in clients.iter().zip(&self.living) {
            assert!(client.near.look(|wire| wire.is_dropped), "the stream of {} is kept", client.name);
            if *is_living {
                let last = client.heard.last();
                let is_told = matches!(last, Some(ServerPacket::Closing { reason: CloseReason::Stopped }));
                assert!(is_told && client.near.look(|wire| wire.server_has_ended), "{}: {last:?}", client.name);
            }
        }
        let counts = report.counts;
        assert_eq!((counts.sessions, counts.online, counts.members, counts.logins_pending), (0, 0, 0, 0), "{report:?}");
        assert_eq!((report.connections, report.pool.lent), (0, 0), "{report:?}");
        judge_traffic(clients, report);
    }

    /// Whether somebody who is still there was in the room before this client came.
    fn was_watched(&self, view: &View) -> bool {
        let entered_at = |view: &View| {
            let entered = Change::Entered(view.user?);
            self.changes.iter().find(|(_, change)| **change == entered).map(|(sequence, _)| *sequence)
        };
        let Some(at) = entered_at(view) else {
            return false;
        };
        let mut living = self.views.iter().zip(&self.living).filter(|(_, is_living)| **is_living);
        living.any(|(other, _)| entered_at(other).is_some_and(|other_at| other_at < at))
    }

    /// What a client was heard to say, in the room's order.
    fn said(&self, view: &View) -> Vec<&String> {
        let said = self.changes.values().filter_map(|change| match change {
            Change::Said(user, text) if Some(*user) == view.user => Some(text),
            Change::Said(..) | Change::Entered(_) | Change::Left(_) => None,
        });
        said.collect()
    }
}

/// The node counts what really moved.
fn judge_traffic(clients: &[Client], report: &Report) {
    let read: u64 = clients.iter().map(|client| client.near.look(|wire| wire.read)).sum();
    let written: usize = clients.iter().map(|client| client.near.look(|wire| wire.to_client.len())).sum();
    assert_eq!(report.traffic.accepted, clients.len() as u64);
    // Also what came in behind a close and was dropped.
    assert_eq!(report.traffic.bytes_in, read, "bytes are counted wrongly");
    assert_eq!(report.traffic.bytes_out, written as u64, "bytes are counted wrongly");
}

/// The request that a packet answers, of those that clients here ask.
fn answered(packet: &ServerPacket) -> Option<RequestId> {
    if let ServerPacket::LoginResponse { request, .. }
    | ServerPacket::RoomEnterResponse { request, .. }
    | ServerPacket::RoomChatResponse { request, .. } = packet
    {
        Some(*request)
    } else {
        None
    }
}
