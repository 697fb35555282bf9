//! A payload as the client reads it.

use lobbyd_net::codec::{decode_server, encode_server};
use lobbyd_net::frame::HEADER_BYTES;

use crate::page;

/// Decodes the bytes as what a server says. They are accepted exactly when `net/PROTOCOL.md` says that they are a packet,
/// and then they are its only encoding: no part of them and nothing longer is a packet too.
pub fn server_packet(data: &[u8]) {
    let packet = decode_server(data);
    let verdict = packet.as_ref().map(|_| ()).map_err(|fault| *fault);
    assert_eq!(verdict, page::server().judge(data), "the page and the decoder differ about {data:?}");
    let Ok(packet) = packet else {
        return;
    };
    // With a place for one byte more.
    let mut frame = Vec::with_capacity(HEADER_BYTES + data.len() + 1);
    encode_server(&packet, &mut frame);
    assert_eq!(&frame[HEADER_BYTES..], data, "{packet:?} has another encoding");
    page::assert_nothing_near_is_a_packet(frame, |bytes| decode_server(bytes).is_ok());
}
