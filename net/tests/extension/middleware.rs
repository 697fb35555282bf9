use std::sync::{Arc, Mutex};
use std::time::Duration;

use lobbyd_core::action::Action;
use lobbyd_core::id::RequestId;
use lobbyd_core::limits::Rate;
use lobbyd_core::packet::{ClientPacket, Code, Sealed, ServerPacket};
use lobbyd_net::extension::Extensions;
use lobbyd_net::extension::middleware::{
    CommandBudget, Decision, Interest, Middleware, Outcome, Packet, PacketKind, PacketLog, PacketMetrics, Passage,
    Timing, WordFilter,
};

use crate::support::{ALICE, BOB, Server, chat, heard, responses};

type Log = Arc<Mutex<Vec<String>>>;

fn take(log: &Log) -> Vec<String> {
    std::mem::take(&mut log.lock().unwrap())
}

/// Notes what it sees, and does what the text of a chat tells it by its name.
struct Probe {
    name: &'static str,
    log: Log,
}

impl Middleware for Probe {
    fn name(&self) -> &str {
        self.name
    }

    fn before<'p>(&'p mut self, passage: &Passage<'_>, packet: &Packet<'p>) -> Decision<'p> {
        let ClientPacket::RoomChatRequest { request, room, text } = *packet else { return Decision::Pass };
        let said = std::str::from_utf8(text.0).unwrap();
        assert_eq!(passage.user().unwrap().room(), Some(room));
        self.log.lock().unwrap().push(format!("{} < {said}", self.name));
        match said.strip_prefix(self.name) {
            Some(" stop") => Decision::Stop(Code::NotAllowed),
            Some(" panic") => panic!("told to"),
            Some(" shout") => Decision::Replace(ClientPacket::RoomChatRequest { request, room, text: "SHOUT".into() }),
            Some(" swap") => Decision::Replace(ClientPacket::LogoutRequest { request }),
            Some(" renumber") => {
                Decision::Replace(ClientPacket::RoomChatRequest { request: RequestId(99), room, text })
            }
            _ => Decision::Pass,
        }
    }

    fn after(&mut self, _: &Passage<'_>, packet: &Packet<'_>, outcome: Outcome) {
        if let ClientPacket::RoomChatRequest { text, .. } = packet {
            self.log.lock().unwrap().push(format!("{} > {text:?} {outcome:?}", self.name));
            assert!(text.0 != b"panic after", "told to");
        }
    }
}

fn probes() -> (Server, Log) {
    let log = Log::default();
    let mut extensions = Extensions::new();
    for name in ["one", "two"] {
        extensions.middleware(Probe { name, log: log.clone() });
    }
    (Server::new(extensions), log)
}

#[test]
fn packets_pass_in_order_and_come_back_in_reverse() {
    let (mut server, log) = probes();
    assert_eq!(heard(&server.says(ALICE, chat(1, "hi"))), ["hi"]);
    assert_eq!(take(&log), ["one < hi", "two < hi", "two > \"hi\" Done", "one > \"hi\" Done"]);
}

#[test]
fn stopped_packet_is_refused_and_goes_no_further() {
    let (mut server, log) = probes();
    let said = server.says(ALICE, chat(1, "one stop"));
    assert_eq!((responses(&said), heard(&said)), (vec!["NotAllowed".to_owned()], vec![]));
    assert_eq!(take(&log), ["one < one stop", "one > \"one stop\" Refused(NotAllowed)"]);
    server.says(ALICE, chat(1, "two stop"));
    assert_eq!(take(&log).len(), 4);
}

#[test]
fn replaced_packet_is_what_the_next_and_the_engine_see() {
    let (mut server, log) = probes();
    let said = server.says(ALICE, chat(1, "one shout"));
    assert_eq!((responses(&said), heard(&said)), (vec!["ok".to_owned()], vec!["SHOUT".to_owned()]));
    assert_eq!(take(&log), ["one < one shout", "two < SHOUT", "two > \"one shout\" Done", "one > \"one shout\" Done"]);
}

#[test]
fn another_request_is_no_replacement() {
    let (mut server, _) = probes();
    for text in ["one swap", "two renumber"] {
        let said = server.says(ALICE, chat(7, text));
        assert_eq!(responses(&said), ["ExtensionFailed"], "{text}");
        assert!(matches!(said[..], [Action::Send { to: ALICE, packet: ServerPacket::RoomChatResponse { .. } }]));
    }
    assert!(server.assembled.engine.user(ALICE).is_some());
}

/// Gives every login another secret.
struct Forger;

impl Middleware for Forger {
    fn name(&self) -> &str {
        "forger"
    }

