//! Seeds and dictionaries that are made from what the other packages keep: the golden vectors, the scenario grammar, the
//! configuration's reference.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use lobbyd_core::Engine;
use lobbyd_core::action::Actions;
use lobbyd_core::config::Config;
use lobbyd_core::id::SessionId;
use lobbyd_core::input::Input;
use lobbyd_core::packet::ClientPacket;
use lobbyd_core::time::Instant;
use lobbyd_net::journal::{Memory, RecordedEngine};
use serde_json::Value;

/// Bytes of a golden vector.
struct Vector {
    name: String,
    from_client: bool,
    frame: Vec<u8>,
}

/// The seeds of a target that are made, each with its file's name.
pub(crate) fn seeds(target: &str) -> Vec<(String, Vec<u8>)> {
    let seeds = match target {
        "client_packet" => payloads(true),
        "server_packet" => payloads(false),
        "frame_stream" => streams(),
        "round_trip" => packets(),
        "scenario" => scenarios(),
        "configuration" => configurations(),
        "redis_replies" => replies(),
        "engine" | "engine_and_model" => lives(),
        "journal" => journals(),
        _ => Vec::new(),
    };
    let named = seeds.into_iter().map(|(name, bytes)| (format!("made-{}", slug(&name)), bytes));
    named.collect()
}

/// The words of a target that are worth trying, as libFuzzer reads them.
pub(crate) fn dictionary(target: &str) -> Option<String> {
    let words: BTreeSet<Vec<u8>> = match target {
        "client_packet" => wire_words(true),
        "server_packet" => wire_words(false),
        "frame_stream" => vectors().into_iter().map(|vector| vector.frame).filter(|frame| frame.len() <= 12).collect(),
        "scenario" => words_of(&read("../sim/src/scenario/grammar.md"), |letter| letter.is_whitespace()),
        "configuration" => {
            let reference = lobbyd::config::reference();
            let mut words = words_of(&reference, |letter| !letter.is_alphanumeric() && !"_.-".contains(letter));
            words.insert(b"\n#### environment\n".to_vec());
            words
        }
        "redis_replies" => {
            let replies = replies()
                .into_iter()
                .flat_map(|(_, bytes)| bytes[3..].split(|byte| *byte == 0xff).map(<[u8]>::to_vec).collect::<Vec<_>>());
            replies.filter(|reply| (1..=32).contains(&reply.len())).collect()
        }
        _ => return None,
    };
    let mut text = String::from("# Made by tests/seeds/made.rs.\n");
    for word in words {
        let quoted: String = word.iter().map(|byte| format!("\\x{byte:02x}")).collect();
        writeln!(text, "\"{quoted}\"").unwrap();
    }
    Some(text)
}

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

fn slug(name: &str) -> String {
    let letters = name.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' });
    let words: String = letters.collect();
    let words: Vec<_> = words.split('-').filter(|word| !word.is_empty()).collect();
    words.join("-").chars().take(60).collect()
}

fn vectors() -> Vec<Vector> {
    let file =
        |name: &str| -> Vec<Value> { serde_json::from_str(&read(&format!("../net/vectors/{name}.json"))).unwrap() };
    let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut vectors = Vec::new();
    for (name, is_client) in [("client", true), ("server", false), ("refused", false)] {
        for (place, value) in file(name).into_iter().enumerate() {
            let refused = text(&value, "from");
            vectors.push(Vector {
                name: format!("{name} {place} {}", text(&value, "name")),
                from_client: is_client || refused == "client",
                frame: unhex(&(text(&value, "frame") + &text(&value, "bytes"))),
            });
        }
    }
    vectors
}

