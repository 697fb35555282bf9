//! The golden vectors in `net/vectors/`: packets beside their bytes, for tests here and for clients in any language.
//!
//! The packets are made here and the files are written from them only when asked for:
//!
//! ```text
//! LOBBYD_VECTORS=write cargo test -p lobbyd-net --test wire vectors
//! ```
//!
//! Otherwise the tests compare, so that a change of the wire is seen as a change of these files.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;

use lobbyd_core::id::RequestId;
use lobbyd_core::packet::{ClientPacket, CloseReason, Code, LeaveCause, Secret, ServerPacket};
use lobbyd_net::codec::{decode_client, decode_server, encode_client, encode_server};
use lobbyd_net::frame::next_frame;
use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};

use crate::cases::{FRAME_BYTES_MAX, From, Refused, client_vectors, refused_vectors, server_vectors};
use crate::variants;

#[test]
fn vectors_of_clients_are_as_the_files_say() {
    let vectors = client_vectors();
    let packets: Vec<_> = vectors.iter().map(|(_, packet)| *packet).collect();
    assert_complete(variants::names::<ClientPacket<'static>>(), &packets);
    let frame = |packet: &ClientPacket<'static>| {
        let frame = client_frame(packet);
        let payload = next_frame(&frame, FRAME_BYTES_MAX).unwrap().expect("the frame is whole").payload;
        assert_eq!(decode_client(payload), Ok(*packet));
        hex(&frame)
    };
    compare("client.json", &valid_file(&vectors, frame));
}

#[test]
fn vectors_of_servers_are_as_the_files_say() {
    let vectors = server_vectors();
    let packets: Vec<_> = vectors.iter().map(|(_, packet)| packet.clone()).collect();
    assert_complete(variants::names::<ServerPacket>(), &packets);
    let text = format!("{packets:?}");
    for response in variants::names::<ServerPacket>().iter().filter(|name| name.ends_with("Response")) {
        for arm in ["Ok(", "Err("] {
            let found = packets.iter().map(|packet| format!("{packet:?}"));
            let mut found = found.filter(|packet| packet.starts_with(response) && packet.contains(arm));
            assert!(found.next().is_some(), "{response} has no vector with {arm}");
        }
    }
    for code in variants::all::<Code>() {
        assert!(text.contains(&format!("Err({code:?})")), "no vector shows {code:?}");
    }
    for reason in variants::all::<CloseReason>() {
        assert!(text.contains(&format!("reason: {reason:?}")), "no vector shows {reason:?}");
    }
    for cause in variants::all::<LeaveCause>() {
        assert!(text.contains(&format!("cause: {cause:?}")), "no vector shows {cause:?}");
    }
    let frame = |packet: &ServerPacket| {
        let frame = server_frame(packet);
        let payload = next_frame(&frame, FRAME_BYTES_MAX).unwrap().expect("the frame is whole").payload;
        assert_eq!(decode_server(payload).as_ref(), Ok(packet));
        hex(&frame)
    };
    compare("server.json", &valid_file(&vectors, frame));
}

