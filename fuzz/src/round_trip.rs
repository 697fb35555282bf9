//! Packets of every kind, to bytes and back.

use lobbyd_core::config::FRAME_BYTES_LIMIT;
use lobbyd_net::codec::{decode_client, decode_server, encode_client, encode_server};
use lobbyd_net::frame::{HEADER_BYTES, next_frame};

use crate::packets::{client_packet, server_packet};
use crate::page;
use crate::reader::Reader;

/// Makes packets up, one after the other, and writes them behind each other into one stream for each side. What is read
/// from the streams is what was written, and the page calls each of them a packet.
///
/// For each packet, one byte says whose it is, and the rest is read as `packets.rs` does.
pub fn round_trip(data: &[u8]) {
    let mut reader = Reader::new(data);
    let (mut from_client, mut client_stream) = (Vec::new(), Vec::new());
    let (mut from_server, mut server_stream) = (Vec::new(), Vec::new());
    while !reader.is_empty() {
        if reader.flag() {
            let packet = server_packet(&mut reader);
            let start = server_stream.len();
            encode_server(&packet, &mut server_stream);
            assert_eq!(page::server().judge(&server_stream[start + HEADER_BYTES..]), Ok(()), "{packet:?}");
            from_server.push(packet);
        } else {
            let packet = client_packet(&mut reader);
            let start = client_stream.len();
            encode_client(&packet, &mut client_stream);
            assert_eq!(page::client().judge(&client_stream[start + HEADER_BYTES..]), Ok(()), "{packet:?}");
            from_client.push(packet);
        }
    }
    let mut payloads = payloads(&client_stream);
    for packet in from_client {
        let payload = payloads.next().expect("every packet has a frame");
        assert_eq!(decode_client(payload), Ok(packet));
    }
    assert_eq!(payloads.next(), None);
    let mut payloads = self::payloads(&server_stream);
    for packet in from_server {
        let payload = payloads.next().expect("every packet has a frame");
        assert_eq!(decode_server(payload), Ok(packet));
    }
    assert_eq!(payloads.next(), None);
}

fn payloads(stream: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = stream;
    std::iter::from_fn(move || {
        let frame = next_frame(rest, FRAME_BYTES_LIMIT).expect("what was written are frames")?;
        rest = &rest[frame.consumed..];
        Some(frame.payload)
    })
}
