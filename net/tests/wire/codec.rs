//! The codec against packets and bytes at random.

use std::collections::BTreeSet;

use lobbyd_core::input::WireFault;
use lobbyd_core::packet::{ClientPacket, ServerPacket};
use lobbyd_net::codec::{decode_client, decode_server, encode_client, encode_server};
use lobbyd_net::frame::{HEADER_BYTES, next_frame};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use crate::strategies::{client_packet, server_packet};
use crate::variants;
use crate::vectors::{client_frame, server_frame};

const PAYLOAD_MAX: u32 = 16 * 1024;

/// A change to some bytes.
#[derive(Clone, Debug)]
enum Mutation {
    Set(Index, u8),
    Insert(Index, u8),
    Remove(Index),
    Truncate(Index),
}

fn mutations() -> impl Strategy<Value = Vec<Mutation>> {
    // Mostly bytes that mean something special: tags, the markers of longer integers.
    let byte = || prop_oneof![0..4u8, 250..=255u8, any::<u8>()];
    let mutation = prop_oneof![
        4 => (any::<Index>(), byte()).prop_map(|(place, byte)| Mutation::Set(place, byte)),
        2 => (any::<Index>(), byte()).prop_map(|(place, byte)| Mutation::Insert(place, byte)),
        1 => any::<Index>().prop_map(Mutation::Remove),
        1 => any::<Index>().prop_map(Mutation::Truncate),
    ];
    vec(mutation, 1..4)
}

fn mutate(bytes: &mut Vec<u8>, mutations: &[Mutation]) {
    for mutation in mutations {
        if bytes.is_empty() {
            return;
        }
        match mutation {
            Mutation::Set(place, byte) => *place.get_mut(bytes) = *byte,
            Mutation::Insert(place, byte) => bytes.insert(place.index(bytes.len() + 1), *byte),
            Mutation::Remove(place) => drop(bytes.remove(place.index(bytes.len()))),
            Mutation::Truncate(place) => bytes.truncate(place.index(bytes.len())),
        }
    }
}