    fn before<'p>(&'p mut self, _: &Passage<'_>, packet: &Packet<'p>) -> Decision<'p> {
        let ClientPacket::LoginRequest { request, user, .. } = *packet else { return Decision::Pass };
        Decision::Replace(ClientPacket::LoginRequest { request, user, secret: Sealed([9; 16]) })
    }
}

#[test]
#[should_panic(expected = "asked [Send")]
fn login_keeps_its_secret() {
    let mut extensions = Extensions::new();
    extensions.middleware(Forger);
    // The login is refused, so that the driver is never asked for a secret that it does not hold.
    Server::new(extensions);
}

#[test]
fn middleware_that_panics_refuses_the_packet_and_is_left_out() {
    let (mut server, log) = probes();
    assert_eq!(responses(&server.says(ALICE, chat(1, "one panic"))), ["ExtensionFailed"]);
    take(&log);
    assert_eq!(heard(&server.says(ALICE, chat(2, "one panic"))), ["one panic"]);
    assert_eq!(take(&log), ["two < one panic", "two > \"one panic\" Done"]);
    assert_eq!(responses(&server.says(ALICE, chat(3, "panic after"))), ["ok"]);
    take(&log);
    assert_eq!(heard(&server.says(ALICE, chat(4, "nobody looks"))), ["nobody looks"]);
    assert!(take(&log).is_empty());
}

#[test]
fn words_are_refused_where_the_filter_refuses() {
    let mut extensions = Extensions::new();
    extensions.middleware(WordFilter::refusing(["darn"]));
    let mut server = Server::new(extensions);
    assert_eq!(responses(&server.says(ALICE, chat(1, "DARN!"))), ["TextRefused"]);
    assert_eq!(heard(&server.says(ALICE, chat(2, "darning"))), ["darning"]);
    let title = ClientPacket::RoomCreateRequest {
        request: RequestId(3),
        title: "Darn room".into(),
        capacity: 2,
        password: None,
    };
    assert_eq!(responses(&server.says(ALICE, title)), ["TextRefused"]);
}

/// Takes the dots out, and says so instead.
struct WithoutDots {
    said: String,
}

impl Middleware for WithoutDots {
    fn name(&self) -> &str {
        "without dots"
    }

    fn before<'p>(&'p mut self, _: &Passage<'_>, packet: &Packet<'p>) -> Decision<'p> {
        let ClientPacket::RoomChatRequest { request, room, text } = *packet else { return Decision::Pass };
        self.said = text.as_utf8().unwrap().replace('.', "");
        Decision::Replace(ClientPacket::RoomChatRequest { request, room, text: self.said.as_str().into() })
    }
}

#[test]
fn words_are_found_in_what_another_piece_has_made_of_the_text() {
    let mut extensions = Extensions::new();
    extensions.middleware(WordFilter::masking(["heck"]));
    extensions.middleware(WithoutDots { said: String::new() });
    extensions.middleware(WordFilter::masking(["darn"]));
    extensions.middleware(WordFilter::refusing(["rascal", "it"]));
    let mut server = Server::new(extensions);
    assert_eq!(heard(&server.says(ALICE, chat(1, "d.a.r.n heck"))), ["**** ****"]);
    assert_eq!(responses(&server.says(ALICE, chat(2, "r.a.s.c.a.l"))), ["TextRefused"]);
    assert_eq!(responses(&server.says(ALICE, chat(3, "d.a.r.n i.t"))), ["TextRefused"]);
    assert_eq!(heard(&server.says(ALICE, chat(4, "h.e.c.k"))), ["heck"]);
}

/// Asks a word filter of its own about the text, and then about the text without dots, which it does not hand on.
struct Suspicious {
    words: WordFilter,
}

impl Middleware for Suspicious {
    fn name(&self) -> &str {
        "suspicious"
    }

    fn before<'p>(&'p mut self, passage: &Passage<'_>, packet: &Packet<'p>) -> Decision<'p> {
        let ClientPacket::RoomChatRequest { request, room, text } = *packet else { return Decision::Pass };
        if self.words.before(passage, packet) != Decision::Pass {
            return Decision::Stop(Code::NotAllowed);
        }
        let plain = text.as_utf8().unwrap().replace('.', "");
        let plain = ClientPacket::RoomChatRequest { request, room, text: plain.as_str().into() };
        let is_fine = self.words.before(passage, &plain) == Decision::Pass;
        if is_fine { Decision::Pass } else { Decision::Stop(Code::TextRefused) }
    }
}

