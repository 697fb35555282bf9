//! The codec against packets and bytes at random.

use std::collections::BTreeSet;

use lobbyd_core::input::WireFault;
use lobbyd_core::packet::{ClientPacket, Sealed, ServerPacket};
use lobbyd_net::codec::{decode_client, decode_server, encode_client, encode_server};
use lobbyd_net::frame::{HEADER_BYTES, next_frame};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use crate::cases::{client_vectors, server_vectors};
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

/// The frames of a stream, as they are cut out of what has arrived after reads of these sizes, which go round.
fn in_reads(stream: &[u8], reads: &[usize]) -> Vec<Vec<u8>> {
    let (mut inbox, mut frames) = (Vec::new(), Vec::new());
    let mut sizes = reads.iter().cycle();
    let mut rest = stream;
    while !rest.is_empty() {
        let (read, later) = rest.split_at(rest.len().min(*sizes.next().unwrap()));
        rest = later;
        inbox.extend_from_slice(read);
        while let Some(frame) = next_frame(&inbox, PAYLOAD_MAX).unwrap() {
            let consumed = frame.consumed;
            frames.push(inbox.drain(..consumed).collect());
        }
    }
    assert!(inbox.is_empty(), "{} bytes are left", inbox.len());
    frames
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
        from_client in vec(client_packet(), 1..6),
        from_server in vec(server_packet(), 1..6),
        reads in vec(1..50usize, 1..20),
    ) {
        let stream: Vec<u8> = from_client.iter().flat_map(client_frame).collect();
        prop_assert_eq!(in_reads(&stream, &reads), from_client.iter().map(client_frame).collect::<Vec<_>>());
        let stream: Vec<u8> = from_server.iter().flat_map(server_frame).collect();
        let frames = in_reads(&stream, &reads);
        prop_assert_eq!(frames.len(), from_server.len());
        for (frame, packet) in frames.iter().zip(from_server) {
            prop_assert_eq!(decode_server(&frame[HEADER_BYTES..]), Ok(packet));
        }
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

proptest! {
    // Each case tries every place.
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_cut_of_a_stream_gives_the_same_packets(packets in vec(client_packet(), 1..4)) {
        let frames: Vec<_> = packets.iter().map(client_frame).collect();
        let stream = frames.concat();
        for cut in 1..stream.len() {
            // What has come before the cut are whole frames and a part that is no error.
            let (mut seen, mut consumed) = (0, 0);
            while let Some(frame) = next_frame(&stream[consumed..cut], PAYLOAD_MAX).unwrap() {
                prop_assert_eq!(decode_client(frame.payload), Ok(packets[seen]));
                consumed += frame.consumed;
                seen += 1;
            }
            prop_assert_eq!(consumed, frames[..seen].concat().len());
            prop_assert!(cut - consumed < frames[seen].len(), "a frame that is there was not seen");
            prop_assert_eq!(in_reads(&stream, &[cut, stream.len()]), frames.clone());
        }
    }

    #[test]
    fn integer_that_is_wider_than_it_needs_is_refused(client in client_packet(), server in server_packet()) {
        let wider = |byte: u8| [vec![251, byte, 0], vec![252, byte, 0, 0, 0], vec![253, byte, 0, 0, 0, 0, 0, 0, 0]];
        for (bytes, is_client) in [(client_frame(&client), true), (server_frame(&server), false)] {
            let payload = &bytes[HEADER_BYTES..];
            // Some of the bytes are integers, the others are texts; in no place is this another way to say the same.
            for (place, byte) in payload.iter().enumerate().filter(|(_, byte)| **byte <= 250) {
                for integer in wider(*byte) {
                    let other = [&payload[..place], &integer, &payload[place + 1..]].concat();
                    let is_same = match is_client {
                        true => decode_client(&other) == Ok(client),
                        false => decode_server(&other).as_ref() == Ok(&server),
                    };
                    prop_assert!(!is_same, "{:?} says the same as {:?}", other, payload);
                    assert_one_encoding(&other);
                }
            }
        }
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
fn names_of_packets_stand_at_their_numbers_on_the_wire() {
    assert_eq!(ClientPacket::<'static, Sealed>::NAMES, *variants::names::<ClientPacket<'static>>());
    assert_eq!(ServerPacket::NAMES, *variants::names::<ServerPacket>());
    for (_, packet) in client_vectors() {
        assert_eq!(client_frame(&packet)[HEADER_BYTES], packet.number(), "{packet:?}");
    }
    for (_, packet) in server_vectors() {
        assert_eq!(server_frame(&packet)[HEADER_BYTES], packet.number(), "{packet:?}");
    }
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
