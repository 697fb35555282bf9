//! How many instructions the parts take: run under callgrind by `.ci/instructions`, which compares the counts with the
//! committed ones. By itself it says what there is to be counted, or does one of it.

mod support;

use std::env;
use std::hint::black_box;

use lobbyd_core::id::RoomNumber;
use lobbyd_core::packet::ServerPacket;
use lobbyd_net::codec::{decode_client, encode_server};
use lobbyd_net::frame::HEADER_BYTES;

use self::support::chain::{CHAINS, Server};
use self::support::engine::Crowd;
use self::support::node::House;
use self::support::packets::{chat_frame, notify, response};

/// How often each is done while instructions are counted.
const TIMES: u32 = 1_000;

/// What is counted, by name: all of it prepared, and how often it is done.
const BENCHMARKS: [(&str, fn()); 13] = [
    ("engine-chat-2", || engine(1_000, 2)),
    ("engine-chat-10", || engine(1_000, 10)),
    ("engine-chat-1000", || engine(1_000, 1_000)),
    ("engine-chat-10-of-20000", || engine(20_000, 10)),
    ("engine-heartbeat-of-20000", heartbeat),
    ("codec-decode-chat", decode),
    ("codec-encode-notify", || encode(&notify())),
    ("codec-encode-response", || encode(&response())),
    ("chain-none", || chain("none")),
    ("chain-five-look", || chain("five-look")),
    ("chain-five", || chain("five")),
    ("node-chat-alone", || node(1)),
    ("node-chat-8-at-once", || node(8)),
];

fn main() {
    // Cargo itself runs this with `--bench`.
    let Some(name) = env::args().nth(1).filter(|argument| !argument.starts_with('-')) else {
        for (name, _) in BENCHMARKS {
            println!("{name}");
        }
        return;
    };
    match BENCHMARKS.iter().find(|(known, _)| *known == name) {
        Some((_, run)) => run(),
        None => panic!("there is no benchmark {name:?}"),
    }
}

/// Callgrind counts inside this function only.
#[inline(never)]
fn counted_by_callgrind(times: u32, work: &mut dyn FnMut()) {
    for _ in 0..times {
        work();
    }
    println!("{times}");
}

/// Does it often enough for every buffer to have its size, and then again, counted.
fn count(times: u32, mut work: impl FnMut()) {
    (0..times).for_each(|_| work());
    counted_by_callgrind(times, &mut work);
}

fn engine(sessions: u32, members: u32) {
    let mut crowd = Crowd::new(sessions, members);
    count(TIMES, || {
        black_box(crowd.chat());
    });
}

fn heartbeat() {
    let mut crowd = Crowd::new(20_000, 10);
    count(TIMES, || {
        black_box(crowd.heartbeat());
    });
}

fn decode() {
    let frame = chat_frame(1_000, RoomNumber(17));
    count(TIMES, || {
        black_box(decode_client(black_box(&frame[HEADER_BYTES..])).is_ok());
    });
}

fn encode(packet: &ServerPacket) {
    let mut out = Vec::with_capacity(1_024);
    count(TIMES, || {
        out.clear();
        encode_server(black_box(packet), &mut out);
    });
}

/// One message in a room of ten, behind middleware.
fn chain(name: &str) {
    let (_, extend) = CHAINS.into_iter().find(|(known, _)| *known == name).expect("it is one of them");
    let mut server = Server::new(extend);
    count(TIMES, || {
        black_box(server.chat());
    });
}

/// 50 clients in rooms of 10 say so many messages each, all of them at once.
fn node(messages: u32) {
    let house = House::new(50, 10);
    count(100, || {
        black_box(house.chat(50, messages));
    });
}
