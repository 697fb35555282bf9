//! The engine's step for one message in a room of ten, behind middleware.

use std::hint::black_box;
use std::mem;
use std::time::Duration;

use lobbyd_core::action::{Action, Actions};
use lobbyd_core::config::{Config, FixedRoom};
use lobbyd_core::id::{RequestId, RoomNumber, SessionId};
use lobbyd_core::input::{Account, Input, Verdict};
use lobbyd_core::limits::Rate;
use lobbyd_core::packet::{ClientPacket, PROTOCOL_VERSION, Sealed};
use lobbyd_core::time::Instant;
use lobbyd_net::extension::middleware::{
    CommandBudget, Decision, Interest, Middleware, Packet, PacketKind, PacketLog, PacketMetrics, Passage, WordFilter,
};
use lobbyd_net::extension::{Assembled, Extensions};

const ROOM: RoomNumber = RoomNumber(1);
const MEMBERS: u32 = 10;
/// Sessions elsewhere, each with a budget that is remembered.
const OTHERS: u32 = 490;
const ENDLESS: Rate = Rate { burst: 1_000_000_000, interval: Duration::from_nanos(1) };
/// Bytes of a text, as in the bench of the whole server.
const TEXT_BYTES: usize = 64;
/// So many texts, because of one that comes again and again the processor knows the words by heart.
const TEXTS: u32 = 4_096;
/// What they are made of.
const WORDS: [&str; 16] = [
    "who", "has", "seen", "the", "red", "knight", "near", "old", "mill?", "I", "owe", "him", "9", "coins,", "gg",
    "wait!",
];

/// Puts a chain together.
type Extend = fn(&mut Extensions);

/// What the step is measured behind, by name.
pub(crate) const CHAINS: [(&str, Extend); 9] = [
    ("none", |_| {}),
    ("idle", |extensions| add(extensions, Idle)),
    ("look", |extensions| add(extensions, Look { seen: 0 })),
    ("log", |extensions| add(extensions, PacketLog)),
    ("words-masked", |extensions| add(extensions, masking())),
    ("budget", |extensions| add(extensions, budget())),
    ("metrics", |extensions| add(extensions, PacketMetrics::new().0)),
    ("five-look", |extensions| (0..5).for_each(|_| add(extensions, Look { seen: 0 }))),
    ("five", |extensions| {
        add(extensions, PacketLog);
        add(extensions, masking());
        add(extensions, WordFilter::refusing(["rascal", "villain"]));
        add(extensions, budget());
        add(extensions, PacketMetrics::new().0);
    }),
];

fn add(extensions: &mut Extensions, middleware: impl Middleware + 'static) {
    extensions.middleware(middleware);
}

fn masking() -> WordFilter {
    WordFilter::masking(["darn", "heck", "blast"])
}

fn budget() -> CommandBudget {
    CommandBudget::new().packet(PacketKind::RoomChatRequest, ENDLESS)
}

/// Middleware that does not care for messages.
struct Idle;

impl Middleware for Idle {
    fn name(&self) -> &str {
        "idle"
    }

    fn interest(&self) -> Interest {
        Interest::nothing().before(&[PacketKind::LoginRequest])
    }
}

/// Middleware that looks at each packet and lets it pass.
struct Look {
    seen: u64,
}

impl Middleware for Look {
    fn name(&self) -> &str {
        "look"
    }

    fn interest(&self) -> Interest {
        Interest::nothing().before(PacketKind::ALL)
    }

    fn before<'p>(&'p mut self, _: &Passage<'_>, _: &Packet<'p>) -> Decision<'p> {
        self.seen += 1;
        Decision::Pass
    }
}

/// An engine with people in a room, and a chain before it.
pub(crate) struct Server {
    assembled: Assembled,
    now: Instant,
    actions: Actions,
    speaker: u32,
    texts: Vec<String>,
    said: usize,
}

/// A text of those words, in an order that follows from its number.
fn text(number: u32) -> String {
    let (mut text, mut random) = (String::new(), number);
    while text.len() < TEXT_BYTES {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        text += WORDS[(random >> 28) as usize];
        text.push(' ');
    }
    text.truncate(TEXT_BYTES);
    text
}

impl Server {
    pub(crate) fn new(extend: Extend) -> Self {
        let mut extensions = Extensions::new();
        extend(&mut extensions);
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
        let mut server = Self {
            assembled,
            now: Instant::ZERO,
            actions: Actions::new(),
            speaker: 0,
            texts: (0..TEXTS).map(text).collect(),
            said: 0,
        };
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
                let text = "hello".into();
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
    pub(crate) fn chat(&mut self) -> usize {
        self.now = self.now + Duration::from_micros(1);
        self.speaker = (self.speaker + 1) % MEMBERS;
        let session = SessionId { index: self.speaker, generation: 0 };
        let request = RequestId(2);
        self.said = (self.said + 1) % self.texts.len();
        let text = mem::take(&mut self.texts[self.said]);
        self.says(
            session,
            ClientPacket::RoomChatRequest { request, room: ROOM, text: black_box(text.as_str()).into() },
        );
        self.texts[self.said] = text;
        assert_eq!(self.actions.len(), 2, "a notify and a response");
        self.actions.len()
    }
}