#[test]
fn filter_within_another_piece_looks_at_the_text_that_it_is_given() {
    let mut extensions = Extensions::new();
    extensions.middleware(Suspicious { words: WordFilter::refusing(["darn"]) });
    let mut server = Server::new(extensions);
    assert_eq!(responses(&server.says(ALICE, chat(1, "darn"))), ["NotAllowed"]);
    assert_eq!(responses(&server.says(ALICE, chat(2, "d.a.r.n"))), ["TextRefused"]);
    assert_eq!(heard(&server.says(ALICE, chat(3, "d.a.w.n"))), ["d.a.w.n"]);
}

#[test]
fn budget_is_each_sessions_own_and_comes_back() {
    let mut extensions = Extensions::new();
    extensions.middleware(CommandBudget::new().packet(PacketKind::RoomChatRequest, Rate::per_second(1, 2)));
    let mut server = Server::new(extensions);
    let mut says = |session, after| responses(&server.after(after).says(session, chat(1, "hi"))).join(" ");
    let (now, second) = (Duration::ZERO, Duration::from_secs(1));
    assert_eq!([says(ALICE, now), says(ALICE, now), says(ALICE, now)], ["ok", "ok", "OverBudget"]);
    assert_eq!([says(BOB, now), says(ALICE, now), says(ALICE, second)], ["ok", "OverBudget", "ok"]);
    assert_eq!(says(ALICE, now), "OverBudget");
}

#[test]
fn metrics_count_by_kind_and_outcome() {
    let (metrics, handle) = PacketMetrics::new();
    let mut extensions = Extensions::new();
    extensions.middleware(metrics).middleware(PacketLog);
    let mut server = Server::new(extensions);
    server.says(ALICE, chat(1, "hi"));
    server.says(ALICE, chat(2, ""));
    let figures = handle.figures();
    let chat = figures["RoomChatRequest"];
    assert_eq!((chat.done, chat.refused, chat.waiting, chat.closed), (1, 1, 0, 0));
    let login = figures["LoginRequest"];
    assert_eq!((login.done, login.waiting), (0, 2));
    assert_eq!(figures["Hello"].done, 2);
    assert_eq!(chat.timed, 1);
    assert!(chat.slowest == chat.spent && chat.spent > Duration::ZERO);
}

#[test]
fn first_packet_of_a_kind_is_timed_and_then_one_in_64() {
    let (metrics, handle) = PacketMetrics::new();
    let mut extensions = Extensions::new();
    extensions.middleware(metrics);
    let mut server = Server::new(extensions);
    for _ in 0..64 * 2 + 1 {
        server.after(Duration::from_secs(1)).says(ALICE, chat(1, "hi"));
    }
    let timed = |kind: &str| handle.figures()[kind].timed;
    assert_eq!((timed("Hello"), timed("RoomChatRequest")), (1, 3));
}

/// Notes whether it is told how long the engine took.
struct Clock {
    timing: Timing,
    timed: Arc<Mutex<Vec<bool>>>,
}

impl Middleware for Clock {
    fn name(&self) -> &str {
        "clock"
    }

    fn after(&mut self, passage: &Passage<'_>, packet: &Packet<'_>, _: Outcome) {
        if matches!(packet, ClientPacket::RoomChatRequest { .. }) {
            self.timed.lock().unwrap().push(passage.spent().is_some());
        }
    }

    fn timing(&self) -> Timing {
        self.timing
    }
}

#[test]
fn packets_are_timed_as_the_link_wants_that_wants_most() {
    use Timing::{Always, Never, Sample};
    for (one, other, expected) in
        [(Never, Never, 0), (Never, Sample, 2), (Sample, Never, 2), (Always, Never, 65), (Sample, Always, 65)]
    {
        let timed = Arc::default();
        let mut extensions = Extensions::new();
        for timing in [one, other] {
            extensions.middleware(Clock { timing, timed: Arc::clone(&timed) });
        }
        let mut server = Server::new(extensions);
        for _ in 0..65 {
            server.after(Duration::from_secs(1)).says(ALICE, chat(1, "hi"));
        }
        let timed = timed.lock().unwrap();
        assert_eq!(timed.len(), 65 * 2, "both are told of each");
        assert_eq!(timed.iter().filter(|is_timed| **is_timed).count(), expected * 2, "{one:?} and {other:?}");
    }
}

/// Notes what it is called for, which is as little as it asked for, and panics when told to.
struct Picky {
    log: Log,
    interest: Interest,
    panics: bool,
}

impl Middleware for Picky {
    fn name(&self) -> &str {
        "picky"
    }

    fn interest(&self) -> Interest {
        self.interest.clone()
    }

