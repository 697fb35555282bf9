//! Middleware that is called only for texts with certain words.

use std::sync::{Arc, Mutex};

use lobbyd_core::id::RequestId;
use lobbyd_core::packet::{ClientPacket, Code};
use lobbyd_net::extension::Extensions;
use lobbyd_net::extension::middleware::{
    Decision, Interest, Middleware, Outcome, Packet, PacketKind, Passage, WordFilter,
};

use crate::support::{ALICE, Server, chat, command, heard, responses};

type Log = Arc<Mutex<Vec<String>>>;

fn take(log: &Log) -> Vec<String> {
    std::mem::take(&mut log.lock().unwrap())
}

/// Notes what it is called for, in which it looks for one word, and says another text instead if it has one.
struct Looker {
    name: &'static str,
    word: &'static str,
    instead: Option<&'static str>,
    log: Log,
}

impl Middleware for Looker {
    fn name(&self) -> &str {
        self.name
    }

    fn interest(&self) -> Interest {
        Interest::everything().only_with_words([self.word])
    }

    fn before<'p>(&'p mut self, _: &Passage<'_>, packet: &Packet<'p>) -> Decision<'p> {
        let said = if let ClientPacket::RoomChatRequest { text, .. } = packet {
            String::from_utf8_lossy(text.0).into_owned()
        } else {
            packet.name().to_owned()
        };
        self.log.lock().unwrap().push(format!("{} < {said}", self.name));
        assert!(!said.contains("panic"), "told to");
        match (*packet, self.instead) {
            (ClientPacket::RoomChatRequest { request, room, .. }, Some(text)) => {
                Decision::Replace(ClientPacket::RoomChatRequest { request, room, text: text.into() })
            }
            _ => Decision::Pass,
        }
    }

    fn after(&mut self, _: &Passage<'_>, packet: &Packet<'_>, _: Outcome) {
        self.log.lock().unwrap().push(format!("{} > {}", self.name, packet.name()));
    }
}

