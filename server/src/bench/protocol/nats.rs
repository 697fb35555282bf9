//! NATS: each client subscribes to the subject of its room and publishes to it. It hears its own messages, too.

use super::{Heard, Protocol, Taken, Unit, Who, line, number};

/// NATS.
pub(crate) struct Nats;

impl Protocol for Nats {
    const GREETS: bool = true;
    const LOGS_IN: bool = false;
    const TAKEN: Taken = Taken::Echo;
    const ECHOES: bool = true;

    fn next<'a>(&self, _who: Who<'_>, bytes: &'a [u8]) -> Result<Unit<'a>, String> {
        let Some((head, start)) = line(bytes) else {
            return Ok(None);
        };
        let mut words = head.split(|byte| *byte == b' ');
        match words.next() {
            Some(b"MSG") => {
                let Some(length) = words.next_back().and_then(number) else {
                    return Err(format!("a message without a length: {}", head.escape_ascii()));
                };
                let end = start + length + 2;
                if bytes.len() < end {
                    return Ok(None);
                }
                Ok(Some((Heard::Message { text: &bytes[start..end - 2], change: None }, end)))
            }
            Some(b"INFO" | b"PONG") => Ok(Some((Heard::Done { entered: None }, start))),
            Some(b"PING") => Ok(Some((Heard::Asked(b""), start))),
            Some(b"-ERR") => Err(format!("NATS says: {}", head.escape_ascii())),
            Some(_) | None => Ok(Some((Heard::Nothing, start))),
        }
    }

    fn hello(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"CONNECT {\"verbose\":false,\"pedantic\":false,\"echo\":true,\"protocol\":0}\r\n");
    }

    fn enter(&self, who: Who<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(format!("SUB room{} 1\r\nPING\r\n", who.room).as_bytes());
    }

    fn leave(&self, _who: Who<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(b"UNSUB 1\r\nPING\r\n");
    }

    fn say(&self, who: Who<'_>, text: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(format!("PUB room{} {}\r\n", who.room, text.len()).as_bytes());
        out.extend_from_slice(text);
        out.extend_from_slice(b"\r\n");
    }

    fn answer(&self, _asked: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(b"PONG\r\n");
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::units;
    use super::*;

    #[test]
    fn messages_are_cut_by_their_length() {
        let who = Who { user: "b1", room: 3 };
        let bytes = b"INFO {\"a\":1}\r\nPONG\r\nMSG room3 1 5\r\nMSG x\r\nPING\r\n+OK\r\n";
        let done = Heard::Done { entered: None };
        let message = Heard::Message { text: b"MSG x", change: None };
        assert_eq!(units(&Nats, who, bytes), [done, done, message, Heard::Asked(b""), Heard::Nothing]);
        assert!(Nats.next(who, b"-ERR 'no'\r\n").unwrap_err().contains("no"));
    }
}
