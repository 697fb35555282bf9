//! An engine with extensions, without a network.

use std::time::Duration;

use lobbyd_core::action::{Action, Actions};
use lobbyd_core::config::{Config, FixedRoom};
use lobbyd_core::data::RawBytes;
use lobbyd_core::id::{RequestId, RoomNumber, SessionId};
use lobbyd_core::input::{Account, Input, Verdict};
use lobbyd_core::packet::{ClientPacket, PROTOCOL_VERSION, Sealed, ServerPacket};
use lobbyd_core::time::Instant;
use lobbyd_net::extension::middleware::Packet;
use lobbyd_net::extension::{Assembled, Extensions};

pub(crate) const ROOM: RoomNumber = RoomNumber(1);
pub(crate) const ALICE: SessionId = SessionId { index: 0, generation: 0 };
pub(crate) const BOB: SessionId = SessionId { index: 1, generation: 0 };

pub(crate) struct Server {
    pub(crate) assembled: Assembled,
    pub(crate) now: Instant,
    actions: Actions,
}

pub(crate) fn config() -> Config {
    let room = FixedRoom { number: ROOM, title: "Plaza".into(), capacity: 10, password: None };
    Config { fixed_rooms: vec![room], ..Config::default() }
}

impl Server {
    /// With alice and bob in the room.
    pub(crate) fn new(extensions: Extensions) -> Self {
        let now = Instant::from_nanos(5_000_000_000);
        let mut server = Self { assembled: extensions.assemble(config(), 7, now), now, actions: Actions::new() };
        for (session, user) in [(ALICE, "alice"), (BOB, "bob")] {
            server.input(Input::Connected { session, address: [192, 0, 2, 1].into() });
            server.says(session, ClientPacket::Hello { version: PROTOCOL_VERSION, client: "test".into() });
            let request = RequestId(900);
            let said = server
                .says(session, ClientPacket::LoginRequest { request, user: user.into(), secret: Sealed([1; 16]) });
            let [Action::VerifyLogin { ticket, user, .. }] = said[..] else { panic!("asked {said:?}") };
            let verdict = Verdict::Accepted { account: Account::default(), leased: false };
            server.input(Input::LoginVerdict { ticket, user, verdict });
            server.says(session, ClientPacket::RoomEnterRequest { request, room: ROOM, password: None });
        }
        server
    }

    pub(crate) fn after(&mut self, time: Duration) -> &mut Self {
        self.now = self.now + time;
        self
    }

    pub(crate) fn input(&mut self, input: Input<'_>) -> Vec<Action> {
        self.assembled.engine.handle_input(self.now, input, &mut self.actions);
        self.take()
    }

    /// Says something through the chain.
    pub(crate) fn says(&mut self, session: SessionId, packet: Packet<'_>) -> Vec<Action> {
        let Assembled { engine, chain, .. } = &mut self.assembled;
        chain.step(engine, self.now, session, packet, &mut self.actions);
        self.take()
    }

    fn take(&mut self) -> Vec<Action> {
        let actions = self.actions.iter().cloned().collect();
        self.actions.clear();
        self.assembled.engine.check().unwrap();
        actions
    }
}

pub(crate) fn command<'a>(request: u32, name: &'a str, parameters: &'a str) -> Packet<'a> {
    ClientPacket::CustomCommand {
        request: RequestId(request),
        command_type: name.into(),
        parameters: RawBytes(parameters.as_bytes()),
        timestamp: 0,
    }
}

pub(crate) fn chat(request: u32, text: &str) -> Packet<'_> {
    ClientPacket::RoomChatRequest { request: RequestId(request), room: ROOM, text: text.into() }
}

/// What the responses among these say, each as `Ok(data)` or the code.
pub(crate) fn responses(actions: &[Action]) -> Vec<String> {
    let said = |action: &Action| {
        let Action::Send { packet, .. } = action else { return None };
        if let ServerPacket::CustomResponse { result: Ok(reply), .. } = packet {
            return Some(format!("{:?}", reply.data));
        }
        let (_, result) = packet.response()?;
        Some(result.map_or_else(|code| format!("{code:?}"), |()| "ok".to_owned()))
    };
    actions.iter().filter_map(said).collect()
}

/// The texts that were said in the room.
pub(crate) fn heard(actions: &[Action]) -> Vec<String> {
    let said = |action: &Action| {
        let Action::Broadcast { packet: ServerPacket::RoomChatNotify { text, .. }, .. } = action else { return None };
        Some(text.to_string())
    };
    actions.iter().filter_map(said).collect()
}