fn server(lookers: &[(&'static str, &'static str, Option<&'static str>)]) -> (Server, Log) {
    let log = Log::default();
    let mut extensions = Extensions::new();
    for &(name, word, instead) in lookers {
        extensions.middleware(Looker { name, word, instead, log: log.clone() });
    }
    let server = Server::new(extensions);
    take(&log);
    (server, log)
}

/// Who was asked about which text before the engine.
fn asked(log: &Log) -> Vec<String> {
    let mut asked = take(log);
    asked.retain(|line| line.contains('<'));
    asked
}

#[test]
fn text_reaches_who_looks_for_one_of_its_words() {
    let (mut server, log) = server(&[("one", "help", None)]);
    let mut is_asked = |text| {
        assert_eq!(heard(&server.says(ALICE, chat(1, text))), [text]);
        let said = take(&log);
        assert_eq!(said.last().unwrap(), "one > RoomChatRequest", "it is told afterwards whatever was said");
        said.len() == 2
    };
    assert!(["help", "HELP me", "a bit of (Help)!", "für: help"].into_iter().all(&mut is_asked));
    assert!(!["hello", "helpful", "no yelp", "?", "für"].into_iter().any(&mut is_asked));
}

#[test]
fn what_says_nothing_to_others_reaches_everybody() {
    let (mut server, log) = server(&[("one", "help", None)]);
    server.says(ALICE, command(1, "dice.roll", "no word"));
    server.says(ALICE, ClientPacket::Ping { nonce: 1 });
    assert_eq!(asked(&log), ["one < CustomCommand", "one < Ping"]);
    let (request, user) = (RequestId(1), "bob".into());
    server.says(ALICE, ClientPacket::DirectMessageRequest { request, user, text: "no".into() });
    let title = "no".into();
    server.says(ALICE, ClientPacket::RoomCreateRequest { request, title, capacity: 2, password: None });
    assert!(asked(&log).is_empty());
    server.says(ALICE, ClientPacket::DirectMessageRequest { request, user, text: "help".into() });
    let title = "help".into();
    server.says(ALICE, ClientPacket::RoomCreateRequest { request, title, capacity: 2, password: None });
    assert_eq!(asked(&log), ["one < DirectMessageRequest", "one < RoomCreateRequest"]);
}

#[test]
fn text_that_is_put_in_place_of_another_is_looked_at_again() {
    let (mut server, log) = server(&[
        ("one", "blue", None),
        ("two", "red", Some("red and blue")),
        ("three", "blue", Some("nothing")),
        ("four", "red", None),
        ("five", "nothing", None),
    ]);
    assert_eq!(heard(&server.says(ALICE, chat(1, "red"))), ["nothing"]);
    let asked = asked(&log);
    assert!(asked.contains(&"three < red and blue".to_owned()), "{asked:?}");
    assert!(asked.contains(&"five < nothing".to_owned()), "{asked:?}");
    let backwards = |line: &&String| *line == "one < red and blue" || *line == "two < red and blue";
    assert_eq!(asked.iter().find(backwards), None, "nobody is asked twice");
    assert_eq!(heard(&server.says(ALICE, chat(1, "green"))), ["green"]);
    assert!(self::asked(&log).is_empty());
}

#[test]
fn one_that_panics_leaves_the_words_of_the_others() {
    let (mut server, log) = server(&[("one", "red", None), ("two", "blue", None)]);
    let said = server.says(ALICE, chat(1, "red panic"));
    assert_eq!(responses(&said), ["ExtensionFailed"]);
    take(&log);
    assert_eq!(heard(&server.says(ALICE, chat(1, "red panic"))), ["red panic"]);
    assert!(asked(&log).is_empty(), "nobody is left who looks for that");
    assert_eq!(heard(&server.says(ALICE, chat(1, "blue"))), ["blue"]);
    assert_eq!(asked(&log), ["two < blue"]);
    assert_eq!(server.assembled.chain.enable("one"), 1);
    assert_eq!(heard(&server.says(ALICE, chat(1, "red"))), ["red"]);
    assert!(asked(&log).contains(&"one < red".to_owned()));
}

#[test]
fn filters_of_one_chain_keep_to_their_own_lists() {
    let mut extensions = Extensions::new();
    extensions.middleware(WordFilter::masking(["darn"])).middleware(WordFilter::refusing(["rascal"]));
    let mut server = Server::new(extensions);
    let mut says = |text| {
        let said = server.says(ALICE, chat(1, text));
        (heard(&said).pop(), responses(&said).pop())
    };
    let ok = || Some("ok".to_owned());
    assert_eq!(says("darn it"), (Some("**** it".to_owned()), ok()));
    assert_eq!(says("hi"), (Some("hi".to_owned()), ok()));
    assert_eq!(says("darn rascal"), (None, Some(format!("{:?}", Code::TextRefused))));
    assert_eq!(says("rascals, Ärger"), (Some("rascals, Ärger".to_owned()), ok()));
}

/// Counts what users say in rooms.
#[derive(Default)]
struct Counter {
    said: Arc<Mutex<u32>>,
}

impl Middleware for Counter {
    fn name(&self) -> &str {
        "counter"
    }

    fn interest(&self) -> Interest {
        Interest::nothing().before(&[PacketKind::RoomChatRequest])
    }

    fn before<'p>(&'p mut self, _: &Passage<'_>, _: &Packet<'p>) -> Decision<'p> {
        *self.said.lock().unwrap() += 1;
        Decision::Pass
    }
}

#[test]
fn one_that_looks_for_no_word_is_called_for_every_text() {
    let said = Arc::default();
    let mut extensions = Extensions::new();
    for word in ["darn", "heck"] {
        extensions.middleware(Counter { said: Arc::clone(&said) }).middleware(WordFilter::masking([word]));
    }
    let mut server = Server::new(extensions);
    for (text, expected) in [("hi", "hi"), ("darn", "****"), ("heck", "****"), ("heck, darn", "****, ****")] {
        let before = *said.lock().unwrap();
        assert_eq!(heard(&server.says(ALICE, chat(1, text))), [expected]);
        assert_eq!(*said.lock().unwrap(), before + 2, "{text:?}");
    }
}