/// Nothing panics, and what decodes has no other encoding than these bytes.
fn assert_one_encoding(payload: &[u8]) {
    if let Ok(packet) = decode_client(payload) {
        assert_eq!(&client_frame(&packet)[HEADER_BYTES..], payload, "{packet:?}");
    }
    if let Ok(packet) = decode_server(payload) {
        assert_eq!(&server_frame(&packet)[HEADER_BYTES..], payload, "{packet:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn client_packet_survives_the_wire(packet in client_packet()) {
        let bytes = client_frame(&packet);
        let frame = next_frame(&bytes, PAYLOAD_MAX).unwrap().expect("the frame is whole");
        prop_assert_eq!(frame.consumed, bytes.len());
        prop_assert_eq!(decode_client(frame.payload), Ok(packet));
    }

    #[test]
    fn server_packet_survives_the_wire(packet in server_packet()) {
        let bytes = server_frame(&packet);
        let frame = next_frame(&bytes, PAYLOAD_MAX).unwrap().expect("the frame is whole");
        prop_assert_eq!(frame.consumed, bytes.len());
        prop_assert_eq!(decode_server(frame.payload), Ok(packet));
    }

    #[test]
    fn part_of_a_frame_is_no_frame_and_part_of_a_packet_no_packet(client in client_packet(), server in server_packet()) {
        for (bytes, is_client) in [(client_frame(&client), true), (server_frame(&server), false)] {
            for length in 0..bytes.len() {
                prop_assert_eq!(next_frame(&bytes[..length], PAYLOAD_MAX), Ok(None));
            }
            let payload = &bytes[HEADER_BYTES..];
            for length in 0..payload.len() {
                let part = &payload[..length];
                let fault = if is_client { decode_client(part).err() } else { decode_server(part).err() };
                prop_assert_eq!(fault, Some(WireFault::PacketMalformed), "{} bytes", length);
            }
        }
    }

    #[test]
    fn trailing_byte_is_refused(client in client_packet(), server in server_packet(), extra in any::<u8>()) {
        let mut bytes = client_frame(&client);
        bytes.push(extra);
        prop_assert_eq!(decode_client(&bytes[HEADER_BYTES..]), Err(WireFault::PacketMalformed));
        let mut bytes = server_frame(&server);
        bytes.push(extra);
        prop_assert_eq!(decode_server(&bytes[HEADER_BYTES..]), Err(WireFault::PacketMalformed));
    }

    #[test]
    fn reads_of_any_size_give_the_same_packets(
        packets in vec(server_packet(), 1..6),
        reads in vec(1..50usize, 1..20),
    ) {
        let mut stream = Vec::new();
        for packet in &packets {
            encode_server(packet, &mut stream);
        }
        let mut sizes = reads.iter().cycle();
        let (mut inbox, mut seen) = (Vec::new(), Vec::new());
        let mut rest = &stream[..];
        while !rest.is_empty() {
            let (read, later) = rest.split_at(rest.len().min(*sizes.next().unwrap()));
            rest = later;
            inbox.extend_from_slice(read);
            while let Some(frame) = next_frame(&inbox, PAYLOAD_MAX).unwrap() {
                seen.push(decode_server(frame.payload).unwrap());
                let consumed = frame.consumed;
                inbox.drain(..consumed);
            }
        }
        prop_assert!(inbox.is_empty());
        prop_assert_eq!(seen, packets);
    }

    #[test]
    fn broken_packet_is_refused_or_has_one_encoding(
        client in client_packet(),
        server in server_packet(),
        mutations in mutations(),
    ) {
        for mut bytes in [client_frame(&client), server_frame(&server)] {
            bytes.drain(..HEADER_BYTES);
            mutate(&mut bytes, &mutations);
            assert_one_encoding(&bytes);
        }
    }

    #[test]
    fn noise_is_refused_or_has_one_encoding(number in 0..24u8, noise in vec(any::<u8>(), 0..60)) {
        let mut bytes = vec![number];
        bytes.extend(noise);
        assert_one_encoding(&bytes);
    }
}

#[test]
fn strategies_make_every_packet() {
    fn seen<P: core::fmt::Debug>(strategy: impl Strategy<Value = P>) -> BTreeSet<String> {
        let mut runner = TestRunner::deterministic();
        let name = |packet: P| format!("{packet:?}").split(' ').next().unwrap_or_default().to_owned();
        (0..2_000).map(|_| name(strategy.new_tree(&mut runner).unwrap().current())).collect()
    }
    let names = |names: &[&str]| names.iter().map(ToString::to_string).collect::<BTreeSet<_>>();
    assert_eq!(seen(client_packet()), names(variants::names::<ClientPacket<'static>>()));
    assert_eq!(seen(server_packet()), names(variants::names::<ServerPacket>()));
}

#[test]
fn first_number_behind_the_last_packet_is_unknown() {
    for (packets, is_client) in
        [(variants::names::<ClientPacket<'static>>().len(), true), (variants::names::<ServerPacket>().len(), false)]
    {
        let fault = |number: usize| {
            let payload = [u8::try_from(number).unwrap()];
            if is_client { decode_client(&payload).err() } else { decode_server(&payload).err() }
        };
        assert_eq!(fault(packets), Some(WireFault::PacketUnknown));
        // A packet that is known but is not there.
        assert_eq!(fault(packets - 1), Some(WireFault::PacketMalformed));
    }
}

#[test]
fn largest_frame_of_the_smallest_elements_is_read() {
    use lobbyd_core::config::FRAME_BYTES_LIMIT;
    use lobbyd_core::id::{RequestId, RoomNumber};
    use lobbyd_core::packet::{List, RoomPage, RoomSummary};
    use lobbyd_core::text::Text;

    let room = RoomSummary { room: RoomNumber(1), title: Text::default(), members: 0, capacity: 1, protected: false };
    let rooms = vec![room; FRAME_BYTES_LIMIT as usize / 5 - 4];
    let page = RoomPage { rooms: List(rooms), next: None };
    let packet = ServerPacket::RoomListResponse { request: RequestId(1), result: Ok(page) };
    let bytes = server_frame(&packet);
    assert!(bytes.len() > FRAME_BYTES_LIMIT as usize - 32, "{} bytes", bytes.len());
    let frame = next_frame(&bytes, FRAME_BYTES_LIMIT).unwrap().expect("it is whole");
    assert!(decode_server(frame.payload) == Ok(packet));
}

#[test]
fn frames_are_appended_behind_what_is_there() {
    let mut out = vec![1, 2, 3];
    encode_client(&ClientPacket::Ping { nonce: 9 }, &mut out);
    encode_server(&ServerPacket::Pong { nonce: 9 }, &mut out);
    assert_eq!(out, [1, 2, 3, 2, 0, 0, 0, 1, 9, 2, 0, 0, 0, 2, 9]);
}