#[test]
fn vectors_of_refused_bytes_are_as_the_file_says() {
    let vectors = refused_vectors();
    for vector in &vectors {
        let fault = match next_frame(&vector.bytes, FRAME_BYTES_MAX) {
            Err(fault) => fault,
            Ok(None) => panic!("{}: the frame is incomplete", vector.name),
            Ok(Some(frame)) => match vector.from {
                From::Client => decode_client(frame.payload).expect_err(vector.name),
                From::Server => decode_server(frame.payload).expect_err(vector.name),
            },
        };
        assert_eq!(fault, vector.fault, "{}", vector.name);
    }
    let line = |vector: &Refused| {
        let from = match vector.from {
            From::Client => "client",
            From::Server => "server",
        };
        let (name, bytes, fault) = (json(&vector.name), hex(&vector.bytes), vector.fault);
        format!(r#"{{"name": {name}, "from": "{from}", "bytes": "{bytes}", "fault": "{fault:?}"}}"#)
    };
    compare("refused.json", &lines(vectors.iter().map(line)));
}

/// The whole frame of a client's packet.
pub(crate) fn client_frame(packet: &ClientPacket<'_>) -> Vec<u8> {
    let mut frame = Vec::new();
    encode_client(packet, &mut frame);
    frame
}

/// The whole frame of a server's packet.
pub(crate) fn server_frame(packet: &ServerPacket) -> Vec<u8> {
    let mut frame = Vec::new();
    encode_server(packet, &mut frame);
    frame
}

/// Bytes in hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn assert_complete<P: core::fmt::Debug>(names: &[&str], packets: &[P]) {
    let shown: BTreeSet<_> = packets.iter().map(|packet| format!("{packet:?}")).collect();
    for name in names {
        let shown = shown.iter().any(|packet| packet.split(' ').next() == Some(name));
        assert!(shown, "{name} has no vector");
    }
}

fn valid_file<P: Serialize>(vectors: &[(String, P)], frame: impl Fn(&P) -> String) -> String {
    lines(vectors.iter().map(|(name, packet)| {
        let (name, fields, frame) = (json(name), json(packet), frame(packet));
        format!("{{\"name\": {name},\n \"packet\": {fields},\n \"frame\": \"{frame}\"}}")
    }))
}

fn lines(vectors: impl Iterator<Item = String>) -> String {
    format!("[\n{}\n]\n", vectors.collect::<Vec<_>>().join(",\n"))
}

/// Compares a file with what it should hold; writes it instead where the environment asks for that.
fn compare(file: &str, content: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("vectors").join(file);
    if std::env::var_os("LOBBYD_VECTORS").is_some_and(|wish| wish == "write") {
        fs::write(&path, content).unwrap();
        return;
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    let differs = found.lines().zip(content.lines()).position(|(found, wanted)| found != wanted);
    let line = differs.unwrap_or(found.lines().count().min(content.lines().count()));
    assert!(
        found == content,
        "{file} is not what the code encodes, first at line {}:\n file: {}\n code: {}\nA change of the wire needs a new \
         protocol version. To write the files anew: LOBBYD_VECTORS=write cargo test -p lobbyd-net --test wire vectors",
        line + 1,
        found.lines().nth(line).unwrap_or("(nothing)"),
        content.lines().nth(line).unwrap_or("(nothing)"),
    );
}

fn json<T: Serialize + ?Sized>(value: &T) -> String {
    let mut out = Vec::new();
    value.serialize(&mut Serializer::with_formatter(&mut out, Readable)).unwrap();
    String::from_utf8(out).unwrap()
}

/// JSON that every language reads without loss and that people can read: numbers of 64 bits as strings of digits,
/// bytes as text where they are text.
struct Readable;

impl Formatter for Readable {
    fn write_u64<W: ?Sized + Write>(&mut self, writer: &mut W, value: u64) -> io::Result<()> {
        write!(writer, "\"{value}\"")
    }

    fn write_byte_array<W: ?Sized + Write>(&mut self, writer: &mut W, value: &[u8]) -> io::Result<()> {
        match str::from_utf8(value) {
            Ok(text) => writer.write_all(json(text).as_bytes()),
            Err(_) => write!(writer, "{{\"hex\": \"{}\"}}", hex(value)),
        }
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        writer.write_all(if first { b"" } else { b", " })
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }
}

#[test]
fn json_loses_nothing() {
    let packet = ClientPacket::LoginRequest { request: RequestId(7), user: "a\"b".into(), secret: Secret(&[255]) };
    assert_eq!(json(&packet), r#"{"LoginRequest": {"request": 7, "user": "a\"b", "secret": {"hex": "ff"}}}"#);
    assert_eq!(json(&ServerPacket::Pong { nonce: u64::MAX }), r#"{"Pong": {"nonce": "18446744073709551615"}}"#);
}
