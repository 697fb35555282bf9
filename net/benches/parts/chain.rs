//! The engine's step for one message in a room of ten, behind middleware and without.

use std::cell::RefCell;
use std::hint::black_box;
use std::time::Duration;

use divan::Bencher;
use lobbyd_core::action::{Action, Actions};
use lobbyd_core::config::{Config, FixedRoom};
use lobbyd_core::id::{RequestId, RoomNumber, SessionId};
use lobbyd_core::input::{Account, Input, Verdict};
use lobbyd_core::limits::Rate;
use lobbyd_core::packet::{ClientPacket, PROTOCOL_VERSION, Sealed};
use lobbyd_core::time::Instant;
use lobbyd_net::extension::middleware::{CommandBudget, Packet, PacketLog, PacketMetrics, WordFilter};
use lobbyd_net::extension::{Assembled, Extensions};

const ROOM: RoomNumber = RoomNumber(1);
const MEMBERS: u32 = 10;
/// Sessions elsewhere, each with a budget that is remembered.
const OTHERS: u32 = 490;
const ENDLESS: Rate = Rate { burst: 1_000_000_000, interval: Duration::from_nanos(1) };
/// 64 bytes, as in the bench of the whole server.
const WORDS: &str = "who has seen the red knight near the old mill? I owe him 9 coins";

#[divan::bench]
fn none(bencher: Bencher<'_, '_>) {
    chat(bencher, Extensions::new());
}

#[divan::bench]
fn log(bencher: Bencher<'_, '_>) {
    let mut extensions = Extensions::new();
    extensions.middleware(PacketLog);
    chat(bencher, extensions);
}

#[divan::bench]
fn words_masked(bencher: Bencher<'_, '_>) {
    let mut extensions = Extensions::new();
    extensions.middleware(WordFilter::masking(["darn", "heck", "blast"]));
    chat(bencher, extensions);
}

#[divan::bench]
fn budget(bencher: Bencher<'_, '_>) {
    let mut extensions = Extensions::new();
    extensions.middleware(CommandBudget::new().packet("RoomChatRequest", ENDLESS));
    chat(bencher, extensions);
}

#[divan::bench]
fn metrics(bencher: Bencher<'_, '_>) {
    let mut extensions = Extensions::new();
    extensions.middleware(PacketMetrics::new().0);
    chat(bencher, extensions);
}

#[divan::bench]
fn five(bencher: Bencher<'_, '_>) {
    let mut extensions = Extensions::new();
    extensions
        .middleware(PacketLog)
        .middleware(WordFilter::masking(["darn", "heck", "blast"]))
        .middleware(WordFilter::refusing(["rascal", "villain"]))
        .middleware(CommandBudget::new().packet("RoomChatRequest", ENDLESS))
        .middleware(PacketMetrics::new().0);
    chat(bencher, extensions);
}

fn chat(bencher: Bencher<'_, '_>, extensions: Extensions) {
    let server = RefCell::new(Server::new(extensions));
    bencher.bench_local(|| server.borrow_mut().chat());
}

struct Server {
    assembled: Assembled,
    now: Instant,
    actions: Actions,
    speaker: u32,
}

impl Server {
    fn new(extensions: Extensions) -> Self {
        let room = FixedRoom { number: ROOM, title: "Plaza".into(), capacity: 100, password: None };
        let config = Config {
            fixed_rooms: vec![room],
            flood: ENDLESS,
            connects_per_address: ENDLESS,
            sessions_per_address_max: 10_000,
            logins_pending_max: 10_000,
            ..Config::default()
        };
        let assembled = extensions.assemble(config, 7, Instant::ZERO);
        let mut server = Self { assembled, now: Instant::ZERO, actions: Actions::new(), speaker: 0 };
        for index in 0..MEMBERS + OTHERS {
            let session = SessionId { index, generation: 0 };
            server.input(Input::Connected { session, address: [192, 0, 2, 1].into() });
            server.says(session, ClientPacket::Hello { version: PROTOCOL_VERSION, client: "bench".into() });
            let (request, name) = (RequestId(1), format!("user{index}"));
            let user = name.as_str().into();
            server.says(session, ClientPacket::LoginRequest { request, user, secret: Sealed([1; 16]) });
            let asked = server.actions.iter().find_map(|action| {
                let Action::VerifyLogin { ticket, user, .. } = action else { return None };
                Some((*ticket, *user))
            });
            let (ticket, user) = asked.expect("a login is verified");
            let verdict = Verdict::Accepted { account: Account::default(), leased: false };
            server.input(Input::LoginVerdict { ticket, user, verdict });
            if index < MEMBERS {
                server.says(session, ClientPacket::RoomEnterRequest { request, room: ROOM, password: None });
            } else {
                let text = WORDS.into();
                server.says(session, ClientPacket::RoomChatRequest { request, room: ROOM, text });
            }
        }
        server
    }

    fn input(&mut self, input: Input<'_>) {
        self.actions.clear();
        self.assembled.engine.handle_input(self.now, input, &mut self.actions);
    }

    fn says(&mut self, session: SessionId, packet: Packet<'_>) {
        self.actions.clear();
        let Assembled { engine, chain, .. } = &mut self.assembled;
        chain.step(engine, self.now, session, packet, &mut self.actions);
    }

    /// One message after the other, of one member after the other, a microsecond apart.
    fn chat(&mut self) -> usize {
        self.now = self.now + Duration::from_micros(1);
        self.speaker = (self.speaker + 1) % MEMBERS;
        let session = SessionId { index: self.speaker, generation: 0 };
        let request = RequestId(2);
        self.says(session, ClientPacket::RoomChatRequest { request, room: ROOM, text: black_box(WORDS).into() });
        assert_eq!(self.actions.len(), 2, "a notify and a response");
        self.actions.len()
    }
}
