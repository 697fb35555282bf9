//! How long the parts take, by the clock: `cargo bench -p lobbyd-net --bench micro`. What CI compares are instructions
//! (`instructions.rs`), which do not depend on what else the machine does.

mod support;

use std::hint::black_box;

use divan::Bencher;
use divan::counter::ItemsCount;
use lobbyd_core::id::RoomNumber;
use lobbyd_net::codec::{decode_client, decode_server, encode_server};
use lobbyd_net::frame::HEADER_BYTES;

use self::support::chain::{CHAINS, Server};
use self::support::engine::Crowd;
use self::support::node::House;
use self::support::packets::{chat_frame, notify, response};

fn main() {
    divan::main();
}

/// The engine alone, in rooms of so many. Items are deliveries.
#[divan::bench(args = [2, 10, 100, 1_000], sample_size = 1_000)]
fn engine_chat_by_room(bencher: Bencher<'_, '_>, members: u32) {
    let mut crowd = Crowd::new(1_000, members);
    bencher.counter(ItemsCount::new(members - 1)).bench_local(|| crowd.chat());
}

/// The engine alone, in rooms of 10, with so many sessions. Items are inputs.
#[divan::bench(args = [10, 1_000, 10_000, 100_000], sample_size = 10_000)]
fn engine_chat_by_sessions(bencher: Bencher<'_, '_>, sessions: u32) {
    let mut crowd = Crowd::new(sessions, 10);
    bencher.counter(ItemsCount::new(1_u32)).bench_local(|| crowd.chat());
}

/// The engine's step for one message behind middleware, each piece by itself and five of them: what a chain costs is the
/// difference to `none`.
#[divan::bench(args = CHAINS.map(|(name, _)| name), sample_count = 200, sample_size = 1_000)]
fn chain_chat_behind(bencher: Bencher<'_, '_>, name: &str) {
    let (_, extend) = CHAINS.into_iter().find(|(known, _)| *known == name).expect("it is one of them");
    let mut server = Server::new(extend);
    bencher.bench_local(|| server.chat());
}

/// With so many sessions, the next one is asked for a sign of life and gives it.
#[divan::bench(args = [1_000, 100_000], sample_size = 1_000)]
fn engine_heartbeat(bencher: Bencher<'_, '_>, sessions: u32) {
    let mut crowd = Crowd::new(sessions, 10);
    bencher.bench_local(|| crowd.heartbeat());
}

/// Everybody waits for a copy of the state of so many sessions, in rooms of 10, when a file of a journal begins.
#[divan::bench(args = [1_000, 10_000, 100_000])]
fn engine_snapshot(bencher: Bencher<'_, '_>, sessions: u32) {
    let crowd = Crowd::new(sessions, 10);
    // What is returned is dropped outside of the time that counts.
    bencher.bench_local(|| crowd.snapshot());
}

/// A client's chat packet is read.
#[divan::bench]
fn codec_decode_chat(bencher: Bencher<'_, '_>) {
    let frame = chat_frame(1_000, RoomNumber(17));
    bencher.bench_local(|| decode_client(black_box(&frame[HEADER_BYTES..])).is_ok());
}

/// What the others hear is written, once for all of them.
#[divan::bench]
fn codec_encode_notify(bencher: Bencher<'_, '_>) {
    let (packet, mut out) = (notify(), Vec::with_capacity(1_024));
    bencher.bench_local(|| {
        out.clear();
        encode_server(black_box(&packet), &mut out);
    });
}

/// The same for the answer that the sender gets.
#[divan::bench]
fn codec_encode_response(bencher: Bencher<'_, '_>) {
    let (packet, mut out) = (response(), Vec::with_capacity(1_024));
    bencher.bench_local(|| {
        out.clear();
        encode_server(black_box(&packet), &mut out);
    });
}

/// A client reads what it hears.
#[divan::bench]
fn codec_decode_notify(bencher: Bencher<'_, '_>) {
    let mut frame = Vec::new();
    encode_server(&notify(), &mut frame);
    bencher.bench_local(|| decode_server(black_box(&frame[HEADER_BYTES..])).is_ok());
}

/// A whole node on streams that cost nothing: 500 clients in rooms of 10, each says so many messages at once. Items are
/// deliveries, answers to the senders included.
#[divan::bench(args = [1, 8])]
fn node_chat(bencher: Bencher<'_, '_>, messages: u32) {
    let house = House::new(500, 10);
    bencher.counter(ItemsCount::new(500 * messages * 10)).bench_local(|| house.chat(500, messages));
}

/// The same in one room of 1,000, where 10 speak: what an outbox takes to hold one more frame and to be emptied, with
/// next to nothing of reading, engine and encoding. Items are deliveries.
#[divan::bench(args = [1, 8])]
fn node_chat_in_one_room(bencher: Bencher<'_, '_>, messages: u32) {
    let house = House::new(1_000, 1_000);
    bencher.counter(ItemsCount::new(10 * messages * 1_000)).bench_local(|| house.chat(10, messages));
}
