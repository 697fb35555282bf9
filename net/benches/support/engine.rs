//! The engine alone: its actions are made and not carried out.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use lobbyd_core::Engine;
use lobbyd_core::action::{Action, Actions};
use lobbyd_core::engine::Snapshot;
use lobbyd_core::id::{RequestId, RoomNumber, SessionId};
use lobbyd_core::input::{Account, Input, Verdict};
use lobbyd_core::packet::{ClientPacket, PROTOCOL_VERSION, Sealed};
use lobbyd_core::text::RawText;
use lobbyd_core::time::Instant;

use super::config;
use super::packets::TEXT;

/// An engine whose sessions are all in rooms.
pub(crate) struct Crowd {
    engine: Engine,
    actions: Actions,
    now: Instant,
    sessions: u32,
    room_members: u32,
    /// Who has spoken last.
    speaker: u32,
}

impl Crowd {
    /// So many sessions, in rooms of so many.
    pub(crate) fn new(sessions: u32, room_members: u32) -> Self {
        let now = Instant::from_nanos(1_000_000_000);
        let engine = Engine::new(config(sessions, room_members), 1, now);
        let mut crowd = Self { engine, actions: Actions::new(), now, sessions, room_members, speaker: 0 };
        for index in 0..sessions {
            crowd.join(index);
        }
        assert_eq!(crowd.engine.counts().members, sessions);
        crowd
    }

    /// Somebody says something, in another room than the one before where there are many. Says how many hear it.
    pub(crate) fn chat(&mut self) -> usize {
        // A stride that has no divisor in common with any number of sessions here: everybody comes up, in no order that
        // a cache could foresee.
        self.speaker = (self.speaker + 7_919) % self.sessions;
        let session = SessionId { index: self.speaker, generation: 0 };
        let room = self.room(self.speaker);
        let packet = ClientPacket::RoomChatRequest { request: RequestId(self.speaker), room, text: RawText(TEXT) };
        self.now = self.now + Duration::from_nanos(100);
        self.input(Input::Received { session, packet });
        let to = self.actions.iter().find_map(|action| match action {
            Action::Broadcast { to, .. } => Some(self.actions.recipients(*to).len()),
            Action::Send { .. }
            | Action::Close { .. }
            | Action::VerifyLogin { .. }
            | Action::ReleasePresence { .. }
            | Action::Online { .. }
            | Action::CallService { .. }
            | Action::ExtensionFailed { .. }
            | Action::Answer { .. }
            | Action::ServiceAnswer { .. } => None,
        });
        to.unwrap_or(0)
    }

    /// Lets the next deadlines come, of which each session has one: somebody is asked for a sign of life, and gives it.
    /// Says how many were asked.
    pub(crate) fn heartbeat(&mut self) -> usize {
        self.now = self.engine.poll_timeout().expect("every session has a deadline");
        self.actions.clear();
        self.engine.handle_timeout(self.now, &mut self.actions);
        let asked: Vec<_> = self
            .actions
            .iter()
            .filter_map(|action| if let Action::Send { to, .. } = action { Some(*to) } else { None })
            .collect();
        for session in &asked {
            self.input(Input::Received { session: *session, packet: ClientPacket::Pong { nonce: 0 } });
        }
        asked.len()
    }

    /// A copy of the state.
    #[allow(dead_code, reason = "not every program that includes this takes one")]
    pub(crate) fn snapshot(&self) -> Snapshot {
        self.engine.snapshot()
    }

    fn room(&self, index: u32) -> RoomNumber {
        RoomNumber(1 + index / self.room_members)
    }

    fn input(&mut self, input: Input<'_>) {
        self.actions.clear();
        self.engine.handle_input(self.now, input, &mut self.actions);
    }

    fn join(&mut self, index: u32) {
        // At different times, so that their deadlines do not come together.
        self.now = self.now + Duration::from_micros(10);
        let session = SessionId { index, generation: 0 };
        let name = format!("b{index}");
        let request = RequestId(1);
        self.input(Input::Connected { session, address: IpAddr::V4(Ipv4Addr::LOCALHOST) });
        let hello = ClientPacket::Hello { version: PROTOCOL_VERSION, client: "bench".into() };
        self.input(Input::Received { session, packet: hello });
        let login = ClientPacket::LoginRequest { request, user: name.as_str().into(), secret: Sealed([1; 16]) };
        self.input(Input::Received { session, packet: login });
        let Some(Action::VerifyLogin { ticket, user, .. }) = self.actions.get(0) else {
            panic!("asked the store instead of {:?}", self.actions);
        };
        let (ticket, user) = (*ticket, *user);
        let verdict = Verdict::Accepted { account: Account::default(), leased: true };
        self.input(Input::LoginVerdict { ticket, user, verdict });
        let enter = ClientPacket::RoomEnterRequest { request, room: self.room(index), password: None };
        self.input(Input::Received { session, packet: enter });
    }
}