    fn before<'p>(&'p mut self, _: &Passage<'_>, packet: &Packet<'p>) -> Decision<'p> {
        self.log.lock().unwrap().push(format!("< {}", packet.name()));
        assert!(!self.panics, "told to");
        Decision::Pass
    }

    fn after(&mut self, _: &Passage<'_>, packet: &Packet<'_>, _: Outcome) {
        self.log.lock().unwrap().push(format!("> {}", packet.name()));
    }

    fn timing(&self) -> Timing {
        self.log.lock().unwrap().push("timed?".to_owned());
        assert!(!self.panics, "told to");
        Timing::Always
    }
}

fn picky(interest: Interest, panics: bool) -> (Server, Log) {
    let log = Log::default();
    let mut extensions = Extensions::new();
    for _ in 0..2 {
        extensions.middleware(Picky { log: log.clone(), interest: interest.clone(), panics });
    }
    let server = Server::new(extensions);
    take(&log);
    (server, log)
}

#[test]
fn middleware_is_called_for_what_it_is_interested_in() {
    let said = |interest| {
        let (mut server, log) = picky(interest, false);
        server.says(ALICE, chat(1, "hi"));
        server.says(ALICE, ClientPacket::Ping { nonce: 1 });
        take(&log)
    };
    assert!(said(Interest::nothing()).is_empty());
    assert_eq!(said(Interest::nothing().before(&[PacketKind::Ping])), ["< Ping", "< Ping"]);
    let after = ["timed?", "timed?", "> RoomChatRequest", "> RoomChatRequest"];
    assert_eq!(said(Interest::nothing().after(&[PacketKind::RoomChatRequest])), after);
}

#[test]
fn panic_at_a_packet_that_nothing_answers_lets_the_next_piece_see_it() {
    let (mut server, log) = picky(Interest::nothing().before(&[PacketKind::Ping]), true);
    let said = server.says(ALICE, ClientPacket::Ping { nonce: 1 });
    assert!(matches!(said[..], [Action::Send { to: ALICE, packet: ServerPacket::Pong { nonce: 1 } }]), "{said:?}");
    assert_eq!(take(&log), ["< Ping", "< Ping"]);
    server.says(ALICE, ClientPacket::Ping { nonce: 2 });
    assert!(take(&log).is_empty());
}

#[test]
fn panic_of_one_that_is_asked_for_the_time_leaves_it_out() {
    let (mut server, log) = picky(Interest::nothing().after(&[PacketKind::RoomChatRequest]), true);
    // One after the other: the first packet takes the first one out, and does not come back to the second.
    for _ in 0..2 {
        assert_eq!(heard(&server.says(ALICE, chat(1, "hi"))), ["hi"]);
    }
    take(&log);
    assert_eq!(heard(&server.says(ALICE, chat(1, "hi"))), ["hi"]);
    assert!(take(&log).is_empty());
    assert_eq!(server.assembled.chain.enable("picky"), 2);
}

/// Notes that it was told of a packet, and panics when told to: then, and at being enabled for the first time.
struct Late {
    name: &'static str,
    log: Log,
    panics: bool,
    is_ready: bool,
}

impl Middleware for Late {
    fn name(&self) -> &str {
        self.name
    }

    fn interest(&self) -> Interest {
        Interest::nothing().after(&[PacketKind::RoomChatRequest])
    }

    fn after(&mut self, _: &Passage<'_>, _: &Packet<'_>, _: Outcome) {
        self.log.lock().unwrap().push(self.name.to_owned());
        assert!(!self.panics, "told to");
    }

    fn enabled(&mut self) {
        let was_ready = std::mem::replace(&mut self.is_ready, true);
        assert!(was_ready, "not yet");
    }
}

#[test]
fn panic_after_the_engine_leaves_one_out_until_it_is_enabled_and_the_others_are_told() {
    let log = Log::default();
    let mut extensions = Extensions::new();
    for (name, panics) in [("first", false), ("second", true), ("third", false)] {
        extensions.middleware(Late { name, log: log.clone(), panics, is_ready: false });
    }
    let mut server = Server::new(extensions);
    let mut told = |enable: &str, enabled| {
        assert_eq!(server.assembled.chain.enable(enable), enabled, "{enable}");
        assert_eq!(heard(&server.says(ALICE, chat(1, "hi"))), ["hi"]);
        take(&log)
    };
    assert_eq!(told("nobody", 0), ["third", "second", "first"]);
    assert_eq!(told("first", 0), ["third", "first"], "it was not out, and the second one still is");
    assert_eq!(told("second", 0), ["third", "first"], "it panics at being enabled, and stays out");
    assert_eq!(told("second", 1), ["third", "second", "first"]);
    assert_eq!(told("second", 1), ["third", "second", "first"], "it was out again");
}