fn unhex(digits: &str) -> Vec<u8> {
    assert!(!digits.is_empty(), "a vector has bytes");
    let pairs = digits.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn payloads(from_client: bool) -> Vec<(String, Vec<u8>)> {
    let vectors = vectors().into_iter().filter(|vector| vector.from_client == from_client && vector.frame.len() > 4);
    vectors.map(|vector| (vector.name, vector.frame[4..].to_vec())).collect()
}

/// Whole payloads that are short, and the longer ones' beginnings.
fn wire_words(from_client: bool) -> BTreeSet<Vec<u8>> {
    let payloads = payloads(from_client).into_iter().map(|(_, mut payload)| {
        payload.truncate(16);
        payload
    });
    payloads.collect()
}

/// All frames of a side behind each other, in reads of several sizes; and each refused frame behind a good one.
fn streams() -> Vec<(String, Vec<u8>)> {
    let vectors = vectors();
    let mut streams = Vec::new();
    for from_client in [true, false] {
        let good =
            vectors.iter().filter(|vector| vector.from_client == from_client && !vector.name.starts_with("refused"));
        let stream: Vec<u8> = good.take(30).flat_map(|vector| vector.frame.clone()).collect();
        let side = if from_client { "clients" } else { "servers" };
        for reads in [&[][..], &[1], &[3, 5, 250, 1]] {
            streams.push((format!("{side} in {} sizes", reads.len()), in_reads(reads, &stream)));
        }
    }
    for vector in vectors.iter().filter(|vector| vector.name.starts_with("refused") && vector.frame.len() <= 64) {
        let stream = [&[2, 0, 0, 0, 1, 42], vector.frame.as_slice()].concat();
        streams.push((vector.name.clone(), in_reads(&[2], &stream)));
    }
    streams
}

fn in_reads(reads: &[u8], stream: &[u8]) -> Vec<u8> {
    [&[0, u8::try_from(reads.len()).unwrap()], reads, stream].concat()
}

/// A packet of each kind: whose it is, its number, and fields that are all alike.
fn packets() -> Vec<(String, Vec<u8>)> {
    let sides = [("client", 0, 13), ("server", 1, 24)];
    let kinds = sides.into_iter().flat_map(|(name, side, count)| (0..count).map(move |kind| (name, side, kind)));
    let seed = |(name, side, kind): (&str, u8, u8)| {
        let fields: Vec<u8> = (0..24).map(|place| [3, b'a', 1, 255, 0, 2][(place + usize::from(kind)) % 6]).collect();
        (format!("{name} {kind}"), [&[side, kind], fields.as_slice()].concat())
    };
    kinds.map(seed).collect()
}

fn scenarios() -> Vec<(String, Vec<u8>)> {
    let grammar = read("../sim/src/scenario/grammar.md");
    let examples = grammar.split("```\n").skip(1).step_by(2).enumerate();
    examples.map(|(place, example)| (format!("example {place}"), example.as_bytes().to_vec())).collect()
}

fn configurations() -> Vec<(String, Vec<u8>)> {
    let sample = lobbyd::config::sample();
    let sections = sample.split("\n[").enumerate().map(|(place, section)| {
        let head = if place == 0 { "" } else { "[" };
        (format!("section {place}"), format!("{head}{section}\n").into_bytes())
    });
    let plain = "\n#### environment\nLOBBYD_LIMITS_USERS_MAX=500\nLOBBYD_ROOMS=[{ number = 1, title = \"Tea\", capacity = 8 }]\n";
    let mut seeds: Vec<_> = sections.collect();
    seeds.push(("environment".to_owned(), plain.as_bytes().to_vec()));
    seeds
}

/// A journal of somebody who comes and says hello: the whole file, how it begins, its entries.
fn journals() -> Vec<(String, Vec<u8>)> {
    let memory = Memory::new(usize::MAX);
    let mut engine = RecordedEngine::new(Engine::new(Config::default(), 1, Instant::ZERO));
    engine.record(Instant::ZERO, Box::new(memory.clone()));
    let session = SessionId { index: 0, generation: 0 };
    let hello = ClientPacket::Hello { version: 1, client: "seed 1".into() };
    let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
    for input in [Input::Connected { session, address }, Input::Received { session, packet: hello }] {
        engine.handle_input(Instant::from_nanos(1), input, &mut Actions::new());
    }
    engine.finish();
    let file = memory.take().remove(0);
    // Behind the eight bytes of a file, and the twelve of each block.
    let mut blocks = Vec::new();
    let mut rest = &file[8..];
    while let Some(length) = rest.first_chunk() {
        let (block, behind) = rest[12..].split_at(u32::from_le_bytes(*length) as usize);
        blocks.push(block);
        rest = behind;
    }
    let [_heading, beginning, entries] = blocks[..] else { panic!("{} blocks", blocks.len()) };
    let seed = |name: &str, kind, content: &[u8]| (name.to_owned(), [&[kind], content].concat());
    vec![seed("file", 0, &file), seed("beginning", 1, beginning), seed("entries", 2, entries)]
}

/// Lives of the engine that chance hardly ever finds, in the bytes that `src/engine.rs` reads.
fn lives() -> Vec<(String, Vec<u8>)> {
    // Close limits for rooms and bans, and for wrong secrets.
    let head = [0, 0b1_1000, 0];
    let arrive = |slot, choice| [0, slot, 0, slot, choice];
    let administrator = 3;
    let enter = |slot| [45, slot, 111, 0, 0, 0];
    // Whom: counted back from the last login.
    let ban = |slot, back| [45, slot, 240, 0, 0, back, 1];
    let say = |slot| [45, slot, 190, 0, 0, 0];
    let snapshot = [222];
    let banned: Vec<u8> = [
        &head[..],
        &arrive(0, administrator),
        &arrive(1, 0),
        &arrive(2, 0),
        &enter(0),
        &enter(1),
        &enter(2),
        &snapshot,
        &say(0),
        &ban(0, 1),
        &enter(1),
        &enter(2),
        &ban(0, 0),
    ]
    .concat();
    let (connect, hello, login, denied) = ([30, 3, 0], [45, 3, 0, 0, 0], [45, 3, 26, 0, 3], [171, 0, 5]);
    let wrong: Vec<u8> = [&head[..], &connect, &hello, &login, &denied, &snapshot, &login, &denied].concat();
    // The extension keeps two commands of a session and not a third; then the user logs out.
    let (with_extension, keep, logout) = ([128, 0, 0], [45, 0, 226, 1, 0, 0, 0], [45, 0, 61, 2]);
    let kept = [&with_extension[..], &arrive(0, 0), &keep, &keep, &snapshot, &keep, &logout].concat();
    let lives = [
        ("a room that is full and holds no more bans", banned),
        ("wrong secrets", wrong),
        ("an extension that keeps commands", kept),
    ];
    lives.map(|(name, life)| (name.to_owned(), life)).into()
}

/// What a Redis may answer. The first three bytes are the target's choices.
fn replies() -> Vec<(String, Vec<u8>)> {
    let answers: [(&str, [u8; 3], &[&str]); 16] = [
        ("token", [0, 2, 0], &["$29\r\na secret that is in no answer\r\n", "$2\r\npw\r\n", "_\r\n"]),
        ("token in pieces", [0, 2, 1], &["$-1\r\n", "+pw\r\n", ":1\r\n"]),
        ("account", [1, 2, 0], &["*3\r\n$4\r\nhash\r\n$-1\r\n$1\r\n1\r\n", "*3\r\n$-1\r\n$-1\r\n$-1\r\n", "*0\r\n"]),
        (
            "account that is no list",
            [1, 2, 0],
            &["%1\r\n$4\r\nhash\r\n$1\r\na\r\n", "~1\r\n#t\r\n", "=6\r\ntxt:pw\r\n"],
        ),
        ("lease", [2, 3, 0], &["+OK\r\n", ":1\r\n", "*1\r\n:1\r\n"]),
        ("lease of another", [2, 3, 0], &["$-1\r\n", "+OK\r\n", "*1\r\n:0\r\n"]),
        (
            "eviction",
            [2, 3, 0],
            &[">3\r\n$7\r\nmessage\r\n$7\r\nevicted\r\n$5\r\nalice\r\n+OK\r\n", "-OOM no memory\r\n"],
        ),
        (
            "script missing",
            [2, 3, 0],
            &["-NOSCRIPT No matching script\r\n", "-READONLY a replica\r\n", "-MOVED 1 a:1\r\n"],
        ),
        ("pipeline", [3, 2, 0], &["$1\r\na\r\n", "_\r\n", "-ERR no\r\n", ",1.5\r\n", "(12345678901234567890\r\n"]),
        ("hello refused", [3, 0, 0], &["-NOPROTO unsupported protocol version\r\n"]),
        ("hello with a list", [3, 0, 0], &["*2\r\n+server\r\n+redis\r\n"]),
        ("loading", [3, 1, 0], &["-LOADING Redis is loading the dataset in memory\r\n", "+PONG\r\n"]),
        ("attribute", [3, 2, 3], &["|1\r\n+ttl\r\n:1\r\n$1\r\na\r\n", "!4\r\nERR \r\n", "#f\r\n"]),
        ("lengths that lie", [3, 2, 0], &["$1000000000\r\n", "*2000000000\r\n", "$-2\r\n"]),
        ("nested", [3, 2, 0], &["*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n", "*-1\r\n"]),
        ("no redis at all", [0, 0, 0], &["HTTP/1.1 400 Bad Request\r\n\r\n"]),
    ];
    let seed = |(name, choices, answers): (&str, [u8; 3], &[&str])| {
        let answers: Vec<_> = answers.iter().map(|answer| answer.as_bytes()).collect();
        (name.to_owned(), [&choices[..], &answers.join(&0xff)].concat())
    };
    answers.into_iter().map(seed).collect()
}

/// The words of a text, without those that are long or only prose.
fn words_of(text: &str, between: impl Fn(char) -> bool) -> BTreeSet<Vec<u8>> {
    let words = text.split(between).map(|word| word.trim_matches(['`', ',', '|', '(', ')', ':', '.']));
    words
        .filter(|word| (2..=40).contains(&word.len()) && word.is_ascii())
        .map(|word| word.as_bytes().to_vec())
        .collect()
}
